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

/** What one call consumed; a count that the server did not give is `undefined`. */
export interface Counts {
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/** Counts the tokens of one run and adds them to the run around it. */
export interface Counter {
  readonly add: (counts: Counts) => void
  /** The sums of what is known. */
  readonly total: () => Usage
  /** Input and output of the calls of which both are known, as `llm.total_tokens` has them. */
  readonly bothKnown: () => number
}

/** Makes a counter that passes what it counts on to `parent`, so that a sub-graph's tokens are also its graph's. */
export const makeCounter = (parent?: Counter | undefined): Counter => {
  let input = 0
  let output = 0
  let both = 0
  return {
    add: (counts) => {
      const { inputTokens, outputTokens } = counts
      input += inputTokens ?? 0
      output += outputTokens ?? 0
      both += inputTokens === undefined || outputTokens === undefined ? 0 : inputTokens + outputTokens
      parent?.add(counts)
    },
    total: () => ({ inputTokens: input, outputTokens: output }),
    bothKnown: () => both
  }
}

/** The counter of the run in progress; `undefined` outside of runs. */
export const Current: Context.Reference<Counter | undefined> = Context.Reference("tinyllm/Usage/Current", {
  defaultValue: (): Counter | undefined => undefined
})

/** Adds tokens to the run in progress. */
export const add = (counts: Counts): Effect.Effect<void> => Effect.map(Current, (counter) => counter?.add(counts))
