/**
 * Whether metrics are sent, where, and how often: `OTEL_METRICS_EXPORTER` and what goes with it.
 *
 * A flag or an option says where spans go. Metrics go there too, unless a variable of their own says otherwise.
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Endpoint from "./Endpoint.ts"
import {
  firstOf,
  millis,
  otelChoice,
  otelEndpoint,
  otelList,
  ourEndpoint,
  TelemetryConfigError
} from "./EnvironmentValues.ts"
import type { Sourced, Warn } from "./EnvironmentValues.ts"
import * as OtlpSettings from "./OtlpSettings.ts"
import { redact } from "./Redaction.ts"

/**
 * Whether what is sent counts from the start of the program, or from what was sent last. `lowmemory` is `delta` for what
 * is counted when it happens, and `cumulative` for what is looked at when it is sent.
 * https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/#additional-environment-variable-configuration
 */
export const temporalities = ["cumulative", "delta", "lowmemory"] as const
export type Temporality = (typeof temporalities)[number]

/** How metrics are sent. */
export interface MetricSettings {
  /** What turned them on. */
  readonly source: string
  readonly endpoint: Sourced<Endpoint.Endpoint>
  readonly otlp: OtlpSettings.OtlpSettings
  /** From one export to the next, in milliseconds. */
  readonly interval: Sourced<number>
  /** How long one export may take, in milliseconds; `otlp.timeout` may be shorter. */
  readonly timeout: Sourced<number>
  readonly temporality: Sourced<Temporality>
}

/** What the environment says of metrics, and what was wrong and ignored. */
export interface Read {
  /** `undefined` where they are off. */
  readonly settings: MetricSettings | undefined
  readonly warnings: ReadonlyArray<string>
}

/** The variable that turns metrics on. */
const metricsExporter = "OTEL_METRICS_EXPORTER"

/** Reads all of them; the others only where the first turns metrics on. `given` is what flags or the program say. */
export const read = Effect.fnUntraced(function* (given: {
  readonly protocol: Endpoint.Protocol | undefined
  readonly endpoint: string | undefined
}): Effect.fn.Return<Read, TelemetryConfigError> {
  const warnings: Array<string> = []
  const warn: Warn = (name, value, expected, instead) =>
    void warnings.push(`${name}=${redact(value)} is ignored: it must be ${expected}; ${instead}`)

  const exporters = yield* otelList(metricsExporter, ["otlp"], "metrics do not go there", warn)
  if (exporters === undefined || exporters.value.length === 0) {
    return { settings: undefined, warnings }
  }
  const otlp = yield* OtlpSettings.read(given.protocol, warn, warnings, "metrics")
  const reading = (path: Endpoint.Reading["path"]) => OtlpSettings.reading(otlp, path, "metrics")
  const endpoint = (yield* firstOf(
    otelEndpoint("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", reading("exact"), warn),
    programs(given.endpoint, reading("either")),
    ourEndpoint("TINYLLM_OTLP_ENDPOINT", reading("either")),
    otelEndpoint("OTEL_EXPORTER_OTLP_ENDPOINT", reading("base"), warn)
  )) ?? { value: Endpoint.local(otlp.protocol.value, "metrics"), source: "default" }
  const settings: MetricSettings = {
    source: exporters.source,
    endpoint,
    otlp,
    interval: (yield* millis("OTEL_METRIC_EXPORT_INTERVAL", 1, warn)) ?? { value: 60_000, source: "default" },
    timeout: yield* exportTimeout(warn),
    temporality: yield* temporality(warn)
  }
  return { settings, warnings: [...warnings, ...endpoint.value.warnings] }
})

const exportTimeout = (warn: Warn) =>
  Effect.map(millis("OTEL_METRIC_EXPORT_TIMEOUT", 0, warn), (given): Sourced<number> =>
    given === undefined
      ? { value: 30_000, source: "default" }
      : { ...given, value: given.value === 0 ? Number.POSITIVE_INFINITY : given.value }
  )

const temporality = (warn: Warn) =>
  Effect.map(
    otelChoice("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporalities, "cumulative is used", warn),
    (given): Sourced<Temporality> => given ?? { value: "cumulative", source: "default" }
  )

const programs = (
  text: string | undefined,
  reading: Endpoint.Reading
): Effect.Effect<Sourced<Endpoint.Endpoint> | undefined, TelemetryConfigError> =>
  text === undefined
    ? Effect.undefined
    : Result.match(Endpoint.parse(text, reading), {
        onFailure: (reason) =>
          Effect.fail(
            new TelemetryConfigError({
              setting: "otlpEndpoint",
              allowed: Endpoint.allowed,
              received: `"${Endpoint.shown(text)}": ${reason}`
            })
          ),
        onSuccess: (value) => Effect.succeed({ value, source: "flag/program" })
      })
