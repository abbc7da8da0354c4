/**
 * Changes to nodes: how long a visit may take, how often it is tried, what is visited instead, what it is given. They leave
 * the kind of a node as it is.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Layer from "effect/Layer"
import * as Attempts from "./Attempts.ts"
import * as LogLine from "./LogLine.ts"
import {
  type Any,
  assertNode,
  assertNoRouter,
  type CommonInput,
  currentId,
  type Error,
  type MapNode,
  millisOf,
  type Node,
  node,
  type Output,
  type RefuseRouter,
  type Services,
  withRun
} from "./NodeType.ts"
import * as Preflight from "./Preflight.ts"
import * as Span from "./Span.ts"
import * as Visit from "./Visit.ts"

/** A node did not finish within its time. */
export class NodeTimeout extends Schema.TaggedError<NodeTimeout>()("NodeTimeout", {
  node: Schema.String,
  durationMillis: Schema.Finite
}) {
  override get message() {
    return `The node "${this.node}" did not finish within ${Duration.format(Duration.millis(this.durationMillis))}.`
  }
  get [Span.ErrorType]() {
    return "timeout"
  }
}

/** Fails with `NodeTimeout`, and interrupts the node, when one visit takes longer than `duration`. */
export const timeout = (
  duration: Duration.Input
): (<N extends Any>(self: N) => MapNode<N, Error<N> | NodeTimeout, Services<N>>) => {
  const durationMillis = millisOf("Node.timeout: duration", duration)
  return (self) => {
    assertNode("Node.timeout: what it is for", self)
    return withRun(self, (input) =>
      Effect.timeoutOrElse(self.run(input), {
        duration: durationMillis,
        orElse: () =>
          Effect.flatMap(currentId(self.type), (node) =>
            Effect.andThen(
              LogLine.warn("A node took too long", () => ({ "node.id": node, timeout_ms: durationMillis })),
              Effect.fail(new NodeTimeout({ node, durationMillis }))
            )
          )
      })
    )
  }
}

/** 200 ms, doubled each time, with jitter. */
const backoff = Schedule.jittered(Schedule.exponential("200 millis"))

/**
 * Runs a node again when it fails: after 200 ms, doubled each time, with jitter, 3 times more at most, unless `schedule`
 * or `times` say otherwise (with a schedule alone, the schedule decides how often). Defects and interruption are not
 * retried. It stays one visit; when there is a second attempt, every attempt is a span `retry.attempt`.
 */
export const retry =
  (
    options: {
      /** Attempts after the first. */
      readonly times?: number | undefined
      readonly schedule?: Schedule.Schedule<unknown> | undefined
      /** Whether an error is worth another attempt; every error is, by default. */
      readonly while?: ((error: unknown) => boolean) | undefined
    } = {}
  ) =>
  <N extends Any>(self: N): N => {
    assertNode("Node.retry: what it is for", self)
    const schedule = options.schedule ?? backoff
    const times = options.times ?? (options.schedule === undefined ? 3 : Infinity)
    if (!(times === Infinity || (Number.isInteger(times) && times >= 0))) {
      throw new RangeError(`Node.retry: times must be an integer >= 0 or Infinity, got ${times}`)
    }
    const again = options.while ?? (() => true)
    const run = (input: never) =>
      Effect.gen(function* () {
        const visit = yield* Visit.Current
        const next = yield* Schedule.toStep(schedule)
        const first = yield* Attempts.begin(false)
        const attempts = Effect.gen(function* () {
          for (let attempt = 1; ; attempt++) {
            const run = self.run(input)
            const exit = yield* Effect.exit(attempt === 1 ? Attempts.run(run, first) : Attempts.again(run, attempt))
            if (Exit.isSuccess(exit)) {
              return exit.value
            }
            const error = Cause.findErrorOption(exit.cause)
            const failed = exit.cause.reasons.every(Cause.isFailReason)
            if (attempt > times || !failed || error._tag === "None" || !again(error.value)) {
              return yield* exit
            }
            const step = yield* Effect.exit(next(yield* Clock.currentTimeMillis, error.value))
            if (Exit.isFailure(step)) {
              return yield* exit // The schedule ended.
            }
            if (attempt === 1) {
              // Only now is it known that there are several attempts.
              yield* Attempts.end(first, exit)
            }
            const [, delay] = step.value
            const delayMillis = Duration.toMillis(delay)
            yield* Span.retryScheduled({ attempt, delayMillis, error: error.value })
            yield* LogLine.warn("A node failed and is run again", () => ({
              "node.id": visit?.id ?? self.type,
              "retry.attempt": attempt,
              "retry.delay_ms": Math.round(delayMillis),
              "error.type": Span.errorType(error.value)
            }))
            yield* Effect.sleep(delay)
            yield* (
              visit?.run.listen?.({ ...Visit.where(visit), _tag: "NodeRetried", attempt: attempt + 1 }) ?? Effect.void
            )
          }
        })
        return yield* Effect.onExit(attempts, () => Attempts.release(first))
      })
    showing.add(run)
    return withRun(self, run) as unknown as N // Attempts fail with what the node fails with, so its type is unchanged.
  }

