/**
 * Spans and metrics to a collector, over OTLP and gRPC.
 *
 * The messages are written and read by the stock serializer, and gRPC sends them. The stock exporter in between leaves
 * out what is needed here: calls that can be ended, when a collector wants the next attempt, how many spans it rejected,
 * an address whose port is always there, and an end that does not wait for a silent server.
 * https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
 *
 * @since 0.1.0
 */
import { Client, credentials, logVerbosity, Metadata, setLogVerbosity } from "@grpc/grpc-js"
import type { ChannelCredentials, ServiceError } from "@grpc/grpc-js"
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { AsyncLocalStorage } from "node:async_hooks"
import { subscribe } from "node:diagnostics_channel"
import { isIP, type Socket } from "node:net"
import type { Endpoint } from "./Endpoint.ts"
import { accepted, noConnection, quote, refused, silence, unknownHost } from "./OtlpAnswers.ts"
import type { Outcome, Reason } from "./OtlpAnswers.ts"
import * as OtlpCertificates from "./OtlpCertificates.ts"
import type { OtlpClient } from "./OtlpClient.ts"
import type { OtlpSettings } from "./OtlpSettings.ts"
import * as RetryInfo from "./RetryInfo.ts"
import { version } from "./Version.ts"

/** Makes a client; no connection yet. The failure says which setting is wrong and quotes nothing of it. */
export const make = (endpoint: Endpoint, settings: OtlpSettings): Result.Result<OtlpClient, string> =>
  settings.problem === undefined
    ? Result.map(channelCredentials(endpoint, settings), (credentials) => connect(endpoint, settings, credentials))
    : Result.fail(settings.problem)

// https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto/collector
const methods = {
  traces: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
  metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
} as const

