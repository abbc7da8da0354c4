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

// A service that never ends a root must not fill the memory: at this many the tree is printed as far as it is known.
const maximumSpans = 10_000

const widthElsewhere = 100

/** Makes the sink. */
export const make = (options: {
  readonly format: "tree" | "json"
  readonly colour: boolean
  /** The width of the terminal; `undefined` when it is none. Asked at every tree, since windows change. */
  readonly columns: () => number | undefined
  readonly write: (text: string) => void
}): Sink => {
  const traces = new Map<string, Array<SpanPrinter.SpanRecord>>()
  let held = 0

  const print = (traceId: string): void => {
    const spans = traces.get(traceId) ?? []
    traces.delete(traceId)
    held -= spans.length
    if (spans.length > 0) {
      // Some terminals say that they have no columns at all.
      const width = options.columns() || widthElsewhere
      options.write(SpanPrinter.tree(spans, { width, colour: options.colour }))
    }
  }

  const printAll = (): Promise<void> => {
    for (const traceId of Array.from(traces.keys())) {
      print(traceId)
    }
    return Promise.resolve()
  }

  return {
    onEnd: (span) => {
      const record = toRecord(span.guarded())
      if (options.format === "json") {
        options.write(`${SpanPrinter.json(record)}\n`)
        return
      }
      const spans = traces.get(record.traceId) ?? []
      traces.set(record.traceId, spans)
      spans.push(record)
      held += 1
      if (span.isLocalRoot) {
        print(record.traceId)
      } else if (held > maximumSpans) {
        void printAll()
      }
    },
    // What has no root yet would be printed in pieces.
    flush: () => Promise.resolve(),
    // What is left has lost its root, which some other program or a cancelled fiber kept.
    shutdown: printAll
  }
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
    : { code: "unset" },
  attributes: span.values,
  events: span.events
})
