import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Random, References, Stream, Tracer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Baggage from "../src/Baggage.ts"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as NodeClient from "../src/NodeClient.ts"
import * as Ollama from "../src/Ollama.ts"
import * as Propagation from "../src/Propagation.ts"
import * as Span from "../src/Span.ts"
import * as Usage from "../src/Usage.ts"
import { OllamaDouble, type Reply } from "../src/OllamaDouble.ts"
import { against, ask, calls, requests, until } from "./support/Double.ts"
import { eventsOf, exitOf, named, only, Spans, tree } from "./support/Spans.ts"

const chat = (request = ask()) => Ollama.Ollama.use((ollama) => ollama.chat(request))
const stream = (request = ask()) => Stream.unwrap(Effect.map(Ollama.Ollama, (ollama) => ollama.stream(request)))
const attributes = (span: Tracer.NativeSpan) => Object.fromEntries(span.attributes)
const nanos = (span: Tracer.NativeSpan) =>
  span.status._tag === "Ended" ? span.status.endTime - span.status.startTime : 0n

/** `Success`, or what is in its cause. */
const endOf = (span: Tracer.NativeSpan): string | undefined => {
  const exit = exitOf(span)
  return exit !== undefined && Exit.isFailure(exit) ? exit.cause.reasons.map(({ _tag }) => _tag).join() : exit?._tag
}

const busyTwice = ({ count }: { readonly count: number }): Reply =>
  count <= 2 ? { status: 503, error: "server busy, please try again." } : "at last"

