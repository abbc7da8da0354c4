/**
 * Standard output, where the answer goes and nothing else.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

export class Stdout extends Context.Service<
  Stdout,
  {
    /** Whether a person watches it. */
    readonly isTerminal: boolean
    /** The width of the terminal, in columns; `undefined` when it is none, or does not say. */
    readonly columns: () => number | undefined
    /** Whether its reader has gone, as far as something was written since. */
    readonly isClosed: () => boolean
    /**
     * Writes text and waits until it is written. A reader that has gone (`tinyllm … | head`) is no failure; any other
     * error (a full disk) is a defect that the command line reports like a failure.
     */
    readonly write: (text: string) => Effect.Effect<void>
  }
>()("tinyllm/Stdout") {}
