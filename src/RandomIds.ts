/**
 * Random ids of traces and spans.
 *
 * Random bytes are drawn and written in hexadecimal many at a time: an id is then a piece of a text that exists.
 *
 * @since 0.1.0
 */

const bytes = new Uint8Array(16_384)
let digits = ""
let at = 0

const draw = (length: number): string => {
  if (at + length > digits.length) {
    globalThis.crypto.getRandomValues(bytes)
    digits = Buffer.from(bytes.buffer).toString("hex")
    at = 0
  }
  at += length
  return digits.slice(at - length, at)
}

/** 32 hexadecimal digits, all of them random. */
export const traceId = (): string => draw(32)

/** 16 hexadecimal digits, all of them random. */
export const spanId = (): string => draw(16)
