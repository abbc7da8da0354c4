import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Schema } from "effect"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as NodeClient from "../src/NodeClient.ts"
import { Ollama, type OllamaError } from "../src/Ollama.ts"
import { OllamaDouble, type Script } from "../src/OllamaDouble.ts"
import * as TelemetryTest from "../src/TelemetryTest.ts"
import { deadPort } from "./support/Collector.ts"
import { withOllama } from "./support/Double.ts"
import * as Process from "./support/Process.ts"

const models: Script["models"] = [
  { name: "talks:1b", contextLength: 2048 },
  { name: "thinks:1b", capabilities: ["completion", "thinking"] },
  { name: "tools:1b", capabilities: ["completion", "tools"] },
  { name: "embeds:1b", capabilities: ["embedding"] }
]

/** An Ollama of these models, its client, and spans in memory. */
const against = (script: Partial<Script> = {}) =>
  Layer.unwrap(
    Effect.map(OllamaDouble, ({ url }) => NodeClient.layer({ url, retry: { base: "1 millis", cap: "1 millis" } }))
  ).pipe(
    Layer.provideMerge(OllamaDouble.layer({ models, reply: () => "yes", ...script })),
    Layer.provideMerge(TelemetryTest.layer())
  )

/** What was asked, in its order: the last part of the path, and the model. */
const asked = Effect.map(
  Effect.flatMap(OllamaDouble, ({ requests }) => requests),
  (all) => all.map(({ body, path }) => `${path.slice(5)} ${String((JSON.parse(body) as { model?: string }).model)}`)
)

const prompt = (text: string) => text
const output = ({ text }: { readonly text: string }) => text
const model = (model: string, options: Partial<Node.ModelNeed> & { readonly think?: boolean | "high" } = {}) =>
  Node.model({ model, prompt, output, numCtx: options.numCtx, think: options.think })
const add = Tool.make("add", { parameters: Schema.Struct({ a: Schema.Finite }), success: Schema.Finite })
const agent = (model: string) => Node.agent({ model, prompt, tools: Toolkit.make(add) })
const handlers = Toolkit.make(add).toLayer({ add: () => Effect.succeed(1) })

/** A run of one node. */
const run = <E, R>(node: Node.Node<string, unknown, E, R>) =>
  Graph.run(Graph.single("g", node as never), "hi") as Effect.Effect<Graph.Execution<unknown>, E, R>

/** The refusal of a run, with all that was asked until then. */
const refusal = <A, E, R>(self: Effect.Effect<A, E | OllamaError, R>) =>
  Effect.gen(function* () {
    const error = (yield* Effect.flip(self)) as OllamaError
    return { reason: error.reason, message: error.message, asked: yield* asked }
  })

/** Lines of warnings, with their annotations. */
const warnings = () => {
  const lines: Array<string> = []
  const layer = Logger.layer([
    Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") {
        lines.push(String(message))
      }
    })
  ])
  return { lines, layer }
}

