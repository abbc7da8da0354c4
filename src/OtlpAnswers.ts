/**
 * What a person reads about the answers of a collector, over whatever protocol they came.
 *
 * @since 0.1.0
 */
import type { Protocol } from "./Endpoint.ts"
import * as OtlpSettings from "./OtlpSettings.ts"
import { redact } from "./Redaction.ts"
import * as Span from "./Span.ts"

/** What became of one call. */
export type Outcome = Accepted | Failed

/** `rejected` counts the spans that the collector did not want; `reason` names it and says why. */
export interface Accepted {
  readonly _tag: "Accepted"
  readonly rejected: number
  readonly reason: string
}

export interface Failed {
  readonly _tag: "Failed"
  readonly reason: string
  /** Whether the same bytes may be accepted later. */
  readonly retryable: boolean
  /** What the collector asks to wait before that, in milliseconds; `undefined` where it asks for nothing. */
  readonly retryAfterMillis?: number | undefined
  /** Whether nobody was there at all. */
  readonly unreachable: boolean
  /** Whether no answer came in time. */
  readonly silent: boolean
  /** Whether the collector wants a key that it did not get. */
  readonly unauthorised: boolean
}

/** What a collector says of spans that it did not take, beside those that it took. */
export interface PartialSuccess {
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
    rejected: Number(said?.rejectedSpans ?? 0),
    reason: `rejected by ${address}${message === "" ? "" : `: ${message}`}`
  }
}

const names: Record<Protocol, string> = { grpc: "gRPC", "http/protobuf": "HTTP" }

/** Nothing was heard for so long. */
export const silence = (address: string, millis: number, protocol: Protocol): string =>
  `no answer from ${address} within ${Math.round(millis / 100) / 10} s. Is it a collector for OTLP over ${names[protocol]}?`

/** No connection came about: nobody listens, or there is no such host. */
export const refused = (address: string): string => `connection refused at ${address}. Is a collector running there?`
export const unknownHost = (host: string): string => `unknown host ${host}. Is the endpoint spelled right?`
export const noConnection = (address: string, why: string, protocol: Protocol): string =>
  `no connection to ${address}${why === "" ? "" : ` (${why})`}. Is a collector for OTLP over ${names[protocol]} running there?`

/** What others say, on one line: it may be long, and hold what they were sent. */
export const quote = (text: string, settings: OtlpSettings.OtlpSettings): string =>
  Span.truncate(OtlpSettings.conceal(settings, redact(text.replace(/\s+/g, " ").trim())), 200)
