/**
 * Graphs: one message passed from step to step.
 *
 * A graph is a record of nodes, a start and a record of edges. An edge leads to a step that accepts the message, or to
 * `"end"`; the type of a graph says what it takes, what it gives, how it can fail and which services it needs. Edges
 * are data: a graph can be drawn and checked without being run. Every run is one trace.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Pipeable, Prototype } from "effect/Pipeable"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as GraphDrawing from "./GraphDrawing.ts"
import * as LogLine from "./LogLine.ts"
import * as NodeType from "./NodeType.ts"
import * as Preflight from "./Preflight.ts"
import * as Span from "./Span.ts"
import * as Usage from "./Usage.ts"
import * as Visit from "./Visit.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Types
// ---------------------------------------------------------------------------------------------------------------------

/** A graph that takes an `In`, gives an `Out`, may fail with an `E`, and needs the services `R`. */
export interface Graph<in In, out Out, out E = never, out R = never> extends Pipeable {
  readonly id: string
  readonly nodes: Readonly<Record<string, NodeType.Any>>
  readonly start: string
  /** Where each step leads: a step or `"end"`; for a router, one of them for every way out. */
  readonly edges: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly maxSteps: number
  readonly "~tinyllm/Graph": (input: In) => Effect.Effect<Out, E, R>
}

export type Any = Graph<never, unknown, any, any>

type NodesRecord = Record<string, NodeType.Any>

/** The steps that accept a message, and the end. */
export type Target<Nodes, Message> =
  | { [K in keyof Nodes]: [Message] extends [NodeType.Input<Nodes[K]>] ? K : never }[keyof Nodes]
  | "end" extends infer Name // `infer` makes editors show the names
  ? Name
  : never

/** The edges that a record of nodes needs: one for every step, and for a router one for every way out. */
export type Edges<Nodes> = {
  readonly [K in keyof Nodes]: Nodes[K] extends NodeType.Router<never, infer Routes, any, any>
    ? { readonly [Route in keyof Routes & string]: Target<Nodes, Routes[Route]> }
    : Target<Nodes, NodeType.Output<Nodes[K]>>
}

// Edges for steps and ways out that do not exist have no type.
type NoExcess<Nodes, E> = {
  readonly [K in keyof E]: K extends keyof Nodes
    ? Nodes[K] extends NodeType.Router<never, infer Routes, any, any>
      ? { readonly [Route in keyof E[K]]: Route extends keyof Routes ? E[K][Route] : never }
      : E[K]
    : never
}

/** What a graph gives: the messages on the edges that lead to the end. */
export type Result<Nodes, E> = {
  [K in keyof Nodes & keyof E]: Nodes[K] extends NodeType.Router<never, infer Routes, any, any>
    ? { [Route in keyof Routes & keyof E[K]]: "end" extends E[K][Route] ? Routes[Route] : never }[keyof Routes &
        keyof E[K]]
    : "end" extends E[K]
      ? NodeType.Output<Nodes[K]>
      : never
}[keyof Nodes & keyof E]

/** A run that came to its end. */
export interface Execution<out Out> {
  readonly output: Out
  /** The run's own id, also in the attribute `execution.trace_id`; it is not the trace id. */
  readonly executionId: string
  /** The trace in which the run is, 32 hexadecimal digits; `undefined` when tracing is off. */
  readonly traceId: string | undefined
  /** Visits that succeeded or failed, inner ones and those of sub-graphs included. */
  readonly nodesExecuted: number
  readonly usage: Usage.Usage
  readonly duration: Duration.Duration
  /** The steps in the order in which they were visited, with the way out that was taken. */
  readonly path: ReadonlyArray<{ readonly node: string; readonly route: string | undefined }>
}

/** What happens in a run, as it happens. */
export type NodeEvent = Visit.Event

/** What happens in a run, as it happens. `Ended` is the last. */
export type Event<Out> = NodeEvent | { readonly _tag: "Ended"; readonly execution: Execution<Out> }

