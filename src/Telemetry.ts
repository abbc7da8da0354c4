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
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as Capture from "./Capture.ts"
import * as ChunkTimes from "./ChunkTimes.ts"
import * as Diagnostics from "./Diagnostics.ts"
import * as Endpoint from "./Endpoint.ts"
import type { Outcome } from "./OtlpAnswers.ts"
import type { OtlpClient } from "./OtlpClient.ts"
import type { OtlpMetrics } from "./OtlpMetrics.ts"
import type { Pushed } from "./OtlpPush.ts"
import * as Propagation from "./Propagation.ts"
import type { RecordedSpan } from "./RecordedSpan.ts"
import * as Redaction from "./Redaction.ts"
import * as Report from "./Report.ts"
import type { Sampler } from "./Sampling.ts"
import * as Span from "./Span.ts"
import * as SpoolConfig from "./SpoolConfig.ts"
import * as Stderr from "./Stderr.ts"
import * as TelemetryConfig from "./TelemetryConfig.ts"
import type { Sink } from "./Sink.ts"

export { Exporter, Options, resolve, samplerName, TelemetryConfigError, TraceFormat } from "./TelemetryConfig.ts"
export type { Report } from "./Report.ts"
export type { Candidate, Sampler } from "./Sampling.ts"
export type { Resolved, Sourced } from "./TelemetryConfig.ts"

/**
 * Sends spans where the options say. What they leave open comes from the environment (`TINYLLM_*`, then `OTEL_*`),
 * then from the defaults; with nothing set, tracing is off.
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
      const diagnostics = warned(config, stderr)
      // Nothing of OpenTelemetry is loaded for the console alone.
      const otlp = config.exporters.value.includes("otlp")
      const foreign = config.interop.value || otlp || config.metrics !== undefined
      return counted((counter) => {
        const metrics = metricsOf(config, diagnostics, config.enabled.value && otlp ? counter : undefined)
        const tracer = config.enabled.value
          ? own(config, sinks(config, stderr, diagnostics, counter, end), undefined, metrics)
          : measured(config, metrics)
        return whole(config, foreign ? withMessages(config, tracer, diagnostics) : tracer)
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
      const diagnostics = warned(config, yield* Stderr.Stderr)
      return counted((counter) => {
        const metrics = metricsOf(config, diagnostics, counter)
        const tracer = config.enabled.value
          ? own(config, toExporter(config, exporter, diagnostics, counter), sampler, metrics)
          : measured(config, metrics)
        return whole(config, withMessages(config, tracer, diagnostics))
      })
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
      const diagnostics = warned(config, yield* Stderr.Stderr)
      if (config.metrics !== undefined) {
        diagnostics("warn", `${config.metrics.source} is ignored: there are no metrics of spans of OpenTelemetry's SDK`)
      }
      const tracer = Layer.unwrap(
        Effect.gen(function* () {
          const { layer } = yield* Effect.promise(() => import("./OpenTelemetry.ts"))
          return layer({
            serviceName: config.serviceName.value,
            resourceAttributes: config.resourceAttributes,
            limits: config.limits,
            guard: yield* guardOf(config),
            sampler: config.sampler.value,
            processors
          })
        })
      )
      return whole(config, withMessages(config, tracer, diagnostics))
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
    Effect.provide(on(sampled, own(sampled, Effect.succeed([collecting]))))
  )
  const client = yield* Effect.flatMap(
    clientOf(config, () => {}),
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
  const client = yield* Effect.flatMap(clientOf(config, diagnostics), Effect.fromResult)
  const { push } = yield* Effect.promise(() => import("./OtlpPush.ts"))
  return yield* Effect.mapError(
    push({ client, directory, timeoutMillis: config.timeoutMillis }),
    (error) => error.message
  )
})

/** Whether spans made here are recorded by a layer of this module. */
export const isEnabled: Effect.Effect<boolean> = Effect.suspend(() =>
  Effect.zipWith(Enabled, References.TracerEnabled, (layer, tracer) => layer && tracer)
)

/**
 * Exports every span that has ended so far, and metrics as they are now, and waits until that is done, for as long as one
 * export may take. For programs that are frozen between requests; the end of a layer does the same. Does nothing where
 * tracing and metrics are off, and with `layerSdk`, whose processors have a flush of their own.
 */
