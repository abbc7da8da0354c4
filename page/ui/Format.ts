/**
 * Numbers and times for people, beside those that every page has.
 */
export { duration, integer, line } from "../format.ts"

/** A share from 0 to 1. */
export const percent = (share: number): string => (share > 0 && share < 0.01 ? "<1 %" : `${Math.round(share * 100)} %`)

const two = (number: number): string => String(number).padStart(2, "0")

/** When something was, in the time of this place: today by the clock, before by the day. */
export const time = (millis: number, now: number): string => {
  const date = new Date(millis)
  const today = new Date(now)
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}`
  return date.toDateString() === today.toDateString()
    ? `${clock}:${two(date.getSeconds())}`
    : `${date.getDate()} ${months[date.getMonth()]} ${date.getFullYear() === today.getFullYear() ? clock : date.getFullYear()}`
}

const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ")

const day = (date: Date): string => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`

/** All of a time, for whoever wants to know exactly. */
export const exactTime = (millis: number): string => {
  const date = new Date(millis)
  return `${day(date)} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`
}
