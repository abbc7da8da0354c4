/**
 * The commands and their flags.
 *
 * What a command does is in a module of its own that loads when the command runs, so that `--version` and `--help` do
 * not wait for it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { collectFlags } from "./CliCollectFlags.ts"
import { CommandFailed } from "./CliError.ts"
import { chatFlags, doctorFlags, modelsFlags, pullFlags, runFlags, showFlags, uiFlags } from "./CliFlags.ts"
import { trace } from "./CliTraceCommands.ts"
import * as CliTraceFlags from "./CliTraceFlags.ts"
import * as CliUsage from "./CliUsage.ts"
import * as Logs from "./Logs.ts"
import { redact } from "./Redaction.ts"
import { harmless } from "./SpanPrinter.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import { version } from "./Version.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Commands
// ---------------------------------------------------------------------------------------------------------------------

const run = Command.make("run", runFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliRun.ts")),
    (module) => module.run(flags)
  )
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

const chat = Command.make("chat", chatFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliChat.ts")),
    (module) => module.chat(flags)
  )
).pipe(
  Command.withDescription("Talk with a model: at a terminal, or line by line from a pipe"),
  Command.withExamples([
    { command: "tinyllm chat --demo --tracing", description: "Try it without Ollama, with a trace of every turn" },
    {
      command: `tinyllm chat --model llama3.2:1b --system "Answer in one sentence."`,
      description: "Talk with a model of your own choice"
    },
    { command: `echo "Why is the sky blue?" | tinyllm chat`, description: "Each line of a pipe is a turn" }
  ])
)

const models = Command.make("models", modelsFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliModels.ts")),
    (module) => module.models(flags)
  )
).pipe(
  Command.withDescription("List the models that are installed, what they can do, and which are loaded"),
  Command.withExamples([
    { command: "tinyllm models", description: "List the models" },
    { command: "tinyllm models pull qwen2.5:0.5b", description: "Install a model" },
    { command: "tinyllm models show qwen2.5:0.5b --json", description: "See what Ollama says about it" }
  ]),
  Command.withSubcommands([
    Command.make("show", showFlags, (flags) =>
      Effect.flatMap(
        Effect.promise(() => import("./CliShow.ts")),
        (module) => module.show(flags)
      )
    ).pipe(
      Command.withDescription("Show what Ollama says about a model"),
      Command.withExamples([
        { command: "tinyllm models show qwen2.5:0.5b", description: "What it can do, and its settings" },
        { command: "tinyllm models show qwen2.5:0.5b --json", description: "All of it, template and licence included" }
      ])
    ),
    Command.make("pull", pullFlags, (flags) =>
      Effect.flatMap(
        Effect.promise(() => import("./CliPull.ts")),
        (module) => module.pull(flags)
      )
    ).pipe(
      Command.withDescription("Install a model, or bring it up to date; after Ctrl-C the same command goes on"),
      Command.withExamples([{ command: "tinyllm models pull qwen2.5:0.5b", description: "Install a small model" }])
    )
  ])
)

const doctor = Command.make("doctor", doctorFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./Doctor.ts")),
    (module) => module.doctor(flags)
  )
).pipe(Command.withDescription("Say whether Ollama answers, which models it has, and where traces would go"))

const ui = Command.make("ui", uiFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliUi.ts")),
    (module) => module.ui(flags)
  )
).pipe(
  Command.withDescription("Show the traces of this machine as a page, live, until Ctrl-C"),
  Command.withExamples([
    { command: "tinyllm ui", description: "Open the page in a browser" },
    { command: "tinyllm ui --port 8000 --no-open", description: "Print its address, on a port of your own choice" }
  ])
)

const collect = Command.make("collect", collectFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliCollect.ts")),
    (module) => module.collect(flags)
  )
).pipe(
  Command.withDescription("Receive traces of any OpenTelemetry program (OTLP) and keep them, until Ctrl-C"),
  Command.withExamples([
    { command: "tinyllm collect", description: "On localhost: gRPC on port 4317, HTTP on port 4318" },
    {
      command: "tinyllm collect --grpc-port 14317 --http-port 14318",
      description: "On other ports, where Jaeger has the usual ones"
    }
  ])
)

const root = Command.make("tinyllm").pipe(
  Command.withDescription("Runs graphs of small language models on Ollama, every run an OpenTelemetry trace."),
  Command.withExamples([
    { command: `tinyllm run "What is 2 + 2?" --demo --tracing`, description: "Try it without Ollama, with a trace" },
    { command: `tinyllm run "Why is the sky blue?"`, description: "Ask the models on this machine" },
    { command: "tinyllm doctor", description: "See whether Ollama answers and where traces would go" }
  ]),
  Command.withSubcommands([run, chat, models, doctor, trace, ui, collect])
)

// ---------------------------------------------------------------------------------------------------------------------
// Running commands
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Runs the command line. Fails with what sets the exit code, after telling the person what went wrong: 1 the run
 * failed, 2 wrong usage or setting, 3 Ollama not reachable or model missing.
 */
export const main = (args: ReadonlyArray<string>) =>
  Effect.andThen(undashed(args), Command.runWith(root, { version })(args)).pipe(
    Effect.catchDefect((defect) => (defect instanceof CommandFailed ? Effect.fail(defect) : Effect.die(defect))),
    Effect.tapCause(report),
    Effect.catchTag("ShowHelp", (help) =>
      help.errors.length === 0 ? Effect.void : Effect.fail(new CommandFailed({ text: "Wrong usage", exitCode: 2 }))
    ),
    Effect.provide(Layer.mergeAll(presenter, Logs.layer({ format: "pretty" }), CliConfig.layer({ builtIns })))
  )

// The wizard asks for what the help says in fewer lines.
const builtIns = CliConfig.defaults.builtIns.filter((flag) => flag !== GlobalFlag.Wizard)

const commands = [runFlags, chatFlags, modelsFlags, showFlags, pullFlags, doctorFlags, uiFlags, collectFlags]

// One message is better than five about the letters of a query.
const undashed = (args: ReadonlyArray<string>): Effect.Effect<void, CommandFailed> => {
  const text = CliUsage.dashed(args, [
    ...commands,
    ...CliTraceFlags.all,
    Object.fromEntries(builtIns.map(({ flag }, index) => [index, flag]))
  ])
  return text === undefined ? Effect.void : Effect.fail(new CommandFailed({ text, exitCode: 2 }))
}

const report = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  const stderr = yield* Stderr
  if (Cause.hasInterruptsOnly(cause)) {
    return
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error instanceof CommandFailed) {
    // One without a text was told already.
    stderr.write(error.message === "" ? "" : `tinyllm: ${harmless(error.message)}\n`)
  } else if (error === undefined) {
    const defect = redact(Cause.pretty(cause))
    stderr.write(`tinyllm: this is a bug in tinyllm. Please report it with what follows.\n${defect}\n`)
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
                `${event.errors.map((error) => `tinyllm: ${CliUsage.oneLine(error, event.commandPath)}\n`).join("")}` +
                  `Run "${event.commandPath.join(" ")} --help" for help.\n`
              )
            )
        }
      }
    }
  })
)
