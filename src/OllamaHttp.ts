/**
 * One request to Ollama over HTTP: headers, statuses, the errors of the transport, and when to send it again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as OllamaError from "./OllamaError.ts"
import { readBody } from "./OllamaErrorText.ts"
import { excerpt } from "./OllamaLines.ts"
import * as OllamaTransport from "./OllamaTransport.ts"
import * as RetryAfter from "./RetryAfter.ts"
import { version } from "./Version.ts"

/** A request below `/api`. */
export interface Request {
  readonly method: "GET" | "POST" | "DELETE" | "HEAD"
  readonly path: string
  readonly body?: string | undefined
  /** Bytes instead of a body of JSON. */
  readonly upload?: { readonly content: Stream.Stream<Uint8Array, unknown>; readonly bytes: number } | undefined
  /** Statuses that are no failure, besides 200. */
  readonly accepts?: ReadonlyArray<number> | undefined
  /** For messages; `""` where no model is concerned. */
  readonly model: string
  /** Sent besides our own: the context of a trace. */
  readonly headers?: Readonly<Record<string, string>> | undefined
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
    "user-agent": `tinyllm/${version}`,
    ...(host.authorization === undefined ? {} : { authorization: Redacted.value(host.authorization) })
  }
  // A server may have closed the connection that is kept for the next request, and that is found out by sending it. So
  // what breaks before anything came is to be sent anew, unless nothing has been answered since that happened last.
  let answered = false
  const wasClosed = (request: Request, error: unknown): boolean =>
    answered &&
    request.upload === undefined &&
    request.method !== "DELETE" &&
    closed.has(OllamaTransport.errorCode(error) ?? "")
  return (request) => {
    // What was to be sent could not be read: not the server's fault, and none that goes away by sending it again.
    let unread: { readonly cause: unknown } | undefined
    return scoped
      .execute(
        HttpClientRequest.make(request.method)(`${host.url}${request.path}`, {
          headers: request.headers === undefined ? headers : { ...request.headers, ...headers }
        }).pipe(
          request.upload === undefined
            ? request.body === undefined
              ? same
              : HttpClientRequest.bodyText(request.body, "application/json")
            : HttpClientRequest.bodyStream(
                Stream.tapError(request.upload.content, (cause) => Effect.sync(() => (unread = { cause }))),
                { contentType: "application/octet-stream", contentLength: request.upload.bytes }
              )
        )
      )
      .pipe(
        Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
        Effect.mapError((error) => {
          if (unread !== undefined) {
            return OllamaError.make(new OllamaError.InvalidRequest({ option: "content", text: unreadable, ...unread }))
          }
          const stale = wasClosed(request, error)
          answered &&= !stale
          return OllamaTransport.toError(host.url, error, stale)
        }),
        Effect.tap(() => Effect.sync(() => (answered = true))),
        Effect.flatMap((response) => checked(host.url, request, response))
      )
  }
}

const unreadable = "The content to be sent could not be read. Look at the cause of this error."

// How a connection ends that was closed while nothing was sent.
const closed = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"])

const same = (request: HttpClientRequest.HttpClientRequest) => request

const checked = (
  url: string,
  { model, accepts }: Request,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<HttpClientResponse.HttpClientResponse, OllamaError.OllamaError> => {
  const { status, headers } = response
  if (status !== 200 && accepts?.includes(status) !== true) {
    return Effect.gen(function* () {
      const body = yield* prefix(response)
      const retryAfterMillis = RetryAfter.millis(headers["retry-after"], yield* Clock.currentTimeMillis)
      return yield* OllamaError.fromResponse({
        url,
        model,
        status,
        body,
        location: headers["location"],
        retryAfterMillis
      })
    })
  }
  const encoding = (headers["content-encoding"] ?? "identity").trim().toLowerCase()
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
    const read = { text: "", bytes: 0 }
    return readInto(read, response, prefixBytes).pipe(
      Effect.timeoutOption(prefixTimeout),
      Effect.ignore,
      Effect.map(() => read.text)
    )
  })

interface Text {
  text: string
  /** Of the body; more than the limit when that cut the text. */
  bytes: number
}

const readInto = (into: Text, response: HttpClientResponse.HttpClientResponse, limitBytes: number) => {
  const decoder = new TextDecoder("utf-8")
  return Stream.runForEachWhile(response.stream, (chunk) =>
    Effect.sync(() => {
      into.text += decoder.decode(chunk.subarray(0, limitBytes - into.bytes), { stream: true })
      into.bytes += chunk.length
      return into.bytes <= limitBytes
    })
  )
}

