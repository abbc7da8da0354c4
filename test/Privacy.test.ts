// What leaves the program, looked at from outside: real processes, a real collector, an Ollama double, and canaries in
// every text that is to stay inside.
import { assert, describe, it } from "@effect/vitest"
import * as OtelApi from "@opentelemetry/api"
import { type ReadableSpan, SimpleSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base"
import { ConfigProvider, Console, Effect, Layer, type Scope } from "effect"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Graph from "../src/Graph.ts"
import * as Logs from "../src/Logs.ts"
import * as Node from "../src/Node.ts"
import { OllamaDouble, type Reply, type Script } from "../src/OllamaDouble.ts"
import * as Span from "../src/Span.ts"
import * as Stderr from "../src/Stderr.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as TraceContext from "../src/TraceContext.ts"
import * as Collector from "./support/Collector.ts"
import * as GenAi from "./support/GenAi.ts"
import * as Process from "./support/Process.ts"

const answer = "CANARY_ANSWER is what the model says, and goes on"

const record = (content: string, done = false) =>
  `${JSON.stringify({ model: "m", message: { role: "assistant", content }, response: content, done })}\n`

/** Every way to answer, each with content in it. */
const replies: Readonly<Record<string, Reply>> = {
  good: { text: answer, thinking: "CANARY_THINKING" },
  malformed: { raw: [record(answer), `{"message": CANARY_MALFORMED\n`] },
  array: { raw: [`["CANARY_MALFORMED"]\n`] },
  errorline: { text: answer, errorLine: `${JSON.stringify({ error: "CANARY_ERROR went wrong" })}\n` },
  cut: { text: answer, end: "reset" },
  http500: { status: 500, error: "CANARY_ERROR went wrong" },
  http400: { status: 400, error: "invalid character 'C' in CANARY_ERROR" },
  html: { raw: "<html>CANARY_ERROR</html>", status: 404, contentType: "text/html" },
  crash: { status: 500, error: "CANARY_ERROR: llama runner process has terminated: CANARY_ERROR" },
  unsupported: { status: 400, error: `"CANARY_ERROR" does not support CANARY_ERROR` }
}

const script: Script = {
  models: Object.keys(replies),
  reply: (asked) => replies[asked.model.replace(/:latest$/, "")] ?? "fine"
}

const secretEnv = {
  CANARY_VARIABLE: "CANARY_ENVIRONMENT",
  OLLAMA_API_KEY: "CANARY_APIKEY",
  OTEL_EXPORTER_OTLP_HEADERS: "x-api-key=CANARY_HEADER",
  OTEL_LOG_LEVEL: "all"
}

const withUser = (url: string) => url.replace("http://", "http://CANARY_USER:CANARY_PASSWORD@")

const noVariables = Layer.succeed(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: {} }))

/** What a search for canaries found, each with what stands around it. */
const canaries = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/.{0,120}CANARY_.{0,40}/gs)].map(([found]) => found)

const assertNone = (text: string, what: string) => assert.deepStrictEqual(canaries(text), [], what)

const withDouble = <A, E>(
  script: Script,
  use: (double: OllamaDouble["Service"]) => Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<A, E> =>
  Effect.flatMap(OllamaDouble, use).pipe(Effect.provide(Layer.orDie(OllamaDouble.layer(script))), Effect.scoped)

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "tinyllm-privacy-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** All that is in the files below a folder, names included. */
const contents = (folder: string): string =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((file) => `${file.name}\n${file.isFile() ? readFileSync(join(file.parentPath, file.name), "latin1") : ""}`)
    .join("\n")

/** The program in `test/programs/private.ts`. */
const application = (
  env: Readonly<Record<string, string>>,
  logFormat = "json"
): Effect.Effect<
  { readonly result: Process.Result; readonly collector: Collector.Collector; readonly asked: ReadonlyArray<unknown> },
  never,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const collector = yield* Collector.make()
    return yield* withDouble(script, (double) =>
      Effect.gen(function* () {
        const result = yield* Effect.promise(() =>
          Process.runNode("test/programs/private.ts", [logFormat], {
            env: {
              ...secretEnv,
              OLLAMA_HOST: withUser(double.url),
              OTEL_TRACES_EXPORTER: "otlp,console",
              OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
              ...env
            }
          })
        )
        assert.strictEqual(result.code, 0, result.stderr)
        return { result, collector, asked: yield* double.requests }
      })
    )
  })

