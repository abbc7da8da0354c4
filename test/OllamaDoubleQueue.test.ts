// Time, turns and clients that leave: on a clock of the test, over real sockets.
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { OllamaDouble, type Stage } from "../src/OllamaDouble.ts"
import { call, chat, isComplete, lines, open, serving } from "./support/Outside.ts"

const hello = { model: "m", messages: [{ role: "user", content: "hi" }] }
const busy = "server busy, please try again.  maximum pending requests exceeded"

/** Waits until so many requests are at that point. */
const staged = (stage: Stage, count = 1) =>
  Effect.gen(function* () {
    const double = yield* OllamaDouble
    const seen = new Set<unknown>()
    yield* double.until((request) => {
      if (request.stage === stage && request.disconnectedAt === undefined) {
        seen.add(request)
      } else {
        seen.delete(request)
      }
      return seen.size >= count
    })
  })

/** What has been sent by now has arrived once another request is answered. */
const settle = Effect.repeat(call("/"), { times: 2 })

const body = (text: string) => {
  const [, ...chunks] = text.split("\r\n").slice(text.split("\r\n").indexOf(""))
  return lines(chunks.filter((_, index) => index % 2 === 1).join(""))
}

const loadedNames = Effect.map(call("/api/ps"), ({ text }) =>
  (JSON.parse(text) as { models: ReadonlyArray<{ name: string }> }).models.map(({ name }) => name)
)

describe("time", () => {
  it.effect("D1 sends nothing before the first record, while it loads and while it reads the prompt", () =>
    Effect.gen(function* () {
      const socket = yield* open("/api/chat", hello)
      yield* staged("loading")
      yield* settle
      assert.strictEqual(socket.text(), "")
      yield* TestClock.adjust("3 seconds")
      yield* staged("reading")
      yield* settle
      assert.strictEqual(socket.text(), "")
      yield* TestClock.adjust("2 seconds")
      const text = yield* socket.until((text) => text.includes('"content":"x"'))
      assert.match(text, /^HTTP\/1\.1 200 OK\r\n/)
      assert.match(text, /content-type: application\/x-ndjson\r\n/i)
      assert.match(text, /transfer-encoding: chunked\r\n/i)
    }).pipe(Effect.scoped, serving({ text: ["x"], load: "3 seconds", firstDelay: "2 seconds", end: "hang" }))
  )

  it.effect("D4 waits before each record as the script says, on the clock, and measures it", () =>
    Effect.gen(function* () {
      const socket = yield* open("/api/chat", hello)
      for (const [wait, seen] of [
        ["1 second", '"thinking":"hm"'],
        ["2 seconds", '"content":"a"'],
        ["3 seconds", '"content":"b"'],
        ["4 seconds", '"done":true']
      ] as const) {
        yield* settle
        assert.notInclude(socket.text(), seen)
        yield* TestClock.adjust(Duration.subtract(Duration.fromInputUnsafe(wait), Duration.millis(1)))
        yield* settle
        assert.notInclude(socket.text(), seen)
        yield* TestClock.adjust("1 millis")
        yield* socket.until((text) => text.includes(seen))
      }
      const last = body(yield* socket.until(isComplete)).at(-1)!
      assert.deepInclude(last, { total_duration: 10e9, prompt_eval_duration: 1e9, eval_duration: 9e9 })
      assert.notProperty(last, "load_duration")
    }).pipe(
      Effect.scoped,
      serving({
        thinking: ["hm"],
        text: ["a", "b"],
        firstDelay: "1 second",
        delays: ["2 seconds", "3 seconds"],
        delay: "4 seconds"
      })
    )
  )

  it.effect("D9 measures times that add up, counts the queue as load and the wait for a turn only in the total", () =>
    Effect.gen(function* () {
      const first = yield* open("/api/chat", hello)
      yield* staged("loading")
      const second = yield* open("/api/chat", hello)
      yield* staged("queued")
      yield* TestClock.adjust("5 seconds")
      yield* staged("reading")
      yield* TestClock.adjust("1 second")
      const one = body(yield* first.until(isComplete)).at(-1)!
      yield* staged("reading")
      yield* TestClock.adjust("1 second")
      const two = body(yield* second.until(isComplete)).at(-1)!
      assert.deepInclude(one, { total_duration: 6e9, load_duration: 5e9, prompt_eval_duration: 1e9 })
      assert.deepInclude(two, { total_duration: 7e9, load_duration: 5e9, prompt_eval_duration: 1e9 })
      for (const { eval_duration = 0, load_duration, prompt_eval_duration, total_duration } of [one, two]) {
        assert.isAtLeast(total_duration, load_duration + prompt_eval_duration + eval_duration)
      }
      assert.deepInclude(one, { prompt_eval_count: 1, eval_count: 2 })
    }).pipe(
      Effect.scoped,
      serving({ text: "a b", firstDelay: "1 second" }, { models: [{ name: "m", load: "5 seconds" }] })
    )
  )

  it.effect("D9 leaves out what is zero", () =>
    Effect.gen(function* () {
      const last = lines((yield* chat()).text).at(-1)!
      assert.deepStrictEqual(Object.keys(last), [
        "model",
        "created_at",
        "message",
        "done",
        "done_reason",
        "prompt_eval_count"
      ])
    }).pipe(serving({ text: [] }))
  )

  it.effect("D22 writes nanoseconds without the zeros at their end", () =>
    Effect.gen(function* () {
      for (const [millis, expected] of [
        [0, "1970-01-01T00:00:00Z"],
        [120, "1970-01-01T00:00:00.12Z"],
        [9_880, "1970-01-01T00:00:10Z"],
        [1, "1970-01-01T00:00:10.001Z"]
      ] as const) {
        yield* TestClock.adjust(millis)
        const [record] = lines((yield* chat()).text)
        assert.strictEqual(record?.["created_at"], expected)
      }
    }).pipe(serving("x"))
  )

  it.live("D22 has more than milliseconds on a real clock", () =>
    Effect.gen(function* () {
      const { text } = yield* call("/api/chat", { body: hello })
      const fractions = lines(text).map(({ created_at }) => /\.(\d+)Z$/.exec(created_at)?.[1] ?? "")
      assert.isTrue(fractions.every((digits) => digits.length <= 9 && !digits.endsWith("0")))
      assert.isTrue(fractions.some((digits) => digits.length > 3))
    }).pipe(serving("a b c d e f g h"))
  )
})

