/**
 * Keeps traces that one always wants: those that failed, and those that took long, whatever share of the rest is kept.
 *
 * Whether a trace failed is known when its root has ended. Until then the spans of a trace that the sampler did not
 * choose wait here, as many as there is room for; a trace that is known to be wanted goes out at once, and so does all
 * that follows of it. What a parent elsewhere has decided is obeyed all the same, and other services are told "not
 * sampled": of a trace that is kept afterwards, their part is not there.
 *
 * @since 0.1.0
 */
import { RecordedSpan, type Gone, type Trace } from "./RecordedSpan.ts"
import type { Sink } from "./Sink.ts"

/** Which traces are kept in any case. */
export interface Options {
  /** Those with a span that failed. */
  readonly errors: boolean
  /** Those whose root took longer, in nanoseconds; `undefined` for none. */
  readonly slowerThan: bigint | undefined
}

// Every trace that is open costs memory, and some roots never end.
const maximumTraces = 1000
const maximumSpans = 10_000

// Why spans were lost that waited here.
const reasons = {
  traces: "more traces were open at once than can wait for their end",
  spans: "more spans waited for the end of their traces than there is room for",
  end: "their traces had not ended when the program did, so that nobody knew whether to keep them"
}

// Whether it is for us to keep a trace: a parent elsewhere that is not sampled is obeyed. One in this process, of another
// layer with a keeper, may yet be kept.
const isOpen = ({ origin }: Trace): boolean =>
  origin === undefined || origin.sampled || (origin instanceof RecordedSpan && origin.recording)

/** A place for all spans that are recorded, sampled or not, in front of the sinks. */
export interface Keeper {
  /** Whether spans of a trace are recorded that the sampler did not choose. */
  readonly wants: (trace: Trace) => boolean
  readonly onEnd: (span: RecordedSpan) => void
  /** The program ends, at a time in nanoseconds since 1970: nothing waits any longer. The sinks still take spans. */
  readonly end: (time: bigint) => void
}

/** Makes a keeper. */
export const make = (options: Options, sinks: ReadonlyArray<Sink>): Keeper => {
  const forward = (span: RecordedSpan): void => {
    for (const sink of sinks) {
      sink.onEnd(span)
    }
  }
  const lose = (spans: number, reason: string): void => {
    if (spans > 0) {
      for (const sink of sinks) {
        sink.onLost?.(spans, reason)
      }
    }
  }
  // Those with spans that wait. Those that were idle for longest come first.
  const open = new Set<Trace>()
  let waiting = 0
  // Spans that gave way, of traces of which nobody knows yet whether they are wanted.
  const undecided = { traces: 0, spans: 0 }
  let over = false

  const decide = (trace: Trace, kept: boolean): void => {
    const { gone, pending } = trace
    trace.kept = kept
    trace.pending = undefined
    trace.gone = undefined
    if (pending !== undefined) {
      waiting -= pending.length
      open.delete(trace)
      if (kept) {
        pending.forEach(forward)
      }
    }
    if (gone !== undefined && !over) {
      for (const cause of ["traces", "spans"] as const) {
        undecided[cause] -= gone[cause]
        // What gave way of a trace that nobody wants is no loss.
        lose(kept ? gone[cause] : 0, reasons[cause])
      }
    }
  }

  const giveWay = (trace: Trace, spans: number, cause: Gone["latest"]): void => {
    trace.gone ??= { traces: 0, spans: 0, latest: cause }
    trace.gone[cause] += spans
    trace.gone.latest = cause
    undecided[cause] += spans
  }

  const isSlow = (trace: Trace, at: bigint): boolean =>
    options.slowerThan !== undefined && at - trace.startTime > options.slowerThan

  const makeRoom = (span: RecordedSpan, at: bigint): void => {
    for (const trace of open) {
      if (open.size <= maximumTraces && waiting <= maximumSpans) {
        break
      }
      const cause = open.size > maximumTraces ? "traces" : "spans"
      const pending = trace.pending ?? []
      if (isSlow(trace, at)) {
        decide(trace, true)
      } else if (trace === span.trace) {
        // It is the only one that waits. What it has stays, and is kept if it is wanted in the end.
        pending.pop()
        waiting--
        giveWay(trace, 1, cause)
      } else {
        giveWay(trace, pending.length, cause)
        waiting -= pending.length
        trace.pending = undefined
        open.delete(trace)
      }
    }
  }

  const hold = (span: RecordedSpan, at: bigint): void => {
    const { trace } = span
    if (trace.gone !== undefined && trace.pending === undefined) {
      // Others have its place now: a few traces that are whole are worth more than many in pieces.
      giveWay(trace, 1, trace.gone.latest)
      return
    }
    trace.pending ??= []
    trace.pending.push(span)
    waiting++
    open.delete(trace)
    open.add(trace)
    makeRoom(span, at)
  }

  return {
    wants: (trace) => isOpen(trace) && trace.kept !== false,
    onEnd: (span) => {
      const { trace } = span
      const at = span.endTime ?? span.startTime
      // What ends after its root goes where the root went.
      if (trace.kept === undefined && isOpen(trace)) {
        if ((options.errors && span.failed) || isSlow(trace, at)) {
          decide(trace, true)
        } else if (span.isLocalRoot) {
          decide(trace, false)
        }
      }
      if (span.sampled || trace.kept === true) {
        forward(span)
      } else if (trace.kept === undefined && !over && isOpen(trace)) {
        hold(span, at)
      }
    },
    end: (time) => {
      // From now on what gave way is a loss, whatever becomes of the rest of its trace.
      over = true
      for (const trace of open) {
        const spans = trace.pending?.length ?? 0
        const kept = isSlow(trace, time)
        if (!kept) {
          lose(spans, reasons.end)
        }
        decide(trace, kept)
      }
      lose(undecided.traces, reasons.traces)
      lose(undecided.spans, reasons.spans)
    }
  }
}
