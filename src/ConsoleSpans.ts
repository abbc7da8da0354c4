/**
 * Finished spans to the console: collects those of a trace until its root has ended, and prints them as a tree; or
 * prints each as a line of JSON at once.
 *
 * @since 0.1.0
 */
import type { HrTime } from "@opentelemetry/api"
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as SpanPrinter from "./SpanPrinter.ts"

// A service that never ends a root must not fill the memory: at this many the tree is printed as far as it is known.
const maximumSpans = 10_000

const widthElsewhere = 100

/** Makes the processor. */
export const make = (options: {
  readonly format: "tree" | "json"
  readonly colour: boolean
  /** The width of the terminal; `undefined` when it is none. Asked at every tree, since windows change. */
  readonly columns: () => number | undefined
  readonly write: (text: string) => void
}): SpanProcessor => {
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
    onStart: () => {},
    onEnd: (span) => {
      if ((span.spanContext().traceFlags & 1) === 0) {
        return
      }
      const record = toRecord(span)
      if (options.format === "json") {
        options.write(`${SpanPrinter.json(record)}\n`)
        return
      }
      const spans = traces.get(record.traceId) ?? []
      traces.set(record.traceId, spans)
      spans.push(record)
      held += 1
      if (span.parentSpanContext === undefined || span.parentSpanContext.isRemote === true) {
        print(record.traceId)
      } else if (held > maximumSpans) {
        void printAll()
      }
    },
    forceFlush: () => Promise.resolve(),
    // What is left has lost its root, which some other program or a cancelled fiber kept.
    shutdown: printAll
  }
}

const kinds = ["internal", "server", "client", "producer", "consumer"] as const
const codes = ["unset", "ok", "error"] as const

const toRecord = (span: ReadableSpan): SpanPrinter.SpanRecord => ({
  traceId: span.spanContext().traceId,
  spanId: span.spanContext().spanId,
  parentId: span.parentSpanContext?.spanId,
  name: span.name,
  kind: kinds[span.kind] ?? "internal",
  startTime: nanos(span.startTime),
  endTime: nanos(span.endTime),
  status: { code: codes[span.status.code] ?? "unset", message: span.status.message },
  attributes: span.attributes,
  events: span.events.map((event) => ({
    name: event.name,
    time: nanos(event.time),
    attributes: event.attributes ?? {}
  }))
})

const nanos = ([seconds, nanos]: HrTime): bigint => BigInt(seconds) * 1_000_000_000n + BigInt(nanos)
