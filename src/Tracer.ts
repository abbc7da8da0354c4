/**
 * The tracer: Effect's spans as plain objects that go, when they have ended, to where spans go.
 *
 * Nothing of OpenTelemetry is loaded here. Spans become OpenTelemetry's in the batch in which they are exported.
 *
 * @since 0.1.0
 */
import type * as EffectTracer from "effect/Tracer"
import { type Limits, RecordedSpan, type Recorder } from "./RecordedSpan.ts"
import type * as Sampling from "./Sampling.ts"
import type * as SpanGuard from "./SpanGuard.ts"

export { ratio } from "./Sampling.ts"

/** A place for spans that have ended. None of the functions fails. */
export interface Sink {
  /** Takes a span that is sampled. */
  readonly onEnd: (span: RecordedSpan) => void
  /** Hands on what has ended so far, and waits until it has arrived. */
  readonly flush: () => Promise<void>
  /** The program ends: hands on what it holds. */
  readonly shutdown: () => Promise<void>
}

/** Makes a tracer that hands every sampled span to all sinks. */
export const make = (options: {
  readonly sampler: Sampling.Sampler
  readonly limits: Limits
  readonly guard: SpanGuard.Guard
  readonly sinks: ReadonlyArray<Sink>
}): EffectTracer.Tracer => {
  const { sinks } = options
  const [only] = sinks
  const recorder: Recorder = {
    sampler: options.sampler,
    limits: options.limits,
    guard: options.guard,
    recordsUnsampled: () => false,
    onEnd:
      only !== undefined && sinks.length === 1
        ? only.onEnd
        : (span) => {
            for (const sink of sinks) {
              sink.onEnd(span)
            }
          }
  }
  return { span: (options) => new RecordedSpan(recorder, options) }
}
