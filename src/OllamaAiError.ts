/**
 * Errors of the client as `effect/ai` knows errors: a reason that plans and retries decide by, the original as its cause.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as Duration from "effect/Duration"
import type { OllamaError } from "./OllamaError.ts"
import * as Span from "./Span.ts"

/** What Ollama cannot do, said before anything is sent. `parameter` is what of the call asks for it. */
export const unsupported = (method: string, parameter: string, description: string): AiError.AiError =>
  AiError.make({
    module: "OllamaLanguageModel",
    method,
    reason: new AiError.InvalidRequestError({ parameter, description })
  })

/**
 * The same error for callers of `effect/ai`: its reason's `cause` is the `OllamaError`, and it is retryable when that is.
 * In a trace the two are one error.
 */
export const fromOllamaError = (module: string, method: string, error: OllamaError): AiError.AiError => {
  const reason = reasonOf(error)
  // Reasons have a class each, which alone decides whether to try again: for Ollama the status and the text do.
  Object.defineProperties(reason, {
    cause: { value: error, configurable: true },
    isRetryable: { value: error.isRetryable, configurable: true }
  })
  const restated = AiError.make({ module, method, reason })
  Object.defineProperty(restated, Span.ErrorType, { value: Span.errorType(error) })
  return Span.restates(restated, error)
}

const reasonOf = (error: OllamaError): AiError.AiErrorReason => {
  const { reason } = error
  const description =
    reason._tag === "StreamInterrupted" ? reason.tell(`What had come is in the cause.`) : error.message
  switch (reason._tag) {
    case "Unreachable":
      return new AiError.NetworkError({ reason: "TransportError", method: "POST", url: reason.url, description })
    case "Timeout":
      return reason.phase === "connect"
        ? new AiError.NetworkError({ reason: "TransportError", method: "POST", url: reason.url, description })
        : new AiError.InternalProviderError({ description })
    case "Busy":
      return new AiError.RateLimitError(
        reason.retryAfterMillis === undefined ? {} : { retryAfter: Duration.millis(reason.retryAfterMillis) }
      )
    case "ModelNotFound":
    case "RemoteRefused":
      return new AiError.InvalidRequestError({ parameter: "model", description })
    case "ContextExceeded":
      return new AiError.InvalidRequestError({ parameter: "prompt", description })
    case "InvalidRequest":
    case "Unsupported":
      return new AiError.InvalidRequestError({ description })
    case "Unauthorized":
      return new AiError.AuthenticationError({ kind: "Unknown", description })
    case "Forbidden":
      return new AiError.AuthenticationError({ kind: "InsufficientPermissions", description })
    case "WrongUrl":
    case "Malformed":
    case "AnswerInvalid":
    case "EmbeddingInvalid":
      return new AiError.InvalidResponseError({ description })
    case "OutOfMemory":
    case "RunnerFailed":
    case "ServerFailed":
    case "StreamError":
    case "StreamInterrupted":
    case "PullFailed":
    case "CreateFailed":
      return new AiError.InternalProviderError({ description })
  }
}
