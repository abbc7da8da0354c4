/**
 * What tracing is set to, and where each value comes from.
 *
 * A flag or a value in the program beats `TINYLLM_*`, which beats `OTEL_*`, which beats the default; only
 * `OTEL_SDK_DISABLED=true` beats them all. A wrong value in the program or in `TINYLLM_*` is refused. A wrong value in
 * `OTEL_*` is often meant for another program: it is reported and ignored, as the specification asks.
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Attribute from "./Attribute.ts"
import * as Endpoint from "./Endpoint.ts"
import { TelemetryConfigError } from "./EnvironmentValues.ts"
import type { Sourced } from "./EnvironmentValues.ts"
import * as EnvironmentVariables from "./EnvironmentVariables.ts"
import type { Sampler } from "./EnvironmentVariables.ts"
import * as MetricSettings from "./MetricSettings.ts"
import * as OtlpSettings from "./OtlpSettings.ts"
import * as PrivacySettings from "./PrivacySettings.ts"
import * as Redaction from "./Redaction.ts"
import * as SpoolConfig from "./SpoolConfig.ts"
import * as StoreConfig from "./StoreConfig.ts"

export { TelemetryConfigError }
export type { LogLevel, Propagator } from "./EnvironmentVariables.ts"
export type { Sampler, Sourced }

/** Where spans can go: lines on standard error, or a collector. `jaeger` is `otlp` under the name people look for. */
export const Exporter = Schema.Literals(["console", "otlp", "jaeger", "none"])
export type Exporter = typeof Exporter.Type

/** How spans look on the console: one tree a trace, or one JSON object a span and line. */
export const TraceFormat = Schema.Literals(["tree", "json"])
export type TraceFormat = typeof TraceFormat.Type

/** Traces that are kept whatever the sampler says. */
export interface Keep {
  readonly errors: boolean
  /** Nanoseconds. */
  readonly slowerThan: bigint | undefined
}

const DurationInput = Schema.declare((input): input is Duration.Input =>
  Option.exists(
    Duration.fromInput(input as Duration.Input),
    (duration) => Duration.isFinite(duration) && Duration.toMillis(duration) >= 0
  )
)

