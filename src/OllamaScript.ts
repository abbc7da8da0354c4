/**
 * What an Ollama double answers: the words of its scripts.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { Message } from "./OllamaApi.ts"

/** A model call as the double received it. */
export interface Asked {
  readonly path: "/api/chat" | "/api/generate"
  readonly model: string
  /** A prompt of `generate` comes as a user's message, its `system` in front. */
  readonly messages: ReadonlyArray<Message>
  readonly format: unknown
  /** How many model calls there were, this one included. */
  readonly count: number
  /** The whole body. */
  readonly body: Readonly<Record<string, unknown>>
}

/** Texts to be made into vectors. */
export interface AskedToEmbed {
  readonly path: "/api/embed" | "/api/embeddings"
  readonly model: string
  readonly inputs: ReadonlyArray<string>
  /** How many such calls there were, this one included. */
  readonly count: number
  /** The whole body. */
  readonly body: Readonly<Record<string, unknown>>
}

/** A call of a tool. */
export interface ToolCall {
  readonly name: string
  /** An object, as Ollama writes it; anything else is for tests of clients. */
  readonly arguments?: unknown
  /** Made up by default; `null` leaves it out, as servers before 0.12.10 do. */
  readonly id?: string | null | undefined
  /** 0 by default, also for the second call: Ollama does not count. `null` leaves it out. */
  readonly index?: number | null | undefined
}

/** An answer of a model. Its timings are measured and its tokens counted, so they fit what really happened. */
export interface Answer {
  /** One piece for each record. */
  readonly text: string | ReadonlyArray<string>
  /** Comes before the text, unless the request says `think: false`. */
  readonly thinking?: string | ReadonlyArray<string> | undefined
  /** Come after the text. */
  readonly toolCalls?: ReadonlyArray<ToolCall> | undefined
  /**
   * All in a record of their own before an empty last one (`record`, the default), one in each record (`records`), or
   * within the last one (`last`, as models do that use their own template). `/api/generate` knows `last` only.
   */
  readonly toolCallsIn?: "record" | "records" | "last" | undefined
  /** How long the model loads, also when it was loaded; otherwise as long as the model says, and once. */
  readonly load?: Duration.Input | undefined
  /** How long the prompt is read, before the first record; no time by default. Headers come with that record. */
  readonly firstDelay?: Duration.Input | undefined
  /** Between records; no time by default. */
  readonly delay?: Duration.Input | undefined
  /** Before each record after the first one, for as many as there are; then `delay`. */
  readonly delays?: ReadonlyArray<Duration.Input> | undefined
  /** Cuts records into network chunks of so many bytes. */
  readonly bytesPerChunk?: number | undefined
  readonly doneReason?: string | null | undefined
  /** Fields of the last record that replace the measured ones; `null` as JSON has it, `undefined` leaves one out. */
  readonly metrics?: Readonly<Record<string, unknown>> | undefined
  /** The last record carries the last piece of text, instead of none. */
  readonly textInLastRecord?: boolean | undefined
  /** Ends with this error line instead of the last record. */
  readonly errorLine?: string | undefined
  /** Lines after the last record. */
  readonly trailing?: string | undefined
  readonly end?: End | undefined
}

/**
 * How a response ends: as it should (`done`), cleanly but without the last record (`eof`), with a FIN in the middle of a
 * line (`fin`), with a reset (`reset`), or not at all (`hang`). Before the first record, `fin` and `reset` come without
 * headers.
 */
export type End = "done" | "eof" | "fin" | "reset" | "hang"

/** Vectors of a model, sent as they are: not made unit length, not counted against the inputs. */
export interface Vectors {
  readonly embeddings: ReadonlyArray<ReadonlyArray<number>>
  /** How long the model loads, also when it was loaded; otherwise as long as the model says, and once. */
  readonly load?: Duration.Input | undefined
  /** How long it computes; no time by default. */
  readonly delay?: Duration.Input | undefined
  /** Fields of the response that replace the measured ones. */
  readonly metrics?: Readonly<Record<string, unknown>> | undefined
}

