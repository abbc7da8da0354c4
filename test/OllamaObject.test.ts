import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Result, Schema, Stream } from "effect"
import * as Ollama from "../src/Ollama.ts"
import * as OllamaSchema from "../src/OllamaSchema.ts"
import * as Span from "../src/Span.ts"
import { against, requests } from "./support/Double.ts"
import { exitOf, only } from "./support/Spans.ts"

const Person = Schema.Struct({ name: Schema.String, born: Schema.Date, tags: Schema.Array(Schema.String) })
const object = (rest: Partial<Ollama.Options> = {}) =>
  Ollama.Ollama.use((ollama) =>
    ollama.object({ model: "m", messages: [{ role: "user", content: "Who?" }], schema: Person, ...rest })
  )

const ada = '{"name":"Ada","born":"1815-12-10T00:00:00.000Z","tags":["a"]}'

describe("Ollama.object", () => {
  it.live("C12 sends the JSON Schema of a schema and decodes the answer by it", () =>
    Effect.gen(function* () {
      const { completion, value } = yield* object({ temperature: 0 })
      assert.deepStrictEqual(value, { name: "Ada", born: new Date("1815-12-10"), tags: ["a"] })
      assert.strictEqual(completion.text, ada)
      const format = {
        type: "object",
        properties: {
          name: { type: "string" },
          born: { type: "string" },
          tags: { type: "array", items: { type: "string" } }
        },
        required: ["name", "born", "tags"],
        additionalProperties: false
      }
      assert.deepStrictEqual(JSON.parse((yield* requests)[0]?.body ?? "").format, format)
      assert.deepStrictEqual(Ollama.format(Person), format)
      assert.strictEqual((yield* only("llm.chat")).attributes.get("gen_ai.output.type"), "json")
    }).pipe(Effect.provide(against({ text: [ada] })))
  )

  it("C12 a schema that takes anything asks for an object, in words that a grammar has", () => {
    assert.deepStrictEqual(Ollama.format(Schema.Struct({})), { type: "object" })
  })

  it.live("C12 any JSON object comes as it is", () =>
    Effect.gen(function* () {
      const completion = yield* Ollama.Ollama.use((ollama) =>
        ollama.generate({ model: "m", prompt: "JSON, please", format: "json" })
      )
      assert.strictEqual(completion.text, "{}")
      assert.include((yield* requests)[0]?.body, '"format":"json"')
    }).pipe(Effect.provide(against({ text: ["{}"] })))
  )

  const cases: Record<string, readonly [text: string, doneReason: string, truncated: boolean]> = {
    "cut off": ['{"name":"SENTINEL", "born', "length", true],
    "cut off before it began, by thinking": ["", "length", true],
    "whole but wrong": ['{"name":"SENTINEL"}', "stop", false],
    "whole but wrong, with white space to the end": ['{"name":"SENTINEL"}   ', "length", false],
    "no JSON": ["SENTINEL", "stop", false]
  }
  for (const [name, [text, doneReason, truncated]] of Object.entries(cases)) {
    it.live(`C12 trap 46 fails for an answer that is ${name}: ${truncated ? "truncated" : "not truncated"}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(object())
        const { reason } = error
        assert.isTrue(reason._tag === "AnswerInvalid" && reason.truncated === truncated && reason.text === text)
        assert.strictEqual(error.isRetryable, !truncated)
        assert.include(error.message, truncated ? "maxTokens" : "schema")
        assert.notInclude(error.message, "SENTINEL")
        assert.notInclude(JSON.stringify(Span.exception(error)), "SENTINEL")
        assert.lengthOf(yield* requests, 1)
        assert.strictEqual(exitOf(yield* only("llm.chat"))?._tag, "Success", "the model answered")
      }).pipe(Effect.provide(against({ text: [text], doneReason })))
    )
  }

  it("C12 a whole answer is no truncated one, though its tokens ran out", () => {
    const decoded = OllamaSchema.decodeAnswer(Person)({
      text: `${ada}    `,
      doneReason: "length",
      model: "m",
      toolCalls: [],
      timings: {}
    })
    assert.isTrue(Result.isSuccess(decoded))
  })

  it.live("trap 45 an answer that thinking ate up is told from an empty one, and warned of", () => {
    const logged: Array<unknown> = []
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => void logged.push([logLevel, message]))
    const generate = Ollama.Ollama.use((ollama) => ollama.generate({ model: "m", prompt: "hi" }))
    return Effect.gen(function* () {
      const spent = yield* generate
      assert.deepStrictEqual([spent.text, spent.thinking, spent.doneReason], ["", "hm hm", "length"])
      yield* Stream.runDrain(
        Stream.unwrap(
          Ollama.Ollama.useSync((ollama) => ollama.stream({ model: "m", messages: [{ role: "user", content: "hi" }] }))
        )
      )
      const warning = 'Model "m" used all of its tokens to think. Raise "maxTokens", or set "think: false".'
      assert.deepStrictEqual(logged, [
        ["Warn", [warning]],
        ["Warn", [warning]]
      ])
      assert.deepStrictEqual((yield* generate).text, "")
      assert.lengthOf(logged, 2)
    }).pipe(
      Effect.provide([
        against(({ count }) =>
          count < 3 ? { text: [], thinking: "hm hm", doneReason: "length" } : { text: [], doneReason: "stop" }
        ),
        Logger.layer([logger])
      ])
    )
  })
})
