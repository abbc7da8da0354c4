import { assert, describe, it } from "vitest"
import { cut, line, visible } from "../page/format.ts"

describe("visible", () => {
  it("shows what cannot be seen, and what turns the direction of a text", () => {
    assert.strictEqual(visible("a\u001b[31m\u202eb\u200dc\u200b"), "a⟨U+001B⟩[31m⟨U+202E⟩b⟨U+200D⟩c⟨U+200B⟩")
  })

  it("leaves lines lines, and pictures of several parts whole", () => {
    assert.strictEqual(visible("one\ntwo\t👩‍👩‍👧 👩🏽‍💻 ❤️‍🔥"), "one\ntwo\t👩‍👩‍👧 👩🏽‍💻 ❤️‍🔥")
  })
})

describe("line", () => {
  it("cuts between characters, never within one", () => {
    assert.strictEqual(line("ab👩cd", 3), "ab…")
    assert.strictEqual(line("ab👩cd", 4), "ab👩…")
    assert.strictEqual(cut("👩👩", 2), "👩")
    assert.strictEqual(line("ab👩", 4), "ab👩")
  })
})
