// A test of a graph: a function answers in place of the model, and spans stay in memory.
//
// Run it with `npx tsx examples/testing.ts`. It opens no socket. In a project, each part is a test of a test runner.
//
// Prints:
//
//   ok: the answer and the tokens
//   ok: the spans
//   ok: the error of a model that is missing
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Exit, Layer } from "effect"
import assert from "node:assert/strict"
import * as Assistant from "tinyllm/Assistant"
import * as Graph from "tinyllm/Graph"
import { type ChatRequest, Ollama, OllamaError } from "tinyllm/Ollama"
import { ModelNotFound } from "tinyllm/OllamaError"
import * as Telemetry from "tinyllm/Telemetry"

/** Runs the default graph with a model that is a function, and gives what came of it and the spans. */
const run = (model: (request: ChatRequest) => string | Effect.Effect<string, OllamaError>) => {
  const exporter = new InMemorySpanExporter()
  return Effect.exit(Graph.run(Assistant.make(), "What is 2 + 2?")).pipe(
    // Read before the layer closes: then the exporter forgets its spans.
    Effect.map((exit) => ({ exit, spans: exporter.getFinishedSpans() })),
    Effect.provide(Layer.merge(Ollama.layerTest(model), Telemetry.layerProcessor(new SimpleSpanProcessor(exporter)))),
    Effect.runPromise
  )
}

// The router asks for JSON, which is how its call is told from the others.
const good = await run(({ format }) => (format === undefined ? "It is 4" : `{"route":"math"}`))

assert.ok(Exit.isSuccess(good.exit))
assert.equal(good.exit.value.output.answer, "It is 4")
assert.equal(good.exit.value.usage.outputTokens, 4)
console.log("ok: the answer and the tokens")

assert.deepEqual(
  good.spans.map((span) => span.name),
  ["llm.chat", "node.router", "llm.chat", "node.model", "node.gate", "graph.execute"]
)
assert.equal(good.spans.at(-1)?.attributes["execution.nodes_executed"], 3)
console.log("ok: the spans")

const missing = new ModelNotFound({ model: "qwen2.5:0.5b", url: "http://ollama.test", status: 404, text: "not found" })
const bad = await run(() => Effect.fail(new OllamaError({ reason: missing })))

assert.ok(Exit.isFailure(bad.exit))
assert.equal(bad.spans.at(-1)?.attributes["error.type"], "404")
console.log("ok: the error of a model that is missing")
