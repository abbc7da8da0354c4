import { assert, describe, it } from "@effect/vitest"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import type { SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Exit, Layer, Option, References, Tracer } from "effect"
import { readFileSync } from "node:fs"
import * as Span from "../src/Span.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { version } from "../src/Version.ts"
import * as Collector from "./support/Collector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Listener from "./support/Listener.ts"
import * as Process from "./support/Process.ts"
import * as Quick from "./support/Quick.ts"

const traced = "test/fixtures/traced.ts"

const work = Effect.succeed(42).pipe(Effect.withSpan("child"), Effect.withSpan("root"))

const send = <A, E>(self: Effect.Effect<A, E>, options: Telemetry.Options, env?: Record<string, string>) =>
  isolated(self.pipe(Effect.provide(Telemetry.layer(options))), env)

describe("Telemetry.layer at a collector", () => {
  it.live("T13 T10 sends integers as integers, doubles as doubles, arrays as arrays", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* send(
        Span.attributes({
          ...Span.graphEnd({ nodesExecuted: 3, tokensUsed: 42, durationMillis: 12.6 }),
          ...Span.llmRequest({ operation: "chat", model: "qwen", promptLength: 5, temperature: 0.7 }),
          ...Span.llmResponse({ inputTokens: 40, outputTokens: 2, finishReason: "stop" })
        }).pipe(Effect.withSpan("llm.chat", { kind: "client" })),
        { otlpEndpoint: collector.url }
      )
      const span = collector.span("llm.chat")
      assert.strictEqual(span.kind, "client")
      assert.deepInclude(span.otlp, {
        "execution.nodes_executed": { intValue: 3 },
        "execution.tokens_used": { intValue: 42 },
        "execution.duration_ms": { intValue: 13 },
        "llm.temperature": { doubleValue: 0.7 },
        "llm.total_tokens": { intValue: 42 },
        "gen_ai.response.finish_reasons": { arrayValue: { values: [{ stringValue: "stop" }] } }
      })
    })
  )

  it.live("sends one tree with its resource; T63 scope tinyllm; T16 nothing is an error", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { exit, stderr } = yield* send(work, { otlpEndpoint: collector.url, serviceName: "mine" })
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.strictEqual(stderr, "")
      const [root, child] = [collector.span("root"), collector.span("child")]
      assert.strictEqual(root.parentId, "")
      assert.strictEqual(child.parentId, root.spanId)
      assert.strictEqual(child.traceId, root.traceId)
      assert.strictEqual(child.status.code, "unset")
      assert.deepStrictEqual(root.scope, { name: "tinyllm", version })
      assert.strictEqual(root.resource["service.name"], "mine")
      assert.strictEqual(root.resource["service.version"], version)
      assert.strictEqual(root.resource["telemetry.sdk.name"], "tinyllm")
      assert.strictEqual(root.resource["process.pid"], process.pid)
      assert.strictEqual(root.resource["process.runtime.name"], "nodejs")
      assert.notProperty(root.resource, "process.command_args")
      assert.isTrue(root.start <= child.start && child.end <= root.end)
    })
  )

  it.live("T28 T31 T51 takes service and sampler from the environment, and options before it", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const env = {
        OTEL_SERVICE_NAME: "from-env",
        OTEL_TRACES_SAMPLER: "always_off",
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url
      }
      yield* send(work, { enableTracing: true }, env)
      assert.lengthOf(collector.calls(), 0)
      yield* send(work, { enableTracing: true, samplingRate: 1 }, env)
      assert.strictEqual(collector.span("root").resource["service.name"], "from-env")
      yield* send(work, { enableTracing: true, samplingRate: 0 }, { ...env, OTEL_TRACES_SAMPLER: "always_on" })
      assert.lengthOf(collector.spans(), 2)
    })
  )

  it.live("T29 takes what describes the service from OTEL_RESOURCE_ATTRIBUTES, but not what it cannot know", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { stderr } = yield* send(
        work,
        { otlpEndpoint: collector.url },
        {
          OTEL_RESOURCE_ATTRIBUTES:
            "service.name=r,service.version=9,team=a%2Cb%20c,process.pid=1,telemetry.sdk.name=mine"
        }
      )
      assert.strictEqual(stderr, "")
      assert.include(collector.span("root").resource, {
        "service.name": "r",
        "service.version": "9",
        team: "a,b c",
        "process.pid": process.pid,
        "telemetry.sdk.name": "tinyllm"
      })
    })
  )

  it.live("T39 honours the limits of a span, and says what exceeded them", () =>
    Effect.gen(function* () {
      const full = Effect.gen(function* () {
        yield* Span.attributes({ a: "123456", b: 2, c: 3 })
        for (const name of ["one", "two", "three"]) {
          yield* Span.event(name, { a: 1, b: 2, c: 3 })
        }
      }).pipe(Effect.withSpan("full"))
      const sent = (env: Record<string, string>) =>
        Effect.gen(function* () {
          const collector = yield* Collector.make()
          const { stderr } = yield* send(full, { otlpEndpoint: collector.url }, env)
          return { stderr, span: collector.span("full") }
        })
      const limited = yield* sent({
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "2",
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "4",
        OTEL_SPAN_EVENT_COUNT_LIMIT: "1",
        OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: "1"
      })
      assert.deepStrictEqual(limited.span.attributes, { a: "1234", b: 2 })
      assert.deepStrictEqual(limited.span.dropped, { attributes: 1, events: 2, links: 0 })
      assert.deepStrictEqual(limited.span.events[0]?.attributes, { a: 1 })
      const wrong = yield* sent({
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "-1",
        OTEL_SPAN_EVENT_COUNT_LIMIT: "abc",
        OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: "0"
      })
      assert.deepStrictEqual(wrong.span.attributes, { a: "123456", b: 2, c: 3 })
      assert.lengthOf(wrong.span.events, 3)
      assert.lengthOf(wrong.stderr.trimEnd().split("\n"), 3)
      assert.include(wrong.stderr, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=-1 is ignored: it must be a whole number from 0")
    })
  )

  it("T39 the SDK does not read the limits behind our back", async () => {
    const collector = await Collector.start()
    const { stderr } = await Process.runNode(traced, ["ok"], {
      env: {
        TINYLLM_TRACING: "true",
        TINYLLM_OTLP_ENDPOINT: collector.url,
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "-5",
        OTEL_ATTRIBUTE_COUNT_LIMIT: "-5",
        OTEL_SPAN_ATTRIBUTE_PER_EVENT_COUNT_LIMIT: "-5"
      }
    })
    await collector.close()
    assert.deepStrictEqual(collector.span("step").attributes, { index: 0 })
    assert.lengthOf(stderr.trimEnd().split("\n"), 2)
  })

  it.live("T34 sends to the endpoint that wins, of five listeners", () =>
    Effect.gen(function* () {
      const [flag, ours, traces, general] = yield* Effect.all([
        Collector.make(),
        Collector.make(),
        Collector.make(),
        Collector.make()
      ])
      const env = {
        TINYLLM_OTLP_ENDPOINT: ours.url,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces.url,
        OTEL_EXPORTER_OTLP_ENDPOINT: general.url
      }
      const rest: Record<string, string> = { ...env }
      yield* send(work, { otlpEndpoint: flag.url }, rest)
      for (const name of Object.keys(env)) {
        yield* send(work, { exporter: "otlp" }, rest)
        delete rest[name]
      }
      for (const collector of [flag, ours, traces, general]) {
        assert.lengthOf(collector.calls(), 1)
      }
    })
  )

  it.live("T30 console,otlp goes to both; none to neither", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }
      const both = yield* send(work, {}, { ...env, OTEL_TRACES_EXPORTER: "console,otlp" })
      assert.include(both.stderr, "└─ child")
      assert.lengthOf(collector.spans(), 2)
      const none = yield* send(work, {}, { ...env, OTEL_TRACES_EXPORTER: "none" })
      assert.strictEqual(none.stderr, "")
      assert.lengthOf(collector.spans(), 2)
    })
  )

  it.live("loses nothing in a burst, of whatever size beside the size of a batch", () =>
    Effect.gen(function* () {
      for (const size of [1, 511, 512, 513, 1024, 2048, 20_000]) {
        const collector = yield* Collector.make()
        const { stderr } = yield* send(
          Effect.forEach(Array.from({ length: size }), () => Effect.withSpan(Effect.void, "step"), { discard: true }),
          { otlpEndpoint: collector.url }
        )
        assert.strictEqual(stderr, "")
        assert.strictEqual(new Set(collector.spans().map((span) => span.spanId)).size, size)
      }
    })
  )

  it.live("T45 counts what a full queue lost, in one line", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { stderr } = yield* send(
        Effect.forEach(Array.from({ length: 100 }), () => Effect.withSpan(Effect.void, "step"), { discard: true }),
        { otlpEndpoint: collector.url },
        { OTEL_BSP_MAX_QUEUE_SIZE: "10", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10" }
      )
      const lost = 100 - collector.spans().length
      assert.isTrue(lost > 0)
      assert.strictEqual(stderr, `tinyllm: ${lost} spans not exported: they came faster than they could be sent\n`)
    })
  )

  it.live("a collector that refuses costs one line, and neither the result nor an error", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({
        mode: { refuse: "UNAUTHENTICATED", details: "token=abcdefgh expired" }
      })
      const { exit, stderr } = yield* send(work, { otlpEndpoint: collector.url })
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.strictEqual(
        stderr,
        `tinyllm: 2 spans not exported: 127.0.0.1:${collector.port} answered UNAUTHENTICATED: token=__REDACTED__ expired\n`
      )
    })
  )

  it.live("something else than a collector costs one line", () =>
    Effect.gen(function* () {
      const http = yield* Effect.promise(() => import("node:http"))
      const server = http.createServer((_, response) => response.end("hello"))
      const port = yield* Effect.callback<number>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as { port: number }).port)))
      })
      const { exit, stderr } = yield* send(work, { otlpEndpoint: `http://127.0.0.1:${port}` })
      server.close()
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.match(stderr, /^tinyllm: 2 spans not exported: .*\n$/)
    })
  )
})

