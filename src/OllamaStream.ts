/**
 * Reads a streamed answer: bytes in, parts and a completion out.
 *
 * This is the hot path of every model call: one pass over the bytes, a check by hand instead of a schema for each token.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Json from "./Json.ts"
import type { Completion, Logprob, Part, Timings, ToolCall } from "./OllamaApi.ts"
import * as OllamaError from "./OllamaError.ts"
import { errorText } from "./OllamaErrorText.ts"
import { excerpt, Lines, type Record } from "./OllamaLines.ts"

/** Where an answer comes from, and what counts its time. */
export interface ReaderOptions {
  readonly url: string
  readonly model: string
  readonly sentAt: bigint
  readonly now: () => bigint
  /** Hears how long after the one before each record with something of the answer came, but for the first. */
  readonly onChunk?: ((nanos: number) => void) | undefined
  /** Makes what the ids of the answer's tool calls begin with, as no other answer's do. */
  readonly callIds: () => string
}

/** The state of one answer. `push` bytes, take `parts`; `failure` and `completion` say how it ended. */
export class Reader {
  /** What came since it was last emptied. */
  parts: Array<Part> = []
  /** The error that ended the answer. Parts that came before are in `parts`. */
  failure: OllamaError.OllamaError | undefined = undefined
  completion: Completion | undefined = undefined
  readonly #text = new Pieces()
  readonly #thinking = new Pieces()
  toolCalls: Array<ToolCall> = []
  /** How many records came, also such that say nothing. */
  records = 0
  /** When the first text, thinking or tool call came. */
  firstTokenAt: bigint | undefined = undefined

  logprobs: Array<Logprob> | undefined = undefined

  readonly #lines: Lines
  readonly #url: string
  readonly #model: string
  readonly #sentAt: bigint
  readonly #now: () => bigint
  readonly #onChunk: ((nanos: number) => void) | undefined
  readonly #callIds: () => string
  #callId: string | undefined
  #lastChunkAt = 0n

  constructor(options: ReaderOptions) {
    this.#lines = new Lines(this)
    this.#url = options.url
    this.#model = options.model
    this.#sentAt = options.sentAt
    this.#now = options.now
    this.#onChunk = options.onChunk
    this.#callIds = options.callIds
  }

  /** Whether nothing more is to be read. What follows the last record is ignored. */
  get ended(): boolean {
    return this.failure !== undefined || this.completion !== undefined
  }

  get text(): string {
    return this.#text.whole()
  }

  get thinking(): string {
    return this.#thinking.whole()
  }

  /** Whether text, thinking or a tool call came: from then on the call is never repeated. */
  get hasContent(): boolean {
    return this.firstTokenAt !== undefined
  }

  push(chunk: Uint8Array): void {
    this.#lines.push(chunk)
  }

  /** The body ended. The last line may lack its newline. */
  end(): void {
    this.#lines.end()
    if (!this.ended) {
      this.interrupted()
    }
  }

  /** The body ended, or broke, without the last record. */
  interrupted(broken?: { readonly code: string | undefined; readonly cause: unknown }): void {
    this.failure = OllamaError.make(
      new OllamaError.StreamInterrupted({
        model: this.#model,
        status: 200,
        code: broken?.code,
        cause: broken?.cause,
        ...this.partial()
      })
    )
  }

  partial(): {
    readonly partial: string
    readonly partialThinking: string | undefined
    readonly partialToolCalls: ReadonlyArray<ToolCall> | undefined
  } {
    return {
      partial: this.text,
      partialThinking: this.thinking === "" ? undefined : this.thinking,
      partialToolCalls: this.toolCalls.length === 0 ? undefined : this.toolCalls
    }
  }

  onRecord(record: Record & Wire): void {
    this.records++
    if (record.error !== undefined && record.error !== null) {
      const status = record["StatusCode"]
      if (typeof status === "number" && status >= 400 && !this.hasContent) {
        // Of a model in the cloud: what would have been the status of the response.
        this.failure = OllamaError.fromResponse({
          url: this.#url,
          model: this.#model,
          status,
          body: JSON.stringify(record)
        })
        return
      }
      this.failure = OllamaError.make(
        new OllamaError.StreamError({
          model: this.#model,
          status: 200,
          text: errorText(record.error) ?? "",
          signinUrl: typeof record["signin_url"] === "string" ? record["signin_url"] : undefined,
          ...this.partial()
        })
      )
      return
    }
    const message = record.message
    const thinking = message?.thinking ?? record.thinking
    const before = this.parts.length
    if (typeof thinking === "string" && thinking !== "") {
      this.firstTokenAt ??= this.#now()
      this.#thinking.add(thinking)
      this.parts.push({ _tag: "Thinking", text: thinking })
    }
    const text = message?.content ?? record.response
    if (typeof text === "string" && text !== "") {
      this.firstTokenAt ??= this.#now()
      this.#text.add(text)
      this.parts.push({ _tag: "Text", text })
    }
    const calls = message?.tool_calls ?? record.tool_calls
    if (Array.isArray(calls)) {
      this.#calls(calls)
    }
    if (Array.isArray(record.logprobs)) {
      ;(this.logprobs ??= []).push(...record.logprobs.flatMap(toLogprob))
    }
    if (this.#onChunk !== undefined && this.parts.length > before) {
      this.#measure(this.#onChunk)
    }
    if (record.done === true) {
      this.#done(record)
    }
  }

