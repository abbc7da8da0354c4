/**
 * A trace as a waterfall for a terminal: a row for each span with its place in the tree, its times, its tokens and a bar
 * that shows when it ran. Pure: data in, lines out.
 *
 * @since 0.1.0
 */
import {
  blue,
  bold,
  count,
  cut,
  cyan,
  dateTime,
  dim,
  displayWidth,
  duration,
  green,
  harmless,
  line,
  magenta,
  padEnd,
  padStart,
  plain,
  red,
  type Styled,
  type Terminal,
  wrap,
  yellow
} from "./TerminalText.ts"
import * as TraceRun from "./TraceRun.ts"
import { type Detail, details, errorText, rateText, tokensText } from "./TraceSpanText.ts"
import * as TraceTree from "./TraceTree.ts"

/** How it is drawn. */
export interface Options extends Terminal {
  /** Whether to show all attributes of each span; false by default. */
  readonly attributes?: boolean | undefined
  /** Whether to show all events of each span; false by default. */
  readonly events?: boolean | undefined
  /** How the trace ended; by default as far as its spans tell. */
  readonly status?: TraceRun.Run["outcome"] | undefined
}

/** A waterfall, and the columns for which there was no room. */
export interface Drawn {
  readonly lines: ReadonlyArray<string>
  readonly leftOut: ReadonlyArray<string>
}

/** Draws a trace. */
export const draw = (tree: TraceTree.TraceTree, options: Options): Drawn => {
  const facts = TraceRun.facts(tree)
  const rows = tree.nodes.map((at) => rowOf(at, facts))
  const layout = layoutOf(rows, options.width)
  const lines = [...heading(tree, facts, options), "", axis(tree, layout, options)]
  const stacks = new Set<string>()
  for (const row of rows) {
    const prefix = shortened(row.prefix, layout.name - Math.min(minimumText, labelWidth(row.label)))
    const room = layout.name - displayWidth(prefix)
    const cells = layout.columns.map(({ cell, width }) => plain(`  ${padStart(cell(row), width)}`))
    lines.push(
      trimmed(
        [dim(prefix), ...fit(row.label, room, options), ...cells, plain("  "), bar(row.at, tree, layout.bar)],
        options
      )
    )
    lines.push(...below(row, stacks, options))
  }
  return { lines: [...lines, ...remarks(tree, options)], leftOut: layout.leftOut }
}

// ---------------------------------------------------------------------------------------------------------------------
// Rows
// ---------------------------------------------------------------------------------------------------------------------

interface Row {
  readonly at: TraceTree.TraceNode
  /** The branch of the tree that leads to it. */
  readonly prefix: string
  readonly label: ReadonlyArray<Styled>
  readonly tokens: TraceRun.Tokens | undefined
  readonly rate: TraceRun.Call["tokensPerSecond"]
}

const rowOf = (at: TraceTree.TraceNode, facts: TraceRun.Facts): Row => {
  const call = facts.calls.get(at)
  return {
    at,
    prefix: branch(at),
    label: labelOf(at, facts),
    tokens: call?.tokens ?? facts.runsAt.get(at)?.tokens,
    rate: call?.tokensPerSecond
  }
}

const labelOf = (at: TraceTree.TraceNode, facts: TraceRun.Facts): ReadonlyArray<Styled> => {
  const { attributes, name } = at.span
  const failed = at.span.status.code === "error"
  const step = facts.steps.get(at)
  const call = facts.calls.get(at)
  const attempt = attributes["retry.attempt"]
  const what =
    step?.id ?? call?.model ?? TraceTree.text(at.span, "graph.id") ?? (attempt === undefined ? "" : String(attempt))
  const attempts = TraceRun.attempts(at)
  const ended = TraceTree.outcome(at.span) === "interrupted" ? [yellow(" interrupted")] : []
  return [
    failed ? red(name) : bold(name),
    ...(what === "" ? [] : [plain(` ${what}`)]),
    ...(attempts > 1 ? [yellow(` ${count(attempts, "attempt")}`)] : []),
    ...ended,
    ...(at.severed === undefined ? [] : [dim(at.severed === "missing" ? " (parent not here)" : " (its own parent)")]),
    ...(at.backwards ? [dim(" (ends before it starts)")] : [])
  ]
}

// Levels of a tree that are drawn: a chain of ten thousand spans would be hundreds of megabytes of branches.
const maximumLevels = 60

/** The branch that leads to a span. */
const branch = (at: TraceTree.TraceNode): string => {
  const parts: Array<string> = []
  for (let node = at; node.parent !== undefined; node = node.parent) {
    if (parts.length === maximumLevels) {
      parts.push("… ")
      break
    }
    const last = node.parent.children.at(-1) === node
    parts.push(node === at ? (last ? "└─ " : "├─ ") : last ? "   " : "│  ")
  }
  return parts.toReversed().join("")
}

