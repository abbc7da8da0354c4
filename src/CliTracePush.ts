/**
 * `tinyllm trace push <id>`: sends a stored trace to a collector, every span byte for byte as it was recorded.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CommandFailed } from "./CliError.ts"
import type { PushFlags } from "./CliTraceFlags.ts"
import { collectorOf } from "./CliTrace.ts"
import * as CliTraceStore from "./CliTraceStore.ts"
import * as OtlpBatches from "./OtlpBatches.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import * as Telemetry from "./Telemetry.ts"
import { count, harmless } from "./TerminalText.ts"
import { TraceStore } from "./TraceStore.ts"

/** Sends a trace, and says what became of it. The trace stays in the store. Fails when spans of it were not taken. */
export const push = (id: string, flags: PushFlags) =>
  Effect.gen(function* () {
    const store = yield* TraceStore
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    if (Option.isSome(flags.directory)) {
      return yield* new CommandFailed({
        text: "--directory is for spans that no collector took, without the id of a trace.",
        exitCode: 2
      })
    }
    const traceId = yield* store.resolve(id.trim())
    const batches = yield* Effect.fromResult(OtlpBatches.make(yield* store.raw(traceId)))
    const config = yield* collectorOf(flags)
    const sent = yield* Telemetry.send(
      config,
      batches.map(({ request }) => request)
    )
    const spans = (from: number, to?: number) => batches.slice(from, to).reduce((sum, batch) => sum + batch.spans, 0)
    for (const { reason, spans } of sent.rejected) {
      stderr.write(`tinyllm: ${harmless(`${count(spans, "span")} ${reason}`)}\n`)
    }
    const rejected = sent.rejected.reduce((sum, { spans }) => sum + spans, 0)
    const accepted = Math.max(0, spans(0, sent.accepted) - rejected)
    if (accepted > 0) {
      yield* stdout.write(`${count(accepted, "span")} of trace ${traceId} sent to ${sent.address}\n`)
    }
    if (sent.failed !== undefined) {
      const { hint, reason } = sent.failed
      return yield* new CommandFailed({
        text: `${count(spans(sent.accepted), "span")} not sent: ${reason}${hint === undefined ? "" : `. ${hint}`}`,
        exitCode: 1
      })
    }
    return rejected === 0
      ? undefined
      : yield* new CommandFailed({ text: `${count(rejected, "span")} not taken by ${sent.address}`, exitCode: 1 })
  }).pipe(CliTraceStore.provide)
