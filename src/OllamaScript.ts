/**
 * What an Ollama double answers: the words of its scripts, and how records look on the wire.
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

/** An answer of a model. Its timings are measured and its tokens counted, so they fit what really happened. */
export interface Answer {
  /** One piece for each record. */
  readonly text: string | ReadonlyArray<string>
  /** Comes before the text. */
  readonly thinking?: string | ReadonlyArray<string> | undefined
  /** How long the model loads; no time by default. */
  readonly load?: Duration.Input | undefined
  /** How long the prompt is read, before the first record; no time by default. Headers come with that record. */
  readonly firstDelay?: Duration.Input | undefined
  /** Between records; no time by default. */
  readonly delay?: Duration.Input | undefined
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

export interface Script {
  /** The installed models, with their tags. */
  readonly models: ReadonlyArray<string>
  /** Whether every other name is taken for installed, too; `false` by default. */
  readonly anyModel?: boolean | undefined
  readonly version?: string | undefined
  /** For `show` and `tags`: `["completion"]` by default. */
  readonly capabilities?: ReadonlyArray<string> | undefined
  /** A defect in it is answered as a panic of Ollama's: 500 with an empty body, and an error in the log. */
  readonly reply: (asked: Asked) => Reply
  /** Replaces the answer of any path, by the method and path: `GET /api/tags`. */
  readonly paths?: Readonly<Record<string, Raw>> | undefined
}

/** Tokens of a double: words and single punctuation marks. No model counts so, but the numbers are stable. */
export const countTokens = (text: string): number => text.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)?.length ?? 0

/** JSON as Go writes it: the characters of HTML are escaped. */
export const json = (value: unknown): string =>
  JSON.stringify(value).replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`)

/** The messages of a body of either endpoint. What is no text in them is an empty one. */
export const messagesOf = (body: Readonly<Record<string, unknown>>): ReadonlyArray<Message> => {
  if (Array.isArray(body["messages"])) {
    return body["messages"].map((message: unknown) => ({
      role: text(message, "role") as Message["role"], // or whatever the client wrote
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
