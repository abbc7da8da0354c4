/**
 * `tinyllm trace ls`, `rm` and `prune`: which traces there are, and fewer of them.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CommandFailed } from "./CliError.ts"
import * as CliTable from "./CliTable.ts"
import type { ListFlags, PruneFlags, RemoveFlags } from "./CliTraceFlags.ts"
import type { Moment } from "./WrittenTime.ts"
import * as CliTraceStore from "./CliTraceStore.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import { count } from "./TerminalText.ts"
import * as TraceList from "./TraceList.ts"
import { isFull, TraceStore, type TraceStoreError } from "./TraceStore.ts"

/** Prints a table of the traces, the newest first. */
export const list = (flags: ListFlags) =>
  Effect.gen(function* () {
    const store = yield* TraceStore
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const traces = yield* store.list({
      failed: flags.failed,
      slowerThan: Option.getOrUndefined(Option.map(flags.slowerThan, Duration.millis)),
      graph: Option.getOrUndefined(flags.graph),
      sinceNanos: yield* sinceNanos(flags.since),
      limit: Option.getOrUndefined(flags.limit)
    })
    if (flags.json) {
      return yield* stdout.write(CliTable.json(traces.map(TraceList.toJson)))
    }
    if (traces.length === 0) {
      const filtered =
        flags.failed || [flags.slowerThan, flags.graph, flags.since].some((flag) => Option.isSome<unknown>(flag))
      return stderr.write(
        filtered
          ? "tinyllm: there is no such trace.\n"
          : `tinyllm: there are no traces yet. Make one, for example with tinyllm run "What is 2 + 2?" --demo --tracing\n`
      )
    }
    const now = yield* Clock.currentTimeNanos
    const { leftOut, text } = TraceList.draw(traces, now, yield* CliTraceStore.terminal)
    return yield* CliTraceStore.print({ lines: text.trimEnd().split("\n"), leftOut })
  }).pipe(CliTraceStore.provide)

/** A moment in nanoseconds since 1970. */
export const sinceNanos = Effect.fnUntraced(function* (since: Option.Option<Moment>) {
  if (Option.isNone(since)) {
    return undefined
  }
  const millis =
    "atMillis" in since.value ? since.value.atMillis : (yield* Clock.currentTimeMillis) - since.value.agoMillis
  return BigInt(Math.round(millis)) * 1_000_000n
})

/** Removes traces for good. Either all that were named are found, or none is removed. */
export const remove = (flags: RemoveFlags) =>
  Effect.gen(function* () {
    const store = yield* TraceStore
    const stdout = yield* Stdout
    if (flags.all === flags.ids.length > 0) {
      return yield* new CommandFailed({
        text: flags.all ? "Name traces, or write --all, not both." : "Name the traces to remove, or write --all --yes.",
        exitCode: 2
      })
    }
    if (flags.all && !flags.yes) {
      return yield* new CommandFailed({
        text: `This removes ${count((yield* store.list()).length, "trace")} for good. Write --yes if you mean it.`,
        exitCode: 2
      })
    }
    const removed = flags.all
      ? store.clear
      : Effect.forEach(flags.ids, (id) => store.resolve(id.trim())).pipe(
          Effect.flatMap((ids) => advising(store.remove(Array.from(new Set(ids)))))
        )
    return yield* stdout.write(`${count(yield* removed, "trace")} removed\n`)
  }).pipe(CliTraceStore.provide)

// Removing takes room for a moment, unless all goes.
const advising = <A>(removing: Effect.Effect<A, TraceStoreError>) =>
  Effect.mapError(removing, (error) =>
    isFull(error)
      ? new CommandFailed({
          text: `${error.message}; "tinyllm trace rm --all --yes" removes all traces there`,
          exitCode: 1
        })
      : error
  )

/** Removes the traces that are too old, or too many. */
export const prune = (flags: PruneFlags) =>
  Effect.gen(function* () {
    const store = yield* TraceStore
    const stdout = yield* Stdout
    const removed = yield* advising(
      store.prune({
        ...(Option.isSome(flags.keep) ? { maximumTraces: flags.keep.value } : {}),
        ...(Option.isSome(flags.olderThan) ? { maximumAge: Duration.millis(flags.olderThan.value) } : {})
      })
    )
    yield* stdout.write(`${count(removed, "trace")} removed\n`)
  }).pipe(CliTraceStore.provide)
