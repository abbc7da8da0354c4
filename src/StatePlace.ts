/**
 * Where on disk things of the user are kept: whether at all, and in which file or folder.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { boolean, ours, type Sourced, TelemetryConfigError, variable } from "./EnvironmentValues.ts"

/** What is kept, and where. */
export interface Place<out Own> {
  /** What the program said beyond yes; all of it absent where it said no more. */
  readonly own: Partial<Own>
  readonly path: string
  /** Whether that is where commands look by themselves. */
  readonly usual: boolean
}

/**
 * Works out whether something is kept, and where: as the program says, else as the variable says, else as is usual
 * (`byDefault`), as far as there is a folder. Fails with `TelemetryConfigError` when the variable is wrong, or when there is
 * no folder for what was asked for.
 */
export const resolve = Effect.fnUntraced(function* <Own extends object>(given: {
  readonly option: boolean | Own | undefined
  readonly byDefault: boolean
  /** The name of the option, and of the variable that says true or false. */
  readonly setting: string
  readonly variable: string
  /** Where it is kept when the program names no place; `undefined` when the user has no home. */
  readonly usual: Effect.Effect<string | undefined, TelemetryConfigError>
  readonly pathOf: (own: Partial<Own>) => string | undefined
}): Effect.fn.Return<Sourced<Place<Own> | undefined>, TelemetryConfigError> {
  const { option } = given
  const inEnvironment = yield* ours(given.variable, "true or false", boolean)
  const { source, value } =
    option === undefined
      ? (inEnvironment ?? { value: given.byDefault, source: "default" })
      : { value: option, source: "flag/program" }
  if (value === false) {
    return { value: undefined, source }
  }
  const own: Partial<Own> = value === true ? {} : value
  const usual = yield* given.usual
  const path = given.pathOf(own) ?? usual
  if (path !== undefined) {
    return { source, value: { own, path, usual: path === usual } }
  }
  return source === "default"
    ? { value: undefined, source }
    : yield* new TelemetryConfigError({
        setting: option === undefined ? given.variable : given.setting,
        allowed: "false where neither TINYLLM_HOME nor HOME names a folder",
        received: "true"
      })
})

/**
 * The folder for what belongs to the user and to this machine: `TINYLLM_HOME`, else `tinyllm` in `XDG_STATE_HOME`, else
 * in what the platform has for that.
 * https://specifications.freedesktop.org/basedir/latest/
 */
export const state = Effect.fnUntraced(function* (
  platform: NodeJS.Platform
): Effect.fn.Return<string | undefined, TelemetryConfigError> {
  const own = yield* ours("TINYLLM_HOME", "an absolute path", (text) =>
    isAbsolute(text) ? Option.some(text) : Option.none()
  )
  if (own !== undefined) {
    return own.value
  }
  // The specification has relative paths ignored.
  const path = (name: string) =>
    Effect.map(variable(name), (text) => (text !== undefined && isAbsolute(text.value) ? text.value : undefined))
  const within = (folder: string | undefined, rest: string) => (folder === undefined ? undefined : folder + rest)
  const home = yield* path("HOME")
  const xdg = within(yield* path("XDG_STATE_HOME"), "/tinyllm")
  if (xdg !== undefined) {
    return xdg
  }
  switch (platform) {
    case "win32":
      return (
        within(yield* path("LOCALAPPDATA"), "/tinyllm") ?? within(yield* path("USERPROFILE"), "/AppData/Local/tinyllm")
      )
    case "darwin":
      return within(home, "/Library/Application Support/tinyllm")
    default:
      return within(home, "/.local/state/tinyllm")
  }
})

/** Whether a path is absolute, of POSIX or of Windows. */
export const isAbsolute = (path: string): boolean => /^(?:\/|\\\\|[a-z]:[\\/])/i.test(path)
