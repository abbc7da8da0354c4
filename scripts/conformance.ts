// Writes into docs/conformance.md which tests show each check: those whose titles begin with its number.
// `node scripts/conformance.ts` writes the file; test/Conformance.test.ts holds it against what this would write.
import { readdirSync, readFileSync, writeFileSync } from "node:fs"

const root = new URL("../", import.meta.url)
const document = new URL("docs/conformance.md", root)

/** A check as the document states it. */
export interface Check {
  readonly number: number
  readonly what: string
  /** Why nothing shows it; empty where something does. */
  readonly why: string
}

const heading = /^### T(\d+): (.+)$/gm
const reason = "Not tested: "

export const read = (): string => readFileSync(document, "utf8")

/** The checks of the document, in its order. */
export const checks = (text: string): ReadonlyArray<Check> =>
  [...text.matchAll(heading)].map(({ 0: line, 1: number, 2: what = "", index }) => {
    const [, why = ""] = new RegExp(`^\\n+${reason}(.+)$`, "m").exec(section(text, index + line.length)) ?? []
    return { number: Number(number), what, why }
  })

const section = (text: string, from: number): string => {
  const end = text.indexOf("\n### ", from)
  return text.slice(from, end === -1 ? undefined : end)
}

/** The titles of tests that begin with numbers of checks, by number and then by file. */
export const titles = (): ReadonlyMap<number, ReadonlyMap<string, ReadonlyArray<string>>> => {
  const found = new Map<number, Map<string, Array<string>>>()
  const names = readdirSync(new URL("test/", root)).filter((name) => name.endsWith(".test.ts"))
  for (const name of names.toSorted()) {
    const text = readFileSync(new URL(`test/${name}`, root), "utf8")
    for (const [, , numbers = "", title = ""] of text.matchAll(/(["'`])((?:T\d+ )+)((?:(?!\1)[^\\\n]|\\.)*)\1/g)) {
      for (const [number] of numbers.matchAll(/\d+/g)) {
        const files = found.get(Number(number)) ?? new Map<string, Array<string>>()
        const known = files.get(name) ?? []
        found.set(Number(number), files.set(name, known.includes(title) ? known : [...known, title]))
      }
    }
  }
  return found
}

/** The document with the tests that there are. */
export const written = (text: string): string => {
  const shown = titles()
  const [intro = ""] = text.split(/^### /m)
  const sections = checks(text).map(({ number, what, why }) => {
    const files = [...(shown.get(number) ?? [])]
    const tests = files.map(
      ([name, titles]) => `- [${name}](../test/${name})\n${titles.map((title) => `  - ${escaped(title)}\n`).join("")}`
    )
    return `### T${number}: ${what}\n\n${tests.length === 0 ? `${reason}${why}\n` : tests.join("")}`
  })
  return `${intro}${sections.join("\n")}`
}

// As text, whatever it holds.
const escaped = (title: string): string => title.replace(/\\(["'`])/g, "$1").replace(/[\\`*_<>[\]$|]/g, "\\$&")

if (import.meta.main) {
  writeFileSync(document, written(read()))
}
