/**
 * One model call: attempts and their time limits, its span, its tokens.
 *
 * A call is repeated only as long as nothing of an answer has come, and only where that may help: the status and text of
 * the server's error decide.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as ChunkTimes from "./ChunkTimes.ts"
import * as OllamaAhead from "./OllamaAhead.ts"
import { canonicalName, type Completion, type Part } from "./OllamaApi.ts"
import * as OllamaError from "./OllamaError.ts"
import * as OllamaHttp from "./OllamaHttp.ts"
import * as LogLine from "./LogLine.ts"
import * as OllamaOutcome from "./OllamaOutcome.ts"
import * as OllamaPermits from "./OllamaPermits.ts"
import { begin, drain, fill, nowMillis, type Reading, watch } from "./OllamaReading.ts"
import { Reader, type ReaderOptions } from "./OllamaStream.ts"
import * as OllamaWarnings from "./OllamaWarnings.ts"
import * as Propagation from "./Propagation.ts"
import * as Span from "./Span.ts"

/** What all calls to one server share. */
export interface Server extends OllamaHttp.Server {
  /** In milliseconds. */
  readonly firstRecordTimeout: number
  /** In milliseconds. */
  readonly idleTimeout: number
  /** In milliseconds, repetitions included; `undefined` for no limit. */
  readonly totalTimeout: number | undefined
  /** Calls of one model at a time; `Infinity` for no limit. */
  readonly permitsPerModel: number
  /** Whether what the server says of its time becomes spans. */
  readonly timings: boolean
}

export interface Call extends OllamaOutcome.Call, OllamaWarnings.Call {
  readonly path: string
  readonly body: string
  /** Whether the request leaves the machine by way of the server: then neither trace nor baggage goes along. */
  readonly remote: boolean
  /** Reads the answer; as a streamed one unless given. */
  readonly reader?: ((options: ReaderOptions) => Reader) | undefined
}

/**
 * Starts a call below `span` and gives a pull of its parts, which fails with `Done` after the last one. The call ends
 * and closes the scope, whether its parts are read or not. Closing the scope before that closes the socket, and with that
 * Ollama stops generating.
 */
export const open = (
  server: Server,
  call: Call,
  span: Tracer.Span,
  scope: Scope.Closeable
): Effect.Effect<Pull.Pull<readonly [Part, ...Array<Part>], OllamaError.OllamaError>, OllamaError.OllamaError> =>
  Effect.flatMap(start(server, call, span, scope), (reading) =>
    OllamaAhead.start(reading, scope, {
      looked: ({ inputTokens }) => OllamaWarnings.ofCut(server, call, span, inputTokens),
      finished: (completion) => OllamaOutcome.finished(completion, server.timings, call, span, reading)
    })
  )

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
      while (!reader.ended) {
        reader.parts = []
        yield* fill(reading)
      }
      if (reader.completion === undefined) {
        return yield* reader.failure as OllamaError.OllamaError // ended, so it is one or the other
      }
      yield* drain(reading.pull)
      yield* OllamaWarnings.ofCut(server, call, span, reader.completion.inputTokens)
      yield* Effect.uninterruptible(OllamaOutcome.finished(reader.completion, server.timings, call, span, reading))
      return reader.completion
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// Attempts
// ---------------------------------------------------------------------------------------------------------------------

/** Waits for its turn, then repeats the call until an answer begins, or until that is hopeless. */
const start = (
  server: Server,
  call: Call,
  span: Tracer.Span,
  scope: Scope.Scope
): Effect.Effect<OllamaOutcome.Started, OllamaError.OllamaError> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const progress: OllamaOutcome.Progress = {
      startedAt: clock.currentTimeNanosUnsafe(),
      attempts: [],
      reader: undefined
    }
    yield* Scope.addFinalizerExit(scope, (exit) => OllamaOutcome.recorded(progress, span, clock, exit))
    yield* turn(server, call.model, span, scope)
    yield* Effect.provideService(OllamaWarnings.ofReload(server.url, call), Tracer.ParentSpan, span)
    const { totalTimeout } = server
    if (totalTimeout === undefined) {
      return yield* attempts({ server, call, span, scope, clock, progress, total: undefined })
    }
    const total = { deadline: nowMillis(clock) + totalTimeout, millis: totalTimeout }
    return yield* attempts({ server, call, span, scope, clock, progress, total }).pipe(
      limited(server.url, "total", totalTimeout)
    )
  })

