/**
 * One request to Ollama over HTTP: headers, statuses, and the errors of the transport.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as OllamaError from "./OllamaError.ts"

/** A request below `/api`. */
export interface Request {
  readonly method: "GET" | "POST"
  readonly path: string
  readonly body?: string | undefined
  /** For messages; `""` where no model is concerned. */
  readonly model: string
  readonly traceparent?: string | undefined
}

/** Sends a request and gives its response, which is a success. The request ends with the scope. */
export type Send = (
  request: Request
) => Effect.Effect<HttpClientResponse.HttpClientResponse, OllamaError.OllamaError, Scope.Scope>

/** Sends over a client of Effect. No span is made for the request itself: the model call has one. */
export const make = (
  client: HttpClient.HttpClient,
  host: { readonly url: string; readonly authorization?: Redacted.Redacted<string> | undefined }
): Send => {
  const scoped = HttpClient.withScope(client)
  const headers: Record<string, string> = {
    "content-type": "application/json",
    accept: "application/x-ndjson",
    // Compressed answers would hold tokens back, and the client of Node does not unpack them.
    "accept-encoding": "identity",
    "user-agent": "tinyllm",
    ...(host.authorization === undefined ? {} : { authorization: Redacted.value(host.authorization) })
  }
  return (request) =>
    scoped
      .execute(
        HttpClientRequest.make(request.method)(`${host.url}${request.path}`, {
          headers: request.traceparent === undefined ? headers : { ...headers, traceparent: request.traceparent }
        }).pipe(request.body === undefined ? same : HttpClientRequest.bodyText(request.body, "application/json"))
      )
      .pipe(
        Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
        Effect.mapError((error) => fromTransport(host.url, error)),
        Effect.flatMap((response) => checked(host.url, request.model, response))
      )
}

const same = (request: HttpClientRequest.HttpClientRequest) => request

const checked = (
  url: string,
  model: string,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<HttpClientResponse.HttpClientResponse, OllamaError.OllamaError> => {
  const { status, headers } = response
  if (status !== 200) {
    return Effect.flatMap(prefix(response), (body) =>
      Effect.fail(OllamaError.fromResponse({ url, model, status, body, location: headers["location"] }))
    )
  }
  const encoding = headers["content-encoding"] ?? "identity"
  return encoding === "identity" || encoding === ""
    ? Effect.succeed(response)
    : Effect.fail(
        OllamaError.make(
          new OllamaError.Malformed({
            url,
            status,
            problem: "its content-encoding was not asked for",
            excerpt: encoding
          })
        )
      )
}

// An error says what it has to say in its first bytes. One that is endless or slow must not hold the call.
const prefixBytes = 64 * 1024
const prefixTimeout = "2 seconds"

const prefix = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Effect.suspend(() => {
    const decoder = new TextDecoder("utf-8")
    let bytes = 0
    let text = ""
    return response.stream.pipe(
      Stream.runForEachWhile((chunk) =>
        Effect.sync(() => {
          text += decoder.decode(chunk.subarray(0, prefixBytes - bytes), { stream: true })
          bytes += chunk.length
          return bytes < prefixBytes
        })
      ),
      Effect.timeoutOption(prefixTimeout),
      Effect.ignore,
      Effect.map(() => text)
    )
  })

/** Sends a request whose response is one JSON value. */
export const json = <A, I>(
  send: Send,
  url: string,
  request: Request,
  schema: Schema.Codec<A, I>
): Effect.Effect<A, OllamaError.OllamaError> => {
  const decode = Schema.decodeUnknownExit(Schema.fromJsonString(schema))
  return Effect.scoped(
    Effect.gen(function* () {
      const response = yield* send(request)
      const text = yield* response.text.pipe(Effect.mapError((error) => fromTransport(url, error)))
      const decoded = decode(text)
      return Exit.isSuccess(decoded)
        ? decoded.value
        : yield* OllamaError.make(
            new OllamaError.Malformed({
              url,
              status: response.status,
              problem: `the answer to ${request.path} has another form`,
              excerpt: text.trim().slice(0, 200)
            })
          )
    })
  ).pipe(
    // These answers come from memory and disk; no model has a part in them.
    Effect.timeoutOrElse({
      duration: shortTimeout,
      orElse: () =>
        Effect.fail(
          OllamaError.make(new OllamaError.Timeout({ url, phase: "first record", millis: shortTimeout, partial: "" }))
        )
    })
  )
}

const shortTimeout = 30_000

// ---------------------------------------------------------------------------------------------------------------------
// Errors of the transport
// ---------------------------------------------------------------------------------------------------------------------

const fromTransport = (url: string, error: unknown): OllamaError.OllamaError => {
  const code = errorCode(error)
  if (code === "UND_ERR_CONNECT_TIMEOUT") {
    return OllamaError.make(
      new OllamaError.Timeout({ url, phase: "connect", millis: connectTimeoutMillis, partial: "" })
    )
  }
  return OllamaError.make(new OllamaError.Unreachable({ url, code, cause: transportCause(error) }))
}

/** How long `tinyllm/node` waits for a connection. Here, because the message of the error says it. */
export const connectTimeoutMillis = 5000

/** The system's name for what broke, wherever in the chain of causes it stands. */
export const errorCode = (error: unknown): string | undefined => {
  for (let at = error, depth = 0; typeof at === "object" && at !== null && depth < 6; depth++) {
    if ("code" in at && typeof at.code === "string") {
      return at.code
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
