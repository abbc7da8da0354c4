import { assert, describe, it } from "vitest"
import * as TerminalText from "../src/TerminalText.ts"

describe("widths", () => {
  it("count wide characters as two, marks that stand on others as none, and lines and blocks as one", () => {
    const widths: Readonly<Record<string, number>> = {
      plain: 5,
      日本語: 6,
      "🙂": 2,
      "e\u0301": 1,
      "└─ █▌": 5,
      ｆｕｌｌ: 8,
      "": 0
    }
    for (const [text, width] of Object.entries(widths)) {
      assert.strictEqual(TerminalText.displayWidth(text), width, text)
    }
  })

  it("cut, take and pad go by columns, and leave no half of a character", () => {
    assert.strictEqual(TerminalText.cut("日本語", 6), "日本語")
    assert.strictEqual(TerminalText.cut("日本語", 5), "日本…")
    assert.strictEqual(TerminalText.cut("日本語", 4), "日…")
    assert.strictEqual(TerminalText.cut("🙂🙂", 3), "🙂…")
    assert.strictEqual(TerminalText.take("🙂🙂", 3), "🙂")
    assert.strictEqual(TerminalText.padEnd("日本", 6), "日本  ")
    assert.strictEqual(TerminalText.padStart("日本", 6), "  日本")
  })

  it("wraps between words, and within one that is too long", () => {
    assert.deepStrictEqual(TerminalText.wrap("one two three", 7), ["one two", "three"])
    assert.deepStrictEqual(TerminalText.wrap("abcdefgh", 3), ["abc", "def", "gh"])
    assert.deepStrictEqual(TerminalText.wrap("🙂🙂", 1), ["🙂", "🙂"])
  })
})

describe("duration", () => {
  it("has the unit that a person would take", () => {
    const millis = [0, 0.04, 9.96, 10, 999.4, 1000, 59_990, 60_000, 75_900, 3_599_000, 3_600_000, 90_000_000]
    assert.deepStrictEqual(millis.map(TerminalText.duration), [
      "0.0 ms",
      "0.0 ms",
      "10.0 ms",
      "10 ms",
      "999 ms",
      "1.00 s",
      "59.99 s",
      "1 min 0 s",
      "1 min 15 s",
      "59 min 59 s",
      "1 h 0 min",
      "25 h 0 min"
    ])
  })
})
