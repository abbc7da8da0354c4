/**
 * Finished spans to the console: collects those of a trace until its root has ended, and prints them as a tree; or
 * prints each as a line of JSON at once.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import type { RecordedSpan } from "./RecordedSpan.ts"
import * as SpanPrinter from "./SpanPrinter.ts"
import type { Sink } from "./Sink.ts"

// Spans that are held at most, apart from those above them. A service that never ends a root must not fill the memory.
const maximumSpans = 10_000

// A trace of so many gives up some of its own when there is no room; smaller ones are printed as far as they are known.
const largeTrace = 1000

// Failed spans that a trace gives up last.
const maximumFailed = 1000

/** The width of a terminal that says it has no columns at all. */
const widthUnknown = 100

interface Trace {
  spans: Array<SpanPrinter.SpanRecord>
  notShown: number
}

/** Makes the sink. */
export const make = (options: {
  readonly format: "tree" | "json"
  readonly colour: boolean
  /** The width of the terminal; `undefined` when it is none. Asked at every tree, since windows change. */
  readonly columns: () => number | undefined
  readonly write: (text: string) => void
}): Sink => {
  const traces = new Map<string, Trace>()
  let held = 0

  const print = (traceId: string): void => {
    const trace = traces.get(traceId)
    if (trace !== undefined) {
      traces.delete(traceId)
      held -= trace.spans.length
      const columns = options.columns()
      const width = columns === 0 ? widthUnknown : columns
      options.write(SpanPrinter.tree(trace.spans, { width, colour: options.colour, notShown: trace.notShown }))
    }
  }

  const printAll = (): Promise<void> => {
    for (const traceId of Array.from(traces.keys())) {
      print(traceId)
    }
    return Promise.resolve()
  }

  const makeRoom = (): void => {
    while (held > 0.9 * maximumSpans) {
      let largest: Trace = { spans: [], notShown: 0 }
      for (const trace of traces.values()) {
        largest = trace.spans.length > largest.spans.length ? trace : largest
      }
      const kept = largest.spans.length < largeTrace ? largest.spans : beginning(largest.spans)
      const dropped = largest.spans.length - kept.length
      const [oldest] = traces.keys()
      if (dropped < largeTrace / 10 && oldest !== undefined) {
        print(oldest)
      } else {
        held -= dropped
        largest.notShown += dropped
        largest.spans = kept
      }
    }
  }

  return {
    onEnd: (span) => {
      const record = toRecord(span.guarded())
      if (options.format === "json") {
        options.write(`${SpanPrinter.json(record)}\n`)
        return
      }
      const trace = traces.get(record.traceId) ?? { spans: [], notShown: 0 }
      traces.set(record.traceId, trace)
      trace.spans.push(record)
      held += 1
      if (span.isLocalRoot) {
        print(record.traceId)
      } else if (held > maximumSpans) {
        makeRoom()
      }
    },
    // What has no root yet would be printed in pieces.
    flush: () => Promise.resolve(),
    // What is left has lost its root, which some other program or a cancelled fiber kept.
    shutdown: printAll
  }
}

/** The first half of the spans, those that failed, and those above them, so that it is still one tree. */
const beginning = (spans: ReadonlyArray<SpanPrinter.SpanRecord>): Array<SpanPrinter.SpanRecord> => {
  const byId = new Map(spans.map((span) => [span.spanId, span]))
  const kept = new Set<SpanPrinter.SpanRecord>()
  const keep = (span: SpanPrinter.SpanRecord | undefined): void => {
    for (let above = span; above !== undefined && !kept.has(above);) {
      kept.add(above)
      above = above.parentId === undefined ? undefined : byId.get(above.parentId)
    }
  }
  spans.slice(0, spans.length / 2).forEach(keep)
  spans
    .filter((span) => span.status.code === "error")
    .slice(0, maximumFailed)
    .forEach(keep)
  return spans.filter((span) => kept.has(span))
}

const toRecord = (span: RecordedSpan): SpanPrinter.SpanRecord => ({
  traceId: span.traceId,
  spanId: span.spanId,
  parentId: Option.getOrUndefined(span.parent)?.spanId,
  name: span.name,
  kind: span.kind,
  startTime: span.startTime,
  endTime: span.endTime ?? span.startTime,
  status: span.failed
    ? { code: "error", message: span.statusMessage === "" ? undefined : span.statusMessage }
    : { code: span.ok ? "ok" : "unset" },
  attributes: span.values,
  events: span.events
})
