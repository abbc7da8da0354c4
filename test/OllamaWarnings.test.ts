// What is said of calls that pass and still go wrong: prompts that were cut, and models that are loaded again.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Ollama from "../src/Ollama.ts"
import * as OllamaWarnings from "../src/OllamaWarnings.ts"
import { against, ask, requests } from "./support/Double.ts"
import { eventsOf, named, only } from "./support/Spans.ts"

const chat = (request = ask()) => Ollama.Ollama.use((ollama) => ollama.chat(request))
const stream = (request = ask()) => Stream.unwrap(Effect.map(Ollama.Ollama, (ollama) => ollama.stream(request)))

/** Collects what is logged, with its annotations. */
const logged = () => {
  const lines: Array<{ readonly message: string; readonly annotations: Record<string, unknown> }> = []
  const layer = Logger.layer([
    Logger.make((options) => {
      const { annotations, message } = Logger.formatStructured.log(options)
      lines.push({ message: String(message), annotations })
    })
  ])
  return { lines, layer }
}

describe("options that load a model again", () => {
  const node = (numCtx: number | undefined, model = "m") =>
    Node.model({ model, prompt: (text: string) => text, output: ({ text }) => text, numCtx })
  const graph = (...contexts: ReadonlyArray<number | undefined>) =>
    Graph.single("g", Node.parallel(Object.fromEntries(contexts.map((numCtx, index) => [`n${index}`, node(numCtx)]))))

  const warnings = (run: Effect.Effect<unknown, unknown, Ollama.Ollama>) => {
    const { layer, lines } = logged()
    return run.pipe(
      Effect.provide(Layer.merge(against("x", {}, { anyModel: true }), layer)),
      Effect.map(() => lines.filter(({ message }) => message.includes("loads it again")))
    )
  }

  it.live("trap 47 are warned of once a run, with what differs and where", () =>
    Effect.gen(function* () {
      const found = yield* warnings(Graph.run(graph(4096, 8192, 4096, 16_384), "hi"))
      assert.lengthOf(found, 1)
      assert.include(found[0]?.annotations, {
        "llm.model": "m",
        "node.id": "node.n1",
        "tinyllm.ollama.options": "num_ctx 4096 and 8192"
      })
      const twice = graph(4096, undefined)
      assert.lengthOf(yield* warnings(Effect.andThen(Graph.run(twice, "a"), Graph.run(twice, "b"))), 2)
    })
  )

  it.live("trap 47 are seen across sub-graphs and names of one model", () =>
    Effect.gen(function* () {
      const inner = Graph.toNode(Graph.single("inner", node(8192, "M:latest")))
      const both = Graph.single("outer", Node.parallel({ a: node(4096), b: inner }))
      const found = yield* warnings(Graph.run(both, "hi"))
      assert.lengthOf(found, 1)
    })
  )

  it.live("trap 47 are warned of before the first call, also where a run asks only one of the nodes", () =>
    Effect.gen(function* () {
      const either = Graph.make("g", {
        nodes: {
          choose: Node.branch((text: string) => (text === "a" ? Node.to("a", text) : Node.to("b", text))),
          a: node(4096),
          b: node(8192)
        },
        start: "choose",
        edges: { choose: { a: "a", b: "b" }, a: "end", b: "end" }
      })
      const found = yield* warnings(Graph.run(either, "a"))
      assert.lengthOf(found, 1)
      assert.deepInclude(found[0]?.annotations, { "node.id": "b" })
    })
  )

  it.live("trap 47 are none where they are the same, the models differ, or there is no run", () =>
    Effect.gen(function* () {
      assert.lengthOf(yield* warnings(Graph.run(graph(4096, 4096, 4096), "hi")), 0)
      assert.lengthOf(yield* warnings(Graph.run(graph(undefined, undefined), "hi")), 0)
      const two = Graph.single("g", Node.parallel({ a: node(4096, "a"), b: node(8192, "b") }))
      assert.lengthOf(yield* warnings(Graph.run(two, "hi")), 0)
      const alone = Effect.andThen(chat(ask("hi", { numCtx: 4096 })), chat(ask("hi", { numCtx: 8192 })))
      assert.lengthOf(yield* warnings(alone), 0)
    })
  )
})

