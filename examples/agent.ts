// An agent: a model that calls tools until it knows the answer, as one node of a graph.
//
// Run it with `npx tsx examples/agent.ts`. It needs no Ollama: a server on loopback plays a model that knows how to use
// these tools. `npx tsx examples/agent.ts ollama` asks a real one, qwen2.5:3b.
//
// Prints the answer, and its trace:
//
//   trace 118f81e7770f12fac6b07140ab3f5035, 8 spans
//   graph.execute 516 ms  shop nodes=1 tokens=260
//   └─ node.agent 506 ms  clerk step=1 rounds=3
//      ├─ llm.chat 183 ms  qwen2.5:3b in=22 out=45
//      ├─ execute_tool find_price 1.8 ms
//      ├─ llm.chat 88 ms  qwen2.5:3b in=23 out=49
//      ├─ execute_tool multiply 2.0 ms
//      ├─ llm.chat 4.3 ms  qwen2.5:3b in=24 out=5
//      └─ llm.chat 5.8 ms  qwen2.5:3b in=85 out=7
//   { euros: 120 }
import { Effect, Layer, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import * as Graph from "tinyllm/Graph"
import * as NodeClient from "tinyllm/node"
import * as Node from "tinyllm/Node"
import { OllamaDouble, type Reply } from "tinyllm/OllamaDouble"
import * as Telemetry from "tinyllm/Telemetry"

/** An item that the shop does not have. The model is told, and may try another. */
class NoSuchItem extends Schema.TaggedError<NoSuchItem>()("NoSuchItem", { item: Schema.String }) {}

const FindPrice = Tool.make("find_price", {
  description: "The price of an item, in euros",
  parameters: Schema.Struct({ item: Schema.String.annotate({ description: "Singular, such as: lamp" }) }),
  success: Schema.Finite,
  failure: NoSuchItem,
  failureMode: "return"
})

const Multiply = Tool.make("multiply", {
  description: "Multiplies two numbers",
  parameters: Schema.Struct({ a: Schema.Finite, b: Schema.Finite }),
  success: Schema.Finite
})

const tools = Toolkit.make(FindPrice, Multiply)

/** What the tools do. In a real shop, `find_price` would ask a database. */
const handlers = tools.toLayer({
  find_price: ({ item }) => (item === "lamp" ? Effect.succeed(40) : Effect.fail(new NoSuchItem({ item }))),
  multiply: ({ a, b }) => Effect.succeed(a * b)
})

/** Takes a question and gives an object: the model is asked once more when it is done, and held to the schema. */
const clerk = Node.agent({
  model: "qwen2.5:3b",
  system: "You sell in a shop. Look prices up, and calculate with the tools.",
  prompt: (question: string) => question,
  tools,
  schema: Schema.Struct({ euros: Schema.Finite }),
  maxRounds: 5
})

const shop = Graph.make("shop", { nodes: { clerk }, start: "clerk", edges: { clerk: "end" } })

const program = Effect.gen(function* () {
  const { output } = yield* Graph.run(shop, "What do 3 lamps cost?")
  console.log(output)
})

/** What the model of this example writes. */
const script = (toolsCalled: number): Reply =>
  toolsCalled === 0
    ? { text: "", toolCalls: [{ name: "find_price", arguments: { item: "lamp" } }] }
    : toolsCalled === 1
      ? { text: "", toolCalls: [{ name: "multiply", arguments: { a: 40, b: 3 } }] }
      : "They cost 120 euros."

// A script takes no time: of that there is nothing to show.
const scripted = Layer.unwrap(Effect.map(OllamaDouble, ({ url }) => NodeClient.layer({ url, timings: false }))).pipe(
  Layer.provide(
    OllamaDouble.layer({
      models: [{ name: "qwen2.5:3b", capabilities: ["completion", "tools"] }],
      reply: ({ format, messages }) =>
        format === undefined ? script(messages.filter(({ role }) => role === "tool").length) : `{"euros":120}`
    })
  )
)

const ollama = process.argv[2] === "ollama" ? NodeClient.layerConfig : scripted

await Effect.runPromise(
  program.pipe(Effect.provide(Layer.mergeAll(ollama, handlers, Telemetry.layer({ exporter: "console" }))))
)
