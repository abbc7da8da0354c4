/**
 * Any value as an attribute that OpenTelemetry can hold. Whatever the value is, nothing here fails.
 *
 * @since 0.1.0
 */
import { isRedactable, redact } from "effect/Redactable"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { hidden, longestSecret } from "./Redaction.ts"

/** What an attribute may hold. */
export type AttributeValue =
  | string
  | number
  | boolean
  | ReadonlyArray<string>
  | ReadonlyArray<number>
  | ReadonlyArray<boolean>

/** Attributes by name. `undefined` is left out, so an unknown value needs no `if`. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>

/**
 * Nothing for `null` and `undefined`; numbers stay numbers, also a bigint that fits one; an array of one primitive
 * type stays an array; everything else becomes compact JSON, in one line, with `Redacted` values hidden.
 */
export const normalize = (value: unknown): AttributeValue | undefined => {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return value
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
    case "undefined":
      return undefined
    case "symbol":
    case "function":
      return String(value)
    case "object":
      return value === null ? undefined : Array.isArray(value) ? array(value) : object(value)
  }
}

/** Normalizes every value and leaves out what is nothing. */
export const normalizeAll = (values: Readonly<Record<string, unknown>>): Record<string, AttributeValue> => {
  const normal: Record<string, AttributeValue> = {}
  for (const key of Object.keys(values)) {
    const value = normalize(values[key])
    if (value !== undefined) {
      normal[key] = value
    }
  }
  return normal
}

const array = (values: ReadonlyArray<unknown>): AttributeValue => {
  // What most lists are. A copy: the program may go on to write into its own.
  if (values.length > 0 && values.every((value) => typeof value === "string")) {
    return values.slice()
  }
  const primitives = values
    .filter((value) => value !== undefined && value !== null)
    .map((value) => (typeof value === "object" ? value : normalize(value)))
  const type = typeof primitives[0]
  return type !== "object" && primitives.every((value) => typeof value === type)
    ? (primitives as ReadonlyArray<string>)
    : json(values, maximumCharacters)
}

const object = (value: object): string | undefined => {
  const text = Redacted.isRedacted(value)
    ? "<redacted>"
    : value instanceof Error
      ? attempt(() => `${value.name}: ${value.message}`)
      : json(value, maximumCharacters)
  // What is a string in JSON is one here too: a date is no text in quotes.
  return text.startsWith('"')
    ? attempt(() => String(JSON.parse(text)))
    : text === "" || text === "null"
      ? undefined
      : text
}

/** Characters of JSON in one attribute. What goes beyond is left out, not cut: the rest parses. */
const maximumCharacters = 16_384

const maximumDepth = 32
const unreadable = "[unreadable]"

/**
 * Compact JSON of any value, of about `characters` at most: what comes later is left out, so that a value of a million
 * parts costs no more than one of a hundred.
 */
export const json = (value: unknown, characters: number): string =>
  attempt(() => JSON.stringify(prune(value, { left: characters, ancestors: [] })) ?? "")

interface Budget {
  left: number
  readonly ancestors: Array<object>
}

const prune = (value: unknown, budget: Budget): unknown => {
  if (typeof value === "string") {
    const text = value.length <= budget.left ? value : beginning(value, Math.max(0, budget.left))
    budget.left -= text.length
    return text
  }
  budget.left -= 4
  if (typeof value === "bigint") {
    return String(value)
  }
  if (typeof value !== "object" || value === null) {
    return value
  }
  if (isRedactable(value)) {
    return prune(redact(value), budget)
  }
  if (budget.ancestors.includes(value)) {
    return "[circular]"
  }
  if (budget.ancestors.length >= maximumDepth) {
    return "…"
  }
  budget.ancestors.push(value)
  const pruned = parts(value, budget)
  budget.ancestors.pop()
  return pruned
}

// The last word of a text that is cut may be the first half of a secret, which nothing would recognise.
const beginning = (text: string, characters: number): string => {
  const read = text.slice(0, characters)
  const space = Math.max(read.lastIndexOf(" "), read.lastIndexOf("\n"), read.length - longestSecret)
  return `${read.slice(0, Math.max(0, space)).replace(/[\ud800-\udbff]$/, "")}…`
}

const parts = (value: object, budget: Budget): unknown => {
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? undefined : value.toISOString()
  }
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return `${value.byteLength} bytes`
  }
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return prune(value.toJSON(), budget)
  }
  if (Array.isArray(value) || value instanceof Set) {
    const items: Array<unknown> = []
    for (const item of value) {
      if (budget.left <= 0) {
        break
      }
      items.push(prune(item, budget))
    }
    return items
  }
  const fields: Record<string, unknown> = {}
  const keys = value instanceof Map ? value.keys() : Object.keys(value)
  for (const key of keys) {
    if (budget.left <= 0) {
      break
    }
    budget.left -= String(key).length
    const part = prune(value instanceof Map ? value.get(key) : value[key as keyof typeof value], budget)
    fields[String(key)] = hidden(String(key), part)
  }
  return fields
}

// A getter or a `toJSON` may throw, and a span is no reason to fail.
const attempt = (read: () => string): string => Result.getOrElse(Result.try(read), () => unreadable)

/** Cuts a text after `length` code points and marks the cut with `…`. */
export const truncate = (text: string, length: number): string => {
  if (text.length <= length) {
    return text
  }
  const points = Array.from(text.slice(0, 2 * length + 2))
  return points.length <= length ? text : `${points.slice(0, length).join("")}…`
}
