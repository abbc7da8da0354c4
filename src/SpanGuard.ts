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
  const { bytes, redact } = options
  const configured = redact !== Redaction.redact
  const names = new Map<string, string>()
  const keys = new Map<string, string>()

  const clean = (key: string, value: AttributeValue): AttributeValue => {
    if (typeof value === "string") {
      const kind = kindOf(key)
      return kind === ordinary || (kind === ours && configured)
        ? redact(value)
        : kind === secret && value !== redactedValue
          ? Redaction.isSecret(key, value)
            ? Redaction.mark
            : redact(value)
          : value
    }
    if (typeof value === "number") {
      return kindOf(key) === secret && Redaction.isSecret(key, value) ? Redaction.mark : value
    }
    return Array.isArray(value) ? cleanItems(key, value) : value
  }
  const cleanItems = (key: string, values: ReadonlyArray<unknown>): AttributeValue => {
    const cleaned = values.map((item) => clean(key, item as AttributeValue))
    return cleaned.some((item, index) => item !== values[index])
      ? (cleaned as ReadonlyArray<string>)
      : (values as ReadonlyArray<string>)
  }
  const cleanAll = (attributes: Record<string, AttributeValue | undefined>): number => {
    let units = 0
    for (const key in attributes) {
      const value = attributes[key]
      if (value === undefined) {
        continue
      }
      units += overhead + key.length
      const cleaned = typeof value === "boolean" ? value : clean(key, value)
      const name = configured ? shortKey(key) : key
      if (name !== key) {
        delete attributes[key]
        units += name.length
      }
      if (cleaned !== value || name !== key) {
        attributes[name] = cleaned
      }
      if (typeof cleaned === "number" || typeof cleaned === "boolean") {
        continue
      }
      units += typeof cleaned === "string" ? cleaned.length : sizeOfItems(cleaned)
    }
    return units
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

  // What keys hold is the program's, and the same again and again.
  const shortKey = (key: string): string => {
    const known = keys.get(key)
    if (known !== undefined) {
      return known
    }
    const cleaned = conventional.test(key) ? key : redact(key)
    if (keys.size < maximumKeys && key.length <= nameBytes) {
      keys.set(key, cleaned)
    }
    return cleaned
  }

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

const ordinary = 0
const ours = 1
const secret = 2
const content = 3

// How `Redacted` values show.
const redactedValue = "<redacted>"

// Ours whose values are ids, or names and settings that somebody configured. There is no secret to look for in them.
const kinds = new Map<string, number>([
  ...[...whole].map((key) => [key, content] as const),
  ...[
    "graph.id",
    "execution.trace_id",
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

const maximumKeys = 2000

const kindOf = (key: string): number => {
  const known = kinds.get(key)
  if (known !== undefined) {
    return known
  }
  const kind = Redaction.namesSecret(key) ? secret : ordinary
  if (kinds.size < maximumKeys && key.length <= nameBytes) {
    kinds.set(key, kind)
  }
  return kind
}
