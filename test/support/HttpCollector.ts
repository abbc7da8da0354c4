/**
 * An OpenTelemetry collector for tests that speaks OTLP in protobuf over HTTP, on a loopback port.
 *
 * What a test reads here has been on the wire.
 */
import * as Effect from "effect/Effect"
import { once } from "node:events"
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import type * as Scope from "effect/Scope"
import { gunzipSync } from "node:zlib"
import * as Collector from "./Collector.ts"

/** Takes spans, takes some, never answers, takes its time, or answers with a status. */
export type Mode =
  | "ok"
  | "hang"
  | { readonly reject: number; readonly message: string }
  | { readonly delayMillis: number }
  | {
      readonly status: number
      readonly body?: string | Buffer
      readonly headers?: Readonly<Record<string, string>>
    }

interface Options {
  /** One for all calls, or by the number of the call, from 1. */
  readonly mode?: Mode | ((call: number) => Mode)
  readonly port?: number
  readonly tls?: Collector.Tls
}

export interface Call {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  /** As they came. */
  readonly bytes: Buffer
}

export interface HttpCollector {
  /** `http://127.0.0.1:<port>`, or https. */
  readonly url: string
  readonly port: number
  /** All spans taken so far, in the order they came. */
  readonly spans: () => ReadonlyArray<Collector.CollectedSpan>
  /** Every call as it came, also refused ones. */
  readonly calls: () => ReadonlyArray<Call>
  /** How many connections were made. */
  readonly connections: () => number
  readonly close: () => Promise<void>
}

export const start = async (options: Options = {}): Promise<HttpCollector> => {
  const calls: Array<Call> = []
  const spans: Array<Collector.CollectedSpan> = []
  let connections = 0

  const handle: Http.RequestListener = (request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.once("end", () => {
      const { headers, method = "", url = "" } = request
      const bytes = Buffer.concat(chunks)
      calls.push({ method, path: url, headers, bytes })
      const mode = typeof options.mode === "function" ? options.mode(calls.length) : (options.mode ?? "ok")
      const answer = (status: number, headers: Readonly<Record<string, string>>, body: string | Buffer = "") =>
        response.writeHead(status, headers).end(body)
      const protobuf = { "content-type": "application/x-protobuf" }
      const take = () => {
        if (!url.endsWith("/v1/metrics")) {
          spans.push(...Collector.decode(headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes))
        }
        answer(200, protobuf)
      }
      if (mode === "ok") {
        take()
      } else if (mode !== "hang") {
        if ("status" in mode) {
          answer(mode.status, mode.headers ?? {}, mode.body)
        } else if ("reject" in mode) {
          answer(200, protobuf, Collector.partialSuccess(mode.reject, mode.message))
        } else {
          setTimeout(take, mode.delayMillis)
        }
      }
    })
  }

  const { tls } = options
  const server =
    tls === undefined
      ? Http.createServer(handle)
      : Https.createServer(
          {
            cert: tls.certificate,
            key: tls.key,
            ...(tls.clients === undefined ? {} : { ca: tls.clients, requestCert: true, rejectUnauthorized: true })
          },
          handle
        )
  server.on("connection", () => connections++)
  await once(server.listen(options.port ?? 0, "127.0.0.1"), "listening")
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    port,
    spans: () => spans,
    calls: () => calls,
    connections: () => connections,
    close: async () => {
      server.close()
      server.closeAllConnections()
    }
  }
}

/** The same, closed with its scope. */
export const make = (options: Options = {}): Effect.Effect<HttpCollector, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => start(options)),
    (collector) => Effect.promise(() => collector.close())
  )
