/**
 * Recorded spans as OpenTelemetry's, for its exporters.
 *
 * @since 0.1.0
 */
import type { HrTime, Link, SpanContext } from "@opentelemetry/api"
import type { Resource } from "@opentelemetry/resources"
import type { ReadableSpan, TimedEvent } from "@opentelemetry/sdk-trace-base"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { RecordedSpan } from "./RecordedSpan.ts"
import * as TraceContext from "./TraceContext.ts"
import { scope } from "./TelemetryResource.ts"

const kinds = { internal: 0, server: 1, client: 2, producer: 3, consumer: 4 } as const

/** Makes spans of a service readable for exporters. A span is read when it is exported, and does not change then. */
export const readable =
  (resource: Resource) =>
  (span: RecordedSpan): ReadableSpan =>
    new Readable(span, resource)

class Readable implements ReadableSpan {
  readonly resource: Resource
  private readonly span: RecordedSpan
  readonly parentSpanContext?: SpanContext
  private readonly context: SpanContext

  constructor(span: RecordedSpan, resource: Resource) {
    this.span = span.guarded()
    this.resource = resource
    this.context = contextOf(span)
    const parent = Option.getOrUndefined(span.parent)
    if (parent !== undefined) {
      this.parentSpanContext = contextOf(parent)
    }
  }

  get ended() {
    return true
  }
  get instrumentationScope() {
    return scope
  }
  spanContext(): SpanContext {
    return this.context
  }
  get name() {
    return this.span.name
  }
  get kind() {
    return kinds[this.span.kind]
  }
  get startTime(): HrTime {
    return hrTime(this.span.startTime)
  }
  get endTime(): HrTime {
    return hrTime(this.end)
  }
  get duration(): HrTime {
    const nanos = Math.max(0, Number(this.end - this.span.startTime))
    const seconds = Math.floor(nanos / 1_000_000_000)
    return [seconds, nanos - seconds * 1_000_000_000]
  }
  get status() {
    const { failed, ok, statusMessage } = this.span
    return failed ? { code: 2, ...(statusMessage === "" ? {} : { message: statusMessage }) } : { code: ok ? 1 : 0 }
  }
  get attributes() {
    return this.span.values as Record<string, string>
  }
  get events(): Array<TimedEvent> {
    return this.span.events.map((event) => ({
      name: event.name,
      time: hrTime(event.time),
      attributes: event.attributes as Record<string, string>,
      droppedAttributesCount: event.droppedAttributes
    }))
  }
  get links(): Array<Link> {
    return this.span.recordedLinks.map((link) => ({
      context: contextOf(link.span),
      attributes: link.attributes as Record<string, string>,
      droppedAttributesCount: link.droppedAttributes
    }))
  }
  get droppedAttributesCount() {
    return this.span.droppedAttributes
  }
  get droppedEventsCount() {
    return this.span.droppedEvents
  }
  get droppedLinksCount() {
    return this.span.droppedLinks
  }
  private get end(): bigint {
    return this.span.endTime ?? this.span.startTime
  }
}

// Most spans are asked twice or more: for themselves, and as the parent of others.
const contextOf = (span: Tracer.AnySpan): SpanContext =>
  span instanceof RecordedSpan ? ((span.exported ??= newContext(span)) as SpanContext) : newContext(span)

const newContext = (span: Tracer.AnySpan): SpanContext => {
  const ours = span instanceof RecordedSpan
  const state = TraceContext.limitState(
    ours ? span[TraceContext.stateKey] : TraceContext.stateOf(span),
    TraceContext.exportedStateLength
  )
  const context = {
    traceId: span.traceId,
    spanId: span.spanId,
    // A trace that is kept in the end is sampled for whoever receives it.
    traceFlags: ours ? span[TraceContext.flagsKey] | (span.trace.kept === true ? 1 : 0) : TraceContext.flagsOf(span),
    isRemote: span._tag === "ExternalSpan"
  }
  return state === undefined ? context : { ...context, traceState: TraceContext.otelState(state) }
}

// Times near to the start of this process fit a number, and numbers are divided much faster.
// To look at `performance` for the first time takes longer than to export the spans of a short run.
const origin = BigInt(Math.floor(Date.now() / 1000 - process.uptime()))
const originNanos = origin * 1_000_000_000n
const originSeconds = Number(origin)

const hrTime = (nanos: bigint): HrTime => {
  const since = Number(nanos - originNanos)
  if (since >= 0 && since <= Number.MAX_SAFE_INTEGER) {
    const seconds = Math.floor(since / 1_000_000_000)
    return [originSeconds + seconds, since - seconds * 1_000_000_000]
  }
  return [Number(nanos / 1_000_000_000n), Number(nanos % 1_000_000_000n)]
}