describe("what nodes need of models", () => {
  it.live("is asked once for each model and run, before the first call", () =>
    Effect.gen(function* () {
      const both = Node.parallel({ one: model("talks:1b"), two: model("thinks:1b"), three: model("TALKS:1b") })
      yield* run(both)
      const first = yield* asked
      assert.sameMembers(first.slice(0, 2), ["show talks:1b", "show thinks:1b"])
      assert.sameMembers(first.slice(2), ["chat talks:1b", "chat thinks:1b", "chat TALKS:1b"])
      yield* run(both)
      assert.lengthOf(yield* asked, 10)
    }).pipe(Effect.provide(against()))
  )

  it.live("fails a run before it begins where a model is not made for it, and names model and node", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        nodes: { first: model("talks:1b"), second: agent("talks:1b") },
        start: "first",
        edges: { first: "second", second: "end" }
      })
      const { asked, message, reason } = yield* refusal(Graph.run(graph, "hi"))
      assert.strictEqual(reason._tag, "Unsupported")
      assert.include(message, `Model "talks:1b" does not support tools, which the node "second" needs.`)
      assert.deepStrictEqual(asked, ["show talks:1b"])
      yield* TelemetryTest.expectTrace({
        name: "graph.execute",
        status: "error",
        error: /does not support tools/,
        attributes: { "execution.nodes_executed": 0, "error.type": "Unsupported" },
        events: ["llm.model_checked", "exception"],
        children: []
      })
    }).pipe(Effect.provide(Layer.merge(against(), handlers)))
  )

  it.live("is tools for an agent, thinking where it is asked for, and talking for all", () =>
    Effect.gen(function* () {
      // A server refuses such a call too, but knows nothing of nodes.
      const capability = (node: Node.Node<string, unknown, unknown, any>) =>
        Effect.map(refusal(run(node)), ({ reason }) =>
          reason._tag === "Unsupported" && reason.node !== undefined ? reason.capability : reason._tag
        )
      assert.strictEqual(yield* capability(agent("thinks:1b")), "tools")
      assert.strictEqual(yield* capability(model("talks:1b", { think: true })), "thinking")
      assert.strictEqual(yield* capability(model("talks:1b", { think: "high" })), "thinking")
      assert.strictEqual(yield* capability(model("embeds:1b")), "chat")
      const schema = Schema.Struct({ a: Schema.String })
      assert.strictEqual(yield* capability(Node.object({ model: "embeds:1b", prompt, schema })), "chat")
      const router = Node.router({ model: "embeds:1b", prompt, routes: { a: "one way" } })
      const routed = Graph.make("g", { nodes: { router }, start: "router", edges: { router: { a: "end" } } })
      assert.strictEqual(yield* capability(Graph.toNode(routed)), "chat")
      yield* run(model("talks:1b", { think: false }))
      yield* run(model("thinks:1b", { think: true }))
      yield* run(agent("tools:1b"))
      yield* run(Node.agent({ model: "talks:1b", prompt, tools: Toolkit.empty }))
    }).pipe(Effect.provide(Layer.merge(against(), handlers)))
  )

  it.live("can be said of nodes of one's own", () =>
    Effect.gen(function* () {
      const embed = (model: string) =>
        Node.tool((text: string) => Effect.flatMap(Ollama, (ollama) => ollama.embed({ model, input: text }))).pipe(
          Node.needs({ model, capabilities: ["embedding"] })
        )
      const { asked, reason } = yield* refusal(Graph.run(Graph.single("g", Node.forEach(embed("talks:1b"))), ["a"]))
      assert.deepInclude(reason, { _tag: "Unsupported", capability: "embedding", node: "node" })
      assert.deepStrictEqual(asked, ["show talks:1b"])
      yield* run(embed("embeds:1b"))
    }).pipe(Effect.provide(against()))
  )

  it.live(
    "stays with a node through time-outs, attempts, containers and sub-graphs, and is named by its way there",
    () =>
      Effect.gen(function* () {
        const node = agent("talks:1b").pipe(Node.timeout("1 minute"), Node.retry({ times: 5 }))
        const inner = Graph.single("inner", Node.parallel({ left: model("talks:1b"), right: node }))
        const outer = Graph.make("outer", {
          nodes: { sub: Graph.toNode(inner) },
          start: "sub",
          edges: { sub: "end" }
        })
        const { asked, reason } = yield* refusal(Graph.run(outer, "hi"))
        assert.deepInclude(reason, { _tag: "Unsupported", node: "sub.node.right" })
        assert.deepStrictEqual(asked, ["show talks:1b"])
      }).pipe(Effect.provide(Layer.merge(against(), handlers)))
  )

  it.live("is not asked again by runs within a run", () =>
    Effect.gen(function* () {
      const inner = Graph.single("inner", model("talks:1b"))
      const own = Node.tool((text: string) => Graph.run(inner, text))
      yield* run(Node.parallel({ a: Graph.toNode(inner), b: own, c: own }))
      assert.deepStrictEqual(
        (yield* asked).filter((line) => line.startsWith("show")),
        ["show talks:1b"]
      )
    }).pipe(Effect.provide(against()))
  )

  it.live("is asked once by runs within a run that begin at the same time, of which that knows nothing", () =>
    Effect.gen(function* () {
      const own = Node.tool((text: string) => Graph.run(Graph.single("inner", model("talks:1b")), text))
      yield* run(Node.parallel({ a: own, b: own, c: own }))
      assert.lengthOf(
        (yield* asked).filter((line) => line.startsWith("show")),
        1
      )
    }).pipe(Effect.provide(against()))
  )

  it.live("fails a run also where it is on a way that the run might not take", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        nodes: {
          choose: Node.branch((text: string) => (text === "a" ? Node.to("a", text) : Node.to("b", text))),
          a: model("talks:1b"),
          b: agent("talks:1b")
        },
        start: "choose",
        edges: { choose: { a: "a", b: "b" }, a: "end", b: "end" }
      })
      const { reason } = yield* refusal(Graph.run(graph, "a"))
      assert.deepInclude(reason, { _tag: "Unsupported", node: "b" })
    }).pipe(Effect.provide(Layer.merge(against(), handlers)))
  )

  it.live("fails no run for a model that is missing on a way that it does not take", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        nodes: {
          choose: Node.branch((text: string) => (text === "a" ? Node.to("a", text) : Node.to("b", text))),
          a: model("talks:1b"),
          b: model("gone")
        },
        start: "choose",
        edges: { choose: { a: "a", b: "b" }, a: "end", b: "end" }
      })
      assert.strictEqual((yield* Graph.run(graph, "a")).output, "yes")
      const error = (yield* Effect.flip(Graph.run(graph, "b"))) as OllamaError
      assert.strictEqual(error.reason._tag, "ModelNotFound")
      yield* TelemetryTest.expectTrace({
        name: "graph.execute",
        attributes: { "error.type": "404" },
        children: ["node.branch", { name: "node.model", children: [{ name: "llm.chat", status: "error" }] }]
      })
    }).pipe(Effect.provide(against()))
  )

  it.live("is that it runs on this machine, by its name", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        nodes: { first: model("talks:1b"), second: model("kimi:cloud") },
        start: "first",
        edges: { first: "second", second: "end" }
      })
      const { asked, reason } = yield* refusal(Graph.run(graph, "hi"))
      assert.deepInclude(reason, { _tag: "RemoteRefused", name: "kimi:cloud" })
      assert.deepStrictEqual(asked, ["show talks:1b"])
    }).pipe(Effect.provide(against()))
  )

  it.live("is that it runs on this machine, also where only the server knows that a name stands for another", () =>
    Effect.gen(function* () {
      const { asked, reason } = yield* refusal(run(model("mine")))
      assert.deepInclude(reason, { _tag: "RemoteRefused", name: "mine" })
      assert.deepStrictEqual(asked, ["show mine"])
    }).pipe(
      Effect.provide(
        against({
          paths: {
            "POST /api/show": {
              raw: JSON.stringify({ details: {}, remote_model: "gpt-oss:120b", remote_host: "https://ollama.com:443" })
            }
          }
        })
      )
    )
  )

  it.live("is warned of where another node stands in, and does not fail the run", () => {
    const { layer, lines } = warnings()
    return Effect.gen(function* () {
      yield* run(agent("talks:1b").pipe(Node.fallback(model("talks:1b"))))
      yield* run(Node.race({ a: agent("talks:1b"), b: model("talks:1b") }))
      assert.lengthOf(
        lines.filter((line) => line.includes("what stands in for it has to")),
        2
      )
      const { reason } = yield* refusal(run(model("talks:1b").pipe(Node.fallback(agent("talks:1b")))))
      assert.deepInclude(reason, { _tag: "Unsupported", node: "node.fallback" })
    }).pipe(Effect.provide([against(), handlers, layer]))
  })

  it.live("is left to the call where a node brings an Ollama of its own", () =>
    Effect.gen(function* () {
      const other = Layer.provide(
        Layer.unwrap(Effect.map(OllamaDouble, ({ url }) => NodeClient.layer({ url }))),
        OllamaDouble.layer({
          models: [{ name: "talks:1b", capabilities: ["completion", "tools"] }],
          reply: () => "other"
        })
      )
      const { output } = yield* run(agent("talks:1b").pipe(Node.provide(other)))
      assert.strictEqual(output, "other")
      assert.deepStrictEqual(yield* asked, [])
    }).pipe(Effect.provide(Layer.merge(against(), handlers)))
  )

  it.live("is not looked for by runs that ask no model, nor where it is switched off", () =>
    Effect.gen(function* () {
      yield* run(Node.transform((text: string) => text))
      yield* Effect.provideService(run(model("talks:1b")), Graph.Preflight, false)
      assert.deepStrictEqual(yield* asked, ["chat talks:1b"])
    }).pipe(Effect.provide(against()))
  )

  it.live("is taken for granted where an old server does not tell, and the call decides", () =>
    Effect.gen(function* () {
      yield* run(model("talks:1b"))
      const { asked, reason } = yield* refusal(run(agent("talks:1b")))
      assert.strictEqual(reason._tag, "Unsupported")
      assert.deepStrictEqual(asked, ["show talks:1b", "chat talks:1b", "show talks:1b", "chat talks:1b"])
    }).pipe(Effect.provide(Layer.merge(against({ old: true }), handlers)))
  )

  it.live("does not change what a run fails with whose server is down", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(deadPort)
      const down = NodeClient.layer({ url: `http://127.0.0.1:${port}` })
      const error = yield* Effect.flip(Effect.provide(run(model("talks:1b")), down))
      assert.strictEqual((error as OllamaError).reason._tag, "Unreachable")
      yield* TelemetryTest.expectTrace({
        name: "graph.execute",
        attributes: { "error.type": "connection_refused" },
        events: [],
        children: [{ name: "node.model", children: [{ name: "llm.chat", status: "error" }] }]
      })
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.live("is done without where the server answers it wrongly, or a client cannot ask", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* run(model("talks:1b"))).output, "yes")
      const mock = Layer.mock(Ollama)({ url: "", chat: () => Effect.succeed({ text: "mock", toolCalls: [] } as never) })
      assert.strictEqual((yield* Effect.provide(run(agent("talks:1b")), mock)).output, "mock")
    }).pipe(
      Effect.provide(
        Layer.merge(against({ paths: { "POST /api/show": { raw: "<html>Not here</html>", status: 404 } } }), handlers)
      )
    )
  )

  it.live("costs no test with a function for a model anything: no request, no event", () =>
    Effect.gen(function* () {
      let asked = 0
      const test = Ollama.layerTest(() => {
        asked++
        return "yes"
      })
      yield* Effect.provide(run(agent("any")), test)
      assert.strictEqual(asked, 1)
      yield* TelemetryTest.expectTrace({ name: "graph.execute", events: [] })
    }).pipe(Effect.provide(Layer.merge(TelemetryTest.layer(), handlers)))
  )

  it.live("shows in the trace as what the server said of each model", () =>
    Effect.gen(function* () {
      yield* run(Node.parallel({ a: model("talks:1b"), b: model("tools:1b") }))
      yield* TelemetryTest.expectTrace({
        name: "graph.execute",
        events: [
          {
            name: "llm.model_checked",
            attributes: {
              "llm.model": "talks:1b",
              "tinyllm.ollama.capabilities": ["completion"],
              "tinyllm.ollama.context_length": 2048
            }
          },
          {
            name: "llm.model_checked",
            attributes: { "llm.model": "tools:1b", "tinyllm.ollama.capabilities": ["completion", "tools"] }
          }
        ]
      })
    }).pipe(Effect.provide(against()))
  )

  it.live("is no more context than the model was trained for, or a line says so", () => {
    const { layer, lines } = warnings()
    return Effect.gen(function* () {
      yield* run(model("talks:1b", { numCtx: 2048 }))
      assert.deepStrictEqual(lines, [])
      yield* run(model("talks:1b", { numCtx: 4096 }))
      assert.deepStrictEqual(lines, [
        '"numCtx" is more than the model was trained for, and Ollama takes no more than that'
      ])
    }).pipe(Effect.provide([against(), layer]))
  })

  it.live("needs no permit: it is asked while the only one is taken", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama
      const { until } = yield* OllamaDouble
      const call = yield* Effect.forkChild(
        ollama.chat({ model: "talks:1b", messages: [{ role: "user", content: "hi" }] })
      )
      yield* until(({ stage }) => stage === "reading")
      const { asked } = yield* refusal(run(agent("talks:1b")))
      assert.deepStrictEqual(asked, ["chat talks:1b", "show talks:1b"])
      yield* Fiber.interrupt(call)
    }).pipe(Effect.provide(Layer.merge(against({ reply: () => ({ text: "yes", firstDelay: "1 hour" }) }), handlers)))
  )

  it.live("is told by the command line in one line, before any call", () =>
    withOllama({ models }, (env, { requests }) =>
      Effect.gen(function* () {
        const run = ["run", "hello", "--model", "embeds:1b"]
        const { code, stderr, stdout } = yield* Effect.promise(() => Process.runNode("src/Main.ts", run, { env }))
        assert.deepStrictEqual([code, stdout], [1, ""])
        assert.match(
          stderr,
          /^tinyllm: Model "embeds:1b" does not support chat, which the node "classify" needs\. .*\n$/
        )
        assert.deepStrictEqual(
          (yield* requests).map(({ path }) => path),
          ["/api/show"]
        )
      })
    )
  )

  it.live("is not waited for when the run is interrupted, nor for long", () =>
    Effect.gen(function* () {
      const silent = yield* Deferred.make<never>()
      const started = yield* Deferred.make<void>()
      const context = yield* Effect.context<Ollama>()
      const hanging = Layer.succeed(Ollama, {
        ...Context.get(context, Ollama),
        show: () => Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(silent))
      })
      const fiber = yield* Effect.forkChild(Effect.provide(run(model("talks:1b")), hanging))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      yield* TelemetryTest.expectTrace({ name: "graph.execute", status: "interrupted", children: [] })
      assert.deepStrictEqual(yield* asked, [])
      // A server that says nothing costs two seconds, not the run.
      assert.strictEqual((yield* Effect.provide(run(model("talks:1b")), hanging)).output, "yes")
    }).pipe(Effect.provide(against()))
  )
})
