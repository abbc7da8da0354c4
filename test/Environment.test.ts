// What the standard variables change, at real listeners: bytes, connections, and what is printed. What each value means
// is in TelemetryConfig.test.ts, and addresses are in Endpoint.test.ts.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"
import * as Span from "../src/Span.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Collector from "./support/Collector.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Listener from "./support/Listener.ts"
import * as Process from "./support/Process.ts"

/** Runs an effect with spans to a collector, as the environment says; gives what standard error would show. */
const run = <A, E>(self: Effect.Effect<A, E>, url: string, env: Record<string, string> = {}) =>
  isolated(Effect.provide(self, Telemetry.layerConfig), {
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    ...env
  }).pipe(Effect.map(({ stderr }) => stderr))

const spans = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.withSpan(Effect.void, "step"), { discard: true })

const ask = (args: ReadonlyArray<string>, env: Record<string, string>) =>
  Effect.promise(() => Process.runNode("src/Main.ts", ["run", "1 + 1", "--demo", ...args], { env }))

describe("OTEL_SDK_DISABLED", () => {
  it.live.each<[string, boolean]>([
    ["true", false],
    ["TRUE", true]
  ])(
    "T27 =%s makes no connection, also where everything else asks for one; the answer and the exit code stay",
    ([value, http]) =>
      Effect.gen(function* () {
        const { connections, url } = yield* Listener.make()
        const { code, stderr, stdout } = yield* ask(["--tracing", "--otlp-endpoint", url], {
          OTEL_SDK_DISABLED: value,
          OTEL_TRACES_EXPORTER: "otlp",
          TINYLLM_TRACING: "true",
          OTEL_EXPORTER_OTLP_PROTOCOL: http ? "http/protobuf" : "grpc"
        })
        assert.deepStrictEqual({ code, stdout }, { code: 0, stdout: "2\n" })
        assert.strictEqual(connections(), 0)
        assert.include(stderr, "tinyllm: tracing was asked for, but OTEL_SDK_DISABLED=true turns it off\n")
      })
  )

  it.live("T27 =1 disables nothing, with a warning", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const stderr = yield* run(spans(1), collector.url, { OTEL_SDK_DISABLED: "1" })
      assert.strictEqual(stderr, "tinyllm: OTEL_SDK_DISABLED=1 is ignored: it must be true or false; taken as false\n")
      assert.lengthOf(collector.spans(), 1)
    })
  )
})

describe("OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES", () => {
  it.live.each<[Record<string, string>, string, string | undefined, number]>([
    [{}, "tinyllm", undefined, 0],
    [{ OTEL_SERVICE_NAME: "named" }, "named", undefined, 0],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=described,team=a%2Cb" }, "described", "a,b", 0],
    [{ OTEL_SERVICE_NAME: "named", OTEL_RESOURCE_ATTRIBUTES: "service.name=described,team=a" }, "named", "a", 0],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=described,team=a=b" }, "tinyllm", undefined, 1],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=described,team=%ZZ" }, "tinyllm", undefined, 1]
  ])("T28 T29 describe the service: %j", ([env, name, team, warnings]) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const stderr = yield* run(spans(1), collector.url, env)
      assert.strictEqual(collector.span("step").resource["service.name"], name)
      assert.strictEqual(collector.span("step").resource["team"], team)
      assert.lengthOf(stderr.match(/^tinyllm: OTEL_RESOURCE_ATTRIBUTES is ignored as a whole/gm) ?? [], warnings)
    })
  )
})

describe("OTEL_TRACES_EXPORTER", () => {
  it.live.each<[string, boolean]>([
    ["console,otlp", false],
    [" OTLP , Console ", true]
  ])("T30 =%s sends spans to both", ([value, http]) =>
    Effect.gen(function* () {
      const collector = http ? yield* HttpCollector.make() : yield* Collector.make()
      const { stderr, stdout } = yield* ask([], {
        OTEL_TRACES_EXPORTER: value,
        OTEL_EXPORTER_OTLP_PROTOCOL: http ? "http/protobuf" : "grpc",
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url
      })
      assert.strictEqual(stdout, "2\n")
      assert.match(stderr, /^trace [0-9a-f]{32}, 14 spans$/m)
      assert.lengthOf(collector.spans(), 14)
    })
  )

  it.live("T30 =none makes no connection, and =zipkin none either, with a warning", () =>
    Effect.gen(function* () {
      const { connections, url } = yield* Listener.make()
      assert.strictEqual(yield* run(spans(1), url, { OTEL_TRACES_EXPORTER: "none" }), "")
      assert.strictEqual(
        yield* run(spans(1), url, { OTEL_TRACES_EXPORTER: "zipkin" }),
        "tinyllm: OTEL_TRACES_EXPORTER=zipkin is ignored: it must be otlp, console, none or a list of them; spans do not go there\n"
      )
      assert.strictEqual(connections(), 0)
    })
  )
})

