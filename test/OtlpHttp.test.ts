// OTLP in protobuf over HTTP, as a collector on loopback sees it.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { vi } from "vitest"
import { context } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import { isTracingSuppressed } from "@opentelemetry/core"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import * as Telemetry from "../src/Telemetry.ts"
import { version } from "../src/Version.ts"
import * as Collector from "./support/Collector.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Listener from "./support/Listener.ts"
import * as Process from "./support/Process.ts"
import * as Quick from "./support/Quick.ts"

const spans = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.withSpan(Effect.void, "step"), { discard: true })

/** Runs an effect with spans to a collector, and gives its end with what standard error would show. */
const send = <A, E>(self: Effect.Effect<A, E>, url: string, env: Record<string, string> = {}) =>
  isolated(self.pipe(Effect.provide(Telemetry.layer({ otlpEndpoint: url, otlpProtocol: "http/protobuf" }))), env)

const work = Effect.as(spans(2), 42)

/** One span is one batch and is sent at once, while the program runs on. */
const atOnce = { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "1" }

describe("A request over HTTP", () => {
  it.live("is a POST of protobuf, with the headers of both variables, which cannot change what it is", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      const { exit, stderr } = yield* send(work, collector.url, {
        OTEL_EXPORTER_OTLP_HEADERS: "Authorization=Basic%20dXNlcg==,both=1,content-type=text/plain",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS: "both=2,grpc-key=allowed%20here"
      })
      assert.deepStrictEqual({ exit, stderr }, { exit: Exit.succeed(42), stderr: "" })
      const [call, ...more] = collector.calls()
      assert.lengthOf(more, 0)
      assert.strictEqual(`${call?.method} ${call?.path}`, "POST /v1/traces")
      assert.include(call?.headers, {
        "content-type": "application/x-protobuf",
        "user-agent": `tinyllm/${version}`,
        authorization: "Basic dXNlcg==",
        both: "2",
        "grpc-key": "allowed here",
        "content-length": String(call?.bytes.length)
      })
      assert.notProperty(call?.headers, "content-encoding")
      assert.lengthOf(collector.spans(), 2)
    })
  )

  it.live("T36 is compressed when that is asked for, in any case", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      const { stderr } = yield* send(work, collector.url, { OTEL_EXPORTER_OTLP_COMPRESSION: "GZip" })
      assert.strictEqual(stderr, "")
      const [call] = collector.calls()
      assert.strictEqual(call?.headers["content-encoding"], "gzip")
      assert.deepStrictEqual(Array.from(call?.bytes.subarray(0, 2) ?? []), [0x1f, 0x8b])
      assert.lengthOf(collector.spans(), 2)
    })
  )

  it.live("uses one connection for what comes one after the other", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      // Until it has arrived, and its answer has.
      const pause = (count: number) =>
        Effect.andThen(
          Effect.promise(() => vi.waitFor(() => assert.lengthOf(collector.calls(), count), { timeout: 10_000 })),
          Effect.sleep("100 millis")
        )
      const program = Effect.andThen(Effect.andThen(spans(1), pause(1)), Effect.andThen(spans(1), pause(2)))
      const { stderr } = yield* send(program, collector.url, atOnce)
      assert.strictEqual(stderr, "")
      assert.strictEqual(collector.calls().length, 2)
      assert.strictEqual(collector.connections(), 1)
    })
  )

  it.live("is no span of those who instrument HTTP", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      const manager = new AsyncLocalStorageContextManager().enable()
      context.setGlobalContextManager(manager)
      const seen: Array<boolean> = []
      // An instrumentation is told of each request in the context of who makes it.
      const told = () => void seen.push(isTracingSuppressed(context.active()))
      subscribe("http.client.request.created", told)
      yield* send(work, collector.url)
      unsubscribe("http.client.request.created", told)
      context.disable()
      assert.lengthOf(collector.spans(), 2)
      assert.deepStrictEqual(seen, [true])
    })
  )

  it.live("loads nothing of gRPC", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      const { code, stderr } = yield* Effect.promise(() =>
        Process.run(
          process.execPath,
          ["--import", "./test/fixtures/report-opentelemetry.ts", "test/fixtures/traced.ts"],
          {
            env: {
              TINYLLM_TRACING: "true",
              TINYLLM_OTLP_PROTOCOL: "http/protobuf",
              TINYLLM_OTLP_ENDPOINT: collector.url
            }
          }
        )
      )
      assert.strictEqual(code, 0)
      assert.match(stderr, /^opentelemetry: [1-9]\d*, grpc: 0$/m)
      assert.lengthOf(collector.spans(), 2)
    })
  )
})

