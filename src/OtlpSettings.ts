/**
 * How spans are sent over OTLP: the `OTEL_EXPORTER_OTLP_*` variables beside the endpoint.
 *
 * What only makes spans look different is reported and ignored when it is wrong. What decides whether a collector
 * takes them is not: without its key, it would refuse them all.
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { millis, pairs, variable } from "./EnvironmentValues.ts"
import type { Sourced, TelemetryConfigError, Warn } from "./EnvironmentValues.ts"

/** What the environment says; `undefined` is unset. */
export interface OtlpSettings {
  /** Sent with every export. */
  readonly headers: Redacted.Redacted<ReadonlyArray<readonly [key: string, value: string]>>
  readonly gzip: boolean
  /** Files in PEM: whom to trust, and who we are. */
  readonly certificate: Sourced<string> | undefined
  readonly clientKey: Sourced<string> | undefined
  readonly clientCertificate: Sourced<string> | undefined
  /** How long one export may take, with all its attempts, in milliseconds; `Infinity` for no limit. */
  readonly timeoutMillis: number
  /** Why nothing can be sent; it quotes no value, since headers are secret. */
  readonly problem: string | undefined
}

// https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
// OpenTelemetry's own is 10 s. A call that is under way cannot be called back, and holds a program that has ended.
const defaultTimeoutMillis = 3000

/** Reads all of them. */
export const read = Effect.fnUntraced(function* (warn: Warn): Effect.fn.Return<OtlpSettings, TelemetryConfigError> {
  const general = yield* variable("OTEL_EXPORTER_OTLP_HEADERS")
  const ofTraces = yield* variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
  const given = [general, ofTraces].filter((text) => text !== undefined)
  const wrong = given.find((text) => headers(text.value) === undefined)
  const timeout =
    (yield* millis("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", 0, warn)) ??
    (yield* millis("OTEL_EXPORTER_OTLP_TIMEOUT", 0, warn)) ??
    defaultTimeoutMillis
  return {
    headers: Redacted.make(given.flatMap((text) => headers(text.value) ?? [])),
    gzip: yield* gzip(warn),
    certificate:
      (yield* variable("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE")) ?? (yield* variable("OTEL_EXPORTER_OTLP_CERTIFICATE")),
    clientKey:
      (yield* variable("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY")) ?? (yield* variable("OTEL_EXPORTER_OTLP_CLIENT_KEY")),
    clientCertificate:
      (yield* variable("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE")) ??
      (yield* variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")),
    timeoutMillis: timeout === 0 ? Number.POSITIVE_INFINITY : timeout,
    problem:
      wrong === undefined
        ? undefined
        : `${wrong.source} must be key=value pairs with commas between, of letters, digits and signs that gRPC can send`
  }
})

// What gRPC allows; keys that end in -bin hold bytes. https://grpc.io/docs/guides/metadata/
const key = /^(?!grpc-|.*-bin$)[0-9a-z_.-]+$/i
const value = /^[ -~]*$/

const headers = (text: string): ReturnType<typeof pairs> => {
  const given = pairs(text)
  return given?.every((pair) => key.test(pair[0]) && value.test(pair[1])) === true ? given : undefined
}

const gzip = Effect.fnUntraced(function* (warn: Warn) {
  const text =
    (yield* variable("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION")) ?? (yield* variable("OTEL_EXPORTER_OTLP_COMPRESSION"))
  const lower = text?.value.toLowerCase() ?? "none"
  if (text !== undefined && lower !== "gzip" && lower !== "none") {
    warn(text.source, text.value, "gzip or none", "nothing is compressed")
  }
  return lower === "gzip"
})