const silent = Object.assign(Object.create(console), { log: () => {}, error: () => {} }) as Console.Console

const nowhere = Layer.succeed(Stderr.Stderr, {
  write: () => {},
  status: () => {},
  isTerminal: false,
  columns: () => undefined
})

class Broken extends Error {
  readonly _tag = "Broken"
}

const own = (spans: ReadonlyArray<Collector.CollectedSpan>) => spans.find(({ name }) => name === "own")

/** What a span takes on the wire, in bytes: the only one of its call, without what describes the service. */
const sizeOf = (collector: Collector.Collector): number => collector.calls()[0]?.bytes.length ?? 0

/** Asserts that of all the canaries only the user's own log line is to be seen, in the log. */
const assertPrivate = ({ asked, collector, result }: Effect.Success<ReturnType<typeof application>>) => {
  const sent = JSON.stringify(asked)
  for (const canary of ["PROMPT", "SYSTEM", "ARGUMENT", "RESULT"]) {
    assert.include(sent, `CANARY_${canary}`, "it was there to be found")
  }
  assert.isAbove(collector.spans().length, 60)
  assertNone(collector.bytes(), "bytes at the collector")
  assertNone(result.stdout, "standard output")
  assert.lengthOf(
    result.stderr.split("\n").filter((line) => line.includes("of the user")),
    2
  )
  assertNone(result.stderr.replaceAll("CANARY_LOGLINE", ""), "standard error")
}

const captureVariable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
const detailsEvent = "gen_ai.client.inference.operation.details"

const modelCalls = (collector: Collector.Collector) => collector.spans().filter(({ name }) => name.startsWith("llm."))

