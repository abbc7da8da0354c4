/**
 * Ollama as a service: chats, prompts, vectors, and the models of a server.
 *
 * Each model call is a span `llm.chat`, `llm.generate` or `llm.embed`, with the tokens that the server counted. On the
 * wire it always streams, so the time of the first token is known and interrupting a call stops the model.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { ChatRequest } from "./OllamaApi.ts"
import * as OllamaClient from "./OllamaClient.ts"
import type { OllamaError } from "./OllamaError.ts"
import * as OllamaHost from "./OllamaHost.ts"
import * as OllamaHttp from "./OllamaHttp.ts"
import * as OllamaPatience from "./OllamaPatience.ts"
import type { Client, LayerOptions } from "./OllamaService.ts"
import * as OllamaTest from "./OllamaTest.ts"
import type { Answer as TestAnswer } from "./OllamaTest.ts"
import * as OllamaTimings from "./OllamaTimings.ts"

export type {
  ChatRequest,
  Completion,
  GenerateRequest,
  KeepAlive,
  LoadOptions,
  LoadRequest,
  Logprob,
  Message,
  Options,
  Part,
  Timings,
  Tool,
  ToolCall
} from "./OllamaApi.ts"
export { sameModel } from "./OllamaApi.ts"
export type { Client, LayerOptions, ObjectAnswer, ObjectRequest } from "./OllamaService.ts"
export type { Embeddings, EmbedRequest } from "./OllamaEmbed.ts"
export type { LoadedModel, Model, ModelInfo } from "./OllamaModels.ts"
export type { Blob, CreateRequest, Progress } from "./OllamaProgress.ts"
export { answer as format } from "./OllamaSchema.ts"
export { OllamaError, type Reason } from "./OllamaError.ts"
export * from "./OllamaReason.ts"
export type { Answer as TestAnswer } from "./OllamaTest.ts"
export {
  assistantMessage,
  decodeToolCall,
  tool,
  ToolArgumentsInvalid,
  toolResult,
  type TypedTool
} from "./OllamaTools.ts"

export class Ollama extends Context.Service<Ollama, Client>()("tinyllm/Ollama") {
  /** A client for one server. Makes no request until it is used. */
  static readonly layer = (options: LayerOptions = {}): Layer.Layer<Ollama, never, HttpClient.HttpClient> => {
    const host = OllamaHost.parse(options.url, "url")
    if (Result.isFailure(host)) {
      throw new RangeError(`Ollama.layer: ${host.failure}`)
    }
    OllamaPatience.make(options) // what makes no sense throws here, where it was written
    return fromHost(host.success, options)
  }

  /**
   * A client for the server that `OLLAMA_HOST` names; `OLLAMA_API_KEY` is sent to https://ollama.com only, and
   * `TINYLLM_OLLAMA_TIMINGS=false` is `timings: false`. Fails when a value cannot be read.
   */
  static readonly layerConfigWith = (
    options: Omit<LayerOptions, "url" | "apiKey">
  ): Layer.Layer<Ollama, Config.ConfigError, HttpClient.HttpClient> => {
    OllamaPatience.make(options) // as above
    return Layer.unwrap(
      Effect.gen(function* () {
        const host = yield* OllamaHost.config
        const apiKey = yield* OllamaHost.apiKeyConfig
        return fromHost(host, { ...options, apiKey, timings: options.timings ?? (yield* OllamaTimings.config) })
      })
    )
  }

  /** `layerConfigWith` without options. */
  static readonly layerConfig: Layer.Layer<Ollama, Config.ConfigError, HttpClient.HttpClient> = Ollama.layerConfigWith(
    {}
  )

  /**
   * A model that is a function of the conversation; opens no socket. Its calls take the same way as real ones, so spans
   * and tokens are there (one token for each word), but no timings of a server. A prompt comes as a user's message.
   */
  static readonly layerTest = (
    answer: (request: ChatRequest) => TestAnswer | Effect.Effect<TestAnswer, OllamaError>
  ): Layer.Layer<Ollama> =>
    Layer.sync(Ollama, () => OllamaClient.make(OllamaTest.host, OllamaTest.send(answer), { permitsPerModel: Infinity }))
}

const fromHost = (host: OllamaHost.Host, options: LayerOptions): Layer.Layer<Ollama, never, HttpClient.HttpClient> => {
  const key = options.apiKey === undefined ? undefined : OllamaHost.bearer(options.apiKey)
  const bearer = /^ollama\.com$/i.test(host.address) && host.scheme === "https" ? key : undefined
  return Layer.effect(
    Ollama,
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      for (const warning of host.warnings) {
        yield* Effect.logWarning(warning)
      }
      const send = OllamaHttp.make(client, { url: host.url, authorization: bearer ?? host.authorization })
      return OllamaClient.make(host, send, options)
    })
  )
}
