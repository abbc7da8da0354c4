/**
 * OTLP over HTTP, the receiving side: protobuf and JSON, as they are or in gzip.
 *
 * https://opentelemetry.io/docs/specs/otlp/#otlphttp
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Http from "node:http"
import { isIP } from "node:net"
import { gunzip } from "node:zlib"
import { broken, busy, response, responseJson, retrySeconds, status, statusJson } from "./TraceCollectorAnswer.ts"
import type { Answer, Later, Refused } from "./TraceCollectorAnswer.ts"
import type { Intake } from "./TraceCollectorIntake.ts"
import type { Limits } from "./TraceCollectorLimits.ts"
import type { Memory } from "./TraceCollectorMemory.ts"

/** A server, of which there may be several: one for each address. */
export interface HttpServer {
  readonly server: () => Http.Server
  /** Takes no more requests and waits for those that are under way. */
  readonly drain: Effect.Effect<void>
  /** Ends all of it. */
  readonly close: () => void
}

/** Makes the server. `run` runs what a request does. */
export const make = (options: {
  readonly intake: Intake
  readonly memory: Memory
  readonly limits: Limits
  /** Whether it can only be reached from this machine, so that it is called by no other name than those of loopback. */
  readonly loopback: boolean
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<unknown, unknown>
}): HttpServer => {
  const { intake, limits, loopback, memory, run } = options

  const servers: Array<Http.Server> = []
  const underWay = new Set<Http.ServerResponse>()
  let draining: (() => void) | undefined

  const handle = (request: Http.IncomingMessage, reply: Http.ServerResponse, expectsContinue: boolean): void => {
    underWay.add(reply)
    // The end of the reply tells.
    request.on("error", () => {})
    reply.on("error", () => {})
    let reading: Fiber.Fiber<unknown, unknown> | undefined
    reply.once("close", () => {
      reading?.interruptUnsafe()
      underWay.delete(reply)
      if (underWay.size === 0) {
        draining?.()
      }
    })
    const refusal = refused(request, loopback, limits)
    if (refusal !== undefined || draining !== undefined) {
      send(request, reply, intake.turnedAway(refusal?.answer ?? ending), refusal)
      return
    }
    if (expectsContinue) {
      reply.writeContinue()
    }
    reading = run(
      Effect.acquireUseRelease(
        memory.take(neededBytes(request, limits)),
        (part) =>
          part === undefined
            ? Effect.succeed<Answer>(intake.turnedAway(busy))
            : read(request, limits, () => intake.turnedAway(broken)).pipe(
                Effect.flatMap((body) => {
                  part.shrink(body.length)
                  // From here on it is stored, whoever has gone.
                  reading = undefined
                  return formatOf(request) === "json" ? intake.takeJson(body) : intake.take(body)
                }),
                Effect.catch((refused) => Effect.succeed<Answer>(intake.turnedAway(refused)))
              ),
        (part) => Effect.sync(() => part?.release())
      ).pipe(Effect.map((answer) => send(request, reply, answer)))
    )
  }

  return {
    server: () => {
      const server = Http.createServer({
        headersTimeout: Math.min(limits.headersMillis, limits.requestMillis),
        requestTimeout: limits.requestMillis,
        keepAliveTimeout: limits.idleMillis,
        connectionsCheckingInterval: Math.min(limits.headersMillis, 1000)
      })
      server.on("request", (request, reply) => handle(request, reply, false))
      server.on("checkContinue", (request, reply) => handle(request, reply, true))
      servers.push(server)
      return server
    },
    drain: Effect.callback((resume) => {
      draining = () => resume(Effect.void)
      if (underWay.size === 0) {
        draining()
      }
    }),
    close: () => {
      for (const server of servers) {
        server.closeAllConnections()
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

const path = "/v1/traces"

type Format = "protobuf" | "json"

const formatOf = (request: Http.IncomingMessage): Format | undefined => {
  const [type = "", ...parameters] = (request.headers["content-type"] ?? "").toLowerCase().split(";")
  const charset = parameters.map((parameter) => /^\s*charset="?([^"\s]*)/.exec(parameter)?.[1]).find(Boolean)
  switch (type.trim()) {
    case "application/x-protobuf":
      return "protobuf"
    case "application/json":
      return charset === undefined || charset === "utf-8" ? "json" : undefined
    default:
      return undefined
  }
}

const encodingOf = (request: Http.IncomingMessage): string =>
  (request.headers["content-encoding"] ?? "identity").trim().toLowerCase()

// As far as it is known before it is read: what is to come, and what that can be once it is decompressed. Deflate makes
// no byte of more than 1032. https://zlib.net/zlib_tech.html
const neededBytes = (request: Http.IncomingMessage, { httpBodyBytes }: Limits): number => {
  const length = Number(request.headers["content-length"] ?? httpBodyBytes)
  return length + (encodingOf(request) === "gzip" ? Math.min(length * 1032, httpBodyBytes) : 0)
}

interface Refusal {
  readonly answer: Refused
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
}

/** What is wrong with a request already before it is read. */
const refused = (request: Http.IncomingMessage, loopback: boolean, limits: Limits): Refusal | undefined => {
  const refuse = (
    status: number,
    reason: string,
    headers: Readonly<Record<string, string>> = {},
    code: Refused["code"] = "INVALID_ARGUMENT"
  ): Refusal => ({ status, headers, answer: { _tag: "Refused", code, reason } })
  const { headers, method, url = "" } = request
  // Browsers name the page that sends a request of this kind. None has any business here, whatever name it reached us by.
  if (headers.origin !== undefined) {
    return refuse(403, "Web pages may not send traces here.", {}, "PERMISSION_DENIED")
  }
  if (loopback && !isLoopbackName(headers.host ?? "")) {
    return refuse(403, "This is reached as localhost, and by no other name.", {}, "PERMISSION_DENIED")
  }
  const [asked = ""] = url.split("?")
  if (asked !== path) {
    return refuse(
      404,
      asked === "/v1/metrics" || asked === "/v1/logs"
        ? "Only traces are stored here, no metrics and no logs."
        : `There is nothing here. Traces are sent to ${path}.`,
      {},
      "NOT_FOUND"
    )
  }
  if (method !== "POST") {
    return refuse(405, "Traces are sent with POST.", { allow: "POST" })
  }
  if (formatOf(request) === undefined) {
    return refuse(415, "Traces come as application/x-protobuf or application/json, in UTF-8.", {
      accept: "application/x-protobuf, application/json"
    })
  }
  const encoding = encodingOf(request)
  if (encoding !== "gzip" && encoding !== "identity") {
    return refuse(415, "A body comes as it is, or in gzip.", { "accept-encoding": "gzip" })
  }
  return Number(headers["content-length"] ?? 0) > limits.httpBodyBytes
    ? { status: 413, answer: tooLong(limits) }
    : undefined
}

const isLoopbackName = (host: string): boolean => {
  const name = host.replace(/:\d*$/, "").toLowerCase()
  return names.has(name) || (isIP(name) === 4 && name.startsWith("127."))
}

// The last two are this machine as containers call it, by way of Docker Desktop and Podman, which come from loopback.
// Nobody can have a name that ends so on the internet.
const names: ReadonlySet<string> = new Set(["localhost", "[::1]", "host.docker.internal", "host.containers.internal"])

const tooLong = ({ httpBodyBytes }: Limits): Refused => ({
  _tag: "Refused",
  code: "RESOURCE_EXHAUSTED",
  reason: `The request is longer than ${httpBodyBytes} bytes.`
})

// ---------------------------------------------------------------------------------------------------------------------
// Bodies
// ---------------------------------------------------------------------------------------------------------------------

const read = (request: Http.IncomingMessage, limits: Limits, left: () => unknown): Effect.Effect<Uint8Array, Refused> =>
  Effect.flatMap(receive(request, limits), (body) =>
    encodingOf(request) === "gzip" ? decompress(body, limits) : Effect.succeed(body)
  ).pipe(Effect.onInterrupt(() => Effect.sync(left)))

const receive = (request: Http.IncomingMessage, limits: Limits): Effect.Effect<Uint8Array, Refused> =>
  Effect.callback<Uint8Array, Refused>((resume) => {
    const chunks: Array<Buffer> = []
    let bytes = 0
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= limits.httpBodyBytes) {
        chunks.push(chunk)
      } else {
        // What else comes is let go by, so that the answer is read: a connection that is closed may take it along.
        chunks.length = 0
        resume(Effect.fail(tooLong(limits)))
      }
    })
    request.once("end", () => resume(Effect.succeed(Buffer.concat(chunks))))
  })