describe("content of an application", () => {
  it.live("T20 T21 is in no exported byte, on no console and in no log line of ours, at the lowest level", () =>
    Effect.map(application({}), assertPrivate)
  )

  it.live(
    "T20 T21 T25 what a user's error says is exported, without its secrets and those of configured patterns",
    () =>
      Effect.gen(function* () {
        const seen = yield* application({ TINYLLM_REDACT: "customer-\\d+\n/NEVER said/i" }, "logfmt")
        assertPrivate(seen)
        const { collector, result } = seen
        const span = own(collector.spans())
        const said = "the user's error, of __REDACTED__, with password=__REDACTED__ in it"
        assert.strictEqual(span?.status.message, said)
        const error = span?.events.find(({ name }) => name === "exception")
        assert.strictEqual(error?.attributes["exception.message"], said)
        assert.include(String(error?.attributes["exception.stacktrace"]), said)
        assert.strictEqual(span?.attributes["own.header"], "Bearer __REDACTED__")
        assert.strictEqual(span?.attributes["own.customer"], "__REDACTED__")
        assert.deepStrictEqual(span?.attributes["own.customers"], ["__REDACTED__", "nobody"])
        const event = span?.events.find(({ name }) => name === "cache.miss")
        assert.strictEqual(event?.attributes["own.customer"], "__REDACTED__")
        for (const text of [collector.bytes(), result.stderr]) {
          assert.notMatch(text, /customer-\d|hunter22|abcdefgh12345678/)
          assert.include(text, "__REDACTED__")
        }
        assert.include(result.stderr, 'msg="__REDACTED__ called"')
      })
  )

  it.live("T20 T21 T23 is not recorded when the variable says what it cannot say, which is reported", () =>
    Effect.gen(function* () {
      const seen = yield* application({ [captureVariable]: "bogus" }, "pretty")
      assertPrivate(seen)
      assert.include(
        seen.result.stderr,
        `tinyllm: ${captureVariable}=bogus is ignored: it must be NO_CONTENT, SPAN_ONLY`
      )
      assert.strictEqual(seen.collector.span("graph.execute").attributes["task.content"], "__REDACTED__")
    })
  )

  it.live("T22 T23 is recorded in the form of the conventions when asked for, of streams and broken answers too", () =>
    Effect.gen(function* () {
      const { collector, result } = yield* application({ [captureVariable]: "span_only" })
      const calls = modelCalls(collector)
      assert.isAbove(calls.length, 30)
      const routers = new Set(collector.spans().flatMap(({ name, spanId }) => (name === "node.router" ? [spanId] : [])))
      for (const { attributes, events, parentId, status } of calls) {
        const input = GenAi.inputMessages(attributes["gen_ai.input.messages"])
        assert.deepStrictEqual(
          input.map(({ role }) => role),
          ["user"]
        )
        const [instructions] = GenAi.systemInstructions(attributes["gen_ai.system_instructions"])
        assert.isTrue(instructions?.type === "text" && instructions.content.startsWith("CANARY_SYSTEM"))
        if (status.code !== "error") {
          assert.deepStrictEqual(GenAi.outputMessages(attributes["gen_ai.output.messages"]), [
            {
              role: "assistant",
              parts: [
                // A router asks its model not to think.
                ...(routers.has(parentId) ? [] : [{ type: "reasoning" as const, content: "CANARY_THINKING" }]),
                { type: "text", content: answer }
              ],
              finish_reason: "stop"
            }
          ])
        } else if (attributes["gen_ai.output.messages"] !== undefined) {
          const [message] = GenAi.outputMessages(attributes["gen_ai.output.messages"])
          assert.strictEqual(message?.finish_reason, "error")
          assert.include(JSON.stringify(message?.parts), "CANARY_ANSWER")
        }
        assert.isFalse(events.some(({ name }) => name === detailsEvent))
      }
      assert.isAbove(
        calls.filter(
          ({ attributes, status }) => status.code === "error" && attributes["gen_ai.output.messages"] !== undefined
        ).length,
        3
      )
      // Content is on the spans of model calls, and nowhere else.
      for (const { attributes, events, name, status } of collector.spans()) {
        if (!name.startsWith("llm.")) {
          const texts = [attributes, ...events.map((event) => event.attributes)].map((values) => JSON.stringify(values))
          assertNone([name, status.message, ...texts].join("\n"), name)
        }
      }
      assert.notInclude(result.stderr, captureVariable)
    })
  )

  it.live(
    "T22 T26 T64 goes into one event of a call where that is asked for, or both, under names of the registry",
    () =>
      Effect.gen(function* () {
        const [eventOnly, both] = yield* Effect.all([
          application({ [captureVariable]: "Event_Only" }),
          application({ [captureVariable]: "SPAN_AND_EVENT" })
        ])
        for (const { collector } of [eventOnly, both]) {
          for (const call of modelCalls(collector)) {
            const details = call.events.filter(({ name }) => name === detailsEvent)
            assert.lengthOf(details, 1)
            const content = details[0]?.attributes ?? {}
            GenAi.inputMessages(content["gen_ai.input.messages"])
            GenAi.systemInstructions(content["gen_ai.system_instructions"])
            assert.strictEqual(content["gen_ai.operation.name"], call.attributes["gen_ai.operation.name"])
            if (call.status.code !== "error") {
              GenAi.outputMessages(content["gen_ai.output.messages"])
            }
            if (collector === both.collector) {
              assert.deepInclude(call.attributes, content)
            } else {
              assert.notProperty(call.attributes, "gen_ai.input.messages")
              assertNone(JSON.stringify(call.attributes), "attributes")
            }
          }
        }
        const keys = new Set(
          both.collector
            .spans()
            .flatMap(({ attributes, events }) => [attributes, ...events.map((event) => event.attributes)])
            .flatMap((attributes) => Object.keys(attributes))
            .filter((key) => key.startsWith("gen_ai."))
        )
        assert.isAbove(keys.size, 15)
        assert.includeMembers([...GenAi.registry], [...keys])
      })
  )
})