/** An error before the first record, as Ollama writes it. */
export interface Refusal {
  readonly status: number
  readonly error: unknown
  /** More fields of the body. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined
}

/** Bytes as they are: other servers, proxies, broken framing. */
export interface Raw {
  readonly raw: string | Uint8Array | ReadonlyArray<string | Uint8Array>
  /** 200 by default. */
  readonly status?: number | undefined
  /** `application/x-ndjson` by default. */
  readonly contentType?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly firstDelay?: Duration.Input | undefined
  readonly delay?: Duration.Input | undefined
  readonly bytesPerChunk?: number | undefined
  readonly end?: End | undefined
}

/** What to do with a model call. A text is an answer that comes in words. */
export type Reply = string | Answer | Refusal | Raw

/** What to do with texts to be made into vectors. */
export type EmbedReply = Vectors | Refusal | Raw

/** A model as the lists show it. */
export interface Model {
  /** With its tag. */
  readonly name: string
  /** Those of the script by default. */
  readonly capabilities?: ReadonlyArray<string> | undefined
  /** Tokens it was trained for; 32 768 by default. */
  readonly contextLength?: number | undefined
  /** Numbers in a vector; 384 by default. */
  readonly embeddingLength?: number | undefined
  /** On disk, and in memory when loaded; 397 821 319 by default. */
  readonly bytes?: number | undefined
  /** `qwen2` by default. */
  readonly family?: string | undefined
  /** `494.03M` by default. */
  readonly parameterSize?: string | undefined
  /** `Q4_K_M` by default. */
  readonly quantization?: string | undefined
  /** Settings of its Modelfile, as the text that `show` has. */
  readonly parameters?: string | undefined
  readonly template?: string | undefined
  readonly system?: string | undefined
  /** How long it loads, when it is not loaded or loaded with other settings; no time by default. */
  readonly load?: Duration.Input | undefined
  /**
   * What becomes of a prompt that is longer than the context: it is cut in silence (`cut`, the default), or refused
   * (`refuse`, as for models that use their own template). Old messages are dropped before either.
   */
  readonly overflow?: "cut" | "refuse" | undefined
}

/** A model that can be pulled. What was pulled before a break is kept: the next pull goes on from there. */
export interface Pullable extends Model {
  /** Bytes of each layer; one of the size of the model by default. */
  readonly layers?: ReadonlyArray<number> | undefined
  /** Progress records of a layer after the first one, which has no `completed`; 4 by default. */
  readonly steps?: number | undefined
  /** Between records; no time by default. */
  readonly delay?: Duration.Input | undefined
  /** Ends with this error line half-way through the last layer. */
  readonly errorLine?: string | undefined
  /** Ends so half-way through the last layer: `reset`, `hang`, … */
  readonly end?: End | undefined
}

export interface Script {
  /** The installed models: their names with their tags, or more about them. Newest first. */
  readonly models: ReadonlyArray<string | Model>
  /** Whether every other name is taken for installed, too; `false` by default. */
  readonly anyModel?: boolean | undefined
  /** What `pull`, and `create` from a model that is not installed, can get; installed models can be pulled anyway. */
  readonly registry?: ReadonlyArray<string | Pullable> | undefined
  /** `0.33.1` by default, `0.5.7` for an old server. */
  readonly version?: string | undefined
  /**
   * Answers as servers of 2024 did: no capabilities, no context length of loaded models, no ids of tool calls, no count
   * of a prompt that was read before. `false` by default.
   */
  readonly old?: boolean | undefined
  /** Requests that each model answers at a time (OLLAMA_NUM_PARALLEL of a server): 1 by default. */
  readonly parallel?: number | undefined
  /** Requests that wait for a model to be loaded (OLLAMA_MAX_QUEUE) before others get a 503: 512 by default. */
  readonly maxQueue?: number | undefined
  /** Models in memory (OLLAMA_MAX_LOADED_MODELS): 3 by default. One that is not in use makes room. */
  readonly maxLoaded?: number | undefined
  /** Tokens of context where a request says nothing (OLLAMA_CONTEXT_LENGTH): 4096 by default. */
  readonly numCtx?: number | undefined
  /** Of models that do not say otherwise: `["completion"]` by default. */
  readonly capabilities?: ReadonlyArray<string> | undefined
  /** A defect in it is answered as a panic of Ollama's: 500 with an empty body, and an error in the log. */
  readonly reply: (asked: Asked) => Reply
  /** Vectors of unit length by default, made from the words: the same text has the same vector, a similar one a near. */
  readonly embed?: ((asked: AskedToEmbed) => EmbedReply) | undefined
  /** Replaces the answer of any path, by the method and path: `GET /api/tags`. */
  readonly paths?: Readonly<Record<string, Raw>> | undefined
}

/** Tokens of a double: words and single punctuation marks. No model counts so, but the numbers are stable. */
export const countTokens = (text: string): number => text.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)?.length ?? 0

/** The messages of a body of either endpoint. What is no text in them is an empty one. */
export const messagesOf = (body: Readonly<Record<string, unknown>>): ReadonlyArray<Message> => {
  if (Array.isArray(body["messages"])) {
    return body["messages"].map((message: unknown) => ({
      role: text(message, "role").toLowerCase() as Message["role"], // or whatever the client wrote
      content: text(message, "content")
    }))
  }
  const { system, prompt } = body
  return [
    ...(typeof system === "string" ? [{ role: "system" as const, content: system }] : []),
    ...(typeof prompt === "string" && prompt !== "" ? [{ role: "user" as const, content: prompt }] : [])
  ]
}

const text = (message: unknown, key: string): string => {
  const value = Predicate.hasProperty(message, key) ? message[key] : undefined
  return typeof value === "string" ? value : ""
}
