/**
 * Writes a file as a whole: it is there with all that belongs into it, or not at all. A device or a pipe is written into.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { CommandFailed } from "./CliError.ts"
import { harmless } from "./TerminalText.ts"

/** Writes text to a file. One that is there is replaced only with `force`. Fails with one line for a person. */
export const write = Effect.fnUntraced(function* (name: string, text: string, options: { readonly force: boolean }) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const taken = new CommandFailed({
    text: `${harmless(name)} is there already. Write --force to replace it, or name another file.`,
    exitCode: 2
  })
  const failed = (reason: { readonly _tag: string; readonly message: string }) =>
    new CommandFailed({ text: `${harmless(name)} could not be written: ${words(reason)}.`, exitCode: 1 })
  if (name === "") {
    return yield* new CommandFailed({ text: "The file to write has no name. Name one.", exitCode: 2 })
  }
  // Where a link leads, so that the link stays.
  const file = yield* Effect.orElseSucceed(files.realPath(name), () => name)
  const there = yield* Effect.orElseSucceed(files.stat(file), () => undefined)
  if (there?.type === "Directory") {
    return yield* new CommandFailed({ text: `${harmless(name)} is a folder. Name a file in it.`, exitCode: 2 })
  }
  if (there !== undefined && there.type !== "File") {
    return yield* Effect.mapError(files.writeFileString(file, text), ({ reason }) => failed(reason))
  }
  // Before the work, for the message; what comes in between is seen below.
  if (!options.force && there !== undefined) {
    return yield* taken
  }
  const suffix = globalThis.crypto.randomUUID().slice(0, 8)
  const beside = path.join(path.dirname(file), `.${path.basename(file)}.${suffix}`)
  yield* Effect.gen(function* () {
    yield* files.writeFileString(beside, text, { flag: "wx" })
    if (options.force) {
      return yield* files.rename(beside, file)
    }
    // Unlike a renaming, this fails where somebody else has made the file since. Not every file system can do it.
    return yield* Effect.catchIf(
      files.link(beside, file),
      ({ reason }) => reason._tag !== "AlreadyExists",
      () => files.rename(beside, file)
    )
  }).pipe(
    Effect.ensuring(Effect.ignore(files.remove(beside))),
    Effect.mapError(({ reason }) => (reason._tag === "AlreadyExists" ? taken : failed(reason)))
  )
})

const words = (reason: { readonly _tag: string; readonly message: string }): string =>
  reason._tag === "NotFound"
    ? "its folder is not there"
    : reason._tag === "PermissionDenied"
      ? "permission is denied"
      : harmless(reason.message)
