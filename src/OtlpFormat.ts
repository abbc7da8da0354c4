/**
 * The messages of OTLP for traces: their types, and one table of what they are made of, which all follow that read and
 * write them.
 *
 * Fields that came later than this table are passed over, as OTLP asks.
 * https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto
 *
 * @since 0.1.0
 */

/** Whatever throws here throws this: what came is no OTLP. */
export class Malformed extends Error {}

// ---------------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------------

export interface ExportRequest {
  readonly resourceSpans?: ReadonlyArray<ResourceSpans>
}
export interface ResourceSpans {
  readonly resource?: Resource
  readonly scopeSpans?: ReadonlyArray<ScopeSpans>
  readonly schemaUrl?: string
}
export interface Resource {
  readonly attributes?: ReadonlyArray<KeyValue>
  readonly droppedAttributesCount?: number
}
export interface ScopeSpans {
  readonly scope?: Scope
  readonly spans?: ReadonlyArray<Span>
  readonly schemaUrl?: string
}
export interface Scope {
  readonly name?: string
  readonly version?: string
  readonly attributes?: ReadonlyArray<KeyValue>
  readonly droppedAttributesCount?: number
}
export interface Span {
  readonly traceId?: Uint8Array
  readonly spanId?: Uint8Array
  readonly traceState?: string
  readonly parentSpanId?: Uint8Array
  readonly name?: string
  readonly kind?: number
  readonly startTimeUnixNano?: bigint
  readonly endTimeUnixNano?: bigint
  readonly attributes?: ReadonlyArray<KeyValue>
  readonly droppedAttributesCount?: number
  readonly events?: ReadonlyArray<Event>
  readonly droppedEventsCount?: number
  readonly links?: ReadonlyArray<Link>
  readonly droppedLinksCount?: number
  readonly status?: { readonly message?: string; readonly code?: number }
  /** Of W3C in the lowest eight bits; bit 8 says that bit 9 says whether the parent is in another process. */
  readonly flags?: number
}
export interface Event {
  readonly timeUnixNano?: bigint
  readonly name?: string
  readonly attributes?: ReadonlyArray<KeyValue>
  readonly droppedAttributesCount?: number
}
export interface Link {
  readonly traceId?: Uint8Array
  readonly spanId?: Uint8Array
  readonly traceState?: string
  readonly attributes?: ReadonlyArray<KeyValue>
  readonly droppedAttributesCount?: number
  readonly flags?: number
}
export interface KeyValue {
  readonly key?: string
  readonly value?: AnyValue
}
/** One of them, or none for no value. */
export interface AnyValue {
  readonly stringValue?: string
  readonly boolValue?: boolean
  readonly intValue?: bigint
  readonly doubleValue?: number
  readonly arrayValue?: { readonly values?: ReadonlyArray<AnyValue> }
  readonly kvlistValue?: { readonly values?: ReadonlyArray<KeyValue> }
  readonly bytesValue?: Uint8Array
}

/** The messages that can be read and written by themselves. */
export interface Messages {
  readonly ExportRequest: ExportRequest
  readonly ResourceSpans: ResourceSpans
  readonly Resource: Resource
  readonly ScopeSpans: ScopeSpans
  readonly Scope: Scope
  readonly Span: Span
  readonly KeyValue: KeyValue
  readonly AnyValue: AnyValue
}

// ---------------------------------------------------------------------------------------------------------------------
// The table
// ---------------------------------------------------------------------------------------------------------------------

/** `id` is bytes that JSON has in hexadecimal, `enum` an integer that some write by its name. */
export type Scalar = "string" | "bool" | "int64" | "fixed64" | "double" | "uint32" | "fixed32" | "enum" | "bytes" | "id"

/** A field of a message. */
export interface Field {
  readonly number: number
  /** As JSON and the types above have it. */
  readonly name: string
  readonly type: Scalar | Table
  readonly repeated: boolean
}

/** What a message is made of. */
export interface Table {
  readonly name: string
  /** Only one of the fields is there at a time. */
  readonly oneof: boolean
  readonly fields: Array<Field>
  readonly byNumber: Map<number, Field>
  readonly byName: Map<string, Field>
}

// Fields in the order of their numbers, as `number name type`; a list has its type in a list.
type Rows = ReadonlyArray<readonly [number: number, name: string, type: Scalar | Table | readonly [Scalar | Table]]>

