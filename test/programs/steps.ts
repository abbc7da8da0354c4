// A graph of three steps, each of which ends when a line comes on standard input. Its trace is kept on this machine.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { createInterface } from "node:readline"
import * as Graph from "../../src/Graph.ts"
import * as Node from "../../src/Node.ts"
import * as Telemetry from "../../src/Telemetry.ts"

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const step = Node.tool((count: number) =>
  Effect.as(
    Effect.promise(() => lines.next()),
    count + 1
  )
)

const graph = Graph.make("steps", {
  nodes: { first: step, second: step, third: step },
  start: "first",
  edges: { first: "second", second: "third", third: "end" }
})

NodeRuntime.runMain(
  Graph.run(graph, 0).pipe(
    Effect.ensuring(Effect.sync(() => process.stdin.destroy())),
    Effect.provide(Telemetry.layer({ enableTracing: true, store: true }))
  )
)
