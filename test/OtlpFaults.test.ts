// Collectors that are not as one would like them, and programs that live with that: real processes, real sockets.
import { createConnection, type Socket } from "node:net"
import { assert, describe, it, vi } from "vitest"
import * as Closing from "./support/Closing.ts"
import * as Collector from "./support/Collector.ts"
import * as Listener from "./support/Listener.ts"
import * as Process from "./support/Process.ts"
import * as Quick from "./support/Quick.ts"
import * as Spool from "./support/Spool.ts"

const traced = "test/fixtures/traced.ts"
const dripping = "test/fixtures/dripping.ts"

const closing = Closing.afterAll()

const collect = async (...options: Parameters<typeof Collector.start>) => closing(await Collector.start(...options))

const listen = async (...options: Parameters<typeof Listener.start>) => closing(await Listener.start(...options))

const environment = (url: string, home: string, rest: Record<string, string> = {}) => ({
  TINYLLM_TRACING: "true",
  TINYLLM_OTLP_ENDPOINT: url,
  TINYLLM_SPOOL: "true",
  TINYLLM_HOME: home,
  ...rest
})

const kept = `kept, send them with "tinyllm trace push"`

describe("T40 a collector that refuses with", () => {
  // The statuses of gRPC but OK, and whether OTLP has the same spans sent again.
  // https://opentelemetry.io/docs/specs/otlp/#failures
  const statuses = {
    CANCELLED: "again",
    UNKNOWN: "kept",
    INVALID_ARGUMENT: "lost",
    DEADLINE_EXCEEDED: "again",
    NOT_FOUND: "kept",
    ALREADY_EXISTS: "lost",
    PERMISSION_DENIED: "kept",
    RESOURCE_EXHAUSTED: "kept",
    FAILED_PRECONDITION: "kept",
    ABORTED: "again",
    OUT_OF_RANGE: "again",
    UNIMPLEMENTED: "kept",
    INTERNAL: "kept",
    UNAVAILABLE: "again",
    DATA_LOSS: "again",
    UNAUTHENTICATED: "kept"
  } as const
  const names = Object.keys(statuses) as Array<keyof typeof statuses>

  it("each status of gRPC changes neither answer nor exit code, and costs one line that is true", async () => {
    // Four at a time: others want the machine as well.
    const queue = [...names]
    const worker = async () => {
      for (let refuse = queue.shift(); refuse !== undefined; refuse = queue.shift()) {
        const collector = await collect({ mode: { refuse } })
        const home = Spool.home()
        const { code, stderr, stdout } = await Process.runNode(traced, ["ok"], {
          env: environment(collector.url, home.path, { OTEL_EXPORTER_OTLP_TIMEOUT: "2500" })
        })
        assert.deepStrictEqual({ code, stdout }, { code: 0, stdout: "answer\n" }, refuse)
        const reason =
          refuse === "DEADLINE_EXCEEDED" ? "no answer from" : `${collector.url.slice(7)} answered ${refuse}: refused`
        assert.include(stderr, `tinyllm: 2 spans not exported: ${reason}`)
        assert.lengthOf(stderr.trimEnd().split("\n"), 1, stderr)
        const [first, ...more] = collector.calls()
        assert.strictEqual(more.length > 0, statuses[refuse] === "again", `${refuse} came ${more.length + 1} times`)
        assert.isTrue(
          more.every(({ bytes }) => first?.bytes.equals(bytes)),
          "the same bytes again"
        )
        if (statuses[refuse] === "lost") {
          assert.notInclude(stderr, "kept")
          assert.deepStrictEqual(home.names(), [])
        } else {
          assert.include(stderr, kept)
          assert.deepStrictEqual(home.bytes(), [first?.bytes])
        }
      }
    }
    await Promise.all([worker(), worker(), worker(), worker()])
  }, 120_000)
})

