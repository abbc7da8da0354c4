// Holds docs/conformance.md against the tests: all checks are there, each with every test of its number.
import { assert, describe, it } from "vitest"
import * as Conformance from "../scripts/conformance.ts"

const count = 64

describe("docs/conformance.md", () => {
  const text = Conformance.read()
  const checks = Conformance.checks(text)
  const titles = Conformance.titles()

  it("lists every check once, in order", () => {
    assert.deepStrictEqual(
      checks.map(({ number }) => number),
      Array.from({ length: count }, (_, index) => index + 1)
    )
    assert.isAtMost(Math.max(...titles.keys()), count)
  })

  it("names every test of each; node scripts/conformance.ts writes them", () => {
    assert.strictEqual(text, Conformance.written(text))
  })

  it("says why, where there is none", () => {
    for (const { number, why } of checks) {
      if (!titles.has(number)) {
        assert.match(why, /.{40}/, `T${number}`)
      }
    }
  })
})