describe("llm spans", () => {
  it.live("T5 C16 a call is one CLIENT span with its model, lengths and tokens as integers", () =>
    Effect.gen(function* () {
      yield* chat(
        ask("one two 🙂", {
          messages: [
            { role: "system", content: "Be brief." },
            { role: "user", content: "one two 🙂" }
          ],
          temperature: 0.5,
          topP: 0.9,
          topK: 40,
          seed: 7,
          stop: ["x"],
          format: "json"
        })
      )
      const span = yield* only("llm.chat")
      const { port } = yield* Effect.map(Ollama.Ollama, ({ url }) => new URL(url))
      assert.strictEqual(span.kind, "client")
      assert.deepStrictEqual(attributes(span), {
        "llm.model": "m",
        "llm.prompt_length": 18,
        "llm.temperature": 0.5,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 2048,
        "gen_ai.request.stop_sequences": ["x"],
        "gen_ai.request.seed": 7,
        "gen_ai.output.type": "json",
        "server.address": "127.0.0.1",
        "server.port": Number(port),
        "llm.input_tokens": 6,
        "llm.output_tokens": 2,
        "llm.total_tokens": 8,
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 6,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.response.finish_reasons": ["stop"],
        "tinyllm.ollama.attempts": 1,
        "tinyllm.ollama.records": 2,
        "tinyllm.ollama.time_to_first_token": span.attributes.get("tinyllm.ollama.time_to_first_token"),
        "tinyllm.ollama.total_duration": 2.75,
        "tinyllm.ollama.load_duration": 1,
        "tinyllm.ollama.prompt_eval_duration": 0.25,
        "tinyllm.ollama.eval_duration": 1.25,
        "tinyllm.ollama.unaccounted_duration": 0.25,
        "tinyllm.ollama.overhead_duration": 0,
        "tinyllm.ollama.prompt_tokens_per_second": 24,
        "tinyllm.ollama.output_tokens_per_second": 1.6
      })
      const first = Number(span.attributes.get("tinyllm.ollama.time_to_first_token"))
      assert.isTrue(first > 0 && first <= Number(nanos(span)) / 1e9)
    }).pipe(
      Effect.provide(
        against({
          text: "fine, ",
          metrics: {
            total_duration: 2.75e9,
            load_duration: 1e9,
            prompt_eval_duration: 2.5e8,
            eval_duration: 1.25e9
          }
        })
      )
    )
  )

  it.live("T5 counts and times that the server left out are left out", () =>
    Effect.gen(function* () {
      yield* chat()
      const keys = Object.keys(attributes(yield* only("llm.chat")))
      assert.deepStrictEqual(
        keys.filter((key) => /tokens$|duration/.test(key)),
        ["gen_ai.request.max_tokens"]
      )
    }).pipe(Effect.provide(against({ raw: '{"message":{"content":"x"},"done":true}\n' })))
  )

  it.live("T6 T7 total tokens are input and output, and both names agree", () =>
    Effect.gen(function* () {
      const counter = Usage.makeCounter()
      yield* Effect.provideService(chat(ask("a b c")), Usage.Current, counter)
      yield* Effect.provideService(Stream.runDrain(stream(ask("a b c"))), Usage.Current, counter)
      const spans = yield* named("llm.chat")
      assert.lengthOf(spans, 2)
      for (const span of spans) {
        const all = attributes(span)
        assert.strictEqual(all["llm.input_tokens"], 3)
        assert.strictEqual(all["llm.output_tokens"], 2)
        assert.strictEqual(all["llm.total_tokens"], 5)
        assert.strictEqual(all["gen_ai.usage.input_tokens"], all["llm.input_tokens"])
        assert.strictEqual(all["gen_ai.usage.output_tokens"], all["llm.output_tokens"])
        assert.strictEqual(all["gen_ai.request.model"], all["llm.model"])
      }
      assert.deepStrictEqual(counter.total(), { inputTokens: 6, outputTokens: 4 })
    }).pipe(Effect.provide(against("x y")))
  )

  it.live("T6 the run's tokens are the sum over its calls also when a count is missing; usage has what is known", () =>
    Effect.gen(function* () {
      const ask = Node.model({ model: "m", prompt: (text: string) => text, output: ({ text }) => text })
      const inner = Graph.toNode(Graph.single("inner", ask))
      const graph = Graph.make("g", {
        nodes: { a: ask, b: inner, c: ask },
        start: "a",
        edges: { a: "b", b: "c", c: "end" }
      })
      const { usage } = yield* Graph.run(graph, "go")
      assert.deepStrictEqual(usage, { inputTokens: 12, outputTokens: 9 })
      const totals = (yield* named("llm.chat")).map((span) => span.attributes.get("llm.total_tokens"))
      assert.deepStrictEqual(totals, [undefined, 9, undefined])
      const used = (yield* named("graph.execute")).map((span) => span.attributes.get("execution.tokens_used"))
      assert.deepStrictEqual(used, [9, 9])
    }).pipe(
      Effect.provide(
        against(({ count }) => ({
          raw: `${JSON.stringify({
            message: { content: "x" },
            done: true,
            ...[{ prompt_eval_count: 7 }, { prompt_eval_count: 5, eval_count: 4 }, { eval_count: 5 }][count - 1]
          })}\n`
        }))
      )
    )
  )

  it.live("T9 provider and operation", () =>
    Effect.gen(function* () {
      yield* Ollama.Ollama.use((ollama) => ollama.generate({ model: "m", prompt: "abc", system: "de" }))
      const all = attributes(yield* only("llm.generate"))
      assert.strictEqual(all["gen_ai.operation.name"], "text_completion")
      assert.strictEqual(all["gen_ai.provider.name"], "ollama")
      assert.strictEqual(all["llm.prompt_length"], 5)
    }).pipe(Effect.provide(against("x")))
  )

  it.live("T11 only a stream says that it streams, and when its first piece came", () =>
    Effect.gen(function* () {
      yield* chat()
      yield* Stream.runDrain(stream())
      const [whole, streamed] = yield* named("llm.chat")
      assert.isUndefined(attributes(whole!)["gen_ai.request.stream"])
      assert.isUndefined(attributes(whole!)["gen_ai.response.time_to_first_chunk"])
      assert.isTrue(attributes(streamed!)["gen_ai.request.stream"])
      const first = Number(attributes(streamed!)["gen_ai.response.time_to_first_chunk"])
      assert.isAtLeast(first, 0.019)
      assert.isAtMost(first, Number(nanos(streamed!)) / 1e9)
      for (const span of [whole!, streamed!]) {
        assert.deepStrictEqual(
          eventsOf(span).map(({ name }) => name),
          ["llm.first_token"]
        )
      }
    }).pipe(Effect.provide(against({ text: ["a ", "b"], firstDelay: 20, delay: 10 })))
  )

  it.live("T12 there is no temperature where none was set", () =>
    Effect.gen(function* () {
      yield* chat()
      yield* chat(ask("hi", { temperature: 1 }))
      const [without, one] = yield* named("llm.chat")
      assert.notProperty(attributes(without!), "llm.temperature")
      assert.notProperty(attributes(without!), "gen_ai.request.temperature")
      assert.strictEqual(attributes(one!)["llm.temperature"], 1)
    }).pipe(Effect.provide(against("x")))
  )

  it.live("T14 T20 trap 52 no attribute or event holds prompt or answer, or a value that is none", () =>
    Effect.gen(function* () {
      yield* chat(ask("PROMPT-SENTINEL"))
      yield* Effect.ignore(chat(ask("PROMPT-SENTINEL 2")))
      yield* Effect.ignore(chat(ask("PROMPT-SENTINEL 3")))
      for (const span of (yield* Spans).all) {
        const text = JSON.stringify([attributes(span), eventsOf(span), exitOf(span)?._tag])
        assert.notMatch(text, /SENTINEL|undefined|null|\[object/)
        const exit = exitOf(span)
        if (exit !== undefined && Exit.isFailure(exit)) {
          const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error
          assert.notInclude(JSON.stringify(Span.exception(error)), "SENTINEL")
        }
      }
    }).pipe(
      Effect.provide(
        against(({ count }) =>
          count === 1
            ? "ANSWER-SENTINEL"
            : count === 2
              ? { text: ["ANSWER-SENTINEL"], errorLine: "ANSWER-SENTINEL" }
              : { status: 400, error: "PROMPT-SENTINEL" }
        )
      )
    )
  )

  it.live("trap 52 no attribute or event holds user and password of the server's address", () =>
    Effect.gen(function* () {
      const { port } = yield* OllamaDouble
      const layer = NodeClient.layer({ url: `http://SENTINEL:SENTINEL@127.0.0.1:${port}` })
      yield* Effect.provide(chat(), layer)
      yield* Effect.ignore(Effect.provide(chat(ask("hi", { model: "missing" })), layer))
      const { all } = yield* Spans
      assert.lengthOf(
        all.filter(({ name }) => name === "llm.chat"),
        2
      )
      for (const span of all) {
        const exit = exitOf(span)
        const error = exit !== undefined && Exit.isFailure(exit) ? Span.exception(Cause.squash(exit.cause)) : {}
        const text = JSON.stringify([attributes(span), eventsOf(span), error])
        assert.notInclude(text, "SENTINEL")
        assert.notInclude(text, Buffer.from("SENTINEL:SENTINEL").toString("base64"))
      }
      assert.match((yield* requests)[0]?.headers.authorization ?? "", /^Basic /)
    }).pipe(Effect.provide(against("hi")))
  )

  it.live("T15 C16 a failed call is a failed span with a type from the list", () =>
    Effect.gen(function* () {
      const types: Array<string> = []
      const note = (layer: Layer.Layer<Ollama.Ollama, unknown>) =>
        chat().pipe(
          Effect.provide(layer),
          Effect.catch((error) => Effect.sync(() => types.push(Span.errorType(error))))
        )
      yield* note(against({ status: 404, error: "model 'm' not found" }))
      yield* note(against({ status: 503, error: "busy" }, { retry: { times: 0 } }))
      yield* note(against({ text: "x", load: "10 seconds" }, { firstRecordTimeout: 20 }))
      yield* note(against({ text: "x", end: "eof" }))
      yield* note(against({ text: "x", errorLine: "x" }))
      yield* note(NodeClient.layer({ url: "127.0.0.1:1" }))
      assert.deepStrictEqual(types, ["404", "503", "timeout", "StreamInterrupted", "StreamError", "connection_refused"])
    })
  )

  it.live("T15 the span of a stream fails with it, and keeps its tokens out", () =>
    Effect.gen(function* () {
      yield* Effect.flip(Stream.runDrain(stream()))
      const span = yield* only("llm.chat")
      assert.isTrue(Exit.isFailure(exitOf(span)!))
      assert.notProperty(attributes(span), "llm.total_tokens")
    }).pipe(Effect.provide(against({ text: "a b", end: "eof" })))
  )

  it.live("the span of a stream is interrupted when only a part is taken, and succeeds when all of it is", () =>
    Effect.gen(function* () {
      yield* Stream.runDrain(stream().pipe(Stream.take(1)))
      yield* Stream.runDrain(stream().pipe(Stream.take(4)))
      yield* Stream.runDrain(stream())
      assert.deepStrictEqual((yield* named("llm.chat")).map(endOf), ["Interrupt", "Success", "Success"])
    }).pipe(Effect.provide(against({ text: "a b c", delay: 5 })))
  )

  it.live("the span of a stream takes nothing of its consumer's failure", () =>
    Effect.gen(function* () {
      for (const failing of [Effect.fail("consumer"), Effect.die("consumer"), Effect.interrupt]) {
        const exit = yield* Effect.exit(Stream.runForEach(stream(), () => failing))
        assert.notStrictEqual(exit._tag, "Success")
      }
      assert.deepStrictEqual((yield* named("llm.chat")).map(endOf), ["Interrupt", "Interrupt", "Interrupt"])
      yield* until((request) => request.disconnectedAt !== undefined)
    }).pipe(Effect.provide(against({ text: ["a "], end: "hang" })))
  )

  it.live("the last attempt of a stream takes nothing of its consumer's failure", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(Stream.runForEach(stream(), () => Effect.fail("consumer"))), "consumer")
      assert.deepStrictEqual((yield* named("retry.attempt")).map(endOf), ["Fail", "Interrupt"])
    }).pipe(
      Effect.provide(
        against(({ count }) => (count === 1 ? { status: 503, error: "busy" } : { text: ["a "], end: "hang" }))
      )
    )
  )

  it.live("the call hangs under the caller's span, and what its consumer does does not hang under the call", () =>
    Effect.gen(function* () {
      yield* stream().pipe(
        Stream.runForEach(() => Effect.withSpan(Effect.void, "consumer")),
        Effect.withSpan("caller")
      )
      assert.deepStrictEqual(yield* tree, ["caller", "  llm.chat", "  consumer", "  consumer"])
    }).pipe(Effect.provide(against("one", { timings: false })))
  )
})

