/**
 * What the commands of `tinyllm trace` share: the store, traces by what people type, and the terminal that they write to.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { CommandFailed, failed as anyFailed } from "./CliError.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import type { Terminal } from "./TerminalText.ts"
import { TraceStore, TraceStoreError } from "./TraceStore.ts"
import * as TraceTree from "./TraceTree.ts"

/** Gives a command the store of this machine, and fails with one line for a person. */
export const provide = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  command.pipe(Effect.provide(TraceStore.layerConfig), Effect.mapError(failed))

/** Several traces of one beginning are wrong usage; what is not there, or does not work, is a failure. */
const failed = (error: unknown): CommandFailed =>
  error instanceof TraceStoreError
    ? new CommandFailed({ text: error.message, exitCode: error.reason._tag === "TraceAmbiguous" ? 2 : 1 })
    : anyFailed(error)

/** A trace by its id, the beginning of it, or `last`. */
export const read = Effect.fnUntraced(function* (id: string) {
  const store = yield* TraceStore
  return TraceTree.make(yield* store.read(yield* store.resolve(id.trim())))
})

/** How a trace ended, as lists of traces say it too: spans alone do not tell whether a parent is in another process. */
export const statusOf = Effect.fnUntraced(function* ({ traceId }: TraceTree.TraceTree) {
  const store = yield* TraceStore
  return (yield* store.summary(traceId)).status
})

/** Standard output as what lines are made for. Colours as everywhere: on a terminal, unless `NO_COLOR` is set. */
export const terminal: Effect.Effect<Terminal, never, Stdout> = Effect.gen(function* () {
  const stdout = yield* Stdout
  const variable = (name: string) => Config.String(name).pipe(Effect.orElseSucceed(() => ""))
  const colour = stdout.isTerminal && (yield* variable("TERM")) !== "dumb" && (yield* variable("NO_COLOR")) === ""
  return { width: stdout.columns(), colour }
})

/** Prints lines, and says on standard error which columns had no room. */
export const print = Effect.fnUntraced(function* (drawn: {
  readonly lines: ReadonlyArray<string>
  readonly leftOut: ReadonlyArray<string>
}) {
  const stdout = yield* Stdout
  const stderr = yield* Stderr
  yield* stdout.write(drawn.lines.map((line) => `${line}\n`).join(""))
  if (drawn.leftOut.length > 0) {
    stderr.write(`tinyllm: no room for ${drawn.leftOut.join(", ")}. A wider terminal or --json shows all.\n`)
  }
})
