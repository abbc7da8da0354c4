// `tinyllm collect` from outside: real processes, the SDK's own exporters, and the store that `tinyllm trace` reads.
import { Effect } from "effect"
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import * as Net from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "vitest"
import type { StoredSpan } from "../src/StoredSpan.ts"
import { TraceStore } from "../src/TraceStore.ts"
import * as Closing from "./support/Closing.ts"
import { deadPort } from "./support/Collector.ts"
import * as Process from "./support/Process.ts"
import * as Sender from "./support/Sender.ts"

const closing = Closing.afterAll()

const fileIn = (home: string) => join(home, "traces.db")

/** A collector that listens, in a home of its own unless it shares one. */
const start = async (args: ReadonlyArray<string> = [], home = Process.scratch(), env: Record<string, string> = {}) => {
  const free = args.includes("--grpc-port") ? [] : ["--grpc-port", "0", "--http-port", "0"]
  const running = Process.spawnNode("src/Main.ts", ["collect", ...free, ...args], {
    env: { TINYLLM_HOME: home, ...env },
    timeoutMillis: 120_000
  })
  await running.waitForStderr("shows them\n")
  const [, grpc, http] = /gRPC on [^,]*?:(\d+).*HTTP on [^,]*?:(\d+)/.exec(running.stderr()) ?? []
  const self = {
    ...running,
    home,
    ports: { grpc: Number(grpc), http: Number(http) },
    /** Ends it as Ctrl-C does. */
    stop: (signal: NodeJS.Signals = "SIGINT") => {
      running.kill(signal)
      return running.exit
    }
  }
  closing({ close: () => running.kill("SIGKILL") })
  return self
}

const inStore = <A>(home: string, use: (store: typeof TraceStore.Service) => Effect.Effect<A, unknown>): Promise<A> =>
  Effect.flatMap(TraceStore, use).pipe(Effect.provide(TraceStore.layer({ file: fileIn(home) })), Effect.runPromise)

/** Every span of a store. */
const stored = (home: string): Promise<ReadonlyArray<StoredSpan>> =>
  inStore(home, (store) =>
    Effect.gen(function* () {
      const traces = yield* store.list()
      return (yield* Effect.forEach(traces, ({ traceId }) => store.read(traceId))).flat()
    })
  )

const ids = (spans: ReadonlyArray<{ readonly spanId: string }>) => spans.map(({ spanId }) => spanId).toSorted()

