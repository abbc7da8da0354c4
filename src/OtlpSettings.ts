/**
 * How spans and metrics are sent over OTLP: the `OTEL_EXPORTER_OTLP_*` variables beside the endpoint.
 *
 * The variable of one signal beats the general one. What only makes spans look different is reported and ignored when it
 * is wrong. What decides whether a collector takes them is not: without its key, it would refuse them all.
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Protocol, Reading, Signal } from "./Endpoint.ts"
import { firstOf, millis, otelBoolean, otelChoice, ours, pairs, variable } from "./EnvironmentValues.ts"
import type { Sourced, TelemetryConfigError, Warn } from "./EnvironmentValues.ts"
import { mark, redact, type Redact } from "./Redaction.ts"

/** What flags, program and environment say. */
export interface OtlpSettings {
  readonly protocol: Sourced<Protocol>
  /** Whether an address without a scheme is plain text; `undefined` where nobody says. */
  readonly insecure: Sourced<boolean> | undefined
  /** Sent with every export, each key once and in lower case. */
  readonly headers: Redacted.Redacted<ReadonlyArray<readonly [key: string, value: string]>>
  /** The keys of the headers, which are no secret, and which variable holds each. */
  readonly headerKeys: ReadonlyArray<Sourced<string>>
  readonly gzip: boolean
  readonly gzipSource: string
  /** Files in PEM: whom to trust, and who we are. */
  readonly certificate: Sourced<string> | undefined
  readonly clientKey: Sourced<string> | undefined
  readonly clientCertificate: Sourced<string> | undefined
  /** How long one export may take, with all its attempts, in milliseconds; `Infinity` for no limit. */
  readonly timeout: Sourced<number>
  /** As `timeout`. */
  readonly timeoutMillis: number
  /** What hides secrets in what others say. */
  readonly redact: Redact
  /** Why nothing can be sent; it quotes no value, since headers are secret. */
  readonly problem: string | undefined
}

/** The protocols by name. https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specify-protocol */
export const protocols = ["grpc", "http/protobuf"] as const

// https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
// OpenTelemetry's own is 10 s. A call that is under way cannot be called back, and holds a program that has ended.
const defaultTimeoutMillis = 3000

/** How an address is to be understood with these settings. */
export const reading = (settings: OtlpSettings, path: Reading["path"], signal: Signal = "traces"): Reading => ({
  protocol: settings.protocol.value,
  signal,
  path,
  insecure: settings.insecure?.value
})

/** A text without secrets and the values of the headers: a collector that refuses a key may quote it. */
export const conceal = (settings: OtlpSettings, text: string): string =>
  Redacted.value(settings.headers)
    .flatMap(([, value]) => [value, value.replace(/^\w+\s+/, "")])
    .filter((secret) => secret.length >= shortestSecret)
    .reduce((text, secret) => text.replaceAll(secret, mark), settings.redact(text))

// What is shorter is in many a word.
const shortestSecret = 4

/**
 * Reads all of them. `asked` is the protocol that a flag or the program asks for; it is meant for spans, and holds for
 * metrics too where their own variable says nothing.
 */
export const read = Effect.fnUntraced(function* (
  asked: Protocol | undefined,
  warn: Warn,
  notices: Array<string>,
  signal: Signal = "traces"
): Effect.fn.Return<OtlpSettings, TelemetryConfigError> {
  const names = variables[signal]
  const protocol = yield* protocolOf(asked, warn, notices, signal)
  const insecure = yield* either(names.insecure, (name) => otelBoolean(name, warn))
  const timeout = (yield* either(names.timeout, (name) => millis(name, 0, warn))) ?? {
    value: defaultTimeoutMillis,
    source: "default"
  }
  const limit = timeout.value === 0 ? Number.POSITIVE_INFINITY : timeout.value
  const gzip = yield* either(names.compression, (name) =>
    otelChoice(name, ["gzip", "none"], "nothing is compressed", warn)
  )
  return {
    protocol,
    insecure,
    ...(yield* headers(protocol.value, names.headers)),
    gzip: gzip?.value === "gzip",
    gzipSource: gzip?.source ?? "default",
    certificate: yield* either(names.certificate, variable),
    clientKey: yield* either(names.clientKey, variable),
    clientCertificate: yield* either(names.clientCertificate, variable),
    timeout: { value: limit, source: timeout.source },
    timeoutMillis: limit,
    redact
  }
})

