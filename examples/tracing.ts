// A workflow of two model steps with spans, attributes, events and log lines of its own.
//
// Run it with `npx tsx examples/tracing.ts`. A demo server on loopback answers; `npx tsx examples/tracing.ts ollama`
// asks the Ollama on this machine (OLLAMA_HOST) in its place, which needs `ollama pull qwen2.5:0.5b`.
//
// Prints the invoice on standard output, and two log lines and the trace on standard error:
//
//   12:00:00.000 INFO  Order loaded order.id=A-17 trace=0af76519
//   12:00:00.000 INFO  Invoice written invoice.total=42 trace=0af76519
//   trace 0af7651916cd43dd8448eb211c80319c, 15 spans
//   invoice.write 90 ms  invoice.currency=EUR invoice.total=42 invoice.tokens=2 • invoice.checked
//   ├─ order.load 1.0 ms  order.source=memory order.id=A-17
//   └─ graph.execute 85 ms  invoice nodes=2 tokens=24
//      ├─ node.model 60 ms  total step=1
//      │  └─ llm.chat 59 ms  qwen2.5:0.5b in=11 out=1
//      │     ├─ ollama.load 2.3 ms
//      │     ├─ ollama.wait 0.0 ms
//      │     ├─ ollama.prompt_eval 2.6 ms
//      │     └─ ollama.generate 39 ms
//      └─ node.model 20 ms  check step=2
//         └─ llm.chat 19 ms  qwen2.5:0.5b in=11 out=1
//            ├─ ollama.load 2.3 ms
//            ├─ ollama.wait 0.0 ms
//            ├─ ollama.prompt_eval 2.6 ms
//            └─ ollama.generate 3.0 ms
//   Order A-17: 6 boxes at 7, 42 in total, checked
import { Effect, Layer } from "effect"
import * as Demo from "tinyllm/Demo"
import * as Graph from "tinyllm/Graph"
import * as Logs from "tinyllm/Logs"
import * as Node from "tinyllm/Node"
import * as NodeClient from "tinyllm/node"
import * as Span from "tinyllm/Span"
import * as Telemetry from "tinyllm/Telemetry"

interface Order {
  readonly _tag: "Order"
  readonly id: string
  readonly boxes: number
  readonly price: number
}

interface Invoice {
  readonly _tag: "Invoice"
  readonly order: Order
  readonly total: number
}

interface Checked {
  readonly _tag: "Checked"
  readonly invoice: Invoice
  readonly correct: boolean
}

const model = "qwen2.5:0.5b"

const numberIn = (text: string): number => Number(/-?\d+(\.\d+)?/.exec(text)?.[0])

// The spans of the graph, of its nodes and of their model calls are made by TinyLLM.
const invoice = Graph.make("invoice", {
  nodes: {
    total: Node.model({
      model,
      system: "Answer with a number.",
      temperature: 0,
      prompt: (order: Order) => `What is ${order.boxes} * ${order.price}?`,
      output: ({ text }, order): Invoice => ({ _tag: "Invoice", order, total: numberIn(text) })
    }),
    // The same calculation backwards: a small model may be wrong once.
    check: Node.model({
      model,
      system: "Answer with a number.",
      temperature: 0,
      prompt: ({ order, total }: Invoice) => `What is ${total} / ${order.boxes}?`,
      output: ({ text }, invoice): Checked => ({
        _tag: "Checked",
        invoice,
        correct: numberIn(text) === invoice.order.price
      })
    })
  },
  start: "total",
  edges: { total: "check", check: "end" }
})

// A function that is a span of this name whenever it is called, with an attribute that is always the same.
const loadOrder = Effect.fn("order.load", { attributes: { "order.source": "memory" } })(function* (id: string) {
  yield* Span.attributes({ "order.id": id })
  yield* Effect.logInfo("Order loaded").pipe(Effect.annotateLogs("order.id", id))
  return { _tag: "Order", id, boxes: 6, price: 7 } satisfies Order
})

// A span around a block of code. The run of the graph becomes its child.
const writeInvoice = Effect.gen(function* () {
  const order = yield* loadOrder("A-17")
  const { output, usage } = yield* Graph.run(invoice, order)
  yield* Span.attributes({ "invoice.total": output.invoice.total, "invoice.tokens": usage.outputTokens })
  yield* Span.event("invoice.checked", { "invoice.correct": output.correct })
  yield* Effect.logInfo("Invoice written").pipe(Effect.annotateLogs("invoice.total", output.invoice.total))
  return output
}).pipe(Effect.withSpan("invoice.write", { attributes: { "invoice.currency": "EUR" } }))

const program = Effect.gen(function* () {
  const { invoice, correct } = yield* writeInvoice
  const { order, total } = invoice
  const verdict = correct ? "checked" : "not correct"
  console.log(`Order ${order.id}: ${order.boxes} boxes at ${order.price}, ${total} in total, ${verdict}`)
})

// What the program talks to, and where its spans and log lines go, is decided here and nowhere else.
const layers = Layer.mergeAll(
  process.argv[2] === "ollama" ? NodeClient.layerConfig : Demo.layer,
  Telemetry.layer({ exporter: "console", serviceName: "invoices" }),
  Logs.layer({ format: "pretty" })
)

// What went wrong, in words: no stack trace for somebody whose Ollama does not run. By then the spans have been sent.
await Effect.runPromise(Effect.provide(program, layers)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
