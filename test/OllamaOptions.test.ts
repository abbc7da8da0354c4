import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Ollama from "../src/Ollama.ts"
import * as OllamaKeepAlive from "../src/OllamaKeepAlive.ts"
import { against, ask, requests } from "./support/Double.ts"

const generation: Partial<Ollama.Options> = {
  maxTokens: 7,
  numCtx: 4096,
  temperature: 0,
  topP: 0.9,
  topK: 0,
  seed: 0,
  stop: ["\n"],
  minP: 0,
  typicalP: 1,
  repeatLastN: 0,
  repeatPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: -0.5,
  numKeep: 0,
  numBatch: 512,
  numGpu: 0,
  mainGpu: 0,
  numThread: 0,
  draftNumPredict: 0,
  useMmap: false
}

describe("the options of a call", () => {
  it.live("C2 are sent as they are set, zero and false too, in one order, and nothing else is", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      yield* ollama.chat(
        ask("hi", {
          ...generation,
          keepAlive: 0,
          think: false,
          format: { type: "object" },
          truncate: true,
          shift: false,
          logprobs: true,
          topLogprobs: 2
        })
      )
      yield* ollama.generate({
        model: "m",
        prompt: "a",
        suffix: "b",
        template: "{{ .Prompt }}",
        images: [new Uint8Array([1])],
        raw: false
      })
      yield* ollama.generate({ model: "m", prompt: "a", raw: true, think: true, stop: [] })
      const options =
        '"options":{"num_predict":7,"num_ctx":4096,"temperature":0,"top_p":0.9,"top_k":0,"seed":0,"stop":["\\n"],' +
        '"min_p":0,"typical_p":1,"repeat_last_n":0,"repeat_penalty":1,"presence_penalty":0,"frequency_penalty":-0.5,' +
        '"num_keep":0,"num_batch":512,"num_gpu":0,"main_gpu":0,"num_thread":0,"draft_num_predict":0,"use_mmap":false}'
      assert.deepStrictEqual(
        (yield* requests).map(({ body }) => body),
        [
          `{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"truncate":true,"shift":false,"format":{"type":"object"},"think":false,"keep_alive":0,"logprobs":true,"top_logprobs":2,${options}}`,
          '{"model":"m","prompt":"a","suffix":"b","template":"{{ .Prompt }}","raw":false,"images":["AQ=="],"stream":true,"truncate":false,"options":{"num_predict":2048}}',
          '{"model":"m","prompt":"a","raw":true,"stream":true,"truncate":false,"think":true,"options":{"num_predict":2048}}'
        ]
      )
    }).pipe(Effect.provide(against("ok")))
  )

  const wrong: ReadonlyArray<readonly [option: string, value: unknown, allowed: string]> = [
    ["model", " ", "No model was named"],
    ["model", "a b", `a name without white space, for example "qwen2.5:0.5b", got "a b".`],
    ["model", "a\u0085", "a name without white space"],
    ["messages", [], "prompt is empty"],
    ["maxTokens", 0, "an integer of at least 1, got 0."],
    ["maxTokens", 1.5, "an integer of at least 1, got 1.5."],
    ["maxTokens", -1, "an integer of at least 1, got -1."],
    ["maxTokens", 2 ** 40, "an integer from 1 to 2147483647, got 1099511627776."],
    ["numCtx", 3, "an integer of at least 4, got 3."],
    ["numCtx", 2 ** 31, "an integer from 4 to 2147483647, got 2147483648."],
    ["numCtx", "4096", 'an integer of at least 4, got "4096".'],
    ["temperature", -0.1, "a number of at least 0, got -0.1."],
    ["temperature", Number.NaN, "a number of at least 0, got NaN."],
    ["temperature", Infinity, "a number of at least 0, got Infinity."],
    ["temperature", null, "a number of at least 0, got null."],
    ["topP", 1.1, "a number from 0 to 1, got 1.1."],
    ["topK", -1, "an integer of at least 0, got -1."],
    ["minP", -1, "a number from 0 to 1, got -1."],
    ["typicalP", 2, "a number from 0 to 1, got 2."],
    ["repeatLastN", -2, "an integer of at least -1, got -2."],
    ["repeatPenalty", 0, "a number above 0, got 0."],
    ["presencePenalty", "x", 'a number, got "x".'],
    ["frequencyPenalty", Infinity, "a number, got Infinity."],
    ["seed", 2 ** 32, "an integer from -1 to 4294967295, got 4294967296."],
    ["seed", -2, "an integer from -1 to 4294967295, got -2."],
    ["numKeep", -2, "an integer of at least -1, got -2."],
    ["numBatch", 0, "an integer of at least 1, got 0."],
    ["numGpu", -2, "an integer of at least -1, got -2."],
    ["mainGpu", -1, "an integer of at least 0, got -1."],
    ["numThread", -1, "an integer of at least 0, got -1."],
    ["draftNumPredict", 0.5, "an integer of at least 0, got 0.5."],
    ["useMmap", "yes", 'true or false, got "yes".'],
    ["stop", "\n", "a list of texts that are not empty"],
    ["stop", ["a", ""], "a list of texts that are not empty, got a list."],
    ["think", "maximum", 'true, false, "low", "medium", "high" or "max", got "maximum".'],
    ["format", "xml", '"json" or a JSON Schema object, got "xml".'],
    ["format", [], '"json" or a JSON Schema object, got a list.'],
    ["topLogprobs", 21, "an integer from 0 to 20, got 21."],
    ["topLogprobs", 3, 'needs "logprobs: true"'],
    ["keepAlive", "abc", 'a duration ("5 minutes", "5m", "300" seconds), 0 or "forever", got "abc".'],
    ["keepAlive", "", 'got "".'],
    ["truncate", 1, "true or false, got 1."],
    ["shift", 0, "true or false, got 0."],
    ["logprobs", "x", "true or false"]
  ]
  it.live(
    "C4 are checked before anything is sent: the error names the option, what was given and what is allowed",
    () =>
      Effect.gen(function* () {
        const ollama = yield* Ollama.Ollama
        for (const [option, value, allowed] of wrong) {
          const error = yield* Effect.flip(ollama.chat(ask("hi", { [option]: value })))
          assert.isTrue(error.reason._tag === "InvalidRequest" && error.reason.option === option, option)
          assert.include(error.message, allowed)
          assert.include(error.message, option === "messages" ? "" : option)
          assert.isFalse(error.isRetryable)
        }
        assert.lengthOf(yield* requests, 0)
      }).pipe(Effect.provide(against("never")))
  )

  it.live("C4 are checked in prompts, pictures and tools as well, without quoting them", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      const picture = (image: Uint8Array | string) =>
        ask("hi", {
          messages: [
            { role: "user", content: "a" },
            { role: "user", content: "b", images: ["AQ==", image] }
          ]
        })
      for (const image of [
        "SENTINEL.png",
        "http://SENTINEL/a.png",
        "data:image/png,SENTINEL",
        "photos/SENTINEL",
        "SENTINEL/",
        "SENTINEL== ",
        "AAA",
        "AAAA==",
        "",
        new Uint8Array()
      ]) {
        const error = yield* Effect.flip(ollama.chat(picture(image)))
        assert.isTrue(error.reason._tag === "InvalidRequest" && error.reason.option === "messages[1].images[1]")
        assert.notInclude(error.message, "SENTINEL")
      }
      const prompts: ReadonlyArray<readonly [string, object]> = [
        ["prompt", { prompt: "" }],
        ["raw", { raw: true, system: "s" }],
        ["raw", { raw: true, template: "t" }],
        ["images[0]", { images: ["/tmp/SENTINEL.png"] }]
      ]
      for (const [option, rest] of prompts) {
        const { reason } = yield* Effect.flip(ollama.generate({ model: "m", prompt: "a", ...rest }))
        assert.isTrue(reason._tag === "InvalidRequest" && reason.option === option, option)
      }
      for (const tool of [
        { name: "", parameters: {} },
        { name: "a", parameters: "x" }
      ]) {
        const { reason } = yield* Effect.flip(ollama.chat(ask("hi", { tools: [tool as Ollama.Tool] })))
        assert.isTrue(reason._tag === "InvalidRequest" && reason.option === "tools[0]")
      }
      assert.lengthOf(yield* requests, 0)
    }).pipe(Effect.provide(against("never")))
  )

  it.live("C11 think goes through as it is: absent, false, true and each level", () =>
    Effect.gen(function* () {
      const thinks = [undefined, false, true, "low", "medium", "high", "max"] as const
      for (const think of thinks) {
        yield* Ollama.Ollama.use((ollama) => ollama.chat(ask("hi", { think })))
      }
      assert.deepStrictEqual(
        (yield* requests).map(({ body }) => (JSON.parse(body) as { readonly think?: unknown }).think),
        [...thinks]
      )
    }).pipe(Effect.provide(against("ok")))
  )

  it.live("give how likely each token was", () =>
    Effect.gen(function* () {
      const completion = yield* Ollama.Ollama.use((ollama) => ollama.chat(ask("hi", { logprobs: true })))
      assert.deepStrictEqual(completion.logprobs, [
        { token: "a", logprob: -0.5, top: [{ token: "b", logprob: -1 }] },
        { token: "c", logprob: -2 }
      ])
    }).pipe(
      Effect.provide(
        against({
          raw:
            '{"message":{"content":"a"},"logprobs":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-1}]}]}\n' +
            '{"message":{"content":""},"logprobs":[{"token":"c","logprob":-2},5,{"token":null}]}\n' +
            '{"message":{"content":"c"},"logprobs":null,"done":true}\n'
        })
      )
    )
  )
})

