/**
 * Ollama for Node: the client with everything it needs.
 *
 * Node's built-in `fetch` gives up when the headers take 300 seconds, and Ollama sends them with the first token, after
 * queueing and loading. This client waits an hour for headers and without bound for the body; the client of Ollama has
 * time limits of its own.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type * as Config from "effect/Config"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Ollama from "./Ollama.ts"
import { connectTimeoutMillis } from "./OllamaTransport.ts"

export { create, type CreateFromFiles, FileUnreadable } from "./OllamaFiles.ts"

/** An HTTP client that gives up connecting after 5 seconds. It follows no redirects and uses no proxy. */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient> = NodeHttpClient.layerUndiciOptions({
  connect: { timeout: connectTimeoutMillis }
})

/** `Ollama.layer` with its HTTP client. */
export const layer = (options: Ollama.LayerOptions = {}): Layer.Layer<Ollama.Ollama> =>
  Layer.provide(Ollama.Ollama.layer(options), layerHttpClient)

/** `Ollama.layerConfigWith` with its HTTP client: reads `OLLAMA_HOST`. */
export const layerConfigWith = (
  options: Omit<Ollama.LayerOptions, "url" | "apiKey">
): Layer.Layer<Ollama.Ollama, Config.ConfigError> =>
  Layer.provide(Ollama.Ollama.layerConfigWith(options), layerHttpClient)

/** `Ollama.layerConfig` with its HTTP client: reads `OLLAMA_HOST`. */
export const layerConfig: Layer.Layer<Ollama.Ollama, Config.ConfigError> = Layer.provide(
  Ollama.Ollama.layerConfig,
  layerHttpClient
)
