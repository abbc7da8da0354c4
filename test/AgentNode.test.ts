import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schedule, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Ollama from "../src/Ollama.ts"
import { against } from "./support/Double.ts"
import { eventsOf, exitOf, named, only, Spans, tree } from "./support/Spans.ts"

/** A model that answers one after the other, and the requests it got. */
const scripted = (...answers: ReadonlyArray<Ollama.TestAnswer>) => {
  const requests: Array<Ollama.ChatRequest> = []
  const layer = Ollama.Ollama.layerTest((request) => answers[requests.push(request) - 1] ?? "out of answers")
  return { requests, layer }
}

class Closed extends Schema.TaggedError<Closed>()("Closed", { door: Schema.Int }) {}

const Add = Tool.make("add", {
  description: "Adds two numbers",
  parameters: Schema.Struct({ a: Schema.Finite, b: Schema.Finite }),
  success: Schema.Finite
})
const Open = Tool.make("open", { parameters: Schema.Struct({ door: Schema.Int }), failure: Closed })
const Ring = Tool.make("ring", { failure: Closed, failureMode: "return" })
const toolkit = Toolkit.make(Add, Open, Ring)
const handlers = toolkit.toLayer({
  add: ({ a, b }) => Effect.withSpan(Effect.succeed(a + b), "adding"),
  open: ({ door }) => Effect.fail(new Closed({ door })),
  ring: () => Effect.fail(new Closed({ door: 3 }))
})

const call = (name: string, args: unknown = {}) => ({ name, arguments: args })
const calls = (...toolCalls: ReadonlyArray<{ readonly name: string; readonly arguments: unknown }>) => ({ toolCalls })

const sum = Node.agent({
  model: "m",
  system: "Use the tools.",
  prompt: (question: string) => question,
  tools: toolkit,
  temperature: 0,
  maxTokens: 100,
  maxRounds: 3
})

const run = <In, Out, E, R>(node: Node.Node<In, Out, E, R>, input: In) => Graph.run(Graph.single("g", node), input)

