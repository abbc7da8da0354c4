// Writes into docs/conformance.md which tests show each check: those whose titles begin with its number.
// `node scripts/conformance.ts` writes the file; test/Conformance.test.ts holds it against what this would write.
import { readdirSync, readFileSync, writeFileSync } from "node:fs"

const root = new URL("../", import.meta.url)
const document = new URL("docs/conformance.md", root)

/** The lists of checks, in the order of the document, with how many each has. */
export const lists = { T: 64, C: 20, D: 23, trap: 53 } as const

/** A check as the document states it. */
export interface Check {
  /** As titles of tests begin: `T1`, `trap 1`. */
  readonly id: string
  /** What is checked. */
  readonly what: string
  /** Why nothing shows it; empty where something does. */
  readonly why: string
}

/** The ids of all checks, in the order of the document. */
export const ids: ReadonlyArray<string> = Object.entries(lists).flatMap(([list, count]) =>
  Array.from({ length: count }, (_, index) => (list === "trap" ? `trap ${index + 1}` : `${list}${index + 1}`))
)

const reason = "Not tested: "

export const read = (): string => readFileSync(document, "utf8")

// A check stands under a heading of its own, until the next heading.
const section = /^### ((?:[TCD]|Trap )\d+): (.+)\n(?:(?!#{2,3} ).*(?:\n|$))*/gm

const checkOf = (text: string, heading: string, what: string): Check => {
  const [, why = ""] = new RegExp(`^${reason}(.+)$`, "m").exec(text) ?? []
  return { id: heading.replace("Trap", "trap"), what, why }
}

/** The checks of the document, in its order. */
export const checks = (text: string): ReadonlyArray<Check> =>
  [...text.matchAll(section)].map(([whole, heading = "", what = ""]) => checkOf(whole, heading, what))

const numbered = /(["'`])((?:(?:[TCD]\d+|trap \d+) )+)((?:(?!\1)[^\\\n]|\\.)*)\1/g
const group = /^describe[.a-z]*\(\s*(["'`])((?:(?!\1)[^\\\n]|\\.)*)\1/gm

/** The titles of tests that begin with ids of checks, each after that of its group, by id and then by file. */
export const titles = (): ReadonlyMap<string, ReadonlyMap<string, ReadonlyArray<string>>> => {
  const found = new Map<string, Map<string, Array<string>>>()
  const names = readdirSync(new URL("test/", root)).filter((name) => name.endsWith(".test.ts"))
  for (const name of names.toSorted()) {
    const text = readFileSync(new URL(`test/${name}`, root), "utf8")
    const groups = [...text.matchAll(group)]
    for (const { 2: prefix = "", 3: own = "", index } of text.matchAll(numbered)) {
      const of = groups.findLast((group) => group.index < index)?.[2]
      const title = of === undefined ? own : `${of}: ${own}`
      for (const [id] of prefix.matchAll(/[TCD]\d+|trap \d+/g)) {
        const files = found.get(id) ?? new Map<string, Array<string>>()
        const known = files.get(name) ?? []
        found.set(id, files.set(name, known.includes(title) ? known : [...known, title]))
      }
    }
  }
  return found
}

/** The document with the tests that there are. */
export const written = (text: string): string => {
  const shown = titles()
  return text
    .replace(section, (whole: string, heading: string, what: string) => {
      const { id, why } = checkOf(whole, heading, what)
      const files = [...(shown.get(id) ?? [])]
      const tests = files.map(
        ([name, titles]) => `- [${name}](../test/${name})\n${titles.map((title) => `  - ${escaped(title)}\n`).join("")}`
      )
      return `### ${heading}: ${what}\n\n${tests.length === 0 ? `${reason}${why}\n` : tests.join("")}\n`
    })
    .trimEnd()
    .concat("\n")
}

// As text, whatever it holds; `…` for what a title puts together.
const escaped = (title: string): string =>
  title
    .replace(/\$\{[^{}]*\}/g, "…")
    .replace(/\\(["'`])/g, "$1")
    .replace(/[\\`*_<>[\]$|]/g, "\\$&")

if (import.meta.main) {
  writeFileSync(document, written(read()))
}
