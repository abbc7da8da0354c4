/**
 * `tinyllm ui`: the traces of this machine as a page that shows what comes, until Ctrl-C.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { failed } from "./CliError.ts"
import type { UiFlags } from "./CliFlags.ts"
import * as NodePages from "./NodePages.ts"
import { harmless } from "./SpanPrinter.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import * as TracePage from "./TracePage.ts"
import { TraceStore } from "./TraceStore.ts"
import * as TraceUi from "./TraceUi.ts"
import * as TraceUiViews from "./TraceUiViews.ts"

// Beside those of OTLP, 4317 and 4318.
const usualPort = 4319

/**
 * Serves the page, prints its address, and opens it where a person watches. Without `--port` it takes 4319, or a free
 * port where that is taken. Fails with 1 when a port that was asked for cannot be had.
 */
export const ui = (flags: UiFlags) =>
  Effect.gen(function* () {
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const store = yield* TraceStore
    const html = yield* TracePage.shell("ui")
    const content: TraceUi.Content = {
      page: html.replace("<!--title-->", "Traces · TinyLLM").replace("<!--data-->", ""),
      view: (wanted) => TraceUiViews.view(store, wanted),
      changes: store.changes
    }
    const server = yield* Option.match(flags.port, {
      onSome: (port) => TraceUi.serve(content, port),
      onNone: () =>
        TraceUi.serve(content, usualPort).pipe(
          Effect.catchIf(
            ({ isTaken }) => isTaken,
            () => TraceUi.serve(content, 0)
          )
        )
    })
    yield* stdout.write(`${server.url}\n`)
    if (stderr.isTerminal) {
      stderr.write("tinyllm: the page shows what comes while this runs. Ctrl-C ends it.\n")
    }
    if (flags.open && stdout.isTerminal) {
      const problem = yield* NodePages.show(yield* server.once)
      if (problem !== undefined) {
        stderr.write(`tinyllm: nothing opened the page: ${harmless(problem)}. Open its address in a browser.\n`)
      }
    }
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(TraceStore.layerConfig), Effect.mapError(failed))
