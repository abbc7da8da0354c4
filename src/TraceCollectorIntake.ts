/**
 * The way of a request into the store, whatever brought it: read, stored, answered, counted.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as OtlpTraces from "./OtlpTraces.ts"
import type { Answer, Later, Refused } from "./TraceCollectorAnswer.ts"

/** What a sink fails with when the request is no request, today or any other day. */
export class Unreadable extends Schema.TaggedError<Unreadable>()("Unreadable", {
  /** In words that follow a colon. */
  why: Schema.String
}) {
  override get message() {
    return `the request is wrong: ${this.why}`
  }
}

class SinkSlow extends Schema.TaggedError<SinkSlow>()("SinkSlow", { seconds: Schema.Finite }) {
  override get message() {
    return `it takes longer than ${this.seconds} s`
  }
}

/** What became of the spans of a request. */
export interface Taken {
  readonly spans: number
  /** Spans that no trace can have, because their ids are none, for one. */
  readonly rejected: number
}

/**
 * Where requests go: an `ExportTraceServiceRequest` in protobuf. Its success says that nothing of it is lost any more; a
 * failure, but for `Unreadable`, that it may be given again.
 */
export type Sink = (request: Uint8Array) => Effect.Effect<Taken, unknown>

/** What came until now. */
export interface Counts {
  /** Spans that were taken, those that came twice included. */
  readonly spans: number
  /** Requests whose spans were taken. */
  readonly requests: number
  /** Spans that no trace can have, in requests that were taken. */
  readonly rejected: number
  /** Requests that were refused, or did not arrive whole. */
  readonly refused: number
  /** Requests whose senders were told to send them again. */
  readonly later: number
}

/** Where requests go in. */
export interface Intake {
  readonly take: (request: Uint8Array) => Effect.Effect<Answer>
  /** The same for a request in JSON. */
  readonly takeJson: (request: Uint8Array) => Effect.Effect<Answer>
  /** Counts what does not get so far. */
  readonly turnedAway: <A extends Refused | Later>(answer: A) => A
  readonly counts: () => Counts
}

/**
 * `tell` hears once of a sink that fails, and once that it works again. A sink that takes longer than so many
 * milliseconds fails: its sender would give up, and not be told to come again.
 */
export const make = (sink: Sink, sinkMillis: number, tell: (line: string) => void): Intake => {
  const counts = { spans: 0, requests: 0, rejected: 0, refused: 0, later: 0 }
  let failing = false

  const turnedAway = <A extends Refused | Later>(answer: A): A => {
    counts[answer._tag === "Refused" ? "refused" : "later"]++
    return answer
  }
  const unreadable = (why: string): Answer =>
    turnedAway({
      _tag: "Refused",
      code: "INVALID_ARGUMENT",
      reason: `This is no ExportTraceServiceRequest of OTLP: ${why}.`
    })

  const take = (request: Uint8Array): Effect.Effect<Answer> =>
    Effect.matchCause(
      Effect.suspend(() => sink(request)).pipe(
        Effect.timeoutOrElse({
          duration: sinkMillis,
          orElse: () => Effect.fail(new SinkSlow({ seconds: sinkMillis / 1000 }))
        })
      ),
      {
        onFailure: (cause) => {
          const error = Option.getOrUndefined(Cause.findErrorOption(cause))
          if (error instanceof Unreadable) {
            return unreadable(error.why)
          }
          if (!failing && !Cause.hasInterruptsOnly(cause)) {
            failing = true
            tell(`spans cannot be stored, so senders are told to send them again: ${messageOf(Cause.squash(cause))}`)
          }
          return turnedAway({ _tag: "Later", code: "UNAVAILABLE", reason: "The spans cannot be stored now." })
        },
        onSuccess: ({ rejected, spans }): Answer => {
          if (failing) {
            failing = false
            tell("spans are stored again")
          }
          counts.requests++
          counts.spans += spans
          counts.rejected += rejected
          return { _tag: "Stored", rejected, reason: rejected === 0 ? "" : wrongSpans(rejected) }
        }
      }
    )

  const takeJson = (request: Uint8Array): Effect.Effect<Answer> =>
    Effect.suspend(() =>
      Result.match(
        Result.flatMap(decodeText(request), (text) =>
          Result.mapError(OtlpTraces.fromJson(text), (error) => error.message)
        ),
        { onFailure: (why) => Effect.succeed(unreadable(why)), onSuccess: take }
      )
    )

  return { take, takeJson, turnedAway, counts: () => ({ ...counts }) }
}

const decodeText = (bytes: Uint8Array): Result.Result<string, string> =>
  Result.try({ try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes), catch: () => "it is no UTF-8" })

const wrongSpans = (count: number): string =>
  `${count === 1 ? "A span has" : `${count} spans have`} no valid trace id and span id, or cannot be read.`

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