describe("Telemetry.layer on the console", () => {
  it.live("prints one tree a trace when its root ends, on standard error", () =>
    Effect.gen(function* () {
      const { stderr } = yield* send(Effect.andThen(work, work), { exporter: "console" })
      assert.match(stderr, /^(trace [0-9a-f]{32}, 2 spans\nroot \S+ m?s\n└─ child \S+ m?s\n){2}$/)
    })
  )

  it.live("prints below a remote parent too, and what has lost its root when the program ends", () =>
    Effect.gen(function* () {
      const parent = Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16) })
      const remote = yield* send(Effect.withParentSpan(work, parent), { exporter: "console" })
      assert.include(remote.stderr, `trace ${"a".repeat(32)}, 2 spans\nroot`)
      const orphan = yield* send(
        Effect.gen(function* () {
          const open = yield* Effect.makeSpan("never ended")
          yield* Effect.withSpan(Effect.void, "orphan", { parent: open })
        }),
        { exporter: "console" }
      )
      assert.include(orphan.stderr, "\norphan ")
    })
  )

  it.live("prints JSON lines with numbers as numbers", () =>
    Effect.gen(function* () {
      const { stderr } = yield* send(Effect.withSpan(Effect.void, "one", { attributes: { "llm.input_tokens": 12 } }), {
        exporter: "console",
        traceFormat: "json"
      })
      const span = JSON.parse(stderr)
      assert.strictEqual(span.name, "one")
      assert.strictEqual(span.attributes["llm.input_tokens"], 12)
      assert.isNumber(span.duration_ms)
    })
  )
})

