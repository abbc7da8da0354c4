/**
 * Standard error, where spans, logs and warnings go: standard output belongs to the answer.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** A place for lines that people read. */
export interface Stderr {
  readonly write: (text: string) => void
  /**
   * Shows a line that what is written next replaces; an empty one takes it away. The line fits the terminal: one that
   * wraps is replaced in part. Does nothing where no person watches, and on a terminal that cannot replace a line.
   */
  readonly status: (line: string) => void
  /** Whether a person watches it. */
  readonly isTerminal: boolean
  /** The width of the terminal, in columns; `undefined` when it is none. */
  readonly columns: () => number | undefined
}

/** The part of a stream of Node that is used. */
export interface Stream {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly write: (text: string) => unknown
  readonly on: (event: "error", listener: () => void) => unknown
}

// To the beginning of the line, and what is right of it away.
const eraseLine = "\r\u001b[K"

const canReplaceLines = (term: string | undefined): boolean => term?.toLowerCase() !== "dumb"

/** Standard error on a stream. `term` is the terminal's name, as in `TERM`. */
export const make = (stream: Stream, term: string | undefined): Stderr => {
  const isTerminal = stream.isTTY === true
  const showsStatus = isTerminal && canReplaceLines(term)
  let guarded = false
  let standing = false
  const put = (text: string): void => {
    // A reader that goes away (`2>&1 | head`) makes Node emit an error, which would end the program with a stack trace.
    // There is nobody left to tell.
    if (!guarded) {
      guarded = true
      stream.on("error", () => {})
    }
    stream.write(standing ? eraseLine + text : text)
    standing = false
  }
  return {
    write: (text) => {
      if (text !== "") {
        put(text)
      }
    },
    status: (line) => {
      if (showsStatus && (standing || line !== "")) {
        put(line)
        standing = line !== ""
      }
    },
    isTerminal,
    columns: () => (isTerminal ? stream.columns : undefined)
  }
}

/** The process's own standard error by default. Tests put a recorder in its place. */
export const Stderr: Context.Reference<Stderr> = Context.Reference("tinyllm/Stderr", {
  defaultValue: (): Stderr => make(process.stderr, process.env["TERM"])
})

/** Whether to use colours: on a terminal that is not `dumb`, unless `NO_COLOR` is set (https://no-color.org). */
export const colours: Effect.Effect<boolean> = Effect.gen(function* () {
  const stderr = yield* Stderr
  const variable = (name: string) => Config.String(name).pipe(Effect.orElseSucceed(() => ""))
  return stderr.isTerminal && canReplaceLines(yield* variable("TERM")) && (yield* variable("NO_COLOR")) === ""
})
