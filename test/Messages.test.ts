import { assert, describe, it } from "@effect/vitest"
import * as Messages from "../src/Messages.ts"
import { redact } from "../src/Redaction.ts"
import * as GenAi from "./support/GenAi.ts"

const bytesOf = (text: string) => Buffer.byteLength(text)

const user = (content: string): Messages.Message => ({ role: "user", parts: [{ type: "text", content }] })

const options = { bytes: 2000, redact }

/** Texts of which one character takes 1 to 6 bytes of JSON, and mixtures. */
const awkward = ["a", "ü", "€", "🙂", '"', "\\", "\n", "\u0001", "\ud800", "a🙂", '🙂"\u0007', "\udc00\ud800", "👩‍👩‍👧"]

describe("Messages.messages", () => {
  it("T22 has the form of the conventions", () => {
    assert.strictEqual(
      Messages.messages([{ role: "system", parts: [] }, user("hi")], options),
      '[{"role":"system","parts":[]},{"role":"user","parts":[{"type":"text","content":"hi"}]}]'
    )
    const answer = {
      role: "assistant" as const,
      parts: [
        { type: "reasoning" as const, content: "hm" },
        { type: "text" as const, content: "yes" }
      ],
      finish_reason: "stop"
    }
    assert.deepStrictEqual(GenAi.outputMessages(Messages.messages([answer], options)), [answer])
    assert.strictEqual(Messages.messages([], options), "[]")
  })

  it("T22 T24 parses whatever is cut, is never larger than asked for, and shows where it was cut", () => {
    for (const text of awkward) {
      for (const bytes of [256, 300, 2000]) {
        for (let before = 0; before < 8; before++) {
          const json = Messages.messages([user(`${"x".repeat(before)}${text.repeat(5000)}`)], { bytes, redact })
          const [message] = GenAi.inputMessages(json)
          const [part] = message?.parts ?? []
          const content = part?.type === "text" ? part.content : ""
          assert.isAtMost(bytesOf(json), bytes)
          assert.isAbove(bytesOf(json), bytes - 12, "no more is cut than must be")
          assert.isTrue(content.endsWith("…"))
          if (text.isWellFormed()) {
            assert.isTrue(content.isWellFormed(), "no code point is split")
          }
        }
      }
    }
  })

  it("T22 leaves what fits as it is, to the last byte", () => {
    for (const text of awkward.filter((text) => text.isWellFormed())) {
      const content = text.repeat(50)
      const json = Messages.messages([user(content)], { bytes: 1_000_000, redact })
      assert.strictEqual(Messages.messages([user(content)], { bytes: bytesOf(json) + 1, redact }), json)
    }
  })

  it("T22 T24 cuts arguments and results of tools to text that parses with the rest, and never exceeds its bytes", () => {
    const parts = (text: string): ReadonlyArray<Messages.Part> => [
      { type: "tool_call", id: "call_1", name: "n".repeat(1000), arguments: { a: text, b: [text] } },
      { type: "tool_call", id: null, name: "f", arguments: { short: true } },
      { type: "tool_call_response", id: "call_1", response: text }
    ]
    for (const text of awkward) {
      const json = Messages.messages([{ role: "assistant", parts: parts(text.repeat(5000)) }], { bytes: 1000, redact })
      assert.isAtMost(bytesOf(json), 1000)
      const [long, short, result] = GenAi.inputMessages(json)[0]?.parts ?? []
      assert.isTrue(long?.type === "tool_call" && typeof long.arguments === "string" && long.arguments.endsWith("…"))
      assert.deepStrictEqual(short?.type === "tool_call" && short.arguments, { short: true })
      assert.isTrue(result?.type === "tool_call_response" && String(result.response).endsWith("…"))
    }
    const secret = {
      type: "tool_call" as const,
      id: "1",
      name: "f",
      arguments: { key: "Bearer abcdefgh12345678" }
    }
    assert.include(Messages.messages([{ role: "assistant", parts: [secret] }], options), "__REDACTED__")
  })

  it("cuts the long ones and leaves the short ones", () => {
    const [first, second, third] = GenAi.inputMessages(
      Messages.messages([user("short"), user("a".repeat(5000)), user("b".repeat(3000))], options)
    ).map(({ parts }) => (parts[0]?.type === "text" ? parts[0].content : ""))
    assert.strictEqual(first, "short")
    assert.match(second ?? "", /^a{800,}…$/)
    assert.match(third ?? "", /^b{800,}…$/)
  })

  it("shows the newest of many, and … for the rest", () => {
    const json = Messages.messages(
      Array.from({ length: 1000 }, (_, index) => user(`message ${index}`)),
      options
    )
    const shown = GenAi.inputMessages(json).map(({ parts }) => (parts[0]?.type === "text" ? parts[0].content : ""))
    assert.isAtMost(bytesOf(json), 2000)
    assert.strictEqual(shown[0], "…")
    assert.strictEqual(shown.at(-1), "message 999")
    assert.isAbove(shown.length, 10)
  })

  it("T25 replaces secrets before it cuts", () => {
    for (let before = 1850; before < 1960; before++) {
      const json = Messages.messages([user(`${" ".repeat(before)}sk-${"a".repeat(40)} ${"b".repeat(3000)}`)], options)
      assert.notInclude(json, "aa")
    }
  })

  it("T25 hides the whole of what an argument of a tool calls a secret", () => {
    const json = Messages.messages(
      [
        {
          role: "assistant",
          parts: [
            { type: "tool_call", id: null, name: "login", arguments: { user: "ada", password: [{ a: "CANARY" }] } }
          ]
        }
      ],
      options
    )
    assert.deepStrictEqual(JSON.parse(json)[0].parts[0].arguments, { user: "ada", password: "__REDACTED__" })
  })

  it("cuts names of roles and reasons that no server of Ollama has", () => {
    const json = Messages.messages(
      [{ role: "r".repeat(1_000_000), parts: [], finish_reason: "f".repeat(1_000_000) }],
      options
    )
    assert.isAtMost(bytesOf(json), 2000)
  })

  it("costs no more for ten megabytes than for ten lines", () => {
    const begin = performance.now()
    Messages.messages([user("word ".repeat(2_000_000))], options)
    assert.isBelow(performance.now() - begin, 300)
  })
})

