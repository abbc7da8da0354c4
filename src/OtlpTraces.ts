/**
 * Spans as OTLP has them: read from protobuf, written as protobuf, and both ways between protobuf and JSON.
 *
 * `spans` gives what people look at. Where nothing may be lost on the way, as between protobuf and JSON, integers stay
 * apart from other numbers, and what is stored of a span is the bytes that came.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as OtlpFormat from "./OtlpFormat.ts"
import * as OtlpJson from "./OtlpJson.ts"
import { decode, eachBytes, encode, joinBytes } from "./OtlpProtobuf.ts"
import * as OtlpValues from "./OtlpValues.ts"
import type { StoredEvent, StoredLink, StoredSpan, Value, Values } from "./StoredSpan.ts"

/** What came is no OTLP. `message` says why, in words that follow "the request is wrong: ". */
export { Malformed } from "./OtlpFormat.ts"

/** The spans of a request (`ExportTraceServiceRequest`), in its order. */
export const spans = (request: Uint8Array): Result.Result<ReadonlyArray<StoredSpan>, OtlpFormat.Malformed> =>
  attempt(() =>
    (decode("ExportRequest", request).resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
      const described = values(resource?.attributes)
      return (scopeSpans ?? []).flatMap(({ scope, spans }) => (spans ?? []).map(stored(described, scope)))
    })
  )

/** A request that holds these spans. A number that is an integer becomes one. */
export const request = (spans: ReadonlyArray<StoredSpan>): Uint8Array => {
  const resources = Map.groupBy(spans, ({ resource }) => resource)
  return encode("ExportRequest", {
    resourceSpans: Array.from(resources, ([resource, spans]) => ({
      resource: { attributes: keyValues(resource) },
      scopeSpans: Array.from(
        Map.groupBy(spans, ({ scope }) => scope),
        ([scope, spans]) => ({ scope, spans: spans.map(span) })
      )
    }))
  })
}

/** A request as OTLP/JSON, a value for `JSON.stringify`. */
export const toJson = (request: Uint8Array): Result.Result<object, OtlpFormat.Malformed> =>
  attempt(() => OtlpJson.toJson(decode("ExportRequest", request)))

/** A request from the text of OTLP/JSON. */
export const fromJson = (text: string): Result.Result<Uint8Array, OtlpFormat.Malformed> =>
  attempt(() => {
    if (beginnings(text) > mostBeginnings) {
      throw new OtlpFormat.Malformed(`it has more than ${mostBeginnings} objects and lists`)
    }
    return encode("ExportRequest", OtlpJson.fromJson(text))
  })

// An object takes two bytes, and many more in memory. 20 MiB of short attributes have no more than a million of them.
const mostBeginnings = 1_500_000

const beginnings = (text: string): number => {
  let count = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 0x7b || code === 0x5b) {
      count++
    }
  }
  return count
}

