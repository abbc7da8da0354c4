/**
 * Reading an answer that has begun: pulls bytes, watches the time limits, reads to the end.
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
import * as OllamaTransport from "./OllamaTransport.ts"
import type { Reader } from "./OllamaStream.ts"

/** An answer that has begun. */
export interface Reading {
  readonly reader: Reader
  readonly pull: Pull.Pull<ReadonlyArray<Uint8Array>, HttpClientError>
  /** In milliseconds. */
  readonly idleTimeout: number
  /** When the call must be over, by `nowMillis`, and how many milliseconds it had. */
  readonly total: { readonly deadline: number; readonly millis: number } | undefined
  readonly url: string
  readonly clock: Clock.Clock
  /** Since when we wait for a record, by `nowMillis`; `undefined` while we do not ask for one. */
  waitingSince: number | undefined
  /** Since when something of the answer waits for the caller; `undefined` while nothing does. */
  unreadSince: number | undefined
  /** The limit that was exceeded. */
  expired: "server" | "caller" | "total" | undefined
  /** Wakes whoever reads and does not wait for the server. */
  onExpired: (() => void) | undefined
  /** When the last record was read. */
  endedAt: bigint | undefined
}

/** Milliseconds of the clock that nobody sets: limits do not break where the time of day is put right. */
export const nowMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** Reads until there is a part, or the end. How it ended is in the reader. */
export const fill = (reading: Reading): Effect.Effect<void> => read(reading, ({ parts }) => parts.length > 0)

/** Reads until there is a record, which may say nothing yet, or the end. */
export const begin = (reading: Reading): Effect.Effect<void> => read(reading, ({ records }) => records > 0)

const read = (reading: Reading, isEnough: (reader: Reader) => boolean): Effect.Effect<void> => {
  const { reader, clock } = reading
  const once: Effect.Effect<void> = Effect.suspend(() => {
    if (isEnough(reader) || reader.ended) {
      return Effect.void
    }
    reading.waitingSince ??= nowMillis(clock)
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
        if (reader.completion !== undefined) {
          reading.endedAt = clock.currentTimeNanosUnsafe()
        }
        return once
      },
      onFailure: (cause) => {
        if (Cause.hasInterruptsOnly(cause)) {
          return Effect.failCause(cause as Cause.Cause<never>) // interrupts only
        }
        if (reading.expired !== undefined) {
          reader.failure = OllamaError.make(expiry(reading, reading.expired))
          return Effect.void
        }
        const broken = OllamaTransport.broken(cause)
        if (broken === undefined) {
          reader.end()
          reading.endedAt = clock.currentTimeNanosUnsafe()
        } else {
          reader.interrupted(broken)
        }
        return Effect.void
      }
    })
  })
  return once
}

const expiry = (reading: Reading, expired: "server" | "caller" | "total"): OllamaError.Timeout =>
  new OllamaError.Timeout({
    url: reading.url,
    phase: expired === "total" ? "total" : "idle",
    millis: expired === "total" ? (reading.total?.millis ?? 0) : reading.idleTimeout,
    unread: expired === "caller" ? true : undefined,
    ...reading.reader.partial()
  })

/**
 * Aborts the request when the server falls silent, the caller leaves the answer unread, or the call takes too long in
 * all. A race against a timer for each piece would triple the cost of a token; this is one timer for a call.
 */
export const watch = (reading: Reading, requestScope: Scope.Closeable): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { clock, idleTimeout, total } = reading
    while (true) {
      const now = nowMillis(clock)
      const silent = (reading.waitingSince ?? now) + idleTimeout - now
      const unread = (reading.unreadSince ?? now) + idleTimeout - now
      const over = (total?.deadline ?? Infinity) - now
      const left = Math.min(silent, unread, over)
      if (left <= 0) {
        reading.expired = over <= 0 ? "total" : silent <= 0 ? "server" : "caller"
        reading.onExpired?.()
        return yield* Scope.close(requestScope, Exit.void)
      }
      yield* Effect.sleep(left)
    }
  })

// The end of the body follows the last record at once; having read it, the connection can serve the next call.
const drainTimeout = Duration.millis(100)

export const drain = (pull: Reading["pull"]): Effect.Effect<void> =>
  pull.pipe(Effect.forever, Effect.timeoutOption(drainTimeout), Effect.ignoreCause)