export const flush: Effect.Effect<void> = Effect.suspend(() => Effect.flatMap(Flush, (flush) => Effect.promise(flush)))

const Flush: Context.Reference<() => Promise<void>> = Context.Reference("tinyllm/Telemetry/Flush", {
  defaultValue: () => () => Promise.resolve()
})

const Enabled: Context.Reference<boolean> = Context.Reference("tinyllm/Telemetry/Enabled", {
  defaultValue: () => false
})

/**
 * What became so far of the spans that a layer of this module sends to a collector or an exporter: how many were
 * recorded, exported, kept on disk and lost, and why. All zero where none are sent.
 */
export const report: Effect.Effect<Report.Report> = Effect.suspend(() =>
  Effect.map(Counter, (counter) => counter?.snapshot() ?? Report.none)
)

const Counter: Context.Reference<Report.Counter | undefined> = Context.Reference("tinyllm/Telemetry/Counter", {
  defaultValue: (): Report.Counter | undefined => undefined
})

const counted = (layer: (counter: Report.Counter) => Layer.Layer<never>): Layer.Layer<never> =>
  Layer.suspend(() => {
    const counter = Report.make()
    return Layer.merge(layer(counter), Layer.succeed(Counter, counter))
  })

// Without a tracer Effect would still make its own spans and send their ids over HTTP.
const off: Layer.Layer<never> = Layer.merge(
  Layer.succeed(References.TracerEnabled, false),
  Layer.succeed(Enabled, false)
)

/**
 * Everything that a configuration sets, with the tracer where tracing or metrics are on. Where they are off, log lines are
 * redacted all the same, and a trace of others passes through.
 */
const whole = (config: TelemetryConfig.Resolved, tracer: Layer.Layer<never>): Layer.Layer<never> =>
  Layer.mergeAll(
    config.enabled.value ? on(config, tracer) : config.metrics === undefined ? off : tracer,
    Layer.succeed(Redaction.Current, config.privacy.redact),
    Layer.succeed(Propagation.Propagators, config.propagators.value)
  )

const on = (config: TelemetryConfig.Resolved, tracer: Layer.Layer<never>): Layer.Layer<never> =>
  Layer.mergeAll(
    tracer,
    Layer.succeed(References.TracerEnabled, true),
    Layer.succeed(Enabled, true),
    content(config.privacy)
  )

// What work that is traced has to know: it makes content, and only it can leave it out.
const content = (privacy: TelemetryConfig.Resolved["privacy"]): Layer.Layer<never> => {
  const { capture, contentBytes, redact, taskContent } = privacy
  const mode = capture.value
  return Layer.mergeAll(
    Layer.succeed(
      Span.TaskContent,
      taskContent.value ? (task: unknown) => Span.taskContent(task, redact) : () => Redaction.mark
    ),
    Layer.succeed(
      Capture.Current,
      mode === "NO_CONTENT"
        ? undefined
        : {
            attributes: mode !== "EVENT_ONLY",
            event: mode !== "SPAN_ONLY",
            bytes: contentBytes.value,
            redact
          }
    )
  )
}

/** Our own tracer. What it needs is loaded now, and no earlier. */
const own = (
  config: TelemetryConfig.Resolved,
  sinks: Effect.Effect<ReadonlyArray<Sink>, never, Scope.Scope>,
  sampler?: Sampler | undefined,
  metrics: Effect.Effect<OtlpMetrics | undefined> = Effect.undefined
): Layer.Layer<never> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const own = yield* Effect.promise(() => import("./Tracer.ts"))
      const observer = yield* metrics
      const places = yield* Effect.acquireRelease(sinks, (places) =>
        Effect.promise(() => {
          const ended = Promise.all(places.map((place) => place.shutdown()))
          return Promise.all([ended, observer?.shutdown(ended)])
        })
      )
      const { parentBased, ratio } = config.sampler.value
      const tracer = own.make({
        sampler: sampler ?? own.ratio(ratio, parentBased),
        limits: config.limits,
        guard: yield* guardOf(config),
        sinks: places,
        keep: config.keep.value.errors || config.keep.value.slowerThan !== undefined ? config.keep.value : undefined,
        observer
      })
      return Context.make(
        Tracer.Tracer,
        config.interop.value ? (yield* Effect.promise(() => import("./Interop.ts"))).make(tracer) : tracer
      ).pipe(
        Context.add(Flush, () =>
          Promise.all([...places.map((place) => place.flush()), observer?.flush()]).then(() => {})
        ),
        Context.add(ChunkTimes.Current, observer?.onChunk)
      )
    })
  )

