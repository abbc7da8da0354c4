/**
 * The names and attributes of our spans, and helpers for spans of your own.
 *
 * Everything here works on Effect's own spans: it records wherever the tracer in the context sends them and does
 * nothing when tracing is off. `llm.*` and `gen_ai.*` are written by one function, so they cannot disagree.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import { type AttributeValue, json } from "./Attribute.ts"
import * as Redaction from "./Redaction.ts"

/** What an attribute may hold: OpenTelemetry's types. `undefined` is left out, so an unknown value needs no `if`. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>

export type { AttributeValue } from "./Attribute.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Helpers for spans of your own
// ---------------------------------------------------------------------------------------------------------------------

/** Sets attributes on the current span. Does nothing outside of spans. */
export const attributes = (values: Attributes): Effect.Effect<void> => withCurrent((span) => set(span, values))

/** Records an event on the current span, at this moment. Does nothing outside of spans. */
export const event = (name: string, values: Attributes = {}): Effect.Effect<void> =>
  withCurrent((span, fiber) => span.event(name, nowOf(fiber), defined(values)))

/**
 * Marks the current span as failed by an error that was handled and should show all the same: an `exception` event,
 * `error.type`, and status Error when the span ends. An error that is not handled marks its spans by itself.
 */
export const error = (error: unknown): Effect.Effect<void> =>
  withCurrent((span, fiber) => {
    const attributes = exception(error, fiber.getRef(Redaction.Current))
    errors.set(attributes, error)
    span.attribute("error.type", errorType(error))
    span.event("exception", nowOf(fiber), attributes)
  })

// Kept for as long as the attributes are.
const errors = new WeakMap<object, unknown>()

/** The error that `Span.error` made these attributes of; a tracer that knows it can tell that it has recorded it. */
export const errorOf = (attributes: object): { readonly value: unknown } | undefined =>
  errors.has(attributes) ? { value: errors.get(attributes) } : undefined

/** The trace id of the current span, 32 hexadecimal digits; `undefined` outside of spans and when tracing is off. */
export const traceId: Effect.Effect<string | undefined> = Effect.withFiber((fiber) => {
  const { span } = fiber.cache
  return Effect.succeed(span === undefined || span.traceId === "noop" || isUnseen(fiber) ? undefined : span.traceId)
})

/** Whether spans are seen by nobody: tracing is off, or they come from the tracer that Effect has by default. */
export const isUnseen = ({ cache }: Fiber.Fiber<unknown, unknown>): boolean =>
  !cache.tracerEnabled || cache.tracer === undefined || cache.tracer === Tracer.nativeTracer

/** Whether log lines inside a span carry its ids; `true` by default. */
export const LogIds: Context.Reference<boolean> = Context.Reference("tinyllm/Span/LogIds", {
  defaultValue: () => true
})

/** Leaves trace and span ids out of the log lines of this effect. */
export const withoutLogIds: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.provideService(
  LogIds,
  false
)

/**
 * A method decorator: calls of the method, which returns an Effect, are spans named `Class.method`.
 *
 * Standard decorators need a compiler (tsx, tsc, esbuild): Node's own type stripping refuses their syntax.
 */
export const method =
  (attributes: Attributes = {}) =>
  <This extends object, Args extends Array<unknown>, A, E, R>(
    target: (this: This, ...args: Args) => Effect.Effect<A, E, R>,
    context: ClassMethodDecoratorContext<This, (this: This, ...args: Args) => Effect.Effect<A, E, R>>
  ) =>
    function (this: This, ...args: Args): Effect.Effect<A, E, R> {
      const owner = context.static ? (this as unknown as { readonly name: string }).name : this.constructor.name
      return Effect.withSpan(
        Effect.suspend(() => target.apply(this, args)),
        `${owner}.${String(context.name)}`,
        { attributes: defined(attributes) }
      ) as Effect.Effect<A, E, R> // `withSpan` takes ParentSpan out of R, which a method's R has no reason to hold.
    }

// ---------------------------------------------------------------------------------------------------------------------
// Errors on spans
// ---------------------------------------------------------------------------------------------------------------------

/** An error may say under this key what its `error.type` is; without it, that is its `_tag`. */
export const ErrorType = "~tinyllm/errorType"

/**
 * The value of `error.type` for an error: what it says itself (`connection_refused`, `404`), `timeout` for Effect's
 * time-outs, its `_tag` (for errors of `effect/ai` the one of their reason), the name of its class, or `_OTHER`. The set
 * is small: no ids, no messages.
 */
