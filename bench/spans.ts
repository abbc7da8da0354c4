// What tracing costs for one span, one attribute, one event, and for each way of exporting a span.
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync, writeSync } from "node:fs"
import { Console } from "node:console"
import { devNull } from "node:os"
import { Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import type { Tracer } from "@opentelemetry/api"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc"
import { BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Span from "../src/Span.ts"
import { Stderr } from "../src/Stderr.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { type Contestant, type Effort, difference, differences, interleave, median, ratio } from "./interleave.ts"
import { micros, type Section, times } from "./report.ts"
import { activeSpan, batch, inSpan, off, ours, sdk, sdkProvider, verify } from "./tracing.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Programs: spans below one root, each with so many attributes or events
// ---------------------------------------------------------------------------------------------------------------------

const many = 10
const keys = Array.from({ length: many }, (_, index) => `bench.key${index}`)

interface Content {
  readonly attributes?: boolean
  readonly events?: boolean
  /** Whether the span is looked up once, and then written to directly. */
  readonly atHand?: boolean
}

const effectWork = ({ attributes = false, events = false, atHand = false }: Content): Effect.Effect<void> =>
  atHand
    ? Effect.gen(function* () {
        const span = yield* Effect.orDie(Effect.currentSpan)
        const clock = yield* Clock.Clock
        for (const key of keys) {
          if (attributes) {
            span.attribute(key, 1)
          }
          if (events) {
            span.event(key, clock.currentTimeNanosUnsafe(), { "bench.value": 1 })
          }
        }
      })
    : attributes || events
      ? Effect.gen(function* () {
          for (const key of keys) {
            if (attributes) {
              yield* Span.attributes({ [key]: 1 })
            }
            if (events) {
              yield* Span.event(key, { "bench.value": 1 })
            }
          }
        })
      : Effect.void

/** `spans` spans as a user of ours writes them. Without `stack` they do not record where they were made. */
const effectSpans = (spans: number, content: Content = {}, stack = true): Effect.Effect<void> => {
  const work = effectWork(content)
  const span = stack ? Effect.withSpan(work, "bench.work") : Effect.withSpan(work, "bench.work", Span.quiet)
  return Effect.gen(function* () {
    for (let index = 1; index < spans; index++) {
      yield* span
    }
  }).pipe(Effect.withSpan("bench.root"))
}

const effectNothing = (spans: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let index = 1; index < spans; index++) {
      yield* Effect.void
    }
  })

