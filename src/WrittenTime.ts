/**
 * Durations and moments as people write them, at a command and in a page.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000
}

/** A duration as people write it, in milliseconds: `500ms`, `1.5s`, `10m`, `2h`, `7d`. */
export const durationMillis = (text: string): Option.Option<number> => {
  const [, number = "", unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text) ?? []
  const millis = Number(number) * (units[unit.toLowerCase()] ?? Number.NaN)
  return Number.isFinite(millis) && number !== "" ? Option.some(millis) : Option.none()
}

/** A moment as people write it: so long ago, or by the clock on the wall here. */
export type Moment = { readonly agoMillis: number } | { readonly atMillis: number }

/** `2h` ago, `2026-11-28`, `2026-11-28 13:00`, or ISO 8601 with a zone. */
export const moment = (text: string): Option.Option<Moment> => {
  const ago = durationMillis(text)
  if (Option.isSome(ago)) {
    return Option.some({ agoMillis: ago.value })
  }
  // A date without a time would be one of UTC.
  const local = /^\s*(\d{4}-\d{2}-\d{2})\s*$/.exec(text)?.[1]
  const millis = /^\s*\d{4}-\d{2}-\d{2}(?:[T ]|\s*$)/.test(text)
    ? Date.parse(local === undefined ? text.trim().replace(" ", "T") : `${local}T00:00`)
    : Number.NaN
  const day = text.trim().slice(0, 10)
  // February 30 would be March 2.
  const isDay = !Number.isNaN(millis) && new Date(`${day}T00:00Z`).toISOString().startsWith(day)
  return isDay ? Option.some({ atMillis: millis }) : Option.none()
}
