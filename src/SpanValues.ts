/**
 * What a span, an event or a link holds: values in OpenTelemetry's types, no more of them than are allowed.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Attribute from "./Attribute.ts"
import type * as SpanGuard from "./SpanGuard.ts"

/** Attributes by their names. Without a prototype, every key is one's own, `__proto__` too. */
export type Values = Record<string, Attribute.AttributeValue>

// Made by a constructor they are as fast as other objects, which those of `Object.create(null)` are not.
const Empty = function () {} as unknown as new () => Values
Empty.prototype = Object.create(null)

/** No attributes yet. */
export const newValues = (): Values => new Empty()

const unreadable = "[unreadable]"

/** Any value in OpenTelemetry's types; `undefined` for nothing. */
export const readable = (value: unknown): Attribute.AttributeValue | undefined =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? value
    : Result.getOrElse(
        Result.try(() => Attribute.normalize(value)),
        () => unreadable
      )

const none: Values = Object.freeze(newValues())

/** The attributes of an event or a link, `countLimit` of them at most. Whatever they throw when they are read stays here. */
export const readableAll = (
  given: Readonly<Record<string, unknown>> | undefined,
  countLimit: number,
  guard: SpanGuard.Guard
): { readonly values: Values; readonly dropped: number } => {
  if (given === undefined) {
    return { values: none, dropped: 0 }
  }
  const values = newValues()
  let count = 0
  let dropped = 0
  // Whatever is given may throw when it is read. Asked for every event, so without a closure.
  try {
    for (const key of Object.keys(given)) {
      const normal = readable(given[key])
      if (normal === undefined) {
        continue
      }
      if (count >= countLimit) {
        dropped++
        continue
      }
      count++
      values[key] = typeof normal === "number" || typeof normal === "boolean" ? normal : guard.value(normal)
    }
  } catch {
    return { values: piecewise(given, countLimit), dropped }
  }
  return { values, dropped }
}

// Rarely, something throws: then each is tried by itself.
const piecewise = (given: Readonly<Record<string, unknown>>, countLimit: number): Values => {
  const values = newValues()
  const keys = Result.getOrElse(
    Result.try(() => Object.keys(given)),
    () => undefined
  )
  if (keys === undefined) {
    values["attributes"] = unreadable
  }
  for (const key of keys?.slice(0, countLimit) ?? []) {
    const value = Result.getOrElse(
      Result.try(() => readable(given[key])),
      () => unreadable
    )
    if (value !== undefined) {
      values[key] = value
    }
  }
  return values
}
