// The conventions, end to end: graphs run against an Ollama double, and what they left is read at a gRPC collector.
// A title begins with the number of the check that it shows.
import { assert, describe, it } from "@effect/vitest"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Exit, Fiber, Layer, Schema, type Scope } from "effect"
import { vi } from "vitest"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as NodeClient from "../src/NodeClient.ts"
import { Ollama } from "../src/Ollama.ts"
import { type Asked, OllamaDouble, type Recorded, type Reply } from "../src/OllamaDouble.ts"
import * as Propagation from "../src/Propagation.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { version } from "../src/Version.ts"
import * as Collector from "./support/Collector.ts"
import { callsOf } from "./support/Double.ts"
import * as Process from "./support/Process.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { which: Schema.String }) {
  override get message() {
    return `${this.which} broke`
  }
}

/** Answers "math" to routers and "one two" to everybody else. */
const friendly = (asked: Asked): Reply => (asked.format === undefined ? "one two" : `{"route":"math"}`)

/** What a run left: its exit, the spans that a collector received, and the requests that Ollama received. */
interface Seen<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly collector: Collector.Collector
  readonly spans: ReadonlyArray<Collector.CollectedSpan>
  readonly named: (name: string) => ReadonlyArray<Collector.CollectedSpan>
  /** Without those by which runs ask beforehand what their models can do. */
  readonly requests: ReadonlyArray<Recorded>
}

/** How spans get to a collector: by our tracer, with the stock exporter or without, or by the SDK and what it has. */
type Way = (url: string, options: Telemetry.Options) => Layer.Layer<never, Telemetry.TelemetryConfigError>

const ours: Way = (otlpEndpoint, options) => Telemetry.layer({ otlpEndpoint, ...options })

const sdk: Way = (url, { serviceName }) =>
  Telemetry.layerSdk(
    [new BatchSpanProcessor(new OTLPTraceExporter({ url }))],
    serviceName === undefined ? {} : { serviceName }
  )

const stock: Way = (url, { serviceName }) =>
  Telemetry.layerExporter(new OTLPTraceExporter({ url }), serviceName === undefined ? {} : { serviceName })

const observing =
  (way: Way) =>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    reply: (asked: Asked) => Reply = friendly,
    options: Telemetry.Options = {}
  ): Effect.Effect<Seen<A, E>, never, Exclude<R, Ollama> | Scope.Scope> =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const double = yield* OllamaDouble
      const exit = yield* Effect.exit(
        Effect.provide(
          self,
          Layer.merge(
            NodeClient.layer({ url: double.url, retry: { base: "1 millis" } }),
            Layer.orDie(way(collector.url, options))
          )
        )
      )
      const spans = collector.spans()
      const named = (name: string) => spans.filter((span) => span.name === name)
      return { exit, collector, spans, named, requests: callsOf(yield* double.requests) }
    }).pipe(
      Effect.provide(Layer.orDie(OllamaDouble.layer({ models: ["m:latest"], reply }))),
      Effect.mapError((never: never) => never)
    ) as Effect.Effect<Seen<A, E>, never, Exclude<R, Ollama> | Scope.Scope>

const ask = Node.model({
  model: "m",
  system: "Be brief.",
  temperature: 1,
  prompt: (text: string) => `Q: ${text}`,
  output: (completion) => completion.text
})

const route = Node.router({ model: "m", prompt: (text: string) => text, routes: { code: "programs", math: "numbers" } })

/** Every kind of node: a router, a loop, parallel branches with a race inside, a list, a sub-graph, a tool. */
const rich = Graph.make("rich", {
  nodes: {
    route,
    ask,
    short: Node.gate((text: string) => text.length > 3),
    fan: Node.parallel({ left: ask, right: Node.race({ a: ask, b: Node.tool((_: string) => Effect.never) }) }),
    list: Node.transform(({ left, right }: { readonly left: string; readonly right: string }) => [left, right]),
    each: Node.forEach(Node.transform((text: string) => text.length)),
    inner: Graph.toNode(
      Graph.make("inner", {
        nodes: { sum: Node.tool((items: ReadonlyArray<number>) => Effect.succeed(items.length)) },
        start: "sum",
        edges: { sum: "end" }
      })
    )
  },
  start: "route",
  edges: {
    route: { code: "ask", math: "ask" },
    ask: "short",
    short: { pass: "fan", fail: "ask" },
    fan: "list",
    list: "each",
    each: "inner",
    inner: "end"
  }
})

