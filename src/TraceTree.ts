/**
 * The spans of one trace as a tree, with the time that each span spent by itself.
 *
 * A trace need not be whole: a parent may not have arrived yet, a clock may be wrong, and a program may say nonsense about
 * its parents. Every span is in the tree once, whatever they say. Knows neither Effect nor Node, so that a page in a
 * browser can use it; takes a time in proportion to the number of spans, and no stack however deep they are.
 *
 * @since 0.1.0
 */
import type { StoredSpan, Value } from "./StoredSpan.ts"

/** A span in its place. */
export interface TraceNode {
  readonly span: StoredSpan
  /** Its place among all spans of the trace, as they are drawn from top to bottom, from 0. */
  readonly index: number
  /** `undefined` for a root. */
  readonly parent: TraceNode | undefined
  /** In order of their starts. */
  readonly children: ReadonlyArray<TraceNode>
  /** Spans above it. */
  readonly depth: number
  /** Spans below it, at any depth. They follow it in `TraceTree.nodes`. */
  readonly descendants: number
  /** Nanoseconds from the start of the trace to its own. */
  readonly offsetNanos: number
  /** Nanoseconds from start to end; 0 where it ends before it starts. Exact up to 104 days. */
  readonly durationNanos: number
  /** Nanoseconds of it in which none of its children ran. */
  readonly selfNanos: number
  /** Why it is a root although it names a parent: that is not among the spans, or is below it. */
  readonly severed: "missing" | "cycle" | undefined
  /** Whether it ends before it starts, as where a clock was set back. */
  readonly backwards: boolean
}

/** A trace. */
export interface TraceTree {
  /** 32 hexadecimal digits; empty where there are no spans. */
  readonly traceId: string
  /** In order of their starts. */
  readonly roots: ReadonlyArray<TraceNode>
  /** All spans as they are drawn from top to bottom: each is followed by those below it. */
  readonly nodes: ReadonlyArray<TraceNode>
  readonly bySpanId: ReadonlyMap<string, TraceNode>
  /** The earliest start, in nanoseconds since 1970. */
  readonly startNanos: bigint
  /** The latest end, in nanoseconds since 1970. */
  readonly endNanos: bigint
  /** Nanoseconds from the earliest start to the latest end. */
  readonly durationNanos: number
  /** Parents that spans name and that are not among them. */
  readonly missingParents: ReadonlyArray<string>
  /** Spans that are not in the tree, because another one of the same id is. */
  readonly duplicates: number
}

interface Building {
  span: StoredSpan
  index: number
  parent: Building | undefined
  children: Array<Building>
  depth: number
  descendants: number
  offsetNanos: number
  durationNanos: number
  selfNanos: number
  severed: TraceNode["severed"]
  backwards: boolean
}

/** The tree of the spans of one trace, in any order. */
export const make = (spans: ReadonlyArray<StoredSpan>): TraceTree => {
  const { byId, duplicates } = distinct(spans)
  const all = Array.from(byId.values()).toSorted(byStart)
  const missing = new Set<string>()
  const starting: Array<Building> = []
  for (const node of all) {
    const parentId = node.span.parentSpanId
    const parent = parentId === undefined ? undefined : byId.get(parentId)
    if (parent !== undefined && parent !== node) {
      node.parent = parent
      parent.children.push(node)
    } else {
      if (parent === node) {
        node.severed = "cycle"
      } else if (parentId !== undefined) {
        node.severed = "missing"
        missing.add(parentId)
      }
      starting.push(node)
    }
  }
  const reached = new Set<Building>()
  const reach = (root: Building): void => {
    const left = [root]
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      reached.add(next)
      for (const child of next.children) {
        left.push(child)
      }
    }
  }
  for (const root of starting) {
    reach(root)
  }
  for (const node of all) {
    if (!reached.has(node)) {
      const root = earliestOfCycle(node)
      sever(root)
      starting.push(root)
      reach(root)
    }
  }
  const roots = starting.toSorted(byStart)
  return finish({ all, roots, byId, missing, duplicates })
}

/** The spans by their ids. Of those that share one, the one that ends last says most. */
const distinct = (spans: ReadonlyArray<StoredSpan>) => {
  const byId = new Map<string, Building>()
  let duplicates = 0
  for (const span of spans) {
    const other = byId.get(span.spanId)
    if (other === undefined) {
      const nanos = Number(span.endNanos - span.startNanos)
      byId.set(span.spanId, {
        span,
        index: 0,
        parent: undefined,
        children: [],
        depth: 0,
        descendants: 0,
        offsetNanos: 0,
        durationNanos: Math.max(0, nanos),
        selfNanos: 0,
        severed: undefined,
        backwards: nanos < 0
      })
    } else {
      duplicates++
      if (span.endNanos > other.span.endNanos) {
        const nanos = Number(span.endNanos - span.startNanos)
        other.span = span
        other.durationNanos = Math.max(0, nanos)
        other.backwards = nanos < 0
      }
    }
  }
  return { byId, duplicates }
}

