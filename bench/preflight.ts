// What it costs a run to ask beforehand what its model can do. Ollama is a double in the same process, so that the
// server's part is in the numbers too.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as NodeClient from "../src/NodeClient.ts"
import { OllamaDouble } from "../src/OllamaDouble.ts"
import { type Contestant, type Effort, interleave, median } from "./interleave.ts"
import { micros, type Section } from "./report.ts"
import { verify } from "./tracing.ts"

const graph = Graph.single(
  "ask",
  Node.model({ model: "m", prompt: (text: string) => text, output: ({ text }) => text })
)

/** Runs of one call, with the question and without. Throws when a run does not answer as it should. */
export const measure = async (effort: Effort): Promise<Section> => {
  const runtime = ManagedRuntime.make(
    Layer.unwrap(Effect.map(OllamaDouble, ({ url }) => NodeClient.layer({ url }))).pipe(
      Layer.provide(OllamaDouble.layer({ models: ["m"], reply: () => "yes" }))
    )
  )
  const run = async (asks: boolean) => {
    const { output } = await runtime.runPromise(Effect.provideService(Graph.run(graph, "hello"), Graph.Preflight, asks))
    verify(output === "yes", output)
  }
  const contestants: ReadonlyArray<Contestant> = [
    { name: "without", things: 1, run: () => run(false) },
    { name: "with", things: 1, run: () => run(true) }
  ]
  const turns = await interleave(contestants, effort)
  await runtime.dispose()
  const wall = (name: string) => median(turns.get(name)!.wall)
  return {
    title: "A run of one call over loopback, µs",
    notes: ["with and without asking before it what the model can do"],
    header: ["", "Time"],
    rows: [
      ["the call alone", micros(wall("without"))],
      ["asked before", micros(wall("with"))],
      ["difference", micros(wall("with") - wall("without"))]
    ],
    goals: [{ what: "the question", measured: (wall("with") - wall("without")) / 1000, atMost: 5, unit: "ms" }],
    numbers: { "without asking": wall("without"), "asked before": wall("with") }
  }
}