describe.concurrent("T40 a collector", () => {
  it("that is down from start to end has everything after a push, byte for byte, and the push says so", async () => {
    const port = await Collector.deadPort()
    const home = Spool.home()
    const env = environment(`http://127.0.0.1:${port}`, home.path)
    const results = await Promise.all(["ok", "fail"].map((what) => Process.runNode(traced, [what, "3"], { env })))
    assert.deepStrictEqual(
      results.map(({ code }) => code),
      [0, 1]
    )
    for (const { stderr } of results) {
      assert.include(stderr, `tinyllm: 4 spans not exported: connection refused at 127.0.0.1:${port}; ${kept}\n`)
    }
    const files = home.bytes()
    const spans = home.spans()
    assert.lengthOf(files, 2)
    assert.lengthOf(spans, 8)

    const collector = await collect({ port })
    const push = await Process.runNode("src/Main.ts", ["trace", "push"], { env })
    assert.deepInclude(push, { code: 0, stdout: `8 spans in 2 files sent to 127.0.0.1:${port}\n`, stderr: "" })
    assert.deepStrictEqual(
      collector.calls().map(({ bytes }) => bytes),
      files
    )
    assert.deepStrictEqual(collector.spans(), spans)
    assert.deepStrictEqual(home.names(), [])
  })

  it("that is slow gets every span once", async () => {
    const collector = await collect({ mode: { delayMillis: 300 } })
    const home = Spool.home()
    const { code, stderr } = await Process.runNode(traced, ["ok", "600"], {
      env: environment(collector.url, home.path)
    })
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    assert.lengthOf(collector.spans(), 601)
    assert.strictEqual(new Set(collector.spans().map(({ spanId }) => spanId)).size, 601)
    assert.deepStrictEqual(home.names(), [])
  })

  it("that closes the connection in the middle of a batch gets it again, with the same spans", async () => {
    const collector = await collect()
    const behind: Array<Socket> = []
    const front = await listen((socket, connection) => {
      const through = createConnection({ host: "127.0.0.1", port: collector.port }).on("error", () => {})
      behind.push(through)
      through.pipe(socket)
      if (connection > 1) {
        socket.pipe(through)
        return
      }
      // The greeting of HTTP/2 and a part of what follows.
      let received = 0
      socket.on("data", (bytes: Buffer) => {
        received += bytes.length
        if (received > 10_000) {
          socket.destroy()
          through.destroy()
        } else {
          through.write(bytes)
        }
      })
    })
    const home = Spool.home()
    const { code, stderr } = await Process.runNode(traced, ["ok", "400"], {
      env: environment(front.url, home.path)
    })
    for (const socket of behind) {
      socket.destroy()
    }
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    assert.isAbove(front.connections(), 1)
    assert.lengthOf(collector.spans(), 401)
    assert.strictEqual(new Set(collector.spans().map(({ spanId }) => spanId)).size, 401)
    assert.deepStrictEqual(home.names(), [])
  })

  it("that comes up late, goes away and comes back gets every span once: at once, or by a push", async () => {
    const port = await Collector.deadPort()
    const home = Spool.home()
    const env = environment(`http://127.0.0.1:${port}`, home.path, {
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_EXPORTER_OTLP_TIMEOUT: "400"
    })
    const child = Process.spawnNode(dripping, ["120", "40"], { env })
    await child.waitForStdout("span 12\n")
    const first = await Collector.start({ port })
    await first.waitFor(1)
    // What has come and is not acknowledged would come again.
    await first.drain()
    const before = home.spans().length
    await vi.waitFor(() => assert.isAbove(home.spans().length, before), { timeout: 10_000 })
    const second = await collect({ port })
    const { code, stderr } = await child.exit
    assert.strictEqual(code, 0)
    const sent = [...first.spans(), ...second.spans()].map(({ name }) => name)
    const waiting = home.spans().map(({ name }) => name)
    const all = Array.from({ length: 120 }, (_, index) => String(index + 1)).toSorted()
    assert.deepStrictEqual([...sent, ...waiting].toSorted(), all)
    assert.isNotEmpty(first.spans())
    assert.isNotEmpty(second.spans())
    assert.isNotEmpty(waiting)
    const said = [...stderr.matchAll(/^tinyllm: (\d+) spans? not exported: .*; kept, send them with .*$/gm)]
    assert.strictEqual(
      said.reduce((sum, [, spans]) => sum + Number(spans), 0),
      waiting.length
    )
    const push = await Process.runNode("src/Main.ts", ["trace", "push"], { env })
    assert.strictEqual(push.code, 0)
    assert.deepStrictEqual([...first.spans(), ...second.spans()].map(({ name }) => name).toSorted(), all)
  })

  it("that is away for a minute, with every setting as it is, costs no span", { timeout: 240_000 }, async () => {
    // Such a port nobody else is given in that minute.
    const first = await Collector.start({ port: await Collector.deadPort() })
    const home = Spool.home()
    const env = environment(first.url, home.path)
    const child = Process.spawnNode(dripping, ["750", "100"], { env, timeoutMillis: 200_000 })
    await first.waitFor(1, 30_000)
    await first.drain()
    const went = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 60_000))
    const second = await collect({ port: first.port })
    assert.isAtLeast(performance.now() - went, 60_000)
    const { code, stderr } = await child.exit
    assert.strictEqual(code, 0)
    assert.isNotEmpty(second.spans())
    assert.isNotEmpty(home.names())
    const all = Array.from({ length: 750 }, (_, index) => String(index + 1)).toSorted()
    const arrived = () => [...first.spans(), ...second.spans()].map(({ name }) => name)
    assert.deepStrictEqual([...arrived(), ...home.spans().map(({ name }) => name)].toSorted(), all)
    assert.match(stderr, /^(?:tinyllm: \d+ spans? not exported: .*; kept, send them with "tinyllm trace push"\n)+$/)
    assert.strictEqual((await Process.runNode("src/Main.ts", ["trace", "push"], { env })).code, 0)
    assert.deepStrictEqual(arrived().toSorted(), all)
    assert.deepStrictEqual(home.names(), [])
  })
})

