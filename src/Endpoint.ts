/**
 * The address of a collector that speaks OTLP, over gRPC or over HTTP.
 *
 * The gRPC exporter takes an address without a scheme for TLS and drops a default port, so that `localhost:4317` and
 * `http://collector` fail without a word. Here every address is resolved or refused before an exporter sees it.
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { mark, redact } from "./Redaction.ts"

/** What is spoken: OTLP in protobuf, over gRPC or over HTTP. */
export type Protocol = "grpc" | "http/protobuf"

/** What is sent. */
export type Signal = "traces" | "metrics"

/** Where spans or metrics are sent. */
export interface Endpoint {
  readonly protocol: Protocol
  readonly signal: Signal
  /** Scheme, host and port, and the path over HTTP, without a query: `http://localhost:4318/v1/traces`. */
  readonly url: string
  /** Host and port, as messages name them: `localhost:4317`, `[::1]:4317`. */
  readonly address: string
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  /** Over HTTP, where they are posted, with the query, which may hold a key. Empty over gRPC. */
  readonly path: string
  readonly tls: boolean
  /** Whether it is this machine, whatever the names of a network say. */
  readonly loopback: boolean
  /** What was ignored, or looks wrong. */
  readonly warnings: ReadonlyArray<string>
}

/** How an address is to be understood. */
export interface Reading {
  readonly protocol: Protocol
  /** `traces` by default. */
  readonly signal?: Signal | undefined
  /**
   * Over HTTP: `base` gets `v1/traces` (or `v1/metrics`) at its end, as the general variable wants it; `exact` is taken
   * as it is, as the variable of one signal wants it. `either` gets it where that is not at its end already, in place of
   * the other one.
   */
  readonly path: "base" | "exact" | "either"
  /** Over gRPC: whether an address without a scheme is plain text; left out, it is on loopback and refused elsewhere. */
  readonly insecure?: boolean | undefined
}

/** The ports of OTLP. https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-default-port */
export const defaultPorts = { grpc: 4317, "http/protobuf": 4318 } as const

const names = { grpc: "gRPC", "http/protobuf": "HTTP" } as const

/** Where they go when nobody says where. */
export const local = (protocol: Protocol, signal: Signal = "traces"): Endpoint =>
  Result.getOrThrow(parse(`http://localhost:${defaultPorts[protocol]}`, { protocol, signal, path: "base" }))

/** What an address must look like, for messages. */
export const allowed = "an address such as http://localhost:4317 or https://collector.example:4317"

/** An address that cannot be used, as messages show it: a query may hold a key, and what is before `@` a password. */
export const shown = (text: string): string =>
  redact(text)
    .replace(/^((?:[a-z][a-z0-9+.-]*:\/\/)?).*@/is, `$1${mark}@`)
    .replace(/[?#].*$/s, "?…")

/** Resolves an address; the failure says what is wrong with it, in words that follow "but". */
export const parse = (
  text: string,
  { insecure, path: rule, protocol, signal = "traces" }: Reading = { protocol: "grpc", path: "either" }
): Result.Result<Endpoint, string> => {
  const things = signal === "traces" ? "spans" : "metrics"
  const usual = paths[signal]
  const trimmed = text.trim()
  const [, given, afterScheme] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(trimmed) ?? []
  if (given?.toLowerCase() === "unix" || /^unix:/i.test(trimmed)) {
    return Result.fail("Unix sockets are not supported")
  }
  const [, authority = "", rest = ""] = /^([^/?#]*)(.*)$/s.exec(afterScheme ?? trimmed) ?? []
  if (authority.includes("@")) {
    return Result.fail("it holds a user name or password; pass credentials in OTEL_EXPORTER_OTLP_HEADERS")
  }
  const [, hostGiven = "", portGiven = ""] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(authority) ?? []
  if (hostGiven === "" || /\s/.test(hostGiven) || !URL.canParse(`http://${hostGiven}`)) {
    return Result.fail("it is not an address")
  }
  const hostInUrl = new URL(`http://${hostGiven}`).hostname
  const loopback = isLoopback(hostInUrl)
  const scheme = given?.toLowerCase() ?? schemeOf(loopback, protocol === "grpc" ? insecure : undefined)
  if (scheme === undefined) {
    return Result.fail("it has no scheme: write http:// in front for plain text, https:// for TLS")
  }
  if (scheme !== "http" && scheme !== "https") {
    return Result.fail(`its scheme is ${scheme}`)
  }
  // A web address has the web's port, where a service lives that takes OTLP beside other things.
  const port =
    portGiven !== ""
      ? Number(portGiven)
      : protocol === "grpc" || given === undefined
        ? defaultPorts[protocol]
        : scheme === "https"
          ? 443
          : 80
  const address = `${hostInUrl}:${port}`
  const origin = `${scheme}://${address}`
  if (port < 1 || port > 65535 || !URL.canParse(origin + rest)) {
    return Result.fail("it is not an address")
  }
  const { pathname, search } = new URL(origin + rest)
  const path = protocol === "grpc" ? "" : rule === "exact" ? pathname : underBase(pathname, rule, usual)
  return Result.succeed({
    protocol,
    signal,
    url: origin + path,
    address,
    host: hostInUrl.replace(/^\[|\]$/g, ""),
    port,
    path: path === "" ? "" : path + search,
    tls: scheme === "https",
    loopback,
    warnings: [
      ...(protocol === "grpc" && rest !== "" && rest !== "/"
        ? [`the path ${pathname} is ignored, ${things} go to ${origin} over gRPC`]
        : []),
      ...(protocol !== "grpc" && path === "/"
        ? [`${things} are posted to ${origin}/; usual is ${origin}${usual}`]
        : []),
      ...(path.endsWith(usual + usual)
        ? [`${things} are posted to ${origin}${path}: ${usual} is added to the address, which should end before it`]
        : []),
      ...(protocol !== "grpc" && given !== undefined && scheme === "http" && portGiven === ""
        ? [
            `the address ${origin.replace(/:\d+$/, "")} has no port, so it is ${port}; OTLP over HTTP is usually ${defaultPorts[protocol]}`
          ]
        : []),
      ...otherPort(protocol, port)
    ]
  })
}

// https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
const paths = { traces: "/v1/traces", metrics: "/v1/metrics" } as const

const schemeOf = (loopback: boolean, insecure: boolean | undefined): "http" | "https" | undefined =>
  insecure === undefined ? (loopback ? "http" : undefined) : insecure ? "http" : "https"

const underBase = (pathname: string, rule: "base" | "either", usual: string): string =>
  (rule === "base" ? pathname : pathname.replace(/\/v1\/(?:traces|metrics)$/, "")).replace(/\/$/, "") + usual

const otherPort = (protocol: Protocol, port: number): ReadonlyArray<string> => {
  const other: Protocol = protocol === "grpc" ? "http/protobuf" : "grpc"
  return port === defaultPorts[other]
    ? [`${port} is usually OTLP over ${names[other]}; ${names[protocol]} is usually ${defaultPorts[protocol]}`]
    : []
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "[::1]" || /^127(?:\.\d+){3}$/.test(host)