// What starts at the same time is in the order of their ends, the longest first, as one that contains others would be.
const byStart = ({ span: a }: Building, { span: b }: Building): number =>
  a.startNanos < b.startNanos
    ? -1
    : a.startNanos > b.startNanos
      ? 1
      : a.endNanos > b.endNanos
        ? -1
        : a.endNanos < b.endNanos
          ? 1
          : 0

/** The earliest of the spans that are each other's parents, which this one is among or below. */
const earliestOfCycle = (node: Building): Building => {
  const seen = new Set<Building>()
  let within = node
  while (!seen.has(within)) {
    seen.add(within)
    within = within.parent!
  }
  let earliest = within
  for (let next = within.parent!; next !== within; next = next.parent!) {
    if (byStart(next, earliest) < 0) {
      earliest = next
    }
  }
  return earliest
}

const sever = (node: Building): void => {
  const parent = node.parent!
  parent.children.splice(parent.children.indexOf(node), 1)
  node.parent = undefined
  node.severed = "cycle"
}

const finish = (building: {
  readonly all: ReadonlyArray<Building>
  readonly roots: ReadonlyArray<Building>
  readonly byId: ReadonlyMap<string, Building>
  readonly missing: ReadonlySet<string>
  readonly duplicates: number
}): TraceTree => {
  const { all, byId, duplicates, missing, roots } = building
  const startNanos = all[0]?.span.startNanos ?? 0n
  let endNanos = startNanos
  for (const { span } of all) {
    endNanos = span.endNanos > endNanos ? span.endNanos : span.startNanos > endNanos ? span.startNanos : endNanos
  }
  const nodes: Array<Building> = []
  const left = roots.toReversed()
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    node.index = nodes.length
    node.depth = node.parent === undefined ? 0 : node.parent.depth + 1
    node.offsetNanos = Number(node.span.startNanos - startNanos)
    node.selfNanos = selfNanos(node)
    nodes.push(node)
    for (let child = node.children.length - 1; child >= 0; child--) {
      left.push(node.children[child]!)
    }
  }
  for (const node of nodes.toReversed()) {
    if (node.parent !== undefined) {
      node.parent.descendants += node.descendants + 1
    }
  }
  return {
    traceId: all[0]?.span.traceId ?? "",
    roots,
    nodes,
    bySpanId: byId,
    startNanos,
    endNanos,
    durationNanos: Number(endNanos - startNanos),
    missingParents: Array.from(missing),
    duplicates
  }
}

/** What its children leave of a span's time. They may overlap, and outlive it. */
const selfNanos = ({ children, durationNanos, span }: Building): number => {
  let covered = 0
  let until = 0
  for (const child of children) {
    const start = Math.max(until, Number(child.span.startNanos - span.startNanos))
    const end = Math.min(durationNanos, Number(child.span.endNanos - span.startNanos))
    if (end > start) {
      covered += end - start
      until = end
    }
  }
  return durationNanos - covered
}

// ---------------------------------------------------------------------------------------------------------------------
// What a span says
// ---------------------------------------------------------------------------------------------------------------------

/** How a span ended. */
export type Outcome = "ok" | "error" | "interrupted"

/** How a span ended. Effect says of a span that it was interrupted; other programs have no word for that. */
export const outcome = ({ attributes, status }: StoredSpan): Outcome =>
  status.code === "error" ? "error" : attributes["effect.fiber.interrupted"] === true ? "interrupted" : "ok"

/** An attribute that is text and not empty. */
export const text = (span: StoredSpan, key: string): string | undefined => asText(span.attributes[key])

/** An attribute that is a number, whatever its kind. */
export const number = (span: StoredSpan, key: string): number | undefined => asNumber(span.attributes[key])

export const asText = (value: Value | undefined): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

export const asNumber = (value: Value | undefined): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : typeof value === "bigint" ? Number(value) : undefined

/** Whether a number can be how many there are of something: any program may write anything into its spans. */
export const isCount = (value: number | undefined): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** An attribute that is a count. */
export const count = (span: StoredSpan, key: string): number | undefined => {
  const value = number(span, key)
  return isCount(value) ? value : undefined
}

/** An error that a span recorded. */
export interface SpanError {
  readonly type: string | undefined
  readonly message: string
  readonly stack: string | undefined
}

/**
 * The errors to show at a span. An error is shown where it arose: a failed span that recorded none, above no failed span,
 * says its status.
 */
export const errors = ({ children, span }: TraceNode): ReadonlyArray<SpanError> => {
  const recorded = span.events.flatMap(({ attributes, name }): ReadonlyArray<SpanError> => {
    const type = asText(attributes["exception.type"])
    const message = asText(attributes["exception.message"])
    return name === "exception"
      ? [{ type, message: message ?? "", stack: asText(attributes["exception.stacktrace"]) }]
      : []
  })
  return recorded.length > 0 ||
    span.status.code !== "error" ||
    children.some((child) => child.span.status.code === "error")
    ? recorded
    : [{ type: text(span, "error.type"), message: span.status.message, stack: undefined }]
}