describe("Telemetry.layer off", () => {
  it.live("makes no spans: no ids, isEnabled false", () =>
    Effect.gen(function* () {
      const { exit } = yield* send(
        Effect.all([Span.traceId, Telemetry.isEnabled, References.TracerEnabled]).pipe(Effect.withSpan("root")),
        {}
      )
      assert.deepStrictEqual(exit, Exit.succeed([undefined, false, false]))
    })
  )

  it.live("isEnabled is true with a layer that records, and not where the tracer is turned off", () =>
    Effect.gen(function* () {
      assert.isFalse(yield* Telemetry.isEnabled)
      const { exit } = yield* send(
        Effect.all([Telemetry.isEnabled, Effect.withTracerEnabled(Telemetry.isEnabled, false)]),
        { exporter: "console" }
      )
      assert.deepStrictEqual(exit, Exit.succeed([true, false]))
    })
  )

  it.live("refuses a wrong setting as a typed error", () =>
    Effect.gen(function* () {
      const { exit } = yield* send(work, { samplingRate: 3 })
      const error = Option.getOrUndefined(Exit.findErrorOption(exit))
      assert.instanceOf(error, Telemetry.TelemetryConfigError)
    })
  )

  it.live("leaves out task.content when the environment says NO_CONTENT", () =>
    Effect.gen(function* () {
      const { exit } = yield* send(
        Effect.map(Span.TaskContent, (taskContent) => taskContent("secret")),
        { exporter: "console" },
        { OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: "NO_CONTENT" }
      )
      assert.deepStrictEqual(exit, Exit.succeed("__REDACTED__"))
    })
  )
})