// Ends as soon as there is more than may be.
const decompress = (body: Uint8Array, limits: Limits): Effect.Effect<Uint8Array, Refused> =>
  Effect.callback<Uint8Array, Refused>((resume) => {
    gunzip(body, { maxOutputLength: limits.httpBodyBytes }, (error, decompressed) => {
      resume(
        error === null
          ? Effect.succeed(decompressed)
          : Effect.fail((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE" ? tooLong(limits) : noGzip)
      )
    })
  })

const noGzip: Refused = {
  _tag: "Refused",
  code: "INVALID_ARGUMENT",
  reason: "The body is no gzip, or only a part of one."
}
const ending: Later = { _tag: "Later", code: "UNAVAILABLE", reason: "The collector is ending." }

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const types: Readonly<Record<Format, string>> = { protobuf: "application/x-protobuf", json: "application/json" }

const send = (
  request: Http.IncomingMessage,
  reply: Http.ServerResponse,
  answer: Answer,
  refusal: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {}
): void => {
  const format = formatOf(request)
  const body =
    answer._tag === "Stored"
      ? (format === "json" ? responseJson : response)(answer.rejected, answer.reason)
      : format === "json"
        ? statusJson(answer.code, answer.reason)
        : format === "protobuf"
          ? status(answer.code, answer.reason)
          : `${answer.reason}\n`
  reply
    .writeHead(refusal.status ?? statusOf(answer), {
      "content-type": format === undefined ? "text/plain; charset=utf-8" : types[format],
      "content-length": Buffer.byteLength(body),
      // Whatever is sent back is text for nobody to run, in a browser least of all.
      "x-content-type-options": "nosniff",
      ...(answer._tag === "Later" ? { "retry-after": String(retrySeconds) } : {}),
      ...refusal.headers
    })
    .end(body)
}

// https://opentelemetry.io/docs/specs/otlp/#failures-1
const statusOf = (answer: Answer): number => {
  switch (answer._tag) {
    case "Stored":
      return 200
    case "Refused":
      return answer.code === "RESOURCE_EXHAUSTED" ? 413 : 400
    case "Later":
      return answer.code === "RESOURCE_EXHAUSTED" ? 429 : 503
  }
}
