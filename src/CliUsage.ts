/**
 * What is wrong with a command line, in a line for the person who typed it.
 *
 * What may be a query is not repeated: standard error ends up in logs. The value of a flag is, or nobody would find what
 * is wrong with it.
 *
 * @since 0.1.0
 */
import type * as EffectCliError from "effect/cli/CliError"
import * as Param from "effect/cli/Param"
import * as Predicate from "effect/Predicate"
import { harmless } from "./TerminalText.ts"

/** The flags and arguments of a command. */
export type Parameters = Readonly<Record<string, Param.Any>>

/**
 * What is wrong with a word that begins with a dash and is no flag; `undefined` where nothing is. To every parser there
 * is, `-1h` is two flags, and one of them asks for help.
 */
export const dashed = (args: ReadonlyArray<string>, commands: ReadonlyArray<Parameters>): string | undefined => {
  const end = args.indexOf("--")
  const words = args.slice(0, end === -1 ? args.length : end)
  const [command = ""] = words
  const asks = command === "run" || command.startsWith("-")
  const withValue = valued(commands)
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? ""
    if (withValue.has(word)) {
      const value = words[index + 1] ?? ""
      if (/^-[^-]/.test(value) && !isNumber(value)) {
        return `The value of ${word} begins with a dash, so it is read as a flag. Write it as ${word}=…`
      }
      index += value.startsWith("--") ? 0 : 1
    } else if (/^-(\d|[^=]*\s)/.test(word) && (asks || !isNumber(word))) {
      return asks
        ? `The query begins with a dash, so it is read as a flag. Write it last, after "--": tinyllm run -- "…".`
        : `An argument begins with a dash, so it is read as a flag. Write it last, after "--".`
    }
  }
  return undefined
}

/** The flags that take the word after them, as they are written. */
const valued = (commands: ReadonlyArray<Parameters>): ReadonlySet<string> =>
  new Set(
    commands
      .flatMap((parameters) => Object.values(parameters))
      .map(innermost)
      .filter((param) => param !== undefined)
      .filter(({ kind, primitiveType }) => kind === "flag" && primitiveType._tag !== "Boolean")
      .flatMap(({ aliases, name }) => [`--${name}`, ...aliases.map((alias) => `-${alias}`)])
  )

/** What is parsed, before anything is made of it. */
const innermost = (param: Param.Any): Param.Single<Param.ParamKind, unknown> | undefined =>
  Param.isSingle(param)
    ? param
    : Predicate.hasProperty(param, "param") && Param.isParam(param.param)
      ? innermost(param.param)
      : undefined

const isNumber = (word: string): boolean => Number.isFinite(Number(word))

/** What a parser says of it, in one line. */
export const oneLine = (error: EffectCliError.CliError, commandPath: ReadonlyArray<string>): string => {
  const path = commandPath.join(" ")
  if (error._tag === "UnexpectedArgument") {
    return commandPath.at(-1) === "run"
      ? `There is more than one query. Write one of several words in quotes, and flags before "--".`
      : `"${path}" takes fewer arguments.`
  }
  if (error._tag === "UnknownSubcommand") {
    const { subcommand } = error
    // To a short word every short command is near.
    const suggestions = error.suggestions.filter((name) => Array.from(name).some((char) => subcommand.includes(char)))
    // What is near to no command may be a query, whose command was forgotten.
    const isQuery = commandPath.length === 1 && suggestions.length === 0
    const what =
      isQuery || /\s/.test(subcommand) ? "There is no such command" : `There is no command "${path} ${subcommand}"`
    return harmless(`${what}.${nearest(suggestions)}${isQuery ? ` To ask something, write tinyllm run "…".` : ""}`)
  }
  if (error._tag === "UnrecognizedOption" && error.suggestions.length > 0) {
    return harmless(`Unrecognized flag: ${error.option} in command ${path}.${nearest(error.suggestions)}`)
  }
  return harmless(error.message.trim())
}

const nearest = (suggestions: ReadonlyArray<string>): string =>
  suggestions.length === 0 ? "" : ` Did you mean ${suggestions.join(" or ")}?`
