/**
 * What differs between two traces: of runs of one graph step by step, else by the names of spans. Pure: data in, lines
 * out.
 *
 * @since 0.1.0
 */
import * as CliTable from "./CliTable.ts"
import {
  bold,
  count,
  dateTime,
  duration,
  harmless,
  line,
  plain,
  red,
  type Styled,
  type Terminal,
  wrap,
  yellow
} from "./TerminalText.ts"
import * as TraceRun from "./TraceRun.ts"
import * as TraceTree from "./TraceTree.ts"

/** A step as one of the traces has it. */
export interface Side {
  readonly route: string | undefined
  readonly outcome: TraceTree.Outcome
  readonly durationNanos: number
  /** Input and output together. */
  readonly tokens: number | undefined
  readonly attempts: number
}

/** A step, or all spans of a name, in one trace or in both. */
export interface Row {
  /** The step, with those that contain it before it; the second visit and later ones with their number: `write (2)`. */
  readonly name: string
  readonly a: Side | undefined
  readonly b: Side | undefined
  /** What differs beside time. */
  readonly differs: ReadonlyArray<"route" | "outcome" | "tokens" | "attempts" | "presence">
}

/** Two traces, compared. */
export interface Difference {
  /** `steps`: both ran the same graphs. `graphs`: they ran others. `spans`: at least one ran none. */
  readonly by: "steps" | "graphs" | "spans"
  readonly graphs: readonly [a: ReadonlyArray<string>, b: ReadonlyArray<string>]
  readonly rows: ReadonlyArray<Row>
  /** The first step after which they went on differently. */
  readonly parting: Row | undefined
}

/** Compares two traces. */
export const compare = (a: TraceTree.TraceTree, b: TraceTree.TraceTree): Difference => {
  const facts = [TraceRun.facts(a), TraceRun.facts(b)] as const
  const graphs = [graphsOf(facts[0]), graphsOf(facts[1])] as const
  const by =
    graphs[0].length === 0 || graphs[1].length === 0
      ? "spans"
      : graphs[0].join("\n") === graphs[1].join("\n")
        ? "steps"
        : "graphs"
  const rows =
    by === "steps"
      ? merged(stepsOf(facts[0].runs), stepsOf(facts[1].runs))
      : merged(namesOf(a, facts[0]), namesOf(b, facts[1]))
  const parting =
    by === "steps" ? rows.find(({ differs }) => differs.includes("route") || differs.includes("presence")) : undefined
  return { by, graphs, rows, parting }
}

const graphsOf = ({ runs }: TraceRun.Facts): ReadonlyArray<string> => runs.map(({ graph }) => graph ?? "?")

type Named = ReadonlyMap<string, Side>

/** The steps of runs in their order, with those inside of them. */
const stepsOf = (runs: ReadonlyArray<TraceRun.Run>): Named => {
  const sides = new Map<string, Side>()
  const visits = new Map<string, number>()
  const left = runs.flatMap(({ steps }) => steps.map((step) => ({ step, before: "" }))).toReversed()
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { before, step } = next
    const name = `${before}${step.id}`
    const visit = (visits.get(name) ?? 0) + 1
    visits.set(name, visit)
    sides.set(visit === 1 ? name : `${name} (${visit})`, sideOf(step))
    const inside = [
      ...step.inner.map((inner) => ({ step: inner, before })),
      ...step.runs.flatMap((run) => run.steps.map((inner) => ({ step: inner, before: `${name} › ` })))
    ]
    for (const one of inside.toReversed()) {
      left.push(one)
    }
  }
  return sides
}

const sideOf = ({ at, attempts, decision, outcome, tokens }: TraceRun.Step): Side => ({
  route: decision?.route,
  outcome,
  durationNanos: at.durationNanos,
  tokens: TraceRun.total(tokens),
  attempts
})

/** All spans of a name as one. */
const namesOf = (tree: TraceTree.TraceTree, facts: TraceRun.Facts): Named => {
  const sides = new Map<string, Side>()
  for (const at of tree.nodes) {
    const call = facts.calls.get(at)
    const other = sides.get(at.span.name)
    sides.set(at.span.name, {
      route: undefined,
      outcome: other?.outcome === "error" ? "error" : TraceTree.outcome(at.span),
      durationNanos: (other?.durationNanos ?? 0) + at.durationNanos,
      tokens: TraceRun.total({
        input: other?.tokens,
        output: call === undefined ? undefined : TraceRun.total(call.tokens)
      }),
      attempts: (other?.attempts ?? 0) + 1
    })
  }
  return sides
}

