/**
 * What the spans of runs, nodes, tools and model calls say, by name.
 *
 * `llm.*` and `gen_ai.*` are written by one function, so they cannot disagree.
 *
 * @since 0.1.0
 */
import { type Attributes, type AttributeValue, json, truncate } from "./Attribute.ts"
import * as Redaction from "./Redaction.ts"

const taskLength = 200

// Characters of a task that is no text which are turned into one.
const taskLengthRead = 4096

/** The start of a task as `task.content` shows it: 200 code points at most, with `…` when cut, without secrets; empty for none. */
export const taskContent = (task: unknown, redact: Redaction.Redact = Redaction.redact): string => {
  const text = typeof task === "string" ? task : task === undefined || task === null ? "" : json(task, taskLengthRead)
  const more = typeof task !== "string" && text.length >= taskLengthRead
  return truncate(Redaction.start(text, 2 * taskLength, redact, more), taskLength)
}

/** What is known when a run starts. `executionId` is ours, not the trace id: it is there also when unsampled. */
export const graphStart = (options: {
  readonly id: string
  readonly executionId: string
  readonly task: unknown
  readonly taskContent: (task: unknown) => string
}): Attributes => ({
  "graph.id": options.id,
  "execution.trace_id": options.executionId,
  "task.content": options.taskContent(options.task),
  "gen_ai.operation.name": "invoke_workflow",
  "gen_ai.workflow.name": options.id
})

/** What is known when a run ends, however it ends. */
export const graphEnd = (options: {
  readonly nodesExecuted: number
  readonly tokensUsed: number
  readonly durationMillis: number
}): Attributes => ({
  "execution.nodes_executed": options.nodesExecuted,
  "execution.tokens_used": options.tokensUsed,
  "execution.duration_ms": Math.round(options.durationMillis)
})

/** The attributes of a node visit. `step` is unknown when a node runs outside of a graph. */
export const node = (id: string, type: string, step: number | undefined): Record<string, AttributeValue> =>
  step === undefined
    ? { "node.id": id, "node.type": type }
    : { "node.id": id, "node.type": type, "execution.step": step }

/** A model call as it is sent. Semantic conventions for generative AI, v1.41.0. */
export interface LlmRequest {
  readonly operation: "chat" | "text_completion" | "embeddings"
  /** As requested, tag included. */
  readonly model: string
  /** Code points of all text sent. */
  readonly promptLength: number
  readonly temperature?: number | undefined
  readonly topP?: number | undefined
  readonly topK?: number | undefined
  readonly frequencyPenalty?: number | undefined
  readonly presencePenalty?: number | undefined
  readonly maxTokens?: number | undefined
  readonly stop?: ReadonlyArray<string> | undefined
  readonly seed?: number | undefined
  /** Whether the caller reads the answer as it comes. */
  readonly stream?: boolean | undefined
  /** Whether JSON was asked for. */
  readonly json?: boolean | undefined
  readonly serverAddress?: string | undefined
  readonly serverPort?: number | undefined
}

/** A model call as it was answered: only what the server said. */
export interface LlmResponse {
  readonly model?: string | undefined
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  readonly finishReason?: string | undefined
  /** Seconds from sending the request to its first text; only when the caller streams. */
  readonly timeToFirstChunkSeconds?: number | undefined
}

/** A call of a tool by a model. */
export const toolCall = (options: {
  readonly name: string
  readonly callId?: string | undefined
  readonly description?: string | undefined
}): Attributes => ({
  "gen_ai.operation.name": "execute_tool",
  "gen_ai.tool.name": options.name,
  "gen_ai.tool.call.id": options.callId,
  "gen_ai.tool.type": "function",
  "gen_ai.tool.description": options.description
})

/** What is known when an agent begins. */
export const agent = (options: { readonly name: string; readonly provider: string }): Attributes => ({
  "gen_ai.operation.name": "invoke_agent",
  "gen_ai.provider.name": options.provider,
  "gen_ai.agent.name": options.name
})

export const llmRequest = (request: LlmRequest): Attributes => ({
  "llm.model": request.model,
  "llm.prompt_length": request.promptLength,
  "llm.temperature": request.temperature,
  "gen_ai.operation.name": request.operation,
  "gen_ai.provider.name": "ollama",
  "gen_ai.request.model": request.model,
  "gen_ai.request.temperature": request.temperature,
  "gen_ai.request.top_p": request.topP,
  "gen_ai.request.top_k": request.topK,
  "gen_ai.request.frequency_penalty": request.frequencyPenalty,
  "gen_ai.request.presence_penalty": request.presencePenalty,
  "gen_ai.request.max_tokens": request.maxTokens !== undefined && request.maxTokens > 0 ? request.maxTokens : undefined,
  "gen_ai.request.stop_sequences": request.stop,
  "gen_ai.request.seed": request.seed,
  "gen_ai.request.stream": request.stream === true ? true : undefined,
  "gen_ai.output.type": request.json === true ? "json" : undefined,
  "server.address": request.serverAddress,
  "server.port": request.serverPort
})

export const llmResponse = (response: LlmResponse): Attributes => ({
  "llm.input_tokens": response.inputTokens,
  "llm.output_tokens": response.outputTokens,
  "llm.total_tokens":
    response.inputTokens !== undefined && response.outputTokens !== undefined
      ? response.inputTokens + response.outputTokens
      : undefined,
  "gen_ai.response.model": response.model,
  "gen_ai.usage.input_tokens": response.inputTokens,
  "gen_ai.usage.output_tokens": response.outputTokens,
  "gen_ai.response.finish_reasons":
    response.finishReason === undefined || response.finishReason === "" ? undefined : [response.finishReason],
  "gen_ai.response.time_to_first_chunk": response.timeToFirstChunkSeconds
})
