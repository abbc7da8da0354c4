import { assert, describe, it } from "@effect/vitest"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Cause, ConfigProvider, Effect, Layer, Redacted, References } from "effect"
import { TestClock } from "effect/testing"
import * as Logs from "../src/Logs.ts"
import * as Span from "../src/Span.ts"
import * as Stderr from "../src/Stderr.ts"
import * as Telemetry from "../src/Telemetry.ts"

/** Runs an effect with its log on a recorder in place of standard error. */
const written = <A, E>(
  self: Effect.Effect<A, E>,
  options: Parameters<typeof Logs.layer>[0],
  stderr: { readonly isTerminal?: boolean; readonly env?: Record<string, string> } = {}
): Effect.Effect<string, E> =>
  Effect.suspend(() => {
    let text = ""
    return self.pipe(
      Effect.provide(Logs.layer(options)),
      Effect.provideService(Stderr.Stderr, {
        write: (line) => void (text += line),
        status: () => {},
        isTerminal: stderr.isTerminal ?? false,
        columns: () => undefined
      }),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: stderr.env ?? {} })),
      Effect.map(() => text)
    )
  })

const jsonOf = (text: string): Record<string, unknown> => JSON.parse(text)

const tracer = (samplingRate = 1) => {
  const exporter = new InMemorySpanExporter()
  const ended: Array<{ readonly traceId: string; readonly spanId: string; readonly events: number }> = []
  exporter.export = (spans, done) => {
    ended.push(...spans.map((span) => ({ ...span.spanContext(), events: span.events.length })))
    done({ code: 0 })
  }
  return { ended, layer: Layer.orDie(Telemetry.layerProcessor(new SimpleSpanProcessor(exporter), { samplingRate })) }
}

// Every message a format must carry through unharmed.
const nasty = [
  'say "hi"',
  "two\nlines",
  "a=b c=d",
  "back\\slash",
  '"quoted"',
  "tab\there",
  "\u001b[31mred",
  "",
  "日本 😀"
]

