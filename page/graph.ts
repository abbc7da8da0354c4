/**
 * The graph as it was run: a box for each node that was visited, with the ways that it did not take, and an arrow for each
 * way that was gone. What a container or a sub-graph did is drawn inside of its box.
 */
import { Graph, layout } from "@dagrejs/dagre"
import { none, plus, type Run, type Step, type Tokens } from "../src/TraceRun.ts"
import { duration, integer, total } from "./format.ts"

/** A node of the graph, with all of its visits. */
export interface Box {
  readonly kind: "node"
  readonly id: string
  readonly label: string
  readonly type: string
  readonly visits: ReadonlyArray<Step>
  /** Nanoseconds of all visits together. */
  readonly nanos: number
  readonly tokens: Tokens
  readonly failed: number
  readonly interrupted: number
  /** Ways that it could have taken, and never did. */
  readonly notTaken: ReadonlyArray<string>
  readonly inner: Drawing | undefined
  /** The middle of it, from the upper left corner of the drawing that it is in. */
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Where a path starts or ends. */
export interface Dot extends Pick<Box, "id" | "x" | "y" | "width" | "height"> {
  readonly kind: "start" | "end"
}

export interface Arrow {
  readonly from: string
  readonly to: string
  /** The routes that lead along it, and how often it was gone where that was more than once. */
  readonly label: string
  readonly points: ReadonlyArray<{ readonly x: number; readonly y: number }>
  readonly at: { readonly x: number; readonly y: number } | undefined
}

export interface Drawing {
  readonly boxes: ReadonlyArray<Box>
  readonly dots: ReadonlyArray<Dot>
  readonly arrows: ReadonlyArray<Arrow>
  readonly width: number
  readonly height: number
}

export type Direction = "LR" | "TB"

/** Deeper than any graph that somebody drew on purpose: the layout must not run out of stack. */
const maximumDepth = 8

/** A list of visits that were made one after the other, or beside each other. */
interface Path {
  readonly steps: ReadonlyArray<Step>
  readonly ended: boolean
}

/** Draws the runs of one graph. */
export const draw = (runs: ReadonlyArray<Run>, direction: Direction): Drawing =>
  drawPaths(
    runs.map((run) => ({ steps: run.steps, ended: run.outcome === "ok" })),
    direction,
    { depth: 0, sequence: true }
  )

/** How many boxes a drawing would have. A layout takes its time. */
export const size = (runs: ReadonlyArray<Run>): number => {
  const names = new Set<string>()
  const left: Array<Step> = runs.flatMap((run) => run.steps)
  for (let step = left.pop(); step !== undefined; step = left.pop()) {
    names.add(step.id)
    left.push(...step.inner, ...step.runs.flatMap((run) => run.steps))
  }
  return names.size
}

interface Way {
  readonly from: string
  readonly to: string
  readonly routes: Set<string>
  times: number
}

interface Within {
  readonly depth: number
  /** Whether one was visited after the other. */
  readonly sequence: boolean
  /** Whether they are the items of a list, one the same as another. */
  readonly items?: boolean
  /** The id of the container, with which ids begin in it. */
  readonly outer?: string | undefined
}

const own = (id: string, outer: string | undefined): string =>
  outer !== undefined && id.startsWith(`${outer}.`) ? id.slice(outer.length + 1) : id

const drawPaths = (paths: ReadonlyArray<Path>, direction: Direction, within: Within): Drawing => {
  // The items of a list are one box: there may be any number of them.
  const keyOf = (step: Step) => (within.items === true ? `items ${step.type}` : `${step.id} ${step.type}`)
  const groups = new Map<string, Array<Step>>()
  const ways = new Map<string, Way>()
  const go = (from: string, to: string, route: string | undefined) => {
    const key = `${from}\n${to}`
    const way = ways.get(key) ?? { from, to, routes: new Set(), times: 0 }
    ways.set(key, way)
    way.times++
    if (route !== undefined) {
      way.routes.add(route)
    }
  }
  for (const { ended, steps } of paths) {
    let before = "start"
    let route: string | undefined
    for (const step of steps) {
      const key = keyOf(step)
      const group = groups.get(key)
      if (group === undefined) {
        groups.set(key, [step])
      } else {
        group.push(step)
      }
      if (within.sequence) {
        go(before, key, route)
      }
      before = key
      route = step.decision?.route
    }
    if (within.sequence && ended && steps.length > 0) {
      go(before, "end", route)
    }
  }

  const boxes = Array.from(groups, ([id, visits]) => boxOf(id, visits, direction, within))
  const dots = [
    ...(within.sequence ? [dot("start", "start")] : []),
    ...(Array.from(ways.values()).some(({ to }) => to === "end") ? [dot("end", "end")] : [])
  ]
  const arrows = Array.from(ways.values(), ({ from, routes, times, to }) => ({
    from,
    to,
    label: [...routes, ...(times > 1 ? [`×${integer(times)}`] : [])].join(" ")
  }))
  // What stands beside each other is one rank, which is a column.
  return place(boxes, dots, arrows, within.sequence ? direction : "LR")
}

type Unplaced<A> = Omit<A, "x" | "y">

const dot = (kind: Dot["kind"], id: string): Unplaced<Dot> => ({ kind, id, width: 14, height: 14 })

const header = 48
/** The line of the ways that were not taken. */
const footer = 19
const padding = 14

/** What stands on the second line of a box. */
export const summary = ({ nanos, tokens }: Pick<Box, "nanos" | "tokens">): string => {
  const sum = total(tokens)
  return sum === undefined ? duration(nanos) : `${duration(nanos)} · ${integer(sum)} tok`
}

const boxOf = (id: string, visits: ReadonlyArray<Step>, direction: Direction, within: Within): Unplaced<Box> => {
  const [first] = visits
  const type = first?.type ?? ""
  const label = within.items === true ? "each item" : own(first?.id ?? "", within.outer)
  const inner = innerOf(visits, type, direction, within.depth + 1)
  const notTaken = notTakenBy(visits)
  const nanos = visits.reduce((sum, { at }) => sum + at.durationNanos, 0)
  const tokens = visits.map(({ tokens }) => tokens).reduce(plus, none)
  // As wide as what stands in it, by what letters of these sizes measure on average.
  const width = Math.max(
    7.3 * (label.length + (visits.length > 1 ? 5 : 0)),
    6.3 * (Math.min(type.length, 18) + 2 + summary({ nanos, tokens }).length),
    notTaken.length === 0 ? 0 : 5.9 * Math.min(36, notTakenText(notTaken).length)
  )
  const ownWidth = Math.min(250, Math.max(112, 26 + width))
  const height = header + (notTaken.length === 0 ? 0 : footer)
  return {
    kind: "node",
    id,
    label,
    type,
    visits,
    nanos,
    tokens,
    failed: visits.filter(({ outcome }) => outcome === "error").length,
    interrupted: visits.filter(({ outcome }) => outcome === "interrupted").length,
    notTaken,
    inner,
    width: inner === undefined ? ownWidth : Math.max(ownWidth, inner.width + 2 * padding),
    height: inner === undefined ? height : header + inner.height + padding
  }
}

export const notTakenText = (routes: ReadonlyArray<string>): string => `not taken: ${routes.join(", ")}`

const innerOf = (
  visits: ReadonlyArray<Step>,
  type: string,
  direction: Direction,
  depth: number
): Drawing | undefined => {
  if (depth > maximumDepth) {
    return undefined
  }
  const runs = visits.flatMap((visit) => visit.runs)
  if (runs.length > 0) {
    const paths = runs.map((run) => ({ steps: run.steps, ended: run.outcome === "ok" }))
    return drawPaths(paths, direction, { depth, sequence: true })
  }
  const paths = visits.map(({ inner }) => ({ steps: inner, ended: false }))
  return paths.some(({ steps }) => steps.length > 0)
    ? drawPaths(paths, direction, { depth, sequence: false, items: type === "forEach", outer: visits[0]?.id })
    : undefined
}

const notTakenBy = (visits: ReadonlyArray<Step>): ReadonlyArray<string> => {
  const candidates = new Set(visits.flatMap(({ decision }) => decision?.candidates ?? []))
  for (const { decision } of visits) {
    candidates.delete(decision?.route ?? "")
  }
  return Array.from(candidates)
}

const place = (
  boxes: ReadonlyArray<Unplaced<Box>>,
  dots: ReadonlyArray<Unplaced<Dot>>,
  arrows: ReadonlyArray<Omit<Arrow, "points" | "at">>,
  direction: Direction
): Drawing => {
  const graph = new Graph({ multigraph: true })
  graph.setGraph({
    rankdir: direction,
    nodesep: 18,
    ranksep: direction === "LR" ? 34 : 26,
    edgesep: 10,
    marginx: 2,
    marginy: 2
  })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const { height, id, width } of [...boxes, ...dots]) {
    graph.setNode(id, { width, height })
  }
  for (const [index, { from, label, to }] of arrows.entries()) {
    const room = label === "" ? {} : { width: 10 + 6.4 * Math.min(label.length, 24), height: 16, labelpos: "c" }
    graph.setEdge(from, to, room, String(index))
  }
  layout(graph)
  const placed = <A extends { readonly id: string }>(item: A): A & { readonly x: number; readonly y: number } => {
    const { x, y } = graph.node(item.id) as { readonly x: number; readonly y: number }
    return { ...item, x, y }
  }
  const { height, width } = graph.graph() as { readonly height?: number; readonly width?: number }
  return {
    boxes: boxes.map(placed),
    dots: dots.map(placed),
    arrows: arrows.map((arrow, index): Arrow => {
      const edge = graph.edge(arrow.from, arrow.to, String(index)) as {
        readonly points?: Arrow["points"]
        readonly x?: number
        readonly y?: number
      }
      return {
        ...arrow,
        points: edge.points ?? [],
        at: edge.x === undefined || edge.y === undefined ? undefined : { x: edge.x, y: edge.y }
      }
    }),
    width: width !== undefined && Number.isFinite(width) ? width : 0,
    height: height !== undefined && Number.isFinite(height) ? height : 0
  }
}

/** A line through points as a path of an SVG, without corners. */
export const curve = (points: Arrow["points"]): string => {
  const [first, ...others] = points
  if (first === undefined) {
    return ""
  }
  let path = `M${round(first.x)},${round(first.y)}`
  for (const [index, point] of others.entries()) {
    const next = others[index + 1]
    const end = next === undefined ? point : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 }
    path += `Q${round(point.x)},${round(point.y)} ${round(end.x)},${round(end.y)}`
  }
  return path
}

const round = (value: number): number => Math.round(value * 10) / 10
