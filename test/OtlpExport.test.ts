import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { once } from "node:events"
import { statSync, writeFileSync } from "node:fs"
import { createServer as createHttp2Server } from "node:http2"
import type { AddressInfo } from "node:net"
import * as Report from "../src/Report.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Collector from "./support/Collector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Listener from "./support/Listener.ts"
import * as Process from "./support/Process.ts"
import * as Quick from "./support/Quick.ts"
import * as Spool from "./support/Spool.ts"

const traced = "test/fixtures/traced.ts"

/** Runs an effect with spans to a collector, and gives its end with what standard error would show. */
const send = <A, E>(self: Effect.Effect<A, E>, url: string, env: Record<string, string> = {}, serviceName = "test") =>
  isolated(self.pipe(Effect.provide(Telemetry.layer({ otlpEndpoint: url, serviceName }))), env)

const spans = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.withSpan(Effect.void, "step"), { discard: true })

const work = Effect.as(spans(2), 42)

/** One span is one batch and is sent at once, while the program runs on. */
const atOnce = { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "1" }

describe("What a collector does not take", () => {
  it.live("is counted, with the collector's words, redacted and cut", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({
        mode: { reject: 2, message: `no room\nfor password=hunter22 ${"x".repeat(300)}` }
      })
      const { exit, stderr } = yield* send(spans(5), collector.url)
      assert.isTrue(Exit.isSuccess(exit))
      assert.match(
        stderr,
        new RegExp(
          `^tinyllm: 2 spans not exported: rejected by 127.0.0.1:${collector.port}: no room for password=__REDACTED__ x+…\n$`
        )
      )
      assert.isBelow(stderr.length, 300)
      assert.lengthOf(collector.calls(), 1, "never sent again")
    })
  )

  it.live("is counted for each reason, in a line of its own", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({
        mode: (call) => (call === 1 ? "ok" : call === 2 ? { reject: 1, message: "" } : { refuse: "INVALID_ARGUMENT" })
      })
      const { stderr } = yield* send(spans(4), collector.url, atOnce)
      assert.deepStrictEqual(stderr.trimEnd().split("\n").toSorted(), [
        `tinyllm: 1 span not exported: rejected by 127.0.0.1:${collector.port}`,
        `tinyllm: 2 spans not exported: 127.0.0.1:${collector.port} answered INVALID_ARGUMENT: refused by the test`
      ])
    })
  )

  it.live("has five reasons at most", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({
        mode: (call) => ({ refuse: "INVALID_ARGUMENT", details: `reason ${call}` })
      })
      const { stderr } = yield* send(spans(9), collector.url, atOnce)
      const lines = stderr.trimEnd().split("\n")
      assert.lengthOf(lines, 6)
      assert.strictEqual(lines[5], "tinyllm: 4 spans not exported: for other reasons")
    })
  )
})

