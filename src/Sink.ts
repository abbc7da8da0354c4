/**
 * A place for ended spans: the console, or the way to an exporter.
 *
 * @since 0.1.0
 */
import type { RecordedSpan } from "./RecordedSpan.ts"

/** A place for spans that have ended. None of the functions fails. */
export interface Sink {
  /** Takes a span that is sampled. */
  readonly onEnd: (span: RecordedSpan) => void
  /** Hears of spans that were recorded for it and that it will not get. */
  readonly onLost?: (spans: number, reason: string) => void
  /** Hands on what has ended so far, and waits until it has arrived. */
  readonly flush: () => Promise<void>
  /** The program ends: hands on what it holds. */
  readonly shutdown: () => Promise<void>
}

/** Somebody who looks at spans, whether they are sampled or not, but for those that are hidden. Neither function fails. */
export interface Observer {
  /** Looks at a span that has just been made, and has no attributes yet. */
  readonly onStart: (span: RecordedSpan) => void
  /** Looks at a span that has ended. It must not change it. */
  readonly onEnd: (span: RecordedSpan) => void
}
