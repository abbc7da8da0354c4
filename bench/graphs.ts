// What a node costs: three graphs whose nodes do nothing, beside the same shape in bare async functions, in Effect
// without graph and spans, and in the SDK with the same spans and attributes as ours.
import { randomUUID } from "node:crypto"
import type { Tracer } from "@opentelemetry/api"
import * as Effect from "effect/Effect"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import { type Contestant, type Effort, interleave, median, ratio } from "./interleave.ts"
import { micros, type Section, times } from "./report.ts"
import { inSpan, off, ours, type Run, sdk, verify } from "./tracing.ts"

/** One shape, done in four ways on the number 0, always with the same result. */
interface Shape {
  readonly name: string
  /** Nodes by which the time is divided. */
  readonly nodes: number
  /** Spans of one run: a visit each, and the run. */
  readonly spans: number
  readonly result: unknown
  readonly bare: () => Promise<unknown>
  readonly effect: Effect.Effect<unknown>
  readonly graph: Effect.Effect<Graph.Execution<unknown>, unknown>
  readonly sdk: (tracer: Tracer) => Promise<unknown>
}

const increment = (n: number): number => n + 1
const incrementAsync = async (n: number): Promise<number> => n + 1
const incrementEffect = (n: number): Effect.Effect<number> => Effect.sync(() => n + 1)

// ---------------------------------------------------------------------------------------------------------------------
// The same with the SDK
// ---------------------------------------------------------------------------------------------------------------------

/** A run as ours is: the same attributes at its start and at its end. */
const sdkRun = <A>(tracer: Tracer, id: string, nodes: number, work: () => Promise<A>): Promise<A> =>
  inSpan(
    tracer,
    "graph.execute",
    {
      "graph.id": id,
      "execution.trace_id": randomUUID(),
      "task.content": "0",
      "gen_ai.operation.name": "invoke_workflow",
      "gen_ai.workflow.name": id
    },
    async (span) => {
      const start = performance.now()
      const result = await work()
      span.setAttributes({
        "execution.nodes_executed": nodes,
        "execution.tokens_used": 0,
        "execution.duration_ms": Math.round(performance.now() - start)
      })
      return result
    }
  )

const sdkVisit = <A>(tracer: Tracer, id: string, type: string, step: number, work: () => Promise<A>): Promise<A> =>
  inSpan(tracer, `node.${type}`, { "node.id": id, "node.type": type, "execution.step": step }, work)

// ---------------------------------------------------------------------------------------------------------------------
// The shapes
// ---------------------------------------------------------------------------------------------------------------------

const chainLength = 10
const chainNames = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] as const
const link = Node.transform(increment)

const chain: Shape = {
  name: "chain of 10",
  nodes: chainLength,
  spans: chainLength + 1,
  result: chainLength,
  bare: async () => {
    let n = 0
    for (let index = 0; index < chainLength; index++) {
      n = await incrementAsync(n)
    }
    return n
  },
  effect: Effect.gen(function* () {
    let n = 0
    for (let index = 0; index < chainLength; index++) {
      n = yield* incrementEffect(n)
    }
    return n
  }),
  graph: Graph.run(
    Graph.make("chain", {
      nodes: { a: link, b: link, c: link, d: link, e: link, f: link, g: link, h: link, i: link, j: link },
      start: "a",
      edges: { a: "b", b: "c", c: "d", d: "e", e: "f", f: "g", g: "h", h: "i", i: "j", j: "end" }
    }),
    0
  ),
  sdk: (tracer) =>
    sdkRun(tracer, "chain", chainLength, async () => {
      let n = 0
      for (let index = 0; index < chainLength; index++) {
        n = await sdkVisit(tracer, chainNames[index] ?? "", "transform", index + 1, () => incrementAsync(n))
      }
      return n
    })
}

const width = 100
const branchNames = Array.from({ length: width }, (_, index) => `branch${index}`)

