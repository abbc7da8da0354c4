// Time limits, cancellation, and callers who do not read: each ends its call, closes its socket, and says so.
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as NodeClient from "../src/NodeClient.ts"
import * as Ollama from "../src/Ollama.ts"
import type { Reply } from "../src/OllamaDouble.ts"
import { against, ask, requests, until } from "./support/Double.ts"
import * as Listener from "./support/Listener.ts"
import { eventsOf, exitOf, only } from "./support/Spans.ts"

const chat = (request = ask()) => Ollama.Ollama.use((ollama) => ollama.chat(request))
const stream = (request = ask()) => Stream.unwrap(Effect.map(Ollama.Ollama, (ollama) => ollama.stream(request)))

const timeoutOf = (error: unknown) =>
  error instanceof Ollama.OllamaError && error.reason._tag === "Timeout" ? error.reason : undefined

/** In real time, also where the clock is the test's. */
const live = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Clock.Clock, (clock) => ("adjust" in clock ? TestClock.withLive(effect) : effect))

/** Waits, in real time, until the server has a request, and its script is at its first pause. */
const sent = live(until(() => true))

/** The server sees that the client has gone, in less than 200 ms of real time. */
const closed = Effect.map(live(until(({ disconnectedAt }) => disconnectedAt !== undefined)), (millis) =>
  assert.isBelow(millis, 200)
)

/** Waits, in real time, until the first token of the only call has come. */
const begun = Effect.gen(function* () {
  yield* sent
  const span = yield* only("llm.chat")
  yield* live(
    Effect.sleep("1 millis").pipe(
      Effect.repeat({ until: () => eventsOf(span).length > 0 }),
      Effect.timeout("5 seconds")
    )
  )
  return span
})

/** Waits, in real time, until the only call has ended. */
const over = Effect.gen(function* () {
  yield* sent
  const span = yield* only("llm.chat")
  yield* live(
    Effect.sleep("1 millis").pipe(
      Effect.repeat({ until: () => span.status._tag === "Ended" }),
      Effect.timeout("5 seconds")
    )
  )
  return span
})

const line = (content: string, rest: object = { done: false }) =>
  `${JSON.stringify({ model: "m", message: { role: "assistant", content }, ...rest })}\n`

const last = line("", { done: true, done_reason: "stop", prompt_eval_count: 2, eval_count: 3, eval_duration: 1 })

const hangs: Reply = { text: ["one "], end: "hang" }

const calls = [
  ["chat", chat()],
  ["stream", Stream.runDrain(stream())]
] as const

