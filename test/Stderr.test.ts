import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import * as Stderr from "../src/Stderr.ts"

const recorder = (isTTY: boolean) => {
  const errors: Array<() => void> = []
  const written: Array<string> = []
  return {
    written,
    errors,
    isTTY,
    columns: 80,
    write: (text: string) => void written.push(text),
    on: (_: "error", listener: () => void) => void errors.push(listener)
  }
}

const erase = "\r\u001b[K"

describe("Stderr.make", () => {
  it("shows a status that the next one, or what is written, replaces", () => {
    const stream = recorder(true)
    const stderr = Stderr.make(stream, "xterm")
    stderr.status("⠋ classify")
    stderr.status("⠙ classify")
    stderr.write("tinyllm: a warning\n")
    stderr.write("more\n")
    stderr.status("⠹ classify")
    stderr.status("")
    stderr.status("")
    stderr.write("done\n")
    assert.deepStrictEqual(stream.written, [
      "⠋ classify",
      `${erase}⠙ classify`,
      `${erase}tinyllm: a warning\n`,
      "more\n",
      "⠹ classify",
      erase,
      "done\n"
    ])
  })

  it("shows none on a dumb terminal, where no person watches, and nothing for nothing written", () => {
    for (const [isTTY, term] of [
      [true, "dumb"],
      [false, "xterm"]
    ] as const) {
      const stream = recorder(isTTY)
      const stderr = Stderr.make(stream, term)
      stderr.status("⠋ classify")
      stderr.write("line\n")
      stderr.status("")
      assert.deepStrictEqual(stream.written, ["line\n"])
    }
    const stream = recorder(true)
    const stderr = Stderr.make(stream, "xterm")
    stderr.status("standing")
    stderr.write("")
    assert.deepStrictEqual(stream.written, ["standing"])
  })

  it("listens for the error of a reader that goes away, once", () => {
    const stream = recorder(false)
    const stderr = Stderr.make(stream, undefined)
    stderr.write("a")
    stderr.write("b")
    assert.lengthOf(stream.errors, 1)
  })
})

describe("Stderr.colours", () => {
  it.effect.each<[boolean, Record<string, string>, boolean]>([
    [true, {}, true],
    [true, { TERM: "xterm-256color" }, true],
    [true, { NO_COLOR: "" }, true],
    [true, { NO_COLOR: "1" }, false],
    [true, { NO_COLOR: "0" }, false],
    [true, { TERM: "dumb" }, false],
    [false, { TERM: "xterm" }, false]
  ])("terminal %j with %j: %j", ([isTTY, env, expected]) =>
    Effect.map(Stderr.colours, (colours) => assert.strictEqual(colours, expected)).pipe(
      Effect.provideService(Stderr.Stderr, Stderr.make(recorder(isTTY), "xterm")),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )
  )
})
