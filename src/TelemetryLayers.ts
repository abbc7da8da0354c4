/**
 * What a configuration becomes: layers with a tracer, the places its spans go to, and what they need.
 *
 * Everything of OpenTelemetry is loaded here when it is needed, and not before.
 *
 * @since 0.1.0
 */
import type { SpanExporter } from "@opentelemetry/sdk-trace-base"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
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
import type { OtlpClient } from "./OtlpClient.ts"
import type { OtlpMetrics } from "./OtlpMetrics.ts"
import * as Propagation from "./Propagation.ts"
import * as Redaction from "./Redaction.ts"
import * as Report from "./Report.ts"
import type { Sampler } from "./Sampling.ts"
import * as Span from "./Span.ts"
import * as SpoolConfig from "./SpoolConfig.ts"
import * as Stderr from "./Stderr.ts"
import * as TelemetryConfig from "./TelemetryConfig.ts"
import * as TelemetryStore from "./TelemetryStore.ts"
import type { Sink } from "./Sink.ts"

export const Flush: Context.Reference<() => Promise<void>> = Context.Reference("tinyllm/Telemetry/Flush", {
  defaultValue: () => () => Promise.resolve()
})

export const Enabled: Context.Reference<boolean> = Context.Reference("tinyllm/Telemetry/Enabled", {
  defaultValue: () => false
})

export const Counter: Context.Reference<Report.Counter | undefined> = Context.Reference("tinyllm/Telemetry/Counter", {
  defaultValue: (): Report.Counter | undefined => undefined
})

/** A layer that counts what goes to a collector or an exporter, and what to the store. */
export const counted = (
  layer: (counter: Report.Counter, store: Report.Counter) => Layer.Layer<never>
): Layer.Layer<never> =>
  Layer.suspend(() => {
    const counter = Report.make()
    const store = Report.make()
    return Layer.mergeAll(
      layer(counter, store),
      Layer.succeed(Counter, counter),
      Layer.succeed(TelemetryStore.Counter, store)
    )
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
export const whole = (config: TelemetryConfig.Resolved, tracer: Layer.Layer<never>): Layer.Layer<never> =>
  Layer.mergeAll(
    config.enabled.value ? on(config, tracer) : config.metrics === undefined ? off : tracer,
    Layer.succeed(Redaction.Current, config.privacy.redact),
    Layer.succeed(Propagation.Propagators, config.propagators.value)
  )

export const on = (config: TelemetryConfig.Resolved, tracer: Layer.Layer<never>): Layer.Layer<never> =>
  Layer.mergeAll(
    tracer,
    Layer.succeed(References.TracerEnabled, true),
    Layer.succeed(Enabled, true),
    content(config.privacy)
  )

// What work that is traced has to know: it makes content, and only it can leave it out.
const content = (privacy: TelemetryConfig.Resolved["privacy"]): Layer.Layer<never> => {
  const { capture, contentBytes, logEvents, redact, taskContent } = privacy
  const mode = capture.value
  return Layer.mergeAll(
    Layer.succeed(Capture.LogEvents, logEvents.value),
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
export const own = (
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
      const keep = config.keep.value
      const keeper = keep.errors || keep.slowerThan !== undefined ? own.keeper(keep, places) : undefined
      if (keeper !== undefined) {
        yield* Effect.addFinalizer(() => Effect.map(Clock.currentTimeNanos, keeper.end))
      }
      const tracer = own.make({
        sampler: sampler ?? own.ratio(ratio, parentBased),
        limits: config.limits,
        guard: yield* guardOf(config),
        sinks: places,
        keeper,
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
export const measured = (
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
export const metricsOf = (
  config: TelemetryConfig.Resolved,
  diagnostics: Diagnostics.Diagnostics,
  counter: Report.Counter | undefined
): Effect.Effect<OtlpMetrics | undefined> => {
  const settings = config.metrics
  return settings === undefined
    ? Effect.undefined
    : Effect.gen(function* () {
        const client = yield* Effect.flatMap(clientOf(settings, diagnostics), Effect.fromResult)
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

export const guardOf = ({ limits, privacy }: TelemetryConfig.Resolved) =>
  Effect.map(
    Effect.promise(() => import("./SpanGuard.ts")),
    ({ make }) =>
      make({
        bytes: privacy.spanBytes.value,
        redact: privacy.redact,
        logEvents: privacy.logEvents.value,
        valueLength: limits.attributeValueLengthLimit
      })
  )

export const sinks = (
  config: TelemetryConfig.Resolved,
  stderr: Stderr.Stderr,
  diagnostics: Diagnostics.Diagnostics,
  counter: Report.Counter,
  end: "complaints" | "summary"
): Effect.Effect<ReadonlyArray<Sink>, never, Scope.Scope> =>
  Effect.map(
    Effect.forEach(config.exporters.value, (exporter) =>
      // An error of a library may quote what it was given, such as the key of a collector: nobody prints it.
      (exporter === "otlp"
        ? toCollector(config, diagnostics, counter, end)
        : toConsole(config, stderr, diagnostics)
      ).pipe(
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
export const clientOf = (
  { endpoint: { value }, otlp }: Pick<TelemetryConfig.Resolved, "endpoint" | "otlp">,
  diagnostics: Diagnostics.Diagnostics
): Effect.Effect<Result.Result<OtlpClient, string>> =>
  Effect.gen(function* () {
    const { make } = yield* Effect.promise(() =>
      value.protocol === "grpc" ? import("./OtlpGrpc.ts") : import("./OtlpHttp.ts")
    )
    const { untraced } = yield* Effect.promise(() => import("./OtlpUntraced.ts"))
    return Result.map(make(value, otlp), (client) => ({
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

export const toExporter = (
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

const toConsole = (
  config: TelemetryConfig.Resolved,
  stderr: Stderr.Stderr,
  diagnostics: Diagnostics.Diagnostics
): Made =>
  Effect.zipWith(
    Effect.promise(() => import("./ConsoleSpans.ts")),
    Stderr.colours,
    (console, colour) => {
      const sink = console.make({
        format: config.traceFormat.value,
        colour,
        columns: stderr.columns,
        write: stderr.write
      })
      if (config.exporters.value.includes("otlp")) {
        // What sends them tells of those that were lost before.
        return Result.succeed(sink)
      }
      const counter = Report.make()
      return Result.succeed({
        ...sink,
        onLost: (spans, reason) => counter.lost(spans, reason),
        shutdown: () => sink.shutdown().then(() => told(diagnostics, "complaints", "")(counter.snapshot()))
      })
    }
  )

// What tells lines from now on, and has told the warnings.
export const warned = (config: TelemetryConfig.Resolved, stderr: Stderr.Stderr): Diagnostics.Diagnostics => {
  const diagnostics = Diagnostics.make(config.logLevel.value, stderr.write)
  for (const warning of config.warnings) {
    diagnostics("warn", warning)
  }
  return diagnostics
}

// A tracer that works with parts of OpenTelemetry, which have things to say.
export const withMessages = (
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
