import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as NodeClient from "../src/NodeClient.ts"
import { Ollama } from "../src/Ollama.ts"
import { OllamaDouble, type Recorded } from "../src/OllamaDouble.ts"
import { eventsOf, exitOf, named, only, parentName, Spans, tree } from "./support/Spans.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { attempt: Schema.Int }) {
  override get message() {
    return `attempt ${this.attempt} broke`
  }
}

/** Fails `times` times and succeeds then. */
const flaky = (times: number) => {
  let attempt = 0
  return Node.tool((_: number) => (++attempt <= times ? Effect.fail(new Broken({ attempt })) : Effect.succeed(attempt)))
}

/** A graph of one node. */
const single = <In, Out, E, R>(node: Node.Node<In, Out, E, R>) => Graph.single("single", node)

const answering = (text: string) => Ollama.layerTest(() => text)

describe("Node.model", () => {
  const ask = Node.model({
    model: "tiny",
    system: "Be brief.",
    temperature: 0,
    prompt: (question: string) => `Q: ${question}`,
    output: (completion, question) => `${question} ${completion.text}`
  })

  it.effect("sends the system prompt and the prompt, and makes the message from the answer", () =>
    Effect.gen(function* () {
      const { output, usage } = yield* Graph.run(single(ask), "Why?")
      assert.strictEqual(output, "Why? because")
      assert.isAbove(usage.inputTokens, 0)
      assert.strictEqual(usage.outputTokens, 1)
    }).pipe(
      Effect.provide(
        Ollama.layerTest((request) => {
          assert.deepStrictEqual(request.messages, [
            { role: "system", content: "Be brief." },
            { role: "user", content: "Q: Why?" }
          ])
          assert.strictEqual(request.temperature, 0)
          return "because"
        })
      )
    )
  )

  it.effect("T6 the run's tokens are the sum over its model calls", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        nodes: { ask, both: Node.parallel({ a: ask, b: ask }) },
        start: "ask",
        edges: { ask: "both", both: "end" }
      })
      yield* Graph.run(graph, "Why?")
      const totals = (yield* named("llm.chat")).map((span) => {
        const total = span.attributes.get("llm.total_tokens")
        assert.strictEqual(
          total,
          Number(span.attributes.get("llm.input_tokens")) + Number(span.attributes.get("llm.output_tokens"))
        )
        return Number(total)
      })
      assert.strictEqual(totals.length, 3)
      const root = yield* only("graph.execute")
      assert.strictEqual(
        root.attributes.get("execution.tokens_used"),
        totals.reduce((a, b) => a + b)
      )
    }).pipe(Effect.provide(Layer.merge(Spans.layer, answering("one two three"))))
  )

  it.effect("T8 no gen_ai.request.model and no gen_ai.usage outside of llm spans", () =>
    Effect.gen(function* () {
      yield* Graph.run(single(ask), "Why?")
      for (const span of (yield* Spans).all) {
        const keys = [...span.attributes.keys()].filter((key) => /^gen_ai\.(request\.model|usage)/.test(key))
        assert.strictEqual(keys.length > 0, span.name.startsWith("llm."), span.name)
      }
    }).pipe(Effect.provide(Layer.merge(Spans.layer, answering("yes"))))
  )

  it.effect("passes the text on as it comes when someone listens", () =>
    Effect.gen(function* () {
      const texts: Array<string> = []
      yield* Graph.listen(single(ask), "Why?", (event) =>
        Effect.sync(() => {
          if (event._tag === "Text") {
            texts.push(`${event.node} ${event.step} ${event.text}`)
          }
        })
      )
      assert.strictEqual(texts.map((text) => text.replace("node 1 ", "")).join(""), "so it is")
      assert.isTrue((yield* only("llm.chat")).attributes.get("gen_ai.request.stream"))
    }).pipe(Effect.provide(Layer.merge(Spans.layer, answering("so it is"))))
  )
})