describe("Another attempt", () => {
  it.live("T42 is made at the end of the program too, with the same bytes, and none after it is accepted", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: (call) => (call < 3 ? { refuse: "UNAVAILABLE" } : "ok") })
      const { stderr } = yield* send(work, collector.url)
      assert.strictEqual(stderr, "")
      const [first, second, third, ...more] = collector.calls()
      assert.lengthOf(more, 0)
      assert.deepStrictEqual([second?.bytes, third?.bytes], [first?.bytes, first?.bytes])
    })
  )

  it.live("T42 is made while the program runs, and hurried when it ends", () =>
    // Without the hurry, the pause is 0.8 to 1.2 s.
    Quick.within(
      750,
      Effect.gen(function* () {
        const collector = yield* Collector.make({ mode: (call) => (call < 2 ? { refuse: "UNAVAILABLE" } : "ok") })
        const begin = performance.now()
        const { stderr } = yield* send(Effect.andThen(spans(1), Effect.sleep("200 millis")), collector.url, atOnce)
        assert.strictEqual(stderr, "")
        assert.lengthOf(collector.calls(), 2)
        return performance.now() - begin
      })
    )
  )

  it.live("T42 is made after RESOURCE_EXHAUSTED when the collector says when to come back, and not before", () =>
    Effect.gen(function* () {
      const times: Array<number> = []
      const collector = yield* Collector.make({
        mode: (call) => {
          times.push(performance.now())
          return call === 1 ? { refuse: "RESOURCE_EXHAUSTED", retryMillis: 700 } : "ok"
        }
      })
      const { stderr } = yield* send(work, collector.url)
      assert.strictEqual(stderr, "")
      assert.lengthOf(collector.calls(), 2)
      // Without it, the second attempt of the end comes after 240 ms at most.
      assert.isAtLeast((times[1] ?? 0) - (times[0] ?? 0), 690)
    })
  )

  it.live("T42 is not made before the collector wants it because the program ends", () =>
    Effect.gen(function* () {
      const times: Array<number> = []
      const collector = yield* Collector.make({
        mode: (call) => {
          times.push(performance.now())
          return call === 1 ? { refuse: "UNAVAILABLE", retryMillis: 1000 } : "ok"
        }
      })
      const { stderr } = yield* send(Effect.andThen(spans(1), Effect.sleep("200 millis")), collector.url, atOnce)
      assert.strictEqual(stderr, "")
      assert.lengthOf(collector.calls(), 2)
      assert.isAtLeast((times[1] ?? 0) - (times[0] ?? 0), 990)
    })
  )

  it.live("T42 is not made when that would be too late", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: { refuse: "UNAVAILABLE", retryMillis: 60_000 } })
      const begin = performance.now()
      const { stderr } = yield* send(work, collector.url)
      assert.include(stderr, "answered UNAVAILABLE")
      assert.lengthOf(collector.calls(), 1)
      assert.isBelow(performance.now() - begin, 2000)
    })
  )

  it.live("T42 is given up when the program ends, where the collector wants it later than that may take", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: { refuse: "UNAVAILABLE", retryMillis: 60_000 } })
      const { stderr } = yield* send(Effect.andThen(spans(1), Effect.sleep("200 millis")), collector.url, {
        ...atOnce,
        OTEL_EXPORTER_OTLP_TIMEOUT: "120000"
      })
      assert.include(stderr, "answered UNAVAILABLE: refused by the test")
      assert.lengthOf(collector.calls(), 1)
    })
  )

  it.live("T42 sends each batch until it is acknowledged, and then never again", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: (call) => (call % 2 === 1 ? { refuse: "UNAVAILABLE" } : "ok") })
      const { stderr } = yield* send(spans(6), collector.url, { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "2" })
      assert.strictEqual(stderr, "")
      assert.strictEqual(new Set(collector.spans().map(({ spanId }) => spanId)).size, 6)
      assert.lengthOf(collector.spans(), 6)
    })
  )

  it.live("T42 is not made for what a collector refuses for good", () =>
    Effect.gen(function* () {
      for (const refuse of ["INVALID_ARGUMENT", "UNAUTHENTICATED", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"] as const) {
        const collector = yield* Collector.make({ mode: { refuse } })
        const { stderr } = yield* send(work, collector.url)
        assert.lengthOf(collector.calls(), 1)
        assert.include(stderr, `answered ${refuse}: refused by the test`)
      }
    })
  )

  it.live("finds a collector that starts a moment late", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(Collector.deadPort)
      const late = yield* Effect.forkChild(Effect.andThen(Effect.sleep("250 millis"), Collector.make({ port })), {
        startImmediately: true
      })
      const { stderr } = yield* send(work, `http://127.0.0.1:${port}`)
      assert.strictEqual(stderr, "")
      assert.lengthOf((yield* Fiber.join(late)).spans(), 2)
    })
  )

  it.live("is no reason to wait long where nobody listens", () =>
    Quick.within(
      1500,
      Effect.gen(function* () {
        const port = yield* Effect.promise(Collector.deadPort)
        const begin = performance.now()
        const { stderr } = yield* send(spans(5000), `http://127.0.0.1:${port}`)
        const millis = performance.now() - begin
        assert.strictEqual(
          stderr,
          `tinyllm: 5000 spans not exported: connection refused at 127.0.0.1:${port}. Is a collector running there?\n`
        )
        return millis
      })
    )
  )
})

