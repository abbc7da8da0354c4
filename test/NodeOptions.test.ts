// The options of model calls, on the nodes that make such calls.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Toolkit } from "effect/ai"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Ollama from "../src/Ollama.ts"
import { against, calls } from "./support/Double.ts"
import { named } from "./support/Spans.ts"

const options = {
  model: "m",
  temperature: 0.5,
  topP: 0.9,
  topK: 40,
  minP: 0.05,
  typicalP: 1,
  repeatLastN: 64,
  repeatPenalty: 1.1,
  presencePenalty: 0,
  frequencyPenalty: 0.5,
  maxTokens: 300,
  seed: 7,
  stop: ["\n\n"],
  numKeep: 4,
  numCtx: 8192,
  numBatch: 256,
  numGpu: -1,
  mainGpu: 0,
  numThread: 2,
  useMmap: true,
  draftNumPredict: 0,
  keepAlive: "10m",
  think: false,
  truncate: true,
  shift: false
} as const satisfies Ollama.Options

const prompt = (text: string) => text
const Answer = Schema.Struct({ route: Schema.Literals(["a", "b"]) })
const answer = '{"route":"a"}'

/** Every kind of node that asks a model, with more options as given; all take the same answer. */
const kinds = {
  model: (more: object = {}) => Node.model({ prompt, ...options, ...more, output: ({ text }) => text }),
  object: (more: object = {}) => Node.object({ prompt, ...options, ...more, schema: Answer }),
  // As a step by itself, whatever way it takes.
  router: (more: object = {}) => {
    const router = Node.router({ prompt, ...options, ...more, routes: { a: "one", b: "other" } })
    return Graph.toNode(
      Graph.make("r", { nodes: { router }, start: "router", edges: { router: { a: "end", b: "end" } } })
    )
  },
  agent: (more: object = {}) => Node.agent({ prompt, ...options, ...more, tools: Toolkit.empty }),
  "agent with a schema": (more: object = {}) =>
    Node.agent({ prompt, ...options, ...more, tools: Toolkit.empty, schema: Answer })
}

const run = (node: Node.Node<string, unknown, unknown, Ollama.Ollama>) => Graph.run(Graph.single("g", node), "hi")