describe("turns", () => {
  it.effect("D10 lets a model answer one request at a time, in their order, and others at once", () =>
    Effect.gen(function* () {
      const sockets = yield* Effect.forEach(["m", "m", "other"], (model) =>
        Effect.tap(open("/api/chat", { ...hello, model }), settle)
      )
      const done = () => sockets.map((socket) => isComplete(socket.text()))
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach([0, 2], (index) => sockets[index]!.until(isComplete))
      yield* settle
      assert.deepStrictEqual(done(), [true, false, true])
      assert.strictEqual(sockets[1]!.text(), "")
      yield* TestClock.adjust("1 second")
      yield* sockets[1]!.until(isComplete)
    }).pipe(Effect.scoped, serving({ text: "x", firstDelay: "1 second" }, { models: ["m", "other"] }))
  )

  it.effect("D10 lets a model answer as many at a time as a script says", () =>
    Effect.gen(function* () {
      const sockets = yield* Effect.replicateEffect(open("/api/chat", hello), 3)
      yield* staged("reading", 2)
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* staged("reading")
      yield* settle
      assert.strictEqual(sockets.filter((socket) => isComplete(socket.text())).length, 2)
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(sockets, (socket) => socket.until(isComplete))
    }).pipe(Effect.scoped, serving({ text: "x", firstDelay: "1 second" }, { parallel: 2 }))
  )

  it.effect("D10 answers 503 when too many wait for a load, and never when the model is loaded", () =>
    Effect.gen(function* () {
      const loading = yield* open("/api/chat", { ...hello, model: "a" })
      yield* staged("loading")
      const waiting = yield* open("/api/chat", { ...hello, model: "b" })
      yield* staged("queued")
      const refused = yield* call("/api/chat", { body: { ...hello, model: "c" } })
      assert.deepStrictEqual([refused.status, JSON.parse(refused.text)], [503, { error: busy }])
      assert.strictEqual(refused.type, "application/json; charset=utf-8")
      const embedded = yield* call("/api/embed", { body: { model: "c", input: "x" } })
      assert.strictEqual(embedded.status, 503)
      yield* TestClock.adjust("1 second")
      yield* loading.until(isComplete)
      yield* staged("loading")
      const many = yield* Effect.replicateEffect(open("/api/chat", { ...hello, model: "a" }), 5)
      yield* Effect.forEach(many, (socket) => socket.until(isComplete))
      yield* TestClock.adjust("1 second")
      yield* waiting.until(isComplete)
      assert.deepStrictEqual(yield* loadedNames, ["b:latest", "a:latest"])
    }).pipe(
      Effect.scoped,
      serving("x", {
        maxQueue: 1,
        capabilities: ["completion", "embedding"],
        models: ["a", "b", "c"].map((name) => ({ name, load: "1 second" }))
      })
    )
  )

  it.effect("D10 loads a model once, again for other load-time settings, and for one too many throws one out", () =>
    Effect.gen(function* () {
      const { loads } = yield* OllamaDouble
      const say = (model: string, rest: object = {}) => call("/api/chat", { body: { ...hello, model, ...rest } })
      const count = Effect.map(loads, (all) => all.map(({ model }) => model))
      yield* say("a")
      yield* say("a", { options: { temperature: 1, num_ctx: 4096 } })
      assert.deepStrictEqual(yield* count, ["a:latest"])
      yield* say("a", { options: { num_ctx: 8192 } })
      yield* say("a", { options: { num_ctx: 8192 }, shift: false })
      assert.deepStrictEqual(yield* count, ["a:latest", "a:latest", "a:latest"])
      yield* TestClock.adjust("1 second")
      yield* say("b")
      yield* TestClock.adjust("1 second")
      yield* say("c")
      assert.deepStrictEqual(yield* loadedNames, ["c:latest", "b:latest"])
      const [last] = JSON.parse((yield* call("/api/ps")).text).models
      assert.deepInclude(last, { context_length: 4096, expires_at: "1970-01-01T00:05:02Z" })
    }).pipe(serving("x", { models: ["a", "b", "c"], maxLoaded: 2 }))
  )

  it.effect("D8 keeps a model as long as the last request that set it wants", () =>
    Effect.gen(function* () {
      const say = (rest: object) => call("/api/chat", { body: { ...hello, ...rest } })
      yield* say({ keep_alive: "90s" })
      yield* say({})
      yield* TestClock.adjust("89 seconds")
      assert.lengthOf(yield* loadedNames, 1)
      yield* TestClock.adjust("1 second")
      assert.lengthOf(yield* loadedNames, 0)
      yield* say({ keep_alive: -1 })
      yield* TestClock.adjust("100 days")
      const [model] = JSON.parse((yield* call("/api/ps")).text).models
      assert.match(model.expires_at, /^2262-/)
      yield* say({ keep_alive: 0 })
      assert.lengthOf(yield* loadedNames, 0)
    }).pipe(serving("x"))
  )
})