export const errorType = (error: unknown): string =>
  safely(() => {
    if (Predicate.hasProperty(error, ErrorType) && typeof error[ErrorType] === "string") {
      return error[ErrorType]
    }
    if (Cause.isTimeoutError(error)) {
      return "timeout"
    }
    if (Predicate.hasProperty(error, "_tag") && typeof error._tag === "string") {
      return aiReason(error)?._tag ?? error._tag
    }
    return error instanceof Error && error.name !== "Error" ? error.name : "_OTHER"
  }, "_OTHER")

// A message of ten megabytes says no more than its beginning does, and would push the stack out of the event.
const messageLength = 2000
const stackLength = 8000

/** The attributes of an `exception` event: the beginnings of message and stack, with secrets replaced. */
export const exception = (error: unknown, redact: Redaction.Redact = Redaction.redact): Attributes =>
  safely<Attributes>(
    () => {
      const pretty = Cause.prettyErrors(Cause.fail(error), { includeCauseInStack: true })[0]
      const name = error instanceof Error ? error.name : pretty?.name
      const quotes = withoutQuotation(error)
      const message = quotes ?? pretty?.message ?? String(error)
      const shown = truncate(Redaction.start(message, 2 * messageLength, redact), messageLength)
      const stack =
        quotes !== undefined
          ? [`${name}: ${shown}`, ...((error as Error).stack ?? "").split("\n").filter(isFrame)].join("\n")
          : message.length > messageLength
            ? pretty?.stack?.replace(message, () => shown)
            : pretty?.stack
      return {
        "exception.type": name,
        "exception.message": shown,
        "exception.stacktrace":
          stack === undefined ? undefined : truncate(Redaction.start(stack, 2 * stackLength, redact), stackLength)
      }
    },
    { "exception.type": "Error", "exception.message": "[unreadable]" }
  )

/**
 * Instead of the message of an error of `effect/ai` that quotes what a model wrote, or what a tool gave: one without. It
 * is told by its shape, so that nobody loads that package for it. `undefined` for other errors.
 */
const withoutQuotation = (error: unknown): string | undefined => {
  const reason = aiReason(error)
  if (!(error instanceof Error) || reason === undefined || !quoting.has(reason._tag)) {
    return undefined
  }
  const text = (key: string) =>
    Predicate.hasProperty(error, key) && typeof error[key] === "string" ? [error[key]] : []
  const where = [...text("module"), ...text("method")].join(".")
  return `${where === "" ? "" : `${where}: `}${reason._tag} (what it quotes is left out)`
}

/** Why something of `effect/ai` failed: the reason of an `AiError`, or such a reason by itself. */
const aiReason = (error: unknown): { readonly _tag: string } | undefined => {
  const reason =
    Predicate.hasProperty(error, "~effect/ai/AiError") && Predicate.hasProperty(error, "reason") ? error.reason : error
  return Predicate.hasProperty(reason, "~effect/ai/AiError/Reason") &&
    Predicate.hasProperty(reason, "_tag") &&
    typeof reason._tag === "string"
    ? { _tag: reason._tag }
    : undefined
}

const quoting = new Set([
  "ToolNotFoundError",
  "InvalidOutputError",
  "StructuredOutputError",
  "ToolParameterValidationError",
  "InvalidToolResultError",
  "ToolResultEncodingError"
])

const isFrame = (line: string) => /^ {4}at /.test(line)

// Errors that say the same as others, for callers that know other types of errors.
const restated = new WeakMap<object, unknown>()

/** Says that an error is another one in other words: what has recorded one of them has recorded both. */
export const restates = <E extends object>(error: E, original: unknown): E => {
  restated.set(error, original)
  return error
}

/** The error that this one restates, or the error itself. */
export const originalOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && restated.has(error) ? restated.get(error) : error

// What users throw may throw in its turn when it is read, and a span is no reason to fail.
const safely = <A>(read: () => A, otherwise: A): A => Result.getOrElse(Result.try(read), () => otherwise)

// ---------------------------------------------------------------------------------------------------------------------
// The spans of runs, nodes and model calls
// ---------------------------------------------------------------------------------------------------------------------

/** Options that all our own spans share: no stack is captured for the span itself, errors keep theirs. */
export const quiet = { captureStackTrace: false } as const

