// Exporters of others behind `Telemetry.layerExporter`, and OpenTelemetry's own spans around and inside of effects.
import { assert, describe, it } from "@effect/vitest"
import * as OtelApi from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import type { SpanExporter } from "@opentelemetry/sdk-trace-base"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node"
import { Effect, Exit } from "effect"
import * as Span from "../src/Span.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Kept from "./support/Kept.ts"
import { isolated } from "./support/Isolated.ts"
import * as Quick from "./support/Quick.ts"

const spans = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.withSpan(Effect.void, "step"), { discard: true })

const through = <A, E>(
  self: Effect.Effect<A, E>,
  exporter: SpanExporter,
  options: Telemetry.ExporterOptions = {},
  env: Record<string, string> = {}
) => isolated(self.pipe(Effect.provide(Telemetry.layerExporter(exporter, options))), env)

describe("Telemetry.layerExporter", () => {
  it.live(
    "hands over batches of the size that OTEL_BSP_MAX_EXPORT_BATCH_SIZE names, and shuts the exporter down once",
    () =>
      Effect.gen(function* () {
        const kept = Kept.make()
        const { exit, stderr } = yield* through(spans(25), kept.exporter, {}, { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10" })
        assert.deepStrictEqual(exit, Exit.void)
        assert.strictEqual(stderr, "")
        assert.deepStrictEqual(
          kept.batches.map((batch) => batch.length),
          [10, 10, 5]
        )
        assert.strictEqual(kept.shutdowns(), 1)
      })
  )

  it.live("hands over a batch that is not full when OTEL_BSP_SCHEDULE_DELAY is over", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      yield* through(
        Effect.gen(function* () {
          yield* spans(3)
          while (kept.spans().length < 3) {
            yield* Effect.sleep("5 millis")
          }
        }).pipe(Effect.timeout("10 seconds")),
        kept.exporter,
        {},
        { OTEL_BSP_SCHEDULE_DELAY: "20" }
      )
      assert.strictEqual(kept.spans().length, 3)
    })
  )

  it.live("Telemetry.flush waits until all that has ended is exported", () =>
    Effect.gen(function* () {
      const counts: Array<number> = []
      let arrived = 0
      const slow: SpanExporter = {
        export: (batch, done) => {
          setTimeout(() => {
            arrived += batch.length
            done({ code: 0 })
          }, 20)
        },
        shutdown: () => Promise.resolve()
      }
      yield* through(
        Effect.gen(function* () {
          yield* spans(1000)
          yield* Telemetry.flush
          counts.push(arrived)
        }),
        slow
      )
      assert.deepStrictEqual(counts, [1000])
    })
  )

  it.live("an exporter that fails costs one line, and not the result", () =>
    Effect.gen(function* () {
      const failing: SpanExporter = {
        export: (_, done) => done({ code: 1, error: new Error("no disk; token=abcdefgh1234") }),
        shutdown: () => Promise.reject(new Error("never mind"))
      }
      const { exit, stderr } = yield* through(Effect.as(spans(3), 42), failing)
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.strictEqual(stderr, "tinyllm: 3 spans not exported: no disk; token=__REDACTED__\n")
    })
  )

  it.live("T25 what an exporter says is one text, without what configured patterns match", () =>
    Effect.gen(function* () {
      const saying = (message: unknown) => {
        const error = Object.assign(new Error("x"), { message })
        const failing: SpanExporter = {
          export: (_, done) => done({ code: 1, error }),
          shutdown: () => Promise.resolve()
        }
        return through(Effect.andThen(spans(1), Telemetry.flush).pipe(Effect.andThen(Telemetry.report)), failing, {
          redact: [/customer-\d+/]
        })
      }
      const said = yield* saying("rejected customer-4711\nof tenant")
      assert.strictEqual(said.stderr, "tinyllm: 1 span not exported: rejected __REDACTED__ of tenant\n")
      for (const message of [{ no: "text" }, "", undefined, 7]) {
        const { exit, stderr } = yield* saying(message)
        assert.strictEqual(stderr, "tinyllm: 1 span not exported: the exporter failed\n")
        assert.isTrue(Exit.isSuccess(exit) && exit.value.reasons.every(({ reason }) => typeof reason === "string"))
      }
    })
  )

  it.live("so does one that throws, and one that reports twice counts once", () =>
    Effect.gen(function* () {
      const throwing: SpanExporter = {
        export: () => {
          throw new Error("bug")
        },
        shutdown: () => Promise.resolve()
      }
      const thrown = yield* through(Effect.as(spans(3), 42), throwing)
      assert.deepStrictEqual(thrown.exit, Exit.succeed(42))
      assert.strictEqual(thrown.stderr, "tinyllm: 3 spans not exported: the exporter threw an error\n")
      const twice: SpanExporter = {
        export: (_, done) => {
          done({ code: 1, error: new Error("first") })
          done({ code: 0 })
        },
        shutdown: () => Promise.resolve()
      }
      assert.strictEqual((yield* through(spans(3), twice)).stderr, "tinyllm: 3 spans not exported: first\n")
    })
  )

  it.live("so does one whose export is asynchronous and fails, and a processor like that", () =>
    Effect.gen(function* () {
      const failing = () => Promise.reject(new Error("bug"))
      const exporter: SpanExporter = {
        export: failing,
        shutdown: () => {
          throw new Error("bug")
        }
      }
      const { exit, stderr } = yield* through(Effect.as(spans(3), 42), exporter)
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.strictEqual(stderr, "tinyllm: 3 spans not exported: the exporter threw an error\n")
      const processor = { onStart: failing, onEnd: failing, forceFlush: failing, shutdown: failing }
      const sdk = yield* isolated(Effect.as(spans(3), 42).pipe(Effect.provide(Telemetry.layerSdk([processor]))))
      assert.deepStrictEqual(sdk.exit, Exit.succeed(42))
    })
  )

  it.live("T41 one that never ends holds the program for a little more than three seconds at most", () =>
    Quick.within(
      3500,
      Effect.gen(function* () {
        const hanging: SpanExporter = { export: () => {}, shutdown: () => new Promise(() => {}) }
        const begin = performance.now()
        const { exit, stderr } = yield* through(Effect.as(spans(3), 42), hanging)
        const millis = performance.now() - begin
        assert.deepStrictEqual(exit, Exit.succeed(42))
        assert.strictEqual(stderr, "tinyllm: 3 spans not exported: the exporter did not end\n")
        return millis
      })
    )
  )

  it.live("T38 a batch that OTEL_BSP_EXPORT_TIMEOUT is over for is lost, and the next one has its turn", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      let calls = 0
      const first: SpanExporter = {
        ...kept.exporter,
        // The first four batches are never heard of again, which is as many as an exporter has at a time.
        export: (batch, done) => (calls++ < 4 ? undefined : kept.exporter.export(batch, done))
      }
      const reports: Array<number> = []
      const { stderr } = yield* through(
        Effect.gen(function* () {
          yield* spans(60)
          // One flush takes no longer than one export may.
          yield* Effect.repeat(Telemetry.flush, { until: () => kept.spans().length === 20 })
          reports.push((yield* Telemetry.report).exported, (yield* Telemetry.report).lost)
        }),
        first,
        {},
        { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10", OTEL_BSP_EXPORT_TIMEOUT: "100" }
      )
      assert.deepStrictEqual(reports, [20, 40])
      assert.strictEqual(stderr, "tinyllm: 40 spans not exported: the exporter did not end within 0.1 s\n")
    })
  )

  it.live("Telemetry.flush has an exporter hand on what it holds back", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      let flushed = 0
      const holding: SpanExporter = {
        ...kept.exporter,
        forceFlush: () => {
          flushed = kept.spans().length
          return Promise.reject(new Error("never mind"))
        }
      }
      yield* through(Effect.andThen(spans(3), Telemetry.flush), holding)
      assert.strictEqual(flushed, 3)
    })
  )

  it.live("T45 holds no more than OTEL_BSP_MAX_QUEUE_SIZE, those under way included, and counts the rest", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      const waiting: Array<() => void> = []
      const slow: SpanExporter = {
        ...kept.exporter,
        export: (batch, done) => {
          waiting.push(() => kept.exporter.export(batch, done))
        }
      }
      const { stderr } = yield* through(
        Effect.gen(function* () {
          yield* spans(500)
          yield* Effect.sleep("20 millis")
          yield* spans(500)
          const release = setInterval(() => waiting.splice(0).forEach((go) => go()), 5)
          yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(release)))
          yield* Telemetry.flush
        }).pipe(Effect.scoped),
        slow,
        {},
        { OTEL_BSP_MAX_QUEUE_SIZE: "100", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10" }
      )
      assert.strictEqual(kept.spans().length, 100)
      assert.strictEqual(stderr, "tinyllm: 900 spans not exported: they came faster than they could be sent\n")
    })
  )
})

