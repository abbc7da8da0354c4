/**
 * An OpenTelemetry collector for tests: real gRPC on a loopback port, real protobuf.
 *
 * What a test reads here has been on the wire, with the kinds of value the wire knows.
 */
import * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import { randomInt } from "node:crypto"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import type * as Scope from "effect/Scope"
import protobuf from "protobufjs"
import type { Identity } from "./Certificates.ts"
import * as OtlpMethod from "./OtlpMethod.ts"

/** An attribute as OTLP has it: exactly one key. */
export interface OtlpValue {
  readonly stringValue?: string
  readonly boolValue?: boolean
  readonly intValue?: number
  readonly doubleValue?: number
  readonly arrayValue?: { readonly values: ReadonlyArray<OtlpValue> }
}

export interface CollectedEvent {
  readonly name: string
  readonly time: bigint
  /** As sent: `{ "llm.input_tokens": { intValue: 12 } }`. */
  readonly otlp: Readonly<Record<string, OtlpValue>>
  /** The values without their kinds. */
  readonly attributes: Readonly<Record<string, unknown>>
  /** How many of them exceeded a limit. */
  readonly droppedAttributes: number
}

export interface CollectedLink {
  readonly traceId: string
  readonly spanId: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly droppedAttributes: number
}

export interface CollectedSpan extends Omit<CollectedEvent, "droppedAttributes"> {
  readonly resource: Readonly<Record<string, unknown>>
  readonly scope: { readonly name: string; readonly version: string }
  readonly traceId: string
  readonly spanId: string
  /** Empty for a root. */
  readonly parentId: string
  readonly traceState: string
  readonly kind: "unspecified" | "internal" | "server" | "client" | "producer" | "consumer"
  /** Nanoseconds since 1970. */
  readonly start: bigint
  readonly end: bigint
  readonly events: ReadonlyArray<CollectedEvent>
  readonly links: ReadonlyArray<CollectedLink>
  readonly status: { readonly code: "unset" | "ok" | "error"; readonly message: string }
  /** How many of them exceeded a limit. */
  readonly dropped: { readonly attributes: number; readonly events: number; readonly links: number }
}

/** Takes what comes, refuses it with a gRPC status, never answers, takes some, or takes its time. */
export type Mode =
  | "ok"
  | "hang"
  | {
      readonly refuse: keyof typeof grpc.status
      readonly details?: string
      /** Says in the status when to come back, as `google.rpc.RetryInfo`. */
      readonly retryMillis?: number
    }
  | { readonly reject: number; readonly message: string }
  | { readonly delayMillis: number }

interface Options {
  /** One for all calls, or by the number of the call, from 1. */
  readonly mode?: Mode | ((call: number) => Mode)
  readonly port?: number
  readonly tls?: Tls
}

/** Who the server is; it asks who calls, and refuses others, where it is given the authority of its clients. */
export interface Tls extends Identity {
  readonly clients?: string
}

/** An export as it came. */
export interface Call {
  readonly bytes: Buffer
  readonly headers: Readonly<Record<string, unknown>>
}

export interface Collector {
  /** `http://127.0.0.1:<port>`, or https. */
  readonly url: string
  readonly port: number
  /** May be changed at any time; holds for calls that come after. */
  mode: Mode | ((call: number) => Mode)
  /** All spans taken so far, in the order they came. */
  readonly spans: () => ReadonlyArray<CollectedSpan>
  /** The first span of that name; throws, with the names there are, when there is none. */
  readonly span: (name: string) => CollectedSpan
  /** Every export call as it came, also refused ones. */
  readonly calls: () => ReadonlyArray<Call>
  /** Every call that brought metrics as it came, also refused ones; `CollectedMetrics` reads them. */
  readonly metricCalls: () => ReadonlyArray<Call>
  /** Every byte of every call, as Latin-1 text, to search for what must not be there. */
  readonly bytes: () => string
  /** Resolves once there are that many spans; rejects after `timeoutMillis`. */
  readonly waitFor: (count: number, timeoutMillis?: number) => Promise<ReadonlyArray<CollectedSpan>>
  readonly close: () => Promise<void>
  /** Closes it when it has answered what came until now. */
  readonly drain: () => Promise<void>
}

