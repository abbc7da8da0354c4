/**
 * What is behind a TCP port.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** What somebody at a port was heard to speak. One may speak several. */
export interface Speech {
  /** Whether a connection is accepted. */
  readonly listening: boolean
  /** HTTP/1, in plain text or inside of TLS. */
  readonly http: boolean
  /** HTTP/2, which gRPC is spoken over, in plain text or inside of TLS. */
  readonly http2: boolean
  readonly tls: boolean
}

export class Ports extends Context.Service<
  Ports,
  {
    /** Whether a connection is accepted within a second. */
    readonly listening: (host: string, port: number) => Effect.Effect<boolean>
    /** Says a few words in each language and listens, for `millis` at most. */
    readonly speech: (host: string, port: number, millis: number) => Effect.Effect<Speech>
  }
>()("tinyllm/Ports") {}
