/**
 * Memory for requests on their way in: each takes its part before it is read, and waits in line while there is none.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** A part of the memory. */
export interface Part {
  /** Gives back what is not needed after all. */
  readonly shrink: (bytes: number) => void
  /** Gives back all of it; once is enough. */
  readonly release: () => void
}

/** A memory of some size. */
export interface Memory {
  /**
   * Waits for so many bytes, in the order in which it was asked; more than there are is all there are. `undefined` when
   * there is no room for too long, or too many wait already. To be used where nothing is interrupted, so that a part gets
   * to who releases it: the wait itself can be.
   */
  readonly take: (bytes: number) => Effect.Effect<Part | undefined>
}

/** A memory of so many bytes, for which no more than so many wait, and nobody longer than that. */
export const make = (size: number, line: number, patienceMillis: number): Memory => {
  let free = size
  const waiting = new Set<() => boolean>()
  // Whoever is first in line stays it, or a large request would wait for as long as small ones come.
  const serve = (): void => {
    for (const served of waiting) {
      if (!served()) {
        return
      }
    }
  }
  const part = (bytes: number): Part => {
    let held = bytes
    free -= held
    const shrink = (bytes: number): void => {
      const less = Math.max(held - bytes, 0)
      if (less > 0) {
        held -= less
        free += less
        serve()
      }
    }
    return { shrink, release: () => shrink(0) }
  }
  return {
    take: (bytes) =>
      Effect.suspend(() => {
        const needed = Math.min(bytes, size)
        if (waiting.size === 0 && needed <= free) {
          return Effect.succeed(part(needed))
        }
        if (waiting.size >= line) {
          return Effect.undefined
        }
        let given: Part | undefined
        const wait = Effect.callback<Part | undefined>((resume) => {
          const served = (): boolean => {
            if (needed > free) {
              return false
            }
            clearTimeout(timer)
            waiting.delete(served)
            given = part(needed)
            resume(Effect.succeed(given))
            return true
          }
          const leave = (): void => {
            clearTimeout(timer)
            if (waiting.delete(served)) {
              serve()
            }
          }
          const timer = setTimeout(() => {
            leave()
            resume(Effect.succeed(undefined))
          }, patienceMillis)
          waiting.add(served)
          return Effect.sync(leave)
        })
        return Effect.interruptible(wait).pipe(
          // It may be given in the moment in which the wait is given up.
          Effect.onInterrupt(() => Effect.sync(() => given?.release()))
        )
      })
  }
}
