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
import type * as Visit from "./Visit.ts"

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
 * Listeners for a run: `steps` shows which step it is at, `stream` prints the answer as well, as it comes. White space in
 * front of an answer waits for text, and the line is ended with the step, before anything else is written.
 */
export const printer = (graph: Graph.Any, spinner: Effect.Success<typeof makeSpinner>) =>
  Effect.map(Stdout, (stdout) => {
    const answers = answering(graph)
    let printed = false
    let atLineStart = true
    const steps = (event: Visit.Event): Effect.Effect<void> =>
      Effect.sync(() => {
        if (event._tag === "NodeStarted" && !printed) {
          spinner.show(event.node)
        }
      })
    const stream = (event: Visit.Event): Effect.Effect<void> => {
      if (event._tag === "NodeStarted" || !answers.has(event.node)) {
        return steps(event)
      }
      if (event._tag !== "Text") {
        const ended = atLineStart
        atLineStart = true
        return ended ? Effect.void : stdout.write("\n")
      }
      const text = visible(printed ? event.text : event.text.trimStart())
      if (text === "") {
        return Effect.void
      }
      printed = true
      atLineStart = text.endsWith("\n")
      spinner.hide()
      return stdout.write(text)
    }
    return { steps, stream, printed: () => printed }
  })

/** Text for a terminal: control characters other than tab and line feed, which could drive the terminal, are left out. */
export const visible = (text: string): string => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
const clear = "\r\u001b[K"

/** A line on standard error that says which step the run is at and for how long; nothing where that is no terminal. */
export const makeSpinner = Effect.gen(function* () {
  const stderr = yield* Stderr
  if (!stderr.isTerminal) {
    return { show: (_: string) => {}, hide: () => {} }
  }
  const clock = yield* Clock.Clock
  let label: string | undefined
  let since = 0
  let frame = 0
  const draw = () => {
    if (label !== undefined) {
      const seconds = Math.floor((clock.currentTimeMillisUnsafe() - since) / 1000)
      const text = `${frames[frame++ % frames.length]} ${label}${seconds < 1 ? "" : ` ${seconds} s`}`
      stderr.write(clear + text.slice(0, Math.max(1, (stderr.columns() ?? 80) - 1)))
    }
  }
  const hide = () => {
    if (label !== undefined) {
      label = undefined
      stderr.write(clear)
    }
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