describe("Node.agent", () => {
  it.effect("asks until the model answers, and tells it what its tools gave", () => {
    const { layer, requests } = scripted(
      { text: "Let me see", thinking: "two steps", ...calls(call("add", { a: 1, b: 2 }), call("add", { a: 3, b: 4 })) },
      calls(call("add", { a: 3, b: 7 })),
      "It is 10"
    )
    return Effect.gen(function* () {
      const { output, usage } = yield* run(sum, "What is 1 + 2 + 3 + 4?")
      assert.strictEqual(output, "It is 10")
      assert.lengthOf(requests, 3)
      for (const request of requests) {
        assert.deepInclude(request, { model: "m", temperature: 0, maxTokens: 100 })
        assert.deepStrictEqual(
          request.tools?.map(({ name }) => name),
          ["add", "open", "ring"]
        )
      }
      const [system, user, asked, first, second, again, third] = requests[2]?.messages ?? []
      assert.deepStrictEqual(
        [system, user],
        [
          { role: "system", content: "Use the tools." },
          { role: "user", content: "What is 1 + 2 + 3 + 4?" }
        ]
      )
      assert.deepInclude(asked, { role: "assistant", content: "Let me see", thinking: "two steps" })
      for (const [result, content, of] of [
        [first, "3", asked?.toolCalls?.[0]],
        [second, "7", asked?.toolCalls?.[1]],
        [third, "10", again?.toolCalls?.[0]]
      ] as const) {
        assert.deepStrictEqual(result, { role: "tool", content, toolName: "add", toolCallId: of?.id })
      }
      // One token for each word that the test's model writes, in all rounds.
      assert.strictEqual(usage.outputTokens, 8)
    }).pipe(Effect.provide([layer, handlers]))
  })

  it.effect("is a span that holds the model calls and the tools", () => {
    const { layer } = scripted(calls(call("add", { a: 1, b: 2 })), "3")
    return Effect.gen(function* () {
      yield* run(sum, "x")
      assert.deepStrictEqual(yield* tree, [
        "graph.execute",
        "  node.agent",
        "    llm.chat",
        "    execute_tool add",
        "      adding",
        "    llm.chat"
      ])
      const span = yield* only("node.agent")
      assert.deepStrictEqual(Object.fromEntries(span.attributes), {
        "node.id": "node",
        "node.type": "agent",
        "execution.step": 1,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "ollama",
        "gen_ai.agent.name": "node",
        "tinyllm.agent.rounds": 2
      })
      const tool = yield* only("execute_tool add")
      assert.strictEqual(tool.kind, "internal")
      assert.deepInclude(Object.fromEntries(tool.attributes), {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Adds two numbers"
      })
      assert.match(String(tool.attributes.get("gen_ai.tool.call.id")), /./)
      assert.notProperty(Object.fromEntries(tool.attributes), "parameters")
    }).pipe(Effect.provide([layer, handlers, Spans.layer]))
  })

  it.effect("fails when the rounds are used up, and does not run the tools of the last one", () => {
    const { layer, requests } = scripted(...Array.from({ length: 9 }, () => calls(call("add", { a: 1, b: 2 }))))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(run(sum, "x"))
      assert.instanceOf(error, Node.RoundsExceeded)
      assert.deepInclude(error, { node: "node", maxRounds: 3 })
      assert.include(error.message, "after 3 rounds. Raise maxRounds")
      assert.lengthOf(requests, 3)
      assert.lengthOf(yield* named("execute_tool add"), 2)
      const span = yield* only("node.agent")
      assert.strictEqual(span.attributes.get("tinyllm.agent.rounds"), 3)
    }).pipe(Effect.provide([layer, handlers, Spans.layer]))
  })

  it.effect("asks ten times unless told otherwise", () => {
    const { layer, requests } = scripted(...Array.from({ length: 20 }, () => calls(call("add", { a: 1, b: 2 }))))
    const agent = Node.agent({ model: "m", prompt: (_: string) => "x", tools: toolkit })
    return Effect.gen(function* () {
      yield* Effect.flip(run(agent, "x"))
      assert.lengthOf(requests, 10)
    }).pipe(Effect.provide([layer, handlers]))
  })

  it.effect("tells the model of its mistakes: a tool that does not exist, arguments that do not fit", () => {
    const { layer, requests } = scripted(calls(call("CANARY"), call("add", { a: 1, CANARY: 2 })), "sorry")
    return Effect.gen(function* () {
      assert.strictEqual((yield* run(sum, "x")).output, "sorry")
      const [unknown, wrong] = requests[1]?.messages.slice(-2) ?? []
      assert.strictEqual(unknown?.content, "Error: Tool 'CANARY' not found. Available tools: add, open, ring")
      assert.strictEqual(unknown?.toolName, "CANARY")
      assert.match(wrong?.content ?? "", /^Error: Invalid parameters for tool 'add'.*\["b"\]/s)
      const failed = (yield* Spans).all.filter(({ name }) => name.startsWith("execute_tool"))
      assert.deepStrictEqual(
        failed.map(({ attributes, name }) => [name, attributes.get("gen_ai.tool.name")]),
        [
          ["execute_tool", "unknown"],
          ["execute_tool add", "add"]
        ]
      )
    }).pipe(Effect.provide([layer, handlers, Spans.layer]))
  })

  it.effect("fails as its tool does, with the tool's own error", () => {
    const { layer, requests } = scripted(calls(call("open", { door: 5 })))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(run(sum, "x"))
      assert.instanceOf(error, Closed)
      assert.lengthOf(requests, 1)
    }).pipe(Effect.provide([layer, handlers]))
  })

  it.effect("tells the model of a failure that its tool returns", () => {
    const { layer, requests } = scripted(calls(call("ring")), "nobody is there")
    return Effect.gen(function* () {
      assert.strictEqual((yield* run(sum, "x")).output, "nobody is there")
      assert.strictEqual(requests[1]?.messages.at(-1)?.content, `Error: {"_tag":"Closed","door":3}`)
      const span = yield* only("execute_tool ring")
      assert.strictEqual(span.attributes.get("error.type"), "Closed")
      assert.lengthOf(eventsOf(span), 1)
    }).pipe(Effect.provide([layer, handlers, Spans.layer]))
  })

  it.effect("gives an object of a schema: the model is asked once more than in its rounds, and held to it", () => {
    const Answer = Schema.Struct({ on: Schema.Date, sum: Schema.Int })
    const agent = Node.agent({ model: "m", prompt: (_: string) => "x", tools: toolkit, schema: Answer, maxRounds: 2 })
    const { layer, requests } = scripted(
      calls(call("add", { a: 1, b: 2 })),
      "It is 3",
      `{"on":"2026-01-01T00:00:00.000Z","sum":3}`,
      "It is 3",
      `{"sum":"three"}`
    )
    return Effect.gen(function* () {
      const { output } = yield* run(agent, "x")
      assert.strictEqual(output.sum, 3)
      assert.strictEqual(output.on.getUTCFullYear(), 2026)
      assert.lengthOf(requests, 3)
      assert.isUndefined(requests[1]?.format)
      assert.isUndefined(requests[2]?.tools)
      assert.nestedInclude(requests[2]?.format, { "properties.on.type": "string", additionalProperties: false })
      assert.deepStrictEqual(requests[2]?.messages.at(-2), { role: "assistant", content: "It is 3" })
      assert.include(requests[2]?.messages.at(-1)?.content, `"sum"`)

      const error = yield* Effect.flip(run(agent, "x"))
      assert.instanceOf(error, Node.AnswerInvalid)
      assert.deepInclude(error, { node: "node", truncated: false })
    }).pipe(Effect.provide([layer, handlers]))
  })

  it.effect("tells those who listen its answer alone, not what it said while it worked", () => {
    const { layer } = scripted({ text: "Let me see", ...calls(call("add", { a: 1, b: 2 })) }, "It is 3")
    return Effect.gen(function* () {
      const events = yield* Stream.runCollect(Graph.stream(Graph.single("g", sum), "x"))
      const texts = events.flatMap((event) => (event._tag === "Text" ? [event.text] : []))
      assert.deepStrictEqual(texts, ["It is 3"])
      const last = events.at(-1)
      assert.strictEqual(last?._tag === "Ended" ? last.execution.output : "", "It is 3")
    }).pipe(Effect.provide([layer, handlers]))
  })

  it.live("is one visit also when it is run again, and its span is the agent's", () => {
    const { layer } = scripted(calls(call("open", { door: 1 })), calls(call("add", { a: 1, b: 2 })), "3")
    return Effect.gen(function* () {
      const again = Node.retry({ schedule: Schedule.recurs(1) })
      const { nodesExecuted, output } = yield* run(sum.pipe(again), "x")
      assert.deepStrictEqual({ nodesExecuted, output }, { nodesExecuted: 1, output: "3" })
      const span = yield* only("node.agent")
      assert.strictEqual(span.attributes.get("gen_ai.operation.name"), "invoke_agent")
      assert.strictEqual(span.attributes.get("tinyllm.agent.rounds"), 2)
      for (const attempt of yield* named("retry.attempt")) {
        assert.deepStrictEqual([...attempt.attributes.keys()], ["retry.attempt"])
      }
    }).pipe(Effect.provide([layer, handlers, Spans.layer]))
  })

  it.effect("interrupts its tools with itself", () => {
    const Wait = Tool.make("wait", {})
    const waiting = Toolkit.make(Wait)
    const { layer } = scripted(calls(call("wait")))
    const agent = Node.agent({ model: "m", prompt: (_: string) => "x", tools: waiting })
    let interrupted = false
    return Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const wait = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
        Effect.onInterrupt(() => Effect.sync(() => (interrupted = true)))
      )
      const fiber = yield* run(agent, "x").pipe(Effect.provide(waiting.toLayer({ wait: () => wait })), Effect.forkChild)
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(interrupted)
      const exit = exitOf(yield* only("execute_tool wait"))
      assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
    }).pipe(Effect.provide([layer, Spans.layer]))
  })

  it.effect("runs one tool at a time when told so, and as many as there are otherwise", () => {
    let running = 0
    let most = 0
    const Work = Tool.make("work", {})
    const working = Toolkit.make(Work)
    const three = calls(call("work"), call("work"), call("work"))
    const { layer } = scripted(three, "done", three, "done")
    const of = (concurrency?: number) =>
      Node.agent({ model: "m", prompt: (_: string) => "x", tools: working, concurrency })
    const work = Effect.gen(function* () {
      most = Math.max(most, ++running)
      yield* Effect.yieldNow
      running--
    })
    return Effect.gen(function* () {
      yield* run(of(1), "x")
      assert.strictEqual(most, 1)
      yield* run(of(), "x")
      assert.strictEqual(most, 3)
    }).pipe(Effect.provide([layer, working.toLayer({ work: () => work })]))
  })

  it.effect("takes a toolkit that brings its handlers", () => {
    const { layer } = scripted(calls(call("add", { a: 1, b: 2 })), "3")
    return Effect.gen(function* () {
      const tools = yield* toolkit.pipe(Effect.provide(handlers))
      const { output } = yield* run(Node.agent({ model: "m", prompt: (_: string) => "x", tools }), "x")
      assert.strictEqual(output, "3")
    }).pipe(Effect.provide(layer))
  })

  it("says at once what it cannot do", () => {
    const of = (options: object) => () =>
      Node.agent({ model: "m", prompt: (_: string) => "x", tools: toolkit, ...options })
    assert.throws(of({ maxRounds: 0 }), RangeError, "maxRounds must be an integer >= 1, got 0")
    assert.throws(of({ maxRounds: 1.5 }), RangeError, "got 1.5")
    assert.throws(of({ concurrency: 0 }), RangeError, "concurrency must be")
    const Fire = Tool.make("fire", { needsApproval: true })
    assert.throws(of({ tools: Toolkit.make(Fire) }), RangeError, `the tool "fire" needs approval`)
  })

  it.live("hands its last answer to output, which can tell that it was cut off", () =>
    Effect.gen(function* () {
      const agent = Node.agent({
        model: "m",
        prompt: (question: string) => question,
        tools: Toolkit.empty,
        output: ({ doneReason, text }, question) => ({ question, text, whole: doneReason !== "length" })
      })
      assert.deepStrictEqual((yield* run(agent, "x")).output, { question: "x", text: "It is", whole: false })
    }).pipe(Effect.provide(against({ text: "It is", doneReason: "length" })))
  )

  it.live("tells an answer that was cut off, also where it is to be an object", () =>
    Effect.gen(function* () {
      const schema = Schema.Struct({ sum: Schema.Int })
      const agent = Node.agent({ model: "m", prompt: (_: string) => "x", tools: Toolkit.empty, schema })
      const error = yield* Effect.flip(run(agent, "x"))
      assert.instanceOf(error, Node.AnswerInvalid)
      assert.deepInclude(error, { truncated: true, node: "node" })
    }).pipe(Effect.provide(against({ text: `{"sum":`, doneReason: "length" })))
  )
})