/** The branch on which what is below a span's own row stands. */
const continued = ({ at, prefix }: Row): string =>
  `${prefix.replace(/└─ $/, "   ").replace(/├─ $/, "│  ")}${at.children.length > 0 ? "│  " : "   "}`

/** The end of a branch that is too long for its room. */
const shortened = (prefix: string, room: number): string =>
  prefix.length <= Math.max(0, room) ? prefix : `…${prefix.slice(prefix.length - Math.max(0, room - 1))}`

// What is left for text, however deep in the tree it is.
const minimumText = 14

const labelWidth = (label: ReadonlyArray<Styled>): number =>
  label.reduce((sum, { text }) => sum + displayWidth(harmless(text)), 0)

/** A label in exactly so many columns. */
const fit = (label: ReadonlyArray<Styled>, room: number, options: Options): ReadonlyArray<Styled> => {
  const width = labelWidth(label)
  if (width <= room || options.width === undefined) {
    return [...label, plain(" ".repeat(Math.max(0, room - width)))]
  }
  const out: Array<Styled> = []
  let left = room
  for (const part of label) {
    const text = harmless(part.text)
    if (displayWidth(text) >= left) {
      const start = cut(`${text}  `, left)
      return [...out, { ...part, text: start }, plain(" ".repeat(Math.max(0, left - displayWidth(start))))]
    }
    out.push({ ...part, text })
    left -= displayWidth(text)
  }
  return out
}

const trimmed = (parts: ReadonlyArray<Styled>, options: Options): string => line(parts, options).trimEnd()

// ---------------------------------------------------------------------------------------------------------------------
// Columns
// ---------------------------------------------------------------------------------------------------------------------

interface Column {
  readonly name: string
  readonly cell: (row: Row) => string
}

interface Layout {
  readonly name: number
  readonly columns: ReadonlyArray<Column & { readonly width: number }>
  readonly bar: number
  readonly leftOut: ReadonlyArray<string>
}

// In the order in which they give way, the last one first.
const columns: ReadonlyArray<Column> = [
  { name: "TIME", cell: ({ at }) => duration(at.durationNanos / 1e6) },
  { name: "SELF", cell: ({ at }) => (at.children.length === 0 ? "" : duration(at.selfNanos / 1e6)) },
  { name: "TOKENS", cell: ({ tokens }) => (tokens === undefined ? "" : tokensText(tokens)) },
  { name: "TOK/S", cell: ({ rate }) => (rate === undefined ? "" : rateText(rate)) }
]

const smallestName = 24
// Where a terminal is too narrow for this beside a time, the times go too.
const shortestName = 8
const smallestBar = 8
const barInFull = 40

const layoutOf = (rows: ReadonlyArray<Row>, width: number | undefined): Layout => {
  let shown = columns.flatMap((column) => {
    const widest = rows.reduce((most, row) => Math.max(most, column.cell(row).length), 0)
    return widest === 0 ? [] : [{ ...column, width: Math.max(widest, column.name.length) }]
  })
  const all = shown
  const widest = rows.reduce(
    (most, { label, prefix }) =>
      Math.max(
        most,
        label.reduce((sum, { text }) => sum + displayWidth(harmless(text)), prefix.length)
      ),
    4
  )
  if (width === undefined) {
    return { name: Math.min(widest, 100), columns: shown, bar: barInFull, leftOut: [] }
  }
  const room = () => width - shown.reduce((sum, column) => sum + column.width + 2, 0) - 2
  const name = () => Math.min(widest, shown.length > 1 ? smallestName : shortestName)
  while (shown.length > 0 && room() - smallestBar < name()) {
    shown = shown.slice(0, -1)
  }
  const wide = Math.max(smallestBar, room() - widest, Math.floor(room() / 3))
  const bar = Math.max(1, Math.min(wide, room() - Math.min(widest, shortestName)))
  return {
    name: Math.max(1, Math.min(widest, room() - bar)),
    columns: shown,
    bar,
    leftOut: all.filter((column) => !shown.includes(column)).map(({ name }) => name)
  }
}

/** The names of the columns, and above the bars the time from the start to the end of the trace. */
const axis = (tree: TraceTree.TraceTree, layout: Layout, options: Options): string => {
  const end = duration(tree.durationNanos / 1e6)
  const names = layout.columns.map(({ name, width }) => `  ${padStart(name, width)}`).join("")
  const scale = layout.bar >= end.length + 2 ? `0${padStart(end, layout.bar - 1)}` : ""
  return trimmed([dim(`${padEnd("SPAN", layout.name)}${names}  ${scale}`)], options)
}