export const start = async (options: Options = {}): Promise<Collector> => {
  const calls: Array<Call> = []
  const metricCalls: Array<Call> = []
  const spans: Array<CollectedSpan> = []
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1 })
  const handler =
    (calls: Array<Call>, taken: (bytes: Buffer) => void): grpc.handleUnaryCall<Buffer, Buffer> =>
    (call, answer) => {
      calls.push({ bytes: call.request, headers: call.metadata.getMap() })
      const mode = typeof self.mode === "function" ? self.mode(calls.length) : self.mode
      const take = () => {
        taken(call.request)
        answer(null, Buffer.alloc(0))
      }
      if (mode === "ok") {
        take()
      } else if (mode !== "hang") {
        if ("refuse" in mode) {
          const metadata = new grpc.Metadata()
          if (mode.retryMillis !== undefined) {
            metadata.set("grpc-status-details-bin", retryInfo(grpc.status[mode.refuse], mode.retryMillis))
          }
          answer({ code: grpc.status[mode.refuse], details: mode.details ?? "refused by the test", metadata })
        } else if ("reject" in mode) {
          answer(null, partialSuccess(mode.reject, mode.message))
        } else {
          setTimeout(take, mode.delayMillis)
        }
      }
    }
  OtlpMethod.serve(
    server,
    "trace.v1.TraceService",
    handler(calls, (bytes) => {
      spans.push(...decode(bytes))
    })
  )
  OtlpMethod.serve(
    server,
    "metrics.v1.MetricsService",
    handler(metricCalls, () => {})
  )
  const port = await new Promise<number>((resolve, reject) => {
    const { tls } = options
    const credentials =
      tls === undefined
        ? grpc.ServerCredentials.createInsecure()
        : grpc.ServerCredentials.createSsl(
            tls.clients === undefined ? null : Buffer.from(tls.clients),
            [{ cert_chain: Buffer.from(tls.certificate), private_key: Buffer.from(tls.key) }],
            tls.clients !== undefined
          )
    server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentials, (error, port) =>
      error === null ? resolve(port) : reject(error)
    )
  })
  const self: Collector = {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    port,
    mode: options.mode ?? "ok",
    spans: () => spans,
    span: (name) => {
      const span = spans.find((span) => span.name === name)
      if (span === undefined) {
        throw new Error(`no span ${name} among: ${spans.map((span) => span.name).join(", ")}`)
      }
      return span
    },
    calls: () => calls,
    metricCalls: () => metricCalls,
    bytes: () => Buffer.concat([...calls, ...metricCalls].map((call) => call.bytes)).toString("latin1"),
    waitFor: async (count, timeoutMillis = 5000) => {
      const deadline = performance.now() + timeoutMillis
      while (spans.length < count) {
        if (performance.now() > deadline) {
          throw new Error(`waited ${timeoutMillis} ms for ${count} spans, got ${spans.length}`)
        }
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return spans
    },
    close: async () => server.forceShutdown(),
    drain: () => new Promise((resolve) => server.tryShutdown(() => resolve()))
  }
  return self
}

/** The same, closed with its scope. */
export const make = (options: Options = {}): Effect.Effect<Collector, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => start(options)),
    (collector) => Effect.promise(() => collector.close())
  )

export const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url))

/**
 * A loopback port where nothing listens, also while other tests open ports of their own: below those that systems give
 * to servers that ask for any and to clients, which on Linux begin with 32768.
 */
export const deadPort = async (): Promise<number> => {
  while (true) {
    const port = randomInt(12_000, 32_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
    })
    if (free) {
      return port
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What all signals have in common, to stand behind the messages of one.
 * https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto
 */
export const common = `
  message Resource { repeated KeyValue attributes = 1; }
  message Scope { string name = 1; string version = 2; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message AnyValue {
    oneof value {
      string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
      ArrayValue array_value = 5; KeyValueList kvlist_value = 6; bytes bytes_value = 7;
    }
  }
  message ArrayValue { repeated AnyValue values = 1; }
  message KeyValueList { repeated KeyValue values = 1; }`

const { root } = protobuf.parse(
  `syntax = "proto3";
  message ExportTraceServiceResponse { PartialSuccess partial_success = 1; }
  message RpcStatus { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Any { string type_url = 1; bytes value = 2; }
  message RetryInfo { Duration retry_delay = 1; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message PartialSuccess { int64 rejected_spans = 1; string error_message = 2; }
  message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
  message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5;
    int32 kind = 6; fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8;
    repeated KeyValue attributes = 9; uint32 dropped_attributes_count = 10;
    repeated Event events = 11; uint32 dropped_events_count = 12;
    repeated Link links = 13; uint32 dropped_links_count = 14; Status status = 15; fixed32 flags = 16;
  }
  message Event {
    fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; uint32 dropped_attributes_count = 4;
  }
  message Link {
    bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4;
    uint32 dropped_attributes_count = 5;
  }
  message Status { string message = 2; int32 code = 3; }
  ${common}`
)

const Request = root.lookupType("ExportTraceServiceRequest")
const Response = root.lookupType("ExportTraceServiceResponse")
const Status = root.lookupType("RpcStatus")
const RetryInfo = root.lookupType("RetryInfo")

export interface WireAttribute {
  readonly key: string
  readonly value: OtlpValue
}
interface WireSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly traceState: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: ReadonlyArray<WireAttribute>
  readonly events: ReadonlyArray<{
    readonly name: string
    readonly timeUnixNano: string
    readonly attributes: ReadonlyArray<WireAttribute>
    readonly droppedAttributesCount?: number
  }>
  readonly links: ReadonlyArray<{
    readonly traceId: string
    readonly spanId: string
    readonly attributes: ReadonlyArray<WireAttribute>
    readonly droppedAttributesCount?: number
  }>
  readonly status?: { readonly code: number; readonly message: string } | null
  readonly droppedAttributesCount?: number
  readonly droppedEventsCount?: number
  readonly droppedLinksCount?: number
}
interface WireRequest {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: { readonly attributes: ReadonlyArray<WireAttribute> }
    readonly scopeSpans: ReadonlyArray<{
      readonly scope: { readonly name: string; readonly version: string }
      readonly spans: ReadonlyArray<WireSpan>
    }>
  }>
}

