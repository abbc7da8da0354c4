// The trace of a graph as a test of Vitest, with @effect/vitest.
//
// Run it with `npx vitest run examples/trace.test.ts`. The recorder is a layer, and what it expects is an effect, so any
// other runner does as well: `Effect.runPromise` rejects with an error that says where the trace differs.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Graph from "tinyllm/Graph"
import * as Node from "tinyllm/Node"
import { Ollama } from "tinyllm/Ollama"
import * as TelemetryTest from "tinyllm/TelemetryTest"

/** Two opinions at a time, then a verdict. */
const review = Graph.make("review", {
  nodes: {
    opinions: Node.parallel({ kind: opinion("kind:3b"), strict: opinion("strict:7b") }),
    verdict: Node.transform((opinions: { readonly kind: string; readonly strict: string }) =>
      Object.values(opinions).every((text) => text.includes("good")) ? "accepted" : "sent back"
    )
  },
  start: "opinions",
  edges: { opinions: "verdict", verdict: "end" }
})

function opinion(model: string) {
  return Node.model({
    model,
    prompt: (text: string) => `What do you think of this?\n${text}`,
    output: ({ text }) => text
  })
}

const model = Ollama.layerTest((request) => (request.model === "kind:3b" ? "It is good" : "It is too long"))

describe("review", () => {
  it.effect("asks both models, at the same time", () =>
    Effect.gen(function* () {
      const { output } = yield* Graph.run(review, "A story")
      assert.strictEqual(output, "sent back")

      const asked = (model: string, tokens: number) => ({
        name: "node.model",
        children: [{ name: "llm.chat", attributes: { "llm.model": model, "llm.output_tokens": tokens }, children: [] }]
      })
      yield* TelemetryTest.expectTrace({
        name: "graph.execute",
        status: "ok",
        attributes: { "graph.id": "review", "task.content": /^A story/ },
        children: [
          { name: "node.parallel", children: TelemetryTest.unordered([asked("strict:7b", 4), asked("kind:3b", 3)]) },
          { name: "node.transform", children: [] }
        ]
      })
    }).pipe(Effect.provide(Layer.merge(model, TelemetryTest.layer())))
  )

  it.effect("leaves no trace of what was asked where that is switched off", () =>
    Effect.gen(function* () {
      yield* Graph.run(review, "A secret story")
      const { spans } = yield* TelemetryTest.TelemetryTest
      for (const { attributes } of yield* spans) {
        assert.notInclude(JSON.stringify(attributes), "secret")
      }
    }).pipe(Effect.provide(Layer.merge(model, TelemetryTest.layer({ captureContent: "NO_CONTENT" }))))
  )
})
