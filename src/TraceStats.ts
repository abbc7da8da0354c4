/**
 * Many traces in numbers: for each type of node and each model how often, how long, how many tokens, and its share of the
 * time. Pure: data in, lines out.
 *
 * @since 0.1.0
 */
import * as CliTable from "./CliTable.ts"
import { bold, count, dateTime, dim, duration, line, type Terminal, wrap } from "./TerminalText.ts"
import * as TraceRun from "./TraceRun.ts"
import { tokensText } from "./TraceSpanText.ts"
import * as TraceTree from "./TraceTree.ts"

/** All visits of nodes of one type, or all calls of one model. */
export interface Group {
  readonly name: string
  readonly count: number
  readonly failed: number
  /** Durations in nanoseconds that this share of them did not exceed, by the nearest rank. */
  readonly p50Nanos: number
  readonly p95Nanos: number
  readonly p99Nanos: number
  readonly tokens: TraceRun.Tokens
  /** Tokens per second of output that half of the calls did not exceed, where the server measured them. */
  readonly tokensPerSecond: number | undefined
  /** From 0 to 1: of the time of all spans, each without that of its children, what was spent here. */
  readonly share: number
}

/** The traces in numbers. */
export interface Stats {
  readonly traces: number
  /** Traces in which a root failed. */
  readonly failed: number
  /** Nanoseconds since 1970, of the earliest start and the latest end; `undefined` without traces. */
  readonly period: readonly [startNanos: bigint, endNanos: bigint] | undefined
  readonly tokens: TraceRun.Tokens
  /** By type, the one with the greatest share first. */
  readonly nodes: ReadonlyArray<Group>
  /** By model, the one with the greatest share first. */
  readonly models: ReadonlyArray<Group>
}

/** Takes traces one after the other, and keeps of each only its numbers. */
export interface Collector {
  readonly add: (tree: TraceTree.TraceTree) => void
  readonly stats: () => Stats
}

interface Collecting {
  readonly durations: Array<number>
  readonly rates: Array<number>
  failed: number
  tokens: TraceRun.Tokens
  selfNanos: number
}

export const collector = (): Collector => {
  const nodes = new Map<string, Collecting>()
  const models = new Map<string, Collecting>()
  let traces = 0
  let failed = 0
  let period: Stats["period"]
  let tokens = TraceRun.none
  let allNanos = 0
  return {
    add: (tree) => {
      const facts = TraceRun.facts(tree)
      traces++
      failed += tree.roots.some(({ span }) => span.status.code === "error") ? 1 : 0
      period =
        period === undefined
          ? [tree.startNanos, tree.endNanos]
          : [min(period[0], tree.startNanos), max(period[1], tree.endNanos)]
      tokens = TraceRun.plus(tokens, facts.tokens)
      // The innermost visit and call that a span is in, by its index: its own time is theirs.
      const nodeAt: Array<Collecting | undefined> = []
      const modelAt: Array<Collecting | undefined> = []
      for (const at of tree.nodes) {
        const step = facts.steps.get(at)
        const call = facts.calls.get(at)
        const outer = at.parent?.index
        let node = outer === undefined ? undefined : nodeAt[outer]
        let model = outer === undefined ? undefined : modelAt[outer]
        if (step !== undefined) {
          node = of(nodes, step.type)
          node.durations.push(at.durationNanos)
          node.failed += step.outcome === "error" ? 1 : 0
          // Those of visits inside are theirs.
          node.tokens = TraceRun.plus(node.tokens, TraceRun.own(step))
        }
        if (call !== undefined) {
          model = of(models, call.model ?? "unknown")
          model.durations.push(at.durationNanos)
          model.failed += at.span.status.code === "error" ? 1 : 0
          model.tokens = TraceRun.plus(model.tokens, call.tokens)
          if (call.tokensPerSecond?.of === "generation") {
            model.rates.push(call.tokensPerSecond.value)
          }
        }
        nodeAt.push(node)
        modelAt.push(model)
        allNanos += at.selfNanos
        if (node !== undefined) {
          node.selfNanos += at.selfNanos
        }
        if (model !== undefined) {
          model.selfNanos += at.selfNanos
        }
      }
    },
    stats: () => ({
      traces,
      failed,
      period,
      tokens,
      nodes: groups(nodes, allNanos),
      models: groups(models, allNanos)
    })
  }
}

const of = (all: Map<string, Collecting>, name: string): Collecting => {
  const known = all.get(name)
  if (known !== undefined) {
    return known
  }
  const made: Collecting = { durations: [], rates: [], failed: 0, tokens: TraceRun.none, selfNanos: 0 }
  all.set(name, made)
  return made
}