/** Waits until a model may be asked, and says on the span how long that took. The turn ends with the scope. */
export const turn = (server: Server, model: string, span: Tracer.Span, scope: Scope.Scope): Effect.Effect<void> =>
  OllamaPermits.take({
    permits: server.permitsPerModel,
    url: server.url,
    model: canonicalName(model),
    scope,
    onWaited: (nanos) => Span.set(span, { "tinyllm.ollama.permit_wait": Number(nanos) / 1e9 })
  })

/** A call whose turn has come, and what all its attempts share. */
interface Turn {
  readonly server: Server
  readonly call: Call
  readonly span: Tracer.Span
  readonly scope: Scope.Scope
  readonly clock: Clock.Clock
  readonly progress: OllamaOutcome.Progress
  readonly total: Reading["total"]
}

const attempts = (turn: Turn): Effect.Effect<OllamaOutcome.Started, OllamaError.OllamaError> =>
  Effect.gen(function* () {
    const { server, call, span, scope, clock, progress } = turn
    let failures = 0
    for (let count = 1; ; count++) {
      const attemptScope = Scope.forkUnsafe(scope)
      const startTime = clock.currentTimeNanosUnsafe()
      progress.attempts[count - 1] = { startTime }
      const result = yield* Effect.result(attempt(turn, attemptScope))
      if (Result.isSuccess(result)) {
        return result.success
      }
      const error = result.failure
      const exit = Exit.fail(error)
      progress.attempts[count - 1] = { startTime, endTime: clock.currentTimeNanosUnsafe(), exit }
      yield* Scope.close(attemptScope, exit)
      const isStale = OllamaHttp.isStale(error)
      failures += isStale ? 0 : 1
      const delayMillis = yield* OllamaHttp.nextDelayMillis(server, failures, error)
      if (delayMillis === undefined) {
        return yield* error
      }
      yield* Span.retryScheduled({ attempt: count, delayMillis, error }).pipe(
        Effect.andThen(
          isStale
            ? Effect.void
            : LogLine.warn("A model call failed and is made again", () => ({
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

const limited = (url: string, phase: "first record" | "total", millis: number) =>
  Effect.timeoutOrElse({
    duration: millis,
    orElse: () => Effect.fail(OllamaError.make(new OllamaError.Timeout({ url, phase, millis, partial: "" })))
  })

const streamed = (options: ReaderOptions): Reader => new Reader(options)

/** Sends the request and reads until there is something of an answer. */
const attempt = (
  { server, call, span, clock, progress, total }: Turn,
  attemptScope: Scope.Scope
): Effect.Effect<OllamaOutcome.Started, OllamaError.OllamaError> =>
  Effect.gen(function* () {
    // Aborts the request. Its own scope, because the body's end must not come before.
    const requestScope = Scope.forkUnsafe(attemptScope)
    const now = () => clock.currentTimeNanosUnsafe()
    const random = yield* Random.Random
    const onChunk = call.streams ? yield* ChunkTimes.Current : undefined
    const sentAt = now()
    const reader = (call.reader ?? streamed)({
      url: server.url,
      model: call.model,
      sentAt,
      now,
      onChunk: onChunk === undefined ? undefined : (nanos) => onChunk(span, nanos),
      callIds: () => `call_${Math.abs(random.nextIntUnsafe()).toString(36)}`
    })
    progress.reader = reader
    const reading: OllamaOutcome.Started = yield* Effect.gen(function* () {
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
      const reading: OllamaOutcome.Started = {
        reader,
        pull,
        clock,
        url: server.url,
        idleTimeout: server.idleTimeout,
        total,
        waitingSince: undefined,
        unreadSince: undefined,
        expired: undefined,
        onExpired: undefined,
        endedAt: undefined,
        progress,
        sentAt
      }
      yield* begin(reading)
      return reading
    }).pipe(limited(server.url, "first record", server.firstRecordTimeout))
    if (!reader.ended) {
      yield* watch(reading, requestScope).pipe(Effect.forkIn(attemptScope))
    }
    yield* fill(reading)
    if (reader.failure !== undefined && !reader.hasContent) {
      return yield* reader.failure
    }
    if (reader.firstTokenAt !== undefined) {
      span.event("llm.first_token", reader.firstTokenAt)
    }
    return reading
  })
