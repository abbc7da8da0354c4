// How long something takes at best: whatever else the machine does may add to it, and only that may.
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"

/** Measures up to three times, in milliseconds, until it was quicker than so many; fails when it never was. */
export const within = <E, R>(limitMillis: number, measure: Effect.Effect<number, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    const taken: Array<number> = []
    do {
      taken.push(yield* measure)
    } while (taken.at(-1)! >= limitMillis && taken.length < 3)
    assert.isBelow(Math.min(...taken), limitMillis, `took ${taken.map(Math.round).join(", ")} ms`)
  })

/** The same, of a promise. */
export const resolvesWithin = (limitMillis: number, measure: () => Promise<number>): Promise<void> =>
  Effect.runPromise(within(limitMillis, Effect.promise(measure)))
