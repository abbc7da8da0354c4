// The receiver of OTLP, called from outside over real sockets, with a sink that a test can look into.
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { Agent } from "node:http"
import * as Net from "node:net"
import protobuf from "protobufjs"
import { gzipSync } from "node:zlib"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import * as TraceCollector from "../src/TraceCollector.ts"
import * as Collector from "./support/Collector.ts"
import { root } from "./support/Process.ts"
import * as Sender from "./support/Sender.ts"

/** A receiver whose sink takes what is OTLP, and what it has taken. */
const make = (options: Partial<TraceCollector.Options> = {}) =>
  Effect.gen(function* () {
    const requests: Array<Buffer> = []
    const told: Array<string> = []
    const sink: TraceCollector.Sink = (request) =>
      Effect.suspend(() => {
        const read = OtlpTraces.spans(request)
        if (read._tag === "Failure") {
          return Effect.fail(new TraceCollector.Unreadable({ why: read.failure.message }))
        }
        requests.push(Buffer.from(request))
        return Effect.succeed({ spans: read.success.length, rejected: 0 })
      })
    const collector = yield* TraceCollector.make({
      sink,
      grpcPort: 0,
      httpPort: 0,
      tell: (line) => told.push(line),
      ...options
    })
    return {
      ...collector,
      ports: { grpc: collector.grpc.port, http: collector.http.port },
      requests,
      told,
      spans: () => requests.flatMap(Collector.decode)
    }
  })

class DiskFull extends Schema.TaggedError<DiskFull>()("DiskFull", {}) {
  override get message() {
    return "the disk is full"
  }
}

const promise = <A>(run: () => Promise<A>) => Effect.promise(run)

const callOnce = (...args: Parameters<typeof Sender.callOnce>) => promise(() => Sender.callOnce(...args))
const post = (...args: Parameters<typeof Sender.post>) => promise(() => Sender.post(...args))

const json = { "content-type": "application/json" }
const gzip = { "content-encoding": "gzip" }
const example = readFileSync(`${root}test/fixtures/trace.json`, "utf8")

const { root: messages } = protobuf.parse(`syntax = "proto3";
  message Response { PartialSuccess partial_success = 1; }
  message PartialSuccess { int64 rejected_spans = 1; string error_message = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Any { string type_url = 1; bytes value = 2; }`)
const decode = (message: string, bytes: Uint8Array | undefined) =>
  messages.lookupType(message).toObject(messages.lookupType(message).decode(bytes ?? new Uint8Array()), {
    longs: Number
  })

