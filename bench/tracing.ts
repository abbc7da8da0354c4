// The ways to trace that are compared: ours, and the OpenTelemetry SDK used directly. Both hand their spans in batches
// to an exporter that counts them and throws them away, so that what differs is the making of spans.
import { context, trace } from "@opentelemetry/api"
import type { Attributes, Span as OtelSpan, Tracer } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler
} from "@opentelemetry/sdk-trace-base"
import type { SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node"
import type * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Telemetry from "../src/Telemetry.ts"

/** Runs effects to their end, below one layer that is built once. */
export type Run = <A, E>(effect: Effect.Effect<A, E>) => Promise<A>

/** Spans on their way to nowhere. */
interface Traced {
  /** Exports what has ended. */
  readonly flush: () => Promise<void>
  /** How many spans the exporter got so far. */
  readonly exported: () => number
  readonly close: () => Promise<void>
}

/** The queue of our own layer. With the SDK's 2048, what is compared would be how fast spans can be dropped. */
export const batch = { maxQueueSize: 131_072, maxExportBatchSize: 512 }

// What an exporter reads of a span costs time where spans are plain objects until then, so this one reads all of it.
export const counting = (): { readonly exporter: SpanExporter; readonly exported: () => number } => {
  let exported = 0
  let read = 0
  return {
    exporter: {
      export: (spans, done) => {
        for (const span of spans) {
          read += span.startTime[1] + span.endTime[1] + span.duration[1] + span.kind + span.status.code
          read += span.spanContext().spanId.length + (span.parentSpanContext?.spanId.length ?? 0) + span.name.length
          for (const key in span.attributes) {
            read += key.length
          }
          read += span.events.length + span.links.length
        }
        exported += spans.length
        done({ code: read >= 0 ? 0 : 1 })
      },
      shutdown: () => Promise.resolve()
    },
    exported: () => exported
  }
}

/** Our layer with tracing off. */
export const off = async (): Promise<{ readonly run: Run; readonly close: () => Promise<void> }> => {
  const runtime = ManagedRuntime.make(Telemetry.layer({ enableTracing: false }))
  await runtime.context()
  return { run: (effect) => runtime.runPromise(effect), close: () => runtime.dispose() }
}

/** Our layer. */
export const ours = async (samplingRate: number): Promise<Traced & { readonly run: Run }> => {
  const { exported, exporter } = counting()
  const runtime = ManagedRuntime.make(Telemetry.layerExporter(exporter, { samplingRate }))
  await runtime.context()
  return {
    run: (effect) => runtime.runPromise(effect),
    flush: () => runtime.runPromise(Telemetry.flush),
    exported,
    close: () => runtime.dispose()
  }
}

/** The SDK. */
export const sdk = (samplingRate: number): Traced & { readonly tracer: Tracer } => {
  const { exported, exporter } = counting()
  const processor = new BatchSpanProcessor(exporter, batch)
  const provider = sdkProvider(processor, samplingRate)
  return {
    tracer: provider.getTracer("bench"),
    flush: () => processor.forceFlush(),
    exported,
    close: () => provider.shutdown()
  }
}

export const sdkProvider = (processor: SpanProcessor, samplingRate = 1): NodeTracerProvider => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const root = samplingRate === 1 ? new AlwaysOnSampler() : new TraceIdRatioBasedSampler(samplingRate)
  return new NodeTracerProvider({ sampler: new ParentBasedSampler({ root }), spanProcessors: [processor] })
}

/** The work of an asynchronous function as a span below the active one, as the SDK's manual says to do it. */
export const inSpan = <A>(
  tracer: Tracer,
  name: string,
  attributes: Attributes,
  work: (span: OtelSpan) => Promise<A>
): Promise<A> =>
  tracer.startActiveSpan(name, { attributes }, async (span) => {
    try {
      return await work(span)
    } finally {
      span.end()
    }
  })

/** The span in progress, for code that is not handed one. */
export const activeSpan = (): OtelSpan | undefined => trace.getActiveSpan()

/** A benchmark that does less than it says is worse than none. */
export const verify = (condition: boolean, what: string): void => {
  if (!condition) {
    throw new Error(`the benchmark did not do what it says: ${what}`)
  }
}
