/**
 * When the pieces of a streamed answer come, for somebody who measures that: the time between two, and nothing of them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Tracer from "effect/Tracer"

/** Takes the nanoseconds from one piece of the answer to the next, for the span of the call. It does not fail. */
export type Take = (span: Tracer.Span, nanos: number) => void

/** `undefined`, the default, measures nothing. Telemetry sets it. */
export const Current: Context.Reference<Take | undefined> = Context.Reference("tinyllm/ChunkTimes", {
  defaultValue: (): Take | undefined => undefined
})
