// Spans of tools and of failed model calls, as an exporter gets them.
import { assert, describe, it } from "@effect/vitest"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { ConfigProvider, Effect, Exit, Layer, Schema, Stream } from "effect"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import * as Ollama from "../src/Ollama.ts"
import * as OllamaLanguageModel from "../src/OllamaLanguageModel.ts"
import * as Telemetry from "../src/Telemetry.ts"

class Closed extends Schema.TaggedError<Closed>()("Closed", { why: Schema.String }) {
  override get message() {
    return `closed: ${this.why}`
  }
}
const Open = Tool.make("open", {
  parameters: Schema.Struct({
    door: Schema.Int,
    key: Schema.optionalKey(Schema.String),
    more: Schema.optionalKey(Schema.Record(Schema.String, Schema.Int))
  }),
  success: Schema.Struct({ room: Schema.String }),
  failure: Closed
})
const toolkit = Toolkit.make(Open)
const handlers = toolkit.toLayer({
  open: ({ door }) =>
    door === 0
      ? Effect.fail(new Closed({ why: "rain" }))
      : Effect.succeed({ room: door === 2 ? "r".repeat(5000) : "CANARY_RESULT" })
})

const calls = (args: unknown): Ollama.TestAnswer => ({ toolCalls: [{ name: "open", arguments: args }] })

/** What an exporter gets of a program with a model that answers so. */
const record = (
  answer: Ollama.TestAnswer | Ollama.OllamaError,
  program: Effect.Effect<unknown, unknown, LanguageModel.LanguageModel | Tool.HandlersFor<typeof toolkit.tools>>,
  options: Telemetry.ProgramOptions = {}
) =>
  Effect.suspend(() => {
    const exporter = new InMemorySpanExporter()
    const model = OllamaLanguageModel.model("m").pipe(
      Layer.provide(
        Ollama.Ollama.layerTest(() => (answer instanceof Ollama.OllamaError ? Effect.fail(answer) : answer))
      )
    )
    return Effect.exit(program).pipe(
      Effect.map((exit) => ({ exit, spans: exporter.getFinishedSpans() })),
      Effect.provide(
        Layer.mergeAll(
          model,
          handlers,
          Telemetry.layerProcessor(new SimpleSpanProcessor(exporter), options).pipe(
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({})))
          )
        )
      )
    )
  })

const generate = LanguageModel.generateText({ prompt: "x", toolkit })
const stream = Stream.runDrain(LanguageModel.streamText({ prompt: "x", toolkit }))

const textOf = ({ attributes, events, name, status }: ReadableSpan) =>
  JSON.stringify({ attributes, events, name, status })

/** The names of spans, each with how it failed; `!` marks where the error is recorded. */
const failures = (spans: ReadonlyArray<ReadableSpan>) =>
  spans.map(
    ({ attributes, events, name }) =>
      `${name}: ${String(attributes["error.type"])}${events.some((event) => event.name === "exception") ? "!" : ""}`
  )

