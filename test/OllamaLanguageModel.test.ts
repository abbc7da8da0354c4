import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, ExecutionPlan, Fiber, Layer, Option, Ref, Schema, Stream } from "effect"
import { AiError, Chat, LanguageModel, Model, Prompt, type Response, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Ollama from "../src/Ollama.ts"
import * as OllamaLanguageModel from "../src/OllamaLanguageModel.ts"
import { against } from "./support/Double.ts"
import { eventsOf, named, only, parentName, Spans, tree } from "./support/Spans.ts"

/** A model that answers one after the other, and the requests it got. */
const scripted = (...answers: ReadonlyArray<Ollama.TestAnswer | Ollama.OllamaError>) => {
  const requests: Array<Ollama.ChatRequest> = []
  const layer = Ollama.Ollama.layerTest((request) => {
    const answer = answers[requests.push(request) - 1] ?? "out of answers"
    return answer instanceof Ollama.OllamaError ? Effect.fail(answer) : answer
  })
  return { requests, ollama: layer, model: OllamaLanguageModel.model("m").pipe(Layer.provide(layer)) }
}

const GetWeather = Tool.make("get_weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String.annotate({ description: "Its name" }) }),
  success: Schema.Struct({ degrees: Schema.Finite })
})
const weather = Toolkit.make(GetWeather)
const sunny = weather.toLayer({ get_weather: () => Effect.succeed({ degrees: 21 }) })

const asks = (city: string): Ollama.TestAnswer => ({
  toolCalls: [{ name: "get_weather", arguments: { city } }]
})

const missing = new Ollama.OllamaError({
  reason: new Ollama.ModelNotFound({ model: "a", url: "http://ollama.test", status: 404, text: "not found" })
})

