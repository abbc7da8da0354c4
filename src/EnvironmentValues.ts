/**
 * One environment variable, decoded by the rules of its family.
 *
 * `TINYLLM_*`: wrong is refused. `OTEL_*`: wrong is reported and ignored. Empty is unset in both. The SDK has its own
 * readers, but they tell upper case from lower, take a negative queue size and drop every span without a word.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Endpoint from "./Endpoint.ts"
import { redact } from "./Redaction.ts"

/** A setting of tracing is wrong. */
export class TelemetryConfigError extends Schema.TaggedError<TelemetryConfigError>()("TelemetryConfigError", {
  /** The field, or the variable. */
  setting: Schema.String,
  /** What it may be; the settings that there are, where there is none of that name. */
  allowed: Schema.String,
  /** What it is; left out where there is no such setting. */
  received: Schema.optional(Schema.String)
}) {
  override get message() {
    return this.received === undefined
      ? `${this.setting} is no option; options are ${this.allowed}.`
      : `${this.setting} must be ${this.allowed}, but got ${this.received}.`
  }
}

/** A value, and what set it: `flag/program`, the name of a variable, or `default`. */
export interface Sourced<out A> {
  readonly value: A
  readonly source: string
}

/** Takes what was wrong and ignored: the variable, its value, what it must be, and what is done instead. */
export type Warn = (name: string, value: string, expected: string, instead: string) => void

