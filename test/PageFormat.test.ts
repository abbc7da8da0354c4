import { assert, describe, it } from "vitest"
import { cut, line, visible } from "../page/format.ts"
import { ticks } from "../page/ticks.ts"

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

describe("ticks", () => {
  const second = 1e9
  const texts = (from: number, to: number, about: number) =>
    ticks({ from: from * second, to: to * second }, about).map(({ text }) => text)

  it("stand at round moments: decimals below ten seconds, what a clock has above, then days", () => {
    assert.deepStrictEqual(texts(0, 2.41, 6), ["0", "500 ms", "1 s", "1.5 s", "2 s"])
    assert.deepStrictEqual(texts(0, 200, 6), ["0", "1 min", "2 min", "3 min"])
    assert.deepStrictEqual(texts(0, 110, 6), ["0", "20 s", "40 s", "1 min", "1 min 20 s", "1 min 40 s"])
    assert.deepStrictEqual(texts(0, 5000, 6), ["0", "15 min", "30 min", "45 min", "1 h", "1 h 15 min"])
    assert.deepStrictEqual(texts(0, 100_000, 6), ["0", "6 h", "12 h", "18 h", "1 d"])
    assert.deepStrictEqual(texts(0, 200_000, 5), ["0", "12 h", "1 d", "1 d 12 h", "2 d"])
    assert.deepStrictEqual(texts(0, 3_000_000, 6), ["0", "10 d", "20 d", "30 d"])
  })

  it("are as exact as it takes to tell them apart, wherever they are", () => {
    assert.deepStrictEqual(texts(12.3456, 12.3459, 4), ["12.3456 s", "12.3457 s", "12.3458 s", "12.3459 s"])
    assert.deepStrictEqual(texts(7505, 7525, 2), ["2 h 5 min 10 s", "2 h 5 min 20 s"])
    assert.deepStrictEqual(texts(65, 65.4, 3), ["1 min 5 s", "1 min 5.2 s", "1 min 5.4 s"])
    assert.deepStrictEqual(
      ticks({ from: 0, to: 3 }, 20).map(({ text }) => text),
      ["0", "1 ns", "2 ns", "3 ns"]
    )
  })

  it("are about as many as asked for, and never the same twice, from nanoseconds to years", () => {
    for (let length = 10; length < 1e17; length *= 1.7) {
      const all = ticks({ from: 0, to: length }, 8)
      assert.isAtLeast(all.length, 3, String(length))
      assert.isAtMost(all.length, 9, String(length))
      assert.strictEqual(new Set(all.map(({ text }) => text)).size, all.length, String(length))
    }
  })
})