/** All that a span holds, as text. */
const textOf = (span: { readonly attributes: ReadonlyMap<string, unknown>; readonly events: ReadonlyArray<unknown> }) =>
  JSON.stringify([[...span.attributes], span.events], (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value
  )

describe("generateText", () => {
  it.effect(
    "sends the whole conversation with the options of the model, and gives text, thoughts, usage and reason",
    () => {
      const { model, requests } = scripted({ text: "It is four", thinking: "two and two" })
      return Effect.gen(function* () {
        const answer = yield* LanguageModel.generateText({
          prompt: [
            { role: "system", content: "Be brief." },
            {
              role: "user",
              content: [
                { type: "text", text: "What is" },
                { type: "text", text: "2 + 2?" }
              ]
            },
            {
              role: "assistant",
              content: [
                { type: "reasoning", text: "hm" },
                { type: "text", text: "3" }
              ]
            },
            { role: "user", content: "No." }
          ]
        })
        assert.strictEqual(answer.text, "It is four")
        assert.strictEqual(answer.reasoningText, "two and two")
        assert.strictEqual(answer.finishReason, "stop")
        // One token for each word, in the test's model.
        assert.strictEqual(answer.usage.inputTokens.total, 9)
        assert.strictEqual(answer.usage.outputTokens.total, 6)
        assert.isUndefined(answer.usage.outputTokens.reasoning)
        assert.isUndefined(answer.usage.inputTokens.cacheRead)
        assert.deepStrictEqual(requests[0]?.messages, [
          { role: "system", content: "Be brief." },
          { role: "user", content: "What is\n2 + 2?" },
          { role: "assistant", content: "3", thinking: "hm" },
          { role: "user", content: "No." }
        ])
        assert.strictEqual(requests[0]?.model, "m")
        assert.isUndefined(requests[0]?.tools)
        assert.isUndefined(requests[0]?.format)
      }).pipe(Effect.provide(model))
    }
  )

  it.effect("takes options from the layer, and others for a part of a program", () => {
    const { ollama, requests } = scripted("a", "b")
    const ask = LanguageModel.generateText({ prompt: "x" })
    return Effect.gen(function* () {
      yield* ask
      yield* ask.pipe(OllamaLanguageModel.withOptions({ temperature: 1, seed: 7 }))
      yield* LanguageModel.streamText({ prompt: "x" }).pipe(
        Stream.provideService(OllamaLanguageModel.CurrentOptions, { seed: 8 }),
        Stream.runDrain
      )
      assert.deepStrictEqual(
        requests.map(({ maxTokens, seed, temperature }) => ({ maxTokens, seed, temperature })),
        [
          { maxTokens: 50, seed: undefined, temperature: 0 },
          { maxTokens: 50, seed: 7, temperature: 1 },
          { maxTokens: 50, seed: 8, temperature: 0 }
        ]
      )
      assert.strictEqual(yield* Model.ModelName, "m")
      assert.strictEqual(yield* Model.ProviderName, "ollama")
    }).pipe(
      Effect.provide(OllamaLanguageModel.model("m", { temperature: 0, maxTokens: 50 }).pipe(Layer.provide(ollama)))
    )
  })

  it.live("leaves out counts that the server did not give", () =>
    Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({ prompt: "x" })
      assert.strictEqual(answer.text, "hi")
      assert.isUndefined(answer.usage.inputTokens.total)
      assert.isUndefined(answer.usage.outputTokens.total)
      assert.strictEqual(answer.finishReason, "other")
    }).pipe(
      Effect.provide(
        OllamaLanguageModel.layer({ model: "m" }).pipe(
          Layer.provide(
            against({
              text: "hi",
              doneReason: "weird",
              metrics: { prompt_eval_count: undefined, eval_count: undefined }
            })
          )
        )
      )
    )
  )

  it.live.each([
    ["stop", "stop"],
    ["length", "length"],
    [null, "unknown"]
  ] as const)("says %s as %s", ([doneReason, reason]) =>
    Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({ prompt: "x" })
      assert.strictEqual(answer.finishReason, reason)
    }).pipe(
      Effect.provide(OllamaLanguageModel.layer({ model: "m" }).pipe(Layer.provide(against({ text: "hi", doneReason }))))
    )
  )

  it.effect("sends images, as bytes, base64 and data URL", () => {
    const { model, requests } = scripted("a cat")
    const bytes = new Uint8Array([1, 2, 3])
    return Effect.gen(function* () {
      yield* LanguageModel.generateText({
        prompt: Prompt.fromMessages([
          Prompt.userMessage({
            content: [
              Prompt.textPart({ text: "What is it?" }),
              Prompt.filePart({ mediaType: "image/png", data: bytes }),
              Prompt.filePart({ mediaType: "image/png", data: "AQID" }),
              Prompt.filePart({ mediaType: "image/png", data: new URL("data:image/png;base64,AQID") })
            ]
          })
        ])
      })
      assert.deepStrictEqual(requests[0]?.messages[0], {
        role: "user",
        content: "What is it?",
        images: ["AQID", "AQID", "AQID"]
      })
    }).pipe(Effect.provide(model))
  })

  it.effect("says what Ollama cannot do, and sends nothing", () => {
    const { model, requests } = scripted()
    const file = (mediaType: string, data: string | URL) =>
      LanguageModel.generateText({
        prompt: Prompt.fromMessages([Prompt.userMessage({ content: [Prompt.filePart({ mediaType, data })] })])
      })
    const withTool = (toolChoice: LanguageModel.ToolChoice<"get_weather">) =>
      LanguageModel.generateText({ prompt: "x", toolkit: weather, toolChoice })
    const Search = Tool.providerDefined({
      id: "other.search",
      customName: "search",
      providerName: "search",
      parameters: Schema.Struct({}),
      args: Schema.Struct({}),
      success: Schema.String
    })
    return Effect.gen(function* () {
      for (const [effect, text] of [
        [file("application/pdf", "JVBERg=="), `no files of type "application/pdf"`],
        [file("image/png", new URL("https://example.com/cat.png")), "does not fetch images"],
        [withTool("required"), "cannot make a model call a tool"],
        [withTool({ tool: "get_weather" }), "cannot make a model call a tool"],
        [withTool({ mode: "required", oneOf: ["get_weather"] }), "cannot make a model call a tool"],
        [LanguageModel.generateText({ prompt: "x", toolkit: Toolkit.make(Search({})) }), "another provider runs"],
        [
          LanguageModel.generateObject({ prompt: "x", toolkit: weather, schema: Schema.Struct({ a: Schema.String }) }),
          "not both at once"
        ]
      ] as ReadonlyArray<readonly [Effect.Effect<unknown, AiError.AiError, LanguageModel.LanguageModel>, string]>) {
        const error = yield* Effect.flip(effect)
        assert.strictEqual(error.reason._tag, "InvalidRequestError")
        assert.include(error.message, text)
        assert.isFalse(error.isRetryable)
      }
      assert.isEmpty(requests)
    }).pipe(Effect.provide([model, sunny]))
  })

  it.effect("offers no tools when none may be called, and only those that may", () => {
    const { model, requests } = scripted("a", "b")
    const Other = Tool.make("other", {})
    const both = Toolkit.make(GetWeather, Other)
    return Effect.gen(function* () {
      yield* LanguageModel.generateText({ prompt: "x", toolkit: weather, toolChoice: "none" })
      yield* LanguageModel.generateText({ prompt: "x", toolkit: both, toolChoice: { oneOf: ["other"] } })
      assert.isUndefined(requests[0]?.tools)
      assert.deepStrictEqual(
        requests[1]?.tools?.map(({ name }) => name),
        ["other"]
      )
    }).pipe(
      Effect.provide([
        model,
        both.toLayer({ get_weather: () => Effect.succeed({ degrees: 1 }), other: () => Effect.void })
      ])
    )
  })
})

