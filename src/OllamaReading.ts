/**
 * Reading an answer that has begun: pulls bytes, watches for silence, reads to the end.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { HttpClientError } from "effect/http/HttpClientError"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as OllamaError from "./OllamaError.ts"
import * as OllamaHttp from "./OllamaHttp.ts"
import type { Reader } from "./OllamaStream.ts"

/** An answer that has begun. */
export interface Reading {
  readonly reader: Reader
  readonly pull: Pull.Pull<ReadonlyArray<Uint8Array>, HttpClientError>
  readonly idleTimeout: number
  readonly url: string
  readonly clock: Clock.Clock
  /** Since when we wait for a record; `undefined` while the caller is busy with what came. */
  waitingSince: number | undefined
  expired: boolean
}

/** Reads until there is a part, or the end. How it ended is in the reader. */
export const fill = (reading: Reading): Effect.Effect<void> => {
  const { reader, clock } = reading
  const once: Effect.Effect<void> = Effect.suspend(() => {
    if (reader.parts.length > 0 || reader.ended) {
      return Effect.void
    }
    reading.waitingSince ??= clock.currentTimeMillisUnsafe()
    return Effect.matchCauseEffect(reading.pull, {
      onSuccess: (chunks) => {
        const before = reader.records
        for (const chunk of chunks) {
          reader.push(chunk)
        }
        // Bytes alone are no sign of life: a proxy can send blank lines for ever.
        if (reader.records > before) {
          reading.waitingSince = undefined
        }
        return once
      },
      onFailure: (cause) => {
        if (Cause.hasInterruptsOnly(cause)) {
          return Effect.failCause(cause as Cause.Cause<never>) // interrupts only
        }
        if (reading.expired) {
          reader.failure = OllamaError.make(
            new OllamaError.Timeout({
              url: reading.url,
              phase: "idle",
              millis: reading.idleTimeout,
              ...reader.partial()
            })
          )
          return Effect.void
        }
        const broken = OllamaHttp.broken(cause)
        if (broken === undefined) {
          reader.end()
        } else {
          reader.interrupted(broken)
        }
        return Effect.void
      }
    })
  })
  return once
}

/**
 * Aborts the request when the server falls silent. A race against a timer for each piece would triple the cost of a
 * token; this is one timer for a call.
 */
export const watch = (reading: Reading, requestScope: Scope.Closeable): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (true) {
      const since = reading.waitingSince
      const left =
        since === undefined
          ? reading.idleTimeout
          : since + reading.idleTimeout - reading.clock.currentTimeMillisUnsafe()
      if (left <= 0) {
        reading.expired = true
        return yield* Scope.close(requestScope, Exit.void)
      }
      yield* Effect.sleep(left)
    }
  })

// The end of the body follows the last record at once; having read it, the connection can serve the next call.
const drainTimeout = Duration.millis(100)

export const drain = (pull: Reading["pull"]): Effect.Effect<void> =>
  pull.pipe(Effect.forever, Effect.timeoutOption(drainTimeout), Effect.ignoreCause)
