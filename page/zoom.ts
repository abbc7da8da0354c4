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

/** Moments at round distances, about so many. */
export const ticks = ({ from, to }: Span, about: number): ReadonlyArray<number> => {
  const raw = (to - from) / Math.max(1, about)
  const power = 10 ** Math.floor(Math.log10(raw))
  const distance = ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power
  const first = Math.ceil(from / distance)
  return Array.from(
    { length: Math.max(0, Math.floor(to / distance) - first + 1) },
    (_, index) => (first + index) * distance
  )
}