/** Makes `task.content` of a task. By default that is its start, without secrets. */
export const TaskContent: Context.Reference<(task: unknown) => string> = Context.Reference("tinyllm/Span/TaskContent", {
  defaultValue: () => taskContent
})

const taskLength = 200

// Characters of a task that is no text which are turned into one.
const taskLengthRead = 4096

/** The start of a task as `task.content` shows it: 200 code points at most, with `…` when cut, without secrets; empty for none. */
export const taskContent = (task: unknown, redact: Redaction.Redact = Redaction.redact): string => {
  const text = typeof task === "string" ? task : task === undefined || task === null ? "" : json(task, taskLengthRead)
  const more = typeof task !== "string" && text.length >= taskLengthRead
  return truncate(Redaction.start(text, 2 * taskLength, redact, more), taskLength)
}

/** Cuts a text after `length` code points and marks the cut with `…`. */
export const truncate = (text: string, length: number): string => {
  if (text.length <= length) {
    return text
  }
  const points = Array.from(text.slice(0, 2 * length + 2))
  return points.length <= length ? text : `${points.slice(0, length).join("")}…`
}

/** What is known when a run starts. `executionId` is ours, not the trace id: it is there also when unsampled. */
export const graphStart = (options: {
  readonly id: string
  readonly executionId: string
  readonly task: unknown
  readonly taskContent: (task: unknown) => string
}): Attributes => ({
  "graph.id": options.id,
  "execution.trace_id": options.executionId,
  "task.content": options.taskContent(options.task),
  "gen_ai.operation.name": "invoke_workflow",
  "gen_ai.workflow.name": options.id
})

/** What is known when a run ends, however it ends. */
export const graphEnd = (options: {
  readonly nodesExecuted: number
  readonly tokensUsed: number
  readonly durationMillis: number
}): Attributes => ({
  "execution.nodes_executed": options.nodesExecuted,
  "execution.tokens_used": options.tokensUsed,
  "execution.duration_ms": Math.round(options.durationMillis)
})

/** The attributes of a node visit. `step` is unknown when a node runs outside of a graph. */
export const node = (id: string, type: string, step: number | undefined): Record<string, AttributeValue> =>
  step === undefined
    ? { "node.id": id, "node.type": type }
    : { "node.id": id, "node.type": type, "execution.step": step }

/** The event that says which way a router, branch or gate took, and how that was decided. */
export const routerDecision = (options: {
  readonly route: string
  readonly candidates: ReadonlyArray<string>
  readonly strategy: "model" | "code"
  /** Characters of the model's answer. */
  readonly answerLength?: number | undefined
  readonly fallback: boolean
}): Effect.Effect<void> =>
  withCurrent((span, fiber) =>
    // A router that was tried again decides in an attempt; the decision is the visit's.
    visitOf(span).event(
      "router.decision",
      nowOf(fiber),
      defined({
        "router.route": options.route,
        "router.candidates": options.candidates,
        "router.strategy": options.strategy,
        "router.answer_length": options.answerLength,
        "router.fallback": options.fallback
      })
    )
  )

/** Sets attributes on the span of the visit in progress: what is tried again belongs to one visit. */
export const describeVisit = (values: () => Attributes): Effect.Effect<void> =>
  withCurrent((span) => {
    const visit = visitOf(span)
    if (isRecording(visit)) {
      set(visit, values())
    }
  })

const visitOf = (span: Tracer.Span): Tracer.Span => {
  const parent = Option.getOrUndefined(span.parent)
  return span.name === attemptName && parent?._tag === "Span" ? visitOf(parent) : span
}

/** A model call as it is sent. Semantic conventions for generative AI, v1.41.0. */
export interface LlmRequest {
  readonly operation: "chat" | "text_completion" | "embeddings"
  /** As requested, tag included. */
  readonly model: string
  /** Code points of all text sent. */
  readonly promptLength: number
  readonly temperature?: number | undefined
  readonly topP?: number | undefined
  readonly topK?: number | undefined
  readonly frequencyPenalty?: number | undefined
  readonly presencePenalty?: number | undefined
  readonly maxTokens?: number | undefined
  readonly stop?: ReadonlyArray<string> | undefined
  readonly seed?: number | undefined
  /** Whether the caller reads the answer as it comes. */
  readonly stream?: boolean | undefined
  /** Whether JSON was asked for. */
  readonly json?: boolean | undefined
  readonly serverAddress?: string | undefined
  readonly serverPort?: number | undefined
}

