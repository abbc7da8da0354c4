/**
 * Prompts and answers as the JSON that the semantic conventions for generative AI want in attributes, version 1.41.
 *
 * Whatever is written here parses: what is too long is cut inside of the JSON, in each text, and ends with `…`.
 * https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-input-messages.json
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { Redact } from "./Redaction.ts"
import * as Redaction from "./Redaction.ts"
import * as Utf8 from "./Utf8.ts"

/** A piece of a message. */
export type Part =
  | { readonly type: "text" | "reasoning"; readonly content: string }
  | {
      readonly type: "tool_call"
      readonly id: string | null
      readonly name: string
      /** Anything JSON has. Where it is too long it becomes the beginning of its text. */
      readonly arguments: unknown
    }
  | { readonly type: "tool_call_response"; readonly id: string | null; readonly response: string }

/** A message as a whole. */
export interface Message {
  readonly role: string
  readonly parts: ReadonlyArray<Part>
  /** For answers: `stop`, `length`, `error`, or what else the server says. */
  readonly finish_reason?: string | undefined
}

/** What a model may call. */
export interface Tool {
  readonly name: string
  readonly description?: string | undefined
  /** A JSON Schema. Where it is too long it becomes the beginning of its text. */
  readonly parameters: Readonly<Record<string, unknown>>
}

/** How messages are written. */
export interface Options {
  /** Of the JSON, as UTF-8. */
  readonly bytes: number
  readonly redact: Redact
}

/** `gen_ai.input.messages`, `gen_ai.output.messages`. Where they are too many, `…` stands for the oldest. */
export const messages = (all: ReadonlyArray<Message>, options: Options): string => {
  const named = all.slice(-maximumMessages).map((message) => ({
    ...message,
    role: name(message.role),
    parts: message.parts.map((part) =>
      part.type === "tool_call" ? { ...part, name: part.name.slice(0, toolNameLength) } : part
    ),
    ...(message.finish_reason === undefined ? {} : { finish_reason: name(message.finish_reason) })
  }))
  const kept: Array<Message> = []
  let left = Math.floor(options.bytes / 2)
  for (const message of named.toReversed()) {
    left -= frameBytes(message)
    if (left < 0 && kept.length > 0) {
      break
    }
    kept.unshift(message)
  }
  const first = all[0]
  if (kept.length < all.length && first !== undefined) {
    kept.unshift({ role: name(first.role), parts: [{ type: "text", content: "…" }] })
  }
  const texts = fit(
    kept.flatMap((message) => message.parts.map(textOf)),
    options.bytes - kept.reduce((sum, message) => sum + frameBytes(message), 2),
    options.redact
  )
  let index = 0
  return JSON.stringify(
    kept.map((message) => ({
      ...message,
      parts: message.parts.map((part) => withText(part, texts[index++] ?? ""))
    }))
  )
}

const textOf = (part: Part): string =>
  part.type === "tool_call"
    ? typeof part.arguments === "string"
      ? part.arguments
      : (JSON.stringify(part.arguments, Redaction.hidden) ?? "{}")
    : part.type === "tool_call_response"
      ? part.response
      : part.content

const withText = (part: Part, text: string): Part =>
  part.type === "tool_call"
    ? { ...part, arguments: typeof part.arguments === "string" ? text : whole(text) }
    : part.type === "tool_call_response"
      ? { ...part, response: text }
      : { ...part, content: text }

// What was cut, or lost a secret in the middle, is no JSON any more.
const whole = (text: string): unknown =>
  Result.getOrElse(
    Result.try((): unknown => JSON.parse(text)),
    () => text
  )

/** `gen_ai.system_instructions`. */
export const instructions = (all: ReadonlyArray<string>, options: Options): string => {
  const frame = frameBytes({ type: "text", content: "" })
  const kept = all.slice(0, Math.max(1, Math.floor(options.bytes / 2 / frame)))
  const texts = fit(kept, options.bytes - 2 - kept.length * frame, options.redact)
  return JSON.stringify(texts.map((content): Part => ({ type: "text", content })))
}

/**
 * `gen_ai.tool.definitions`. Where they are too many, one with the name `…` stands for the rest.
 * https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-tool-definitions.json
 */