describe("Logs.layer json", () => {
  it.effect("T57 has the ids of the exported span at top level, absent outside of spans", () =>
    Effect.gen(function* () {
      const { ended, layer } = tracer()
      const text = yield* written(
        Effect.gen(function* () {
          yield* Effect.logInfo("outside")
          yield* Effect.logInfo("inside").pipe(Effect.withSpan("work"))
        }).pipe(Effect.provide(layer)),
        { format: "json" }
      )
      const [outside, inside] = text.trimEnd().split("\n").map(jsonOf)
      for (const key of ["trace_id", "span_id", "trace_flags", "execution_id"]) {
        assert.notProperty(outside, key)
      }
      assert.strictEqual(inside?.["message"], "inside")
      assert.strictEqual(inside?.["level"], "info")
      assert.strictEqual(inside?.["trace_id"], ended[0]?.traceId)
      assert.strictEqual(inside?.["span_id"], ended[0]?.spanId)
      assert.strictEqual(inside?.["trace_flags"], "01")
    })
  )

  it.effect("T57 has flags 00 and the real ids when the trace is not sampled", () =>
    Effect.gen(function* () {
      const text = yield* written(Effect.logInfo("x").pipe(Effect.withSpan("work"), Effect.provide(tracer(0).layer)), {
        format: "json"
      })
      assert.strictEqual(jsonOf(text)["trace_flags"], "00")
      assert.match(String(jsonOf(text)["trace_id"]), /^[0-9a-f]{32}$/)
    })
  )

  it.effect("T57 has no ids when tracing is off or was never set up, and none inside Span.withoutLogIds", () =>
    Effect.gen(function* () {
      const off = yield* written(
        Effect.logInfo("x").pipe(Effect.withSpan("work"), Effect.provide(Layer.orDie(Telemetry.layer({})))),
        { format: "json" }
      )
      assert.notProperty(jsonOf(off), "trace_id")
      const none = yield* written(Effect.logInfo("x").pipe(Effect.withSpan("work")), { format: "json" })
      assert.deepStrictEqual(Object.keys(jsonOf(none)), ["timestamp", "level", "message"])
      const without = yield* written(
        Effect.logInfo("x").pipe(Span.withoutLogIds, Effect.withSpan("work"), Effect.provide(tracer().layer)),
        { format: "json" }
      )
      assert.notProperty(jsonOf(without), "trace_id")
    })
  )

  it.effect("has execution_id and annotations at top level; its own fields stay its own", () =>
    Effect.gen(function* () {
      const text = yield* written(
        Effect.logInfo("x").pipe(
          Effect.annotateLogs({
            execution_id: "e1",
            count: 3,
            nothing: null,
            message: "mine",
            key: Redacted.make("hunter2"),
            header: "Bearer abcdefghijk1"
          })
        ),
        { format: "json" }
      )
      const { timestamp, ...rest } = jsonOf(text)
      assert.isString(timestamp)
      assert.deepStrictEqual(rest, {
        level: "info",
        message: "x",
        execution_id: "e1",
        count: 3,
        message_: "mine",
        key: "<redacted>",
        header: "Bearer __REDACTED__"
      })
    })
  )

  it.effect("T20 replaces secrets in messages and causes", () =>
    Effect.gen(function* () {
      const text = yield* written(Effect.logError("Bearer abcdefghijk1", new Error("password=hunter22")), {
        format: "json"
      })
      assert.notInclude(text, "abcdefghijk1")
      assert.notInclude(text, "hunter22")
    })
  )

  it.effect("T25 replaces what patterns match, given to it or to telemetry", () =>
    Effect.gen(function* () {
      const log = Effect.logError("customer-1 and order-2", new Error("customer-3")).pipe(
        Effect.annotateLogs({ who: "customer-4", all: ["order-5"], "customer-6": 1, "order-7": "x" }),
        Effect.withLogSpan("customer-8")
      )
      const telemetry = Telemetry.layer({ redact: [/order-\d/] })
      for (const format of ["json", "logfmt", "pretty"] as const) {
        const text = yield* written(Effect.provide(log, telemetry), { format, redact: [/customer-\d/] })
        assert.notMatch(text, /customer-\d|order-\d/)
        assert.include(text, "__REDACTED__ and __REDACTED__")
        assert.include(text, "__REDACTED___ms")
      }
      assert.throws(() => Logs.layer({ format: "json", redact: [/(a+)+/] }), RangeError, "can take forever")
    })
  )

  it.effect("T24 cuts a line that nobody could read, on code points", () =>
    Effect.gen(function* () {
      const line = jsonOf(yield* written(Effect.logInfo("🙂".repeat(1_000_000)), { format: "json" }))
      assert.match(String(line["message"]), /^(🙂){16384}…$/u)
    })
  )

  it.effect("T20 hides what an annotation calls a secret, and no number", () =>
    Effect.gen(function* () {
      const hidden = ["password", "apiKey", "api_key", "access_token", "accessToken", "DB_PASSWORD", "x-api-key"]
      const log = Effect.logInfo("x").pipe(
        Effect.annotateLogs({
          ...Object.fromEntries(hidden.map((key) => [key, "plain"])),
          token: ["plain", "plain"],
          authorization: { scheme: "plain" },
          secret: Redacted.make("plain"),
          "db.password": 123_456_789,
          max_token: 512,
          tokens: "many"
        })
      )
      for (const format of ["json", "logfmt", "pretty"] as const) {
        assert.notMatch(yield* written(log, { format }), /plain|123456789/)
      }
      const line = jsonOf(yield* written(log, { format: "json" }))
      assert.deepInclude(line, { password: "__REDACTED__", token: ["__REDACTED__", "__REDACTED__"] })
      assert.deepInclude(line, { secret: "<redacted>", max_token: 512, tokens: "many" })
    })
  )

  it.effect("has the times of log spans as fields, in every format", () =>
    Effect.gen(function* () {
      const log = Effect.suspend(() =>
        Effect.andThen(TestClock.adjust("12 millis"), Effect.logInfo("x")).pipe(
          Effect.withLogSpan("inner"),
          Effect.withLogSpan("outer")
        )
      )
      assert.deepInclude(jsonOf(yield* written(log, { format: "json" })), { inner_ms: 12, outer_ms: 12 })
      assert.match(yield* written(log, { format: "logfmt" }), / inner_ms=12\b/)
      assert.match(yield* written(log, { format: "pretty" }), / inner_ms=12\b/)
    })
  )

  it.effect("does not fail on what cannot be read", () =>
    Effect.gen(function* () {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      const throws = () => {
        throw new Error("unreadable")
      }
      const values = [
        { toJSON: throws },
        Object.defineProperty({}, "message", { get: throws, enumerable: true }),
        Object.defineProperty(new Error("x"), "message", { get: throws }),
        proxy,
        { inside: proxy },
        [proxy],
        Object.create(null),
        1n
      ]
      for (const value of values) {
        for (const format of ["json", "logfmt", "pretty"] as const) {
          const text = yield* written(
            Effect.andThen(
              Effect.logInfo("before", { value }).pipe(Effect.annotateLogs({ value, execution_id: value })),
              Effect.logError("failed", Cause.fail(value))
            ),
            { format }
          )
          assert.match(text, /before.*\n.*failed.*\n$/)
        }
      }
    })
  )

  it.effect("T26 writes no span events", () =>
    Effect.gen(function* () {
      const { ended, layer } = tracer()
      yield* written(Effect.logInfo("a prompt").pipe(Effect.withSpan("work"), Effect.provide(layer)), {
        format: "json"
      })
      assert.strictEqual(ended[0]?.events, 0)
    })
  )
})

