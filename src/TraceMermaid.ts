/**
 * What ran, as a Mermaid flowchart: the graph as far as a trace knows it, which are the steps that were visited and the
 * ways that were taken, bold and numbered in their order. Ways that a router could have taken are dotted.
 *
 * @since 0.1.0
 */
import * as MermaidText from "./MermaidText.ts"
import { count, duration, harmless } from "./TerminalText.ts"
import * as TraceRun from "./TraceRun.ts"
import type { TraceTree } from "./TraceTree.ts"

/** Draws the runs of a trace; where no graph ran, which spans are below which. */
export const draw = (tree: TraceTree): string => {
  const { runs } = TraceRun.facts(tree)
  const chart = make()
  if (runs.length === 0) {
    drawNames(chart, tree)
  } else if (runs.length === 1) {
    drawRun(chart, runs[0]!, 0)
  } else {
    for (const run of runs) {
      chart.open(text(run.graph ?? "graph"))
      drawRun(chart, run, 1)
      chart.close()
    }
  }
  return chart.text()
}

// ---------------------------------------------------------------------------------------------------------------------
// Runs
// ---------------------------------------------------------------------------------------------------------------------

/** All visits of one node in one run, or in one container. */
interface Place {
  readonly steps: ReadonlyArray<TraceRun.Step>
  readonly id: string
}

// Runs in runs in runs: whoever looks at a picture sees no more than this.
const deepest = 12

const drawRun = (chart: Chart, run: TraceRun.Run, depth: number): void => {
  const places = drawSteps(chart, run.steps, depth)
  const [first] = run.steps
  if (first === undefined) {
    return
  }
  const start = chart.node(`(("${depth === 0 ? "start" : " "}"))`)
  chart.edge(start, places.get(first.id)!, "", "taken")
  const taken = new Map<
    string,
    { readonly from: string; readonly to: string; readonly route: string; readonly order: Array<number> }
  >()
  const take = (from: string, to: string, route: string, number: number) => {
    const key = JSON.stringify([from, to, route])
    const edge = taken.get(key) ?? { from, to, route, order: [] }
    edge.order.push(number)
    taken.set(key, edge)
  }
  for (const [index, step] of run.steps.entries()) {
    const next = run.steps[index + 1]
    if (next !== undefined) {
      take(places.get(step.id)!, places.get(next.id)!, step.decision?.route ?? "", index + 1)
    }
  }
  const last = run.steps.at(-1)!
  const end = chart.node(
    `(("${run.outcome === "ok" ? (depth === 0 ? "end" : " ") : run.outcome === "error" ? "failed" : run.outcome}"))`
  )
  take(places.get(last.id)!, end, last.decision?.route ?? "", run.steps.length)
  for (const { from, order, route, to } of taken.values()) {
    chart.edge(from, to, `${numbers(order)}${route === "" ? "" : `: ${route}`}`, "taken")
  }
  drawWaysNotTaken(chart, run.steps, places)
}

// A loop of hundreds of turns.
const numbersShown = 6

const numbers = (order: ReadonlyArray<number>): string =>
  order.length <= numbersShown
    ? order.join(", ")
    : `${order.slice(0, numbersShown - 2).join(", ")}, … ${order.at(-1)}${MermaidText.times(order.length)}`

const drawWaysNotTaken = (
  chart: Chart,
  steps: ReadonlyArray<TraceRun.Step>,
  places: ReadonlyMap<string, string>
): void => {
  for (const { id, steps: visits } of placesOf(steps)) {
    const taken = new Set(visits.map(({ decision }) => decision?.route))
    const candidates = new Set(visits.flatMap(({ decision }) => decision?.candidates ?? []))
    const other = Array.from(candidates).filter((candidate) => !taken.has(candidate))
    if (other.length > 0) {
      chart.edge(places.get(id)!, chart.node(`((" "))`), other.join(", "), "possible")
    }
  }
}

/** Draws steps, and returns their ids in the chart by their own. */
const drawSteps = (chart: Chart, steps: ReadonlyArray<TraceRun.Step>, depth: number): ReadonlyMap<string, string> => {
  const places = new Map<string, string>()
  for (const { id, steps: visits } of placesOf(steps)) {
    const inner = visits.flatMap((step) => step.inner)
    const runs = visits.flatMap((step) => step.runs)
    const facts = describe(id, visits)
    const shown = facts.join("<br/>")
    const outcome = visits.some((step) => step.outcome === "error") ? "failed" : "visited"
    if ((inner.length === 0 && runs.length === 0) || depth >= deepest) {
      const isRouter = visits.some(({ decision }) => decision !== undefined)
      places.set(id, chart.node(isRouter ? `{"${shown}"}` : `["${shown}"]`, outcome))
    } else {
      // A title of several lines would lie over what is in the block.
      places.set(id, chart.open(facts.join(", ")))
      drawSteps(chart, inner, depth + 1)
      // Of several runs of one sub-graph the first stands for all: they take different ways through the same steps.
      const [run] = runs
      if (run !== undefined) {
        drawRun(chart, run, depth + 1)
      }
      chart.close()
    }
  }
  return places
}

