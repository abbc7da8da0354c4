/**
 * The bodies of model calls, as they go over the wire, and what of them a person wrote.
 *
 * No `null` is sent, and `stream` and `num_predict` always are.
 * https://github.com/ollama/ollama/blob/main/docs/api.md
 *
 * @since 0.1.0
 */
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import type { ChatRequest, GenerateRequest, Message, Options, Tool } from "./OllamaApi.ts"
import * as OllamaKeepAlive from "./OllamaKeepAlive.ts"
import * as OllamaOptions from "./OllamaOptions.ts"

const defaultMaxTokens = 2048

export const maxTokens = (options: Options): number => options.maxTokens ?? defaultMaxTokens

/** The body of `POST /api/chat`. */
export const chatBody = (request: ChatRequest): string =>
  JSON.stringify({
    model: request.model,
    messages: request.messages.map(wireMessage),
    tools: request.tools === undefined || request.tools.length === 0 ? undefined : request.tools.map(wireTool),
    ...shared(request)
  })

/** The body of `POST /api/generate`. */
export const generateBody = (request: GenerateRequest): string =>
  JSON.stringify({
    model: request.model,
    prompt: request.prompt,
    suffix: request.suffix,
    system: request.system,
    template: request.template,
    raw: request.raw,
    images: request.images?.map(base64),
    ...shared(request)
  })

/** A message as it is sent. */
// What the model thought and asked for goes back to it, and an answer of a tool names both the tool and the call: which
// of them a model's template looks at differs. An empty thought is none.
export const wireMessage = (message: Message) => ({
  role: message.role,
  content: message.content,
  thinking: message.thinking === "" ? undefined : message.thinking,
  images: message.images?.map(base64),
  tool_calls:
    message.toolCalls === undefined || message.toolCalls.length === 0
      ? undefined
      : // The server takes an object only.
        message.toolCalls.map(({ id, name, arguments: given }) => ({
          id,
          function: { name, arguments: Predicate.isObject(given) && !Array.isArray(given) ? given : {} }
        })),
  tool_name: message.toolName,
  tool_call_id: message.toolCallId
})

const wireTool = ({ name, description, parameters }: Tool) => ({
  type: "function",
  function: { name, description, parameters }
})

const base64 = (image: Uint8Array | string): string =>
  typeof image === "string" ? image.replace(OllamaOptions.dataUrl, "") : Base64.encode(image)

// `JSON.stringify` leaves out what is undefined. With `truncate: false` a prompt that is too long is an error; by default
// Ollama would cut it in silence.
const shared = (options: Options) => ({
  stream: true,
  truncate: options.truncate ?? false,
  shift: options.shift,
  format: options.format,
  think: options.think,
  keep_alive: options.keepAlive === undefined ? undefined : OllamaKeepAlive.seconds(options.keepAlive),
  logprobs: options.logprobs,
  top_logprobs: options.topLogprobs,
  options: OllamaOptions.toWire(options, maxTokens(options))
})

/** What a person wrote, piece by piece. */
export const promptTexts = (request: ChatRequest | GenerateRequest): ReadonlyArray<string> =>
  "messages" in request
    ? request.messages.map((message) => message.content)
    : [request.system ?? "", request.prompt, request.suffix ?? ""]

/** Instructions that stand before the conversation, and the conversation. */
export const conversation = (
  request: ChatRequest | GenerateRequest
): { readonly system: ReadonlyArray<string>; readonly messages: ReadonlyArray<Message> } => {
  if (!("messages" in request)) {
    return {
      system: request.system === undefined ? [] : [request.system],
      messages: [{ role: "user", content: request.prompt }]
    }
  }
  const first = request.messages.findIndex((message) => message.role !== "system")
  const count = first === -1 ? request.messages.length : first
  return {
    system: request.messages.slice(0, count).map((message) => message.content),
    messages: request.messages.slice(count)
  }
}