const fanOut: Shape = {
  name: "fan-out of 100",
  nodes: width,
  // The node that contains the others is visited as well.
  spans: width + 2,
  result: Object.fromEntries(branchNames.map((name) => [name, 1])),
  bare: async () =>
    Object.fromEntries(await Promise.all(branchNames.map(async (name) => [name, await incrementAsync(0)]))),
  effect: Effect.all(Object.fromEntries(branchNames.map((name) => [name, incrementEffect(0)])), {
    concurrency: "unbounded"
  }),
  graph: Graph.run(
    Graph.make("fan-out", {
      nodes: { all: Node.parallel(Object.fromEntries(branchNames.map((name) => [name, Node.transform(increment)]))) },
      start: "all",
      edges: { all: "end" }
    }),
    0
  ),
  sdk: (tracer) =>
    sdkRun(tracer, "fan-out", width + 1, () =>
      sdkVisit(tracer, "all", "parallel", 1, async () =>
        Object.fromEntries(
          await Promise.all(
            branchNames.map(async (name, index) => [
              name,
              await sdkVisit(tracer, `all.${name}`, "transform", index + 2, () => incrementAsync(0))
            ])
          )
        )
      )
    )
}

const visits = 1000
const turns = visits / 2

const loop: Shape = {
  name: "loop of 1000",
  nodes: visits,
  spans: visits + 1,
  result: turns,
  bare: async () => {
    const isDone = async (n: number) => n >= turns
    let n = 0
    do {
      n = await incrementAsync(n)
    } while (!(await isDone(n)))
    return n
  },
  effect: Effect.gen(function* () {
    const isDone = (n: number) => Effect.sync(() => n >= turns)
    let n = 0
    do {
      n = yield* incrementEffect(n)
    } while (!(yield* isDone(n)))
    return n
  }),
  graph: Graph.run(
    Graph.make("loop", {
      nodes: { step: Node.transform(increment), done: Node.gate((n: number) => n >= turns) },
      start: "step",
      edges: { step: "done", done: { pass: "end", fail: "step" } },
      maxSteps: visits
    }),
    0
  ),
  sdk: (tracer) =>
    sdkRun(tracer, "loop", visits, async () => {
      let n = 0
      let done = false
      for (let step = 1; !done; step += 2) {
        n = await sdkVisit(tracer, "step", "transform", step, () => incrementAsync(n))
        done = await inSpan(
          tracer,
          "node.gate",
          { "node.id": "done", "node.type": "gate", "execution.step": step + 1 },
          async (span) => {
            const pass = n >= turns
            span.addEvent("router.decision", {
              "router.route": pass ? "pass" : "fail",
              "router.candidates": ["pass", "fail"],
              "router.strategy": "code",
              "router.fallback": false
            })
            return pass
          }
        )
      }
      return n
    })
}

const shapes = [chain, fanOut, loop]

// ---------------------------------------------------------------------------------------------------------------------
// Measuring
// ---------------------------------------------------------------------------------------------------------------------

const ways = [
  "bare async functions",
  "Effect, no graph, no spans",
  "graph, tracing off",
  "graph, traced",
  "graph, 10 % sampled",
  "graph, unsampled",
  "SDK, traced",
  "SDK, 10 % sampled",
  "SDK, unsampled"
] as const

type Way = (typeof ways)[number]

