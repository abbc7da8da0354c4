/**
 * `tinyllm trace tail`: what runs do, as they do it, whichever process they are in.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as CliTable from "./CliTable.ts"
import type { TailFlags } from "./CliTraceFlags.ts"
import * as CliTraceStore from "./CliTraceStore.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import { harmless } from "./TerminalText.ts"
import * as TraceList from "./TraceList.ts"
import { TraceStore } from "./TraceStore.ts"
import * as TraceTail from "./TraceTail.ts"

/** Prints what comes into the store, until it is interrupted or its reader goes. */
export const tail = (flags: TailFlags) =>
  Effect.gen(function* () {
    const store = yield* TraceStore
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const watch = yield* TraceTail.make
    let watches = false
    yield* store.changes.pipe(
      Stream.runForEachWhile(() =>
        Effect.gen(function* () {
          // The width of a terminal may change meanwhile.
          const terminal = yield* CliTraceStore.terminal
          const news = yield* watch.look
          const text = news
            .flatMap((one) =>
              flags.json
                ? one.hasEnded
                  ? [CliTable.json(TraceList.toJson(one.summary))]
                  : []
                : TraceTail.draw(one, terminal).map((line) => `${line}\n`)
            )
            .join("")
          if (text !== "") {
            yield* stdout.write(text)
          }
          if (!watches) {
            watches = true
            stderr.write(`tinyllm: watching ${harmless(store.file)}; Ctrl-C ends it\n`)
          }
          return !stdout.isClosed()
        })
      )
    )
  }).pipe(CliTraceStore.provide)
