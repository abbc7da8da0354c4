/**
 * Where spans go: nowhere, to the console, or to a collector.
 *
 * Graphs, nodes and model calls write spans without asking whether anybody listens. This layer decides. It is the only
 * part that knows OpenTelemetry, and it loads it only when tracing is on. Nothing it does changes the result, the
 * output or the exit code of the program: a collector that is down costs one line on standard error.
 *
 * @since 0.1.0
 */
import type { SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import * as Diagnostics from "./Diagnostics.ts"
import type { Outcome } from "./OtlpAnswers.ts"
import type { Pushed, Sent } from "./OtlpPush.ts"
import * as Propagation from "./Propagation.ts"
import type { RecordedSpan } from "./RecordedSpan.ts"
import * as Report from "./Report.ts"
import type { Sampler } from "./Sampling.ts"
import * as Stderr from "./Stderr.ts"
import * as TelemetryConfig from "./TelemetryConfig.ts"
import type { Sink } from "./Sink.ts"
import * as Layers from "./TelemetryLayers.ts"
import * as TelemetryStore from "./TelemetryStore.ts"

export { Exporter, Options, resolve, samplerName, TelemetryConfigError, TraceFormat } from "./TelemetryConfig.ts"
export type { Report } from "./Report.ts"
export type { Candidate, Sampler } from "./Sampling.ts"
export type { Resolved, Sourced } from "./TelemetryConfig.ts"

/**
 * Sends spans where the options say. What they leave open comes from the environment (`TINYLLM_*`, then `OTEL_*`),
 * then from the defaults; with nothing set, tracing is off. Metrics are sent where `OTEL_METRICS_EXPORTER` says so, with
 * tracing and without.
 *
 * Fails with `TelemetryConfigError` when an option or a `TINYLLM_*` variable is wrong.
 */
export const layer = (
  options: TelemetryConfig.Options = {}
): Layer.Layer<never, TelemetryConfig.TelemetryConfigError> =>
  Layer.unwrap(Effect.map(TelemetryConfig.resolve(options), (config) => layerResolved(config)))

/** As the environment says. Off unless `TINYLLM_TRACING=true` or `OTEL_TRACES_EXPORTER` names an exporter. */
export const layerConfig: Layer.Layer<never, TelemetryConfig.TelemetryConfigError> = Layer.suspend(() => layer())

/**
 * As `layer`, for a command that a person runs: what no collector takes is kept on disk unless `TINYLLM_SPOOL` says no,
 * and at the end one line on standard error says what became of the spans.
 */
export const layerCommandLine = (
  options: TelemetryConfig.Options = {}
): Layer.Layer<never, TelemetryConfig.TelemetryConfigError> =>
  Layer.unwrap(
    Effect.map(TelemetryConfig.resolve(options, TelemetryConfig.commandLine), (config) =>
      layerResolved(config, "summary")
    )
  )

/**
 * Sends spans as a resolved configuration says, and prints its warnings. At the end it says what became of the spans for
 * a collector: what went wrong, or all of it.
 */
export const layerResolved = (
  config: TelemetryConfig.Resolved,
  end: "complaints" | "summary" = "complaints"
): Layer.Layer<never> =>
  Layer.unwrap(
    Effect.map(Stderr.Stderr, (stderr) => {
      const diagnostics = Layers.warned(config, stderr)
      // Nothing of OpenTelemetry is loaded for the console alone.
      const otlp = config.exporters.value.includes("otlp")
      const foreign = config.interop.value || otlp || config.metrics !== undefined
      const tell = end === "summary" && stderr.isTerminal
      return Layers.counted((counter, store) => {
        const metrics = Layers.metricsOf(config, diagnostics, config.enabled.value && otlp ? counter : undefined)
        const sinks = Layers.sinks(config, stderr, diagnostics, counter, end)
        const places = TelemetryStore.beside({ config, diagnostics, counter: store, tell }, sinks)
        const tracer = config.enabled.value
          ? Layers.own(config, places, undefined, metrics)
          : Layers.measured(config, metrics)
        return Layers.whole(config, foreign ? Layers.withMessages(config, tracer, diagnostics) : tracer)
      })
    })
  )

/** What a program may set beside its own exporter or processors. */
export type ProgramOptions = Omit<
  TelemetryConfig.Options,
  "enableTracing" | "exporter" | "otlpEndpoint" | "otlpProtocol" | "traceFormat" | "interop"
>

/** What a program may set beside its own exporter. */
export type ExporterOptions = ProgramOptions & {
  /** As for `layer`; `false` by default. */
  readonly interop?: boolean | undefined
  /** Decides which traces are kept, in place of the rate. It is asked when a span has the attributes it starts with. */
  readonly sampler?: Sampler | undefined
}

/**
 * Hands spans in batches to any exporter of OpenTelemetry: for HTTP, Zipkin, a file, memory. Tracing is on, whatever the
 * environment says, but for `OTEL_SDK_DISABLED`. The exporter is shut down with the layer.
 */
export const layerExporter = (
  exporter: SpanExporter,
  { sampler, ...options }: ExporterOptions = {}
): Layer.Layer<never, TelemetryConfig.TelemetryConfigError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const config = yield* TelemetryConfig.resolve({ ...options, enableTracing: true })
      const diagnostics = Layers.warned(config, yield* Stderr.Stderr)
      return Layers.counted((counter, store) => {
        const metrics = Layers.metricsOf(config, diagnostics, counter)
        const sinks = Layers.toExporter(config, exporter, diagnostics, counter)
        const places = TelemetryStore.beside({ config, diagnostics, counter: store, tell: false }, sinks)
        const tracer = config.enabled.value
          ? Layers.own(config, places, sampler, metrics)
          : Layers.measured(config, metrics)
        return Layers.whole(config, Layers.withMessages(config, tracer, diagnostics))
      })
    })
  )

