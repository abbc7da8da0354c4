/**
 * Effect's spans for libraries that know OpenTelemetry only: inside of an effect, the active span is the effect's.
 *
 * It costs a look at every step of every effect, so it is on only where somebody asks for it.
 *
 * @since 0.1.0
 */
import * as Otel from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import * as Option from "effect/Option"
import * as EffectTracer from "effect/Tracer"
import { RecordedSpan } from "./RecordedSpan.ts"
import * as Span from "./Span.ts"
import * as TraceContext from "./TraceContext.ts"

/** A tracer whose spans are OpenTelemetry's active spans, and which continues the active span of others. */
export const make = (tracer: EffectTracer.Tracer): EffectTracer.Tracer => {
  // One for the process, kept: two layers may live side by side. When there is one already, this does nothing.
  Otel.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  return {
    span: (options) => {
      const parent = options.parent._tag === "None" && !options.root ? activeParent() : Option.none()
      return tracer.span(
        Option.isNone(parent) ? options : { ...options, parent, sampled: options.sampled && parent.value.sampled }
      )
    },
    context: (primitive, fiber) => {
      const span = fiber.cache.span
      if (span === undefined || span.traceId === "noop") {
        return primitive["~effect/Effect/evaluate"](fiber)
      }
      const active = Otel.context.active()
      const otel = otelSpan(span)
      return Otel.trace.getSpan(active) === otel
        ? primitive["~effect/Effect/evaluate"](fiber)
        : Otel.context.with(Otel.trace.setSpan(active, otel), () => primitive["~effect/Effect/evaluate"](fiber))
    }
  }
}

// The span that an OpenTelemetry library has opened around an effect, or the one of an effect that runs another one.
const activeParent = (): Option.Option<EffectTracer.AnySpan> => {
  const active = Otel.trace.getActiveSpan()
  if (active === undefined) {
    return Option.none()
  }
  if (active instanceof ActiveSpan) {
    return Option.some(active.span)
  }
  const { spanId, traceFlags, traceId, traceState } = active.spanContext()
  return Otel.isSpanContextValid({ traceId, spanId, traceFlags })
    ? Option.some(
        TraceContext.externalSpan({
          traceId,
          spanId,
          flags: traceFlags,
          state: traceState?.serialize()
        })
      )
    : Option.none()
}

const made = new WeakMap<EffectTracer.AnySpan, ActiveSpan>()

const otelSpan = (span: EffectTracer.AnySpan): ActiveSpan => {
  const known = made.get(span)
  if (known !== undefined) {
    return known
  }
  const otel = new ActiveSpan(span)
  made.set(span, otel)
  return otel
}

// The effect's span in OpenTelemetry's words. Its end is the effect's business.
class ActiveSpan implements Otel.Span {
  readonly span: EffectTracer.AnySpan
  private context: Otel.SpanContext | undefined

  constructor(span: EffectTracer.AnySpan) {
    this.span = span
  }
  spanContext(): Otel.SpanContext {
    if (this.context === undefined) {
      const state = TraceContext.stateOf(this.span)
      this.context = {
        traceId: this.span.traceId,
        spanId: this.span.spanId,
        traceFlags: TraceContext.flagsOf(this.span),
        isRemote: this.span._tag === "ExternalSpan",
        ...(state === undefined ? {} : { traceState: TraceContext.otelState(state) })
      }
    }
    return this.context
  }
  setAttribute(key: string, value: unknown): this {
    if (this.span._tag === "Span") {
      this.span.attribute(key, value)
    }
    return this
  }
  setAttributes(attributes: Otel.Attributes): this {
    for (const [key, value] of Object.entries(attributes)) {
      this.setAttribute(key, value)
    }
    return this
  }
  addEvent(name: string, attributes?: Otel.Attributes | Otel.TimeInput, time?: Otel.TimeInput): this {
    if (this.span._tag === "Span") {
      const isTime = attributes instanceof Date || Array.isArray(attributes) || typeof attributes === "number"
      const given = isTime ? attributes : time
      this.span.event(name, nanos(given), isTime ? undefined : (attributes as Record<string, unknown> | undefined))
    }
    return this
  }
  addLink(link: Otel.Link): this {
    return this.addLinks([link])
  }
  addLinks(links: ReadonlyArray<Otel.Link>): this {
    if (this.span._tag === "Span") {
      this.span.addLinks(
        links.map(({ attributes, context }) => ({
          span: EffectTracer.externalSpan({
            traceId: context.traceId,
            spanId: context.spanId,
            sampled: (context.traceFlags & 1) === 1
          }),
          attributes: attributes ?? {}
        }))
      )
    }
    return this
  }
  // "Ok" is final here: it overrides errors before and after it. Only a failure of the effect itself is one all the same.
  // https://opentelemetry.io/docs/specs/otel/trace/api/#set-status
  setStatus({ code, message }: Otel.SpanStatus): this {
    if (this.span instanceof RecordedSpan) {
      if (code === Otel.SpanStatusCode.OK) {
        this.span.succeed()
      } else if (code === Otel.SpanStatusCode.ERROR && !this.span.ok) {
        this.span.fail(message ?? "")
      }
    }
    return this
  }
  updateName(): this {
    return this
  }
  end(): void {}
  isRecording(): boolean {
    return (
      this.span._tag === "Span" &&
      // What is not sampled may be recorded all the same, and kept in the end.
      (this.span.sampled || (this.span instanceof RecordedSpan && this.span.recording)) &&
      this.span.status._tag === "Started"
    )
  }
  recordException(exception: Otel.Exception, time?: Otel.TimeInput): void {
    if (this.span._tag === "Span") {
      this.span.event("exception", nanos(time), { ...Span.exception(exception) })
    }
  }
}

const nanos = (time: Otel.TimeInput | undefined): bigint =>
  Array.isArray(time)
    ? BigInt(time[0]) * 1_000_000_000n + BigInt(time[1])
    : // As OpenTelemetry does: a small number is one of `performance.now`.
      BigInt(Math.round(milliseconds(time as number | Date | undefined) * 1000)) * 1000n

const milliseconds = (time: number | Date | undefined): number =>
  time instanceof Date
    ? time.getTime()
    : time === undefined
      ? performance.timeOrigin + performance.now()
      : time < performance.timeOrigin
        ? performance.timeOrigin + time
        : time
