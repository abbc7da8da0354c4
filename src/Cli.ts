/**
 * The commands and their flags.
 *
 * What a command does is in a module of its own that loads when the command runs, so that `--version` and `--help` do
 * not wait for it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Argument from "effect/cli/Argument"
import * as CliConfig from "effect/cli/CliConfig"
import type * as EffectCliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { CommandFailed } from "./CliError.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import { version } from "./Version.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Flags
// ---------------------------------------------------------------------------------------------------------------------

const telemetryFlags = {
  tracing: Flag.Boolean("tracing").pipe(
    Flag.withDescription("Trace the run, and print the trace on standard error unless it goes elsewhere"),
    Flag.optional
  ),
  exporter: Flag.Literals("exporter", ["console", "otlp", "jaeger"]).pipe(
    Flag.withDescription("Where spans go: console, otlp, or jaeger (otlp to http://localhost:4317); turns tracing on"),
    Flag.optional
  ),
  otlpEndpoint: Flag.String("otlp-endpoint").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription("Collector that spans go to, for example http://localhost:4317; turns tracing on"),
    Flag.optional
  ),
  samplingRate: Flag.Finite("sampling-rate").pipe(
    Flag.withMetavar("0..1"),
    Flag.withDescription("The share of traces that is kept, 1 by default"),
    Flag.filter(
      (rate) => rate >= 0 && rate <= 1,
      (rate) => `Expected a number from 0 to 1, got ${rate}`
    ),
    Flag.optional
  ),
  serviceName: Flag.String("service-name").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Name under which traces appear, tinyllm by default"),
    Flag.optional
  ),
  traceFormat: Flag.Literals("trace-format", ["tree", "json"]).pipe(
    Flag.withDescription("How the console shows spans: a tree for each trace, or a JSON object for each span"),
    Flag.withDefault("tree")
  )
}

const modelFlags = {
  model: Flag.String("model").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Model that answers, qwen2.5:3b by default (TINYLLM_MODEL)"),
    Flag.optional
  ),
  routerModel: Flag.String("router-model").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Model that sorts questions: --model if given, else qwen2.5:0.5b (TINYLLM_ROUTER_MODEL)"),
    Flag.optional
  )
}

const runFlags = {
  query: Argument.String("query").pipe(Argument.withDescription("What to ask")),
  graph: Flag.Literals("graph", ["assistant"]).pipe(
    Flag.withDescription("The graph to run"),
    Flag.withDefault("assistant")
  ),
  ...modelFlags,
  demo: Flag.Boolean("demo").pipe(
    Flag.withDescription("Use a demo server in place of Ollama: it is no language model, but can add"),
    Flag.withDefault(false)
  ),
  ...telemetryFlags,
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON object: the answer, ids, tokens and duration"),
    Flag.withDefault(false)
  ),
  stream: Flag.Boolean("stream").pipe(
    Flag.withDescription("Print the answer as it comes; on in a terminal, --no-stream waits for the whole answer"),
    Flag.withDefault(true)
  ),
  logFormat: Flag.Literals("log-format", ["pretty", "json", "logfmt"]).pipe(
    Flag.withDescription("How log lines look on standard error"),
    Flag.withDefault("pretty")
  )
}

export type RunFlags = Flags<typeof runFlags>
export type DoctorFlags = Flags<typeof doctorFlags>

type Flags<Config extends Record<string, unknown>> = {
  readonly [K in keyof Config]: Config[K] extends Flag.Flag<infer A>
    ? A
    : Config[K] extends Argument.Argument<infer A>
      ? A
      : never
}

// ---------------------------------------------------------------------------------------------------------------------
// Commands
// ---------------------------------------------------------------------------------------------------------------------

const run = Command.make("run", runFlags, (flags) =>
  Effect.flatMap(Effect.promise(() => import("./CliRun.ts")), (module) => module.run(flags))
).pipe(
  Command.withDescription("Ask a question and print the answer"),
  Command.withExamples([
    { command: `tinyllm run "What is 2 + 2?" --demo --tracing`, description: "Try it without Ollama, with a trace" },
    { command: `tinyllm run "Why is the sky blue?"`, description: "Ask the models on this machine" },
    {
      command: `tinyllm run "Why is the sky blue?" --otlp-endpoint http://localhost:4317`,
      description: "Send the trace to Jaeger, Tempo or any collector"
    }
  ])
)

const models = Command.make("models", {}, () =>
  Effect.flatMap(Effect.promise(() => import("./CliModels.ts")), (module) => module.models)
).pipe(Command.withDescription("List the models that are installed"))

const { traceFormat: _, ...doctorTelemetryFlags } = telemetryFlags
const doctorFlags = { ...modelFlags, ...doctorTelemetryFlags }

const doctor = Command.make("doctor", doctorFlags, (flags) =>
  Effect.flatMap(Effect.promise(() => import("./Doctor.ts")), (module) => module.doctor(flags))
).pipe(Command.withDescription("Say whether Ollama answers, which models it has, and where traces would go"))

const root = Command.make("tinyllm").pipe(
  Command.withDescription("Runs graphs of small language models on Ollama, every run an OpenTelemetry trace."),
  Command.withExamples([
    { command: `tinyllm run "What is 2 + 2?" --demo --tracing`, description: "Try it without Ollama, with a trace" },
    { command: `tinyllm run "Why is the sky blue?"`, description: "Ask the models on this machine" },
    { command: "tinyllm doctor", description: "See whether Ollama answers and where traces would go" }
  ]),
  Command.withSubcommands([run, models, doctor])
)

// ---------------------------------------------------------------------------------------------------------------------
// Running commands
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Runs the command line. Fails with what sets the exit code, after telling the person what went wrong: 1 the run
 * failed, 2 wrong usage or setting, 3 Ollama not reachable or model missing.
 */
