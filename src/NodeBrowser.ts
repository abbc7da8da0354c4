/**
 * Opening a browser, on Node, with what the system has for it.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"

/** Opens an address, or a file by its path, and says whether there was a browser to ask. */
export const open = Effect.fnUntraced(function* (address: string) {
  const variable = (name: string) => Config.String(name).pipe(Effect.orElseSucceed(() => ""))
  const opener = openers[process.platform] ?? "xdg-open"
  // Without a screen, xdg-open would take the terminal for a browser of texts.
  const hasScreen =
    opener !== "xdg-open" || (yield* variable("DISPLAY")) !== "" || (yield* variable("WAYLAND_DISPLAY")) !== ""
  return hasScreen ? yield* started(opener, address) : false
})

// None of them is a shell, in which an address could mean something else.
const openers: Readonly<Partial<Record<NodeJS.Platform, string>>> = { darwin: "open", win32: "explorer.exe" }

const started = (opener: string, address: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    // It lives on when this process ends, and what it says is for nobody.
    const child = spawn(opener, [address], { detached: true, stdio: "ignore" })
    child.once("error", () => resume(Effect.succeed(false)))
    child.once("spawn", () => {
      child.unref()
      resume(Effect.succeed(true))
    })
  })
