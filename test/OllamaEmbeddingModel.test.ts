import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { EmbeddingModel, Model } from "effect/ai"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Ollama from "../src/Ollama.ts"
import * as OllamaEmbeddingModel from "../src/OllamaEmbeddingModel.ts"
import { against, requests } from "./support/Double.ts"
import { exitOf, named, only, parentName } from "./support/Spans.ts"

const model = (options: OllamaEmbeddingModel.Options = {}) =>
  OllamaEmbeddingModel.layer({ ...options, model: "m" }).pipe(Layer.provideMerge(against("never")))

const embedMany = (inputs: ReadonlyArray<string>) =>
  Effect.flatMap(EmbeddingModel.EmbeddingModel, (model) => model.embedMany(inputs))
const embed = (input: string) => Effect.flatMap(EmbeddingModel.EmbeddingModel, (model) => model.embed(input))

describe("EmbeddingModel", () => {
  it.live("gives a vector for each text, in their order, with the tokens, in one request", () =>
    Effect.gen(function* () {
      const { embeddings, usage } = yield* embedMany(["a cat", "the stock market"])
      assert.lengthOf(embeddings, 2)
      assert.lengthOf(embeddings[0]?.vector ?? [], 8)
      assert.notDeepEqual(embeddings[0]?.vector, embeddings[1]?.vector)
      assert.strictEqual(usage.inputTokens, 5)
      assert.deepStrictEqual(
        (yield* requests).map(({ body }) => body),
        ['{"model":"m","input":["a cat","the stock market"],"truncate":false,"dimensions":8}']
      )
      assert.strictEqual(parentName(yield* only("llm.embed")), "EmbeddingModel.embedMany")
      assert.deepStrictEqual((yield* embed("the stock market")).vector, embeddings[1]?.vector)
    }).pipe(Effect.provide(model({ dimensions: 8 })))
  )

  it.live("asks for single texts together", () =>
    Effect.gen(function* () {
      const [cat, dog] = yield* Effect.all([embed("cat"), embed("dog")], { concurrency: "unbounded" })
      assert.notDeepEqual(cat.vector, dog.vector)
      assert.lengthOf(yield* requests, 1)
      const resolver = yield* only("EmbeddingModel.resolver")
      assert.strictEqual(parentName(resolver), "EmbeddingModel.embed")
      assert.strictEqual(parentName(yield* only("llm.embed")), "EmbeddingModel.resolver")
      assert.lengthOf(yield* named("EmbeddingModel.embed"), 2)
      assert.deepStrictEqual((yield* embed("dog")).vector, dog.vector)
    }).pipe(Effect.provide(model()))
  )

  it.live("does not ask for texts of different runs together, so that each has its own tokens", () =>
    Effect.gen(function* () {
      const graph = Graph.single("g", Node.tool(embed))
      const [one, three] = yield* Effect.all([Graph.run(graph, "cat"), Graph.run(graph, "a small dog")], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual([one.usage.inputTokens, three.usage.inputTokens], [1, 3])
      assert.lengthOf(yield* requests, 2)
    }).pipe(Effect.provide(model()))
  )

  it.live("leaves out a count that the server did not give", () =>
    Effect.gen(function* () {
      const { usage } = yield* embedMany(["cat"])
      assert.isUndefined(usage.inputTokens)
    }).pipe(
      Effect.provide(
        OllamaEmbeddingModel.layer({ model: "m" }).pipe(
          Layer.provide(
            against("never", {}, { embed: () => ({ embeddings: [[1]], metrics: { prompt_eval_count: undefined } }) })
          )
        )
      )
    )
  )

  it.live("fails with the client's error as the cause", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(embedMany(["cat"]))
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
      const cause = (error.cause as Error).cause
      assert.instanceOf(cause, Ollama.OllamaError)
      assert.strictEqual(cause.reason._tag, "ModelNotFound")
      assert.isFalse(error.isRetryable)
      assert.match(error.message, /^OllamaEmbeddingModel\.embedMany: .*ollama pull other/)
      assert.strictEqual(exitOf(yield* only("llm.embed"))?._tag, "Failure")
    }).pipe(Effect.provide(OllamaEmbeddingModel.layer({ model: "other" }).pipe(Layer.provideMerge(against("never")))))
  )

  it.live("says which model it is, and how many numbers a vector has", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Model.ModelName, "m")
      assert.strictEqual(yield* Model.ProviderName, "ollama")
      assert.strictEqual(yield* EmbeddingModel.Dimensions, 8)
      assert.lengthOf((yield* embed("cat")).vector, 8)
    }).pipe(Effect.provide(OllamaEmbeddingModel.model("m", { dimensions: 8 }).pipe(Layer.provide(against("never")))))
  )
})