describe("Node.object", () => {
  const City = Schema.Struct({ name: Schema.String, people: Schema.Int })
  const city = Node.object({ model: "tiny", prompt: (name: string) => name, schema: City })

  it.effect("asks for JSON of its schema and decodes the answer", () =>
    Effect.gen(function* () {
      const { output } = yield* Graph.run(single(city), "Bern")
      assert.deepStrictEqual(output, { name: "Bern", people: 134_000 })
      assert.strictEqual((yield* only("llm.chat")).attributes.get("gen_ai.output.type"), "json")
    }).pipe(
      Effect.provide(
        Layer.merge(
          Spans.layer,
          Ollama.layerTest((request) => {
            const format = request.format as { readonly type: string; readonly required: ReadonlyArray<string> }
            assert.strictEqual(format.type, "object")
            assert.deepStrictEqual(format.required, ["name", "people"])
            return `{"name":"Bern","people":134000}`
          })
        )
      )
    )
  )

  it.effect("takes every answer that fits the schema it sent", () =>
    Effect.gen(function* () {
      const ask = <A, Encoded>(schema: Schema.Codec<A, Encoded>, answer: string) =>
        Graph.run(single(Node.object({ model: "tiny", prompt: (text: string) => text, schema })), "x").pipe(
          Effect.provide(
            Ollama.layerTest((request) => {
              assert.isFalse((request.format as { readonly additionalProperties: unknown }).additionalProperties)
              return answer
            })
          ),
          Effect.map(({ output }) => output)
        )
      const optional = Schema.Struct({ n: Schema.optional(Schema.Finite) })
      assert.deepStrictEqual(yield* ask(optional, `{"n":null}`), { n: undefined })
      assert.deepStrictEqual(yield* ask(Schema.Struct({ d: Schema.Date }), `{"d":"2020-01-01T00:00:00.000Z"}`), {
        d: new Date("2020-01-01T00:00:00Z")
      })
      assert.deepStrictEqual(yield* ask(Schema.Struct({ b: Schema.BigInt }), `{"b":"5"}`), { b: 5n })
    })
  )

  it.effect("fails with AnswerInvalid, whose message does not quote the answer", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Graph.run(single(city), "Bern"))
      assert.strictEqual(error._tag, "AnswerInvalid")
      assert.include(error.message, `"node" (39 characters)`)
      assert.notInclude(Cause.pretty(Cause.fail(error)), "CANARY")
    }).pipe(Effect.provide(answering(`{"name":"CANARY","people":"CANARY CANA"}`.slice(0, 39))))
  )
})

describe("Node.router", () => {
  const routes = { code: "programs", math: "numbers" }
  const prompt = (text: string) => text
  const graph = (router: ReturnType<typeof strict>) =>
    Graph.make("g", { nodes: { router }, start: "router", edges: { router: { code: "end", math: "end" } } })
  const strict = () => Node.router({ model: "tiny", prompt, routes })
  const lenient = () => Node.router({ model: "tiny", prompt, routes, fallback: "code" })

  it.effect("asks with a JSON Schema whose enum is the routes, and records the decision", () =>
    Effect.gen(function* () {
      const { path } = yield* Graph.run(graph(strict()), "1 + 1")
      assert.deepStrictEqual(path, [{ node: "router", route: "math" }])
      assert.deepStrictEqual(eventsOf(yield* only("node.router")), [
        {
          name: "router.decision",
          attributes: {
            "router.route": "math",
            "router.candidates": ["code", "math"],
            "router.strategy": "model",
            "router.answer_length": 16,
            "router.fallback": false
          }
        }
      ])
      assert.strictEqual(parentName(yield* only("llm.chat")), "node.router")
    }).pipe(
      Effect.provide(
        Layer.merge(
          Spans.layer,
          Ollama.layerTest((request) => {
            assert.deepStrictEqual(request.format, {
              type: "object",
              properties: { route: { type: "string", enum: ["code", "math"] } },
              required: ["route"]
            })
            assert.include(request.messages[0]?.content ?? "", "- math: numbers")
            return `{"route":"math"}`
          })
        )
      )
    )
  )

  it.effect("does not search for words in prose: RouteUnknown without a fallback", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Graph.run(graph(strict()), "1 + 1"))
      assert.strictEqual(error._tag, "RouteUnknown")
      assert.include(error.message, "28 characters")
      assert.notInclude(error.message, "surely")
    }).pipe(Effect.provide(answering("That is math, surely. [math]")))
  )

  it.effect("takes the fallback and says so", () =>
    Effect.gen(function* () {
      const { path } = yield* Graph.run(graph(lenient()), "1 + 1")
      assert.deepStrictEqual(path, [{ node: "router", route: "code" }])
      const [event] = eventsOf(yield* only("node.router"))
      assert.isTrue(event?.attributes["router.fallback"])
    }).pipe(Effect.provide(Layer.merge(Spans.layer, answering(`{"route":"poetry"}`))))
  )
})