/** The same as a user of the SDK writes them. */
const sdkSpans = (
  tracer: Tracer,
  spans: number,
  { attributes = false, events = false, atHand = false }: Content = {}
): Promise<void> =>
  inSpan(tracer, "bench.root", {}, async () => {
    for (let index = 1; index < spans; index++) {
      await inSpan(tracer, "bench.work", {}, async (span) => {
        if (atHand) {
          for (const key of keys) {
            if (attributes) {
              span.setAttribute(key, 1)
            }
            if (events) {
              span.addEvent(key, { "bench.value": 1 })
            }
          }
          return
        }
        for (const key of attributes || events ? keys : []) {
          if (attributes) {
            activeSpan()?.setAttribute(key, 1)
          }
          if (events) {
            activeSpan()?.addEvent(key, { "bench.value": 1 })
          }
        }
      })
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// Making spans
// ---------------------------------------------------------------------------------------------------------------------

const spansOfRun = 100

/** What spans, attributes and events cost. Throws when a span is missing. */
export const making = async (effort: Effort): Promise<Section> => {
  const nothing = await off()
  const tracedOff = await off()
  const counted: Array<{ readonly name: string; readonly exported: () => number }> = []
  const closing = [nothing.close, tracedOff.close]
  const contestants: Array<Contestant> = [
    { name: "nothing", things: spansOfRun, run: () => nothing.run(effectNothing(spansOfRun)) },
    { name: "off", things: spansOfRun, run: () => tracedOff.run(effectSpans(spansOfRun)) }
  ]
  const add = async (name: string, content: Content, rate = 1, stack = true) => {
    const effect = await ours(rate)
    const program = effectSpans(spansOfRun, content, stack)
    const raw = sdk(rate)
    closing.push(effect.close, raw.close)
    contestants.push(
      { name, things: spansOfRun, run: () => effect.run(program), finish: effect.flush },
      {
        name: `SDK ${name}`,
        things: spansOfRun,
        run: () => sdkSpans(raw.tracer, spansOfRun, content),
        finish: raw.flush
      }
    )
    counted.push({ name, exported: effect.exported }, { name: `SDK ${name}`, exported: raw.exported })
  }
  await add("span", {})
  await add("span, no stack", {}, 1, false)
  await add("attributes", { attributes: true })
  await add("attributes at hand", { attributes: true, atHand: true })
  await add("events", { events: true })
  await add("events at hand", { events: true, atHand: true })
  await add("unsampled", {}, 0)

  const results = await interleave(contestants, effort)
  await Promise.all(closing.map((close) => close()))
  for (const { exported, name } of counted) {
    const made = name.endsWith("unsampled") ? 0 : results.get(name)!.runs * spansOfRun
    verify(exported() === made, `${name}: ${exported()} of ${made} spans were exported`)
  }

  const wall = (name: string) => results.get(name)!.wall
  const perThing = (name: string) => differences(wall(name), wall(name.startsWith("SDK ") ? "SDK span" : "span"), many)
  const lines: ReadonlyArray<readonly [what: string, ours: ReadonlyArray<number>, sdk?: ReadonlyArray<number>]> = [
    ["no span", wall("nothing")],
    ["span, tracing off", wall("off")],
    ["span, unsampled", wall("unsampled"), wall("SDK unsampled")],
    ["span, sampled", wall("span"), wall("SDK span")],
    ["span, sampled, no stack captured", wall("span, no stack"), wall("SDK span, no stack")],
    ["one attribute, by an effect", perThing("attributes"), perThing("SDK attributes")],
    ["one attribute, span at hand", perThing("attributes at hand"), perThing("SDK attributes at hand")],
    ["one event, by an effect", perThing("events"), perThing("SDK events")],
    ["one event, span at hand", perThing("events at hand"), perThing("SDK events at hand")]
  ]
  const goal = (what: string, atMost: number) => {
    const [, ours = [], sdk = []] = lines.find(([name]) => name === what) ?? []
    return { what: `${what}, of the SDK's,`, measured: ratio(ours, sdk), atMost }
  }
  return {
    title: "Making spans: µs for one",
    notes: [
      `${spansOfRun} spans a run, in batches to an exporter that counts them; attributes and events are what spans with`,
      `${many} of them take more.`
    ],
    header: ["", "ours", "SDK", "of SDK"],
    rows: lines.map(([what, ours, sdk]) => [
      what,
      micros(median(ours)),
      sdk === undefined ? "" : micros(median(sdk)),
      sdk === undefined ? "" : times(ratio(ours, sdk))
    ]),
    goals: [
      goal("span, sampled", 1.3),
      goal("span, unsampled", 0.5),
      goal("one attribute, by an effect", 1.5),
      goal("one attribute, span at hand", 1.5),
      goal("one event, by an effect", 2),
      goal("one event, span at hand", 2),
      { what: "span, tracing off, of no span at all,", measured: ratio(wall("off"), wall("nothing")), atMost: 3 }
    ],
    numbers: Object.fromEntries(
      lines.flatMap(([what, ours, sdk]) => [
        [what, median(ours)],
        ...(sdk === undefined
          ? []
          : [[`SDK ${what}`, median(sdk)] as const, [`${what} / SDK`, ratio(ours, sdk)] as const])
      ])
    )
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Exporting spans
// ---------------------------------------------------------------------------------------------------------------------

/** What is written is counted, and goes where nobody reads it, but it goes there by the system's call. */
const sink = () => {
  const file = openSync(devNull, "w")
  let lines = 0
  const write = (text: string) => {
    writeSync(file, text)
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) {
      lines++
    }
  }
  return { write, lines: () => lines, close: () => closeSync(file) }
}

const consoleContestants = async () => {
  const to = sink()
  const stderr = Layer.succeed(Stderr, {
    write: to.write,
    status: () => {},
    isTerminal: false,
    columns: () => undefined
  })
  const make = async (traceFormat: "tree" | "json") => {
    const runtime = ManagedRuntime.make(
      Layer.provide(Telemetry.layer({ exporter: "console", traceFormat, enableTracing: true }), stderr)
    )
    await runtime.context()
    return runtime
  }
  const tree = await make("tree")
  const json = await make("json")

  // The SDK's exporter writes by `console.dir`, whose console is the process's own unless it is put in its place.
  const sdkTo = sink()
  const sdkConsole = new Console(
    new Writable({
      write: (chunk, _, done) => {
        sdkTo.write(String(chunk))
        done()
      }
    })
  )
  const provider = sdkProvider(new SimpleSpanProcessor(new ConsoleSpanExporter()))
  const tracer = provider.getTracer("bench")

  const program = effectSpans(spansOfRun, { attributes: true })
  const contestants: ReadonlyArray<Contestant> = [
    { name: "console tree", things: spansOfRun, run: () => tree.runPromise(program) },
    { name: "console json", things: spansOfRun, run: () => json.runPromise(program) },
    {
      name: "SDK console",
      things: spansOfRun,
      run: async () => {
        const { dir } = console
        console.dir = sdkConsole.dir.bind(sdkConsole)
        await sdkSpans(tracer, spansOfRun, { attributes: true })
        console.dir = dir
      }
    }
  ]
  return {
    contestants,
    check: (runs: (name: string) => number) => {
      const wanted = (runs("console tree") + runs("console json")) * spansOfRun
      verify(to.lines() >= wanted, `the console wrote ${to.lines()} lines for ${wanted} spans`)
      verify(sdkTo.lines() >= runs("SDK console") * spansOfRun, "the SDK's console wrote its spans")
    },
    close: async () => {
      await tree.dispose()
      await json.dispose()
      await provider.shutdown()
      to.close()
      sdkTo.close()
    }
  }
}

/** The collector, and how many spans it has got. */
export const startCollector = async () => {
  const child: ChildProcess = fork(fileURLToPath(new URL("collector.ts", import.meta.url)))
  const [{ port }] = (await once(child, "message")) as [{ readonly port: number }]
  return {
    url: `http://127.0.0.1:${port}`,
    spans: async () => {
      child.send("count")
      const [{ spans }] = (await once(child, "message")) as [{ readonly spans: number }]
      return spans
    },
    close: async () => {
      child.disconnect()
      await once(child, "exit")
    }
  }
}

/** Each run is a program's whole life: the layer is made, spans are made, and everything is delivered before the end. */
const otlpContestants = (url: string, spans: number): ReadonlyArray<Contestant> => {
  const attributes = Object.fromEntries(keys.map((key) => [key, 1]))
  const span = Effect.withSpan(Effect.void, "bench.work", { ...Span.quiet, attributes })
  const program = Effect.gen(function* () {
    for (let index = 1; index < spans; index++) {
      yield* span
    }
  }).pipe(Effect.withSpan("bench.root"))
  return [
    {
      name: "otlp",
      things: spans,
      run: async () => {
        const runtime = ManagedRuntime.make(Telemetry.layer({ otlpEndpoint: url }))
        await runtime.runPromise(program)
        await runtime.dispose()
      }
    },
    {
      name: "SDK otlp",
      things: spans,
      run: async () => {
        const provider = sdkProvider(new BatchSpanProcessor(new OTLPTraceExporter({ url }), batch))
        const tracer = provider.getTracer("bench")
        await inSpan(tracer, "bench.root", {}, async () => {
          for (let index = 1; index < spans; index++) {
            await inSpan(tracer, "bench.work", attributes, async () => {})
          }
        })
        await provider.shutdown()
      }
    }
  ]
}

/** What ways of exporting cost. Throws when a span is missing. */
export const exporting = async (quick: boolean): Promise<Section> => {
  const collector = await startCollector()
  try {
    return await exportingTo(collector, quick)
  } finally {
    await collector.close()
  }
}

const exportingTo = async (
  collector: { readonly url: string; readonly spans: () => Promise<number> },
  quick: boolean
): Promise<Section> => {
  const spansOfLife = quick ? 2048 : 8192
  const written = await consoleContestants()
  const traced = await ours(1)
  const raw = sdk(1)
  const program = effectSpans(spansOfRun, { attributes: true })

  const toConsole = await interleave(
    [
      { name: "nowhere", things: spansOfRun, run: () => traced.run(program), finish: traced.flush },
      {
        name: "SDK nowhere",
        things: spansOfRun,
        run: () => sdkSpans(raw.tracer, spansOfRun, { attributes: true }),
        finish: raw.flush
      },
      ...written.contestants
    ],
    quick ? { rounds: 5, warmUpMillis: 50, turnMillis: 20 } : { rounds: 40, warmUpMillis: 300, turnMillis: 20 }
  )
  written.check((name) => toConsole.get(name)!.runs)

  const toCollector = await interleave(
    otlpContestants(collector.url, spansOfLife),
    // One life is longer than a turn, so each turn is one life.
    quick ? { rounds: 3, warmUpMillis: 1, turnMillis: 1 } : { rounds: 15, warmUpMillis: 1500, turnMillis: 1 }
  )
  const sent = ["otlp", "SDK otlp"].reduce((runs, name) => runs + toCollector.get(name)!.runs, 0) * spansOfLife
  const got = await collector.spans()
  verify(got === sent, `the collector got ${got} of ${sent} spans`)
  await Promise.all([written.close(), traced.close(), raw.close()])

  const consoleOf = (name: string) => toConsole.get(name)!.wall
  const otlp = toCollector.get("otlp")!
  const sdkOtlp = toCollector.get("SDK otlp")!
  const exportCost = {
    tree: difference(consoleOf("console tree"), consoleOf("nowhere")),
    json: difference(consoleOf("console json"), consoleOf("nowhere")),
    sdk: difference(consoleOf("SDK console"), consoleOf("SDK nowhere"))
  }
  return {
    title: `Exporting spans of ${many} attributes: µs for a span`,
    notes: [
      "Console: what it takes more than an exporter that counts, written to the null device.",
      `OTLP over gRPC: all of it, from making ${spansOfLife} spans to the last acknowledgement of a collector on loopback.`
    ],
    header: ["", "ours", "SDK", "of SDK"],
    rows: [
      [
        "console export, tree",
        micros(exportCost.tree),
        micros(exportCost.sdk),
        times(exportCost.tree / exportCost.sdk)
      ],
      [
        "console export, json",
        micros(exportCost.json),
        micros(exportCost.sdk),
        times(exportCost.json / exportCost.sdk)
      ],
      [
        "OTLP gRPC, time",
        micros(median(otlp.wall)),
        micros(median(sdkOtlp.wall)),
        times(ratio(otlp.wall, sdkOtlp.wall))
      ],
      ["OTLP gRPC, CPU", micros(median(otlp.cpu)), micros(median(sdkOtlp.cpu)), times(ratio(otlp.cpu, sdkOtlp.cpu))]
    ],
    goals: [
      { what: "time for a span over OTLP, of the SDK's,", measured: ratio(otlp.wall, sdkOtlp.wall), atMost: 1 },
      { what: "CPU for a span over OTLP, of the SDK's,", measured: ratio(otlp.cpu, sdkOtlp.cpu), atMost: 1 }
    ],
    numbers: {
      "console export, tree": exportCost.tree,
      "console export, json": exportCost.json,
      "SDK console export": exportCost.sdk,
      "OTLP gRPC, time": median(otlp.wall),
      "SDK OTLP gRPC, time": median(sdkOtlp.wall),
      "OTLP gRPC, time / SDK": ratio(otlp.wall, sdkOtlp.wall),
      "OTLP gRPC, CPU": median(otlp.cpu),
      "SDK OTLP gRPC, CPU": median(sdkOtlp.cpu),
      "OTLP gRPC, CPU / SDK": ratio(otlp.cpu, sdkOtlp.cpu)
    }
  }
}