describe("keepAlive", () => {
  const table: ReadonlyArray<readonly [Ollama.KeepAlive, number | undefined]> = [
    // Effect's
    ["5 minutes", 300],
    ["1 day", 86_400],
    [Duration.seconds(90), 90],
    [{ minutes: 2 }, 120],
    [1500, 1.5],
    [0, 0],
    [Duration.infinity, -1],
    [Infinity, -1],
    ["Infinity", -1],
    [-1, -1],
    [Number.NaN, undefined],
    // Ollama's
    ["forever", -1],
    ["FOREVER", -1],
    ["300", 300],
    ["0", 0],
    ["-1", -1],
    [" 10 ", 10],
    ["1.5", 1.5],
    ["300ms", 0.3],
    ["1.5h", 5400],
    ["2h45m", 9900],
    ["1h0m0.5s", 3600.5],
    ["5m", 300],
    ["+5m", 300],
    ["-1m", -1],
    ["0s", 0],
    [".5s", 0.5],
    ["10000000000", -1],
    ["3d", undefined],
    ["5 apples", undefined],
    ["abc", undefined],
    ["m", undefined],
    [".s", undefined],
    ["", undefined]
  ]
  for (const [input, seconds] of table) {
    const written = typeof input === "object" || typeof input === "string" ? JSON.stringify(input) : String(input)
    it(`C14 ${written} is ${seconds ?? "refused"}`, () => {
      const given = OllamaKeepAlive.seconds(input)
      assert.strictEqual(given === undefined ? given : Number(given.toFixed(9)), seconds)
    })
  }

  it.live("C14 is sent in seconds, and only when it is set", () =>
    Effect.gen(function* () {
      for (const keepAlive of [undefined, "10", "-1m", 0, "5 minutes"]) {
        yield* Ollama.Ollama.use((ollama) => ollama.chat(ask("hi", { keepAlive })))
      }
      assert.deepStrictEqual(
        (yield* requests).map(({ body }) => /"keep_alive":([^,}]+)/.exec(body)?.[1]),
        [undefined, "10", "-1", "0", "300"]
      )
    }).pipe(Effect.provide(against("ok")))
  )
})
