// A graph in a program that knows nothing of Effect: plain async functions.
//
// Run it with `npx tsx examples/promise.ts`. A demo server on loopback answers. With `TINYLLM_TRACING=true` it prints
// the traces too, and with `TINYLLM_OTLP_ENDPOINT=http://localhost:4317` besides it sends them there.
//
// Prints:
//
//   once: 4 (2 nodes)
//   service: 42
//   service: 1764
//   cancelled
import { Effect, Layer, ManagedRuntime } from "effect"
import * as Demo from "tinyllm/Demo"
import * as Graph from "tinyllm/Graph"
import * as Telemetry from "tinyllm/Telemetry"
import { type Question, support } from "./graph.ts"

const question = (text: string): Question => ({ _tag: "Question", text })

// In production: `NodeClient.layerConfig` from "tinyllm/node" in place of `Demo.layer`.
const layers = Layer.merge(Demo.layer, Telemetry.layerConfig)

// One call. The client and the tracer are made, used and closed, and spans are sent before the promise resolves.
const once = async (text: string): Promise<void> => {
  const execution = await Effect.runPromise(Graph.run(support, question(text)).pipe(Effect.provide(layers)))
  console.log(`once: ${execution.output.text} (${execution.nodesExecuted} nodes)`)
}

// A service. The client and the tracer are made at the first call and shared by all that follow.
const runtime = ManagedRuntime.make(layers)

const ask = async (text: string, signal?: AbortSignal): Promise<string> => {
  const execution = await runtime.runPromise(Graph.run(support, question(text)), signal && { signal })
  return execution.output.text
}

await once("What is 2 + 2?")
console.log(`service: ${await ask("What is 6 * 7?")}`)
console.log(`service: ${await ask("What is 42 * 42?")}`)

// A signal that aborts interrupts the run, closes its connection, and ends its spans as interrupted.
await ask("What is 1 + 1?", AbortSignal.timeout(1)).catch(() => console.log("cancelled"))

// Sends the spans that are left, closes connections. Without it, the last seconds of a service are lost.
await runtime.dispose()