/** The answer of a collector that does not want all spans. */
export const partialSuccess = (rejectedSpans: number, errorMessage: string): Buffer =>
  Buffer.from(Response.encode({ partialSuccess: { rejectedSpans, errorMessage } }).finish())

/** The details of a status that says when to come back. */
export const retryInfo = (code: number, millis: number): Buffer => {
  const retryDelay = { seconds: Math.floor(millis / 1000), nanos: (millis % 1000) * 1e6 }
  const other = { typeUrl: "type.googleapis.com/google.rpc.DebugInfo", value: Buffer.from([10, 1, 65]) }
  const value = RetryInfo.encode({ retryDelay }).finish()
  const details = [other, { typeUrl: "type.googleapis.com/google.rpc.RetryInfo", value }]
  return Buffer.from(Status.encode({ code, message: "come back", details }).finish())
}

/** The spans of a request. */
export const decode = (bytes: Buffer): ReadonlyArray<CollectedSpan> => {
  const request = Request.toObject(Request.decode(bytes), {
    longs: String,
    bytes: String,
    arrays: true,
    oneofs: false
  }) as WireRequest
  return request.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map((span): CollectedSpan => ({
        resource: values(resource.attributes),
        scope: { name: scope.name, version: scope.version },
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentId: hex(span.parentSpanId ?? ""),
        traceState: span.traceState ?? "",
        name: span.name,
        kind: kinds[span.kind] ?? "unspecified",
        start: BigInt(span.startTimeUnixNano),
        end: BigInt(span.endTimeUnixNano),
        time: BigInt(span.startTimeUnixNano),
        otlp: kinded(span.attributes),
        attributes: values(span.attributes),
        events: span.events.map((event) => ({
          name: event.name,
          time: BigInt(event.timeUnixNano),
          otlp: kinded(event.attributes),
          attributes: values(event.attributes),
          droppedAttributes: event.droppedAttributesCount ?? 0
        })),
        links: span.links.map((link) => ({
          traceId: hex(link.traceId),
          spanId: hex(link.spanId),
          attributes: values(link.attributes),
          droppedAttributes: link.droppedAttributesCount ?? 0
        })),
        status: { code: codes[span.status?.code ?? 0] ?? "unset", message: span.status?.message ?? "" },
        dropped: {
          attributes: span.droppedAttributesCount ?? 0,
          events: span.droppedEventsCount ?? 0,
          links: span.droppedLinksCount ?? 0
        }
      }))
    )
  )
}

const kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const
const codes = ["unset", "ok", "error"] as const

const hex = (base64: string): string => Buffer.from(base64, "base64").toString("hex")

const kinded = (attributes: ReadonlyArray<WireAttribute>): Record<string, OtlpValue> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, numeric(value)]))

// 64-bit integers come as text; all of ours are safe.
const numeric = (value: OtlpValue): OtlpValue =>
  value.intValue !== undefined
    ? { intValue: Number(value.intValue) }
    : value.arrayValue !== undefined
      ? { arrayValue: { values: (value.arrayValue.values ?? []).map(numeric) } }
      : value

/** Attributes without the kinds of their values. */
export const values = (attributes: ReadonlyArray<WireAttribute>): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, plain(numeric(value))]))

const plain = (value: OtlpValue): unknown =>
  value.arrayValue === undefined ? Object.values(value)[0] : value.arrayValue.values.map(plain)