/** The rows of both in the order of the first, each row that only the second has after what stands before it there. */
const merged = (a: Named, b: Named): ReadonlyArray<Row> => {
  const after = new Map<string | undefined, Array<string>>()
  let last: string | undefined
  for (const name of b.keys()) {
    if (a.has(name)) {
      last = name
    } else {
      const names = after.get(last) ?? []
      names.push(name)
      after.set(last, names)
    }
  }
  const onlyB = (before: string | undefined) =>
    (after.get(before) ?? []).map((name) => rowOf(name, undefined, b.get(name)))
  return [
    ...onlyB(undefined),
    ...Array.from(a, ([name, side]) => [rowOf(name, side, b.get(name)), ...onlyB(name)]).flat()
  ]
}

const rowOf = (name: string, a: Side | undefined, b: Side | undefined): Row => ({
  name,
  a,
  b,
  differs:
    a === undefined || b === undefined
      ? ["presence"]
      : (["route", "outcome", "tokens", "attempts"] as const).filter((what) => a[what] !== b[what])
})

// ---------------------------------------------------------------------------------------------------------------------
// Lines
// ---------------------------------------------------------------------------------------------------------------------

/** Shows the difference of two traces, which ended so; by default as far as their spans tell. */
export const draw = (
  a: TraceTree.TraceTree,
  b: TraceTree.TraceTree,
  terminal: Terminal,
  statuses?: readonly [a: TraceRun.Run["outcome"], b: TraceRun.Run["outcome"]]
): { readonly lines: ReadonlyArray<string>; readonly leftOut: ReadonlyArray<string> } => {
  const difference = compare(a, b)
  const steps = difference.by === "steps"
  const { leftOut, text } = CliTable.table(
    steps ? stepColumns : spanColumns,
    difference.rows.map(cells(steps)),
    terminal
  )
  const say = (...parts: ReadonlyArray<Styled>) => line(parts, { ...terminal, width: undefined })
  return {
    lines: [
      ...named("a", a, terminal, statuses?.[0]),
      ...named("b", b, terminal, statuses?.[1]),
      "",
      ...introduction(difference).map((sentence) => say(yellow(sentence))),
      ...text.trimEnd().split("\n"),
      "",
      ...conclusion(difference, statuses?.includes("running") === true).map((sentence) => say(plain(sentence)))
    ],
    leftOut
  }
}

/** Which trace it is, in as many lines as it takes. */
const named = (
  name: string,
  tree: TraceTree.TraceTree,
  terminal: Terminal,
  status: TraceRun.Run["outcome"] | undefined
): ReadonlyArray<string> =>
  wrap(harmless(about(tree, status)), Math.max(1, (terminal.width ?? Number.POSITIVE_INFINITY) - 3)).map(
    (text, index) => line([bold(index === 0 ? `${name}  ` : "   "), plain(text)], terminal)
  )

const about = (tree: TraceTree.TraceTree, status: TraceRun.Run["outcome"] | undefined): string => {
  const facts = TraceRun.facts(tree)
  const tokens = TraceRun.total(facts.tokens)
  const [root] = tree.roots
  const graphs = facts.runs.flatMap(({ graph }) => graph ?? [])
  // While a run goes on nobody knows of what graph it is.
  const service =
    facts.runs.length === 0 || root === undefined ? undefined : TraceTree.asText(root.span.resource["service.name"])
  const name = graphs.join(", ") || (service ?? root?.span.name ?? "empty")
  return [
    tree.traceId.slice(0, 8),
    name,
    root === undefined ? "" : outcomeWord(status ?? TraceTree.outcome(root.span)),
    duration(tree.durationNanos / 1e6),
    ...(tokens === undefined ? [] : [count(tokens, "token")]),
    dateTime(tree.startNanos)
  ].join(" · ")
}

const outcomeWord = (outcome: TraceRun.Run["outcome"]): string => (outcome === "error" ? "failed" : outcome)

