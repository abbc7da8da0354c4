// `tinyllm trace push`, and the files between a run and it: real processes, a real collector.
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import * as SpoolFiles from "../src/Spool.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Closing from "./support/Closing.ts"
import * as Collector from "./support/Collector.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Process from "./support/Process.ts"
import * as Spool from "./support/Spool.ts"

const dripping = "test/fixtures/dripping.ts"

const closing = Closing.afterAll()

const collect = async (...options: Parameters<typeof Collector.start>) => closing(await Collector.start(...options))

const push = (home: Spool.Home, url: string, args: ReadonlyArray<string> = [], env: Record<string, string> = {}) =>
  Process.runNode("src/Main.ts", ["trace", "push", "--otlp-endpoint", url, ...args], {
    env: { TINYLLM_HOME: home.path, ...env }
  })

const nowhere = Collector.deadPort().then((port) => `http://127.0.0.1:${port}`)

/** As many spans on disk, each in a file of its own; numbered from 1. */
const spool = async (home: Spool.Home, count: number) => {
  const layer = Telemetry.layer({ otlpEndpoint: await nowhere, spool: { directory: home.directory } })
  const spans = Effect.forEach(upTo(count), (number) => Effect.withSpan(Effect.void, String(number)))
  await Effect.runPromise(isolated(Effect.provide(spans, layer), { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "1" }))
}

const numbers = (collector: { readonly spans: () => ReadonlyArray<Collector.CollectedSpan> }) =>
  collector
    .spans()
    .map(({ name }) => Number(name))
    .toSorted((a, b) => a - b)

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

