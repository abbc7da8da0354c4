/**
 * How patient a client is, checked: time limits, calls at a time, repetitions.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { LayerOptions } from "./OllamaService.ts"

/** Among the options of a layer: its time limits, calls at a time, and how often requests are made again. */
export type Options = Pick<
  LayerOptions,
  "firstRecordTimeout" | "idleTimeout" | "totalTimeout" | "permitsPerModel" | "retry"
>

/** The same, complete, times in milliseconds. */
export interface Patience {
  readonly permitsPerModel: number
  readonly firstRecordTimeout: number
  readonly idleTimeout: number
  readonly totalTimeout: number | undefined
  readonly retry: { readonly times: number; readonly base: number; readonly cap: number }
}

/** Works it out. A value that makes no sense throws a `RangeError` that names the option. */
export const make = (options: Options): Patience => {
  const { retry = {} } = options
  const times = retry.times ?? 3
  if (!(times >= 0 && (Number.isSafeInteger(times) || times === Infinity))) {
    throw new RangeError(`Ollama: retry.times must be an integer >= 0 or Infinity, got ${times}`)
  }
  const permitsPerModel = options.permitsPerModel ?? 1
  if (permitsPerModel !== Infinity && !(Number.isSafeInteger(permitsPerModel) && permitsPerModel >= 1)) {
    throw new RangeError(`Ollama: permitsPerModel must be an integer >= 1 or Infinity, got ${permitsPerModel}`)
  }
  return {
    permitsPerModel,
    firstRecordTimeout: limit("firstRecordTimeout", options.firstRecordTimeout) ?? 15 * 60_000,
    idleTimeout: limit("idleTimeout", options.idleTimeout) ?? 5 * 60_000,
    totalTimeout: limit("totalTimeout", options.totalTimeout),
    retry: { times, base: pause("retry.base", retry.base) ?? 500, cap: pause("retry.cap", retry.cap) ?? 5000 }
  }
}

const limit = (option: string, input: Duration.Input | undefined): number | undefined =>
  millis(option, input, (millis) => millis > 0, "a duration above 0")

const pause = (option: string, input: Duration.Input | undefined): number | undefined =>
  millis(option, input, (millis) => millis >= 0, "a duration")

const millis = (
  option: string,
  input: Duration.Input | undefined,
  isFit: (millis: number) => boolean,
  allowed: string
): number | undefined => {
  if (input === undefined) {
    return undefined
  }
  const millis = Option.getOrUndefined(Option.map(Duration.fromInput(input), Duration.toMillis))
  if (millis === undefined || !isFit(millis)) {
    throw new RangeError(
      `Ollama: ${option} must be ${allowed}, such as "5 minutes", got ${typeof input === "bigint" || typeof input === "number" ? input : JSON.stringify(input)}`
    )
  }
  return millis
}