describe("errors", () => {
  const text = "what the server wrote"
  const at = { url: "http://ollama.test", status: 500, text }
  const of = { model: "m", status: 500, text }
  const reasons: ReadonlyArray<readonly [Ollama.Reason, AiError.AiErrorReason["_tag"]]> = [
    [new Ollama.Unreachable({ url: at.url, code: "ECONNREFUSED" }), "NetworkError"],
    [new Ollama.Unreachable({ url: at.url, code: "ECONNRESET" }), "NetworkError"],
    [new Ollama.ModelNotFound({ ...of, url: at.url }), "InvalidRequestError"],
    [new Ollama.Busy({ status: 503, text }), "RateLimitError"],
    [new Ollama.Busy({ status: 429, text, retryAfterMillis: 7000 }), "RateLimitError"],
    [new Ollama.Timeout({ url: at.url, phase: "connect", millis: 1, partial: "" }), "NetworkError"],
    [new Ollama.Timeout({ url: at.url, phase: "idle", millis: 1, partial: "p" }), "InternalProviderError"],
    [new Ollama.InvalidRequest({ status: 400, text }), "InvalidRequestError"],
    [new Ollama.Unsupported({ ...of, capability: "tools" }), "InvalidRequestError"],
    [new Ollama.ContextExceeded({ status: 400, text }), "InvalidRequestError"],
    [new Ollama.OutOfMemory(of), "InternalProviderError"],
    [new Ollama.RunnerFailed(of), "InternalProviderError"],
    [new Ollama.Unauthorized(at), "AuthenticationError"],
    [new Ollama.Forbidden(at), "AuthenticationError"],
    [new Ollama.RemoteRefused({ name: "m:cloud" }), "InvalidRequestError"],
    [new Ollama.WrongUrl(at), "InvalidResponseError"],
    [new Ollama.ServerFailed(at), "InternalProviderError"],
    [new Ollama.ServerFailed({ ...at, status: 502 }), "InternalProviderError"],
    [new Ollama.StreamError({ ...of, partial: "p" }), "InternalProviderError"],
    [new Ollama.StreamInterrupted({ ...of, partial: "" }), "InternalProviderError"],
    [new Ollama.PullFailed({ ...of, text: "" }), "InternalProviderError"],
    [new Ollama.CreateFailed(of), "InternalProviderError"],
    [new Ollama.EmbeddingInvalid({ ...of, problem: "one of them is empty" }), "InvalidResponseError"],
    [
      new Ollama.AnswerInvalid({ model: "m", truncated: true, answerLength: 1, text, issue: "" }),
      "InvalidResponseError"
    ],
    [new Ollama.Malformed({ url: at.url, problem: "no JSON", excerpt: "e" }), "InvalidResponseError"]
  ]

  it.effect("keep the original as cause, and are retryable when it is", () =>
    Effect.gen(function* () {
      const tags = new Set(reasons.map(([reason]) => reason._tag))
      assert.sameMembers(
        [...tags],
        Ollama.OllamaError.fields.reason.members.map((reason) => reason.fields._tag.schema.literal)
      )
      for (const [reason, tag] of reasons) {
        const original = new Ollama.OllamaError({ reason })
        // The client tries again by itself what it takes for retryable: here it is the one that fails.
        const failing = Layer.succeed(
          Ollama.Ollama,
          Ollama.Ollama.of({
            ...(yield* Ollama.Ollama),
            chat: () => Effect.fail(original),
            stream: () => Stream.fail(original)
          })
        )
        const model = OllamaLanguageModel.layer({ model: "m" }).pipe(Layer.provide(failing))
        const [error, streamed] = yield* Effect.all([
          Effect.flip(LanguageModel.generateText({ prompt: "x" })),
          Effect.flip(Stream.runDrain(LanguageModel.streamText({ prompt: "x" })))
        ]).pipe(Effect.provide(model))
        for (const failed of [error, streamed]) {
          assert.strictEqual(failed._tag, "AiError")
          assert.strictEqual(failed.reason._tag, tag, reason._tag)
          assert.strictEqual((failed.cause as Error).cause, original, reason._tag)
          assert.strictEqual(failed.isRetryable, original.isRetryable, reason._tag)
          assert.notInclude(failed.message, text)
        }
        if (reason._tag === "Busy" && reason.retryAfterMillis !== undefined) {
          assert.deepStrictEqual(error.retryAfter, Duration.seconds(7))
        }
        if (tag !== "RateLimitError" && reason._tag !== "StreamInterrupted") {
          assert.include(error.message, original.message)
        }
      }
    }).pipe(Effect.provide(scripted().ollama))
  )
})