describe("Node.race", () => {
  it.effect("fails with every error when all failed", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Graph.run(single(Node.race({ a: flaky(1), b: flaky(1) })), 1))
      assert.strictEqual(error._tag, "RaceFailed")
      assert.strictEqual(error.errors.length, 2)
    })
  )

  it.effect("does not turn a defect into a failure", () =>
    Effect.gen(function* () {
      const bug = Node.tool((_: number): Effect.Effect<number> => Effect.die(new TypeError("bug")))
      const exit = yield* Effect.exit(Graph.run(single(Node.race({ a: flaky(1), bug })), 1))
      assert.isTrue(Exit.hasDies(exit))
    })
  )
})

describe("Node.race, on sockets", () => {
  it.live("closes the sockets of the losers", () =>
    Effect.gen(function* () {
      const double = yield* OllamaDouble
      const ask = (model: string) =>
        Node.model({ model, prompt: (text: string) => text, output: (completion) => completion.text })
      const graph = single(Node.race({ quick: ask("quick"), slow: ask("slow"), silent: ask("silent") }))
      const { output } = yield* Graph.run(graph, "go").pipe(Effect.provide(NodeClient.layer({ url: double.url })))
      assert.strictEqual(output, "first")
      const left = (all: ReadonlyArray<Recorded>) => all.filter(({ disconnectedAt }) => disconnectedAt !== undefined)
      yield* Effect.sleep("10 millis").pipe(
        Effect.andThen(double.requests),
        Effect.repeat({ until: (all) => left(all).length === 2 }),
        Effect.timeout("10 seconds")
      )
      const requests = yield* double.requests
      const closed = requests.map((request) => [
        (JSON.parse(request.body) as { readonly model: string }).model,
        request.disconnectedAt !== undefined
      ])
      assert.deepStrictEqual(Object.fromEntries(closed), { quick: false, slow: true, silent: true })
    }).pipe(
      Effect.provide(
        OllamaDouble.layer({
          models: [],
          anyModel: true,
          reply: ({ model }) =>
            model === "quick"
              ? { text: "first", firstDelay: "500 millis" }
              : model === "slow"
                ? { text: Array.from({ length: 100 }, () => "word "), delay: "30 millis" }
                : { text: "late", firstDelay: "10 seconds" }
        })
      )
    )
  )
})

describe("Node.forEach", () => {
  it.effect("visits one after the other by default, and as many at once as it is told", () =>
    Effect.gen(function* () {
      const nap = Node.tool((number: number) => Effect.as(Effect.sleep("1 second"), 2 * number))
      const timed = (node: Node.Node<ReadonlyArray<number>, ReadonlyArray<number>>) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Graph.run(single(node), [1, 2, 3, 4]))
          yield* TestClock.adjust("4 seconds")
          const { duration, output } = yield* Fiber.join(fiber)
          assert.deepStrictEqual(output, [2, 4, 6, 8])
          return Duration.toMillis(duration)
        })
      assert.strictEqual(yield* timed(Node.forEach(nap)), 4000)
      assert.strictEqual(yield* timed(nap.pipe(Node.forEach({ concurrency: 2 }))), 2000)
    })
  )
})

