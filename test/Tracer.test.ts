import { assert, describe, it } from "@effect/vitest"
import * as OtelApi from "@opentelemetry/api"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { Cause, Effect, Exit, Fiber, Option, Redacted, Ref, References, Schema, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Span from "../src/Span.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Kept from "./support/Kept.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { message: Schema.String }) {}

interface Options {
  readonly samplingRate?: number
  readonly interop?: boolean
}

type SpansOf = <A, E>(self: Effect.Effect<A, E>, options?: Options) => Effect.Effect<ReadonlyArray<ReadableSpan>>

/** Runs an effect, whatever its end, and gives the spans it finished, in the order in which they ended. */
const ofOurs: SpansOf = (self, options) =>
  Effect.gen(function* () {
    const { exporter, spans } = Kept.make()
    yield* self.pipe(Effect.exit, Effect.provide(Telemetry.layerExporter(exporter, options)), Effect.orDie)
    return spans()
  })

/** The same by the SDK's tracer. */
const ofSdk: SpansOf = (self, { interop: _, ...options } = {}) =>
  Effect.gen(function* () {
    const exporter = new InMemorySpanExporter()
    const kept: Array<ReadableSpan> = []
    yield* self.pipe(
      Effect.exit,
      // Shutting down empties the exporter.
      Effect.tap(() => Effect.sync(() => kept.push(...exporter.getFinishedSpans()))),
      Effect.provide(Telemetry.layerSdk([new SimpleSpanProcessor(exporter)], options)),
      Effect.orDie
    )
    return kept
  })

const named = (spans: ReadonlyArray<ReadableSpan>, name: string): ReadableSpan => {
  const span = spans.find((span) => span.name === name)
  assert.isDefined(span, `no span ${name}`)
  return span as ReadableSpan
}

const exceptions = (spans: ReadonlyArray<ReadableSpan>): ReadonlyArray<string> =>
  spans.flatMap((span) =>
    span.events
      .filter((event) => event.name === "exception")
      .map((event) => `${span.name}: ${event.attributes?.["exception.message"]}`)
  )

const unset = OtelApi.SpanStatusCode.UNSET
const failed = OtelApi.SpanStatusCode.ERROR

const broken = (message: string) => Effect.fail(new Broken({ message }))

