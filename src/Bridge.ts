/**
 * The tracer for people who bring their own SpanProcessors: spans of the OpenTelemetry SDK, by the conventions.
 *
 * `@effect/opentelemetry` makes the spans. What it does at their end differs from the semantic conventions, so the end
 * is ours: the status stays Unset on success, a failed span has `error.type`, an error is recorded once a trace, where
 * it arose, and attributes are OpenTelemetry's types. The bridge knows its spans by `instanceof`, which is why their
 * methods are replaced instead of wrapping them.
 * https://opentelemetry.io/docs/specs/semconv/general/recording-errors/
 *
 * @since 0.1.0
 */
import * as OtelTracer from "@effect/opentelemetry/OtelTracer"
import { diag, SpanStatusCode } from "@opentelemetry/api"
import type * as Otel from "@opentelemetry/api"
import type { Sampler } from "@opentelemetry/sdk-trace-base"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as EffectTracer from "effect/Tracer"
import * as Attribute from "./Attribute.ts"
import * as Span from "./Span.ts"
import * as SpanErrors from "./SpanErrors.ts"
import * as SpanGuard from "./SpanGuard.ts"

/**
 * What a span was asked for when it was made. The SDK's sampler sees only name, kind and parent, so this is how it
 * hears of `withSpan(name, { sampled: false })` and of `MinimumTraceLevel`.
 */
export interface Decision {
  drop: boolean
}

/** A sampler that obeys a decision before it asks another. */
export const obeying = (decision: Decision, sampler: Sampler): Sampler => ({
  // 0 is NOT_RECORD; the enum is loaded with the SDK, which this module leaves to its caller.
  shouldSample: (...args) => (decision.drop ? { decision: 0 } : sampler.shouldSample(...args)),
  toString: () => sampler.toString()
})

/** Makes the tracer. */
export const make = (
  decision: Decision,
  guard: SpanGuard.Guard
): Effect.Effect<EffectTracer.Tracer, never, OtelTracer.OtelTracer> =>
  Effect.map(OtelTracer.make, (bridge) =>
    EffectTracer.make({
      span: (options) => {
        // Effect also says "not sampled" below an unsampled parent: there the sampler decides, who knows the parent.
        const parentSampled = Option.match(options.parent, { onNone: () => true, onSome: (parent) => parent.sampled })
        decision.drop = !options.sampled && parentSampled
        const span = bridge.span({
          ...options,
          name: guard.name(options.name),
          links: normalLinks(options.links)
        }) as Bridged
        decision.drop = false
        return span.sampled ? patch(span, guard) : span
      },
      context: bridge.context
    })
  )

// The class of the bridge's spans is internal to it; these are the members we use.
interface Bridged extends EffectTracer.Span {
  readonly span: Otel.Span
  readonly attributes: Map<string, unknown>
  status: EffectTracer.SpanStatus
}