describe("Logs.layer logfmt", () => {
  it.effect("T58 carries quotes, newlines and = through, one line a record", () =>
    Effect.gen(function* () {
      for (const message of nasty) {
        const text = yield* written(Effect.logInfo(message).pipe(Effect.annotateLogs({ "odd key=": message })), {
          format: "logfmt"
        })
        assert.match(text, /^[^\n]+\n$/)
        const fields = readLogfmt(text.trimEnd())
        assert.strictEqual(fields["msg"], message)
        assert.strictEqual(fields["odd_key_"], message)
        assert.strictEqual(fields["level"], "info")
      }
    })
  )

  it.effect("T57 has the ids of the span", () =>
    Effect.gen(function* () {
      const { ended, layer } = tracer()
      const text = yield* written(Effect.logInfo("x").pipe(Effect.withSpan("work"), Effect.provide(layer)), {
        format: "logfmt"
      })
      assert.include(text, `trace_id=${ended[0]?.traceId} span_id=${ended[0]?.spanId} trace_flags=01`)
    })
  )
})

describe("Logs.layer pretty", () => {
  it.effect("T58 carries quotes, newlines and = through, one line a record", () =>
    Effect.gen(function* () {
      for (const message of nasty) {
        const text = yield* written(Effect.logInfo(message), { format: "pretty" })
        const [, shown = ""] = /^\d\d:\d\d:\d\d\.\d{3} INFO {2}(.*)\n$/.exec(text) ?? []
        assert.strictEqual(shown.startsWith('"') ? JSON.parse(shown) : shown, message)
      }
    })
  )

  it.effect("ends with the first digits of the trace id; colours only on a terminal without NO_COLOR", () =>
    Effect.gen(function* () {
      const log = Effect.suspend(() =>
        Effect.logError("x").pipe(Effect.withSpan("work"), Effect.provide(tracer().layer))
      )
      const file = yield* written(log, { format: "pretty" })
      assert.match(file, /ERROR x trace=[0-9a-f]{8}\n$/)
      const terminal = yield* written(log, { format: "pretty" }, { isTerminal: true })
      assert.include(terminal, "\u001b[31mERROR\u001b[0m")
      // oxlint-disable-next-line no-control-regex -- dim is what is looked for
      assert.match(terminal, /\u001b\[2mtrace=[0-9a-f]{8}\u001b\[0m\n$/)
      const noColor = yield* written(log, { format: "pretty" }, { isTerminal: true, env: { NO_COLOR: "1" } })
      assert.notInclude(noColor, "\u001b")
    })
  )
})

describe("Logs.layer level", () => {
  it.effect("is the lowest that is written", () =>
    Effect.gen(function* () {
      const log = Effect.andThen(Effect.logDebug("debug"), Effect.logWarning("warning"))
      assert.include(yield* written(log, { format: "pretty", level: "Debug" }), "debug")
      assert.notInclude(yield* written(log, { format: "pretty" }), "debug")
      assert.strictEqual(yield* written(log, { format: "pretty", level: "Error" }), "")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Info"))
  )
})

/** An independent reader of logfmt. */
const readLogfmt = (line: string): Record<string, string> => {
  const fields: Record<string, string> = {}
  for (const [, key = "", quoted, bare] of line.matchAll(/([^\s=]+)=(?:("(?:[^"\\]|\\.)*")|(\S*))/g)) {
    fields[key] = quoted === undefined ? (bare ?? "") : JSON.parse(quoted)
  }
  return fields
}