describe("interop", () => {
  // What a library with instrumentation of its own does, with a provider that somebody set up for it.
  const library = () => {
    OtelApi.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    const exporter = new InMemorySpanExporter()
    const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    return { tracer: provider.getTracer("library"), spans: () => exporter.getFinishedSpans() }
  }

  it.live("spans of a library nest below the effect's span, also after it has waited", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      const { spans, tracer } = library()
      yield* through(
        Effect.gen(function* () {
          yield* Effect.sleep("1 millis")
          yield* Effect.promise(async () => {
            await Promise.resolve()
            tracer.startSpan("query").end()
          })
        }).pipe(Effect.withSpan("ours")),
        kept.exporter,
        { interop: true }
      )
      const ours = kept.spans()[0]?.spanContext()
      const [query] = spans()
      assert.strictEqual(query?.parentSpanContext?.spanId, ours?.spanId)
      assert.strictEqual(query?.spanContext().traceId, ours?.traceId)
    })
  )

  it("an effect below a library's span continues its trace", async () => {
    const kept = Kept.make()
    const { spans, tracer } = library()
    await tracer.startActiveSpan("request", async (span) => {
      await Effect.runPromise(through(Effect.withSpan(Effect.void, "ours"), kept.exporter, { interop: true }))
      span.end()
    })
    const [request] = spans()
    assert.strictEqual(kept.spans()[0]?.parentSpanContext?.spanId, request?.spanContext().spanId)
    assert.strictEqual(kept.spans()[0]?.spanContext().traceId, request?.spanContext().traceId)
  })

  it.live("what a library writes on the active span is on the effect's", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      const write = Effect.sync(() => {
        const active = OtelApi.trace.getActiveSpan()
        active?.setAttribute("rows", 3).setAttributes({ table: "users" }).addEvent("cache.hit", { key: 1 })
        active?.recordException(new RangeError("out of range"))
        active?.setStatus({ code: OtelApi.SpanStatusCode.ERROR, message: "half of it" })
        active?.end()
        return active?.isRecording()
      })
      const { exit } = yield* through(Effect.withSpan(write, "ours"), kept.exporter, { interop: true })
      assert.deepStrictEqual(exit, Exit.succeed(true))
      const [span] = kept.spans()
      assert.deepInclude({ ...span?.attributes }, { rows: 3, table: "users", "error.type": "_OTHER" })
      assert.deepStrictEqual(
        span?.events.map((event) => event.name),
        ["cache.hit", "exception"]
      )
      assert.strictEqual(span?.events[1]?.attributes?.["exception.type"], "RangeError")
      assert.deepStrictEqual(span?.status, { code: 2, message: "half of it" })
    })
  )

  it.live("OK of a library is final: it overrides errors before and after it, but no failure of the effect", () =>
    Effect.gen(function* () {
      const { ERROR, OK, UNSET } = OtelApi.SpanStatusCode
      const ended = (codes: ReadonlyArray<OtelApi.SpanStatusCode>, fails = false) =>
        Effect.gen(function* () {
          const kept = Kept.make()
          const write = Effect.sync(() => {
            for (const code of codes) {
              OtelApi.trace.getActiveSpan()?.setStatus({ code, message: "of the library" })
            }
          })
          yield* through(
            Effect.andThen(write, fails ? Effect.fail("of the effect") : Effect.void).pipe(Effect.withSpan("ours")),
            kept.exporter,
            { interop: true }
          )
          const [span] = kept.spans()
          return [span?.status, span?.attributes["error.type"]]
        })
      assert.deepStrictEqual(yield* ended([UNSET]), [{ code: UNSET }, undefined])
      assert.deepStrictEqual(yield* ended([OK]), [{ code: OK }, undefined])
      assert.deepStrictEqual(yield* ended([ERROR, OK]), [{ code: OK }, undefined])
      assert.deepStrictEqual(yield* ended([OK, ERROR, UNSET]), [{ code: OK }, undefined])
      assert.deepStrictEqual(yield* ended([ERROR, UNSET]), [{ code: ERROR, message: "of the library" }, "_OTHER"])
      assert.deepStrictEqual(yield* ended([ERROR, OK], true), [{ code: ERROR, message: "of the effect" }, "_OTHER"])
    })
  )

  it.live("the effect's span has the name that a library gives it, until it ends", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      let active: OtelApi.Span | undefined
      const write = Effect.sync(() => {
        active = OtelApi.trace.getActiveSpan()?.updateName("GET /users")
      })
      yield* through(
        Effect.andThen(
          Effect.withSpan(write, "ours"),
          Effect.sync(() => active?.updateName("late"))
        ),
        kept.exporter,
        { interop: true }
      )
      assert.deepStrictEqual(
        kept.spans().map(({ name }) => name),
        ["GET /users"]
      )
    })
  )

  it.live("a link of a library has its tracestate and its flags", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      const context = { traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: 3 }
      const write = Effect.sync(() => {
        OtelApi.trace.getActiveSpan()?.addLink({
          context: { ...context, traceState: OtelApi.createTraceState("a=1,b=2") },
          attributes: { why: "retry" }
        })
      })
      yield* through(Effect.withSpan(write, "ours"), kept.exporter, { interop: true })
      const [link] = kept.spans()[0]?.links ?? []
      assert.deepInclude(link?.context, context)
      assert.strictEqual(link?.context.traceState?.serialize(), "a=1,b=2")
      assert.deepStrictEqual({ ...link?.attributes }, { why: "retry" })
    })
  )

  it.live("what a library writes never fails the program, whatever time it gives", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      const times: ReadonlyArray<unknown> = [
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.MAX_VALUE,
        new Date(Number.NaN),
        new Date(-1),
        null,
        "noon",
        {},
        [],
        [1],
        [Number.NaN, 0],
        [Number.MAX_VALUE, 0],
        [-1, 0],
        ["a", "b"]
      ]
      const write = Effect.sync(() => {
        const active = OtelApi.trace.getActiveSpan() as OtelApi.Span
        for (const time of times) {
          active.addEvent("e", { given: String(time) }, time as OtelApi.TimeInput)
          active.recordException(new Error("x"), time as OtelApi.TimeInput)
        }
        active.addEvent("fraction", [1_700_000_000.5, 0.4])
        active.addEvent("exact", [1_700_000_000, 123_456_789])
        // What callers without types do.
        const wrong = undefined as never
        active
          .setAttributes(wrong)
          .addLinks([{ context: wrong }])
          .setStatus({ code: 2, message: wrong })
        active.addEvent("without", null as never)
      })
      const before = Date.now() - 1
      const { exit } = yield* through(Effect.withSpan(write, "ours"), kept.exporter, { interop: true })
      assert.isTrue(Exit.isSuccess(exit))
      const events = kept.spans()[0]?.events ?? []
      assert.lengthOf(events, 2 * times.length + 3)
      const timeOf = (name: string) => events.find((event) => event.name === name)?.time
      assert.deepStrictEqual(timeOf("fraction"), [1_700_000_000, 500_000_000])
      assert.deepStrictEqual(timeOf("exact"), [1_700_000_000, 123_456_789])
      for (const { attributes, time } of events.filter(({ name }) => name === "e" || name === "exception")) {
        assert.isAtLeast(time[0] * 1000 + time[1] / 1e6, before, String(attributes?.["given"]))
      }
    })
  )

  it.live("a span that the rate did not choose is recording where it may be kept, and else not", () =>
    Effect.gen(function* () {
      const write = Effect.sync(() => {
        const active = OtelApi.trace.getActiveSpan()
        return active?.isRecording() === true && active.setAttribute("rows", 3).isRecording()
      }).pipe(
        Effect.tap(() => Effect.ignore(Effect.withSpan(Effect.fail("x"), "inner"))),
        Effect.withSpan("ours")
      )
      const kept = Kept.make()
      const recording = (options: Telemetry.ExporterOptions) =>
        Effect.map(through(write, kept.exporter, { interop: true, samplingRate: 0, ...options }), ({ exit }) => exit)
      assert.deepStrictEqual(yield* recording({ keep: { errors: true } }), Exit.succeed(true))
      assert.strictEqual(kept.spans().find((span) => span.name === "ours")?.attributes["rows"], 3)
      assert.deepStrictEqual(yield* recording({}), Exit.succeed(false))
    })
  )

  it.live("is off by default: OpenTelemetry's active span is nobody's", () =>
    Effect.gen(function* () {
      library()
      const { exit } = yield* through(
        Effect.sync(() => OtelApi.trace.getActiveSpan()).pipe(Effect.withSpan("ours")),
        Kept.make().exporter
      )
      assert.deepStrictEqual(exit, Exit.succeed(undefined))
    })
  )
})

describe("Span.within", () => {
  it.live("makes a span where it is seen, and none where tracing is off or the trace is not kept", () =>
    Effect.gen(function* () {
      const names = (options: Telemetry.ExporterOptions, env: Record<string, string> = {}) =>
        Effect.gen(function* () {
          const kept = Kept.make()
          const inner = Effect.map(Effect.option(Effect.currentSpan), (span) =>
            span._tag === "Some" ? span.value.name : undefined
          )
          const { exit } = yield* through(
            inner.pipe(
              (self) => Span.within(self, "inner", { attributes: { a: 1, b: undefined } }),
              Effect.withSpan("outer")
            ),
            kept.exporter,
            options,
            env
          )
          return { seen: Exit.isSuccess(exit) ? exit.value : exit, exported: kept.spans().map((span) => span.name) }
        })
      assert.deepStrictEqual(yield* names({}), { seen: "inner", exported: ["inner", "outer"] })
      assert.deepStrictEqual(yield* names({ samplingRate: 0 }), { seen: "outer", exported: [] })
      assert.deepStrictEqual(yield* names({}, { OTEL_SDK_DISABLED: "true" }), { seen: "outer", exported: [] })
    })
  )
})
