/**
 * Whether something listens on a TCP port.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

export class Ports extends Context.Service<
  Ports,
  {
    /** Whether a connection is accepted within a second. */
    readonly listening: (host: string, port: number) => Effect.Effect<boolean>
  }
>()("tinyllm/Ports") {}