describe("How long an export may take", () => {
  it.live("is more than three seconds while the program runs, where that is asked for", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: { delayMillis: 3200 } })
      const { stderr } = yield* send(Effect.andThen(spans(1), Effect.sleep("3400 millis")), collector.url, {
        ...atOnce,
        OTEL_EXPORTER_OTLP_TIMEOUT: "10000"
      })
      assert.strictEqual(stderr, "")
      assert.lengthOf(collector.spans(), 1)
    })
  )

  it.live.each<[Record<string, string>, boolean]>([
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "100" }, false],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "0" }, true],
    [{ OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "100", OTEL_EXPORTER_OTLP_TIMEOUT: "5000" }, false],
    [{ OTEL_BSP_EXPORT_TIMEOUT: "100" }, false],
    [{}, true]
  ])("follows %j", ([env, delivered]) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: { delayMillis: 400 } })
      const { stderr } = yield* send(Effect.andThen(spans(1), Effect.sleep("500 millis")), collector.url, {
        ...atOnce,
        ...env
      })
      assert.strictEqual(
        stderr,
        delivered
          ? ""
          : `tinyllm: 1 span not exported: no answer from 127.0.0.1:${collector.port} within 0.1 s. Is it a collector for OTLP over gRPC?\n`
      )
    })
  )

  it.live("is what a collector that never answers is told of, whichever variable says it", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: "hang" })
      const begin = performance.now()
      const { stderr } = yield* send(work, collector.url, { OTEL_BSP_EXPORT_TIMEOUT: "100" })
      assert.include(stderr, `2 spans not exported: no answer from 127.0.0.1:${collector.port} within 0.1 s.`)
      assert.isBelow(performance.now() - begin, 1000)
    })
  )
})

describe("Telemetry.flush", () => {
  it.live("waits for as long as one export may take, also where a collector hangs and there are many", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({ mode: "hang" })
      const millis: Array<number> = []
      yield* send(
        Effect.gen(function* () {
          yield* spans(400)
          const begin = performance.now()
          yield* Telemetry.flush
          millis.push(performance.now() - begin)
        }),
        collector.url,
        { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10", OTEL_EXPORTER_OTLP_TIMEOUT: "200" }
      )
      // Ten times as long, if each batch waited for those before it.
      assert.isBelow(millis[0] ?? Infinity, 1000)
    })
  )
})

describe("Two layers to one collector", () => {
  it.live("close their own connections", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({
        mode: (call) => (call === 1 ? { refuse: "INVALID_ARGUMENT" } : { delayMillis: 500 })
      })
      const [loses, delivers] = yield* Effect.all(
        [
          send(Effect.andThen(spans(1), Effect.sleep("300 millis")), collector.url, atOnce),
          Effect.andThen(
            Effect.sleep("150 millis"),
            send(Effect.andThen(spans(1), Effect.sleep("300 millis")), collector.url, atOnce)
          )
        ],
        { concurrency: 2 }
      )
      assert.include(loses.stderr, "1 span not exported")
      assert.strictEqual(delivers.stderr, "")
      assert.lengthOf(collector.spans(), 1)
      assert.lengthOf(collector.calls(), 2)
    })
  )
})