const connect = (endpoint: Endpoint, settings: OtlpSettings, channel: ChannelCredentials): OtlpClient => {
  const metadata = new Metadata()
  for (const [key, value] of Redacted.value(settings.headers)) {
    metadata.set(key, value)
  }
  // No proxy reaches this machine's own loopback address.
  const proxy = endpoint.loopback ? undefined : proxyTo(endpoint.host)
  const address = proxy === undefined ? endpoint.address : `${endpoint.address} (through the proxy ${proxy})`
  if (proxy !== undefined && !["GRPC_NODE_VERBOSITY", "GRPC_VERBOSITY"].some((name) => name in process.env)) {
    // gRPC writes a line of its own for each failure of a proxy, which it says nowhere else.
    setLogVerbosity(logVerbosity.NONE)
  }
  const sockets: Sockets = { open: new Set(), closed: false }
  const calls = new Set<{ readonly cancel: () => void }>()
  let silent = 0
  let client: Client | undefined

  const connected = (): Client =>
    (client ??= new Client(endpoint.address, channel, {
      "grpc.primary_user_agent": `tinyllm/${version}`,
      "grpc.default_compression_algorithm": settings.gzip ? gzip : identity,
      "grpc.enable_http_proxy": endpoint.loopback ? 0 : 1,
      // Sockets that nobody else uses can be destroyed at the end.
      "grpc.use_local_subchannel_pool": 1
    }))

  // After a connection that was not made, gRPC answers calls with that for a while, and asks by itself all the time. And
  // one whose other end has gone without a word looks like a collector that is slow. So the next call has a new one.
  const renew = (outcome: Outcome): void => {
    const failed = outcome._tag === "Failed" ? outcome : undefined
    silent = failed?.silent === true ? silent + 1 : 0
    if (calls.size === 0 && (failed?.unreachable === true || silent >= silentCalls)) {
      silent = 0
      client?.close()
      client = undefined
    }
  }

  return {
    address,
    send: (request, millis, done) =>
      openedFor.run(sockets, () => {
        const call = connected().makeUnaryRequest(
          methods[endpoint.signal],
          (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
          (bytes) => bytes,
          request,
          metadata,
          { deadline: Date.now() + Math.min(Math.max(millis, 1), longestMillis) },
          (error, response) => {
            if (calls.delete(call)) {
              const outcome =
                error === null
                  ? acknowledged(response, address, settings)
                  : failed(error, endpoint, address, millis, settings)
              renew(outcome)
              done(outcome)
            }
          }
        )
        calls.add(call)
        return {
          cancel: () => {
            calls.delete(call)
            call.cancel()
          }
        }
      }),
    silence: (millis) => silence(address, millis, "grpc"),
    close: () => {
      for (const call of Array.from(calls)) {
        calls.delete(call)
        call.cancel()
      }
      client?.close()
      sockets.closed = true
      for (const socket of sockets.open) {
        socket.destroy()
      }
    }
  }
}

// Values of gRPC's own, which it does not export as numbers. https://grpc.github.io/grpc/core/compression_8h.html
const identity = 0
const gzip = 2

// So many calls in a row without an answer, and the next one has a new connection.
const silentCalls = 2

// "No limit": a day. What comes near to the longest that a timer can run, gRPC takes for over at once.
const longestMillis = 86_400_000

// ---------------------------------------------------------------------------------------------------------------------
// Connections
// ---------------------------------------------------------------------------------------------------------------------

// gRPC closes a connection that works, but leaves one that is being made: an address that swallows packets, or never
// answers in TLS, would hold the process for 20 s. So the sockets opened on behalf of a client are remembered.
interface Sockets {
  readonly open: Set<Socket>
  closed: boolean
}

const openedFor = new AsyncLocalStorage<Sockets>()

subscribe("net.client.socket", (message) => {
  const sockets = openedFor.getStore()
  if (sockets === undefined) {
    return
  }
  const { socket } = message as { readonly socket: Socket }
  if (sockets.closed) {
    // gRPC may try again for a call that nobody waits for. Destroyed at once, a socket would come back to life: it is
    // told to connect right after this.
    process.nextTick(() => socket.destroy())
    return
  }
  sockets.open.add(socket)
  socket.once("close", () => sockets.open.delete(socket))
})

// The proxy that gRPC takes, for messages. https://github.com/grpc/grpc-node/blob/master/packages/grpc-js/src/http_proxy.ts
const proxyTo = (host: string): string | undefined => {
  const proxy = process.env["grpc_proxy"] || process.env["https_proxy"] || process.env["http_proxy"]
  const exempt = (process.env["no_grpc_proxy"] || process.env["no_proxy"] || "").split(",")
  return proxy === undefined || !URL.canParse(proxy) || exempt.some((name) => name !== "" && host.endsWith(name.trim()))
    ? undefined
    : new URL(proxy).host
}

// ---------------------------------------------------------------------------------------------------------------------
// TLS
// ---------------------------------------------------------------------------------------------------------------------

const channelCredentials = (endpoint: Endpoint, settings: OtlpSettings): Result.Result<ChannelCredentials, string> =>
  endpoint.tls
    ? Result.map(OtlpCertificates.read(settings), ({ authorities, certificate, key }) =>
        withoutAddressAsName(credentials.createSsl(authorities ?? null, key ?? null, certificate ?? null), endpoint)
      )
    : Result.succeed(credentials.createInsecure())

// gRPC takes every host for a server name. An IP address is none (RFC 6066), and Node warns about it in two lines on
// standard error. What it makes is not public; where that changes, the lines are back, and a test fails.
const withoutAddressAsName = (tls: ChannelCredentials, endpoint: Endpoint): ChannelCredentials => {
  if (isIP(endpoint.host) !== 0) {
    const create = tls._createSecureConnector.bind(tls)
    tls._createSecureConnector = (...args) => {
      const connector = create(...args)
      const inside = connector as unknown as { readonly connectionOptions?: { servername?: string } }
      delete inside.connectionOptions?.servername
      return connector
    }
  }
  return tls
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

// Who has acknowledged a request has taken it, even in words that nobody understands. Those for metrics are on the wire
// as those for spans.
const acknowledged = (response: Buffer | undefined, address: string, settings: OtlpSettings): Outcome =>
  accepted(
    Result.getOrElse(
      Result.try(() => ProtobufTraceSerializer.deserializeResponse(response ?? new Uint8Array()).partialSuccess),
      () => undefined
    ),
    address,
    settings
  )

const failed = (
  error: ServiceError,
  endpoint: Endpoint,
  address: string,
  millis: number,
  settings: OtlpSettings
): Outcome => {
  const { code, details } = error
  const text = essence(details)
  const nobody = text.includes("ECONNREFUSED")
  const unknown = /ENOTFOUND|EAI_AGAIN|Name resolution failed/.test(text)
  const unconnected = code === unavailable && /^No (?:connection|addresses)/.test(details)
  const retryAfterMillis = RetryInfo.millis(error.metadata?.get("grpc-status-details-bin")[0])
  const why = quote(text, settings)
  const reason: Reason =
    code === deadlineExceeded
      ? silence(address, millis, "grpc")
      : nobody
        ? refused(address)
        : unknown
          ? unknownHost(address.replace(endpoint.address, endpoint.host))
          : unconnected
            ? noConnection(address, why, "grpc")
            : { reason: `${address} answered ${codes[code] ?? `code ${code}`}${why === "" ? "" : `: ${why}`}` }
  return {
    _tag: "Failed",
    ...reason,
    retryable: retryable.has(code) || (code === resourceExhausted && retryAfterMillis !== undefined),
    retryAfterMillis,
    unwanted: unwanted.has(code),
    tooLarge: code === resourceExhausted && /larger than max|too large/i.test(text),
    unreachable: nobody || unknown || unconnected,
    silent: code === deadlineExceeded,
    unauthorised: code === permissionDenied || code === unauthenticated
  }
}

// What gRPC says, without its frame: sentences about nothing, times of day, and the files of OpenSSL.
const essence = (details: string): string =>
  (details.split("\n", 1)[0] ?? "")
    .replace(/^No connection established\.\s*/, "")
    .replace(/\s*Resolution note:\s*$/, "")
    .replace(/\s*Last error: (?:undefined|null)\.?/, "")
    .replace(/^Last error: (?:Error: )?/, "")
    .replace(/\s*\(\d{4}-\d\d-\d\dT[^)]*\)/, "")
    .replace(/\b[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*$/, "TLS: $1")
    .replace(/\.?\s*$/, "")

// https://grpc.io/docs/guides/status-codes/
const codes: Record<number, string> = {
  1: "CANCELLED",
  2: "UNKNOWN",
  3: "INVALID_ARGUMENT",
  4: "DEADLINE_EXCEEDED",
  5: "NOT_FOUND",
  6: "ALREADY_EXISTS",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  9: "FAILED_PRECONDITION",
  10: "ABORTED",
  11: "OUT_OF_RANGE",
  12: "UNIMPLEMENTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
  15: "DATA_LOSS",
  16: "UNAUTHENTICATED"
}
const deadlineExceeded = 4
const permissionDenied = 7
const resourceExhausted = 8
const unavailable = 14
const unauthenticated = 16

// RESOURCE_EXHAUSTED only when the collector says when to come back.
// https://opentelemetry.io/docs/specs/otlp/#failures
const retryable: ReadonlySet<number> = new Set([1, deadlineExceeded, 10, 11, unavailable, 15])

// INVALID_ARGUMENT and ALREADY_EXISTS are about the spans, and will be the same tomorrow. All others are about who
// sends, how much, or where to, which a person can put right.
const unwanted: ReadonlySet<number> = new Set([3, 6])