describe("OTEL_TRACES_SAMPLER", () => {
  it.live("T31 is obeyed in any case where no rate is given, and a rate beats it", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const env = { OTEL_TRACES_SAMPLER: "Always_OFF" }
      yield* run(spans(3), collector.url, env)
      assert.lengthOf(collector.calls(), 0)
      yield* run(spans(3), collector.url, { ...env, TINYLLM_SAMPLING_RATE: "1" })
      assert.lengthOf(collector.spans(), 3)
    })
  )

  it.live.each<[string]>([["abc"], ["-1"], ["2"], [""]])(
    "T32 with an argument of %j keeps every trace, with a warning",
    ([value]) =>
      Effect.gen(function* () {
        const collector = yield* Collector.make()
        const stderr = yield* run(spans(5), collector.url, {
          OTEL_TRACES_SAMPLER: "traceidratio",
          OTEL_TRACES_SAMPLER_ARG: value
        })
        assert.match(
          stderr,
          /^tinyllm: OTEL_TRACES_SAMPLER_ARG=.* is ignored: it must be a number from 0 to 1[^\n]*\n$/
        )
        assert.lengthOf(collector.spans(), 5)
      })
  )
})

describe("OTEL_EXPORTER_OTLP_HEADERS", () => {
  it.live.each<["grpc" | "http/protobuf"]>([["grpc"], ["http/protobuf"]])(
    "T35 arrive over %s, those of traces before the general ones, and are printed nowhere",
    ([protocol]) =>
      Effect.gen(function* () {
        // It refuses the key and quotes it, as some do.
        const collector =
          protocol === "grpc"
            ? yield* Collector.make({ mode: { refuse: "UNAUTHENTICATED", details: "SEKRET one is no key" } })
            : yield* HttpCollector.make({
                mode: { status: 401, headers: { "content-type": "text/plain" }, body: "SEKRET one is no key" }
              })
        const env = {
          OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
          OTEL_EXPORTER_OTLP_HEADERS: "x-key=SEKRET%20one,x-team=SEKRETblue",
          OTEL_EXPORTER_OTLP_TRACES_HEADERS: "X-Team=SEKRETred",
          OTEL_TRACES_EXPORTER: "console,otlp",
          OTEL_LOG_LEVEL: "all"
        }
        const asked = yield* ask(["--log-level", "all"], env)
        assert.include(asked.stderr, "__REDACTED__ is no key")
        assert.include(collector.calls()[0]?.headers, { "x-key": "SEKRET one", "x-team": "SEKRETred" })
        const doctor = yield* Effect.promise(() =>
          Process.runNode("src/Main.ts", ["doctor", "--telemetry", "--verbose"], { env })
        )
        assert.match(doctor.stdout, /^Header +x-team=\*\*\* \(OTEL_EXPORTER_OTLP_TRACES_HEADERS\)$/m)
        assert.strictEqual(doctor.code, 14)
        for (const { stderr, stdout } of [asked, doctor]) {
          assert.notInclude(stdout + stderr, "SEKRET")
        }
      })
  )
})

