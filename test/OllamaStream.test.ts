import { assert, describe, it } from "@effect/vitest"
import { Reader } from "../src/OllamaStream.ts"

/** Reads bytes in chunks of exactly that size; over a socket, chunks may arrive joined. */
const read = (text: string, size: number): Reader => {
  const bytes = new TextEncoder().encode(text)
  const reader = new Reader({ url: "http://ollama.test", model: "m", sentAt: 0n, now: () => 5n, callIds: () => "call" })
  for (let start = 0; start < bytes.length; start += size) {
    reader.push(bytes.subarray(start, start + size))
  }
  reader.end()
  return reader
}

const text = "Grüße, 世界 🙂\u2028 <b>&amp;</b>\n"
const record = (content: string, rest: object = { done: false }) => JSON.stringify({ message: { content }, ...rest })
const bodies = {
  plain: `${record(text.slice(0, 3))}\n${record(text.slice(3))}\n${record("", { done: true })}\n`,
  "without a newline at the end": `${record(text)}\n${record("", { done: true })}`,
  "with CRLF and blank lines": `\r\n \n${record(text)}\r\n\r\n${record("", { done: true })}\r\n\t\r\n`,
  "with a byte order mark": `\uFEFF${record(text, { done: true })}`,
  "of generate": `{"response":${JSON.stringify(text)}}\n{"response":"","done":true}\n`
}

describe("Reader", () => {
  for (const [name, body] of Object.entries(bodies)) {
    for (const size of [1, 2, 3, 7, 4096]) {
      it(`reads a body ${name} in chunks of ${size} bytes`, () => {
        const reader = read(body, size)
        assert.isUndefined(reader.failure)
        assert.strictEqual(reader.completion?.text, text)
        assert.strictEqual(reader.parts.map((part) => (part._tag === "Text" ? part.text : "")).join(""), text)
        assert.strictEqual(reader.parts.at(-1)?._tag, "Done")
      })
    }
  }

  for (const size of [1, 7, 4096, 10_000_000]) {
    it(`C5 trap 6 trap 7 trap 8 trap 11 reads what is odd in chunks of ${size} bytes`, () => {
      const long = "x".repeat(2_100_000)
      assert.strictEqual(read(record(long, { done: true }), size).completion?.text.length, long.length)
      const odd = read(`{"response":"\\u003c\\u0026\\u003e\u2028\\ud800🙂","done":true}\n`, size)
      assert.strictEqual(odd.completion?.text, "<&>\u2028\ud800🙂")
      const broken = read(`${record("one ")}\nno JSON ${"ü".repeat(300)}\n${record("two", { done: true })}`, size)
      assert.strictEqual(broken.text, "one ")
      assert.isTrue(broken.failure?.reason._tag === "Malformed" && broken.failure.reason.excerpt.length === 200)
      const page = read("<html>\n<body>Welcome to the hotel</body></html>", size)
      assert.strictEqual(page.failure?.reason._tag, "Malformed")
    })
  }

  it("trap 34 keeps the last record with fields that have no name here", () => {
    const { completion } = read(record("x", { done: true, cached_tokens: 5 }), 9)
    assert.strictEqual(completion?.raw?.["cached_tokens"], 5)
  })

  it("trap 35 takes counts as integers and refuses what is no count", () => {
    const counts = (prompt: unknown, answer: unknown) => {
      const { completion } = read(record("x", { done: true, prompt_eval_count: prompt, eval_count: answer }), 9)
      return [completion?.inputTokens, completion?.outputTokens]
    }
    assert.deepStrictEqual(counts(3.0, 1e2), [3, 100])
    assert.deepStrictEqual(counts(0, null), [0, undefined])
    assert.deepStrictEqual(counts(-1, "4"), [undefined, undefined])
  })

  for (const size of [7, 4096, 1024 * 1024]) {
    it(`C5 trap 6 keeps nothing of a line that has no end, in chunks of ${size} bytes`, () => {
      const reader = new Reader({ url: "", model: "m", sentAt: 0n, now: () => 0n, callIds: () => "call" })
      const chunk = new Uint8Array(size).fill(120)
      const megabyte = 1024 * 1024
      let read = 0
      for (; reader.failure === undefined && read < 17 * megabyte; read += size) {
        reader.push(chunk)
      }
      assert.strictEqual(reader.failure?.reason._tag, "Malformed")
      assert.isAbove(read, 16 * megabyte)
      assert.isAtMost(read, 16 * megabyte + size)
    })
  }

  it("reads a body of many megabytes in time that grows with its length only", () => {
    const start = performance.now()
    const reader = read(record("x".repeat(12_000_000), { done: true }), 4096)
    assert.strictEqual(reader.completion?.text.length, 12_000_000)
    // Time that grows with the square of it would be minutes.
    assert.isBelow(performance.now() - start, 10_000)
  })
})
