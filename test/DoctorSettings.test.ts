// What `tinyllm doctor` shows of settings: the values that hold, and who set them.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Collector from "./support/Collector.ts"
import * as Process from "./support/Process.ts"

const doctor = (args: ReadonlyArray<string>, env: Record<string, string>) =>
  Effect.promise(async () => {
    // Without an Ollama it exits with 3, after it has shown the settings.
    const OLLAMA_HOST = `127.0.0.1:${await Collector.deadPort()}`
    return (await Process.runNode("src/Main.ts", ["doctor", ...args], { env: { OLLAMA_HOST, ...env } })).stdout
  })

const certificate = `${Process.root}package.json`

/** Variables of telemetry, one for each setting, with a value that is not the default, and the words by which it is shown. */
const all: ReadonlyArray<readonly [name: string, value: string, shown: string]> = [
  ["TINYLLM_TRACING", "true", "Tracing   on"],
  ["TINYLLM_EXPORTER", "otlp", "Exporter  otlp"],
  ["OTEL_SERVICE_NAME", "shop", "Service   shop"],
  ["OTEL_RESOURCE_ATTRIBUTES", "team=blue,api_key=SEKRET", "Resource  team=blue"],
  ["OTEL_TRACES_SAMPLER", "always_off", "Sampler   always_off"],
  ["TINYLLM_OTLP_ENDPOINT", "https://127.0.0.1:1?key=SEKRET", "Collector https://127.0.0.1:1/v1/traces"],
  ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", "Protocol  http/protobuf"],
  ["OTEL_EXPORTER_OTLP_HEADERS", "x-key=SEKRET", "Header    x-key=***"],
  ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-other=SEKRET", "Header    x-other=***"],
  ["OTEL_EXPORTER_OTLP_TIMEOUT", "0", "Timeout   no limit for one export"],
  ["OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "Gzip      on"],
  ["OTEL_EXPORTER_OTLP_INSECURE", "true", "Insecure  plain text without a scheme"],
  ["OTEL_EXPORTER_OTLP_CERTIFICATE", certificate, `Authority ${certificate}`],
  ["OTEL_EXPORTER_OTLP_CLIENT_KEY", certificate, `Key       ${certificate}`],
  ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate, `Identity  ${certificate}`],
  ["OTEL_BSP_MAX_QUEUE_SIZE", "10", "Queue     10 spans wait at most"],
  ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9", "Batch     9 spans at most"],
  ["OTEL_BSP_SCHEDULE_DELAY", "200", "Batch     every 200 ms"],
  ["OTEL_BSP_EXPORT_TIMEOUT", "2000", "Batch     given up after 2 s"],
  ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "11", "Limit     11 attributes of a span"],
  ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1200", "Limit     1200 characters of an attribute"],
  ["OTEL_SPAN_EVENT_COUNT_LIMIT", "13", "Limit     13 events of a span"],
  ["OTEL_SPAN_LINK_COUNT_LIMIT", "14", "Limit     14 links of a span"],
  ["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "15", "Limit     15 attributes of an event"],
  ["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "16", "Limit     16 attributes of a link"],
  ["TINYLLM_KEEP_ERRORS", "true", "Keep      traces that failed"],
  ["TINYLLM_SPOOL", "false", "Spool     spans that are not sent are lost"],
  ["OTEL_PROPAGATORS", "b3,baggage", "Context   b3, baggage"],
  ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "NO_CONTENT", "Content   none"],
  ["TINYLLM_CONTENT_BUDGET", "300", "Content   300 bytes of an attribute"],
  ["TINYLLM_REDACT", "customer-\\d+", "Content   1 pattern of secrets beside the built-in ones"],
  ["TINYLLM_LOG_EVENTS", "true", "Content   log lines are events, without their text"],
  ["TINYLLM_SPAN_BUDGET", "5000", "Span      5000 bytes at most"],
  ["OTEL_LOG_LEVEL", "error", "Log level error"]
]

describe("The settings of tinyllm doctor", () => {
  it.live("are shown with the variable that set each, and without secrets", () =>
    Effect.gen(function* () {
      const stdout = yield* doctor([], Object.fromEntries(all.map(([name, value]) => [name, value])))
      for (const [name, , shown] of all) {
        assert.include(stdout, `\n${shown} (${name})`)
      }
      assert.notInclude(stdout, "SEKRET")
    })
  )

  it.live("at their defaults are shown with --verbose alone, where nothing else is set", () =>
    Effect.gen(function* () {
      const names = (stdout: string) => new Set([...stdout.matchAll(/^(.{10})/gm)].map(([, name = ""]) => name.trim()))
      assert.deepStrictEqual(
        [...names(yield* doctor(["--tracing"], {}))],
        ["Ollama", "Tracing", "Exporter", "Store", "Service", "Sampler"]
      )
      const verbose = yield* doctor(["--tracing", "--verbose"], {})
      const expected = ["Collector", "Protocol", "Timeout", "Gzip", "Queue", "Batch", "Limit", "Context", "Content"]
      assert.includeMembers([...names(verbose)], [...expected, "Span", "Spool", "Keep", "Log level"])
      assert.notMatch(verbose, /\((?!default\)|flag\))\w+\)$/m)
    })
  )

  it.live("say where traces are kept on this machine, with tracing and without, and what says that they are not", () =>
    Effect.gen(function* () {
      const home = Process.scratch()
      const kept = `\nStore     ${join(home, "traces.db")} (default)\n`
      assert.include(yield* doctor(["--tracing"], { TINYLLM_HOME: home }), kept)
      assert.include(yield* doctor([], { TINYLLM_HOME: home }), kept)
      const lost = "\nStore     traces are not kept on this machine"
      assert.include(yield* doctor(["--tracing", "--no-store"], {}), `${lost} (flag)\n`)
      assert.include(yield* doctor(["--tracing"], { TINYLLM_STORE: "false" }), `${lost} (TINYLLM_STORE)\n`)
    })
  )

  it.live("that keep spans from being sent are said to", () =>
    Effect.gen(function* () {
      const endpoint = ["--otlp-endpoint", "https://127.0.0.1:1"]
      assert.include(
        yield* doctor(endpoint, { OTEL_EXPORTER_OTLP_CERTIFICATE: "/nonexistent" }),
        "Warning   spans are not sent: OTEL_EXPORTER_OTLP_CERTIFICATE names a file that cannot be read\n"
      )
      assert.include(
        yield* doctor(endpoint, { OTEL_EXPORTER_OTLP_HEADERS: "SEKRET" }),
        "Warning   spans are not sent: OTEL_EXPORTER_OTLP_HEADERS must be key=value pairs"
      )
    })
  )
})

describe("The exit codes of tinyllm doctor --telemetry", () => {
  it.live("are in its help and in docs/tracing.md", () =>
    Effect.gen(function* () {
      const { stdout } = yield* Effect.promise(() => Process.runNode("src/Main.ts", ["doctor", "--help"]))
      const help = stdout.replace(/\s+/g, " ")
      const table = readFileSync(`${Process.root}docs/tracing.md`, "utf8")
      for (const code of [0, 1, 10, 11, 12, 13, 14, 15, 16, 17]) {
        assert.match(help, new RegExp(` ${code}: `))
        assert.match(table, new RegExp(`^\\| ${code} \\| `, "m"))
      }
    })
  )
})