/** Metrics without tracing: spans are made, looked at when they end, and seen by nobody else. */
const measured = (
  config: TelemetryConfig.Resolved,
  metrics: Effect.Effect<OtlpMetrics | undefined>
): Layer.Layer<never> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const observer = yield* Effect.acquireRelease(metrics, (metrics) =>
        Effect.promise(() => metrics?.shutdown(Promise.resolve()) ?? Promise.resolve())
      )
      if (observer === undefined) {
        return off
      }
      const { unseen } = yield* Effect.promise(() => import("./Tracer.ts"))
      const tracer = unseen({ limits: config.limits, guard: yield* guardOf(config), observer })
      return Layer.succeedContext(
        Context.make(Tracer.Tracer, tracer).pipe(
          Context.add(References.TracerEnabled, true),
          Context.add(Enabled, false),
          Context.add(Flush, observer.flush),
          Context.add(ChunkTimes.Current, observer.onChunk),
          Context.add(Span.TaskContent, () => Redaction.mark)
        )
      )
    })
  )

/** Metrics to the collector of the configuration; `undefined` where they are off, or cannot be sent. */
const metricsOf = (
  config: TelemetryConfig.Resolved,
  diagnostics: Diagnostics.Diagnostics,
  counter: Report.Counter | undefined
): Effect.Effect<OtlpMetrics | undefined> => {
  const settings = config.metrics
  return settings === undefined
    ? Effect.undefined
    : Effect.gen(function* () {
        const client = yield* Effect.flatMap(clientOf(settings, diagnostics, "metrics"), Effect.fromResult)
        const { make } = yield* Effect.promise(() => import("./OtlpMetrics.ts"))
        return make({ client, settings, service: config, counter, warn: (line) => diagnostics("error", line) })
      }).pipe(
        Effect.catchCause((cause) =>
          Effect.sync(() => {
            // An error of a library may quote what it was given, such as the key of a collector: nobody prints it.
            const why = Option.getOrElse(Cause.findErrorOption(cause), () => "they cannot be set up")
            diagnostics("error", `metrics are not sent: ${why}`)
            return undefined
          })
        )
      )
}

const guardOf = ({ privacy }: TelemetryConfig.Resolved) =>
  Effect.map(
    Effect.promise(() => import("./SpanGuard.ts")),
    ({ make }) => make({ bytes: privacy.spanBytes.value, redact: privacy.redact })
  )

const sinks = (
  config: TelemetryConfig.Resolved,
  stderr: Stderr.Stderr,
  diagnostics: Diagnostics.Diagnostics,
  counter: Report.Counter,
  end: "complaints" | "summary"
): Effect.Effect<ReadonlyArray<Sink>, never, Scope.Scope> =>
  Effect.map(
    Effect.forEach(config.exporters.value, (exporter) =>
      // An error of a library may quote what it was given, such as the key of a collector: nobody prints it.
      (exporter === "otlp" ? toCollector(config, diagnostics, counter, end) : toConsole(config, stderr)).pipe(
        Effect.catchCause(() =>
          Effect.succeed(
            Result.fail(
              `the exporter ${exporter === "otlp" ? `to ${config.endpoint.value.address} ` : ""}cannot be set up`
            )
          )
        )
      )
    ),
    (made) =>
      made.flatMap((sink) => {
        if (Result.isSuccess(sink)) {
          return [sink.success]
        }
        diagnostics("error", `spans are not sent: ${sink.failure}`)
        return []
      })
  )

type Made = Effect.Effect<Result.Result<Sink, string>, never, Scope.Scope>