describe("Another attempt over HTTP", () => {
  it.live.each([429, 502, 503, 504])(
    "T42 is made after %i, with the same bytes, and none after it is accepted",
    (status) =>
      Effect.gen(function* () {
        const collector = yield* HttpCollector.make({ mode: (call) => (call < 2 ? { status } : "ok") })
        const { stderr } = yield* send(work, collector.url)
        assert.strictEqual(stderr, "")
        const [first, second, ...more] = collector.calls()
        assert.lengthOf(more, 0)
        assert.deepStrictEqual(second?.bytes, first?.bytes)
      })
  )

  it.live("T42 is made when the collector says, in seconds", () =>
    Effect.gen(function* () {
      const times: Array<number> = []
      const collector = yield* HttpCollector.make({
        mode: (call) => {
          times.push(performance.now())
          return call < 2 ? { status: 503, headers: { "retry-after": "1" } } : "ok"
        }
      })
      const { stderr } = yield* send(work, collector.url)
      assert.strictEqual(stderr, "")
      // By itself, it would come after 0.2 s.
      assert.isAtLeast((times[1] ?? 0) - (times[0] ?? 0), 950)
    })
  )

  it.live.each<[string, string]>([
    ["later than an export may take", "60"],
    ["on a day to come", new Date(Date.now() + 3_600_000).toUTCString()]
  ])("T42 is not waited for %s", ([, after]) =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make({ mode: { status: 429, headers: { "retry-after": after } } })
      const { stderr } = yield* send(work, collector.url)
      assert.lengthOf(collector.calls(), 1)
      assert.include(stderr, `2 spans not exported: 127.0.0.1:${collector.port} answered 429 Too Many Requests\n`)
    })
  )

  it.live("is made after a connection that broke off, at once where that was an idle one", () =>
    Effect.gen(function* () {
      let requests = 0
      // Takes one request on each connection, and cuts the next one off.
      const server = yield* Listener.make((socket) => {
        let taken = 0
        socket.on("data", (bytes) => {
          if (bytes.includes("POST")) {
            requests += 1
            taken += 1
          }
          if (taken > 1) {
            socket.resetAndDestroy()
          } else if (bytes.includes("POST")) {
            socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
          }
        })
      })
      const pause = (count: number) =>
        Effect.andThen(
          Effect.promise(() => vi.waitFor(() => assert.isAtLeast(requests, count), { timeout: 10_000 })),
          Effect.sleep("150 millis")
        )
      const begin = performance.now()
      const { stderr } = yield* send(
        Effect.andThen(Effect.andThen(spans(1), pause(1)), Effect.andThen(spans(1), pause(3))),
        server.url,
        { ...atOnce, OTEL_LOG_LEVEL: "info" }
      )
      assert.strictEqual(stderr, "", "no attempt failed")
      assert.deepStrictEqual([requests, server.connections()], [3, 2])
      assert.isBelow(performance.now() - begin, 2000)
    })
  )
})