describe("streamText", () => {
  const parts = (stream: Stream.Stream<Response.AnyPart, AiError.AiError, LanguageModel.LanguageModel>) =>
    Effect.map(Stream.runCollect(stream), (parts) =>
      parts.map((part) =>
        part.type === "text-delta" || part.type === "reasoning-delta"
          ? `${part.type}:${part.id}:${part.delta}`
          : "id" in part && part.id !== undefined
            ? `${part.type}:${part.id}`
            : part.type
      )
    )

  it.effect("gives thoughts and text in blocks, and ends with usage and reason", () => {
    const { model } = scripted({ thinking: "hm hm", text: "one two" })
    return Effect.gen(function* () {
      const seen = yield* parts(LanguageModel.streamText({ prompt: "x" }))
      assert.deepStrictEqual(seen, [
        "reasoning-start:reasoning-1",
        "reasoning-delta:reasoning-1:hm ",
        "reasoning-delta:reasoning-1:hm",
        "reasoning-end:reasoning-1",
        "text-start:text-2",
        "text-delta:text-2:one ",
        "text-delta:text-2:two",
        "text-end:text-2",
        "response-metadata",
        "finish"
      ])
    }).pipe(Effect.provide(model))
  })

  it.effect("has the model call and the tools below its span, and nothing of it at its consumer", () => {
    const { model } = scripted(asks("Oslo"))
    return Effect.gen(function* () {
      yield* LanguageModel.streamText({ prompt: "x", toolkit: weather }).pipe(
        Stream.tap(() => Effect.withSpan(Effect.void, "consumer")),
        Stream.take(1),
        Stream.runDrain,
        Effect.withSpan("program")
      )
      yield* LanguageModel.streamText({ prompt: "x", toolkit: weather }).pipe(Stream.runDrain, Effect.withSpan("all"))
    }).pipe(
      Effect.andThen(
        Effect.gen(function* () {
          const [first, second] = yield* named("program").pipe(Effect.zip(named("all")))
          assert.isDefined(first[0])
          assert.isDefined(second[0])
          const lines = yield* tree
          assert.deepStrictEqual(lines.slice(lines.indexOf("all")), [
            "all",
            "  LanguageModel.streamText",
            "    llm.chat"
          ])
          for (const span of yield* named("consumer")) {
            assert.strictEqual(parentName(span), "program")
          }
          for (const span of yield* named("llm.chat")) {
            assert.strictEqual(parentName(span), "LanguageModel.streamText")
          }
        })
      ),
      Effect.provide([model, sunny, Spans.layer])
    )
  })

  it.effect("runs tools below its span", () => {
    const { model } = scripted(asks("Oslo"))
    return Effect.gen(function* () {
      yield* LanguageModel.streamText({ prompt: "x", toolkit: weather }).pipe(Stream.runDrain, Effect.withSpan("all"))
      assert.deepStrictEqual(yield* tree, [
        "all",
        "  LanguageModel.streamText",
        "    llm.chat",
        "    execute_tool get_weather",
        "      lookup"
      ])
      assert.notInclude(textOf(yield* only("all")), "Oslo")
      assert.notInclude(textOf(yield* only("LanguageModel.streamText")), "Oslo")
    }).pipe(
      Effect.provide([
        model,
        weather.toLayer({
          get_weather: () => Effect.succeed({ degrees: 1 }).pipe(Effect.withSpan("lookup"))
        }),
        Spans.layer
      ])
    )
  })
})

