/**
 * `tinyllm run`: asks a question and prints the answer.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Assistant from "./Assistant.ts"
import { CommandFailed, failed, isUnreachable } from "./CliError.ts"
import type { RunFlags } from "./CliFlags.ts"
import * as Graph from "./Graph.ts"
import * as Logs from "./Logs.ts"
import type { Ollama, StreamInterrupted } from "./Ollama.ts"
import type { OllamaDoubleFailed } from "./OllamaDouble.ts"
import * as Progress from "./Progress.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import * as Telemetry from "./Telemetry.ts"
import { commandLine } from "./TelemetryConfig.ts"

/** Runs a graph on a query and prints the answer. */
export const run = (flags: RunFlags) =>
  Effect.gen(function* () {
    if (flags.query.trim() === "") {
      return yield* new CommandFailed({ text: `The query is empty. Write it after "run", in quotes.`, exitCode: 2 })
    }
    if (flags.json && Option.contains(flags.stream, true)) {
      return yield* new CommandFailed({
        text: "Write --json or --stream, not both: the object has the whole answer.",
        exitCode: 2
      })
    }
    yield* tellUnused(flags)
    const answer = yield* Progress.makeAnswer
    yield* Effect.gen(function* () {
      const graph = Assistant.make(yield* modelsOf(flags))
      yield* execute(flags, graph, answer).pipe(Telemetry.withRemoteParent, Effect.provide(ollama(flags)))
    }).pipe(
      Effect.provide(
        Layer.merge(Telemetry.layerCommandLine(optionsOf(flags)), Logs.layer({ format: flags.logFormat })).pipe(
          Layer.provideMerge(Layer.succeed(Stderr, answer.stderr))
        )
      ),
      Effect.mapError((error) =>
        error._tag === "OllamaError" && error.reason._tag === "StreamInterrupted"
          ? new CommandFailed({ text: error.reason.tell(whatHadCome(error.reason, answer)), exitCode: 1 })
          : error
      )
    )
  }).pipe(
    Effect.mapError((error) =>
      error._tag === "OllamaError" && isUnreachable(error)
        ? new CommandFailed({ text: `${error.message} To see it all without Ollama, add --demo.`, exitCode: 3 })
        : failed(error)
    )
  )

/** A program finds it in the error; a person has it in front of them, or does not have it. */
export const whatHadCome = (reason: StreamInterrupted, answer: Progress.Answer): string =>
  reason.partial === ""
    ? "Nothing of its text had come."
    : answer.printed()
      ? "What had come is printed above."
      : "What had come is not printed, since it is not whole; at a terminal it is, as it comes."

/** The models of flags and environment. */
export const modelsOf = (flags: Pick<RunFlags, "model" | "routerModel">) =>
  Effect.gen(function* () {
    // An empty variable is as good as none.
    const setting = (flag: Option.Option<string>, variable: string) =>
      Option.isSome(flag)
        ? Effect.succeed(flag.value.trim())
        : Effect.map(Config.String(variable).pipe(Config.withDefault("")), (name) => name.trim() || undefined)
    return {
      model: yield* setting(flags.model, "TINYLLM_MODEL"),
      routerModel: yield* setting(flags.routerModel, "TINYLLM_ROUTER_MODEL")
    }
  })

type TelemetryFlags = Pick<
  RunFlags,
  | "tracing"
  | "exporter"
  | "otlpEndpoint"
  | "otlpProtocol"
  | "samplingRate"
  | "keepErrors"
  | "store"
  | "serviceName"
  | "captureContent"
>

