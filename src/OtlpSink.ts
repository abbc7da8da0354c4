/**
 * The way of ended spans to an exporter: the buffer, the counts, and what is said at the end.
 *
 * @since 0.1.0
 */
import type { SpanExporter } from "@opentelemetry/sdk-trace-base"
import { quote } from "./OtlpAnswers.ts"
import type { OtlpClient } from "./OtlpClient.ts"
import * as OtlpExport from "./OtlpExport.ts"
import * as OtlpResource from "./OtlpResource.ts"
import * as OtlpSpans from "./OtlpSpans.ts"
import type * as Report from "./Report.ts"
import * as SpanBuffer from "./SpanBuffer.ts"
import type { Spool } from "./Spool.ts"
import type { Resolved } from "./TelemetryConfig.ts"
import type { Sink } from "./Sink.ts"

/** Makes spans readable for exporters, as those of the configured service. */
export const readable = ({ resourceAttributes, serviceName }: Resolved) =>
  OtlpSpans.readable(OtlpResource.make(serviceName.value, resourceAttributes))

/** Spans to the collector of the configuration, by way of a spool where it names one. */
export const exporter = (
  options: Options & { readonly client: OtlpClient; readonly spool: Spool | undefined }
): Sink => {
  const { client, config, counter, spool } = options
  // Two variables say how long an export may take. The shorter one holds.
  const timeoutMillis = Math.min(config.timeoutMillis, config.batch.exportTimeoutMillis)
  return buffered(OtlpExport.make({ client, timeoutMillis, counter, spool }), options, timeoutMillis, ownEndMillis)
}

/** Spans to an exporter of the program's. */
export const foreign = (options: Options & { readonly exporter: SpanExporter }): Sink => {
  const { config, counter, exporter } = options
  const timeoutMillis = config.batch.exportTimeoutMillis
  const why = ({ message }: { readonly message?: unknown }): string =>
    typeof message === "string" && message !== "" ? quote(message, config.otlp) : "the exporter failed"
  return buffered(counting(exporter, counter, timeoutMillis, why), options, timeoutMillis, foreignEndMillis)
}

interface Options {
  readonly config: Resolved
  readonly counter: Report.Counter
  /** Gets what became of the spans, when all has been done for them that can be done. */
  readonly ended: (report: Report.Report) => void
}

const buffered = (
  exporter: SpanExporter,
  { config, counter, ended }: Options,
  timeoutMillis: number,
  endMillis: number
): Sink => {
  const buffer = SpanBuffer.make({ exporter, toReadable: readable(config), batch: config.batch, counter })
  return {
    onEnd: buffer.onEnd,
    onLost: (spans, reason) => {
      counter.ended(spans)
      counter.lost(spans, reason)
    },
    // Where a collector hangs, the batches behind the first ones would wait for as long as those, one after the other.
    flush: () => SpanBuffer.within(buffer.flush(), timeoutMillis),
    shutdown: () =>
      SpanBuffer.within(buffer.shutdown(), endMillis).then(() => {
        const { exported, kept, lost, recorded } = counter.snapshot()
        counter.lost(recorded - exported - kept - lost, "the exporter did not end")
        ended(counter.snapshot())
      })
  }
}

// The exporter to a collector keeps within three seconds by itself, gives up on a disk that hangs shortly after, and says
// more about either. A disk that is slow, but writes, may go on for longer: what it writes is not lost.
const foreignEndMillis = 3100
const ownEndMillis = 10_000

// An exporter of others says whether it succeeded; it may also throw, or never say anything.
const counting = (
  exporter: SpanExporter,
  counter: Report.Counter,
  timeoutMillis: number,
  why: (error: { readonly message?: unknown }) => string
): SpanExporter => ({
  export: (spans, done) => {
    let over = false
    const ended = (failure: string | undefined): void => {
      if (over) {
        return
      }
      over = true
      clearTimeout(timer)
      if (failure === undefined) {
        counter.exported(spans.length, "the exporter")
      } else {
        counter.lost(spans.length, failure)
      }
      done({ code: failure === undefined ? 0 : 1 })
    }
    const timer = setTimeout(
      () => ended(`the exporter did not end within ${timeoutMillis / 1000} s`),
      Math.min(timeoutMillis, SpanBuffer.maximumTimerMillis)
    )
    // Nobody runs on for its sake.
    timer.unref()
    // Promised nothing, but it may be an asynchronous function.
    void called(() =>
      exporter.export(spans, ({ code, error }) => ended(code === 0 ? undefined : why(error ?? {})))
    ).catch(() => ended("the exporter threw an error"))
  },
  forceFlush: () =>
    SpanBuffer.within(
      called(() => exporter.forceFlush?.()),
      timeoutMillis
    ),
  shutdown: () => called(() => exporter.shutdown()).catch(() => {})
})

// Now, with whatever it throws in the promise.
const called = async (call: () => unknown): Promise<void> => void (await call())
