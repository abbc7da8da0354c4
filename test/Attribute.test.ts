import { assert, describe, it } from "@effect/vitest"
import * as Attribute from "../src/Attribute.ts"

describe("Attribute.json", () => {
  it("T24 T25 parses where it is cut, on code points, and shows no half of a secret there", () => {
    for (let before = 3900; before < 4100; before++) {
      const json = Attribute.json({ text: `${".".repeat(before)} sk-${"a".repeat(60)}`, more: 1 }, 4096)
      assert.doesNotThrow(() => JSON.parse(json))
      // As far as all of it fits, what redacts the JSON will find it.
      assert.isTrue(!json.includes("aa") || json.includes("a".repeat(60)), json.slice(-100))
    }
    const emoji = Attribute.json(["🙂".repeat(5000)], 4097)
    assert.isTrue(String(JSON.parse(emoji)[0]).isWellFormed())
    assert.include(emoji, "…")
  })
})
