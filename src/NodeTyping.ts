/**
 * Lines that a person types, on Node: `node:readline` edits a line, and has nothing to say between lines.
 *
 * The terminal is raw all the time, so Ctrl-C is a key and reaches no other process (npm would end at it).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Readline from "node:readline"
import { Readable } from "node:stream"
import type { Session, Typed } from "./Typing.ts"

const ctrlC = "\u0003"
const ctrlZ = "\u001a"
const eraseBelow = "\u001b[J"

// What is typed, cut behind what can end a line: Enter, Ctrl-C, Ctrl-D. Bytes as Latin-1: UTF-8 has none of these in the
// middle of a character.
const pieces = (text: string): ReadonlyArray<string> =>
  text.match(/[^\r\n\u0003\u0004]*(?:\r\n|[\r\n\u0003\u0004])|[^\r\n\u0003\u0004]+/g) ?? []

// Terminals that know it put marks around what is pasted. https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
const markPastes = (on: boolean) => `\u001b[?2004${on ? "h" : "l"}`

/** See `Typing.open`. */
export const open: Effect.Effect<Session | undefined, never, Scope.Scope> = Effect.gen(function* () {
  const input = process.stdin
  const output = process.stderr.isTTY ? process.stderr : process.stdout
  if (!input.isTTY || !output.isTTY) {
    return undefined
  }
  const draws = process.env["TERM"]?.toLowerCase() !== "dumb"

  // What is being waited for: a line, or Ctrl-C.
  let feed: ((piece: string) => void) | undefined
  let redraw: ((write: () => void) => void) | undefined
  let onInterrupt: (() => void) | undefined
  let ahead: Array<string> = []
  let ended = false
  let history: Array<string> = []

  const take = (text: string): void => {
    const last = text.lastIndexOf(ctrlC)
    if (feed === undefined && onInterrupt !== undefined && last !== -1) {
      // As a terminal does it: what was typed before is gone.
      ahead = pieces(text.slice(last + 1)).slice()
      onInterrupt()
      return
    }
    if (feed === undefined && text.includes(ctrlZ)) {
      suspend()
      take(text.replaceAll(ctrlZ, ""))
      return
    }
    for (const piece of pieces(text)) {
      // A line that ends makes what follows it wait for the next.
      if (feed === undefined) {
        ahead.push(piece)
      } else {
        feed(piece)
      }
    }
  }
  const onData = (chunk: Buffer | string) =>
    take(typeof chunk === "string" ? Buffer.from(chunk).toString("latin1") : chunk.toString("latin1"))
  const onEnd = () => {
    ended = true
    feed?.("")
  }
  const onSignal = () => take(ctrlC)

  /** Gives the terminal to the shell, as Ctrl-Z does where it is no mere key. */
  const suspend = () => {
    if (process.platform === "win32") {
      return
    }
    if (draws) {
      output.write(markPastes(false))
    }
    input.setRawMode(false)
    // All that the shell started with one command: npm would be waited for.
    process.kill(0, "SIGTSTP")
    // Where nobody could wake it, the system does not stop a program.
    setTimeout(onContinue, 50)
  }
  // What the shell did with the terminal meanwhile is not known.
  const onContinue = () => {
    if (!ended) {
      input.setRawMode(false)
      input.setRawMode(true)
    }
    redraw?.(() => {
      if (draws) {
        output.write(markPastes(true))
      }
    })
  }

  yield* Effect.acquireRelease(
    Effect.sync(() => {
      // For the time of the session SIGINT means what the key means; whoever ends the program at it has it back after.
      const others = process.listeners("SIGINT")
      for (const other of others) {
        process.off("SIGINT", other)
      }
      process.on("SIGINT", onSignal)
      process.on("SIGCONT", onContinue)
      input.setRawMode(true)
      input.on("data", onData).on("end", onEnd).on("error", onEnd).resume()
      return others
    }),
    (others) =>
      Effect.sync(() => {
        input.off("data", onData).off("end", onEnd).off("error", onEnd).pause()
        // A terminal that has gone has no modes.
        if (!ended) {
          input.setRawMode(false)
        }
        process.off("SIGINT", onSignal).off("SIGCONT", onContinue)
        for (const other of others) {
          process.on("SIGINT", other)
        }
      })
  )

  const next = (prompt: string): Effect.Effect<Typed> =>
    Effect.callback<Typed>((resume) => {
      // Readline reads from here, so that nothing but what belongs to this line reaches it.
      const keys = Object.assign(new Readable({ read: () => {} }), {
        setRawMode: (on: boolean) => (ended ? undefined : input.setRawMode(on))
      })
      const lines: Array<string> = []
      let pasting = false
      const editor = Readline.createInterface({
        input: keys,
        output,
        terminal: true,
        prompt,
        history: [...history],
        historySize: 1000,
        removeHistoryDuplicates: true
      })
      const finish = (typed: Typed | undefined): void => {
        if (feed === undefined) {
          return
        }
        feed = undefined
        redraw = undefined
        if (draws) {
          output.write(markPastes(false))
        }
        editor.close()
        if (!ended) {
          input.setRawMode(true)
        }
        if (typed !== undefined) {
          resume(Effect.succeed(typed))
        }
      }
      keys.on("keypress", (_, key: Readline.Key) => {
        pasting = key.name === "paste-start" || (pasting && key.name !== "paste-end")
      })
      editor.on("history", (entries: Array<string>) => {
        history = entries
      })
      editor.on("line", (line: string) => {
        lines.push(line)
        if (!pasting) {
          finish({ _tag: "Line", text: lines.join("\n") })
        }
      })
      // Readline's own way stops this process alone.
      editor.on("SIGTSTP", suspend)
      editor.on("SIGINT", () => {
        output.write(draws ? `${eraseBelow}\n` : "\n")
        finish({ _tag: "Interrupted", empty: editor.line === "" && lines.length === 0 })
      })
      editor.on("close", () => {
        if (feed !== undefined) {
          output.write("\n")
        }
        finish({ _tag: "Ended" })
      })
      feed = (piece) => {
        if (ended) {
          finish({ _tag: "Ended" })
        } else {
          keys.emit("data", Buffer.from(piece, "latin1"))
        }
      }
      redraw = (write) => {
        const { rows } = editor.getCursorPos()
        output.write(draws ? `${rows > 0 ? `\u001b[${rows}A` : ""}\u001b[1G${eraseBelow}` : "\n")
        write()
        if (draws) {
          // Where it believes that the line began, in rows above the cursor: it would erase from there.
          Object.assign(editor, { prevRows: 0 })
          editor.prompt(true)
        } else {
          output.write(prompt + editor.line)
        }
      }
      if (draws) {
        output.write(markPastes(true))
      }
      editor.prompt()
      const waiting = ahead
      ahead = []
      take(waiting.join(""))
      if (ended) {
        feed?.("")
      }
      return Effect.sync(() => finish(undefined))
    })

  const interrupted = Effect.callback<void>((resume) => {
    onInterrupt = () => {
      onInterrupt = undefined
      resume(Effect.void)
    }
    const waiting = ahead.join("")
    if (waiting.includes(ctrlC)) {
      take(waiting)
    }
    return Effect.sync(() => {
      onInterrupt = undefined
    })
  })

  return { next, interrupted, above: (write) => (redraw === undefined ? write() : redraw(write)) }
})