const table = (name: string, rows: Rows, oneof = false): Table => {
  const self: Table = { name, oneof, fields: [], byNumber: new Map(), byName: new Map() }
  return fill(self, rows)
}

const fill = (self: Table, rows: Rows): Table => {
  for (const [number, name, given] of rows) {
    const repeated = Array.isArray(given)
    const field = { number, name, type: (repeated ? given[0] : given) as Scalar | Table, repeated }
    self.fields.push(field)
    self.byNumber.set(number, field)
    self.byName.set(name, field)
  }
  return self
}

const anyValue = table("AnyValue", [], true)
const keyValue = table("KeyValue", [
  [1, "key", "string"],
  [2, "value", anyValue]
])
fill(anyValue, [
  [1, "stringValue", "string"],
  [2, "boolValue", "bool"],
  [3, "intValue", "int64"],
  [4, "doubleValue", "double"],
  [5, "arrayValue", table("ArrayValue", [[1, "values", [anyValue]]])],
  [6, "kvlistValue", table("KeyValueList", [[1, "values", [keyValue]]])],
  [7, "bytesValue", "bytes"]
])
const entity = table("EntityRef", [
  [1, "schemaUrl", "string"],
  [2, "type", "string"],
  [3, "idKeys", ["string"]],
  [4, "descriptionKeys", ["string"]]
])
const resource = table("Resource", [
  [1, "attributes", [keyValue]],
  [2, "droppedAttributesCount", "uint32"],
  [3, "entityRefs", [entity]]
])
const scope = table("Scope", [
  [1, "name", "string"],
  [2, "version", "string"],
  [3, "attributes", [keyValue]],
  [4, "droppedAttributesCount", "uint32"]
])
const event = table("Event", [
  [1, "timeUnixNano", "fixed64"],
  [2, "name", "string"],
  [3, "attributes", [keyValue]],
  [4, "droppedAttributesCount", "uint32"]
])
const link = table("Link", [
  [1, "traceId", "id"],
  [2, "spanId", "id"],
  [3, "traceState", "string"],
  [4, "attributes", [keyValue]],
  [5, "droppedAttributesCount", "uint32"],
  [6, "flags", "fixed32"]
])
const status = table("Status", [
  [2, "message", "string"],
  [3, "code", "enum"]
])
const span = table("Span", [
  [1, "traceId", "id"],
  [2, "spanId", "id"],
  [3, "traceState", "string"],
  [4, "parentSpanId", "id"],
  [5, "name", "string"],
  [6, "kind", "enum"],
  [7, "startTimeUnixNano", "fixed64"],
  [8, "endTimeUnixNano", "fixed64"],
  [9, "attributes", [keyValue]],
  [10, "droppedAttributesCount", "uint32"],
  [11, "events", [event]],
  [12, "droppedEventsCount", "uint32"],
  [13, "links", [link]],
  [14, "droppedLinksCount", "uint32"],
  [15, "status", status],
  [16, "flags", "fixed32"]
])
const scopeSpans = table("ScopeSpans", [
  [1, "scope", scope],
  [2, "spans", [span]],
  [3, "schemaUrl", "string"]
])
const resourceSpans = table("ResourceSpans", [
  [1, "resource", resource],
  [2, "scopeSpans", [scopeSpans]],
  [3, "schemaUrl", "string"]
])
/** The table of each message. */
export const tables: { readonly [K in keyof Messages]: Table } = {
  ExportRequest: table("ExportTraceServiceRequest", [[1, "resourceSpans", [resourceSpans]]]),
  ResourceSpans: resourceSpans,
  Resource: resource,
  ScopeSpans: scopeSpans,
  Scope: scope,
  Span: span,
  KeyValue: keyValue,
  AnyValue: anyValue
}

// A message may hold itself, through values in values. Protobuf's own libraries end at a hundred.
const maximumDepth = 100

/** Throws `Malformed` where a message within a message is one too many. */
export const deeper = (depth: number): number => {
  if (depth >= maximumDepth) {
    throw new Malformed(`its values are nested more than ${maximumDepth} deep`)
  }
  return depth + 1
}

/** A message, as those who follow the table see it: values by the names of their fields. */
export type Fields = Record<string, unknown>
