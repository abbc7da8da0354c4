/**
 * Texts by the bytes that they take as UTF-8, which is how they are sent.
 *
 * @since 0.1.0
 */

/** The bytes of a text. Half a character counts as what replaces it. */
export const bytes = (text: string): number => {
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit >= 0x80) {
      if (unit < 0x800) {
        bytes += 1
      } else {
        // Three, and four for the two halves of a character.
        bytes += 2
        if (isPair(unit, text.charCodeAt(at + 1))) {
          at++
        }
      }
    }
  }
  return bytes
}

/** Whether two UTF-16 units are the halves of one character. */
export const isPair = (first: number, second: number): boolean =>
  (first & 0xfc00) === 0xd800 && (second & 0xfc00) === 0xdc00

/** Cuts a text to `maximum` bytes, at least 3, between code points, and ends it with `…`. */
export const cut = (text: string, maximum: number): string => {
  if (text.length * 3 <= maximum || bytes(text) <= maximum) {
    return text
  }
  let left = maximum - 3
  let end = 0
  for (const char of text) {
    left -= bytes(char)
    if (left < 0) {
      break
    }
    end += char.length
  }
  return `${copy(text.slice(0, end))}…`
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** The same text in memory of its own: the part of a text that JavaScript gives keeps the whole of it alive. */
export const copy = (text: string): string => decoder.decode(encoder.encode(text))
