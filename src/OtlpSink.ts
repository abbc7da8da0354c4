/**
 * The way of ended spans to an exporter: the buffer, the counts, and what is said at the end.
 *
 * @since 0.1.0
 */
import type { SpanExporter } from "@opentelemetry/sdk-trace-base"
import * as Result from "effect/Result"
import type { OtlpClient } from "./OtlpClient.ts"
import * as OtlpExport from "./OtlpExport.ts"
import * as OtlpResource from "./OtlpResource.ts"
import * as OtlpSpans from "./OtlpSpans.ts"
import { redact } from "./Redaction.ts"
import * as Report from "./Report.ts"
import * as SpanBuffer from "./SpanBuffer.ts"
import type { Resolved } from "./TelemetryConfig.ts"
import type { Sink } from "./Tracer.ts"

/** Makes spans readable for exporters, as those of the configured service. */
export const readable = ({ resourceAttributes, serviceName }: Resolved) =>
  OtlpSpans.readable(OtlpResource.make(serviceName.value, resourceAttributes))

/** Spans to the collector of the configuration. `warn` gets a line at the end for each reason for which some were lost. */
export const exporter = (options: {
  readonly client: OtlpClient
  readonly config: Resolved
  readonly warn: (line: string) => void
}): Sink => {
  const { batch, timeoutMillis } = options.config
  const counter = Report.make()
  const exporter = OtlpExport.make({
    client: options.client,
    // Two variables say how long an export may take. The shorter one holds.
    timeoutMillis: Math.min(timeoutMillis, batch.exportTimeoutMillis),
    counter
  })
  return buffered(exporter, counter, options)
}

/** Spans to an exporter of the program's. */
export const foreign = (options: {
  readonly config: Resolved
  readonly exporter: SpanExporter
  readonly warn: (line: string) => void
}): Sink => {
  const counter = Report.make()
  return buffered(counting(options.exporter, counter), counter, options)
}

const buffered = (
  exporter: SpanExporter,
  counter: Report.Counter,
  options: { readonly config: Resolved; readonly warn: (line: string) => void }
): Sink => {
  const buffer = SpanBuffer.make({
    exporter,
    toReadable: readable(options.config),
    batch: options.config.batch,
    counter
  })
  return {
    onEnd: buffer.onEnd,
    flush: buffer.flush,
    shutdown: () =>
      within(buffer.shutdown()).then(() => {
        const { exported, kept, lost, recorded } = counter.snapshot()
        counter.lost(recorded - exported - kept - lost, "the exporter did not end")
        for (const { hint, reason, spans } of counter.snapshot().reasons) {
          const why = hint === undefined ? reason : `${reason}. ${hint}`
          options.warn(`${spans} ${spans === 1 ? "span" : "spans"} not exported: ${why}`)
        }
      })
  }
}

// The exporter to a collector keeps within three seconds by itself, and says more about it.
const endMillis = 3100

const within = (end: Promise<void>): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, endMillis)
    void end
      .catch(() => {})
      .then(() => {
        clearTimeout(timer)
        resolve()
      })
  })

// An exporter of others says whether it succeeded; it may also throw, or never say anything.
const counting = (exporter: SpanExporter, counter: Report.Counter): SpanExporter => ({
  export: (spans, done) => {
    const ended = (failure: string | undefined): void => {
      if (failure === undefined) {
        counter.exported(spans.length, "the exporter")
      } else {
        counter.lost(spans.length, failure)
      }
      done({ code: failure === undefined ? 0 : 1 })
    }
    const called = Result.try(() =>
      exporter.export(spans, ({ code, error }) =>
        ended(code === 0 ? undefined : redact(error?.message ?? "the exporter failed"))
      )
    )
    if (Result.isFailure(called)) {
      ended("the exporter threw an error")
    }
  },
  shutdown: () => exporter.shutdown().catch(() => {})
})
