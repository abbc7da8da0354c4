/**
 * Any value as an attribute that OpenTelemetry can hold.
 *
 * @since 0.1.0
 */
import * as Formatter from "effect/Formatter"
import * as Redacted from "effect/Redacted"
import type { AttributeValue } from "./Span.ts"

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
  const primitives = values
    .filter((value) => value !== undefined && value !== null)
    .map((value) => (typeof value === "object" ? value : normalize(value)))
  const type = typeof primitives[0]
  return type !== "object" && primitives.every((value) => typeof value === type)
    ? (primitives as ReadonlyArray<string>)
    : Formatter.formatJson(values)
}

const object = (value: object): string =>
  Redacted.isRedacted(value)
    ? "<redacted>"
    : value instanceof Error
      ? `${value.name}: ${value.message}`
      : Formatter.formatJson(
          value instanceof Map ? Object.fromEntries(value) : value instanceof Set ? [...value] : value
        )
