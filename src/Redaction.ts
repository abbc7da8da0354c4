/**
 * Secrets in texts: what looks like one, or matches a pattern, is replaced before a text leaves the program.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import { mark, redact, type Redact } from "./Secrets.ts"
import * as Utf8 from "./Utf8.ts"

export { hidden, isSecret, mark, namesSecret, redact, type Redact } from "./Secrets.ts"

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

// A pattern may take a time that grows with the square of the text, so it is tried on pieces of this length. What takes
// too long all the same is hidden from there on.
const pieceLength = 1024
const longestMillis = 250
const contextLength = 256

const replaced = (text: string, pattern: RegExp): string => {
  if (text.length <= pieceLength) {
    return text.replace(pattern, mark)
  }
  const begin = performance.now()
  let result = ""
  let at = 0
  while (at < text.length) {
    if (performance.now() - begin > longestMillis) {
      return result + mark
    }
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