describe("a prompt that was probably cut", () => {
  it("is one of the length that Ollama cuts to", () => {
    for (const [tokens, numCtx, numKeep, cut] of [
      [2050, 4096, undefined, true],
      [2051, 4096, undefined, true],
      [2049, 4096, undefined, false],
      [2052, 4096, undefined, false],
      [16_386, 32_768, undefined, true],
      [16_387, 32_768, undefined, true],
      [2098, 4096, 100, true],
      [2050, 4096, 100, false],
      [2048, 4096, 0, true],
      [4096, 4096, 5000, false],
      [2047, 4096, -1, false],
      [2048, 4096, -1, false]
    ] as const) {
      assert.strictEqual(OllamaWarnings.isCut(tokens, numCtx, numKeep), cut, `${tokens} of ${numCtx}, ${numKeep} kept`)
    }
  })

  const message = 'A prompt was probably cut to fit the context: shorten it, or raise "numCtx"'
  const facts = { "llm.input_tokens": 2050, "tinyllm.ollama.num_ctx": 4096 }
  const reply = (tokens: number) => ({ text: "x", metrics: { prompt_eval_count: tokens } })

  for (const [way, call] of [
    ["chat", chat(ask("hi", { numCtx: 4096 }))],
    ["stream", Stream.runDrain(stream(ask("hi", { numCtx: 4096 })))]
  ] as const) {
    it.live(`is an event of the call and a line of the log (${way})`, () => {
      const { layer, lines } = logged()
      return Effect.gen(function* () {
        yield* call
        const events = eventsOf(yield* only("llm.chat")).filter(({ name }) => name === "llm.prompt_truncated")
        assert.deepStrictEqual(events, [{ name: "llm.prompt_truncated", attributes: facts }])
        const line = lines.find((line) => line.message === message)
        assert.deepStrictEqual(line?.annotations, { "llm.model": "m", ...facts })
        assert.lengthOf(yield* requests, 1)
      }).pipe(Effect.provide(Layer.merge(against(reply(2050)), layer)))
    })
  }

  it.live("is none of another length, of no known length, or of a context that is not known", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      yield* chat(ask("1", { numCtx: 4096 }))
      yield* chat(ask("2", { numCtx: 4096 }))
      yield* chat(ask("3"))
      for (const span of yield* named("llm.chat")) {
        assert.notInclude(
          eventsOf(span).map(({ name }) => name),
          "llm.prompt_truncated"
        )
      }
      assert.deepStrictEqual(lines, [])
      assert.lengthOf(yield* requests, 3)
    }).pipe(
      Effect.provide(
        Layer.merge(
          against(({ messages }) => {
            const asked = messages[0]?.content
            return {
              text: "x",
              metrics: { prompt_eval_count: asked === "1" ? 2049 : asked === "2" ? undefined : 2050 }
            }
          }),
          layer
        )
      )
    )
  })

  it.live("asks for the context where the server may cut and the length is suspicious, and only there", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      yield* chat(ask("1", { truncate: true }))
      yield* chat(ask("2", { truncate: true }))
      yield* chat(ask("3", { truncate: true }))
      assert.deepStrictEqual(
        (yield* requests).map(({ path }) => path),
        ["/api/chat", "/api/ps", "/api/chat", "/api/chat", "/api/ps"]
      )
      assert.deepStrictEqual(
        lines.map(({ annotations }) => annotations),
        [{ "llm.model": "m", ...facts }]
      )
    }).pipe(
      Effect.provide(
        Layer.merge(
          against(({ messages }) => reply({ "1": 2050, "2": 2049, "3": 16_386 }[messages[0]?.content ?? ""] ?? 0)),
          layer
        )
      )
    )
  })

  it.live("is seen where the server took less than was asked for, which is what the model was trained for", () =>
    Effect.gen(function* () {
      yield* chat(ask("hi", { truncate: true, numCtx: 8192 }))
      const events = eventsOf(yield* only("llm.chat")).filter(({ name }) => name === "llm.prompt_truncated")
      assert.deepStrictEqual(events, [{ name: "llm.prompt_truncated", attributes: facts }])
    }).pipe(
      Effect.provide(
        against(
          reply(2050),
          {},
          { paths: { "GET /api/ps": { raw: `{"models":[{"name":"m","context_length":4096}]}` } } }
        )
      )
    )
  )

  it.live("is nothing that a call could fail of", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* chat(ask("hi", { truncate: true }))).text, "x")
    }).pipe(Effect.provide(against(reply(2050), {}, { paths: { "GET /api/ps": { raw: "no", status: 404 } } })))
  )
})
