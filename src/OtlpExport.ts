/**
 * Spans to a collector, in batches, without harm to the program.
 *
 * The stock exporter sends all batches of a burst at once and drops what exceeds thirty, never tries again, and says
 * nothing about what was lost. So the batch processor hands its batches to a queue here, which takes turns, tries again,
 * never fails, and counts.
 *
 * @since 0.1.0
 */
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Result from "effect/Result"
import type { Endpoint } from "./Endpoint.ts"
import type { Batch } from "./EnvironmentVariables.ts"
import * as OtlpClient from "./OtlpClient.ts"
import type { OtlpSettings } from "./OtlpSettings.ts"

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

// Reasons that are told apart; a collector that says something else each time must not fill the screen.
const maximumReasons = 5

// The longest that a timer of Node can run.
const maximumTimerMillis = 2 ** 31 - 1

/**
 * Makes the processor. `warn` gets a line at the end for each reason for which spans were lost. The failure says which
 * setting is wrong and quotes nothing of it.
 */
export const make = (options: {
  readonly endpoint: Endpoint
  readonly settings: OtlpSettings
  readonly batch: Batch
  readonly warn: (line: string) => void
}): Result.Result<SpanProcessor, string> =>
  Result.map(OtlpClient.make(options.endpoint, options.settings), (client) => {
    // Two variables say how long an export may take. The shorter one holds.
    const limit = Math.min(options.settings.timeoutMillis, options.batch.exportTimeoutMillis)
    return processor(client, limit, options.batch, options.warn)
  })

const processor = (
  client: OtlpClient.OtlpClient,
  limitMillis: number,
  batch: Batch,
  warn: (line: string) => void
): SpanProcessor => {
  const waiting: Array<{ readonly spans: Array<ReadableSpan>; readonly done: () => void }> = []
  const underWay = new Set<Delivery>()
  const lost = new Map<string, number>()
  let ended = 0
  let counted = 0
  let endsSince: number | undefined
  // Called when nothing is under way any more.
  let idle = (): void => {}

  const count = (spans: number, rejected: number, reason: string): void => {
    counted += spans
    if (rejected > 0) {
      const key = lost.has(reason) || lost.size < maximumReasons ? reason : "for other reasons"
      lost.set(key, (lost.get(key) ?? 0) + rejected)
    }
  }

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
          count(batch.spans.length, rejected, reason)
          batch.done()
          next()
        }
      )
      underWay.add(delivery)
      delivery.start()
    }
    if (underWay.size === 0) {
      idle()
    }
  }

  const giveUp = (): void => {
    const reason = client.silence(endMillis)
    for (const { done, spans } of waiting.splice(0)) {
      count(spans.length, spans.length, reason)
      done()
    }
    for (const delivery of Array.from(underWay)) {
      delivery.giveUp(reason)
    }
  }

  const batches = new BatchSpanProcessor(
    {
      export: (spans, result) => {
        waiting.push({ spans, done: () => result({ code: 0 }) })
        next()
      },
      // The batch processor waits for the batches that it sends at its end, not for those that were under way before;
      // `giveUp` ends the wait.
      shutdown: () =>
        new Promise<void>((resolve) => {
          idle = resolve
          if (underWay.size === 0) {
            resolve()
          }
        })
    },
    // The limit is kept here, where the reason is known.
    { ...batch, exportTimeoutMillis: maximumTimerMillis }
  )

  return {
    onStart: (span, context) => batches.onStart(span, context),
    onEnd: (span) => {
      ended += span.spanContext().traceFlags & 1
      batches.onEnd(span)
    },
    forceFlush: () => batches.forceFlush().catch(() => {}),
    shutdown: () => {
      if (endsSince !== undefined) {
        return Promise.resolve()
      }
      endsSince = performance.now()
      for (const delivery of underWay) {
        delivery.hurry()
      }
      const timer = setTimeout(giveUp, endMillis)
      return batches
        .shutdown()
        .catch(() => {})
        .then(() => {
          clearTimeout(timer)
          count(0, ended - counted, "they came faster than they could be sent")
          client.close(lost.size > 0)
          for (const [reason, spans] of lost) {
            warn(`${spans} ${spans === 1 ? "span" : "spans"} not exported: ${reason}`)
          }
        })
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
      const pause = pauseMillis(failures, endsSince() !== undefined)
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
