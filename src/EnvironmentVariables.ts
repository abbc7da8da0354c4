/**
 * The environment variables of tracing.
 *
 * `OTEL_SEMCONV_STABILITY_OPT_IN` is accepted, and chooses nothing: there never were names older than those in use.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import type * as Endpoint from "./Endpoint.ts"
import { firstOf, millis, ours, rate, variable, whole } from "./EnvironmentValues.ts"
import type { Sourced, TelemetryConfigError, Warn } from "./EnvironmentValues.ts"
import * as Values from "./EnvironmentValues.ts"
import * as OtlpSettings from "./OtlpSettings.ts"
import * as PrivacySettings from "./PrivacySettings.ts"
import { redact } from "./Redaction.ts"

/** Which traces are kept. Where `parentBased`, the ratio is for traces that begin here. */
export interface Sampler {
  readonly parentBased: boolean
  readonly ratio: number
}

export const sdkDisabled = "OTEL_SDK_DISABLED"
export const tracesExporter = "OTEL_TRACES_EXPORTER"

/** How finished spans are collected before they are sent. */
export interface Batch {
  readonly maxQueueSize: number
  readonly maxExportBatchSize: number
  readonly scheduledDelayMillis: number
  readonly exportTimeoutMillis: number
}

/** What set each value of a group: the name of a variable, or `default`. */
export type Sources<Group> = { readonly [Key in keyof Group]: string }

/** How much one span may hold. What exceeds it is dropped, and counted in what is sent. */
export interface Limits {
  readonly attributeCountLimit: number
  /** UTF-16 units of a text; `Infinity` for no limit. */
  readonly attributeValueLengthLimit: number
  readonly eventCountLimit: number
  readonly linkCountLimit: number
  readonly attributePerEventCountLimit: number
  readonly attributePerLinkCountLimit: number
}

// The SDK's own queue of 2048 loses spans in a burst: of 10 000 written at once, 7176 arrived.
const queueSize = 131_072

/** How a trace is handed from one program to the next. */
export const propagators = ["tracecontext", "baggage", "b3", "b3multi"] as const
export type Propagator = (typeof propagators)[number]

/** How much telemetry says about itself on standard error: problems of that level and above. */
const logLevels = ["none", "error", "warn", "info", "debug", "verbose", "all"] as const
export type LogLevel = (typeof logLevels)[number]

/** What the environment says; `undefined` is unset. */
export interface Environment {
  readonly tracing: Sourced<boolean> | undefined
  readonly serviceName: Sourced<string> | undefined
  readonly exporter: Sourced<"console" | "otlp" | "jaeger" | "none"> | undefined
  readonly endpoint: Sourced<Endpoint.Endpoint> | undefined
  readonly samplingRate: Sourced<number> | undefined
  readonly keepErrors: Sourced<boolean> | undefined
  readonly disabled: Sourced<boolean> | undefined
  readonly otelServiceName: Sourced<string> | undefined
  readonly otelExporters: Sourced<ReadonlyArray<"console" | "otlp">> | undefined
  /** An exporter was named, and we do not know it. */
  readonly exporterUnknown: boolean
  /** What `OTEL_RESOURCE_ATTRIBUTES` says, with `service.name` apart. */
  readonly resourceAttributes: Readonly<Record<string, string>>
  readonly resourceServiceName: Sourced<string> | undefined
  readonly otelEndpoint: Sourced<Endpoint.Endpoint> | undefined
  readonly otelSampler: Sourced<Sampler> | undefined
  readonly privacy: PrivacySettings.PrivacySettings
  readonly batch: Batch
  readonly batchSources: Sources<Batch>
  readonly limits: Limits
  readonly limitSources: Sources<Limits>
  readonly propagators: Sourced<ReadonlyArray<Propagator>> | undefined
  readonly logLevel: Sourced<LogLevel> | undefined
  readonly otlp: OtlpSettings.OtlpSettings
  readonly warnings: ReadonlyArray<string>
}

/**
 * Reads all of them. `protocol` is the one that a flag or the program asks for: it beats the environment's.
 *
 * Fails with `TelemetryConfigError` when a `TINYLLM_*` variable is wrong.
 */
