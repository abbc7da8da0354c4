// One trace through several programs: a request that came with a trace, and a graph whose tool starts a process.
//
// Run it with `npx tsx examples/propagation.ts`. No model is asked.
//
// Prints on standard output what the process was told, and the trace on standard error:
//
//   the child was told 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//   the child was told tenant=shop
//   trace 0af7651916cd43dd8448eb211c80319c, 3 spans
//   POST /orders 60 ms
//   └─ graph.execute 59 ms  children nodes=1 tokens=0
//      └─ node.tool 58 ms  start step=1
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import * as Graph from "tinyllm/Graph"
import * as Node from "tinyllm/Node"
import * as Propagation from "tinyllm/Propagation"
import * as Telemetry from "tinyllm/Telemetry"

// Stands for any program that reads TRACEPARENT, as `tinyllm run` does.
const child = "const { TRACEPARENT, BAGGAGE } = process.env; console.log(`${TRACEPARENT} ${BAGGAGE}`)"

const start = Node.tool((script: string) =>
  Effect.gen(function* () {
    // The span that is open here is the tool's. The child gets a copy of the environment with it in it.
    const env = { ...process.env, ...(yield* Propagation.childEnvironment) }
    const { stdout } = yield* Effect.promise(() => promisify(execFile)(process.execPath, ["-e", script], { env }))
    return stdout.trim().split(" ")
  })
)

const graph = Graph.make("children", { nodes: { start }, start: "start", edges: { start: "end" } })

// As a server does it: the span of the caller, who may be in any language, becomes the parent, and what it says of the
// request goes along. An Ollama on this machine is told the same with every model call.
const handle = (headers: Record<string, string>) =>
  Graph.run(graph, child).pipe(Effect.withSpan("POST /orders", { kind: "server" }), Propagation.withRemote(headers))

const program = Effect.gen(function* () {
  const { output } = yield* handle({
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
    baggage: "tenant=shop"
  })
  for (const line of output) {
    console.log("the child was told", line)
  }
})

await Effect.runPromise(Effect.provide(program, Telemetry.layer({ exporter: "console" })))
