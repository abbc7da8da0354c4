/**
 * Tokens of a run.
 *
 * Model calls add to the counter they find in their context, so nodes pass nothing along.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** What model calls consumed, in tokens as the server counted them. */
export interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
}

/** Counts the tokens of one run and adds them to the run around it. */
export interface Counter {
  readonly add: (usage: Usage) => void
  readonly total: () => Usage
}

/** Makes a counter that passes what it counts on to `parent`, so that a sub-graph's tokens are also its graph's. */
export const makeCounter = (parent?: Counter | undefined): Counter => {
  let inputTokens = 0
  let outputTokens = 0
  return {
    add: (usage) => {
      inputTokens += usage.inputTokens
      outputTokens += usage.outputTokens
      parent?.add(usage)
    },
    total: () => ({ inputTokens, outputTokens })
  }
}

/** The counter of the run in progress; `undefined` outside of runs. */
export const Current: Context.Reference<Counter | undefined> = Context.Reference("tinyllm/Usage/Current", {
  defaultValue: (): Counter | undefined => undefined
})

/** Adds tokens to the run in progress. A count that the server did not give is left out. */
export const add = (usage: {
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
}): Effect.Effect<void> =>
  Effect.map(Current, (counter) =>
    counter?.add({ inputTokens: usage.inputTokens ?? 0, outputTokens: usage.outputTokens ?? 0 })
  )
