/**
 * The names and attributes of our spans, and helpers for spans of your own.
 *
 * Everything here works on Effect's own spans: it records wherever the tracer in the context sends them and does
 * nothing when tracing is off. `llm.*` and `gen_ai.*` are written by one function, so they cannot disagree.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { Attributes, AttributeValue } from "./Attribute.ts"
import * as Redaction from "./Redaction.ts"
import { taskContent } from "./SpanAttributes.ts"
import { errorType, exception } from "./SpanException.ts"

export type { Attributes, AttributeValue } from "./Attribute.ts"
export { truncate } from "./Attribute.ts"
export { errorType, ErrorType, exception, originalOf, restates } from "./SpanException.ts"
export {
  agent,
  graphEnd,
  graphStart,
  type LlmRequest,
  llmRequest,
  type LlmResponse,
  llmResponse,
  node,
  taskContent,
  toolCall
} from "./SpanAttributes.ts"

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
// The spans of runs, nodes and model calls
// ---------------------------------------------------------------------------------------------------------------------

/** Options that all our own spans share: no stack is captured for the span itself, errors keep theirs. */
export const quiet = { captureStackTrace: false } as const

/** Makes `task.content` of a task. By default that is its start, without secrets. */
export const TaskContent: Context.Reference<(task: unknown) => string> = Context.Reference("tinyllm/Span/TaskContent", {
  defaultValue: () => taskContent
})

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
