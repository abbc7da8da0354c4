/**
 * The address of a collector that speaks OTLP over gRPC.
 *
 * The exporter takes an address without a scheme for TLS and drops a default port, so that `localhost:4317` and
 * `http://collector` fail without a word. Here every address is resolved or refused before the exporter sees it.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"

/** Where spans are sent. */
export interface Endpoint {
  /** Scheme, host and port, all three always there: `http://localhost:4317`. */
  readonly url: string
  /** Host and port, as messages name them: `localhost:4317`, `[::1]:4317`. */
  readonly address: string
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** Whether it is this machine, whatever the names of a network say. */
  readonly loopback: boolean
  /** What was ignored, or looks wrong. */
  readonly warnings: ReadonlyArray<string>
}

/** The port of OTLP over gRPC. https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-default-port */
export const defaultPort = 4317

const httpPort = 4318

/** What an address must look like, for messages. */
export const allowed = "an address such as http://localhost:4317 or https://collector.example:4317"

/** Resolves an address; the failure says what is wrong with it, in words that follow "but". */
export const parse = (text: string): Result.Result<Endpoint, string> => {
  const trimmed = text.trim()
  const [, given, afterScheme] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(trimmed) ?? []
  if (given?.toLowerCase() === "unix" || /^unix:/i.test(trimmed)) {
    return Result.fail("Unix sockets are not supported")
  }
  const [, authority = "", path = ""] = /^([^/?#]*)(.*)$/s.exec(afterScheme ?? trimmed) ?? []
  if (authority.includes("@")) {
    return Result.fail("it holds a user name or password; pass credentials in OTEL_EXPORTER_OTLP_HEADERS")
  }
  const [, hostGiven = "", portGiven = ""] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(authority) ?? []
  const port = portGiven === "" ? defaultPort : Number(portGiven)
  if (hostGiven === "" || /\s/.test(hostGiven) || !URL.canParse(`http://${hostGiven}`) || port < 1 || port > 65535) {
    return Result.fail("it is not an address")
  }
  const hostInUrl = new URL(`http://${hostGiven}`).hostname
  const scheme = given?.toLowerCase() ?? (isLoopback(hostInUrl) ? "http" : undefined)
  if (scheme === undefined) {
    return Result.fail("it has no scheme: write http:// in front for plain text, https:// for TLS")
  }
  if (scheme !== "http" && scheme !== "https") {
    return Result.fail(`its scheme is ${scheme}`)
  }
  const address = `${hostInUrl}:${port}`
  const url = `${scheme}://${address}`
  return Result.succeed({
    url,
    address,
    host: hostInUrl.replace(/^\[|\]$/g, ""),
    port,
    tls: scheme === "https",
    loopback: isLoopback(hostInUrl),
    warnings: [
      ...(path === "" || path === "/" ? [] : [`the path ${path} is ignored, spans go to ${url} over gRPC`]),
      ...(port === httpPort ? [`${httpPort} is usually OTLP over HTTP; gRPC is usually ${defaultPort}`] : [])
    ]
  })
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "[::1]" || /^127(?:\.\d+){3}$/.test(host)
