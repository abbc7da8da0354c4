/**
 * What a receiver of OTLP says: how a request ended, and that in the words of gRPC and HTTP.
 *
 * https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response
 * https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
 *
 * @since 0.1.0
 */

/** How a request ended. */
export type Answer = Stored | Refused | Later

/** All that could be taken is stored. */
export interface Stored {
  readonly _tag: "Stored"
  /** Spans that could not be taken. */
  readonly rejected: number
  /** What is wrong with the first one of them. */
  readonly reason: string
}

/** It will never be taken, as often as it may be sent. */
export interface Refused {
  readonly _tag: "Refused"
  readonly code: "INVALID_ARGUMENT" | "NOT_FOUND" | "PERMISSION_DENIED" | "RESOURCE_EXHAUSTED" | "UNIMPLEMENTED"
  readonly reason: string
}

/** It may be taken when it is sent again. */
export interface Later {
  readonly _tag: "Later"
  readonly code: "RESOURCE_EXHAUSTED" | "UNAVAILABLE"
  readonly reason: string
}

/** What broke off on its way. */
export const broken: Refused = {
  _tag: "Refused",
  code: "INVALID_ARGUMENT",
  reason: "The request did not arrive whole."
}

/** What there is no room for beside what is under way. */
export const busy: Later = {
  _tag: "Later",
  code: "RESOURCE_EXHAUSTED",
  reason: "There is no memory for the request now."
}

/** When who was told "later" may come again. */
export const retrySeconds = 1

/** The numbers of gRPC. https://grpc.io/docs/guides/status-codes/ */
export const codes = {
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  UNAVAILABLE: 14
} as const

/** A whole request was taken, but for these spans: `ExportTraceServiceResponse` in protobuf. */
export const response = (rejected: number, reason: string): Uint8Array =>
  rejected === 0 ? new Uint8Array() : bytes(1, [...number(1, rejected), ...text(2, reason)])

/** The same in JSON. */
export const responseJson = (rejected: number, reason: string): string =>
  // 64-bit integers are text in the JSON of protobuf.
  JSON.stringify(rejected === 0 ? {} : { partialSuccess: { rejectedSpans: String(rejected), errorMessage: reason } })

/**
 * `google.rpc.Status` in protobuf. `retry` adds `google.rpc.RetryInfo`, without which an exhausted resource is for ever.
 * https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto
 */
export const status = (code: keyof typeof codes, reason: string, retry = false): Uint8Array =>
  Uint8Array.from([
    ...number(1, codes[code]),
    ...text(2, reason),
    ...(retry
      ? bytes(3, [
          ...text(1, "type.googleapis.com/google.rpc.RetryInfo"),
          ...bytes(2, bytes(1, number(1, retrySeconds)))
        ])
      : [])
  ])

/** The same in JSON. */
export const statusJson = (code: keyof typeof codes, reason: string): string =>
  JSON.stringify({ code: codes[code], message: reason })

// Protobuf as far as it is needed, for messages of a few bytes. https://protobuf.dev/programming-guides/encoding/
const varint = (value: number): ReadonlyArray<number> =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]

const number = (field: number, value: number): ReadonlyArray<number> => [field * 8, ...varint(value)]

const bytes = (field: number, value: Iterable<number>): Uint8Array => {
  const all = Array.from(value)
  return Uint8Array.from([field * 8 + 2, ...varint(all.length), ...all])
}

const text = (field: number, value: string): Uint8Array => bytes(field, new TextEncoder().encode(value))
