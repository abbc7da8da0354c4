/**
 * Nodes: the steps that graphs are made of.
 *
 * A node takes a message and gives one, or fails, and its type says which. Constructors make nodes of the usual kinds,
 * `make` one of your own; combinators change how a node runs and leave its kind as it is.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { dual } from "effect/Function"
import {
  type Any,
  assertNodes,
  type CommonInput,
  currentId,
  decided,
  type Error,
  isNode,
  type KnownRoutes,
  type Node,
  node,
  type Output,
  type RefuseRouter,
  type Routed,
  routed,
  type Router,
  type Services
} from "./NodeType.ts"
import * as Preflight from "./Preflight.ts"
import * as Span from "./Span.ts"
import * as Visit from "./Visit.ts"

export { agent, type AgentError, type AgentOptions, type AgentServices, RoundsExceeded } from "./AgentNode.ts"
export { type Capability, type ModelNeed, needs } from "./ModelNeeds.ts"
export { AnswerInvalid, model, object, router, RouteUnknown } from "./ModelNode.ts"
export { fallback, NodeTimeout, provide, retry, timeout } from "./NodeChanges.ts"
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
