/**
 * Every public module under its name. A program that starts often imports them one by one (`tinyllm/Graph`): that loads
 * only what it uses.
 *
 * @since 0.1.0
 */
export * as Assistant from "./Assistant.ts"
export * as Baggage from "./Baggage.ts"
export * as Demo from "./Demo.ts"
export * as Graph from "./Graph.ts"
export * as Logs from "./Logs.ts"
export * as Node from "./Node.ts"
export * as NodeClient from "./NodeClient.ts"
export * as Ollama from "./Ollama.ts"
export * as OllamaDouble from "./OllamaDouble.ts"
export * as OllamaEmbeddingModel from "./OllamaEmbeddingModel.ts"
export * as OllamaError from "./OllamaError.ts"
export * as OllamaLanguageModel from "./OllamaLanguageModel.ts"
export * as Propagation from "./Propagation.ts"
export * as Span from "./Span.ts"
export * as Telemetry from "./Telemetry.ts"
export * as TelemetryTest from "./TelemetryTest.ts"
export * as Usage from "./Usage.ts"