describe("retry.attempt spans", () => {
  for (const status of [400, 404]) {
    it.live(`trap 53 a node that fails with ${status} makes exactly one request`, () =>
      Effect.gen(function* () {
        const node = Node.model({ model: "m", prompt: (text: string) => text, output: ({ text }) => text })
        const error = yield* Effect.flip(Graph.run(Graph.single("g", node), "hi"))
        assert.isFalse(error._tag === "OllamaError" && error.isRetryable)
        assert.lengthOf(yield* calls, 1)
        assert.lengthOf(yield* named("retry.attempt"), 0)
      }).pipe(Effect.provide(against({ status, error: "no" })))
    )
  }

  for (const [way, call] of [
    ["chat", chat()],
    ["stream", Stream.runDrain(stream())]
  ] as const) {
    it.live(`T17 C16 trap 49 all attempts are there, with their times, when one more was needed (${way})`, () =>
      Effect.gen(function* () {
        yield* call
        const parent = yield* only("llm.chat")
        const attempts = yield* named("retry.attempt")
        assert.deepStrictEqual(
          attempts.map((span) => attributes(span)),
          [{ "retry.attempt": 1 }, { "retry.attempt": 2 }, { "retry.attempt": 3 }]
        )
        assert.deepStrictEqual(
          attempts.map((span) => exitOf(span)?._tag),
          ["Failure", "Failure", "Success"]
        )
        assert.isTrue(Exit.isSuccess(exitOf(parent)!))
        assert.deepStrictEqual(yield* tree, ["llm.chat", ...Array.from({ length: 3 }, () => "  retry.attempt")])
        let before = parent.status.startTime
        for (const span of attempts) {
          assert.isTrue(span.status._tag === "Ended" && span.status.startTime >= before)
          before = span.status._tag === "Ended" ? span.status.endTime : before
        }
        assert.isTrue(parent.status._tag === "Ended" && before <= parent.status.endTime)
        const scheduled = eventsOf(parent).filter(({ name }) => name === "retry.scheduled")
        assert.deepStrictEqual(
          scheduled.map(({ attributes }) => [attributes?.["retry.attempt"], attributes?.["error.type"]]),
          [
            [1, "503"],
            [2, "503"]
          ]
        )
      }).pipe(Effect.provide(against(busyTwice, { timings: false })))
    )
  }

  it.live("T17 trap 29 so is one whose connection the server had closed, which costs no repetition", () =>
    Effect.gen(function* () {
      yield* chat()
      yield* Effect.exit(chat())
      const [, second] = yield* named("llm.chat")
      assert.strictEqual(second?.attributes.get("tinyllm.ollama.attempts"), 3)
      assert.lengthOf(yield* requests, 4)
      const [atOnce, later, ...more] = eventsOf(second!).map(({ attributes }) => attributes?.["retry.delay_ms"])
      assert.strictEqual(atOnce, 0)
      assert.isAbove(Number(later), 0)
      assert.lengthOf(more, 0)
    }).pipe(
      // With it the pause before the repetition is not by chance next to nothing.
      Random.withSeed("retry"),
      Effect.provide(
        against(({ count }) => (count === 1 ? "ok" : { text: [], end: "reset" }), { retry: { times: 1, base: 20 } })
      )
    )
  )

  it.effect(
    "trap 49 C9 a storm of 503 is waited out with delays that grow, differ and are bounded, each in the trace",
    () =>
      Effect.gen(function* () {
        const fibers = yield* Effect.forEach(Array.from({ length: 12 }), () => Effect.forkChild(Effect.flip(chat())))
        while (fibers.some((fiber) => fiber.pollUnsafe() === undefined)) {
          yield* TestClock.adjust("1 second")
          yield* TestClock.withLive(Effect.sleep("5 millis"))
        }
        const errors = yield* Effect.forEach(fibers, Fiber.join)
        assert.isTrue(errors.every(({ reason }) => reason._tag === "Busy"))
        assert.lengthOf(yield* requests, 12 * 6)
        const calls = yield* named("llm.chat")
        const delays = calls.map((span) =>
          eventsOf(span).flatMap(({ attributes, name }) =>
            name === "retry.scheduled" ? [Number(attributes?.["retry.delay_ms"])] : []
          )
        )
        for (const of of delays) {
          assert.lengthOf(of, 5)
          for (const [index, delay] of of.entries()) {
            assert.isAtMost(delay, Math.min(2000, 500 * 2 ** index))
          }
        }
        const sum = (index: number) => delays.reduce((sum, of) => sum + (of[index] ?? 0), 0)
        // Up to 500 ms each against up to 2000: of twelve, chance does not turn that round.
        assert.isAbove(sum(3) + sum(4), 4 * sum(0))
        for (const index of [0, 1, 2, 3, 4]) {
          assert.isAbove(new Set(delays.map((of) => of[index])).size, 6)
        }
        assert.lengthOf(yield* named("retry.attempt"), 12 * 6)
        assert.isTrue(calls.every((span) => span.attributes.get("tinyllm.ollama.attempts") === 6))
      }).pipe(
        Effect.provide(
          against(
            { status: 503, error: "server busy, please try again.  maximum pending requests exceeded" },
            { retry: { times: 5, base: "500 millis", cap: "2 seconds" }, permitsPerModel: Infinity }
          )
        )
      )
  )

  it.live("trap 52 user and password of a URL are in no span", () =>
    Effect.gen(function* () {
      const { url } = yield* Ollama.Ollama
      const withPassword = url.replace("http://", "http://SENTINEL-user:SENTINEL-password@")
      yield* Effect.provide(chat(), NodeClient.layer({ url: withPassword }))
      assert.match(String((yield* requests)[0]?.headers.authorization), /^Basic /)
      yield* Effect.flip(Effect.provide(chat(), NodeClient.layer({ url: "http://SENTINEL:SENTINEL@127.0.0.1:1" })))
      for (const span of (yield* Spans).all) {
        const exit = exitOf(span)
        const causes = exit !== undefined && Exit.isFailure(exit) ? exit.cause.reasons.map(String) : []
        assert.notInclude(JSON.stringify([attributes(span), eventsOf(span), causes]), "SENTINEL")
        assert.notInclude(JSON.stringify([attributes(span), eventsOf(span), causes]), "Basic ")
      }
    }).pipe(Effect.provide(against("x")))
  )

  it.live("T17 there are none when the first attempt succeeds, or fails for good", () =>
    Effect.gen(function* () {
      yield* chat()
      yield* Effect.flip(chat(ask("hi", { model: "missing" })))
      assert.lengthOf(yield* named("retry.attempt"), 0)
    }).pipe(Effect.provide(against("x")))
  )

  it.live("T17 what ran out of memory has time to get some back, also when chance says zero", () =>
    Effect.gen(function* () {
      yield* Effect.flip(chat(ask("line")))
      yield* Effect.flip(chat(ask("refusal")))
      yield* Effect.flip(chat(ask("busy")))
      const delays = (yield* named("llm.chat")).flatMap((span) =>
        eventsOf(span).flatMap(({ attributes, name }) =>
          name === "retry.scheduled" ? [attributes?.["retry.delay_ms"]] : []
        )
      )
      assert.deepStrictEqual(delays, [20, 20, 0, 0])
    }).pipe(
      Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0, nextIntUnsafe: () => 0 }),
      Effect.provide(
        against(
          ({ messages }) =>
            messages[0]?.content === "busy"
              ? { status: 503, error: "busy" }
              : messages[0]?.content === "line"
                ? { text: [], errorLine: "cudaMalloc failed: out of memory" }
                : { status: 500, error: "model requires more system memory" },
          { retry: { times: 2, base: "20 millis", cap: "40 millis" } }
        )
      )
    )
  )

  it.live("T17 the last one failed where all did", () =>
    Effect.gen(function* () {
      yield* Effect.flip(chat())
      assert.deepStrictEqual(
        (yield* named("retry.attempt")).map((span) => exitOf(span)?._tag),
        ["Failure", "Failure", "Failure", "Failure"]
      )
      assert.isTrue(Exit.isFailure(exitOf(yield* only("llm.chat"))!))
    }).pipe(Effect.provide(against({ status: 503, error: "busy" })))
  )
})

