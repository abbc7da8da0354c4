/** A folder for `TINYLLM_HOME` whose store holds traces. */
import * as Effect from "effect/Effect"
import { join } from "node:path"
import * as OtlpTraces from "../../src/OtlpTraces.ts"
import type { StoredSpan } from "../../src/StoredSpan.ts"
import * as TraceStore from "../../src/TraceStore.ts"
import { scratch } from "./Process.ts"
import { type Given, span } from "./StoredSpans.ts"

/** The spans of a trace of its own. It begins so many minutes after the others. */
export const trace = (traceId: string, minutes: number, ...given: ReadonlyArray<Given>): ReadonlyArray<StoredSpan> => {
  const later = BigInt(Math.round(minutes * 60e3)) * 1_000_000n
  return given.map(span).map((one) => ({
    ...one,
    traceId,
    startNanos: one.startNanos + later,
    endNanos: one.endNanos + later,
    events: one.events.map((event) => ({ ...event, timeNanos: event.timeNanos + later }))
  }))
}

/** Puts spans into the store of a folder, as a run would. */
export const append = (home: string, spans: ReadonlyArray<StoredSpan>): Promise<TraceStore.Appended> =>
  TraceStore.make({ file: join(home, "traces.db"), keeping: { maximumAge: "36500 days" } }).pipe(
    Effect.flatMap((store) => store.append(OtlpTraces.request(spans))),
    Effect.scoped,
    Effect.runPromise
  )

/** A new folder with traces. */
export const homeWith = async (...traces: ReadonlyArray<ReadonlyArray<StoredSpan>>): Promise<string> => {
  const home = scratch()
  for (const spans of traces) {
    await append(home, spans)
  }
  return home
}
