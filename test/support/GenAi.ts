// The shapes of content on spans, as the schemas of the conventions have them, version 1.41:
// https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai (gen-ai-input-messages.json, …)
import { Schema } from "effect"

const Text = Schema.Struct({ type: Schema.Literal("text"), content: Schema.String })
const Reasoning = Schema.Struct({ type: Schema.Literal("reasoning"), content: Schema.String })
const ToolCall = Schema.Struct({
  type: Schema.Literal("tool_call"),
  id: Schema.optional(Schema.NullOr(Schema.String)),
  name: Schema.String,
  arguments: Schema.Unknown
})
const ToolCallResponse = Schema.Struct({
  type: Schema.Literal("tool_call_response"),
  id: Schema.optional(Schema.NullOr(Schema.String)),
  response: Schema.Unknown
})
const Part = Schema.Union([Text, Reasoning, ToolCall, ToolCallResponse])
const message = { role: Schema.Literals(["system", "user", "assistant", "tool"]), parts: Schema.Array(Part) }

const InputMessages = Schema.Array(Schema.Struct(message))
const OutputMessages = Schema.Array(Schema.Struct({ ...message, finish_reason: Schema.String }))
const SystemInstructions = Schema.Array(Part)
const ToolDefinitions = Schema.Array(
  Schema.Struct({
    type: Schema.Literal("function"),
    name: Schema.String,
    description: Schema.String,
    parameters: Schema.optional(Schema.Unknown)
  })
)

/** Reads an attribute, which is JSON in one line. Throws when it has another shape. */
const reading =
  <S extends Schema.Codec<any, any>>(schema: S) =>
  (value: unknown): S["Type"] => {
    if (typeof value !== "string" || JSON.stringify(JSON.parse(value)) !== value) {
      throw new Error(`not compact JSON in a string: ${String(value)}`)
    }
    return Schema.decodeUnknownSync(schema, { onExcessProperty: "error" })(JSON.parse(value))
  }

export const inputMessages = reading(InputMessages)
export const outputMessages = reading(OutputMessages)
export const systemInstructions = reading(SystemInstructions)
export const toolDefinitions = reading(ToolDefinitions)

/**
 * Every attribute of the registry of version 1.41 that is not deprecated.
 * https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/registry/attributes/gen-ai.md
 */
export const registry: ReadonlyArray<string> = [
  "gen_ai.agent.description",
  "gen_ai.agent.id",
  "gen_ai.agent.name",
  "gen_ai.agent.version",
  "gen_ai.conversation.id",
  "gen_ai.data_source.id",
  "gen_ai.embeddings.dimension.count",
  "gen_ai.evaluation.explanation",
  "gen_ai.evaluation.name",
  "gen_ai.evaluation.score.label",
  "gen_ai.evaluation.score.value",
  "gen_ai.input.messages",
  "gen_ai.operation.name",
  "gen_ai.output.messages",
  "gen_ai.output.type",
  "gen_ai.prompt.name",
  "gen_ai.provider.name",
  "gen_ai.request.choice.count",
  "gen_ai.request.encoding_formats",
  "gen_ai.request.frequency_penalty",
  "gen_ai.request.max_tokens",
  "gen_ai.request.model",
  "gen_ai.request.presence_penalty",
  "gen_ai.request.seed",
  "gen_ai.request.stop_sequences",
  "gen_ai.request.stream",
  "gen_ai.request.temperature",
  "gen_ai.request.top_k",
  "gen_ai.request.top_p",
  "gen_ai.response.finish_reasons",
  "gen_ai.response.id",
  "gen_ai.response.model",
  "gen_ai.response.time_to_first_chunk",
  "gen_ai.retrieval.documents",
  "gen_ai.retrieval.query.text",
  "gen_ai.system_instructions",
  "gen_ai.token.type",
  "gen_ai.tool.call.arguments",
  "gen_ai.tool.call.id",
  "gen_ai.tool.call.result",
  "gen_ai.tool.definitions",
  "gen_ai.tool.description",
  "gen_ai.tool.name",
  "gen_ai.tool.type",
  "gen_ai.usage.cache_creation.input_tokens",
  "gen_ai.usage.cache_read.input_tokens",
  "gen_ai.usage.input_tokens",
  "gen_ai.usage.output_tokens",
  "gen_ai.usage.reasoning.output_tokens",
  "gen_ai.workflow.name"
]
