/**
 * What the span of a model call says of it: how it was asked, what came, where the time went.
 *
 * A value that the server did not give is left out, and nothing is estimated.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type * as Capture from "./Capture.ts"
import * as LogLine from "./LogLine.ts"
import type { Completion } from "./OllamaApi.ts"
import * as OllamaError from "./OllamaError.ts"
import type { Reading } from "./OllamaReading.ts"
import type { Reader } from "./OllamaStream.ts"
import * as OllamaTimings from "./OllamaTimings.ts"
import * as Span from "./Span.ts"
import * as Usage from "./Usage.ts"

/** What is to be known of a call for its span. */
export interface Call {
  readonly model: string
  /** Whether the caller reads the answer as it comes. */
  readonly streams: boolean
  /** Where the call's content is recorded; `undefined` where it is not. */
  readonly content: Capture.Content | undefined
}

export interface Attempt {
  readonly startTime: bigint
  readonly endTime?: bigint
  readonly exit?: Exit.Exit<unknown, unknown>
}

/** What a call has come to, for its span. */
export interface Progress {
  /** When it began, waiting and attempts that failed included. */
  readonly startedAt: bigint
  readonly attempts: Array<Attempt>
  /** Of the last attempt. */
  reader: Reader | undefined
}

/** The reading of an answer that has begun. */
export interface Started extends Reading {
  readonly progress: Progress
  /** When the request was sent that it answers. */
  readonly sentAt: bigint
}

/**
 * Says on the call's span how far it came, however it ended, and writes a span for each attempt when there was more than
 * one. The last one ended as the call did.
 */
export const recorded = (
  { attempts, reader }: Progress,
  span: Tracer.Span,
  clock: Clock.Clock,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<void> => {
  if (Span.isRecording(span)) {
    Span.set(span, {
      "tinyllm.ollama.attempts": attempts.length === 0 ? undefined : attempts.length,
      // Where nothing was sent, nothing was counted.
      "tinyllm.ollama.records": attempts.length === 0 ? undefined : (reader?.records ?? 0)
    })
  }
  return attempts.length < 2
    ? Effect.void
    : Effect.forEach(
        attempts,
        (attempt, index) =>
          Span.recordAttempt({
            attempt: index + 1,
            startTime: attempt.startTime,
            endTime: attempt.endTime ?? clock.currentTimeNanosUnsafe(),
            exit: attempt.exit ?? exit
          }),
        { discard: true }
      ).pipe(Effect.provideService(Tracer.ParentSpan, span))
}

/** Says on the call's span what was answered, writes the spans of its parts, and counts its tokens. */
export const finished = (
  completion: Completion,
  withParts: boolean,
  call: Call,
  span: Tracer.Span,
  { clock, endedAt, progress, reader, sentAt }: Started
): Effect.Effect<void> =>
  Effect.suspend(() => {
    call.content?.end(
      {
        text: completion.text,
        thinking: completion.thinking,
        toolCalls: completion.toolCalls,
        finishReason: completion.doneReason ?? "unknown"
      },
      clock.currentTimeNanosUnsafe()
    )
    let parts: ReadonlyArray<OllamaTimings.Part> = []
    if (Span.isRecording(span)) {
      const moments = {
        sentAt,
        firstTokenAt: reader.firstTokenAt,
        endedAt: endedAt ?? clock.currentTimeNanosUnsafe()
      }
      const { timings } = completion
      const { output, prompt } = OllamaTimings.rates(completion)
      const { overhead, unaccounted } = OllamaTimings.gaps(completion, moments)
      const firstToken = seconds(completion.timeToFirstToken)
      Span.set(span, {
        ...Span.llmResponse({
          // As the server says, and not as it was asked.
          model: typeof completion.raw?.["model"] === "string" ? completion.model : undefined,
          inputTokens: completion.inputTokens,
          outputTokens: completion.outputTokens,
          finishReason: completion.doneReason,
          timeToFirstChunkSeconds: call.streams ? firstToken : undefined
        }),
        "tinyllm.ollama.time_to_first_token": firstToken,
        "tinyllm.ollama.total_duration": seconds(timings.total),
        "tinyllm.ollama.load_duration": seconds(timings.load),
        "tinyllm.ollama.prompt_eval_duration": seconds(timings.promptEval),
        "tinyllm.ollama.eval_duration": seconds(timings.eval),
        "tinyllm.ollama.unaccounted_duration": secondsOf(unaccounted),
        "tinyllm.ollama.overhead_duration": secondsOf(overhead),
        "tinyllm.ollama.prompt_tokens_per_second": prompt,
        "tinyllm.ollama.output_tokens_per_second": output
      })
      parts = withParts ? OllamaTimings.parts(completion, moments) : parts
    }
    const spent =
      completion.text === "" &&
      completion.toolCalls.length === 0 &&
      completion.thinking !== undefined &&
      completion.doneReason === "length"
    const told = LogLine.debug("Model call ended", () => ({
      "llm.model": call.model,
      "llm.input_tokens": completion.inputTokens,
      "llm.output_tokens": completion.outputTokens,
      duration_ms: Math.round(Number(clock.currentTimeNanosUnsafe() - progress.startedAt) / 1e6)
    }))
    const written = parts.length === 0 ? told : Effect.andThen(Effect.forEach(parts, write, { discard: true }), told)
    return Effect.andThen(
      Effect.andThen(Usage.add(completion), Effect.provideService(written, Tracer.ParentSpan, span)),
      spent
        ? Effect.logWarning(
            `Model "${call.model}" used all of its tokens to think. Raise "maxTokens", or set "think: false".`
          )
        : Effect.void
    )
  })

const write = ({ name, startTime, endTime, tokens, tokensPerSecond }: OllamaTimings.Part): Effect.Effect<void> =>
  Span.record({
    name,
    startTime,
    endTime,
    attributes: {
      "tinyllm.reconstructed": true,
      "tinyllm.ollama.tokens": tokens,
      "tinyllm.ollama.tokens_per_second": tokensPerSecond
    }
  })

/** Records what had been answered when a call ended without its last record. */
export const unfinished = (content: Capture.Content, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeNanos, (now) => content.end(partialOf(exit), now))

const partialOf = (exit: Exit.Exit<unknown, unknown>): Capture.Output | undefined => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  const reason = error instanceof OllamaError.OllamaError ? error.reason : undefined
  if (reason === undefined || !("partial" in reason)) {
    return undefined
  }
  const { partial, partialThinking, partialToolCalls } = reason
  return partial === "" && partialThinking === undefined && partialToolCalls === undefined
    ? undefined
    : { text: partial, thinking: partialThinking, toolCalls: partialToolCalls ?? [], finishReason: "error" }
}

const seconds = (duration: Duration.Duration | undefined): number | undefined =>
  duration === undefined ? undefined : Duration.toSeconds(duration)

const secondsOf = (nanos: bigint | undefined): number | undefined =>
  nanos === undefined ? undefined : Number(nanos) / 1e9