describe("time limits, on the clock of the test", () => {
  for (const [way, call] of calls) {
    it.effect(`C7 trap 23 the first record: after 15 minutes unless told otherwise (${way})`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.flip(call))
        yield* sent
        yield* TestClock.adjust("899 seconds")
        yield* live(Effect.sleep("10 millis"))
        assert.isUndefined((yield* requests)[0]?.disconnectedAt)
        yield* TestClock.adjust("1 second")
        const reason = timeoutOf(yield* Fiber.join(fiber))
        assert.deepInclude(reason, { phase: "first record", millis: 900_000, partial: "" })
        assert.include(reason?.message, '"firstRecordTimeout"')
        yield* closed
        assert.lengthOf(yield* requests, 1)
      }).pipe(Effect.provide(against({ text: "late", load: "1 hour" })))
    )

    it.effect(`C7 silence: after 5 minutes unless told otherwise, with what came (${way})`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.flip(call))
        yield* begun
        yield* TestClock.adjust("299 seconds")
        yield* live(Effect.sleep("10 millis"))
        assert.isUndefined((yield* requests)[0]?.disconnectedAt)
        yield* TestClock.adjust("1 second")
        const reason = timeoutOf(yield* Fiber.join(fiber))
        assert.deepInclude(reason, { phase: "idle", millis: 300_000, partial: "one " })
        assert.include(reason?.message, "fell silent")
        assert.include(reason?.message, '"idleTimeout"')
        yield* closed
        assert.lengthOf(yield* requests, 1)
      }).pipe(Effect.provide(against(hangs)))
    )

    it.effect(`C7 silence: blank lines are no sign of life (${way})`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.flip(call))
        yield* begun
        for (let minute = 0; minute < 30 && fiber.pollUnsafe() === undefined; minute++) {
          yield* live(Effect.sleep("10 millis"))
          yield* TestClock.adjust("1 minute")
        }
        assert.deepInclude(timeoutOf(yield* Fiber.join(fiber)), { phase: "idle", millis: 300_000, partial: "one " })
      }).pipe(
        Effect.provide(
          against({ raw: [line("one "), ...Array.from({ length: 9 }, () => "\n"), last], delay: "1 minute" })
        )
      )
    )

    it.effect(`C7 silence: a first record that says nothing yet is one all the same (${way})`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.flip(call))
        yield* live(until(({ status }) => status === 200))
        for (let minute = 0; minute < 14 && fiber.pollUnsafe() === undefined; minute++) {
          yield* live(Effect.sleep("10 millis"))
          yield* TestClock.adjust("1 minute")
        }
        assert.deepInclude(timeoutOf(yield* Fiber.join(fiber)), { phase: "idle", millis: 300_000, partial: "" })
        yield* closed
        assert.lengthOf(yield* requests, 1)
      }).pipe(Effect.provide(against({ raw: [line(""), line("late"), last], delay: "1 hour" })))
    )

    it.effect(`C7 the first record: those that follow have the time between two (${way})`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(call)
        yield* live(until(({ status }) => status === 200))
        for (let minute = 0; minute < 60 && fiber.pollUnsafe() === undefined; minute++) {
          yield* live(Effect.sleep("10 millis"))
          yield* TestClock.adjust("1 minute")
        }
        yield* Fiber.join(fiber)
      }).pipe(
        Effect.provide(
          against({ raw: [...Array.from({ length: 20 }, () => line("")), line("late"), last], delay: "1 minute" })
        )
      )
    )

    it.effect(`C7 the whole call: while it loads (${way})`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.flip(call))
        yield* sent
        yield* TestClock.adjust("10 seconds")
        const reason = timeoutOf(yield* Fiber.join(fiber))
        assert.deepInclude(reason, { phase: "total", millis: 10_000, partial: "" })
        assert.include(reason?.message, '"totalTimeout"')
        yield* closed
      }).pipe(Effect.provide(against({ text: "late", load: "1 hour" }, { totalTimeout: "10 seconds" })))
    )

    it.effect(`C7 the whole call: in the middle of an answer that goes on (${way})`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.flip(call))
        yield* begun
        yield* TestClock.adjust("4 seconds")
        yield* live(Effect.sleep("10 millis"))
        yield* TestClock.adjust("6 seconds")
        const reason = timeoutOf(yield* Fiber.join(fiber))
        assert.deepInclude(reason, { phase: "total", millis: 10_000 })
        assert.include(reason?.partial, "one ")
        yield* closed
      }).pipe(
        Effect.provide(
          against(
            { text: Array.from({ length: 50 }, () => "one "), delay: "3 seconds" },
            { totalTimeout: "10 seconds" }
          )
        )
      )
    )
  }

  it.effect("C7 the whole call: between two attempts", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(chat()))
      yield* sent
      yield* live(until(({ complete }) => complete))
      yield* live(Effect.sleep("10 millis"))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(timeoutOf(yield* Fiber.join(fiber))?.phase, "total")
      assert.lengthOf(yield* requests, 1)
    }).pipe(
      Effect.provide(
        against(
          { status: 500, error: "cudaMalloc failed: out of memory" },
          { totalTimeout: "10 seconds", retry: { base: "1 minute", cap: "1 hour" } }
        )
      )
    )
  )

  const busy = (retryAfter: string) =>
    against({ raw: '{"error":"too many"}', status: 429, headers: { "retry-after": retryAfter } })

  it.effect("a busy server is asked again when it wants to be, in seconds, and not before", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(chat()))
      for (const asked of [1, 2, 3]) {
        yield* live(until(({ complete }) => complete))
        let seconds = 0
        while ((yield* requests).length === asked) {
          yield* TestClock.adjust("1 second")
          seconds += 1
          yield* live(Effect.sleep("30 millis"))
        }
        assert.lengthOf(yield* requests, asked + 1)
        // A second may pass before the client has read the answer, and before the server has the next request.
        assert.isTrue(seconds >= 7 && seconds < 20, `after ${seconds} s`)
      }
      const { message, reason } = yield* Fiber.join(fiber)
      assert.isTrue(reason._tag === "Busy" && reason.retryAfterMillis === 7000)
      assert.include(message, "Try again in 7 s")
    }).pipe(Effect.provide(busy("7")))
  )

  it.effect("one that wants to be left alone for longer than 30 seconds is not asked again", () =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(chat())
      assert.include(message, "Try again in 3600 s")
      assert.lengthOf(yield* requests, 1)
    }).pipe(Effect.provide(busy("3600")))
  )

  it.live("limits hold where the time of day is put right in the middle of an answer", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let ahead = 0
      const set: Clock.Clock = Object.create(clock, {
        currentTimeMillisUnsafe: { value: () => clock.currentTimeMillisUnsafe() + ahead },
        currentTimeNanosUnsafe: { value: () => clock.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n }
      })
      yield* Stream.runForEach(stream(), () => Effect.sync(() => (ahead += 3_600_000))).pipe(
        Effect.provideService(Clock.Clock, set)
      )
      assert.isAbove(ahead, 2 * 3_600_000)
    }).pipe(
      Effect.provide(
        against(
          { text: Array.from({ length: 20 }, () => "one "), delay: "100 millis" },
          { idleTimeout: "1500 millis", totalTimeout: "1 minute" }
        )
      )
    )
  )

  it.effect("there is no limit for the whole call unless told", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(chat())
      for (let index = 0; index < 3; index++) {
        yield* sent
        yield* live(Effect.sleep("10 millis"))
        yield* TestClock.adjust("14 minutes")
      }
      yield* live(Effect.sleep("10 millis"))
      assert.strictEqual((yield* Fiber.join(fiber)).text, "one ")
    }).pipe(Effect.provide(against({ text: "one ", load: "14 minutes" })))
  )

  it.live("C7 connecting: the client for Node gives up after its own time, on a real socket", () =>
    Effect.gen(function* () {
      // A listener whose backlog is full takes no further connection, and refuses none.
      const url = yield* Listener.full
      const start = performance.now()
      const error = yield* Effect.flip(chat()).pipe(Effect.provide(NodeClient.layer({ url })))
      assert.deepInclude(timeoutOf(error), { phase: "connect", millis: 5000 })
      assert.include(error.message, "OLLAMA_HOST")
      const took = performance.now() - start
      assert.isTrue(took > 4000 && took < 10_000, String(took))
    }).pipe(Effect.scoped)
  )

  it.live(
    "trap 22 the client for Node has no limits of its own for an answer: an hour for its head, none for its body",
    () =>
      Effect.gen(function* () {
        const limits: Array<unknown> = []
        // Undici tells who asks of each request it makes.
        const onRequest = (message: unknown) => {
          const { bodyTimeout, headersTimeout } = (message as { readonly request: Record<string, unknown> }).request
          limits.push({ headersTimeout, bodyTimeout })
        }
        subscribe("undici:request:create", onRequest)
        yield* Effect.ensuring(
          chat(),
          Effect.sync(() => unsubscribe("undici:request:create", onRequest))
        )
        assert.deepStrictEqual(limits, [{ headersTimeout: 3_600_000, bodyTimeout: 0 }])
      }).pipe(Effect.provide(against("x")))
  )
})

