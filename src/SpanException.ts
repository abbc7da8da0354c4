/**
 * Errors as spans tell them: their type, and the attributes of an `exception` event.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { type Attributes, truncate } from "./Attribute.ts"
import * as Redaction from "./Redaction.ts"

/** An error may say under this key what its `error.type` is; without it, that is its `_tag`. */
export const ErrorType = "~tinyllm/errorType"

/**
 * The value of `error.type` for an error: what it says itself (`connection_refused`, `404`), `timeout` for Effect's
 * time-outs, its `_tag` (for errors of `effect/ai` the one of their reason), the name of its class, or `_OTHER`. The set
 * is small: no ids, no messages.
 */
export const errorType = (error: unknown): string =>
  safely(() => {
    if (Predicate.hasProperty(error, ErrorType) && typeof error[ErrorType] === "string") {
      return error[ErrorType]
    }
    if (Cause.isTimeoutError(error)) {
      return "timeout"
    }
    if (Predicate.hasProperty(error, "_tag") && typeof error._tag === "string") {
      return aiReason(error)?._tag ?? error._tag
    }
    return error instanceof Error && error.name !== "Error" ? error.name : "_OTHER"
  }, "_OTHER")

// A message of ten megabytes says no more than its beginning does, and would push the stack out of the event.
const messageLength = 2000
const stackLength = 8000

/** The attributes of an `exception` event: the beginnings of message and stack, with secrets replaced. */
export const exception = (error: unknown, redact: Redaction.Redact = Redaction.redact): Attributes =>
  safely<Attributes>(
    () => {
      const pretty = Cause.prettyErrors(Cause.fail(error), { includeCauseInStack: true })[0]
      const name = error instanceof Error ? error.name : pretty?.name
      const quotes = withoutQuotation(error)
      const message = quotes ?? pretty?.message ?? String(error)
      const shown = truncate(Redaction.start(message, 2 * messageLength, redact), messageLength)
      const stack =
        quotes !== undefined
          ? [`${name}: ${shown}`, ...((error as Error).stack ?? "").split("\n").filter(isFrame)].join("\n")
          : message.length > messageLength
            ? pretty?.stack?.replace(message, () => shown)
            : pretty?.stack
      return {
        "exception.type": name,
        "exception.message": shown,
        "exception.stacktrace":
          stack === undefined ? undefined : truncate(Redaction.start(stack, 2 * stackLength, redact), stackLength)
      }
    },
    { "exception.type": "Error", "exception.message": "[unreadable]" }
  )

/**
 * Instead of the message of an error of `effect/ai` that quotes what a model wrote, or what a tool gave: one without. It
 * is told by its shape, so that nobody loads that package for it. `undefined` for other errors.
 */
const withoutQuotation = (error: unknown): string | undefined => {
  const reason = aiReason(error)
  if (!(error instanceof Error) || reason === undefined || !quoting.has(reason._tag)) {
    return undefined
  }
  const text = (key: string) =>
    Predicate.hasProperty(error, key) && typeof error[key] === "string" ? [error[key]] : []
  const where = [...text("module"), ...text("method")].join(".")
  return `${where === "" ? "" : `${where}: `}${reason._tag} (what it quotes is left out)`
}

/** Why something of `effect/ai` failed: the reason of an `AiError`, or such a reason by itself. */
const aiReason = (error: unknown): { readonly _tag: string } | undefined => {
  const reason =
    Predicate.hasProperty(error, "~effect/ai/AiError") && Predicate.hasProperty(error, "reason") ? error.reason : error
  return Predicate.hasProperty(reason, "~effect/ai/AiError/Reason") &&
    Predicate.hasProperty(reason, "_tag") &&
    typeof reason._tag === "string"
    ? { _tag: reason._tag }
    : undefined
}

const quoting = new Set([
  "ToolNotFoundError",
  "InvalidOutputError",
  "StructuredOutputError",
  "ToolParameterValidationError",
  "InvalidToolResultError",
  "ToolResultEncodingError"
])

const isFrame = (line: string) => /^ {4}at /.test(line)

// Errors that say the same as others, for callers that know other types of errors.
const restated = new WeakMap<object, unknown>()

/** Says that an error is another one in other words: what has recorded one of them has recorded both. */
export const restates = <E extends object>(error: E, original: unknown): E => {
  restated.set(error, original)
  return error
}

/** The error that this one restates, or the error itself. */
export const originalOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && restated.has(error) ? restated.get(error) : error

// What users throw may throw in its turn when it is read, and a span is no reason to fail.
const safely = <A>(read: () => A, otherwise: A): A => Result.getOrElse(Result.try(read), () => otherwise)
