/**
 * Where spans go: nowhere, to the console, or to a collector.
 *
 * Graphs, nodes and model calls write spans without asking whether anybody listens. This layer decides. It is the only
 * part that knows OpenTelemetry, and it loads it only when tracing is on. Nothing it does changes the result, the
 * output or the exit code of the program: a collector that is down costs one line on standard error.
 *
 * @since 0.1.0
 */
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import type { Outcome } from "./OtlpAnswers.ts"
import * as Report from "./Report.ts"
import * as Capture from "./Capture.ts"
import * as Redaction from "./Redaction.ts"
import * as Span from "./Span.ts"
import * as SpanGuard from "./SpanGuard.ts"
import * as Stderr from "./Stderr.ts"
import * as TelemetryConfig from "./TelemetryConfig.ts"
import * as TraceContext from "./TraceContext.ts"

export { Exporter, Options, resolve, samplerName, TelemetryConfigError, TraceFormat } from "./TelemetryConfig.ts"
export type { Resolved, Sampler, Sourced } from "./TelemetryConfig.ts"

/**
 * Sends spans where the options say. What they leave open comes from the environment (`TINYLLM_*`, then `OTEL_*`),
 * then from the defaults; with nothing set, tracing is off.
 *
 * Fails with `TelemetryConfigError` when an option or a `TINYLLM_*` variable is wrong.
 */
export const layer = (
  options: TelemetryConfig.Options = {}
): Layer.Layer<never, TelemetryConfig.TelemetryConfigError> =>
  Layer.unwrap(Effect.map(TelemetryConfig.resolve(options), layerResolved))

/** As the environment says. Off unless `TINYLLM_TRACING=true` or `OTEL_TRACES_EXPORTER` names an exporter. */
export const layerConfig: Layer.Layer<never, TelemetryConfig.TelemetryConfigError> = Layer.suspend(() => layer())

/** Sends spans as a resolved configuration says, and prints its warnings. */
export const layerResolved = (config: TelemetryConfig.Resolved): Layer.Layer<never> =>
  Layer.unwrap(
    Effect.map(Stderr.Stderr, (stderr) => {
      printWarnings(config, stderr)
      return Layer.merge(
        config.enabled.value ? on(config, exporters(config, stderr)) : off,
        Layer.succeed(Redaction.Current, config.privacy.redact)
      )
    })
  )

/**
 * Hands spans to any SpanProcessor of the OpenTelemetry SDK, through the same tracer. Tracing is on, whatever the
 * environment says, but for `OTEL_SDK_DISABLED`. The processor is shut down with the layer.
 */
export const layerProcessor = (
  processor: SpanProcessor,
  options: Omit<TelemetryConfig.Options, "enableTracing" | "exporter" | "otlpEndpoint" | "traceFormat"> = {}
): Layer.Layer<never, TelemetryConfig.TelemetryConfigError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const config = yield* TelemetryConfig.resolve({ ...options, enableTracing: true })
      printWarnings(config, yield* Stderr.Stderr)
      return Layer.merge(
        config.enabled.value ? on(config, Effect.succeed([processor])) : off,
        Layer.succeed(Redaction.Current, config.privacy.redact)
      )
    })
  )

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
  const spans: Array<ReadableSpan> = []
  const collecting: SpanProcessor = {
    onStart: () => {},
    onEnd: (span) => void spans.push(span),
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve()
  }
  const traceId = yield* Effect.useSpan(name, { root: true }, (span) => Effect.succeed(span.traceId)).pipe(
    Effect.provide(on(config, Effect.succeed([collecting])))
  )
  const client = yield* Effect.flatMap(clientOf(config), Effect.fromResult)
  const { send } = yield* Effect.promise(() => import("./OtlpProbe.ts"))
  return { traceId, outcome: yield* send(client, spans, millis) }
})

/** Whether spans made here are recorded by a layer of this module. */
export const isEnabled: Effect.Effect<boolean> = Effect.suspend(() =>
  Effect.zipWith(Enabled, References.TracerEnabled, (layer, tracer) => layer && tracer)
)

const Enabled: Context.Reference<boolean> = Context.Reference("tinyllm/Telemetry/Enabled", {
  defaultValue: () => false
})

// Without a tracer Effect would still make its own spans and send their ids over HTTP.
const off: Layer.Layer<never> = Layer.merge(
  Layer.succeed(References.TracerEnabled, false),
  Layer.succeed(Enabled, false)
)

