/**
 * Calls of a collector, over OTLP and gRPC, by the stock exporter.
 *
 * What surrounds it is what it leaves out: a reason that a person can use when a call fails, how many spans a collector
 * rejected, an address whose port is always there, and an end that does not wait for a silent server.
 * https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
 *
 * @since 0.1.0
 */
import { credentials, logVerbosity, Metadata, setLogVerbosity } from "@grpc/grpc-js"
import type { ChannelCredentials } from "@grpc/grpc-js"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { AsyncLocalStorage } from "node:async_hooks"
import { subscribe } from "node:diagnostics_channel"
import { isIP, type Socket } from "node:net"
import type { Endpoint } from "./Endpoint.ts"
import { accepted, noConnection, quote, refused, silence, unknownHost } from "./OtlpAnswers.ts"
import type { Outcome, PartialSuccess } from "./OtlpAnswers.ts"
import * as OtlpCertificates from "./OtlpCertificates.ts"
import type { OtlpSettings } from "./OtlpSettings.ts"
import { version } from "./Version.ts"

export type { Outcome } from "./OtlpAnswers.ts"

export interface OtlpClient {
  /** Host and port, and the proxy in between if there is one, as messages name them. */
  readonly address: string
  /** Sends spans. `millis` is what that may take; `done` is called once. */
  readonly send: (spans: Array<ReadableSpan>, millis: number, done: (outcome: Outcome) => void) => void
  /** In words: nothing was heard for so long. */
  readonly silence: (millis: number) => string
  /** Ends what it holds. `abandoned` says that calls may be under way, which nobody waits for. */
  readonly close: (abandoned: boolean) => void
}

/** Makes a client; no connection yet. The failure says which setting is wrong and quotes nothing of it. */
export const make = (endpoint: Endpoint, settings: OtlpSettings): Result.Result<OtlpClient, string> =>
  settings.problem === undefined
    ? Result.map(channelCredentials(endpoint, settings), (credentials) => connect(endpoint, settings, credentials))
    : Result.fail(settings.problem)

const connect = (endpoint: Endpoint, settings: OtlpSettings, channel: ChannelCredentials): OtlpClient => {
  const metadata = new Metadata()
  for (const [key, value] of Redacted.value(settings.headers)) {
    metadata.set(key, value)
  }
  const proxy = endpoint.loopback ? undefined : proxyTo(endpoint.host)
  const address = proxy === undefined ? endpoint.address : `${endpoint.address} (through the proxy ${proxy})`
  if (proxy !== undefined && !["GRPC_NODE_VERBOSITY", "GRPC_VERBOSITY"].some((name) => name in process.env)) {
    // gRPC writes a line of its own for each failure of a proxy, which it says nowhere else.
    setLogVerbosity(logVerbosity.NONE)
  }
  const connections = joined(endpoint.address)
  let partialSuccess: PartialSuccess | undefined
  let exporter: { readonly exporter: OTLPTraceExporter; readonly millis: number } | undefined

  // The time that a call may take belongs to the exporter. Connections are shared by all exporters to one address.
  const exporterFor = (millis: number): OTLPTraceExporter => {
    if (exporter === undefined || exporter.millis > millis + tolerance || exporter.millis < millis - tolerance) {
      void exporter?.exporter.shutdown().catch(() => {})
      exporter = { exporter: newExporter(Math.min(Math.max(millis, 1), longestMillis)), millis }
    }
    return exporter.exporter
  }

  const newExporter = (timeoutMillis: number): OTLPTraceExporter => {
    const made = new OTLPTraceExporter({
      // Of a URL the exporter keeps the host, and that without the port when it is the scheme's own: port 80 would be
      // 443. So the scheme is always https, whose port gRPC takes by itself; the credentials say what is spoken.
      url: `https://${endpoint.address}`,
      credentials: channel,
      metadata,
      timeoutMillis,
      userAgent: `tinyllm/${version}`,
      // Who calls takes turns.
      concurrencyLimit: Number.MAX_SAFE_INTEGER,
      ...(settings.gzip ? { compression: "gzip" as never } : {})
    })
    // The exporter tells nobody but its log what a collector rejected. Where this changes, a test fails.
    const inside = made as unknown as { readonly _delegate?: { _responseHandler?: object } }
    if (inside._delegate?._responseHandler !== undefined) {
      inside._delegate._responseHandler = {
        handleResponse: (response: { readonly partialSuccess?: PartialSuccess | undefined }) => {
          partialSuccess = response.partialSuccess
        }
      }
    }
    return made
  }

  return {
    address,
    send: (spans, millis, done) =>
      connections.run(() =>
        withoutProxy(endpoint, () =>
          exporterFor(millis).export(spans, ({ code, error }) => {
            // The response is handled in the same turn, just before this.
            const said = partialSuccess
            partialSuccess = undefined
            done(
              code === 0
                ? accepted(said, address, settings)
                : failed((error ?? {}) as Failure, endpoint, address, millis, settings)
            )
          })
        )
      ),
    silence: (millis) => silence(address, millis, "grpc"),
    close: (abandoned) => {
      void exporter?.exporter.shutdown().catch(() => {})
      connections.leave(abandoned)
    }
  }
}

