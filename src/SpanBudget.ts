/**
 * How much room a span takes as OTLP, and how one that takes too much is made smaller: what is largest is cut first.
 *
 * @since 0.1.0
 */
import type { AttributeValue } from "./Attribute.ts"
import * as Redaction from "./Redaction.ts"
import { exportedStateLength } from "./TraceContext.ts"
import * as Utf8 from "./Utf8.ts"

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

/** Nothing was left out. */
export const nothing: Dropped = { attributes: 0, events: 0, links: 0 }

/** Of a name, at most. */
export const nameBytes = 256

// Content is JSON, without secrets and cut already where it is written. Changed once more, it would parse no longer.
export const whole: ReadonlySet<string> = new Set([
  "gen_ai.system_instructions",
  "gen_ai.input.messages",
  "gen_ai.output.messages",
  "gen_ai.tool.definitions",
  "gen_ai.tool.call.arguments",
  "gen_ai.tool.call.result"
])

// ---------------------------------------------------------------------------------------------------------------------
// Sizes, as OTLP writes them
// ---------------------------------------------------------------------------------------------------------------------

// Tags and lengths of one attribute or event, and a number or a time, which is the most that a fixed field takes.
export const overhead = 24

// Ids, times, kind, flags, counts, the description of the status, and a `tracestate`.
export const fixedBytes = 128 + 4 * nameBytes + exportedStateLength

// Ids and a `tracestate` of their own.
export const linkBytes = 64 + exportedStateLength

const itemBytes = 12

export const sizeOfItems = (items: unknown): number =>
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

export const maximumItems = 1024

// Texts that take more than `bytes` with what stands around each. Numbers are never too long.
export const isLong = (items: ReadonlyArray<unknown>, bytes: number): boolean => {
  let left = bytes
  for (const item of items) {
    if (typeof item !== "string") {
      return false
    }
    left -= itemBytes + item.length
  }
  return left < 0
}

export const cutItems = (items: ReadonlyArray<unknown>, bytes: number, redact: Redaction.Redact): AttributeValue => {
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

/** A text, and every text of a list, of `length` UTF-16 units at most. What is cut does not end in half a character. */
export const shortened = (value: AttributeValue, length: number): AttributeValue =>
  typeof value === "string"
    ? value.length <= length
      ? value
      : value.slice(0, length).replace(/[\ud800-\udbff]$/, "")
    : Array.isArray(value)
      ? value.map((item: unknown) => (typeof item === "string" ? (shortened(item, length) as string) : item) as string)
      : value

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

/** Makes a span fit into so many bytes, in place. Says what had to be left out. */
export const shrink = (span: Parts, bytes: number): Dropped => {
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