export const main = (args: ReadonlyArray<string>) =>
  Command.runWith(root, { version })(args).pipe(
    Effect.tapCause(report),
    Effect.catchTag("ShowHelp", (help) =>
      help.errors.length === 0 ? Effect.void : Effect.fail(new CommandFailed({ text: "Wrong usage", exitCode: 2 }))
    ),
    Effect.provide(Layer.mergeAll(presenter, CliConfig.layer({ builtIns })))
  )

// The wizard asks for what the help says in fewer lines.
const builtIns = CliConfig.defaults.builtIns.filter((flag) => flag !== GlobalFlag.Wizard)

const report = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  const stderr = yield* Stderr
  if (Cause.hasInterruptsOnly(cause)) {
    return
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error instanceof CommandFailed) {
    stderr.write(`tinyllm: ${error.message}\n`)
  } else if (error === undefined) {
    stderr.write(`tinyllm: this is a bug in tinyllm. Please report it with what follows.\n${Cause.pretty(cause)}\n`)
  }
})

/** Help and version go to standard output; what is wrong with a command goes to standard error, and nothing else does. */
const presenter = Layer.effect(
  CliOutput.Presenter,
  Effect.gen(function* () {
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const { canColor } = yield* TerminalCapabilities
    const formatter = CliOutput.defaultFormatter({ colors: canColor })
    return {
      present: (event: CliOutput.Presenter.Event): Effect.Effect<void> => {
        switch (event._tag) {
          case "Help":
            return stdout.write(`${formatter.formatHelpDoc(event.helpDoc)}\n`)
          case "Version":
            return stdout.write(`${event.name} ${event.version}\n`)
          case "InvalidInvocation":
            return Effect.sync(() =>
              stderr.write(
                `${event.errors.map((error) => `tinyllm: ${oneLine(error)}\n`).join("")}` +
                  `Run "${event.commandPath.join(" ")} --help" for help.\n`
              )
            )
        }
      }
    }
  })
)

const oneLine = (error: EffectCliError.CliError): string => error.message.trim().replace(/\s*\n\s*/g, " ")
