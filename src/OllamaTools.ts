/**
 * Tools that models ask for: made from schemas of Effect, their arguments decoded, their results told to the model.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Completion, Message, Tool, ToolCall } from "./OllamaApi.ts"
import * as OllamaSchema from "./OllamaSchema.ts"

/** A tool whose arguments have a schema. */
export interface TypedTool<out A> extends Tool {
  /** Decodes arguments; `decodeToolCall` does it with a better error. */
  readonly decode: (value: unknown) => Exit.Exit<A, unknown>
}

/** A model asked for a tool with arguments that its schema does not take. The arguments themselves are in no message. */
export class ToolArgumentsInvalid extends Schema.TaggedError<ToolArgumentsInvalid>()("ToolArgumentsInvalid", {
  /** The tool that was meant. */
  tool: Schema.String,
  /** The call's `id`. */
  callId: Schema.String,
  /** What was wrong. It may quote the arguments: tell it to the model, not to a log. */
  issue: Schema.Defect()
}) {
  override get message() {
    return `The model called the tool "${this.tool}" with arguments that do not fit its schema. Tell it what "issue" says and let it try again, describe the parameters better, or use a larger model.`
  }
}

/**
 * Makes a tool of a schema for its arguments, an object or one of several. What a model is shown of the schema are types,
 * descriptions (`annotate({ description })`), choices and what is required; the whole schema holds when arguments are
 * decoded. Throws a `RangeError` for a schema that is no object.
 */
export const tool = <A, Encoded>(options: {
  readonly name: string
  readonly description?: string | undefined
  readonly parameters: Schema.Codec<A, Encoded>
}): TypedTool<A> => {
  const parameters = Result.getOrThrowWith(
    Result.try(() => OllamaSchema.parameters(options.parameters)),
    (error) => new RangeError(`Ollama.tool: the parameters of "${options.name}": ${problemOf(error)}`)
  )
  return {
    name: options.name,
    description: options.description,
    parameters,
    decode: Schema.decodeUnknownExit(Schema.toCodecJson(options.parameters))
  }
}

const problemOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The arguments of a call, decoded by the schema of its tool. Fails with `ToolArgumentsInvalid` when they do not fit. */
export const decodeToolCall = <A>(tool: TypedTool<A>, call: ToolCall): Effect.Effect<A, ToolArgumentsInvalid> =>
  Effect.suspend(() => {
    const decoded = tool.decode(call.arguments)
    return Exit.isSuccess(decoded)
      ? Effect.succeed(decoded.value)
      : Effect.fail(new ToolArgumentsInvalid({ tool: tool.name, callId: call.id, issue: Cause.squash(decoded.cause) }))
  })

/** The message that tells a model what its tool call gave. */
export const toolResult = (call: ToolCall, content: string): Message => ({
  role: "tool",
  content,
  toolName: call.name,
  toolCallId: call.id
})

/** The message that says to a model what it answered: text, thoughts and tool calls. */
export const assistantMessage = (completion: Completion): Message => ({
  role: "assistant",
  content: completion.text,
  ...(completion.thinking === undefined ? {} : { thinking: completion.thinking }),
  ...(completion.toolCalls.length === 0 ? {} : { toolCalls: completion.toolCalls })
})
