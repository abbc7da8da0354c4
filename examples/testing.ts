// A test of a graph: a function answers in place of the model, and spans stay in memory.
//
// Run it with `npx tsx examples/testing.ts`. It opens no socket. The same lines work in any test runner.
//
// Prints:
//
//   ok: passes the question on and counts tokens
//   ok: is one trace of graph, nodes and model calls
//   ok: shows the error of a model that is missing
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Exit, Layer } from "effect"
import { deepEqual, equal, ok } from "node:assert/strict"
import * as Assistant from "tinyllm/Assistant"
import * as Demo from "tinyllm/Demo"
import * as Graph from "tinyllm/Graph"
import { Ollama, OllamaError } from "tinyllm/Ollama"
import * as Telemetry from "tinyllm/Telemetry"

const assistant = Assistant.make()

/** Runs the graph with a model that is a function. A request has `format` when the router asks for a route. */
const run = (text: string, model: typeof Ollama.layerTest extends (answer: infer F) => unknown ? F : never) => {
  const exporter = new InMemorySpanExporter()
  const layers = Layer.merge(
    Ollama.layerTest(model),
    Telemetry.layerProcessor(new SimpleSpanProcessor(exporter), { serviceName: "test" })
  )
  return Effect.exit(Graph.run(assistant, text)).pipe(
    // Read before the layer closes: then the exporter forgets.
    Effect.map((exit) => ({ exit, spans: exporter.getFinishedSpans() })),
    Effect.provide(layers),
    Effect.runPromise
  )
}

const { exit, spans } = await run("What is 2 + 2?", ({ format }) => (format === undefined ? "It is 4" : `{"route":"math"}`))
ok(Exit.isSuccess(exit))
