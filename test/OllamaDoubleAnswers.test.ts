// What a model of the double says: text, thinking and tool calls, as records on the wire.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Answer } from "../src/OllamaDouble.ts"
import { call, chat, lines, serving } from "./support/Outside.ts"

const everything = { capabilities: ["completion", "tools", "thinking"] }

/** Content, thinking, tool calls and `done` of each record. */
const said = (text: string) =>
  lines(text).map(({ done, message }) => [message.content, message.thinking, message.tool_calls, done])

describe("tool calls", () => {
  const toolCalls: Answer["toolCalls"] = [
    { name: "time", arguments: { tz: "UTC", at: [1, { a: "<b>" }] } },
    { name: "time", arguments: {} }
  ]
  const one = /^call_[a-z0-9]{8}$/

  it.live("D13 come in a record of their own, with ids, the index 0 and arguments that are objects", () =>
    Effect.gen(function* () {
      const { text } = yield* chat()
      const [first, second] = lines(text)[1]!["message"].tool_calls
      assert.match(first.id, one)
      assert.match(second.id, one)
      assert.notStrictEqual(first.id, second.id)
      assert.deepStrictEqual(said(text), [
        ["Let me see.", undefined, undefined, false],
        [
          "",
          undefined,
          [
            { id: first.id, function: { index: 0, name: "time", arguments: { tz: "UTC", at: [1, { a: "<b>" }] } } },
            { id: second.id, function: { index: 0, name: "time", arguments: {} } }
          ],
          false
        ],
        ["", undefined, undefined, true]
      ])
      assert.strictEqual(lines(text).at(-1)?.["done_reason"], "stop")
      const again = lines((yield* chat()).text)[1]!["message"].tool_calls
      assert.notStrictEqual(again[0].id, first.id)
    }).pipe(serving({ text: ["Let me see."], toolCalls }, everything))
  )

  it.live("D13 come within the last record, or one in each", () =>
    Effect.gen(function* () {
      const last = said((yield* chat()).text)
      assert.lengthOf(last, 1)
      assert.lengthOf(last[0]![2], 2)
      assert.isTrue(last[0]![3])
      const each = said((yield* chat()).text)
      assert.deepStrictEqual(
        each.map(([, , calls, done]) => [calls?.length, done]),
        [
          [1, false],
          [1, false],
          [undefined, true]
        ]
      )
    }).pipe(
      serving(({ count }) => ({ text: [], toolCalls, toolCallsIn: count === 1 ? "last" : "records" }), everything)
    )
  )

  it.live("D13 have ids, indexes and arguments as a script says", () =>
    Effect.gen(function* () {
      const [message] = said((yield* chat({ tools: [] })).text)
      assert.deepStrictEqual(message![2], [
        { function: { name: "a", arguments: null } },
        { id: "", function: { index: 3, name: "a", arguments: "{}" } },
        { id: "x", function: { index: 0, name: "a", arguments: {} } }
      ])
    }).pipe(
      serving(
        {
          text: [],
          toolCalls: [
            { name: "a", id: null, index: null, arguments: null },
            { name: "a", id: "", index: 3, arguments: "{}" },
            { name: "a", id: "x" }
          ]
        },
        everything
      )
    )
  )

  it.live("D13 are in the one object of a call that does not stream, and in the last record of generate", () =>
    Effect.gen(function* () {
      const { message } = JSON.parse((yield* chat({ stream: false })).text)
      assert.strictEqual(message.content, "x")
      assert.lengthOf(message.tool_calls, 2)
      const generated = lines((yield* call("/api/generate", { body: { model: "m", prompt: "x" } })).text)
      assert.deepStrictEqual(
        generated.map(({ done, response, tool_calls }) => [response, tool_calls?.length, done]),
        [
          ["x", undefined, false],
          ["", 2, true]
        ]
      )
    }).pipe(serving({ text: "x", toolCalls }, everything))
  )
})

describe("thinking", () => {
  it.live("D14 is on by default, comes before the text, and goes away with think: false", () =>
    Effect.gen(function* () {
      const on = [
        ["", "hm ", undefined, false],
        ["", "so", undefined, false],
        ["yes", undefined, undefined, false],
        ["", undefined, undefined, true]
      ]
      for (const think of [undefined, null, true, "high"]) {
        const { text } = yield* chat({ think })
        assert.deepStrictEqual(said(text), on, String(think))
        assert.strictEqual(lines(text).at(-1)?.["eval_count"], 3)
      }
      const { text } = yield* chat({ think: false })
      assert.deepStrictEqual(said(text), on.slice(2))
      assert.strictEqual(lines(text).at(-1)?.["eval_count"], 1)
      assert.strictEqual(JSON.parse((yield* chat({ stream: false })).text).message.thinking, "hm so")
      assert.isUndefined(JSON.parse((yield* chat({ stream: false, think: false })).text).message.thinking)
      const generated = lines((yield* call("/api/generate", { body: { model: "m", prompt: "x" } })).text)
      assert.deepStrictEqual(
        generated.map(({ response, thinking }) => [response, thinking]),
        [
          ["", "hm "],
          ["", "so"],
          ["yes", undefined],
          ["", undefined]
        ]
      )
    }).pipe(serving({ thinking: "hm so", text: "yes" }, everything))
  )
})

describe("answers that do not stream", () => {
  it.live("D6 have the status of an error, and say that they are not done when they ended early", () =>
    Effect.gen(function* () {
      const failed = yield* chat({ stream: false })
      assert.deepStrictEqual([failed.status, failed.text], [500, '{"error":"boom"}'])
      const early = yield* chat({ stream: false })
      const { done, eval_count, message } = JSON.parse(early.text)
      assert.deepStrictEqual([early.status, done, message.content, eval_count], [200, false, "x", undefined])
    }).pipe(serving(({ count }) => ({ text: "x", ...(count === 1 ? { errorLine: "boom" } : { end: "eof" }) })))
  )
})
