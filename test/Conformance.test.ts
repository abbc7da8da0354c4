// Holds docs/conformance.md against the tests: all checks are there, each with every test of its number.
import { assert, describe, it } from "vitest"
import * as Conformance from "../scripts/conformance.ts"

describe("docs/conformance.md", () => {
  const text = Conformance.read()
  const checks = Conformance.checks(text)
  const titles = Conformance.titles()

  it("lists every check once, in order", () => {
    assert.deepStrictEqual(
      checks.map(({ id }) => id),
      Conformance.ids
    )
    assert.includeMembers([...Conformance.ids], [...titles.keys()], "a title begins with a check that there is not")
  })

  it("names every test of each; node scripts/conformance.ts writes them", () => {
    assert.strictEqual(text, Conformance.written(text))
  })

  it("says why, where there is none", () => {
    for (const { id, why } of checks) {
      if (!titles.has(id)) {
        assert.match(why, /.{40}/, id)
      }
    }
  })

  it("has tests for everything that the client of Ollama and its double promise", () => {
    const untested = Conformance.ids.filter((id) => !id.startsWith("T") && !titles.has(id))
    assert.deepStrictEqual(untested, [])
  })
})