describe("Telemetry.layerProcessor", () => {
  const recorder = (overrides: Partial<SpanProcessor> = {}) => {
    const ended: Array<string> = []
    const processor: SpanProcessor = {
      onStart: () => {},
      onEnd: (span) => void ended.push(span.name),
      forceFlush: () => Promise.resolve(),
      shutdown: () => Promise.resolve(),
      ...overrides
    }
    return { ended, layer: Telemetry.layerProcessor(processor) }
  }

  it.live("hands spans to any processor", () =>
    Effect.gen(function* () {
      const { ended, layer } = recorder()
      yield* isolated(Effect.provide(work, layer))
      assert.deepStrictEqual(ended, ["child", "root"])
    })
  )

  it.live("T27 does so unless OTEL_SDK_DISABLED", () =>
    Effect.gen(function* () {
      const { ended, layer } = recorder()
      yield* isolated(Effect.provide(work, layer), { OTEL_SDK_DISABLED: "true" })
      assert.deepStrictEqual(ended, [])
    })
  )

  it.live("keeps a processor's failures away from the program", () =>
    Effect.gen(function* () {
      const throws = () => {
        throw new Error("processor")
      }
      for (const overrides of [
        { onStart: throws },
        { onEnd: throws },
        { shutdown: () => Promise.reject(new Error("processor")) },
        { shutdown: throws }
      ]) {
        const { exit } = yield* isolated(Effect.provide(work, recorder(overrides).layer))
        assert.deepStrictEqual(exit, Exit.succeed(42))
      }
    })
  )

  it.live("two layers live side by side, each with its own spans", () =>
    Effect.gen(function* () {
      const [one, two] = [recorder(), recorder()]
      yield* isolated(
        Effect.all(
          [
            Effect.withSpan(Effect.sleep(5), "one").pipe(Effect.provide(one.layer)),
            Effect.withSpan(Effect.sleep(1), "two").pipe(Effect.provide(two.layer))
          ],
          { concurrency: 2 }
        )
      )
      assert.deepStrictEqual([one.ended, two.ended], [["one"], ["two"]])
    })
  )

  it.live("takes the SDK's own processors, also with an exporter that always fails", () =>
    Effect.gen(function* () {
      const processor = new BatchSpanProcessor({
        export: (_, done) => done({ code: 1, error: new Error("always") }),
        shutdown: () => Promise.reject(new Error("always"))
      })
      const { exit } = yield* isolated(Effect.provide(work, Telemetry.layerProcessor(processor)))
      assert.deepStrictEqual(exit, Exit.succeed(42))
    })
  )
})