const askFor = (model: string) => ({
  model,
  prompt: (text: string) => text,
  output: ({ text }: { readonly text: string }) => text
})

/** A graph of one step. */
const graphOf = <Out, E, R>(node: Node.Node<string, Out, E, R>) => Graph.single("single", node)

/** A graph of two steps whose second is the one given. */
const second = <E>(run: (text: string) => Effect.Effect<string, E>) =>
  Graph.make("second", {
    nodes: { first: Node.transform((text: string) => text), last: Node.tool(run) },
    start: "first",
    edges: { first: "last", last: "end" }
  })

const assertRoot = (root: Collector.CollectedSpan, nodes: number) => {
  assert.strictEqual(root.name, "graph.execute")
  assert.strictEqual(root.kind, "internal")
  assert.strictEqual(root.attributes["graph.id"], "second")
  assert.match(String(root.attributes["execution.trace_id"]), /^[0-9a-f-]{36}$/)
  assert.strictEqual(root.attributes["task.content"], "hello")
  assert.deepStrictEqual(root.otlp["execution.nodes_executed"], { intValue: nodes })
  assert.deepStrictEqual(root.otlp["execution.tokens_used"], { intValue: 0 })
  assert.isDefined(root.otlp["execution.duration_ms"]?.intValue)
}