const groups = (all: ReadonlyMap<string, Collecting>, allNanos: number): ReadonlyArray<Group> =>
  Array.from(all, ([name, { durations, failed, rates, selfNanos, tokens }]): Group => {
    const sorted = durations.toSorted((a, b) => a - b)
    return {
      name,
      count: durations.length,
      failed,
      p50Nanos: percentile(sorted, 0.5) ?? 0,
      p95Nanos: percentile(sorted, 0.95) ?? 0,
      p99Nanos: percentile(sorted, 0.99) ?? 0,
      tokens,
      tokensPerSecond: percentile(
        rates.toSorted((a, b) => a - b),
        0.5
      ),
      share: allNanos === 0 ? 0 : selfNanos / allNanos
    }
  }).toSorted((a, b) => b.share - a.share || b.count - a.count)

/** The smallest of sorted numbers that so many of them do not exceed; `undefined` of none. */
export const percentile = (sorted: ReadonlyArray<number>, share: number): number | undefined =>
  sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)

// ---------------------------------------------------------------------------------------------------------------------
// Lines
// ---------------------------------------------------------------------------------------------------------------------

/** Shows the numbers as tables, with a bar for each share. */
export const draw = (
  stats: Stats,
  terminal: Terminal
): { readonly lines: ReadonlyArray<string>; readonly leftOut: ReadonlyArray<string> } => {
  const tables = [
    ["NODE TYPE", stats.nodes, nodeColumns] as const,
    ["MODEL", stats.models, modelColumns] as const
  ].filter(([, groups]) => groups.length > 0)
  const drawn = tables.map(([name, groups, columns]) =>
    CliTable.table([{ name, shrinks: 12 }, ...columns], groups.map(cells(columns)), terminal)
  )
  const [start, end] = stats.period ?? [0n, 0n]
  const width = terminal.width ?? Number.POSITIVE_INFINITY
  return {
    lines: [
      ...wrap(summary(stats), width).map((text) => line([bold(text)], terminal)),
      ...wrap(`${dateTime(start)} to ${dateTime(end)}`, width).map((text) => line([dim(text)], terminal)),
      ...drawn.flatMap(({ text }) => ["", ...text.trimEnd().split("\n")])
    ],
    leftOut: Array.from(new Set(drawn.flatMap(({ leftOut }) => leftOut)))
  }
}

const summary = ({ failed, models, nodes, tokens, traces }: Stats): string => {
  const sum = (groups: ReadonlyArray<Group>) => groups.reduce((sum, group) => sum + group.count, 0)
  return [
    count(traces, "trace"),
    ...(failed === 0 ? [] : [`${failed} failed`]),
    count(sum(nodes), "node visit"),
    count(sum(models), "model call"),
    ...(tokensText(tokens) === "" ? [] : [`tokens ${tokensText(tokens)}`])
  ].join(" · ")
}

type StatsColumn = CliTable.Column & { readonly cell: (group: Group) => string }

const barWidth = 12

/** A share as a bar, in eighths of a column. */
export const bar = (share: number): string => {
  const eighths = Math.round(share * barWidth * 8)
  const part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8] ?? ""
  return `${"█".repeat(Math.floor(eighths / 8))}${part}` || (share > 0 ? "▏" : "")
}

// A number in part is another number: a column is whole, or it is not there.
const nodeColumns: ReadonlyArray<StatsColumn> = [
  { name: "COUNT", align: "right", gives: 1, cell: (group) => String(group.count) },
  { name: "FAILED", align: "right", gives: 4, cell: (group) => String(group.failed) },
  { name: "P50", align: "right", gives: 2, cell: (group) => duration(group.p50Nanos / 1e6) },
  { name: "P95", align: "right", gives: 3, cell: (group) => duration(group.p95Nanos / 1e6) },
  { name: "P99", align: "right", gives: 8, cell: (group) => duration(group.p99Nanos / 1e6) },
  { name: "TOKENS", align: "right", gives: 6, cell: (group) => tokensText(group.tokens) },
  {
    name: "SHARE",
    align: "right",
    gives: 5,
    cell: (group) => `${(group.share * 100).toFixed(group.share < 0.0995 ? 1 : 0)} %`
  },
  { name: "OF TIME", gives: 9, cell: (group) => bar(group.share) }
]

const modelColumns: ReadonlyArray<StatsColumn> = [
  ...nodeColumns.slice(0, 6),
  {
    name: "TOK/S",
    align: "right",
    gives: 7,
    cell: (group) => (group.tokensPerSecond === undefined ? "" : group.tokensPerSecond.toFixed(1))
  },
  ...nodeColumns.slice(6)
]

const cells = (columns: ReadonlyArray<StatsColumn>) => (group: Group) => [
  group.name,
  ...columns.map(({ cell }) => cell(group))
]