describe("An exporter that cannot be set up", () => {
  const otlp = (url: string) => ({ TINYLLM_TRACING: "true", TINYLLM_OTLP_ENDPOINT: url })
  const headers = "be key=value pairs with commas between, of letters, digits and signs that gRPC can send"

  it.live.each<[Record<string, string>, string]>([
    [{ OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20SEKRET%0A" }, `OTEL_EXPORTER_OTLP_HEADERS must ${headers}`],
    [{ OTEL_EXPORTER_OTLP_HEADERS: "x-api key=SEKRET" }, `OTEL_EXPORTER_OTLP_HEADERS must ${headers}`],
    [{ OTEL_EXPORTER_OTLP_HEADERS: "SEKRET" }, `OTEL_EXPORTER_OTLP_HEADERS must ${headers}`],
    [{ OTEL_EXPORTER_OTLP_HEADERS: "a=%SEKRET" }, `OTEL_EXPORTER_OTLP_HEADERS must ${headers}`],
    [{ OTEL_EXPORTER_OTLP_HEADERS: "key-bin=SEKRET" }, `OTEL_EXPORTER_OTLP_HEADERS must ${headers}`],
    [
      { OTEL_EXPORTER_OTLP_HEADERS: "a=1", OTEL_EXPORTER_OTLP_TRACES_HEADERS: ":path=SEKRET" },
      `OTEL_EXPORTER_OTLP_TRACES_HEADERS must ${headers}`
    ]
  ])("costs one line that quotes nothing: %j", ([env, problem]) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { code, stderr, stdout } = yield* Effect.promise(() =>
        Process.runNode(traced, ["ok"], { env: { ...otlp(collector.url), ...env } })
      )
      assert.deepStrictEqual(
        { code, stderr, stdout },
        { code: 0, stderr: `tinyllm: spans are not sent: ${problem}\n`, stdout: "answer\n" }
      )
      assert.lengthOf(collector.calls(), 0)
    })
  )
})

describe("A connection", () => {
  const otlp = (url: string, env: Record<string, string>) => ({
    TINYLLM_TRACING: "true",
    TINYLLM_OTLP_ENDPOINT: url,
    ...env
  })

  it.live("T35 carries the headers of both variables", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* send(work, collector.url, {
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20dXNlcg==, both=1,",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS: "both=2"
      })
      assert.include(collector.calls()[0]?.headers, { authorization: "Basic dXNlcg==", both: "2" })
    })
  )

  it.live.each<[Record<string, string>, number]>([
    [{}, 0],
    [{ OTEL_EXPORTER_OTLP_COMPRESSION: "GZip" }, 1],
    [{ OTEL_EXPORTER_OTLP_COMPRESSION: "gzip", OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: "none" }, 0]
  ])("T36 is compressed with %j: %i", ([env, compressed]) =>
    Effect.gen(function* () {
      // A collector of the test support would not tell: gRPC takes off what it adds.
      let flag: number | undefined
      const server = createHttp2Server().on("stream", (stream) => {
        stream.once("data", (bytes: Buffer) => {
          flag = bytes[0]
          stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": 0 }, { endStream: true })
        })
      })
      yield* Effect.acquireRelease(
        Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
        () => Effect.sync(() => server.close())
      )
      yield* send(work, `http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
        ...env,
        OTEL_EXPORTER_OTLP_TIMEOUT: "1000"
      })
      assert.strictEqual(flag, compressed)
    })
  )

  it.live("to loopback goes past a proxy", () =>
    Effect.gen(function* () {
      const proxy = yield* Effect.promise(Collector.deadPort)
      const collector = yield* Collector.make()
      for (const host of ["127.0.0.1", "localhost"]) {
        const env = otlp(`http://${host}:${collector.port}`, { http_proxy: `http://127.0.0.1:${proxy}` })
        const { stderr } = yield* Effect.promise(() => Process.runNode(traced, ["ok"], { env }))
        assert.strictEqual(stderr, "")
      }
      assert.lengthOf(collector.spans(), 4)
    })
  )

  it.live("to elsewhere names the proxy when it fails", () =>
    Effect.gen(function* () {
      const proxy = yield* Effect.promise(Collector.deadPort)
      const env = otlp("http://collector.test:4317", { http_proxy: `http://me:SEKRET@127.0.0.1:${proxy}` })
      const { stderr } = yield* Effect.promise(() => Process.runNode(traced, ["ok"], { env }))
      assert.strictEqual(
        stderr,
        `tinyllm: 2 spans not exported: no connection to collector.test:4317 (through the proxy 127.0.0.1:${proxy}). Is a collector for OTLP over gRPC running there?\n`
      )
    })
  )

  it.live("to port 80 goes to port 80, and is named so", () =>
    Effect.gen(function* () {
      // Who may not listen on port 80 can still be the proxy that is asked for it.
      let asked = ""
      const proxy = yield* Listener.make((socket) => socket.on("data", (bytes) => (asked += String(bytes))).resume())
      const env = otlp("http://collector.test:80", {
        http_proxy: `http://127.0.0.1:${proxy.port}`,
        OTEL_EXPORTER_OTLP_TIMEOUT: "500"
      })
      const { stderr } = yield* Effect.promise(() => Process.runNode(traced, ["ok"], { env }))
      assert.match(asked, /^CONNECT collector\.test:80 HTTP/)
      assert.include(stderr, "no answer from collector.test:80 (through the proxy")
      const direct = yield* send(work, "http://127.0.0.2:80")
      assert.include(direct.stderr, " at 127.0.0.2:80. Is a collector")
    })
  )

  it.live("that cannot be made is told without the frame that gRPC puts around it", () =>
    Effect.gen(function* () {
      const cut = yield* Listener.make((socket) => void socket.resetAndDestroy())
      const plain = yield* Collector.make()
      for (const [url, reason] of [
        [`http://127.0.0.1:${cut.port}`, "(?:connect|read) ECONNRESET[ 0-9.:]*"],
        [`https://127.0.0.1:${plain.port}`, "TLS: wrong version number"]
      ] as const) {
        const { stderr } = yield* send(work, url)
        assert.match(
          stderr,
          new RegExp(
            `^tinyllm: 2 spans not exported: no connection to ${url.replace(/^https?:\/\//, "")} \\(${reason}\\)\\. Is a collector for OTLP over gRPC running there\\?\n$`
          )
        )
      }
    })
  )
})

