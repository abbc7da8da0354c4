/**
 * OTLP as JSON.
 *
 * It is not the JSON of protobuf: ids are hexadecimal, enumerations are numbers, and only names in camel case are fields.
 * Integers of 64 bits are texts; where somebody writes them as numbers, all their digits are read all the same.
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 *
 * @since 0.1.0
 */
import { deeper, Malformed, tables } from "./OtlpFormat.ts"
import type { ExportRequest, Fields, Scalar, Table } from "./OtlpFormat.ts"

/** A request as a value for `JSON.stringify`. */
export const toJson = (request: ExportRequest): object => writeMessage(tables.ExportRequest, request as Fields)

/** Reads the text of a request. Throws `Malformed`. */
export const fromJson = (text: string): ExportRequest => {
  let value: unknown
  try {
    value = parse(text)
  } catch (error) {
    throw new Malformed("it is no JSON", { cause: error })
  }
  return readMessage(tables.ExportRequest, value, tables.ExportRequest.name, 0) as ExportRequest
}

// A number of so many digits may have more than a number of JavaScript holds. It is worth a slower way only when there
// is one; where the digits are within a text, nothing is wrong but the time that it took.
const long = /[[:,\s]-?\d{16,}/

const parse = (text: string): unknown =>
  JSON.parse(text, long.test(text) ? (keepDigits as (key: string, value: unknown) => unknown) : undefined)

const keepDigits = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
    ? BigInt(context?.source ?? 0)
    : value

// ---------------------------------------------------------------------------------------------------------------------
// Writing
// ---------------------------------------------------------------------------------------------------------------------

const writeMessage = (table: Table, message: Fields): Fields => {
  const json: Fields = {}
  for (const { name, repeated, type } of table.fields) {
    const value = message[name]
    if (value !== undefined) {
      const write = (one: unknown): unknown =>
        typeof type === "string" ? writeScalar(type, one) : writeMessage(type, one as Fields)
      json[name] = repeated ? (value as ReadonlyArray<unknown>).map(write) : write(value)
    }
  }
  return json
}

const writeScalar = (type: Scalar, value: unknown): unknown => {
  switch (type) {
    case "int64":
    case "fixed64":
      return String(value)
    case "double":
      return Number.isFinite(value) ? value : String(value)
    case "id":
      return hex(value as Uint8Array)
    case "bytes":
      return base64(value as Uint8Array)
    default:
      return value
  }
}

/** Bytes in hexadecimal digits of lower case. */
export const hex = (bytes: Uint8Array): string => {
  let text = ""
  for (const byte of bytes) {
    text += digits[byte]
  }
  return text
}

const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

/** Bytes of hexadecimal digits of either case; `undefined` where the text is something else. */
export const unhex = (text: string): Uint8Array | undefined => {
  if (!/^(?:[0-9a-f]{2})*$/i.test(text)) {
    return undefined
  }
  const bytes = new Uint8Array(text.length / 2)
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = 16 * digitAt(text, 2 * index) + digitAt(text, 2 * index + 1)
  }
  return bytes
}

// Digits are 0x30 to 0x39, letters are 0x41 to 0x46 and 0x61 to 0x66.
const digitAt = (text: string, index: number): number => {
  const code = text.charCodeAt(index)
  return (code & 15) + (code > 0x40 ? 9 : 0)
}

const base64 = (bytes: Uint8Array): string => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

const readMessage = (table: Table, json: unknown, at: string, depth: number): Fields => {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw wrong(at, "an object")
  }
  let message: Fields = {}
  for (const [name, value] of Object.entries(json)) {
    const field = table.byName.get(name)
    // In the JSON of protobuf `null` is a field that is not there.
    if (field === undefined || value === null) {
      continue
    }
    const { repeated, type } = field
    const read = (one: unknown, at: string): unknown =>
      typeof type === "string" ? readScalar(type, one, at) : readMessage(type, one, at, deeper(depth))
    if (table.oneof) {
      message = {}
    }
    if (!repeated) {
      message[name] = read(value, name)
    } else if (Array.isArray(value)) {
      message[name] = value.map((one) => read(one, name))
    } else {
      throw wrong(name, "a list")
    }
  }
  return message
}

const readScalar = (type: Scalar, json: unknown, at: string): unknown => {
  switch (type) {
    case "string":
      return typeof json === "string" ? json : fail(at, "a text")
    case "bool":
      return typeof json === "boolean" ? json : fail(at, "true or false")
    case "int64":
      return integer(json, at, -(2n ** 63n), 2n ** 63n - 1n)
    case "fixed64":
      return integer(json, at, 0n, 2n ** 64n - 1n)
    case "uint32":
    case "fixed32":
      return Number(integer(json, at, 0n, 2n ** 32n - 1n))
    case "enum":
      return enumeration(json, at)
    case "double":
      return double(json, at)
    case "id":
      return (typeof json === "string" ? unhex(json) : undefined) ?? fail(at, "hexadecimal digits")
    case "bytes":
      return (typeof json === "string" ? unbase64(json) : undefined) ?? fail(at, "a text in base64")
  }
}

const wrong = (at: string, expected: string): Malformed => new Malformed(`${at} must be ${expected}`)

const fail = (at: string, expected: string): never => {
  throw wrong(at, expected)
}

const integer = (json: unknown, at: string, minimum: bigint, maximum: bigint): bigint => {
  const value =
    typeof json === "bigint"
      ? json
      : (typeof json === "number" && Number.isInteger(json)) || (typeof json === "string" && /^-?\d{1,20}$/.test(json))
        ? BigInt(json)
        : undefined
  return value !== undefined && value >= minimum && value <= maximum
    ? value
    : fail(at, `an integer from ${minimum} to ${maximum}`)
}

const double = (json: unknown, at: string): number => {
  if (typeof json === "number" || typeof json === "bigint") {
    return Number(json)
  }
  const isNumber =
    typeof json === "string" && /^(?:-?(?:Infinity|\d+(?:\.\d*)?(?:e[+-]?\d+)?)|NaN)$/i.test(json)
      ? Number(json)
      : undefined
  return isNumber ?? fail(at, "a number")
}

// Only numbers are right, but there are programs that write the names, as the JSON of protobuf has it.
const enumeration = (json: unknown, at: string): number =>
  (typeof json === "string" ? enumerations[json] : undefined) ?? Number(integer(json, at, -(2n ** 31n), 2n ** 31n - 1n))

const enumerations: Readonly<Record<string, number>> = {
  SPAN_KIND_UNSPECIFIED: 0,
  SPAN_KIND_INTERNAL: 1,
  SPAN_KIND_SERVER: 2,
  SPAN_KIND_CLIENT: 3,
  SPAN_KIND_PRODUCER: 4,
  SPAN_KIND_CONSUMER: 5,
  STATUS_CODE_UNSET: 0,
  STATUS_CODE_OK: 1,
  STATUS_CODE_ERROR: 2
}

// Also in the letters that are for addresses, and without the signs at the end that say nothing.
const unbase64 = (text: string): Uint8Array | undefined => {
  const plain = text.replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, "")
  return /^[\w+/]*$/.test(plain) && plain.length % 4 !== 1
    ? Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0))
    : undefined
}
