/**
 * OTLP as protobuf.
 *
 * The bytes themselves are the work of `@bufbuild/protobuf`. Its generated code is not used: it keeps no track of where a
 * span lies among the bytes, and what is stored of a span is its bytes.
 *
 * @since 0.1.0
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire"
import { deeper, Malformed, tables } from "./OtlpFormat.ts"
import type { Field, Fields, Messages, Scalar, Table } from "./OtlpFormat.ts"

/** Reads a message. Fields that are not in the table are passed over. Throws `Malformed`. */
export const decode = <K extends keyof Messages>(message: K, bytes: Uint8Array): Messages[K] =>
  withReader(bytes, (reader) =>
    read(tables[message], reader, { left: message === "ExportRequest" ? Infinity : mostMessages }, 0)
  ) as Messages[K]

// Messages in a span, or what it is of. One that is empty has two bytes, and takes many more in memory.
const mostMessages = 500_000

/** Calls back with every field of a message that is bytes, and where they are. Throws `Malformed`. */
export const eachBytes = (bytes: Uint8Array, found: (number: number, content: Uint8Array) => void): void =>
  withReader(bytes, (reader) => {
    while (reader.pos < reader.len) {
      const [number, wire] = reader.tag()
      if (wire === WireType.LengthDelimited) {
        found(number, reader.bytes())
      } else {
        reader.skip(wire, number)
      }
    }
  })

const withReader = <A>(bytes: Uint8Array, use: (reader: BinaryReader) => A): A => {
  try {
    return use(new BinaryReader(bytes))
  } catch (error) {
    if (error instanceof Malformed) {
      throw error
    }
    // The library throws whatever it comes upon: a `RangeError` of a view, an `Error` of its own.
    throw new Malformed("it is cut off, or no protobuf", { cause: error })
  }
}

const read = (table: Table, reader: BinaryReader, inner: { left: number }, depth: number): Fields => {
  if (inner.left-- <= 0) {
    throw new Malformed(`it has more than ${mostMessages} parts`)
  }
  let message: Fields = {}
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag()
    const field = table.byNumber.get(number)
    if (field === undefined || wireOf(field) !== wire) {
      reader.skip(wire, number)
      continue
    }
    const value =
      typeof field.type === "string"
        ? readScalar[field.type](reader)
        : read(field.type, new BinaryReader(reader.bytes()), inner, deeper(depth))
    if (field.repeated) {
      ;((message[field.name] ??= []) as Array<unknown>).push(value)
    } else {
      if (table.oneof) {
        message = {}
      }
      message[field.name] = value
    }
  }
  if (reader.pos > reader.len) {
    throw new Malformed("it is cut off")
  }
  return message
}

const readScalar: Readonly<Record<Scalar, (reader: BinaryReader) => unknown>> = {
  string: (reader) => reader.string(),
  bytes: (reader) => reader.bytes(),
  id: (reader) => reader.bytes(),
  bool: (reader) => reader.bool(),
  int64: (reader) => BigInt(reader.int64()),
  fixed64: (reader) => BigInt(reader.fixed64()),
  double: (reader) => reader.double(),
  uint32: (reader) => reader.uint32(),
  fixed32: (reader) => reader.fixed32(),
  enum: (reader) => reader.int32()
}

/** Writes a message, its fields in the order of their numbers. What is there is written, also where it is 0. */
export const encode = <K extends keyof Messages>(message: K, value: Messages[K]): Uint8Array => {
  const writer = new BinaryWriter()
  write(tables[message], value as Fields, writer)
  return writer.finish()
}

/** Writes fields that are bytes, such as messages that are written already. */
export const joinBytes = (fields: Iterable<readonly [number: number, content: Uint8Array]>): Uint8Array => {
  const writer = new BinaryWriter()
  for (const [number, content] of fields) {
    writer.tag(number, WireType.LengthDelimited).bytes(content)
  }
  return writer.finish()
}

const write = (table: Table, message: Fields, writer: BinaryWriter): void => {
  for (const field of table.fields) {
    const value = message[field.name]
    if (value !== undefined) {
      for (const one of field.repeated ? (value as ReadonlyArray<unknown>) : [value]) {
        writer.tag(field.number, wireOf(field))
        if (typeof field.type === "string") {
          writeScalar[field.type](writer, one as never)
        } else {
          writer.fork()
          write(field.type, one as Fields, writer)
          writer.join()
        }
      }
    }
  }
}

const writeScalar: Readonly<Record<Scalar, (writer: BinaryWriter, value: never) => unknown>> = {
  string: (writer, value: string) => writer.string(value),
  bytes: (writer, value: Uint8Array) => writer.bytes(value),
  id: (writer, value: Uint8Array) => writer.bytes(value),
  bool: (writer, value: boolean) => writer.bool(value),
  int64: (writer, value: bigint) => writer.int64(value),
  fixed64: (writer, value: bigint) => writer.fixed64(value),
  double: (writer, value: number) => writer.double(value),
  uint32: (writer, value: number) => writer.uint32(value),
  fixed32: (writer, value: number) => writer.fixed32(value),
  enum: (writer, value: number) => writer.int32(value)
}

const wires: Readonly<Record<Scalar, WireType>> = {
  string: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
  id: WireType.LengthDelimited,
  bool: WireType.Varint,
  int64: WireType.Varint,
  uint32: WireType.Varint,
  enum: WireType.Varint,
  fixed64: WireType.Bit64,
  double: WireType.Bit64,
  fixed32: WireType.Bit32
}

const wireOf = ({ type }: Field): WireType => (typeof type === "string" ? wires[type] : WireType.LengthDelimited)
