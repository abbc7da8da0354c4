/**
 * `tinyllm chat`: a conversation with a model, at a terminal or line by line from a pipe.
 *
 * Each turn is a run of a graph of one node, so each is a trace of its own; `gen_ai.conversation.id` holds them together.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Assistant from "./Assistant.ts"
import { CommandFailed, failed, isUnreachable } from "./CliError.ts"
import type { ChatFlags } from "./CliFlags.ts"
import { modelsOf, ollama, optionsOf, tellUnused, whatHadCome } from "./CliRun.ts"
import * as Graph from "./Graph.ts"
import * as Logs from "./Logs.ts"
import * as Node from "./Node.ts"
import { type Completion, type Message, Ollama, type OllamaError } from "./Ollama.ts"
import * as Progress from "./Progress.ts"
import { harmless } from "./SpanPrinter.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import * as Telemetry from "./Telemetry.ts"
import { type Session, Typing } from "./Typing.ts"

/**
 * Holds a conversation until the person leaves it or the input ends. Fails at once when the model cannot be had, and
 * where nobody types, as the last turn failed.
 */
export const chat = (flags: ChatFlags) =>
  Effect.gen(function* () {
    const model = (yield* modelsOf({ ...flags, routerModel: Option.none() })).model ?? Assistant.defaultModel
    yield* tellUnused(flags)
    const answer = yield* Progress.makeAnswer
    const screen: { session?: Session | undefined } = {}
    const stderr: Stderr = {
      ...answer.stderr,
      write: (text) =>
        screen.session === undefined ? answer.stderr.write(text) : screen.session.above(() => answer.stderr.write(text))
    }
    yield* Effect.gen(function* () {
      const conversation = yield* begin(model, Option.getOrUndefined(flags.system), answer)
      const session = yield* (yield* Typing).open
      if (session === undefined) {
        return yield* readLines(conversation)
      }
      screen.session = session
      yield* Effect.addFinalizer(() => Effect.sync(() => (screen.session = undefined)))
      return yield* converse(conversation, session)
    }).pipe(
      Effect.scoped,
      Telemetry.withRemoteParent,
      Effect.provide(
        Layer.mergeAll(
          ollama(flags),
          Telemetry.layerCommandLine(optionsOf(flags)),
          Logs.layer({ format: flags.logFormat })
        ).pipe(Layer.provideMerge(Layer.succeed(Stderr, stderr)))
      )
    )
  }).pipe(
    Effect.mapError((error) =>
      error._tag === "OllamaError" && isUnreachable(error)
        ? new CommandFailed({ text: `${error.message} To see it without Ollama, add --demo.`, exitCode: 3 })
        : failed(error)
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// Turns
// ---------------------------------------------------------------------------------------------------------------------

/** How a turn ended: with an answer, by Ctrl-C, or not well, which was told. */
type Outcome = "answered" | "stopped" | CommandFailed

interface Conversation {
  readonly model: string
  readonly say: (line: string) => void
  /** Asks the model. `stop` ends the answer when it comes first; without it, only whole answers are printed. */
  readonly turn: (text: string, stop: Effect.Effect<void> | undefined) => Effect.Effect<Outcome, never, Ollama>
  /** Forgets what was said: the next turn is the first of another conversation. */
  readonly clear: () => void
}

/** Looks whether the model is there, and has nothing said. */
const begin = Effect.fnUntraced(function* (model: string, system: string | undefined, answer: Progress.Answer) {
  const stdout = yield* Stdout
  const stderr = yield* Stderr
  const service = yield* Ollama
  const spinner = yield* Progress.makeSpinner
  spinner.show(model)
  const { capabilities } = yield* service.show(model)
  spinner.hide()
  // An older server does not tell what a model can do.
  if (capabilities !== undefined && !capabilities.includes("completion")) {
    return yield* new CommandFailed({
      text: `Model "${model}" cannot chat: it is one for ${capabilities.join(", ") || "nothing that is known"}. Choose another with --model.`,
      exitCode: 1
    })
  }

  const say = (line: string) => stderr.write(`tinyllm: ${harmless(line)}\n`)
  const rules: ReadonlyArray<Message> =
    system === undefined || system.trim() === "" ? [] : [{ role: "system", content: system }]
  let id = globalThis.crypto.randomUUID()
  let history: ReadonlyArray<Message> = []

  const turn: Conversation["turn"] = (text, stop) => {
    const streams = stop !== undefined || stdout.isTerminal
    const asked: ReadonlyArray<Message> = [...history, { role: "user", content: text }]
    let partial = ""
    const reply = (_: string): Effect.Effect<Completion, OllamaError, Ollama> =>
      Effect.flatMap(Ollama, (client) =>
        Stream.runFoldEffect(
          client.stream({ model, messages: [...rules, ...asked] }),
          (): Completion | undefined => undefined,
          (completion, part) => {
            switch (part._tag) {
              case "Done":
                return Effect.succeed(part.completion)
              case "Text":
                partial += part.text
                return Effect.as(
                  streams ? Effect.andThen(Effect.sync(spinner.hide), answer.print(part.text)) : Effect.void,
                  completion
                )
              default:
                return Effect.succeed(completion)
            }
          }
        )
      ) as Effect.Effect<Completion, OllamaError, Ollama> // A stream of the client ends with `Done` or fails.
    const graph = Graph.make("chat", {
      nodes: { answer: Node.make("model", reply) },
      start: "answer",
      edges: { answer: "end" }
    })
    return Effect.gen(function* () {
      answer.begin()
      spinner.show(model)
      const run = Effect.map(Graph.run(graph, text), ({ output }) => Option.some(output))
      const ended = yield* Effect.result(
        stop === undefined ? run : Effect.raceFirst(run, Effect.as(stop, Option.none<Completion>()))
      )
      spinner.hide()
      yield* answer.endLine
      if (Result.isFailure(ended)) {
        const failure = turnFailed(ended.failure, answer)
        say(failure.message)
        return failure
      }
      if (Option.isNone(ended.success)) {
        // What is on the screen was said.
        history = partial.trim() === "" ? history : [...asked, { role: "assistant", content: partial }]
        return "stopped" as const
      }
      const { doneReason, outputTokens, text: whole } = ended.success.value
      if (!streams) {
        yield* stdout.write(`${whole.trim()}\n`)
      }
      if (doneReason === "length") {
        say(`the answer was cut off${outputTokens === undefined ? "" : ` after ${outputTokens} tokens`}.`)
      } else if (whole.trim() === "") {
        say("the model gave an empty answer.")
      }
      history = [...asked, { role: "assistant", content: whole }]
      return "answered" as const
    }).pipe(Effect.annotateSpans("gen_ai.conversation.id", id))
  }

  return {
    model,
    say,
    turn,
    clear: () => {
      history = []
      id = globalThis.crypto.randomUUID()
    }
  } satisfies Conversation
})

const turnFailed = (error: OllamaError | Graph.StepLimitExceeded, answer: Progress.Answer): CommandFailed => {
  const reason = error._tag === "OllamaError" ? error.reason : undefined
  const { exitCode, message } = failed(error)
  const text =
    reason?._tag === "StreamInterrupted"
      ? reason.tell(whatHadCome(reason, answer))
      : reason?._tag === "ContextExceeded"
        ? `${message} /clear begins anew.`
        : message
  return new CommandFailed({ text, exitCode })
}

// ---------------------------------------------------------------------------------------------------------------------
// Who speaks
// ---------------------------------------------------------------------------------------------------------------------

const help = [
  "/clear   forgets what was said",
  "/exit    leaves, as Ctrl-D does",
  "/help    shows this",
  "Ctrl-C stops an answer. Pressed twice, it leaves."
]

/** What lines do that are no turns. */
const commands = (conversation: Conversation, stderr: Stderr): ReadonlyMap<string, () => void> =>
  new Map([
    [
      "/clear",
      () => {
        conversation.clear()
        conversation.say("what was said is forgotten.")
      }
    ],
    ["/help", () => stderr.write(help.map((line) => `${line}\n`).join(""))]
  ])

/** A person at a terminal. Ctrl-C stops an answer; on an empty line, and the second time in a row, it leaves. */
const converse = Effect.fnUntraced(function* (conversation: Conversation, session: Session) {
  const { url } = yield* Ollama
  const known = commands(conversation, yield* Stderr)
  conversation.say(`${conversation.model} at ${url}. /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves.`)
  let again = false
  while (true) {
    const typed = yield* session.next("> ")
    if (typed._tag === "Ended") {
      return
    }
    if (typed._tag === "Interrupted") {
      if (again && typed.empty) {
        return yield* Effect.interrupt
      }
      again = typed.empty
      if (again) {
        conversation.say("Ctrl-C again leaves.")
      }
      continue
    }
    again = false
    const text = typed.text.trim()
    if (text === "/exit") {
      return
    }
    if (text === "" || known.has(text)) {
      known.get(text)?.()
    } else if (/^\/\w*$/.test(text)) {
      conversation.say(`there is no command ${text}. /help lists those that there are.`)
    } else if ((yield* conversation.turn(text, session.interrupted)) === "stopped") {
      again = true
      conversation.say("stopped. Ctrl-C again leaves.")
    }
  }
})

/** Lines that nobody types: each is a turn, and nothing but answers goes to standard output. */
const readLines = Effect.fnUntraced(function* (conversation: Conversation) {
  const stdio = yield* Stdio.Stdio
  const known = commands(conversation, yield* Stderr)
  let last: Outcome = "answered"
  yield* stdio.stdin.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.map((line) => line.trim()),
    Stream.filter((text) => text !== ""),
    Stream.runForEachWhile((text) => {
      if (text === "/exit") {
        return Effect.succeed(false)
      }
      const command = known.get(text)
      if (command !== undefined) {
        command()
        return Effect.succeed(true)
      }
      return Effect.map(conversation.turn(text, undefined), (outcome) => {
        last = outcome
        return true
      })
    })
  )
  // It was told when it happened.
  const code = last as Outcome
  return code instanceof CommandFailed ? yield* new CommandFailed({ text: "", exitCode: code.exitCode }) : undefined
})