describe("generateObject", () => {
  const City = Schema.Struct({ name: Schema.String, founded: Schema.optionalKey(Schema.Date) })

  it.effect("holds the model to the schema's JSON Schema, and decodes its canonical JSON", () => {
    const { model, requests } = scripted(`{"name":"Oslo","founded":"1040-01-01T00:00:00.000Z"}`, `{"name":"Rome"}`)
    const ask = LanguageModel.generateObject({ prompt: "x", schema: City })
    return Effect.gen(function* () {
      const oslo = yield* ask
      assert.strictEqual(oslo.value.founded?.getUTCFullYear(), 1040)
      assert.deepStrictEqual((yield* ask).value, { name: "Rome" })
      assert.nestedInclude(requests[0]?.format, {
        type: "object",
        "properties.founded.type": "string",
        "required[0]": "name",
        "required.length": 1,
        additionalProperties: false
      })
    }).pipe(Effect.provide(model))
  })

  it.effect("tells an answer that does not fit", () => {
    const { model } = scripted(`{"name":5}`)
    return Effect.gen(function* () {
      const error = yield* Effect.flip(LanguageModel.generateObject({ prompt: "x", schema: City }))
      assert.strictEqual(error.reason._tag, "StructuredOutputError")
    }).pipe(Effect.provide(model))
  })

  it.live("tells an answer that was cut off", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(LanguageModel.generateObject({ prompt: "x", schema: City }))
      assert.strictEqual(error.reason._tag, "StructuredOutputError")
      assert.include(error.message, "cut off after 11 characters. Raise maxTokens")
    }).pipe(
      Effect.provide(
        OllamaLanguageModel.layer({ model: "m" }).pipe(
          Layer.provide(against({ text: `{"name":"Os`, doneReason: "length" }))
        )
      )
    )
  )
})