describe("A batch", () => {
  const text = "x".repeat(15_000)

  it.live("that is larger than a collector takes is divided", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const large = Effect.forEach(
        Array.from({ length: 400 }),
        () => Effect.withSpan(Effect.void, "step", { attributes: { text } }),
        { discard: true }
      )
      const { stderr } = yield* send(large, collector.url)
      assert.strictEqual(stderr, "")
      assert.lengthOf(collector.spans(), 400)
      assert.lengthOf(collector.calls(), 2)
      for (const { bytes } of collector.calls()) {
        assert.isBelow(bytes.length, 4 * 1024 * 1024)
      }
    })
  )
})

describe("Telemetry.report", () => {
  it.live("is all zero where nothing is sent", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Telemetry.report, Report.none)
      const { exit } = yield* isolated(
        Effect.andThen(work, Telemetry.report).pipe(Effect.provide(Telemetry.layer({ exporter: "console" })))
      )
      assert.deepStrictEqual(exit, Exit.succeed(Report.none))
    })
  )

  it.live("gives the counts inside of the layer, and nothing is printed where all went well", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make({
        mode: (call) => (call === 1 ? { reject: 1, message: "no room" } : "ok")
      })
      const { exit, stderr } = yield* send(
        Effect.gen(function* () {
          yield* spans(3)
          yield* Effect.promise(() => collector.waitFor(2))
          yield* Effect.sleep("50 millis")
          return yield* Telemetry.report
        }),
        collector.url,
        atOnce
      )
      const address = collector.url.slice(7)
      assert.deepStrictEqual(
        exit,
        Exit.succeed({
          recorded: 3,
          exported: 2,
          kept: 0,
          lost: 1,
          dropped: 0,
          destinations: [address],
          reasons: [{ fate: "lost" as const, spans: 1, reason: `rejected by ${address}: no room` }]
        })
      )
      assert.strictEqual(stderr, `tinyllm: 1 span not exported: rejected by ${address}: no room\n`)
    })
  )
})

