/**
 * Traces in a table, a row for each. Pure: summaries in, lines out.
 *
 * @since 0.1.0
 */
import * as CliTable from "./CliTable.ts"
import { cyan, dateTime, duration, red, type Terminal, yellow } from "./TerminalText.ts"
import { isoTime, tokensText } from "./TraceSpanText.ts"
import type { TraceSummary } from "./TraceSummary.ts"

const statusStyle = (cell: string): string =>
  (cell === "failed" ? red("") : cell === "running" ? cyan("") : cell === "interrupted" ? yellow("") : { style: "" })
    .style

// The higher, the sooner it gives way where a terminal is narrow. What was asked is cut before that.
const columns: ReadonlyArray<CliTable.Column> = [
  { name: "TRACE" },
  { name: "TIME", gives: 3 },
  { name: "GRAPH", gives: 6, shrinks: 12 },
  { name: "STATUS", gives: 1, style: statusStyle },
  { name: "DURATION", align: "right", gives: 2 },
  { name: "NODES", align: "right", gives: 8 },
  { name: "TOKENS", align: "right", gives: 5 },
  { name: "MODEL", gives: 7, shrinks: 14 },
  { name: "QUERY", gives: 4, shrinks: 12 }
]

/**
 * The table. Where the terminal has a width, ids are as short as they can be and tell these traces apart, and times are as
 * short as they are clear at the time `nowNanos`; else both are whole.
 */
export const draw = (
  traces: ReadonlyArray<TraceSummary>,
  nowNanos: bigint,
  terminal: Terminal
): { readonly text: string; readonly leftOut: ReadonlyArray<string> } => {
  const isShort = terminal.width !== undefined
  const idLength = isShort ? shortest(traces.map(({ traceId }) => traceId)) : undefined
  const today = dateTime(nowNanos).slice(0, 10)
  return CliTable.table(
    columns,
    traces.map((trace) => {
      const time = dateTime(trace.startNanos)
      return [
        trace.traceId.slice(0, idLength),
        isShort && time.startsWith(today) ? time.slice(11) : time,
        // Programs without graphs are told by what they call themselves.
        trace.graph ?? trace.service ?? trace.rootName,
        statusText(trace),
        trace.status === "running" ? "" : duration(Number(trace.endNanos - trace.startNanos) / 1e6),
        trace.nodes === undefined ? "" : String(trace.nodes),
        tokensText({ input: trace.inputTokens, output: trace.outputTokens }),
        trace.models.join(", "),
        trace.query ?? (trace.graph === undefined ? trace.rootName : "")
      ]
    }),
    terminal
  )
}

/** How a trace ended, in the words that people read. */
export const statusText = ({ status }: Pick<TraceSummary, "status">): string => (status === "error" ? "failed" : status)

const fewest = 8

/** How many digits tell all ids apart, 8 at least. */
const shortest = (ids: ReadonlyArray<string>): number => {
  const sorted = ids.toSorted()
  return sorted.reduce((most, id, index) => Math.max(most, shared(id, sorted[index + 1] ?? "") + 1), fewest)
}

const shared = (a: string, b: string): number => {
  let length = 0
  while (length < a.length && a[length] === b[length]) {
    length++
  }
  return length
}

/** A trace as programs read it. */
export const toJson = (trace: TraceSummary) => ({
  traceId: trace.traceId,
  startTime: isoTime(trace.startNanos),
  durationMs: trace.status === "running" ? null : millis(trace.endNanos - trace.startNanos),
  status: trace.status,
  error: trace.error ?? null,
  service: trace.service ?? null,
  rootName: trace.rootName,
  graph: trace.graph ?? null,
  query: trace.query ?? null,
  nodes: trace.nodes ?? null,
  spans: trace.spans,
  failedSpans: trace.failedSpans,
  inputTokens: trace.inputTokens ?? null,
  outputTokens: trace.outputTokens ?? null,
  models: trace.models
})

/** Nanoseconds as milliseconds, to the microsecond. */
export const millis = (nanos: bigint): number => Number(nanos / 1000n) / 1000
