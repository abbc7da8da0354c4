/**
 * Patterns of one's own for secrets: how they are written, and which cannot be used.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"

/** Why a pattern cannot be used, as part of a sentence; `undefined` when it can. */
export const problem = (pattern: RegExp): string | undefined =>
  new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).test("")
    ? "it matches the empty text"
    : isExponential(pattern.source)
      ? "it repeats a group that repeats or has alternatives inside, which can take forever"
      : isSlow(pattern)
        ? "it takes too long for some texts: what it repeats can also be what follows"
        : undefined

/**
 * Reads patterns, one a line, as `secret-\d+` or `/secret-\d+/i`. The failure says which line is wrong and why, and
 * quotes nothing of it: what is to be hidden may stand in it.
 */
export const parse = (text: string): ReadonlyArray<RegExp> | string => {
  const patterns: Array<RegExp> = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const written = line.trim()
    if (written === "") {
      continue
    }
    const [, source = written, flags = ""] = /^\/(.+)\/([a-z]*)$/.exec(written) ?? []
    const pattern = compile(source, flags)
    const wrong = typeof pattern === "string" ? pattern : problem(pattern)
    if (typeof pattern === "string" || wrong !== undefined) {
      return `line ${index + 1}: ${wrong}`
    }
    patterns.push(pattern)
  }
  return patterns
}

const compile = (source: string, flags: string): RegExp | string =>
  Result.getOrElse(
    Result.try(() => new RegExp(source, flags)),
    (error) => {
      // The message quotes the pattern and ends with what is wrong with it.
      const [why = ""] = /[A-Z][A-Za-z ]*$/.exec(error instanceof Error ? error.message : "") ?? []
      return why === "" ? "it is no regular expression" : `it is no regular expression (${why.toLowerCase()})`
    }
  )

// Backtracking takes exponential time only where a repetition has another one, or a choice, inside.
const isExponential = (source: string): boolean => {
  const groups = [false]
  let top = 0
  for (let i = 0; i < source.length; i++) {
    const char = source[i]
    if (char === "\\") {
      i++
    } else if (char === "[") {
      while (i < source.length && source[i] !== "]") {
        i += source[i] === "\\" ? 2 : 1
      }
    } else if (char === "(") {
      groups[++top] = false
    } else if (char === "|") {
      groups[top] = true
    } else if (char === ")") {
      const inner = groups[top] === true
      top = Math.max(0, top - 1)
      if (inner && repeats(source, i + 1)) {
        return true
      }
      groups[top] = groups[top] === true || inner
    } else if (repeats(source, i)) {
      groups[top] = true
    }
  }
  return false
}

const repeats = (source: string, at: number): boolean =>
  /^(?:[*+]|\{\d+,\d*\}|\{\d{2,}\})/.test(source.slice(at, at + 16))

// ---------------------------------------------------------------------------------------------------------------------
// Time
// ---------------------------------------------------------------------------------------------------------------------

// Two repetitions of which one can go on into the other cost the cube of a text's length and more. Whether there are any
// is found by trying texts of what the pattern is made of, in growing lengths, so that none of the trials takes long. One
// repetition costs the square; what costs many times as much as that does not.
const lengths = [2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 192, 384]
const square = /a+b/
const times = 15
// The first run of an expression is slower than the rest, and the machine may have other things to do meanwhile.
const runs = 10
const fewestRuns = 3
const surelySlowMillis = 60

const isSlow = ({ flags, source }: RegExp): boolean => {
  const pattern = new RegExp(source, flags.replace(/[gyd]/g, ""))
  const units = unitsOf(source)
  const texts = units.flatMap((first) =>
    units.flatMap((second) =>
      first === second
        ? [(length: number) => filled(first, length)]
        : [
            (length: number) => filled(first, length / 2) + filled(second, length / 2),
            (length: number) => filled(first + second, length)
          ]
    )
  )
  const slowMillis = times * millisOf(square, filled("a", 384), 0)
  return texts.some((text) => lengths.some((length) => millisOf(pattern, text(length), slowMillis) > slowMillis))
}

const filled = (unit: string, length: number): string => unit.repeat(Math.ceil(length / unit.length))

// The least of several runs, or of as many as it takes to be quick.
const millisOf = (pattern: RegExp, text: string, quickMillis: number): number => {
  let least = Number.POSITIVE_INFINITY
  for (let run = 0; run < runs && least > quickMillis && (run < fewestRuns || least < surelySlowMillis); run++) {
    const begin = performance.now()
    pattern.test(text)
    least = Math.min(least, performance.now() - begin)
  }
  return least
}

const maximumUnits = 8

const escapes: Readonly<Record<string, string>> = { d: "7", w: "a", s: " ", D: "a", W: "-", S: "a", n: "\n", t: "\t" }

// What stands for itself, what stands for a character, and the rest, which separates words.
const token = /\\(?<class>[dwsDWSnt])|\\(?<sign>[^a-z\d])|(?<plain>[^\\[\](){}|^$.*+?])|\\?[^]/gi

// Words and characters that a pattern names, and one of each kind that a class may hold.
const unitsOf = (source: string): ReadonlyArray<string> => {
  const units = new Set(["a", "7", " "])
  const addWord = (word: string): void => {
    for (const unit of [word, word.slice(0, 1), word.slice(-1)]) {
      if (unit !== "" && units.size < maximumUnits) {
        units.add(unit)
      }
    }
  }
  let word = ""
  for (const { groups = {} } of source.matchAll(token)) {
    const literal = groups["sign"] ?? groups["plain"]
    if (literal !== undefined) {
      word += literal
      continue
    }
    addWord(word)
    word = ""
    addWord(escapes[groups["class"] ?? ""] ?? "")
  }
  addWord(word)
  return Array.from(units)
}
