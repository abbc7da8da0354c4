/**
 * Attempts at a node as spans `retry.attempt`, also where what is tried again contains what is tried again.
 *
 * That something is tried again is known when its first attempt is over, so that one's span is written afterwards, and
 * only then. What was tried again inside of it has to stand below it: its attempts are held until then.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import * as Span from "./Span.ts"

/** A first attempt: it may turn out to be the only one. */
export interface First {
  readonly startTime: bigint
  /** The span that attempts at this are below; further in, attempts have one of their own. */
  readonly span: Tracer.AnySpan | undefined
  /** Whether attempts inside are held, or written at once. */
  readonly holds: boolean
  held: Array<Span.Attempt>
  /** The last error that what is inside shows by a span. */
  shown: Option.Option<unknown>
}

const Current: Context.Reference<First | undefined> = Context.Reference("tinyllm/Attempts/Current", {
  defaultValue: (): First | undefined => undefined
})

const spanOf = (fiber: Fiber.Fiber<unknown, unknown>) => Context.getOrUndefined(fiber.context, Tracer.ParentSpan)

// The first attempt that this is inside of, with no span between them.
const around = (fiber: Fiber.Fiber<unknown, unknown>): First | undefined => {
  const first = fiber.getRef(Current)
  return first?.span === spanOf(fiber) ? first : undefined
}

/**
 * Begins a first attempt. With `shows`, what is tried shows by spans of its own how it failed, and those may be written
 * at once: there is no need of a span around them.
 */
export const begin = (shows: boolean): Effect.Effect<First> =>
  Effect.withFiber((fiber) =>
    Effect.succeed({
      startTime: fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(),
      span: spanOf(fiber),
      holds: !shows || around(fiber)?.holds === true,
      held: [],
      shown: Option.none()
    })
  )

/** Runs what is tried for the first time. */
export const run = <A, E, R>(self: Effect.Effect<A, E, R>, first: First): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Current, first)

/** Writes the span of the first attempt, now that it is known not to be the only one. */
export const end = (first: First, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeNanos, (endTime) => {
    const below = first.held
    first.held = []
    return write({ attempt: 1, startTime: first.startTime, endTime, exit, below })
  })

/** Writes what a first attempt still holds: it was the only one. */
export const release = (first: First): Effect.Effect<void> =>
  Effect.suspend(() => {
    const attempts = first.held
    first.held = []
    return attempts.length === 0 ? Effect.void : Effect.forEach(attempts, write, { discard: true })
  })

/** Runs an attempt after the first. */
export const again = <A, E, R>(self: Effect.Effect<A, E, R>, attempt: number): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    if (around(fiber)?.holds !== true) {
      return Effect.onExit(Span.withAttempt(self, attempt), (exit) => shows(exit))
    }
    return Effect.flatMap(begin(false), (inner) =>
      Effect.onExit(run(self, inner), (exit) =>
        Effect.flatMap(Clock.currentTimeNanos, (endTime) =>
          write({ attempt, startTime: inner.startTime, endTime, exit, below: inner.held })
        )
      )
    )
  })

/** Says that a span shows how this ended. */
export const shows = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const first = around(fiber)
    if (first !== undefined && exit._tag === "Failure") {
      first.shown = Cause.findErrorOption(exit.cause)
    }
    return Effect.void
  })

const write = (attempt: Span.Attempt): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const first = around(fiber)
    return Effect.andThen(
      shows(attempt.exit),
      first?.holds === true ? Effect.sync(() => void first.held.push(attempt)) : Span.recordAttempt(attempt)
    )
  })
