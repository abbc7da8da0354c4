/**
 * Keeps traces that one always wants: those that failed, and those that took long, whatever share of the rest is kept.
 *
 * Whether a trace failed is known when its root has ended. Until then the spans of a trace that the sampler did not
 * choose wait here, as many as there is room for. What a parent elsewhere has decided is obeyed all the same, and other
 * services are told "not sampled": of a trace that is kept afterwards, their part is not there.
 *
 * @since 0.1.0
 */
import { RecordedSpan, type Trace } from "./RecordedSpan.ts"
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
const idleMillis = 60_000

/** Why spans were lost that waited here. */
export const noRoom = "more traces were open at once than can wait for their end"

// Whether it is for us to keep a trace: a parent elsewhere that is not sampled is obeyed. One in this process, of another
// layer with a keeper, may yet be kept.
const isOpen = ({ origin }: Trace): boolean =>
  origin === undefined || origin.sampled || (origin instanceof RecordedSpan && origin.recording)

/** A place for all spans that are recorded, sampled or not, in front of the sinks. */
export interface Keeper {
  /** Whether spans of a trace are recorded that the sampler did not choose. */
  readonly wants: (trace: Trace) => boolean
  readonly onEnd: (span: RecordedSpan) => void
  /** Traces that wait for their end. */
  readonly open: () => { readonly traces: number; readonly spans: number }
}

/** Makes a keeper. `now` is a clock in milliseconds that does not go back. */
export const make = (
  options: Options,
  sinks: ReadonlyArray<Sink>,
  now: () => number = () => performance.now()
): Keeper => {
  const forward = (span: RecordedSpan): void => {
    for (const sink of sinks) {
      sink.onEnd(span)
    }
  }
  // Those that were idle for longest come first.
  const open = new Map<Trace, number>()
  let waiting = 0

  const close = (trace: Trace, kept: boolean): ReadonlyArray<RecordedSpan> => {
    const spans = trace.pending ?? []
    trace.kept = kept
    trace.pending = undefined
    waiting -= spans.length
    open.delete(trace)
    return spans
  }

  const evict = (trace: Trace): void => {
    const spans = close(trace, false)
    for (const sink of sinks) {
      sink.onLost?.(spans.length, noRoom)
    }
  }

  const makeRoom = (at: number): void => {
    for (const [trace, since] of open) {
      if (open.size <= maximumTraces && waiting <= maximumSpans && at - since <= idleMillis) {
        break
      }
      evict(trace)
    }
  }

  const isWanted = (root: RecordedSpan, spans: ReadonlyArray<RecordedSpan>): boolean =>
    (options.errors && (root.failed || spans.some((span) => span.failed))) ||
    (options.slowerThan !== undefined && (root.endTime ?? 0n) - root.startTime > options.slowerThan)

  return {
    wants: (trace) => isOpen(trace) && trace.kept !== false,
    onEnd: (span) => {
      const { trace } = span
      // What ends after its root goes where the root went.
      if (span.sampled || trace.kept === true) {
        forward(span)
      } else if (isOpen(trace) && trace.kept === undefined) {
        if (span.isLocalRoot) {
          const spans = close(trace, isWanted(span, trace.pending ?? []))
          if (trace.kept) {
            spans.forEach(forward)
            forward(span)
          }
        } else {
          trace.pending ??= []
          trace.pending.push(span)
          waiting++
          const at = now()
          open.delete(trace)
          open.set(trace, at)
          makeRoom(at)
        }
      }
    },
    open: () => ({ traces: open.size, spans: waiting })
  }
}
