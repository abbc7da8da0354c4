/**
 * An Ollama client whose server is the demo: it classifies by words, does arithmetic, and otherwise says what it is.
 *
 * Everything is real but the model: requests go through the client to an HTTP server on a loopback port, which lives as
 * long as the layer.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NodeClient from "./NodeClient.ts"
import type { Ollama } from "./Ollama.ts"
import { OllamaDouble, type OllamaDoubleFailed } from "./OllamaDouble.ts"

export const layer: Layer.Layer<Ollama, OllamaDoubleFailed> = Layer.unwrap(
  Effect.map(OllamaDouble, ({ url }) => NodeClient.layer({ url }))
).pipe(Layer.provide(OllamaDouble.layer(OllamaDouble.demo)))
