/**
 * When a server wants the next attempt, as it says over HTTP: seconds, or a date.
 *
 * https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
 *
 * @since 0.1.0
 */

/** Milliseconds from `now` (since 1970) until then, 0 or more; `undefined` where it says nothing that can be read. */
export const millis = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) {
    return undefined
  }
  const millis = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  return Number.isNaN(millis) ? undefined : Math.max(millis, 0)
}