/** A model call as it was answered: only what the server said. */
export interface LlmResponse {
  readonly model?: string | undefined
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  readonly finishReason?: string | undefined
  /** Seconds from sending the request to its first text; only when the caller streams. */
  readonly timeToFirstChunkSeconds?: number | undefined
}

/** A call of a tool by a model. */
export const toolCall = (options: {
  readonly name: string
  readonly callId?: string | undefined
  readonly description?: string | undefined
}): Attributes => ({
  "gen_ai.operation.name": "execute_tool",
  "gen_ai.tool.name": options.name,
  "gen_ai.tool.call.id": options.callId,
  "gen_ai.tool.type": "function",
  "gen_ai.tool.description": options.description
})

/** What is known when an agent begins. */
export const agent = (options: { readonly name: string; readonly provider: string }): Attributes => ({
  "gen_ai.operation.name": "invoke_agent",
  "gen_ai.provider.name": options.provider,
  "gen_ai.agent.name": options.name
})

export const llmRequest = (request: LlmRequest): Attributes => ({
  "llm.model": request.model,
  "llm.prompt_length": request.promptLength,
  "llm.temperature": request.temperature,
  "gen_ai.operation.name": request.operation,
  "gen_ai.provider.name": "ollama",
  "gen_ai.request.model": request.model,
  "gen_ai.request.temperature": request.temperature,
  "gen_ai.request.top_p": request.topP,
  "gen_ai.request.top_k": request.topK,
  "gen_ai.request.frequency_penalty": request.frequencyPenalty,
  "gen_ai.request.presence_penalty": request.presencePenalty,
  "gen_ai.request.max_tokens": request.maxTokens !== undefined && request.maxTokens > 0 ? request.maxTokens : undefined,
  "gen_ai.request.stop_sequences": request.stop,
  "gen_ai.request.seed": request.seed,
  "gen_ai.request.stream": request.stream === true ? true : undefined,
  "gen_ai.output.type": request.json === true ? "json" : undefined,
  "server.address": request.serverAddress,
  "server.port": request.serverPort
})

export const llmResponse = (response: LlmResponse): Attributes => ({
  "llm.input_tokens": response.inputTokens,
  "llm.output_tokens": response.outputTokens,
  "llm.total_tokens":
    response.inputTokens !== undefined && response.outputTokens !== undefined
      ? response.inputTokens + response.outputTokens
      : undefined,
  "gen_ai.response.model": response.model,
  "gen_ai.usage.input_tokens": response.inputTokens,
  "gen_ai.usage.output_tokens": response.outputTokens,
  "gen_ai.response.finish_reasons":
    response.finishReason === undefined || response.finishReason === "" ? undefined : [response.finishReason],
  "gen_ai.response.time_to_first_chunk": response.timeToFirstChunkSeconds
})

// ---------------------------------------------------------------------------------------------------------------------
// For modules that record spans
// ---------------------------------------------------------------------------------------------------------------------

/** Sets attributes on the current span; they are not even computed where nobody records it. */
export const describe = (values: () => Attributes): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const { span } = fiber.cache
    if (span?._tag === "Span" && !isUnseen(fiber) && isRecording(span)) {
      set(span, values())
    }
    return Effect.void
  })

/**
 * Whether a span made here could ever be seen: not where tracing is off, and not below a span whose trace nobody keeps.
 * There the ids of the span above are as good as others.
 */
export const isWanted = ({ cache }: Fiber.Fiber<unknown, unknown>): boolean =>
  cache.tracerEnabled &&
  (cache.span as { readonly "~tinyllm/silent"?: boolean | undefined } | undefined)?.["~tinyllm/silent"] !== true

/**
 * `Effect.withSpan` for what runs often: it captures no stack, and where no span could be seen it makes none, so that it
 * costs next to nothing there.
 */
export const within = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  name: string,
  options?: Omit<Tracer.SpanOptionsNoTrace, "attributes"> & { readonly attributes?: Attributes | undefined }
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    isWanted(fiber)
      ? (Effect.withSpan(self, name, {
          ...options,
          ...quiet,
          attributes: options?.attributes === undefined ? undefined : defined(options.attributes)
        }) as Effect.Effect<A, E, R>) // `withSpan` takes ParentSpan out of R, which what is traced does not ask for.
      : self
  )

