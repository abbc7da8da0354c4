// A test of a graph: a function answers in place of the model, and spans stay in memory.
//
// Run it with `npx tsx examples/testing.ts`. It opens no socket. In a project, each part is a test of a test runner:
// trace.test.ts shows that.
//
// Prints:
//
//   ok: the answer and the tokens
//   ok: the spans
//   ok: the error of a model that is missing
import { Effect, Exit } from "effect"
import assert from "node:assert/strict"
import * as Assistant from "tinyllm/Assistant"
import * as Graph from "tinyllm/Graph"
import { type ChatRequest, Ollama, OllamaError } from "tinyllm/Ollama"
import { ModelNotFound } from "tinyllm/OllamaError"
import * as TelemetryTest from "tinyllm/TelemetryTest"

/** Runs the default graph with a model that is a function, expects a trace of it, and gives what came of it. */
const run = (
  model: (request: ChatRequest) => string | Effect.Effect<string, OllamaError>,
  trace: TelemetryTest.ExpectedSpan
) =>
  Effect.exit(Graph.run(Assistant.make(), "What is 2 + 2?")).pipe(
    Effect.tap(TelemetryTest.expectTrace(trace)),
    Effect.provide([Ollama.layerTest(model), TelemetryTest.layer()]),
    Effect.runPromise
  )

// The router asks for JSON, which is how its call is told from the others.
const good = await run(({ format }) => (format === undefined ? "It is 4" : `{"route":"math"}`), {
  name: "graph.execute",
  attributes: { "execution.nodes_executed": 3 },
  children: [
    { name: "node.router", children: ["llm.chat"] },
    { name: "node.model", children: [{ name: "llm.chat", attributes: { "llm.output_tokens": 3 } }] },
    "node.gate"
  ]
})
assert.ok(Exit.isSuccess(good))
assert.equal(good.value.output.answer, "It is 4")
assert.equal(good.value.usage.outputTokens, 4)
console.log("ok: the answer and the tokens")
console.log("ok: the spans")

const missing = new ModelNotFound({ model: "qwen2.5:0.5b", url: "http://ollama.test", status: 404, text: "not found" })
const bad = await run(() => Effect.fail(new OllamaError({ reason: missing })), {
  name: "graph.execute",
  status: "error",
  error: /ollama pull qwen2\.5:0\.5b/,
  attributes: { "error.type": "404" }
})
assert.ok(Exit.isFailure(bad))
console.log("ok: the error of a model that is missing")
