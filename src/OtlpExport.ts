/**
 * Spans to a collector, in batches, without harm to the program.
 *
 * The stock exporter sends all batches of a burst at once and drops what exceeds thirty, never tries again, and says
 * nothing about what was lost. So batches come to a queue here, which takes turns, tries again, never fails, and counts.
 *
 * @since 0.1.0
 */
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"
import * as Result from "effect/Result"
import type * as OtlpClient from "./OtlpClient.ts"
import type { Counter } from "./Report.ts"

const concurrentExports = 4

// A collector that accepts and never answers would hold the process for as long as one export may take.
const endMillis = 3000

// Where nobody is there, waiting is in vain more often than not: a collector that is just starting gets a moment.
const unreachableMillis = 600

// Pauses between attempts: the first one, while the program runs and at its end, and the longest.
const firstPauseMillis = 1000
const firstPauseAtEndMillis = 200
const longestPauseMillis = 5000
const pauseFactor = 1.5
const jitter = 0.2

/** An exporter that can be told of the end before the last spans are handed over. */
export interface OtlpExporter extends SpanExporter {
  /**
   * The program ends: from now on there are three seconds for what is under way and for all that is still handed over.
   * `shutdown` begins with it, for who hands over everything before that.
   */
  readonly hurry: () => void
}

/**
 * Makes the exporter. Whatever happens to spans, `export` reports success, so that nobody above complains or tries
 * again: what became of them is in the counter, which counts all but those that ended.
 */
export const make = (options: {
  /** It is closed with the exporter. */
  readonly client: OtlpClient.OtlpClient
  /** How long one export may take, with all its attempts, in milliseconds; `Infinity` for no limit. */
  readonly timeoutMillis: number
  readonly counter: Counter
}): OtlpExporter => exporter(options.client, options.timeoutMillis, options.counter)

const exporter = (client: OtlpClient.OtlpClient, limitMillis: number, counter: Counter): OtlpExporter => {
  const waiting: Array<{ readonly spans: Array<ReadableSpan>; readonly done: () => void }> = []
  const underWay = new Set<Delivery>()
  let endsSince: number | undefined
  let abandoned = false
  let timer: NodeJS.Timeout | undefined
  let end: Promise<void> | undefined
  // Called when nothing is under way any more.
  let idle = new Set<() => void>()

  const next = (): void => {
    while (underWay.size < concurrentExports) {
      const batch = waiting.shift()
      if (batch === undefined) {
        break
      }
      const delivery = deliver(
        client,
        batch.spans,
        limitMillis,
        () => endsSince,
        (rejected, reason) => {
          underWay.delete(delivery)
          counter.exported(batch.spans.length - rejected, client.address)
          counter.lost(rejected, reason)
          abandoned ||= rejected > 0
          batch.done()
          next()
        }
      )
      underWay.add(delivery)
      delivery.start()
    }
    if (underWay.size === 0) {
      const resolved = idle
      idle = new Set()
      for (const resolve of resolved) {
        resolve()
      }
    }
  }

  const giveUp = (): void => {
    abandoned = true
    const reason = client.silence(endMillis)
    for (const { done, spans } of waiting.splice(0)) {
      counter.lost(spans.length, reason)
      done()
    }
    for (const delivery of Array.from(underWay)) {
      delivery.giveUp(reason)
    }
  }

  const hurry = (): void => {
    if (endsSince === undefined) {
      endsSince = performance.now()
      timer = setTimeout(giveUp, endMillis)
      for (const delivery of underWay) {
        delivery.hurry()
      }
    }
  }

  const whenIdle = (): Promise<void> =>
    underWay.size === 0 ? Promise.resolve() : new Promise((resolve) => void idle.add(resolve))

  return {
    export: (spans, result) => {
      waiting.push({ spans, done: () => result({ code: 0 }) })
      next()
    },
    forceFlush: whenIdle,
    hurry,
    // Who hands batches over does not wait for all of them: some were under way before the end. `giveUp` ends the wait.
    shutdown: () => {
      hurry()
      end ??= whenIdle().then(() => {
        clearTimeout(timer)
        client.close(abandoned)
      })
      return end
    }
  }
}

/** A batch on its way. */
interface Delivery {
  readonly start: () => void
  /** The program ends: pauses are short from now on. */
  readonly hurry: () => void
  /** Ends it. The last failure says why, if there was one, or else the given reason. */
  readonly giveUp: (reason: string) => void
}

// The same spans are sent again, so they keep their ids, until they are accepted, refused for good, or late.
// `done` is called once.
const deliver = (
  client: OtlpClient.OtlpClient,
  spans: Array<ReadableSpan>,
  limitMillis: number,
  endsSince: () => number | undefined,
  done: (rejected: number, reason: string) => void
): Delivery => {
  const until = performance.now() + limitMillis
  let failures = 0
  let lastReason: string | undefined
  let settled = false
  let cancel = (): void => {}
  let pausing = false

  const settle = (rejected: number, reason: string): void => {
    if (!settled) {
      settled = true
      done(rejected, reason)
    }
  }

  const attempt = (): void => {
    pausing = false
    cancel = () => {}
    // What the end of the program does not wait for must not hold it either.
    const atEnd = (endsSince() ?? Number.POSITIVE_INFINITY) + endMillis
    const sent = Result.try(() => client.send(spans, Math.min(until, atEnd) - performance.now(), ended))
    if (Result.isFailure(sent)) {
      settle(spans.length, "they cannot be written as OTLP")
    }
  }

  const ended = (outcome: OtlpClient.Outcome): void => {
    if (outcome._tag === "Accepted") {
      settle(Math.min(Math.max(outcome.rejected, 0), spans.length), outcome.reason)
    } else if (performance.now() >= until - 5) {
      // What happened before the time was up says more than that it is.
      settle(spans.length, lastReason ?? client.silence(limitMillis))
    } else {
      failures += 1
      lastReason = outcome.reason
      const pause = outcome.retryAfterMillis ?? pauseMillis(failures, endsSince() !== undefined)
      const resumed = performance.now() + pause
      const inVain = outcome.unreachable && resumed > (endsSince() ?? Number.POSITIVE_INFINITY) + unreachableMillis
      if (!outcome.retryable || inVain || resumed >= until) {
        settle(spans.length, outcome.reason)
      } else if (!settled) {
        again(pause)
      }
    }
  }

  const again = (pause: number): void => {
    pausing = true
    const timer = setTimeout(attempt, pause)
    cancel = () => clearTimeout(timer)
  }

  return {
    start: attempt,
    hurry: () => {
      if (pausing) {
        cancel()
        again(pauseMillis(1, true))
      }
    },
    giveUp: (reason) => {
      cancel()
      settle(spans.length, lastReason ?? reason)
    }
  }
}

// https://opentelemetry.io/docs/specs/otlp/#failures
const pauseMillis = (failures: number, atEnd: boolean): number =>
  Math.min((atEnd ? firstPauseAtEndMillis : firstPauseMillis) * pauseFactor ** (failures - 1), longestPauseMillis) *
  (1 + jitter * (2 * Math.random() - 1))
