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
