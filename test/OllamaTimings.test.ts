// What Ollama says of its time: by the formulae, and in a real call whose clock is the test's.
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Exit, Fiber, Layer, Stream, type Tracer } from "effect"
import { TestClock } from "effect/testing"
import { layerConfig } from "../src/NodeClient.ts"
import * as Ollama from "../src/Ollama.ts"
import * as OllamaTimings from "../src/OllamaTimings.ts"
import type { Reply } from "../src/OllamaDouble.ts"
import { against, ask, requests, until } from "./support/Double.ts"
import { eventsOf, exitOf, named, only, parentName, Spans, tree } from "./support/Spans.ts"

const second = (seconds: number | undefined) =>
  seconds === undefined ? undefined : BigInt(Math.round(seconds * 1000)) * 1_000_000n

interface Given {
  readonly t0?: number
  readonly tf?: number | undefined
  readonly t1?: number
  readonly total?: number
  readonly load?: number
  readonly prompt?: number
  readonly eval?: number
  readonly counts?: readonly [number | undefined, number | undefined]
}

/** The vector of the contract, in seconds; a value that is `undefined` is left out. */
const vector = { t0: 0, tf: 2.1, t1: 5.1, total: 5, load: 1.2, prompt: 0.4, eval: 2.95, counts: [26, 118] } as const

const counted = (given: Given): OllamaTimings.Counted => {
  const duration = (seconds: number | undefined) => {
    const nanos = second(seconds)
    return nanos === undefined ? undefined : Duration.nanos(nanos)
  }
  return {
    timings: {
      total: duration(given.total),
      load: duration(given.load),
      promptEval: duration(given.prompt),
      eval: duration(given.eval)
    },
    inputTokens: given.counts?.[0],
    outputTokens: given.counts?.[1]
  }
}

const moments = (given: Given): OllamaTimings.Moments => ({
  sentAt: second(given.t0) ?? 0n,
  firstTokenAt: second(given.tf),
  endedAt: second(given.t1) ?? 0n
})

/** Each part as `name from-to`, in seconds. */
const partsOf = (given: Given) =>
  OllamaTimings.parts(counted(given), moments(given)).map(
    ({ endTime, name, startTime }) =>
      `${name.slice("ollama.".length)} ${Number(startTime) / 1e9}-${Number(endTime) / 1e9}`
  )

describe("OllamaTimings.parts", () => {
  const rows: ReadonlyArray<readonly [name: string, given: Given, expected: ReadonlyArray<string>]> = [
    ["the vector", vector, ["load 0.1-1.3", "wait 1.3-1.7", "prompt_eval 1.7-2.1", "generate 2.1-5.05"]],
    [
      "the vector without a first token",
      { ...vector, tf: undefined },
      ["load 0.1-1.3", "wait 1.3-1.75", "prompt_eval 1.75-2.15", "generate 2.15-5.1"]
    ],
    ["nothing measured", { t0: 0, tf: 1, t1: 2 }, []],
    ["no total: from the request on", { t0: 1, tf: 3, t1: 5, load: 0.5 }, ["load 1-1.5"]],
    ["a load alone", { t0: 0, t1: 5, total: 5, load: 1 }, ["load 0-1"]],
    [
      "a prompt alone, which begins nowhere that is known to be waited for",
      { t0: 0, tf: 2, t1: 5, prompt: 1 },
      ["prompt_eval 1-2"]
    ],
    ["generating alone", { t0: 0, tf: 2, t1: 5, eval: 3 }, ["generate 2-5"]],
    [
      "no load: the wait is not known",
      { t0: 0, tf: 2, t1: 5, total: 5, prompt: 0.5, eval: 3 },
      ["prompt_eval 1.5-2", "generate 2-5"]
    ],
    [
      "no time for the prompt, as with one that the server had read before: the wait is not known",
      { t0: 0, tf: 2, t1: 5, total: 5, load: 1, eval: 3 },
      ["load 0-1", "generate 2-5"]
    ],
    [
      "neither a first token nor generating: the wait is not known",
      { t0: 0, t1: 5, load: 1, prompt: 1 },
      ["load 0-1", "prompt_eval 4-5"]
    ],
    [
      "trap 44 parts that exceed the call",
      { t0: 10, tf: 11, t1: 12, total: 5, load: 30, prompt: 30, eval: 30 },
      ["load 10-12", "wait 12-12", "prompt_eval 12-12", "generate 12-12"]
    ],
    [
      "trap 44 a total that exceeds the call",
      { t0: 10, tf: 11, t1: 12, total: 5, load: 0.2, prompt: 0.3, eval: 0.9 },
      ["load 10-10.2", "wait 10.2-10.7", "prompt_eval 10.7-11", "generate 11-11.9"]
    ],
    [
      "trap 44 a first token before loading ended, as clocks see it",
      { t0: 0, tf: 0.5, t1: 3, total: 3, load: 1, prompt: 0.2, eval: 1 },
      ["load 0-1", "wait 1-1", "prompt_eval 1-1", "generate 1-2"]
    ],
    [
      "trap 44 a clock that was set back",
      { t0: 10, tf: 10, t1: 9, total: 1, load: 1, prompt: 1, eval: 1 },
      ["load 10-10", "wait 10-10", "prompt_eval 10-10", "generate 10-10"]
    ]
  ]
  for (const [name, given, expected] of rows) {
    it(`C15 ${name}`, () => {
      assert.deepStrictEqual(partsOf(given), expected)
      const { endedAt, sentAt } = moments(given)
      for (const { endTime, startTime } of OllamaTimings.parts(counted(given), moments(given))) {
        assert.isTrue(startTime >= sentAt && startTime <= endTime)
        assert.isTrue(endTime <= (endedAt > sentAt ? endedAt : sentAt))
      }
    })
  }
})

