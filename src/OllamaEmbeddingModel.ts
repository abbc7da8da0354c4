/**
 * `EmbeddingModel` of `effect/ai` on Ollama: vectors of texts.
 *
 * Each request is a call of `Ollama.embed`, with its time limits, retries and span `llm.embed`. Texts that are asked for
 * one by one at the same time go in one request, as `effect/ai` has it; those of different runs of graphs do not, so
 * that each run has its own tokens.
 *
 * @since 0.1.0
 */
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Model from "effect/ai/Model"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ollama from "./Ollama.ts"
import * as OllamaAiError from "./OllamaAiError.ts"
import * as Usage from "./Usage.ts"

/** What every request of a model is sent with. */
export type Options = Omit<Ollama.EmbedRequest, "model" | "input">

/** An embedding model of this name. Requests are made when it is used, so it may be missing until then. */
export const layer = (
  options: Options & { readonly model: string }
): Layer.Layer<EmbeddingModel.EmbeddingModel, never, Ollama.Ollama> =>
  Layer.effect(EmbeddingModel.EmbeddingModel, make(options))

/**
 * The same as `layer`, for programs that ask which model they are given: it also provides `Model.ModelName`,
 * `Model.ProviderName`, which is `"ollama"`, and how many numbers a vector has.
 */
export const model = (
  name: string,
  options: Options & { readonly dimensions: number }
): Model.Model<"ollama", EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions, Ollama.Ollama> =>
  Model.make(
    "ollama",
    name,
    Layer.merge(layer({ ...options, model: name }), Layer.succeed(EmbeddingModel.Dimensions, options.dimensions))
  )

/** Makes the service that `layer` provides. */
export const make = (
  options: Options & { readonly model: string }
): Effect.Effect<EmbeddingModel.EmbeddingModel, never, Ollama.Ollama> =>
  Effect.flatMap(Ollama.Ollama, (ollama) =>
    EmbeddingModel.make({
      embedMany: ({ inputs }) =>
        ollama.embed({ ...options, input: inputs }).pipe(
          Effect.mapBoth({
            onFailure: (error) => OllamaAiError.fromOllamaError("OllamaEmbeddingModel", "embedMany", error),
            onSuccess: ({ embeddings, inputTokens }) => ({
              results: embeddings.map((vector) => Array.from(vector)),
              usage: { inputTokens }
            })
          })
        ),
      batchKey: (context) => Context.get(context, Usage.Current)
    })
  )
