// Metrics from outside: what runs left is read at a gRPC collector, in processes of their own where the process matters.
// A title begins with the number of the check that it shows.
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base"
import { ConfigProvider, Deferred, Effect, Exit, Fiber, Layer, Schema, type Scope, Stream } from "effect"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as NodeClient from "../src/NodeClient.ts"
import { Ollama } from "../src/Ollama.ts"
import { OllamaDouble, type Reply } from "../src/OllamaDouble.ts"
import { RecordedSpan } from "../src/RecordedSpan.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { version } from "../src/Version.ts"
import { type CollectedMetric, decode, latest, type Point } from "./support/CollectedMetrics.ts"
import * as Collector from "./support/Collector.ts"
import { callsOf } from "./support/Double.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Process from "./support/Process.ts"

const seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
const tokens = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
const call = [
  "gen_ai.operation.name",
  "gen_ai.provider.name",
  "gen_ai.request.model",
  "gen_ai.response.model",
  "server.address",
  "server.port"
]

/** Every metric there is: its type and unit, its buckets, and the dimensions that its points may have. */
const golden: Readonly<
  Record<
    string,
    Pick<CollectedMetric, "type" | "unit"> & {
      readonly bounds?: ReadonlyArray<number>
      readonly dimensions: ReadonlyArray<string>
    }
  >
> = {
  "gen_ai.client.token.usage": {
    type: "histogram",
    unit: "{token}",
    bounds: tokens,
    dimensions: [...call, "gen_ai.token.type"]
  },
  "gen_ai.client.operation.duration": {
    type: "histogram",
    unit: "s",
    bounds: seconds,
    dimensions: [...call, "error.type"]
  },
  "gen_ai.client.operation.time_to_first_chunk": { type: "histogram", unit: "s", bounds: seconds, dimensions: call },
  "gen_ai.client.operation.time_per_output_chunk": { type: "histogram", unit: "s", bounds: seconds, dimensions: call },
  "tinyllm.graph.executions": { type: "counter", unit: "{execution}", dimensions: ["graph.id", "status"] },
  "tinyllm.graph.active": { type: "up-down counter", unit: "{execution}", dimensions: ["graph.id"] },
  "tinyllm.spans.exported": { type: "counter", unit: "{span}", dimensions: [] },
  "tinyllm.spans.kept": { type: "up-down counter", unit: "{span}", dimensions: [] },
  "tinyllm.spans.dropped": { type: "counter", unit: "{span}", dimensions: [] }
}

/** Holds metrics against the golden list; gives the dimensions that were seen, so that none is listed in vain. */
const assertGolden = (metrics: Readonly<Record<string, CollectedMetric>>): ReadonlySet<string> => {
  const seen = new Set<string>()
  for (const [name, metric] of Object.entries(metrics)) {
    const wanted = golden[name]
    assert.isDefined(wanted, name)
    assert.strictEqual(metric.type, wanted?.type, name)
    assert.strictEqual(metric.unit, wanted?.unit, name)
    assert.notStrictEqual(metric.description, "", name)
    assert.deepStrictEqual(metric.scope, { name: "tinyllm", version })
    assert.isNotEmpty(metric.points, name)
    for (const { asDouble, attributes, bounds } of metric.points) {
      assert.deepStrictEqual(bounds, wanted?.bounds, name)
      assert.isUndefined(asDouble, `${name} is counted in integers`)
      assert.includeMembers([...(wanted?.dimensions ?? [])], Object.keys(attributes), name)
      for (const dimension of Object.keys(attributes)) {
        seen.add(`${name} ${dimension}`)
      }
    }
  }
  return seen
}

const asks = {
  model: "m",
  prompt: (text: string) => text,
  output: ({ text }: { readonly text: string }) => text
}

const ask = Node.model(asks)

const asking = Graph.single("asking", ask)

/** Runs against a double, with metrics to the collector; tracing is as the options say. */
const observe = <A, E>(
  self: Effect.Effect<A, E, Ollama>,
  given: {
    readonly collector: Collector.Collector
    readonly reply?: Reply
    readonly options?: Telemetry.Options
    readonly env?: Record<string, string>
  }
): Effect.Effect<{ readonly exit: Exit.Exit<A, E>; readonly stderr: string }, never, Scope.Scope> =>
  isolated(
    Effect.gen(function* () {
      const { url } = yield* OllamaDouble
      return yield* Effect.provide(
        self,
        Layer.merge(
          NodeClient.layer({ url, retry: { times: 0 } }),
          Layer.orDie(Telemetry.layer(given.options ?? { enableTracing: false }))
        )
      )
    }).pipe(
      Effect.provide(Layer.orDie(OllamaDouble.layer({ models: ["m:latest"], reply: () => given.reply ?? "one two" })))
    ),
    {
      OTEL_METRICS_EXPORTER: "otlp",
      OTEL_EXPORTER_OTLP_ENDPOINT: given.collector.url,
      ...given.env
    }
  )