/**
 * Whether a span keeps what is put into it. That is not the same as `sampled`: which traces are kept may be decided
 * when it is known how they ended.
 */
export const isRecording = (span: Tracer.Span): boolean =>
  (span as { readonly recording?: boolean | undefined }).recording ?? span.sampled

/** Sets attributes on a span that is at hand. */
export const set = (span: Tracer.Span, values: Attributes): void => {
  for (const key in values) {
    const value = values[key]
    if (value !== undefined) {
      span.attribute(key, value)
    }
  }
}

/** The attributes whose value is known. */
export const defined = (values: Attributes): Record<string, AttributeValue> => {
  const known: Record<string, AttributeValue> = {}
  for (const key in values) {
    const value = values[key]
    if (value !== undefined) {
      known[key] = value
    }
  }
  return known
}

/** Marks a span that is written after the fact, when a sibling may have recorded its error already. */
export const Afterwards: Context.Reference<boolean> = Context.Reference("tinyllm/Span/Afterwards", {
  defaultValue: () => false
})

const afterwards = Context.make(Afterwards, true)

/**
 * Writes a span after the fact, with the times at which things happened (nanoseconds since 1970), below the current
 * span. Does nothing outside of spans and when tracing is off.
 */
export const record = (options: {
  readonly name: string
  readonly startTime: bigint
  readonly endTime: bigint
  readonly attributes?: Attributes | undefined
  readonly exit?: Exit.Exit<unknown, unknown> | undefined
  /** Writes what is below it. */
  readonly below?: Effect.Effect<void> | undefined
}): Effect.Effect<void> =>
  withCurrent((parent) =>
    Effect.gen(function* () {
      if (!(yield* References.TracerEnabled)) {
        return
      }
      const tracer = yield* Effect.tracer
      const span = tracer.span({
        name: options.name,
        parent: Option.some(parent),
        annotations: afterwards,
        links: [],
        startTime: options.startTime,
        kind: "internal",
        root: false,
        sampled: parent.sampled
      })
      set(span, options.attributes ?? {})
      if (options.below !== undefined) {
        yield* Effect.provideService(options.below, Tracer.ParentSpan, span)
      }
      span.end(options.endTime, options.exit ?? Exit.void)
    })
  )

const attemptName = "retry.attempt"

/** Runs one attempt at something in a span of its own. `attempt` counts from 1. */
export const withAttempt = <A, E, R>(self: Effect.Effect<A, E, R>, attempt: number): Effect.Effect<A, E, R> =>
  Effect.withSpan(self, attemptName, { ...quiet, attributes: { "retry.attempt": attempt } }) as Effect.Effect<A, E, R>

/** An attempt that is over. */
export interface Attempt {
  /** Counts from 1. */
  readonly attempt: number
  /** Nanoseconds since 1970. */
  readonly startTime: bigint
  readonly endTime: bigint
  readonly exit: Exit.Exit<unknown, unknown>
  /** What was tried again in it. */
  readonly below?: ReadonlyArray<Attempt> | undefined
}

/** Writes the span of an attempt after the fact, as `record` does, and those below it. */
export const recordAttempt = (options: Attempt): Effect.Effect<void> =>
  record({
    name: attemptName,
    startTime: options.startTime,
    endTime: options.endTime,
    attributes: { "retry.attempt": options.attempt },
    exit: options.exit,
    below:
      options.below === undefined || options.below.length === 0
        ? undefined
        : Effect.forEach(options.below, recordAttempt, { discard: true })
  })

/** The event that says that another attempt follows, and when. */
export const retryScheduled = (options: {
  /** The attempt that failed, from 1. */
  readonly attempt: number
  readonly delayMillis: number
  readonly error: unknown
}): Effect.Effect<void> =>
  event("retry.scheduled", {
    "retry.attempt": options.attempt,
    "retry.delay_ms": Math.round(options.delayMillis),
    "error.type": errorType(options.error)
  })

const withCurrent = (
  use: (span: Tracer.Span, fiber: Fiber.Fiber<unknown, unknown>) => void | Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const { span } = fiber.cache
    return (span?._tag === "Span" ? use(span, fiber) : undefined) ?? Effect.void
  })

const nowOf = (fiber: Fiber.Fiber<unknown, unknown>): bigint => fiber.getRef(Clock.Clock).currentTimeNanosUnsafe()
