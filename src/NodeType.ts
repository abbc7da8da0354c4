/**
 * What a node is, and how one is made: the base that `Node.ts` and `ModelNode.ts` build on.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Pipeable, Prototype } from "effect/Pipeable"
import * as Preflight from "./Preflight.ts"
import * as Span from "./Span.ts"
import * as Visit from "./Visit.ts"

/** A step: takes an `In`, gives an `Out`, may fail with an `E`, and needs the services `R`. */
export interface Node<in In, out Out, out E = never, out R = never> extends Pipeable {
  /** Names the span of every visit: `node.<type>`. A kind of node, never an id. */
  readonly type: string
  readonly run: (input: In) => Effect.Effect<Out, E, R>
}

/** A message on its way out: which way, and what. */
export interface Routed<out Route extends string, out Message> {
  readonly route: Route
  readonly message: Message
}

export type RoutedOf<Routes> = { [K in keyof Routes & string]: Routed<K, Routes[K]> }[keyof Routes & string]

/** A node with several ways out, each with its own type of message. */
export interface Router<
  in In,
  in out Routes extends Record<string, unknown>,
  out E = never,
  out R = never
> extends Node<In, RoutedOf<Routes>, E, R> {
  readonly "~tinyllm/Router": (_: Routes) => Routes
}

// `any` in the error and services only: what a constraint accepts must be every node there is.
export type Any = Node<never, unknown, any, any>

export type Input<N> = N extends Node<infer In, any, any, any> ? In : never
export type Output<N> = N extends Node<never, infer Out, any, any> ? Out : never
export type Error<N> = N extends Node<never, any, infer E, any> ? E : never
export type Services<N> = N extends Node<never, any, any, infer R> ? R : never

// The same kind of node with other errors and services: a router stays a router.
export type MapNode<N, E, R> =
  N extends Router<infer In, infer Routes, any, any>
    ? Router<In, Routes, E, R>
    : N extends Node<infer In, infer Out, any, any>
      ? Node<In, Out, E, R>
      : never

/** What every one of these nodes accepts; `never` when there is no such message. */
export type CommonInput<Nodes extends Record<string, Any>> = {
  [K in keyof Nodes]: (input: Input<Nodes[K]>) => void
}[keyof Nodes] extends (input: infer In) => void
  ? In
  : never

// Turns routes that are any text at all into a type that no routes have: their edges could not be checked.
export type KnownRoutes<Route> = string extends Route ? "the routes must be literals, not any string" : unknown

// ---------------------------------------------------------------------------------------------------------------------
// Making nodes
// ---------------------------------------------------------------------------------------------------------------------

const NodeId = "~tinyllm/Node"

/** Whether a value is a node. */
export const isNode = (value: unknown): value is Any => typeof value === "object" && value !== null && NodeId in value

/** Whether a node has several ways out. */
export const isRouter = (value: unknown): value is Router<never, Record<string, unknown>, any, any> =>
  isNode(value) && "~tinyllm/Router" in value

/** Throws a `RangeError` that begins with `what` for a value that is no node, which code without types may hand over. */
export const assertNode = (what: string, value: unknown): void => {
  const is =
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    typeof value.type === "string" &&
    "run" in value &&
    typeof value.run === "function"
  if (!is) {
    const got = value === null ? "null" : Array.isArray(value) ? "an array" : typeof value
    throw new RangeError(`${what} must be a node, got ${got}`)
  }
}

/** As `assertNode`, for nodes by name: at least one. Where routers are refused, their ways out would be lost. */
export const assertNodes = (what: string, nodes: unknown, routers: "allowed" | "refused" = "allowed"): void => {
  const entries = typeof nodes === "object" && nodes !== null ? Object.entries(nodes) : []
  if (entries.length === 0) {
    throw new RangeError(`${what}: there must be at least one node`)
  }
  for (const [name, value] of entries) {
    assertNode(`${what}: ${JSON.stringify(name)}`, value)
    if (routers === "refused") {
      assertNoRouter(`${what}: ${JSON.stringify(name)}`, value)
    }
  }
}

/** Throws a `RangeError` that begins with `what` for a router where its ways out would be lost. */
export const assertNoRouter = (what: string, value: unknown): void => {
  if (isRouter(value)) {
    throw new RangeError(`${what} must be no router: its ways out would be lost`)
  }
}

/**
 * A duration in milliseconds; throws a `RangeError` that begins with `what` where it is none. Effect takes NaN and less
 * than nothing for 0, and a node that never has time fails far from where that was written.
 */
export const millisOf = (what: string, input: Duration.Input): number => {
  const duration = Option.getOrUndefined(Duration.fromInput(input))
  const millis = duration === undefined || Number.isNaN(input) ? Number.NaN : Duration.toMillis(duration)
  if (!(millis >= 0)) {
    const got = typeof input === "string" ? JSON.stringify(input) : String(input)
    throw new RangeError(`${what} must be a time of 0 or more, got ${got}`)
  }
  return millis
}

const Proto = { ...Prototype, [NodeId]: NodeId }

/** Makes a node. */
export const node = <In, Out, E, R>(fields: {
  readonly type: string
  readonly run: (input: In) => Effect.Effect<Out, E, R>
  readonly needs?: ReadonlyArray<Preflight.Need> | undefined
}): Node<In, Out, E, R> => made(fields)

/** Makes a node with several ways out. */
export const routed = <In, Routes extends Record<string, unknown>, E, R>(fields: {
  readonly type: string
  readonly run: (input: In) => Effect.Effect<RoutedOf<Routes>, E, R>
  readonly needs?: ReadonlyArray<Preflight.Need> | undefined
}): Router<In, Routes, E, R> => Object.assign(made(fields), { "~tinyllm/Router": (_: Routes) => _ }) as never

const made = ({ needs = [], ...fields }: { readonly needs?: ReadonlyArray<Preflight.Need> | undefined }) =>
  Preflight.attach(Object.assign(Object.create(Proto), fields), needs)

/** Gives a node another way to run. What kind of node it is stays, so a router stays a router, and what it needs. */
export const withRun = <N extends Any, E, R>(
  self: N,
  run: (input: never) => Effect.Effect<unknown, E, R>
): MapNode<N, E, R> => Object.assign(Object.create(Proto), self, { run })

/** The name of the node being visited, for errors; a node that runs outside of a graph has only its type. */
export const currentId = (type: string): Effect.Effect<string> =>
  Effect.map(Visit.Current, (visit) => visit?.id ?? type)

/** Records which way a router took. Ways out that the node does not know itself are those of its graph. */
export const decided = (options: {
  readonly route: string
  readonly routes?: ReadonlyArray<string> | undefined
  readonly strategy: "model" | "code"
  readonly answerLength?: number | undefined
  readonly fallback?: boolean | undefined
}): Effect.Effect<void> =>
  Effect.withFiber((fiber) =>
    Span.routerDecision({
      route: options.route,
      candidates: options.routes ?? fiber.getRef(Visit.Current)?.routes ?? [],
      strategy: options.strategy,
      answerLength: options.answerLength,
      fallback: options.fallback ?? false
    })
  )

/** Turns a router into a type that no router has, so that it does not compile where a plain node is asked for. */
export type RefuseRouter<N> = N extends { readonly "~tinyllm/Router": unknown }
  ? "a router is not allowed here"
  : unknown