const traced: Telemetry.Options = { exporter: "otlp" }

const sumOf = (points: ReadonlyArray<Point> | undefined, field: "count" | "sum" | "asInt"): number =>
  (points ?? []).reduce((sum, point) => sum + (point[field] ?? 0), 0)

const runTo = (
  collector: Collector.Collector | string,
  env: Record<string, string> = {},
  args: ReadonlyArray<string> = [],
  question = "What is 2 + 2?"
) =>
  Process.runNode("src/Main.ts", ["run", question, "--demo", ...args], {
    env: {
      OTEL_METRICS_EXPORTER: "otlp",
      OTEL_EXPORTER_OTLP_ENDPOINT: typeof collector === "string" ? collector : collector.url,
      TINYLLM_SPOOL: "false",
      ...env
    }
  })

describe("metrics at the collector", () => {
  it.live("T60 have the names, types, units, buckets and dimensions of the conventions, and no others", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* observe(
        Effect.gen(function* () {
          const ollama = yield* Ollama
          const request = { model: "m", messages: [{ role: "user" as const, content: "canary-prompt" }] }
          yield* Stream.runDrain(ollama.stream(request))
          yield* ollama.generate({ model: "m", prompt: "canary-prompt" })
          yield* Graph.run(asking, "canary-prompt")
          yield* Effect.exit(
            Graph.run(
              Graph.single(
                "failing",
                Node.tool(() => Effect.fail("canary-error"))
              ),
              "x"
            )
          )
          yield* Effect.exit(ollama.chat({ ...request, model: "missing" }))
        }),
        { collector, options: traced, reply: { text: ["one ", "two ", "canary-answer"], delay: "30 millis" } }
      )
      const metrics = latest(collector.metricCalls())
      assert.sameMembers(Object.keys(metrics), Object.keys(golden))
      const seen = assertGolden(metrics)
      for (const [name, { dimensions }] of Object.entries(golden)) {
        for (const dimension of dimensions) {
          assert.isTrue(seen.has(`${name} ${dimension}`), `${name} ${dimension}`)
        }
      }
      assert.strictEqual(metrics["tinyllm.graph.executions"]?.resource["service.name"], "tinyllm")
      for (const { bytes } of collector.metricCalls()) {
        assert.notInclude(bytes.toString("latin1"), "canary")
      }
    })
  )

  it.live("T60 say what the spans say: durations, tokens and error.type", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* observe(
        Effect.gen(function* () {
          const ollama = yield* Ollama
          yield* Effect.exit(ollama.chat({ model: "missing", messages: [{ role: "user", content: "hi" }] }))
          yield* Effect.exit(ollama.chat({ model: "", messages: [{ role: "user", content: "hi" }] }))
          yield* ollama.generate({ model: "m", prompt: "hi" })
          yield* ollama.chat({ model: "m", messages: [{ role: "user", content: "hi" }] })
        }),
        { collector, options: traced }
      )
      const metrics = latest(collector.metricCalls())
      const calls = collector.spans().filter(({ name }) => name.startsWith("llm."))
      assert.lengthOf(calls, 4)
      const durations = metrics["gen_ai.client.operation.duration"]?.points ?? []
      for (const span of calls) {
        const errorType = span.attributes["error.type"]
        const point = durations.find(
          ({ attributes }) =>
            attributes["error.type"] === errorType &&
            attributes["gen_ai.operation.name"] === span.attributes["gen_ai.operation.name"] &&
            attributes["gen_ai.request.model"] === span.attributes["gen_ai.request.model"]
        )
        assert.strictEqual(point?.count, 1, span.name)
        assert.closeTo(point?.sum ?? 0, Number(span.end - span.start) / 1e9, 1e-6)
      }
      assert.sameMembers(
        durations.flatMap(({ attributes }) => attributes["error.type"] ?? []),
        ["404", "InvalidRequest"]
      )
      for (const type of ["input", "output"]) {
        const points = metrics["gen_ai.client.token.usage"]?.points.filter(
          ({ attributes }) => attributes["gen_ai.token.type"] === type
        )
        const onSpans = calls.flatMap(({ attributes }) => attributes[`gen_ai.usage.${type}_tokens`] ?? [])
        assert.strictEqual(sumOf(points, "count"), onSpans.length)
        assert.strictEqual(
          sumOf(points, "sum"),
          onSpans.reduce((sum: number, count) => sum + Number(count), 0)
        )
      }
    })
  )

  it.live("T60 have no tokens where the server counted none", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* observe(Graph.run(asking, "hi"), {
        collector,
        reply: { text: "one", metrics: { prompt_eval_count: undefined, eval_count: undefined } }
      })
      const metrics = latest(collector.metricCalls())
      assert.notProperty(metrics, "gen_ai.client.token.usage")
      assert.strictEqual(sumOf(metrics["gen_ai.client.operation.duration"]?.points, "count"), 1)
    })
  )

  it.live("T60 time the chunks of a stream, each after the first, and of nothing else", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* observe(
        Effect.gen(function* () {
          const ollama = yield* Ollama
          const request = { model: "m", messages: [{ role: "user" as const, content: "hi" }] }
          yield* Stream.runDrain(ollama.stream(request))
          yield* ollama.chat(request)
        }),
        { collector, options: traced, reply: { text: ["a", "b", "c", "d"], delay: "100 millis" } }
      )
      const metrics = latest(collector.metricCalls())
      const each = metrics["gen_ai.client.operation.time_per_output_chunk"]?.points
      assert.strictEqual(sumOf(each, "count"), 3)
      // The first is read when it has come, the last one not before it was sent.
      assert.isAbove(sumOf(each, "sum"), 0.2)
      const first = metrics["gen_ai.client.operation.time_to_first_chunk"]?.points
      assert.strictEqual(sumOf(first, "count"), 1)
      const streamed = collector.spans().find(({ attributes }) => attributes["gen_ai.request.stream"] === true)
      assert.strictEqual(sumOf(first, "sum"), streamed?.attributes["gen_ai.response.time_to_first_chunk"])
    })
  )

  it.live("T60 count how runs ended, sub-graphs too", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const outer = Graph.single("outer", Graph.toNode(asking))
      const failing = Graph.single(
        "failing",
        Node.tool(() => Effect.fail("no"))
      )
      const endless = Graph.single(
        "endless",
        Node.tool(() => Effect.never)
      )
      yield* observe(
        Effect.gen(function* () {
          yield* Graph.run(outer, "hi")
          yield* Effect.exit(Graph.run(failing, "hi"))
          yield* Effect.timeoutOption(Graph.run(endless, "hi"), "20 millis")
        }),
        { collector }
      )
      const executions = latest(collector.metricCalls())["tinyllm.graph.executions"]?.points
      assert.sameDeepMembers(
        (executions ?? []).map(({ asInt, attributes }): Record<string, unknown> => ({ ...attributes, asInt })),
        [
          { "graph.id": "asking", status: "success", asInt: 1 },
          { "graph.id": "outer", status: "success", asInt: 1 },
          { "graph.id": "failing", status: "failure", asInt: 1 },
          { "graph.id": "endless", status: "interrupted", asInt: 1 }
        ]
      )
    })
  )

  it.live.each<[string, Telemetry.Options, Record<string, string>]>([
    ["with a sampling rate of 0", { ...traced, samplingRate: 0 }, {}],
    ["with a sampler that is off", traced, { OTEL_TRACES_SAMPLER: "always_off" }],
    ["with traces that are kept for their errors", { ...traced, samplingRate: 0, keep: { errors: true } }, {}],
    ["without tracing", { enableTracing: false }, {}]
  ])("T60 count all the same %s", ([, options, env]) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* observe(Effect.replicateEffect(Graph.run(asking, "hi"), 5, { concurrency: 5 }), {
        collector,
        options,
        env
      })
      const metrics = latest(collector.metricCalls())
      assert.strictEqual(sumOf(metrics["tinyllm.graph.executions"]?.points, "asInt"), 5)
      assert.strictEqual(sumOf(metrics["gen_ai.client.operation.duration"]?.points, "count"), 5)
      assert.strictEqual(sumOf(metrics["gen_ai.client.token.usage"]?.points, "count"), 10)
      assert.lengthOf(collector.spans(), 0)
    })
  )

  it.live("T60 count 100 runs of which a share is sampled, and below a remote parent that is not", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* observe(Effect.replicateEffect(Graph.run(asking, "hi"), 100, { concurrency: 10 }), {
        collector,
        options: { ...traced, samplingRate: 0.5 }
      })
      const executions = latest(collector.metricCalls())["tinyllm.graph.executions"]?.points
      assert.strictEqual(sumOf(executions, "asInt"), 100)
      const roots = collector.spans().filter(({ name }) => name === "graph.execute")
      assert.isAbove(roots.length, 15)
      assert.isBelow(roots.length, 85)

      const other = yield* Collector.make()
      yield* observe(Telemetry.withRemoteParent(Graph.run(asking, "hi")), {
        collector: other,
        options: traced,
        env: { TRACEPARENT: "00-12345678901234567890123456789012-1234567890123456-00" }
      })
      assert.strictEqual(sumOf(latest(other.metricCalls())["tinyllm.graph.executions"]?.points, "asInt"), 1)
      assert.lengthOf(other.spans(), 0)
    })
  )

  it.live("T60 have a bounded number of graphs", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* observe(
        Effect.forEach(Array.from({ length: 150 }), (_, index) =>
          Graph.run(
            Graph.single(
              `graph ${index}`,
              Node.transform((text: string) => text)
            ),
            "hi"
          )
        ),
        { collector }
      )
      const metrics = latest(collector.metricCalls())
      const executions = metrics["tinyllm.graph.executions"]?.points ?? []
      assert.lengthOf(executions, 101)
      assert.strictEqual(executions.find(({ attributes }) => attributes["graph.id"] === "_OTHER")?.asInt, 50)
      assert.lengthOf(metrics["tinyllm.graph.active"]?.points ?? [], 100)
    })
  )

  it.live(
    "T25 T60 have no secret in a dimension, nor what configured patterns match, as spans have none in an attribute",
    () =>
      Effect.gen(function* () {
        const collector = yield* Collector.make()
        class Failed extends Schema.TaggedError<Failed>()("customer-4713", {}) {}
        const graph = Graph.single("customer-4711", Node.model({ ...asks, model: "customer-4712/m" }))
        const layer = Layer.merge(
          Telemetry.layer({ otlpEndpoint: collector.url, redact: [/customer-\d+/] }),
          Ollama.layerTest(() => "ok")
        )
        const failing = Effect.forEach([new Failed(), { _tag: "token=CANARY" }], (error) =>
          Effect.fail(error).pipe(Effect.withSpan("llm.chat"), Effect.exit)
        )
        const { exit } = yield* isolated(
          Effect.andThen(Effect.replicateEffect(Graph.run(graph, "hi"), 2), failing).pipe(Effect.provide(layer)),
          { OTEL_METRICS_EXPORTER: "otlp" }
        )
        assert.isTrue(Exit.isSuccess(exit))
        const metrics = latest(collector.metricCalls())
        assert.notInclude(JSON.stringify(metrics), "customer-")
        assert.deepStrictEqual(metrics["tinyllm.graph.executions"]?.points[0]?.attributes["graph.id"], "__REDACTED__")
        const calls = metrics["gen_ai.client.operation.duration"]?.points.map(({ attributes }) => attributes) ?? []
        assert.sameMembers(
          calls.map((call) => call["gen_ai.request.model"] ?? call["error.type"]),
          ["__REDACTED__/m", "__REDACTED__", "token=__REDACTED__"]
        )
        assert.isFalse(collector.calls().some(({ bytes }) => Buffer.from(bytes).includes("customer-")))
      })
  )

  it.live("T60 know how many runs are in progress, and what became of spans", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const gate = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      let inside = 0
      const waiting = Graph.single(
        "waiting",
        Node.tool(() =>
          Effect.andThen(
            Effect.suspend(() => (++inside === 3 ? Deferred.succeed(begun, undefined) : Effect.void)),
            Deferred.await(gate)
          )
        )
      )
      yield* observe(
        Effect.gen(function* () {
          const runs = yield* Effect.forkChild(Effect.replicateEffect(Graph.run(waiting, "hi"), 3, { concurrency: 3 }))
          yield* Deferred.await(begun)
          yield* Telemetry.flush
          const active = latest(collector.metricCalls())["tinyllm.graph.active"]?.points
          assert.deepStrictEqual(active, [{ attributes: { "graph.id": "waiting" }, asInt: 3 }])
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.join(runs)
        }),
        { collector, options: traced, env: { OTEL_BSP_MAX_QUEUE_SIZE: "4" } }
      ).pipe(Effect.flatMap(({ exit }) => exit))
      const metrics = latest(collector.metricCalls())
      assert.deepStrictEqual(metrics["tinyllm.graph.active"]?.points, [
        { attributes: { "graph.id": "waiting" }, asInt: 0 }
      ])
      // Six spans end at once and four find room; the last metrics know of the last spans.
      assert.deepStrictEqual(metrics["tinyllm.spans.exported"]?.points, [
        { attributes: {}, asInt: collector.spans().length }
      ])
      assert.deepStrictEqual(metrics["tinyllm.spans.dropped"]?.points, [
        { attributes: {}, asInt: 6 - collector.spans().length }
      ])
      assert.isBelow(collector.spans().length, 6)
    })
  )

  it.live("T60 know a run whose span got another name", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const renamed = Node.tool(() =>
        Effect.gen(function* () {
          let span = yield* Effect.orDie(Effect.currentSpan)
          while (span.parent._tag === "Some" && span.parent.value._tag === "Span") {
            span = span.parent.value
          }
          assert.instanceOf(span, RecordedSpan)
          ;(span as RecordedSpan).rename("GET /")
        })
      )
      const { exit } = yield* observe(Graph.run(Graph.single("renamed", renamed), "hi"), { collector, options: traced })
      assert.isTrue(Exit.isSuccess(exit))
      const metrics = latest(collector.metricCalls())
      const points = [{ attributes: { "graph.id": "renamed" }, asInt: 0 }]
      assert.deepStrictEqual(metrics["tinyllm.graph.active"]?.points, points)
      assert.strictEqual(metrics["tinyllm.graph.executions"]?.points[0]?.asInt, 1)
      assert.isTrue(collector.spans().some(({ name }) => name === "GET /"))
    })
  )

  it.live("are sent every OTEL_METRIC_EXPORT_INTERVAL, from the start or as what is new", () =>
    Effect.gen(function* () {
      for (const temporality of ["cumulative", "DELTA", "lowmemory"]) {
        const collector = yield* Collector.make()
        const until = (calls: number) =>
          Effect.promise(async () => {
            while (collector.metricCalls().length < calls) {
              await new Promise((resolve) => setTimeout(resolve, 5))
            }
          })
        const { exit } = yield* observe(
          Effect.gen(function* () {
            yield* Graph.run(asking, "hi")
            yield* until(collector.metricCalls().length + 2)
            yield* Graph.run(asking, "hi")
          }),
          {
            collector,
            env: {
              OTEL_METRIC_EXPORT_INTERVAL: "50",
              OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: temporality
            }
          }
        )
        assert.isTrue(Exit.isSuccess(exit))
        const delta = temporality !== "cumulative"
        const exports = collector.metricCalls().map(({ bytes }) => decode(bytes))
        for (const name of ["tinyllm.graph.executions", "gen_ai.client.operation.duration"]) {
          const each = exports.map((metrics) => metrics.find((metric) => metric.name === name))
          const counts = each.map((metric) => sumOf(metric?.points, metric?.type === "histogram" ? "count" : "asInt"))
          assert.strictEqual(delta ? counts.reduce((sum, count) => sum + count, 0) : counts.at(-1), 2, name)
          for (const metric of each.filter((metric) => metric !== undefined)) {
            assert.strictEqual(metric.temporality, delta ? "delta" : "cumulative", name)
          }
        }
        const active = exports.at(-1)?.find(({ name }) => name === "tinyllm.graph.active")
        assert.strictEqual(active?.temporality, "cumulative")
      }
    })
  )

  it.live("go to a place of their own, with headers of their own", () =>
    Effect.gen(function* () {
      const spans = yield* Collector.make()
      const metrics = yield* Collector.make()
      yield* observe(Graph.run(asking, "hi"), {
        collector: spans,
        options: { otlpEndpoint: spans.url },
        env: {
          OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: metrics.url,
          OTEL_EXPORTER_OTLP_HEADERS: "x-both=1",
          OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-traces=1",
          OTEL_EXPORTER_OTLP_METRICS_HEADERS: "x-metrics=1"
        }
      })
      assert.lengthOf(spans.metricCalls(), 0)
      assert.lengthOf(metrics.calls(), 0)
      assert.isAbove(spans.calls().length, 0)
      const headers = metrics.metricCalls()[0]?.headers
      assert.include(headers, { "x-both": "1", "x-metrics": "1" })
      assert.notProperty(headers, "x-traces")
    })
  )

  it.live.each<[string, Record<string, string>, string]>([
    ["below the general endpoint", {}, "/v1/metrics"],
    ["below the base of an address for spans", { TINYLLM_OTLP_ENDPOINT: "URL/base/v1/traces" }, "/base/v1/metrics"],
    ["at their own endpoint as it is", { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "URL/own/v1/metrics" }, "/own/v1/metrics"]
  ])("are posted over HTTP %s", ([, env, path]) =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      const { exit } = yield* isolated(
        Graph.run(
          Graph.single(
            "g",
            Node.transform((text: string) => text)
          ),
          "hi"
        ).pipe(Effect.provide(Layer.orDie(Telemetry.layerConfig))),
        {
          OTEL_METRICS_EXPORTER: "otlp",
          OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
          ...Object.fromEntries(Object.entries(env).map(([key, value]) => [key, value.replace("URL", collector.url)]))
        }
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(
        collector.calls().map(({ path }) => path),
        [path]
      )
      assertGolden(latest(collector.calls()))
    })
  )

  it.live("T60 are there beside an exporter of the program's, and count its spans", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const exporter = new InMemorySpanExporter()
      yield* isolated(
        Graph.run(asking, "hi").pipe(
          Effect.provide(
            Layer.merge(
              Ollama.layerTest(() => "one"),
              Layer.orDie(Telemetry.layerExporter(exporter))
            )
          )
        ),
        { OTEL_METRICS_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }
      )
      const metrics = latest(collector.metricCalls())
      assert.strictEqual(sumOf(metrics["tinyllm.graph.executions"]?.points, "asInt"), 1)
      assert.strictEqual(sumOf(metrics["tinyllm.spans.exported"]?.points, "asInt"), 3)
    })
  )

  it.live("do not count what is left out of traces", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* observe(
        Effect.andThen(Graph.run(asking, "hi"), Effect.withSpan(Graph.run(asking, "hi"), "quiet", { sampled: false })),
        { collector, options: traced }
      )
      assert.strictEqual(sumOf(latest(collector.metricCalls())["tinyllm.graph.executions"]?.points, "asInt"), 1)
    })
  )

  it.live("are not made of spans of OpenTelemetry's SDK, and that is said", () =>
    Effect.gen(function* () {
      const { stderr } = yield* isolated(Effect.void.pipe(Effect.provide(Telemetry.layerSdk([]))), {
        OTEL_METRICS_EXPORTER: "otlp"
      })
      assert.strictEqual(
        stderr,
        "tinyllm: OTEL_METRICS_EXPORTER is ignored: there are no metrics of spans of OpenTelemetry's SDK\n"
      )
    })
  )
})

