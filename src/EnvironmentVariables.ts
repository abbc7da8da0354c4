/**
 * The environment variables of tracing, each decoded by the rules of its family.
 *
 * `TINYLLM_*`: wrong is refused. `OTEL_*`: wrong is reported and ignored. Empty is unset in both. The SDK has its own
 * readers, but they tell upper case from lower, take a negative queue size and drop every span without a word.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Endpoint from "./Endpoint.ts"
import * as Span from "./Span.ts"

/** A setting of tracing is wrong. */
export class TelemetryConfigError extends Schema.TaggedError<TelemetryConfigError>()("TelemetryConfigError", {
  /** The field, or the variable. */
  setting: Schema.String,
  allowed: Schema.String,
  received: Schema.String
}) {
  override get message() {
    return `${this.setting} must be ${this.allowed}, but got ${this.received}.`
  }
}

/** A value, and what set it: `flag/program`, the name of a variable, or `default`. */
export interface Sourced<out A> {
  readonly value: A
  readonly source: string
}

/** Which traces are kept. Where `parentBased`, the ratio is for traces that begin here. */
export interface Sampler {
  readonly parentBased: boolean
  readonly ratio: number
}

export const sdkDisabled = "OTEL_SDK_DISABLED"
export const tracesExporter = "OTEL_TRACES_EXPORTER"

/** How finished spans are collected before they are sent, for the SDK's BatchSpanProcessor. */
export interface Batch {
  readonly maxQueueSize: number
  readonly maxExportBatchSize: number
  readonly scheduledDelayMillis: number
  readonly exportTimeoutMillis: number
}

// The SDK's own queue of 2048 loses spans in a burst: of 10 000 written at once, 7176 arrived.
const queueSize = 131_072

/** What the environment says; `undefined` is unset. */
export interface Environment {
  readonly tracing: Sourced<boolean> | undefined
  readonly serviceName: Sourced<string> | undefined
  readonly exporter: Sourced<"console" | "otlp" | "jaeger"> | undefined
  readonly endpoint: Sourced<Endpoint.Endpoint> | undefined
  readonly samplingRate: Sourced<number> | undefined
  readonly disabled: Sourced<boolean> | undefined
  readonly otelServiceName: Sourced<string> | undefined
  readonly otelExporters: Sourced<ReadonlyArray<"console" | "otlp">> | undefined
  /** An exporter was named, and we do not know it. */
  readonly exporterUnknown: boolean
  readonly otelEndpoint: Sourced<Endpoint.Endpoint> | undefined
  readonly otelSampler: Sourced<Sampler> | undefined
  readonly taskContent: Sourced<boolean> | undefined
  readonly batch: Batch
  readonly timeoutMillis: number | undefined
  readonly warnings: ReadonlyArray<string>
}