/** Runs all of it. Throws when a result is wrong or a span is missing. */
export const measure = async (effort: Effort): Promise<Section> => {
  const contestants: Array<Contestant> = []
  const checks: Array<(runs: (name: string) => number) => void> = []
  const closing: Array<() => Promise<void>> = []

  for (const shape of shapes) {
    const add = (way: Way, work: () => Promise<unknown>, flush?: () => Promise<void>) => {
      let last: unknown
      contestants.push({
        name: `${shape.name}: ${way}`,
        things: shape.nodes,
        run: async () => {
          last = await work()
        },
        ...(flush === undefined ? {} : { finish: flush })
      })
      checks.push(() =>
        verify(JSON.stringify(last) === JSON.stringify(shape.result), `${shape.name} gives its result (${way})`)
      )
    }
    const addGraph = (way: Way, run: Run, flush?: () => Promise<void>) =>
      add(way, async () => (await run(shape.graph)).output, flush)
    const count = (way: Way, rate: number, exported: () => number) =>
      checks.push((runs) => {
        const name = `${shape.name}: ${way}`
        const made = runs(name) * shape.spans
        const got = exported()
        if (rate === 1) {
          verify(got === made, `${name}: ${got} of ${made} spans were exported`)
        } else {
          // Whole traces or nothing, and about as many as asked for: five standard deviations are no chance.
          const traces = got / shape.spans
          const tolerance = 5 * Math.sqrt(runs(name) * rate * (1 - rate)) + 1
          verify(Number.isInteger(traces), `${name}: no partial trace`)
          verify(Math.abs(traces - runs(name) * rate) <= tolerance, `${name}: ${traces} of ${runs(name)} traces`)
        }
      })

    const withoutTracing = await off()
    const traced = await ours(1)
    const sampled = await ours(0.1)
    const unsampled = await ours(0)
    const sdkTraced = sdk(1)
    const sdkUnsampled = sdk(0)
    const sdkSampled = sdk(0.1)
    closing.push(
      ...[withoutTracing, traced, sampled, unsampled, sdkTraced, sdkSampled, sdkUnsampled].map((one) => one.close)
    )

    add("bare async functions", shape.bare)
    add("Effect, no graph, no spans", () => Effect.runPromise(shape.effect))
    addGraph("graph, tracing off", withoutTracing.run)
    addGraph("graph, traced", traced.run, traced.flush)
    addGraph("graph, 10 % sampled", sampled.run, sampled.flush)
    addGraph("graph, unsampled", unsampled.run, unsampled.flush)
    add("SDK, traced", () => shape.sdk(sdkTraced.tracer), sdkTraced.flush)
    add("SDK, 10 % sampled", () => shape.sdk(sdkSampled.tracer), sdkSampled.flush)
    add("SDK, unsampled", () => shape.sdk(sdkUnsampled.tracer), sdkUnsampled.flush)
    count("graph, traced", 1, traced.exported)
    count("graph, 10 % sampled", 0.1, sampled.exported)
    count("graph, unsampled", 0, unsampled.exported)
    count("SDK, traced", 1, sdkTraced.exported)
    count("SDK, 10 % sampled", 0.1, sdkSampled.exported)
  }

  const results = await interleave(contestants, effort)
  const of = (shape: Shape, way: Way) => results.get(`${shape.name}: ${way}`)!
  checks.forEach((check) => check((name) => results.get(name)!.runs))
  await Promise.all(closing.map((close) => close()))

  const wall = (shape: Shape, way: Way) => of(shape, way).wall
  const ofSdk = (way: Way): Way =>
    way.includes("10 %") ? "SDK, 10 % sampled" : way.includes("unsampled") ? "SDK, unsampled" : "SDK, traced"
  const numbers: Record<string, number> = {}
  for (const shape of shapes) {
    for (const way of ways) {
      numbers[`${shape.name}: ${way}`] = median(wall(shape, way))
    }
    numbers[`${shape.name}: traced / SDK`] = ratio(wall(shape, "graph, traced"), wall(shape, "SDK, traced"))
    numbers[`${shape.name}: 10 % sampled / SDK`] = ratio(
      wall(shape, "graph, 10 % sampled"),
      wall(shape, "SDK, 10 % sampled")
    )
    numbers[`${shape.name}: off / Effect`] = ratio(
      wall(shape, "graph, tracing off"),
      wall(shape, "Effect, no graph, no spans")
    )
  }
  return {
    title: "Nodes that do nothing: µs for a node",
    notes: [
      'Spans go in batches to an exporter that counts them; "of SDK" compares with the SDK at the same sampling.'
    ],
    header: ["", ...shapes.flatMap((shape) => [shape.name, "of bare", "of SDK"])],
    rows: ways.map((way) => [
      way,
      ...shapes.flatMap((shape) => [
        micros(median(wall(shape, way))),
        times(ratio(wall(shape, way), wall(shape, "bare async functions"))),
        way.startsWith("graph, ") && way !== "graph, tracing off"
          ? times(ratio(wall(shape, way), wall(shape, ofSdk(way))))
          : ""
      ])
    ]),
    goals: shapes.flatMap((shape) => [
      {
        what: `a node of the ${shape.name}, traced, of the SDK's,`,
        measured: ratio(wall(shape, "graph, traced"), wall(shape, "SDK, traced")),
        atMost: 1
      },
      {
        what: `a node of the ${shape.name} in a trace that is not sampled, of the SDK's,`,
        measured: ratio(wall(shape, "graph, unsampled"), wall(shape, "SDK, unsampled")),
        atMost: 0.5
      }
    ]),
    numbers
  }
}
