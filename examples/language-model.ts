// The language model of `effect/ai` on Ollama: texts, streams, objects, tools, a conversation, a second model for when
// the first one fails, and vectors of texts by an embedding model.
//
// Run it with `npx tsx examples/language-model.ts`. It needs no Ollama: a server on loopback plays the models, and the
// one called "large" is not installed there. `NodeClient.layerConfig` from "tinyllm/node" is a real Ollama.
//
// Prints:
//
//   text: Oslo, stop, 7 tokens
//   stream: The | capital | of | Norway | is | Oslo.
//   object: { name: 'Oslo', founded: 1040 }
//   chat: 2 rounds, It is 4 degrees in Oslo.
//   plan: small answers, because large is missing
//   vectors: 2, each with 8 numbers
import { Effect, ExecutionPlan, Layer, Schema, Stream } from "effect"
import { Chat, EmbeddingModel, LanguageModel, Tool, Toolkit } from "effect/ai"
import * as NodeClient from "tinyllm/node"
import { OllamaDouble, type Reply } from "tinyllm/OllamaDouble"
import * as OllamaEmbeddingModel from "tinyllm/OllamaEmbeddingModel"
import * as OllamaLanguageModel from "tinyllm/OllamaLanguageModel"

const GetTemperature = Tool.make("get_temperature", {
  description: "The temperature in a city now, in degrees Celsius",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Finite
})

const tools = Toolkit.make(GetTemperature)
const handlers = tools.toLayer({ get_temperature: ({ city }) => Effect.succeed(city === "Oslo" ? 4 : 21) })

const program = Effect.gen(function* () {
  const answer = yield* LanguageModel.generateText({ prompt: "Name the capital of Norway." })
  const { inputTokens, outputTokens } = answer.usage
  const tokens = (inputTokens.total ?? 0) + (outputTokens.total ?? 0)
  console.log(`text: ${answer.text}, ${answer.finishReason}, ${tokens} tokens`)

  const words = yield* LanguageModel.streamText({ prompt: "What is the capital of Norway?" }).pipe(
    Stream.flatMap((part) => (part.type === "text-delta" ? Stream.succeed(part.delta.trim()) : Stream.empty)),
    Stream.runCollect
  )
  console.log(`stream: ${words.join(" | ")}`)

  const { value } = yield* LanguageModel.generateObject({
    prompt: "Describe the capital of Norway.",
    schema: Schema.Struct({ name: Schema.String, founded: Schema.Int })
  })
  console.log("object:", value)

  // One call is one round. `Node.agent` has a loop of this kind, bounded, in a node of a graph.
  const chat = yield* Chat.empty
  let reply = yield* chat.generateText({ prompt: "How warm is it in Oslo?", toolkit: tools })
  let rounds = 1
  while (reply.finishReason === "tool-calls" && rounds < 5) {
    reply = yield* chat.generateText({ prompt: [], toolkit: tools })
    rounds++
  }
  console.log(`chat: ${rounds} rounds, ${reply.text}`)
})

const plan = ExecutionPlan.make(
  { provide: OllamaLanguageModel.model("large") },
  { provide: OllamaLanguageModel.model("small", { temperature: 0, maxTokens: 100 }) }
)

const planned = Effect.gen(function* () {
  const answer = yield* LanguageModel.generateText({ prompt: "Who answers?" }).pipe(Effect.withExecutionPlan(plan))
  console.log(`plan: ${answer.text}`)
})

const vectors = Effect.gen(function* () {
  const model = yield* EmbeddingModel.EmbeddingModel
  const { embeddings } = yield* model.embedMany(["a cat", "the stock market"])
  console.log(`vectors: ${embeddings.length}, each with ${embeddings[0]?.vector.length} numbers`)
}).pipe(Effect.provide(OllamaEmbeddingModel.layer({ model: "small", dimensions: 8 })))

/** What the models of this example write. */
const script = (question: string, hasResult: boolean): Reply =>
  question.startsWith("Name")
    ? "Oslo"
    : question.startsWith("What")
      ? "The capital of Norway is Oslo."
      : question.startsWith("Describe")
        ? `{"name":"Oslo","founded":1040}`
        : question.startsWith("Who")
          ? "small answers, because large is missing"
          : hasResult
            ? "It is 4 degrees in Oslo."
            : { text: "", toolCalls: [{ name: "get_temperature", arguments: { city: "Oslo" } }] }

const ollama = Layer.unwrap(Effect.map(OllamaDouble, ({ url }) => NodeClient.layer({ url }))).pipe(
  Layer.provide(
    OllamaDouble.layer({
      models: [{ name: "small", capabilities: ["completion", "tools", "embedding"] }],
      reply: ({ messages }) =>
        script(
          messages.find(({ role }) => role === "user")?.content ?? "",
          messages.some(({ role }) => role === "tool")
        )
    })
  )
)

const model = OllamaLanguageModel.layer({ model: "small" })

await Effect.provide(program, [model, handlers]).pipe(
  Effect.andThen(planned),
  Effect.andThen(vectors),
  Effect.provide(ollama),
  Effect.runPromise
)
