// An exporter that keeps the spans it gets.
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"

/** Makes one. */
export const make = () => {
  const batches: Array<ReadonlyArray<ReadableSpan>> = []
  let shutdowns = 0
  return {
    batches,
    spans: (): ReadonlyArray<ReadableSpan> => batches.flat(),
    shutdowns: () => shutdowns,
    exporter: {
      export: (batch, done) => {
        batches.push(batch)
        done({ code: 0 })
      },
      shutdown: () => {
        shutdowns++
        return Promise.resolve()
      }
    } satisfies SpanExporter
  }
}
