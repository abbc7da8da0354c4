/**
 * What a test expects of a trace: spans by name, what is below them, and as much else as matters to it.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { StoredSpan, Value } from "./StoredSpan.ts"

/**
 * What a value must be: the same value, a text that a pattern matches, a list of such, what a function says yes to
 * (`Predicate.isNumber`, `Schema.is(Positive)`, `(tokens) => tokens === 4`), or `undefined`: then there must be none.
 */
export type ExpectedValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | RegExp
  | ((value: Value) => boolean)
  | ReadonlyArray<ExpectedValue>

/** Attributes that must be as they are here. Those that are not named are not looked at. */
export type ExpectedValues = Readonly<Record<string, ExpectedValue>>

/** An event of a span; a text is its name alone. */
export type ExpectedEvent = string | { readonly name: string; readonly attributes?: ExpectedValues | undefined }

/** A span with what is below it; a text is its name alone. What is left out is not looked at. */
export type ExpectedSpan = string | SpanExpectation

/** A span with what is below it. What is left out is not looked at. */
export interface SpanExpectation {
  readonly name: string
  readonly kind?: StoredSpan["kind"] | undefined
  /** How it ended. `ok` is neither of the others. */
  readonly status?: Status | undefined
  /** The message of the error that it ended with. */
  readonly error?: string | RegExp | undefined
  readonly attributes?: ExpectedValues | undefined
  /** Exactly these, in their order, unless `including` or `unordered` say otherwise. */
  readonly events?: Items<ExpectedEvent> | undefined
  /** Exactly these, in the order in which they started, unless `including` or `unordered` say otherwise. */
  readonly children?: Items<ExpectedSpan> | undefined
}

/** How a span ended. */
export type Status = "ok" | "error" | "interrupted"

/** Several spans, or several events: exactly these in this order, or as `including` and `unordered` say. */
export type Items<A> = ReadonlyArray<A> | Many<A>

/** Several spans, or several events, and how they are compared. */
export interface Many<out A> {
  readonly "~tinyllm/TelemetryTest/Many": true
  readonly items: ReadonlyArray<A>
  /** Whether there may be others besides. */
  readonly others: boolean
  /** Whether their order is the one of `items`. */
  readonly ordered: boolean
}

/** These in any order: for what runs in parallel. */
export const unordered = <A>(items: Items<A>): Many<A> => ({ ...many(items), ordered: false })

/** These among others, in this order; `including(unordered([…]))` for any order. */
export const including = <A>(items: Items<A>): Many<A> => ({ ...many(items), others: true })

const many = <A>(items: Items<A>): Many<A> =>
  "~tinyllm/TelemetryTest/Many" in items
    ? items
    : { "~tinyllm/TelemetryTest/Many": true, items, others: false, ordered: true }

// ---------------------------------------------------------------------------------------------------------------------
// Reading expectations
// ---------------------------------------------------------------------------------------------------------------------

/** An expectation in one form, however it was written. Each is an object of its own. */
export interface Span extends Omit<SpanExpectation, "events" | "children" | "attributes"> {
  readonly attributes: ExpectedValues
  readonly events: Many<Event> | undefined
  readonly children: Many<Span> | undefined
}

/** An expectation of an event, however it was written. */
export interface Event {
  readonly name: string
  readonly attributes: ExpectedValues
}

/** Expectations in one form. */
export const read = (spans: Items<ExpectedSpan>): Many<Span> => mapped(many(spans), readSpan)

// What is misspelled would never be looked at, and its test never fail.
const known = (of: object, keys: ReadonlySet<string>, what: string): void => {
  const wrong = Object.keys(of).find((key) => !keys.has(key))
  if (wrong !== undefined) {
    throw new RangeError(`TelemetryTest: ${what} has no "${wrong}"; it has ${[...keys].join(", ")}`)
  }
}

const keysOfSpan = new Set(["name", "kind", "status", "error", "attributes", "events", "children"])
const keysOfEvent = new Set(["name", "attributes"])

const readSpan = (span: ExpectedSpan): Span => {
  const given: SpanExpectation = typeof span === "string" ? { name: span } : span
  known(given, keysOfSpan, "an expected span")
  const { attributes = {}, children, events, ...rest } = given
  return {
    ...rest,
    attributes,
    events: events === undefined ? undefined : mapped(many(events), readEvent),
    children: children === undefined ? undefined : read(children)
  }
}

const readEvent = (event: ExpectedEvent): Event => {
  const given = typeof event === "string" ? { name: event } : event
  known(given, keysOfEvent, "an expected event")
  return { name: given.name, attributes: given.attributes ?? {} }
}

const mapped = <A, B>(many: Many<A>, f: (item: A) => B): Many<B> => ({ ...many, items: many.items.map(f) })

/** How a span ended. */
export const statusOf = (span: StoredSpan): Status =>
  span.status.code === "error" ? "error" : span.attributes["effect.fiber.interrupted"] === true ? "interrupted" : "ok"

/** Whether a value is what is expected of it. What a function throws is no yes. */
export const matches = (expected: ExpectedValue, value: Value | undefined): boolean => {
  if (expected === undefined || value === undefined) {
    return expected === value
  }
  if (typeof expected === "function") {
    return Result.getOrElse(
      // A promise is no yes.
      Result.try(() => expected(value) === true),
      () => false
    )
  }
  if (expected instanceof RegExp) {
    // One that looks on from where it was would give another answer the next time.
    return typeof value === "string" && value.search(expected) !== -1
  }
  if (Array.isArray(expected)) {
    return (
      Array.isArray(value) &&
      value.length === expected.length &&
      expected.every((item: ExpectedValue, index) => matches(item, value[index] as Value))
    )
  }
  return typeof expected === "bigint" || typeof value === "bigint"
    ? // An integer is a number where a number holds it.
      (typeof value === "number" || typeof value === "bigint") && expected == value // oxlint-disable-line eqeqeq
    : Object.is(expected, value)
}

/** A value, or what is expected of one, in one line. */
export const shown = (value: ExpectedValue | Value, key = ""): string => {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value)
    case "bigint":
      return `${value}n`
    case "undefined":
      return "nothing"
    case "function":
      return value.name !== "" && value.name !== key
        ? value.name
        : String(value).replaceAll(/\s+/g, " ").slice(0, longestFunction)
    case "object":
      return value === null || value instanceof RegExp
        ? String(value)
        : value instanceof Uint8Array
          ? `${value.length} bytes`
          : Array.isArray(value)
            ? `[${value.map((item: Value) => shown(item)).join(", ")}]`
            : `{${Object.entries(value)
                .map(([key, item]) => `${JSON.stringify(key)}: ${shown(item as Value)}`)
                .join(", ")}}`
    default:
      return String(value)
  }
}

const longestFunction = 120
