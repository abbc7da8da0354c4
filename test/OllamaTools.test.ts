import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema, Stream } from "effect"
import * as Capture from "../src/Capture.ts"
import * as Ollama from "../src/Ollama.ts"
import { redact } from "../src/Redaction.ts"
import * as Span from "../src/Span.ts"
import { against, ask, requests } from "./support/Double.ts"
import * as GenAi from "./support/GenAi.ts"
import { eventsOf, exitOf, named, only, Spans } from "./support/Spans.ts"

const weather = Ollama.tool({
  name: "get_weather",
  description: "The weather of a city",
  parameters: Schema.Struct({
    city: Schema.String.annotate({ description: "Its name" }),
    unit: Schema.optional(Schema.Literals(["C", "F"]))
  })
})

const withTools = (content = "hi", rest: Partial<Ollama.ChatRequest> = {}) =>
  ask(content, { tools: [weather], ...rest })
const chat = (request = withTools()) => Ollama.Ollama.use((ollama) => ollama.chat(request))
const stream = (request = withTools()) => Stream.unwrap(Effect.map(Ollama.Ollama, (ollama) => ollama.stream(request)))

const line = (message: object, rest: object = { done: false }) =>
  `${JSON.stringify({ model: "m", message: { role: "assistant", content: "", ...message }, ...rest })}\n`
const done = (message: object = {}) => line(message, { done: true, done_reason: "stop", eval_count: 2 })
const call = (name: string, given: unknown, more: object = {}, index = 0) => ({
  ...more,
  function: { index, name, arguments: given }
})
const asked = (completion: Ollama.Completion) => completion.toolCalls.map(({ name, arguments: given }) => [name, given])

describe("tool calls", () => {
  const layouts = {
    "in a record of their own": line({ tool_calls: [call("get_weather", { city: "Rome" })] }) + done(),
    "in the last record": done({ tool_calls: [call("get_weather", { city: "Rome" }, { id: "call_1" })] })
  }
  for (const [name, raw] of Object.entries(layouts)) {
    for (const bytesPerChunk of [1, 4096]) {
      it.live(`C10 come ${name}, in chunks of ${bytesPerChunk} bytes, whole and as a part of a stream`, () =>
        Effect.gen(function* () {
          const completion = yield* chat()
          assert.deepStrictEqual(asked(completion), [["get_weather", { city: "Rome" }]])
          assert.strictEqual(completion.text, "")
          assert.strictEqual(completion.doneReason, "stop")
          const parts = yield* Stream.runCollect(stream())
          assert.deepStrictEqual(
            parts.map(({ _tag }) => _tag),
            ["ToolCall", "Done"]
          )
          const [first, last] = parts
          assert.isTrue(first?._tag === "ToolCall" && last?._tag === "Done")
          if (first?._tag === "ToolCall" && last?._tag === "Done") {
            const { _tag, ...same } = first
            assert.deepStrictEqual(last.completion.toolCalls, [same])
          }
        }).pipe(Effect.provide(against({ raw, bytesPerChunk })))
      )
    }
  }

  it.live("C10 come with text and thinking, also of generate", () =>
    Effect.gen(function* () {
      const completion = yield* chat()
      assert.strictEqual(completion.text, "Let me look.")
      assert.strictEqual(completion.thinking, "hm")
      assert.deepStrictEqual(asked(completion), [["get_weather", { city: "Rome" }]])
      const generated = yield* Ollama.Ollama.use((ollama) => ollama.generate({ model: "m", prompt: "hi" }))
      assert.deepStrictEqual(asked(generated), [["get_weather", { city: "Oslo" }]])
    }).pipe(
      Effect.provide(
        against(({ path }) => ({
          raw:
            path === "/api/chat"
              ? line({ thinking: "hm" }) +
                line({ content: "Let me look.", tool_calls: [call("get_weather", { city: "Rome" })] }) +
                done()
              : `${JSON.stringify({ response: "", done: true, tool_calls: [call("get_weather", { city: "Oslo" })] })}\n`
        }))
      )
    )
  )

  it.live("C10 trap 37 are each a call of its own with its own id, whatever the server's ids and indices are", () =>
    Effect.gen(function* () {
      const answers = [yield* chat(), yield* chat()]
      for (const completion of answers) {
        assert.deepStrictEqual(asked(completion), [
          ["a", { x: 1 }],
          ["a", { x: 1 }],
          ["a", { x: 1 }],
          ["b", {}],
          ["b", {}],
          ["b", {}],
          ["c", { x: 2 }],
          ["c", "no JSON"],
          ["c", "[1]"],
          ["", {}]
        ])
      }
      const ids = answers.flatMap(({ toolCalls }) => toolCalls.map(({ id }) => id))
      assert.strictEqual(new Set(ids).size, 20)
      assert.isTrue(ids.every((id) => /^call_[0-9a-z]+_\d+$/.test(id)))
    }).pipe(
      Effect.provide(
        against({
          raw:
            line({ tool_calls: [call("a", { x: 1 }, { id: "1" }), call("a", { x: 1 }, { id: "1" })] }) +
            line({ tool_calls: [call("a", { x: 1 }, { id: "" }), call("b", {}, {}, 7)] }) +
            line({ tool_calls: [call("b", null), call("b", " ")] }) +
            done({
              tool_calls: [
                call("c", '{"x":2}'),
                call("c", "no JSON"),
                { function: { name: "c", arguments: "[1]" } },
                { function: {} },
                null,
                5
              ]
            })
        })
      )
    )
  )

  it.live("count as content: a call that broke after one is not made again, and says what came", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(chat())
      const { reason } = error
      assert.isTrue(reason._tag === "StreamError" && reason.partialToolCalls?.[0]?.name === "get_weather")
      assert.isFalse(error.isRetryable)
      assert.notInclude(error.message, "get_weather")
      assert.lengthOf(yield* requests, 1)
    }).pipe(
      Effect.provide(
        against({
          raw: `${line({ tool_calls: [call("get_weather", { city: "Rome" })] })}{"error":"model runner has unexpectedly stopped"}\n`
        })
      )
    )
  )

  it.live("give the time of the first token", () =>
    Effect.gen(function* () {
      assert.isDefined((yield* chat()).timeToFirstToken)
      const span = yield* only("llm.chat")
      assert.deepStrictEqual(
        eventsOf(span).map(({ name }) => name),
        ["llm.first_token"]
      )
    }).pipe(Effect.provide(against({ raw: done({ tool_calls: [call("a", {})] }) })))
  )
})