describe("Node.retry", () => {
  it.effect("T17 writes a span for every attempt when there is a second one, inside one visit", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Graph.run(single(flaky(2).pipe(Node.retry())), 1))
      yield* TestClock.adjust("10 seconds")
      const { nodesExecuted, output } = yield* Fiber.join(fiber)
      assert.strictEqual(output, 3)
      assert.strictEqual(nodesExecuted, 1)
      assert.deepStrictEqual(yield* tree, [
        "graph.execute",
        "  node.tool",
        "    retry.attempt",
        "    retry.attempt",
        "    retry.attempt"
      ])
      const attempts = yield* named("retry.attempt")
      assert.deepStrictEqual(
        attempts.map((span) => [span.attributes.get("retry.attempt"), exitOf(span)?._tag]),
        [
          [1, "Failure"],
          [2, "Failure"],
          [3, "Success"]
        ]
      )
      const node = yield* only("node.tool")
      assert.strictEqual(exitOf(node)?._tag, "Success")
      assert.deepStrictEqual(
        eventsOf(node).map(({ attributes, name }) => [name, attributes["retry.attempt"], attributes["error.type"]]),
        [
          ["retry.scheduled", 1, "Broken"],
          ["retry.scheduled", 2, "Broken"]
        ]
      )
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("T17 writes none when the first attempt succeeds, or when nothing is tried again", () =>
    Effect.gen(function* () {
      yield* Graph.run(single(flaky(0).pipe(Node.retry())), 1)
      yield* Effect.flip(Graph.run(single(flaky(1).pipe(Node.retry({ while: () => false }))), 1))
      assert.strictEqual((yield* named("retry.attempt")).length, 0)
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("fails with the last error after `times` more attempts, 3 by default", () =>
    Effect.gen(function* () {
      const attempts = (node: Node.Node<number, number, Broken>) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Effect.flip(Graph.run(single(node), 1)))
          yield* TestClock.adjust("1 hour")
          return (yield* Fiber.join(fiber)).attempt
        })
      assert.strictEqual(yield* attempts(flaky(99).pipe(Node.retry())), 4)
      assert.strictEqual(yield* attempts(flaky(99).pipe(Node.retry({ times: 1 }))), 2)
      assert.strictEqual(yield* attempts(flaky(99).pipe(Node.retry({ schedule: Schedule.recurs(5) }))), 6)
    })
  )

  it.effect("does not repeat a defect", () =>
    Effect.gen(function* () {
      let runs = 0
      const bug = Node.tool((_: number): Effect.Effect<number> => {
        runs++
        return Effect.die(new TypeError("bug"))
      })
      yield* Effect.exit(Graph.run(single(bug.pipe(Node.retry())), 1))
      assert.strictEqual(runs, 1)
    })
  )
})

