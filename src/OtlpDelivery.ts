/**
 * One request on its way to a collector: sent, and sent again, until it is accepted, refused for good, or late.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { Accepted, Failed, Outcome, Reason } from "./OtlpAnswers.ts"
import type { Call, OtlpClient } from "./OtlpClient.ts"

/**
 * How long the end of a program may take, in milliseconds. A collector that accepts and never answers would hold the
 * process for as long as one export may take.
 */
export const defaultEndMillis = 3000

// Where nobody is there, waiting is in vain more often than not: a collector that is just starting gets a moment.
const unreachableMillis = 600
const unreachableAttempts = 3

// Pauses between attempts: the first one, while the program runs and at its end, and the longest.
const firstPauseMillis = 1000
const firstPauseAtEndMillis = 200
const longestPauseMillis = 5000
const pauseFactor = 1.5
const jitter = 0.2

// What ends this shortly before the time is up has ended because of it.
const timerMillis = 20

/** How it ended. */
export type End =
  | Accepted
  /** `unwanted` says that it is the spans that the collector does not want, `tooLarge` that they are too many at once. */
  | { readonly _tag: "Failed"; readonly reason: Reason; readonly unwanted: boolean; readonly tooLarge: boolean }

/** A request on its way. */
export interface Delivery {
  readonly start: () => void
  /** The program ends: pauses are short from now on. */
  readonly hurry: () => void
  /** Ends it. The last failure says why, if there was one, or else the given reason. */
  readonly giveUp: (reason: Reason) => void
}

/** Makes a delivery, which begins with its `start`. */
export const make = (options: {
  readonly client: OtlpClient
  readonly request: Uint8Array
  /** What it may take, with all its attempts; `Infinity` for no limit. */
  readonly limitMillis: number
  /** Since when the program ends, if it does, by `performance.now`. */
  readonly endsSince: () => number | undefined
  /** How long the end may take, three seconds by default. */
  readonly endMillis?: number
  /** Called before each pause: it was sent so many times, in vain. */
  readonly again?: (failures: number, reason: Reason) => void
  /** Called once. */
  readonly done: (end: End) => void
}): Delivery => {
  const { again, client, done, endMillis = defaultEndMillis, endsSince, limitMillis, request } = options
  const until = performance.now() + limitMillis
  let failures = 0
  let last: Reason | undefined
  let settled = false
  let call: Call | undefined
  let pause: NodeJS.Timeout | undefined
  // When the collector wants the next attempt, if it says so, and what it said.
  let wanted: { readonly at: number; readonly outcome: Failed } | undefined

  const settle = (end: End): void => {
    if (!settled) {
      settled = true
      done(end)
    }
  }
  const fail = (reason: Reason, { tooLarge = false, unwanted = false }: Partial<Failed> = {}): void =>
    settle({ _tag: "Failed", reason, unwanted, tooLarge })

  // When the end of the program will be over.
  const endOf = (): number => (endsSince() ?? Number.POSITIVE_INFINITY) + endMillis

  const attempt = (): void => {
    pause = undefined
    // What the end of the program does not wait for must not hold it either.
    const millis = Math.min(until, endOf()) - performance.now()
    const sent = Result.try(() => client.send(request, millis, ended))
    if (Result.isSuccess(sent)) {
      call = sent.success
    } else {
      fail({ reason: `it cannot be sent to ${client.address}` })
    }
  }

  const ended = (outcome: Outcome): void => {
    call = undefined
    if (outcome._tag === "Accepted") {
      settle(outcome)
      return
    }
    const atEnd = endOf()
    if (outcome.retryable && performance.now() >= Math.min(until, atEnd) - timerMillis) {
      // What happened before the time was up says more than that it is.
      fail(last ?? client.silence(atEnd < until ? endMillis : limitMillis))
    } else {
      failures += 1
      last = outcome
      const millis = outcome.retryAfterMillis ?? pauseMillis(failures, endsSince() !== undefined)
      const resumed = performance.now() + millis
      const patience = (endsSince() ?? Number.POSITIVE_INFINITY) + unreachableMillis
      const nobody = outcome.unreachable && (failures >= unreachableAttempts || performance.now() > patience)
      const inVain = resumed > (nobody ? patience : atEnd)
      if (!outcome.retryable || inVain || resumed >= until) {
        fail(outcome, outcome)
      } else if (!settled) {
        again?.(failures, outcome)
        wanted = outcome.retryAfterMillis === undefined ? undefined : { at: resumed, outcome }
        pause = setTimeout(attempt, millis)
      }
    }
  }

  return {
    start: attempt,
    hurry: () => {
      if (pause !== undefined && wanted === undefined) {
        clearTimeout(pause)
        pause = setTimeout(attempt, pauseMillis(1, true))
      } else if (pause !== undefined && wanted !== undefined && wanted.at > endOf()) {
        clearTimeout(pause)
        fail(wanted.outcome)
      }
    },
    giveUp: (reason) => {
      clearTimeout(pause)
      call?.cancel()
      fail(last ?? reason)
    }
  }
}

// https://opentelemetry.io/docs/specs/otlp/#failures
const pauseMillis = (failures: number, atEnd: boolean): number =>
  Math.min((atEnd ? firstPauseAtEndMillis : firstPauseMillis) * pauseFactor ** (failures - 1), longestPauseMillis) *
  (1 + jitter * (2 * Math.random() - 1))