describe("what is sent", () => {
  it.live("C2 C10 trap 38 tools, and what the model thought, asked for and was told", () =>
    Effect.gen(function* () {
      const first = yield* chat()
      const [rome] = first.toolCalls
      assert.isDefined(rome)
      yield* chat(
        ask("hi", {
          tools: [],
          messages: [
            { role: "user", content: "hi", images: [new Uint8Array([1, 2, 3]), "AQID", "data:image/png;base64,AQID"] },
            Ollama.assistantMessage(first),
            Ollama.toolResult(rome!, "18 °C"),
            { role: "assistant", content: "", toolCalls: [{ id: "x", name: "odd", arguments: "no JSON" }] }
          ]
        })
      )
      const [one, two] = yield* requests
      assert.strictEqual(
        one?.body,
        '{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":' +
          '{"name":"get_weather","description":"The weather of a city","parameters":{"type":"object","properties":' +
          '{"city":{"type":"string","description":"Its name"},"unit":{"anyOf":[{"type":"string","enum":["C","F"]},{"type":"null"}]}},' +
          '"required":["city"],"additionalProperties":false}}}],"stream":true,"truncate":false,"options":{"num_predict":2048}}'
      )
      assert.strictEqual(
        two?.body,
        '{"model":"m","messages":[{"role":"user","content":"hi","images":["AQID","AQID","AQID"]},' +
          `{"role":"assistant","content":"","thinking":"hm","tool_calls":[{"id":"${rome?.id}","function":{"name":"get_weather","arguments":{"city":"Rome"}}}]},` +
          `{"role":"tool","content":"18 °C","tool_name":"get_weather","tool_call_id":"${rome?.id}"},` +
          '{"role":"assistant","content":"","tool_calls":[{"id":"x","function":{"name":"odd","arguments":{}}}]}],' +
          '"stream":true,"truncate":false,"options":{"num_predict":2048}}'
      )
    }).pipe(
      Effect.provide(
        against({ raw: line({ thinking: "hm" }) + done({ tool_calls: [call("get_weather", { city: "Rome" })] }) })
      )
    )
  )
})