// A list of ten thousand models has a fraction of it.
const jsonBytes = 16 * 1024 * 1024

/** Sends a request whose response is one JSON value, again where that helps. */
export const json = <A, I>(
  server: Server,
  request: Request,
  schema: Schema.Codec<A, I>
): Effect.Effect<A, OllamaError.OllamaError> => {
  const { url } = server
  const decode = Schema.decodeUnknownExit(Schema.fromJsonString(schema))
  return short(
    server,
    Effect.gen(function* () {
      const response = yield* server.send(request)
      const read: Text = { text: "", bytes: 0 }
      yield* readInto(read, response, jsonBytes).pipe(Effect.mapError((error) => OllamaTransport.toError(url, error)))
      yield* refused(url, request, response.status, read.text)
      const decoded = read.bytes > jsonBytes ? undefined : decode(read.text)
      return decoded !== undefined && Exit.isSuccess(decoded)
        ? decoded.value
        : yield* OllamaError.make(
            new OllamaError.Malformed({
              url,
              status: response.status,
              problem: `the answer to ${request.path} ${decoded === undefined ? "is longer than 16 MB" : "has another form"}`,
              excerpt: excerpt(read.text)
            })
          )
    })
  )
}

/** Sends a request whose success has no body, and gives its status; again where that helps. */
export const status = (server: Server, request: Request): Effect.Effect<number, OllamaError.OllamaError> =>
  short(
    server,
    Effect.flatMap(server.send(request), (response) => statusOf(server, request, response))
  )

/** As `status`, for a request that removes something. One that broke may have done so, and then there is nothing left. */
export const removal = (server: Server, request: Request): Effect.Effect<number, OllamaError.OllamaError> =>
  Effect.suspend(() => {
    let broke = false
    return short(
      server,
      Effect.flatMap(server.send(request), (response) => statusOf(server, request, response)).pipe(
        Effect.catchIf(
          ({ reason }) => broke && reason._tag === "ModelNotFound",
          () => Effect.succeed(200)
        ),
        Effect.tapError(({ reason }) => Effect.sync(() => (broke ||= reason._tag === "Unreachable" && !reason.refused)))
      )
    )
  })

/** As `status`, for requests that take as long as they take. */
export const upload = (server: Server, request: Request): Effect.Effect<number, OllamaError.OllamaError> =>
  again(server, Effect.scoped(Effect.flatMap(server.send(request), (response) => statusOf(server, request, response))))

/** Sends a request that takes as long as it takes, and gives the text of its response; again where that helps. */
export const text = (server: Server, request: Request): Effect.Effect<string, OllamaError.OllamaError> =>
  again(
    server,
    Effect.gen(function* () {
      const response = yield* server.send(request)
      const read: Text = { text: "", bytes: 0 }
      yield* readInto(read, response, prefixBytes).pipe(
        Effect.mapError((error) => OllamaTransport.toError(server.url, error))
      )
      yield* refused(server.url, request, response.status, read.text)
      return read.text
    }).pipe(Effect.scoped)
  )

/** Fails where a status of success comes with an error. */
const refused = (
  url: string,
  { model }: Request,
  status: number,
  body: string
): Effect.Effect<void, OllamaError.OllamaError> => {
  // A list of models need not be read twice to see that it is none.
  const said = body.includes('"error"') ? readBody(body, status) : undefined
  return said?.json !== true
    ? Effect.void
    : Effect.fail(
        OllamaError.make(
          model === ""
            ? new OllamaError.ServerFailed({ url, status, text: said.text })
            : new OllamaError.StreamError({ model, status, text: said.text, partial: "" })
        )
      )
}