describe("cancellation", () => {
  const interrupted = (records: number) =>
    Effect.gen(function* () {
      yield* closed
      const span = yield* only("llm.chat")
      const exit = exitOf(span)
      assert.isTrue(exit !== undefined && Exit.isFailure(exit) && Exit.hasInterrupts(exit))
      const all = Object.fromEntries(span.attributes)
      assert.strictEqual(all["tinyllm.ollama.records"], records)
      assert.strictEqual(all["tinyllm.ollama.attempts"], 1)
      assert.deepStrictEqual(
        Object.keys(all).filter((key) => /tokens|duration|per_second|finish/.test(key)),
        ["gen_ai.request.max_tokens"]
      )
      assert.notProperty(all, "error.type")
    })

  for (const [way, call] of calls) {
    const cancelled = (records: number) =>
      Effect.gen(function* () {
        const before = (yield* requests).length
        const fiber = yield* Effect.forkChild(call)
        yield* Effect.sleep("1 millis").pipe(
          Effect.andThen(requests),
          Effect.repeat({ until: (all) => all.length > before }),
          Effect.timeout("10 seconds")
        )
        if (records > 0) {
          yield* begun
        }
        yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(fiber)
        yield* interrupted(records)
      })

    // A server that works on another request, and one that loads: neither sends a byte.
    it.live(`C8 trap 28 while it is queued (${way})`, () =>
      Effect.gen(function* () {
        const other = yield* Effect.forkChild(
          Effect.provide(chat(), NodeClient.layer({ url: (yield* Ollama.Ollama).url, permitsPerModel: 2 })).pipe(
            Effect.withTracerEnabled(false)
          )
        )
        yield* until(() => true)
        yield* cancelled(0)
        yield* Fiber.interrupt(other)
      }).pipe(Effect.provide(against({ text: "late", load: "10 seconds" })))
    )

    it.live(`C8 trap 28 while the model loads (${way})`, () =>
      cancelled(0).pipe(Effect.provide(against({ text: "late", load: "10 seconds" })))
    )

    it.live(`C8 trap 27 in the middle of an answer (${way})`, () =>
      cancelled(2).pipe(Effect.provide(against({ text: ["one ", "two "], end: "hang" })))
    )

    it.live(`C8 while the rest of the response is awaited (${way})`, () =>
      cancelled(2).pipe(
        Effect.provide(against({ raw: [line("one "), line("", { done: true, eval_count: 3 })], end: "hang" }))
      )
    )
  }
})

