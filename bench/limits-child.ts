// One program at the limits: makes spans or runs as its arguments say, and tells its parent what that took.
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Span from "../src/Span.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { off, ours, sdkProvider } from "./tracing.ts"

export type Mode = "burst ours" | "burst SDK" | "burst SDK, queue of 200 000" | "runs traced" | "runs untraced"

export interface Outcome {
  readonly millis: number
  readonly heapBytes: number
}

const [, , mode, url = "", size = "0"] = process.argv
const count = Number(size)

const heap = (): number => {
  global.gc?.()
  return process.memoryUsage().heapUsed
}

const burstOfOurs = async (): Promise<Outcome> => {
  const started = performance.now()
  const runtime = ManagedRuntime.make(Telemetry.layer({ otlpEndpoint: url }))
  const span = Effect.withSpan(Effect.void, "bench.work", Span.quiet)
  await runtime.runPromise(
    Effect.gen(function* () {
      for (let index = 0; index < count; index++) {
        yield* span
      }
    })
  )
  const heapBytes = heap()
  await runtime.dispose()
  return { millis: performance.now() - started, heapBytes }
}

const burstOfSdk = async (settings: { readonly maxQueueSize?: number }): Promise<Outcome> => {
  const started = performance.now()
  const provider = sdkProvider(new BatchSpanProcessor(new OTLPTraceExporter({ url }), settings))
  const tracer = provider.getTracer("bench")
  for (let index = 0; index < count; index++) {
    tracer.startSpan("bench.work").end()
  }
  const heapBytes = heap()
  await provider.shutdown().catch(() => {})
  return { millis: performance.now() - started, heapBytes }
}

/** Runs that all wait in their last node, so that everything that a run holds is there at once. */
const manyRuns = async (run: <A, E>(effect: Effect.Effect<A, E>) => Promise<A>): Promise<Outcome> => {
  const started = performance.now()
  const heapBytes = await run(
    Effect.gen(function* () {
      const latch = yield* Deferred.make<void>()
      const graph = Graph.make("bench", {
        nodes: {
          a: Node.transform((n: number) => n),
          b: Node.transform((n: number) => n),
          c: Node.tool((n: number) => Effect.as(Deferred.await(latch), n))
        },
        start: "a",
        edges: { a: "b", b: "c", c: "end" }
      })
      const fibers = yield* Effect.forEach(Array.from({ length: count }), (_, n) =>
        Effect.forkChild(Graph.run(graph, n), { startImmediately: true })
      )
      yield* Effect.sleep("50 millis")
      const bytes = heap()
      yield* Deferred.succeed(latch, undefined)
      yield* Effect.forEach(fibers, Fiber.join, { discard: true })
      return bytes
    })
  )
  return { millis: performance.now() - started, heapBytes }
}

const outcome = async (): Promise<Outcome> => {
  switch (mode as Mode) {
    case "burst ours":
      return burstOfOurs()
    case "burst SDK":
      return burstOfSdk({})
    case "burst SDK, queue of 200 000":
      return burstOfSdk({ maxQueueSize: 200_000 })
    case "runs traced":
      return manyRuns((await ours(1)).run)
    case "runs untraced":
      return manyRuns((await off()).run)
  }
}

process.send?.(await outcome(), () => process.disconnect())