const toCollector = (
  config: TelemetryConfig.Resolved,
  diagnostics: Diagnostics.Diagnostics,
  counter: Report.Counter,
  end: "complaints" | "summary"
): Made =>
  Effect.gen(function* () {
    const client = yield* clientOf(config, diagnostics)
    const { exporter } = yield* Effect.promise(() => import("./OtlpSink.ts"))
    const settings = config.spool.value
    const spool =
      settings === undefined
        ? undefined
        : yield* Effect.flatMap(
            Effect.promise(() => import("./Spool.ts")),
            ({ make }) => make(settings)
          )
    const ended = told(diagnostics, end, SpoolConfig.pushCommand(settings, destination(config)))
    return Result.map(client, (client) => exporter({ client, config, counter, spool, ended }))
  })

// What the next command would not know: the environment it has is the same. A query may hold a key.
const destination = ({ endpoint, otlp: { protocol } }: TelemetryConfig.Resolved): string => {
  const { path, url } = endpoint.value
  const given = endpoint.source === "flag/program" && url !== Endpoint.local(protocol.value).url && !path.includes("?")
  return (
    (given ? ` --otlp-endpoint ${url}` : "") +
    (protocol.source === "flag/program" ? ` --otlp-protocol ${protocol.value}` : "")
  )
}

// Each loads what its protocol needs, and nothing of the other.
const clientOf = (
  { endpoint: { value }, otlp }: Pick<TelemetryConfig.Resolved, "endpoint" | "otlp">,
  diagnostics: Diagnostics.Diagnostics,
  signal: Endpoint.Signal = "traces"
): Effect.Effect<Result.Result<OtlpClient, string>> =>
  Effect.gen(function* () {
    const { make } = yield* Effect.promise(() =>
      value.protocol === "grpc" ? import("./OtlpGrpc.ts") : import("./OtlpHttp.ts")
    )
    const { untraced } = yield* Effect.promise(() => import("./OtlpUntraced.ts"))
    return Result.map(make(value, otlp, signal), (client) => ({
      ...client,
      send: (request, millis, done) =>
        untraced(() =>
          client.send(request, millis, (outcome) => {
            const failed = outcome._tag === "Failed"
            const what = failed ? outcome.reason : `${client.address} accepted it`
            diagnostics(failed ? "info" : "debug", `a request of ${request.length} bytes: ${what}`)
            done(outcome)
          })
        )
    }))
  })

const toExporter = (
  config: TelemetryConfig.Resolved,
  exporter: SpanExporter,
  diagnostics: Diagnostics.Diagnostics,
  counter: Report.Counter
): Effect.Effect<ReadonlyArray<Sink>> =>
  Effect.map(
    Effect.promise(() => import("./OtlpSink.ts")),
    ({ foreign }) => [foreign({ config, exporter, counter, ended: told(diagnostics, "complaints", "") })]
  )

// Nobody is told by the way that all went well but who asked for it.
const told =
  (diagnostics: Diagnostics.Diagnostics, end: "complaints" | "summary", push: string) =>
  (report: Report.Report): void => {
    const level = report.kept + report.lost + report.dropped > 0 ? "error" : "warn"
    for (const line of end === "summary" ? Report.summary(report, push) : Report.complaints(report, push)) {
      diagnostics(level, line)
    }
  }

const toConsole = (config: TelemetryConfig.Resolved, stderr: Stderr.Stderr): Made =>
  Effect.zipWith(
    Effect.promise(() => import("./ConsoleSpans.ts")),
    Stderr.colours,
    (console, colour) =>
      Result.succeed(
        console.make({ format: config.traceFormat.value, colour, columns: stderr.columns, write: stderr.write })
      )
  )

// What tells lines from now on, and has told the warnings.
const warned = (config: TelemetryConfig.Resolved, stderr: Stderr.Stderr): Diagnostics.Diagnostics => {
  const diagnostics = Diagnostics.make(config.logLevel.value, stderr.write)
  for (const warning of config.warnings) {
    diagnostics("warn", warning)
  }
  return diagnostics
}

// A tracer that works with parts of OpenTelemetry, which have things to say.
const withMessages = (
  config: TelemetryConfig.Resolved,
  tracer: Layer.Layer<never>,
  diagnostics: Diagnostics.Diagnostics
): Layer.Layer<never> =>
  Layer.provideMerge(
    tracer,
    Layer.unwrap(
      Effect.map(
        Effect.promise(() => import("./DiagLogger.ts")),
        ({ layer }) => layer(diagnostics, config.otlp)
      )
    )
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
