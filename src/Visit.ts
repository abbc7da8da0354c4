/**
 * One visit of a node: its span, its step, and what those who listen to a run hear of it.
 *
 * Nodes that contain others (parallel, race, forEach) visit them by the same function as a graph does, so every visit
 * looks the same wherever it happens.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"
import * as Span from "./Span.ts"

/** What a run tells those who listen to it. */
export type Event =
  | (Where & { readonly _tag: "NodeStarted" })
  /** Another attempt follows: the text of the one that failed is void. Attempts count from 1; this one is the next. */
  | (Where & { readonly _tag: "NodeRetried"; readonly attempt: number })
  | (Where & { readonly _tag: "NodeEnded"; readonly outcome: "success" | "failure" | "interrupted" })
  /** Text of a model, as it comes. */
  | (Where & { readonly _tag: "Text"; readonly text: string })

/** The visit that an event is about. */
export interface Where {
  /** The step's name; inside a container or a sub-graph, the names on the way to it joined by dots. */
  readonly node: string
  readonly type: string
  readonly step: number
}

/** One execution of a graph, as its nodes see it. */
export interface Run {
  readonly executionId: string
  /** Visits begun. The last one given out is the number of steps so far. */
  steps: number
  /** Visits that succeeded or failed, those of sub-graphs included; an interrupted visit is none. */
  finished: number
  readonly parent: Run | undefined
  /** Hears what happens, in order; `undefined` when nobody listens. */
  readonly listen: ((event: Event) => Effect.Effect<void>) | undefined
}

/** Where in which run a node is. */
export interface Visit {
  readonly run: Run
  readonly id: string
  readonly type: string
  readonly step: number
  /** The ways out that the graph knows for this node, for nodes that do not know them themselves. */
  readonly routes: ReadonlyArray<string>
}

/** The visit in progress; `undefined` where a node runs outside of a graph. */
export const Current: Context.Reference<Visit | undefined> = Context.Reference("tinyllm/Visit/Current", {
  defaultValue: (): Visit | undefined => undefined
})

const noRoutes: ReadonlyArray<string> = []

// A name that is put together anew for each span would be looked at letter by letter, again and again.
const spanNames = new Map<string, string>()

const spanName = (type: string): string => {
  const known = spanNames.get(type)
  if (known !== undefined) {
    return known
  }
  const name = `node.${type}`
  spanNames.set(type, name)
  return name
}

/** Runs a node as one visit: a span `node.<type>` below the current one, and one step of the run in progress. */
export const visit = <In, Out, E, R>(
  node: { readonly type: string; readonly run: (input: In) => Effect.Effect<Out, E, R> },
  id: string,
  input: In,
  run: Run | undefined,
  routes: ReadonlyArray<string> = noRoutes
): Effect.Effect<Out, E, R> =>
  Effect.withFiber((fiber) => {
    const step = run === undefined ? undefined : ++run.steps
    const work = Effect.suspend(() => node.run(input))
    const visit: Visit | undefined =
      run === undefined || step === undefined ? undefined : { run, id, type: node.type, step, routes }
    const within = Span.isWanted(fiber)
      ? spanned(work, spanName(node.type), Span.node(id, node.type, step), visit)
      : visit === undefined
        ? work
        : Effect.provideService(work, Current, visit)
    if (visit === undefined) {
      return within
    }
    const { run: current } = visit
    const counted = Effect.onExitPrimitive(within, (exit) => {
      const interrupted = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
      for (let finished: Run | undefined = interrupted ? undefined : current; finished !== undefined;) {
        finished.finished++
        finished = finished.parent
      }
      return current.listen?.({
        ...where(visit),
        _tag: "NodeEnded",
        outcome: interrupted ? "interrupted" : Exit.isSuccess(exit) ? "success" : "failure"
      })
    })
    return current.listen === undefined
      ? counted
      : Effect.andThen(current.listen({ ...where(visit), _tag: "NodeStarted" }), counted)
  })

// What `Effect.withSpan` does, with one change of the context in place of three: every one is a copy, and a look at all
// that is in it. Without a stack of its own, the span has no frame to add.
const spanned = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  name: string,
  attributes: Record<string, unknown>,
  visit: Visit | undefined
): Effect.Effect<A, E, R> =>
  Effect.useSpan(name, { attributes }, (span) =>
    Effect.updateContext(self, (context: Context.Context<R>) => {
      const inside = Context.add(context, Tracer.ParentSpan, span)
      return visit === undefined ? inside : Context.add(inside, Current, visit)
    })
  )

/** The visit as events name it. */
export const where = (visit: Visit): Where => ({ node: visit.id, type: visit.type, step: visit.step })

/** Tells those who listen a text of the node that is being visited. */
export const tell = (text: string): Effect.Effect<void> =>
  Effect.flatMap(Current, (visit) => visit?.run.listen?.({ ...where(visit), _tag: "Text", text }) ?? Effect.void)

/** Visits a node that is part of the one being visited; its id is the outer one's and `name`, joined by a dot. */
export const visitInner = <In, Out, E, R>(
  node: { readonly type: string; readonly run: (input: In) => Effect.Effect<Out, E, R> },
  name: string,
  input: In
): Effect.Effect<Out, E, R> =>
  Effect.flatMap(Current, (outer) => visit(node, outer === undefined ? name : `${outer.id}.${name}`, input, outer?.run))