describe("T41 a black hole", () => {
  it("of whatever kind takes three seconds at most, and the spans are kept", async () => {
    const hang = await collect({ mode: "hang" })
    const silent = await listen()
    const urls = [hang.url, silent.url, `https://127.0.0.1:${silent.port}`]
    await Promise.all(
      urls.map(async (url) => {
        // And what three processes at once take.
        await Quick.resolvesWithin(3500 + 500, async () => {
          const home = Spool.home()
          const child = Process.spawnNode(traced, ["ok"], { env: environment(url, home.path) })
          await child.waitForStdout("answer")
          const answered = performance.now()
          const { code, stderr } = await child.exit
          const millis = performance.now() - answered
          assert.strictEqual(code, 0)
          assert.strictEqual(
            stderr,
            `tinyllm: 2 spans not exported: no answer from ${url.replace(/.*\//, "")} within 3 s; ${kept}\n`
          )
          assert.lengthOf(home.spans(), 2)
          return millis
        })
      })
    )
  })
})

describe.concurrent("A spool", () => {
  const run = async (env: Record<string, string>) => {
    const port = await Collector.deadPort()
    const args = ["run", "2+2", "--demo", "--otlp-endpoint", `http://127.0.0.1:${port}`]
    const child = Process.spawnNode("src/Main.ts", args, { env })
    await child.waitForStdout("4")
    const answered = performance.now()
    const { code, stderr } = await child.exit
    assert.strictEqual(code, 0)
    return { millis: performance.now() - answered, port, line: stderr.trimEnd().split("\n").at(-1) }
  }

  // Where `mkdir` says ENOENT although there is a folder to make it in.
  it.runIf(process.platform === "linux")(
    "that cannot be made costs no more time than the collector, and a line that says both",
    () =>
      Quick.resolvesWithin(3000, async () => {
        const { line, millis, port } = await run({ TINYLLM_HOME: "/proc/nope" })
        assert.strictEqual(
          line,
          `tinyllm: 14 spans not exported: connection refused at 127.0.0.1:${port}; not kept: ` +
            "the folder /proc/nope/spool cannot be made (ENOENT)"
        )
        return millis
      })
  )

  it("that never answers is not waited for, and the line says why the spans were not exported", async () => {
    const home = Spool.home()
    const silent = `import fs from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
fs.mkdir = () => new Promise(() => {})
syncBuiltinESMExports()`
    // And what two processes at once take.
    await Quick.resolvesWithin(3500 + 500, async () => {
      const { line, millis, port } = await run({
        TINYLLM_HOME: home.path,
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(silent)}`
      })
      assert.strictEqual(
        line,
        `tinyllm: 14 spans not exported: connection refused at 127.0.0.1:${port}; not kept: ` +
          `the folder ${home.directory} does not answer`
      )
      return millis
    })
  })
})

describe("A program that is killed", () => {
  it("loses nothing of what a collector has not answered for a second, however long it may take", async () => {
    const collector = await collect({ mode: "hang" })
    const home = Spool.home()
    const env = environment(collector.url, home.path, {
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_EXPORTER_OTLP_TIMEOUT: "60000"
    })
    // More batches than are sent at once: those behind them have to be kept too.
    const child = Process.spawnNode(dripping, ["20", "60", "sleep"], { env })
    await child.waitForStdout("done")
    const deadline = performance.now() + 15_000
    while (home.spans().length < 20) {
      assert.isBelow(performance.now(), deadline, `${home.spans().length} spans in ${home.names().length} files`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    child.kill("SIGKILL")
    await child.exit
    assert.lengthOf(home.spans(), 20)
  })

  it("loses what was recorded since the last export, and nothing else", async () => {
    const port = await Collector.deadPort()
    const home = Spool.home()
    // Of each batch the last attempt is far away.
    const env = environment(`http://127.0.0.1:${port}`, home.path, {
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_EXPORTER_OTLP_TIMEOUT: "60000"
    })
    const child = Process.spawnNode(dripping, ["20", "20", "sleep"], { env })
    await child.waitForStdout("done")
    const deadline = performance.now() + 15_000
    while (home.names().length < 1 || home.spans().length < 20) {
      assert.isBelow(performance.now(), deadline, `${home.names().length} files`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    child.kill("SIGKILL")
    await child.exit

    const collector = await collect({ port })
    const push = await Process.runNode("src/Main.ts", ["trace", "push"], { env })
    assert.deepInclude(push, { code: 0, stderr: "" })
    assert.deepStrictEqual(
      collector
        .spans()
        .map(({ name }) => Number(name))
        .toSorted((a, b) => a - b),
      Array.from({ length: 20 }, (_, index) => index + 1)
    )
    assert.deepStrictEqual(home.names(), [])
  })
})