describe("Ollama.tool", () => {
  it("writes references out, and what Ollama drops in words that it keeps", () => {
    interface Tree {
      readonly name: string
      readonly children: ReadonlyArray<Tree>
    }
    const Tree: Schema.Codec<Tree> = Schema.Struct({
      name: Schema.String,
      children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
    }).annotate({ identifier: "Tree" })
    const Place = Schema.Struct({ city: Schema.String }).annotate({ identifier: "Place" })
    const { parameters } = Ollama.tool({
      name: "t",
      parameters: Schema.Struct({
        from: Place,
        to: Place,
        pair: Schema.Tuple([Schema.String, Schema.Finite]),
        at: Schema.Date,
        tree: Tree
      })
    })
    const place = {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false
    }
    const tree = (inner: object) => ({
      type: "object",
      properties: { name: { type: "string" }, children: { type: "array", items: inner } },
      required: ["name", "children"],
      additionalProperties: false
    })
    assert.deepStrictEqual(parameters, {
      type: "object",
      properties: {
        from: place,
        to: place,
        pair: { type: "array", minItems: 2, maxItems: 2, items: { anyOf: [{ type: "string" }, { type: "number" }] } },
        at: { type: "string" },
        tree: tree({ type: "object" })
      },
      required: ["from", "to", "pair", "at", "tree"],
      additionalProperties: false
    })
    assert.deepStrictEqual(Ollama.tool({ name: "now", parameters: Schema.Struct({}) }).parameters, {
      type: "object",
      properties: {}
    })
  })

  it.effect("shows of several objects the properties of all, and what all need", () =>
    Effect.gen(function* () {
      const tool = Ollama.tool({
        name: "draw",
        parameters: Schema.Union([
          Schema.TaggedStruct("Circle", { radius: Schema.Finite, colour: Schema.String }),
          Schema.TaggedStruct("Square", { side: Schema.Finite, colour: Schema.String })
        ])
      })
      assert.deepStrictEqual(tool.parameters, {
        type: "object",
        properties: {
          _tag: {
            anyOf: [
              { type: "string", enum: ["Circle"] },
              { type: "string", enum: ["Square"] }
            ]
          },
          radius: { type: "number" },
          colour: { type: "string" },
          side: { type: "number" }
        },
        required: ["_tag", "colour"]
      })
      const square = { _tag: "Square", side: 1, colour: "red" } as const
      assert.deepStrictEqual(yield* Ollama.decodeToolCall(tool, { id: "1", name: "draw", arguments: square }), square)
    })
  )

  it("throws for a schema that is no object", () => {
    const wrong: ReadonlyArray<Schema.Codec<any, any>> = [
      Schema.String,
      Schema.Array(Schema.String),
      Schema.Union([Schema.Struct({ a: Schema.String }), Schema.String])
    ]
    for (const parameters of wrong) {
      assert.throws(
        () => Ollama.tool({ name: "odd", parameters }),
        RangeError,
        'Ollama.tool: the parameters of "odd": arguments are an object'
      )
    }
  })
})

describe("Ollama.decodeToolCall", () => {
  it.effect("C10 gives the arguments by their schema, or says which call was wrong and quotes nothing", () =>
    Effect.gen(function* () {
      const asking = (given: unknown): Ollama.ToolCall => ({ id: "call_1", name: "get_weather", arguments: given })
      const decoded = yield* Ollama.decodeToolCall(weather, asking({ city: "Rome", unit: "C", more: 1 }))
      assert.deepStrictEqual(decoded, { city: "Rome", unit: "C" })
      for (const given of [{}, { city: 5 }, "SENTINEL", { city: "Rome", unit: "SENTINEL" }, null]) {
        const error = yield* Effect.flip(Ollama.decodeToolCall(weather, asking(given)))
        assert.strictEqual(error._tag, "ToolArgumentsInvalid")
        assert.strictEqual(error.callId, "call_1")
        assert.include(error.message, '"get_weather"')
        assert.notInclude(error.message, "SENTINEL")
        assert.notInclude(JSON.stringify(Span.exception(error)), "SENTINEL")
        assert.isNotEmpty(String(error.issue))
      }
    })
  )
})