describe("docs/tracing.md", () => {
  it("has the metrics that there are, with types, units and dimensions", () => {
    const text = readFileSync(`${Process.root}docs/tracing.md`, "utf8")
    const quoted = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, quoted = ""]) => quoted)
    const ofCall = quoted(/The dimensions of a call are ([^;]*?)\. Names/s.exec(text)?.[1] ?? "")
    assert.sameMembers([...ofCall], call)
    const rows = [...text.matchAll(/^\| `([\w.]+)` \| ([\w -]+) \| `(s|\{\w+\})` \| ([^|]*)\|/gm)]
    assert.deepStrictEqual<object>(
      Object.fromEntries(
        rows.map(([, name = "", type, unit, dimensions = ""]) => [
          name,
          {
            type,
            unit,
            dimensions: [
              ...(dimensions.startsWith("those of a call") ? call : []),
              ...quoted(dimensions.replaceAll(/\([^)]*\)/g, ""))
            ]
          }
        ])
      ),
      Object.fromEntries(
        Object.entries(golden).map(([name, { dimensions, type, unit }]) => [
          name,
          { type, unit, dimensions: [...dimensions] }
        ])
      )
    )
  })
})

describe("metrics of a process", () => {
  it.live("T60 are sent without tracing, which stays off", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { code, stderr, stdout } = yield* Effect.promise(() => runTo(collector, {}, ["--json"]))
      assert.strictEqual(code, 0)
      assert.isNull((JSON.parse(stdout) as { readonly traceId: unknown }).traceId)
      assert.notInclude(stderr, "trace ")
      assert.lengthOf(collector.calls(), 0)
      assert.lengthOf(collector.metricCalls(), 1)
      const metrics = latest(collector.metricCalls())
      assertGolden(metrics)
      assert.strictEqual(sumOf(metrics["tinyllm.graph.executions"]?.points, "asInt"), 1)
      assert.strictEqual(sumOf(metrics["gen_ai.client.operation.duration"]?.points, "count"), 2)
      assert.notProperty(metrics, "tinyllm.spans.exported")
    })
  )

  it.live("T60 are off by default, also where an endpoint is known: nobody connects", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      for (const value of ["", "none"]) {
        const { code } = yield* Effect.promise(() => runTo(collector.url, { OTEL_METRICS_EXPORTER: value }))
        assert.strictEqual(code, 0)
      }
      assert.strictEqual(collector.connections(), 0)
    })
  )

  it.live("T60 pass a trace of others through, as a process without tracing does", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const traceparent = "00-12345678901234567890123456789012-1234567890123456-01"
      const seen = yield* Effect.gen(function* () {
        const double = yield* OllamaDouble
        yield* isolated(
          Telemetry.withRemoteParent(Graph.run(asking, "hi")).pipe(
            Effect.provide(Layer.merge(NodeClient.layer({ url: double.url }), Layer.orDie(Telemetry.layerConfig)))
          ),
          {
            OTEL_METRICS_EXPORTER: "otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
            TRACEPARENT: traceparent
          }
        )
        return yield* double.requests
      }).pipe(Effect.provide(Layer.orDie(OllamaDouble.layer({ models: ["m:latest"], reply: () => "one" }))))
      assert.deepStrictEqual(
        callsOf(seen).map(({ headers }) => headers["traceparent"]),
        [traceparent]
      )
      assert.lengthOf(collector.metricCalls(), 1)
    })
  )

  it.live("T40 cost one line where nobody listens, and neither result nor exit code", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(Collector.deadPort)
      const { code, stderr, stdout } = yield* Effect.promise(() => runTo(`http://127.0.0.1:${port}`))
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, "4\n")
      assert.deepStrictEqual(stderr.trimEnd().split("\n").slice(1), [
        `tinyllm: metrics not exported: connection refused at 127.0.0.1:${port}. Is a collector running there?`
      ])
    })
  )

  // Exports from the start of the run on, which may take as long as they want.
  const patient = { OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "60000", OTEL_METRIC_EXPORT_INTERVAL: "5" }

  it.live("T41 do not hold a process beyond its budget, beside spans, where nothing is answered", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: "hang" })
      const { code, millis, stderr, stdout } = yield* Effect.promise(() =>
        runTo(collector, patient, ["--exporter", "otlp"])
      )
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, "4\n")
      assert.lengthOf(collector.metricCalls(), 2)
      assert.deepStrictEqual(
        stderr.match(/^tinyllm: metrics not exported: no answer from 127\.0\.0\.1:\d+ within [\d.]+ s\. /gm)?.length,
        1
      )
      assert.isBelow(millis, 10_000)
    })
  )

  it.live.each<[string, boolean]>([
    ["cumulative", false],
    ["delta", true]
  ])("T41 say what is missing of an earlier export that hangs: %s", ([temporality, missing]) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: (call) => (call === 1 ? "hang" : "ok") })
      const { code, stderr } = yield* Effect.promise(() =>
        // The answer is long, so that the first export is at the collector before the end takes it back.
        runTo(
          collector,
          { ...patient, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: temporality },
          [],
          "Tell me something."
        )
      )
      assert.strictEqual(code, 0)
      assert.lengthOf(collector.metricCalls(), 2)
      assert.strictEqual(stderr.includes("metrics not exported: no answer from"), missing, stderr)
      assert.strictEqual(stderr.trimEnd().split("\n").length, missing ? 2 : 1)
    })
  )

  it.live("T42 are sent again when the collector is busy, and say when it does not want them", () =>
    Effect.gen(function* () {
      const busy = yield* Collector.make({ mode: (call) => (call === 1 ? { refuse: "UNAVAILABLE" } : "ok") })
      const again = yield* Effect.promise(() => runTo(busy))
      assert.strictEqual(again.stderr.trimEnd().split("\n").length, 1)
      assert.lengthOf(busy.metricCalls(), 2)
      assert.deepStrictEqual(busy.metricCalls()[0]?.bytes, busy.metricCalls()[1]?.bytes)

      const picky = yield* Collector.make({ mode: { reject: 2, message: "no histograms" } })
      const refused = yield* Effect.promise(() => runTo(picky))
      assert.strictEqual(refused.code, 0)
      assert.include(
        refused.stderr,
        `tinyllm: 2 points of metrics not exported: rejected by 127.0.0.1:${picky.port}: no histograms\n`
      )
    })
  )
})

