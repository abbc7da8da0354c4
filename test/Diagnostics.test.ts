import { diag } from "@opentelemetry/api"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SpanExporter } from "@opentelemetry/sdk-trace-base"
import * as Diagnostics from "../src/Diagnostics.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Collector from "./support/Collector.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import { isolated } from "./support/Isolated.ts"

const work = Effect.withSpan(Effect.void, "work")

/** An exporter that talks, as those of OpenTelemetry do, and delivers nothing. */
const talking: SpanExporter = {
  export: (_, done) => {
    diag.error("sending failed for Bearer abcdef123456", new Error("SEKRET was\nrefused"), { spans: ["hidden"] })
    diag.warn("slow")
    diag.info("retrying")
    diag.debug("sent")
    diag.verbose("byte by byte")
    done({ code: 0 })
  },
  shutdown: () => Promise.resolve()
}

const told = (level: string | undefined) =>
  isolated(Effect.provide(work, Telemetry.layerExporter(talking)), {
    OTEL_EXPORTER_OTLP_HEADERS: "x-key=SEKRET",
    OTEL_SPAN_EVENT_COUNT_LIMIT: "many",
    ...(level === undefined ? {} : { OTEL_LOG_LEVEL: level })
  }).pipe(Effect.map(({ stderr }) => stderr.split("\n").slice(0, -1)))

const ignored =
  "tinyllm: OTEL_SPAN_EVENT_COUNT_LIMIT=many is ignored: it must be a whole number from 0; the default is used"
const failed = "tinyllm: OpenTelemetry error: sending failed for Bearer __REDACTED__ __REDACTED__ was refused"
const slow = "tinyllm: OpenTelemetry warn: slow"
const retrying = "tinyllm: OpenTelemetry info: retrying"
const sent = "tinyllm: OpenTelemetry debug: sent"
const bytes = "tinyllm: OpenTelemetry verbose: byte by byte"

describe("OTEL_LOG_LEVEL", () => {
  it.effect.each<[string | undefined, ReadonlyArray<string>]>([
    [undefined, [ignored, failed, slow]],
    ["", [ignored, failed, slow]],
    ["none", []],
    ["error", [failed]],
    ["WARN", [ignored, failed, slow]],
    ["info", [ignored, failed, slow, retrying]],
    ["Debug", [ignored, failed, slow, retrying, sent]],
    ["verbose", [ignored, failed, slow, retrying, sent, bytes]],
    ["all", [ignored, failed, slow, retrying, sent, bytes]]
  ])("%s tells what is that bad, and what is worse, without secrets and objects", ([level, lines]) =>
    Effect.map(told(level), (actual) => assert.deepStrictEqual(actual, lines))
  )

  it.effect("that is unknown is reported, and info is used", () =>
    Effect.map(told("loud"), (actual) =>
      assert.deepStrictEqual(actual, [
        ignored,
        "tinyllm: OTEL_LOG_LEVEL=loud is ignored: it must be none, error, warn, info, debug, verbose or all; info is used",
        failed,
        slow,
        retrying
      ])
    )
  )

  it.live("decides whether losses are told, and each call of a collector", () =>
    Effect.gen(function* () {
      const dead = yield* Effect.promise(Collector.deadPort)
      const collector = yield* Collector.make()
      const lines = (url: string, level: string) =>
        isolated(Effect.provide(work, Telemetry.layer({ otlpEndpoint: url })), { OTEL_LOG_LEVEL: level }).pipe(
          Effect.map(({ stderr }) => stderr)
        )
      assert.strictEqual(yield* lines(`http://127.0.0.1:${dead}`, "none"), "")
      assert.match(yield* lines(`http://127.0.0.1:${dead}`, "error"), /^tinyllm: 1 span not exported: [^\n]*\n$/)
      assert.match(
        yield* lines(`http://127.0.0.1:${dead}`, "info"),
        /^tinyllm: a request of \d+ bytes: connection refused at /
      )
      assert.strictEqual(yield* lines(collector.url, "info"), "")
      assert.match(yield* lines(collector.url, "debug"), /^tinyllm: a request of \d+ bytes: \S+ accepted it\n$/)
    })
  )

  it.live("T25 tell what a collector says without what configured patterns match, and moves no cursor", () =>
    Effect.gen(function* () {
      const said = "span of customer-4711 \u001b[2J\u0007rejected"
      const grpc = yield* Collector.make({ mode: { reject: 1, message: said } })
      const http = yield* HttpCollector.make({
        mode: { status: 400, body: said, headers: { "content-type": "text/plain" } }
      })
      for (const options of [
        { otlpEndpoint: grpc.url },
        { otlpEndpoint: http.url, otlpProtocol: "http/protobuf" } as const
      ]) {
        const layer = Telemetry.layer({ ...options, redact: [/customer-\d+/] })
        const { stderr } = yield* isolated(Effect.provide(work, layer))
        assert.match(stderr, /^tinyllm: 1 span [^\n]*: span of __REDACTED__ �\[2J�rejected\n$/)
      }
    })
  )

  it.effect("changes nothing where the program has a logger of its own, and ends with the layer", () =>
    Effect.gen(function* () {
      const own: Array<string> = []
      const logger = (text: string) => void own.push(text)
      diag.setLogger({ error: logger, warn: logger, info: logger, debug: logger, verbose: logger })
      const { stderr } = yield* isolated(Effect.provide(work, Telemetry.layerExporter(talking)))
      diag.disable()
      assert.strictEqual(stderr, "")
      assert.include(own, "slow")
      const after = yield* isolated(Effect.provide(work, Telemetry.layerExporter(talking)))
      assert.include(after.stderr, "slow")
      diag.error("nobody hears this")
      assert.notInclude(after.stderr, "nobody")
    })
  )
})

describe("Diagnostics.make", () => {
  it("writes one line for each text, as everything of the program does", () => {
    let text = ""
    Diagnostics.make("warn", (line) => void (text += line))("warn", "careful")
    assert.strictEqual(text, "tinyllm: careful\n")
  })

  it("moves no cursor and changes no colours, whoever said what it tells", () => {
    let text = ""
    Diagnostics.make("warn", (line) => void (text += line))("warn", "evil \u001b[2J\u0007\r\ntext\u202e")
    assert.strictEqual(text, "tinyllm: evil �[2J� text�\n")
  })
})
