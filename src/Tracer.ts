/**
 * The tracer: Effect's spans as plain objects that go, when they have ended, to where spans go.
 *
 * Nothing of OpenTelemetry is loaded here. Spans become OpenTelemetry's in the batch in which they are exported.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as EffectTracer from "effect/Tracer"
import type * as KeepTraces from "./KeepTraces.ts"
import { RecordedSpan, type Recorder } from "./RecordedSpan.ts"
import type * as Sampling from "./Sampling.ts"
import type { Observer, Sink } from "./Sink.ts"
import type * as SpanGuard from "./SpanGuard.ts"
import type { Limits } from "./EnvironmentVariables.ts"

export { make as keeper } from "./KeepTraces.ts"
export { ratio } from "./Sampling.ts"

/** Makes a tracer that hands every sampled span to all sinks. */
export const make = (options: {
  readonly sampler: Sampling.Sampler
  readonly limits: Limits
  readonly guard: SpanGuard.Guard
  readonly sinks: ReadonlyArray<Sink>
  /** Keeps traces whatever the sampler says, in front of the same sinks. */
  readonly keeper?: KeepTraces.Keeper | undefined
  /** Sees every span, and makes it recorded. */
  readonly observer?: Observer | undefined
}): EffectTracer.Tracer => {
  const { keeper, observer, sinks } = options
  const [only] = sinks
  const onEnd: Recorder["onEnd"] =
    only !== undefined && sinks.length === 1
      ? only.onEnd
      : (span) => {
          for (const sink of sinks) {
            sink.onEnd(span)
          }
        }
  const recorder: Recorder = {
    sampler: options.sampler,
    limits: options.limits,
    guard: options.guard,
    recordsUnsampled: observer === undefined ? (keeper?.wants ?? (() => false)) : () => true,
    onEnd:
      observer === undefined
        ? (keeper?.onEnd ?? onEnd)
        : (span) => {
            observer.onEnd(span)
            if (keeper !== undefined) {
              keeper.onEnd(span)
            } else if (span.sampled) {
              onEnd(span)
            }
          }
  }
  return observer === undefined
    ? { span: (options) => new RecordedSpan(recorder, options) }
    : { span: (options) => seen(new RecordedSpan(recorder, options), observer) }
}

const seen = (span: RecordedSpan, observer: Observer): RecordedSpan => {
  if (span.recording) {
    observer.onStart(span)
  }
  return span
}

/**
 * Makes a tracer whose spans only an observer sees. For everybody else tracing is off: its spans have no ids, for logs
 * or for other services, and what other services are told of is the span that came from elsewhere, if there is one.
 */
export const unseen = (options: {
  readonly limits: Limits
  readonly guard: SpanGuard.Guard
  readonly observer: Observer
}): EffectTracer.Tracer => {
  const recorder: Recorder = {
    // Nobody reads what it decides.
    sampler: { parentBased: false, isSampled: () => false, threshold: undefined },
    limits: options.limits,
    guard: options.guard,
    recordsUnsampled: () => true,
    onEnd: options.observer.onEnd
  }
  return { span: (given) => seen(new UnseenSpan(recorder, given), options.observer) }
}

// As Effect's own span where tracing is off, but for what is put into it.
class UnseenSpan extends RecordedSpan {
  constructor(recorder: Recorder, options: Parameters<EffectTracer.Tracer["span"]>[0]) {
    super(recorder, {
      ...options,
      annotations: Context.add(options.annotations, EffectTracer.DisablePropagation, true)
    })
  }
  override get traceId(): string {
    return "noop"
  }
  override get spanId(): string {
    return "noop"
  }
  override get sampled(): boolean {
    return false
  }
}