/** Opens a stream and gives its pull and the scope that ends it. */
const opened = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const pull = yield* Stream.toPull(stream()).pipe(Scope.provide(scope))
  return { pull, scope }
})

describe("a stream that is not read as it comes", () => {
  it.live("has its tokens, and ends, when its last record came: read in part", () =>
    Effect.gen(function* () {
      const { pull, scope } = yield* opened
      assert.strictEqual((yield* pull)[0]._tag, "Text")
      const span = yield* over
      assert.isTrue(Exit.isSuccess(exitOf(span)!))
      assert.strictEqual(span.attributes.get("llm.total_tokens"), 5)
      // Its permit is free, though nobody reads the rest.
      assert.strictEqual((yield* chat().pipe(Effect.timeout("5 seconds"))).text, "one two ")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isSuccess(exitOf(span)!))
    }).pipe(Effect.provide(against({ raw: [line("one "), line("two "), last], delay: 5 })))
  )

  it.live("makes no request when it is not read at all, and none is left when its scope ends", () =>
    Effect.gen(function* () {
      const { scope } = yield* opened
      yield* Effect.sleep("20 millis")
      yield* Scope.close(scope, Exit.void)
      assert.lengthOf(yield* requests, 0)
    }).pipe(Effect.provide(against({ raw: [line("one "), line("two "), last], delay: 5 })))
  )

  it.live("has all its parts in their order, and ends before they are read: read slowly", () =>
    Effect.gen(function* () {
      const texts: Array<string> = []
      yield* Stream.runForEach(stream(), (part) => {
        texts.push(part._tag === "Text" ? part.text : part._tag)
        // Half of it is still to be read.
        return texts.length === 50 ? over : Effect.void
      })
      assert.deepStrictEqual(texts, [...Array.from({ length: 100 }, (_, index) => `${index} `), "Done"])
    }).pipe(
      Effect.provide(against({ raw: [Array.from({ length: 100 }, (_, index) => line(`${index} `)).join(""), last] }))
    )
  )

  it.effect("is not cut off for the time that its caller takes", () =>
    Effect.gen(function* () {
      const { pull, scope } = yield* opened
      assert.strictEqual((yield* pull)[0]._tag, "Text")
      yield* TestClock.adjust("4 minutes")
      yield* over
      yield* TestClock.adjust("1 hour")
      const [next] = yield* pull
      assert.deepInclude(next, { _tag: "Text", text: "two" })
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(against({ text: ["one ", "two"], delays: ["4 minutes"] })))
  )

  it.effect("is stopped after the time limit for silence while its answer comes, and its permit is free", () =>
    Effect.gen(function* () {
      const { pull, scope } = yield* opened
      assert.strictEqual((yield* pull)[0]._tag, "Text")
      for (let minute = 0; minute < 5; minute++) {
        yield* TestClock.adjust("1 minute")
        yield* live(Effect.sleep("20 millis"))
      }
      yield* TestClock.adjust("1 minute")
      const span = yield* over
      yield* closed
      const exit = exitOf(span)
      assert.isTrue(exit !== undefined && Exit.isFailure(exit))
      // What had come before is handed out, then the failure.
      const parts: Array<string> = []
      const error = yield* pull.pipe(
        Effect.tap((some) => Effect.sync(() => parts.push(...some.map(({ _tag }) => _tag)))),
        Effect.forever,
        Effect.flip
      )
      assert.isAtLeast(parts.length, 2)
      const reason = timeoutOf(error)
      assert.deepInclude(reason, { phase: "idle", unread: true, millis: 300_000 })
      assert.include(reason?.message, "left unread")
      const next = yield* Effect.forkChild(chat())
      yield* live(until(({ complete, disconnectedAt }) => !complete && disconnectedAt === undefined))
      yield* Fiber.interrupt(next)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(against({ text: Array.from({ length: 1000 }, () => "one "), delay: "1 minute" })))
  )

  it.live("makes the server wait when too much of it is unread, and goes on when it is read", () =>
    Effect.gen(function* () {
      const { pull, scope } = yield* opened
      let count = (yield* pull).length
      yield* Effect.sleep("300 millis")
      const span = yield* only("llm.chat")
      assert.isUndefined(exitOf(span))
      yield* pull.pipe(
        Effect.tap((parts) => Effect.sync(() => (count += parts.length))),
        Effect.forever,
        Effect.exit
      )
      assert.strictEqual(count, 200_001)
      assert.isTrue(Exit.isSuccess(exitOf(span)!))
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(against({ raw: [...Array.from({ length: 200 }, () => line("one ").repeat(1000)), last] })))
  )
})

const block = line("token ").repeat(1000)

/** Bytes on the heap that something holds. */
const heldBytes = () => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

describe("memory", () => {
  it.live(
    "C19 stays flat over a stream of 50 MB",
    () =>
      Effect.gen(function* () {
        const { pull, scope } = yield* opened
        let records = 0
        let before = 0
        let most = 0
        yield* pull.pipe(
          Effect.tap((parts) =>
            Effect.sync(() => {
              const earlier = Math.floor(records / 150_000)
              records += parts.length
              if (Math.floor(records / 150_000) > earlier) {
                const now = heldBytes()
                before = before === 0 ? now : before
                most = Math.max(most, now - before)
              }
            })
          ),
          Effect.forever,
          Effect.exit
        )
        assert.isAbove(records * line("token ").length, 50_000_000)
        // The text itself, which the last part holds as a whole, is 4 MB of it.
        assert.isBelow(most, 8_000_000)
        yield* Scope.close(scope, Exit.void)
      }).pipe(
        Effect.provide(against({ raw: [...Array.from({ length: 680 }, () => block), last] }, { timings: false }))
      ),
    120_000
  )

  it.live(
    "C19 stays flat over a stream of 50 MB in long records that nobody reads on",
    () =>
      Effect.gen(function* () {
        const { pull, scope } = yield* opened
        yield* pull
        const before = heldBytes()
        yield* Effect.sleep("2 seconds")
        // What came is held twice, unread and for the answer as a whole; a character takes a byte.
        assert.isBelow(heldBytes() - before, 8_000_000)
        yield* Scope.close(scope, Exit.void)
      }).pipe(
        Effect.provide(
          against({ raw: [...Array.from({ length: 800 }, () => line("z".repeat(65_536))), last] }, { timings: false })
        )
      ),
    120_000
  )

  it.effect(
    "stays flat over 1 000 streams that nobody reads on or closes: they end by themselves",
    () =>
      Effect.gen(function* () {
        const leave = opened.pipe(
          Effect.flatMap(({ pull }) => pull),
          Effect.withTracerEnabled(false)
        )
        const many = Effect.fnUntraced(function* (count: number) {
          for (let index = 0; index < count; index++) {
            yield* leave
          }
          yield* TestClock.adjust("5 minutes")
          const open = Effect.map(requests, (all) => all.filter(({ disconnectedAt }) => disconnectedAt === undefined))
          yield* live(
            Effect.sleep("10 millis").pipe(
              Effect.andThen(open),
              Effect.repeat({ until: ({ length }) => length === 0 }),
              Effect.timeout("20 seconds")
            )
          )
        })
        yield* many(100)
        const before = heldBytes()
        yield* many(1000)
        // What the double keeps of each request is most of it.
        assert.isBelow(heldBytes() - before, 8_000_000)
      }).pipe(
        Effect.provide(
          against({ text: ["one ", "two "], end: "hang" }, { permitsPerModel: Infinity }, { parallel: 2000 })
        )
      ),
    120_000
  )

  it.live(
    "stays flat over 1 000 streams that were left after their first part",
    () =>
      Effect.gen(function* () {
        const leave = stream().pipe(Stream.take(1), Stream.runDrain, Effect.withTracerEnabled(false))
        const many = (count: number) => Effect.forEach(Array.from({ length: count }), () => leave, { discard: true })
        yield* many(100)
        const before = heldBytes()
        yield* many(1000)
        yield* Effect.sleep("50 millis")
        assert.isBelow(heldBytes() - before, 3_000_000)
        // Nothing is left of the last one: the model can be asked at once.
        yield* leave.pipe(Effect.timeout("2 seconds"))
      }).pipe(Effect.provide(against({ text: ["one ", "two "], end: "hang" }))),
    120_000
  )
})
