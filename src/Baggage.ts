/**
 * W3C baggage: values that travel with a request from service to service.
 *
 * Baggage is for few and short values that every service may see: a tenant, a release, an experiment. It leaves the
 * process in the clear, so neither secrets nor texts of people belong there. It is not copied to spans.
 * https://www.w3.org/TR/baggage/
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { trimmed } from "./TraceContext.ts"

/** What a key stands for. */
export interface Entry {
  /** Any text: what a header cannot hold is percent-encoded there. */
  readonly value: string
  /** What is said of the entry, as in the header: `ttl=30;private`. Passed on unread. */
  readonly properties?: string | undefined
}

/** Entries by their keys, which are tokens of HTTP: letters, digits and ``!#$%&'*+-.^_`|~``. */
export type Baggage = ReadonlyMap<string, Entry>

export const empty: Baggage = new Map()

/** The baggage of the effect that is running; empty by default. */
export const Current: Context.Reference<Baggage> = Context.Reference("tinyllm/Baggage/Current", {
  defaultValue: () => empty
})

/** The baggage of the effect that is running. */
export const current: Effect.Effect<Baggage> = Current

/** The value of a key; `undefined` when there is none. */
export const get = (key: string): Effect.Effect<string | undefined> =>
  Effect.map(Current, (baggage) => baggage.get(key)?.value)

/**
 * Adds entries to the baggage of an effect, in place of those with the same keys; `undefined` removes one.
 *
 * An entry that cannot be sent (its key is no token, or there is no room for it) is there in this process and stays
 * behind when a request leaves it.
 */
export const withEntries =
  (entries: Readonly<Record<string, string | Entry | undefined>>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(self, Current, (baggage) => {
      const changed = new Map(baggage)
      for (const [key, entry] of Object.entries(entries)) {
        if (entry === undefined || entry === null) {
          changed.delete(key)
        } else {
          changed.set(key, typeof entry === "string" ? { value: entry } : entry)
        }
      }
      return changed
    })

/** Entries of `over` in place of those of `under` with the same keys. */
export const merge = (under: Baggage, over: Baggage): Baggage =>
  over.size === 0 ? under : under.size === 0 ? over : new Map([...under, ...over])

// ---------------------------------------------------------------------------------------------------------------------
// The header
// ---------------------------------------------------------------------------------------------------------------------

/** How many entries are read and sent at most. */
export const maximumEntries = 64

/** How many bytes of header are read and sent at most. */
export const maximumBytes = 8192

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const octets = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/

/**
 * Reads a `baggage` header, several of them joined with commas. What is not valid is left out, and so is what goes over
 * 64 entries or 8192 bytes. Of entries with the same key the last one stays.
 */
export const parse = (header: string): Baggage => {
  const entries = new Map<string, Entry>()
  for (const text of header.split(",")) {
    const [pair = "", ...properties] = text.split(";").map(trimmed)
    const equals = pair.indexOf("=")
    const key = trimmed(pair.slice(0, Math.max(equals, 0)))
    const value = trimmed(pair.slice(equals + 1))
    const known = properties.map(property)
    if (token.test(key) && octets.test(value) && known.every((text) => text !== undefined)) {
      entries.set(key, {
        value: decode(value),
        ...(known.length === 0 ? {} : { properties: known.join(";") })
      })
    }
  }
  return new Map(fitting(entries).map(({ entry, key }) => [key, entry]))
}

/** A header, and how many entries it has no room for or no way to express. */
export interface Serialized {
  /** `undefined` when nothing is to be sent. */
  readonly header: string | undefined
  readonly leftOut: number
}

/** The `baggage` header of these entries: 64 and 8192 bytes at most, the first that fit. */
export const serialize = (baggage: Baggage): Serialized => {
  const members = fitting(baggage).map(({ text }) => text)
  return {
    header: members.length === 0 ? undefined : members.join(","),
    leftOut: baggage.size - members.length
  }
}

interface Member {
  readonly key: string
  readonly entry: Entry
  readonly text: string
}

const fitting = (baggage: Baggage): ReadonlyArray<Member> => {
  const members: Array<Member> = []
  let bytes = 0
  for (const [key, entry] of baggage) {
    const text = member(key, entry)
    const added = text === undefined ? Infinity : text.length + (members.length === 0 ? 0 : 1)
    if (text !== undefined && members.length < maximumEntries && bytes + added <= maximumBytes) {
      members.push({ key, entry, text })
      bytes += added
    }
  }
  return members
}

const member = (key: string, { properties, value }: Entry): string | undefined => {
  const known = properties === undefined || properties === "" ? [] : properties.split(";").map(property)
  return token.test(key) && typeof value === "string" && known.every((text) => text !== undefined)
    ? [`${key}=${encode(value)}`, ...known].join(";")
    : undefined
}

/** A property without the spaces in it; `undefined` when it is not valid. */
const property = (text: string): string | undefined => {
  const equals = text.indexOf("=")
  const key = trimmed(equals === -1 ? text : text.slice(0, equals))
  const value = equals === -1 ? undefined : trimmed(text.slice(equals + 1))
  return !token.test(key) || (value !== undefined && !octets.test(value))
    ? undefined
    : value === undefined
      ? key
      : `${key}=${value}`
}

// Only what must be, so that a header does not grow from service to service.
const encode = (text: string): string =>
  text.toWellFormed().replace(/[^\x21\x23\x24\x26-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+/g, encodeURIComponent)

// `decodeURIComponent` refuses what is no UTF-8; the standard wants the replacement character for it.
const decode = (text: string): string =>
  text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (encoded) =>
    utf8.decode(Uint8Array.from(encoded.slice(1).split("%"), (digits) => Number.parseInt(digits, 16)))
  )

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