describe("content of the command line", () => {
  const query = `${"word ".repeat(60)}CANARY_PROMPT`

  it.live(
    "T20 T21 is in no exported byte, no line, no file, whatever the model answers",
    () =>
      withDouble(script, (double) =>
        Effect.gen(function* () {
          const collector = yield* Collector.make()
          const home = yield* temporary
          const dead = yield* Effect.promise(Collector.deadPort)
          const models = ["good", "errorline", "http500", "malformed", "cut", "missing"]
          const results = yield* Effect.forEach(
            models,
            (model, index) =>
              Effect.promise(() =>
                Process.runNode(
                  "src/Main.ts",
                  ["run", query, "--model", model, "--log-level", "trace", "--no-stream"].concat(
                    ["--log-format", ["pretty", "json", "logfmt"][index % 3] ?? ""],
                    ["--trace-format", index % 2 === 0 ? "json" : "tree"]
                  ),
                  {
                    env: {
                      ...secretEnv,
                      OLLAMA_HOST: withUser(double.url),
                      OTEL_TRACES_EXPORTER: "otlp,console",
                      // Some of them find no collector: what is kept for it is in files.
                      OTEL_EXPORTER_OTLP_ENDPOINT: index % 3 === 2 ? `http://127.0.0.1:${dead}` : collector.url,
                      TINYLLM_HOME: home
                    }
                  }
                )
              ),
            { concurrency: 2 }
          )
          const asked = yield* double.requests
          assert.isAbove(asked.length, models.length)
          assert.include(JSON.stringify(asked), "CANARY_PROMPT")
          for (const [index, { code, stderr, stdout }] of results.entries()) {
            assert.include(stderr, "graph.execute")
            assertNone(stderr, `standard error with ${models[index]}`)
            if (code !== 0) {
              assertNone(stdout, `standard output with ${models[index]}`)
            }
          }
          assert.isAbove(collector.spans().length, 10)
          assertNone(collector.bytes(), "bytes at the collector")
          assert.include(contents(home), "graph.execute", "what no collector took is kept")
          assertNone(contents(home), "files")
        })
      ),
    120_000
  )

  it.live("T20 is not repeated where the command is wrong", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<[ReadonlyArray<string>, Readonly<Record<string, string>>?]> = [
        [["run", "CANARY_A", "CANARY_B"]],
        [["CANARY_A"]],
        [["CANARY_A or not"]],
        [["run", "-5 CANARY_A"]],
        [["doctor", "CANARY_A"]],
        [["run", "CANARY_A", "--bogus", "CANARY_B"]],
        [["run", "CANARY_A", "--otlp-endpoint", "http://CANARY_B:CANARY_C@host"]],
        [["run", "CANARY_A", "--demo"], { TINYLLM_REDACT: "(CANARY_B" }],
        [["run", "CANARY_A"], { OLLAMA_HOST: "http://me:CANARY_B@a b" }]
      ]
      const results = yield* Effect.forEach(
        wrong,
        ([args, env = {}]) => Effect.promise(() => Process.runNode("src/Main.ts", args, { env })),
        { concurrency: 2 }
      )
      results.forEach(({ code, stderr, stdout }, index) => {
        assert.strictEqual(code, 2, stderr)
        assert.strictEqual(stdout, "")
        assertNone(stderr, wrong[index]?.[0].join(" ") ?? "")
      })
    })
  )

  it.live("T22 T23 --capture-content records it, --no-capture-content not even the task", () =>
    Effect.gen(function* () {
      const run = (flag: string, env: Readonly<Record<string, string>> = {}) =>
        Effect.gen(function* () {
          const collector = yield* Collector.make()
          const args = ["run", "What is 2 + 2?", "--demo", "--otlp-endpoint", collector.url, flag]
          const { code, stderr } = yield* Effect.promise(() => Process.runNode("src/Main.ts", args, { env }))
          assert.strictEqual(code, 0, stderr)
          return collector
        })
      const variable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
      const on = yield* run("--capture-content", { [variable]: "NO_CONTENT" })
      const call = on.spans().find(({ attributes }) => attributes["llm.model"] === "qwen2.5:3b")
      assert.deepStrictEqual(GenAi.inputMessages(call?.attributes["gen_ai.input.messages"]), [
        { role: "user", parts: [{ type: "text", content: "What is 2 + 2?" }] }
      ])
      assert.deepStrictEqual(GenAi.outputMessages(call?.attributes["gen_ai.output.messages"]), [
        { role: "assistant", parts: [{ type: "text", content: "4" }], finish_reason: "stop" }
      ])
      assert.strictEqual(on.span("graph.execute").attributes["task.content"], "What is 2 + 2?")
      const off = yield* run("--no-capture-content", { [variable]: "SPAN_ONLY" })
      assert.notInclude(off.bytes(), "2 + 2")
      assert.strictEqual(off.span("graph.execute").attributes["task.content"], "__REDACTED__")
    })
  )
})

