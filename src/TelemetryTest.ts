/**
 * Spans in tests: a layer that keeps them in memory, and `expectTrace`, which says readably how they differ from what was
 * expected.
 *
 * It depends on no test runner. What does not fit fails with an error that has `actual` and `expected`, which runners
 * show as a difference of texts. Spans are what an exporter would get: within limits, without secrets, and only those that
 * are sampled. Layers do not share spans, so that tests may run at the same time.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Tracer from "effect/Tracer"
import type { StoredSpan } from "./StoredSpan.ts"
import * as Telemetry from "./Telemetry.ts"
import * as TelemetryResource from "./TelemetryResource.ts"
import * as TestSpans from "./TestSpans.ts"
import { compareAll, type SpanTree } from "./TraceComparison.ts"
import { type ExpectedSpan, including, type Items, read } from "./TraceExpectation.ts"
import * as TraceMismatch from "./TraceMismatch.ts"

export type { StoredEvent, StoredLink, StoredSpan, Value, Values } from "./StoredSpan.ts"
export type { SpanTree } from "./TraceComparison.ts"
export {
  type ExpectedEvent,
  type ExpectedSpan,
  type ExpectedValue,
  type ExpectedValues,
  including,
  type Items,
  type Many,
  type SpanExpectation,
  type Status,
  unordered
} from "./TraceExpectation.ts"
export { TraceMismatch } from "./TraceMismatch.ts"

/** How spans are recorded: as `Telemetry.layer` would, but for what depends on where they are sent. */
export type Options = Omit<Telemetry.ExporterOptions, "spool" | "store"> & {
  /** Variables such as `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`. Those of the process are not looked at. */
  readonly environment?: Readonly<Record<string, string>> | undefined
}

/** What was recorded. */
export class TelemetryTest extends Context.Service<
  TelemetryTest,
  {
    /** The spans that have ended and are sampled, in the order in which they started. */
    readonly spans: Effect.Effect<ReadonlyArray<StoredSpan>>
    /**
     * The same as trees, also with spans that have not ended. A trace starts with a span that has no parent among them;
     * traces are in the order in which they started.
     */
    readonly traces: Effect.Effect<ReadonlyArray<SpanTree>>
    /** Names and nesting of `traces`, a line for each span, two spaces for each level. */
    readonly outline: Effect.Effect<string>
    /** Forgets the spans that have ended. */
    readonly clear: Effect.Effect<void>
    readonly "~tinyllm/TelemetryTest": TestSpans.TestSpans
  }
>()("tinyllm/TelemetryTest") {}

/** Records spans. Each time it is built, it begins with none. Fails when an option or a variable is wrong. */
export const layer = (options: Options = {}): Layer.Layer<TelemetryTest, Telemetry.TelemetryConfigError> => {
  const { environment = {}, ...rest } = options
  return Layer.effectContext(
    Effect.gen(function* () {
      const spans = TestSpans.make()
      const context = yield* Layer.build(
        Telemetry.layerSink(
          (config) => spans.sink(TelemetryResource.attributes(config.serviceName.value, config.resourceAttributes)),
          rest
        )
      )
      const traces = Effect.sync(() => spans.trees())
      return context.pipe(
        Context.add(Tracer.Tracer, spans.noticing(Context.get(context, Tracer.Tracer))),
        Context.add(TelemetryTest, {
          spans: Effect.sync(() => spans.ended()),
          traces,
          outline: Effect.map(traces, (trees) => TraceMismatch.outline(trees).join("\n")),
          clear: Effect.sync(() => spans.clear()),
          "~tinyllm/TelemetryTest": spans
        })
      )
    })
  ).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: environment }))))
}

/**
 * Expects a trace among those that were recorded, and gives it. Fails with `TraceMismatch` when there is none; the message
 * tells of the one that is the nearest.
 *
 * With `within`, it waits so long for spans that have not ended, by the time of the machine, whatever the test's clock says.
 */
export const expectTrace = (
  expected: ExpectedSpan,
  options?: WaitOptions
): Effect.Effect<SpanTree, TraceMismatch.TraceMismatch, TelemetryTest> =>
  Effect.map(expecting(including([expected]), options, callerOf(expectTrace)), ([trace]) => trace!)

/** Expects exactly these traces, in the order in which they started, unless `including` or `unordered` say otherwise. */
export const expectTraces = (
  expected: Items<ExpectedSpan>,
  options?: WaitOptions
): Effect.Effect<ReadonlyArray<SpanTree>, TraceMismatch.TraceMismatch, TelemetryTest> =>
  expecting(expected, options, callerOf(expectTraces))

/** How patient an expectation is. */
export interface WaitOptions {
  /** How long it waits to be met; not at all by default. */
  readonly within?: Duration.Input | undefined
}

// A runner shows the line of the test, not one of ours.
const callerOf = (called: (...args: never) => unknown): Error => {
  const error = new Error()
  Error.captureStackTrace(error, called)
  return error
}

const expecting = (
  given: Items<ExpectedSpan>,
  { within }: WaitOptions = {},
  caller: Error
): Effect.Effect<ReadonlyArray<SpanTree>, TraceMismatch.TraceMismatch, TelemetryTest> =>
  Effect.flatMap(TelemetryTest, ({ "~tinyllm/TelemetryTest": spans }) => {
    const expected = read(given)
    const check = Effect.suspend(() => {
      const recorded = spans.trees()
      const pairs = compareAll(expected, recorded)
      const mismatch = TraceMismatch.make(pairs, { expected, recorded }, caller)
      return mismatch === undefined
        ? Effect.succeed(pairs.flatMap(({ recorded }) => (recorded === undefined ? [] : [recorded])))
        : Effect.fail(mismatch)
    })
    if (within === undefined) {
      return check
    }
    const wait: typeof check = Effect.suspend(() => {
      const count = spans.count()
      const more = Effect.callback<void>((resume) => Effect.sync(spans.whenMore(count, () => resume(Effect.void))))
      return Effect.catch(check, () => Effect.andThen(more, wait))
    })
    return Effect.provideService(
      Effect.timeoutOrElse(wait, { duration: within, orElse: () => check }),
      Clock.Clock,
      Clock.Clock.defaultValue()
    )
  })