describe("The spool of a program", () => {
  const spooling = (port: number, spool: NonNullable<Telemetry.Options["spool"]>, count = 5) =>
    isolated(
      spans(count).pipe(Effect.provide(Telemetry.layer({ otlpEndpoint: `http://127.0.0.1:${port}`, spool }))),
      atOnce
    )

  it.live("is off unless it is asked for", () =>
    Effect.gen(function* () {
      const home = Spool.home()
      const port = yield* Effect.promise(Collector.deadPort)
      const { stderr } = yield* send(work, `http://127.0.0.1:${port}`, { TINYLLM_HOME: home.path })
      assert.notInclude(stderr, "kept")
      assert.deepStrictEqual(home.names(), [])
    })
  )

  it.live("gets the batch that was too large, and not those that wait behind it", () =>
    Effect.gen(function* () {
      const home = Spool.home()
      const collector = yield* Collector.make({
        mode: (call) =>
          call === 1 ? { refuse: "RESOURCE_EXHAUSTED", details: "Received message larger than max (5 vs 4)" } : "ok"
      })
      const { stderr } = yield* spooling(collector.port, { directory: home.directory }, 40)
      assert.include(stderr, "tinyllm: 1 span not exported: ")
      assert.lengthOf(collector.spans(), 39)
      assert.lengthOf(home.spans(), 1)
    })
  )

  it.live("is only for its owner", () =>
    Effect.gen(function* () {
      const home = Spool.home()
      const port = yield* Effect.promise(Collector.deadPort)
      yield* spooling(port, { directory: home.directory }, 1)
      const mode = (path: string) => statSync(path).mode & 0o777
      assert.strictEqual(mode(home.directory), 0o700)
      assert.strictEqual(mode(`${home.directory}/${home.names()[0]}`), 0o600)
    })
  )

  it.live.each(["maximumFiles", "maximumBytes"] as const)(
    "keeps within %s: the oldest give way, and that is said",
    (bound) =>
      Effect.gen(function* () {
        const home = Spool.home()
        const port = yield* Effect.promise(Collector.deadPort)
        yield* spooling(port, { directory: home.directory }, 3)
        const [first] = home.bytes()
        const before = home.names()
        // The first three are of another run; of the five that come now, three have room.
        const limit = bound === "maximumFiles" ? 3 : (first?.length ?? 0) * 3 + 10
        const { stderr } = yield* spooling(port, { directory: home.directory, [bound]: limit })
        assert.lengthOf(home.names(), 3)
        assert.isTrue(home.names().every((name) => !before.includes(name)))
        const command = `"tinyllm trace push --otlp-endpoint http://127.0.0.1:${port} --directory ${home.directory}"`
        assert.deepStrictEqual(stderr.trimEnd().split("\n").toSorted(), [
          "tinyllm: 2 spans not exported: the spool has no more room for them",
          "tinyllm: 3 spans not exported: connection refused at 127.0.0.1:" +
            `${port}; kept, send them with ${command}`,
          "tinyllm: 3 spans of earlier runs dropped: the spool had no more room for them"
        ])
      })
  )

  it.live("that cannot be written costs a line, and the spans", () =>
    Effect.gen(function* () {
      const home = Spool.home()
      const port = yield* Effect.promise(Collector.deadPort)
      const directory = `${home.path}/file/spool`
      writeFileSync(`${home.path}/file`, "")
      const { exit, stderr } = yield* spooling(port, { directory }, 2)
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(
        stderr,
        `tinyllm: 2 spans not exported: connection refused at 127.0.0.1:${port}; not kept: the folder ${directory} is no folder (ENOTDIR)\n`
      )
    })
  )
})
