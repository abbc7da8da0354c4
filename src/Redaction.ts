/**
 * Secrets in texts: what looks like one is replaced before a text leaves the program.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Result from "effect/Result"
import * as Utf8 from "./Utf8.ts"

/** Replaces the secrets in a text by `__REDACTED__`. */
export type Redact = (text: string) => string

/** What stands in the place of a secret. */
export const mark = "__REDACTED__"

const secretKey = "(?:api[_-]?key|secret|token|password|passwd|authorization)(?:[_-]?(?:access[_-]?)?key)?"

// A key and what stands between it and its value. JSON inside of JSON has backslashes before its quotes.
const assigned = `${secretKey}\\\\*["']?\\s*[:=]\\s*`

// Each pattern keeps its first group: keys with the usual prefixes, bearer tokens, private keys, `key=value` pairs whose
// key names a secret, and the userinfo of URLs. They are linear: none starts inside of what it matches. They match the
// beginning of a secret too, since a text may be cut in the middle of one, and leave quotes where they are, so that JSON
// still parses.
const secrets: ReadonlyArray<RegExp> = [
  /\b((?:bearer|basic|token)\s+)(?=[^\s]*[0-9_.~+/=-])[A-Za-z0-9._~+/=-]{8,}/gi,
  /()\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abps]|hf|npm)[-_][A-Za-z0-9_-]{10,}/g,
  /()\bAKIA[0-9A-Z]{16}\b/g,
  /()\bAIza[0-9A-Za-z_-]{30,}/g,
  /()(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g,
  /()-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?=")|$)/g,
  new RegExp(`(${assigned}\\\\*")(?!<redacted>|${mark})[^"]{4,}?(?=\\\\*"|$)`, "gi"),
  new RegExp(`(${assigned}\\\\*')(?!<redacted>|${mark})[^']{4,}?(?=\\\\*'|$)`, "gi"),
  new RegExp(`(${assigned})(?!bearer|basic|token|__|\\\\*["'])[^\\s"',;&]{4,}?(?=\\\\*(?:[\\s"',;&]|$))`, "gi"),
  /\b([a-z][a-z0-9+.-]{0,31}:\/\/)[^\s@"<>]{1,256}@(?=[^\s/@]+)/gi
]

// Most texts hold none, and one look at them is cheaper than eight. Whatever a pattern above matches holds one of these.
const hint =
  /bearer|basic|token|(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abps]|hf|npm)[-_]|AKIA|AIza|eyJ|PRIVATE KEY|api[_-]?key|secret|passw|authorization|:\/\//i

// `token=abcd` is the shortest secret of any use that a pattern above matches.
const shortest = 10

/** Replaces what looks like a secret: API keys, bearer tokens, passwords, private keys, userinfo of URLs. */
export const redact: Redact = (text) =>
  text.length < shortest || !hint.test(text)
    ? text
    : secrets.reduce(
        (text, pattern) =>
          text.replace(pattern, (match, kept: string) => `${kept}${mark}${match.endsWith("@") ? "@" : ""}`),
        text
      )

/** How what leaves the program is redacted, log lines included. Telemetry sets it where patterns are configured. */
export const Current: Context.Reference<Redact> = Context.Reference("tinyllm/Redaction", {
  defaultValue: (): Redact => redact
})

// ---------------------------------------------------------------------------------------------------------------------
// The beginning of a text
// ---------------------------------------------------------------------------------------------------------------------

/** Characters of the longest secret that is replaced as a whole also where a text is cut in the middle of it. */
export const longestSecret = 1024

// However much of a text turns out to be secrets, no more of it is read than this.
const longestRead = 64 * 1024

/**
 * The beginning of a text without its secrets: at least `characters` of it if there are as many, and maybe more, since
 * its callers cut by other measures. It ends with `…` where something was left out. A secret is never shown in half, and
 * ten megabytes cost no more than ten lines. With `more`, the text is itself the beginning of a longer one.
 */
export const start = (text: string, characters: number, redact: Redact, more = false): string => {
  for (let length = characters + longestSecret; ; length *= 2) {
    const whole = text.length <= length
    if (whole && !more) {
      return redact(text)
    }
    const read = redact(text.slice(0, length))
    // What stands at the end of what was read may be the first half of a secret, which nothing recognises.
    const safe = read.length - longestSecret
    if (whole || safe >= characters || length >= longestRead) {
      return `${Utf8.copy(read.slice(0, Math.max(0, safe)).replace(/[\ud800-\udbff]$/, ""))}…`
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Names
// ---------------------------------------------------------------------------------------------------------------------

const secretName = new RegExp(`${secretKey}$`, "i")

/** Whether a name says that what it names is a secret. */
export const namesSecret = (name: string): boolean => secretName.test(name)

// ---------------------------------------------------------------------------------------------------------------------
// Patterns of one's own
// ---------------------------------------------------------------------------------------------------------------------

/** Replaces what looks like a secret, and what these patterns match. Each must be one that `problem` has nothing against. */
export const withPatterns = (patterns: ReadonlyArray<RegExp>): Redact => {
  if (patterns.length === 0) {
    return redact
  }
  const own = patterns.map((pattern) => new RegExp(pattern.source, `${pattern.flags.replace(/[gyd]/g, "")}g`))
  return (text) =>
    redact(text)
      .split(mark)
      .map((part) => own.reduce(replaced, part))
      .join(mark)
}

// A pattern may take a time that grows with the square of the text. It is tried on pieces of this length.
const pieceLength = 4096
const contextLength = 256

const replaced = (text: string, pattern: RegExp): string => {
  if (text.length <= pieceLength) {
    return text.replace(pattern, mark)
  }
  let result = ""
  let at = 0
  while (at < text.length) {
    // What comes before stays in sight of `\b` and `(?<=…)`, and what comes after of a match that goes on.
    const from = Math.max(0, at - contextLength)
    const piece = text.slice(from, at + pieceLength + longestSecret)
    pattern.lastIndex = at - from
    const match = pattern.exec(piece)
    const found = match === null ? Number.POSITIVE_INFINITY : from + match.index
    if (match === null || found >= at + pieceLength) {
      result += text.slice(at, at + pieceLength)
      at += pieceLength
    } else {
      // One that matches a place and no text has nothing to hide.
      const end = found + match[0].length
      result += end > found ? text.slice(at, found) + mark : text.slice(at, found + 1)
      at = end > found ? end : found + 1
    }
  }
  pattern.lastIndex = 0
  return result
}

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
