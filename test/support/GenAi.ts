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