// An exporter serves calls whose times differ by no more than this.
const tolerance = 250

// "No limit": a day. What comes near to the longest that a timer can run, gRPC takes for over at once.
const longestMillis = 86_400_000

// ---------------------------------------------------------------------------------------------------------------------
// Connections
// ---------------------------------------------------------------------------------------------------------------------

// gRPC closes a connection that works, but leaves one that is being made: an address that swallows packets, or never
// answers in TLS, would hold the process for 20 s. So the sockets opened on behalf of a call are remembered. gRPC shares
// them between all that call one address, so the last one to leave destroys them.
interface Sockets {
  readonly open: Set<Socket>
  users: number
}

const byAddress = new Map<string, Sockets>()
const openedFor = new AsyncLocalStorage<Sockets>()

subscribe("net.client.socket", (message) => {
  const sockets = openedFor.getStore()
  if (sockets === undefined) {
    return
  }
  const { socket } = message as { readonly socket: Socket }
  if (sockets.users === 0) {
    // gRPC tries again for a call that nobody waits for. Destroyed at once, a socket would come back to life: it is
    // told to connect right after this.
    process.nextTick(() => socket.destroy())
    return
  }
  sockets.open.add(socket)
  socket.once("close", () => sockets.open.delete(socket))
})

const joined = (address: string) => {
  const sockets = byAddress.get(address) ?? { open: new Set(), users: 0 }
  byAddress.set(address, sockets)
  sockets.users++
  return {
    run: <A>(use: () => A): A => openedFor.run(sockets, use),
    leave: (abandoned: boolean): void => {
      sockets.users--
      if (abandoned && sockets.users === 0) {
        for (const socket of sockets.open) {
          socket.destroy()
        }
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Proxies
// ---------------------------------------------------------------------------------------------------------------------

// No proxy reaches this machine's own loopback address. gRPC reads its variables when it makes a channel, which it does
// in the turn of the first call, so nobody else sees this one.
const withoutProxy = <A>(endpoint: Endpoint, use: () => A): A => {
  if (!endpoint.loopback) {
    return use()
  }
  const before = process.env["no_grpc_proxy"]
  process.env["no_grpc_proxy"] = endpoint.host
  try {
    return use()
  } finally {
    if (before === undefined) {
      delete process.env["no_grpc_proxy"]
    } else {
      process.env["no_grpc_proxy"] = before
    }
  }
}

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

/** What gRPC says of a call that failed. */
interface Failure {
  readonly code?: number | undefined
  readonly details?: string | undefined
}

const failed = (
  error: Failure,
  endpoint: Endpoint,
  address: string,
  millis: number,
  settings: OtlpSettings
): Outcome => {
  const details = error.details ?? ""
  const code = error.code ?? 2
  const text = essence(details)
  const nobody = text.includes("ECONNREFUSED")
  const unknown = /ENOTFOUND|EAI_AGAIN|Name resolution failed/.test(text)
  const unconnected = code === unavailable && /^No (?:connection|addresses)/.test(details)
  const why = quote(text, settings)
  return {
    _tag: "Failed",
    retryable: retryable.has(code),
    unreachable: nobody || unknown || unconnected,
    silent: code === deadlineExceeded,
    unauthorised: code === permissionDenied || code === unauthenticated,
    reason:
      code === deadlineExceeded
        ? silence(address, millis, "grpc")
        : nobody
          ? refused(address)
          : unknown
            ? unknownHost(address.replace(endpoint.address, endpoint.host))
            : unconnected
              ? noConnection(address, why, "grpc")
              : `${address} answered ${codes[code] ?? `code ${code}`}${why === "" ? "" : `: ${why}`}`
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
const unavailable = 14
const unauthenticated = 16

// RESOURCE_EXHAUSTED only when the collector says for how long, which we do not read: taken for final.
// https://opentelemetry.io/docs/specs/otlp/#failures
const retryable: ReadonlySet<number> = new Set([1, deadlineExceeded, 10, 11, unavailable, 15])
