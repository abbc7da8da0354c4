/**
 * The way of ended spans to the local store.
 *
 * They are written in small batches, in turns of their own, soon after they ended, so that a trace can be watched while
 * it grows. What cannot be written is counted and told in one line at the end, and changes nothing else.
 *
 * @since 0.1.0
 */
import type { Resource } from "@opentelemetry/resources"
import type { ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as OtlpEncode from "./OtlpEncode.ts"
import * as OtlpSpans from "./OtlpSpans.ts"
import type { RecordedSpan } from "./RecordedSpan.ts"
import * as Report from "./Report.ts"
import type { Sink } from "./Sink.ts"
import * as SpanBuffer from "./SpanBuffer.ts"
import type * as StoreConfig from "./StoreConfig.ts"
import type { Resolved } from "./TelemetryConfig.ts"
import * as TelemetryResource from "./TelemetryResource.ts"
import * as TraceStore from "./TraceStore.ts"

export interface Options {
  readonly config: Resolved
  readonly settings: StoreConfig.Settings
  readonly counter: Report.Counter
  /** Hears at the end what became of the spans, and which traces they are of. */
  readonly ended: (report: Report.Report, traceIds: ReadonlySet<string>) => void
}

/** Spans of our own tracer to the store. */
export const make = (options: Options): Effect.Effect<Sink, never, Scope.Scope> => {
  const { resourceAttributes, serviceName } = options.config
  // All of a resource that is written.
  const resource = { attributes: TelemetryResource.attributes(serviceName.value, resourceAttributes) } as Resource
  return Effect.map(buffered(options, OtlpSpans.readable(resource)), (buffer) => ({
    ...buffer,
    onLost: (spans, reason) => {
      options.counter.ended(spans)
      options.counter.lost(spans, reason)
    }
  }))
}

/** Spans of the SDK to the store. */
export const processor = (options: Options): Effect.Effect<SpanProcessor, never, Scope.Scope> =>
  Effect.map(
    buffered<ReadableSpan>(options, (span) => span),
    (buffer) => ({
      onStart: () => {},
      onEnd: (span) => {
        if ((span.spanContext().traceFlags & 1) === 1) {
          buffer.onEnd(span)
        }
      },
      forceFlush: buffer.flush,
      shutdown: buffer.shutdown
    })
  )

// As long as a person would wait for something to appear; and as many spans as take a thousandth of a second or two,
// since nothing else runs meanwhile.
const scheduledDelayMillis = 150
const maxExportBatchSize = 64

const buffered = <A extends RecordedSpan | ReadableSpan>(
  { config, counter, ended, settings }: Options,
  toReadable: (span: A) => ReadableSpan
) =>
  Effect.gen(function* () {
    const run = yield* FiberSet.makeRuntimePromise()
    const store = yield* TraceStore.make(settings)
    const traceIds = new Set<string>()
    const append = (spans: ReadonlyArray<ReadableSpan>): Promise<string | undefined> =>
      run(
        Effect.suspend(() => store.put(OtlpEncode.parts(spans))).pipe(
          Effect.result,
          Effect.map((result) => (Result.isFailure(result) ? result.failure.message : undefined)),
          // Nobody waits for a promise that is rejected.
          Effect.catchCause(() => Effect.succeed("they cannot be written"))
        )
      ).catch(() => busyAtTheEnd)
    const exporter: SpanExporter = {
      export: (spans, done) => {
        void append(spans).then((failure) => {
          if (failure === undefined) {
            counter.exported(spans.length, settings.file)
            for (const span of traceIds.size < 2 ? spans : []) {
              traceIds.add(span.spanContext().traceId)
            }
          } else {
            counter.lost(spans.length, failure)
          }
          done({ code: failure === undefined ? 0 : 1 })
        })
      },
      shutdown: () => Promise.resolve()
    }
    const { maxQueueSize } = config.batch
    const buffer = SpanBuffer.make({
      exporter,
      toReadable,
      batch: { maxQueueSize, maxExportBatchSize, scheduledDelayMillis },
      counter
    })
    return {
      ...buffer,
      flush: () => SpanBuffer.within(buffer.flush(), endMillis),
      shutdown: () =>
        SpanBuffer.within(buffer.shutdown(), endMillis).then(() => {
          const { exported, lost, recorded } = counter.snapshot()
          counter.lost(recorded - exported - lost, busyAtTheEnd)
          ended(counter.snapshot(), traceIds)
        })
    }
  })

const busyAtTheEnd = "the trace store did not answer in time"

// What waits for a store that is locked does so for some seconds; nobody waits longer for the end of a program.
const endMillis = 3000