describe("Telemetry.withRemoteParent", () => {
  const T = "12345678901234567890123456789012"
  const P = "1234567890123456"

  const collected = (env: Record<string, string>) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* send(Telemetry.withRemoteParent(work), { otlpEndpoint: collector.url }, env)
      return collector
    })

  it.live("T49 continues the trace of TRACEPARENT, with its TRACESTATE", () =>
    Effect.gen(function* () {
      const collector = yield* collected({ TRACEPARENT: `00-${T}-${P}-01`, TRACESTATE: "foo=1,bar=2" })
      const root = collector.span("root")
      assert.strictEqual(root.traceId, T)
      assert.strictEqual(root.parentId, P)
      assert.strictEqual(root.traceState, "foo=1,bar=2")
    })
  )

  it.live("T49 T53 exports nothing below an unsampled TRACEPARENT", () =>
    Effect.gen(function* () {
      const collector = yield* collected({ TRACEPARENT: `00-${T}-${P}-00` })
      assert.lengthOf(collector.calls(), 0)
    })
  )

  it.live("T49 begins its own trace when TRACEPARENT is not valid, or not in upper case", () =>
    Effect.gen(function* () {
      for (const env of [{ TRACEPARENT: `00-${T}-${P}` }, { traceparent: `00-${T}-${P}-01` }]) {
        const root = (yield* collected(env)).span("root")
        assert.notStrictEqual(root.traceId, T)
        assert.strictEqual(root.parentId, "")
      }
    })
  )

  it.live("leaves a span that is open its place", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* send(
        work.pipe(Telemetry.withRemoteParent, Effect.withSpan("outer")),
        { otlpEndpoint: collector.url },
        { TRACEPARENT: `00-${T}-${P}-01` }
      )
      assert.strictEqual(collector.span("root").parentId, collector.span("outer").spanId)
    })
  )
})

