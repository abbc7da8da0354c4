/** Which rows there are, and where to look first: what the view of a trace works out from its tree. */
import type * as TraceRun from "../src/TraceRun.ts"
import * as TraceTree from "../src/TraceTree.ts"
import type { Span } from "./zoom.ts"

type TraceNode = TraceTree.TraceNode

export const nothing: ReadonlySet<string> = new Set()

export const without = (set: ReadonlySet<string>, gone: ReadonlyArray<string>): ReadonlySet<string> => {
  const left = new Set(set)
  for (const one of gone) {
    left.delete(one)
  }
  return left
}

export const ancestors = (at: TraceNode): ReadonlyArray<TraceNode> => {
  const all: Array<TraceNode> = []
  for (let next = at.parent; next !== undefined; next = next.parent) {
    all.push(next)
  }
  return all
}

/** Which one of those with the same parent a span is, from 1, and how many they are. */
export interface Place {
  readonly nth: number
  readonly of: number
}

/** The place of each span. */
export const placesOf = ({ nodes, roots }: TraceTree.TraceTree): ReadonlyMap<TraceNode, Place> =>
  new Map(
    [roots, ...nodes.map(({ children }) => children)].flatMap((all) =>
      all.map((at, index) => [at, { nth: index + 1, of: all.length }] as const)
    )
  )

/** The row in which a span is hidden, where something above it is collapsed. */
export const hiding = (at: TraceNode, collapsed: ReadonlySet<string>): TraceNode | undefined =>
  ancestors(at).findLast(({ span }) => collapsed.has(span.spanId))

/** The spans that are not below a collapsed one. */
export const rowsOf = ({ nodes }: TraceTree.TraceTree, collapsed: ReadonlySet<string>): ReadonlyArray<TraceNode> => {
  if (collapsed.size === 0) {
    return nodes
  }
  const rows: Array<TraceNode> = []
  for (let index = 0; index < nodes.length; index++) {
    const at = nodes[index]!
    rows.push(at)
    if (collapsed.has(at.span.spanId)) {
      index += at.descendants
    }
  }
  return rows
}

/** Where the error arose that a failed trace ended with, or else the first one in it. */
export const firstFailure = ({ nodes, roots }: TraceTree.TraceTree): TraceNode | undefined => {
  const failed = (at: TraceNode) => TraceTree.outcome(at.span) === "error"
  let found = roots.find(failed)
  for (let next = found; next !== undefined; next = next.children.findLast(failed)) {
    found = next
  }
  return found ?? nodes.find((at) => failed(at))
}

/** The visits that a span is in. */
export const stepsAt = (at: TraceNode | undefined, facts: TraceRun.Facts): ReadonlySet<TraceRun.Step> => {
  const steps = new Set<TraceRun.Step>()
  for (let next = at; next !== undefined; next = next.parent) {
    const step = facts.steps.get(next)
    if (step !== undefined) {
      steps.add(step)
    }
  }
  return steps
}

export const middleOf = (at: TraceNode | undefined, { from, to }: Span): number => {
  const middle = at === undefined ? Number.NaN : at.offsetNanos + at.durationNanos / 2
  return middle >= from && middle <= to ? middle : (from + to) / 2
}
