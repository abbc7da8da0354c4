// Holds docs/conformance.md against the tests: all checks are there, each with every file that has a test of its number.
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"

const root = new URL("../", import.meta.url)

const checks = 64

/** The files of tests whose titles begin with numbers, for each number. */
const filesByCheck = (): ReadonlyMap<number, ReadonlySet<string>> => {
  const files = new Map<number, Set<string>>()
  for (const name of readdirSync(new URL("test/", root)).filter((name) => name.endsWith(".test.ts"))) {
    const text = readFileSync(new URL(`test/${name}`, root), "utf8")
    for (const [, numbers = ""] of text.matchAll(/["'`]((?:T\d+ )+)/g)) {
      for (const [number] of numbers.matchAll(/\d+/g)) {
        const known = files.get(Number(number)) ?? new Set()
        files.set(Number(number), known.add(`../test/${name}`))
      }
    }
  }
  return files
}

const rows = [
  ...readFileSync(new URL("docs/conformance.md", root), "utf8").matchAll(/^\| T(\d+) \| (.+?) \| (.+) \|$/gm)
].map(([, number, text = "", shown = ""]) => ({
  number: Number(number),
  text,
  shown,
  files: [...shown.matchAll(/\]\(([^)]+)\)/g)].map(([, path = ""]) => path)
}))

describe("docs/conformance.md", () => {
  it("lists every check once, in order", () => {
    assert.deepStrictEqual(
      rows.map(({ number }) => number),
      Array.from({ length: checks }, (_, index) => index + 1)
    )
  })

  it("names every file with a test of the check, or says why there is none", () => {
    const files = filesByCheck()
    assert.isAtMost(Math.max(...files.keys()), checks)
    for (const row of rows) {
      const expected = [...(files.get(row.number) ?? [])]
      assert.sameMembers(row.files, expected, `T${row.number}`)
      if (expected.length === 0) {
        assert.match(row.shown, /^not tested: .{40}/, `T${row.number}`)
      }
    }
  })
})