describe.concurrent("tinyllm collect", { timeout: 120_000 }, () => {
  it("says where it listens and where traces go, and at the end what came; nothing on standard output", async () => {
    const collector = await start()
    const { grpc, http } = collector.ports
    assert.match(
      collector.stderr(),
      new RegExp(
        `^tinyllm collect: OTLP gRPC on 127\\.0\\.0\\.1:${grpc}(?: and \\[::1\\]:${grpc})?, ` +
          `HTTP on 127\\.0\\.0\\.1:${http}(?: and \\[::1\\]:${http})?, ` +
          `traces in ${fileIn(collector.home)}; "tinyllm trace tail" shows them\\n$`
      )
    )
    await Sender.callOnce(grpc, Sender.request(2))
    await Sender.post(http, Sender.request(1))
    await Sender.post(http, "nonsense")
    const { code, stderr, stdout } = await collector.stop()
    assert.deepStrictEqual(
      { code, stderr: stderr.split("\n").slice(1), stdout },
      { code: 130, stderr: ["tinyllm collect: 3 spans in 2 requests stored, 1 request refused", ""], stdout: "" }
    )
  })

  it("outlives a few kilobytes that are millions of spans, scopes, objects or attributes", async () => {
    // In so little memory that they would end it.
    const collector = await start([], undefined, { NODE_OPTIONS: "--max-old-space-size=512" })
    const message = (field: number, content: Uint8Array) => {
      const length = [0, 7, 14, 21].map((bits) => ((content.length >> bits) & 127) | (bits < 21 ? 128 : 0))
      return Buffer.concat([Buffer.from([field * 8 + 2, ...length]), content])
    }
    const empty = (tag: number) => Buffer.alloc(19 * 1024 * 1024, Buffer.from([tag, 0]))
    const json = (list: string, end: string) => Buffer.from(`${list}${"{},".repeat(6_000_000)}{}${end}`)
    const scopes = message(1, empty(0x12))
    const spans = message(1, message(2, empty(0x12)))
    const attributes = message(1, message(2, message(2, empty(0x4a))))
    const post = (body: Buffer, type: string) =>
      Sender.post(collector.ports.http, gzipSync(body), {
        headers: { "content-type": type, "content-encoding": "gzip" }
      })
    for (const body of [scopes, spans, attributes]) {
      const { status, text } = await post(body, "application/x-protobuf")
      assert.strictEqual(status, 400)
      assert.match(text, /it has more than \d00000 (?:spans and scopes|parts)/)
    }
    const objects = await post(json('{"resourceSpans":[', "]}"), "application/json")
    assert.deepStrictEqual([objects.status, /more than \d+ objects/.test(objects.text)], [400, true])
    assert.strictEqual((await Sender.post(collector.ports.http, Sender.request(1))).status, 200)
    const { stderr } = await collector.stop()
    assert.include(stderr, "tinyllm collect: 1 span in 1 request stored, 4 requests refused\n")
  })

  it("says what docs/traces.md quotes", async () => {
    const collector = await start()
    const quoted = /^tinyllm collect\n```\n\n```text\n(.*?\n)```$/ms.exec(
      readFileSync(`${Process.root}docs/traces.md`, "utf8")
    )?.[1]
    const said = collector
      .stderr()
      .replaceAll(String(collector.ports.grpc), "4317")
      .replaceAll(String(collector.ports.http), "4318")
      .replace(collector.home, "/home/me/.local/state/tinyllm")
    // There need be no IPv6 where the test runs.
    assert.include([quoted, quoted?.replaceAll(/ and \[::1\]:\d+/g, "")], said)
    await collector.stop()
  })

  it("keeps what the SDK sends over gRPC and HTTP, for tinyllm trace to show", async () => {
    const collector = await start()
    const sent = await Promise.all(
      Object.entries(Sender.exporters).map(async ([name, exporter]) => {
        const spans = Sender.spans(3, name)
        await Sender.exportWith(exporter(collector.ports, true), spans)
        return spans.map((span) => ({ ...span.spanContext(), name }))
      })
    ).then((all) => all.flat())
    // Acknowledged, so they are there: nobody has to end it first.
    const spans = await stored(collector.home)
    assert.deepStrictEqual(ids(spans), ids(sent))
    for (const { name } of sent) {
      assert.deepInclude(spans.find((span) => span.name === name && span.attributes["number"] === 1) ?? {}, {
        attributes: { number: 1, half: 0.5, tags: ["a", "b"] },
        scope: { name: "another-library", version: "1.2.3" }
      })
    }
    const show = async (...args: ReadonlyArray<string>) =>
      (
        await Process.runNode("src/Main.ts", ["trace", ...args], {
          env: { TINYLLM_HOME: collector.home },
          timeoutMillis: 60_000
        })
      ).stdout
    const [listed, shown] = await Promise.all([show("ls"), show("show", sent[0]?.traceId ?? "", "--attributes")])
    for (const { traceId } of sent) {
      assert.include(listed, traceId)
    }
    for (const text of ["another-program", sent[0]?.name ?? "", "half = 0.5"]) {
      assert.include(shown, text)
    }
    await collector.stop()
  })

  it("stores what tinyllm itself sends, over gRPC and over HTTP", async () => {
    const collector = await start()
    const runs = await Promise.all(
      Object.entries({ grpc: collector.ports.grpc, "http/protobuf": collector.ports.http }).map(([protocol, port]) =>
        Process.runNode(
          "src/Main.ts",
          `run|What is 2 + 2?|--demo|--otlp-endpoint|http://127.0.0.1:${port}|--otlp-protocol|${protocol}`.split("|"),
          { timeoutMillis: 60_000 }
        )
      )
    )
    for (const { code, stderr } of runs) {
      assert.strictEqual(code, 0, stderr)
    }
    assert.lengthOf(
      (await stored(collector.home)).filter(({ name }) => name === "graph.execute"),
      2
    )
    await collector.stop()
  })

  it("is known to tinyllm doctor on both ports, also when they are mixed up", async () => {
    const collector = await start()
    const { grpc, http } = collector.ports
    const verdict = async (protocol: string, port: number): Promise<number | null> => {
      const url = `http://127.0.0.1:${port}`
      const args = ["doctor", "--telemetry", "--otlp-endpoint", url, "--otlp-protocol", protocol]
      return (await Process.runNode("src/Main.ts", args, { timeoutMillis: 60_000 })).code
    }
    assert.deepStrictEqual(
      await Promise.all([
        verdict("grpc", grpc),
        verdict("http/protobuf", http),
        verdict("grpc", http),
        verdict("http/protobuf", grpc)
      ]),
      [0, 0, 11, 12]
    )
    await collector.stop()
  })

  it("takes a span that comes twice once, and leaves out one without ids", async () => {
    const collector = await start()
    const request = Sender.request(1)
    assert.strictEqual((await Sender.callOnce(collector.ports.grpc, request)).code, "OK")
    assert.strictEqual((await Sender.callOnce(collector.ports.grpc, request)).code, "OK")
    const span = (traceId: string, spanId: string) => ({ traceId, spanId, name: "x", startTimeUnixNano: "1" })
    const spans = [
      span("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"),
      span("5b8efff798038103d269b633813fc60c", "0000000000000000"),
      span("00000000000000000000000000000000", "eee19b7ec3c1b174"),
      span("5b8efff798038103d269b633813fc6", "eee19b7ec3c1b175"),
      span("5b8efff798038103d269b633813fc60c", "")
    ]
    const answer = await Sender.post(
      collector.ports.http,
      JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }),
      { headers: { "content-type": "application/json" } }
    )
    assert.deepStrictEqual(JSON.parse(answer.text), {
      partialSuccess: {
        rejectedSpans: "4",
        errorMessage: "4 spans have no valid trace id and span id, or cannot be read."
      }
    })
    assert.lengthOf(await stored(collector.home), 2)
    const { stderr } = await collector.stop()
    assert.include(stderr, "3 spans in 3 requests stored, 4 spans without valid ids left out\n")
  })

  it("loses nothing that it has acknowledged when it is killed at once", async () => {
    // What senders try again after its end reaches nobody else.
    const ports = [await deadPort(), await deadPort()].map(String) as [string, string]
    const collector = await start(["--grpc-port", ports[0], "--http-port", ports[1]])
    const acknowledged: Array<string> = []
    const send = async (exporter: (typeof Sender.exporters)[string]): Promise<void> => {
      const spans = Sender.spans(7)
      const taken = await Sender.exportWith(exporter(collector.ports, false), spans).then(
        () => true,
        () => false
      )
      if (taken) {
        acknowledged.push(...spans.map((span) => span.spanContext().spanId))
        if (acknowledged.length > 200) {
          collector.kill("SIGKILL")
        }
        return send(exporter)
      }
    }
    await Promise.all(Object.values(Sender.exporters).map(send))
    await collector.exit
    const there = new Set((await stored(collector.home)).map(({ spanId }) => spanId))
    assert.isAbove(acknowledged.length, 200)
    assert.deepStrictEqual(
      acknowledged.filter((id) => !there.has(id)),
      []
    )
  })

  it("shares its store with another one", async () => {
    const home = Process.scratch()
    const [first, second] = await Promise.all([start([], home), start([], home)])
    const sent = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const spans = Sender.spans(10)
        const exporter = Sender.exporters["gRPC"]?.((index % 2 === 0 ? first : second).ports, false)
        assert.isDefined(exporter)
        await Sender.exportWith(exporter, spans)
        return spans.map((span) => span.spanContext())
      })
    )
    assert.deepStrictEqual(ids(await stored(home)), ids(sent.flat()))
    await Promise.all([first.stop(), second.stop()])
  })

  it("says once that the store cannot be written, has what comes sent again, and says when that is over", async () => {
    const collector = await start()
    const { grpc, http } = collector.ports
    assert.strictEqual((await Sender.callOnce(grpc, Sender.request(1))).code, "OK")
    const database = new DatabaseSync(fileIn(collector.home))
    database.exec("BEGIN EXCLUSIVE")
    const answers = await Promise.all([
      Sender.callOnce(grpc, Sender.request(1)).then(({ code }) => code),
      Sender.callOnce(grpc, Sender.request(1)).then(({ code }) => code),
      Sender.post(http, Sender.request(1)).then(({ headers, status }) => `${status} ${headers["retry-after"]}`)
    ])
    assert.deepStrictEqual(answers, ["UNAVAILABLE", "UNAVAILABLE", "503 1"])
    database.exec("ROLLBACK")
    database.close()
    assert.strictEqual((await Sender.callOnce(grpc, Sender.request(1))).code, "OK")
    const { stderr } = await collector.stop()
    const [, failing, ...rest] = stderr.split("\n")
    assert.match(
      failing ?? "",
      /^tinyllm collect: spans cannot be stored, so senders are told to send them again: (?:the trace store .+traces\.db is locked by another process|it takes longer than 8 s)$/
    )
    assert.deepStrictEqual(rest, [
      "tinyllm collect: spans are stored again",
      "tinyllm collect: 2 spans in 2 requests stored, 3 requests sent away to come again",
      ""
    ])
  })

  it("does not begin where the store cannot be written", async () => {
    const home = Process.scratch()
    mkdirSync(fileIn(home))
    const { code, stderr, stdout } = await Process.runNode(
      "src/Main.ts",
      ["collect", "--grpc-port", "0", "--http-port", "0"],
      { env: { TINYLLM_HOME: home } }
    )
    assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
    assert.match(stderr, new RegExp(`^tinyllm: the trace store ${fileIn(home)} .+\\n$`))
  })

  it("names the port that is taken, and the flag for another one", async () => {
    const collector = await start()
    const { grpc, http } = collector.ports
    const attempt = (...args: ReadonlyArray<string>) =>
      Process.runNode("src/Main.ts", ["collect", ...args], { env: { TINYLLM_HOME: Process.scratch() } })
    for (const [args, flag, port] of [
      [["--grpc-port", String(grpc), "--http-port", "0"], "--grpc-port", grpc],
      [["--grpc-port", "0", "--http-port", String(http)], "--http-port", http]
    ] as const) {
      const { code, stderr, stdout } = await attempt(...args)
      assert.deepStrictEqual(
        { code, stderr, stdout },
        {
          code: 2,
          stderr: `tinyllm: cannot listen on 127.0.0.1:${port}: another program listens there. Choose another port with ${flag}; 0 takes a free one.\n`,
          stdout: ""
        }
      )
    }
    const same = await attempt("--grpc-port", "4400", "--http-port", "4400")
    assert.deepInclude(same, {
      code: 2,
      stderr:
        "tinyllm: gRPC and HTTP have a port each, and 4400 is given for both. Choose another one with --http-port.\n"
    })
    const elsewhere = await attempt("--host", "192.0.2.1", "--grpc-port", "0", "--http-port", "0")
    assert.deepInclude(elsewhere, {
      code: 2,
      stderr:
        "tinyllm: cannot listen on 192.0.2.1:0: this machine has no such address. Choose another address with --host.\n"
    })
    const wrong = await attempt("--grpc-port", "70000")
    assert.strictEqual(wrong.code, 2)
    assert.include(wrong.stderr, "Expected a port from 0 to 65535, got 70000")
    await collector.stop()
  })

  it("warns where other machines reach it", async () => {
    const collector = await start(["--host", "0.0.0.0"])
    assert.match(
      collector.stderr(),
      /^tinyllm collect: warning: other machines that reach 0\.0\.0\.0 can send traces here, too; there is no key and no TLS\n/
    )
    await collector.stop()
  })

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it(`ends on ${signal}, although senders stay connected and one has not sent all`, async () => {
      const collector = await start()
      const client = Sender.grpcClient(collector.ports.grpc)
      assert.strictEqual((await Sender.call(client, Sender.request(1))).code, "OK")
      const half = Net.connect(collector.ports.http, "127.0.0.1").on("error", () => {})
      half.write(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\nexpect: 100-continue\r\n" +
          "content-length: 9\r\n\r\n"
      )
      // It has been let in.
      await new Promise((resolve) => half.once("data", resolve))
      const begin = performance.now()
      const { code, stderr } = await collector.stop(signal)
      assert.isBelow(performance.now() - begin, 6000)
      client.close()
      half.destroy()
      assert.strictEqual(code, 130)
      assert.include(stderr, "tinyllm collect: 1 span in 1 request stored")
    })
  }
})

