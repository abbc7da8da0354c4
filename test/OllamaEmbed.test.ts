import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Ollama from "../src/Ollama.ts"
import type { EmbedReply } from "../src/OllamaDouble.ts"
import { against, requests } from "./support/Double.ts"
import { exitOf, named, only } from "./support/Spans.ts"

const embed = (input: string | ReadonlyArray<string>, rest: Partial<Ollama.EmbedRequest> = {}) =>
  Ollama.Ollama.use((ollama) => ollama.embed({ model: "m", input, ...rest }))

const replying = (embed: (count: number) => EmbedReply, options: Ollama.LayerOptions = {}) =>
  against("never", options, { embed: ({ count }) => embed(count) })

describe("Ollama.embed", () => {
  it.live("C13 gives a vector of length 1 for each text, in their order, with what the server counted", () =>
    Effect.gen(function* () {
      const texts = ["a cat", "the stock market", "why?"]
      const { embeddings, inputTokens, model, timings } = yield* embed(texts)
      assert.lengthOf(embeddings, 3)
      for (const [index, text] of texts.entries()) {
        assert.deepStrictEqual((yield* embed(text)).embeddings[0], embeddings[index])
      }
      for (const vector of embeddings) {
        assert.lengthOf(vector, 384)
        assert.closeTo(Math.hypot(...vector), 1, 1e-5)
      }
      assert.notDeepEqual(embeddings[1], embeddings[0])
      assert.strictEqual(inputTokens, 7)
      assert.strictEqual(model, "m")
      assert.isAbove(Duration.toMillis(timings.total ?? Duration.zero), 0)
      assert.lengthOf((yield* embed("a cat")).embeddings, 1)
      const [cut] = (yield* embed("a cat", { dimensions: 8 })).embeddings
      assert.lengthOf(cut ?? [], 8)
      assert.closeTo(Math.hypot(...(cut ?? [])), 1, 1e-5)
    }).pipe(Effect.provide(against("never")))
  )

  it.live("C2 sends exactly what was set, and that nothing may be cut", () =>
    Effect.gen(function* () {
      yield* embed("hi")
      yield* embed(["a", "b"], {
        truncate: true,
        dimensions: 8,
        keepAlive: "10",
        numCtx: 2048,
        numGpu: 0,
        useMmap: false
      })
      assert.deepStrictEqual(
        (yield* requests).map(({ path, body }) => [path, body]),
        [
          ["/api/embed", '{"model":"m","input":"hi","truncate":false}'],
          [
            "/api/embed",
            '{"model":"m","input":["a","b"],"truncate":true,"dimensions":8,"keep_alive":10,"options":{"num_ctx":2048,"num_gpu":0,"use_mmap":false}}'
          ]
        ]
      )
    }).pipe(Effect.provide(against("never")))
  )

  it.live("C13 gives no vectors for no texts without asking, and refuses an empty text", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* embed([])).embeddings, [])
      for (const input of ["", ["a", ""]]) {
        const error = yield* Effect.flip(embed(input))
        assert.isTrue(error.reason._tag === "InvalidRequest" && error.reason.option === "input")
      }
      for (const [rest, option] of [
        [{ dimensions: 0 }, "dimensions"],
        [{ numCtx: 1 }, "numCtx"],
        [{ keepAlive: "x" }, "keepAlive"],
        [{ model: "" }, "model"]
      ] as const) {
        const { reason } = yield* Effect.flip(embed("a", rest))
        assert.isTrue(reason._tag === "InvalidRequest" && reason.option === option, option)
      }
      assert.lengthOf(yield* requests, 0)
    }).pipe(Effect.provide(against("never")))
  )

  const bad: Record<string, EmbedReply> = {
    "too few": { embeddings: [[1, 0]] },
    "too many": { embeddings: [[1], [1], [1]] },
    "of different lengths": { embeddings: [[1, 0], [1]] },
    empty: { embeddings: [[], []] },
    "no numbers": { raw: '{"model":"m","embeddings":[[null],[1]]}', contentType: "application/json" },
    "no lists": { raw: '{"model":"m","embeddings":[1,2]}', contentType: "application/json" },
    "not a number": { status: 400, error: "embedding contains NaN or Inf values" }
  }
  for (const [name, reply] of Object.entries(bad)) {
    it.live(`C13 trap 40 fails for vectors that are ${name}, once`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(embed(["SENTINEL", "b"]))
        assert.strictEqual(error.reason._tag, "EmbeddingInvalid")
        assert.notInclude(error.message, "SENTINEL")
        assert.lengthOf(yield* requests, 1)
      }).pipe(Effect.provide(replying(() => reply)))
    )
  }

  const rows: Record<string, readonly [EmbedReply, Ollama.Reason["_tag"], requests: number]> = {
    "an unknown model": [{ status: 404, error: 'model "m" not found, try pulling it first' }, "ModelNotFound", 1],
    "a text that is too long": [
      { status: 400, error: "the input length exceeds the context length" },
      "ContextExceeded",
      1
    ],
    "a model that makes none": [
      { status: 501, error: "This server does not support embeddings. Start it with `--embeddings`" },
      "Unsupported",
      1
    ],
    "a runner that says it in other words": [{ status: 501, error: "no" }, "Unsupported", 1],
    "a runner that crashed": [
      { status: 400, error: 'do embedding request: Post "http://127.0.0.1:1/embedding": EOF' },
      "RunnerFailed",
      2
    ],
    "a full queue": [
      { status: 503, error: "server busy, please try again.  maximum pending requests exceeded" },
      "Busy",
      4
    ],
    "another form": [{ raw: '{"embedding":[1]}' }, "Malformed", 1],
    "a page": [{ raw: "<html>", contentType: "text/html" }, "Malformed", 1],
    "a body that broke": [{ raw: '{"embeddings":[[1', end: "reset" }, "StreamInterrupted", 2],
    nothing: [{ raw: "" }, "Malformed", 1]
  }
  for (const [name, [reply, tag, count]] of Object.entries(rows)) {
    it.live(`C4 C20 ${name}: ${tag} after ${count} request(s)`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(embed("a"))
        assert.strictEqual(error.reason._tag, tag)
        assert.lengthOf(yield* requests, count)
      }).pipe(Effect.provide(replying(() => reply)))
    )
  }

  it.live("asks again when that helps, with a span for each attempt", () =>
    Effect.gen(function* () {
      assert.lengthOf((yield* embed("a")).embeddings, 1)
      assert.lengthOf(yield* named("retry.attempt"), 2)
      assert.lengthOf(yield* requests, 2)
    }).pipe(Effect.provide(replying((count) => (count === 1 ? { status: 503, error: "busy" } : { embeddings: [[1]] }))))
  )

  it.live("waits for a model that loads as long as calls do", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(embed("a"))
      assert.isTrue(error.reason._tag === "Timeout" && error.reason.phase === "first record")
    }).pipe(Effect.provide(replying(() => ({ embeddings: [[1]], load: "5 seconds" }), { firstRecordTimeout: 20 })))
  )

  it.live("T5 T7 T9 is one CLIENT span with model, lengths and tokens, and no text", () =>
    Effect.gen(function* () {
      yield* embed(["a 🙂", "SENTINEL"])
      const span = yield* only("llm.embed")
      assert.strictEqual(span.kind, "client")
      const attributes = Object.fromEntries(span.attributes)
      const rest = Object.fromEntries(
        Object.entries(attributes).filter(([key]) => !key.startsWith("tinyllm.") && key !== "server.port")
      )
      assert.deepStrictEqual(rest, {
        "llm.model": "m",
        "llm.prompt_length": 11,
        "llm.input_tokens": 3,
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.embeddings.dimension.count": 384,
        "server.address": "127.0.0.1"
      })
      assert.isNumber(attributes["server.port"])
      assert.isAbove(Number(attributes["tinyllm.ollama.total_duration"]), 0)
      assert.strictEqual((yield* requests)[0]?.headers["traceparent"], `00-${span.traceId}-${span.spanId}-01`)
    }).pipe(Effect.provide(against("never")))
  )

  it.live("T15 a failed one is a failed span", () =>
    Effect.gen(function* () {
      yield* Effect.ignore(embed("a"))
      const span = yield* only("llm.embed")
      assert.strictEqual(exitOf(span)?._tag, "Failure")
      assert.isUndefined(span.attributes.get("gen_ai.embeddings.dimension.count"))
    }).pipe(Effect.provide(replying(() => ({ embeddings: [] }))))
  )

  it.live("T6 its tokens count for the run", () =>
    Effect.gen(function* () {
      const node = Node.tool((text: string) => embed(text))
      const { usage } = yield* Graph.run(Graph.single("g", node), "one two three")
      assert.deepStrictEqual(usage, { inputTokens: 3, outputTokens: 0 })
    }).pipe(Effect.provide(against("never")))
  )
})
