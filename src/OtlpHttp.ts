/**
 * Calls of a collector, over OTLP in protobuf and HTTP.
 *
 * The bytes are those of the stock serializer. What carries them is not the stock transport: that one tries again by
 * itself, tells nobody which status it was that it tried again for, and takes a pause in an answer for the end of it.
 * https://opentelemetry.io/docs/specs/otlp/#otlphttp
 *
 * @since 0.1.0
 */
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Http from "node:http"
import * as Https from "node:https"
import { gzip } from "node:zlib"
import type { Endpoint } from "./Endpoint.ts"
import { accepted, noConnection, quote, refused, silence, unknownHost } from "./OtlpAnswers.ts"
import type { Failed, Outcome, PartialSuccess, Reason } from "./OtlpAnswers.ts"
import * as OtlpCertificates from "./OtlpCertificates.ts"
import type { Call, OtlpClient } from "./OtlpClient.ts"
import type { OtlpSettings } from "./OtlpSettings.ts"
import * as RetryAfter from "./RetryAfter.ts"
import { version } from "./Version.ts"

/** Makes a client; no connection yet. The failure says which setting is wrong and quotes nothing of it. */
export const make = (endpoint: Endpoint, settings: OtlpSettings): Result.Result<OtlpClient, string> =>
  settings.problem !== undefined
    ? Result.fail(settings.problem)
    : endpoint.tls
      ? Result.map(OtlpCertificates.read(settings), (certificates) => connect(endpoint, settings, certificates))
      : Result.succeed(connect(endpoint, settings, undefined))

const connect = (
  endpoint: Endpoint,
  settings: OtlpSettings,
  certificates: OtlpCertificates.Certificates | undefined
): OtlpClient => {
  const proxy = endpoint.loopback ? undefined : proxyTo(endpoint)
  const address = proxy === undefined ? endpoint.address : `${endpoint.address} (through the proxy ${proxy})`
  const secure = endpoint.tls ? Https : Http
  const agent = new secure.Agent({
    keepAlive: true,
    // No proxy reaches this machine's own loopback address.
    ...(proxy === undefined ? {} : { proxyEnv: process.env }),
    ...(certificates === undefined
      ? {}
      : { ca: certificates.authorities, key: certificates.key, cert: certificates.certificate })
  })
  const options: Https.RequestOptions = {
    method: "POST",
    host: endpoint.host,
    port: endpoint.port,
    path: endpoint.path,
    agent,
    headers: {
      ...Object.fromEntries(Redacted.value(settings.headers)),
      "user-agent": `tinyllm/${version}`,
      "content-type": "application/x-protobuf",
      ...(settings.gzip ? { "content-encoding": "gzip" } : {})
    }
  }

  const calls = new Set<Call>()

  const post = (bytes: Uint8Array, millis: number, done: (outcome: Outcome) => void): Call => {
    let settled = false
    let request: Http.ClientRequest | undefined
    const settle = (outcome: Outcome): void => {
      if (!settled) {
        settled = true
        clearTimeout(timer)
        calls.delete(call)
        done(outcome)
      }
    }
    const timer = setTimeout(
      () => {
        settle({ ...failure(silence(address, millis, "http/protobuf")), retryable: true, silent: true })
        request?.destroy()
      },
      Math.min(Math.max(millis, 1), longestMillis)
    )
    const attempt = (): void => {
      const own = secure.request(options, (response) => {
        read(response, (body) => settle(answered(response, body, endpoint, address, settings)))
      })
      request = own
      own.once("error", (error: NodeJS.ErrnoException) => {
        if (own.reusedSocket && !settled && lostWithConnection.has(error.code ?? "")) {
          // The collector closed a connection that was idle, in the moment in which it was used again.
          attempt()
        } else {
          settle(unanswered(error, endpoint, address, settings))
        }
      })
      own.end(bytes)
    }
    const call: Call = {
      cancel: () => {
        settled = true
        clearTimeout(timer)
        calls.delete(call)
        request?.destroy()
      }
    }
    calls.add(call)
    attempt()
    return call
  }

  const compressed = (bytes: Uint8Array, millis: number, done: (outcome: Outcome) => void): Call => {
    const begin = performance.now()
    let cancelled = false
    let call: Call | undefined
    gzip(bytes, (_, compressed) => {
      if (!cancelled) {
        call = post(compressed, millis - (performance.now() - begin), done)
      }
    })
    return {
      cancel: () => {
        cancelled = true
        call?.cancel()
      }
    }
  }

  return {
    address,
    send: settings.gzip ? compressed : post,
    silence: (millis) => silence(address, millis, "http/protobuf"),
    close: () => {
      for (const call of Array.from(calls)) {
        call.cancel()
      }
      agent.destroy()
    }
  }
}

