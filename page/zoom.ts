/** The part of a trace's time that is shown. */

/** Nanoseconds after the start of the trace. */
export interface Span {
  readonly from: number
  readonly to: number
}

// Less than this is shorter than what clocks tell apart.
const shortest = 1000

/** A span within the whole, at least a microsecond long. */
export const within = (whole: number, { from, to }: Span): Span => {
  const length = Math.min(whole, Math.max(Math.min(shortest, whole), to - from))
  const start = Math.min(Math.max(0, from), whole - length)
  return { from: start, to: start + length }
}

/** Zooms by a factor around a moment: more than 1 shows less. */
export const zoom = (whole: number, span: Span, factor: number, around = (span.from + span.to) / 2): Span => {
  const length = (span.to - span.from) / factor
  const share = (around - span.from) / (span.to - span.from)
  return within(whole, { from: around - share * length, to: around + (1 - share) * length })
}

/** Moves by a share of what is shown. */
export const pan = (whole: number, span: Span, share: number): Span => {
  const by = share * (span.to - span.from)
  return within(whole, { from: span.from + by, to: span.to + by })
}