// That of a signal, and the general one.
type Names = readonly [own: string, general: string]

const variables = {
  traces: {
    protocol: ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    insecure: ["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"],
    timeout: ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
    headers: ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
    compression: ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
    certificate: ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"],
    clientKey: ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
    clientCertificate: ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"]
  },
  metrics: {
    protocol: ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    insecure: ["OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"],
    timeout: ["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
    headers: ["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
    compression: ["OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
    certificate: ["OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"],
    clientKey: ["OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
    clientCertificate: ["OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"]
  }
} as const satisfies Record<Signal, Record<string, Names>>

// Of the two, the first that says something.
const either = <A>(
  names: Names,
  read: (name: string) => Effect.Effect<Sourced<A> | undefined, TelemetryConfigError>
): Effect.Effect<Sourced<A> | undefined, TelemetryConfigError> => firstOf(...names.map(read))

const protocolOf = (asked: Protocol | undefined, warn: Warn, notices: Array<string>, signal: Signal) => {
  const [own, general] = variables[signal].protocol
  const otel = (name: string) =>
    Effect.flatMap(variable(name), (text): Effect.Effect<Sourced<Protocol> | undefined, TelemetryConfigError> => {
      if (text?.value.toLowerCase() === "http/json") {
        notices.push(`${name}=http/json is taken as http/protobuf: collectors take both at one address`)
        return Effect.succeed({ value: "http/protobuf", source: name })
      }
      return otelChoice(name, protocols, "it counts as unset", warn)
    })
  const program = Effect.succeed<Sourced<Protocol> | undefined>(
    asked === undefined ? undefined : { value: asked, source: "flag/program" }
  )
  const tinyllm = ours("TINYLLM_OTLP_PROTOCOL", "grpc or http/protobuf", (text) =>
    Option.fromUndefinedOr(protocols.find((protocol) => protocol === text.toLowerCase()))
  )
  return Effect.map(
    signal === "traces"
      ? firstOf(program, tinyllm, otel(own), otel(general))
      : firstOf(otel(own), program, tinyllm, otel(general)),
    (given): Sourced<Protocol> => given ?? { value: "grpc", source: "default" }
  )
}

// What gRPC allows; keys that end in -bin hold bytes. https://grpc.io/docs/guides/metadata/
// What HTTP allows. https://www.rfc-editor.org/rfc/rfc9110#name-field-names
const key = { grpc: /^(?!grpc-|.*-bin$)[0-9a-z_.-]+$/i, "http/protobuf": /^[0-9a-z!#$%&'*+.^_`|~-]+$/i }
const value = /^[ -~]*$/

const headers = Effect.fnUntraced(function* (protocol: Protocol, [own, general]: Names) {
  const given = [yield* variable(general), yield* variable(own)]
  const merged = new Map<string, { readonly value: string; readonly source: string }>()
  let problem: string | undefined
  for (const text of given.filter((text) => text !== undefined)) {
    const decoded = pairs(text.value)
    if (decoded?.every((pair) => key[protocol].test(pair[0]) && value.test(pair[1])) === true) {
      for (const [key, value] of decoded) {
        merged.set(key.toLowerCase(), { value, source: text.source })
      }
    } else {
      problem ??= `${text.source} must be key=value pairs with commas between, of letters, digits and signs that ${protocol === "grpc" ? "gRPC" : "HTTP"} can send`
    }
  }
  return {
    headers: Redacted.make(Array.from(merged, ([key, { value }]) => [key, value] as const)),
    headerKeys: Array.from(merged, ([value, { source }]) => ({ value, source })),
    problem
  }
})