/** When a span ran, in halves of a column. What is shorter than that is a line. */
const bar = (at: TraceTree.TraceNode, tree: TraceTree.TraceTree, width: number): Styled => {
  const scale = tree.durationNanos === 0 ? 0 : (2 * width) / tree.durationNanos
  const start = Math.min(2 * width - 1, Math.round(at.offsetNanos * scale))
  const end = Math.min(2 * width, Math.round((at.offsetNanos + at.durationNanos) * scale))
  const before = " ".repeat(Math.floor(start / 2))
  if (end <= start) {
    return colourOf(at)(`${before}${start % 2 === 0 ? "▏" : "▕"}`)
  }
  const whole = Math.floor(end / 2) - Math.ceil(start / 2)
  return colourOf(at)(
    `${before}${start % 2 === 0 ? "" : "▐"}${"█".repeat(Math.max(0, whole))}${end % 2 === 0 ? "" : "▌"}`
  )
}

const colourOf = ({ span }: TraceTree.TraceNode) =>
  span.status.code === "error"
    ? red
    : span.name.startsWith("node.")
      ? cyan
      : span.name.startsWith("llm.") || span.attributes["gen_ai.operation.name"] !== undefined
        ? magenta
        : span.name.startsWith("ollama.")
          ? blue
          : green

// ---------------------------------------------------------------------------------------------------------------------
// Around the rows
// ---------------------------------------------------------------------------------------------------------------------

const heading = (tree: TraceTree.TraceTree, facts: TraceRun.Facts, options: Options): ReadonlyArray<string> => {
  const [root] = tree.roots
  const [run] = facts.runs
  const steps = facts.steps.size
  const service = root === undefined ? undefined : TraceTree.asText(root.span.resource["service.name"])
  const status =
    options.status ??
    (run !== undefined && run.at === undefined ? "running" : root === undefined ? "ok" : TraceTree.outcome(root.span))
  const numbers = [
    duration(tree.durationNanos / 1e6),
    count(tree.nodes.length, "span"),
    ...(steps === 0 ? [] : [count(steps, "node visit")]),
    ...(tokensText(facts.tokens) === "" ? [] : [`tokens ${tokensText(facts.tokens)}`]),
    ...(facts.models.length === 0 ? [] : [facts.models.join(", ")])
  ]
  const width = options.width ?? Number.POSITIVE_INFINITY
  const styles = { ok: green("ok"), error: red("failed"), interrupted: yellow("interrupted"), running: cyan("running") }
  return [
    // Never cut: an id in part is of no use.
    line([dim("trace "), bold(tree.traceId)], { ...options, width: undefined }),
    ...wrap(named([run?.graph, service], dateTime(tree.startNanos), width), width).map((text) =>
      line([plain(text)], options)
    ),
    ...wrap(harmless([styles[status].text, ...numbers].join(" · ")), width).map((text, index) =>
      index > 0
        ? line([plain(text)], options)
        : line([styles[status], plain(text.slice(styles[status].text.length))], options)
    ),
    ...(run?.task === undefined ? [] : [line([dim("“"), plain(run.task), dim("”")], options)])
  ]
}

/** Names and a time, to be wrapped. The names are cut before the time is. */
const named = (names: ReadonlyArray<string | undefined>, time: string, width: number): string => {
  const name = names.filter((name) => name !== undefined).join(" · ")
  const beside = width - time.length - 3
  const room = beside < shortestName ? Math.max(1, width - 2) : beside
  return [...(name === "" ? [] : [cut(harmless(name), room)]), time].join(" · ")
}

const remarks = (tree: TraceTree.TraceTree, options: Options): ReadonlyArray<string> => {
  const missing = tree.nodes.filter(({ severed }) => severed === "missing").length
  const remark = (text: string) => line([dim(text)], { ...options, width: undefined })
  return [
    ...(missing === 0
      ? []
      : [
          "",
          remark(`${count(missing, "span")} below what is not here: it still runs, is in another program, or was lost.`)
        ]),
    ...(tree.duplicates === 0 ? [] : [remark(`${count(tree.duplicates, "span")} came twice.`)])
  ]
}

/** What stands below a span's row: how a way was chosen, errors, and what was asked for. */
const below = (row: Row, stacks: Set<string>, options: Options): ReadonlyArray<string> => {
  const indent = continued(row)
  return [
    ...TraceTree.errors(row.at).flatMap((error) => {
      // Attempts fail alike, as a rule: a stack that stands above says nothing more.
      const stack = error.stack === undefined || stacks.has(error.stack) ? undefined : error.stack
      stacks.add(error.stack ?? "")
      return errorText({ ...error, stack })
    }),
    ...details(row.at, { attributes: options.attributes === true, events: options.events === true })
  ].flatMap((detail) => detailLines(indent, detail, options))
}

const detailLines = (indent: string, { mark, style, text }: Detail, options: Options): ReadonlyArray<string> => {
  const width = options.width ?? Number.POSITIVE_INFINITY
  const before = shortened(indent, Math.max(0, width - minimumText - 8))
  const room = Math.max(1, width - before.length - displayWidth(mark))
  const paint = (text: string): Styled => ({ text, style })
  return wrap(harmless(text), room).map((part, index) =>
    line([dim(before), paint(`${index === 0 ? mark : " ".repeat(displayWidth(mark))}${part}`)], {
      ...options,
      width: undefined
    })
  )
}