describe("clients that leave", () => {
  it.effect("D11 are noticed while queued, loading, reading and in the middle of a stream", () =>
    Effect.gen(function* () {
      const double = yield* OllamaDouble
      const left = (socket: { readonly close: Effect.Effect<void> }, stage: Stage) =>
        Effect.gen(function* () {
          yield* socket.close
          return yield* double.until((request) => request.stage === stage && request.disconnectedAt !== undefined)
        })
      const first = yield* open("/api/chat", hello)
      yield* staged("loading")
      const second = yield* open("/api/chat", hello)
      yield* staged("queued")
      yield* TestClock.adjust("5 millis")
      assert.deepInclude(yield* left(second, "queued"), { status: 499, disconnectedAt: 5, complete: false })
      assert.deepInclude(yield* left(first, "loading"), { status: 499, complete: false })
      const third = yield* open("/api/chat", hello)
      yield* staged("loading")
      yield* TestClock.adjust("1 second")
      yield* staged("reading")
      assert.deepInclude(yield* left(third, "reading"), { status: 499, complete: false })
      const fourth = yield* open("/api/chat", hello)
      yield* staged("reading")
      yield* TestClock.adjust("1 second")
      yield* fourth.until((text) => text.includes('"content":"a"'))
      assert.deepInclude(yield* left(fourth, "answering"), { status: 200, complete: false })
      const fifth = yield* open("/api/chat", hello)
      yield* staged("reading")
      yield* TestClock.adjust("1 second")
      yield* fifth.until((text) => text.includes('"content":"a"'))
      yield* TestClock.adjust("1 second")
      yield* fifth.until(isComplete)
      const request = yield* double.until(({ complete, path }) => complete && path === "/api/chat")
      yield* fifth.close
      assert.deepInclude(request, { status: 200, disconnectedAt: undefined })
    }).pipe(
      Effect.scoped,
      serving({ text: ["a"], firstDelay: "1 second", delay: "1 second" }, { models: [{ name: "m", load: "1 second" }] })
    )
  )

  it.effect("D11 free their turn", () =>
    Effect.gen(function* () {
      const double = yield* OllamaDouble
      const first = yield* open("/api/chat", hello)
      yield* staged("answering")
      const second = yield* open("/api/chat", hello)
      yield* staged("queued")
      yield* settle
      assert.strictEqual(second.text(), "")
      yield* first.close
      yield* double.until(({ disconnectedAt }) => disconnectedAt !== undefined)
      yield* second.until((text) => text.includes('"content":"a"'))
    }).pipe(Effect.scoped, serving({ text: ["a"], end: "hang" }))
  )

  it.effect("D12 abort the load they wait for", () =>
    Effect.gen(function* () {
      const double = yield* OllamaDouble
      const first = yield* open("/api/chat", hello)
      yield* staged("loading")
      yield* TestClock.adjust("9 seconds")
      yield* first.close
      yield* double.until(({ disconnectedAt }) => disconnectedAt !== undefined)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* loadedNames, [])
      const again = yield* Effect.forkChild(chat({ stream: false }))
      yield* staged("loading")
      yield* TestClock.adjust("10 seconds")
      const { text } = yield* Fiber.join(again)
      assert.strictEqual(JSON.parse(text).load_duration, 10e9)
      assert.deepStrictEqual(yield* loadedNames, ["m:latest"])
      assert.deepStrictEqual(yield* double.loads, [
        { model: "m:latest", startedAt: 0, endedAt: 9000, aborted: true },
        { model: "m:latest", startedAt: 69_000, endedAt: 79_000, aborted: false }
      ])
    }).pipe(Effect.scoped, serving("x", { models: [{ name: "m", load: "10 seconds" }] }))
  )
})