describe.each([
  ["our tracer", ours],
  ["our tracer and the stock exporter", stock],
  ["the SDK's tracer", sdk]
] as const)("spans at the collector, by %s", (_, way) => {
  const observe = observing(way)

  it.live("T1 the root of a run is graph.execute with all six attributes, on success", () =>
    Effect.gen(function* () {
      const { collector } = yield* observe(Graph.run(second(Effect.succeed), "hello"))
      const root = collector.span("graph.execute")
      assertRoot(root, 2)
      assert.strictEqual(root.parentId, "")
      assert.strictEqual(root.status.code, "unset")
    })
  )

  it.live("T2 the same six on typed failure, defect, interruption and time-out", () =>
    Effect.gen(function* () {
      const failure = yield* observe(
        Graph.run(
          second(() => Effect.fail(new Broken({ which: "it" }))),
          "hello"
        )
      )
      assertRoot(failure.collector.span("graph.execute"), 2)
      assert.strictEqual(failure.collector.span("graph.execute").attributes["error.type"], "Broken")

      const defect = yield* observe(
        Graph.run(
          second(() => Effect.die(new TypeError("bug"))),
          "hello"
        )
      )
      assertRoot(defect.collector.span("graph.execute"), 2)
      assert.strictEqual(defect.collector.span("graph.execute").attributes["error.type"], "TypeError")

      const interruption = yield* observe(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(
            Graph.run(
              second(() => Effect.never),
              "hello"
            )
          )
          yield* Effect.sleep("20 millis")
          yield* Fiber.interrupt(fiber)
        })
      )
      assertRoot(interruption.collector.span("graph.execute"), 1)
      assert.strictEqual(interruption.collector.span("graph.execute").status.code, "unset")

      const slow = Graph.make("second", {
        nodes: { last: Node.tool((_: string) => Effect.never).pipe(Node.timeout("20 millis")) },
        start: "last",
        edges: { last: "end" }
      })
      const timeout = yield* observe(Graph.run(slow, "hello"))
      assertRoot(timeout.collector.span("graph.execute"), 1)
      assert.strictEqual(timeout.collector.span("graph.execute").attributes["error.type"], "timeout")
    })
  )

  it.live("T3 every visit is one span node.<type> below graph.execute or the node that contains it", () =>
    Effect.gen(function* () {
      const { exit, spans } = yield* observe(Graph.run(rich, "1 + 1"))
      assert.isTrue(Exit.isSuccess(exit))
      const byId = new Map(spans.map((span) => [span.spanId, span]))
      const containers = ["graph.execute", "node.parallel", "node.race", "node.forEach"]
      const visits = spans.filter((span) => span.name.startsWith("node."))
      assert.strictEqual(visits.length, 14)
      for (const visit of visits) {
        assert.include(containers, byId.get(visit.parentId)?.name, visit.name)
        assert.strictEqual(visit.name, `node.${String(visit.attributes["node.type"])}`)
        assert.isString(visit.attributes["node.id"])
      }
      assert.strictEqual(
        byId.get(spans.find((span) => span.attributes["graph.id"] === "inner")?.parentId ?? "")?.name,
        "node.subgraph"
      )
    })
  )

  it.live("T4 steps are 1 to n and unique for each graph.execute, in parallel branches and loops too", () =>
    Effect.gen(function* () {
      const { spans } = yield* observe(Graph.run(rich, "1 + 1"))
      const steps = (graph: string) => {
        const root = spans.find((span) => span.attributes["graph.id"] === graph)
        const inside = (span: Collector.CollectedSpan): boolean =>
          span.parentId === root?.spanId ||
          spans.some((parent) => parent.spanId === span.parentId && parent.name !== "graph.execute" && inside(parent))
        return spans
          .filter((span) => span.name.startsWith("node.") && inside(span))
          .map((span) => span.otlp["execution.step"]?.intValue ?? 0)
          .toSorted((a, b) => a - b)
      }
      assert.deepStrictEqual(
        steps("rich"),
        Array.from({ length: 13 }, (_, index) => index + 1)
      )
      assert.deepStrictEqual(steps("inner"), [1])
    })
  )

  it.live("T5 a model call is a CLIENT span with model, prompt length and three counts", () =>
    Effect.gen(function* () {
      const { named } = yield* observe(Graph.run(rich, "1 + 1"))
      for (const call of named("llm.chat")) {
        assert.strictEqual(call.kind, "client")
        assert.strictEqual(call.attributes["llm.model"], "m")
        assert.isAbove(call.otlp["llm.prompt_length"]?.intValue ?? 0, 0)
        for (const key of ["llm.input_tokens", "llm.output_tokens", "llm.total_tokens"]) {
          assert.isAbove(call.otlp[key]?.intValue ?? 0, 0, key)
        }
      }
      const single = yield* observe(Graph.run(graphOf(ask), "🙂"))
      // "Be brief." and "Q: 🙂", in code points.
      assert.deepStrictEqual(single.collector.span("llm.chat").otlp["llm.prompt_length"], { intValue: 13 })

      const silent = yield* observe(Graph.run(graphOf(ask), "x"), () => ({
        text: "yes",
        metrics: { prompt_eval_count: undefined, eval_count: undefined }
      }))
      const keys = Object.keys(silent.collector.span("llm.chat").otlp).filter((key) => /tokens/.test(key))
      assert.deepStrictEqual(keys, ["gen_ai.request.max_tokens"], "counts that the server did not give are no zeros")
    })
  )

  it.live("T6 totals are input + output, and the run's tokens are their sum", () =>
    Effect.gen(function* () {
      const { collector, exit, named } = yield* observe(Graph.run(rich, "1 + 1"))
      const number = (span: Collector.CollectedSpan, key: string) => span.otlp[key]?.intValue ?? 0
      const totals = named("llm.chat").map((call) => {
        assert.strictEqual(
          number(call, "llm.total_tokens"),
          number(call, "llm.input_tokens") + number(call, "llm.output_tokens")
        )
        return number(call, "llm.total_tokens")
      })
      const sum = totals.reduce((a, b) => a + b)
      const root = named("graph.execute").find((span) => span.parentId === "")
      assert.strictEqual(number(root ?? collector.span("none"), "execution.tokens_used"), sum)
      assert.isTrue(Exit.isSuccess(exit) && exit.value.usage.inputTokens + exit.value.usage.outputTokens === sum)
    })
  )

  it.live("T7 gen_ai.* says the same as llm.*", () =>
    Effect.gen(function* () {
      const { named } = yield* observe(Graph.run(rich, "1 + 1"))
      assert.strictEqual(named("llm.chat").length, 4)
      for (const { otlp } of named("llm.chat")) {
        assert.deepStrictEqual(otlp["gen_ai.request.model"], otlp["llm.model"])
        assert.deepStrictEqual(otlp["gen_ai.usage.input_tokens"], otlp["llm.input_tokens"])
        assert.deepStrictEqual(otlp["gen_ai.usage.output_tokens"], otlp["llm.output_tokens"])
        assert.deepStrictEqual(otlp["gen_ai.request.temperature"], otlp["llm.temperature"])
      }
    })
  )

  it.live("T8 no gen_ai.request.model and no gen_ai.usage.* outside of model calls", () =>
    Effect.gen(function* () {
      const { spans } = yield* observe(Graph.run(rich, "1 + 1"))
      for (const span of spans.filter((span) => !span.name.startsWith("llm."))) {
        assert.deepStrictEqual(
          Object.keys(span.otlp).filter((key) => /^gen_ai\.(request\.model|usage)/.test(key)),
          []
        )
      }
    })
  )

  it.live("T9 provider ollama, operations chat, text_completion and invoke_workflow", () =>
    Effect.gen(function* () {
      const generate = Node.tool((prompt: string) =>
        Effect.flatMap(Ollama, (ollama) => ollama.generate({ model: "m", prompt }))
      )
      const { collector, spans } = yield* observe(
        Effect.andThen(Graph.run(graphOf(ask), "x"), Graph.run(graphOf(generate), "x"))
      )
      assert.strictEqual(collector.span("llm.chat").attributes["gen_ai.operation.name"], "chat")
      assert.strictEqual(collector.span("llm.generate").attributes["gen_ai.operation.name"], "text_completion")
      assert.strictEqual(collector.span("graph.execute").attributes["gen_ai.operation.name"], "invoke_workflow")
      assert.strictEqual(collector.span("graph.execute").attributes["gen_ai.workflow.name"], "single")
      for (const span of spans) {
        assert.strictEqual(span.attributes["gen_ai.provider.name"], span.name.startsWith("llm.") ? "ollama" : undefined)
      }
    })
  )

  it.live("T10 finish reasons are an array of strings on the wire", () =>
    Effect.gen(function* () {
      const { collector } = yield* observe(Graph.run(graphOf(ask), "x"), () => ({ text: "cut", doneReason: "length" }))
      assert.deepStrictEqual(collector.span("llm.chat").otlp["gen_ai.response.finish_reasons"], {
        arrayValue: { values: [{ stringValue: "length" }] }
      })
    })
  )

  it.live("T11 streaming shows only where the caller streams, with the time to the first text in seconds", () =>
    Effect.gen(function* () {
      const slow = () => ({ text: ["one ", "two"], firstDelay: "50 millis", delay: "20 millis" }) as const
      const whole = (yield* observe(Graph.run(graphOf(ask), "x"), slow)).collector.span("llm.chat")
      assert.notProperty(whole.otlp, "gen_ai.request.stream")
      assert.notProperty(whole.otlp, "gen_ai.response.time_to_first_chunk")

      const listening = Graph.listen(graphOf(ask), "x", () => Effect.void)
      const streamed = (yield* observe(listening, slow)).collector.span("llm.chat")
      assert.deepStrictEqual(streamed.otlp["gen_ai.request.stream"], { boolValue: true })
      const seconds = streamed.otlp["gen_ai.response.time_to_first_chunk"]?.doubleValue ?? 0
      assert.isAtLeast(seconds, 0.049)
      assert.isAtMost(seconds, Number(streamed.end - streamed.start) / 1e9)
    })
  )

  it.live("T12 the temperature is there when it was set, 1 equal to 1, and only then", () =>
    Effect.gen(function* () {
      const set = (yield* observe(Graph.run(graphOf(ask), "x"))).collector.span("llm.chat")
      assert.strictEqual(set.attributes["llm.temperature"], 1)
      const plain = Node.model({ model: "m", prompt: (text: string) => text, output: ({ text }) => text })
      const unset = (yield* observe(Graph.run(graphOf(plain), "x"))).collector.span("llm.chat")
      assert.notProperty(unset.otlp, "llm.temperature")
      assert.notProperty(unset.otlp, "gen_ai.request.temperature")
    })
  )

  it.live("T13 every count and duration that is a whole number arrives as an integer", () =>
    Effect.gen(function* () {
      const { spans } = yield* observe(Graph.run(rich, "1 + 1"))
      const integers =
        /^(execution\.(nodes_executed|tokens_used|duration_ms|step)|llm\.(prompt_length|\w+_tokens)|gen_ai\.usage\.\w+_tokens|gen_ai\.request\.max_tokens|server\.port)$/
      let seen = 0
      for (const span of spans) {
        for (const [key, value] of Object.entries(span.otlp).filter(([key]) => integers.test(key))) {
          assert.deepStrictEqual(Object.keys(value), ["intValue"], key)
          seen++
        }
      }
      assert.isAbove(seen, 30)
    })
  )

  it.live("T14 no value is null, undefined, [object Object] or JSON over several lines", () =>
    Effect.gen(function* () {
      const task = { _tag: "Task", items: [1, { deep: undefined, none: null }] }
      const graph = Graph.make("objects", {
        nodes: { last: Node.transform((input: typeof task) => input) },
        start: "last",
        edges: { last: "end" }
      })
      const mine = Effect.annotateCurrentSpan({ a: undefined, b: null, c: { d: [1, null] }, e: 5n }).pipe(
        Effect.withSpan("mine", { attributes: { f: undefined } })
      )
      const { collector, spans } = yield* observe(Effect.andThen(mine, Graph.run(graph, task)))
      for (const span of spans) {
        for (const [key, value] of Object.entries(span.attributes)) {
          assert.notInclude(["null", "undefined", "[object Object]"], value, key)
          assert.notInclude(String(value), "\n", key)
        }
      }
      assert.deepStrictEqual(collector.span("mine").attributes, { c: `{"d":[1,null]}`, e: 5 })
    })
  )

  it.live("T15 a failed span has status Error and error.type; the exception is only where the error arose", () =>
    Effect.gen(function* () {
      const deep = Effect.fail(new Broken({ which: "the tool" })).pipe(Effect.withSpan("deep"))
      const { spans } = yield* observe(
        Graph.run(
          second(() => deep),
          "hello"
        )
      )
      for (const name of ["deep", "node.tool", "graph.execute"]) {
        const span = spans.find((span) => span.name === name)
        assert.deepStrictEqual(span?.status, { code: "error", message: "the tool broke" }, name)
        assert.strictEqual(span?.attributes["error.type"], "Broken")
        assert.strictEqual(span?.events.length, name === "deep" ? 1 : 0, name)
      }
      const [event] = spans.find((span) => span.name === "deep")?.events ?? []
      assert.strictEqual(event?.name, "exception")
      assert.strictEqual(event?.attributes["exception.type"], "Broken")
      assert.strictEqual(event?.attributes["exception.message"], "the tool broke")
      assert.include(String(event?.attributes["exception.stacktrace"]), "Wire.test.ts")

      const missing = yield* observe(Graph.run(graphOf(Node.model(askFor("unknown"))), "x"))
      const call = missing.collector.span("llm.chat")
      assert.strictEqual(call.status.code, "error")
      assert.strictEqual(call.attributes["error.type"], "404")
      assert.strictEqual(missing.collector.span("graph.execute").attributes["error.type"], "404")
    })
  )

  it.live("T16 error.type is on no span that is not an error, also beside one that is", () =>
    Effect.gen(function* () {
      const first = yield* observe(Graph.run(rich, "1 + 1"))
      const failing = yield* observe(
        Graph.run(
          second(() => Effect.fail(new Broken({ which: "it" }))),
          "hello"
        )
      )
      for (const span of [...first.spans, ...failing.spans]) {
        assert.strictEqual("error.type" in span.attributes, span.status.code === "error", span.name)
      }
      assert.strictEqual(failing.collector.span("node.transform").status.code, "unset")
    })
  )

  it.live("T17 a retry that succeeds: attempts 1 to k, all but the last failed, and nothing above them failed", () =>
    Effect.gen(function* () {
      const busy = { status: 503, error: "server busy, please try again.  maximum pending requests exceeded" }
      const reply = (asked: Asked): Reply => (asked.count <= 2 ? busy : "at last")
      const { collector, named, requests, spans } = yield* observe(Graph.run(graphOf(ask), "x"), reply)
      assert.strictEqual(requests.length, 3)
      const attempts = named("retry.attempt").toSorted((a, b) => Number(a.start - b.start))
      assert.deepStrictEqual(
        attempts.map((span) => [span.otlp["retry.attempt"]?.intValue, span.status.code, span.attributes["error.type"]]),
        [
          [1, "error", "503"],
          [2, "error", "503"],
          [3, "unset", undefined]
        ]
      )
      const call = collector.span("llm.chat")
      for (const attempt of attempts) {
        assert.strictEqual(attempt.parentId, call.spanId)
        assert.isTrue(call.start <= attempt.start && attempt.end <= call.end)
      }
      for (const span of spans.filter((span) => span.name !== "retry.attempt")) {
        assert.strictEqual(span.status.code, "unset", span.name)
      }
      assert.deepStrictEqual(
        call.events.filter((event) => event.name === "retry.scheduled").map((event) => event.attributes["error.type"]),
        ["503", "503"]
      )
      assert.strictEqual((yield* observe(Graph.run(graphOf(ask), "x"))).named("retry.attempt").length, 0)
    })
  )

  it.live("T18 cancellation by the caller is no error anywhere", () =>
    Effect.gen(function* () {
      let asked = false
      const { collector, requests, spans } = yield* observe(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Graph.run(graphOf(ask), "x"))
          yield* Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => asked }))
          yield* Effect.sleep("100 millis")
          yield* Fiber.interrupt(fiber)
        }),
        () => {
          asked = true
          return { text: Array.from({ length: 100 }, () => "word "), delay: "20 millis" }
        }
      )
      assert.deepStrictEqual(spans.map((span) => span.name).toSorted(), ["graph.execute", "llm.chat", "node.model"])
      for (const span of spans) {
        assert.strictEqual(span.status.code, "unset", span.name)
        assert.notProperty(span.attributes, "error.type")
        assert.deepStrictEqual(
          span.events.filter((event) => event.name === "exception"),
          []
        )
      }
      assert.strictEqual(collector.span("llm.chat").attributes["effect.fiber.interrupted"], true)
      assert.isDefined(requests[0]?.disconnectedAt)
    })
  )

  it.live("T19 each error is recorded once a trace; two failing branches are two errors", () =>
    Effect.gen(function* () {
      const fail = (which: string) => Node.tool((_: string) => Effect.fail(new Broken({ which })))
      const both = Node.race({ left: fail("left"), right: fail("right") })
      const { spans } = yield* observe(Graph.run(graphOf(both), "x"))
      const exceptions = spans.flatMap((span) =>
        span.events
          .filter((event) => event.name === "exception")
          .map((event) => `${span.name}: ${String(event.attributes["exception.message"])}`)
      )
      assert.sameMembers(exceptions, [
        "node.tool: left broke",
        "node.tool: right broke",
        `node.race: All 2 nodes of the race "node" failed (Broken, Broken).`
      ])

      const once = yield* observe(
        Graph.run(
          second(() => Effect.fail(new Broken({ which: "it" }))),
          "hello"
        )
      )
      assert.strictEqual(once.spans.flatMap((span) => span.events).length, 1)

      const flaky = Node.tool((_: string) => Effect.fail(new Broken({ which: "it" }))).pipe(Node.retry({ times: 1 }))
      const retried = yield* observe(Graph.run(graphOf(flaky), "x"))
      assert.strictEqual(retried.named("retry.attempt").length, 2)
      assert.strictEqual(
        retried.spans.flatMap((span) => span.events).filter((event) => event.name === "exception").length,
        2,
        "two attempts failed, each with an error of its own"
      )
    })
  )

  it.live("T26 names of spans hold no ids, models or user text, and names of events are a closed set", () =>
    Effect.gen(function* () {
      const { spans } = yield* observe(Graph.run(rich, "1 + 1"))
      const allowed =
        /^(graph\.execute|node\.(router|model|gate|parallel|race|tool|transform|forEach|subgraph)|llm\.chat|ollama\.(load|wait|prompt_eval|generate))$/
      for (const span of spans) {
        assert.match(span.name, allowed)
        for (const event of span.events) {
          assert.include(
            [
              "exception",
              "llm.first_token",
              "llm.model_checked",
              "llm.prompt_truncated",
              "retry.scheduled",
              "router.decision"
            ],
            event.name
          )
        }
      }
    })
  )

  it.live("T28 the service is tinyllm, unless it is named", () =>
    Effect.gen(function* () {
      const unnamed = yield* observe(Graph.run(second(Effect.succeed), "hello"))
      assert.strictEqual(unnamed.spans[0]?.resource["service.name"], "tinyllm")
      const named = yield* observe(Graph.run(second(Effect.succeed), "hello"), friendly, { serviceName: "shop" })
      assert.strictEqual(named.spans[0]?.resource["service.name"], "shop")
      const collector = yield* Collector.make()
      const env = { OTEL_SERVICE_NAME: "from-env" }
      const endpoint = ["--otlp-endpoint", collector.url]
      yield* Effect.promise(() => Process.runNode("src/Main.ts", ["run", "1+1", "--demo", ...endpoint], { env }))
      assert.strictEqual(collector.spans()[0]?.resource["service.name"], "from-env")
    })
  )

  it.live("T63 the scope of every span is tinyllm with its version", () =>
    Effect.gen(function* () {
      const { spans } = yield* observe(Graph.run(rich, "1 + 1"))
      for (const span of spans) {
        assert.deepStrictEqual(span.scope, { name: "tinyllm", version })
      }
    })
  )
})

