/**
 * Files for a browser to show, on Node: where they go, and how they are opened.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { mkdtemp, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { variable } from "./EnvironmentValues.ts"

/** The page cannot be written among the temporary files. */
export class PageNotWritten extends Schema.TaggedError<PageNotWritten>()("PageNotWritten", { cause: Schema.Defect() }) {
  override get message() {
    const { code, message } = this.cause as NodeJS.ErrnoException
    return `The page cannot be written to ${tmpdir()} (${code ?? message}). Name a file for it with --output.`
  }
}

/**
 * Writes a page into a new folder among the temporary files of the system, where only its user can read it, and which goes
 * when those go. Gives the path. Fails with `PageNotWritten`.
 */
export const write = (html: string, name: string): Effect.Effect<string, PageNotWritten> =>
  Effect.tryPromise({
    try: async () => {
      // A folder of its own, which nobody can have put there before.
      const path = join(await mkdtemp(join(tmpdir(), "tinyllm-")), name)
      await writeFile(path, html, { mode: 0o600, flag: "wx" })
      return path
    },
    catch: (cause) => new PageNotWritten({ cause })
  })

/** Why nothing was opened, in words that follow a colon. */
export type NotOpened = string

/**
 * Shows a file in the user's browser: by the command that `BROWSER` names, else by what the platform has for that. Gives
 * why it could not, `undefined` when it could.
 */
export const show = (path: string): Effect.Effect<NotOpened | undefined> =>
  Effect.gen(function* () {
    const [browser, display, wayland] = yield* Effect.all(
      ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY"].map((name) =>
        // One that cannot be read is as good as none.
        Effect.orElseSucceed(variable(name), () => undefined)
      )
    )
    const command = commandOf(process.platform, path, {
      browser: browser?.value,
      hasDisplay: display !== undefined || wayland !== undefined
    })
    return command === undefined ? "there is no display here" : yield* started(command)
  })

type Command = readonly [command: string, ...args: ReadonlyArray<string>]

/** What opens a file; `undefined` where nobody would see it. */
export const commandOf = (
  platform: NodeJS.Platform,
  path: string,
  environment: { readonly browser: string | undefined; readonly hasDisplay: boolean }
): Command | undefined => {
  // A list of commands, of which the first is the one that is wanted most; `%s` in it stands for the page.
  const [own = ""] = (environment.browser ?? "").split(platform === "win32" ? ";" : ":")
  const [command, ...words] = own.split(" ").filter((word) => word !== "")
  if (command !== undefined) {
    const args = words.map((word) => word.replaceAll("%s", path))
    return [command, ...args, ...(words.some((word) => word.includes("%s")) ? [] : [path])]
  }
  switch (platform) {
    case "darwin":
      return ["open", path]
    case "win32":
      // Not `start`: a shell would read the path.
      return ["rundll32", "url.dll,FileProtocolHandler", path]
    default:
      return environment.hasDisplay ? ["xdg-open", path] : undefined
  }
}

// What cannot open a page says so at once. What can may stay as long as its window.
const patienceMillis = 2000

const started = ([command, ...args]: Command): Effect.Effect<NotOpened | undefined> =>
  Effect.callback<NotOpened | undefined>((resume) => {
    const child = spawn(command, args, { detached: true, stdio: "ignore" })
    const timer = setTimeout(() => done(undefined), patienceMillis)
    const done = (outcome: NotOpened | undefined) => {
      clearTimeout(timer)
      // It outlives this process, which does not wait for it.
      child.unref()
      resume(Effect.succeed(outcome))
    }
    child.once("error", (error: NodeJS.ErrnoException) =>
      done(error.code === "ENOENT" ? `there is no command ${command}` : `${command} cannot be run (${error.code})`)
    )
    child.once("exit", (code, signal) =>
      done(code === 0 ? undefined : `${command} ended with ${code === null ? signal : `exit code ${code}`}`)
    )
  })
