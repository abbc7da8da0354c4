/**
 * What every span goes through before it is handed on: secrets are replaced, and its size is kept within a budget.
 *
 * A tracer calls `value` for every value that it is given, which does nothing but compare a length unless the value is
 * large, and `finish` once when a span has ended. Only there the whole of the span is known, so that the largest texts
 * are cut first and what is small stays as it is.
 *
 * @since 0.1.0
 */
import type { AttributeValue } from "./Attribute.ts"
import * as Redaction from "./Redaction.ts"
import {
  cutItems,
  type Dropped,
  fixedBytes,
  isLong,
  linkBytes,
  maximumItems,
  nameBytes,
  nothing,
  overhead,
  type Parts,
  shortened,
  shrink,
  sizeOfItems,
  whole
} from "./SpanBudget.ts"
import * as Utf8 from "./Utf8.ts"

export type { Dropped, Parts } from "./SpanBudget.ts"

/** How spans are guarded. */
export interface Options {
  /** Of one span as OTLP, its events and links included. */
  readonly bytes: number
  readonly redact: Redaction.Redact
  /** Whether log lines are events. */
  readonly logEvents: boolean
  /** UTF-16 units of a text in an attribute at most; no limit by default. It cuts what has no secrets any more. */
  readonly valueLength?: number | undefined
}

export interface Guard {
  /** For the name of a span. Those of events are seen to when it has ended. */
  readonly name: (name: string) => string
  /** For a value that is put into a span. What is larger than a whole span is cut now, or it would be kept alive. */
  readonly value: (value: AttributeValue) => AttributeValue
  /** For a span that has ended. Says what had to be left out. */
  readonly finish: (span: Parts) => Dropped
  readonly redact: Redaction.Redact
  readonly logEvents: boolean
}

const level = "effect.logLevel"

/**
 * Whether an event is a log line: Effect's loggers by default write every line into the span that is open, the whole
 * message as the name. What a log line says goes to the log only: `logEvent` is what may be left of it.
 */
export const isLogLine = (attributes: Readonly<Record<string, unknown>> | undefined): boolean => {
  // A proxy may throw; asked for every event, so without a closure.
  try {
    return attributes !== undefined && Object.hasOwn(attributes, level) && Object.hasOwn(attributes, "effect.fiberId")
  } catch {
    return false
  }
}

/** The name of the event that may stand for a log line. */
export const logEventName = "log"