export const read = Effect.fnUntraced(function* (
  protocol: Endpoint.Protocol | undefined
): Effect.fn.Return<Environment, TelemetryConfigError> {
  const warnings: Array<string> = []
  const warn: Warn = (name, value, expected, instead) =>
    void warnings.push(`${name}=${redact(value)} is ignored: it must be ${expected}; ${instead}`)

  // https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#declarative-configuration
  if ((yield* variable("OTEL_CONFIG_FILE")) !== undefined) {
    warnings.push("OTEL_CONFIG_FILE is ignored: configuration files are not supported, the other variables hold")
  }
  const disabled = yield* Values.otelBoolean(sdkDisabled, warn)
  const listed = yield* otelExporters(warn, warnings)
  const sampler = yield* otelSampler(warn)
  const resource = yield* resourceAttributes(warnings)
  const otlp = yield* OtlpSettings.read(protocol, warn, warnings)
  return {
    tracing: yield* ours("TINYLLM_TRACING", "true or false", Values.boolean),
    serviceName: yield* ours("TINYLLM_SERVICE_NAME", "a name", Option.some),
    exporter: yield* ours("TINYLLM_EXPORTER", "console, otlp, jaeger or none", exporter),
    endpoint: yield* Values.ourEndpoint("TINYLLM_OTLP_ENDPOINT", OtlpSettings.reading(otlp, "either")),
    samplingRate: yield* ours("TINYLLM_SAMPLING_RATE", "a number from 0 to 1", rate),
    keepErrors: yield* ours("TINYLLM_KEEP_ERRORS", "true or false", Values.boolean),
    disabled,
    otelServiceName: yield* variable("OTEL_SERVICE_NAME"),
    otelExporters: listed.exporters,
    exporterUnknown: listed.unknown,
    ...resource,
    otelEndpoint: yield* firstOf(
      Values.otelEndpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", OtlpSettings.reading(otlp, "exact"), warn),
      Values.otelEndpoint("OTEL_EXPORTER_OTLP_ENDPOINT", OtlpSettings.reading(otlp, "base"), warn)
    ),
    otelSampler: sampler,
    privacy: yield* PrivacySettings.read(warn),
    ...(yield* batch(otlp.timeout.value, warn)),
    ...(yield* limits(warn)),
    propagators: yield* Values.otelList("OTEL_PROPAGATORS", propagators, "nothing is passed on in that form", warn),
    logLevel: yield* logLevel(warn),
    otlp,
    warnings
  }
})

const exporter = (text: string): Option.Option<"console" | "otlp" | "jaeger" | "none"> => {
  const lower = text.toLowerCase()
  return lower === "console" || lower === "otlp" || lower === "jaeger" || lower === "none"
    ? Option.some(lower)
    : Option.none()
}

const otelExporters = (warn: Warn, notices: Array<string>) =>
  Effect.map(variable(tracesExporter), (text) => {
    const known: Array<"console" | "otlp"> = []
    let none = false
    let unknown = false
    for (const name of text?.value.toLowerCase().split(",") ?? []) {
      const trimmed = name.trim()
      if (trimmed === "none") {
        none = true
      } else if (trimmed === "console" || trimmed === "otlp") {
        known.push(trimmed)
      } else if (trimmed === "jaeger") {
        notices.push(`${tracesExporter}=jaeger is taken as otlp: Jaeger receives OTLP now`)
        known.push("otlp")
      } else if (trimmed !== "") {
        unknown = true
        warn(tracesExporter, trimmed, "otlp, console, none or a list of them", "spans do not go there")
      }
    }
    const exporters = Array.from(new Set(known))
    return {
      unknown,
      exporters: exporters.length > 0 || none ? { value: exporters, source: tracesExporter } : undefined
    }
  })

const samplers: Record<string, { readonly parentBased: boolean; readonly ratio: number | undefined }> = {
  always_on: { parentBased: false, ratio: 1 },
  always_off: { parentBased: false, ratio: 0 },
  traceidratio: { parentBased: false, ratio: undefined },
  parentbased_always_on: { parentBased: true, ratio: 1 },
  parentbased_always_off: { parentBased: true, ratio: 0 },
  parentbased_traceidratio: { parentBased: true, ratio: undefined }
}