const attempt = <A>(work: () => A): Result.Result<A, OtlpFormat.Malformed> =>
  Result.try({
    try: work,
    catch: (error) => {
      if (error instanceof OtlpFormat.Malformed) {
        return error
      }
      throw error
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// Parts
// ---------------------------------------------------------------------------------------------------------------------

/** What a span says of itself beside what it did: the bytes of its resource and of its scope, which many spans share. */
export interface Source {
  /** The message `Resource`; empty for none. */
  readonly resource: Uint8Array
  readonly resourceSchema: string
  /** The message `InstrumentationScope`; empty for none. */
  readonly scope: Uint8Array
  readonly scopeSchema: string
}

/** Spans of one source, as the bytes that came: each is a message `Span`. */
export interface Part {
  readonly source: Source
  readonly spans: ReadonlyArray<Uint8Array>
}

/** The same with the messages that the bytes are of. */
export interface ReadPart {
  readonly source: Source
  readonly resource: OtlpFormat.Resource
  readonly spans: ReadonlyArray<{ readonly bytes: Uint8Array; readonly message: OtlpFormat.Span }>
}

/**
 * Takes a request apart. That it is a request is seen as far as the spans, but not what is in each of them. Fails where it
 * has more spans and scopes than `most`, which is no limit by default.
 */
export const split = (
  request: Uint8Array,
  most = Number.POSITIVE_INFINITY
): Result.Result<ReadonlyArray<Part>, OtlpFormat.Malformed> =>
  attempt(() => {
    const parts: Array<Part> = []
    const counted = counting(most)
    eachBytes(request, (field, content) => {
      if (field === 1) {
        const ofResource = contents(content, counted)
        for (const scopeSpans of ofResource.lists) {
          const ofScope = contents(scopeSpans, counted)
          parts.push({
            source: {
              resource: ofResource.about,
              resourceSchema: ofResource.schema,
              scope: ofScope.about,
              scopeSchema: ofScope.schema
            },
            spans: ofScope.lists
          })
        }
      }
    })
    return parts
  })

const counting = (most: number) => {
  let count = 0
  return (): void => {
    count++
    if (count > most) {
      throw new OtlpFormat.Malformed(`it has more than ${most} spans and scopes`)
    }
  }
}

// `ResourceSpans` and `ScopeSpans` have the same three fields: what it is about, a list, and the address of a schema.
const contents = (message: Uint8Array, counted: () => void) => {
  let about = new Uint8Array()
  let schema = ""
  const lists: Array<Uint8Array> = []
  eachBytes(message, (field, content) => {
    if (field === 1) {
      about = content as Uint8Array<ArrayBuffer>
    } else if (field === 2) {
      counted()
      lists.push(content)
    } else if (field === 3) {
      schema = new TextDecoder().decode(content)
    }
  })
  return { about, schema, lists }
}

/** Puts a request together. Every span in it is byte for byte what it was. */
export const join = (parts: ReadonlyArray<Part>): Uint8Array =>
  joinBytes(
    parts.map(({ source, spans }) => [
      1,
      joinBytes([
        [1, source.resource],
        [2, joinBytes([[1, source.scope], ...spans.map((span) => [2, span] as const), ...text(source.scopeSchema)])],
        ...text(source.resourceSchema)
      ])
    ])
  )

const text = (schema: string): ReadonlyArray<readonly [number, Uint8Array]> =>
  schema === "" ? [] : [[3, new TextEncoder().encode(schema)]]

/** The spans of a part, read. */
export const spansOf = ({ source, spans }: Part): Result.Result<ReadonlyArray<StoredSpan>, OtlpFormat.Malformed> =>
  attempt(() => {
    const make = stored(values(decode("Resource", source.resource).attributes), decode("Scope", source.scope))
    return spans.map((bytes) => make(decode("Span", bytes)))
  })

// ---------------------------------------------------------------------------------------------------------------------
// Spans
// ---------------------------------------------------------------------------------------------------------------------

const kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const
const codes = ["unset", "ok", "error"] as const

const stored = (resource: Values, { name = "", version = "" }: OtlpFormat.Scope = {}) => {
  const scope = { name, version }
  return (span: OtlpFormat.Span): StoredSpan => ({
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentSpanId: hex(span.parentSpanId) || undefined,
    name: span.name ?? "",
    kind: kinds[span.kind ?? 0] ?? "unspecified",
    startNanos: span.startTimeUnixNano ?? 0n,
    endNanos: span.endTimeUnixNano ?? 0n,
    status: { code: codes[span.status?.code ?? 0] ?? "unset", message: span.status?.message ?? "" },
    attributes: values(span.attributes),
    events: (span.events ?? []).map((event): StoredEvent => ({
      name: event.name ?? "",
      timeNanos: event.timeUnixNano ?? 0n,
      attributes: values(event.attributes)
    })),
    links: (span.links ?? []).map((link): StoredLink => ({
      traceId: hex(link.traceId),
      spanId: hex(link.spanId),
      attributes: values(link.attributes)
    })),
    resource,
    scope,
    traceState: span.traceState ?? "",
    dropped: {
      attributes: span.droppedAttributesCount ?? 0,
      events: span.droppedEventsCount ?? 0,
      links: span.droppedLinksCount ?? 0
    }
  })
}

const hex = (bytes: Uint8Array | undefined): string => OtlpJson.hex(bytes ?? new Uint8Array())

/** Attributes by their keys. Of two with one key the first counts, as in most other tools. */
export const values = (attributes: ReadonlyArray<OtlpFormat.KeyValue> = []): Values => {
  const found = new Map<string, Value>()
  for (const { key = "", value } of attributes) {
    if (!found.has(key)) {
      found.set(key, valueOf(value))
    }
  }
  return Object.fromEntries(found)
}

const valueOf = (value: OtlpFormat.AnyValue = {}): Value => {
  const { arrayValue, intValue, kvlistValue } = value
  if (intValue !== undefined) {
    const near = Number(intValue)
    return Number.isSafeInteger(near) ? near : intValue
  }
  if (arrayValue !== undefined) {
    return (arrayValue.values ?? []).map(valueOf)
  }
  if (kvlistValue !== undefined) {
    return values(kvlistValue.values)
  }
  return value.stringValue ?? value.boolValue ?? value.doubleValue ?? value.bytesValue ?? null
}

const span = (span: StoredSpan): OtlpFormat.Span => ({
  traceId: OtlpValues.bytes(span.traceId),
  spanId: OtlpValues.bytes(span.spanId),
  ...(span.traceState === "" ? {} : { traceState: span.traceState }),
  ...(span.parentSpanId === undefined ? {} : { parentSpanId: OtlpValues.bytes(span.parentSpanId) }),
  name: span.name,
  kind: kinds.indexOf(span.kind),
  startTimeUnixNano: span.startNanos,
  endTimeUnixNano: span.endNanos,
  attributes: keyValues(span.attributes),
  droppedAttributesCount: span.dropped.attributes,
  events: span.events.map(({ attributes, name, timeNanos }) => ({
    timeUnixNano: timeNanos,
    name,
    attributes: keyValues(attributes)
  })),
  droppedEventsCount: span.dropped.events,
  links: span.links.map(({ attributes, spanId, traceId }) => ({
    traceId: OtlpValues.bytes(traceId),
    spanId: OtlpValues.bytes(spanId),
    attributes: keyValues(attributes)
  })),
  droppedLinksCount: span.dropped.links,
  status: {
    ...(span.status.message === "" ? {} : { message: span.status.message }),
    code: codes.indexOf(span.status.code)
  }
})

// Beyond the safe ones an integer is a bigint, and a number was a double.
const keyValues = OtlpValues.keyValues(Number.isSafeInteger)
