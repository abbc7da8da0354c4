/**
 * What a person types at a terminal, line by line.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** A line, or what was pressed in its place. */
export type Typed =
  /** Several lines when they were pasted at once. */
  | { readonly _tag: "Line"; readonly text: string }
  /** Ctrl-C, or SIGINT. `empty` when there was nothing on the line. */
  | { readonly _tag: "Interrupted"; readonly empty: boolean }
  /** Ctrl-D on an empty line, or a terminal that has gone. */
  | { readonly _tag: "Ended" }

/** A terminal in use. What is typed while no line is asked for waits for the next one. */
export interface Session {
  /** Shows a prompt on standard error (on standard output when that is no terminal) and waits for a line. */
  readonly next: (prompt: string) => Effect.Effect<Typed>
  /** Waits for Ctrl-C or SIGINT while no line is asked for. */
  readonly interrupted: Effect.Effect<void>
  /** Runs what writes to the terminal; where a line is being typed, above that line. */
  readonly above: (write: () => void) => void
}

export class Typing extends Context.Service<
  Typing,
  {
    /**
     * Takes the terminal over until the scope ends; `undefined` when standard input is none, or when there is none to
     * show what is typed.
     */
    readonly open: Effect.Effect<Session | undefined, never, Scope.Scope>
  }
>()("tinyllm/Typing") {}