/**
 * Hands every span that is sampled, when it has ended, to what a configuration is made into: for modules of this package.
 * Tracing is on, whatever the environment says, but for `OTEL_SDK_DISABLED`.
 */
export const layerSink = (
  sink: (config: TelemetryConfig.Resolved) => Sink,
  { sampler, ...options }: ExporterOptions = {}
): Layer.Layer<never, TelemetryConfig.TelemetryConfigError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const config = yield* TelemetryConfig.resolve({ ...options, enableTracing: true })
      const diagnostics = Layers.warned(config, yield* Stderr.Stderr)
      const tracer = config.enabled.value
        ? Layers.own(config, Effect.succeed([sink(config)]), sampler)
        : Layers.measured(config, Effect.undefined)
      return Layers.whole(config, config.interop.value ? Layers.withMessages(config, tracer, diagnostics) : tracer)
    })
  )

/**
 * Makes spans by the OpenTelemetry SDK, for SpanProcessors of your own and for instrumentation that wants the SDK's
 * spans. It costs several times as much as `layer`. Tracing is on, whatever the environment says, but for
 * `OTEL_SDK_DISABLED`. The processors are shut down with the layer.
 */
export const layerSdk = (
  processors: ReadonlyArray<SpanProcessor>,
  options: ProgramOptions = {}
): Layer.Layer<never, TelemetryConfig.TelemetryConfigError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const config = yield* TelemetryConfig.resolve({ ...options, enableTracing: true })
      const diagnostics = Layers.warned(config, yield* Stderr.Stderr)
      if (config.metrics !== undefined) {
        diagnostics("warn", `${config.metrics.source} is ignored: there are no metrics of spans of OpenTelemetry's SDK`)
      }
      return Layers.counted((_, counter) => {
        const tracer = Layer.unwrap(
          Effect.gen(function* () {
            const { layer } = yield* Effect.promise(() => import("./OpenTelemetry.ts"))
            return layer({
              serviceName: config.serviceName.value,
              resourceAttributes: config.resourceAttributes,
              limits: config.limits,
              guard: yield* Layers.guardOf(config),
              sampler: config.sampler.value,
              processors: yield* TelemetryStore.besideProcessors(
                { config, diagnostics, counter, tell: false },
                processors
              )
            })
          })
        )
        return Layers.whole(config, Layers.withMessages(config, tracer, diagnostics))
      })
    })
  )

/** `layerSdk` with one processor. */
export const layerProcessor = (
  processor: SpanProcessor,
  options: ProgramOptions = {}
): Layer.Layer<never, TelemetryConfig.TelemetryConfigError> => layerSdk([processor], options)

/**
 * Sends one span to the collector of a configuration, as a run would send its own, but without another attempt, and says
 * what became of it. The answer may take `millis`.
 *
 * Fails with the reason when a setting makes that impossible; it quotes nothing that may be secret.
 */