describe("OllamaTimings.rates and gaps", () => {
  it("C15 the vector", () => {
    assert.deepStrictEqual(OllamaTimings.rates(counted(vector)), { prompt: 65, output: 40 })
    assert.deepStrictEqual(OllamaTimings.gaps(counted(vector), moments(vector)), {
      unaccounted: 450_000_000n,
      overhead: 100_000_000n
    })
  })

  it("trap 43 no rate without a time, or without tokens", () => {
    const rates = (prompt: number | undefined, generating: number | undefined, counts: Given["counts"]) =>
      OllamaTimings.rates(
        counted({
          ...(prompt === undefined ? {} : { prompt }),
          ...(generating === undefined ? {} : { eval: generating }),
          ...(counts === undefined ? {} : { counts })
        })
      )
    const none = { prompt: undefined, output: undefined }
    assert.deepStrictEqual(rates(undefined, undefined, [1, 1]), none)
    assert.deepStrictEqual(rates(0, 0, [1, 1]), none)
    assert.deepStrictEqual(rates(1, 1, [0, 0]), none)
    assert.deepStrictEqual(rates(1, 1, [undefined, undefined]), none)
  })

  it("C15 no gap without the times that it is between, and none below zero", () => {
    const at = moments(vector)
    const { load: _load, ...withoutLoad } = vector
    assert.isUndefined(OllamaTimings.gaps(counted(withoutLoad), at).unaccounted)
    const { total: _total, ...withoutTotal } = vector
    assert.deepStrictEqual(OllamaTimings.gaps(counted(withoutTotal), at), {
      unaccounted: undefined,
      overhead: undefined
    })
    assert.deepStrictEqual(OllamaTimings.gaps(counted({ ...vector, total: 4, load: 2 }), { ...at, endedAt: 1n }), {
      unaccounted: 0n,
      overhead: 0n
    })
  })
})

const record = (content: string, rest: object) =>
  `${JSON.stringify({ model: "m", message: { role: "assistant", content }, ...rest })}\n`

/** As the contract has it: the first token after 2.1 s, the last record after 5.1 s. */
const reply = (metrics: object): Reply => ({
  raw: [record("one", { done: false }), record("", { done: true, done_reason: "stop", ...metrics })],
  firstDelay: "2100 millis",
  delay: "3 seconds"
})

const measured = {
  total_duration: 5_000_000_000,
  load_duration: 1_200_000_000,
  prompt_eval_count: 26,
  prompt_eval_duration: 400_000_000,
  eval_count: 118,
  eval_duration: 2_950_000_000
}

/** One call, its server on the test's clock. */
const call = Effect.gen(function* () {
  const ollama = yield* Ollama.Ollama
  const fiber = yield* Effect.forkChild(ollama.chat(ask()))
  yield* TestClock.withLive(until(() => true))
  yield* TestClock.adjust("2100 millis")
  const span = yield* only("llm.chat")
  yield* TestClock.withLive(Effect.sleep("1 millis").pipe(Effect.repeat({ until: () => eventsOf(span).length > 0 })))
  yield* TestClock.adjust("3 seconds")
  yield* Fiber.join(fiber)
})

const seconds = (span: Tracer.NativeSpan) =>
  span.status._tag === "Ended" ? [span.status.startTime, span.status.endTime].map((at) => Number(at) / 1e9) : []