/** A run visited `maxSteps` steps and was not at the end. */
export class StepLimitExceeded extends Schema.TaggedError<StepLimitExceeded>()("StepLimitExceeded", {
  graph: Schema.String,
  maxSteps: Schema.Int
}) {
  override get message() {
    return (
      `The graph "${this.graph}" was not at its end after ${this.maxSteps} steps. ` +
      `Does a loop never leave? If it needs more steps, raise maxSteps.`
    )
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Making graphs
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes a graph. Throws a `RangeError` that names the culprit when a step cannot be reached from the start, when
 * `maxSteps` is no integer above 0, and, from code without types, when an edge leads nowhere or is missing.
 */
export const make = <Nodes extends NodesRecord, const Start extends keyof Nodes & string, const E extends Edges<Nodes>>(
  id: string,
  options: {
    readonly nodes: Nodes & { readonly end?: never }
    readonly start: Start
    readonly edges: E & Edges<Nodes> & NoExcess<Nodes, E>
    /** Steps at most, 100 by default. Steps of the graph count, not the visits inside of a step. */
    readonly maxSteps?: number | undefined
  }
): Graph<
  NodeType.CommonInput<Pick<Nodes, Start>>,
  Result<Nodes, E>,
  NodeType.Error<Nodes[keyof Nodes]> | StepLimitExceeded,
  NodeType.Services<Nodes[keyof Nodes]>
> => {
  const graph: Any = Object.assign(Object.create(Prototype), {
    id,
    nodes: options.nodes,
    start: options.start,
    edges: options.edges,
    maxSteps: options.maxSteps ?? 100
  })
  check(graph)
  Preflight.attach(graph, Preflight.inside(graph.nodes))
  return Object.assign(graph, {
    "~tinyllm/Graph": (input: never) => Effect.map(run(graph, input), (e) => e.output)
  }) as never
}

const check = (graph: Any): void => {
  const problem = (text: string) => new RangeError(`Graph.make("${graph.id}"): ${text}`)
  if (graph.id === "" || typeof graph.id !== "string") {
    throw problem("the id is empty")
  }
  if (!Number.isSafeInteger(graph.maxSteps) || graph.maxSteps < 1) {
    throw problem(`maxSteps must be an integer >= 1, got ${graph.maxSteps}`)
  }
  NodeType.assertNodes(`Graph.make("${graph.id}")`, graph.nodes)
  if ("end" in graph.nodes) {
    throw problem(`no step may be called "end", which is where runs end`)
  }
  const isStep = (name: string) => Object.hasOwn(graph.nodes, name)
  if (!isStep(graph.start)) {
    throw problem(`the start "${graph.start}" is no step`)
  }
  for (const name of Object.keys(graph.edges ?? {})) {
    if (!isStep(name)) {
      throw problem(`there are edges for "${name}", which is no step`)
    }
  }
  for (const name of Object.keys(graph.nodes)) {
    const edge = graph.edges?.[name]
    if (edge === undefined || edge === null) {
      throw problem(`the step "${name}" has no edge`)
    }
    if (typeof edge !== "string" && typeof edge !== "object") {
      throw problem(`the edge of "${name}" must be a target or a record of targets, got ${typeof edge}`)
    }
    if (NodeType.isRouter(graph.nodes[name]) !== (typeof edge === "object")) {
      throw problem(
        `the edge of "${name}" must be ${typeof edge === "object" ? "one target" : "a record of its ways out"}`
      )
    }
    for (const target of targets(edge)) {
      if (target !== "end" && !isStep(target)) {
        throw problem(`an edge of "${name}" leads to "${target}", which is no step`)
      }
    }
  }
  const reached = new Set([graph.start])
  for (const name of reached) {
    for (const target of targets(graph.edges[name]!)) {
      if (target !== "end") {
        reached.add(target)
      }
    }
  }
  for (const name of Object.keys(graph.nodes)) {
    if (!reached.has(name)) {
      throw problem(`the step "${name}" cannot be reached from "${graph.start}"`)
    }
  }
}

// The targets of an edge, one for every way out.
const targets = (edge: string | Readonly<Record<string, string>>): ReadonlyArray<string> =>
  typeof edge === "string" ? [edge] : Object.values(edge)

// ---------------------------------------------------------------------------------------------------------------------
// Running graphs
// ---------------------------------------------------------------------------------------------------------------------

export { Enabled as Preflight } from "./Preflight.ts"

/** A graph of one node, which may be of any type: a way to run a node by itself, traced. Routers are refused. */
export const single = <In, Out, E, R>(
  id: string,
  node: NodeType.Node<In, Out, E, R> & { readonly "~tinyllm/Router"?: never }
): Graph<In, Out, E, R> => make(id, { nodes: { node }, start: "node", edges: { node: "end" } } as never) as never

/**
 * Runs a graph on a message, as one span `graph.execute` below the current one, or as the root of a new trace.
 * Interrupting it interrupts every node.
 *
 * Before the first node is visited, each model of the graph is asked once what it can do, and the run fails where one is
 * not made for what a node needs of it, see `Preflight`.
 */
export const run = <In, Out, E, R>(graph: Graph<In, Out, E, R>, input: In): Effect.Effect<Execution<Out>, E, R> =>
  execute(graph, input, undefined)

/**
 * Runs a graph and tells a listener what happens, in order: nodes that start and end, and text as models write it. The
 * run waits for the listener, also the time-out of a node and the interruption of a run, so it should be quick.
 */
export const listen = <In, Out, E, R>(
  graph: Graph<In, Out, E, R>,
  input: In,
  listener: (event: NodeEvent) => Effect.Effect<void>
): Effect.Effect<Execution<Out>, E, R> => execute(graph, input, listener)

/**
 * Runs a graph as a stream of what happens, the execution last. Fails as the run fails. Ending the stream early
 * interrupts the run. A slow reader slows the run down, and nothing is lost.
 */
export const stream = <In, Out, E, R>(graph: Graph<In, Out, E, R>, input: In): Stream.Stream<Event<Out>, E, R> =>
  Stream.unwrap(
    Effect.uninterruptible(
      Effect.gen(function* () {
        const queue = yield* Queue.make<Event<Out>, E | Cause.Done>({ capacity: 64 })
        yield* listen(graph, input, (event) => Effect.asVoid(Queue.offer(queue, event))).pipe(
          Effect.flatMap((execution) => Queue.offer(queue, { _tag: "Ended", execution })),
          Effect.andThen(Queue.end(queue)),
          Effect.catchCause((cause) => Queue.failCause(queue, cause)),
          Effect.interruptible,
          Effect.forkScoped
        )
        // Added last, so it comes first: a visit that ends tells so even when interrupted, and waits for room here.
        yield* Effect.addFinalizer(() => Queue.shutdown(queue))
        return Stream.fromQueue(queue)
      })
    )
  )

/** A graph as one step of another: a node of type `subgraph`. Its visits and tokens count for the outer run too. */
export const toNode = <In, Out, E, R>(graph: Graph<In, Out, E, R>): NodeType.Node<In, Out, E, R> =>
  NodeType.node({ type: "subgraph", run: graph["~tinyllm/Graph"], needs: Preflight.of(graph) })

const execute = <In, Out, E, R>(
  graph: Graph<In, Out, E, R>,
  input: In,
  listener: Visit.Run["listen"]
): Effect.Effect<Execution<Out>, E, R> =>
  Effect.withFiber((fiber) => {
    const outer = fiber.getRef(Visit.Current)
    const clock = fiber.getRef(Clock.Clock)
    const executionId = globalThis.crypto.randomUUID()
    const state: Visit.Run = {
      executionId,
      steps: 0,
      finished: 0,
      parent: outer?.run,
      listen: listener ?? inherited(outer)
    }
    const usage = Usage.makeCounter(fiber.getRef(Usage.Current))
    const path: Array<{ readonly node: string; readonly route: string | undefined }> = []
    const started = clock.monotonicTimeNanosUnsafe()
    const duration = () => Duration.nanos(clock.monotonicTimeNanosUnsafe() - started)

    const needs = Preflight.of(graph)
    const visits = walk(graph, input, state, path)
    const checked = needs.length === 0 ? visits : Effect.andThen(Preflight.run(needs, state), visits)
    const steps = Effect.zipWith(checked, Span.traceId, (output, traceId): Execution<Out> => ({
      // The edges are typed, so that what leaves by an edge to the end is an `Out`.
      output: output as Out,
      executionId,
      traceId,
      nodesExecuted: state.finished,
      usage: usage.total(),
      duration: duration(),
      path
    }))
    const end = () =>
      Span.graphEnd({
        nodesExecuted: state.finished,
        tokensUsed: usage.bothKnown(),
        durationMillis: Duration.toMillis(duration())
      })
    return Span.describe(() =>
      Span.graphStart({ id: graph.id, executionId, task: input, taskContent: fiber.getRef(Span.TaskContent) })
    ).pipe(
      Effect.andThen(LogLine.isOn(fiber, "Debug") ? LogLine.around(steps, graph.id, end) : steps),
      Effect.onExit(() => Span.describe(end)),
      Effect.provideService(Usage.Current, usage),
      Effect.annotateLogs("execution_id", executionId),
      (work) => Span.within(work, "graph.execute")
    ) as Effect.Effect<Execution<Out>, E, R>
  })

// A sub-graph tells its listeners through the outer run, under the name of the step that it is there.
const inherited = (outer: Visit.Visit | undefined): Visit.Run["listen"] => {
  const listen = outer?.run.listen
  return outer === undefined || listen === undefined
    ? undefined
    : (event) => listen({ ...event, node: `${outer.id}.${event.node}` })
}

const walk = Effect.fnUntraced(function* (
  graph: Any,
  input: unknown,
  state: Visit.Run,
  path: Array<{ readonly node: string; readonly route: string | undefined }>
) {
  let name = graph.start
  let message = input
  for (let step = 0; step < graph.maxSteps; step++) {
    const edge = graph.edges[name]!
    const node = graph.nodes[name]!
    const routes = typeof edge === "string" ? undefined : Object.keys(edge)
    const output: unknown = yield* Visit.visit(node, name, message as never, state, routes)
    if (typeof edge === "string") {
      path.push({ node: name, route: undefined })
      name = edge
      message = output
    } else {
      const taken = output as NodeType.Routed<string, unknown>
      const target = Object.hasOwn(edge, taken.route) ? edge[taken.route] : undefined
      if (target === undefined) {
        // Code without types gets here, and code that casts.
        throw new RangeError(`The router "${name}" of graph "${graph.id}" chose "${taken.route}", which has no edge`)
      }
      path.push({ node: name, route: taken.route })
      name = target
      message = taken.message
    }
    if (name === "end") {
      return message
    }
  }
  return yield* new StepLimitExceeded({ graph: graph.id, maxSteps: graph.maxSteps })
})

// ---------------------------------------------------------------------------------------------------------------------
// Drawing graphs
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The graph as a Mermaid flowchart, to paste into Markdown. The steps and edges of an execution given as `visited` are
 * drawn bold, with how often each was taken when that was more than once.
 */
export const toMermaid = (
  graph: Any,
  options?: { readonly visited?: Execution<unknown> | undefined } | undefined
): string => GraphDrawing.toMermaid(graph, options?.visited?.path ?? [])