/** Reads all of them. Fails with `TelemetryConfigError` when a `TINYLLM_*` variable is wrong. */
export const read: Effect.Effect<Environment, TelemetryConfigError> = Effect.gen(function* () {
  const warnings: Array<string> = []
  const warn = (name: string, value: string, expected: string, instead: string) =>
    void warnings.push(`${name}=${Span.redact(value)} is ignored: it must be ${expected}; ${instead}`)

  const disabled = yield* otelBoolean(sdkDisabled, warn)
  const listed = yield* otelExporters(warn, warnings)
  const sampler = yield* otelSampler(warn)
  const maxQueueSize = (yield* positive("OTEL_BSP_MAX_QUEUE_SIZE", warn)) ?? queueSize
  return {
    tracing: yield* ours("TINYLLM_TRACING", "true or false", boolean),
    serviceName: yield* ours("TINYLLM_SERVICE_NAME", "a name", Option.some),
    exporter: yield* ours("TINYLLM_EXPORTER", "console, otlp or jaeger", exporter),
    endpoint: yield* ourEndpoint("TINYLLM_OTLP_ENDPOINT"),
    samplingRate: yield* ours("TINYLLM_SAMPLING_RATE", "a number from 0 to 1", rate),
    disabled,
    otelServiceName: yield* variable("OTEL_SERVICE_NAME"),
    otelExporters: listed.exporters,
    exporterUnknown: listed.unknown,
    otelEndpoint:
      (yield* otelEndpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", warn)) ??
      (yield* otelEndpoint("OTEL_EXPORTER_OTLP_ENDPOINT", warn)),
    otelSampler: sampler,
    taskContent: yield* noContent,
    batch: {
      maxQueueSize,
      maxExportBatchSize: Math.min((yield* positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", warn)) ?? 512, maxQueueSize),
      scheduledDelayMillis: (yield* positive("OTEL_BSP_SCHEDULE_DELAY", warn)) ?? 5000,
      exportTimeoutMillis: (yield* positive("OTEL_BSP_EXPORT_TIMEOUT", warn)) ?? 30_000
    },
    timeoutMillis:
      (yield* positive("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", warn)) ??
      (yield* positive("OTEL_EXPORTER_OTLP_TIMEOUT", warn)),
    warnings
  }
})

type Warn = (name: string, value: string, expected: string, instead: string) => void

// Config is read as text, so that the rules below decide; an empty value counts as unset.
const variable = (name: string): Effect.Effect<Sourced<string> | undefined, TelemetryConfigError> =>
  Config.option(Config.String(name)).pipe(
    Effect.mapError(
      (error) => new TelemetryConfigError({ setting: name, allowed: "readable", received: String(error.message) })
    ),
    Effect.map((text) => {
      const value = Option.isSome(text) ? text.value.trim() : ""
      return value === "" ? undefined : { value, source: name }
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// TINYLLM_*
// ---------------------------------------------------------------------------------------------------------------------

const ours = <A>(
  name: string,
  allowed: string,
  decode: (text: string) => Option.Option<A>
): Effect.Effect<Sourced<A> | undefined, TelemetryConfigError> =>
  Effect.flatMap(variable(name), (text) => {
    if (text === undefined) {
      return Effect.undefined
    }
    const value = decode(text.value)
    return Option.isSome(value)
      ? Effect.succeed({ value: value.value, source: name })
      : Effect.fail(new TelemetryConfigError({ setting: name, allowed, received: `"${Span.redact(text.value)}"` }))
  })

const ourEndpoint = (name: string): Effect.Effect<Sourced<Endpoint.Endpoint> | undefined, TelemetryConfigError> =>
  Effect.flatMap(variable(name), (text) =>
    text === undefined
      ? Effect.undefined
      : Result.match(Endpoint.parse(text.value), {
          onFailure: (reason) =>
            Effect.fail(
              new TelemetryConfigError({
                setting: name,
                allowed: Endpoint.allowed,
                received: `"${Span.redact(text.value)}": ${reason}`
              })
            ),
          onSuccess: (value) => Effect.succeed({ value, source: name })
        })
  )

const boolean = (text: string): Option.Option<boolean> => {
  const lower = text.toLowerCase()
  return ["true", "yes", "on", "1"].includes(lower)
    ? Option.some(true)
    : ["false", "no", "off", "0"].includes(lower)
      ? Option.some(false)
      : Option.none()
}

const exporter = (text: string): Option.Option<"console" | "otlp" | "jaeger"> => {
  const lower = text.toLowerCase()
  return lower === "console" || lower === "otlp" || lower === "jaeger" ? Option.some(lower) : Option.none()
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i

const rate = (text: string): Option.Option<number> => {
  const value = decimal.test(text) ? Number(text) : Number.NaN
  return value >= 0 && value <= 1 ? Option.some(value) : Option.none()
}

// ---------------------------------------------------------------------------------------------------------------------
// OTEL_*
// ---------------------------------------------------------------------------------------------------------------------

const otelBoolean = (name: string, warn: Warn): Effect.Effect<Sourced<boolean> | undefined, TelemetryConfigError> =>
  Effect.map(variable(name), (text) => {
    const lower = text?.value.toLowerCase()
    if (text !== undefined && lower !== "true" && lower !== "false") {
      warn(name, text.value, "true or false", "taken as false")
    }
    return text === undefined ? undefined : { value: lower === "true", source: name }
  })

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

const otelEndpoint = (
  name: string,
  warn: Warn
): Effect.Effect<Sourced<Endpoint.Endpoint> | undefined, TelemetryConfigError> =>
  Effect.map(variable(name), (text) => {
    if (text === undefined) {
      return undefined
    }
    const parsed = Endpoint.parse(text.value)
    if (Result.isSuccess(parsed)) {
      return { value: parsed.success, source: name }
    }
    warn(name, text.value, Endpoint.allowed, parsed.failure)
    return undefined
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

const positive = (name: string, warn: Warn): Effect.Effect<number | undefined, TelemetryConfigError> =>
  Effect.map(variable(name), (text) => {
    const value = text === undefined ? undefined : /^\d+$/.test(text.value) ? Number(text.value) : 0
    if (text !== undefined && (value === undefined || value < 1 || !Number.isSafeInteger(value))) {
      warn(name, text.value, "a whole number from 1", "the default is used")
      return undefined
    }
    return value
  })

// Both dialects of the variable say "no" in their own way; what they say besides is for a capture we do not have yet.
const noContent = Effect.map(
  variable("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"),
  (text): Sourced<boolean> | undefined => {
    const lower = text?.value.toLowerCase()
    return text !== undefined && (lower === "no_content" || lower === "false")
      ? { value: false, source: text.source }
      : undefined
  }
)
