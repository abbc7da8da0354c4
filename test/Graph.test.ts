import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Usage from "../src/Usage.ts"
import { eventsOf, exitOf, named, only, parentName, Spans, tree } from "./support/Spans.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {
  override get message() {
    return "it broke"
  }
}

const increment = Node.transform((number: number) => number + 1)
const sleep = (millis: number) => Node.tool((number: number) => Effect.as(Effect.sleep(millis), number))

/** Counts up to 10 by ones: a loop. */
const countToTen = Graph.make("count", {
  nodes: { increment, done: Node.gate((number: number) => number >= 10) },
  start: "increment",
  edges: { increment: "done", done: { pass: "end", fail: "increment" } }
})

const rootAttributes = {
  "graph.id": "string",
  "execution.trace_id": "string",
  "task.content": "string",
  "execution.nodes_executed": "number",
  "execution.tokens_used": "number",
  "execution.duration_ms": "number"
}

const assertRootAttributes = Effect.gen(function* () {
  const root = yield* only("graph.execute")
  for (const [key, type] of Object.entries(rootAttributes)) {
    assert.strictEqual(typeof root.attributes.get(key), type, key)
  }
  assert.isTrue(Number.isInteger(root.attributes.get("execution.duration_ms")))
  return root
})

describe("Graph.make", () => {
  const make = (options: object) => () => Graph.make("g", options as never)

  it("throws a RangeError that names the culprit", () => {
    const nodes = { a: increment, b: increment }
    assert.throws(make({ nodes, start: "a", edges: { a: "end", b: "end" } }), RangeError, /"b" cannot be reached/)
    assert.throws(make({ nodes, start: "a", edges: { a: "c", b: "end" } }), RangeError, /"a" leads to "c"/)
    assert.throws(make({ nodes, start: "c", edges: { a: "b", b: "end" } }), RangeError, /start "c" is no step/)
    assert.throws(make({ nodes, start: "a", edges: { a: "b" } }), RangeError, /"b" has no edge/)
    assert.throws(make({ nodes, start: "a", edges: { a: "b", b: { x: "end" } } }), RangeError, /"b" must be one/)
    for (const maxSteps of [0, -1, 1.5, Number.NaN]) {
      assert.throws(make({ nodes, start: "a", edges: { a: "b", b: null } }), RangeError, /"b" has no edge/)
      assert.throws(
        make({ nodes: { a: increment }, start: "a", edges: { a: "end" }, maxSteps }),
        RangeError,
        `maxSteps must be an integer >= 1, got ${maxSteps}`
      )
    }
    for (const [n, got] of [
      [undefined, "undefined"],
      [null, "null"],
      [Node.forEach, "function"],
      [{ type: "tool" }, "object"]
    ] as const) {
      assert.throws(
        make({ nodes: { a: increment, n }, start: "a", edges: { a: "n", n: "end" } }),
        RangeError,
        `Graph.make("g"): "n" must be a node, got ${got}`
      )
    }
    assert.throws(make({ nodes: {}, start: "a", edges: {} }), RangeError, `Graph.make("g"): there must be at least one`)
    assert.throws(make({ start: "a", edges: {} }), RangeError, `Graph.make("g"): there must be at least one`)
    assert.throws(make({ nodes, start: "a" }), RangeError, /"a" has no edge/)
    assert.throws(make({ nodes, start: "a", edges: { a: "b", b: 5 } }), RangeError, /edge of "b" must be .* got number/)
    assert.throws(() => Graph.make(undefined as never, {} as never), RangeError, /the id is empty/)
  })
})