// With a tracestate as long as the standard allows.
const elsewhere = TraceContext.externalSpan({
  traceId: "1".repeat(32),
  spanId: "1".repeat(16),
  flags: 1,
  state: Array.from({ length: 32 }, (_, i) => `k${i + 10}${"x".repeat(253)}=${"v".repeat(256)}`).join(",")
})

/** What a tracer hands to an exporter: the one that is ours, or the SDK's. */
const spansOf = (
  tracer: "own" | "sdk",
  self: Effect.Effect<unknown, unknown>,
  options: Telemetry.ExporterOptions = {},
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<ReadonlyArray<ReadableSpan>, Telemetry.TelemetryConfigError> => {
  const ended: Array<ReadableSpan> = []
  const exporter: SpanExporter = {
    export: (spans, done) => {
      ended.push(...spans)
      done({ code: 0 })
    },
    shutdown: () => Promise.resolve()
  }
  const layer =
    tracer === "own"
      ? Telemetry.layerExporter(exporter, options)
      : Telemetry.layerSdk([new SimpleSpanProcessor(exporter)], options)
  return self.pipe(
    Effect.exit,
    Effect.provide(Layer.provide(layer, ConfigProvider.layer(ConfigProvider.fromEnv({ env })))),
    Effect.map(() => ended)
  )
}

describe.each(["own", "sdk"] as const)("spans of the tracer %s", (tracer) => {
  it.live("T21 T26 hold no log lines, also with the loggers of Effect", () =>
    Effect.gen(function* () {
      const spans = yield* spansOf(
        tracer,
        Effect.logInfo("CANARY_LOGLINE").pipe(
          Effect.annotateLogs("key", "CANARY_LOGLINE"),
          Effect.andThen(Span.event("cache.hit", { "effect.logLevel": "mine" })),
          Effect.withSpan("work"),
          Effect.provideService(Console.Console, silent)
        )
      )
      assert.deepStrictEqual(
        spans.map(({ events, name }) => [name, ...events.map((event) => event.name)]),
        [["work", "cache.hit"]]
      )
    })
  )

  it.live("T21 T26 hold the level of log lines and nothing else of them, where that is asked for", () =>
    Effect.gen(function* () {
      const lines = Effect.logWarning("CANARY_LOGLINE", { key: "CANARY_LOGLINE" }).pipe(
        Effect.annotateLogs("key", "CANARY_LOGLINE"),
        Effect.andThen(Effect.logDebug("below the lowest level")),
        Effect.withSpan("work")
      )
      const logged = yield* Effect.all([
        spansOf(tracer, Effect.provideService(lines, Console.Console, silent), { logEvents: true }),
        spansOf(tracer, Effect.provide(lines, Logs.layer({ format: "json" }).pipe(Layer.provide(nowhere))), {
          logEvents: true
        })
      ])
      for (const spans of logged) {
        assert.deepStrictEqual(
          spans.map(({ events }) => events.map(({ attributes, name }) => [name, attributes])),
          [[["log", { "effect.logLevel": "WARN" }]]]
        )
      }
    })
  )

  it.live("T25 hold no secret in a status, whoever said what failed", () =>
    Effect.gen(function* () {
      const message = `customer-7 with password=hunter22 ${"x".repeat(200)} sk-${"a".repeat(300)}`
      const byHand = Effect.gen(function* () {
        const span = yield* Effect.orDie(Effect.currentSpan)
        span.attribute("error.type", "Broken")
        span.event("exception", 1n, { "exception.message": message })
      }).pipe(Effect.withSpan("by hand"))
      const handled = Effect.withSpan(Span.error(new Broken(message)), "handled")
      const failed = Effect.withSpan(Effect.fail(new Broken(message)), "failed")
      const all = Effect.all([byHand, handled, Effect.exit(failed)])
      const spans = yield* spansOf(tracer, all, { redact: [/customer-\d/] })
      assert.lengthOf(spans, 3)
      for (const { events, name, status } of spans) {
        const said = JSON.stringify([status, events.map(({ attributes }) => attributes)])
        assert.match(String(status.message), /^__REDACTED__ with password=__REDACTED__ x+/, name)
        assert.notMatch(said, /customer-7|hunter22|aa/, name)
      }
    })
  )

  it.live.each(["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"])(
    "T25 replace secrets before %s cuts them",
    (limit) =>
      Effect.gen(function* () {
        const url = "postgres://admin:CANARY_PASSWORD@db/orders"
        const values = { url, list: [url, "b"], id: "see customer-CANARY_NUMBER and", short: "token=abcd" }
        const work = Effect.gen(function* () {
          yield* Span.attributes(values)
          yield* Span.event("e", values)
          const span = yield* Effect.orDie(Effect.currentSpan)
          span.addLinks([{ span: elsewhere, attributes: values }])
          return yield* Effect.fail(new Broken(`${"x".repeat(12)} ${url}`))
        }).pipe(Effect.withSpan("work", { links: [{ span: elsewhere, attributes: values }] }))
        const [span] = yield* spansOf(tracer, work, { redact: [/customer-\w+/] }, { [limit]: "24" })
        const cut = {
          url: "postgres://__REDACTED__@",
          list: ["postgres://__REDACTED__@", "b"],
          id: "see __REDACTED__ and",
          short: "token=__REDACTED__"
        }
        assert.deepStrictEqual<unknown>({ ...span?.attributes }, { ...cut, "error.type": "Broken" })
        assert.deepStrictEqual<unknown>({ ...span?.events[0]?.attributes }, cut)
        assert.strictEqual(span?.events[1]?.attributes?.["exception.message"], `${"x".repeat(12)} postgres://`)
        assert.deepStrictEqual<unknown>(
          span?.links.map(({ attributes }) => ({ ...attributes })),
          [cut, cut]
        )
      })
  )

  it.live("T25 hold no secret in keys, types of errors and what is deep in an object", () =>
    Effect.gen(function* () {
      const work = Effect.gen(function* () {
        yield* Span.attributes({
          "https://me:CANARY@host/": 1,
          "https://you:CANARY@host/": 2,
          tools: ["a"]
        })
        yield* Effect.annotateCurrentSpan("login", { user: "ada", password: ["CANARY", { old: "CANARY" }] })
        return yield* Effect.fail({ _tag: "token=CANARY", message: "m" })
      })
      const [span] = yield* spansOf(tracer, Effect.withSpan(work, "work"))
      assert.deepStrictEqual<unknown>(
        { ...span?.attributes },
        {
          login: '{"user":"ada","password":"__REDACTED__"}',
          tools: ["a"],
          "error.type": "token=__REDACTED__",
          "https://__REDACTED__@host/": 1,
          "https://__REDACTED__@host/_2": 2
        }
      )
    })
  )

  it.live("T25 hold no secret in what a library writes on the active span", () =>
    Effect.gen(function* () {
      const write = Effect.sync(() => {
        const active = OtelApi.trace.getActiveSpan()
        active?.updateName("GET https://me:CANARY@host/").addEvent("https://me:CANARY@host/", { "db.password": "x" })
        active?.setStatus({ code: OtelApi.SpanStatusCode.ERROR, message: "with token=CANARY" })
      })
      const [span] = yield* spansOf(tracer, Effect.withSpan(write, "work"), { interop: true })
      assert.strictEqual(span?.name, "GET https://__REDACTED__@host/")
      assert.strictEqual(span?.events[0]?.name, "https://__REDACTED__@host/")
      assert.deepStrictEqual<unknown>({ ...span?.events[0]?.attributes }, { "db.password": "__REDACTED__" })
      assert.strictEqual(span?.status.message, "with token=__REDACTED__")
    })
  )

  it.live("hold lists as they were when they were given", () =>
    Effect.gen(function* () {
      const list = ["a"]
      const work = Effect.andThen(Span.attributes({ list }), Span.event("e", { list })).pipe(Effect.withSpan("work"))
      const all = Effect.andThen(
        work,
        Effect.sync(() => void list.push("later"))
      )
      const [span] = yield* spansOf(tracer, Effect.withSpan(all, "whole"))
      assert.deepStrictEqual(span?.attributes["list"], ["a"])
      assert.deepStrictEqual(span?.events[0]?.attributes?.["list"], ["a"])
    })
  )
})

describe("the size of a span", () => {
  /** Exports one span, and gives what was exported. */
  const exported = (self: Effect.Effect<unknown, unknown>, options: Telemetry.Options = {}) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const layer = Telemetry.layer({ otlpEndpoint: collector.url, serviceName: "s", ...options })
      yield* self.pipe(Effect.exit, Effect.provide(Layer.provide(layer, noVariables)))
      const span = collector.spans()[0]
      assert.isDefined(span)
      return { collector, span: span as Collector.CollectedSpan }
    })

  const megabytes = (text: string) => text.repeat(10_000_000 / text.length)
  // The request has the resource too.
  const budget = 16_384 + 400

  it.live.each<[string, Effect.Effect<unknown, unknown>]>([
    [
      "a task",
      Graph.run(
        Graph.single(
          "g",
          Node.transform((text: string) => text.length)
        ),
        megabytes("word ")
      )
    ],
    [
      "a task of objects",
      Graph.run(
        Graph.single(
          "g",
          Node.transform((_: unknown) => 1)
        ),
        [megabytes("🙂"), 1]
      )
    ],
    ["an attribute", Effect.withSpan(Span.attributes({ big: megabytes("🙂"), small: 1 }), "work")],
    ["an object", Effect.withSpan(Effect.annotateCurrentSpan("big", { a: [megabytes("x")] }), "work")],
    ["a list", Effect.withSpan(Span.attributes({ big: Array(1_000_000).fill(1.5) }), "work")],
    ["an exception", Effect.withSpan(Effect.fail(new Broken(megabytes("💥 "))), "work")],
    [
      "a defect with a cause",
      Effect.withSpan(Effect.die(new Error("x", { cause: new Error(megabytes("c")) })), "work")
    ],
    ["an error that was handled", Effect.withSpan(Span.error(megabytes("e")), "work")],
    [
      "events",
      Effect.withSpan(
        Effect.forEach(Array.from({ length: 1000 }), (_, i) => Span.event(`event ${i}`, { text: "€".repeat(2000) })),
        "work"
      )
    ],
    ["a name", Effect.withSpan(Effect.void, megabytes("n"))],
    ["the name of an event", Effect.withSpan(Span.event(megabytes("e")), "work")],
    ["a key", Effect.withSpan(Span.attributes({ [megabytes("k")]: 1, small: 1 }), "work")],
    [
      "an attribute below a long tracestate",
      Effect.withSpan(Span.attributes({ big: megabytes("x") }), "work", { parent: elsewhere })
    ],
    [
      "links to long tracestates",
      Effect.withSpan(Effect.void, "work", {
        links: Array.from({ length: 100 }, () => ({ span: elsewhere, attributes: { big: "x".repeat(100_000) } }))
      })
    ]
  ])("T24 stays within its budget with ten megabytes of %s", ([, self]) =>
    Effect.gen(function* () {
      const { collector, span } = yield* exported(self)
      assert.isAtMost(sizeOf(collector), collector.spans().length * budget)
      const texts = [
        span.name,
        ...Object.values(span.attributes),
        ...span.events.flatMap((e) => Object.values(e.attributes))
      ]
      for (const text of texts.filter((value) => typeof value === "string")) {
        assert.notInclude(text, "\ufffd", "no half of a character")
      }
    })
  )

  it.live("T24 keeps the error, its stack and what is short when the rest is too large, and counts what it drops", () =>
    Effect.gen(function* () {
      const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`key.${i}`, "€".repeat(2000)]))
      const { span } = yield* exported(
        Span.attributes({ ...many, "order.items": 3 }).pipe(
          Effect.andThen(
            Effect.forEach(Array.from({ length: 120 }), (_, i) => Span.event("step", { i, text: "x".repeat(300) }))
          ),
          Effect.andThen(Effect.fail(new Broken(`it broke ${megabytes("m")}`))),
          Effect.withSpan("work")
        )
      )
      assert.strictEqual(span.attributes["order.items"], 3)
      assert.strictEqual(span.attributes["error.type"], "Broken")
      const error = span.events.find(({ name }) => name === "exception")
      assert.match(String(error?.attributes["exception.message"]), /^it broke m*…$/)
      assert.isAbove(span.dropped.events, 0)
      assert.strictEqual(span.events.length + span.dropped.events, 121)
      assert.strictEqual(Object.keys(span.attributes).length + span.dropped.attributes, 102)
    })
  )

  it.live("T24 T25 is bound, and without secrets, also where the SDK makes it", () =>
    Effect.gen(function* () {
      const work = Effect.gen(function* () {
        yield* Span.attributes({ big: megabytes("🙂"), small: 1, "own.header": "Bearer abcdefgh12345678" })
        yield* Effect.forEach(Array.from({ length: 120 }), () =>
          Span.event("step", { a: "x".repeat(300), b: "y".repeat(300) })
        )
        return yield* Effect.fail(new Broken(`customer-7 ${megabytes("m")}`))
      })
      const [span] = yield* spansOf("sdk", Effect.withSpan(work, "work"), { redact: [/customer-\d/] })
      const { attributes, events, status } = span as ReadableSpan
      const texts = [attributes, status, ...events.map((event) => [event.name, event.attributes])]
      assert.isAtMost(Buffer.byteLength(JSON.stringify(texts)), 16_384)
      assert.strictEqual(attributes["small"], 1)
      assert.strictEqual(attributes["own.header"], "Bearer __REDACTED__")
      assert.match(String(attributes["big"]), /^(🙂)+…$/u)
      assert.match(String(status.message), /^__REDACTED__ m+…$/)
      assert.isAbove(span?.droppedEventsCount ?? 0, 0)
      assert.strictEqual(events.length + (span?.droppedEventsCount ?? 0), 121)
    })
  )

  it.live("has the size that is set", () =>
    Effect.gen(function* () {
      const work = Effect.withSpan(Span.attributes({ big: megabytes("x") }), "work")
      const large = yield* exported(work, { spanBudgetBytes: 100_000 })
      assert.isAbove(sizeOf(large.collector), 90_000)
      assert.isAtMost(sizeOf(large.collector), 100_400)
      const small = yield* exported(work, { spanBudgetBytes: 4096 })
      assert.isAtMost(sizeOf(small.collector), 4496)
    })
  )
})
