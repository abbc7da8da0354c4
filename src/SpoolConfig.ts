/**
 * Whether spans that no collector takes are kept on disk, and where.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Sourced, TelemetryConfigError } from "./EnvironmentValues.ts"
import * as StatePlace from "./StatePlace.ts"

/** What a program may say: on or off, or on with a folder and bounds of its own. */
export const SpoolOption = Schema.Union([
  Schema.Boolean,
  Schema.Struct({
    /** The folder for the files, as an absolute path; by default `spool` in the folder of the user's state. */
    directory: Schema.optional(Schema.String.check(Schema.makeFilter((path) => StatePlace.isAbsolute(path)))),
    /** What all files together may take; 256 MiB by default, some 300 000 spans of a graph. */
    maximumBytes: Schema.optional(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))),
    /** How many files there may be; 4096 by default. One file is one batch, such as all spans of a short run. */
    maximumFiles: Schema.optional(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)))
  })
])
export type SpoolOption = typeof SpoolOption.Type

/** What the option must be, for messages. */
export const allowed = "true, false, or an object with directory (an absolute path), maximumBytes, maximumFiles"

/** Where files go, and how much room they may take. When it is full, the oldest give way. */
export interface Settings {
  readonly directory: string
  /** Whether that is the folder in which `tinyllm trace push` looks by itself. */
  readonly usual: boolean
  readonly maximumBytes: number
  readonly maximumFiles: number
}

const maximumBytes = 256 * 1024 * 1024
const maximumFiles = 4096

/**
 * Works it out. Without a word in the program or in `TINYLLM_SPOOL`, `byDefault` holds, as far as there is a folder.
 *
 * Fails with `TelemetryConfigError` when a `TINYLLM_*` variable is wrong, or there is no folder for what was asked for.
 */
export const resolve = Effect.fnUntraced(function* (
  option: SpoolOption | undefined,
  byDefault: boolean
): Effect.fn.Return<Sourced<Settings | undefined>, TelemetryConfigError> {
  const { source, value } = yield* StatePlace.resolve({
    option,
    byDefault,
    setting: "spool",
    variable: "TINYLLM_SPOOL",
    usual: directory,
    pathOf: (own) => own.directory
  })
  return {
    source,
    value: value && {
      directory: value.path,
      usual: value.usual,
      maximumBytes: value.own.maximumBytes ?? maximumBytes,
      maximumFiles: value.own.maximumFiles ?? maximumFiles
    }
  }
})

/** The command that sends what is in a spool. `to` are flags that say where to, where a flag or the program said so. */
export const pushCommand = (settings: Settings | undefined, to: string): string => {
  const directory = settings === undefined || settings.usual ? "" : ` --directory ${word(settings.directory)}`
  return `tinyllm trace push${to}${directory}`
}

const word = (text: string): string => (/^[\w./:\\@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)

/** The folder of the spool where nobody names another one; `undefined` when the user has no home. */
export const directory: Effect.Effect<string | undefined, TelemetryConfigError> = Effect.suspend(() =>
  Effect.map(StatePlace.state(process.platform), (folder) => (folder === undefined ? undefined : `${folder}/spool`))
)
