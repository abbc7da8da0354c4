/**
 * When a server wants the next attempt, as it says over HTTP: seconds, or a date.
 *
 * https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
 *
 * @since 0.1.0
 */

/** Milliseconds from `now` (since 1970) until then, 0 or more; `undefined` where it says nothing that can be read. */
export const millis = (header: string | undefined, now: number): number | undefined => {
  const text = header?.trim() ?? ""
  if (/^\d+$/.test(text)) {
    return Number(text) * 1000
  }
  // Other dates, and other numbers, are read by `Date.parse` too, each time as something else.
  const date = /^[A-Z][a-z]+, .*GMT$/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(date - now, 0)
}
