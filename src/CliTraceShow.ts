/**
 * `tinyllm trace show`, `diff` and `stats`: traces to look at.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CommandFailed } from "./CliError.ts"
import * as CliTable from "./CliTable.ts"
import type { DiffFlags, ShowFlags, StatsFlags } from "./CliTraceFlags.ts"
import { sinceNanos } from "./CliTraceList.ts"
import * as CliTraceStore from "./CliTraceStore.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import * as TraceDiff from "./TraceDiff.ts"
import * as TraceJson from "./TraceJson.ts"
import * as TraceMermaid from "./TraceMermaid.ts"
import * as TraceStats from "./TraceStats.ts"
import { TraceStore } from "./TraceStore.ts"
import * as TraceTree from "./TraceTree.ts"
import * as TraceWaterfall from "./TraceWaterfall.ts"

/** Prints one trace: as a waterfall, as JSON, or as a Mermaid flowchart. */
export const show = (flags: ShowFlags) =>
  Effect.gen(function* () {
    const stdout = yield* Stdout
    if (flags.json && flags.mermaid) {
      return yield* new CommandFailed({ text: "Write --json or --mermaid, not both.", exitCode: 2 })
    }
    const tree = yield* CliTraceStore.read(flags.id)
    if (flags.json) {
      return yield* stdout.write(CliTable.json(TraceJson.toJson(tree)))
    }
    if (flags.mermaid) {
      return yield* stdout.write(`${TraceMermaid.draw(tree)}\n`)
    }
    const { attributes, events } = flags
    const status = yield* CliTraceStore.statusOf(tree)
    const drawn = TraceWaterfall.draw(tree, { ...(yield* CliTraceStore.terminal), attributes, events, status })
    return yield* CliTraceStore.print(drawn)
  }).pipe(CliTraceStore.provide)

/** Prints what differs between two traces. */
export const diff = (flags: DiffFlags) =>
  Effect.gen(function* () {
    const stdout = yield* Stdout
    const a = yield* CliTraceStore.read(flags.a)
    const b = yield* CliTraceStore.read(flags.b)
    if (flags.json) {
      return yield* stdout.write(CliTable.json(TraceJson.difference(a, b)))
    }
    const statuses = [yield* CliTraceStore.statusOf(a), yield* CliTraceStore.statusOf(b)] as const
    return yield* CliTraceStore.print(TraceDiff.draw(a, b, yield* CliTraceStore.terminal, statuses))
  }).pipe(CliTraceStore.provide)

/** Prints many traces in numbers. */
export const stats = (flags: StatsFlags) =>
  Effect.gen(function* () {
    const store = yield* TraceStore
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const traces = yield* store.list({
      graph: Option.getOrUndefined(flags.graph),
      sinceNanos: yield* sinceNanos(flags.since)
    })
    const collector = TraceStats.collector()
    for (const { traceId } of traces) {
      // What was listed a moment ago may have been removed since.
      const spans = yield* Effect.catchIf(
        store.read(traceId),
        ({ reason }) => reason._tag === "TraceNotFound",
        () => Effect.succeed([])
      )
      if (spans.length > 0) {
        collector.add(TraceTree.make(spans))
      }
    }
    const numbers = collector.stats()
    if (flags.json) {
      return yield* stdout.write(CliTable.json(TraceJson.stats(numbers)))
    }
    if (numbers.traces === 0) {
      return stderr.write("tinyllm: there are no traces to count.\n")
    }
    return yield* CliTraceStore.print(TraceStats.draw(numbers, yield* CliTraceStore.terminal))
  }).pipe(CliTraceStore.provide)
