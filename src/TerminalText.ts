/**
 * Text in a terminal: how wide it is, what is harmless in it, lines that are cut or wrapped, styles, and durations.
 *
 * @since 0.1.0
 */

/** What lines are made for. */
export interface Terminal {
  /** Its columns; nothing is cut where it is `undefined`. */
  readonly width: number | undefined
  readonly colour: boolean
}

/** A text in a style, as numbers of ECMA-48. */
export interface Styled {
  readonly text: string
  readonly style: string
}

export const plain = (text: string): Styled => ({ text, style: "" })
export const bold = (text: string): Styled => ({ text, style: "1" })
export const dim = (text: string): Styled => ({ text, style: "2" })
export const red = (text: string): Styled => ({ text, style: "31" })
export const green = (text: string): Styled => ({ text, style: "32" })
export const yellow = (text: string): Styled => ({ text, style: "33" })
export const blue = (text: string): Styled => ({ text, style: "34" })
export const magenta = (text: string): Styled => ({ text, style: "35" })
export const cyan = (text: string): Styled => ({ text, style: "36" })

/** A line of texts, harmless, and cut with `…` where the terminal ends. */
export const line = (parts: ReadonlyArray<Styled>, options: Terminal): string => {
  const clean = parts.map((part) => ({ ...part, text: harmless(part.text) }))
  const width = options.width ?? Number.POSITIVE_INFINITY
  const fits = clean.reduce((sum, part) => sum + displayWidth(part.text), 0) <= width
  let left = fits ? Number.POSITIVE_INFINITY : width - 1
  let out = ""
  for (const part of clean) {
    const text = take(part.text, left)
    left = text.length < part.text.length ? 0 : left - displayWidth(text)
    out += options.colour && part.style !== "" && text !== "" ? `\u001b[${part.style}m${text}\u001b[0m` : text
  }
  return fits ? out : `${out}…`
}

/** The beginning of a text that is so wide at most. */
export const take = (text: string, width: number): string => {
  let used = 0
  let end = 0
  for (const char of text) {
    used += charWidth(char)
    if (used > width) {
      break
    }
    end += char.length
  }
  return text.slice(0, end)
}

/** The lines of a text that are so wide at most: between words where that is possible. */
export const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let rest = text
  while (displayWidth(rest) > width) {
    const start = take(rest, width)
    const space = rest[start.length] === " " ? start.length : start.lastIndexOf(" ")
    // A character that is wider than the line still has to go somewhere.
    const end = space > 0 ? space : start.length || String.fromCodePoint(rest.codePointAt(0)!).length
    lines.push(rest.slice(0, end))
    rest = rest.slice(end).trimStart()
  }
  return rest === "" && lines.length > 0 ? lines : [...lines, rest]
}

/** The beginning of a line, with `…` where it is cut. */
export const cut = (line: string, width: number): string =>
  displayWidth(line) <= width ? line : `${take(line, Math.max(0, width - 1))}…`

/** A text with spaces up to a width: after it, or before it. */
export const padEnd = (text: string, width: number): string =>
  text + " ".repeat(Math.max(0, width - displayWidth(text)))
export const padStart = (text: string, width: number): string =>
  " ".repeat(Math.max(0, width - displayWidth(text))) + text

/** A time for a person: `0.3 ms`, `85 ms`, `1.20 s`, `2 min 5 s`. */
export const duration = (millis: number): string =>
  millis >= 3_600_000
    ? `${Math.floor(millis / 3_600_000)} h ${Math.floor((millis % 3_600_000) / 60_000)} min`
    : millis >= 60_000
      ? `${Math.floor(millis / 60_000)} min ${Math.floor((millis % 60_000) / 1000)} s`
      : millis >= 1000
        ? `${(millis / 1000).toFixed(2)} s`
        : millis >= 10
          ? `${Math.round(millis)} ms`
          : `${millis.toFixed(1)} ms`

/** A moment, in nanoseconds since 1970, by the clock on the wall here: `2026-11-28 13:02:11`. */
export const dateTime = (nanos: bigint): string => {
  const date = new Date(Number(nanos / 1_000_000n))
  const two = (number: number) => String(number).padStart(2, "0")
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  )
}

/** A number with what it counts: `1 span`, `2 spans`. */
export const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`

/**
 * Text that cannot move the cursor, change colours or reorder a line: line breaks and tabs become a space, other
 * control characters and marks of direction `�`.
 */
export const harmless = (text: string): string =>
  text
    .replace(/\s*[\r\n\t\u2028\u2029]\s*/g, " ")
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    .replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "�")

/** The columns that a text takes. Wide characters take two; an emoji of several parts counts as all of them. */
export const displayWidth = (text: string): number => {
  if (narrow.test(text)) {
    return text.length
  }
  let width = 0
  for (const char of text) {
    width += charWidth(char)
  }
  return width
}

// Most of what is measured: ASCII, lines of trees and bars.
const narrow = /^[ -~\u00a0-\u00ac\u00ae-\u02ff\u2500-\u259f…→]*$/

const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}]$/u

// East Asian wide and fullwidth, and emoji. https://www.unicode.org/reports/tr11/
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18dff}\u{1aff0}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}]$/u

const charWidth = (char: string): number =>
  char >= " " && char <= "~" ? 1 : zeroWidth.test(char) ? 0 : wide.test(char) ? 2 : 1