/** All that such an event has: the level. */
export const logEvent = (line: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> => ({
  [level]: line?.[level]
})

/** The budget of a span, in bytes, where none is set. */
export const defaultBytes = 16 * 1024

/** Makes a guard. */
export const make = (options: Options): Guard => {
  const { bytes, redact, valueLength = Number.POSITIVE_INFINITY } = options
  const configured = redact !== Redaction.redact
  const names = new Map<string, string>()
  const texts = new Map<string, string>()
  const keys = new Map<string, Key>()

  const clean = (key: Key, value: AttributeValue): AttributeValue => {
    const { kind, written } = key
    if (typeof value === "string") {
      return kind === ordinary
        ? redact(value)
        : kind === ours
          ? cleanText(value)
          : kind === drawn && configured
            ? redact(value)
            : kind === secret && value !== redactedValue
              ? Redaction.isSecret(written, value)
                ? Redaction.mark
                : redact(value)
              : value
    }
    if (typeof value === "number") {
      return kind === secret && Redaction.isSecret(written, value) ? Redaction.mark : value
    }
    return Array.isArray(value) ? cleanItems(key, value) : value
  }
  const cleanItems = (key: Key, values: ReadonlyArray<unknown>): AttributeValue => {
    const cleaned = values.map((item) => clean(key, item as AttributeValue))
    return cleaned.some((item, index) => item !== values[index])
      ? (cleaned as ReadonlyArray<string>)
      : (values as ReadonlyArray<string>)
  }
  const cleanAll = (attributes: Record<string, AttributeValue | undefined>): number => {
    let units = 0
    let renamed: Array<Key> | undefined
    for (const written in attributes) {
      const value = attributes[written]
      if (value === undefined) {
        continue
      }
      const key = keyOf(written)
      const whole = clean(key, value)
      const cleaned = valueLength === Number.POSITIVE_INFINITY ? whole : shortened(whole, valueLength)
      if (cleaned !== value) {
        attributes[written] = cleaned
      }
      if (key.shown !== written) {
        renamed ??= []
        renamed.push(key)
      }
      units += overhead + written.length
      if (typeof cleaned === "string") {
        units += cleaned.length
      } else if (typeof cleaned === "object") {
        units += sizeOfItems(cleaned)
      }
    }
    return renamed === undefined ? units : units + rename(attributes, renamed)
  }

  // A program has few names, and spans without end.
  const shortName = (name: string): string => {
    const known = names.get(name)
    if (known !== undefined) {
      return known
    }
    const cleaned = Utf8.cut(Redaction.start(name, nameBytes, redact), nameBytes)
    if (names.size < maximumNames && name.length <= nameBytes) {
      names.set(name, cleaned)
    }
    return cleaned
  }

  // Ids and names of what a program is made of, which are few.
  const cleanText = (text: string): string => {
    const known = texts.get(text)
    if (known !== undefined) {
      return known
    }
    const cleaned = redact(text)
    if (texts.size < maximumNames && text.length <= nameBytes) {
      texts.set(text, cleaned)
    }
    return cleaned
  }

  const keyOf = (written: string): Key => {
    const known = keys.get(written)
    if (known !== undefined) {
      return known
    }
    const key = {
      written,
      // One that is longer than a span is left out.
      shown: written.length > bytes || isName(written) ? written : redact(written),
      kind: kinds.get(written) ?? (Redaction.namesSecret(written) ? secret : ordinary)
    }
    if (keys.size < maximumKeys && written.length <= nameBytes) {
      keys.set(written, key)
    }
    return key
  }
  const isName = (key: string): boolean => (configured ? conventional : words).test(key)

  return {
    redact,
    logEvents: options.logEvents,
    name: shortName,
    value: (value) =>
      typeof value === "string"
        ? value.length <= bytes
          ? value
          : Utf8.cut(Redaction.start(value, bytes, redact), bytes)
        : Array.isArray(value) && (value.length > maximumItems || isLong(value, bytes))
          ? cutItems(value, bytes, redact)
          : value,
    finish: (span) => {
      // Upper bounds first: a unit of a text takes three bytes at most. Most spans are far from the budget.
      let units = cleanAll(span.attributes) + span.name.length
      for (const event of span.events) {
        event.name = shortName(event.name)
        units += overhead + event.name.length + (event.attributes === undefined ? 0 : cleanAll(event.attributes))
      }
      for (const { attributes } of span.links) {
        units += attributes === undefined ? 0 : cleanAll(attributes)
      }
      return units * 3 + span.links.length * linkBytes + fixedBytes <= bytes ? nothing : shrink(span, bytes)
    }
  }
}

const maximumNames = 1000

// ---------------------------------------------------------------------------------------------------------------------
// Keys
// ---------------------------------------------------------------------------------------------------------------------

/** What is known of a key. A program has few, and writes them again and again. */
interface Key {
  /** As the program wrote it. */
  readonly written: string
  /** As it leaves the program, without secrets. */
  readonly shown: string
  readonly kind: number
}

const ordinary = 0
const ours = 1
const secret = 2
const content = 3
const drawn = 4

// How `Redacted` values show.
const redactedValue = "<redacted>"

const kinds: ReadonlyMap<string, number> = new Map([
  ...[...whole].map((key) => [key, content] as const),
  // Random, and no text of anybody's.
  ["execution.trace_id", drawn],
  // Ours whose values are few in a program. What they are is looked at once.
  ...[
    "graph.id",
    "node.id",
    "node.type",
    "llm.model",
    "error.type",
    "router.route",
    "router.strategy",
    "gen_ai.operation.name",
    "gen_ai.workflow.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.output.type",
    "server.address"
  ].map((key) => [key, ours] as const)
])

// Keys that TinyLLM and the conventions write: nobody finds a value under another name.
const conventional =
  /^(?:gen_ai|llm|graph|node|execution|task|router|retry|error|exception|server|tinyllm|effect)\.[a-zA-Z_.]+$/

// Where no patterns are configured, words alone are no secret, whatever they begin with: `npm_package_version`.
const words = /^[a-z]+(?:[._][a-z]+)*$/

const maximumKeys = 2000

// Keys that show as the same text are numbered, so that each keeps its value. Gives a bound of what that takes.
const rename = (attributes: Record<string, AttributeValue | undefined>, keys: ReadonlyArray<Key>): number => {
  let units = 0
  let number = 1
  for (const { shown, written } of keys) {
    let name = shown
    while (Object.hasOwn(attributes, name)) {
      number++
      name = `${shown}_${number}`
    }
    attributes[name] = attributes[written]
    delete attributes[written]
    units += name.length
  }
  return units
}
