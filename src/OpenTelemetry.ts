/**
 * The OpenTelemetry SDK, set up, for people who bring their own SpanProcessors. Loaded only then.
 *
 * @since 0.1.0
 */
import * as OtelTracer from "@effect/opentelemetry/OtelTracer"
import { context, diag } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources"
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TraceIdRatioBasedSampler
} from "@opentelemetry/sdk-trace-base"
import type { Sampler, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as EffectTracer from "effect/Tracer"
import * as Bridge from "./Bridge.ts"
import type * as EnvironmentVariables from "./EnvironmentVariables.ts"
import * as OtlpResource from "./OtlpResource.ts"
import type * as SpanGuard from "./SpanGuard.ts"
import type * as TelemetryConfig from "./TelemetryConfig.ts"
import { version } from "./Version.ts"

/** A tracer whose spans go to the processors. They are shut down with the layer; their failures stay inside. */
export const layer = (options: {
  readonly serviceName: string
  readonly resourceAttributes: Readonly<Record<string, string>>
  readonly limits: EnvironmentVariables.Limits
  readonly guard: SpanGuard.Guard
  readonly sampler: TelemetryConfig.Sampler
  readonly processors: ReadonlyArray<SpanProcessor>
}): Layer.Layer<never> =>
  Layer.effect(
    EffectTracer.Tracer,
    Effect.gen(function* () {
      const decision: Bridge.Decision = { drop: false }
      const provider = yield* Effect.acquireRelease(
        Effect.sync(() => {
          // One for the process, kept: two layers may live side by side. Without it other libraries' spans have no
          // parent. When there is one already, this does nothing.
          context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
          return new NodeTracerProvider({
            resource: OtlpResource.make(options.serviceName, options.resourceAttributes).merge(sdkResource()),
            // All of them, or the SDK asks the environment for the rest and takes what it finds there unseen. The guard cuts
            // texts, when it has replaced the secrets in them.
            spanLimits: { ...options.limits, attributeValueLengthLimit: Number.POSITIVE_INFINITY },
            generalLimits: {
              attributeCountLimit: options.limits.attributeCountLimit,
              attributeValueLengthLimit: Number.POSITIVE_INFINITY
            },
            sampler: Bridge.obeying(decision, samplerOf(options.sampler)),
            spanProcessors: Array.from(options.processors, failSafe)
          })
        }),
        (provider) =>
          Effect.tryPromise(() => provider.shutdown()).pipe(
            Effect.interruptible,
            Effect.timeoutOption(shutdownTimeout),
            Effect.ignoreCause
          )
      )
      return yield* Effect.provideService(
        Bridge.make(decision, options.guard),
        OtelTracer.OtelTracer,
        provider.getTracer("tinyllm", version)
      )
    })
  )

// Our own processors keep within three seconds; this is for those of others.
const shutdownTimeout = "3 seconds"

// Spans of the SDK say so.
const sdkResource = () =>
  resourceFromAttributes(
    Object.fromEntries(Object.entries(defaultResource().attributes).filter(([key]) => key.startsWith("telemetry.sdk.")))
  )

const samplerOf = ({ parentBased, ratio }: TelemetryConfig.Sampler): Sampler => {
  const root =
    ratio === 1 ? new AlwaysOnSampler() : ratio === 0 ? new AlwaysOffSampler() : new TraceIdRatioBasedSampler(ratio)
  return parentBased ? new ParentBasedSampler({ root }) : root
}

// A processor must not make the effect fail whose span it was given, nor the end of the program.
const failSafe = (processor: SpanProcessor): SpanProcessor => ({
  onStart: (span, context) => attempt(() => processor.onStart(span, context)),
  onEnding: (span) => attempt(() => processor.onEnding?.(span)),
  onEnd: (span) => attempt(() => processor.onEnd(span)),
  forceFlush: () => attempt(() => processor.forceFlush()),
  shutdown: () => attempt(() => processor.shutdown())
})

// It may also be asynchronous where it need not.
const attempt = async (run: () => unknown): Promise<void> => {
  try {
    await run()
  } catch (error) {
    diag.error("A span processor failed", error)
  }
}
