// What it costs to keep traces on this machine, and to look at them: `trace ls` and `trace show` as processes.
import { spawnSync } from "node:child_process"
import { mkdtempSync, statSync, writeFileSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import type { StoredSpan, Values } from "../src/StoredSpan.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as TraceStore from "../src/TraceStore.ts"
import { difference, type Effort, interleave, median, ratio } from "./interleave.ts"
import { micros, millis, type Section, times } from "./report.ts"
import { verify } from "./tracing.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

const inFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "tinyllm-bench-"))
  try {
    return await use(folder)
  } finally {
    // The thread that moves the log of a store ends some time after the store.
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Looking at traces
// ---------------------------------------------------------------------------------------------------------------------

const large = 1000

/** How many there are in all; one of the traces has a thousand spans. */
interface Size {
  readonly traces: number
  readonly spans: number
}

/** What a call of a model has, and what a visit of a node has. */
const call: Values = {
  "llm.model": "qwen2.5:0.5b",
  "llm.prompt_length": 120,
  "llm.temperature": 0.7,
  "llm.input_tokens": 40,
  "llm.output_tokens": 20,
  "llm.total_tokens": 60,
  "gen_ai.operation.name": "chat",
  "gen_ai.provider.name": "ollama",
  "gen_ai.request.model": "qwen2.5:0.5b",
  "gen_ai.usage.input_tokens": 40,
  "gen_ai.usage.output_tokens": 20,
  "gen_ai.response.finish_reasons": ["stop"],
  "server.address": "localhost",
  "server.port": 11434
}
const visit = (step: number): Values => ({ "node.id": "write", "node.type": "model", "execution.step": step })
const resource: Values = { "service.name": "tinyllm", "service.version": "0.1.0", "process.pid": 1 }
const scope = { name: "tinyllm", version: "0.1.0" }

const idOf = (n: number, length: number): string =>
  (BigInt(n + 1) * 0x9e3779b97f4a7c15n).toString(16).padStart(length, "0").slice(-length)

const begin = 1_790_000_000_000_000_000n

/** A run of a graph: below its root visits of nodes, each with a call of a model. */
const traceOf = (n: number, count: number): ReadonlyArray<StoredSpan> =>
  Array.from({ length: count }, (_, index): StoredSpan => {
    const isRoot = index === 0
    const isCall = !isRoot && index % 2 === 0
    const start = begin + BigInt(n) * 60_000_000_000n + BigInt(index) * 1_000_000n
    return {
      traceId: idOf(n, 32),
      spanId: idOf(n * 10_000 + index, 16),
      parentSpanId: isRoot ? undefined : idOf(n * 10_000 + (isCall ? index - 1 : 0), 16),
      name: isRoot ? "graph.execute" : isCall ? "llm.chat" : "node.model",
      kind: isCall ? "client" : "internal",
      startNanos: start,
      endNanos: start + (isRoot ? BigInt(count) * 1_000_000n : 1_900_000n),
      status: { code: "unset", message: "" },
      attributes: isRoot
        ? { "graph.id": "assistant", "task.content": "Why is the sky blue?" }
        : isCall
          ? call
          : visit(index),
      events: isCall ? [{ name: "llm.first_token", timeNanos: start, attributes: {} }] : [],
      links: [],
      resource,
      scope,
      traceState: "",
      dropped: { attributes: 0, events: 0, links: 0 }
    }
  })

const fill = (file: string, { spans, traces }: Size): Promise<void> =>
  Effect.gen(function* () {
    const store = yield* TraceStore.make({ file, keeping: { maximumTraces: traces } })
    const small = (spans - large) / (traces - 1)
    for (let n = 0; n < traces; n++) {
      const [from, to] = [Math.round(n * small), Math.round((n + 1) * small)]
      yield* store.append(OtlpTraces.request(traceOf(n, n === traces - 1 ? large : to - from)))
    }
    const list = yield* store.list()
    verify(list.length === traces, `the store holds ${traces} traces`)
    const stored = list.reduce((sum, trace) => sum + trace.spans, 0)
    verify(stored === spans, `the store holds ${stored} of ${spans} spans`)
  }).pipe(Effect.scoped, Effect.runPromise)

/** How long the built command takes to look at a large store, beyond what it takes to start. Throws when it shows less. */
export const looking = (quick: boolean): Promise<Section> =>
  inFolder(async (folder) => {
    const size = quick ? { traces: 50, spans: 5000 } : { traces: 1000, spans: 100_000 }
    const { spans, traces } = size
    const { status } = spawnSync(
      process.execPath,
      [join(root, "scripts/build.ts"), "--only", "cli", "--out", join(folder, "dist")],
      { stdio: ["ignore", "ignore", "inherit"] }
    )
    verify(status === 0, "the command line builds")
    writeFileSync(join(folder, "package.json"), `{ "type": "module" }\n`)
    const file = join(folder, "traces.db")
    await fill(file, size)

    const run = (args: ReadonlyArray<string>, lines: number): Times => {
      const start = performance.now()
      const { output, status, stderr, stdout } = spawnSync(
        process.execPath,
        ["--import", telling, join(folder, "dist/cli/Main.js"), ...args],
        {
          env: { ...process.env, TINYLLM_HOME: folder },
          stdio: ["ignore", "pipe", "pipe", "pipe"],
          encoding: "utf8",
          maxBuffer: 1e8
        }
      )
      const wall = performance.now() - start
      verify(status === 0, `tinyllm ${args.join(" ")}: ${stderr}`)
      verify(stdout.split("\n").length > lines, `tinyllm ${args.join(" ")} printed ${stdout.length} characters`)
      return { wall, work: Number(output[3]) }
    }
    const commands = [
      { name: "--version", lines: 0, atMost: undefined },
      { name: "trace ls", lines: traces, atMost: 300 },
      { name: "trace show last", lines: large, atMost: 200 }
    ].map((command) => ({ ...command, times: [] as Array<Times> }))
    for (let round = 0; round < (quick ? 2 : 15); round++) {
      for (const { lines, name, times } of commands) {
        times.push(run(name.split(" "), lines))
      }
    }
    const of = (kind: keyof Times, times: ReadonlyArray<Times>) => times.map((time) => time[kind])
    const start = commands[0]!.times
    const rows = commands.slice(1).map(({ atMost = 0, name, times }) => ({
      name,
      atMost,
      wall: median(of("wall", times)),
      wallMore: difference(of("wall", times), of("wall", start)),
      workMore: difference(of("work", times), of("work", start))
    }))
    return {
      title: `Looking at a store of ${spans.toLocaleString("en")} spans in ${traces.toLocaleString("en")} traces`,
      notes: [
        `${Math.round(statSync(file).size / 1e6)} MB. Processes of the built command, in turns, less one that prints its version; the trace has`,
        `${large} spans. Work is the time of the processor.`
      ],
      header: ["", "whole process", "beyond the start", "work beyond the start"],
      rows: rows.map(({ name, wall, wallMore, workMore }) => [name, millis(wall), millis(wallMore), millis(workMore)]),
      goals: rows.map(({ atMost, name, workMore }) => ({
        what: `work of tinyllm ${name}, beyond the start,`,
        measured: workMore,
        atMost,
        unit: "ms"
      })),
      numbers: Object.fromEntries(
        rows.flatMap(({ name, wallMore, workMore }) => [
          [`${name} beyond the start, ms`, wallMore],
          [`${name} beyond the start, ms of processor`, workMore]
        ])
      )
    }
  })

/** Of one process, in milliseconds. */
interface Times {
  readonly wall: number
  readonly work: number
}

// A process is told to say at its end how long it kept a processor busy.
const telling = `data:text/javascript,${encodeURIComponent(`
  import { writeSync } from "node:fs"
  process.on("exit", () => {
    const { system, user } = process.cpuUsage()
    writeSync(3, String((system + user) / 1000))
  })`)}`

// ---------------------------------------------------------------------------------------------------------------------
// Keeping traces
// ---------------------------------------------------------------------------------------------------------------------

const spansOfRun = 100

const program = Effect.gen(function* () {
  for (let step = 1; step < spansOfRun; step++) {
    yield* Effect.withSpan(Effect.void, step % 2 === 0 ? "llm.chat" : "node.model", {
      attributes: step % 2 === 0 ? { ...call } : { ...visit(step) }
    })
  }
}).pipe(Effect.withSpan("graph.execute", { attributes: { "graph.id": "assistant" } }))

// Spans go nowhere else.
const nowhere = ConfigProvider.layer(
  ConfigProvider.fromEnv({ env: { TINYLLM_TRACING: "true", OTEL_TRACES_EXPORTER: "none", OTEL_LOG_LEVEL: "none" } })
)

/** What a traced run costs more when its traces are kept. Throws when a span is missing. */
export const keeping = (effort: Effort): Promise<Section> =>
  inFolder(async (folder) => {
    const file = join(folder, "traces.db")
    const off = ManagedRuntime.make(Layer.provide(Telemetry.layer(), nowhere))
    const on = ManagedRuntime.make(Layer.provide(Telemetry.layer({ store: { file } }), nowhere))
    await Promise.all([off.context(), on.context()])
    const turns = await interleave(
      [
        { name: "off", things: spansOfRun, run: () => off.runPromise(program) },
        {
          name: "kept",
          things: spansOfRun,
          run: () => on.runPromise(program),
          finish: () => on.runPromise(Telemetry.flush)
        }
      ],
      effort
    )
    const report = await on.runPromise(Telemetry.storeReport)
    const { runs } = turns.get("kept")!
    await Promise.all([on.dispose(), off.dispose()])
    verify(report.recorded === runs * spansOfRun, `${report.recorded} of ${runs * spansOfRun} spans were recorded`)
    verify(report.lost === 0, `${report.lost} spans were lost: ${JSON.stringify(report.reasons)}`)
    const of = (name: string) => turns.get(name)!
    const cost = difference(of("kept").cpu, of("off").cpu)
    return {
      title: "Keeping traces: µs of processor for a span",
      notes: [
        `Runs of ${spansOfRun} spans, half of them with ${Object.keys(call).length} attributes. To keep a span takes place`,
        "behind the run, in turns of at most 64 spans."
      ],
      header: ["", "a span", "of a traced run that keeps none"],
      rows: [
        ["traced, and not kept", micros(median(of("off").cpu)), times(1)],
        ["traced, kept and written", micros(median(of("kept").cpu)), times(ratio(of("kept").cpu, of("off").cpu))],
        ["what it takes to keep one", micros(cost), ""]
      ],
      goals: [{ what: "the processor time to keep a span", measured: cost, atMost: 100, unit: "µs" }],
      numbers: { "to keep a span, µs of processor": cost }
    }
  })
