import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as Span from "../src/Span.ts"
import { eventsOf, exitOf, only, parentName, Spans } from "./support/Spans.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {
  override get message() {
    return "refused, password=hunter22"
  }
}

describe("Span.attributes", () => {
  it.effect("keeps types and leaves out what is unknown", () =>
    Effect.gen(function* () {
      yield* Span.attributes({ count: 42, share: 0.5, ok: true, names: ["a"], missing: undefined }).pipe(
        Effect.withSpan("work")
      )
      assert.deepStrictEqual(Object.fromEntries((yield* only("work")).attributes), {
        count: 42,
        share: 0.5,
        ok: true,
        names: ["a"]
      })
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("does nothing outside of spans", () => Span.attributes({ count: 1 }))
})

describe("Span.event", () => {
  it.effect("records an event at this moment", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("3 seconds")
      yield* Span.event("cache.miss", { key_length: 7, missing: undefined }).pipe(Effect.withSpan("work"))
      assert.deepStrictEqual((yield* only("work")).events, [["cache.miss", 3_000_000_000n, { key_length: 7 }]])
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("Span.error", () => {
  it.effect("shows an error that was handled, without its secrets", () =>
    Effect.gen(function* () {
      yield* Effect.fail(new Refused()).pipe(Effect.catch(Span.error), Effect.withSpan("work"))
      const span = yield* only("work")
      assert.strictEqual(exitOf(span)?._tag, "Success")
      assert.strictEqual(span.attributes.get("error.type"), "Refused")
      const [event] = eventsOf(span)
      assert.strictEqual(event?.name, "exception")
      assert.strictEqual(event?.attributes["exception.type"], "Refused")
      assert.strictEqual(event?.attributes["exception.message"], "refused, password=__REDACTED__")
      assert.include(String(event?.attributes["exception.stacktrace"]), "Span.test.ts")
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("Span.errorType", () => {
  it("is what the error says, timeout, the tag, the class, or _OTHER", () => {
    assert.strictEqual(Span.errorType({ [Span.ErrorType]: "connection_refused", _tag: "X" }), "connection_refused")
    assert.strictEqual(Span.errorType(new Cause.TimeoutError()), "timeout")
    assert.strictEqual(Span.errorType(new Refused()), "Refused")
    assert.strictEqual(Span.errorType(new TypeError("bug")), "TypeError")
    assert.strictEqual(Span.errorType(new Error("no")), "_OTHER")
    assert.strictEqual(Span.errorType("text"), "_OTHER")
  })
})

describe("Span.traceId", () => {
  it.effect("is the current trace's id, and undefined outside of spans", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* Span.traceId)
      const traceId = yield* Span.traceId.pipe(Effect.withSpan("work"))
      assert.strictEqual(traceId, (yield* only("work")).traceId)
      assert.match(String(traceId), /^[0-9a-f]{32}$/)
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("is undefined when tracing is off", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* Span.traceId.pipe(Effect.withSpan("work"), Effect.withTracerEnabled(false)))
    })
  )
})

describe("Span.method", () => {
  it("makes a span Class.method around a method, which keeps its this", async () => {
    const program = fileURLToPath(new URL("programs/method.ts", import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", program])
    assert.deepStrictEqual(JSON.parse(stdout), {
      results: [6, "open"],
      spans: [
        { name: "Shop.total", attributes: { "shop.kind": "books" } },
        { name: "inner", parent: "Shop.total", attributes: {} },
        { name: "Shop.open", attributes: {} }
      ]
    })
  })
})

describe("Span.record", () => {
  it.effect("writes a span after the fact, with its own times, below the current one", () =>
    Effect.gen(function* () {
      yield* Span.record({ name: "past", startTime: 5n, endTime: 9n, attributes: { a: 1 } }).pipe(
        Effect.withSpan("now")
      )
      const span = yield* only("past")
      assert.strictEqual(parentName(span), "now")
      assert.deepStrictEqual(span.status._tag === "Ended" ? [span.status.startTime, span.status.endTime] : [], [5n, 9n])
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect("writes nothing when tracing is off", () =>
    Effect.gen(function* () {
      yield* Span.record({ name: "past", startTime: 5n, endTime: 9n }).pipe(
        Effect.withTracerEnabled(false),
        Effect.withSpan("now")
      )
      assert.strictEqual((yield* Spans).all.length, 1)
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("Span.taskContent", () => {
  it("shows a text as it is and anything else as compact JSON", () => {
    assert.strictEqual(Span.taskContent("two\nlines"), "two\nlines")
    assert.strictEqual(Span.taskContent({ a: [1, 2n], b: undefined }), `{"a":[1,"2"]}`)
    assert.strictEqual(Span.taskContent(undefined), "")
  })

  it("T24 never splits a code point and ends with …", () => {
    assert.strictEqual(Span.taskContent(`${"a".repeat(199)}🙂b`), `${"a".repeat(199)}🙂…`)
    assert.strictEqual(Span.taskContent(`${"a".repeat(199)}🙂`), `${"a".repeat(199)}🙂`)
  })
})