export const definitions = (all: ReadonlyArray<Tool>, options: Options): string => {
  const shown = all.slice(0, maximumMessages).map(({ name, description, parameters }) => ({
    name: name.slice(0, toolNameLength),
    texts: [description ?? "", JSON.stringify(parameters)] as const
  }))
  if (shown.reduce((sum, { texts }) => sum + texts[0].length + texts[1].length, 0) <= options.bytes) {
    const uncut = withTexts(shown, all.length, options.redact)
    if (Utf8.bytes(uncut) <= options.bytes) {
      return uncut
    }
  }
  let left = Math.floor(options.bytes / 2)
  const kept = shown.filter(({ name }, index) => {
    left -= Utf8.bytes(JSON.stringify(definition(name, "", ""))) + 1
    return left >= 0 || index === 0
  })
  const frames = Utf8.bytes(withTexts(kept, all.length, () => ""))
  const texts = fit(
    kept.flatMap((tool) => tool.texts),
    options.bytes - frames,
    options.redact
  )
  let index = 0
  return withTexts(kept, all.length, () => texts[index++] ?? "")
}

const withTexts = (
  shown: ReadonlyArray<{ readonly name: string; readonly texts: readonly [description: string, parameters: string] }>,
  count: number,
  change: (text: string) => string
): string =>
  JSON.stringify([
    ...shown.map(({ name, texts: [description, parameters] }) =>
      definition(name, change(description), whole(change(parameters)))
    ),
    ...(shown.length < count ? [definition("…", `${count - shown.length} more`, {})] : [])
  ])

const definition = (name: string, description: string, parameters: unknown) => ({
  type: "function",
  name,
  description,
  parameters
})

// With more of them not even their frames would fit.
const maximumMessages = 64

const nameLength = 32
const toolNameLength = 64

// Roles and reasons are words. What else comes from a server that is none of Ollama is no reason for a large attribute.
const name = (text: string): string => (text.length <= nameLength ? text : text.slice(0, nameLength))

// What a message takes without its texts, with the comma after it.
const frameBytes = (value: Message | Part): number =>
  Utf8.bytes(JSON.stringify(value, (key, inner: unknown) => (texts.has(key) ? "" : inner))) + 1

const texts = new Set(["content", "arguments", "response"])

// Texts that take as many bytes together: the short ones are whole, the long ones are cut to the same size.
const fit = (texts: ReadonlyArray<string>, bytes: number, redact: Redact): ReadonlyArray<string> => {
  const started = texts.map((text) => Redaction.start(text, Math.max(1, bytes), redact))
  const sizes = started.map(encodedBytes).toSorted((a, b) => a - b)
  let left = bytes
  let share = Number.POSITIVE_INFINITY
  for (const [index, size] of sizes.entries()) {
    const fair = Math.floor(left / (sizes.length - index))
    if (size > fair) {
      share = Math.max(0, fair)
      break
    }
    left -= size
  }
  return started.map((text) => cut(text, share))
}

/** The bytes that a text takes inside of a JSON string, as UTF-8. */
export const encodedBytes = (text: string): number => {
  let bytes = 0
  for (let at = 0; at < text.length; at++) {
    const size = encodedSize(text, at)
    bytes += size
    at += size === pairBytes ? 1 : 0
  }
  return bytes
}

const pairBytes = 4

const encodedSize = (text: string, at: number): number => {
  const unit = text.charCodeAt(at)
  if (unit < 0x80) {
    // Quote, backslash, and the five control characters that have a short form.
    return unit === 0x22 || unit === 0x5c || (unit >= 8 && unit <= 13 && unit !== 11) ? 2 : unit < 0x20 ? 6 : 1
  }
  if (unit < 0x800) {
    return 2
  }
  if ((unit & 0xf800) !== 0xd800) {
    return 3
  }
  // One half of a pair without the other is written as an escape.
  return Utf8.isPair(unit, text.charCodeAt(at + 1)) ? pairBytes : 6
}

/** Cuts a text so that it takes `bytes` at most inside of a JSON string, between code points, and ends it with `…`. */
export const cut = (text: string, bytes: number): string => {
  if (text.length * 6 <= bytes || encodedBytes(text) <= bytes) {
    return text
  }
  let left = bytes - 3
  let end = 0
  while (end < text.length) {
    const size = encodedSize(text, end)
    left -= size
    if (left < 0) {
      break
    }
    end += size === pairBytes ? 2 : 1
  }
  return `${Utf8.copy(text.slice(0, end))}…`
}