describe("cancellation", () => {
  for (const [way, call] of [
    ["chat", chat()],
    ["stream", Stream.runDrain(stream())]
  ] as const) {
    it.live(`T18 a call that its caller cancels is no error (${way})`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(call)
        yield* until(() => true)
        yield* Effect.sleep("10 millis")
        yield* Fiber.interrupt(fiber)
        const span = yield* only("llm.chat")
        const exit = exitOf(span)
        assert.isTrue(
          exit !== undefined && Exit.isFailure(exit) && exit.cause.reasons.every((r) => r._tag === "Interrupt")
        )
        assert.notProperty(attributes(span), "error.type")
      }).pipe(Effect.provide(against({ text: ["a "], end: "hang" })))
    )
  }
})

describe("propagation", () => {
  const T = "12345678901234567890123456789012"
  const P = "1234567890123456"

  it.live("T48 the request carries the traceparent of its span, and no other trace header", () =>
    Effect.gen(function* () {
      yield* chat()
      yield* Stream.runDrain(stream())
      const spans = yield* named("llm.chat")
      const received = yield* requests
      for (const [index, span] of spans.entries()) {
        const headers = received[index]!.headers
        assert.strictEqual(headers["traceparent"], `00-${span.traceId}-${span.spanId}-01`)
        assert.notProperty(headers, "b3")
      }
    }).pipe(Effect.provide(against("x")))
  )

  it.live("T48 says when the trace is not sampled", () =>
    Effect.gen(function* () {
      const parent = Tracer.externalSpan({ traceId: T, spanId: P, sampled: false })
      yield* Effect.withParentSpan(chat(), parent)
      assert.match(
        String((yield* requests)[0]?.headers["traceparent"]),
        /^00-12345678901234567890123456789012-[0-9a-f]{16}-00$/
      )
    }).pipe(Effect.provide(against("x")))
  )

  const everything = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(
      Baggage.withEntries({ tenant: "a b" }),
      Propagation.withRemote({ traceparent: `00-${T}-${P}-03`, tracestate: "foo@=1,bar=2" })
    )
  const ofTrace = /^(traceparent|tracestate|baggage|b3|x-b3-.*)$/

  it.live("T48 state, flags and baggage go along, on every attempt, streamed or not", () =>
    Effect.gen(function* () {
      yield* everything(chat())
      yield* everything(Stream.runDrain(stream()))
      const spans = yield* named("llm.chat")
      const received = (yield* requests).map(({ headers }) => headers)
      assert.lengthOf(received, 4)
      for (const [index, span] of [spans[0], spans[0], spans[0], spans[1]].entries()) {
        assert.deepInclude(received[index], {
          traceparent: `00-${T}-${span?.spanId}-03`,
          tracestate: "foo@=1,bar=2",
          baggage: "tenant=a%20b"
        })
        assert.notProperty(received[index], "b3")
      }
    }).pipe(Effect.provide(against(busyTwice)))
  )

  it.live("T48 b3 goes along only where it is asked for", () =>
    Effect.gen(function* () {
      yield* everything(chat().pipe(Effect.provideService(Propagation.Propagators, ["b3", "b3multi"])))
      yield* everything(chat().pipe(Effect.provideService(Propagation.Propagators, [])))
      const [first, second] = yield* named("llm.chat")
      const received = (yield* requests).map(({ headers }) =>
        Object.fromEntries(Object.entries(headers).filter(([name]) => ofTrace.test(name)))
      )
      assert.isDefined(second)
      assert.deepStrictEqual(received, [
        {
          b3: `${T}-${first?.spanId}-1`,
          "x-b3-traceid": T,
          "x-b3-spanid": first?.spanId,
          "x-b3-sampled": "1"
        },
        {}
      ])
    }).pipe(Effect.provide(against("x")))
  )

  it.live("T48 nothing goes along with a request that leaves the machine for Ollama's cloud", () =>
    Effect.gen(function* () {
      const all = Effect.provideService(Propagation.Propagators, ["tracecontext", "baggage", "b3", "b3multi"] as const)
      for (const model of ["gpt-oss:120b-cloud", "kimi:cloud", "KIMI:CLOUD", "host/space/kimi:cloud"]) {
        yield* everything(chat(ask("hi", { model }))).pipe(all)
        yield* everything(Stream.runDrain(stream(ask("hi", { model })))).pipe(all)
      }
      const received = yield* requests
      assert.lengthOf(received, 8)
      for (const { headers } of received) {
        assert.deepStrictEqual(
          Object.keys(headers).filter((name) => ofTrace.test(name)),
          []
        )
      }
    }).pipe(Effect.provide(against("x", { allowRemote: true }, { anyModel: true })))
  )

  it.live("T48 nothing goes along to ollama.com", () =>
    Effect.gen(function* () {
      const sent: Array<Readonly<Record<string, string>>> = []
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          sent.push({ ...request.headers })
          return HttpClientResponse.fromWeb(
            request,
            new Response(`{"model":"m","message":{"content":"x"},"done":true}`)
          )
        })
      )
      for (const url of ["https://ollama.com", "ollama.com:443", "http://127.0.0.1:1"]) {
        yield* everything(chat()).pipe(
          Effect.provide(
            Ollama.Ollama.layer({ url, allowRemote: true }).pipe(
              Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
            )
          )
        )
      }
      assert.deepStrictEqual(
        sent.map((headers) => Object.keys(headers).filter((name) => ofTrace.test(name))),
        [[], [], ["traceparent", "tracestate", "baggage"]]
      )
    })
  )

  it.live("T48 sends none when tracing is off", () =>
    Effect.gen(function* () {
      yield* chat()
      yield* Stream.runDrain(stream())
      for (const { headers } of yield* requests) {
        assert.notProperty(headers, "traceparent")
      }
      assert.lengthOf((yield* Spans).all, 0)
    }).pipe(Effect.provideService(References.TracerEnabled, false), Effect.provide(against("x")))
  )

  it.live("C16 makes no span for requests that are no model calls", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      yield* ollama.version
      yield* ollama.models
      assert.lengthOf((yield* Spans).all, 0)
      assert.notProperty((yield* requests)[0]!.headers, "traceparent")
    }).pipe(Effect.provide(against("x")))
  )
})

describe("Ollama.layerTest", () => {
  it.effect("T5 makes the same span, without timings of a server", () =>
    Effect.gen(function* () {
      yield* chat(ask("a b"))
      assert.deepStrictEqual(attributes(yield* only("llm.chat")), {
        "llm.model": "m",
        "llm.prompt_length": 3,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 2048,
        "server.address": "ollama.test",
        "server.port": 11434,
        "llm.input_tokens": 2,
        "llm.output_tokens": 1,
        "llm.total_tokens": 3,
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 2,
        "gen_ai.usage.output_tokens": 1,
        "gen_ai.response.finish_reasons": ["stop"],
        "tinyllm.ollama.attempts": 1,
        "tinyllm.ollama.records": 2,
        "tinyllm.ollama.time_to_first_token": 0
      })
      assert.lengthOf((yield* Spans).all, 1)
    }).pipe(
      Effect.provide(
        Layer.merge(
          Ollama.Ollama.layerTest(() => "x"),
          Spans.layer
        )
      )
    )
  )
})
