/**
 * Nodes: the steps that graphs are made of.
 *
 * A node takes a message and gives one, or fails, and its type says which. Constructors make nodes of the usual kinds,
 * `make` one of your own; combinators change how a node runs and leave its kind as it is.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Attempts from "./Attempts.ts"
import * as LogLine from "./LogLine.ts"
import {
  type Any,
  assertNode,
  assertNodes,
  assertNoRouter,
  type CommonInput,
  currentId,
  decided,
  type Error,
  isNode,
  type KnownRoutes,
  type MapNode,
  millisOf,
  type Node,
  node,
  type Output,
  type Routed,
  routed,
  type Router,
  type Services,
  withRun
} from "./NodeType.ts"
import * as Preflight from "./Preflight.ts"
import * as Span from "./Span.ts"
import * as Visit from "./Visit.ts"

export { agent, type AgentError, type AgentOptions, type AgentServices, RoundsExceeded } from "./AgentNode.ts"
export { type Capability, type ModelNeed, needs } from "./ModelNeeds.ts"
export { AnswerInvalid, model, object, router, RouteUnknown } from "./ModelNode.ts"
export {
  type Any,
  type CommonInput,
  type Error,
  type Input,
  isNode,
  isRouter,
  type MapNode,
  type Node,
  type Output,
  type Routed,
  type RoutedOf,
  type Router,
  type Services
} from "./NodeType.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

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

/** Every node of a race failed. */
export class RaceFailed extends Schema.TaggedError<RaceFailed>()("RaceFailed", {
  node: Schema.String,
  errors: Schema.Array(Schema.Unknown)
}) {
  override get message() {
    const types = this.errors.map(Span.errorType).join(", ")
    return `All ${this.errors.length} nodes of the race "${this.node}" failed (${types}).`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Constructors
// ---------------------------------------------------------------------------------------------------------------------

/** A node of your own kind: its visits are spans `node.<type>`. Names one kind of node, so keep ids out of it. */
export const make = <In, Out, E, R>(
  type: string,
  run: (input: In) => Effect.Effect<Out, E, R>
): Node<In, Out, E, R> => {
  if (!/^[a-z][A-Za-z0-9_-]{0,63}$/.test(type)) {
    throw new RangeError(
      `Node.make: type must be a letter a-z and up to 63 letters, digits, _ or -, got ${JSON.stringify(type)}`
    )
  }
  return node({ type, run })
}

/** A node that runs an effect: a calculation, a search, a call of a service. */
export const tool = <In, Out, E, R>(run: (input: In) => Effect.Effect<Out, E, R>): Node<In, Out, E, R> =>
  node({ type: "tool", run })

/** A node that computes its output from its input. */
export const transform = <In, Out>(f: (input: In) => Out): Node<In, Out> =>
  node({ type: "transform", run: (input) => Effect.sync(() => f(input)) })

/** A message for one of the ways out of a `branch`. */
export const to = <const Route extends string, Message>(route: Route, message: Message): Routed<Route, Message> => ({
  route,
  message
})

/**
 * A router that decides by code; its ways out are those that `choose` can return. Their names must be known to the
 * compiler, as `Node.to` sees to.
 */
export const branch = <In, A extends Routed<string, unknown>>(
  choose: ((input: In) => A) & KnownRoutes<A["route"]>
): Router<In, { readonly [K in A as K["route"]]: K["message"] }> =>
  routed({
    type: "branch",
    // What `choose` returns is one of its routes with that route's message, which the compiler cannot pair up.
    run: (input: In): Effect.Effect<any> =>
      Effect.tap(
        Effect.sync(() => choose(input)),
        (chosen) => decided({ route: chosen.route, strategy: "code" })
      )
  })

/** A router with the ways out `pass` and `fail`. A type guard narrows what passes. */
export const gate: {
  <In, Passed extends In>(
    guard: (input: In) => input is Passed
  ): Router<In, { readonly pass: Passed; readonly fail: In }>
  <In>(predicate: (input: In) => boolean): Router<In, { readonly pass: In; readonly fail: In }>
} = <In>(predicate: (input: In) => boolean): Router<In, { readonly pass: In; readonly fail: In }> =>
  routed({
    type: "gate",
    run: (input: In) =>
      Effect.tap(
        Effect.sync(() => to(predicate(input) ? "pass" : "fail", input)),
        (chosen) => decided({ route: chosen.route, routes: passOrFail, strategy: "code" })
      )
  })

const passOrFail = ["pass", "fail"]

/**
 * Runs nodes side by side on one message and gives a record of their outputs. All start at once; the first failure
 * interrupts the others. Nodes without a common input do not compile.
 */
export const parallel = <const Nodes extends Record<string, Any>>(
  nodes: Nodes & ([CommonInput<Nodes>] extends [never] ? "these nodes accept no common input" : unknown)
): Node<
  CommonInput<Nodes>,
  { readonly [K in keyof Nodes]: Output<Nodes[K]> },
  Error<Nodes[keyof Nodes]>,
  Services<Nodes[keyof Nodes]>
> => {
  assertNodes("Node.parallel", nodes)
  const entries = Object.entries<Any>(nodes)
  return node({
    type: "parallel",
    needs: Preflight.inside(nodes),
    run: (input: CommonInput<Nodes>) =>
      Effect.all(
        Object.fromEntries(entries.map(([key, inner]) => [key, Visit.visitInner(inner, key, input as never)])),
        {
          concurrency: "unbounded"
        }
      ) as Effect.Effect<
        { readonly [K in keyof Nodes]: Output<Nodes[K]> },
        Error<Nodes[keyof Nodes]>,
        Services<Nodes[keyof Nodes]>
      > // The record was taken apart and put together again, which the compiler cannot follow.
  })
}

/**
 * Runs nodes against each other on one message: the first success wins and the others are interrupted. Fails with
 * `RaceFailed` when all failed. Routers are refused: the ways out of the losers would be lost.
 */
export const race = <const Nodes extends Record<string, Any>>(
  nodes: Nodes & { readonly [K in keyof Nodes]: RefuseRouter<Nodes[K]> } & ([CommonInput<Nodes>] extends [never]
      ? "these nodes accept no common input"
      : unknown)
): Node<CommonInput<Nodes>, Output<Nodes[keyof Nodes]>, RaceFailed, Services<Nodes[keyof Nodes]>> => {
  assertNodes("Node.race", nodes, "refused")
  const entries = Object.entries<Any>(nodes)
  return node({
    type: "race",
    needs: Preflight.replaceable(Preflight.inside(nodes)),
    run: (input: CommonInput<Nodes>) =>
      Effect.raceAll(entries.map(([key, inner]) => Visit.visitInner(inner, key, input as never))).pipe(
        Effect.catchCause((cause) =>
          cause.reasons.every(Cause.isFailReason)
            ? Effect.flatMap(currentId("race"), (id) =>
                Effect.fail(
                  new RaceFailed({
                    node: id,
                    errors: cause.reasons.filter(Cause.isFailReason).map((reason) => reason.error)
                  })
                )
              )
            : // A defect is none of the failures that this node reports.
              Effect.failCause(cause as Cause.Cause<never>)
        )
      ) as Effect.Effect<Output<Nodes[keyof Nodes]>, RaceFailed, Services<Nodes[keyof Nodes]>>
  })
}

/** Runs a node for every item of a list, one after the other unless `concurrency` says otherwise, in order. */
export const forEach: {
  (options?: {
    readonly concurrency?: number | "unbounded" | undefined
  }): <In, Out, E, R>(self: Node<In, Out, E, R>) => Node<ReadonlyArray<In>, ReadonlyArray<Out>, E, R>
  <In, Out, E, R>(
    self: Node<In, Out, E, R>,
    options?: { readonly concurrency?: number | "unbounded" | undefined }
  ): Node<ReadonlyArray<In>, ReadonlyArray<Out>, E, R>
} = dual(
  (args) => isNode(args[0]),
  <In, Out, E, R>(
    self: Node<In, Out, E, R>,
    options?: { readonly concurrency?: number | "unbounded" | undefined }
  ): Node<ReadonlyArray<In>, ReadonlyArray<Out>, E, R> => {
    const concurrency = options?.concurrency ?? 1
    if (concurrency !== "unbounded" && !(Number.isInteger(concurrency) && concurrency >= 1)) {
      throw new RangeError(`Node.forEach: concurrency must be an integer >= 1 or "unbounded", got ${concurrency}`)
    }
    return node({
      type: "forEach",
      needs: Preflight.of(self),
      run: (items: ReadonlyArray<In>) =>
        Effect.forEach(items, (item, index) => Visit.visitInner(self, String(index), item), { concurrency })
    })
  }
)

// ---------------------------------------------------------------------------------------------------------------------
// Combinators
// ---------------------------------------------------------------------------------------------------------------------

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

// Turns a router into a type that no router has, so that it does not compile where a plain node is asked for.
type RefuseRouter<N> = N extends { readonly "~tinyllm/Router": unknown } ? "a router is not allowed here" : unknown
