/**
 * One model call: attempts and their time limits, its span, its tokens.
 *
 * A call is repeated only as long as nothing of an answer has come, and only where that may help: the status and text of
 * the server's error decide.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type * as Capture from "./Capture.ts"
import * as ChunkTimes from "./ChunkTimes.ts"
import type { Completion, Part } from "./OllamaApi.ts"
import * as OllamaError from "./OllamaError.ts"
import * as OllamaHttp from "./OllamaHttp.ts"
import * as LogLine from "./LogLine.ts"
import { drain, fill, type Reading, watch } from "./OllamaReading.ts"
import { Reader } from "./OllamaStream.ts"
import * as Propagation from "./Propagation.ts"
import * as Span from "./Span.ts"
import * as Usage from "./Usage.ts"

/** What all calls to one server share. */
export interface Server extends OllamaHttp.Server {
  /** In milliseconds. */
  readonly firstRecordTimeout: number
  /** In milliseconds. */
  readonly idleTimeout: number
}

export interface Call {
  readonly path: string
  readonly body: string
  readonly model: string
  /** Whether the caller reads the answer as it comes. */
  readonly streams: boolean
  /** Whether the request leaves the machine by way of the server: then neither trace nor baggage goes along. */
  readonly remote: boolean
  /** Where the call's content is recorded; `undefined` where it is not. */
  readonly content: Capture.Content | undefined
}

/**
 * Starts a call below `span` and gives a pull of its parts, which fails with `Done` after the last one. The call ends
 * with the scope: closing it closes the socket, and with that Ollama stops generating.
 */
export const open = (
  server: Server,
  call: Call,
  span: Tracer.Span,
  scope: Scope.Scope
): Effect.Effect<Pull.Pull<readonly [Part, ...Array<Part>], OllamaError.OllamaError>, OllamaError.OllamaError> =>
  Effect.map(start(server, call, span, scope), (reading) => {
    const { reader } = reading
    const first = reader.firstTokenAt
    if (first !== undefined) {
      span.event("llm.first_token", first)
    }
    const next: Pull.Pull<readonly [Part, ...Array<Part>], OllamaError.OllamaError> = Effect.suspend(() => {
      const [part, ...parts] = reader.parts
      if (part !== undefined) {
        reader.parts = []
        return reader.completion === undefined
          ? Effect.succeed([part, ...parts] as const)
          : Effect.as(finished(reader.completion, call, span, reading), [part, ...parts] as const)
      }
      if (reader.failure !== undefined) {
        return Effect.fail(reader.failure)
      }
      return reader.completion === undefined
        ? Effect.flatMap(fill(reading), () => next)
        : Effect.andThen(drain(reading.pull), Cause.done())
    })
    return next
  })

/** Runs a call to its end and gives the whole answer. */
export const collect = (
  server: Server,
  call: Call,
  span: Tracer.Span
): Effect.Effect<Completion, OllamaError.OllamaError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const reading = yield* start(server, call, span, scope)
      const { reader } = reading
      if (reader.firstTokenAt !== undefined) {
        span.event("llm.first_token", reader.firstTokenAt)
      }
      while (!reader.ended) {
        reader.parts = []
        yield* fill(reading)
      }
      if (reader.completion === undefined) {
        return yield* reader.failure as OllamaError.OllamaError // ended, so it is one or the other
      }
      yield* finished(reader.completion, call, span, reading)
      yield* drain(reading.pull)
      return reader.completion
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// Attempts
// ---------------------------------------------------------------------------------------------------------------------

interface Attempt {
  readonly startTime: bigint
  readonly endTime?: bigint
  readonly exit?: Exit.Exit<unknown, unknown>
}

/** The reading of an answer that has begun. */
interface Started extends Reading {
  /** When the call began, attempts that failed included. */
  readonly startedAt: bigint
}

/** Repeats the call until an answer begins, or until that is hopeless. */
const start = (
  server: Server,
  call: Call,
  span: Tracer.Span,
  scope: Scope.Scope
): Effect.Effect<Started, OllamaError.OllamaError> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const startedAt = clock.currentTimeNanosUnsafe()
    const attempts: Array<Attempt> = []
    yield* Scope.addFinalizerExit(scope, (exit) => recorded(attempts, span, clock, exit))
    for (let count = 1; ; count++) {
      const attemptScope = Scope.forkUnsafe(scope)
      const startTime = clock.currentTimeNanosUnsafe()
      attempts[count - 1] = { startTime }
      const result = yield* Effect.result(attempt(server, call, span, scope, attemptScope, clock))
      if (Result.isSuccess(result)) {
        return Object.assign(result.success, { startedAt }) // the same object: who watches it has it already
      }
      const error = result.failure
      const exit = Exit.fail(error)
      attempts[count - 1] = { startTime, endTime: clock.currentTimeNanosUnsafe(), exit }
      yield* Scope.close(attemptScope, exit)
      const delayMillis = yield* OllamaHttp.nextDelayMillis(server, count, error)
      if (delayMillis === undefined) {
        return yield* error
      }
      yield* Span.retryScheduled({ attempt: count, delayMillis, error }).pipe(
        Effect.andThen(
          LogLine.warn("A model call failed and is made again", () => ({
            "llm.model": call.model,
            "retry.attempt": count,
            "retry.delay_ms": Math.round(delayMillis),
            "error.type": Span.errorType(error)
          }))
        ),
        Effect.provideService(Tracer.ParentSpan, span)
      )
      yield* Effect.sleep(delayMillis)
    }
  })