describe("options of nodes that ask a model", () => {
  for (const [kind, make] of Object.entries(kinds)) {
    it.live(`are all sent, and nothing else is (${kind})`, () =>
      Effect.gen(function* () {
        yield* run(make())
        const bodies = (yield* calls).map(({ body }) => JSON.parse(body) as Record<string, unknown>)
        assert.lengthOf(bodies, kind === "agent with a schema" ? 2 : 1)
        for (const { format: _, messages: __, ...body } of bodies) {
          assert.deepStrictEqual(body, {
            model: "m",
            stream: true,
            truncate: true,
            shift: false,
            think: false,
            keep_alive: 600,
            options: {
              num_predict: 300,
              num_ctx: 8192,
              temperature: 0.5,
              top_p: 0.9,
              top_k: 40,
              seed: 7,
              stop: ["\n\n"],
              min_p: 0.05,
              typical_p: 1,
              repeat_last_n: 64,
              repeat_penalty: 1.1,
              presence_penalty: 0,
              frequency_penalty: 0.5,
              num_keep: 4,
              num_batch: 256,
              num_gpu: -1,
              main_gpu: 0,
              num_thread: 2,
              draft_num_predict: 0,
              use_mmap: true
            }
          })
        }
      }).pipe(Effect.provide(against({ text: [answer] })))
    )

    it.live(`are on the span of the call, those without a name in the conventions under our own (${kind})`, () =>
      Effect.gen(function* () {
        yield* run(make())
        for (const span of yield* named("llm.chat")) {
          assert.deepInclude(Object.fromEntries(span.attributes), {
            "llm.temperature": 0.5,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.top_p": 0.9,
            "gen_ai.request.top_k": 40,
            "gen_ai.request.frequency_penalty": 0.5,
            "gen_ai.request.presence_penalty": 0,
            "gen_ai.request.max_tokens": 300,
            "gen_ai.request.seed": 7,
            "gen_ai.request.stop_sequences": ["\n\n"],
            "tinyllm.ollama.num_ctx": 8192,
            "tinyllm.ollama.min_p": 0.05,
            "tinyllm.ollama.repeat_last_n": 64,
            "tinyllm.ollama.use_mmap": true,
            "tinyllm.ollama.shift": false,
            "tinyllm.ollama.truncate": true,
            "tinyllm.ollama.keep_alive": 600,
            "tinyllm.ollama.think": "false"
          })
        }
      }).pipe(Effect.provide(against({ text: [answer] })))
    )

    it(`throw when the node is made if they are out of range (${kind})`, () => {
      for (const [wrong, message] of [
        [{ model: " " }, "No model was named"],
        [{ topP: 1.1 }, `"topP" must be a number from 0 to 1, got 1.1.`],
        [{ maxTokens: 0 }, `"maxTokens" must be an integer of at least 1, got 0.`],
        [{ numCtx: 2.5 }, `"numCtx" must be an integer of at least 4, got 2.5.`],
        [{ keepAlive: "soon" }, `"keepAlive" must be a duration`],
        [{ think: "hard" }, `"think" must be true, false`],
        [{ stop: [""] }, `"stop" must be a list of texts`]
      ] as const) {
        assert.throws(() => make(wrong), RangeError, `Node.${kind.split(" ")[0]}: ${message}`)
      }
    })
  }

  it.live("are the model's own where they are absent, but for a limit of tokens", () =>
    Effect.gen(function* () {
      yield* run(Node.model({ model: "m", prompt, stop: [], seed: undefined, output: ({ text }) => text }))
      const [request] = yield* calls
      assert.deepStrictEqual(JSON.parse(request!.body), {
        model: "m",
        messages: [{ role: "user", content: "hi" }],
        stream: true,
        truncate: false,
        options: { num_predict: 2048 }
      })
      const [span] = yield* named("llm.chat")
      assert.deepStrictEqual(
        [...span!.attributes.keys()].filter((key) => /^gen_ai\.request|num_|keep_alive|think|shift|truncate/.test(key)),
        ["gen_ai.request.model", "gen_ai.request.max_tokens"]
      )
    }).pipe(Effect.provide(against("ok")))
  )

  it.live("are those of a router where it says nothing: no thoughts, the likeliest token, and 128 of them", () =>
    Effect.gen(function* () {
      const router = Node.router({ model: "m", prompt, routes: { a: "one", b: "other" } })
      yield* Graph.run(
        Graph.make("r", { nodes: { router }, start: "router", edges: { router: { a: "end", b: "end" } } }),
        "hi"
      )
      const [request] = yield* calls
      assert.deepStrictEqual(JSON.parse(request!.body).options, { num_predict: 128, temperature: 0 })
      assert.isFalse(JSON.parse(request!.body).think)
    }).pipe(Effect.provide(against({ text: [answer] })))
  )

  it.live("let a router decide by a model that thinks unless it is told not to", () =>
    Effect.gen(function* () {
      const router = Node.router({ model: "qwen3:4b", prompt, routes: { a: "one", b: "other" } })
      const graph = Graph.make("r", { nodes: { router }, start: "router", edges: { router: { a: "end", b: "end" } } })
      assert.strictEqual((yield* Graph.run(graph, "hi")).path[0]?.route, "a")
    }).pipe(
      Effect.provide(
        against(
          ({ body }) =>
            body["think"] === false ? { text: [answer] } : { text: [], thinking: "hm", doneReason: "length" },
          {},
          { anyModel: true }
        )
      )
    )
  )

  it.live("let a model's node ask for JSON, and for how likely each token was", () =>
    Effect.gen(function* () {
      yield* run(
        Node.model({
          model: "m",
          prompt,
          format: { type: "object" },
          logprobs: true,
          topLogprobs: 2,
          output: ({ text }) => text
        })
      )
      const [request] = yield* calls
      assert.deepInclude(JSON.parse(request!.body), { format: { type: "object" }, logprobs: true, top_logprobs: 2 })
      assert.throws(
        () => Node.model({ model: "m", prompt, topLogprobs: 2, output: ({ text }) => text }),
        RangeError,
        `Node.model: "topLogprobs" needs "logprobs: true"`
      )
    }).pipe(Effect.provide(against("{}")))
  )

  it("are refused by the compiler where a node sets them by itself, or has no use for them", () => {
    // @ts-expect-error the format is the schema's
    Node.object({ model: "m", prompt, schema: Answer, format: "json" })
    // @ts-expect-error the answer is read here, and its log probabilities with it
    Node.object({ model: "m", prompt, schema: Answer, logprobs: true })
    // @ts-expect-error the format is that of the routes
    Node.router({ model: "m", prompt, routes: { a: "one" }, format: "json" })
    // @ts-expect-error the text is handed on alone
    Node.agent({ model: "m", prompt, tools: Toolkit.empty, logprobs: true })
  })
})
