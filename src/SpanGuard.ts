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
import { exportedStateLength } from "./TraceContext.ts"
import * as Utf8 from "./Utf8.ts"

/** How spans are guarded. */
export interface Options {
  /** Of one span as OTLP, its events and links included. */
  readonly bytes: number
  readonly redact: Redaction.Redact
  /** Whether log lines are events. */
  readonly logEvents: boolean
}

/** The parts of a span that has ended. They are changed in place. */
export interface Parts {
  readonly name: string
  readonly attributes: Record<string, AttributeValue | undefined>
  readonly events: Array<{
    name: string
    readonly attributes?: Record<string, AttributeValue | undefined> | undefined
  }>
  readonly links: Array<{ readonly attributes?: Record<string, AttributeValue | undefined> | undefined }>
}

/** How many were left out for want of room. */
export interface Dropped {
  readonly attributes: number
  readonly events: number
  readonly links: number
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

const nothing: Dropped = { attributes: 0, events: 0, links: 0 }

const nameBytes = 256
const maximumNames = 1000

// ---------------------------------------------------------------------------------------------------------------------
// Keys
// ---------------------------------------------------------------------------------------------------------------------

const ordinary = 0
const ours = 1
const secret = 2
const content = 3

// Content is JSON, without secrets and cut already where it is written. Changed once more, it would parse no longer.
const whole = new Set([
  "gen_ai.system_instructions",
  "gen_ai.input.messages",
  "gen_ai.output.messages",
  "gen_ai.tool.definitions",
  "gen_ai.tool.call.arguments",
  "gen_ai.tool.call.result"
])

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

// ---------------------------------------------------------------------------------------------------------------------
// Sizes, as OTLP writes them
// ---------------------------------------------------------------------------------------------------------------------

// Tags and lengths of one attribute or event, and a number or a time, which is the most that a fixed field takes.
const overhead = 24

// Ids, times, kind, flags, counts, the description of the status, and a `tracestate`.
const fixedBytes = 128 + 4 * nameBytes + exportedStateLength

// Ids and a `tracestate` of their own.
const linkBytes = 64 + exportedStateLength

const itemBytes = 12

const sizeOfItems = (items: unknown): number =>
  Array.isArray(items)
    ? items.reduce<number>((sum, item) => sum + itemBytes + (typeof item === "string" ? item.length : 0), 0)
    : 0

const bytesOf = (value: AttributeValue): number =>
  typeof value === "string"
    ? Utf8.bytes(value)
    : Array.isArray(value)
      ? value.reduce<number>((sum, item) => sum + itemBytes + (typeof item === "string" ? Utf8.bytes(item) : 0), 0)
      : 0

// ---------------------------------------------------------------------------------------------------------------------
// Cutting
// ---------------------------------------------------------------------------------------------------------------------

const maximumItems = 1024

// Texts that take more than `bytes` with what stands around each. Numbers are never too long.
const isLong = (items: ReadonlyArray<unknown>, bytes: number): boolean => {
  let left = bytes
  for (const item of items) {
    if (typeof item !== "string") {
      return false
    }
    left -= itemBytes + item.length
  }
  return left < 0
}

const cutItems = (items: ReadonlyArray<unknown>, bytes: number, redact: Redaction.Redact): AttributeValue => {
  let left = bytes
  const kept: Array<unknown> = []
  for (const item of items) {
    const text =
      typeof item !== "string"
        ? item
        : item.length <= bytes
          ? item
          : Utf8.cut(Redaction.start(item, bytes, redact), bytes)
    left -= itemBytes + (typeof text === "string" ? text.length : 0)
    if (kept.length >= maximumItems || (left < 0 && kept.length > 0)) {
      break
    }
    kept.push(text)
  }
  return (
    kept.length === items.length && kept.every((item, index) => item === items[index]) ? items : kept
  ) as ReadonlyArray<string>
}

// A list is cut after the last item that has room.
const cutValue = (value: AttributeValue, bytes: number): AttributeValue => {
  if (typeof value === "string") {
    return Utf8.cut(value, bytes)
  }
  if (!Array.isArray(value)) {
    return value
  }
  let left = bytes
  const kept: Array<unknown> = []
  for (const item of value as ReadonlyArray<unknown>) {
    const size = itemBytes + (typeof item === "string" ? Utf8.bytes(item) : 0)
    if (size > left) {
      if (typeof item === "string" && left >= itemBytes + 3) {
        kept.push(Utf8.cut(item, left - itemBytes))
      }
      break
    }
    left -= size
    kept.push(item)
  }
  return kept as ReadonlyArray<string>
}

// ---------------------------------------------------------------------------------------------------------------------
// Shrinking
// ---------------------------------------------------------------------------------------------------------------------

// What is cut keeps as much as this; where there is no room for that, it is left out.
const leastBytes = 48

interface Piece {
  readonly of: Record<string, AttributeValue | undefined>
  readonly key: string
  readonly bytes: number
}

const shrink = (span: Parts, bytes: number): Dropped => {
  const left = bytes - fixedBytes - Utf8.bytes(span.name)
  const events = span.events.length
  const links = span.links.length
  let minimum = minimumOfAll(span)
  // The newest stay, and errors longest of all.
  for (let at = 0; minimum > left && at < span.events.length;) {
    const event = span.events[at]
    if (event === undefined || event.name === "exception") {
      at++
    } else {
      minimum -= minimumOfEvent(event)
      span.events.splice(at, 1)
    }
  }
  while (minimum > left && span.links.length > 0) {
    minimum -= minimumOfLink(span.links[0])
    span.links.shift()
  }
  while (minimum > left && span.events.length > 1) {
    minimum -= minimumOfEvent(span.events[0])
    span.events.shift()
  }
  let attributes = 0
  for (const [key, value] of Object.entries(span.attributes).toSorted(byWorth)) {
    if (minimum <= left) {
      break
    }
    minimum -= minimumOf(key, value)
    delete span.attributes[key]
    attributes++
  }
  cutLongest(span, left)
  return { attributes, events: events - span.events.length, links: links - span.links.length }
}

// What is left out first: the largest of what must not be cut, then texts and lists, the longest keys first.
const byWorth = (
  [a, valueOfA]: readonly [string, AttributeValue | undefined],
  [b, valueOfB]: readonly [string, AttributeValue | undefined]
): number => minimumOf(b, valueOfB) - minimumOf(a, valueOfA)

const minimumOf = (key: string, value: AttributeValue | undefined): number => {
  const size = value === undefined ? 0 : bytesOf(value)
  return overhead + Utf8.bytes(key) + (whole.has(key) ? size : Math.min(size, leastBytes))
}

const minimumOfMany = (attributes: Record<string, AttributeValue | undefined> | undefined): number =>
  Object.entries(attributes ?? {}).reduce((sum, [key, value]) => sum + minimumOf(key, value), 0)

const minimumOfEvent = (event: Parts["events"][number] | undefined): number =>
  event === undefined ? 0 : overhead + Utf8.bytes(event.name) + minimumOfMany(event.attributes)

const minimumOfLink = (link: Parts["links"][number] | undefined): number =>
  link === undefined ? 0 : linkBytes + minimumOfMany(link.attributes)

const minimumOfAll = (span: Parts): number =>
  minimumOfMany(span.attributes) +
  span.events.reduce((sum, event) => sum + minimumOfEvent(event), 0) +
  span.links.reduce((sum, link) => sum + minimumOfLink(link), 0)

// Cuts the longest texts and lists to the same length, so that the rest stays whole.
const cutLongest = (span: Parts, bytes: number): void => {
  const pieces: Array<Piece> = []
  let left = bytes
  const collect = (of: Record<string, AttributeValue | undefined> | undefined): void => {
    for (const [key, value] of Object.entries(of ?? {})) {
      const size = value === undefined ? 0 : bytesOf(value)
      left -= overhead + Utf8.bytes(key)
      if (whole.has(key)) {
        left -= size
      } else if (of !== undefined && size > 0) {
        pieces.push({ of, key, bytes: size })
      }
    }
  }
  collect(span.attributes)
  for (const event of span.events) {
    left -= overhead + Utf8.bytes(event.name)
    collect(event.attributes)
  }
  for (const link of span.links) {
    left -= linkBytes
    collect(link.attributes)
  }
  pieces.sort((a, b) => a.bytes - b.bytes)
  for (const [index, piece] of pieces.entries()) {
    const share = Math.max(0, Math.floor(left / (pieces.length - index)))
    const value = piece.of[piece.key]
    if (piece.bytes > share && value !== undefined) {
      piece.of[piece.key] = cutValue(value, share)
      left -= share
    } else {
      left -= piece.bytes
    }
  }
}
