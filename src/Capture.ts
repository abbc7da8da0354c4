/**
 * What of prompts and answers goes into the spans of model calls: nothing, unless somebody asks for it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Tracer from "effect/Tracer"
import * as Messages from "./Messages.ts"
import type { Redact } from "./Redaction.ts"
import * as Span from "./Span.ts"

/** How content is recorded. */
export interface Capture {
  /** As attributes of the span. */
  readonly attributes: boolean
  /** As attributes of an event of the span. */
  readonly event: boolean
  /** Bytes of one attribute at most. */
  readonly bytes: number
  readonly redact: Redact
}

/** `undefined`, the default, records no content. Telemetry sets it. */
export const Current: Context.Reference<Capture | undefined> = Context.Reference("tinyllm/Capture", {
  defaultValue: (): Capture | undefined => undefined
})

/** Whether log lines become events of spans, without what they say; `false` by default. Telemetry sets it. */
export const LogEvents: Context.Reference<boolean> = Context.Reference("tinyllm/Capture/LogEvents", {
  defaultValue: () => false
})

/** The event that holds content. https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/ */
export const eventName = "gen_ai.client.inference.operation.details"

/** What is sent to a model. */
export interface Input {
  readonly operation: "chat" | "text_completion"
  /** Given apart from the conversation. */
  readonly system: ReadonlyArray<string>
  readonly messages: ReadonlyArray<{
    readonly role: string
    readonly content: string
    readonly thinking?: string | undefined
    readonly toolCalls?: ReadonlyArray<ToolCall> | undefined
    /** The call that a tool's message answers. */
    readonly toolCallId?: string | undefined
  }>
  /** What the model may call. */
  readonly tools: ReadonlyArray<Messages.Tool>
}

/** A tool that a model asks for. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: unknown
}

/** What a model answered, or had answered when the call failed. */
export interface Output {
  readonly text: string
  readonly thinking: string | undefined
  readonly toolCalls: ReadonlyArray<ToolCall>
  readonly finishReason: string
}

/** The content of one call. */
export interface Content {
  /** Records how the call ended, the first time; without an answer where there was none. */
  readonly end: (output: Output | undefined, time: bigint) => void
}

/** Records what is sent, on the span of the call. */
export const begin = (capture: Capture, span: Tracer.Span, input: Input): Content => {
  const sent = {
    "gen_ai.system_instructions": input.system.length === 0 ? undefined : Messages.instructions(input.system, capture),
    "gen_ai.input.messages": Messages.messages(
      input.messages.map((message) => ({
        role: message.role,
        parts:
          message.role === "tool"
            ? [{ type: "tool_call_response", id: message.toolCallId ?? null, response: message.content }]
            : parts(message.thinking ?? "", message.content, message.toolCalls ?? [])
      })),
      capture
    ),
    "gen_ai.tool.definitions": input.tools.length === 0 ? undefined : Messages.definitions(input.tools, capture)
  }
  if (capture.attributes) {
    Span.set(span, sent)
  }
  let ended = false
  return {
    end: (output, time) => {
      if (ended) {
        return
      }
      ended = true
      const received = { "gen_ai.output.messages": output === undefined ? undefined : answer(output, capture) }
      if (capture.attributes) {
        Span.set(span, received)
      }
      if (capture.event) {
        span.event(eventName, time, Span.defined({ "gen_ai.operation.name": input.operation, ...sent, ...received }))
      }
    }
  }
}

const answer = (output: Output, capture: Capture): string =>
  Messages.messages(
    [
      {
        role: "assistant",
        parts: parts(output.thinking ?? "", output.text, output.toolCalls),
        finish_reason: output.finishReason
      }
    ],
    capture
  )

// An empty text is one only where there is nothing else.
const parts = (thinking: string, text: string, toolCalls: ReadonlyArray<ToolCall>): ReadonlyArray<Messages.Part> => [
  ...(thinking === "" ? [] : [{ type: "reasoning" as const, content: thinking }]),
  ...((thinking !== "" || toolCalls.length > 0) && text === "" ? [] : [{ type: "text" as const, content: text }]),
  ...toolCalls.map((call) => ({ type: "tool_call" as const, id: call.id, name: call.name, arguments: call.arguments }))
]
