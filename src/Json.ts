/**
 * JSON that may be none.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

/** An object of JSON, and no list. */
export interface JsonObject {
  readonly [key: string]: unknown
}

/** The value that a text holds; `undefined` where it is no JSON. */
export const parse = (text: string): unknown =>
  Result.getOrElse(
    Result.try((): unknown => JSON.parse(text)),
    () => undefined
  )

export const isJson = (text: string): boolean => parse(text) !== undefined

export const isObject = (value: unknown): value is JsonObject => Predicate.isObject(value) && !Array.isArray(value)
