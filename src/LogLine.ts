/**
 * Log lines of our own: what a run does, with facts as annotations and never any content.
 *
 * They go where the program's log lines go. Below the lowest level that is logged, a line costs a comparison: what it
 * says is made only when somebody reads it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as Span from "./Span.ts"

/** Whether lines of a level are logged here. */
export const isOn = ({ cache }: Fiber.Fiber<unknown, unknown>, level: LogLevel.Severity): boolean =>
  !LogLevel.isGreaterThan(cache.minimumLogLevel, level)

/** What happens in an ordinary run. */
export const debug = (message: string, facts: () => Span.Attributes): Effect.Effect<void> =>
  write("Debug", message, facts)

/** What went wrong and was dealt with. */
export const warn = (message: string, facts: () => Span.Attributes): Effect.Effect<void> =>
  write("Warn", message, facts)

/** Says when a run starts, and how it ends with what is known then. */
export const around = <A, E, R>(
  run: Effect.Effect<A, E, R>,
  id: string,
  end: () => Span.Attributes
): Effect.Effect<A, E, R> =>
  Effect.andThen(
    debug("Run started", () => ({ "graph.id": id })),
    Effect.onExit(run, (exit) => {
      const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
      const error = cause.reasons.find(Cause.isFailReason)?.error ?? cause.reasons.find(Cause.isDieReason)?.defect
      const how = Exit.isSuccess(exit) ? "ended" : Cause.hasInterruptsOnly(cause) ? "interrupted" : "failed"
      return debug(`Run ${how}`, () => ({
        "graph.id": id,
        ...end(),
        "error.type": error === undefined ? undefined : Span.errorType(error)
      }))
    })
  )

const write = (level: LogLevel.Severity, message: string, facts: () => Span.Attributes): Effect.Effect<void> =>
  Effect.withFiber((fiber) =>
    isOn(fiber, level) ? Effect.annotateLogs(Effect.logWithLevel(level)(message), Span.defined(facts())) : Effect.void
  )
