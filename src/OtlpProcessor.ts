/**
 * The SDK's batch processor in front of the exporter to a collector.
 *
 * @since 0.1.0
 */
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import type { SpanProcessor } from "@opentelemetry/sdk-trace-base"
import type { Batch } from "./EnvironmentVariables.ts"
import type { OtlpExporter } from "./OtlpExport.ts"
import * as Report from "./Report.ts"

// The longest that a timer of Node can run.
const maximumTimerMillis = 2 ** 31 - 1

/** Makes the processor, which counts what ends and what it had no room for. `ended` is called when all is counted. */
export const make = (options: {
  readonly exporter: OtlpExporter
  readonly batch: Batch
  readonly counter: Report.Counter
  readonly ended: () => void
}): SpanProcessor => {
  const { batch, counter, ended, exporter } = options
  // How long an export may take is kept by the exporter, which knows the reason.
  const batches = new BatchSpanProcessor(exporter, { ...batch, exportTimeoutMillis: maximumTimerMillis })
  let end: Promise<void> | undefined
  return {
    onStart: (span, context) => batches.onStart(span, context),
    onEnd: (span) => {
      counter.ended(span.spanContext().traceFlags & 1)
      batches.onEnd(span)
    },
    forceFlush: () => batches.forceFlush().catch(() => {}),
    shutdown: () => {
      exporter.hurry()
      end ??= batches
        .shutdown()
        .catch(() => {})
        .then(() => {
          const { exported, kept, lost, recorded } = counter.snapshot()
          counter.lost(recorded - exported - kept - lost, Report.tooFast)
          ended()
        })
      return end
    }
  }
}