// The longest that a timer of Node can run.
const longestMillis = 2 ** 31 - 1

// What a collector says of a failure is short. What says more is something else.
const longestBody = 64 * 1024

// `done` is called once, also when the answer breaks off.
const read = (response: Http.IncomingMessage, done: (body: Buffer) => void): void => {
  const chunks: Array<Buffer> = []
  let bytes = 0
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= longestBody) {
      chunks.push(chunk)
    } else {
      response.destroy()
    }
  })
  response.once("close", () => done(Buffer.concat(chunks)))
}

// ---------------------------------------------------------------------------------------------------------------------
// Proxies
// ---------------------------------------------------------------------------------------------------------------------

// Node's own rules, for messages: https://nodejs.org/api/http.html#built-in-proxy-support
const proxyTo = ({ host, port, tls }: Endpoint): string | undefined => {
  const variable = (name: string) => process.env[name] || process.env[name.toUpperCase()] || ""
  const proxy = variable(tls ? "https_proxy" : "http_proxy")
  const exempt = variable("no_proxy")
    .split(/[,\s]+/)
    .some((name) => {
      const suffix = name.replace(/^\*/, "")
      return (
        name === "*" || name === host || name === `${host}:${port}` || (suffix.startsWith(".") && host.endsWith(suffix))
      )
    })
  return URL.canParse(proxy) && !exempt ? new URL(proxy).host : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const failure = (reason: Reason): Failed => ({
  _tag: "Failed",
  ...reason,
  retryable: false,
  unwanted: false,
  tooLarge: false,
  unreachable: false,
  silent: false,
  unauthorised: false
})

const answered = (
  response: Http.IncomingMessage,
  body: Buffer,
  endpoint: Endpoint,
  address: string,
  settings: OtlpSettings
): Outcome => {
  const status = response.statusCode ?? 0
  const type = response.headers["content-type"] ?? ""
  if (status >= 200 && status < 300) {
    return /^text\/html\b/i.test(type)
      ? failure({
          reason: `${address} answered with a web page at ${pathOf(endpoint)}`,
          hint: "Is the endpoint right?"
        })
      : accepted(partialSuccess(body, type), address, settings)
  }
  const said = quote(message(body, type), settings)
  const name = response.statusMessage === "" ? Http.STATUS_CODES[status] : response.statusMessage
  const text = `${address} answered ${status}${name === undefined ? "" : ` ${quote(name, settings)}`}`
  return {
    ...failure(
      remedies(endpoint, response.headers.location)[status]?.(text) ?? {
        reason: said === "" ? text : `${text}: ${said}`
      }
    ),
    retryable: retryable.has(status),
    unwanted: unwanted.has(status),
    tooLarge: status === 413,
    retryAfterMillis: RetryAfter.millis(response.headers["retry-after"], Date.now()),
    unauthorised: status === 401 || status === 403
  }
}

// The query may hold a key.
const pathOf = ({ path }: Endpoint): string => path.replace(/\?.*$/s, "?…")

// https://opentelemetry.io/docs/specs/otlp/#failures-1
const retryable: ReadonlySet<number> = new Set([429, 502, 503, 504])

// These are about the spans, and will be the same tomorrow. All others are about who sends, how much, or where to,
// which a person can put right.
const unwanted: ReadonlySet<number> = new Set([400, 422])

const remedies = (
  endpoint: Endpoint,
  location: string | undefined
): Readonly<Record<number, (text: string) => Reason>> => {
  const moved = (text: string) => ({
    reason: `${text}${location === undefined || !URL.canParse(location) ? "" : ` (${new URL(location).origin}${new URL(location).pathname})`}`,
    hint: "Redirects are not followed: correct the endpoint"
  })
  const path = (text: string) => ({
    reason: `${text} at ${pathOf(endpoint)}`,
    hint: "Is the path of the endpoint right?"
  })
  return {
    301: moved,
    302: moved,
    307: moved,
    308: moved,
    404: path,
    405: path,
    413: (reason) => ({
      reason,
      hint: endpoint.signal === "traces" ? "Set OTEL_BSP_MAX_EXPORT_BATCH_SIZE to less" : undefined
    }),
    415: (text) => ({ reason: `${text}: it takes no protobuf`, hint: "Is it a collector for OTLP over HTTP?" })
  }
}

// What is said of metrics is in protobuf as what is said of spans; in JSON it has a name of its own.
const partialSuccess = (body: Buffer, type: string): PartialSuccess | undefined => {
  const decoded = Result.try(() =>
    (/\bjson\b/i.test(type) ? JsonTraceSerializer : ProtobufTraceSerializer).deserializeResponse(body)
  )
  return Result.isSuccess(decoded) ? decoded.success.partialSuccess : undefined
}

// A failure comes as google.rpc.Status, whose message is where a partial success has its own.
const message = (body: Buffer, type: string): string => {
  if (/^text\/plain\b/i.test(type)) {
    return body.toString()
  }
  if (/\bjson\b/i.test(type)) {
    const { message } = Result.getOrElse(
      Result.try(() => JSON.parse(body.toString()) as { readonly message?: unknown }),
      () => ({ message: "" })
    )
    return typeof message === "string" ? message : ""
  }
  return /^application\/x-protobuf\b/i.test(type) && body.length < longestBody
    ? (partialSuccess(Buffer.concat([embedded(body.length), body]), type)?.errorMessage ?? "")
    : ""
}

// Field 1 of a message, that long.
const embedded = (length: number): Buffer => {
  const bytes = [0x0a]
  let rest = length
  for (; rest > 127; rest >>>= 7) {
    bytes.push((rest & 127) | 128)
  }
  return Buffer.from([...bytes, rest])
}

const lostWithConnection: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"])

// What a network does today and may not do tomorrow.
const transient: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "ECONNABORTED"
])

const unanswered = (
  error: NodeJS.ErrnoException,
  endpoint: Endpoint,
  address: string,
  settings: OtlpSettings
): Outcome => {
  const code = error.code ?? ""
  // Where a name has several addresses, the error holds one for each and says nothing itself.
  const [first] = error instanceof AggregateError ? (error.errors as ReadonlyArray<Error>) : [error]
  const why = quote(
    (first?.message ?? code).replace(/^.*\b[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*$/s, "TLS: $1"),
    settings
  )
  const unknown = code === "ENOTFOUND" || code === "EAI_AGAIN"
  return {
    ...failure(
      code === "ECONNREFUSED"
        ? refused(address)
        : unknown
          ? unknownHost(address.replace(endpoint.address, endpoint.host))
          : code.startsWith("HPE_")
            ? {
                reason: `what answers at ${address} does not speak HTTP`,
                hint: "Is it a collector for OTLP over gRPC?"
              }
            : noConnection(address, why, "http/protobuf")
    ),
    retryable: transient.has(code),
    unreachable: code === "ECONNREFUSED" || unknown || code === "ENETUNREACH" || code === "EHOSTUNREACH"
  }
}
