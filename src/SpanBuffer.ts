/**
 * Ended spans on their way to an exporter: collected in batches, as many in memory as are allowed, and counted.
 *
 * Batches go out when one is full, or some time after its first span. A span that ends never waits for an export, nor
 * does the effect that it belongs to: batches are handed over in a turn of their own.
 * https://opentelemetry.io/docs/specs/otel/trace/sdk/#batching-processor
 *
 * @since 0.1.0
 */
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"
import type { Batch } from "./EnvironmentVariables.ts"
import type { RecordedSpan } from "./RecordedSpan.ts"
import * as Report from "./Report.ts"
import type { Sink } from "./Sink.ts"

// Batches that an exporter has at a time. More would not be faster, and what waits here costs less than what waits there.
const concurrentBatches = 4

/** A place for ended spans of one kind. */
export type Buffer<A> = Omit<Sink, "onEnd" | "onLost"> & { readonly onEnd: (span: A) => void }

/** Makes the buffer of an exporter. Its `hurry` is called at the end, before the last spans are handed over. */
export const make = <A = RecordedSpan>(options: {
  readonly exporter: SpanExporter & { readonly hurry?: () => void }
  readonly toReadable: (span: A) => ReadableSpan
  readonly batch: Pick<Batch, "maxQueueSize" | "maxExportBatchSize" | "scheduledDelayMillis">
  readonly counter: Report.Counter
}): Buffer<A> => {
  const { counter, exporter, toReadable } = options
  const { maxExportBatchSize, maxQueueSize, scheduledDelayMillis } = options.batch
  let filling: Array<A> = []
  let full: Array<ReadonlyArray<A>> = []
  const underWay = new Set<ReadonlyArray<A>>()
  const waiters = new Set<{ readonly batches: Set<ReadonlyArray<A>>; readonly done: () => void }>()
  // Spans in memory, those under way included.
  let held = 0
  let scheduled = false
  let timer: NodeJS.Timeout | undefined
  let end: Promise<void> | undefined

  const send = (batch: ReadonlyArray<A>): void => {
    underWay.add(batch)
    const done = (): void => {
      if (underWay.delete(batch)) {
        held -= batch.length
        for (const waiter of waiters) {
          if (waiter.batches.delete(batch) && waiter.batches.size === 0) {
            waiters.delete(waiter)
            waiter.done()
          }
        }
        handOver()
      }
    }
    exporter.export(Array.from(batch, toReadable), done)
  }

  const handOver = (): void => {
    // An exporter that can be told of the end takes turns by itself, and says what became of all that it was given.
    const limit = end !== undefined && exporter.hurry !== undefined ? Number.POSITIVE_INFINITY : concurrentBatches
    while (underWay.size < limit) {
      const batch = full.shift()
      if (batch === undefined) {
        break
      }
      send(batch)
    }
  }

  const schedule = (): void => {
    if (!scheduled) {
      scheduled = true
      setImmediate(() => {
        scheduled = false
        handOver()
      })
    }
  }

  const close = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (filling.length > 0) {
      full.push(filling)
      filling = []
    }
  }

  const flush = (): Promise<void> => {
    close()
    const batches = new Set([...full, ...underWay])
    if (batches.size === 0) {
      return Promise.resolve()
    }
    return new Promise((done) => {
      waiters.add({ batches, done })
      handOver()
    })
  }

  return {
    onEnd: (span) => {
      counter.ended(1)
      if (end !== undefined || held >= maxQueueSize) {
        counter.lost(1, end === undefined ? Report.tooFast : Report.tooLate)
        return
      }
      held++
      if (filling.push(span) >= maxExportBatchSize) {
        close()
        schedule()
      } else if (timer === undefined) {
        timer = setTimeout(() => {
          close()
          handOver()
        }, scheduledDelayMillis)
        // A program does not run on for the sake of its spans: its end hands them over.
        timer.unref()
      }
    },
    // An exporter may hold back what it was given.
    flush: () => flush().then(() => exporter.forceFlush?.()),
    shutdown: () => {
      end ??= Promise.resolve()
        .then(() => {
          exporter.hurry?.()
          return flush()
        })
        .then(() => exporter.shutdown())
      return end
    }
  }
}

/** Waits for the end of something, successful or not, and no longer than so many milliseconds. */
export const within = (end: Promise<void>, endMillis: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.min(endMillis, maximumTimerMillis))
    void end
      .catch(() => {})
      .then(() => {
        clearTimeout(timer)
        resolve()
      })
  })

/** The longest that a timer of Node can run. */
export const maximumTimerMillis = 2 ** 31 - 1
