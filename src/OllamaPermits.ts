/**
 * Who may ask a model now: so many calls at a time for each server and model, the others in the order in which they came.
 *
 * Ollama works on one request of a model at a time unless it is told otherwise, and holds the others back without a
 * word. Waiting here instead is seen and measured, and counts in no time limit.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

interface Line {
  /** Permits that are given out. */
  held: number
  /** In the order in which they came. */
  readonly waiting: Set<() => void>
}

/** The lines of a process: one for each server, model and number of permits, as long as somebody is in it. */
export type Lines = Map<string, Line>

/** One for the process: layers of the same server share its models, however often they are built. */
export const Current: Context.Reference<Lines> = Context.Reference("tinyllm/OllamaPermits", {
  defaultValue: (): Lines => new Map()
})

/**
 * Waits for a permit and holds it until the scope closes. `onWaited` hears how many nanoseconds that took, also when it
 * was given up; it hears nothing when a permit was free.
 */
export const take = (options: {
  /** `Infinity` for no limit. */
  readonly permits: number
  readonly url: string
  /** Its canonical name. */
  readonly model: string
  readonly scope: Scope.Scope
  readonly onWaited: (nanos: bigint) => void
}): Effect.Effect<void> =>
  options.permits === Infinity
    ? Effect.void
    : Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Current, (lines) => {
          const key = JSON.stringify([options.url, options.model, options.permits])
          const line = lines.get(key) ?? { held: 0, waiting: new Set() }
          lines.set(key, line)
          const release = Effect.sync(() => {
            const [next] = line.waiting
            if (next !== undefined) {
              next()
            } else if (--line.held === 0) {
              lines.delete(key)
            }
          })
          if (line.held < options.permits) {
            line.held++
            return Scope.addFinalizer(options.scope, release)
          }
          return Effect.flatMap(Clock.Clock, (clock) => {
            const since = clock.currentTimeNanosUnsafe()
            let given = false
            return restore(
              Effect.callback<void>((resume) => {
                // The permit passes from hand to hand, so that nobody who comes later takes it in between.
                const turn = () => {
                  line.waiting.delete(turn)
                  given = true
                  resume(Effect.void)
                }
                line.waiting.add(turn)
                return Effect.sync(() => void line.waiting.delete(turn))
              })
            ).pipe(
              Effect.onExit(() => Effect.sync(() => options.onWaited(clock.currentTimeNanosUnsafe() - since))),
              // It may be given in the moment in which the wait is given up.
              Effect.onInterrupt(() => (given ? release : Effect.void)),
              Effect.andThen(Scope.addFinalizer(options.scope, release))
            )
          })
        })
      )