/** A variable as text; empty counts as unset. The rules below decide what the text means, not those of `Config`. */
export const variable = (name: string): Effect.Effect<Sourced<string> | undefined, TelemetryConfigError> =>
  Config.option(Config.String(name)).pipe(
    Effect.mapError(
      (error) => new TelemetryConfigError({ setting: name, allowed: "readable", received: String(error.message) })
    ),
    Effect.map((text) => {
      const value = Option.isSome(text) ? text.value.trim() : ""
      return value === "" ? undefined : { value, source: name }
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// TINYLLM_*
// ---------------------------------------------------------------------------------------------------------------------

/** A variable of ours. */
export const ours = <A>(
  name: string,
  allowed: string,
  decode: (text: string) => Option.Option<A>
): Effect.Effect<Sourced<A> | undefined, TelemetryConfigError> =>
  Effect.flatMap(variable(name), (text) => {
    if (text === undefined) {
      return Effect.undefined
    }
    const value = decode(text.value)
    return Option.isSome(value)
      ? Effect.succeed({ value: value.value, source: name })
      : Effect.fail(new TelemetryConfigError({ setting: name, allowed, received: `"${redact(text.value)}"` }))
  })

/** An address in a variable of ours. */
export const ourEndpoint = (
  name: string,
  reading: Endpoint.Reading
): Effect.Effect<Sourced<Endpoint.Endpoint> | undefined, TelemetryConfigError> =>
  Effect.flatMap(variable(name), (text) =>
    text === undefined
      ? Effect.undefined
      : Result.match(Endpoint.parse(text.value, reading), {
          onFailure: (reason) =>
            Effect.fail(
              new TelemetryConfigError({
                setting: name,
                allowed: Endpoint.allowed,
                received: `"${Endpoint.shown(text.value)}": ${reason}`
              })
            ),
          onSuccess: (value) => Effect.succeed({ value, source: name })
        })
  )

/** Words for yes and no, in any case. */
export const boolean = (text: string): Option.Option<boolean> => {
  const lower = text.toLowerCase()
  return ["true", "yes", "on", "1"].includes(lower)
    ? Option.some(true)
    : ["false", "no", "off", "0"].includes(lower)
      ? Option.some(false)
      : Option.none()
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i

/** A number from 0 to 1. */
export const rate = (text: string): Option.Option<number> => {
  const value = decimal.test(text) ? Number(text) : Number.NaN
  return value >= 0 && value <= 1 ? Option.some(value) : Option.none()
}

// ---------------------------------------------------------------------------------------------------------------------
// OTEL_*
// ---------------------------------------------------------------------------------------------------------------------

/** `true` in any case is true; everything else is false. */
export const otelBoolean = (
  name: string,
  warn: Warn
): Effect.Effect<Sourced<boolean> | undefined, TelemetryConfigError> =>
  Effect.map(variable(name), (text) => {
    const lower = text?.value.toLowerCase()
    if (text !== undefined && lower !== "true" && lower !== "false") {
      warn(name, text.value, "true or false", "taken as false")
    }
    return text === undefined ? undefined : { value: lower === "true", source: name }
  })

/** An address. */
export const otelEndpoint = (
  name: string,
  reading: Endpoint.Reading,
  warn: Warn
): Effect.Effect<Sourced<Endpoint.Endpoint> | undefined, TelemetryConfigError> =>
  Effect.map(variable(name), (text) => {
    if (text === undefined) {
      return undefined
    }
    const parsed = Endpoint.parse(text.value, reading)
    if (Result.isSuccess(parsed)) {
      return { value: parsed.success, source: name }
    }
    warn(name, Endpoint.shown(text.value), Endpoint.allowed, parsed.failure)
    return undefined
  })

/** One of some words, in any case. */
export const otelChoice = <const A extends string>(
  name: string,
  choices: ReadonlyArray<A>,
  instead: string,
  warn: Warn
): Effect.Effect<Sourced<A> | undefined, TelemetryConfigError> =>
  Effect.map(variable(name), (text) => {
    const choice = choices.find((choice) => choice === text?.value.toLowerCase())
    if (text !== undefined && choice === undefined) {
      warn(name, text.value, anyOf(choices), instead)
    }
    return choice === undefined ? undefined : { value: choice, source: name }
  })

const anyOf = (choices: ReadonlyArray<string>): string =>
  `${choices.slice(0, -1).join(", ")}${choices.length > 1 ? " or " : ""}${choices.at(-1)}`

/** A list of words with commas between, in any case and each once; `none` is the empty list. Other words are reported. */
export const otelList = <const A extends string>(
  name: string,
  choices: ReadonlyArray<A>,
  instead: string,
  warn: Warn
): Effect.Effect<Sourced<ReadonlyArray<A>> | undefined, TelemetryConfigError> =>
  Effect.map(variable(name), (text) => {
    const words = (text?.value.toLowerCase().split(",") ?? []).map((word) => word.trim()).filter((word) => word !== "")
    for (const word of words.filter((word) => word !== "none" && !choices.some((choice) => choice === word))) {
      warn(name, word, `${choices.join(", ")}, none or a list of them`, instead)
    }
    const known = Array.from(new Set(words)).flatMap((word) => choices.find((choice) => choice === word) ?? [])
    return known.length > 0 || words.includes("none") ? { value: known, source: name } : undefined
  })

/** A whole number that is not less than `minimum`. */
export const whole = (
  name: string,
  minimum: number,
  warn: Warn
): Effect.Effect<Sourced<number> | undefined, TelemetryConfigError> =>
  Effect.map(variable(name), (text) => {
    if (text === undefined) {
      return undefined
    }
    const value = /^\d+$/.test(text.value) ? Number(text.value) : Number.NaN
    if (value >= minimum && Number.isSafeInteger(value)) {
      return { value, source: name }
    }
    warn(name, text.value, `a whole number from ${minimum}`, "the default is used")
    return undefined
  })

// What a timer of Node can hold; more would be one millisecond.
const maximumMillis = 2 ** 31 - 1

/** A time in milliseconds. */
export const millis = (
  name: string,
  minimum: number,
  warn: Warn
): Effect.Effect<Sourced<number> | undefined, TelemetryConfigError> =>
  Effect.map(whole(name, minimum, warn), (given) =>
    given === undefined ? undefined : { ...given, value: Math.min(given.value, maximumMillis) }
  )

/** The first of some variables that says something; all are read, so that each wrong one is reported. */
export const firstOf = <A>(
  ...variables: ReadonlyArray<Effect.Effect<Sourced<A> | undefined, TelemetryConfigError>>
): Effect.Effect<Sourced<A> | undefined, TelemetryConfigError> =>
  Effect.map(Effect.all(variables), (given) => given.find((sourced) => sourced !== undefined))

/**
 * Pairs such as `a=1,b=two%20words`, percent-encoded; `undefined` when one of them is wrong, since nobody knows what
 * was meant. What comes after the first `=` of a pair is left to the caller.
 */
export const pairs = (text: string): ReadonlyArray<readonly [key: string, value: string]> | undefined => {
  const members = text.split(",").filter((member) => member.trim() !== "")
  const decoded = members.flatMap((member) => {
    const [, key = "", value = ""] = /^\s*([^=]*[^=\s])\s*=\s*(.*?)\s*$/s.exec(member) ?? []
    const pair = Result.try(() => [decodeURIComponent(key), decodeURIComponent(value)] as const)
    return key !== "" && Result.isSuccess(pair) ? [pair.success] : []
  })
  return decoded.length === members.length ? decoded : undefined
}
