/**
 * The tracer: Effect's spans as plain objects that go, when they have ended, to where spans go.
 *
 * Nothing of OpenTelemetry is loaded here. Spans become OpenTelemetry's in the batch in which they are exported.
 *
 * @since 0.1.0
 */
import type * as EffectTracer from "effect/Tracer"
import * as KeepTraces from "./KeepTraces.ts"
import { RecordedSpan, type Recorder } from "./RecordedSpan.ts"
import type * as Sampling from "./Sampling.ts"
import type { Sink } from "./Sink.ts"
import type * as SpanGuard from "./SpanGuard.ts"
import type { Limits } from "./SpanValues.ts"

export { ratio } from "./Sampling.ts"

/** Makes a tracer that hands every sampled span to all sinks. */
export const make = (options: {
  readonly sampler: Sampling.Sampler
  readonly limits: Limits
  readonly guard: SpanGuard.Guard
  readonly sinks: ReadonlyArray<Sink>
  /** Traces that are kept whatever the sampler says. */
  readonly keep?: KeepTraces.Options | undefined
}): EffectTracer.Tracer => {
  const { keep, sinks } = options
  const [only] = sinks
  const keeper = keep === undefined ? undefined : KeepTraces.make(keep, sinks)
  const recorder: Recorder = {
    sampler: options.sampler,
    limits: options.limits,
    guard: options.guard,
    recordsUnsampled: keeper?.wants ?? (() => false),
    onEnd:
      keeper !== undefined
        ? keeper.onEnd
        : only !== undefined && sinks.length === 1
          ? only.onEnd
          : (span) => {
              for (const sink of sinks) {
                sink.onEnd(span)
              }
            }
  }
  return { span: (options) => new RecordedSpan(recorder, options) }
}