/** What the flags say about telemetry; the environment says the rest. */
export const optionsOf = (
  flags: TelemetryFlags & { readonly traceFormat?: RunFlags["traceFormat"] | undefined }
): Telemetry.Options => {
  const given = {
    enableTracing: Option.getOrUndefined(flags.tracing),
    exporter: Option.getOrUndefined(flags.exporter),
    otlpEndpoint: Option.getOrUndefined(flags.otlpEndpoint),
    otlpProtocol: Option.getOrUndefined(flags.otlpProtocol),
    samplingRate: Option.getOrUndefined(flags.samplingRate),
    keep: Option.getOrUndefined(Option.map(flags.keepErrors, (errors) => ({ errors }))),
    store: Option.getOrUndefined(flags.store),
    serviceName: Option.getOrUndefined(flags.serviceName),
    captureContent: Option.getOrUndefined(flags.captureContent),
    traceFormat: Option.getOrUndefined(flags.traceFormat ?? Option.none())
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** Says which flags change nothing: those of traces where nobody asked for any, and that of a console that shows none. */
export const tellUnused = Effect.fnUntraced(function* (flags: TelemetryFlags & Pick<RunFlags, "traceFormat">) {
  const given = [
    ...(Option.isSome(flags.traceFormat) ? ["--trace-format"] : []),
    ...(Option.isSome(flags.samplingRate) ? ["--sampling-rate"] : []),
    ...(Option.contains(flags.keepErrors, true) ? ["--keep-errors"] : [])
  ]
  if (given.length === 0) {
    return
  }
  const stderr = yield* Stderr
  const { enabled, exporters } = yield* Telemetry.resolve(optionsOf(flags), commandLine)
  // Whoever turned tracing off knows it.
  if (enabled.source === "default") {
    const are = given.length === 1 ? "is" : "are"
    stderr.write(`tinyllm: ${given.join(", ")} ${are} not used: tracing is off. Turn it on with --tracing.\n`)
  } else if (enabled.value && Option.isSome(flags.traceFormat) && !exporters.value.includes("console")) {
    stderr.write(`tinyllm: --trace-format is not used by the exporter ${exporters.value.join() || "none"}.\n`)
  }
})

/**
 * The client, for the demo server where that is asked for. They load only now: what is not used costs no time.
 */
export const ollama = ({
  allowRemote,
  demo
}: Pick<RunFlags, "allowRemote" | "demo">): Layer.Layer<Ollama, Config.ConfigError | OllamaDoubleFailed> =>
  demo
    ? Layer.unwrap(
        Effect.gen(function* () {
          const stderr = yield* Stderr
          stderr.write(
            "tinyllm: the demo server answers, which is no language model. For a real one, install Ollama " +
              `(https://ollama.com), "ollama pull ${Assistant.defaultRouterModel}", ` +
              `"ollama pull ${Assistant.defaultModel}", and leave out --demo.\n`
          )
          return (yield* Effect.promise(() => import("./Demo.ts"))).layer
        })
      )
    : Layer.unwrap(
        Effect.map(
          Effect.promise(() => import("./NodeClient.ts")),
          (module) => module.layerConfigWith({ allowRemote })
        )
      )

/** Runs the graph, shows how it goes where somebody watches, and prints the answer. */
const execute = Effect.fnUntraced(function* (flags: RunFlags, graph: Assistant.Assistant, answer: Progress.Answer) {
  const stdout = yield* Stdout
  const stderr = yield* Stderr
  const streams = Option.getOrElse(flags.stream, () => true) && !flags.json && stdout.isTerminal
  if (!streams && !stderr.isTerminal) {
    return yield* printWhole(flags, yield* Graph.run(graph, flags.query))
  }
  const spinner = yield* Progress.makeSpinner
  const execution = yield* Graph.listen(graph, flags.query, Progress.listener(graph, answer, spinner, streams))
  spinner.hide()
  if (!answer.printed()) {
    yield* printWhole(flags, execution)
  }
}, Effect.scoped)

const printWhole = (flags: RunFlags, execution: Graph.Execution<Assistant.Draft>) =>
  Effect.flatMap(Stdout, (stdout) => {
    if (flags.json) {
      const { inputTokens, outputTokens } = execution.usage
      const report = {
        answer: execution.output.answer,
        executionId: execution.executionId,
        traceId: execution.traceId ?? null,
        nodesExecuted: execution.nodesExecuted,
        inputTokens,
        outputTokens,
        durationMs: Math.round(Duration.toMillis(execution.duration))
      }
      return stdout.write(`${JSON.stringify(report)}\n`)
    }
    const answer = execution.output.answer.trim()
    return stdout.write(`${stdout.isTerminal ? Progress.visible(answer) : answer}\n`)
  })
