// Turns at a model: how many calls are sent at a time, in which order, and what waiting counts in.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Graph from "../src/Graph.ts"
import * as NodeClient from "../src/NodeClient.ts"
import * as Node from "../src/Node.ts"
import * as Ollama from "../src/Ollama.ts"
import * as OllamaPermits from "../src/OllamaPermits.ts"
import type { Reply } from "../src/OllamaDouble.ts"
import { against, ask, calls } from "./support/Double.ts"
import { exitOf, named } from "./support/Spans.ts"

const chat = (request = ask()) => Ollama.Ollama.use((ollama) => ollama.chat(request))
const stream = (request = ask()) => Stream.unwrap(Effect.map(Ollama.Ollama, (ollama) => ollama.stream(request)))

/** Waits, in real time, until the double has received so many requests. */
const received = (count: number) =>
  TestClock.withLive(
    Effect.flatMap(calls, (all) => (all.length >= count ? Effect.void : Effect.sleep("2 millis"))).pipe(
      Effect.repeat({ until: () => Effect.map(calls, (all) => all.length >= count) }),
      Effect.timeout("5 seconds")
    )
  )

/** Some real time, for what must not happen. */
const aWhile = TestClock.withLive(Effect.sleep("30 millis"))

const count = Effect.map(calls, (all) => all.length)

/** What was asked, in the order in which it arrived. */
const asked = Effect.map(calls, (all) =>
  all.map(({ body }) => (JSON.parse(body) as Ollama.ChatRequest).messages.at(-1)?.content)
)

const slow: Reply = { text: "one", firstDelay: "1 second" }

/** A server that would answer several at a time. */
const parallel = { parallel: 8 }

const waits = Effect.map(named("llm.chat"), (spans) =>
  spans.map((span) => span.attributes.get("tinyllm.ollama.permit_wait"))
)

