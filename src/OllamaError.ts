/**
 * Why a model call failed: one error, whose `reason` says what happened. It is told by the status and the words of the
 * server.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { isOutOfMemory, isRunnerFailure, readBody, unsupported } from "./OllamaErrorText.ts"
import {
  AnswerInvalid,
  Busy,
  ContextExceeded,
  CreateFailed,
  EmbeddingInvalid,
  Forbidden,
  InvalidRequest,
  Malformed,
  ModelNotFound,
  OutOfMemory,
  PullFailed,
  RemoteRefused,
  RunnerFailed,
  ServerFailed,
  StreamError,
  StreamInterrupted,
  Timeout,
  Unauthorized,
  Unreachable,
  Unsupported,
  WrongUrl
} from "./OllamaReason.ts"
import * as Span from "./Span.ts"

export * from "./OllamaReason.ts"

const Reason = Schema.Union([
  Unreachable,
  ModelNotFound,
  Busy,
  Timeout,
  InvalidRequest,
  Unsupported,
  ContextExceeded,
  OutOfMemory,
  RunnerFailed,
  Unauthorized,
  Forbidden,
  RemoteRefused,
  WrongUrl,
  ServerFailed,
  StreamError,
  StreamInterrupted,
  PullFailed,
  CreateFailed,
  EmbeddingInvalid,
  AnswerInvalid,
  Malformed
])

/** Why a call failed. */
export type Reason = typeof Reason.Type

/**
 * What every operation of `Ollama` fails with; `reason` says why.
 *
 * The message is safe to log. The object is not: the reason's `partial`, `text` and `excerpt` hold what was answered.
 */
export class OllamaError extends Schema.TaggedError<OllamaError>()("OllamaError", { reason: Reason }) {
  override get message() {
    return this.reason.message
  }
  /** Whether the same call may succeed when it is made again. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  /** Whether there was too little memory, before the answer or instead of it: worth a wait. */
  get isOutOfMemory(): boolean {
    const { reason } = this
    return reason._tag === "OutOfMemory" || (reason._tag === "StreamError" && isOutOfMemory(reason.text))
  }
  get [Span.ErrorType](): string {
    const reason = this.reason
    if (reason._tag === "Unreachable" && reason.refused) {
      return "connection_refused"
    }
    if (reason._tag === "Timeout") {
      return "timeout"
    }
    return "status" in reason && reason.status !== undefined && reason.status >= 300
      ? String(reason.status)
      : reason._tag
  }
}

export const isOllamaError = (error: unknown): error is OllamaError => error instanceof OllamaError

export const make = (reason: Reason): OllamaError => new OllamaError({ reason })

// ---------------------------------------------------------------------------------------------------------------------
// From what the server says
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The error for a response that is no success. Status codes alone lie in a few places (a bad option is a 500, a crashed
 * runner a 400), so the text counts too.
 */
export const fromResponse = (response: {
  readonly url: string
  readonly model: string
  readonly status: number
  /** The body, or its beginning. */
  readonly body: string
  readonly location?: string | undefined
  /** What `Retry-After` says, in milliseconds. */
  readonly retryAfterMillis?: number | undefined
}): OllamaError => {
  const { url, model, status } = response
  const said = readBody(response.body, status)
  const text = said.text
  const at = { url, status, text }
  const of = { model, status, text }
  // Every success of ours is a 200; others come here as well.
  if (status < 400) {
    return make(new WrongUrl({ ...at, location: response.location }))
  }
  if (status === 401) {
    return make(new Unauthorized({ ...at, signinUrl: said.signinUrl }))
  }
  if (status === 403) {
    return make(new Forbidden(at))
  }
  if (status === 429 || status === 503) {
    return make(new Busy({ status, text, retryAfterMillis: response.retryAfterMillis }))
  }
  if (status === 404 || status === 405) {
    // Where no model is concerned, none is missing.
    return make(said.json && status === 404 && model !== "" ? new ModelNotFound({ ...of, url }) : new WrongUrl(at))
  }
  if (
    said.type === "exceed_context_size_error" ||
    /longer than the context|exceeds the (available )?context/.test(text)
  ) {
    return make(new ContextExceeded({ promptTokens: said.promptTokens, numCtx: said.numCtx, status, text }))
  }
  if (/embedding contains NaN or Inf/i.test(text)) {
    return make(new EmbeddingInvalid({ model, status, text, problem: "a number in them is none (NaN or infinite)" }))
  }
  const capability = unsupported(text) ?? (status === 501 && said.json ? "this" : undefined)
  if (capability !== undefined) {
    return make(new Unsupported({ ...of, capability }))
  }
  if (isOutOfMemory(text)) {
    return make(new OutOfMemory(of))
  }
  if (isRunnerFailure(text)) {
    return make(new RunnerFailed(of))
  }
  const invalid = status < 500 || /^(option "|invalid format:)/.test(text)
  return make(invalid && status !== 499 ? new InvalidRequest({ status, text }) : new ServerFailed(at))
}