describe("tools", () => {
  it.effect("are offered with their JSON Schema, and called once for each call", () => {
    const { model, requests } = scripted({
      toolCalls: [
        { name: "get_weather", arguments: { city: "Oslo" } },
        { name: "get_weather", arguments: { city: "Oslo" } }
      ]
    })
    return Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({ prompt: "x", toolkit: weather })
      assert.strictEqual(answer.finishReason, "tool-calls")
      assert.deepStrictEqual(
        answer.toolResults.map(({ result }) => result),
        [{ degrees: 21 }, { degrees: 21 }]
      )
      assert.strictEqual(new Set(answer.toolResults.map(({ id }) => id)).size, 2)
      assert.deepStrictEqual(requests[0]?.tools, [
        {
          name: "get_weather",
          description: "The weather of a city",
          parameters: {
            type: "object",
            properties: { city: { type: "string", description: "Its name" } },
            required: ["city"],
            additionalProperties: false
          }
        }
      ])
    }).pipe(Effect.provide([model, sunny]))
  })

  for (const way of ["generateText", "streamText"] as const) {
    it.effect(`give their results in the order of the calls, whichever comes first (${way})`, () => {
      const Wait = Tool.make("wait", { parameters: Schema.Struct({ ms: Schema.Finite }), success: Schema.String })
      const toolkit = Toolkit.make(Wait)
      const waits = toolkit.toLayer({ wait: ({ ms }) => Effect.as(Effect.sleep(ms), `waited ${ms}`) })
      const { model, requests } = scripted(
        { toolCalls: [50, 1, 20].map((ms) => ({ name: "wait", arguments: { ms } })) },
        "done"
      )
      return Effect.gen(function* () {
        const chat = yield* Chat.empty
        const options = { prompt: "x", toolkit, concurrency: "unbounded" } as const
        const first = yield* Effect.forkChild(
          way === "generateText" ? chat.generateText(options) : Stream.runDrain(chat.streamText(options))
        )
        for (const _ of [0, 1, 2]) {
          yield* TestClock.adjust("50 millis")
        }
        yield* Fiber.join(first)
        yield* chat.generateText({ prompt: [], toolkit })
        const [, asked, ...results] = requests[1]?.messages ?? []
        assert.deepStrictEqual(
          results.map(({ content, toolCallId }) => [content, toolCallId]),
          [50, 1, 20].map((ms, index) => [`waited ${ms}`, asked?.toolCalls?.[index]?.id])
        )
      }).pipe(Effect.provide([model, waits]))
    })
  }

  it.effect("go on for several rounds in a Chat: each call and its result go back to the model", () => {
    const { model, requests } = scripted(asks("Oslo"), asks("Rome"), "Rome is warmer")
    return Effect.gen(function* () {
      const chat = yield* Chat.empty
      let answer = yield* chat.generateText({ prompt: "Which is warmer?", toolkit: weather })
      let rounds = 1
      while (answer.finishReason === "tool-calls") {
        rounds++
        answer = yield* chat.generateText({ prompt: [], toolkit: weather })
      }
      assert.strictEqual(rounds, 3)
      assert.strictEqual(answer.text, "Rome is warmer")
      const [user, first, result, second] = requests[2]?.messages ?? []
      assert.deepStrictEqual(user, { role: "user", content: "Which is warmer?" })
      assert.deepStrictEqual(first?.toolCalls?.[0]?.arguments, { city: "Oslo" })
      assert.deepStrictEqual(result, {
        role: "tool",
        content: `{"degrees":21}`,
        toolName: "get_weather",
        toolCallId: first?.toolCalls?.[0]?.id
      })
      assert.notStrictEqual(second?.toolCalls?.[0]?.id, first?.toolCalls?.[0]?.id)
      assert.lengthOf((yield* Ref.get(chat.history)).content, 6)
      assert.deepStrictEqual(yield* tree, [
        "Chat.generateText",
        "  LanguageModel.generateText",
        "    llm.chat",
        "    execute_tool get_weather",
        "Chat.generateText",
        "  LanguageModel.generateText",
        "    llm.chat",
        "    execute_tool get_weather",
        "Chat.generateText",
        "  LanguageModel.generateText",
        "    llm.chat"
      ])
    }).pipe(Effect.provide([model, sunny, Spans.layer]))
  })

  it.effect("are spans, without what they are called with and what they give", () => {
    const { model } = scripted(asks("CANARY"))
    return Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({ prompt: "x", toolkit: weather })
      const span = yield* only("execute_tool get_weather")
      assert.strictEqual(parentName(span), "LanguageModel.generateText")
      assert.strictEqual(span.kind, "internal")
      assert.deepStrictEqual(Object.fromEntries(span.attributes), {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.id": answer.toolCalls[0]?.id,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "The weather of a city",
        own: "seen",
        // Names of effect/ai, but set by the tool.
        parameters: 1
      })
      for (const recorded of (yield* Spans).all) {
        assert.notInclude(textOf(recorded), "CANARY", recorded.name)
      }
    }).pipe(
      Effect.provide([
        model,
        weather.toLayer({
          get_weather: ({ city }) =>
            Effect.as(Effect.annotateCurrentSpan({ own: "seen", parameters: 1 }), {
              degrees: city === "CANARY" ? 1 : 2
            })
        }),
        Spans.layer
      ])
    )
  })

  it.effect("that are not there are an error that says which are", () => {
    const { model } = scripted({ toolCalls: [{ name: "get_stocks", arguments: { secret: "CANARY" } }] })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "x", toolkit: weather }))
      assert.strictEqual(error.reason._tag, "ToolNotFoundError")
      assert.include(error.message, "get_weather")
      assert.notInclude(error.message, "CANARY")
    }).pipe(Effect.provide([model, sunny]))
  })

  it.effect("are left to the caller who says so, in the words of the model", () => {
    const { model } = scripted({ toolCalls: [{ name: "get_stocks", arguments: { of: 1 } }] })
    return Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({
        prompt: "x",
        toolkit: weather,
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      })
      assert.deepStrictEqual(
        answer.toolCalls.map(({ name, params }) => ({ name, params })),
        [{ name: "get_stocks" as never, params: { of: 1 } }]
      )
      assert.isEmpty(yield* named("execute_tool get_stocks"))
    }).pipe(Effect.provide([model, sunny, Spans.layer]))
  })

  it.effect("that fail are told to the model where they say so, and are failed spans all the same", () => {
    class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}
    const Open = Tool.make("open", { failure: Closed, failureMode: "return" })
    const toolkit = Toolkit.make(Open)
    const { model, requests } = scripted({ toolCalls: [{ name: "open", arguments: {} }] }, "It is closed")
    return Effect.gen(function* () {
      const chat = yield* Chat.empty
      yield* chat.generateText({ prompt: "x", toolkit })
      yield* chat.generateText({ prompt: [], toolkit })
      assert.strictEqual(requests[1]?.messages.at(-1)?.content, `Error: {"_tag":"Closed"}`)
      const span = yield* only("execute_tool open")
      assert.strictEqual(span.attributes.get("error.type"), "Closed")
      assert.deepStrictEqual(
        eventsOf(span).map(({ name }) => name),
        ["exception"]
      )
    }).pipe(Effect.provide([model, toolkit.toLayer({ open: () => Effect.fail(new Closed()) }), Spans.layer]))
  })

  it.live.each(["record", "records", "last"] as const)("come over the wire in one layout or another: %s", (layout) =>
    Effect.gen(function* () {
      for (const stream of [true, false]) {
        const content: ReadonlyArray<Response.AnyPart> = stream
          ? yield* Stream.runCollect(LanguageModel.streamText({ prompt: "x", toolkit: weather }))
          : (yield* LanguageModel.generateText({ prompt: "x", toolkit: weather })).content
        const results = content.filter((part) => part.type === "tool-result")
        assert.deepStrictEqual(
          results.map(({ result }) => result),
          [{ degrees: 21 }, { degrees: 21 }]
        )
        const finish = content.find((part) => part.type === "finish")
        assert.strictEqual(finish?.reason, "tool-calls")
      }
    }).pipe(
      Effect.provide([
        OllamaLanguageModel.layer({ model: "m" }).pipe(
          Layer.provide(
            against(
              {
                text: "",
                toolCalls: [
                  { name: "get_weather", arguments: { city: "Oslo" }, id: "same" },
                  { name: "get_weather", arguments: { city: "Oslo" }, id: "same" }
                ],
                toolCallsIn: layout
              },
              {},
              { capabilities: ["completion", "tools"] }
            )
          )
        ),
        sunny
      ])
    )
  )

  it.live("are refused by the server for a model that knows none", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "x", toolkit: weather }))
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
      assert.include(error.message, `Model "m" does not support tools`)
    }).pipe(
      Effect.provide([
        OllamaLanguageModel.layer({ model: "m" }).pipe(
          Layer.provide(against("hi", {}, { capabilities: ["completion"] }))
        ),
        sunny
      ])
    )
  )

  it.effect("that need approval run when it is given, and the model hears nothing of that", () => {
    const Fire = Tool.make("fire", { success: Schema.String, needsApproval: true })
    const toolkit = Toolkit.make(Fire)
    const { model, requests } = scripted({ toolCalls: [{ name: "fire", arguments: {} }] }, "done")
    return Effect.gen(function* () {
      const chat = yield* Chat.empty
      const asked = yield* chat.generateText({ prompt: "x", toolkit })
      const request = asked.content.find((part) => part.type === "tool-approval-request")
      assert.isEmpty(asked.toolResults)
      const answer = yield* chat.generateText({
        prompt: Prompt.fromMessages([
          Prompt.toolMessage({
            content: [Prompt.toolApprovalResponsePart({ approvalId: request?.approvalId ?? "", approved: true })]
          })
        ]),
        toolkit
      })
      assert.strictEqual(answer.text, "done")
      assert.deepStrictEqual(
        requests[1]?.messages.map(({ role }) => role),
        ["user", "assistant", "tool"]
      )
      assert.strictEqual(requests[1]?.messages.at(-1)?.content, "bang")
      assert.strictEqual(parentName(yield* only("execute_tool fire")), "LanguageModel.generateText")
    }).pipe(Effect.provide([model, toolkit.toLayer({ fire: () => Effect.succeed("bang") }), Spans.layer]))
  })
})