// How many fallbacks a node has, so that each has an id of its own.
const Fallbacks = "~tinyllm/fallbacks"

// Ways to run a node that show by spans of their own how they failed, unless they failed at once.
const showing = new WeakSet<Any["run"]>()

/**
 * Visits another node when this one fails. What failed shows in the trace as a failed `retry.attempt`; the visit itself
 * is no failure unless the other node fails too. Routers are refused: their ways out would be lost.
 */
export const fallback =
  <That extends Any>(that: That & RefuseRouter<That>) =>
  <Self extends Any>(
    self: Self & RefuseRouter<Self>
  ): Node<
    CommonInput<{ readonly self: Self; readonly that: That }>,
    Output<Self> | Output<That>,
    Error<That>,
    Services<Self> | Services<That>
  > => {
    for (const [what, value] of [
      ["what it is for", self],
      ["the other node", that]
    ] as const) {
      assertNode(`Node.fallback: ${what}`, value)
      assertNoRouter(`Node.fallback: ${what}`, value)
    }
    const count = 1 + ((self as { readonly [Fallbacks]?: number })[Fallbacks] ?? 0)
    const name = count === 1 ? "fallback" : `fallback${count}`
    const run = (input: CommonInput<{ readonly self: Self; readonly that: That }>) =>
      Effect.gen(function* () {
        const first = yield* Attempts.begin(showing.has(self.run))
        const instead = (error: Error<Self>) =>
          Effect.gen(function* () {
            // An attempt inside, or a fallback, may show the same error by itself.
            const shown = Option.isSome(first.shown) && Object.is(first.shown.value, error)
            yield* shown ? Attempts.release(first) : Attempts.end(first, Exit.fail(error))
            const id = yield* currentId(self.type)
            yield* LogLine.warn("A node failed and another is run in its place", () => ({
              "node.id": id,
              "error.type": Span.errorType(error)
            }))
            return yield* Effect.onExit(Visit.visitInner(that as Any, name, input as never), Attempts.shows)
          })
        return yield* Attempts.run(self.run(input as never), first).pipe(
          Effect.catch(instead),
          Effect.onExit(() => Attempts.release(first))
        )
      }) as Effect.Effect<Output<Self> | Output<That>, Error<That>, Services<Self> | Services<That>>
    showing.add(run)
    const needs = [...Preflight.replaceable(Preflight.of(self)), ...Preflight.inside({ [name]: that })]
    return Object.assign(node({ type: self.type, run, needs }), { [Fallbacks]: count })
  }

/**
 * Gives a node the services it needs. The layer is built for every visit, unless the same layer is provided around the
 * run: share what is costly.
 */
export const provide =
  <ROut, LE, RIn>(layer: Layer.Layer<ROut, LE, RIn>) =>
  <N extends Any>(self: N): MapNode<N, Error<N> | LE, RIn | Exclude<Services<N>, ROut>> =>
    // A model that a node needs may be one of what it is given here, of which the run knows nothing before.
    Preflight.forget(withRun(self, (input) => Effect.provide(self.run(input), layer)))
