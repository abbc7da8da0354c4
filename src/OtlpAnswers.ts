/**
 * What a person reads about the answers of a collector, over whatever protocol they came.
 *
 * @since 0.1.0
 */
import type { Protocol } from "./Endpoint.ts"
import * as OtlpSettings from "./OtlpSettings.ts"
import * as Span from "./Span.ts"

/** What became of one call. */
export type Outcome = Accepted | Failed

/** `rejected` counts the spans, or points of metrics, that the collector did not want; `reason` names it and says why. */
export interface Accepted {
  readonly _tag: "Accepted"
  readonly rejected: number
  readonly reason: string
}

/** Why spans are not with the collector. */
export interface Reason {
  /** In words that follow a colon, without a full stop: `connection refused at localhost:4317`. */
  readonly reason: string
  /** A question that may help: `Is a collector running there?` */
  readonly hint?: string | undefined
}

export interface Failed extends Reason {
  readonly _tag: "Failed"
  /** Whether the same bytes may be accepted a moment later. */
  readonly retryable: boolean
  /** Whether it is the spans that the collector does not want, today or any other day. */
  readonly unwanted: boolean
  /** Whether they are too many for one request: fewer of them may be accepted. */
  readonly tooLarge: boolean
  /** What the collector asks to wait before that, in milliseconds; `undefined` where it asks for nothing. */
  readonly retryAfterMillis?: number | undefined
  /** Whether nobody was there at all. */
  readonly unreachable: boolean
  /** Whether no answer came in time. */
  readonly silent: boolean
  /** Whether the collector wants a key that it did not get. */
  readonly unauthorised: boolean
}

/** What a collector says of spans, or points of metrics, that it did not take, beside those that it took. */
export interface PartialSuccess {
  readonly rejectedDataPoints?: number | string | undefined
  readonly rejectedSpans?: number | string | undefined
  readonly errorMessage?: string | undefined
}

/** The call was accepted. */
export const accepted = (
  said: PartialSuccess | undefined,
  address: string,
  settings: OtlpSettings.OtlpSettings
): Accepted => {
  const message = quote(said?.errorMessage ?? "", settings)
  return {
    _tag: "Accepted",
    rejected: Math.max(Number(said?.rejectedSpans ?? said?.rejectedDataPoints ?? 0), 0),
    reason: `rejected by ${address}${message === "" ? "" : `: ${message}`}`
  }
}

const names: Record<Protocol, string> = { grpc: "gRPC", "http/protobuf": "HTTP" }

/** Nothing was heard for so long. */
export const silence = (address: string, millis: number, protocol: Protocol): Reason => ({
  reason: `no answer from ${address} within ${Math.round(millis / 100) / 10} s`,
  hint: `Is it a collector for OTLP over ${names[protocol]}?`
})

/** No connection came about: nobody listens, or there is no such host. */
export const refused = (address: string): Reason => ({
  reason: `connection refused at ${address}`,
  hint: "Is a collector running there?"
})
export const unknownHost = (host: string): Reason => ({
  reason: `unknown host ${host}`,
  hint: "Is the endpoint spelled right?"
})
export const noConnection = (address: string, why: string, protocol: Protocol): Reason => ({
  reason: `no connection to ${address}${why === "" ? "" : ` (${why})`}`,
  hint: `Is a collector for OTLP over ${names[protocol]} running there?`
})

/** What others say, on one line: it may be long, and hold what they were sent. */
export const quote = (text: string, settings: OtlpSettings.OtlpSettings): string =>
  Span.truncate(OtlpSettings.conceal(settings, text.replace(/\s+/g, " ").trim()), 200)
