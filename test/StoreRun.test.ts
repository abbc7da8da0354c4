// The store of traces from outside: what runs leave in it, and what it never does to them.
import { assert, describe, it } from "@effect/vitest"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import { Effect, Layer, Schema, Tracer } from "effect"
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as OtlpEncode from "../src/OtlpEncode.ts"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as TraceStore from "../src/TraceStore.ts"
import * as TraceUiViews from "../src/TraceUiViews.ts"
import * as Collector from "./support/Collector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Kept from "./support/Kept.ts"
import * as Process from "./support/Process.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { message: Schema.String }) {}

const timeout = { timeout: 120_000 }
const question = "What is 2 + 2?"

/** A folder to give as `TINYLLM_HOME`, and what is in the store there. */
const home = () => {
  const path = Process.scratch()
  const file = join(path, "traces.db")
  const reading = <A>(use: (store: TraceStore.TraceStore["Service"]) => Effect.Effect<A, TraceStore.TraceStoreError>) =>
    Effect.runPromise(Effect.scoped(Effect.flatMap(TraceStore.make({ file }), use)))
  return {
    path,
    file,
    list: () => reading((store) => store.list()),
    names: (id: string) => reading((store) => Effect.map(store.read(id), (spans) => spans.map((span) => span.name)))
  }
}

const ask = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  Process.runNode("src/Main.ts", ["run", question, "--demo", ...args], { env, timeoutMillis: 100_000 })

/** What is on standard error but the trace, and what the demo says of itself. */
const complaints = (stderr: string) =>
  stderr.split("\n").filter((line) => line.startsWith("tinyllm: ") && !line.includes("demo server"))

describe.concurrent("A run with tracing", () => {
  it("keeps its trace, says nothing of it in a pipe, and prints what it prints without", timeout, async () => {
    const at = home()
    const off = await ask(["--tracing", "--no-store"], { TINYLLM_HOME: at.path })
    assert.isFalse(existsSync(at.file))
    const on = await ask(["--tracing"], { TINYLLM_HOME: at.path })
    assert.deepStrictEqual([on.code, on.stdout], [0, "4\n"])
    assert.deepStrictEqual([off.code, off.stdout], [0, "4\n"])
    const shape = (stderr: string) => stderr.replaceAll(/[0-9a-f]{32}|\d+(?:\.\d+)? m?s/g, "…")
    assert.strictEqual(shape(on.stderr), shape(off.stderr))
    const [trace] = await at.list()
    assert.deepInclude(trace, {
      rootName: "graph.execute",
      service: "tinyllm",
      graph: "assistant",
      query: question,
      status: "ok",
      nodes: 3,
      failedSpans: 0,
      models: ["qwen2.5:0.5b", "qwen2.5:3b"]
    })
    assert.include(on.stderr, trace!.traceId)
    assert.strictEqual(trace?.spans, (await at.names(trace!.traceId)).length)
  })

  it(
    "keeps its trace and shows it nowhere with the exporter none, or when only a store is asked for",
    timeout,
    async () => {
      const at = home()
      for (const flags of [["--exporter", "none"], ["--store"]]) {
        const { code, stderr, stdout } = await ask(flags, { TINYLLM_HOME: at.path })
        assert.deepStrictEqual([code, stdout, complaints(stderr)], [0, "4\n", []])
        assert.notInclude(stderr, "graph.execute")
      }
      assert.lengthOf(await at.list(), 2)
    }
  )

  it("keeps what it sends to a collector as well, the same spans", timeout, async () => {
    const at = home()
    const collector = await Collector.start()
    const { stderr } = await ask(["--otlp-endpoint", collector.url], { TINYLLM_HOME: at.path })
    await collector.close()
    assert.lengthOf(complaints(stderr), 1, stderr)
    const [trace] = await at.list()
    assert.sameMembers(
      await at.names(trace!.traceId),
      collector.spans().map(({ name }) => name)
    )
  })

  it("keeps nothing where it is told not to, or is not traced, or not sampled", timeout, async () => {
    const at = home()
    for (const [args, env] of [
      [["--tracing"], { TINYLLM_STORE: "false" }],
      [[], {}],
      [["--tracing", "--sampling-rate", "0"], {}]
    ] as const) {
      assert.strictEqual((await ask(args, { TINYLLM_HOME: at.path, ...env })).stdout, "4\n")
      assert.deepStrictEqual(await at.list(), [], JSON.stringify(args))
    }
  })

  it("keeps the trace of a run that fails, which fails as it would", timeout, async () => {
    const at = home()
    const env = { TINYLLM_HOME: at.path, OLLAMA_HOST: "127.0.0.1:9" }
    const { code, stdout } = await Process.runNode("src/Main.ts", ["run", question, "--tracing"], {
      env,
      timeoutMillis: 100_000
    })
    assert.deepStrictEqual([code, stdout], [3, ""])
    const [trace] = await at.list()
    assert.strictEqual(trace?.status, "error")
    assert.isDefined(trace?.error)
  })

  it.skipIf(!Process.hasTerminal)("says in a terminal how to look at it", timeout, async () => {
    const at = home()
    const line = `${process.execPath} src/Main.ts run "${question}" --demo --tracing`
    const { stdout } = await Process.spawnInTerminal(200, line, {
      env: { TINYLLM_HOME: at.path },
      timeoutMillis: 100_000
    }).exit
    const [trace] = await at.list()
    const id = trace?.traceId.slice(0, 8)
    assert.include(stdout, `tinyllm: trace ${id} kept: tinyllm trace show ${id}\r\n`)
  })
})