describe("usage", () => {
  it.effect("of a node that asks the language model is part of its run", () => {
    const { model } = scripted("one two", "three")
    const ask = Node.tool((prompt: string) =>
      Effect.gen(function* () {
        const { text } = yield* LanguageModel.generateText({ prompt })
        yield* Stream.runDrain(LanguageModel.streamText({ prompt }))
        return text
      })
    )
    return Effect.gen(function* () {
      const { output, usage } = yield* Graph.run(Graph.single("g", ask), "x y z")
      assert.deepStrictEqual({ output, usage }, { output: "one two", usage: { inputTokens: 6, outputTokens: 3 } })
    }).pipe(Effect.provide(model))
  })
})

describe("ExecutionPlan", () => {
  const { ollama, requests } = (() => {
    const requests: Array<string> = []
    return {
      requests,
      ollama: Ollama.Ollama.layerTest(({ model }) => {
        requests.push(model)
        return model === "a" ? Effect.fail(missing) : "from b"
      })
    }
  })()
  const plan = ExecutionPlan.make(
    { provide: OllamaLanguageModel.model("a") },
    { provide: OllamaLanguageModel.model("b") }
  )

  it.effect("falls back from one model to another", () =>
    Effect.gen(function* () {
      requests.length = 0
      const answer = yield* LanguageModel.generateText({ prompt: "x" }).pipe(Effect.withExecutionPlan(plan))
      assert.strictEqual(answer.text, "from b")
      assert.deepStrictEqual(requests, ["a", "b"])
    }).pipe(Effect.provide(ollama))
  )

  it.effect("falls back in a stream that has not begun", () =>
    Effect.gen(function* () {
      requests.length = 0
      const parts = yield* LanguageModel.streamText({ prompt: "x" }).pipe(
        Stream.withExecutionPlan(plan, { preventFallbackOnPartialStream: true }),
        Stream.runCollect
      )
      assert.strictEqual(parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join(""), "from b")
      assert.deepStrictEqual(requests, ["a", "b"])
      assert.isTrue(Option.isSome((yield* named("llm.chat"))[0]?.parent ?? Option.none()))
    }).pipe(Effect.provide([ollama, Spans.layer]))
  )
})
