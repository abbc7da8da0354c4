/**
 * The local store as a place for spans, beside the others that a configuration names.
 *
 * @since 0.1.0
 */
import type { SpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Diagnostics } from "./Diagnostics.ts"
import * as Report from "./Report.ts"
import type { Sink } from "./Sink.ts"
import type { Options } from "./StoreSink.ts"
import type { Resolved } from "./TelemetryConfig.ts"

/** Where spans for the store are counted: those in the store as exported. */
export const Counter: Context.Reference<Report.Counter | undefined> = Context.Reference(
  "tinyllm/Telemetry/StoreCounter",
  { defaultValue: (): Report.Counter | undefined => undefined }
)

/** What it needs to know. */
export interface Given {
  readonly config: Resolved
  readonly diagnostics: Diagnostics
  readonly counter: Report.Counter
  /** Whether somebody watches who would like to know where the trace is. */
  readonly tell: boolean
}

/** The places of a configuration, and the store where that is on. */
export const beside = (
  given: Given,
  places: Effect.Effect<ReadonlyArray<Sink>, never, Scope.Scope>
): Effect.Effect<ReadonlyArray<Sink>, never, Scope.Scope> =>
  Effect.zipWith(
    places,
    made(given, (options, { make }) => make(options)),
    (places, store) => [...places, ...store]
  )

/** The same for processors of the SDK. */
export const besideProcessors = (
  given: Given,
  processors: ReadonlyArray<SpanProcessor>
): Effect.Effect<ReadonlyArray<SpanProcessor>, never, Scope.Scope> =>
  Effect.map(
    made(given, (options, { processor }) => processor(options)),
    (store) => [...processors, ...store]
  )

const made = <A>(
  { config, counter, diagnostics, tell }: Given,
  make: (options: Options, module: typeof import("./StoreSink.ts")) => Effect.Effect<A, never, Scope.Scope>
): Effect.Effect<ReadonlyArray<A>, never, Scope.Scope> => {
  const settings = config.store.value
  if (settings === undefined) {
    return Effect.succeed([])
  }
  const ended: Options["ended"] = (report, traceIds) => {
    if (report.lost > 0) {
      diagnostics("error", `${count(report.lost)} not kept: ${reasons(report)}`)
    } else if (tell && settings.usual && report.exported > 0) {
      const [id = ""] = traceIds
      const [what, how] = traceIds.size === 1 ? [`trace ${id.slice(0, 8)}`, `show ${id.slice(0, 8)}`] : ["traces", "ls"]
      diagnostics("warn", `${what} kept: tinyllm trace ${how}`)
    }
  }
  return Effect.promise(() => import("./StoreSink.ts")).pipe(
    Effect.flatMap((module) => make({ config, settings, counter, ended }, module)),
    Effect.map((store) => [store]),
    Effect.catchCause(() =>
      Effect.sync(() => {
        diagnostics("error", "traces are not kept: the store cannot be set up")
        return []
      })
    )
  )
}

const reasons = ({ reasons }: Report.Report): string =>
  reasons
    .map(({ reason }) => (reason === Report.tooFast ? "they came faster than they could be written" : reason))
    .join("; ")

const count = (spans: number): string => `${spans} ${spans === 1 ? "span" : "spans"}`
