/**
 * Numbers and times for people.
 */

/** Milliseconds as a duration of three digits at most: `0.4 ms`, `12 ms`, `1.25 s`, `3 min 20 s`. */
export const duration = (millis: number): string => {
  if (millis < 9.95) {
    return `${millis.toFixed(1)} ms`
  }
  if (millis < 999.5) {
    return `${Math.round(millis)} ms`
  }
  const seconds = millis / 1000
  if (seconds < 59.95) {
    return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`
  }
  const whole = Math.round(seconds)
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`
}

/** A number with its thousands apart, by a space that does not break. */
export const count = (number: number): string => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f")

/** A share from 0 to 1. */
export const percent = (share: number): string => (share > 0 && share < 0.01 ? "<1 %" : `${Math.round(share * 100)} %`)

const two = (number: number): string => String(number).padStart(2, "0")

/** When something was, in the time of this place: without the day where it is today. */
export const time = (millis: number, now: number): string => {
  const date = new Date(millis)
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return date.toDateString() === new Date(now).toDateString() ? clock : `${day(date)} ${clock}`
}

const day = (date: Date): string => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`

/** All of a time, for whoever wants to know exactly. */
export const exactTime = (millis: number): string => {
  const date = new Date(millis)
  return `${day(date)} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`
}