const on = (
  config: TelemetryConfig.Resolved,
  processors: Effect.Effect<ReadonlyArray<SpanProcessor>>
): Layer.Layer<never> =>
  Layer.mergeAll(
    Layer.unwrap(
      Effect.gen(function* () {
        const { layer } = yield* Effect.promise(() => import("./OpenTelemetry.ts"))
        return layer({
          serviceName: config.serviceName.value,
          resourceAttributes: config.resourceAttributes,
          limits: config.limits,
          guard: SpanGuard.make({ bytes: config.privacy.spanBytes.value, redact: config.privacy.redact }),
          sampler: config.sampler.value,
          processors: yield* processors
        })
      })
    ),
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

const exporters = (
  config: TelemetryConfig.Resolved,
  stderr: Stderr.Stderr
): Effect.Effect<ReadonlyArray<SpanProcessor>> =>
  Effect.map(
    Effect.forEach(config.exporters.value, (exporter) =>
      // An error of a library may quote what it was given, such as the key of a collector: nobody prints it.
      (exporter === "otlp" ? toCollector(config, stderr) : toConsole(config, stderr)).pipe(
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
      made.flatMap((processor) => {
        if (Result.isSuccess(processor)) {
          return [processor.success]
        }
        warn(stderr, `spans are not sent: ${processor.failure}`)
        return []
      })
  )

type Made = Effect.Effect<Result.Result<SpanProcessor, string>>

const toCollector = (config: TelemetryConfig.Resolved, stderr: Stderr.Stderr): Made =>
  Effect.gen(function* () {
    const client = yield* clientOf(config)
    const { make } = yield* Effect.promise(() => import("./OtlpExport.ts"))
    const processor = yield* Effect.promise(() => import("./OtlpProcessor.ts"))
    return Result.map(client, (client) => {
      const counter = Report.make()
      // Two variables say how long an export may take. The shorter one holds.
      const timeoutMillis = Math.min(config.timeoutMillis, config.batch.exportTimeoutMillis)
      const exporter = make({ client, timeoutMillis, counter })
      const ended = () => {
        for (const { hint, reason, spans } of counter.snapshot().reasons) {
          warn(
            stderr,
            `${spans} ${spans === 1 ? "span" : "spans"} not exported: ${hint === undefined ? reason : `${reason}. ${hint}`}`
          )
        }
      }
      return processor.make({ exporter, batch: config.batch, counter, ended })
    })
  })

// Each loads what its protocol needs, and nothing of the other.
const clientOf = ({ endpoint: { value }, otlp }: TelemetryConfig.Resolved) =>
  Effect.map(
    Effect.promise(() => (value.protocol === "grpc" ? import("./OtlpGrpc.ts") : import("./OtlpHttp.ts"))),
    ({ make }) => make(value, otlp)
  )

const toConsole = (config: TelemetryConfig.Resolved, stderr: Stderr.Stderr): Made =>
  Effect.zipWith(
    Effect.promise(() => import("./ConsoleSpans.ts")),
    Stderr.colours,
    (console, colour) =>
      Result.succeed(
        console.make({ format: config.traceFormat.value, colour, columns: stderr.columns, write: stderr.write })
      )
  )

const printWarnings = (config: TelemetryConfig.Resolved, stderr: Stderr.Stderr): void => {
  for (const warning of config.warnings) {
    warn(stderr, warning)
  }
}

const warn = (stderr: Stderr.Stderr, line: string): void => stderr.write(`tinyllm: ${line}\n`)

/**
 * Continues the trace named by `TRACEPARENT` and `TRACESTATE`, for a command that another program started. Without a
 * valid `TRACEPARENT` the effect begins its own trace. A span around the effect stays its parent.
 * https://opentelemetry.io/docs/specs/otel/context/env-carriers/
 */
export const withRemoteParent = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
  Effect.flatMap(parentFromEnvironment, (parent) =>
    Option.isSome(parent)
      ? Effect.withParentSpan(self, parent.value)
      : (self as Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>>)
  )

/** The span named by `TRACEPARENT` and `TRACESTATE`; none when there is no valid one, or when a span is open already. */
export const parentFromEnvironment: Effect.Effect<Option.Option<Tracer.ExternalSpan>> = Effect.suspend(() =>
  Effect.gen(function* () {
    const variable = (name: string) => Config.String(name).pipe(Effect.orElseSucceed(() => ""))
    const parent = TraceContext.parse(yield* variable("TRACEPARENT"))
    if (Option.isNone(parent) || Option.isSome(yield* Effect.serviceOption(Tracer.ParentSpan))) {
      return Option.none()
    }
    const { traceId, spanId, flags } = parent.value
    if (!(yield* isEnabled)) {
      return Option.some(Tracer.externalSpan({ traceId, spanId, sampled: (flags & 1) === 1 }))
    }
    const { makeExternalSpan } = yield* Effect.promise(() => import("./OpenTelemetry.ts"))
    const traceState = TraceContext.parseState(yield* variable("TRACESTATE"))
    return Option.some(makeExternalSpan({ traceId, spanId, traceFlags: flags, traceState }))
  })
)
