/**
 * Spans as compact JSON, and back: how they get into a page.
 *
 * Knows neither Effect nor Node: the page reads with it what was written with it. Nothing is lost on the way. An
 * attribute value that JSON has no word for is an object with one key: `{"i":"9007199254740993"}` an integer that no
 * number holds, `{"n":"NaN"}` a number that JSON lacks, `{"b":"AAH/"}` bytes in base64, `{"m":{…}}` a map. Only values
 * nested deeper than a hundred levels are cut, and end with `…`.
 *
 * @since 0.1.0
 */
import type { StoredEvent, StoredLink, StoredSpan, Value, Values } from "./StoredSpan.ts"

/**
 * Writes spans as one line of JSON. Times are nanoseconds after the earliest start, and what spans share (the trace, the
 * resource, the scope) is written once. No `<` is in it, so that it can stand within a script element.
 */
export const encode = (spans: ReadonlyArray<StoredSpan>): string => {
  const base = spans.reduce(
    (first, span) => (span.startNanos < first ? span.startNanos : first),
    spans[0]?.startNanos ?? 0n
  )
  const traces = shared<string>((text) => text)
  const resources = shared<Values>((values) => JSON.stringify(toJsonMap(values)))
  const scopes = shared<StoredSpan["scope"]>(({ name, version }) => JSON.stringify([name, version]))
  const time = (nanos: bigint) => toJsonInteger(nanos - base)
  const rows = spans.map((span): Row => [
    traces.indexOf(span.traceId),
    span.spanId,
    span.parentSpanId ?? 0,
    span.name,
    kinds.indexOf(span.kind),
    time(span.startNanos),
    toJsonInteger(span.endNanos - span.startNanos),
    codes.indexOf(span.status.code),
    span.status.message,
    toJsonMap(span.attributes),
    span.events.map((event) => [event.name, time(event.timeNanos), toJsonMap(event.attributes)]),
    span.links.map((link) => [link.traceId, link.spanId, toJsonMap(link.attributes)]),
    resources.indexOf(span.resource),
    scopes.indexOf(span.scope),
    span.traceState,
    [span.dropped.attributes, span.dropped.events, span.dropped.links]
  ])
  const data: Data = {
    base: base.toString(),
    traces: traces.all(),
    resources: resources.all().map((resource) => toJsonMap(resource)),
    scopes: scopes.all().map(({ name, version }) => [name, version]),
    spans: rows
  }
  return JSON.stringify(data).replaceAll("<", "\\u003c")
}