describe.concurrent("A store that cannot be used leaves a run as it is, but for one line:", () => {
  const damaged = "is damaged, or no trace store; move it away to begin a new one"
  const cases: ReadonlyArray<readonly [what: string, prepare: (at: ReturnType<typeof home>) => object, why: string]> = [
    ["a folder that cannot be made", () => ({ TINYLLM_HOME: "/proc/nope" }), "cannot be used (ENOENT)"],
    [
      "a file in the place of its folder",
      ({ path }) => {
        writeFileSync(join(path, "file"), "")
        return { TINYLLM_HOME: join(path, "file") }
      },
      "has a file in its path where a folder should be (EEXIST)"
    ],
    ["a folder in its place", ({ file }) => (mkdirSync(file), {}), "is no file"],
    ["a file of others", ({ file }) => (writeFileSync(file, "text\n".repeat(999)), {}), damaged],
    [
      "a later version",
      ({ file }) => {
        const database = new DatabaseSync(file)
        database.exec(`PRAGMA application_id = ${0x74_6c_54_53}; PRAGMA user_version = 7; CREATE TABLE a (b)`)
        database.close()
        return {}
      },
      "was made by a later version of tinyllm"
    ]
  ]
  it.each(cases)("%s", timeout, async (_, prepare, why) => {
    const at = home()
    const env = { TINYLLM_HOME: at.path, ...prepare(at) }
    const before = existsSync(at.file) && statSync(at.file).isFile() ? readFileSync(at.file) : undefined
    const { code, stderr, stdout } = await ask(["--tracing"], env)
    assert.deepStrictEqual([code, stdout], [0, "4\n"])
    const [line, ...more] = complaints(stderr)
    assert.deepStrictEqual(more, [])
    assert.match(line ?? "", /^tinyllm: \d+ spans not kept: the trace store \/\S+\/traces\.db /)
    assert.include(line, why)
    assert.deepStrictEqual(before, before === undefined ? undefined : readFileSync(at.file))
  })

  // A limit on the length of files stands for the disk: SQLite finds no room for the index of its log either way.
  it.skipIf(process.platform === "win32")(
    "a disk that is full, from which traces can still be read",
    timeout,
    async () => {
      const at = home()
      await ask(["--tracing"], { TINYLLM_HOME: at.path })
      const [trace] = await at.list()
      const full = (...args: ReadonlyArray<string>) =>
        Process.run(
          "sh",
          ["-c", `trap "" XFSZ; ulimit -f 8; exec "$@"`, "sh", process.execPath, "src/Main.ts", ...args],
          { env: { TINYLLM_HOME: at.path }, timeoutMillis: 100_000 }
        )
      const run = await full("run", question, "--demo", "--tracing")
      assert.deepStrictEqual([run.code, run.stdout], [0, "4\n"])
      assert.deepStrictEqual(
        complaints(run.stderr).map((line) => line.replace(/\d+/, "n")),
        [`tinyllm: n spans not kept: the trace store ${at.file} is on a disk that is full`]
      )
      const list = await full("trace", "ls", "--json")
      assert.deepStrictEqual([list.code, list.stderr], [0, ""])
      assert.include(list.stdout, trace!.traceId)
      for (const some of [
        ["rm", "last"],
        ["prune", "--older-than", "1ms"]
      ]) {
        const { code, stderr, stdout } = await full("trace", ...some)
        const advice = `"tinyllm trace rm --all --yes" removes all traces there`
        assert.deepStrictEqual(
          [code, stdout, stderr],
          [1, "", `tinyllm: the trace store ${at.file} is on a disk that is full; ${advice}\n`]
        )
      }
      const clear = await full("trace", "rm", "--all", "--yes")
      assert.deepStrictEqual([clear.code, clear.stdout, clear.stderr], [0, "1 trace removed\n", ""])
      assert.isFalse(existsSync(at.file))
      assert.deepStrictEqual(await at.list(), [])
    }
  )

  it("a database that another process has locked", timeout, async () => {
    const at = home()
    await ask(["--tracing"], { TINYLLM_HOME: at.path })
    const locking = new DatabaseSync(at.file)
    locking.exec("BEGIN IMMEDIATE")
    const { code, stderr, stdout } = await ask(["--tracing"], { TINYLLM_HOME: at.path })
    locking.exec("ROLLBACK")
    locking.close()
    assert.deepStrictEqual([code, stdout], [0, "4\n"])
    assert.deepStrictEqual(
      complaints(stderr).map((line) => line.replace(/\d+/, "n")),
      ["tinyllm: n spans not kept: the trace store did not answer in time"]
    )
  })

  it("no folder for it at all, which is no fault of anybody's", timeout, async () => {
    const { code, stderr, stdout } = await ask(["--tracing"], { TINYLLM_HOME: "", HOME: "" })
    assert.deepStrictEqual([code, stdout, complaints(stderr)], [0, "4\n", []])
  })
})

