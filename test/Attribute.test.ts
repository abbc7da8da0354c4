import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
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

  it("T25 hides the whole of what a key calls a secret, however deep it is, and no more", () => {
    const shown = (value: unknown): unknown => JSON.parse(Attribute.json(value, 4096))
    assert.deepStrictEqual(
      shown({
        a: { password: ["CANARY", { b: "CANARY" }], apiKey: { value: 12345 } },
        token: new Map([["value", { text: "CANARY" }]]),
        secret: "abc"
      }),
      {
        a: { password: "__REDACTED__", apiKey: "__REDACTED__" },
        token: "__REDACTED__",
        secret: "__REDACTED__"
      }
    )
    const plain = {
      input_tokens: { cached: 5, new: 6 },
      max_token: 512,
      tokens: ["hello", "world"],
      hasSecret: true,
      secret: { enabled: true, list: [] },
      password: null
    }
    assert.deepStrictEqual(shown(plain), plain)
    assert.deepStrictEqual(shown({ password: Redacted.make("CANARY") }), { password: "<redacted>" })
  })
})

describe("Attribute.normalize", () => {
  it("gives a list of its own, into which the program does not write later", () => {
    for (const list of [["a"], [1], [true]] as ReadonlyArray<Array<unknown>>) {
      const value = Attribute.normalize(list)
      const before = [...list]
      list.push("later")
      assert.deepStrictEqual<unknown>(value, before)
    }
  })
})
