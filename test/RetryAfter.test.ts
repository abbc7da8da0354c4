import { assert, describe, it } from "vitest"
import { millis } from "../src/RetryAfter.ts"

const now = Date.parse("2026-11-28T12:00:00Z")

describe("RetryAfter.millis", () => {
  it("reads seconds, and dates of HTTP, also those that have gone by", () => {
    assert.strictEqual(millis("0", now), 0)
    assert.strictEqual(millis(" 120 ", now), 120_000)
    assert.strictEqual(millis("Sat, 28 Nov 2026 12:00:07 GMT", now), 7000)
    assert.strictEqual(millis("Saturday, 28-Nov-26 12:00:07 GMT", now), 7000)
    assert.strictEqual(millis("Sat, 28 Nov 2026 11:00:00 GMT", now), 0)
  })

  it("reads nothing else", () => {
    for (const text of [undefined, "", "soon", "1.5", "-1", "7, 8", "2026-11-28", "Sat, yesterday GMT"]) {
      assert.isUndefined(millis(text, now), text)
    }
  })
})