const patch = (span: Bridged, guard: SpanGuard.Guard): EffectTracer.Span => {
  const { attribute, addLinks } = span
  let lastException: string | undefined

  span.attribute = (key, value) =>
    attempt(() => {
      const normal = readable(value)
      if (normal !== undefined) {
        attribute.call(span, key, guard.value(normal))
      }
    })
  span.addLinks = (links) => attempt(() => addLinks.call(span, normalLinks(links)))
  const record = (name: string, time: bigint, attributes: Record<string, unknown> | undefined): void => {
    const normal = readableAll(attributes ?? {})
    for (const key in normal) {
      normal[key] = guard.value(normal[key] as Attribute.AttributeValue)
    }
    if (name === "exception") {
      lastException = String(normal["exception.message"] ?? "")
      // Who handles an error marks a span with it; what is below may have failed with it, and recorded it.
      const error = attributes === undefined ? undefined : Span.errorOf(attributes)
      if (error !== undefined && !SpanErrors.firstSeen(span, error.value)) {
        return
      }
    }
    span.span.addEvent(name, normal as Otel.Attributes, hrTime(time))
  }
  span.event = (name, time, attributes) => {
    if (span.status._tag !== "Started") {
      return
    }
    if (!SpanGuard.isLogLine(attributes)) {
      attempt(() => record(name, time, attributes))
    } else if (guard.logEvents) {
      attempt(() => record(SpanGuard.logEventName, time, SpanGuard.logEvent(attributes)))
    }
  }
  const conclude = (time: bigint, exit: Exit.Exit<unknown, unknown>): void => {
    const error = SpanErrors.firstError(exit)
    if (error !== undefined) {
      recordErrors(span, exit, time, guard)
      span.attribute("error.type", Span.errorType(error.value))
      fail(span.span, SpanErrors.messageOf(error.value, guard.redact), guard)
    } else {
      if (exit._tag === "Failure" && Cause.hasInterruptsOnly(exit.cause)) {
        span.attribute("effect.fiber.interrupted", true)
      }
      if (span.attributes.has("error.type")) {
        fail(span.span, lastException ?? "", guard)
      }
    }
  }
  span.end = (time, exit) => {
    if (span.status._tag === "Started") {
      attempt(() => conclude(time, exit))
      attempt(() => finish(span, guard))
      span.status = { _tag: "Ended", startTime: span.status.startTime, endTime: time, exit }
      attempt(() => span.span.end(hrTime(time)))
    }
  }
  return span
}

// Whatever a span is given may throw when it is read, and so may what listens to it. The program is not to notice, and
// a span that has begun is to end.
const attempt = (run: () => void): void => {
  const result = Result.try(run)
  if (Result.isFailure(result)) {
    diag.error("A span could not be written in full", result.failure)
  }
}

// The SDK's span shows its parts, but keeps the counts of what was dropped for itself. It is the active span too, on which
// libraries write past us.
const finish = (span: Bridged, guard: SpanGuard.Guard): void => {
  const parts = span.span as unknown as SpanGuard.Parts & { readonly status: Otel.SpanStatus }
  span.span.updateName(guard.name(parts.name))
  if (parts.status.message !== undefined) {
    parts.status.message = SpanErrors.description(parts.status.message, guard.redact)
  }
  const dropped = guard.finish(parts)
  const counts = span.span as unknown as Record<string, unknown>
  const add = (name: string, count: number): void => {
    const before = counts[name]
    if (count > 0 && typeof before === "number") {
      counts[name] = before + count
    }
  }
  add("_droppedAttributesCount", dropped.attributes)
  add("_droppedEventsCount", dropped.events)
  add("_droppedLinksCount", dropped.links)
}

const unreadable = "[unreadable]"

const readable = (value: unknown): Attribute.AttributeValue | undefined =>
  Result.getOrElse(
    Result.try(() => Attribute.normalize(value)),
    () => unreadable
  )

const readableAll = (values: Readonly<Record<string, unknown>>): Record<string, Attribute.AttributeValue> =>
  Result.getOrElse(
    Result.try(() => Attribute.normalizeAll(values)),
    () => ({ attributes: unreadable })
  )

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

const fail = (span: Otel.Span, message: string, guard: SpanGuard.Guard): void => {
  span.setStatus({
    code: SpanStatusCode.ERROR,
    ...(message === "" ? {} : { message: SpanErrors.description(message, guard.redact) })
  })
}

const recordErrors = (span: Bridged, exit: Exit.Exit<unknown, unknown>, time: bigint, guard: SpanGuard.Guard): void => {
  for (const error of SpanErrors.toRecord(span, exit, Context.get(span.annotations, Span.Afterwards))) {
    span.span.addEvent("exception", readableAll(Span.exception(error, guard.redact)) as Otel.Attributes, hrTime(time))
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Times and links
// ---------------------------------------------------------------------------------------------------------------------

const nanosPerSecond = 1_000_000_000n

const hrTime = (nanos: bigint): Otel.HrTime => [Number(nanos / nanosPerSecond), Number(nanos % nanosPerSecond)]

const normalLinks = (links: ReadonlyArray<EffectTracer.SpanLink>): Array<EffectTracer.SpanLink> =>
  links.map((link) => ({ span: link.span, attributes: readableAll(link.attributes) }))
