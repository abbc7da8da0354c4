/**
 * The person's browser.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

export class Browser extends Context.Service<
  Browser,
  {
    /**
     * Opens an address, or a file by its path, and says whether there was a browser to ask. What becomes of it is not
     * waited for.
     */
    readonly open: (address: string) => Effect.Effect<boolean>
  }
>()("tinyllm/Browser") {}