describe.concurrent("tinyllm trace push", () => {
  it("says that there is nothing to do", async () => {
    const home = Spool.home()
    const { code, stderr, stdout } = await push(home, await nowhere)
    assert.deepStrictEqual(
      { code, stderr, stdout },
      { code: 0, stderr: "", stdout: `Nothing to send: no spans are kept in ${home.directory}\n` }
    )
  })

  it("keeps everything where nobody listens, and says so on one line", async () => {
    const home = Spool.home()
    await spool(home, 3)
    const before = home.names()
    const url = await nowhere
    const { code, millis, stderr, stdout } = await push(home, url)
    assert.deepStrictEqual(
      { code, stderr, stdout },
      {
        code: 1,
        stderr: `tinyllm: 3 spans in 3 files not sent, they stay: connection refused at ${url.slice(7)}. Is a collector running there?\n`,
        stdout: ""
      }
    )
    assert.isBelow(millis, 10_000)
    assert.deepStrictEqual(home.names(), before)
  })

  it("sends to the collector that the flag names, with the headers of the environment, and over HTTP as well", async () => {
    const home = Spool.home()
    await spool(home, 2)
    const files = home.bytes()
    const collector = closing(await HttpCollector.start())
    const result = await push(home, collector.url, ["--otlp-protocol", "http/protobuf"], {
      TINYLLM_OTLP_ENDPOINT: await nowhere,
      OTEL_EXPORTER_OTLP_HEADERS: "x-key=1"
    })
    assert.deepInclude(result, { code: 0, stderr: "" })
    assert.match(result.stdout, /^2 spans in 2 files sent to 127\.0\.0\.1:\d+\n$/)
    assert.deepStrictEqual(
      collector.calls().map(({ bytes }) => bytes),
      files
    )
    assert.deepInclude(collector.calls()[0]?.headers, { "x-key": "1" })
    assert.deepStrictEqual(home.names(), [])
  })

  it("names a file that was cut off, one that was changed and one of others, and sends the rest", async () => {
    const home = Spool.home()
    await spool(home, 4)
    const [cut = "", changed = "", ...whole] = home.names()
    const path = (name: string) => join(home.directory, name)
    const bytes = readFileSync(path(cut)).length
    truncateSync(path(cut), Math.floor(bytes / 2))
    const content = readFileSync(path(changed))
    content[content.length - 5] = (content[content.length - 5] ?? 0) ^ 1
    writeFileSync(path(changed), content)
    writeFileSync(path("mine.otlp"), "?")
    const collector = await collect()
    const { code, stderr, stdout } = await push(home, collector.url)
    assert.deepStrictEqual(
      { code, stderr: stderr.split("\n").toSorted(), stdout },
      {
        code: 0,
        stderr: [
          "",
          `tinyllm: ${cut} is skipped: it has ${Math.floor(bytes / 2)} of ${bytes} bytes. Delete it to hear no more of it.`,
          `tinyllm: ${changed} is skipped: its content is not what was written. Delete it to hear no more of it.`,
          "tinyllm: mine.otlp is skipped: TinyLLM gives no such name. Delete it to hear no more of it."
        ].toSorted(),
        stdout: `2 spans in 2 files sent to ${collector.url.slice(7)}\n`
      }
    )
    assert.lengthOf(collector.calls(), whole.length)
    assert.deepStrictEqual(home.names(), [cut, changed, "mine.otlp"].toSorted())
  })

  it("names what is no file, and does not wait for it", async () => {
    const home = Spool.home()
    await spool(home, 1)
    const name = (begin: number) => `2024010${begin}T000000001Z-0000000000000000-5spans-10bytes-0123456789abcdef.otlp`
    const path = (begin: number) => join(home.directory, name(begin))
    execFileSync("mkfifo", [path(1)])
    mkdirSync(path(2))
    symlinkSync("/dev/zero", path(3))
    const collector = await collect()
    const { code, millis, stderr, stdout } = await push(home, collector.url)
    assert.deepStrictEqual(
      { code, stderr, stdout },
      {
        code: 0,
        stderr: [1, 2, 3]
          .map(
            (begin) => `tinyllm: ${name(begin)} is skipped: it is no regular file. Delete it to hear no more of it.\n`
          )
          .join(""),
        stdout: `1 span in 1 file sent to ${collector.url.slice(7)}\n`
      }
    )
    assert.isBelow(millis, 15_000)
    assert.deepStrictEqual(home.names(), [1, 2, 3].map(name))
  })

  it("names a file with an odd name so that it can be found", async () => {
    const home = Spool.home()
    mkdirSync(home.directory)
    const names = ["a\u001b[31m\nb.otlp", "c\u202ed \u009b.otlp", "é'\\.otlp"]
    for (const name of names) {
      writeFileSync(join(home.directory, name), "")
    }
    const { code, stderr } = await push(home, await nowhere)
    assert.strictEqual(code, 0)
    const said = [...stderr.matchAll(/^tinyllm: (".*") is skipped: /gm)].map(([, name = ""]) => name)
    assert.deepStrictEqual(said, [
      String.raw`"a\u001b[31m\nb.otlp"`,
      String.raw`"c\u202ed \u009b.otlp"`,
      String.raw`"é'\\.otlp"`
    ])
    assert.deepStrictEqual(
      said.map((name) => JSON.parse(name)),
      names
    )
  })

  it("leaves what the collector does not want, sends the rest, and stops at what is wrong with itself", async () => {
    const home = Spool.home()
    await spool(home, 3)
    const names = home.names()
    const collector = await collect({ mode: (call) => (call === 1 ? { refuse: "INVALID_ARGUMENT" } : "ok") })
    const { code, stderr, stdout } = await push(home, collector.url)
    assert.strictEqual(code, 1)
    assert.strictEqual(stdout, `2 spans in 2 files sent to ${collector.url.slice(7)}\n`)
    assert.include(stderr, `${names[0]} with 1 span stays: ${collector.url.slice(7)} answered INVALID_ARGUMENT`)
    assert.deepStrictEqual(home.names(), names.slice(0, 1))

    const locked = await collect({ mode: { refuse: "UNAUTHENTICATED" } })
    await spool(home, 1)
    const refused = await push(home, locked.url)
    assert.strictEqual(refused.code, 1)
    assert.include(refused.stderr, "2 spans in 2 files not sent, they stay:")
    assert.lengthOf(locked.calls(), 1)
  })

  it("sends what is behind a file that is too large for the collector, over HTTP and over gRPC", async () => {
    const over = {
      http: await HttpCollector.start({ mode: (call) => (call === 1 ? { status: 413 } : "ok") }),
      grpc: await Collector.start({
        mode: (call) =>
          call === 1 ? { refuse: "RESOURCE_EXHAUSTED", details: "Received message larger than max (5 vs 4)" } : "ok"
      })
    }
    for (const [protocol, collector] of Object.entries(over)) {
      closing(collector)
      const home = Spool.home()
      await spool(home, 3)
      const [first = ""] = home.names()
      const flags = protocol === "http" ? ["--otlp-protocol", "http/protobuf"] : []
      const { code, stderr, stdout } = await push(home, collector.url, flags)
      assert.strictEqual(code, 1)
      assert.strictEqual(stdout, `2 spans in 2 files sent to ${collector.url.slice(7)}\n`)
      assert.include(stderr, `${first} with 1 span stays: `)
      assert.deepStrictEqual(home.names(), [first])
    }
  })

  it("takes over what a program had that was started again under its number, as containers do", async () => {
    const home = Spool.home()
    await spool(home, 1)
    const [name = ""] = home.names()
    const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8)
    const isFree = async (since: number) => {
      const sent = `${name}.${since}-${process.pid}-${host}`
      renameSync(join(home.directory, home.names()[0] ?? ""), join(home.directory, sent))
      const { files } = await Effect.runPromise(SpoolFiles.list(home.directory))
      assert.lengthOf(files, 1)
      return SpoolFiles.isFree(files[0]!, Date.now())
    }
    assert.isFalse(await isFree(Date.now()))
    assert.isTrue(await isFree(Math.round(Date.now() - 1000 * process.uptime()) - 60_000))
  })

  it("says what an acknowledged file lost", async () => {
    const home = Spool.home()
    await spool(home, 1)
    const collector = await collect({ mode: { reject: 1, message: "no room" } })
    const { code, stderr, stdout } = await push(home, collector.url)
    assert.deepStrictEqual(
      { code, stderr, stdout },
      {
        code: 0,
        stderr: `tinyllm: 1 span rejected by ${collector.url.slice(7)}: no room\n`,
        stdout: `0 spans in 1 file sent to ${collector.url.slice(7)}\n`
      }
    )
    assert.deepStrictEqual(home.names(), [])
  })

  it("sends nothing where OTEL_SDK_DISABLED says so", async () => {
    const home = Spool.home()
    await spool(home, 1)
    const collector = await collect()
    const { code, stderr } = await push(home, collector.url, [], { OTEL_SDK_DISABLED: "true" })
    assert.strictEqual(code, 2)
    assert.include(stderr, "tinyllm: Nothing is sent: OTEL_SDK_DISABLED is true.\n")
    assert.lengthOf(collector.calls(), 0)
  })

  it("shares the files with another one: every span arrives once", async () => {
    const home = Spool.home()
    await spool(home, 25)
    const collector = await collect({ mode: { delayMillis: 10 } })
    const pushes = await Promise.all([push(home, collector.url), push(home, collector.url)])
    assert.deepStrictEqual(
      pushes.map(({ code, stderr }) => ({ code, stderr })),
      [
        { code: 0, stderr: "" },
        { code: 0, stderr: "" }
      ]
    )
    assert.deepStrictEqual(numbers(collector), upTo(25))
    assert.deepStrictEqual(home.names(), [])
  })

  it("takes over what another one had in hand when it was killed, and leaves alone what one has in hand", async () => {
    const home = Spool.home()
    await spool(home, 2)
    const collector = await collect({ mode: "hang" })
    const first = Process.spawnNode("src/Main.ts", ["trace", "push", "--otlp-endpoint", collector.url], {
      env: { TINYLLM_HOME: home.path, OTEL_EXPORTER_OTLP_TIMEOUT: "60000" },
      timeoutMillis: 60_000
    })
    const deadline = performance.now() + 25_000
    while (collector.calls().length === 0) {
      assert.isBelow(performance.now(), deadline)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    collector.mode = "ok"
    const beside = await push(home, collector.url)
    assert.deepInclude(beside, {
      code: 0,
      stderr: "",
      stdout: `1 span in 1 file sent to ${collector.url.slice(7)}; another process is sending 1 file\n`
    })
    first.kill("SIGKILL")
    await first.exit
    const after = await push(home, collector.url)
    assert.deepInclude(after, { code: 0, stdout: `1 span in 1 file sent to ${collector.url.slice(7)}\n` })
    assert.deepStrictEqual(numbers(collector), [1, 2])
    assert.deepStrictEqual(home.names(), [])
  })

  it("gives back what it has in hand when it is interrupted", async () => {
    const home = Spool.home()
    await spool(home, 2)
    const before = home.names()
    const collector = await collect({ mode: "hang" })
    const child = Process.spawnNode("src/Main.ts", ["trace", "push", "--otlp-endpoint", collector.url], {
      env: { TINYLLM_HOME: home.path, OTEL_EXPORTER_OTLP_TIMEOUT: "60000" },
      timeoutMillis: 60_000
    })
    const deadline = performance.now() + 25_000
    while (collector.calls().length === 0) {
      assert.isBelow(performance.now(), deadline)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    child.kill("SIGINT")
    assert.strictEqual((await child.exit).code, 130)
    assert.deepStrictEqual(home.names(), before)
  })
})

describe.concurrent("The spool", () => {
  it("makes the folders that are missing, for their owner only", async () => {
    const home = Spool.home()
    const below = { ...home, directory: join(home.path, "a", "b", "spool") }
    await spool(below, 1)
    assert.lengthOf(readdirSync(below.directory), 1)
    for (const folder of ["a", "a/b", "a/b/spool"]) {
      assert.strictEqual(statSync(join(home.path, folder)).mode & 0o777, 0o700, folder)
    }
  })

  it("goes by what files are, not by what their names say", async () => {
    const home = Spool.home()
    await spool(home, 2)
    const before = home.names()
    const bogus = [
      "20200101T000000000Z-0000000000000000-9spans-3bytes-0123456789abcdef.otlp",
      "20990101T000000000Z-0000000000000000-1spans-999999999999bytes-0123456789abcdef.otlp"
    ]
    for (const name of bogus) {
      writeFileSync(join(home.directory, name), "")
    }
    const { stderr } = await Process.runNode("test/fixtures/traced.ts", ["ok"], {
      env: {
        TINYLLM_TRACING: "true",
        TINYLLM_OTLP_ENDPOINT: await nowhere,
        TINYLLM_SPOOL: "true",
        TINYLLM_HOME: home.path
      }
    })
    assert.notInclude(stderr, "dropped")
    assert.includeMembers([...home.names()], [...before, ...bogus])
    assert.lengthOf(home.names(), 5)
  })

  it("takes the files of several processes at once", async () => {
    const home = Spool.home()
    const env = {
      TINYLLM_TRACING: "true",
      TINYLLM_OTLP_ENDPOINT: await nowhere,
      TINYLLM_SPOOL: "true",
      TINYLLM_HOME: home.path,
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "2"
    }
    await Promise.all([1, 2, 3].map(() => Process.runNode(dripping, ["30"], { env })))
    assert.lengthOf(home.names(), 45)
    assert.strictEqual(new Set(home.spans().map(({ spanId }) => spanId)).size, 90)
    for (const name of readdirSync(home.directory)) {
      assert.match(name, /^\d{8}T\d{9}Z-[0-9a-f]{16}-2spans-\d+bytes-[0-9a-f]{16}\.otlp$/)
    }
  })
})
