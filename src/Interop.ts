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
import * as Result from "effect/Result"
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
  const context = active.spanContext()
  return Otel.isSpanContextValid(context) ? Option.some(external(context)) : Option.none()
}

const external = ({ spanId, traceFlags, traceId, traceState }: Otel.SpanContext): EffectTracer.ExternalSpan =>
  TraceContext.externalSpan({ traceId, spanId, flags: traceFlags, state: traceState?.serialize() })

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
    const { span } = this
    if (span._tag === "Span") {
      attempt(() => span.attribute(String(key), value))
    }
    return this
  }
  setAttributes(attributes: Otel.Attributes): this {
    attempt(() => {
      for (const [key, value] of Object.entries(attributes)) {
        this.setAttribute(key, value)
      }
    })
    return this
  }
  addEvent(name: string, attributes?: Otel.Attributes | Otel.TimeInput, time?: Otel.TimeInput): this {
    const { span } = this
    if (span._tag === "Span") {
      const isTime = attributes instanceof Date || Array.isArray(attributes) || typeof attributes === "number"
      const values = isTime ? undefined : (attributes as Record<string, unknown> | null | undefined)
      attempt(() => span.event(String(name), nanos(isTime ? attributes : time), values ?? undefined))
    }
    return this
  }
  addLink(link: Otel.Link): this {
    return this.addLinks([link])
  }
  addLinks(links: ReadonlyArray<Otel.Link>): this {
    const { span } = this
    if (span._tag === "Span") {
      attempt(() =>
        span.addLinks(
          links.map(({ attributes, context }) => ({ span: external(context), attributes: attributes ?? {} }))
        )
      )
    }
    return this
  }
  // "Ok" is final here: it overrides errors before and after it. Only a failure of the effect itself is one all the same.
  // https://opentelemetry.io/docs/specs/otel/trace/api/#set-status
  setStatus({ code, message }: Otel.SpanStatus): this {
    const { span } = this
    if (span instanceof RecordedSpan) {
      if (code === Otel.SpanStatusCode.OK) {
        span.succeed()
      } else if (code === Otel.SpanStatusCode.ERROR && !span.ok) {
        attempt(() => span.fail(String(message ?? "")))
      }
    }
    return this
  }
  updateName(name: string): this {
    const { span } = this
    if (span instanceof RecordedSpan) {
      attempt(() => span.rename(String(name)))
    }
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
    const { span } = this
    if (span._tag === "Span") {
      attempt(() => span.event("exception", nanos(time), { ...Span.exception(exception) }))
    }
  }
}

// What a library gives may be none of what the types say. The program is not to notice.
const attempt = (write: () => void): void => void Result.try(write)

// Nor may it be a time, or one that OTLP can say. Then it is now.
const nanos = (time: Otel.TimeInput | undefined): bigint => {
  const given = Result.getOrElse(
    Result.try(() => read(time)),
    () => undefined
  )
  return given !== undefined && given >= 0n && given < latest ? given : ofMillis(now())
}

const latest = 1n << 64n

const read = (time: Otel.TimeInput | undefined): bigint => {
  if (Array.isArray(time)) {
    const [seconds, nanos] = time
    return BigInt(Math.trunc(seconds)) * 1_000_000_000n + BigInt(Math.round((seconds % 1) * 1e9 + nanos))
  }
  return ofMillis(
    time instanceof Date
      ? time.getTime()
      : time === undefined || time === null
        ? now()
        : // As OpenTelemetry does: a small number is one of `performance.now`.
          time < performance.timeOrigin
          ? performance.timeOrigin + time
          : time
  )
}

const now = (): number => performance.timeOrigin + performance.now()

const ofMillis = (millis: number): bigint => BigInt(Math.round(millis * 1000)) * 1000n