export const probe = Effect.fnUntraced(function* (
  config: TelemetryConfig.Resolved,
  name: string,
  millis: number
): Effect.fn.Return<{ readonly traceId: string; readonly outcome: Outcome }, string> {
  const spans: Array<RecordedSpan> = []
  const collecting: Sink = {
    onEnd: (span) => void spans.push(span),
    flush: () => Promise.resolve(),
    shutdown: () => Promise.resolve()
  }
  // Whatever the rate is: whether a collector takes spans is not a matter of chance.
  const sampled = { ...config, sampler: { value: { parentBased: true, ratio: 1 }, source: "default" } }
  const traceId = yield* Effect.useSpan(name, { root: true }, (span) => Effect.succeed(span.traceId)).pipe(
    Effect.provide(Layers.on(sampled, Layers.own(sampled, Effect.succeed([collecting]))))
  )
  const client = yield* Effect.flatMap(
    Layers.clientOf(config, () => {}),
    Effect.fromResult
  )
  const { readable } = yield* Effect.promise(() => import("./OtlpSink.ts"))
  const { send } = yield* Effect.promise(() => import("./OtlpProbe.ts"))
  return { traceId, outcome: yield* send(client, spans.map(readable(config)), millis) }
})

/**
 * Sends the spans that are kept in a folder to the collector of a configuration, and says what became of the files.
 *
 * Fails with the reason when a setting makes that impossible, or when the folder cannot be used.
 */
export const push = Effect.fnUntraced(function* (
  config: TelemetryConfig.Resolved,
  directory: string
): Effect.fn.Return<Pushed, string> {
  const diagnostics = Diagnostics.make(config.logLevel.value, (yield* Stderr.Stderr).write)
  const client = yield* Effect.flatMap(Layers.clientOf(config, diagnostics), Effect.fromResult)
  const { push } = yield* Effect.promise(() => import("./OtlpPush.ts"))
  return yield* Effect.mapError(
    push({ client, directory, timeoutMillis: config.timeoutMillis }),
    (error) => error.message
  )
})

/**
 * Sends requests (`ExportTraceServiceRequest`, protobuf) to the collector of a configuration, one after the other, and says
 * what became of them. Stops at the first that is not taken.
 *
 * Fails with the reason when a setting makes that impossible.
 */
export const send = Effect.fnUntraced(function* (
  config: TelemetryConfig.Resolved,
  requests: ReadonlyArray<Uint8Array>
): Effect.fn.Return<Sent, string> {
  const diagnostics = Diagnostics.make(config.logLevel.value, (yield* Stderr.Stderr).write)
  const client = yield* Effect.flatMap(Layers.clientOf(config, diagnostics), Effect.fromResult)
  const { send } = yield* Effect.promise(() => import("./OtlpPush.ts"))
  return yield* send({ client, requests, timeoutMillis: config.timeoutMillis })
})

/** Whether spans made here are recorded by a layer of this module. */
export const isEnabled: Effect.Effect<boolean> = Effect.suspend(() =>
  Effect.zipWith(Layers.Enabled, References.TracerEnabled, (layer, tracer) => layer && tracer)
)

/**
 * Exports every span that has ended so far, and metrics as they are now, and waits until that is done, for as long as one
 * export may take. For programs that are frozen between requests; the end of a layer does the same. Does nothing where
 * tracing and metrics are off, and with `layerSdk`, whose processors have a flush of their own.
 */
export const flush: Effect.Effect<void> = Effect.suspend(() =>
  Effect.flatMap(Layers.Flush, (flush) => Effect.promise(flush))
)

/**
 * What became so far of the spans that a layer of this module sends to a collector or an exporter: how many were
 * recorded, exported, kept on disk and lost, and why. All zero where none are sent.
 */
export const report: Effect.Effect<Report.Report> = Effect.suspend(() =>
  Effect.map(Layers.Counter, (counter) => counter?.snapshot() ?? Report.none)
)

/**
 * What became so far of the spans that a layer of this module keeps in the local store: `exported` are those that are
 * there, `lost` those that could not be written, and why. All zero where none are kept.
 */
export const storeReport: Effect.Effect<Report.Report> = Effect.suspend(() =>
  Effect.map(TelemetryStore.Counter, (counter) => counter?.snapshot() ?? Report.none)
)

/**
 * Continues the trace named by `TRACEPARENT` and `TRACESTATE`, with the values of `BAGGAGE`, for a command that another
 * program started. Without a valid `TRACEPARENT` the effect begins its own trace. A span around the effect stays its
 * parent. https://opentelemetry.io/docs/specs/otel/context/env-carriers/
 */
export const withRemoteParent: <A, E, R>(
  self: Effect.Effect<A, E, R>
) => Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> = Propagation.withEnvironment

/** The span named by `TRACEPARENT` and `TRACESTATE`; none when there is no valid one, or when a span is open already. */
export const parentFromEnvironment: Effect.Effect<Option.Option<Tracer.ExternalSpan>> = Effect.flatMap(
  Effect.serviceOption(Tracer.ParentSpan),
  (open) => (Option.isSome(open) ? Effect.succeedNone : Effect.map(Propagation.environment, ({ parent }) => parent))
)