/** Writes a span for each attempt when there was more than one. The last one ended as the call did. */
const recorded = (
  attempts: ReadonlyArray<Attempt>,
  span: Tracer.Span,
  clock: Clock.Clock,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<void> =>
  attempts.length < 2
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

/** Sends the request and reads until there is something of an answer. */
const attempt = (
  server: Server,
  call: Call,
  span: Tracer.Span,
  scope: Scope.Scope,
  attemptScope: Scope.Scope,
  clock: Clock.Clock
): Effect.Effect<Reading, OllamaError.OllamaError> =>
  Effect.gen(function* () {
    // Aborts the request. Its own scope, because the body's end must not come before.
    const requestScope = Scope.forkUnsafe(attemptScope)
    const now = () => clock.currentTimeNanosUnsafe()
    const random = yield* Random.Random
    const onChunk = call.streams ? yield* ChunkTimes.Current : undefined
    const reader = new Reader({
      url: server.url,
      model: call.model,
      sentAt: now(),
      now,
      onChunk: onChunk === undefined ? undefined : (nanos) => onChunk(span, nanos),
      callIds: () => `call_${Math.abs(random.nextIntUnsafe()).toString(36)}`
    })
    const reading: Reading = yield* Effect.gen(function* () {
      const response = yield* server
        .send({
          method: "POST",
          path: call.path,
          body: call.body,
          model: call.model,
          headers: call.remote ? undefined : yield* Propagation.injectSpan(span)
        })
        .pipe(
          Scope.provide(requestScope),
          Effect.tapError((error) => Effect.sync(() => OllamaHttp.noteAnswer(server, error)))
        )
      OllamaHttp.noteAnswer(server)
      const pull = yield* Stream.toPull(response.stream).pipe(Scope.provide(attemptScope))
      const reading: Reading = {
        reader,
        pull,
        clock,
        url: server.url,
        idleTimeout: server.idleTimeout,
        waitingSince: undefined,
        expired: false
      }
      yield* fill(reading)
      return reading
    }).pipe(
      Effect.timeoutOrElse({
        duration: server.firstRecordTimeout,
        orElse: () =>
          Effect.fail(
            OllamaError.make(
              new OllamaError.Timeout({
                url: server.url,
                phase: "first record",
                millis: server.firstRecordTimeout,
                partial: ""
              })
            )
          )
      })
    )
    if (reader.failure !== undefined && !reader.hasContent) {
      return yield* reader.failure
    }
    if (!reader.ended) {
      yield* watch(reading, requestScope).pipe(Effect.forkIn(scope))
    }
    return reading
  })

// ---------------------------------------------------------------------------------------------------------------------
// The end
// ---------------------------------------------------------------------------------------------------------------------

const finished = (
  completion: Completion,
  call: Call,
  span: Tracer.Span,
  { clock, startedAt }: Started
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
    if (Span.isRecording(span)) {
      const { timings } = completion
      Span.set(span, {
        ...Span.llmResponse({
          model: completion.model,
          inputTokens: completion.inputTokens,
          outputTokens: completion.outputTokens,
          finishReason: completion.doneReason,
          timeToFirstChunkSeconds: call.streams ? seconds(completion.timeToFirstToken) : undefined
        }),
        "tinyllm.ollama.total_duration": seconds(timings.total),
        "tinyllm.ollama.load_duration": seconds(timings.load),
        "tinyllm.ollama.prompt_eval_duration": seconds(timings.promptEval),
        "tinyllm.ollama.eval_duration": seconds(timings.eval)
      })
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
      duration_ms: Math.round(Number(clock.currentTimeNanosUnsafe() - startedAt) / 1e6)
    }))
    return Effect.andThen(
      Effect.andThen(Usage.add(completion), Effect.provideService(told, Tracer.ParentSpan, span)),
      spent
        ? Effect.logWarning(
            `Model "${call.model}" used all of its tokens to think. Raise "maxTokens", or set "think: false".`
          )
        : Effect.void
    )
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