const keepingIn = (home: string, program: string, ...args: ReadonlyArray<string>) =>
  Process.spawnNode(program, args, {
    env: { TINYLLM_TRACING: "true", OTEL_TRACES_EXPORTER: "none", TINYLLM_STORE: "true", TINYLLM_HOME: home },
    timeoutMillis: 100_000
  })
const storing = (home: string, ...args: ReadonlyArray<string>) => keepingIn(home, "test/fixtures/storing.ts", ...args)

describe("Processes", () => {
  it(
    "that are killed lose nothing that was said to be there, and leave a store that all can read",
    timeout,
    async () => {
      const at = home()
      let sure = 0
      for (let round = 0; round < 6; round++) {
        const running = storing(at.path)
        // Not always at the same moment.
        await running.waitForStdout(`${40 * (round + 1)}\n`)
        running.kill("SIGKILL")
        const { stdout } = await running.exit
        sure += Number(stdout.trimEnd().split("\n").at(-1))
        const list = await at.list()
        const spans = list.reduce((sum, trace) => sum + trace.spans, 0)
        assert.isAtLeast(spans, sure)
        // What was on its way at the end of each, and that may be there all the same.
        sure = spans
        assert.strictEqual(new DatabaseSync(at.file).prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok")
      }
    }
  )

  it("that are killed leave a trace that says so from then on", timeout, async () => {
    const at = home()
    const running = keepingIn(at.path, "test/fixtures/unfinished.ts")
    await running.waitForStdout("unfinished\n")
    const trace = (...args: ReadonlyArray<string>) =>
      Process.runNode("src/Main.ts", ["trace", ...args], { env: { TINYLLM_HOME: at.path }, timeoutMillis: 100_000 })
    const looks = await Effect.runPromise(
      Effect.gen(function* () {
        const store = yield* TraceStore.make({ file: at.file })
        const views = ["traces", `trace/${(yield* store.list())[0]?.traceId}`].map((path) =>
          TraceUiViews.view(store, { path, query: new URLSearchParams(), lastEventId: undefined })
        )
        const told = Effect.forEach(views, (view) =>
          Effect.map(view!.next, (messages) => [
            messages.map(({ data }) => {
              const { rows, running } = data as { rows?: ReadonlyArray<{ status: string }>; running?: boolean }
              return rows?.map(({ status }) => status) ?? running
            }),
            view!.looksAgain?.()
          ])
        )
        const before = yield* told
        const again = yield* told
        const list = yield* Effect.promise(() => trace("ls"))
        running.kill("SIGKILL")
        yield* Effect.promise(() => running.exit)
        return { before, again, list, after: yield* told }
      }).pipe(Effect.scoped)
    )
    assert.match(looks.list.stdout, /  running  /)
    assert.deepStrictEqual(looks.before, [
      [[["running"]], true],
      [[true], true]
    ])
    assert.deepStrictEqual(looks.again, [
      [[], true],
      [[], true]
    ])
    assert.deepStrictEqual(looks.after, [
      [[["interrupted"]], false],
      [[false], false]
    ])
    assert.match((await trace("ls")).stdout, /  interrupted  /)
    assert.match((await trace("show", "last")).stdout, /^interrupted · /m)
    const [listed] = JSON.parse(`[${(await trace("ls", "--json")).stdout.trimEnd().replaceAll("\n", ",")}]`).flat()
    assert.deepInclude(listed, { status: "interrupted", error: "its process has ended before it did" })
    assert.isNumber(listed.durationMs)
  })

  it("write at the same time, and nothing is lost or counted twice", timeout, async () => {
    const at = home()
    const running = Array.from({ length: 3 }, () => storing(at.path, "60"))
    for (const { code, stderr } of await Promise.all(running.map(({ exit }) => exit))) {
      assert.deepStrictEqual([code, stderr], [0, ""])
    }
    const list = await at.list()
    assert.lengthOf(list, 180)
    assert.isTrue(list.every(({ spans, status }) => spans === 4 && status === "ok"))
  })
})

/** Runs an effect where the store of a folder is on. */
const keeping = <A, E>(
  self: Effect.Effect<A, E>,
  layer: Layer.Layer<never, Telemetry.TelemetryConfigError>,
  env: Readonly<Record<string, string>> = {}
) => isolated(Effect.provide(self, layer), env)

describe("Telemetry", () => {
  const work = Effect.withSpan(Effect.withSpan(Effect.void, "inner"), "outer")

  it.live("shows a trace while it grows", () =>
    Effect.gen(function* () {
      const { file, list } = home()
      const root = Effect.withSpan(
        Effect.gen(function* () {
          yield* work
          let running: ReadonlyArray<TraceStore.TraceSummary> = []
          while (running.length === 0) {
            yield* Effect.sleep("5 millis")
            running = yield* Effect.promise(list)
          }
          return running
        }),
        "root"
      )
      const { exit } = yield* keeping(root, Telemetry.layer({ enableTracing: true, store: { file } }))
      assert.isTrue(exit._tag === "Success")
      const [running] = exit._tag === "Success" ? exit.value : []
      assert.deepInclude(running, { status: "running", rootName: "outer", spans: 2 })
      const [ended] = yield* Effect.promise(list)
      assert.deepInclude(ended, { status: "ok", rootName: "root", spans: 3 })
    })
  )

  it.live("keeps what goes to an exporter of the program's, and spans of the SDK, as far as they are sampled", () =>
    Effect.gen(function* () {
      for (const layer of [
        (options: Telemetry.ProgramOptions) => Telemetry.layerExporter(Kept.make().exporter, options),
        (options: Telemetry.ProgramOptions) => Telemetry.layerSdk([], options)
      ]) {
        const { file, list } = home()
        yield* keeping(work, layer({ store: { file }, samplingRate: 0 }))
        assert.deepStrictEqual(yield* Effect.promise(list), [])
        const { exit } = yield* keeping(work, layer({ store: { file }, serviceName: "shop" }))
        assert.strictEqual(exit._tag, "Success")
        const [trace] = yield* Effect.promise(list)
        assert.deepInclude(trace, { rootName: "outer", service: "shop", spans: 2, status: "ok" })
      }
    })
  )

  it.live("keeps traces with a failed span that the sampler would not", () =>
    Effect.gen(function* () {
      const { file, list } = home()
      const failing = Effect.ignore(Effect.withSpan(Effect.fail("no"), "failing")).pipe(Effect.withSpan("root"))
      const options = { enableTracing: true, store: { file }, samplingRate: 0, keep: { errors: true } }
      yield* keeping(Effect.andThen(work, failing), Telemetry.layer(options))
      assert.deepStrictEqual(
        (yield* Effect.promise(list)).map(({ rootName }) => rootName),
        ["root"]
      )
    })
  )

  it.live("counts what is there and what is lost, and holds no more in memory than the queue may have", () =>
    Effect.gen(function* () {
      const { file } = home()
      const many = Effect.forEach(Array.from({ length: 500 }), () => work, { discard: true })
      const counted = Effect.andThen(many, Effect.andThen(Telemetry.flush, Telemetry.storeReport))
      const layer = Telemetry.layer({ enableTracing: true, store: { file } })
      const { exit } = yield* keeping(counted, layer, { OTEL_TRACES_EXPORTER: "none" })
      assert.deepInclude(exit._tag === "Success" ? exit.value : {}, { recorded: 1000, exported: 1000, lost: 0 })
      const locking = new DatabaseSync(file)
      locking.exec("BEGIN IMMEDIATE")
      const narrow = { OTEL_TRACES_EXPORTER: "none", OTEL_BSP_MAX_QUEUE_SIZE: "100" }
      const { exit: second, stderr } = yield* keeping(Effect.andThen(many, Telemetry.storeReport), layer, narrow)
      locking.close()
      const report = second._tag === "Success" ? second.value : Telemetry.storeReport
      assert.deepInclude(report, { recorded: 1000, exported: 0, lost: 900 })
      assert.strictEqual(
        stderr,
        "tinyllm: 1000 spans not kept: they came faster than they could be written; the trace store did not answer in time\n"
      )
    })
  )

  it.live("writes the bytes that OpenTelemetry's serializer writes", () =>
    Effect.gen(function* () {
      const kept = Kept.make()
      const link = Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true })
      const varied = Effect.gen(function* () {
        yield* Effect.annotateCurrentSpan({
          text: "grün 🙈",
          int: -42,
          large: 2 ** 60,
          double: 0.5,
          yes: true,
          list: ["a", 1, 2.5],
          empty: ""
        })
        yield* Effect.logInfo("an event")
        return yield* new Broken({ message: "läuft nicht" })
      }).pipe(
        Effect.withSpan("varied", { kind: "client", links: [{ span: link, attributes: { why: "because" } }] }),
        Effect.ignore,
        Effect.withSpan("outer"),
        Effect.withParentSpan(link)
      )
      yield* keeping(varied, Telemetry.layerExporter(kept.exporter, { logEvents: true }))
      const spans = kept.spans() as Array<ReadableSpan>
      assert.isAtLeast(spans.length, 2)
      const parts = OtlpEncode.parts(spans)
      const request = OtlpTraces.join(
        parts.map(({ source, spans }) => ({ source, spans: spans.map(({ bytes }) => bytes) }))
      )
      assert.deepStrictEqual(request, ProtobufTraceSerializer.serializeRequest(spans))
      // And the store takes the spans for what it takes the bytes for.
      const taken = (write: (store: TraceStore.TraceStore["Service"]) => Effect.Effect<unknown, unknown>) =>
        Effect.gen(function* () {
          const store = yield* TraceStore.make({ file: home().file })
          yield* write(store)
          const list = yield* store.list()
          return [list, yield* store.raw(list[0]?.traceId ?? "")]
        })
      const [bySpans, byBytes] = yield* Effect.all([
        taken((store) => store.put(parts)),
        taken((store) => store.append(request))
      ])
      assert.deepStrictEqual(bySpans, byBytes)
    })
  )
})