/** Reads what `encode` wrote. Throws on anything else. */
export const decode = (text: string): ReadonlyArray<StoredSpan> => {
  const data = JSON.parse(text) as Data
  const base = BigInt(data.base)
  const time = (offset: JsonInteger) => base + BigInt(offset)
  const resources = data.resources.map(fromJsonMap)
  const scopes = data.scopes.map(([name, version]) => ({ name, version }))
  return data.spans.map((row): StoredSpan => {
    const [trace, spanId, parent, name, kind, start, duration, code, message, attributes, events, links] = row
    const [resource, scope, traceState, [droppedAttributes, droppedEvents, droppedLinks]] = [
      row[12],
      row[13],
      row[14],
      row[15]
    ]
    const startNanos = time(start)
    return {
      traceId: data.traces[trace] ?? "",
      spanId,
      parentSpanId: parent === 0 ? undefined : parent,
      name,
      kind: kinds[kind] ?? "unspecified",
      startNanos,
      endNanos: startNanos + BigInt(duration),
      status: { code: codes[code] ?? "unset", message },
      attributes: fromJsonMap(attributes),
      events: events.map(([name, offset, attributes]): StoredEvent => ({
        name,
        timeNanos: time(offset),
        attributes: fromJsonMap(attributes)
      })),
      links: links.map(([traceId, spanId, attributes]): StoredLink => ({
        traceId,
        spanId,
        attributes: fromJsonMap(attributes)
      })),
      resource: resources[resource] ?? {},
      scope: scopes[scope] ?? { name: "", version: "" },
      traceState,
      dropped: { attributes: droppedAttributes, events: droppedEvents, links: droppedLinks }
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// The format
// ---------------------------------------------------------------------------------------------------------------------

interface Data {
  /** Nanoseconds since 1970. */
  readonly base: string
  readonly traces: ReadonlyArray<string>
  readonly resources: ReadonlyArray<JsonMap>
  readonly scopes: ReadonlyArray<readonly [name: string, version: string]>
  readonly spans: ReadonlyArray<Row>
}

type Row = readonly [
  trace: number,
  spanId: string,
  parent: string | 0,
  name: string,
  kind: number,
  start: JsonInteger,
  duration: JsonInteger,
  code: number,
  message: string,
  attributes: JsonMap,
  events: ReadonlyArray<readonly [name: string, time: JsonInteger, attributes: JsonMap]>,
  links: ReadonlyArray<readonly [traceId: string, spanId: string, attributes: JsonMap]>,
  resource: number,
  scope: number,
  traceState: string,
  dropped: readonly [attributes: number, events: number, links: number]
]

type JsonInteger = number | string
type JsonValue =
  | string
  | number
  | boolean
  | null
  | ReadonlyArray<JsonValue>
  | { readonly i: string }
  | { readonly n: string }
  | { readonly b: string }
  | { readonly m: JsonMap }
interface JsonMap {
  readonly [key: string]: JsonValue
}

const kinds: ReadonlyArray<StoredSpan["kind"]> = ["unspecified", "internal", "server", "client", "producer", "consumer"]
const codes: ReadonlyArray<StoredSpan["status"]["code"]> = ["unset", "ok", "error"]

/** Numbers what is the same, in the order in which it comes up. */
const shared = <A>(key: (value: A) => string) => {
  const known = new Map<A, number>()
  const byKey = new Map<string, number>()
  const values: Array<A> = []
  return {
    indexOf: (value: A): number => {
      // Spans of one batch have one resource object, and writing it out to compare it is slow.
      const seen = known.get(value)
      if (seen !== undefined) {
        return seen
      }
      const text = key(value)
      const index = byKey.get(text) ?? values.push(value) - 1
      known.set(value, index)
      byKey.set(text, index)
      return index
    },
    all: (): ReadonlyArray<A> => values
  }
}

const toJsonInteger = (nanos: bigint): JsonInteger => {
  const number = Number(nanos)
  return Number.isSafeInteger(number) ? number : nanos.toString()
}

// An own property even where the key is `__proto__`.
const toJsonMap = (values: Values, depth = 0): JsonMap =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, toJson(value, depth)]))

const fromJsonMap = (map: JsonMap): Values =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, fromJson(value)]))

// Deeper than anybody nests values, and far from the end of the stack.
const maximumDepth = 100

const toJson = (value: Value, depth: number): JsonValue => {
  if (depth > maximumDepth) {
    return "…"
  }
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { n: Object.is(value, -0) ? "-0" : String(value) }
    case "bigint":
      return { i: value.toString() }
    default:
      return value === null
        ? null
        : value instanceof Uint8Array
          ? { b: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join("")) }
          : isArray<Value>(value)
            ? value.map((item) => toJson(item, depth + 1))
            : { m: toJsonMap(value, depth + 1) }
  }
}

const fromJson = (value: JsonValue): Value => {
  if (typeof value !== "object" || value === null) {
    return value
  }
  if (isArray<JsonValue>(value)) {
    return value.map(fromJson)
  }
  return "i" in value
    ? BigInt(value.i)
    : "n" in value
      ? Number(value.n)
      : "b" in value
        ? Uint8Array.from(atob(value.b), (char) => char.charCodeAt(0))
        : fromJsonMap(value.m)
}

// `Array.isArray` does not tell a readonly array from the rest of a union.
const isArray = <A>(value: unknown): value is ReadonlyArray<A> => Array.isArray(value)
