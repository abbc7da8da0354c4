import { assert, describe, it } from "@effect/vitest"
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"
import { Deferred, Effect, Exit, Fiber, Layer, Predicate, Schema, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Assistant from "../src/Assistant.ts"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import { ModelNotFound, Ollama, OllamaError } from "../src/Ollama.ts"
import * as Span from "../src/Span.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as TelemetryTest from "../src/TelemetryTest.ts"
import { expectTrace, expectTraces, including, unordered } from "../src/TelemetryTest.ts"
import { version } from "../src/Version.ts"

class NoLuck extends Schema.TaggedError<NoLuck>()("NoLuck", {}) {
  override get message() {
    return "no luck"
  }
}

const missing = new ModelNotFound({ model: "m", url: "http://ollama.test", status: 404, text: "not found" })

const model = Ollama.layerTest(({ format }) => (format === undefined ? "It is 4" : `{"route":"math"}`))
const WithModel = Layer.merge(TelemetryTest.layer(), model)

const span = (name: string, ...children: ReadonlyArray<Effect.Effect<unknown>>) =>
  Effect.withSpan(Effect.all(children, { discard: true }), name)
const marked = (name: string, attributes: Record<string, unknown>) => Effect.withSpan(Effect.void, name, { attributes })

/** What an expectation says of it that is not met. */
const mismatch = <A, R>(self: Effect.Effect<A, TelemetryTest.TraceMismatch, R>) => Effect.flip(self)
const difference = <A, R>(self: Effect.Effect<A, TelemetryTest.TraceMismatch, R>) =>
  Effect.map(mismatch(self), (error) => error.difference)

describe("TelemetryTest.layer", () => {
  it.effect("records the spans that have ended, in the order in which they started", () =>
    Effect.gen(function* () {
      yield* span("a", span("b", span("c")), span("d"))
      const { outline, spans } = yield* TelemetryTest.TelemetryTest
      assert.deepStrictEqual(
        (yield* spans).map(({ name }) => name),
        ["a", "b", "c", "d"]
      )
      assert.strictEqual(yield* outline, "a\n  b\n    c\n  d")
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("gives what an exporter gets: numbers as numbers, ids, times, kind, status, resource and scope", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1000)
      const failing = Effect.andThen(TestClock.adjust("2 seconds"), Effect.fail(new NoLuck()))
      yield* Span.attributes({ count: 42, share: 0.5, yes: true, list: ["x", "y"], none: undefined }).pipe(
        Effect.andThen(Span.event("seen", { times: 2 })),
        Effect.andThen(failing),
        Effect.withSpan("a", { kind: "client" }),
        Effect.exit
      )
      const [a] = yield* (yield* TelemetryTest.TelemetryTest).spans
      assert.isDefined(a)
      assert.match(a.traceId, /^[0-9a-f]{32}$/)
      assert.match(a.spanId, /^[0-9a-f]{16}$/)
      assert.deepStrictEqual([a.kind, a.parentSpanId], ["client", undefined])
      assert.deepStrictEqual([a.startNanos, a.endNanos], [1_000_000_000n, 3_000_000_000n])
      assert.deepStrictEqual(a.attributes, {
        count: 42,
        share: 0.5,
        yes: true,
        list: ["x", "y"],
        "error.type": "NoLuck"
      })
      assert.deepStrictEqual(a.status, { code: "error", message: "no luck" })
      assert.deepStrictEqual(
        a.events.map(({ name }) => name),
        ["seen", "exception"]
      )
      assert.deepStrictEqual(a.events[0]?.attributes, { times: 2 })
      assert.deepInclude(a.resource, { "service.name": "mine", "service.version": version })
      assert.deepStrictEqual(a.scope, { name: "tinyllm", version })
    }).pipe(Effect.provide(TelemetryTest.layer({ serviceName: "mine" })))
  )

  it.effect("keeps to limits and replaces secrets, as an exporter would get it", () =>
    Effect.gen(function* () {
      yield* marked("a", { long: "x".repeat(100), password: "hunter2", note: "ticket INT-12", more: 1 })
      const [a] = yield* (yield* TelemetryTest.TelemetryTest).spans
      assert.deepStrictEqual(a?.attributes, {
        long: "x".repeat(50),
        password: "__REDACTED__",
        note: "ticket __REDACTED__"
      })
      assert.strictEqual(a?.dropped.attributes, 1)
    }).pipe(
      Effect.provide(
        TelemetryTest.layer({
          redact: [/INT-\d+/],
          environment: { OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "3", OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: "50" }
        })
      )
    )
  )

  it.live("records the same as an exporter of OpenTelemetry is given", () =>
    Effect.gen(function* () {
      const run = Effect.exit(Graph.run(Assistant.make(), "What is 2 + 2?"))
      const failing = Ollama.layerTest(({ format }) =>
        format === undefined ? Effect.fail(new OllamaError({ reason: missing })) : `{"route":"math"}`
      )
      // What differs from run to run.
      const known = (attributes: object) =>
        Object.fromEntries(
          Object.entries(attributes).map(([key, value]) => [
            key,
            /trace_id$|_ms$|conversation.id|time_to|stacktrace/.test(key) ? typeof value : value
          ])
        )
      const exported: Array<ReadableSpan> = []
      const exporter: SpanExporter = {
        export: (spans, done) => {
          exported.push(...spans)
          done({ code: 0 })
        },
        shutdown: () => Promise.resolve()
      }
      yield* run.pipe(Effect.provide([Telemetry.layerExporter(exporter), failing]))
      const spans = yield* run.pipe(
        Effect.andThen(Effect.flatMap(TelemetryTest.TelemetryTest, ({ spans }) => spans)),
        Effect.provide([TelemetryTest.layer(), failing])
      )
      assert.deepStrictEqual<object>(
        spans.map((span) => ({
          name: span.name,
          kind: span.kind,
          status: span.status,
          attributes: known(span.attributes),
          events: span.events.map(({ attributes, name }) => ({ name, attributes: known(attributes) })),
          resource: span.resource,
          scope: span.scope,
          parent: spans.find(({ spanId }) => spanId === span.parentSpanId)?.name
        })),
        exported
          .toSorted((a, b) => a.startTime[0] - b.startTime[0] || a.startTime[1] - b.startTime[1])
          .map((span) => ({
            name: span.name,
            kind: ["internal", "server", "client"][span.kind],
            status: {
              code: ["unset", "ok", "error"][span.status.code],
              message: span.status.message ?? ""
            },
            attributes: known(span.attributes),
            events: span.events.map(({ attributes, name }) => ({ name, attributes: known(attributes ?? {}) })),
            resource: span.resource.attributes,
            scope: span.instrumentationScope,
            parent: exported.find((other) => other.spanContext().spanId === span.parentSpanContext?.spanId)?.name
          }))
      )
    })
  )

  it.effect("records only what is sampled, and traces with errors where these are kept", () =>
    Effect.gen(function* () {
      const both = Effect.andThen(span("fine"), Effect.exit(Effect.withSpan(Effect.fail("no"), "bad")))
      const names = (options: TelemetryTest.Options) =>
        Effect.andThen(
          both,
          Effect.flatMap(TelemetryTest.TelemetryTest, ({ spans }) => spans)
        ).pipe(
          Effect.map((spans) => spans.map(({ name }) => name)),
          Effect.provide(TelemetryTest.layer(options))
        )
      assert.deepStrictEqual(yield* names({ samplingRate: 0 }), [])
      assert.deepStrictEqual(yield* names({ samplingRate: 0, keep: { errors: true } }), ["bad"])
      assert.deepStrictEqual(yield* names({}), ["fine", "bad"])
    })
  )

  it.effect("does not look at the variables of the process", () =>
    Effect.gen(function* () {
      yield* span("a")
      yield* expectTrace("a")
    }).pipe(Effect.provide(TelemetryTest.layer()), (self) =>
      Effect.acquireUseRelease(
        Effect.sync(() => void (process.env["OTEL_SDK_DISABLED"] = "true")),
        () => self,
        () => Effect.sync(() => delete process.env["OTEL_SDK_DISABLED"])
      )
    )
  )

  it.effect("fails for a wrong option", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.provide(Effect.void, TelemetryTest.layer({ samplingRate: 2 })))
      assert.isTrue(Exit.isFailure(exit))
    })
  )

  it.effect("forgets what has ended, and keeps what has not", () =>
    Effect.gen(function* () {
      const { clear, outline } = yield* TelemetryTest.TelemetryTest
      yield* Effect.andThen(span("old"), clear).pipe(Effect.withSpan("open"))
      yield* span("new")
      assert.strictEqual(yield* outline, "open\nnew")
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.live("keeps apart what 100 programs record that run at the same time in one process", () =>
    Effect.gen(function* () {
      const program = (name: string) => {
        const ask = Node.model({ model: name, prompt: (text: string) => text, output: ({ text }) => text })
        const both = Graph.single(name, Node.parallel({ left: ask, right: ask }))
        return Effect.gen(function* () {
          yield* Graph.run(both, "hi")
          const call = { name: "node.model", children: [{ name: "llm.chat", attributes: { "llm.model": name } }] }
          const [trace] = yield* expectTraces([
            {
              name: "graph.execute",
              attributes: { "graph.id": name },
              children: [{ name: "node.parallel", children: unordered([call, call]) }]
            }
          ])
          return trace?.span
        }).pipe(
          Effect.provide([
            TelemetryTest.layer({ serviceName: name }),
            Ollama.layerTest(() => Effect.as(Effect.yieldNow, "hi"))
          ])
        )
      }
      const names = Array.from({ length: 100 }, (_, index) => `program-${index}`)
      const roots = yield* Effect.forEach(names, program, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        roots.map((root) => root?.resource["service.name"]),
        names
      )
      assert.strictEqual(new Set(roots.map((root) => root?.traceId)).size, 100)
    })
  )
})

describe("TelemetryTest.expectTrace", () => {
  it.effect("refuses what it does not know, which would never be looked at", () =>
    Effect.gen(function* () {
      yield* Effect.withSpan(Effect.void, "a")
      for (const wrong of [
        { name: "a", atributes: { x: 1 } },
        { name: "a", children: [{ name: "b", childs: [] }] },
        { name: "a", events: [{ name: "e", attribute: {} }] }
      ]) {
        const exit = yield* Effect.exit(TelemetryTest.expectTrace(wrong as TelemetryTest.SpanExpectation))
        assert.match(
          String(exit),
          /RangeError: TelemetryTest: an expected (span|event) has no "(atributes|childs|attribute)"/
        )
      }
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  const run = Graph.run(Assistant.make(), "What is 2 + 2?")

  it.effect("passes when names, nesting and the attributes that are named are as expected, and gives the trace", () =>
    Effect.gen(function* () {
      const { executionId } = yield* run
      const { span } = yield* expectTrace({
        name: "graph.execute",
        status: "ok",
        attributes: { "execution.nodes_executed": 3, "error.type": undefined },
        children: [
          { name: "node.router", events: ["router.decision"], children: [{ name: "llm.chat", kind: "client" }] },
          {
            name: "node.model",
            children: [
              {
                name: "llm.chat",
                attributes: {
                  "llm.model": /^qwen/,
                  "llm.output_tokens": (tokens) => Number(tokens) > 0,
                  "llm.total_tokens": Predicate.isNumber,
                  "gen_ai.response.finish_reasons": ["stop"]
                },
                children: []
              }
            ]
          },
          { name: "node.gate", events: [{ name: "router.decision", attributes: { "router.route": "pass" } }] }
        ]
      })
      assert.strictEqual(span.attributes["execution.trace_id"], executionId)
    }).pipe(Effect.provide(WithModel))
  )

  it.effect("takes a name for a span of which nothing else matters", () =>
    Effect.gen(function* () {
      yield* run
      yield* expectTrace("graph.execute")
      yield* expectTrace({ name: "graph.execute", children: ["node.router", "node.model", "node.gate"] })
    }).pipe(Effect.provide(WithModel))
  )

  it.effect("says where the first difference is, which one, and how many there are", () =>
    Effect.gen(function* () {
      yield* span("root", span("node", marked("call", { model: "b", tokens: 12 })), span("node"))
      const error = yield* mismatch(
        expectTrace({
          name: "root",
          children: [
            { name: "node", children: [{ name: "call", attributes: { model: "a", tokens: "12" } }] },
            { name: "node", children: ["other"] }
          ]
        })
      )
      assert.strictEqual(error.difference, `root > node[0] > call: attribute model: expected "a", got "b"`)
      assert.strictEqual(
        error.message,
        [
          `root > node[0] > call: attribute model: expected "a", got "b"`,
          "(the first of 3 differences)",
          "",
          "Expected:",
          "  root",
          "    node",
          `!     call  model="a"  tokens="12"`,
          "    node",
          "-     other",
          "",
          "Recorded:",
          "  root",
          "    node",
          `!     call  model="b"  tokens=12`,
          "    node"
        ].join("\n")
      )
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("fails with two texts that are alike wherever what was recorded is as expected", () =>
    Effect.gen(function* () {
      yield* span("root", marked("call", { model: "b", tokens: 12 }), span("more", span("below")))
      const error = yield* mismatch(
        expectTrace({
          name: "root",
          children: [{ name: "call", attributes: { tokens: Predicate.isNumber, model: /a/ } }]
        })
      )
      assert.strictEqual(error.expected, "root\n  call  tokens=isNumber  model=/a/")
      assert.strictEqual(error.actual, `root\n  call  tokens=isNumber  model="b"\n  more\n    below`)
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect(
    "is an error that test runners show: with a name, both texts of its own, and a stack that leads to the test",
    () =>
      Effect.gen(function* () {
        const error = yield* mismatch(expectTrace("root"))
        assert.instanceOf(error, Error)
        assert.strictEqual(error.name, "TraceMismatch")
        assert.includeMembers(Object.keys(error), ["actual", "expected"])
        // A runner that hands it to another process hands on what is its own.
        assert.isTrue(Object.hasOwn(error, "message"))
        assert.match(
          error.stack ?? "",
          /^TraceMismatch: expected a trace root, got none: no span was recorded\n[^]*?\n {4}at .*TelemetryTest\.test\.ts/
        )
        assert.notInclude(error.stack, "src/TelemetryTest.ts")
      }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("tells missing spans and spans too many from others that differ", () =>
    Effect.gen(function* () {
      yield* span("root", span("a"), marked("b", { n: 1 }), span("c"))
      const of = (...children: ReadonlyArray<TelemetryTest.ExpectedSpan>) =>
        difference(expectTrace({ name: "root", children }))
      assert.strictEqual(yield* of("a", "b"), "root: child c: not expected")
      assert.strictEqual(yield* of("b", "c"), "root: child a: not expected")
      assert.strictEqual(yield* of("a", "b", "c", "d"), "root: expected a child d, got none")
      assert.strictEqual(yield* of("a", "x", "c"), "root: expected a child x, got b")
      assert.strictEqual(
        yield* of("a", { name: "b", attributes: { n: 2 } }),
        "root > b: attribute n: expected 2, got 1"
      )
      assert.strictEqual(yield* of("b", "a", "c"), "root: child b: not in this order (unordered allows any)")
      assert.strictEqual(yield* of(), "root: child a: not expected")
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("looks at each text from its start, and takes a promise for no yes", () =>
    Effect.gen(function* () {
      yield* marked("a", { text: "xb" })
      yield* marked("a", { text: "xb" })
      const a = { name: "a", attributes: { text: /b/g } }
      yield* expectTraces([a, a])
      const promised = (async () => true) as unknown as () => boolean
      assert.include(
        (yield* mismatch(expectTrace({ name: "a", attributes: { text: promised } }))).message,
        "attribute text"
      )
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("finds its way among two thousand children that are alike", () =>
    Effect.gen(function* () {
      const alike = Array.from({ length: 2000 }, () => "a")
      yield* span("root", ...alike.map((name) => span(name)))
      yield* expectTrace({ name: "root", children: unordered(alike) })
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("compares children in any order, or some of them, when told so", () =>
    Effect.gen(function* () {
      yield* span("root", marked("a", { n: 1 }), marked("a", { n: 2 }), span("b"), span("c"))
      const a = (n: number | ((value: unknown) => boolean)) => ({ name: "a", attributes: { n } })
      const of = (children: TelemetryTest.SpanExpectation["children"]) => expectTrace({ name: "root", children })
      yield* of(unordered(["c", a(2), "b", a(1)]))
      // The first item takes either: it leaves to the second the one that only it can have.
      yield* of(unordered([a(Predicate.isNumber), a(1), "b", "c"]))
      yield* of(including(["a", "c"]))
      yield* of(including(unordered(["c", a(2)])))
      yield* of(including([]))
      assert.strictEqual(yield* difference(of(unordered(["a", "a", "b"]))), "root: child c: not expected")
      assert.strictEqual(
        yield* difference(of(unordered(["b", "c", a(1), a(3)]))),
        "root > a[1]: attribute n: expected 3, got 2"
      )
      assert.strictEqual(
        yield* difference(of(including(["c", "b"]))),
        "root: child b: not in this order (unordered allows any)"
      )
      const { message } = yield* mismatch(of(including(unordered(["d"]))))
      assert.include(message, "  root\n    (in any order)\n-   d\n    …\n")
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("compares how a span ended, its error, and its events", () =>
    Effect.gen(function* () {
      const failing = Effect.andThen(Span.event("tried", { times: 2 }), Effect.fail(new NoLuck()))
      yield* Effect.exit(Effect.withSpan(failing, "failing"))
      yield* Effect.exit(Effect.withSpan(Effect.interrupt, "stopped"))
      yield* expectTraces([
        { name: "failing", status: "error", error: /luck/, events: ["tried", "exception"] },
        { name: "stopped", status: "interrupted", events: [] }
      ])
      yield* expectTrace({ name: "failing", events: including([{ name: "tried", attributes: { times: 2 } }]) })
      const of = (expected: Omit<TelemetryTest.SpanExpectation, "name">) =>
        difference(expectTrace({ name: "failing", ...expected }))
      assert.strictEqual(yield* of({ status: "ok" }), `failing: status: expected ok, got error "no luck"`)
      assert.strictEqual(yield* of({ error: "bad" }), `failing: error: expected "bad", got error "no luck"`)
      assert.strictEqual(yield* of({ kind: "client" }), "failing: kind: expected client, got internal")
      assert.strictEqual(yield* of({ events: ["exception"] }), "failing: event tried: not expected")
      assert.strictEqual(yield* of({ events: including(["lost"]) }), "failing: event lost: missing")
      assert.strictEqual(
        yield* of({ events: including([{ name: "tried", attributes: { times: 3 } }]) }),
        "failing: event tried: attribute times: expected 3, got 2"
      )
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("shows functions by their names or what they do, and takes no answer for no", () =>
    Effect.gen(function* () {
      yield* marked("a", { n: 1, list: [1, 2] })
      const of = (expected: TelemetryTest.ExpectedValue, key = "n") =>
        difference(expectTrace({ name: "a", attributes: { [key]: expected } }))
      const isPositive = (value: unknown) => Number(value) > 1
      assert.strictEqual(yield* of(isPositive), "a: attribute n: expected isPositive, got 1")
      assert.match(yield* of((n) => n === 7), /^a: attribute n: expected \(n\) ?=> ?n === 7, got 1$/)
      assert.include(
        yield* of(() => {
          throw new Error("no")
        }),
        "got 1"
      )
      assert.strictEqual(yield* of([1, /2/], "list"), "a: attribute list: expected [1, /2/], got [1, 2]")
      assert.strictEqual(yield* of(undefined), "a: attribute n: expected nothing, got 1")
      assert.strictEqual(yield* of(1, "m"), "a: attribute m: expected 1, got nothing")
      assert.strictEqual(yield* of("x", "toString"), `a: attribute toString: expected "x", got nothing`)
      yield* expectTrace({ name: "a", attributes: { n: Schema.is(Schema.Int), list: [1, Predicate.isNumber] } })
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("tells of the trace that is the nearest, and where a span is that starts no trace", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* difference(expectTrace("x")), "expected a trace x, got none: no span was recorded")
      yield* span("run", marked("a", { n: 1 }), span("b"))
      yield* span("run", marked("a", { n: 2 }))
      assert.strictEqual(
        yield* difference(expectTrace({ name: "run", children: [{ name: "a", attributes: { n: 3 } }] })),
        "run > a: attribute n: expected 3, got 2"
      )
      yield* expectTrace({ name: "run", children: ["a"] })
      assert.strictEqual(yield* difference(expectTrace("other")), "expected a trace other, got run")
      assert.strictEqual(
        yield* difference(expectTrace("b")),
        "expected a trace b, got run (there is one below another span: run > b)"
      )
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("takes a span whose parent is elsewhere for the start of a trace", () =>
    Effect.gen(function* () {
      const parent = Tracer.externalSpan({ traceId: "1".repeat(32), spanId: "2".repeat(16), sampled: true })
      yield* Effect.withSpan(span("inner"), "served", { parent })
      const { span: served } = yield* expectTrace({ name: "served", children: ["inner"] })
      assert.deepStrictEqual([served.traceId, served.parentSpanId], ["1".repeat(32), "2".repeat(16)])
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("says of a span that has not ended that it has not", () =>
    Effect.gen(function* () {
      const expectation = expectTrace({ name: "root", children: ["a"] })
      const error = yield* mismatch(expectation).pipe(Effect.withSpan("a"), Effect.withSpan("root"))
      assert.strictEqual(error.difference, "root: has not ended")
      assert.include(error.message, "!   a  (has not ended)")
      yield* expectation
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("waits for spans of the background when told so, also where the clock stands still", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Effect.forkChild(Effect.withSpan(Deferred.await(gate), "background"))
      yield* Effect.yieldNow
      const expectation = yield* Effect.forkChild(expectTrace("background", { within: "20 seconds" }))
      yield* span("another")
      yield* Effect.yieldNow
      assert.strictEqual(
        yield* difference(expectTrace("background", { within: "20 millis" })),
        "background: has not ended"
      )
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(expectation)
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("makes what names and messages hold harmless", () =>
    Effect.gen(function* () {
      yield* Effect.exit(Effect.withSpan(Effect.die(new Error("bad\u001b[31m")), "a\u001b]0;x\u0007\nb"))
      const { actual, message } = yield* mismatch(expectTraces([]))
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      assert.notMatch(actual + message, /[\u0000-\u0009\u000b-\u001f]/)
      assert.include(message, "trace a�]0;x� b: not expected")
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )

  it.effect("compares long lists, and deep trees, in no time to speak of", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 2000 }, (_, index) => `n${index}`)
      yield* span("wide", ...names.map((name) => span(name)))
      yield* expectTrace({ name: "wide", children: names })
      yield* expectTrace({ name: "wide", children: unordered(names.toReversed()) })
      assert.strictEqual(
        yield* difference(expectTrace({ name: "wide", children: names.toSpliced(1000, 1) })),
        "wide: child n1000: not expected"
      )
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )
})

describe("TelemetryTest.expectTraces", () => {
  it.effect("expects exactly these traces, in the order in which they started", () =>
    Effect.gen(function* () {
      yield* expectTraces([])
      yield* span("a")
      yield* span("b", span("c"))
      const traces = yield* expectTraces(["a", { name: "b", children: ["c"] }])
      assert.deepStrictEqual(
        traces.map((trace) => trace.span.name),
        ["a", "b"]
      )
      assert.strictEqual(yield* difference(expectTraces(["a"])), "trace b: not expected")
      assert.strictEqual(
        yield* difference(expectTraces(["a", "b", "c"])),
        "expected a trace c, got a, b (there is one below another span: b > c)"
      )
      yield* expectTraces(unordered(["b", "a"]))
      yield* expectTraces(including(["b"]))
    }).pipe(Effect.provide(TelemetryTest.layer()))
  )
})
