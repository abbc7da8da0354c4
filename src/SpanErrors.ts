/**
 * How spans end that failed: each error is recorded once a trace, where it arose, and marks every span it went through.
 * https://opentelemetry.io/docs/specs/semconv/general/recording-errors/
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import * as Redaction from "./Redaction.ts"
import * as Span from "./Span.ts"

/** The error that a span's status tells of; a typed failure says more than a defect beside it. */
export const firstError = (exit: Exit.Exit<unknown, unknown>): { readonly value: unknown } | undefined => {
  const reasons = exit._tag === "Failure" ? exit.cause.reasons : []
  const failure = reasons.find(Cause.isFailReason)
  const defect = reasons.find(Cause.isDieReason)
  return failure !== undefined ? { value: failure.error } : defect === undefined ? undefined : { value: defect.defect }
}

/** All errors of an exit. */
export const errorsOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> =>
  (exit._tag === "Failure" ? exit.cause.reasons : []).flatMap((reason) =>
    Cause.isFailReason(reason) ? [reason.error] : Cause.isDieReason(reason) ? [reason.defect] : []
  )

/** What a status says of an error. */
export const messageOf = (error: unknown, redact: Redaction.Redact): string =>
  String(Span.exception(error, redact)["exception.message"] ?? "")

const descriptionLength = 256

/** The description of a status: 256 code points at most, without secrets. */
export const description = (message: string, redact: Redaction.Redact): string =>
  Span.truncate(Redaction.start(message, 2 * descriptionLength, redact), descriptionLength - 1)

// ---------------------------------------------------------------------------------------------------------------------
// Once a trace
// ---------------------------------------------------------------------------------------------------------------------

// What a span and the spans below it have recorded.
const recorded = new WeakMap<Tracer.AnySpan, Seen>()

/**
 * The errors of an exit that a span is to record: those that nothing below it has recorded. They count as recorded for
 * its parent too. With `afterwards` a sibling may have recorded them already.
 */
export const toRecord = (
  span: Tracer.Span,
  exit: Exit.Exit<unknown, unknown>,
  afterwards: boolean
): ReadonlyArray<unknown> => {
  const parent = Option.getOrUndefined(span.parent)
  const ofParent = parent === undefined ? undefined : seenBy(parent)
  const seen = seenBy(span)
  const fresh: Array<unknown> = []
  for (const error of errorsOf(exit)) {
    if (!seen.has(error) && !(afterwards && seenAbove(span, error))) {
      fresh.push(error)
    }
    seen.add(error)
    ofParent?.add(error)
  }
  return fresh
}

/** Says whether an error is new to a span, and tells it to the span and all above: it may leave this one as a value. */
export const firstSeen = (span: Tracer.Span, error: unknown): boolean => {
  const first = !seenBy(span).has(error)
  for (let above: Tracer.AnySpan | undefined = span; above !== undefined;) {
    seenBy(above).add(error)
    above = above._tag === "Span" ? Option.getOrUndefined(above.parent) : undefined
  }
  return first
}

// Whether a sibling recorded it, or, where the span above was written afterwards too, a sibling of that one.
const seenAbove = (span: Tracer.Span, error: unknown): boolean => {
  const parent = Option.getOrUndefined(span.parent)
  return (
    parent !== undefined &&
    (seenBy(parent).has(error) ||
      (parent._tag === "Span" && Context.get(parent.annotations, Span.Afterwards) && seenAbove(parent, error)))
  )
}

const seenBy = (span: Tracer.AnySpan): Seen => {
  const seen = recorded.get(span) ?? new Seen()
  recorded.set(span, seen)
  return seen
}

// Errors by identity. Failures that are text or numbers have none, so two of them with one value count as one.
class Seen {
  private readonly objects = new WeakSet<object>()
  private readonly values = new Set<unknown>()

  has(given: unknown): boolean {
    const error = Span.originalOf(given)
    return isObject(error) ? this.objects.has(error) : this.values.has(error)
  }

  add(given: unknown): void {
    const error = Span.originalOf(given)
    if (isObject(error)) {
      this.objects.add(error)
    } else {
      this.values.add(error)
    }
  }
}

const isObject = (value: unknown): value is object =>
  (typeof value === "object" && value !== null) || typeof value === "function"