  // Each is a call of its own: a server may give several the same index, id, name and arguments.
  #calls(calls: ReadonlyArray<unknown>): void {
    for (const item of calls) {
      const called = Predicate.hasProperty(item, "function") ? item.function : item
      if (!Predicate.isObject(called)) {
        continue
      }
      this.firstTokenAt ??= this.#now()
      this.#callId ??= this.#callIds()
      const call: ToolCall = {
        id: `${this.#callId}_${this.toolCalls.length + 1}`,
        name: Predicate.hasProperty(called, "name") && typeof called.name === "string" ? called.name : "",
        arguments: callArguments(Predicate.hasProperty(called, "arguments") ? called.arguments : undefined)
      }
      this.toolCalls.push(call)
      this.parts.push({ _tag: "ToolCall", ...call })
    }
  }

  #measure(onChunk: (nanos: number) => void): void {
    const now = this.#now()
    if (this.#lastChunkAt !== 0n) {
      onChunk(Number(now - this.#lastChunkAt))
    }
    this.#lastChunkAt = now
  }

  #done(record: Record & Wire): void {
    const doneReason = typeof record.done_reason === "string" ? record.done_reason : undefined
    if ((doneReason === "load" || doneReason === "unload") && !this.hasContent) {
      this.failure = OllamaError.make(
        new OllamaError.InvalidRequest({
          text: `The prompt is empty: Ollama only ${doneReason}ed the model. Send a text.`
        })
      )
      return
    }
    this.complete(record)
    if (this.completion !== undefined) {
      this.parts.push({ _tag: "Done", completion: this.completion })
    }
  }

  /** The last record came. */
  protected complete(record: Record & Wire): void {
    this.completion = {
      text: this.text,
      thinking: this.thinking === "" ? undefined : this.thinking,
      toolCalls: this.toolCalls,
      logprobs: this.logprobs,
      model: typeof record.model === "string" && record.model !== "" ? record.model : this.#model,
      doneReason: typeof record.done_reason === "string" ? record.done_reason : undefined,
      inputTokens: count(record.prompt_eval_count),
      outputTokens: count(record.eval_count),
      timings: timings(record),
      timeToFirstToken: this.firstTokenAt === undefined ? undefined : Duration.nanos(this.firstTokenAt - this.#sentAt),
      raw: record
    }
  }

  onMalformed(problem: string, text: string): void {
    this.failure = OllamaError.make(
      new OllamaError.Malformed({ url: this.#url, status: 200, problem, excerpt: excerpt(text) })
    )
  }
}

// Pieces added one by one to a text stay pieces in memory, with a link for each: ten times the text.
class Pieces {
  #whole = ""
  #recent: Array<string> = []

  add(piece: string): void {
    if (this.#recent.push(piece) === 1024) {
      this.whole()
    }
  }

  whole(): string {
    if (this.#recent.length > 0) {
      this.#whole += this.#recent.join("")
      this.#recent = []
    }
    return this.#whole
  }
}

// One record of either endpoint. Nothing of it is certain before it is looked at.
interface Wire {
  readonly model?: unknown
  readonly error?: unknown
  readonly message?: { readonly content?: unknown; readonly thinking?: unknown; readonly tool_calls?: unknown } | null
  readonly response?: unknown
  readonly thinking?: unknown
  readonly tool_calls?: unknown
  readonly logprobs?: unknown
  readonly done?: unknown
  readonly done_reason?: unknown
  readonly total_duration?: unknown
  readonly load_duration?: unknown
  readonly prompt_eval_count?: unknown
  readonly prompt_eval_duration?: unknown
  readonly eval_count?: unknown
  readonly eval_duration?: unknown
}

// An object, but servers in front of Ollama write it as OpenAI does: as a text that holds one.
const callArguments = (value: unknown): unknown => {
  if (typeof value !== "string") {
    return value ?? {}
  }
  const read = value.trim() === "" ? null : Json.parse(value)
  return read === null ? {} : Predicate.isObject(read) && !Array.isArray(read) ? read : value
}

const toLogprob = (value: unknown): ReadonlyArray<Logprob> => {
  if (!Predicate.isObject(value) || !("token" in value) || !("logprob" in value)) {
    return []
  }
  const { token, logprob } = value
  const alternatives: unknown = "top_logprobs" in value ? value["top_logprobs"] : undefined
  const top = Array.isArray(alternatives) ? alternatives.flatMap(toLogprob) : []
  return typeof token === "string" && typeof logprob === "number"
    ? [{ token, logprob, ...(top.length === 0 ? {} : { top }) }]
    : []
}

/** Where the server says its time went. */
export const timings = (record: Wire): Timings => ({
  total: nanos(record.total_duration),
  load: nanos(record.load_duration),
  promptEval: nanos(record.prompt_eval_duration),
  eval: nanos(record.eval_duration)
})

/** A count of tokens; `undefined` for what is none. */
export const count = (value: unknown): number | undefined => {
  const known = positive(value)
  return known === undefined ? undefined : Math.round(known)
}

const nanos = (value: unknown): Duration.Duration | undefined => {
  const known = positive(value)
  return known === undefined ? undefined : Duration.nanos(BigInt(Math.round(known)))
}

const positive = (value: unknown): number | undefined =>
  typeof value === "number" && value >= 0 && Number.isFinite(value) ? value : undefined