// What has a body all the same may be an error, or from a server that is no Ollama.
const statusOf = (
  { url }: Server,
  request: Request,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<number, OllamaError.OllamaError> =>
  Effect.gen(function* () {
    const { headers, status } = response
    const body = (yield* prefix(response)).trim()
    yield* refused(url, request, status, body)
    return /^text\/html\b/i.test(headers["content-type"] ?? "") || !/^(?:$|[{[]|null$)/.test(body)
      ? yield* OllamaError.make(
          new OllamaError.Malformed({
            url,
            status,
            problem: `the answer to ${request.path} has another form`,
            excerpt: excerpt(body)
          })
        )
      : status
  })

/** A request whose answer comes from memory or disk; no model has a part in it. */
const short = <A>(
  server: Server,
  once: Effect.Effect<A, OllamaError.OllamaError, Scope.Scope>
): Effect.Effect<A, OllamaError.OllamaError> =>
  again(
    server,
    once.pipe(
      Effect.scoped,
      Effect.timeoutOrElse({
        duration: shortTimeout,
        orElse: () =>
          Effect.fail(
            OllamaError.make(
              new OllamaError.Timeout({ url: server.url, phase: "list", millis: shortTimeout, partial: "" })
            )
          )
      })
    )
  )

const shortTimeout = 30_000

// ---------------------------------------------------------------------------------------------------------------------
// Again
// ---------------------------------------------------------------------------------------------------------------------

/** What all requests to one server share. */
export interface Server {
  readonly url: string
  readonly send: Send
  readonly retry: Retry
  /** Whether it ever answered. A refusal before that means that it is not running, and is not worth waiting for. */
  answered: boolean
}

export interface Retry {
  /** How often a request is made again at most. */
  readonly times: number
  /** Milliseconds before the first repetition at most; doubles each time. For want of memory, at least. */
  readonly base: number
  /** Milliseconds at most. */
  readonly cap: number
}

const again = <A>(
  server: Server,
  once: Effect.Effect<A, OllamaError.OllamaError>
): Effect.Effect<A, OllamaError.OllamaError> => {
  const noted = once.pipe(
    Effect.tapError((error) => Effect.sync(() => noteAnswer(server, error))),
    Effect.tap(() => Effect.sync(() => noteAnswer(server)))
  )
  const attempt = (count: number): Effect.Effect<A, OllamaError.OllamaError> =>
    Effect.catch(noted, (error) =>
      Effect.flatMap(nextDelayMillis(server, count, error), (delay) =>
        delay === undefined
          ? Effect.fail(error)
          : Effect.andThen(Effect.sleep(delay), attempt(isStale(error) ? count : count + 1))
      )
    )
  return attempt(1)
}

/** Keeps in mind that the server is there, unless the error says that it may not be. */
export const noteAnswer = (server: Server, error?: OllamaError.OllamaError): void => {
  const tag = error?.reason._tag
  server.answered ||= tag !== "Unreachable" && tag !== "Timeout"
}

/** Whether a request failed for its connection alone. It is sent anew at once, and does not count. */
export const isStale = ({ reason }: OllamaError.OllamaError): boolean =>
  reason._tag === "Unreachable" && reason.stale === true

/** How long to wait after attempt `count`, which failed so; `undefined` when another one is pointless. */
export const nextDelayMillis = (
  server: Server,
  count: number,
  error: OllamaError.OllamaError
): Effect.Effect<number | undefined> =>
  Effect.map(Random.next, (random) => {
    if (isStale(error)) {
      return 0
    }
    if (count > repetitions(server, error)) {
      return undefined
    }
    const { base, cap } = server.retry
    // Full jitter: many callers that failed together come back spread out.
    const delay = random * Math.min(cap, base * 2 ** (count - 1))
    const wanted = error.reason._tag === "Busy" ? error.reason.retryAfterMillis : undefined
    if (wanted !== undefined) {
      // Asked earlier, it would be as busy. Who calls may want to know rather than wait for longer.
      return wanted > longestWaitMillis ? undefined : wanted + delay
    }
    // Another model is to be unloaded meanwhile, and that takes its time.
    return error.isOutOfMemory ? Math.min(cap, base + delay) : delay
  })

const longestWaitMillis = 30_000

/** How often a request that failed so is made again. */
const repetitions = (server: Server, { reason, isRetryable }: OllamaError.OllamaError): number => {
  switch (reason._tag) {
    case "Unreachable":
      return isRetryable || (reason.refused && server.answered) ? server.retry.times : 0
    case "Busy":
      return server.retry.times
    case "PullFailed":
      return isRetryable ? server.retry.times : 0
    case "ServerFailed":
      return isRetryable ? Math.min(reason.status === 500 ? 1 : Infinity, server.retry.times) : 0
    default:
      // A runner that died or ran out of memory gets one more chance.
      return isRetryable ? Math.min(1, server.retry.times) : 0
  }
}