describe("permits", () => {
  it.effect("trap 50 twenty calls of one model are sent one after the other, and their waiting is measured apart", () =>
    Effect.gen(function* () {
      const numbers = Array.from({ length: 20 }, (_, index) => index)
      const fibers = yield* Effect.forEach(numbers, (index) => Effect.forkChild(chat(ask(String(index)))))
      for (const index of numbers) {
        yield* received(index + 1)
        assert.strictEqual(yield* count, index + 1)
        yield* TestClock.adjust("1 second")
      }
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(yield* asked, numbers.map(String))
      assert.deepStrictEqual(
        (yield* calls).map(({ receivedAt }) => receivedAt),
        numbers.map((index) => index * 1000)
      )
      const spans = yield* named("llm.chat")
      for (const [index, span] of spans.entries()) {
        const all = Object.fromEntries(span.attributes)
        // Waiting longer than the limit for the first record harms nobody, and counts in no other time.
        assert.strictEqual(all["tinyllm.ollama.permit_wait"], index === 0 ? undefined : index)
        assert.strictEqual(all["tinyllm.ollama.time_to_first_token"], 1)
        assert.isTrue(span.status._tag === "Ended" && Number(span.status.endTime) === (index + 1) * 1e9)
      }
      assert.lengthOf(yield* named("ollama.prompt_eval"), 20)
    }).pipe(Effect.provide(against(slow, { firstRecordTimeout: "5 seconds", totalTimeout: "6 seconds" }, parallel)))
  )

  it.effect("trap 50 calls of two models do not wait for each other, whatever way their names are written", () =>
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach(["m", "n", "M:latest", "registry.ollama.ai/library/n"], (model) =>
        Effect.forkChild(chat(ask(model, { model })))
      )
      yield* received(2)
      yield* aWhile
      assert.deepStrictEqual(yield* asked, ["m", "n"])
      yield* TestClock.adjust("1 second")
      yield* received(4)
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(yield* waits, [undefined, undefined, 1, 1])
    }).pipe(Effect.provide(against(slow, {}, { ...parallel, models: ["m:latest", "n:latest"], anyModel: true })))
  )

  it.effect("as many as told are sent at a time", () =>
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(chat()))
      yield* received(3)
      yield* aWhile
      assert.strictEqual(yield* count, 3)
      yield* TestClock.adjust("1 second")
      yield* received(4)
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(fibers, Fiber.join)
    }).pipe(Effect.provide(against(slow, { permitsPerModel: 3 }, parallel)))
  )

  it.effect("all are sent at once where there is no limit", () =>
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(chat()))
      yield* received(4)
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(yield* waits, [undefined, undefined, undefined, undefined])
    }).pipe(Effect.provide(against(slow, { permitsPerModel: Infinity }, parallel)))
  )

  it("a number of permits that is none throws", () => {
    for (const permitsPerModel of [0, -1, 1.5, Number.NaN]) {
      assert.throws(() => NodeClient.layer({ permitsPerModel }), /permitsPerModel must be an integer >= 1/)
    }
  })

  it.effect("an interrupted waiter leaves the line, and an interrupted holder gives its permit back", () =>
    Effect.gen(function* () {
      const [holder, second, third, fourth] = yield* Effect.forEach(["1", "2", "3", "4"], (text) =>
        Effect.forkChild(chat(ask(text)))
      )
      yield* received(1)
      yield* TestClock.adjust("250 millis")
      yield* Fiber.interrupt(second!)
      yield* Fiber.interrupt(holder!)
      yield* received(2)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(third!)
      yield* received(3)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fourth!)
      assert.deepStrictEqual(yield* asked, ["1", "3", "4"])
      const [, gone] = yield* named("llm.chat")
      assert.strictEqual(gone?.attributes.get("tinyllm.ollama.permit_wait"), 0.25)
      assert.isUndefined(gone?.attributes.get("tinyllm.ollama.records"))
      assert.notProperty(Object.fromEntries(gone!.attributes), "tinyllm.ollama.attempts")
      assert.isTrue(Exit.hasInterrupts(exitOf(gone!)!))
    }).pipe(Effect.provide(against(slow, {}, parallel)))
  )

  it.live("a call that fails gives its permit back, after its last repetition", () =>
    Effect.gen(function* () {
      const [first, second] = yield* Effect.all([Effect.flip(chat(ask("1"))), chat(ask("2"))], {
        concurrency: "unbounded"
      })
      assert.strictEqual(first.reason._tag, "Busy")
      assert.strictEqual(second.text, "ok")
      assert.deepStrictEqual(yield* asked, ["1", "1", "1", "1", "2"])
    }).pipe(
      Effect.provide(against(({ messages }) => (messages[0]?.content === "1" ? { status: 503, error: "busy" } : "ok")))
    )
  )

  it.live("layers of one server share them", () =>
    Effect.gen(function* () {
      const { url } = yield* Ollama.Ollama
      const through = (text: string) => Effect.provide(chat(ask(text)), Layer.fresh(NodeClient.layer({ url })))
      yield* Effect.all([through("1"), through("2"), chat(ask("3"))], { concurrency: "unbounded" })
      assert.lengthOf(
        (yield* waits).filter((wait) => wait !== undefined),
        2
      )
    }).pipe(Effect.provide(against({ text: "one", firstDelay: "20 millis" }, {}, parallel)))
  )

  it.live("a node for every branch asks in its turn, and all of them get their answer", () =>
    Effect.gen(function* () {
      const node = Node.model({ model: "m", prompt: (text: string) => text, output: ({ text }) => text })
      const graph = Graph.single("g", Node.parallel({ a: node, b: node, c: node }))
      const { output } = yield* Graph.run(graph, "hi")
      assert.deepStrictEqual(output, { a: "one", b: "one", c: "one" })
      assert.deepStrictEqual(
        (yield* waits).map((wait) => wait !== undefined),
        [false, true, true]
      )
      const first = Graph.single("r", Node.race({ a: node, b: node }))
      assert.strictEqual((yield* Graph.run(first, "hi")).output, "one")
      // The loser waited for its turn and left: it was never sent.
      assert.strictEqual(yield* count, 4)
    }).pipe(Effect.provide(against({ text: "one", firstDelay: "10 millis" }, {}, parallel)))
  )

  it.live("who asks the same model for each part of a stream does not wait for itself", () =>
    Effect.gen(function* () {
      const texts: Array<string> = []
      yield* stream(ask("outer")).pipe(
        Stream.runForEach((part) =>
          part._tag === "Text"
            ? Effect.map(chat(ask("inner")), ({ text }) => void texts.push(part.text + text))
            : Effect.void
        ),
        Effect.timeout("5 seconds")
      )
      assert.deepStrictEqual(texts, ["a x", "b x", "c x"])
    }).pipe(
      Effect.provide(
        against(({ messages }) => (messages[0]?.content === "outer" ? { text: ["a ", "b ", "c "], delay: 5 } : "x"))
      )
    )
  )

  it.live("who asks it while much of a stream is left unread waits until the stream is stopped for that", () =>
    Effect.gen(function* () {
      const inner: Array<string> = []
      const error = yield* stream(ask("outer")).pipe(
        Stream.runForEach(() =>
          inner.length > 0 ? Effect.void : Effect.map(chat(ask("inner")), ({ text }) => void inner.push(text))
        ),
        Effect.timeout("25 seconds"),
        Effect.flip
      )
      assert.deepStrictEqual(inner, ["x"])
      assert.include(String(error), "was left unread for 3 s, so it was stopped")
      const [outer, second] = yield* waits
      assert.isUndefined(outer)
      assert.isAtLeast(Number(second), 2)
    }).pipe(
      Effect.provide(
        against(
          ({ messages }) =>
            messages[0]?.content === "outer" ? { text: Array.from({ length: 20_000 }, () => "a ") } : "x",
          { idleTimeout: "3 seconds" }
        )
      )
    )
  )
})