const otelSampler = Effect.fnUntraced(function* (warn: Warn) {
  const name = yield* variable("OTEL_TRACES_SAMPLER")
  if (name === undefined) {
    return undefined
  }
  const sampler = Object.hasOwn(samplers, name.value.toLowerCase()) ? samplers[name.value.toLowerCase()] : undefined
  if (sampler === undefined) {
    warn(name.source, name.value, `one of ${Object.keys(samplers).join(", ")}`, "every trace is kept")
    return undefined
  }
  const text = sampler.ratio === undefined ? yield* variable("OTEL_TRACES_SAMPLER_ARG") : undefined
  const ratio = text === undefined ? Option.none() : rate(text.value)
  if (sampler.ratio === undefined && Option.isNone(ratio)) {
    warn("OTEL_TRACES_SAMPLER_ARG", text?.value ?? "", "a number from 0 to 1", "every trace is kept")
  }
  return {
    value: { parentBased: sampler.parentBased, ratio: sampler.ratio ?? Option.getOrElse(ratio, () => 1) },
    source: name.source
  }
})

// A `=` in a value would have to be encoded; one that is not is a comma forgotten, more often than not.
// https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
const resourceAttributes = (notices: Array<string>) =>
  Effect.map(variable("OTEL_RESOURCE_ATTRIBUTES"), (text) => {
    const pairs = text === undefined ? [] : Values.pairs(text.value)
    const wrong = pairs === undefined || /=[^,]*=/.test(text?.value ?? "")
    if (wrong) {
      notices.push(
        "OTEL_RESOURCE_ATTRIBUTES is ignored as a whole: it must be key=value pairs with commas between, percent-encoded"
      )
    }
    const { "service.name": serviceName = "", ...resourceAttributes } = Object.fromEntries(wrong ? [] : pairs)
    return {
      resourceAttributes,
      resourceServiceName:
        serviceName.trim() === "" ? undefined : { value: serviceName.trim(), source: "OTEL_RESOURCE_ATTRIBUTES" }
    }
  })

const set = (value: number) => ({ value, source: "default" })

const batch = Effect.fnUntraced(function* (timeoutMillis: number, warn: Warn) {
  const queue = (yield* whole("OTEL_BSP_MAX_QUEUE_SIZE", 1, warn)) ?? set(queueSize)
  const size = (yield* whole("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, warn)) ?? set(512)
  const delay = (yield* millis("OTEL_BSP_SCHEDULE_DELAY", 1, warn)) ?? set(5000)
  const timeout =
    (yield* millis("OTEL_BSP_EXPORT_TIMEOUT", 1, warn)) ??
    set(timeoutMillis === Number.POSITIVE_INFINITY ? timeoutMillis : 30_000)
  return {
    batch: {
      maxQueueSize: queue.value,
      maxExportBatchSize: Math.min(size.value, queue.value),
      scheduledDelayMillis: delay.value,
      exportTimeoutMillis: timeout.value
    },
    batchSources: {
      maxQueueSize: queue.source,
      maxExportBatchSize: size.value > queue.value ? queue.source : size.source,
      scheduledDelayMillis: delay.source,
      exportTimeoutMillis: timeout.source
    }
  }
})

const limits = Effect.fnUntraced(function* (warn: Warn) {
  const count = (...names: ReadonlyArray<string>) =>
    Effect.map(firstOf(...names.map((name) => whole(name, 0, warn))), (given) => given ?? set(128))
  // Of length 0, the SDK takes it for no limit.
  const length = (...names: ReadonlyArray<string>) =>
    Effect.map(firstOf(...names.map((name) => whole(name, 1, warn))), (given) => given ?? set(Number.POSITIVE_INFINITY))
  const given = {
    attributeCountLimit: yield* count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    attributeValueLengthLimit: yield* length(
      "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
      "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
    ),
    eventCountLimit: yield* count("OTEL_SPAN_EVENT_COUNT_LIMIT"),
    linkCountLimit: yield* count("OTEL_SPAN_LINK_COUNT_LIMIT"),
    attributePerEventCountLimit: yield* count("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"),
    attributePerLinkCountLimit: yield* count("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT")
  }
  return {
    limits: Record.map(given, ({ value }) => value),
    limitSources: Record.map(given, ({ source }) => source)
  }
})

// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
const logLevel = (warn: Warn) =>
  Effect.gen(function* () {
    const level = yield* Values.otelChoice("OTEL_LOG_LEVEL", logLevels, "info is used", warn)
    const given = yield* variable("OTEL_LOG_LEVEL")
    return level ?? (given === undefined ? undefined : { value: "info" as const, source: given.source })
  })