describe("spans at the collector", () => {
  const observe = observing(ours)

  it.live("T48 requests to Ollama carry the traceparent of their call's span, and no b3", () =>
    Effect.gen(function* () {
      const { named, requests } = yield* observe(Graph.run(rich, "1 + 1"))
      assert.sameMembers(
        requests.map(({ headers }) => String(headers["traceparent"])),
        // Sampled, and with random bits: the ids of this trace are our own.
        named("llm.chat").map((call) => `00-${call.traceId}-${call.spanId}-03`)
      )
      for (const { headers } of requests) {
        assert.notProperty(headers, "b3")
        assert.notProperty(headers, "x-b3-traceid")
      }
      const off = yield* observe(Graph.run(rich, "1 + 1"), friendly, { enableTracing: false })
      assert.strictEqual(off.spans.length, 0)
      assert.isTrue(off.requests.every(({ headers }) => headers["traceparent"] === undefined))
    })
  )

  it.live(
    "T48 requests to Ollama carry the caller's state and baggage; neither prompts nor spans hold the baggage",
    () =>
      Effect.gen(function* () {
        const caller = {
          traceparent: "00-12345678901234567890123456789012-1234567890123456-03",
          tracestate: "foo@=1,bar=2",
          baggage: "tenant=canary-7f3a"
        }
        const { collector, named, requests, spans } = yield* observe(
          Propagation.withRemote(caller)(Graph.run(rich, "1 + 1"))
        )
        assert.sameMembers(
          requests.map(({ headers }) => String(headers["traceparent"])),
          named("llm.chat").map((call) => `00-12345678901234567890123456789012-${call.spanId}-03`)
        )
        for (const { headers } of requests) {
          assert.include(headers, { tracestate: caller.tracestate, baggage: caller.baggage })
          assert.notProperty(headers, "b3")
        }
        for (const span of spans) {
          assert.strictEqual(span.traceState, caller.tracestate, span.name)
        }
        assert.notInclude(collector.bytes(), "canary-7f3a")
      })
  )

  it.live("T53 nothing below an unsampled parent is exported, also at rate 1; whole traces otherwise", () =>
    Effect.gen(function* () {
      const traceId = "12345678901234567890123456789012"
      const below = (flags: string, options: Telemetry.Options) =>
        Effect.promise(() =>
          Process.runNode(
            "src/Main.ts",
            [
              "run",
              "1+1",
              "--demo",
              ...(options.samplingRate === undefined ? [] : ["--sampling-rate", String(options.samplingRate)]),
              "--otlp-endpoint",
              options.otlpEndpoint ?? ""
            ],
            {
              env: { TRACEPARENT: `00-${traceId}-1234567890123456-${flags}` }
            }
          )
        )
      const unsampled = yield* Collector.make()
      yield* below("00", { otlpEndpoint: unsampled.url, samplingRate: 1 })
      assert.strictEqual(unsampled.spans().length, 0)
      const sampled = yield* Collector.make()
      yield* below("01", { otlpEndpoint: sampled.url, samplingRate: 0 })
      assert.strictEqual(sampled.spans().length, 14)
    })
  )

  it.live("T59 standard output carries the answer only when spans go to a collector", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { stderr, stdout } = yield* Effect.promise(() =>
        Process.runNode("src/Main.ts", ["run", "6 * 7", "--demo", "--otlp-endpoint", collector.url])
      )
      assert.strictEqual(stdout, "42\n")
      assert.match(stderr, /^tinyllm: the demo server[^\n]*\ntinyllm: 14 spans exported to 127\.0\.0\.1:\d+\n$/)
      assert.strictEqual(collector.spans().length, 14)
    })
  )

  it.live(
    "T62 no module of OpenTelemetry is loaded by a run with tracing off, nor for the console; for a collector some are",
    () =>
      Effect.gen(function* () {
        const loaded = (...flags: ReadonlyArray<string>) =>
          Effect.map(
            Effect.promise(() =>
              Process.run(process.execPath, [
                "--import",
                "./test/fixtures/report-opentelemetry.ts",
                "src/Main.ts",
                "run",
                "1+1",
                "--demo",
                ...flags
              ])
            ),
            ({ stderr, stdout }) => {
              assert.strictEqual(stdout, "2\n")
              // What the fixture counts: the files of OpenTelemetry and of gRPC that were loaded.
              const [, otel, grpc] = /^opentelemetry: (\d+), grpc: (\d+)$/m.exec(stderr) ?? []
              return { otel: Number(otel), grpc: Number(grpc) }
            }
          )
        assert.deepStrictEqual(yield* loaded(), { otel: 0, grpc: 0 })
        assert.deepStrictEqual(yield* loaded("--tracing"), { otel: 0, grpc: 0 })
        const collector = yield* Collector.make()
        const otlp = yield* loaded("--otlp-endpoint", collector.url)
        assert.isAbove(otlp.otel, 0)
        assert.isAbove(otlp.grpc, 0)
      })
  )
})

