/** The scale of the waterfall: moments at round distances, and what stands at them. */
import type { Span } from "./zoom.ts"

export interface Tick {
  /** Nanoseconds after the start of the trace. */
  readonly at: number
  readonly text: string
}

/** About so many, each as exact as it takes to tell it from the next one. */
export const ticks = ({ from, to }: Span, about: number): ReadonlyArray<Tick> => {
  const distance = round(Math.max(1, (to - from) / Math.max(1, about)))
  const first = Math.ceil(from / distance)
  return Array.from({ length: Math.max(0, Math.floor(to / distance) - first + 1) }, (_, index) => {
    const at = (first + index) * distance
    return { at, text: written(at, distance) }
  })
}

const second = 1e9
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

// From ten seconds to a day, round is what a clock has.
const distances = [
  ...[15, 20, 30].map((count) => count * second),
  ...[1, 2, 5, 10, 15, 20, 30].map((count) => count * minute),
  ...[1, 2, 3, 6, 12].map((count) => count * hour)
]

/** The shortest round distance that is no shorter than that. */
const round = (least: number): number =>
  least <= 10 * second
    ? decimal(least)
    : (distances.find((distance) => distance >= least) ?? decimal(least / day) * day)

const decimal = (least: number): number => {
  const power = 10 ** Math.floor(Math.log10(least))
  return ([1, 2, 5].find((factor) => factor * power >= least) ?? 10) * power
}

const long = [
  [day, "d"],
  [hour, "h"],
  [minute, "min"]
] as const

const short = [
  [second, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
  [1, "ns"]
] as const

const written = (at: number, distance: number): string => {
  const parts: Array<string> = []
  let rest = at
  for (const [size, unit] of long) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) {
      parts.push(`${count} ${unit}`)
    }
  }
  // After minutes only seconds: nobody reads "1 min 200 ms".
  const [size, unit] = (parts.length > 0 ? undefined : short.find(([size]) => rest >= size)) ?? short[0]
  const digits = Math.max(0, Math.ceil(Math.log10(size / distance)))
  if (rest > 0) {
    parts.push(`${Number((rest / size).toFixed(digits))} ${unit}`)
  }
  return at === 0 ? "0" : parts.join(" ")
}
