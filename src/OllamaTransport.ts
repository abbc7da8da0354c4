/**
 * What breaks below HTTP, as errors of Ollama.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as OllamaError from "./OllamaError.ts"

/** The error of a request that got no response; `stale` when the connection had been closed before. */
export const toError = (url: string, error: unknown, stale = false): OllamaError.OllamaError => {
  const problem = foreign(error)
  if (problem !== undefined) {
    return OllamaError.make(new OllamaError.Malformed({ url, problem, excerpt: "", cause: transportCause(error) }))
  }
  const code = errorCode(error)
  if (code === "UND_ERR_CONNECT_TIMEOUT") {
    return OllamaError.make(
      new OllamaError.Timeout({ url, phase: "connect", millis: connectTimeoutMillis, partial: "" })
    )
  }
  if (code === "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH") {
    const text = "The content has another length than was said. Has the file been changed? Send it again."
    return OllamaError.make(new OllamaError.InvalidRequest({ option: "content", text }))
  }
  return OllamaError.make(
    new OllamaError.Unreachable({ url, code, ...(stale ? { stale } : {}), cause: transportCause(error) })
  )
}

/** How long `tinyllm/node` waits for a connection. Here, because the message of the error says it. */
export const connectTimeoutMillis = 5000

/** The system's name for what broke, wherever in the chain of causes it stands. */
export const errorCode = (error: unknown): string | undefined =>
  inCauses(error, (at) => ("code" in at && typeof at.code === "string" ? at.code : undefined))

/** What whoever answered speaks, when it is not HTTP. */
const foreign = (error: unknown): string | undefined =>
  inCauses(error, (at) => {
    const code = "code" in at ? String(at.code) : ""
    return ("name" in at && at.name === "HTTPParserError") || code === "UND_ERR_HEADERS_OVERFLOW"
      ? "it does not speak HTTP"
      : code === "EPROTO" || code.startsWith("ERR_SSL_")
        ? "it does not speak TLS (https)"
        : undefined
  })

const inCauses = <A>(error: unknown, find: (error: object) => A | undefined): A | undefined => {
  for (let at = error, depth = 0; typeof at === "object" && at !== null && depth < 6; depth++) {
    const found = find(at)
    if (found !== undefined) {
      return found
    }
    // A host with several addresses fails with the errors of all of them.
    const inner: unknown =
      "errors" in at && Array.isArray(at.errors) ? at.errors[0] : "reason" in at ? at.reason : undefined
    at = inner ?? ("cause" in at ? at.cause : undefined)
  }
  return undefined
}

// The client's own error holds the request, and with it the prompt. Only what lies below it is kept.
const transportCause = (error: unknown): unknown => {
  const reason = typeof error === "object" && error !== null && "reason" in error ? error.reason : error
  return typeof reason === "object" && reason !== null && "cause" in reason ? reason.cause : undefined
}

/** The code and cause of a body that broke; `undefined` when it merely ended. */
export const broken = (
  cause: Cause.Cause<unknown>
): { readonly code: string | undefined; readonly cause: unknown } | undefined => {
  if (Pull.isDoneCause(cause)) {
    return undefined
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(cause)) ?? Cause.squash(cause)
  return { code: errorCode(error), cause: transportCause(error) }
}
