/**
 * Standard error, where spans, logs and warnings go: standard output belongs to the answer.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** A place for lines that people read. */
export interface Stderr {
  readonly write: (text: string) => void
  /** Whether a person watches it. */
  readonly isTerminal: boolean
  /** The width of the terminal, in columns; `undefined` when it is none. */
  readonly columns: () => number | undefined
}

// A reader that goes away (`2>&1 | head`) makes Node emit an error, which would end the program with a stack trace.
// There is nobody left to tell.
let guarded = false

const write = (text: string): void => {
  if (!guarded) {
    guarded = true
    process.stderr.on("error", () => {})
  }
  process.stderr.write(text)
}

/** The process's own standard error by default. Tests put a recorder in its place. */
export const Stderr: Context.Reference<Stderr> = Context.Reference("tinyllm/Stderr", {
  defaultValue: (): Stderr => ({
    write,
    isTerminal: process.stderr.isTTY === true,
    columns: () => (process.stderr.isTTY === true ? process.stderr.columns : undefined)
  })
})

/** Whether to use colours: on a terminal, unless `NO_COLOR` is set (https://no-color.org). */
export const colours: Effect.Effect<boolean> = Effect.gen(function* () {
  const stderr = yield* Stderr
  const noColor = yield* Config.option(Config.String("NO_COLOR")).pipe(Effect.orElseSucceed(Option.none))
  return stderr.isTerminal && Option.isNone(noColor)
})