const introduction = ({ by, graphs: [a, b] }: Difference): ReadonlyArray<string> =>
  by === "graphs"
    ? [`These are runs of different graphs, ${a.join(", ")} and ${b.join(", ")}: compared by the names of spans.`, ""]
    : by === "spans"
      ? [`No graph ran in ${a.length > 0 ? "b" : b.length > 0 ? "a" : "either"}: compared by the names of spans.`, ""]
      : []

const highlight = (cell: string): string =>
  cell === "" || cell === "=" ? "" : cell === "≠" ? yellow("").style : red("").style

const stepColumns: ReadonlyArray<CliTable.Column> = [
  { name: "", style: highlight },
  { name: "STEP", shrinks: 12 },
  { name: "WAY", shrinks: 10, gives: 2 },
  { name: "TIME A", align: "right", gives: 1 },
  { name: "TIME B", align: "right", gives: 1 },
  { name: "CHANGE", align: "right", gives: 3 },
  { name: "TOKENS A", align: "right", gives: 4 },
  { name: "TOKENS B", align: "right", gives: 4 },
  { name: "ENDED", gives: 5 }
]

const spanColumns: ReadonlyArray<CliTable.Column> = stepColumns.map((column) =>
  column.name === "STEP"
    ? { ...column, name: "SPANS" }
    : column.name === "WAY"
      ? { ...column, name: "COUNT", shrinks: undefined }
      : column
)

const cells =
  (steps: boolean) =>
  ({ a, b, differs, name }: Row): ReadonlyArray<string> => [
    a === undefined ? "+" : b === undefined ? "-" : differs.length > 0 ? "≠" : "=",
    name,
    steps
      ? both(a?.route, b?.route)
      : both(a === undefined ? "0" : String(a.attempts), b === undefined ? "0" : String(b.attempts)),
    a === undefined ? "" : duration(a.durationNanos / 1e6),
    b === undefined ? "" : duration(b.durationNanos / 1e6),
    a === undefined || b === undefined ? "" : change(a.durationNanos, b.durationNanos),
    a?.tokens === undefined ? "" : String(a.tokens),
    b?.tokens === undefined ? "" : String(b.tokens),
    both(a && ended(a, steps), b && ended(b, steps))
  ]

const ended = ({ attempts, outcome }: Side, steps: boolean): string =>
  `${outcomeWord(outcome)}${steps && attempts > 1 ? ` after ${attempts} attempts` : ""}`

/** What both say, or what each of them does. */
const both = (a: string | undefined, b: string | undefined): string =>
  a === b || b === undefined ? (a ?? "") : a === undefined ? b : `${a} | ${b}`

/** How much longer or shorter: `+12 %`, `×3.1`. */
export const change = (a: number, b: number): string => {
  if (a === 0 || b === 0 || a === b) {
    return a === b ? "=" : ""
  }
  const factor = b / a
  const percent = Math.round((factor - 1) * 100)
  return factor >= 2
    ? `×${factor >= 100 ? Math.round(factor) : factor.toFixed(1)}`
    : percent === 0
      ? "="
      : `${percent > 0 ? "+" : "−"}${Math.abs(percent)} %`
}

const conclusion = ({ by, parting, rows }: Difference, running: boolean): ReadonlyArray<string> => {
  if (by !== "steps") {
    return []
  }
  const slower = rows
    .flatMap(({ a, b, name }) =>
      a === undefined || b === undefined ? [] : [{ name, nanos: b.durationNanos - a.durationNanos }]
    )
    .toSorted((one, other) => Math.abs(other.nanos) - Math.abs(one.nanos))[0]
  const way =
    parting === undefined
      ? `Both went the same way${running ? " so far" : ""}.`
      : parting.a === undefined
        ? `The ways part at ${parting.name}, which only b visited.`
        : parting.b === undefined
          ? `The ways part at ${parting.name}, which only a visited.`
          : `The ways part at ${parting.name}: ${parting.a.route ?? "no decision"} in a, ${parting.b.route ?? "no decision"} in b.`
  return [
    way,
    ...(slower === undefined || slower.nanos === 0
      ? []
      : [
          `The greatest difference in time is at ${slower.name}: ${duration(Math.abs(slower.nanos) / 1e6)} ${slower.nanos > 0 ? "more" : "less"} in b.`
        ])
  ]
}