describe("tool calls in spans", () => {
  const raw =
    line({ thinking: "SENTINEL" }) +
    line({ tool_calls: [call("get_weather", { city: "SENTINEL" }), call("get_weather", "SENTINEL")] })
  const told = withTools("SENTINEL", {
    messages: [
      { role: "user", content: "SENTINEL" },
      {
        role: "assistant",
        content: "",
        thinking: "SENTINEL",
        toolCalls: [{ id: "call_1", name: "get_weather", arguments: { city: "SENTINEL" } }]
      },
      { role: "tool", content: "SENTINEL", toolName: "get_weather", toolCallId: "call_1" }
    ]
  })

  it.live("T20 hold nothing of arguments and results unless asked for, also when the call fails", () =>
    Effect.gen(function* () {
      yield* chat(told)
      yield* Stream.runDrain(stream(told))
      yield* Effect.flip(chat(told))
      const { all } = yield* Spans
      assert.lengthOf(all, 3)
      for (const span of all) {
        assert.notProperty(Object.fromEntries(span.attributes), "gen_ai.tool.definitions")
        assert.notInclude(JSON.stringify([Object.fromEntries(span.attributes), eventsOf(span)]), "SENTINEL")
        const exit = exitOf(span)
        if (exit !== undefined && Exit.isFailure(exit)) {
          assert.notInclude(JSON.stringify(Span.exception(Cause.squash(exit.cause))), "SENTINEL")
        }
      }
    }).pipe(
      Effect.provide(against(({ count }) => ({ raw: count < 3 ? raw + done() : `${raw}{"error":"SENTINEL"}\n` })))
    )
  )

  it.live("T22 are parts of the messages where content is asked for", () =>
    Effect.gen(function* () {
      yield* chat(told)
      const { attributes } = yield* only("llm.chat")
      assert.deepStrictEqual(GenAi.inputMessages(attributes.get("gen_ai.input.messages")), [
        { role: "user", parts: [{ type: "text", content: "SENTINEL" }] },
        {
          role: "assistant",
          parts: [
            { type: "reasoning", content: "SENTINEL" },
            { type: "tool_call", id: "call_1", name: "get_weather", arguments: { city: "SENTINEL" } }
          ]
        },
        { role: "tool", parts: [{ type: "tool_call_response", id: "call_1", response: "SENTINEL" }] }
      ])
      const [answer] = GenAi.outputMessages(attributes.get("gen_ai.output.messages"))
      assert.deepStrictEqual(
        answer?.parts.map((part) => (part.type === "tool_call" ? { ...part, id: "" } : part)),
        [
          { type: "reasoning", content: "SENTINEL" },
          { type: "tool_call", id: "", name: "get_weather", arguments: { city: "SENTINEL" } },
          { type: "tool_call", id: "", name: "get_weather", arguments: "SENTINEL" }
        ]
      )
    }).pipe(
      Effect.provideService(Capture.Current, { attributes: true, event: false, bytes: 4000, redact }),
      Effect.provide(against({ raw: raw + done() }))
    )
  )

  it.live("T22 are told apart from the tools that were offered, which are there where content is asked for", () =>
    Effect.gen(function* () {
      yield* chat(told)
      yield* Stream.runDrain(stream(told))
      yield* chat(ask("hi"))
      const [whole, streamed, without] = yield* named("llm.chat")
      for (const span of [whole, streamed]) {
        assert.deepStrictEqual(GenAi.toolDefinitions(span?.attributes.get("gen_ai.tool.definitions")), [
          {
            type: "function",
            name: "get_weather",
            description: "The weather of a city",
            parameters: weather.parameters
          }
        ])
        assert.deepStrictEqual(
          eventsOf(span!).find(({ name }) => name === Capture.eventName)?.attributes["gen_ai.tool.definitions"],
          span?.attributes.get("gen_ai.tool.definitions")
        )
      }
      assert.notProperty(Object.fromEntries(without!.attributes), "gen_ai.tool.definitions")
    }).pipe(
      Effect.provideService(Capture.Current, { attributes: true, event: true, bytes: 4000, redact }),
      Effect.provide(against({ raw: raw + done() }))
    )
  )
})

describe("Ollama.layerTest", () => {
  it.effect("answers with thoughts and tool calls, and hears what it was told", () =>
    Effect.gen(function* () {
      const first = yield* chat()
      assert.deepStrictEqual(asked(first), [["get_weather", { city: "Rome" }]])
      assert.strictEqual(first.thinking, "hm hm")
      const [rome] = first.toolCalls
      const second = yield* chat(
        withTools("", {
          messages: [{ role: "user", content: "hi" }, Ollama.assistantMessage(first), Ollama.toolResult(rome!, "18 °C")]
        })
      )
      assert.strictEqual(second.text, `get_weather ${rome?.id} get_weather ${rome?.id} 18 °C, hm hm`)
    }).pipe(
      Effect.provide(
        Ollama.Ollama.layerTest(({ messages, tools }) => {
          const [, assistant, result] = messages
          return result === undefined
            ? { thinking: "hm hm", toolCalls: [{ name: tools?.[0]?.name ?? "", arguments: { city: "Rome" } }] }
            : `${assistant?.toolCalls?.[0]?.name} ${assistant?.toolCalls?.[0]?.id} ${result.toolName} ${result.toolCallId} ${result.content}, ${assistant?.thinking}`
        })
      )
    )
  )
})