describe("Node.timeout", () => {
  it.effect("T18 interrupts the node, whose own spans are no errors", () =>
    Effect.gen(function* () {
      const slow = Node.tool((_: number) => Effect.never.pipe(Effect.withSpan("inner")))
      const fiber = yield* Effect.forkChild(Effect.flip(Graph.run(single(slow.pipe(Node.timeout("1 second"))), 1)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "NodeTimeout")
      const inner = exitOf(yield* only("inner"))
      assert.isTrue(inner !== undefined && Exit.isFailure(inner) && Cause.hasInterruptsOnly(inner.cause))
      assert.isTrue(Exit.isFailure(exitOf(yield* only("node.tool"))!))
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("Node.fallback", () => {
  it.effect("visits the other node when the first fails; the visit is no failure", () =>
    Effect.gen(function* () {
      const spare = Node.transform((number: number) => `spare ${number}`)
      const { nodesExecuted, output } = yield* Graph.run(single(flaky(9).pipe(Node.fallback(spare))), 7)
      assert.strictEqual(output, "spare 7")
      assert.strictEqual(nodesExecuted, 2)
      assert.deepStrictEqual(yield* tree, ["graph.execute", "  node.tool", "    retry.attempt", "    node.transform"])
      assert.strictEqual(exitOf(yield* only("node.tool"))?._tag, "Success")
      assert.strictEqual(exitOf(yield* only("retry.attempt"))?._tag, "Failure")
      assert.strictEqual((yield* only("node.transform")).attributes.get("node.id"), "node.fallback")
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("Node.retry and Node.fallback together", () => {
  const spare = Node.tool((_: number) => Effect.fail(new Broken({ attempt: 99 })))
  const attempts = Effect.map(named("retry.attempt"), (spans) =>
    spans.map((span) => [span.attributes.get("retry.attempt"), exitOf(span)?._tag])
  )
  const run = <E>(node: Node.Node<number, unknown, E>) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(Graph.run(single(node), 1)))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
    })

  it.effect("a fallback after a retry adds no attempt to those of the retry", () =>
    Effect.gen(function* () {
      yield* run(flaky(9).pipe(Node.retry({ times: 1 }), Node.fallback(Node.transform(() => 0))))
      assert.deepStrictEqual(yield* attempts, [
        [1, "Failure"],
        [2, "Failure"]
      ])
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("two fallbacks have ids of their own", () =>
    Effect.gen(function* () {
      yield* run(flaky(9).pipe(Node.fallback(spare), Node.fallback(Node.transform(() => 0))))
      assert.deepStrictEqual(
        (yield* Spans).all.flatMap((span) => span.attributes.get("node.id") ?? []),
        ["node", "node.fallback", "node.fallback2"]
      )
      assert.deepStrictEqual(yield* attempts, [[1, "Failure"]])
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("a router that is tried again records its decision on its visit", () =>
    Effect.gen(function* () {
      let tries = 0
      const gate = Node.gate((_: number) => true)
      const flakyGate = {
        ...gate,
        run: (n: number) => (++tries === 1 ? Effect.fail(new Broken({ attempt: 1 })) : gate.run(n))
      }
      const node = Object.assign(Object.create(Object.getPrototypeOf(gate)), flakyGate) as typeof gate
      const graph = Graph.make("g", {
        nodes: { node: node.pipe(Node.retry()) },
        start: "node",
        edges: { node: { pass: "end", fail: "end" } }
      })
      const fiber = yield* Effect.forkChild(Graph.run(graph, 1))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        eventsOf(yield* only("node.gate")).map(({ name }) => name),
        ["retry.scheduled", "router.decision"]
      )
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("what code without types may get wrong", () => {
  const none = undefined as never
  const gate = Node.gate((_: number) => true)

  it("numbers that make no sense", () => {
    for (const times of [Number.NaN, -1, 1.5, "3" as never]) {
      assert.throws(() => flaky(1).pipe(Node.retry({ times })), RangeError, `got ${times}`)
    }
    for (const concurrency of [Number.NaN, 0, -1, "all" as never]) {
      assert.throws(() => Node.forEach(flaky(1), { concurrency }), RangeError, `got ${concurrency}`)
    }
  })

  it("durations that are none", () => {
    for (const [duration, got] of [
      [-1, "-1"],
      [Number.NaN, "NaN"],
      ["-3 seconds", `"-3 seconds"`],
      ["soon" as never, `"soon"`],
      [none, "undefined"]
    ] as const) {
      assert.throws(
        () => Node.timeout(duration),
        RangeError,
        `Node.timeout: duration must be a time of 0 or more, got ${got}`
      )
    }
    for (const duration of [0, "1 second", Infinity, 5n] as const) {
      assert.doesNotThrow(() => Node.timeout(duration))
    }
  })

  it("a fallback that is no route", () => {
    assert.throws(
      () => Node.router({ model: "m", prompt: String, routes: { a: "A", b: "B" }, fallback: "zz" as never }),
      RangeError,
      `Node.router: fallback "zz" is none of its routes (a, b)`
    )
  })

  it("containers of nothing, and of what is no node", () => {
    for (const [name, make] of [
      ["parallel", (nodes: object) => Node.parallel(nodes as never)],
      ["race", (nodes: object) => Node.race(nodes as never)]
    ] as const) {
      assert.throws(() => make({}), RangeError, `Node.${name}: there must be at least one node`)
      assert.throws(() => make({ a: gate.pipe, b: none }), RangeError, `Node.${name}: "a" must be a node, got function`)
    }
    assert.throws(() => Node.race({ gate } as never), RangeError, `Node.race: "gate" must be no router`)
  })

  it("nodes that are none, and routers whose ways out would be lost", () => {
    for (const combine of [Node.retry(), Node.timeout(1), Node.fallback(flaky(1))]) {
      assert.throws(() => combine(none), RangeError, "what it is for must be a node, got undefined")
    }
    assert.throws(() => flaky(1).pipe(Node.fallback(none)), RangeError, "Node.fallback: the other node must be a node")
    assert.throws(() => flaky(1).pipe(Node.fallback(gate as never)), RangeError, "the other node must be no router")
  })
})

describe("Node.provide", () => {
  class Factor extends Context.Service<Factor, number>()("test/Factor") {}

  it.effect("gives a node its services", () =>
    Effect.gen(function* () {
      const scale = Node.tool((number: number) => Effect.map(Factor, (factor) => factor * number))
      const { output } = yield* Graph.run(single(scale.pipe(Node.provide(Layer.succeed(Factor, 3)))), 7)
      assert.strictEqual(output, 21)
    })
  )
})

describe("Node.make", () => {
  it("refuses a type that would make a bad span name", () => {
    for (const type of ["", "Node", "my node", "a/b", "9"]) {
      assert.throws(() => Node.make(type, () => Effect.void), RangeError, "Node.make: type must be")
    }
  })
})