const placesOf = (steps: ReadonlyArray<TraceRun.Step>): ReadonlyArray<Place> =>
  Array.from(
    Map.groupBy(steps, ({ id }) => id),
    ([id, steps]) => ({ id, steps })
  )

/** The lines of a label: name, type and number of visits, time and tokens. */
const describe = (id: string, visits: ReadonlyArray<TraceRun.Step>): ReadonlyArray<string> => {
  const nanos = visits.reduce((sum, { at }) => sum + at.durationNanos, 0)
  const tokens = visits.map((step) => step.tokens).reduce(TraceRun.plus, TraceRun.none)
  const total = TraceRun.total(tokens)
  const facts = [duration(nanos / 1e6), ...(total === undefined ? [] : [count(total, "token")])].join(", ")
  return [id, `${visits[0]?.type ?? ""}${MermaidText.times(visits.length)}`, facts].map(text)
}

// ---------------------------------------------------------------------------------------------------------------------
// Traces without a run
// ---------------------------------------------------------------------------------------------------------------------

const drawNames = (chart: Chart, tree: TraceTree): void => {
  const byName = Map.groupBy(tree.nodes, ({ span }) => span.name)
  const ids = new Map<string, string>()
  for (const [name, nodes] of byName) {
    const failed = nodes.some(({ span }) => span.status.code === "error")
    ids.set(name, chart.node(`["${text(`${name}${MermaidText.times(nodes.length)}`)}"]`, failed ? "failed" : "visited"))
  }
  const edges = Map.groupBy(
    tree.nodes.filter(({ parent }) => parent !== undefined),
    ({ parent, span }) => JSON.stringify([parent!.span.name, span.name])
  )
  for (const [key, nodes] of edges) {
    const [from, to] = JSON.parse(key) as [string, string]
    chart.edge(ids.get(from)!, ids.get(to)!, MermaidText.times(nodes.length).trim(), "taken")
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Charts
// ---------------------------------------------------------------------------------------------------------------------

interface Chart {
  /** Adds a node, given with its brackets, and returns its id. */
  readonly node: (shape: string, style?: "visited" | "failed") => string
  readonly edge: (from: string, to: string, label: string, kind: "taken" | "possible") => void
  /** Begins a block with a title, a text that is escaped already, and returns its id. */
  readonly open: (title: string) => string
  readonly close: () => void
  readonly text: () => string
}

const make = (): Chart => {
  const lines: Array<string> = ["flowchart TD"]
  const styled = { visited: new Array<string>(), failed: new Array<string>() }
  const bold: Array<number> = []
  const edges: Array<string> = []
  let ids = 0
  let indent = "  "
  return {
    node: (shape, style) => {
      const id = `n${ids++}`
      lines.push(`${indent}${id}${shape}`)
      if (style !== undefined) {
        styled[style].push(id)
      }
      return id
    },
    edge: (from, to, label, kind) => {
      if (kind === "taken") {
        bold.push(edges.length)
      }
      edges.push(`  ${from} ${kind === "taken" ? "-->" : "-.->"}${label === "" ? "" : `|"${text(label)}"|`} ${to}`)
    },
    open: (title) => {
      const id = `n${ids++}`
      lines.push(`${indent}subgraph ${id}["${title}"]`)
      indent += "  "
      return id
    },
    close: () => {
      indent = indent.slice(2)
      lines.push(`${indent}end`)
    },
    text: () =>
      [
        ...lines,
        ...edges,
        "  classDef visited stroke-width:4px",
        "  classDef failed stroke:#c00,stroke-width:4px",
        ...Object.entries(styled).flatMap(([style, ids]) =>
          ids.length === 0 ? [] : [`  class ${ids.join(",")} ${style}`]
        ),
        ...(bold.length === 0 ? [] : [`  linkStyle ${bold.join(",")} stroke-width:4px`])
      ].join("\n")
  }
}

const text = (label: string): string => MermaidText.label(harmless(label))