// By itself: who makes so many spans has no time for others.
describe("tinyllm collect", () => {
  it("takes 100 000 spans at once without losing one, in bounded memory", async () => {
    const collector = await start()
    const batches = Sender.batches({ traces: 100, spansPerTrace: 1000, batch: 512 })
    const senders = Array.from({ length: 16 }, (_, sender) => batches.filter((_, index) => index % 16 === sender))
    await Promise.all(
      senders.map((own, index) => {
        const exporter = Object.values(Sender.exporters)[index % 3]?.(collector.ports, index % 2 === 0)
        assert.isDefined(exporter)
        return Sender.exportWith(exporter, ...own)
      })
    )
    // Only Linux tells this of another process.
    const status = `/proc/${collector.pid}/status`
    const peak = existsSync(status) ? /VmHWM:\s+(\d+) kB/.exec(readFileSync(status, "utf8"))?.[1] : "0"
    const { stderr } = await collector.stop()
    assert.include(stderr, `\ntinyllm collect: 100000 spans in ${batches.length} requests stored\n`)
    const traces = await inStore(collector.home, (store) => store.list())
    assert.deepStrictEqual(
      traces.map(({ spans }) => spans),
      Array.from({ length: 100 }, () => 1000)
    )
    assert.isBelow(Number(peak), 400_000)
  }, 120_000)
})
