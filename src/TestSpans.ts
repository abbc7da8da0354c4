/**
 * Spans in memory, for tests.
 *
 * @since 0.1.0
 */
import type * as EffectTracer from "effect/Tracer"
import { RecordedSpan } from "./RecordedSpan.ts"
import type { Sink } from "./Sink.ts"
import * as SpanSnapshot from "./SpanSnapshot.ts"
import type { StoredSpan, Values } from "./StoredSpan.ts"
import type { SpanTree } from "./TraceComparison.ts"

/** Spans in memory. */
export interface TestSpans {
  /** Takes those that have ended and are sampled, of a service with these attributes. */
  readonly sink: (resource: Values) => Sink
  /** A tracer that lets it know of spans when they start: with a clock of tests, that alone says which one was first. */
  readonly noticing: (tracer: EffectTracer.Tracer) => EffectTracer.Tracer
  readonly ended: () => ReadonlyArray<StoredSpan>
  readonly trees: () => ReadonlyArray<SpanTree>
  /** Forgets those that have ended. */
  readonly clear: () => void
  /** How many have come so far. */
  readonly count: () => number
  /** Calls once when there are more than so many: now, or when the next one comes. What it gives takes that back. */
  readonly whenMore: (than: number, listener: () => void) => () => void
}

/** No spans yet. */
export const make = (): TestSpans => {
  let resource: Values = {}
  let count = 0
  const started = new Set<RecordedSpan>()
  const ended = new Map<RecordedSpan, StoredSpan>()
  const listeners = new Set<() => void>()
  // A span that has ended and did not come was not sampled, or may still be kept: it is not known which.
  const isOpen = (span: RecordedSpan) => span.endTime === undefined && span.recording
  const snapshots = () =>
    [...started].flatMap((span) => {
      const stored = ended.get(span) ?? (isOpen(span) ? SpanSnapshot.make(span, resource) : undefined)
      return stored === undefined ? [] : [{ span: stored, ended: ended.has(span) }]
    })
  return {
    sink: (given) => {
      resource = given
      return {
        onEnd: (span) => {
          count++
          started.add(span)
          ended.set(span, SpanSnapshot.make(span, resource))
          const waiting = [...listeners]
          listeners.clear()
          for (const listener of waiting) {
            listener()
          }
        },
        flush: () => Promise.resolve(),
        shutdown: () => Promise.resolve()
      }
    },
    noticing: (tracer) => ({
      ...tracer,
      span: (options) => {
        const span = tracer.span(options)
        if (span instanceof RecordedSpan && !span.hidden) {
          started.add(span)
        }
        return span
      }
    }),
    ended: () =>
      snapshots()
        .filter(({ ended }) => ended)
        .map(({ span }) => span),
    trees: () => {
      const all = snapshots()
      const ids = new Set(all.map(({ span }) => span.spanId))
      const parentOf = ({ span: { parentSpanId } }: (typeof all)[number]) =>
        parentSpanId !== undefined && ids.has(parentSpanId) ? parentSpanId : ""
      const children = Map.groupBy(all, parentOf)
      const treesOf = (parent: string): ReadonlyArray<SpanTree> =>
        (children.get(parent) ?? []).map((snapshot) => ({ ...snapshot, children: treesOf(snapshot.span.spanId) }))
      return treesOf("")
    },
    clear: () => {
      for (const span of started) {
        if (!isOpen(span)) {
          started.delete(span)
        }
      }
      ended.clear()
    },
    count: () => count,
    whenMore: (than, listener) => {
      if (count > than) {
        listener()
      } else {
        listeners.add(listener)
      }
      return () => void listeners.delete(listener)
    }
  }
}