describe("settings of metrics", () => {
  const resolve = (env: Record<string, string>, options: Telemetry.Options = {}) =>
    Telemetry.resolve(options).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )
  const on = { OTEL_METRICS_EXPORTER: "otlp" }

  it.effect("are those of the specification by default", () =>
    Effect.gen(function* () {
      const { metrics } = yield* resolve({ OTEL_METRICS_EXPORTER: "OTLP" })
      assert.strictEqual(metrics?.endpoint.value.url, "http://localhost:4317")
      assert.deepStrictEqual(metrics?.interval, { value: 60_000, source: "default" })
      assert.deepStrictEqual(metrics?.timeout, { value: 30_000, source: "default" })
      assert.deepStrictEqual(metrics?.temporality, { value: "cumulative", source: "default" })
      assert.isUndefined((yield* resolve({})).metrics)
    })
  )

  it.effect.each<[Record<string, string>, Telemetry.Options, string]>([
    [{}, {}, "http://localhost:4317 default"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://a:1" }, {}, "http://a:1 OTEL_EXPORTER_OTLP_ENDPOINT"],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t:1" }, {}, "http://localhost:4317 default"],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://a:1", TINYLLM_OTLP_ENDPOINT: "http://b:1" },
      {},
      "http://b:1 TINYLLM_OTLP_ENDPOINT"
    ],
    [{ TINYLLM_OTLP_ENDPOINT: "http://b:1" }, { otlpEndpoint: "http://c:1" }, "http://c:1 flag/program"],
    [
      { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://d:1" },
      { otlpEndpoint: "http://c:1" },
      "http://d:1 OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
    ],
    [
      { OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "http/protobuf" },
      { otlpEndpoint: "http://c:1", otlpProtocol: "grpc" },
      "http://c:1/v1/metrics flag/program"
    ],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" }, {}, "http://localhost:4318/v1/metrics default"]
  ])("say where they go: %j %j", ([env, options, expected]) =>
    Effect.map(resolve({ ...on, ...env }, options), ({ metrics }) =>
      assert.strictEqual(`${metrics?.endpoint.value.url} ${metrics?.endpoint.source}`, expected)
    )
  )

  it.effect.each<[Record<string, string>, string | undefined]>([
    [
      { OTEL_METRICS_EXPORTER: "prometheus" },
      "OTEL_METRICS_EXPORTER=prometheus is ignored: it must be otlp, none or a list of them; metrics do not go there"
    ],
    [
      { OTEL_METRICS_EXPORTER: "console,otlp" },
      "OTEL_METRICS_EXPORTER=console is ignored: it must be otlp, none or a list of them; metrics do not go there"
    ],
    [
      { ...on, OTEL_METRIC_EXPORT_INTERVAL: "0" },
      "OTEL_METRIC_EXPORT_INTERVAL=0 is ignored: it must be a whole number from 1; the default is used"
    ],
    [
      { ...on, OTEL_METRIC_EXPORT_TIMEOUT: "soon" },
      "OTEL_METRIC_EXPORT_TIMEOUT=soon is ignored: it must be a whole number from 0; the default is used"
    ],
    [
      { ...on, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "sometimes" },
      "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=sometimes is ignored: it must be cumulative, delta or lowmemory; cumulative is used"
    ],
    [{ ...on, OTEL_SDK_DISABLED: "true" }, "metrics were asked for, but OTEL_SDK_DISABLED=true turns them off"],
    [{ OTEL_METRIC_EXPORT_INTERVAL: "0" }, undefined],
    [{ OTEL_METRICS_EXPORTER: "none" }, undefined]
  ])("that are wrong are told and ignored: %j", ([env, warning]) =>
    Effect.map(resolve(env), ({ metrics, warnings }) => {
      assert.deepStrictEqual(warnings, warning === undefined ? [] : [warning])
      assert.strictEqual(
        metrics === undefined,
        env["OTEL_METRICS_EXPORTER"] === "prometheus" || env["OTEL_SDK_DISABLED"] === "true" || warning === undefined
      )
    })
  )

  it.live("whose headers cannot be sent cost a line that quotes nothing", () =>
    Effect.gen(function* () {
      const { exit, stderr } = yield* isolated(Effect.succeed(1).pipe(Effect.provide(Telemetry.layerConfig)), {
        ...on,
        OTEL_EXPORTER_OTLP_METRICS_HEADERS: "x-api key=SEKRET"
      })
      assert.isTrue(Exit.isSuccess(exit))
      assert.match(stderr, /^tinyllm: metrics are not sent: OTEL_EXPORTER_OTLP_METRICS_HEADERS must be [^\n]*\n$/)
      assert.notInclude(stderr, "SEKRET")
    })
  )
})
