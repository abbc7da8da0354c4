// An application that does everything with content that there is, on the Ollama of OLLAMA_HOST, traced as the environment
// says. Every text that must not leave it has CANARY in it. The format of its log lines is the first argument.
import { Cause, Effect, Layer, Schedule, Schema, Stream } from "effect"
import * as Graph from "../../src/Graph.ts"
import * as Logs from "../../src/Logs.ts"
import * as Node from "../../src/Node.ts"
import * as NodeClient from "../../src/NodeClient.ts"
import { Ollama } from "../../src/Ollama.ts"
import * as Span from "../../src/Span.ts"
import * as Telemetry from "../../src/Telemetry.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { message: Schema.String }) {}

// The beginning of a task is recorded, the rest is not.
const task = `${"word ".repeat(60)}CANARY_PROMPT`
const system = "CANARY_SYSTEM"

const ask = (model: string) =>
  Node.model({ model, system, prompt: (text: string) => text, output: (completion) => completion.text })

const use = Node.tool((input: { readonly argument: string }) =>
  Effect.gen(function* () {
    yield* Effect.logDebug("CANARY_LOGLINE of the user", { detail: "CANARY_LOGLINE" })
    yield* Span.event("cache.hit", { "cache.size": input.argument.length })
    return { given: input.argument, result: "CANARY_RESULT" }
  })
)

const tools = Graph.make("tools", {
  nodes: {
    given: Node.transform((_: string) => ({ argument: "CANARY_ARGUMENT" })),
    both: Node.parallel({ left: use, right: use }),
    text: Node.transform(({ left, right }: { readonly left: unknown; readonly right: unknown }) =>
      JSON.stringify([left, right])
    ),
    ask: ask("good")
  },
  start: "given",
  edges: { given: "both", both: "text", text: "ask", ask: "end" }
})

const invalid = Node.object({
  model: "good",
  system,
  prompt: (text: string) => text,
  schema: Schema.Struct({ answer: Schema.Int })
})

const lost = Node.router({ model: "good", system, prompt: (text: string) => text, routes: { a: "one", b: "two" } })

const program = Effect.gen(function* () {
  const ollama = yield* Ollama
  const end = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(
      // What is logged of a failure is its message and its stack.
      Effect.tapCause((cause) => Effect.logError("it failed", cause)),
      Effect.tapCause((cause) => Effect.logError(Cause.squash(cause))),
      Effect.exit
    )
  const messages = [
    { role: "system" as const, content: system },
    { role: "user" as const, content: task }
  ]
  yield* end(Graph.run(tools, task))
  yield* end(Stream.runDrain(Graph.stream(Graph.single("streamed", ask("good")), task)))
  yield* end(
    Graph.run(
      Graph.single("invalid", invalid.pipe(Node.retry({ times: 1, schedule: Schedule.spaced("1 millis") }))),
      task
    )
  )
  yield* end(
    Graph.run(Graph.make("lost", { nodes: { lost }, start: "lost", edges: { lost: { a: "end", b: "end" } } }), task)
  )
  yield* end(Graph.run(Graph.single("raced", Node.race({ one: invalid, two: ask("http500") })), task))
  for (const model of [
    "malformed",
    "array",
    "errorline",
    "cut",
    "http500",
    "http400",
    "html",
    "crash",
    "unsupported",
    "gone"
  ]) {
    yield* end(Graph.run(Graph.single("failing", ask(model)), task))
    yield* end(Stream.runDrain(ollama.stream({ model, messages })))
    yield* end(ollama.generate({ model, prompt: task, system }))
  }
  yield* Effect.logInfo("customer-42 called")
  yield* end(
    Effect.gen(function* () {
      yield* Span.attributes({
        "own.header": "Bearer abcdefgh12345678",
        "own.customer": "customer-1",
        "own.customers": ["customer-2", "nobody"]
      })
      yield* Span.event("cache.miss", { "own.customer": "customer-3" })
      return yield* new Refused({ message: "the user's error, of customer-4, with password=hunter22 in it" })
    }).pipe(Effect.withSpan("own"))
  )
})

const format = process.argv[2] as Logs.Format

await Effect.runPromise(
  program.pipe(
    Effect.provide(
      Layer.mergeAll(NodeClient.layerConfig, Telemetry.layerConfig, Logs.layer({ format, level: "Trace" }))
    )
  )
)
