/**
 * Attributes as the values that OTLP knows.
 *
 * @since 0.1.0
 */
import type { AnyValue, KeyValue } from "./OtlpFormat.ts"
import { unhex } from "./OtlpJson.ts"

/** The bytes of an id; none where it is no id. */
export const bytes = (hex: string): Uint8Array => unhex(hex) ?? new Uint8Array()

/** Writes attributes. `isInteger` says which numbers are integers of OTLP: it has two kinds, and JavaScript has one. */
export const keyValues =
  (isInteger: (value: number) => boolean) =>
  (attributes: object = {}): ReadonlyArray<KeyValue> =>
    Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value, isInteger) }))

const anyValue = (value: unknown, isInteger: (value: number) => boolean): AnyValue => {
  switch (typeof value) {
    case "string":
      return { stringValue: value }
    case "boolean":
      return { boolValue: value }
    case "bigint":
      return { intValue: value }
    case "number":
      return isInteger(value) ? { intValue: BigInt(value) } : { doubleValue: value }
    case "object":
      return value === null
        ? {}
        : value instanceof Uint8Array
          ? { bytesValue: value }
          : Array.isArray(value)
            ? { arrayValue: { values: value.map((item) => anyValue(item, isInteger)) } }
            : { kvlistValue: { values: keyValues(isInteger)(value) } }
    default:
      return {}
  }
}