describe("What a collector does not take over HTTP", () => {
  it.live("is counted, with the collector's words, and never sent again", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make({ mode: { reject: 2, message: "no room\nfor password=hunter22" } })
      const { stderr } = yield* send(spans(5), collector.url)
      assert.strictEqual(
        stderr,
        `tinyllm: 2 spans not exported: rejected by 127.0.0.1:${collector.port}: no room for password=__REDACTED__\n`
      )
      assert.lengthOf(collector.calls(), 1)
    })
  )

  const status = Buffer.concat([Buffer.from([8, 3, 18, 5]), Buffer.from("wrong")])

  it.live.each<[HttpCollector.Mode, string]>([
    [{ status: 400 }, "answered 400 Bad Request"],
    [
      { status: 400, headers: { "content-type": "application/x-protobuf" }, body: status },
      "answered 400 Bad Request: wrong"
    ],
    [
      { status: 400, headers: { "content-type": "application/json" }, body: `{"code":3,"message":"wrong"}` },
      "answered 400 Bad Request: wrong"
    ],
    [
      { status: 500, headers: { "content-type": "text/plain" }, body: "oh\nno" },
      "answered 500 Internal Server Error: oh no"
    ],
    [
      { status: 500, headers: { "content-type": "text/html" }, body: "<h1>oh no</h1>" },
      "answered 500 Internal Server Error"
    ],
    [
      { status: 401, headers: { "content-type": "text/plain" }, body: "not SEKRET" },
      "answered 401 Unauthorized: not __REDACTED__"
    ],
    [{ status: 403 }, "answered 403 Forbidden"],
    [{ status: 404 }, "answered 404 Not Found at /v1/traces. Is the path of the endpoint right?"],
    [{ status: 405 }, "answered 405 Method Not Allowed at /v1/traces. Is the path of the endpoint right?"],
    [{ status: 413 }, "answered 413 Payload Too Large. Set OTEL_BSP_MAX_EXPORT_BATCH_SIZE to less"],
    [
      { status: 415 },
      "answered 415 Unsupported Media Type: it takes no protobuf. Is it a collector for OTLP over HTTP?"
    ],
    [
      { status: 308, headers: { location: "https://elsewhere.test/v1/traces?key=SEKRET" } },
      "answered 308 Permanent Redirect (https://elsewhere.test/v1/traces). Redirects are not followed: correct the endpoint"
    ],
    [
      { status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: "<h1>Welcome</h1>" },
      "answered with a web page at /v1/traces. Is the endpoint right?"
    ]
  ])("is told in words, and not tried again: %j", ([mode, reason]) =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make({ mode })
      const { exit, stderr } = yield* send(work, collector.url, { OTEL_EXPORTER_OTLP_HEADERS: "x-key=SEKRET" })
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.strictEqual(stderr, `tinyllm: 2 spans not exported: 127.0.0.1:${collector.port} ${reason}\n`)
      assert.lengthOf(new Set(collector.calls().map(({ bytes }) => bytes.toString("latin1"))), collector.calls().length)
    })
  )

  it.live("is told when gRPC is spoken there", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { stderr } = yield* send(work, collector.url)
      assert.strictEqual(
        stderr,
        `tinyllm: 2 spans not exported: what answers at 127.0.0.1:${collector.port} does not speak HTTP. Is it a collector for OTLP over gRPC?\n`
      )
    })
  )

  it.live("is told when nobody is there, without waiting long", () =>
    Quick.within(
      3000,
      Effect.gen(function* () {
        const port = yield* Effect.promise(Collector.deadPort)
        const begin = performance.now()
        const refused = yield* send(work, `http://127.0.0.1:${port}`)
        assert.include(refused.stderr, `connection refused at 127.0.0.1:${port}. Is a collector running there?`)
        const unknown = yield* send(work, "http://collector.invalid:4318")
        assert.include(unknown.stderr, "unknown host collector.invalid. Is the endpoint spelled right?")
        return performance.now() - begin
      })
    )
  )

  it.live("T41 does not hold the process beyond its budget when nothing is answered", () =>
    Quick.within(
      4500,
      Effect.gen(function* () {
        const collector = yield* HttpCollector.make({ mode: "hang" })
        const env = {
          TINYLLM_TRACING: "true",
          TINYLLM_OTLP_PROTOCOL: "http/protobuf",
          TINYLLM_OTLP_ENDPOINT: collector.url
        }
        const running = Process.spawnNode("test/fixtures/traced.ts", ["ok"], { env })
        yield* Effect.promise(() => running.waitForStdout("answer"))
        const begin = performance.now()
        const { code, stderr } = yield* Effect.promise(() => running.exit)
        const millis = performance.now() - begin
        assert.strictEqual(code, 0)
        assert.include(stderr, `2 spans not exported: no answer from 127.0.0.1:${collector.port} within 3 s.`)
        return millis
      })
    )
  )
})

describe("A proxy over HTTP", () => {
  const env = (proxy: string, url: string) => ({
    TINYLLM_TRACING: "true",
    TINYLLM_OTLP_PROTOCOL: "http/protobuf",
    TINYLLM_OTLP_ENDPOINT: url,
    http_proxy: proxy
  })
  const traced = (variables: Record<string, string>) =>
    Effect.promise(() => Process.runNode("test/fixtures/traced.ts", ["ok"], { env: variables }))

  it.live("of the environment is asked for what is elsewhere, and not for loopback", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      const proxied = yield* traced(env(collector.url, "http://collector.test:4318"))
      assert.strictEqual(proxied.stderr, "")
      assert.strictEqual(collector.calls()[0]?.path, "http://collector.test:4318/v1/traces")
      const dead = yield* Effect.promise(Collector.deadPort)
      const direct = yield* traced(env(`http://127.0.0.1:${dead}`, collector.url))
      assert.strictEqual(direct.stderr, "")
      assert.lengthOf(collector.calls(), 2)
    })
  )

  it.live("is named when it fails, without its password", () =>
    Effect.gen(function* () {
      const dead = yield* Effect.promise(Collector.deadPort)
      const { stderr } = yield* traced(env(`http://me:SEKRET@127.0.0.1:${dead}`, "http://collector.test:4318"))
      assert.include(stderr, `connection refused at collector.test:4318 (through the proxy 127.0.0.1:${dead}).`)
      assert.notInclude(stderr, "SEKRET")
    })
  )
})