describe("TraceCollector.make", () => {
  for (const [name, exporter] of Object.entries(Sender.exporters)) {
    for (const compressed of [false, true]) {
      it.live(`takes spans from the SDK over ${name}${compressed ? ", compressed" : ""}`, () =>
        Effect.gen(function* () {
          const collector = yield* make()
          const sent = Sender.spans(3)
          yield* promise(() => Sender.exportWith(exporter(collector.ports, compressed), sent))
          assert.deepStrictEqual(
            collector.spans().map(({ attributes, name, resource, scope, spanId, traceId }) => ({
              attributes,
              name,
              service: resource["service.name"],
              scope,
              spanId,
              traceId
            })),
            sent.map((span, index) => ({
              attributes: { number: index + 1, half: 0.5, tags: ["a", "b"] },
              name: "work",
              service: "another-program",
              scope: { name: "another-library", version: "1.2.3" },
              spanId: span.spanContext().spanId,
              traceId: span.spanContext().traceId
            }))
          )
          assert.deepStrictEqual(collector.spans()[0]?.events[0]?.attributes, { far: true })
          assert.deepStrictEqual(yield* collector.counts, { spans: 3, requests: 1, rejected: 0, refused: 0, later: 0 })
        })
      )
    }
  }

  it.live("hands on the bytes of protobuf as they came", () =>
    Effect.gen(function* () {
      const collector = yield* make()
      const request = Sender.request(2)
      assert.deepInclude(yield* callOnce(collector.ports.grpc, request), { code: "OK", body: Buffer.alloc(0) })
      const answer = yield* post(collector.ports.http, request)
      assert.deepInclude(answer, { status: 200, body: Buffer.alloc(0) })
      assert.strictEqual(answer.headers["content-type"], "application/x-protobuf")
      assert.deepStrictEqual(collector.requests, [request, request])
    })
  )

  it.live("takes the example of the specification in JSON, and answers in JSON", () =>
    Effect.gen(function* () {
      const collector = yield* make()
      const answer = yield* post(collector.ports.http, example, {
        headers: { "content-type": "Application/JSON; charset=UTF-8" }
      })
      assert.deepInclude(answer, { status: 200, text: "{}" })
      assert.strictEqual(answer.headers["content-type"], "application/json")
      const [span] = collector.spans()
      assert.deepInclude(span, {
        traceId: "5b8efff798038103d269b633813fc60c",
        spanId: "eee19b7ec3c1b174",
        parentId: "eee19b7ec3c1b173",
        name: "I'm a server span",
        kind: "server",
        start: 1544712660000000000n,
        attributes: { "my.span.attr": "some value" }
      })
    })
  )

  it.live("acknowledges a request without spans", () =>
    Effect.gen(function* () {
      const { ports } = yield* make()
      assert.strictEqual((yield* callOnce(ports.grpc, Buffer.alloc(0))).code, "OK")
      assert.strictEqual((yield* post(ports.http, "")).status, 200)
      assert.strictEqual((yield* post(ports.http, "{}", { headers: json })).text, "{}")
    })
  )

  it.live("says how many spans could not be taken, in the words of each protocol", () =>
    Effect.gen(function* () {
      const { counts, ports } = yield* make({ sink: () => Effect.succeed({ spans: 1, rejected: 300 }) })
      const partialSuccess = {
        rejectedSpans: 300,
        errorMessage: "300 spans have no valid trace id and span id, or cannot be read."
      }
      assert.deepStrictEqual(decode("Response", (yield* callOnce(ports.grpc, Sender.request(1))).body), {
        partialSuccess
      })
      assert.deepStrictEqual(decode("Response", (yield* post(ports.http, Sender.request(1))).body), { partialSuccess })
      assert.deepStrictEqual(JSON.parse((yield* post(ports.http, example, { headers: json })).text), {
        partialSuccess: { ...partialSuccess, rejectedSpans: "300" }
      })
      assert.deepInclude(yield* counts, { spans: 3, requests: 3, rejected: 900 })
    })
  )

  it.live("refuses what is no request, in the words of each protocol", () =>
    Effect.gen(function* () {
      const { counts, ports, requests } = yield* make()
      const cut = Sender.request(1).subarray(0, -1)
      const grpc = yield* callOnce(ports.grpc, cut)
      assert.strictEqual(grpc.code, "INVALID_ARGUMENT")
      assert.match(grpc.details, /^This is no ExportTraceServiceRequest of OTLP: .+\.$/)
      const http = yield* post(ports.http, cut)
      assert.strictEqual(http.status, 400)
      assert.strictEqual(http.headers["content-type"], "application/x-protobuf")
      assert.deepStrictEqual(decode("Status", http.body), { code: 3, message: grpc.details })
      for (const wrong of ["{", "[]", `{"resourceSpans":1}`, Buffer.from([0x22, 0xff, 0x22])]) {
        const answer = yield* post(ports.http, wrong, { headers: json })
        assert.strictEqual(answer.status, 400)
        const status = JSON.parse(answer.text) as { readonly code: number; readonly message: string }
        assert.strictEqual(status.code, 3)
        assert.match(status.message, /^This is no ExportTraceServiceRequest of OTLP: .+\.$/)
      }
      const notCompressed = yield* post(ports.http, cut, { headers: gzip })
      assert.strictEqual(notCompressed.status, 400)
      assert.deepStrictEqual(decode("Status", notCompressed.body), {
        code: 3,
        message: "The body is no gzip, or only a part of one."
      })
      assert.lengthOf(requests, 0)
      assert.strictEqual((yield* counts).refused, 7)
    })
  )

  it.live("says of metrics and logs that it does not take them", () =>
    Effect.gen(function* () {
      const { ports } = yield* make()
      for (const [signal, service] of [
        ["metrics", "metrics.v1.MetricsService"],
        ["logs", "logs.v1.LogsService"]
      ]) {
        const method = `/opentelemetry.proto.collector.${service}/Export`
        assert.deepInclude(yield* callOnce(ports.grpc, Buffer.alloc(1), { method }), {
          code: "UNIMPLEMENTED",
          details: "Only traces are stored here, no metrics and no logs."
        })
        assert.deepInclude(yield* post(ports.http, "{}", { path: `/v1/${signal}`, headers: json }), {
          status: 404,
          text: `{"code":5,"message":"Only traces are stored here, no metrics and no logs."}`
        })
      }
      assert.strictEqual(
        (yield* callOnce(ports.grpc, Buffer.alloc(1), { method: "/any.Other/Call" })).code,
        "UNIMPLEMENTED"
      )
    })
  )

  it.live("refuses other paths, methods, formats and encodings over HTTP", () =>
    Effect.gen(function* () {
      const { ports } = yield* make()
      assert.strictEqual((yield* post(ports.http, "", { path: "/" })).status, 404)
      assert.strictEqual((yield* post(ports.http, "", { path: "/v1/traces?a=1" })).status, 200)
      for (const method of ["GET", "PUT", "HEAD", "OPTIONS", "DELETE"]) {
        const answer = yield* post(ports.http, "", { method })
        assert.strictEqual(answer.status, 405, method)
        assert.strictEqual(answer.headers.allow, "POST")
      }
      for (const type of ["text/plain", "application/json; charset=latin1", "application/jsonx", ""]) {
        assert.strictEqual((yield* post(ports.http, "{}", { headers: { "content-type": type } })).status, 415, type)
      }
      const brotli = yield* post(ports.http, "", { headers: { "content-encoding": "br" } })
      assert.strictEqual(brotli.status, 415)
      assert.strictEqual(brotli.headers["accept-encoding"], "gzip")
    })
  )

  it.live("takes nothing from a web page, and nothing that was sent to another name", () =>
    Effect.gen(function* () {
      const { ports, requests } = yield* make()
      const status = (headers: Record<string, string>) =>
        Effect.map(post(ports.http, Sender.request(1), { headers }), ({ headers, status }) => {
          assert.notProperty(headers, "access-control-allow-origin")
          return status
        })
      assert.strictEqual(yield* status({ origin: `http://127.0.0.1:${ports.http}` }), 403)
      assert.strictEqual(yield* status({ origin: "null" }), 403)
      for (const host of [
        "evil.example",
        `evil.example:${ports.http}`,
        "127.0.0.1.evil.example",
        "192.168.0.7",
        "[::2]"
      ]) {
        assert.strictEqual(yield* status({ host }), 403, host)
      }
      assert.lengthOf(requests, 0)
      for (const host of [
        "localhost",
        `LOCALHOST:${ports.http}`,
        "127.0.0.1",
        "127.1.2.3:80",
        `[::1]:${ports.http}`,
        "host.docker.internal:4318",
        "host.containers.internal"
      ]) {
        assert.strictEqual(yield* status({ host }), 200, host)
      }
    })
  )

  it.live("refuses what is too long, also when that shows only after it was decompressed", () =>
    Effect.gen(function* () {
      const { ports, requests } = yield* make()
      const zeros = (mebibytes: number) => Buffer.alloc(mebibytes * 1024 * 1024 + 1)
      for (const options of [{}, { gzip: true }]) {
        const answer = yield* callOnce(ports.grpc, zeros(4), options)
        assert.strictEqual(answer.code, "RESOURCE_EXHAUSTED")
        // With when to come back, it would be tried again.
        assert.isUndefined(answer.status)
      }
      const plain = yield* post(ports.http, zeros(20))
      const chunked = yield* post(ports.http, zeros(20), {
        headers: { "transfer-encoding": "chunked" }
      })
      const compressed = yield* post(ports.http, gzipSync(zeros(20)), { headers: gzip })
      for (const { body, status } of [plain, chunked, compressed]) {
        assert.strictEqual(status, 413)
        assert.deepStrictEqual(decode("Status", body), {
          code: 8,
          message: "The request is longer than 20971520 bytes."
        })
      }
      assert.lengthOf(requests, 0)
    })
  )

  it.live("does not decompress all of what becomes too long", () =>
    Effect.gen(function* () {
      const { ports } = yield* make()
      // 20 MiB of gzip that would be 20 GiB.
      const part = gzipSync(Buffer.alloc(64 * 1024 * 1024))
      const bomb = Buffer.concat(Array.from({ length: Math.floor((20 * 1024 * 1024) / part.length) }, () => part))
      const before = process.memoryUsage().rss
      const { status } = yield* post(ports.http, bomb, { headers: gzip })
      assert.strictEqual(status, 413)
      assert.isBelow(process.memoryUsage().rss - before, 256 * 1024 * 1024)
    })
  )

  it.live("says on the port for gRPC what is wrong with a request of HTTP", () =>
    Effect.gen(function* () {
      const { ports } = yield* make()
      const answer = yield* post(ports.grpc, Sender.request(1000))
      assert.deepInclude(answer, {
        status: 400,
        text: "This port speaks OTLP over gRPC. OTLP over HTTP has a port of its own, usually 4318.\n"
      })
      assert.strictEqual((yield* callOnce(ports.grpc, Sender.request(1))).code, "OK")
      assert.strictEqual((yield* callOnce(ports.http, Sender.request(1))).code, "UNAVAILABLE")
      assert.strictEqual((yield* post(ports.http, Sender.request(1))).status, 200)
    })
  )

  it.live("asks for what the sink fails to take once more, and tells of it once", () =>
    Effect.gen(function* () {
      let broken = true
      const { counts, ports, told } = yield* make({
        sink: () => (broken ? Effect.fail(new DiskFull()) : Effect.succeed({ spans: 1, rejected: 0 }))
      })
      for (const _ of [1, 2]) {
        assert.deepInclude(yield* callOnce(ports.grpc, Sender.request(1)), {
          code: "UNAVAILABLE",
          details: "The spans cannot be stored now."
        })
        const http = yield* post(ports.http, Sender.request(1))
        assert.strictEqual(http.status, 503)
        assert.strictEqual(http.headers["retry-after"], "1")
        assert.deepStrictEqual(decode("Status", http.body), { code: 14, message: "The spans cannot be stored now." })
      }
      const failing = "spans cannot be stored, so senders are told to send them again: the disk is full"
      assert.deepStrictEqual(told, [failing])
      broken = false
      assert.strictEqual((yield* callOnce(ports.grpc, Sender.request(1))).code, "OK")
      assert.deepStrictEqual(told, [failing, "spans are stored again"])
      assert.deepInclude(yield* counts, { spans: 1, requests: 1, refused: 0, later: 4 })
    })
  )

  it.live("acknowledges nothing before the sink has taken it", () =>
    Effect.gen(function* () {
      const stored = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const { ports } = yield* make({
        sink: () =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Deferred.await(stored)),
            Effect.as({ spans: 1, rejected: 0 })
          )
      })
      const answered: Array<string> = []
      const sending = [
        Sender.callOnce(ports.grpc, Sender.request(1)).then(() => answered.push("gRPC")),
        Sender.post(ports.http, Sender.request(1)).then(() => answered.push("HTTP"))
      ]
      yield* Deferred.await(begun)
      assert.deepStrictEqual(answered, [])
      yield* Deferred.succeed(stored, undefined)
      yield* promise(() => Promise.all(sending))
      assert.sameMembers(answered, ["gRPC", "HTTP"])
    })
  )

  it.live("has memory for others while what has arrived is stored, and stores it though its sender has gone", () =>
    Effect.gen(function* () {
      const held = yield* Deferred.make<void>()
      let begun = 0
      let stored = 0
      const { ports } = yield* make({
        sink: () =>
          Effect.suspend(() => {
            begun++
            return Effect.as(Deferred.await(held), { spans: 1, rejected: 0 })
          }).pipe(Effect.tap(() => Effect.sync(() => stored++))),
        // As much as one call, or one body of unknown length, may take; with a little more for those that have arrived.
        limits: { memoryBytes: 10 * 1024 * 1024, httpBodyBytes: 9 * 1024 * 1024, patienceMillis: 100 }
      })
      const small = Sender.request(1)
      const client = Sender.grpcClient(ports.grpc)
      const calls = [Sender.call(client, small), Sender.call(client, small)]
      yield* Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => begun === 2 }), Effect.timeout("5 seconds"))
      const gone = Net.connect(ports.http, "127.0.0.1")
      const body = `${small.length.toString(16)}\r\n${small.toString("latin1")}\r\n0\r\n\r\n`
      gone.write(
        `POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n` +
          `transfer-encoding: chunked\r\n\r\n${body}`,
        "latin1"
      )
      yield* Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => begun === 3 }), Effect.timeout("5 seconds"))
      gone.destroy()
      const last = Sender.call(client, small)
      yield* Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => begun === 4 }), Effect.timeout("5 seconds"))
      yield* Deferred.succeed(held, undefined)
      for (const answer of yield* promise(() => Promise.all([...calls, last]))) {
        assert.strictEqual(answer.code, "OK")
      }
      yield* Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => stored === 4 }), Effect.timeout("5 seconds"))
      client.close()
    })
  )

  it.live("sends away for a moment what it has no memory for", () =>
    Effect.gen(function* () {
      const held = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const { ports } = yield* make({
        sink: () =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Deferred.await(held)),
            Effect.as({ spans: 1, rejected: 0 })
          ),
        // What the first request takes leaves too little for another call, or for a long body.
        limits: { memoryBytes: 10 * 1024 * 1024, patienceMillis: 50 }
      })
      const first = Sender.post(ports.http, Sender.request(20_000))
      yield* Deferred.await(begun)
      const grpc = yield* callOnce(ports.grpc, Sender.request(1))
      assert.deepInclude(grpc, {
        code: "RESOURCE_EXHAUSTED",
        details: "There is no memory for the request now."
      })
      const { code, details } = decode("Status", grpc.status) as {
        code: number
        details: ReadonlyArray<{ typeUrl: string }>
      }
      assert.deepStrictEqual([code, details[0]?.typeUrl], [8, "type.googleapis.com/google.rpc.RetryInfo"])
      const http = yield* post(ports.http, Buffer.alloc(9 * 1024 * 1024))
      assert.strictEqual(http.status, 429)
      assert.strictEqual(http.headers["retry-after"], "1")
      yield* Deferred.succeed(held, undefined)
      assert.strictEqual((yield* promise(() => first)).status, 200)
      assert.strictEqual((yield* callOnce(ports.grpc, Sender.request(1))).code, "OK")
    })
  )

  it.live(
    "answers whatever bytes it is sent, and goes on",
    () =>
      Effect.gen(function* () {
        const { counts, ports } = yield* make()
        // The same ones in every run.
        let seed = 1
        const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
        const request = Sender.request(3)
        const broken = Array.from({ length: 500 }, () => {
          const bytes = Buffer.from(request)
          for (let times = random(4); times >= 0; times--) {
            bytes[random(bytes.length)] = random(256)
          }
          return bytes.subarray(0, random(2) === 0 ? bytes.length : random(bytes.length))
        })
        const client = Sender.grpcClient(ports.grpc)
        const agent = new Agent({ keepAlive: true, maxSockets: 20 })
        const [grpc, http, texts] = yield* promise(() =>
          Promise.all([
            Promise.all(broken.map(async (bytes) => (await Sender.call(client, bytes)).code)),
            Promise.all(broken.map(async (bytes) => (await Sender.post(ports.http, bytes, { agent })).status)),
            Promise.all(
              broken.map(async (bytes) => {
                const at = bytes.length % example.length
                const text = example.slice(0, at) + bytes.toString("latin1", 0, 2) + example.slice(at + 1)
                return (await Sender.post(ports.http, text, { agent, headers: json })).status
              })
            )
          ])
        )
        assert.sameMembers([...new Set(grpc)], ["OK", "INVALID_ARGUMENT"])
        assert.sameMembers([...new Set(http)], [200, 400])
        assert.sameMembers([...new Set(texts)], [200, 400])
        const { later, refused, requests } = yield* counts
        assert.deepStrictEqual([later, refused + requests], [0, 1500])

        const noise = [0, 1, 2].map((number) => Buffer.from(Array.from({ length: 1000 }, () => random(256) | number)))
        const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        for (const bytes of [...noise, ...noise.map((bytes) => Buffer.concat([preface, bytes]))]) {
          for (const port of [ports.grpc, ports.http]) {
            const socket = Net.connect(port, "127.0.0.1").on("error", () => {})
            socket.resume().end(bytes)
            yield* promise(() => once(socket, "close"))
          }
        }
        assert.strictEqual((yield* promise(() => Sender.call(client, request))).code, "OK")
        client.close()
        assert.strictEqual((yield* post(ports.http, request)).status, 200)
      }),
    120_000
  )

  it.live("refuses values that are nested without end", () =>
    Effect.gen(function* () {
      const { ports } = yield* make()
      const value = (depth: number) => `{"arrayValue":{"values":[`.repeat(depth) + "]}}".repeat(depth)
      const sent = (depth: number) =>
        post(ports.http, `{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":${value(depth)}}]}}]}`, {
          headers: json
        })
      assert.strictEqual((yield* sent(40)).status, 200)
      assert.include((yield* sent(100_000)).text, "its values are nested more than 100 deep")
      assert.strictEqual((yield* post(ports.http, "[".repeat(1_000_000), { headers: json })).status, 400)
    })
  )

  it.live(
    "takes thousands of requests at once",
    () =>
      Effect.gen(function* () {
        const { counts, ports } = yield* make()
        const request = Sender.request(1)
        const client = Sender.grpcClient(ports.grpc)
        const agent = new Agent({ keepAlive: true, maxSockets: 100 })
        yield* promise(() =>
          Promise.all(
            Array.from({ length: 2000 }, async () => {
              assert.strictEqual((await Sender.call(client, request)).code, "OK")
              assert.strictEqual((await Sender.post(ports.http, request, { agent })).status, 200)
            })
          )
        )
        client.close()
        assert.deepStrictEqual(yield* counts, { spans: 4000, requests: 4000, rejected: 0, refused: 0, later: 0 })
      }),
    120_000
  )

  it.live(
    "has all its memory back when senders give up, at whatever moment",
    () =>
      Effect.gen(function* () {
        // For one call at a time, or one request; the others wait for as long as that is being stored.
        const { counts, ports } = yield* make({
          sink: () => Effect.sleep("3 millis").pipe(Effect.as({ spans: 1, rejected: 0 })),
          limits: { memoryBytes: 8 * 1024 * 1024, patienceMillis: 20_000 }
        })
        const clients = Array.from({ length: 10 }, () => Sender.grpcClient(ports.grpc))
        const request = Sender.request(20)
        // How far they get by then is a matter of luck.
        while ((yield* counts).refused <= 20) {
          yield* promise(() =>
            Promise.all(
              clients.flatMap((client, number) =>
                Array.from({ length: 10 }, (_, index) => [
                  Sender.giveUp(client, request, number * 10 + index),
                  Sender.post(ports.http, request, { signal: AbortSignal.timeout(number * 10 + index + 1) }).catch(
                    () => {}
                  )
                ]).flat()
              )
            )
          )
        }
        clients.forEach((client) => client.close())
        assert.strictEqual((yield* callOnce(ports.grpc, Sender.request(1))).code, "OK")
        assert.strictEqual((yield* post(ports.http, Buffer.alloc(8 * 1024 * 1024))).status, 200)
        assert.strictEqual((yield* counts).later, 0)
      }),
    120_000
  )

  it.live("lets no more than so many connections in, and closes those that say nothing", () =>
    Effect.gen(function* () {
      const { ports } = yield* make({ limits: { connections: 4, headersMillis: 3000 } })
      const millisUntilClosed = async (port: number): Promise<number> => {
        const socket = Net.connect(port, "127.0.0.1").on("error", () => {})
        const begin = performance.now()
        await once(socket.resume(), "close")
        return performance.now() - begin
      }
      const ended = yield* promise(() =>
        Promise.all(
          [ports.grpc, ports.http].map((port) => Promise.all(Array.from({ length: 12 }, () => millisUntilClosed(port))))
        )
      )
      // Those that came in stayed until they had been silent for too long.
      assert.deepStrictEqual(
        ended.map((all) => all.filter((millis) => millis > 2500).length),
        [4, 4]
      )
      assert.strictEqual((yield* callOnce(ports.grpc, Sender.request(1))).code, "OK")
      assert.strictEqual((yield* post(ports.http, Sender.request(1))).status, 200)
    })
  )

  it.live("does not wait long for a request that comes in drops", () =>
    Effect.gen(function* () {
      const { counts, ports } = yield* make({ limits: { requestMillis: 1000, headersMillis: 1000 } })
      const request = Sender.request(1)
      const socket = Net.connect(ports.http, "127.0.0.1").on("error", () => {})
      socket.write(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n" +
          `content-length: ${request.length}\r\n\r\n`
      )
      socket.write(request.subarray(0, 10))
      let text = ""
      socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
      yield* promise(() => once(socket, "close"))
      assert.match(text, /^HTTP\/1\.1 408 /)

      const client = Sender.grpcClient(ports.grpc)
      const answer = yield* promise(
        () =>
          new Promise<number | undefined>((resolve) => {
            const call = client.makeClientStreamRequest<Buffer, Buffer>(
              "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
              (bytes) => bytes,
              (bytes) => bytes,
              (error) => resolve(error?.code)
            )
            call.write(request)
          })
      )
      client.close()
      // UNAVAILABLE
      assert.strictEqual(answer, 14)
      assert.deepInclude(yield* counts, { refused: 1, later: 1, requests: 0 })
    })
  )

  it.live("finishes what is under way when it ends, and takes nothing new", () =>
    Effect.gen(function* () {
      const held = yield* Deferred.make<void>()
      let begun = 0
      const scope = yield* Scope.make()
      const { ports } = yield* Scope.provide(
        make({
          sink: () => Effect.suspend(() => (begun++, Effect.as(Deferred.await(held), { spans: 1, rejected: 0 })))
        }),
        scope
      )
      const sending = Promise.all([
        Sender.callOnce(ports.grpc, Sender.request(1)),
        Sender.post(ports.http, Sender.request(1))
      ])
      yield* Effect.yieldNow.pipe(Effect.repeat({ until: () => begun === 2 }))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* promise(() => refused(ports.grpc))
      yield* promise(() => refused(ports.http))
      yield* Deferred.succeed(held, undefined)
      const [grpc, http] = yield* promise(() => sending)
      assert.strictEqual(grpc.code, "OK")
      assert.strictEqual(http.status, 200)
      yield* Fiber.join(closing)
    })
  )

  it.live("ends although a sender does not, and a sink", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const begun = yield* Deferred.make<void>()
      const { ports } = yield* Scope.provide(
        make({
          sink: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never),
          limits: { drainMillis: 100 }
        }),
        scope
      )
      const grpc = Sender.callOnce(ports.grpc, Sender.request(1))
      const http = Sender.post(ports.http, Sender.request(1)).then(
        () => "answered",
        () => "cut off"
      )
      yield* Deferred.await(begun)
      yield* Scope.close(scope, Exit.void).pipe(Effect.timeout("3 seconds"))
      assert.include(["UNAVAILABLE", "CANCELLED", "INTERNAL"], (yield* promise(() => grpc)).code)
      assert.strictEqual(yield* promise(() => http), "cut off")
    })
  )

  it.live("is reached as localhost in IPv4 and IPv6, where there is one", () =>
    Effect.gen(function* () {
      const { grpc, http, loopback } = yield* make()
      assert.isTrue(loopback)
      for (const { addresses, port } of [grpc, http]) {
        assert.strictEqual(addresses[0], `127.0.0.1:${port}`)
        assert.include([undefined, `[::1]:${port}`], addresses[1])
      }
    })
  )

  it.live("says which port is taken", () =>
    Effect.gen(function* () {
      const { ports } = yield* make()
      for (const options of [{ grpcPort: ports.grpc }, { httpPort: ports.http }]) {
        const error = yield* Effect.flip(make(options))
        assert.strictEqual(
          error.message,
          `cannot listen on 127.0.0.1:${options.grpcPort ?? options.httpPort}: another program listens there`
        )
      }
      const elsewhere = yield* Effect.flip(make({ host: "192.0.2.1" }))
      assert.match(elsewhere.message, /^cannot listen on 192\.0\.2\.1:0: this machine has no such address$/)
    })
  )

  it.live("is reached by any name where it is told to be", () =>
    Effect.gen(function* () {
      const { loopback, ports } = yield* make({ host: "0.0.0.0" })
      assert.isFalse(loopback)
      const status = (headers: Record<string, string>) =>
        Effect.map(post(ports.http, Sender.request(1), { headers }), ({ status }) => status)
      assert.strictEqual(yield* status({ host: "my-laptop.local" }), 200)
      assert.strictEqual(yield* status({ host: "my-laptop.local", origin: "http://my-laptop.local" }), 403)
    })
  )
})

/** Waits until a port takes no connections. */
const refused = async (port: number): Promise<void> => {
  for (;;) {
    const socket = Net.connect(port, "127.0.0.1")
    const event = await Promise.race([
      once(socket, "connect").then(() => "connect"),
      new Promise<string>((resolve) => socket.once("error", () => resolve("error")))
    ])
    socket.destroy()
    if (event === "error") {
      return
    }
  }
}