describe("Messages.instructions", () => {
  it("T22 is a list of parts, cut in the same way", () => {
    assert.strictEqual(Messages.instructions(["be brief"], options), '[{"type":"text","content":"be brief"}]')
    for (const bytes of [256, 2000]) {
      for (const count of [1, 2, 100]) {
        const json = Messages.instructions(Array(count).fill("🙂".repeat(5000)), { bytes, redact })
        assert.isAtMost(bytesOf(json), bytes)
        for (const part of GenAi.systemInstructions(json)) {
          assert.match(part.type === "text" ? part.content : "", /^(🙂)+…$/u)
        }
      }
    }
  })
})

describe("Messages.definitions", () => {
  const tool = (name: string, description: string | undefined, parameters: Record<string, unknown> = {}) => ({
    name,
    description,
    parameters
  })
  const big = { type: "object", properties: { a: { type: "string", description: "🙂".repeat(3000) } } }

  it("T22 has the form of the conventions, and what fits is whole", () => {
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
    assert.deepStrictEqual(
      GenAi.toolDefinitions(Messages.definitions([tool("a", "of a", parameters), tool("b", undefined)], options)),
      [
        { type: "function", name: "a", description: "of a", parameters },
        { type: "function", name: "b", description: "", parameters: {} }
      ]
    )
    const json = Messages.definitions([tool("a", "of a", parameters)], options)
    assert.strictEqual(Messages.definitions([tool("a", "of a", parameters)], { bytes: bytesOf(json), redact }), json)
  })

  it("T22 T24 parses whatever is cut: the longest texts, a schema to the start of its text", () => {
    for (const bytes of [300, 512, 2000]) {
      const json = Messages.definitions([tool("a", "x".repeat(5000), big), tool("b", "short", {})], { bytes, redact })
      assert.isAtMost(bytesOf(json), bytes)
      const [a, b] = GenAi.toolDefinitions(json)
      assert.match(a?.description ?? "", /^x*…$/)
      assert.match(String(a?.parameters), /^\{"type".*…$/u)
      assert.deepStrictEqual(b, { type: "function", name: "b", description: "short", parameters: {} })
    }
  })

  it("shows the first of many, and how many more there are", () => {
    for (const count of [30, 1000]) {
      const json = Messages.definitions(
        Array.from({ length: count }, (_, index) => tool(`tool ${index}`, "d".repeat(100), big)),
        options
      )
      assert.isAtMost(bytesOf(json), 2000)
      const shown = GenAi.toolDefinitions(json)
      assert.strictEqual(shown[0]?.name, "tool 0")
      assert.deepInclude(shown.at(-1), { name: "…", description: `${count - shown.length + 1} more` })
    }
  })

  it("T25 replaces secrets before it cuts", () => {
    const secret = `sk-${"a".repeat(40)}`
    const json = Messages.definitions([tool("a", secret, { default: secret })], options)
    assert.notInclude(json, "aaa")
    assert.strictEqual(json.split("__REDACTED__").length, 3)
  })
})
