/** Numbers and texts as people read them. */
import type { Tokens } from "../src/TraceRun.ts"

/** Nanoseconds with a unit that suits them: `73 ms`, `1.24 s`, `3 min 20 s`. */
export const duration = (nanos: number): string => {
  if (nanos < 1000) {
    return `${Math.round(nanos)} ns`
  }
  if (nanos < 999_500) {
    return `${digits(nanos / 1e3)} µs`
  }
  if (nanos < 999_500_000) {
    return `${digits(nanos / 1e6)} ms`
  }
  const seconds = nanos / 1e9
  if (seconds < 59.995) {
    return `${seconds.toFixed(2)} s`
  }
  const whole = Math.round(seconds)
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

const digits = (value: number): string => (value < 9.95 ? value.toFixed(1) : Math.round(value).toString())

/** `12 480`, with a space that no line breaks at. */
export const integer = (value: number): string =>
  Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, "\u202f")

/** `1 span`, `12 480 spans`. */
export const count = (value: number, what: string): string => `${integer(value)} ${what}${value === 1 ? "" : "s"}`

/** All tokens, as far as they are known. */
export const total = ({ input, output }: Tokens): number | undefined =>
  input === undefined && output === undefined ? undefined : (input ?? 0) + (output ?? 0)

/** Tokens per second. */
export const speed = (perSecond: number): string =>
  `${perSecond < 100 ? perSecond.toFixed(1) : integer(perSecond)} tok/s`

/** A moment in the zone of whoever looks, with milliseconds. */
export const moment = (nanos: bigint): string => {
  const date = new Date(Number(nanos / 1_000_000n))
  return Number.isNaN(date.getTime())
    ? "at an unknown time"
    : date.toLocaleString(undefined, {
        year: "numeric",
        month: "short",
        day: "numeric",
        hour: "2-digit",
        minute: "2-digit",
        second: "2-digit",
        fractionalSecondDigits: 3
      })
}

/**
 * A text with its invisible characters made visible: control characters, and those that turn the direction of what
 * follows, so that nothing looks like what it is not. Lines stay lines, and what joins pictures to one joins them.
 */
export const visible = (text: string): string =>
  text.replace(
    /(?<!\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?)\u200d|\u200d(?!\p{Extended_Pictographic})|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu,
    (char) => `⟨U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`
  )

/** The start of a text, no longer than that many characters, and never half of one. */
export const cut = (text: string, length: number): string =>
  text.slice(0, /[\ud800-\udbff]/.test(text.charAt(length - 1)) ? length - 1 : length)

/** A text on one line, and no longer than that many characters: what a row or a heading has room for. */
export const line = (text: string, length = 200): string => {
  const start = text.length > length ? `${cut(text, length)}…` : text
  return visible(start.replace(/\s*[\r\n]+\s*/g, " ↵ ").replaceAll("\t", " "))
}
