/**
 * Whether traces are kept in the local store, where, how many, for how long and in how much room.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ours, TelemetryConfigError } from "./EnvironmentValues.ts"
import type { Sourced } from "./EnvironmentValues.ts"
import * as StatePlace from "./StatePlace.ts"
import type { Keeping } from "./TraceSummary.ts"

/** How many traces are kept where nobody says another number, for how long, and in how much room. */
export const keeping: Keeping = { maximumTraces: 1000, maximumAge: Duration.days(30), maximumBytes: 2 ** 30 }

const maximumTraces = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

// A store with nothing in it has some 60 000.
const leastBytes = 1_000_000

const age = (input: unknown): Option.Option<Duration.Duration> =>
  Option.filter(Duration.fromInput(input as Duration.Input), (duration) => Duration.toMillis(duration) > 0)

/** What a program may say: on or off, or on with a file and bounds of its own. */
export const StoreOption = Schema.Union([
  Schema.Boolean,
  Schema.Struct({
    /** The database, as an absolute path; by default `traces.db` in the folder of the user's state. */
    file: Schema.optional(Schema.String.check(Schema.makeFilter(StatePlace.isAbsolute))),
    /** How many traces are kept; 1 000 by default. */
    maximumTraces: Schema.optional(maximumTraces),
    /** How long a trace is kept; `"30 days"` by default. */
    maximumAge: Schema.optional(Schema.declare((input): input is Duration.Input => Option.isSome(age(input)))),
    /** How many bytes all of them may take, 1 000 000 at least; 1 GiB by default. */
    maximumBytes: Schema.optional(Schema.Int.check(Schema.isGreaterThanOrEqualTo(leastBytes)))
  })
])
export type StoreOption = typeof StoreOption.Type

/** What the option must be, for messages. */
export const allowed = `true, false, or an object with file (an absolute path), maximumTraces, maximumAge ("30 days"), maximumBytes (${leastBytes} or more)`

/** Where traces are kept, and how many. */
export interface Settings {
  readonly file: string
  /** Whether that is the file in which `tinyllm trace` looks. */
  readonly usual: boolean
  readonly keeping: Keeping
}

/**
 * Works it out. Without a word in the program or in `TINYLLM_STORE`, `byDefault` holds, as far as there is a folder.
 *
 * Fails with `TelemetryConfigError` when a `TINYLLM_*` variable is wrong, or there is no folder for what was asked for.
 */
export const resolve = Effect.fnUntraced(function* (
  option: StoreOption | undefined,
  byDefault: boolean
): Effect.fn.Return<Sourced<Settings | undefined>, TelemetryConfigError> {
  const bounds = yield* keepingInEnvironment
  const { source, value } = yield* StatePlace.resolve({
    option,
    byDefault,
    setting: "store",
    variable: "TINYLLM_STORE",
    usual: usualFile,
    pathOf: (own) => own.file
  })
  return {
    source,
    value: value && {
      file: value.path,
      usual: value.usual,
      keeping: {
        maximumTraces: value.own.maximumTraces ?? bounds.maximumTraces,
        maximumAge: value.own.maximumAge ?? bounds.maximumAge,
        maximumBytes: value.own.maximumBytes ?? bounds.maximumBytes
      }
    }
  }
})

/** The store in which the commands look. Fails where there is no folder for it. */
export const usual: Effect.Effect<Settings, TelemetryConfigError> = Effect.gen(function* () {
  const file = yield* usualFile
  return file === undefined
    ? yield* new TelemetryConfigError({
        setting: "TINYLLM_HOME",
        allowed: "an absolute path where HOME names no folder",
        received: "nothing"
      })
    : { file, usual: true, keeping: yield* keepingInEnvironment }
})

const usualFile = Effect.suspend(() =>
  Effect.map(StatePlace.state(process.platform), (folder) => (folder === undefined ? undefined : `${folder}/traces.db`))
)

const keepingInEnvironment = Effect.gen(function* (): Effect.fn.Return<Keeping, TelemetryConfigError> {
  const traces = yield* ours("TINYLLM_STORE_MAX_TRACES", "an integer of 1 or more", (text) =>
    /^\d{1,9}$/.test(text) && Number(text) >= 1 ? Option.some(Number(text)) : Option.none()
  )
  const maximumAge = yield* ours("TINYLLM_STORE_MAX_AGE", `a duration such as "30 days"`, age)
  const bytes = yield* ours("TINYLLM_STORE_MAX_BYTES", `an integer of ${leastBytes} or more`, (text) =>
    /^\d{1,15}$/.test(text) && Number(text) >= leastBytes ? Option.some(Number(text)) : Option.none()
  )
  return {
    maximumTraces: traces?.value ?? keeping.maximumTraces,
    maximumAge: maximumAge?.value ?? keeping.maximumAge,
    maximumBytes: bytes?.value ?? keeping.maximumBytes
  }
})