/** What a program or the command line may set. What is left out comes from the environment, then from the defaults. */
export const Options = Schema.Struct({
  /** `false` by default. Giving an exporter or an endpoint here turns tracing on as well. */
  enableTracing: Schema.optional(Schema.Boolean),
  /** `tinyllm` by default. */
  serviceName: Schema.optional(Schema.Trimmed.check(Schema.isNonEmpty())),
  /** `console` by default, `otlp` where an endpoint is given. */
  exporter: Schema.optional(Exporter),
  /** The collector's address, `http://localhost:4317` by default, port 4318 over HTTP. */
  otlpEndpoint: Schema.optional(Schema.String),
  /** `grpc` by default. */
  otlpProtocol: Schema.optional(Schema.Literals(OtlpSettings.protocols)),
  /** The share of traces that is kept, from 0 to 1; 1 by default. The decision of a parent span wins. */
  samplingRate: Schema.optional(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
  /**
   * Traces that are kept whatever the rate says: those with a failed span, and those that took longer. That is decided
   * when the root of a trace has ended. A parent elsewhere that is not sampled is obeyed all the same.
   */
  keep: Schema.optional(
    Schema.Struct({
      errors: Schema.optional(Schema.Boolean),
      /** `"30 seconds"`, or a number of milliseconds. */
      slowerThan: Schema.optional(DurationInput)
    })
  ),
  /** For the console exporter; `tree` by default. */
  traceFormat: Schema.optional(TraceFormat),
  /**
   * Whether OpenTelemetry's active span, inside of an effect, is the effect's, so that spans of other libraries are below
   * it; `false` by default, since it costs time at every step of every effect.
   */
  interop: Schema.optional(Schema.Boolean),
  /**
   * Whether spans that no collector takes are kept on disk, for `tinyllm trace push` to send them; `false` by default.
   * `true` keeps them in the folder of the user's state.
   */
  spool: Schema.optional(SpoolConfig.SpoolOption),
  /**
   * Whether traces are kept on this machine, where `tinyllm trace` shows them; `false` by default. `true` keeps them in
   * the folder of the user's state. Those that are sampled are kept, wherever else they go.
   */
  store: Schema.optional(StoreConfig.StoreOption),
  ...PrivacySettings.options
})
export type Options = typeof Options.Type

const allowed: Record<string, string> = {
  enableTracing: "true or false",
  serviceName: "a name, without spaces around it",
  exporter: "console, otlp, jaeger or none",
  otlpEndpoint: Endpoint.allowed,
  otlpProtocol: "grpc or http/protobuf",
  samplingRate: "a number from 0 to 1",
  keep: `an object with errors (true or false) and slowerThan (a duration such as "30 seconds")`,
  traceFormat: "tree or json",
  interop: "true or false",
  spool: SpoolConfig.allowed,
  store: StoreConfig.allowed,
  ...PrivacySettings.allowed
}

/** The sampler as `OTEL_TRACES_SAMPLER` names it, with its ratio: `parentbased_traceidratio 0.1`. */
export const samplerName = (sampler: Sampler): string =>
  (sampler.parentBased ? "parentbased_" : "") +
  (sampler.ratio === 1 ? "always_on" : sampler.ratio === 0 ? "always_off" : `traceidratio ${sampler.ratio}`)

/** The effective configuration. */
export interface Resolved {
  readonly enabled: Sourced<boolean>
  readonly serviceName: Sourced<string>
  /** Empty when only `none` was asked for: spans then have ids, for logs and other services, and go nowhere. */
  readonly exporters: Sourced<ReadonlyArray<"console" | "otlp">>
  readonly endpoint: Sourced<Endpoint.Endpoint>
  readonly sampler: Sourced<Sampler>
  readonly keep: Sourced<Keep>
  readonly traceFormat: Sourced<TraceFormat>
  /** What of prompts, answers and secrets goes into spans. */
  readonly privacy: PrivacySettings.Privacy
  /** Whether OpenTelemetry's active span is the effect's. */
  readonly interop: Sourced<boolean>
  /** What describes this service beside its name. */
  readonly resourceAttributes: Readonly<Record<string, string>>
  readonly limits: EnvironmentVariables.Limits
  readonly limitSources: EnvironmentVariables.Sources<EnvironmentVariables.Limits>
  readonly batch: EnvironmentVariables.Batch
  readonly batchSources: EnvironmentVariables.Sources<EnvironmentVariables.Batch>
  /** How a trace is handed on to other programs; empty for not at all. They hold also when tracing is off. */
  readonly propagators: Sourced<ReadonlyArray<EnvironmentVariables.Propagator>>
  /** Which problems of telemetry itself are told on standard error: those of that level and above. */
  readonly logLevel: Sourced<EnvironmentVariables.LogLevel>
  readonly otlp: OtlpSettings.OtlpSettings
  /**
   * How long one export may take, with all its attempts, in milliseconds; `Infinity` for no limit. The end of the
   * program waits three seconds at most, whatever this says.
   */
  readonly timeoutMillis: number
  /** Where spans are kept that no collector takes; `undefined` for nowhere. */
  readonly spool: Sourced<SpoolConfig.Settings | undefined>
  /** Where traces are kept for people to look at; `undefined` for nowhere. */
  readonly store: Sourced<StoreConfig.Settings | undefined>
  /** Where metrics go, and how often; `undefined` where they are off. They do not depend on tracing. */
  readonly metrics: MetricSettings.MetricSettings | undefined
  /** What was wrong and ignored; empty when nobody asked for tracing or metrics. */
  readonly warnings: ReadonlyArray<string>
}

/** What holds where neither program nor environment says anything, and is not the same for all. */
export interface Defaults {
  readonly spool: boolean
  readonly store: boolean
}

/** Those of a program that a person runs in a terminal: it does not live to see the collector again, nor to be asked. */
export const commandLine: Defaults = { spool: true, store: true }

/**
 * Works out the effective configuration from options and the environment.
 *
 * Fails with `TelemetryConfigError` when an option or a `TINYLLM_*` variable is wrong.
 */
export const resolve: (options: Options, defaults?: Defaults) => Effect.Effect<Resolved, TelemetryConfigError> =
  Effect.fnUntraced(function* (given, defaults = { spool: false, store: false }) {
    const options = yield* decode(given)
    const env = yield* EnvironmentVariables.read(options.otlpProtocol)
    const warnings = [...env.warnings]
    const otelExporters = env.otelExporters?.value

    const keeps = options.store !== undefined && options.store !== false
    const wish = first(
      set(options.enableTracing),
      options.exporter !== undefined || options.otlpEndpoint !== undefined || keeps ? set(true) : undefined,
      env.tracing,
      otelExporters === undefined
        ? undefined
        : { value: otelExporters.length > 0, source: EnvironmentVariables.tracesExporter }
    ) ?? { value: false, source: "default" }
    const disabled = env.disabled?.value === true
    if (disabled && wish.value) {
      warnings.push(`tracing was asked for, but ${EnvironmentVariables.sdkDisabled}=true turns it off`)
    }

    const metrics = yield* MetricSettings.read({ protocol: options.otlpProtocol, endpoint: options.otlpEndpoint })
    if (disabled && metrics.settings !== undefined) {
      warnings.push(`metrics were asked for, but ${EnvironmentVariables.sdkDisabled}=true turns them off`)
    }

    const optionEndpoint = yield* endpointOf("otlpEndpoint", options.otlpEndpoint, env.otlp)
    const endpoint = first(set(optionEndpoint), env.endpoint, env.otelEndpoint) ?? {
      value: Endpoint.local(env.otlp.protocol.value),
      source: "default"
    }
    const exporters = first<ReadonlyArray<"console" | "otlp">>(
      map(set(options.exporter), exportersOf),
      optionEndpoint === undefined ? undefined : set(["otlp"]),
      map(env.exporter, exportersOf),
      map(env.endpoint, () => ["otlp"]),
      env.otelExporters,
      map(env.otelEndpoint, () => ["otlp"])
    ) ?? {
      // Who asks for nothing but that traces are kept does not want to see each of them.
      value: keeps && options.enableTracing === undefined && env.tracing === undefined ? [] : ["console"],
      source: "default"
    }
    const store = yield* StoreConfig.resolve(options.store, defaults.store)
    if (wish.value && exporters.value.length === 0 && store.value === undefined) {
      const setting = exporters.source === "flag/program" ? "the exporter none" : `${exporters.source}=none`
      warnings.push(`tracing was asked for, but ${setting} sends spans nowhere`)
    }
    if (optionEndpoint !== undefined && !exporters.value.includes("otlp")) {
      warnings.push(`the endpoint is not used by the exporter ${exporters.value.join() || "none"}`)
    }
    if (exporters.value.includes("otlp")) {
      warnings.push(...endpoint.value.warnings)
    }

    const privacy = yield* PrivacySettings.resolve(
      options,
      env.privacy,
      env.limits.attributeValueLengthLimit,
      (line) => void warnings.push(line)
    )

    return {
      enabled: disabled ? { value: false, source: EnvironmentVariables.sdkDisabled } : wish,
      serviceName: first(set(options.serviceName), env.serviceName, env.otelServiceName, env.resourceServiceName) ?? {
        value: "tinyllm",
        source: "default"
      },
      exporters,
      endpoint,
      sampler: first<Sampler>(
        map(set(options.samplingRate), ofRate),
        map(env.samplingRate, ofRate),
        env.otelSampler
      ) ?? {
        value: { parentBased: true, ratio: 1 },
        source: "default"
      },
      keep: map(set(options.keep), ofKeep) ??
        map(env.keepErrors, (errors) => ({ errors, slowerThan: undefined })) ?? {
          value: { errors: false, slowerThan: undefined },
          source: "default"
        },
      traceFormat: set(options.traceFormat) ?? { value: "tree", source: "default" },
      privacy,
      interop: set(options.interop) ?? { value: false, source: "default" },
      resourceAttributes: Record.mapEntries(env.resourceAttributes, (value, key) => [
        privacy.redact(key),
        Redaction.isSecret(key, value) ? Redaction.mark : privacy.redact(value)
      ]),
      limits: env.limits,
      limitSources: env.limitSources,
      batch:
        privacy.capture.value === "NO_CONTENT" || env.batchSources.maxExportBatchSize !== "default"
          ? env.batch
          : { ...env.batch, maxExportBatchSize: Math.min(env.batch.maxExportBatchSize, spansOf(privacy)) },
      batchSources: env.batchSources,
      propagators: env.propagators ?? { value: ["tracecontext", "baggage"], source: "default" },
      // OpenTelemetry's own is `info`, which says much that a person at a terminal did not ask for.
      logLevel: env.logLevel ?? { value: "warn", source: "default" },
      otlp: { ...env.otlp, redact: privacy.redact },
      timeoutMillis: env.otlp.timeoutMillis,
      spool: yield* SpoolConfig.resolve(options.spool, defaults.spool),
      store,
      metrics:
        disabled || metrics.settings === undefined
          ? undefined
          : { ...metrics.settings, otlp: { ...metrics.settings.otlp, redact: privacy.redact } },
      // Spans and metrics share some variables.
      warnings: Array.from(
        new Set([
          ...(wish.value || env.exporterUnknown || metrics.settings !== undefined ? warnings : []),
          ...metrics.warnings
        ])
      )
    }
  })

// Collectors take four megabytes at a time, and with content every span may be as large as it is allowed to be.
const spansOf = (privacy: PrivacySettings.Privacy): number =>
  Math.max(1, Math.floor(3_500_000 / privacy.spanBytes.value))

const decode = (options: unknown): Effect.Effect<Options, TelemetryConfigError> =>
  Schema.decodeUnknownEffect(Options, { onExcessProperty: "error" })(options).pipe(
    Effect.mapError((error) => {
      const path = SchemaIssue.makeFormatterStandardSchemaV1()(error.issue).issues[0]?.path ?? []
      if (path[0] === undefined) {
        return new TelemetryConfigError({
          setting: "options",
          allowed: `an object with ${Object.keys(allowed).join(", ")}`,
          received: received(options)
        })
      }
      const field = String(path[0])
      const known = Object.hasOwn(allowed, field)
      return new TelemetryConfigError({
        setting: field,
        allowed: (known ? allowed[field] : undefined) ?? Object.keys(allowed).join(", "),
        received: known ? received((options as Record<string, unknown>)[field]) : undefined
      })
    })
  )

const received = (value: unknown): string =>
  typeof value === "string"
    ? `"${Redaction.redact(value)}"`
    : typeof value === "object" && value !== null
      ? Redaction.redact(Attribute.json(value, 100))
      : String(value)

const endpointOf = (
  setting: string,
  text: string | undefined,
  otlp: OtlpSettings.OtlpSettings
): Effect.Effect<Endpoint.Endpoint | undefined, TelemetryConfigError> =>
  text === undefined
    ? Effect.undefined
    : Result.match(Endpoint.parse(text, OtlpSettings.reading(otlp, "either")), {
        onFailure: (reason) =>
          Effect.fail(
            new TelemetryConfigError({
              setting,
              allowed: Endpoint.allowed,
              received: `"${Endpoint.shown(text)}": ${reason}`
            })
          ),
        onSuccess: Effect.succeed
      })

const ofKeep = ({ errors = false, slowerThan }: NonNullable<Options["keep"]>): Keep => ({
  errors,
  slowerThan:
    slowerThan === undefined
      ? undefined
      : BigInt(Math.round(Duration.toMillis(Duration.fromInputUnsafe(slowerThan)) * 1_000_000))
})

const ofRate = (ratio: number): Sampler => ({ parentBased: true, ratio })

const exportersOf = (exporter: Exporter): ReadonlyArray<"console" | "otlp"> =>
  exporter === "none" ? [] : [exporter === "console" ? "console" : "otlp"]

const set = <A>(value: A | undefined): Sourced<A> | undefined =>
  value === undefined ? undefined : { value, source: "flag/program" }

const map = <A, B>(sourced: Sourced<A> | undefined, f: (value: A) => B): Sourced<B> | undefined =>
  sourced === undefined ? undefined : { value: f(sourced.value), source: sourced.source }

const first = <A>(...candidates: ReadonlyArray<Sourced<A> | undefined>): Sourced<A> | undefined =>
  candidates.find((candidate) => candidate !== undefined)