describe.each([
  ["our tracer", ofOurs],
  ["the SDK's tracer", ofSdk]
] as const)("%s", (_, spansOf) => {
  describe("The end of a span", () => {
    it.effect("T16 leaves the status Unset on success, without error.type", () =>
      Effect.gen(function* () {
        const [span] = yield* spansOf(Effect.withSpan(Effect.void, "fine"))
        assert.strictEqual(span?.status.code, unset)
        assert.notProperty(span?.attributes, "error.type")
        assert.lengthOf(span?.events ?? [], 0)
      })
    )

    it.effect("T15 marks every span that failed, and records the error on the innermost one", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(
          broken("no luck").pipe(Effect.withSpan("inner"), Effect.withSpan("middle"), Effect.withSpan("outer"))
        )
        for (const span of spans) {
          assert.deepStrictEqual(span.status, { code: failed, message: "no luck" })
          assert.strictEqual(span.attributes["error.type"], "Broken")
        }
        assert.deepStrictEqual(exceptions(spans), ["inner: no luck"])
        const event = named(spans, "inner").events[0]
        assert.strictEqual(event?.attributes?.["exception.type"], "Broken")
        assert.include(String(event?.attributes?.["exception.stacktrace"]), "no luck")
      })
    )

    it.effect("T15 knows time-outs, and errors that say themselves what they are", () =>
      Effect.gen(function* () {
        class Refused extends Error {
          readonly [Span.ErrorType] = "connection_refused"
        }
        const spans = yield* spansOf(
          Effect.gen(function* () {
            yield* Effect.fail(new Refused()).pipe(Effect.withSpan("refused"), Effect.ignore)
            yield* Effect.fail("text").pipe(Effect.withSpan("text"), Effect.ignore)
            const fiber = yield* Effect.never.pipe(
              Effect.withSpan("slow"),
              Effect.timeout("1 second"),
              Effect.withSpan("timed"),
              Effect.ignore,
              Effect.forkChild
            )
            yield* TestClock.adjust("1 second")
            yield* Fiber.join(fiber)
          })
        )
        assert.strictEqual(named(spans, "refused").attributes["error.type"], "connection_refused")
        assert.strictEqual(named(spans, "text").attributes["error.type"], "_OTHER")
        assert.strictEqual(named(spans, "text").status.message, "text")
        assert.strictEqual(named(spans, "timed").attributes["error.type"], "timeout")
        assert.strictEqual(named(spans, "slow").status.code, unset)
        assert.notProperty(named(spans, "slow").attributes, "error.type")
      })
    )

    it.effect("T15 marks defects", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(Effect.die(new TypeError("bug")).pipe(Effect.withSpan("dies")))
        assert.deepStrictEqual(named(spans, "dies").status, { code: failed, message: "bug" })
        assert.strictEqual(named(spans, "dies").attributes["error.type"], "TypeError")
        assert.deepStrictEqual(exceptions(spans), ["dies: bug"])
      })
    )

    it.effect("T18 leaves a cancelled span Unset, without error.type", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(
          Effect.gen(function* () {
            const fiber = yield* Effect.never.pipe(
              Effect.withSpan("inner"),
              Effect.withSpan("outer"),
              Effect.forkChild({ startImmediately: true })
            )
            yield* Fiber.interrupt(fiber)
          })
        )
        assert.lengthOf(spans, 2)
        for (const span of spans) {
          assert.strictEqual(span.status.code, unset)
          assert.strictEqual(span.attributes["effect.fiber.interrupted"], true)
          assert.notProperty(span.attributes, "error.type")
          assert.lengthOf(span.events, 0)
        }
      })
    )

    it.effect("T15 says error.type also of a span that holds as many attributes as it may", () =>
      Effect.gen(function* () {
        const many = Object.fromEntries(Array.from({ length: 128 }, (_, index) => [`key${index}`, index]))
        const [span] = yield* ofOurs(broken("full").pipe(Effect.withSpan("full", { attributes: many })))
        assert.strictEqual(span?.attributes["error.type"], "Broken")
        assert.lengthOf(Object.keys(span?.attributes ?? {}), 128)
        assert.strictEqual(span?.droppedAttributesCount, 1)
      })
    )

    it.effect("T19 two failing branches are two errors, each recorded once", () =>
      Effect.gen(function* () {
        const branch = (name: string) => broken(name).pipe(Effect.withSpan(name), Effect.exit)
        const spans = yield* spansOf(
          Effect.gen(function* () {
            const exits = yield* Effect.all([branch("left"), branch("right")], { concurrency: 2 })
            const causes = exits.filter(Exit.isFailure).map((exit) => exit.cause)
            return yield* Effect.failCause(Cause.combine(causes[0] ?? Cause.empty, causes[1] ?? Cause.empty))
          }).pipe(Effect.withSpan("join"), Effect.withSpan("root"))
        )
        assert.sameMembers(Array.from(exceptions(spans)), ["left: left", "right: right"])
        assert.strictEqual(named(spans, "root").status.code, failed)
      })
    )

    it.effect("T19 an error that is caught and raised again below another span is recorded once", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(
          broken("again").pipe(
            Effect.withSpan("first"),
            Effect.catch((error) => Effect.fail(error).pipe(Effect.withSpan("handler"))),
            Effect.withSpan("root")
          )
        )
        // The handler is no ancestor of the first: it cannot know, and for a reader it is where the error left.
        assert.notInclude(exceptions(spans), "root: again")
      })
    )

    it.effect("T17 spans written afterwards do not record what a sibling has recorded", () =>
      Effect.gen(function* () {
        const error = new Broken({ message: "second" })
        const spans = yield* spansOf(
          Effect.gen(function* () {
            yield* Effect.fail(error).pipe(Effect.withSpan("http"), Effect.ignore)
            for (const [attempt, exit] of [Exit.fail(new Broken({ message: "first" })), Exit.fail(error)].entries()) {
              yield* Span.recordAttempt({ attempt: attempt + 1, startTime: 0n, endTime: 1_500_000_000n, exit })
            }
            return yield* error
          }).pipe(Effect.withSpan("call"))
        )
        assert.sameMembers(Array.from(exceptions(spans)), ["http: second", "retry.attempt: first"])
        const attempts = spans.filter((span) => span.name === "retry.attempt")
        assert.deepStrictEqual(
          attempts.map((span) => span.attributes["retry.attempt"]),
          [1, 2]
        )
        assert.deepStrictEqual(
          attempts.map((span) => span.status.code),
          [failed, failed]
        )
        assert.deepStrictEqual(attempts[0]?.duration, [1, 500_000_000])
      })
    )

    it.effect("T17 attempts that failed are Error, the one that succeeded and its parent are not", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(
          Effect.gen(function* () {
            const count = yield* Ref.make(0)
            yield* Ref.updateAndGet(count, (n) => n + 1).pipe(
              Effect.flatMap((n) => (n < 3 ? broken(`attempt ${n}`) : Effect.void)),
              Effect.withSpan("attempt"),
              Effect.retry({ times: 5 })
            )
          }).pipe(Effect.withSpan("call"))
        )
        assert.deepStrictEqual(
          spans.map((span) => span.status.code),
          [failed, failed, unset, unset]
        )
        assert.notProperty(named(spans, "call").attributes, "error.type")
      })
    )

    it.effect("Span.error marks a span whose effect succeeds", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(
          broken("used the other model").pipe(
            Effect.catch(Span.error),
            Effect.withSpan("handled"),
            Effect.withSpan("root")
          )
        )
        const handled = named(spans, "handled")
        assert.deepStrictEqual(handled.status, { code: failed, message: "used the other model" })
        assert.strictEqual(handled.attributes["error.type"], "Broken")
        assert.lengthOf(handled.events, 1)
        assert.strictEqual(named(spans, "root").status.code, unset)
      })
    )

    it.effect("T19 Span.error and a failure with the same error are one event", () =>
      Effect.gen(function* () {
        const error = new Broken({ message: "once" })
        const same = yield* spansOf(Effect.andThen(Span.error(error), error).pipe(Effect.withSpan("same")))
        assert.deepStrictEqual(exceptions(same), ["same: once"])
        const parent = yield* spansOf(
          Effect.fail(error).pipe(Effect.withSpan("child"), Effect.catch(Span.error), Effect.withSpan("parent"))
        )
        assert.deepStrictEqual(exceptions(parent), ["child: once"])
        assert.deepStrictEqual(named(parent, "parent").status, { code: failed, message: "once" })
        assert.strictEqual(named(parent, "parent").attributes["error.type"], "Broken")
        const value = yield* spansOf(
          Effect.as(Span.error(error), error).pipe(
            Effect.withSpan("handles"),
            Effect.withSpan("hands on"),
            Effect.flatMap(Effect.fail),
            Effect.withSpan("fails")
          )
        )
        assert.deepStrictEqual(exceptions(value), ["handles: once"])
        const twice = yield* spansOf(
          Effect.andThen(Span.error(error), Span.error(error)).pipe(Effect.withSpan("twice"))
        )
        assert.deepStrictEqual(exceptions(twice), ["twice: once"])
      })
    )

    it.effect("T19 different errors, an event of one's own, and another trace have their own events", () =>
      Effect.gen(function* () {
        const error = new Broken({ message: "a" })
        const spans = yield* spansOf(
          Effect.gen(function* () {
            yield* Span.error(new Broken({ message: "b" }))
            yield* Span.event("exception", { "exception.message": "c" })
            return yield* error
          }).pipe(Effect.withSpan("all"))
        )
        assert.deepStrictEqual(exceptions(spans), ["all: b", "all: c", "all: a"])
        const again = yield* spansOf(Effect.fail(error).pipe(Effect.withSpan("again")))
        assert.deepStrictEqual(exceptions(again), ["again: a"])
      })
    )

    it.effect("changes no result and loses no span, whatever an error or an attribute throws when it is read", () =>
      Effect.gen(function* () {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        const throws = () => {
          throw new Error("unreadable")
        }
        const values: ReadonlyArray<unknown> = [
          Object.defineProperty({}, "message", { get: throws, enumerable: true }),
          Object.defineProperty(new Error("x"), "message", { get: throws }),
          Object.defineProperty(new Error("x"), "name", { get: throws }),
          Object.defineProperty(new Error("x"), "stack", { get: throws }),
          Object.defineProperty(new Error("x"), "cause", { get: throws }),
          Object.defineProperty({}, "_tag", { get: throws }),
          { toJSON: throws },
          { toString: throws },
          proxy,
          [proxy],
          Object.create(null),
          Symbol("x")
        ]
        for (const value of values) {
          let exit: Exit.Exit<unknown, unknown> = Exit.void
          const spans = yield* spansOf(
            Effect.gen(function* () {
              yield* Effect.annotateCurrentSpan("value", value)
              const current = yield* Effect.orDie(Effect.currentSpan)
              current.event("event", 0n, { value })
              current.event("event", 0n, value as Record<string, unknown>)
              const span = Tracer.externalSpan({ traceId: "1".repeat(32), spanId: "2".repeat(16) })
              current.addLinks([{ span, attributes: value as Record<string, unknown> }])
              yield* Span.error(value)
              return yield* Effect.fail(value)
            }).pipe(
              Effect.withSpan("fails", { attributes: { value } }),
              Effect.onExit((end) => Effect.sync(() => void (exit = end))),
              Effect.exit,
              Effect.andThen(Effect.die(value).pipe(Effect.withSpan("dies")))
            )
          )
          assert.isTrue(Exit.isFailure(exit) && exit.cause.reasons.length === 1)
          assert.isTrue(Exit.isFailure(exit) && Cause.isFailReason(exit.cause.reasons[0] as Cause.Reason<unknown>))
          assert.deepStrictEqual(
            spans.map((span) => [span.name, span.status.code, span.attributes["error.type"] !== undefined]),
            [
              ["fails", failed, true],
              ["dies", failed, true]
            ]
          )
        }
      })
    )

    it.effect("cuts and redacts the description", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(broken(`Bearer abcdefghijk1 ${"😀".repeat(400)}`).pipe(Effect.withSpan("long")))
        const { message = "" } = named(spans, "long").status
        assert.isTrue(message.startsWith("Bearer __REDACTED__ 😀"))
        assert.isTrue(message.endsWith("😀…"))
        assert.lengthOf(Array.from(message), 256)
        assert.notInclude(exceptions(spans).join(""), "abcdefghijk1")
      })
    )
  })

  describe("Attributes", () => {
    it.effect("T14 have OpenTelemetry's types, are one line, and nothing is left out as text", () =>
      Effect.gen(function* () {
        const circular: Record<string, unknown> = { name: "me" }
        circular["self"] = circular
        const values: Record<string, unknown> = {
          text: "two\nlines",
          integer: 42,
          double: 0.5,
          yes: true,
          big: 10n,
          huge: 2n ** 80n,
          nothing: null,
          missing: undefined,
          object: { a: 1, b: { c: [1, 2] } },
          circular,
          map: new Map([["a", 1]]),
          date: new Date(0),
          error: new RangeError("out"),
          option: Option.some(1),
          secret: Redacted.make("hunter2"),
          inside: { secret: Redacted.make("hunter2") },
          texts: ["a", "b"],
          numbers: [1, 2],
          bigs: [1n, 2n],
          mixed: ["a", 1],
          holes: ["a", null, "b"],
          objects: [{ a: 1 }],
          empty: []
        }
        const [span] = yield* spansOf(
          Effect.gen(function* () {
            yield* Effect.annotateCurrentSpan(values)
            const current = yield* Effect.orDie(Effect.currentSpan)
            current.event("router.decision", 0n, { none: null, count: 1n, list: ["a"] })
          }).pipe(Effect.withSpan("attributes", { attributes: { start: null, started: 1n } }))
        )
        assert.deepStrictEqual(
          { ...span?.attributes },
          {
            started: 1,
            text: "two\nlines",
            integer: 42,
            double: 0.5,
            yes: true,
            big: 10,
            huge: "1208925819614629174706176",
            object: '{"a":1,"b":{"c":[1,2]}}',
            circular: '{"name":"me","self":"[circular]"}',
            map: '{"a":1}',
            date: "1970-01-01T00:00:00.000Z",
            error: "RangeError: out",
            option: '{"_id":"Option","_tag":"Some","value":1}',
            secret: "<redacted>",
            inside: '{"secret":"<redacted>"}',
            texts: ["a", "b"],
            numbers: [1, 2],
            bigs: [1, 2],
            mixed: '["a",1]',
            holes: ["a", "b"],
            objects: '[{"a":1}]',
            empty: []
          }
        )
        assert.deepStrictEqual({ ...span?.events[0]?.attributes }, { count: 1, list: ["a"] })
      })
    )

    it.effect("of links are normalized too", () =>
      Effect.gen(function* () {
        const span = Tracer.externalSpan({ traceId: "1".repeat(32), spanId: "2".repeat(16) })
        const [linked] = yield* spansOf(
          Effect.void.pipe(Effect.withSpan("linked", { links: [{ span, attributes: { a: null, b: 1n } }] }))
        )
        assert.deepStrictEqual({ ...linked?.links[0]?.attributes }, { b: 1 })
        assert.strictEqual(linked?.links[0]?.context.traceId, "1".repeat(32))
      })
    )
  })

  describe("Sampling", () => {
    const count = (rate: number, roots: number) =>
      Effect.map(
        spansOf(
          Effect.forEach(Array.from({ length: roots }), () =>
            Effect.void.pipe(Effect.withSpan("child"), Effect.withSpan("root"))
          ),
          {
            samplingRate: rate
          }
        ),
        (spans) => spans.length / 2
      )

    it.effect("T51 rate 0 keeps nothing, rate 1 everything, 0.1 about a tenth, in whole traces", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* count(0, 100), 0)
        assert.strictEqual(yield* count(1, 100), 100)
        const kept = yield* count(0.1, 2000)
        assert.isTrue(Number.isInteger(kept))
        // Six standard deviations around 200.
        assert.isTrue(kept > 120 && kept < 280, `${kept} of 2000`)
      })
    )

    it.effect("T53 the decision of a remote parent wins, in both directions", () =>
      Effect.gen(function* () {
        const below = (sampled: boolean) =>
          Effect.void.pipe(
            Effect.withSpan("child"),
            Effect.withParentSpan(Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled }))
          )
        assert.lengthOf(yield* spansOf(below(false), { samplingRate: 1 }), 0)
        const kept = yield* spansOf(below(true), { samplingRate: 0 })
        assert.strictEqual(kept[0]?.spanContext().traceId, "a".repeat(32))
        assert.strictEqual(kept[0]?.parentSpanContext?.spanId, "b".repeat(16))
      })
    )

    it.effect("honours sampled: false, for the span and what is below it", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(
          Effect.gen(function* () {
            yield* Effect.void.pipe(Effect.withSpan("below"), Effect.withSpan("hidden", { sampled: false }))
            yield* Effect.withSpan(Effect.void, "shown")
          }).pipe(Effect.withSpan("root"))
        )
        assert.deepStrictEqual(
          spans.map((span) => span.name),
          ["shown", "root"]
        )
      })
    )

    it.effect("honours MinimumTraceLevel", () =>
      Effect.gen(function* () {
        const spans = yield* spansOf(
          Effect.gen(function* () {
            yield* Effect.withSpan(Effect.void, "detail", { level: "Debug" })
            yield* Effect.withSpan(Effect.void, "step", { level: "Info" })
          }).pipe(Effect.provideService(References.MinimumTraceLevel, "Info"))
        )
        assert.deepStrictEqual(
          spans.map((span) => span.name),
          ["step"]
        )
      })
    )

    it.effect("an unsampled span still has ids", () =>
      Effect.gen(function* () {
        const ids: Array<string | undefined> = []
        yield* spansOf(
          Effect.flatMap(Span.traceId, (id) => Effect.sync(() => ids.push(id))).pipe(Effect.withSpan("unsampled")),
          { samplingRate: 0 }
        )
        assert.match(ids[0] ?? "", /^[0-9a-f]{32}$/)
      })
    )
  })

  describe("Other libraries", () => {
    it.effect("find the current span, and their spans nest below it", () =>
      Effect.gen(function* () {
        const ids: Array<string | undefined> = []
        const spans = yield* spansOf(
          Effect.gen(function* () {
            ids.push(OtelApi.trace.getActiveSpan()?.spanContext().spanId)
            yield* Effect.promise(async () => {
              await Promise.resolve()
              ids.push(OtelApi.trace.getActiveSpan()?.spanContext().spanId)
            })
          }).pipe(Effect.withSpan("ours")),
          { interop: true }
        )
        const id = named(spans, "ours").spanContext().spanId
        assert.deepStrictEqual(ids, [id, id])
      })
    )

    it.effect("T63 every span's scope is tinyllm and its version", () =>
      Effect.gen(function* () {
        const [span] = yield* spansOf(Effect.withSpan(Effect.void, "scoped"))
        assert.deepInclude(span?.instrumentationScope, { name: "tinyllm", version: "0.1.0" })
      })
    )
  })
})

describe("Telemetry.layerSdk", () => {
  it.effect("ends a span whose end cannot be written", () =>
    Effect.gen(function* () {
      const spans = yield* ofSdk(
        Effect.gen(function* () {
          const current = yield* Effect.orDie(Effect.currentSpan)
          const { span } = current as unknown as { readonly span: OtelApi.Span }
          span.addEvent = span.setStatus = () => {
            throw new Error("broken")
          }
          return yield* new Broken({ message: "x" })
        }).pipe(Effect.withSpan("ends"))
      )
      assert.deepStrictEqual(
        spans.map((span) => span.name),
        ["ends"]
      )
    })
  )
})