describe("the parts of a call", () => {
  it.effect("C15 C16 are spans below it, marked as reconstructed", () =>
    Effect.gen(function* () {
      yield* call
      assert.deepStrictEqual(yield* tree, [
        "llm.chat",
        "  ollama.load",
        "  ollama.wait",
        "  ollama.prompt_eval",
        "  ollama.generate"
      ])
      const spans = yield* Spans
      assert.deepStrictEqual(
        spans.all.map((span) => [span.name, ...seconds(span)]),
        [
          ["llm.chat", 0, 5.1],
          ["ollama.load", 0.1, 1.3],
          ["ollama.wait", 1.3, 1.7],
          ["ollama.prompt_eval", 1.7, 2.1],
          ["ollama.generate", 2.1, 5.05]
        ]
      )
      const marked = { "tinyllm.reconstructed": true }
      assert.deepStrictEqual(
        spans.all.slice(1).map((span) => Object.fromEntries(span.attributes)),
        [
          marked,
          marked,
          { ...marked, "tinyllm.ollama.tokens": 26, "tinyllm.ollama.tokens_per_second": 65 },
          { ...marked, "tinyllm.ollama.tokens": 118, "tinyllm.ollama.tokens_per_second": 40 }
        ]
      )
      for (const span of spans.all.slice(1)) {
        assert.strictEqual(span.kind, "internal")
        assert.isTrue(Exit.isSuccess(exitOf(span)!))
        assert.strictEqual(parentName(span), "llm.chat")
      }
      const all = Object.fromEntries((yield* only("llm.chat")).attributes)
      assert.strictEqual(all["tinyllm.ollama.time_to_first_token"], 2.1)
      assert.strictEqual(all["tinyllm.ollama.prompt_tokens_per_second"], 65)
      assert.strictEqual(all["tinyllm.ollama.output_tokens_per_second"], 40)
      assert.strictEqual(all["tinyllm.ollama.unaccounted_duration"], 0.45)
      assert.strictEqual(all["tinyllm.ollama.overhead_duration"], 0.1)
    }).pipe(Effect.provide(against(reply(measured))))
  )

  it.effect("C15 trap 43 are left out with their numbers where the server gave none", () =>
    Effect.gen(function* () {
      yield* call
      assert.deepStrictEqual(yield* tree, ["llm.chat", "  ollama.load"])
      const span = yield* only("llm.chat")
      assert.deepStrictEqual(
        [...span.attributes.keys()].filter((key) => /per_second|duration|tokens$/.test(key)).toSorted(),
        ["gen_ai.request.max_tokens", "gen_ai.usage.output_tokens", "llm.output_tokens", "tinyllm.ollama.load_duration"]
      )
    }).pipe(Effect.provide(against(reply({ load_duration: 1, eval_count: 1 }))))
  )

  it.effect("are none when they are not wanted, and the numbers stay", () =>
    Effect.gen(function* () {
      yield* call
      assert.deepStrictEqual(yield* tree, ["llm.chat"])
      assert.strictEqual((yield* only("llm.chat")).attributes.get("tinyllm.ollama.load_duration"), 1.2)
    }).pipe(Effect.provide(against(reply(measured), { timings: false })))
  )

  it.live("are none where the call failed, and no span is made where none is recorded", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      yield* Effect.flip(ollama.chat(ask()))
      assert.deepStrictEqual(yield* tree, ["llm.chat"])
      yield* ollama.chat(ask()).pipe(Effect.withTracerEnabled(false))
      assert.lengthOf((yield* Spans).all, 1)
      assert.lengthOf(yield* requests, 2)
    }).pipe(Effect.provide(against(({ count }) => (count === 1 ? { text: ["one "], end: "eof" } : "one two"))))
  )

  for (const [value, parts] of [
    ["false", 0],
    ["OFF", 0],
    ["true", 4],
    ["", 4],
    [undefined, 4]
  ] as const) {
    it.live(`obey TINYLLM_OLLAMA_TIMINGS=${value}`, () =>
      Effect.gen(function* () {
        const { url } = yield* Ollama.Ollama
        const environment = { OLLAMA_HOST: url, ...(value === undefined ? {} : { TINYLLM_OLLAMA_TIMINGS: value }) }
        yield* Ollama.Ollama.use((ollama) => ollama.chat(ask())).pipe(
          Effect.provide(
            Layer.provide(Layer.fresh(layerConfig), ConfigProvider.layer(ConfigProvider.fromUnknown(environment)))
          )
        )
        const spans = (yield* Spans).all.filter(({ name }) => name.startsWith("ollama."))
        assert.lengthOf(spans, parts)
      }).pipe(Effect.provide(against({ text: "one", metrics: measured })))
    )
  }

  it.live("refuse a TINYLLM_OLLAMA_TIMINGS that is neither yes nor no", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Layer.build(layerConfig).pipe(
          Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ TINYLLM_OLLAMA_TIMINGS: "maybe" })))
        )
      )
      assert.include(String(error), "TINYLLM_OLLAMA_TIMINGS")
      assert.include(String(error), "true or false")
    }).pipe(Effect.scoped)
  )

  it.live("of a stream are there as well", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      yield* Effect.forEach([1, 2], () => Stream.runDrain(ollama.stream(ask())))
      assert.lengthOf(yield* named("ollama.generate"), 2)
    }).pipe(Effect.provide(against({ text: "one", metrics: measured })))
  )
})