describe("OTEL_BSP_*", () => {
  it.live("T38 MAX_EXPORT_BATCH_SIZE is how many spans go at a time", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* run(spans(5), collector.url, { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "2" })
      const sizes = collector.calls().map(({ bytes }) => Collector.decode(bytes).length)
      assert.deepStrictEqual(sizes.toSorted(), [1, 2, 2])
    })
  )

  it.live("T38 SCHEDULE_DELAY is how long spans wait for others", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      let arrived = 0
      // The program goes on until the span has arrived, which takes 5 s by default.
      const arrival = Effect.promise(async () => {
        arrived = (await collector.waitFor(1, 4000).catch(() => [])).length
      })
      yield* run(Effect.andThen(spans(1), arrival), collector.url, { OTEL_BSP_SCHEDULE_DELAY: "50" })
      assert.strictEqual(arrived, 1)
    })
  )

  it.live("T38 MAX_QUEUE_SIZE is how many spans wait, and what exceeds it is counted", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const stderr = yield* run(spans(10), collector.url, { OTEL_BSP_MAX_QUEUE_SIZE: "3" })
      assert.strictEqual(stderr, "tinyllm: 7 spans not exported: they came faster than they could be sent\n")
      assert.lengthOf(collector.spans(), 3)
    })
  )

  it.live("T38 EXPORT_TIMEOUT is how long one batch may take", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: "hang" })
      const stderr = yield* run(spans(1), collector.url, { OTEL_BSP_EXPORT_TIMEOUT: "100" })
      assert.include(stderr, "within 0.1 s")
    })
  )

  it.live.each<[string]>([["0"], ["-5"], ["abc"]])("T38 of %s are reported, and the defaults hold", ([value]) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const names = ["MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE", "SCHEDULE_DELAY", "EXPORT_TIMEOUT"]
      const stderr = yield* run(
        spans(600),
        collector.url,
        Object.fromEntries(names.map((name) => [`OTEL_BSP_${name}`, value]))
      )
      assert.lengthOf(stderr.trimEnd().split("\n"), 4)
      for (const name of names) {
        assert.include(
          stderr,
          `tinyllm: OTEL_BSP_${name}=${value} is ignored: it must be a whole number from 1; the default is used\n`
        )
      }
      assert.lengthOf(collector.spans(), 600)
      assert.lengthOf(collector.calls(), 2)
    })
  )
})

describe("Limits", () => {
  const elsewhere = (id: string) =>
    Tracer.externalSpan({ traceId: "12345678901234567890123456789012", spanId: id, sampled: true })

  const links = ["1000000000000001", "1000000000000002", "1000000000000003"].map((id) => ({
    span: elsewhere(id),
    attributes: { a: 1, b: 2, c: 3 }
  }))

  const full = Effect.gen(function* () {
    yield* Span.attributes({ a: "123456", b: 2, c: 3, d: 4 })
    for (const name of ["one", "two", "three"]) {
      yield* Span.event(name, { a: 1, b: 2, c: 3 })
    }
  }).pipe(Effect.withSpan("full", { links }))

  const sent = (env: Record<string, string>) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* isolated(Effect.provide(full, Telemetry.layerConfig), {
        OTEL_TRACES_EXPORTER: "otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        ...env
      })
      return collector.span("full")
    })

  it.live(
    "T39 of the environment are honoured under their names of the specification, and what they drop is counted",
    () =>
      Effect.gen(function* () {
        const span = yield* sent({
          OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "2",
          OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: "4",
          OTEL_SPAN_EVENT_COUNT_LIMIT: "1",
          OTEL_SPAN_LINK_COUNT_LIMIT: "2",
          OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: "1",
          OTEL_LINK_ATTRIBUTE_COUNT_LIMIT: "2"
        })
        assert.deepStrictEqual(span.attributes, { a: "1234", b: 2 })
        assert.deepStrictEqual(span.dropped, { attributes: 2, events: 2, links: 1 })
        const [event] = span.events
        assert.deepStrictEqual([event?.attributes, event?.droppedAttributes], [{ a: 1 }, 2])
        assert.deepStrictEqual(
          span.links.map(({ attributes, droppedAttributes }) => [attributes, droppedAttributes]),
          [
            [{ a: 1, b: 2 }, 1],
            [{ a: 1, b: 2 }, 1]
          ]
        )
      })
  )

  it.live("T39 that are general hold where those of spans say nothing", () =>
    Effect.gen(function* () {
      const general = { OTEL_ATTRIBUTE_COUNT_LIMIT: "1", OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "3" }
      assert.deepStrictEqual((yield* sent(general)).attributes, { a: "123" })
      const span = yield* sent({
        ...general,
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "2",
        OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: "5"
      })
      assert.deepStrictEqual(span.attributes, { a: "12345", b: 2 })
      assert.strictEqual(span.dropped.attributes, 2)
    })
  )
})

describe("OTEL_CONFIG_FILE", () => {
  it.live("is reported once, and the other variables hold", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const stderr = yield* run(spans(2), collector.url, { OTEL_CONFIG_FILE: "/nonexistent/otel.yaml" })
      assert.strictEqual(
        stderr,
        "tinyllm: OTEL_CONFIG_FILE is ignored: configuration files are not supported, the other variables hold\n"
      )
      assert.lengthOf(collector.spans(), 2)
    })
  )
})