describe("A program with Telemetry.layerConfig", () => {
  const otlp = (url: string) => ({ TINYLLM_TRACING: "true", TINYLLM_OTLP_ENDPOINT: url })

  it("T44 T59 a short run delivers all its spans, and standard output is the answer alone", async () => {
    const collector = await Collector.start()
    const { code, stdout, stderr } = await Process.runNode(traced, ["ok", "3"], { env: otlp(collector.url) })
    await collector.close()
    assert.deepStrictEqual({ code, stdout, stderr }, { code: 0, stdout: "answer\n", stderr: "" })
    assert.deepStrictEqual(
      collector.spans().map((span) => span.name),
      ["step", "step", "step", "main"]
    )
  })

  // How long a program lives on after its answer.
  const afterAnswer = async (args: ReadonlyArray<string>, url: string) => {
    const child = Process.spawnNode(traced, args, { env: otlp(url) })
    await child.waitForStdout("answer")
    const answered = performance.now()
    const result = await child.exit
    return { ...result, millis: performance.now() - answered }
  }

  it("T40 a dead collector changes neither answer nor exit code, and costs one line", async () => {
    await Quick.resolvesWithin(3500, async () => {
      const port = await Collector.deadPort()
      const results = await Promise.all([
        afterAnswer(["ok"], `http://localhost:${port}`),
        Process.runNode(traced, ["fail"], { env: otlp(`http://localhost:${port}`) })
      ])
      const line = `tinyllm: 2 spans not exported: connection refused at localhost:${port}. Is a collector running there?\n`
      assert.deepInclude(results[0], { code: 0, stdout: "answer\n", stderr: line })
      assert.deepInclude(results[1], { code: 1, stdout: "", stderr: `${line}failed: no luck\n` })
      return results[0].millis
    })
  })

  it.each([
    ["few", 1],
    ["many", 5000]
  ] as const)(
    "T41 a collector that never answers, with %s spans, holds the process for three seconds at most",
    (_, count) =>
      Quick.resolvesWithin(3500, async () => {
        const collector = await Collector.start({ mode: "hang" })
        const result = await afterAnswer(["ok", String(count)], collector.url)
        await collector.close()
        assert.deepInclude(result, {
          code: 0,
          stdout: "answer\n",
          stderr: `tinyllm: ${count + 1} spans not exported: no answer from 127.0.0.1:${collector.port} within 3 s. Is it a collector for OTLP over gRPC?\n`
        })
        return result.millis
      })
  )

  it.each(["http", "https"])("T41 neither does one that accepts a connection and says nothing, over %s", (scheme) =>
    Quick.resolvesWithin(3500, async () => {
      const { close, port } = await Listener.start()
      const result = await afterAnswer(["ok"], `${scheme}://localhost:${port}`)
      await close()
      assert.deepInclude(result, {
        code: 0,
        stdout: "answer\n",
        stderr: `tinyllm: 2 spans not exported: no answer from localhost:${port} within 3 s. Is it a collector for OTLP over gRPC?\n`
      })
      return result.millis
    })
  )

  it.each(["SIGINT", "SIGTERM"] as const)(
    "T43 %s delivers what has ended, and what runs as interrupted",
    async (signal) => {
      const collector = await Collector.start()
      const child = Process.spawnNode(traced, ["sleep"], { env: otlp(collector.url) })
      await child.waitForStdout("sleeping")
      child.kill(signal)
      const { code, stderr } = await child.exit
      await collector.close()
      assert.strictEqual(code, 130)
      assert.strictEqual(stderr, "")
      assert.deepStrictEqual(
        collector.spans().map((span) => span.name),
        ["step", "sleeper", "main"]
      )
      for (const name of ["sleeper", "main"]) {
        const span = collector.span(name)
        assert.strictEqual(span.status.code, "unset")
        assert.deepStrictEqual(span.otlp["effect.fiber.interrupted"], { boolValue: true })
        assert.notProperty(span.attributes, "error.type")
      }
      assert.notProperty(collector.span("step").attributes, "effect.fiber.interrupted")
    }
  )

  it("T27 OTEL_SDK_DISABLED=TRUE opens no connection, and says so", async () => {
    const collector = await Collector.start()
    const { code, stdout, stderr } = await Process.runNode(traced, ["ok"], {
      env: { ...otlp(collector.url), OTEL_SDK_DISABLED: "TRUE" }
    })
    await collector.close()
    assert.deepStrictEqual(
      { code, stdout, stderr },
      {
        code: 0,
        stdout: "answer\n",
        stderr: "tinyllm: tracing was asked for, but OTEL_SDK_DISABLED=true turns it off\n"
      }
    )
    assert.lengthOf(collector.calls(), 0)
  })

  it("T52 refuses a wrong TINYLLM_SAMPLING_RATE before it runs", async () => {
    const { code, stdout, stderr } = await Process.runNode(traced, ["ok"], { env: { TINYLLM_SAMPLING_RATE: "1.1" } })
    assert.deepStrictEqual(
      { code, stdout, stderr },
      { code: 1, stdout: "", stderr: 'failed: TINYLLM_SAMPLING_RATE must be a number from 0 to 1, but got "1.1".\n' }
    )
  })

  it("T62 with tracing off no OpenTelemetry module is loaded, with TRACEPARENT neither, and none for the console", async () => {
    const loaded = async (env: Record<string, string>) => {
      const { stderr } = await Process.run(
        process.execPath,
        ["--import", `${Process.root}test/fixtures/report-opentelemetry.ts`, `${Process.root}${traced}`],
        { env }
      )
      const [, opentelemetry, grpc] = /opentelemetry: (\d+), grpc: (\d+)/.exec(stderr) ?? []
      return { opentelemetry: Number(opentelemetry), grpc: Number(grpc) }
    }
    const [off, parent, console, otlp] = await Promise.all([
      loaded({}),
      loaded({ TRACEPARENT: "00-12345678901234567890123456789012-1234567890123456-01" }),
      loaded({ TINYLLM_TRACING: "true" }),
      loaded({ TINYLLM_TRACING: "true", TINYLLM_EXPORTER: "otlp" })
    ])
    assert.deepStrictEqual(off, { opentelemetry: 0, grpc: 0 })
    assert.deepStrictEqual(parent, { opentelemetry: 0, grpc: 0 })
    assert.deepStrictEqual(console, { opentelemetry: 0, grpc: 0 })
    assert.isAbove(otlp.opentelemetry, 0)
    assert.isAbove(otlp.grpc, 0)
  })
})

describe("Version", () => {
  it("is that of package.json", () => {
    assert.strictEqual(version, JSON.parse(readFileSync(`${Process.root}package.json`, "utf8")).version)
  })
})

// Kept for its type: a layer that asks for nothing and fails with one error.
const _typed: Layer.Layer<never, Telemetry.TelemetryConfigError> = Telemetry.layerConfig
void _typed