describe("sampling", () => {
  /** Which of so many runs were recorded, with ids from a seed: the same in every call. */
  const kept = (samplingRate: number, runs: number) =>
    Effect.gen(function* () {
      let state = 42
      // mulberry32; the SDK draws ids from Math.random.
      const random = vi.spyOn(Math, "random").mockImplementation(() => {
        state = (state + 0x6d2b79f5) | 0
        let t = Math.imul(state ^ (state >>> 15), 1 | state)
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
        return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
      })
      const spans = new Map<string, Array<ReadableSpan>>()
      const processor: SpanProcessor = {
        onStart: () => {},
        onEnd: (span) => {
          if ((span.spanContext().traceFlags & 1) === 1) {
            const { traceId } = span.spanContext()
            spans.set(traceId, [...(spans.get(traceId) ?? []), span])
          }
        },
        forceFlush: () => Promise.resolve(),
        shutdown: () => Promise.resolve()
      }
      const run = Graph.run(second(Effect.succeed), "hello")
      yield* Effect.forEach(Array.from({ length: runs }), () => run, { discard: true }).pipe(
        Effect.provide(Layer.orDie(Telemetry.layerProcessor(processor, { samplingRate }))),
        Effect.ensuring(Effect.sync(() => random.mockRestore()))
      )
      for (const trace of spans.values()) {
        assert.strictEqual(trace.length, 3, "whole traces")
      }
      return new Set(spans.keys())
    })

  it.live("T51 rate 0 keeps nothing, 1 everything, 0.1 of 10 000 runs a tenth, and a higher rate keeps them too", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* kept(0, 200)).size, 0)
      assert.strictEqual((yield* kept(1, 200)).size, 200)
      const tenth = yield* kept(0.1, 10_000)
      assert.isAtLeast(tenth.size, 900)
      assert.isAtMost(tenth.size, 1100)
      const half = yield* kept(0.5, 10_000)
      assert.isTrue([...tenth].every((traceId) => half.has(traceId)))
    })
  )

  it.effect("T52 a rate that is no number from 0 to 1 is refused, and the message says so", () =>
    Effect.gen(function* () {
      for (const samplingRate of [Number.NaN, "0.5", -0.1, 1.1, Infinity, null]) {
        const options = { enableTracing: true, samplingRate } as Telemetry.Options
        const error = yield* Effect.flip(Effect.scoped(Layer.build(Telemetry.layer(options))))
        assert.include(error.message, "samplingRate must be a number from 0 to 1")
      }
    })
  )
})
