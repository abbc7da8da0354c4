/**
 * An Ollama without a socket, for `Ollama.layerTest`: what would come over the wire, made from a function.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { type ChatRequest, type Message, type Tool, words } from "./OllamaApi.ts"
import * as OllamaError from "./OllamaError.ts"
import type { Host } from "./OllamaHost.ts"
import type * as OllamaHttp from "./OllamaHttp.ts"
import * as OllamaOptions from "./OllamaOptions.ts"

export const host: Host = {
  scheme: "http",
  address: "ollama.test",
  port: 11434,
  path: "",
  url: "http://ollama.test:11434",
  warnings: [],
  remote: false
}

/** What a model that is a function answers: a text, or also thoughts and tool calls. */
export type Answer =
  | string
  | {
      readonly text?: string | undefined
      readonly thinking?: string | undefined
      readonly toolCalls?: ReadonlyArray<{ readonly name: string; readonly arguments: unknown }> | undefined
    }

export const send =
  (answer: (request: ChatRequest) => Answer | Effect.Effect<Answer, OllamaError.OllamaError>): OllamaHttp.Send =>
  (request) =>
    Effect.suspend(() => {
      if (request.path !== "/api/chat" && request.path !== "/api/generate") {
        const other = others[request.path]
        return other === undefined
          ? Effect.fail(
              OllamaError.make(
                new OllamaError.InvalidRequest({
                  text: `Ollama.layerTest answers model calls, and has nothing for ${request.path}. Use OllamaDouble for that.`
                })
              )
            )
          : Effect.succeed(respond(request, JSON.stringify(other)))
      }
      const chat = toChat(JSON.parse(request.body ?? "{}"))
      const answered = answer(chat)
      return Effect.map(Effect.isEffect(answered) ? answered : Effect.succeed(answered), (answer) =>
        respond(request, records(chat, answer, request.path === "/api/chat"))
      )
    })

const others: Readonly<Record<string, unknown>> = {
  "/api/version": { version: "0.0.0-tinyllm-test" },
  "/api/tags": { models: [] },
  "/api/ps": { models: [] },
  "/api/show": { details: {}, model_info: {} }
}

const respond = (request: OllamaHttp.Request, body: string) =>
  HttpClientResponse.fromWeb(HttpClientRequest.make(request.method)(`${host.url}${request.path}`), new Response(body))

// The bodies are our own, written by OllamaBody.
const toChat = (body: {
  readonly model: string
  readonly messages?: ReadonlyArray<WireMessage>
  readonly tools?: ReadonlyArray<{ readonly function: Tool }>
  readonly prompt?: string
  readonly system?: string
  readonly think?: ChatRequest["think"]
  readonly format?: ChatRequest["format"]
  readonly truncate?: boolean
  readonly shift?: boolean
  readonly logprobs?: boolean
  readonly top_logprobs?: number
  readonly options: Readonly<Record<string, unknown>> & { readonly stop?: ReadonlyArray<string> }
}): ChatRequest => ({
  model: body.model,
  messages: body.messages?.map(toMessage) ?? [
    ...(body.system === undefined ? [] : [{ role: "system" as const, content: body.system }]),
    { role: "user", content: body.prompt ?? "" }
  ],
  ...(body.tools === undefined ? {} : { tools: body.tools.map((tool) => tool.function) }),
  ...OllamaOptions.fromWire(body.options),
  stop: body.options.stop,
  truncate: body.truncate,
  shift: body.shift,
  logprobs: body.logprobs,
  topLogprobs: body.top_logprobs,
  think: body.think,
  format: body.format
})

interface WireMessage {
  readonly role: Message["role"]
  readonly content: string
  readonly thinking?: string
  readonly images?: ReadonlyArray<string>
  readonly tool_calls?: ReadonlyArray<{
    readonly id: string
    readonly function: { readonly name: string; readonly arguments: unknown }
  }>
  readonly tool_name?: string
  readonly tool_call_id?: string
}

const toMessage = ({ role, content, thinking, images, ...wire }: WireMessage): Message => ({
  role,
  content,
  ...(thinking === undefined ? {} : { thinking }),
  ...(images === undefined ? {} : { images }),
  ...(wire.tool_calls === undefined
    ? {}
    : { toolCalls: wire.tool_calls.map((call) => ({ id: call.id, ...call.function })) }),
  ...(wire.tool_name === undefined ? {} : { toolName: wire.tool_name }),
  ...(wire.tool_call_id === undefined ? {} : { toolCallId: wire.tool_call_id })
})

/** One record for each word, one for the tool calls, then the last one with the counts. */
const records = (request: ChatRequest, answer: Answer, chat: boolean): string => {
  const { text = "", thinking = "", toolCalls = [] } = typeof answer === "string" ? { text: answer } : answer
  const thoughts = words(thinking)
  const pieces = words(text)
  const record = (message: object, rest: object) =>
    `${JSON.stringify({ model: request.model, ...(chat ? { message: { role: "assistant", ...message } } : message), ...rest })}\n`
  const content = (text: string) => (chat ? { content: text } : { response: text })
  const more = { done: false }
  return [
    ...thoughts.map((word) => record({ ...content(""), thinking: word }, more)),
    ...pieces.map((word) => record(content(word), more)),
    ...(toolCalls.length === 0
      ? []
      : [record({ ...content(""), tool_calls: toolCalls.map((call) => ({ function: call })) }, more)]),
    record(content(""), {
      done: true,
      done_reason: "stop",
      prompt_eval_count: request.messages.reduce((sum, message) => sum + countWords(message.content), 0),
      eval_count: thoughts.length + pieces.length
    })
  ].join("")
}

const countWords = (text: string): number => text.match(/\S+/g)?.length ?? 0
