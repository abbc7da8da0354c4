/**
 * What a person at a terminal sees while a run is under way: which step it is at, and the answer as it comes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Graph from "./Graph.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"

/**
 * The steps whose text is the answer: those that lead to the end, or to a gate, which only ever sends an answer back
 * when it is empty.
 */
export const answering = (graph: Graph.Any): ReadonlySet<string> =>
  new Set(
    Object.keys(graph.nodes).filter((name) => {
      const target = graph.edges[name]
      return typeof target === "string" && (target === "end" || graph.nodes[target]?.type === "gate")
    })
  )

/**
 * An answer that is printed while other lines go to the same terminal. `stderr` is standard error for the time of the
 * run: what is written to it first ends the line that the answer is at.
 */
export const makeAnswer = Effect.gen(function* () {
  const stdout = yield* Stdout
  const stderr = yield* Stderr
  let printed = false
  let lineOpen = false
  return {
    /** Begins another answer. */
    begin: () => {
      printed = false
    },
    /** Whether there is some of the answer. */
    printed: () => printed,
    /** Prints a part of the answer. White space in front of it waits for text. */
    print: (part: string): Effect.Effect<void> => {
      const text = visible(printed ? part : part.trimStart())
      if (text === "") {
        return Effect.void
      }
      printed = true
      lineOpen = !text.endsWith("\n")
      return stdout.write(text)
    },
    /** Ends the line that the answer is at. */
    endLine: Effect.suspend(() => {
      const open = lineOpen
      lineOpen = false
      return open ? stdout.write("\n") : Effect.void
    }),
    stderr: {
      ...stderr,
      write: (text: string) => {
        // The same terminal shows both, so either of them can end the line.
        const open = lineOpen && stderr.isTerminal
        lineOpen = lineOpen && !open
        stderr.write(open ? `\n${text}` : text)
      }
    }
  }
})

export type Answer = Effect.Success<typeof makeAnswer>

/** Listens to a run: shows which step it is at, and prints the answer as it comes where `streams`. */
export const listener = (graph: Graph.Any, answer: Answer, spinner: Spinner, streams: boolean) => {
  const answers = streams ? answering(graph) : new Set()
  return (event: Graph.NodeEvent): Effect.Effect<void> => {
    if (event._tag === "NodeStarted") {
      return Effect.sync(() => {
        if (!answer.printed()) {
          spinner.show(event.node)
        }
      })
    }
    if (!answers.has(event.node)) {
      return Effect.void
    }
    if (event._tag === "Text") {
      return Effect.andThen(Effect.sync(spinner.hide), answer.print(event.text))
    }
    return answer.endLine
  }
}

/** Text for a terminal: control characters other than tab and line feed, which could drive the terminal, are left out. */
export const visible = (text: string): string => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]

/** A line on standard error that says which step the run is at and for how long; nothing where that is no terminal. */
export const makeSpinner = Effect.gen(function* () {
  const stderr = yield* Stderr
  const clock = yield* Clock.Clock
  let label: string | undefined
  let since = 0
  let frame = 0
  const draw = () => {
    if (label !== undefined) {
      const seconds = Math.floor((clock.currentTimeMillisUnsafe() - since) / 1000)
      const text = `${frames[frame++ % frames.length]} ${label}${seconds < 1 ? "" : ` ${seconds} s`}`
      // A terminal that does not know its width says 0.
      stderr.status(text.slice(0, Math.max(1, (stderr.columns() || 80) - 1)))
    }
  }
  const hide = () => {
    label = undefined
    stderr.status("")
  }
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep("100 millis"), Effect.sync(draw))))
  yield* Effect.addFinalizer(() => Effect.sync(hide))
  return {
    show: (text: string) => {
      label = text
      since = clock.currentTimeMillisUnsafe()
      draw()
    },
    hide
  }
})

export type Spinner = Effect.Success<typeof makeSpinner>