describe("what fails", () => {
  it.effect("is recorded once, by the type of the client's error", () =>
    Effect.gen(function* () {
      const reason = new Ollama.ModelNotFound({ model: "m", url: "http://ollama.test", status: 404, text: "no" })
      for (const [program, name] of [
        [generate, "LanguageModel.generateText"],
        [stream, "LanguageModel.streamText"]
      ] as const) {
        const { spans } = yield* record(new Ollama.OllamaError({ reason }), Effect.withSpan(program, "program"))
        assert.deepStrictEqual(failures(spans), ["llm.chat: 404!", `${name}: 404`, "program: 404"])
      }
    })
  )

  it.effect("in a tool is recorded at the tool", () =>
    Effect.gen(function* () {
      const { exit, spans } = yield* record(calls({ door: 0 }), generate)
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(failures(spans), [
        "llm.chat: undefined",
        "execute_tool open: Closed!",
        "LanguageModel.generateText: Closed"
      ])
      assert.strictEqual(spans[1]?.status.message, "closed: rain")
    })
  )

  it.effect("quotes nothing of what a model wrote", () =>
    Effect.gen(function* () {
      const wrong = yield* record(calls({ door: 1, more: { CANARY: "x" } }), generate)
      assert.deepStrictEqual(failures(wrong.spans), [
        "llm.chat: undefined",
        "execute_tool open: ToolParameterValidationError!",
        "LanguageModel.generateText: ToolParameterValidationError"
      ])
      // What the caller gets says it all.
      assert.include(String(Exit.isFailure(wrong.exit) ? wrong.exit.cause : ""), "CANARY")

      const City = Schema.Struct({ years: Schema.Record(Schema.String, Schema.Int) })
      const malformed = yield* record(
        `{"years":{"CANARY":"x"}}`,
        LanguageModel.generateObject({ prompt: "x", schema: City })
      )
      assert.deepStrictEqual(failures(malformed.spans), [
        "llm.chat: undefined",
        "LanguageModel.generateObject: StructuredOutputError!"
      ])
      assert.include(String(Exit.isFailure(malformed.exit) ? malformed.exit.cause : ""), "CANARY")
      for (const span of [...wrong.spans, ...malformed.spans]) {
        assert.notInclude(textOf(span), "CANARY")
      }
      const [event] = malformed.spans[1]?.events ?? []
      assert.strictEqual(
        event?.attributes?.["exception.message"],
        "LanguageModel.generateObject: StructuredOutputError (what it quotes is left out)"
      )
      assert.match(String(event?.attributes?.["exception.stacktrace"]), /\n {4}at /)
    })
  )
})

describe("content of tool calls", () => {
  it.effect("is in no span by default", () =>
    Effect.gen(function* () {
      for (const program of [generate, stream]) {
        const { spans } = yield* record(calls({ door: 1, key: "CANARY_ARGUMENT" }), program)
        assert.include(
          spans.map(({ name }) => name),
          "execute_tool open"
        )
        for (const span of spans) {
          assert.notInclude(textOf(span), "CANARY", span.name)
        }
      }
    })
  )

  it.effect("is on the tool's span when content is captured, as JSON without secrets", () =>
    Effect.gen(function* () {
      const { spans } = yield* record(calls({ door: 1, key: "Bearer sk-abcdefghijklmnopqrstuvwx" }), generate, {
        captureContent: "SPAN_ONLY"
      })
      const tool = spans.find(({ name }) => name === "execute_tool open")
      assert.deepStrictEqual(JSON.parse(String(tool?.attributes["gen_ai.tool.call.arguments"])), {
        door: 1,
        key: "Bearer __REDACTED__"
      })
      assert.strictEqual(tool?.attributes["gen_ai.tool.call.result"], `{"room":"CANARY_RESULT"}`)
      const other = spans.find(({ name }) => name === "LanguageModel.generateText")
      assert.notProperty(other?.attributes, "parameters")
      assert.notProperty(other?.attributes, "tool")
    })
  )

  it.effect("hides the whole of what it calls a secret", () =>
    Effect.gen(function* () {
      const { spans } = yield* record(calls({ door: 1, key: "a", password: { old: ["CANARY"] } }), generate, {
        captureContent: "SPAN_ONLY"
      })
      const all = JSON.stringify(spans.map(textOf))
      assert.include(all, "__REDACTED__")
      assert.notInclude(all.replaceAll("CANARY_RESULT", ""), "CANARY")
    })
  )

  it.effect("is a text where it is no JSON without its secrets", () =>
    Effect.gen(function* () {
      const { spans } = yield* record(calls({ door: 1 }), generate, {
        captureContent: "SPAN_ONLY",
        redact: [/"door":1/]
      })
      const tool = spans.find(({ name }) => name === "execute_tool open")
      assert.strictEqual(JSON.parse(String(tool?.attributes["gen_ai.tool.call.arguments"])), "{__REDACTED__}")
    })
  )

  it.effect("is cut to its budget and stays JSON", () =>
    Effect.gen(function* () {
      const { spans } = yield* record(calls({ door: 2 }), generate, { captureContent: "SPAN_ONLY" })
      const tool = spans.find(({ name }) => name === "execute_tool open")
      const result = String(tool?.attributes["gen_ai.tool.call.result"])
      assert.isAtMost(result.length, 2000)
      assert.match(String(JSON.parse(result)), /^\{"room":"rrr+…$/)
    })
  )
})
