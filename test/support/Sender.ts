// What sends to a receiver of OTLP: the SDK's own exporters, and requests by hand.
import * as grpc from "@grpc/grpc-js"
import { ROOT_CONTEXT, trace } from "@opentelemetry/api"
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc"
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { OTLPTraceExporter as ProtoExporter } from "@opentelemetry/exporter-trace-otlp-proto"
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import { resourceFromAttributes } from "@opentelemetry/resources"
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanExporter
} from "@opentelemetry/sdk-trace-base"
import * as Http from "node:http"

// ---------------------------------------------------------------------------------------------------------------------
// The SDK
// ---------------------------------------------------------------------------------------------------------------------

/** Spans of a program called `another-program`, each the root of a trace. */
export const spans = (count: number, name = "work"): ReadonlyArray<ReadableSpan> => {
  const memory = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": "another-program" }),
    spanProcessors: [new SimpleSpanProcessor(memory)]
  })
  const tracer = provider.getTracer("another-library", "1.2.3")
  for (let number = 1; number <= count; number++) {
    const span = tracer.startSpan(name, { attributes: { number, half: 0.5, tags: ["a", "b"] } })
    span.addEvent("reached", { far: true })
    span.end()
  }
  return memory.getFinishedSpans()
}

/** Spans of so many traces, each a root with children, in batches as a processor makes them. */
export const batches = (options: {
  readonly traces: number
  readonly spansPerTrace: number
  readonly batch: number
}): ReadonlyArray<ReadonlyArray<ReadableSpan>> => {
  const memory = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] })
  const tracer = provider.getTracer("another-library")
  for (let number = 0; number < options.traces; number++) {
    const root = tracer.startSpan("root")
    const context = trace.setSpan(ROOT_CONTEXT, root)
    for (let child = 1; child < options.spansPerTrace; child++) {
      tracer.startSpan("child", { attributes: { child, "a.text": "some text of usual length" } }, context).end()
    }
    root.end()
  }
  const spans = memory.getFinishedSpans()
  return Array.from({ length: Math.ceil(spans.length / options.batch) }, (_, index) =>
    spans.slice(index * options.batch, (index + 1) * options.batch)
  )
}

/** A request with so many spans, as the SDK writes it. */
export const request = (count: number, name?: string): Buffer =>
  Buffer.from(ProtobufTraceSerializer.serializeRequest([...spans(count, name)]) ?? new Uint8Array())

/** The SDK's exporters, by what they send. */
export const exporters: Readonly<
  Record<string, (ports: { readonly grpc: number; readonly http: number }, compressed: boolean) => SpanExporter>
> = {
  gRPC: ({ grpc }, compressed) => new GrpcExporter({ url: `http://localhost:${grpc}`, compression: of(compressed) }),
  "HTTP in protobuf": ({ http }, compressed) =>
    new ProtoExporter({ url: `http://localhost:${http}/v1/traces`, compression: of(compressed) }),
  "HTTP in JSON": ({ http }, compressed) =>
    new JsonExporter({ url: `http://localhost:${http}/v1/traces`, compression: of(compressed) })
}

// The type of the exporters is an enumeration of a package that they do not pass on.
const of = (compressed: boolean) => (compressed ? "gzip" : "none") as never

/** Sends batches of spans one after the other; rejects with what the exporter says. */
export const exportWith = async (
  exporter: SpanExporter,
  ...batches: ReadonlyArray<ReadonlyArray<ReadableSpan>>
): Promise<void> => {
  try {
    for (const batch of batches) {
      await new Promise<void>((resolve, reject) =>
        exporter.export([...batch], ({ code, error }) => (code === 0 ? resolve() : reject(error ?? new Error("none"))))
      )
    }
  } finally {
    await exporter.shutdown()
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// By hand
// ---------------------------------------------------------------------------------------------------------------------

/** How a call over gRPC ended. */
export interface GrpcAnswer {
  readonly code: keyof typeof grpc.status
  readonly details: string
  /** The answer itself, where there is one. */
  readonly body: Buffer | undefined
  /** `google.rpc.Status`, where there is one. */
  readonly status: Buffer | undefined
}

const traceExport = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

/** A client that stays connected. */
export const grpcClient = (port: number, options: grpc.ClientOptions = {}): grpc.Client =>
  new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_send_message_length": -1,
    ...options
  })

/** Makes one call with a client. */
export const call = (client: grpc.Client, bytes: Uint8Array, method = traceExport): Promise<GrpcAnswer> =>
  new Promise((resolve) => {
    client.makeUnaryRequest<Buffer, Buffer>(
      method,
      (bytes) => bytes,
      (bytes) => bytes,
      Buffer.from(bytes),
      new grpc.Metadata(),
      { deadline: Date.now() + 60_000 },
      (error, body) =>
        resolve({
          code: grpc.status[error?.code ?? grpc.status.OK] as keyof typeof grpc.status,
          details: error?.details ?? "",
          body,
          status: error?.metadata.get("grpc-status-details-bin")[0] as Buffer | undefined
        })
    )
  })

/** Begins a call and gives it up after so long, wherever it is by then. */
export const giveUp = (client: grpc.Client, bytes: Uint8Array, millis: number): Promise<void> =>
  new Promise((resolve) => {
    const call = client.makeUnaryRequest<Buffer, Buffer>(
      traceExport,
      (bytes) => bytes,
      (bytes) => bytes,
      Buffer.from(bytes),
      () => resolve()
    )
    setTimeout(() => call.cancel(), millis)
  })

/** Makes one call. */
export const callOnce = async (
  port: number,
  bytes: Uint8Array,
  options: { readonly gzip?: boolean; readonly method?: string } = {}
): Promise<GrpcAnswer> => {
  const client = grpcClient(port, { "grpc.default_compression_algorithm": options.gzip === true ? 2 : 0 })
  return call(client, bytes, options.method).finally(() => client.close())
}

/** How a request over HTTP ended. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
}

/** Posts a body to `/v1/traces`, in protobuf unless the headers say otherwise. */
export const post = (
  port: number,
  body: Uint8Array | string,
  options: {
    readonly headers?: Readonly<Record<string, string>>
    readonly path?: string
    readonly method?: string
    readonly agent?: Http.Agent
    readonly signal?: AbortSignal
  } = {}
): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    const request = Http.request(
      {
        host: "127.0.0.1",
        port,
        path: options.path ?? "/v1/traces",
        method: options.method ?? "POST",
        headers: {
          "content-type": "application/x-protobuf",
          ...(options.headers?.["transfer-encoding"] === undefined
            ? { "content-length": Buffer.byteLength(body) }
            : {}),
          ...options.headers
        },
        ...(options.agent === undefined ? {} : { agent: options.agent }),
        ...(options.signal === undefined ? {} : { signal: options.signal })
      },
      (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.once("end", () => {
          const body = Buffer.concat(chunks)
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body, text: body.toString() })
        })
      }
    )
    request.once("error", reject)
    request.end(body)
  })