describe("Graph.run", () => {
  it.effect("passes a message from step to step, through loops", () =>
    Effect.gen(function* () {
      const execution = yield* Graph.run(countToTen, 7)
      assert.strictEqual(execution.output, 10)
      assert.strictEqual(execution.nodesExecuted, 6)
      assert.deepStrictEqual(
        execution.path.map(({ node, route }) => `${node}${route === undefined ? "" : `:${route}`}`),
        ["increment", "done:fail", "increment", "done:fail", "increment", "done:pass"]
      )
    })
  )

  it.effect("stops a loop after maxSteps steps", () =>
    Effect.gen(function* () {
      const forever = Graph.make("forever", { nodes: { a: increment }, start: "a", edges: { a: "a" }, maxSteps: 25 })
      const error = yield* Effect.flip(Graph.run(forever, 0))
      assert.strictEqual(error._tag, "StepLimitExceeded")
      assert.include(error.message, "25 steps")
      const root = yield* only("graph.execute")
      assert.strictEqual(root.attributes.get("execution.nodes_executed"), 25)
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("runs parallel branches without barriers: 1 s + 4 s beside 2 s end at 5 s", () =>
    Effect.gen(function* () {
      const slow = Graph.make("slow", {
        nodes: { first: sleep(1000), second: sleep(4000) },
        start: "first",
        edges: { first: "second", second: "end" }
      })
      const graph = Graph.make("g", {
        nodes: { both: Node.parallel({ slow: Graph.toNode(slow), fast: sleep(2000) }) },
        start: "both",
        edges: { both: "end" }
      })
      const fiber = yield* Effect.forkChild(Graph.run(graph, 1))
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const execution = yield* Fiber.join(fiber)
      assert.deepStrictEqual(execution.output, { slow: 1, fast: 1 })
      const root = (yield* named("graph.execute"))[0]!
      assert.strictEqual(root.attributes.get("execution.duration_ms"), 5000)
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("adds the visits and tokens of a sub-graph to the outer run", () =>
    Effect.gen(function* () {
      const spend = Node.tool((number: number) => Effect.as(Usage.add({ inputTokens: 3, outputTokens: 4 }), number))
      const inner = Graph.make("inner", {
        nodes: { spend, again: spend },
        start: "spend",
        edges: { spend: "again", again: "end" }
      })
      const outer = Graph.make("outer", {
        nodes: { spend, inner: Graph.toNode(inner) },
        start: "spend",
        edges: { spend: "inner", inner: "end" }
      })
      const execution = yield* Graph.run(outer, 1)
      assert.deepStrictEqual(execution.usage, { inputTokens: 9, outputTokens: 12 })
      assert.strictEqual(execution.nodesExecuted, 4)
      assert.deepStrictEqual(yield* tree, [
        "graph.execute",
        "  node.tool",
        "  node.subgraph",
        "    graph.execute",
        "      node.tool",
        "      node.tool"
      ])
      const [outerSpan, innerSpan] = yield* named("graph.execute")
      assert.strictEqual(outerSpan!.attributes.get("execution.tokens_used"), 21)
      assert.strictEqual(innerSpan!.attributes.get("execution.tokens_used"), 14)
      assert.strictEqual(innerSpan!.attributes.get("execution.nodes_executed"), 2)
      assert.notStrictEqual(
        innerSpan!.attributes.get("execution.trace_id"),
        outerSpan!.attributes.get("execution.trace_id")
      )
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("knows no ways out that objects have by nature", () =>
    Effect.gen(function* () {
      const lost = Node.branch((_: number) => Node.to("toString", 1))
      const graph = Graph.make("g", { nodes: { lost }, start: "lost", edges: { lost: { other: "end" } as never } })
      const exit = yield* Effect.exit(Graph.run(graph, 1))
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes(`chose "toString"`))
    })
  )

  for (const [what, task] of Object.entries({
    "toJSON throws": { toJSON: () => assert.fail("toJSON") },
    "a getter throws": Object.defineProperty({}, "x", { enumerable: true, get: () => assert.fail("getter") }),
    "it is a revoked proxy": (() => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return proxy
    })(),
    "it is 20 000 levels deep": Array.from({ length: 20_000 }).reduce<unknown>((inner) => [inner], "core"),
    "it holds itself": (() => {
      const self: { self?: unknown } = {}
      self.self = self
      return self
    })()
  })) {
    it.effect(`is not harmed by a task that cannot be shown: ${what}`, () =>
      Effect.gen(function* () {
        const graph = Graph.single(
          "g",
          Node.transform((_: unknown) => 1)
        )
        assert.strictEqual((yield* Graph.run(graph, task)).output, 1)
        yield* assertRootAttributes
      }).pipe(Effect.provide(Spans.layer))
    )
  }

  it.effect("shows a task of a million parts for the price of a hundred", () =>
    Effect.gen(function* () {
      let read = 0
      const part = {
        get text() {
          return `part ${read++}`
        }
      }
      const task = Array.from({ length: 1_000_000 }, () => part)
      yield* Graph.run(
        Graph.single(
          "g",
          Node.transform((_: unknown) => 1)
        ),
        task
      )
      assert.isBelow(read, 1000)
      assert.match(String((yield* only("graph.execute")).attributes.get("task.content")), /^\[\{"text":"part 0"\}/)
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("dies with the name of the culprit when untyped code takes a way out that does not exist", () =>
    Effect.gen(function* () {
      const lost = Node.branch((_: number) => Node.to("nowhere", 1))
      const graph = Graph.make("g", {
        nodes: { lost },
        start: "lost",
        edges: { lost: { somewhere: "end" } as never }
      })
      const exit = yield* Effect.exit(Graph.run(graph, 1))
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes(`"lost" of graph "g" chose "nowhere"`))
    })
  )

  it.effect("hangs below the caller's span", () =>
    Effect.gen(function* () {
      yield* Graph.run(countToTen, 9).pipe(Effect.withSpan("mine"))
      assert.strictEqual(parentName(yield* only("graph.execute")), "mine")
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("spans of a run", () => {
  it.effect("T1 the root is graph.execute with all six attributes, on success", () =>
    Effect.gen(function* () {
      const execution = yield* Graph.run(countToTen, 9)
      const root = yield* assertRootAttributes
      assert.strictEqual(root.parent._tag, "None")
      assert.strictEqual(root.attributes.get("graph.id"), "count")
      assert.strictEqual(root.attributes.get("execution.trace_id"), execution.executionId)
      assert.strictEqual(root.attributes.get("task.content"), "9")
      assert.strictEqual(root.attributes.get("execution.nodes_executed"), 2)
    }).pipe(Effect.provide(Spans.layer))
  )

  const graphOf = (run: (number: number) => Effect.Effect<number, Broken>) =>
    Graph.make("g", {
      nodes: { increment, last: Node.tool(run) },
      start: "increment",
      edges: { increment: "last", last: "end" }
    })

  it.effect("T2 the same six on a typed failure", () =>
    Effect.gen(function* () {
      const graph = graphOf(() => Effect.fail(new Broken()))
      assert.strictEqual((yield* Effect.flip(Graph.run(graph, 1)))._tag, "Broken")
      const root = yield* assertRootAttributes
      assert.strictEqual(root.attributes.get("execution.nodes_executed"), 2)
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("T2 the same six on a defect", () =>
    Effect.gen(function* () {
      const graph = graphOf(() => Effect.die(new TypeError("bug")))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Graph.run(graph, 1))))
      const root = yield* assertRootAttributes
      assert.strictEqual(root.attributes.get("execution.nodes_executed"), 2)
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("T2 the same six on interruption, which counts no visit", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        Graph.run(
          graphOf(() => Effect.never),
          1
        )
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.interrupt(fiber)
      const root = yield* assertRootAttributes
      assert.strictEqual(root.attributes.get("execution.nodes_executed"), 1)
      assert.strictEqual(root.attributes.get("execution.duration_ms"), 3000)
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("T2 the same six on a time-out", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        nodes: { slow: sleep(9000).pipe(Node.timeout("2 seconds")) },
        start: "slow",
        edges: { slow: "end" }
      })
      const fiber = yield* Effect.forkChild(Effect.flip(Graph.run(graph, 1)))
      yield* TestClock.adjust("2 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.message, `The node "slow" did not finish within 2s.`)
      const root = yield* assertRootAttributes
      assert.strictEqual(root.attributes.get("execution.duration_ms"), 2000)
    }).pipe(Effect.provide(Spans.layer))
  )

  const nested = Graph.make("nested", {
    nodes: {
      fan: Node.parallel({ left: increment, right: Node.race({ quick: sleep(1), late: sleep(1000) }) }),
      list: Node.transform(({ left, right }: { readonly left: number; readonly right: number }) => [left, right]),
      each: Node.forEach(increment, { concurrency: "unbounded" })
    },
    start: "fan",
    edges: { fan: "list", list: "each", each: "end" }
  })

  it.effect("T3 every visit is one span below graph.execute or the node that contains it", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Graph.run(nested, 1))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* tree, [
        "graph.execute",
        "  node.parallel",
        "    node.transform",
        "    node.race",
        "      node.tool",
        "      node.tool",
        "  node.transform",
        "  node.forEach",
        "    node.transform",
        "    node.transform"
      ])
      const { all } = yield* Spans
      for (const span of all.slice(1)) {
        assert.strictEqual(`node.${String(span.attributes.get("node.type"))}`, span.name)
      }
      assert.deepStrictEqual(
        all.slice(1).map((span) => span.attributes.get("node.id")),
        ["fan", "fan.left", "fan.right", "fan.right.quick", "fan.right.late", "list", "each", "each.0", "each.1"]
      )
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("T4 steps are 1 to n and unique, also in parallel branches, loops and interrupted visits", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Graph.run(nested, 1))
      yield* TestClock.adjust("1 second")
      const execution = yield* Fiber.join(fiber)
      const steps = (yield* Spans).all.slice(1).map((span) => span.attributes.get("execution.step"))
      assert.deepStrictEqual(steps.toSorted(), [1, 2, 3, 4, 5, 6, 7, 8, 9])
      assert.strictEqual(execution.nodesExecuted, 8) // The race's loser was interrupted.
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("T26 span names hold no ids: 1 000 runs make three of them", () =>
    Effect.gen(function* () {
      yield* Effect.forEach(Array.from({ length: 1000 }), () => Graph.run(countToTen, 9))
      const names = new Set((yield* Spans).all.map((span) => span.name))
      assert.deepStrictEqual([...names], ["graph.execute", "node.transform", "node.gate"])
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("cuts task.content at 200 code points and takes secrets out of it", () =>
    Effect.gen(function* () {
      const echo = Graph.make("echo", {
        nodes: { echo: Node.transform((text: string) => text) },
        start: "echo",
        edges: { echo: "end" }
      })
      yield* Graph.run(echo, "🙂".repeat(201))
      yield* Graph.run(echo, "use sk-abcdefghijklmnop1234 and https://me:pw@host/ please")
      const [long, secret] = yield* named("graph.execute")
      assert.strictEqual(long!.attributes.get("task.content"), `${"🙂".repeat(200)}…`)
      assert.strictEqual(
        secret!.attributes.get("task.content"),
        "use __REDACTED__ and https://__REDACTED__@host/ please"
      )
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("Graph.stream", () => {
  it.effect("tells what happens and ends with the execution", () =>
    Effect.gen(function* () {
      const events = yield* Stream.runCollect(Graph.stream(countToTen, 9))
      assert.deepStrictEqual(
        events.map((event) => (event._tag === "Ended" ? "Ended" : `${event._tag} ${event.node} ${event.step}`)),
        ["NodeStarted increment 1", "NodeEnded increment 1", "NodeStarted done 2", "NodeEnded done 2", "Ended"]
      )
      const last = events.at(-1)
      assert.isTrue(last?._tag === "Ended" && last.execution.output === 10)
    })
  )

  it.effect("fails as the run fails", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        nodes: { bad: Node.tool((_: number) => Effect.fail(new Broken())) },
        start: "bad",
        edges: { bad: "end" }
      })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(Graph.stream(graph, 1))))._tag, "Broken")
    })
  )

  it.effect("interrupts the run when it is left early", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        nodes: { increment, forever: Node.tool((_: number) => Effect.never) },
        start: "increment",
        edges: { increment: "forever", forever: "end" }
      })
      yield* Stream.runDrain(Stream.take(Graph.stream(graph, 1), 3))
      const exit = exitOf(yield* only("graph.execute"))
      assert.isTrue(exit !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    }).pipe(Effect.provide(Spans.layer))
  )

  it.live("interrupts the run when it is left early, also when a reader was slower than the run", () =>
    Effect.gen(function* () {
      const busy = Graph.make("busy", {
        nodes: { many: Node.parallel(Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`n${n}`, increment]))) },
        start: "many",
        edges: { many: "end" }
      })
      const slowly = Graph.stream(busy, 1).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sleep("10 millis"))
      )
      yield* Stream.runDrain(Stream.take(slowly, 3)).pipe(Effect.timeout("2 seconds"))
      const fiber = yield* Effect.forkChild(Stream.runDrain(slowly))
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(fiber).pipe(Effect.timeout("2 seconds"))
    })
  )

  it.effect("says how a node ended, and when it is tried again", () =>
    Effect.gen(function* () {
      let attempt = 0
      const flaky = Node.tool((number: number) =>
        ++attempt === 1 ? Effect.fail(new Broken()) : Effect.succeed(number)
      )
      const graph = Graph.make("g", {
        nodes: { flaky: flaky.pipe(Node.retry()), bad: Node.tool((_: number) => Effect.fail(new Broken())) },
        start: "flaky",
        edges: { flaky: "bad", bad: "end" }
      })
      const told: Array<string> = []
      const run = Graph.listen(graph, 1, (event) =>
        Effect.sync(() => {
          const more = event._tag === "NodeEnded" ? event.outcome : event._tag === "NodeRetried" ? event.attempt : ""
          told.push(`${event._tag} ${event.node} ${more}`.trim())
        })
      )
      const fiber = yield* Effect.forkChild(Effect.exit(run))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(told, [
        "NodeStarted flaky",
        "NodeRetried flaky 2",
        "NodeEnded flaky success",
        "NodeStarted bad",
        "NodeEnded bad failure"
      ])
    })
  )

  it.effect("names the steps of a sub-graph after the step that it is", () =>
    Effect.gen(function* () {
      const outer = Graph.make("outer", {
        nodes: { count: Graph.toNode(countToTen) },
        start: "count",
        edges: { count: "end" }
      })
      const events = yield* Stream.runCollect(Graph.stream(outer, 9))
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "NodeStarted" ? [event.node] : [])),
        ["count", "count.increment", "count.done"]
      )
    })
  )
})

describe("Graph.toMermaid", () => {
  it("draws steps, ways out and the end", () => {
    assert.strictEqual(
      Graph.toMermaid(countToTen),
      [
        "flowchart TD",
        `  start(("start")) --> n0`,
        `  n0["increment<br/>transform"]`,
        "  n0 --> n1",
        `  n1{"done<br/>gate"}`,
        `  n1 -->|"pass"| end_`,
        `  n1 -->|"fail"| n0`,
        `  end_(("end"))`
      ].join("\n")
    )
  })

  it.effect("draws what an execution took in bold, and how often", () =>
    Effect.gen(function* () {
      const text = Graph.toMermaid(countToTen, { visited: yield* Graph.run(countToTen, 8) })
      assert.include(text, `n0["increment<br/>transform ×2"]`)
      assert.include(text, "class n0,n1 visited")
      assert.include(text, "linkStyle 0,1,2,3 stroke-width:4px")
    })
  )

  it("escapes what Mermaid reads anywhere in a line", () => {
    const name = "%%{init: {}}%%`code`\r"
    const graph = Graph.make("g", { nodes: { [name]: increment }, start: name, edges: { [name]: "end" } })
    assert.notMatch(Graph.toMermaid(graph).replaceAll("classDef", ""), /%%|`|\r|\{/)
  })

  it("keeps the characters of a name from becoming syntax", () => {
    const graph = Graph.make("g", { nodes: { [`a"]<b>`]: increment }, start: `a"]<b>`, edges: { [`a"]<b>`]: "end" } })
    assert.include(Graph.toMermaid(graph), `n0["a#34;]#60;b#62;<br/>transform"]`)
  })
})

describe("events", () => {
  it.effect("a gate and a branch record their decision", () =>
    Effect.gen(function* () {
      yield* Graph.run(countToTen, 9)
      assert.deepStrictEqual(eventsOf(yield* only("node.gate")), [
        {
          name: "router.decision",
          attributes: {
            "router.route": "pass",
            "router.candidates": ["pass", "fail"],
            "router.strategy": "code",
            "router.fallback": false
          }
        }
      ])
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("a branch names as candidates the ways out that its graph knows", () =>
    Effect.gen(function* () {
      const sign = Node.branch((number: number) =>
        number < 0 ? Node.to("negative", number) : Node.to("positive", number)
      )
      const graph = Graph.make("g", {
        nodes: { sign },
        start: "sign",
        edges: { sign: { negative: "end", positive: "end" } }
      })
      yield* Graph.run(graph, -1)
      const [event] = eventsOf(yield* only("node.branch"))
      assert.strictEqual(event?.attributes["router.route"], "negative")
      assert.deepStrictEqual(event?.attributes["router.candidates"], ["negative", "positive"])
    }).pipe(Effect.provide(Spans.layer))
  )
})
