/**
 * An Ollama without a socket, for `Ollama.layerTest`: what would come over the wire, made from a function.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { type ChatRequest, type Message, words } from "./OllamaApi.ts"
import type { OllamaError } from "./OllamaError.ts"
import type { Host } from "./OllamaHost.ts"
import type * as OllamaHttp from "./OllamaHttp.ts"

export const host: Host = {
  scheme: "http",
  address: "ollama.test",
  port: 11434,
  path: "",
  url: "http://ollama.test:11434",
  warnings: [],
  remote: false
}

export const send =
  (answer: (request: ChatRequest) => string | Effect.Effect<string, OllamaError>): OllamaHttp.Send =>
  (request) =>
    Effect.suspend(() => {
      if (request.path !== "/api/chat" && request.path !== "/api/generate") {
        return Effect.succeed(respond(request, JSON.stringify(others[request.path] ?? {})))
      }
      const chat = toChat(JSON.parse(request.body ?? "{}"))
      const text = answer(chat)
      return Effect.map(typeof text === "string" ? Effect.succeed(text) : text, (text) =>
        respond(request, records(chat, text, request.path === "/api/chat"))
      )
    })

const others: Readonly<Record<string, unknown>> = {
  "/api/version": { version: "0.0.0-tinyllm-test" },
  "/api/tags": { models: [] },
  "/api/show": { details: {}, model_info: {} }
}

const respond = (request: OllamaHttp.Request, body: string) =>
  HttpClientResponse.fromWeb(HttpClientRequest.make(request.method)(`${host.url}${request.path}`), new Response(body))

// The bodies are our own, written by OllamaApi.
const toChat = (body: {
  readonly model: string
  readonly messages?: ReadonlyArray<Message>
  readonly prompt?: string
  readonly system?: string
  readonly think?: ChatRequest["think"]
  readonly format?: ChatRequest["format"]
  readonly options: {
    readonly num_predict: number
    readonly num_ctx?: number
    readonly temperature?: number
    readonly top_p?: number
    readonly top_k?: number
    readonly seed?: number
    readonly stop?: ReadonlyArray<string>
  }
}): ChatRequest => ({
  model: body.model,
  messages: body.messages ?? [
    ...(body.system === undefined ? [] : [{ role: "system" as const, content: body.system }]),
    { role: "user", content: body.prompt ?? "" }
  ],
  temperature: body.options.temperature,
  topP: body.options.top_p,
  topK: body.options.top_k,
  maxTokens: body.options.num_predict,
  seed: body.options.seed,
  stop: body.options.stop,
  numCtx: body.options.num_ctx,
  think: body.think,
  format: body.format
})

/** One record for each word, then the last one with the counts. */
const records = (request: ChatRequest, text: string, chat: boolean): string => {
  const pieces = words(text)
  const record = (content: string, rest: object) =>
    `${JSON.stringify({ model: request.model, ...(chat ? { message: { role: "assistant", content } } : { response: content }), ...rest })}\n`
  return (
    pieces.map((word) => record(word, { done: false })).join("") +
    record("", {
      done: true,
      done_reason: "stop",
      prompt_eval_count: request.messages.reduce((sum, message) => sum + countWords(message.content), 0),
      eval_count: pieces.length
    })
  )
}

const countWords = (text: string): number => text.match(/\S+/g)?.length ?? 0
