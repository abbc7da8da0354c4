/**
 * `tinyllm trace open`: a stored trace as a page in the browser.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { CommandFailed } from "./CliError.ts"
import type { OpenFlags } from "./CliTraceFlags.ts"
import * as CliTraceStore from "./CliTraceStore.ts"
import * as NodePages from "./NodePages.ts"
import * as OutputFile from "./OutputFile.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import { harmless } from "./TerminalText.ts"
import * as TracePage from "./TracePage.ts"
import { TraceStore } from "./TraceStore.ts"

/**
 * Writes the page of a trace and opens it. Its path goes to standard output; that nothing opened it is said on standard
 * error, and is no failure.
 */
export const open = (flags: OpenFlags) =>
  Effect.gen(function* () {
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const store = yield* TraceStore
    const file = Option.getOrUndefined(flags.output)
    if (file === undefined && flags.force) {
      return yield* new CommandFailed({ text: "--force replaces a file: name it with --output.", exitCode: 2 })
    }
    const traceId = yield* store.resolve(flags.id.trim())
    const html = yield* TracePage.render(yield* store.read(traceId), (yield* store.summary(traceId)).status)
    const path =
      file === undefined
        ? yield* NodePages.write(html, `trace-${traceId.slice(0, 16)}.html`)
        : (yield* Path.Path).resolve(file)
    if (file !== undefined) {
      yield* OutputFile.write(file, html, { force: flags.force })
    }
    yield* stdout.write(`${path}\n`)
    const problem = flags.open ? yield* NodePages.show(path) : undefined
    if (problem !== undefined) {
      stderr.write(`tinyllm: the page is written but not opened: ${harmless(problem)}. Open the file in a browser.\n`)
    }
    return undefined
  }).pipe(CliTraceStore.provide)