describe("OllamaPermits.take", () => {
  const lines: OllamaPermits.Lines = new Map()
  const take = (scope: Scope.Scope, onWaited: (nanos: bigint) => void = () => {}) =>
    OllamaPermits.take({ permits: 1, url: "u", model: "m", scope, onWaited }).pipe(
      Effect.provideService(OllamaPermits.Current, lines)
    )

  it.effect("keeps nothing of a line in which nobody is", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      yield* take(first)
      assert.strictEqual(lines.size, 1)
      const waiter = yield* Effect.forkChild(take(second))
      yield* Effect.yieldNow
      yield* Scope.close(first, Exit.void)
      yield* Fiber.join(waiter)
      assert.strictEqual(lines.size, 1)
      yield* Scope.close(second, Exit.void)
      assert.strictEqual(lines.size, 0)
    })
  )

  it.effect("loses no permit when its holder ends while the one who waits is interrupted", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 50; round++) {
        const [first, second] = [yield* Scope.make(), yield* Scope.make()]
        yield* take(first)
        const waiter = yield* Effect.forkChild(take(second))
        yield* Effect.yieldNow
        yield* Effect.all([Scope.close(first, Exit.void), Fiber.interrupt(waiter)], {
          concurrency: round % 2 === 0 ? 1 : 2
        })
        yield* Scope.close(second, Exit.void)
        assert.strictEqual(lines.size, 0)
      }
    })
  )

  it.effect("passes on a permit that comes in the moment in which the one who waits is interrupted", () =>
    Effect.gen(function* () {
      const [holder, gone, next] = [yield* Scope.make(), yield* Scope.make(), yield* Scope.make()]
      // Lets others run just when the waiter is woken, as happens to a fiber that has run for long.
      let yields = false
      class Yielding extends Scheduler.MixedScheduler {
        override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
          const now = yields
          yields = false
          return now || super.shouldYield(fiber)
        }
      }
      yield* take(holder)
      const waiter = yield* Effect.forkChild(Effect.provideService(take(gone), Scheduler.Scheduler, new Yielding()))
      yield* Effect.yieldNow
      const third = yield* Effect.forkChild(take(next))
      yield* Effect.yieldNow
      yields = true
      yield* Scope.close(holder, Exit.void)
      waiter.interruptUnsafe()
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(waiter)))
      yield* Fiber.join(third).pipe(
        Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.die("lost") }),
        TestClock.withLive
      )
      assert.strictEqual(lines.size, 1)
      yield* Scope.close(gone, Exit.void)
      yield* Scope.close(next, Exit.void)
      assert.strictEqual(lines.size, 0)
    })
  )
})
