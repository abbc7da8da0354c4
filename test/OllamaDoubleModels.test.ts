// Everything about models but talking to them: lists, details, pull, create, copy, delete, and embeddings.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import type { Script } from "../src/OllamaDouble.ts"
import { requests } from "./support/Double.ts"
import { call, lines, serving } from "./support/Outside.ts"

const with_ = (rest: Partial<Script>) => serving("hi", rest)

const names = Effect.map(call("/api/tags"), ({ text }) =>
  (JSON.parse(text) as { models: ReadonlyArray<{ name: string }> }).models.map(({ name }) => name)
)

const post = (path: string, body: unknown) => call(path, { body })

/** Status and error of each request. */
const refusals = (rows: ReadonlyArray<readonly [string, unknown, number, string]>) =>
  Effect.gen(function* () {
    for (const [route, body, status, error] of rows) {
      const [method = "", path = ""] = route.split(" ")
      const response = yield* call(path, { method, body })
      assert.strictEqual(response.status, status, `${route} ${JSON.stringify(body)}`)
      assert.strictEqual(response.type, "application/json; charset=utf-8")
      assert.deepStrictEqual(JSON.parse(response.text), { error })
    }
  })

describe("lists of models", () => {
  it.live("shows what the script says of a model, and takes short names and any case for it", () =>
    Effect.gen(function* () {
      const { models } = JSON.parse((yield* call("/api/tags")).text)
      assert.deepInclude(models[0], {
        name: "big:7b",
        model: "big:7b",
        size: 5_000_000_000,
        capabilities: ["completion", "tools"]
      })
      assert.deepInclude(models[0].details, { family: "llama", parameter_size: "7B", quantization_level: "Q8_0" })
      assert.match(models[0].digest, /^[0-9a-f]{64}$/)
      assert.notStrictEqual(models[0].digest, models[1].digest)
      assert.deepInclude(models[1], { name: "m:latest", capabilities: ["completion"] })
      const shown = JSON.parse((yield* post("/api/show", { name: "registry.ollama.ai/library/BIG:7b" })).text)
      assert.strictEqual(shown.model_info["llama.context_length"], 4096)
      assert.strictEqual(shown.model_info["llama.embedding_length"], 1024)
      assert.strictEqual(shown.parameters, "temperature 1")
    }).pipe(
      with_({
        models: [
          {
            name: "big:7b",
            bytes: 5_000_000_000,
            capabilities: ["completion", "tools"],
            family: "llama",
            parameterSize: "7B",
            quantization: "Q8_0",
            contextLength: 4096,
            embeddingLength: 1024,
            parameters: "temperature 1"
          },
          "m"
        ]
      })
    )
  )
})

describe("pull", () => {
  const registry: Script["registry"] = [
    { name: "new:1b", bytes: 1000, layers: [1000, 10], steps: 2, capabilities: ["embedding"] },
    { name: "bad", layers: [100], steps: 4, errorLine: "unexpected EOF" }
  ]

  it.live("reports progress and installs the model, newest first", () =>
    Effect.gen(function* () {
      const { status, text, type } = yield* post("/api/pull", { model: "new:1b" })
      assert.deepStrictEqual([status, type], [200, "application/x-ndjson"])
      const records = lines(text)
      assert.deepStrictEqual(
        records.map(({ status, total, completed }) => [
          status.replace(/ [0-9a-f]{12}$/, " #"),
          ...(total === undefined ? [] : [total, completed])
        ]),
        [
          ["pulling manifest"],
          ["pulling #", 1000, undefined],
          ["pulling #", 1000, 500],
          ["pulling #", 1000, 1000],
          ["pulling #", 10, undefined],
          ["pulling #", 10, 5],
          ["pulling #", 10, 10],
          ["verifying sha256 digest"],
          ["writing manifest"],
          ["success"]
        ]
      )
      assert.match(records[1]!["digest"], /^sha256:[0-9a-f]{64}$/)
      assert.strictEqual(records[1]!["status"], `pulling ${records[1]!["digest"].slice(7, 19)}`)
      assert.deepStrictEqual(yield* names, ["new:1b", "m:latest"])
      const shown = JSON.parse((yield* post("/api/show", { model: "new:1b" })).text)
      assert.deepStrictEqual(shown.capabilities, ["embedding"])
    }).pipe(with_({ registry }))
  )

  it.live("tells of an unknown model after a 200, and without a stream by a 500", () =>
    Effect.gen(function* () {
      const { status, text, type } = yield* post("/api/pull", { model: "nope" })
      assert.deepStrictEqual([status, type], [200, "application/x-ndjson"])
      const error = "pull model manifest: file does not exist"
      assert.deepStrictEqual(lines(text), [{ status: "pulling manifest" }, { error }])
      yield* refusals([
        ["POST /api/pull", { model: "nope", stream: false }, 500, error],
        ["POST /api/pull", {}, 400, "invalid model name"],
        ["POST /api/pull", { model: "a b" }, 400, "invalid model name"]
      ])
      assert.deepStrictEqual(yield* names, ["m:latest"])
    }).pipe(with_({ registry }))
  )

  it.live("answers with one object without a stream", () =>
    Effect.gen(function* () {
      const { text, type } = yield* post("/api/pull", { model: "new:1b", stream: false })
      assert.strictEqual(type, "application/json; charset=utf-8")
      assert.strictEqual(text, '{"status":"success"}')
      assert.strictEqual((yield* post("/api/pull", { model: "m", stream: false })).text, '{"status":"success"}')
    }).pipe(with_({ registry }))
  )

  it.live("breaks with an error line, and goes on from there the next time", () =>
    Effect.gen(function* () {
      const first = lines((yield* post("/api/pull", { model: "bad" })).text)
      assert.deepStrictEqual(
        first.slice(1).map(({ completed, error }) => completed ?? error),
        [undefined, 25, 50, "unexpected EOF"]
      )
      const second = lines((yield* post("/api/pull", { model: "bad" })).text)
      assert.deepStrictEqual(
        second.slice(1).map(({ completed, error }) => completed ?? error),
        [50, "unexpected EOF"]
      )
      assert.deepStrictEqual(yield* names, ["m:latest"])
    }).pipe(with_({ registry }))
  )
})

describe("push", () => {
  it.live("reports progress", () =>
    Effect.gen(function* () {
      const records = lines((yield* post("/api/push", { model: "m" })).text)
      assert.deepStrictEqual(records.at(0), { status: "retrieving manifest" })
      assert.deepStrictEqual(records.at(-1), { status: "success" })
      yield* refusals([["POST /api/push", {}, 400, "model is required"]])
    }).pipe(with_({}))
  )
})

describe("create, blobs, copy, delete", () => {
  const file = Buffer.from([0x47, 0x47, 0x55, 0x46, 0xff, 0xfe, 0x00])
  const hex = createHash("sha256").update(file).digest("hex")

  it.live("makes a model of an uploaded file", () =>
    Effect.gen(function* () {
      const path = `/api/blobs/sha256:${hex}`
      assert.strictEqual((yield* call(path, { method: "HEAD" })).status, 404)
      yield* refusals([
        [
          "POST /api/create",
          { model: "mine", files: { "a.gguf": `sha256:${hex}` } },
          500,
          `open blobs/sha256-${hex}: no such file or directory`
        ],
        [
          `POST ${path}`,
          "other",
          400,
          `digest mismatch, expected "sha256:${hex}", got "sha256:${createHash("sha256").update("other").digest("hex")}"`
        ],
        ["POST /api/blobs/sha256:12", "x", 400, "invalid digest format"]
      ])
      const uploads = [
        yield* call(path, { method: "POST", body: file }),
        yield* call(path, { method: "POST", body: file })
      ]
      assert.deepStrictEqual(
        uploads.map(({ status, text }) => [status, text]),
        [
          [201, ""],
          [200, ""]
        ]
      )
      assert.strictEqual((yield* call(path, { method: "HEAD" })).status, 200)
      const upload = (yield* requests).findLast(({ method }) => method === "POST")
      assert.deepStrictEqual([upload?.body, upload?.bytes], ["", file.length])
      const { text, type } = yield* post("/api/create", {
        model: "mine",
        files: { "a.gguf": `sha256:${hex}` },
        system: "Be brief.",
        parameters: { temperature: 0.5, stop: ["a", "b"] }
      })
      assert.strictEqual(type, "application/x-ndjson")
      assert.deepStrictEqual(
        lines(text).map(({ status }) => status),
        ["parsing GGUF", `using existing layer sha256:${hex}`, "writing manifest", "success"]
      )
      assert.deepStrictEqual(yield* names, ["mine:latest", "m:latest"])
      const shown = JSON.parse((yield* post("/api/show", { model: "mine" })).text)
      assert.strictEqual(shown.system, "Be brief.")
      assert.deepStrictEqual(
        shown.parameters.split("\n").map((line: string) => line.split(/ +/)),
        [
          ["temperature", "0.5"],
          ["stop", '"a"'],
          ["stop", '"b"']
        ]
      )
    }).pipe(with_({}))
  )

  it.live("makes a model from another, which it pulls when need be", () =>
    Effect.gen(function* () {
      const other = { model: "mine", from: "other", stream: false }
      assert.strictEqual((yield* post("/api/create", other)).text, '{"status":"success"}')
      assert.deepStrictEqual(yield* names, ["mine:latest", "other:latest", "m:latest"])
      const shown = JSON.parse((yield* post("/api/show", { model: "mine" })).text)
      assert.deepStrictEqual(shown.capabilities, ["completion", "vision"])
      assert.strictEqual(shown.details.family, "gemma3")
      yield* refusals([
        [
          "POST /api/create",
          { model: "x", from: "nope", stream: false },
          500,
          "pull model manifest: file does not exist"
        ],
        ["POST /api/create", { model: "x" }, 400, "neither 'from' or 'files' was specified"],
        ["POST /api/create", { from: "m" }, 400, "invalid model name"]
      ])
    }).pipe(with_({ registry: [{ name: "other", capabilities: ["completion", "vision"], family: "gemma3" }] }))
  )

  it.live("copies and deletes with an empty 200", () =>
    Effect.gen(function* () {
      const copied = yield* post("/api/copy", { source: "m", destination: "me/mine:2" })
      assert.deepStrictEqual([copied.status, copied.text, copied.type], [200, "", null])
      assert.deepStrictEqual(yield* names, ["me/mine:2", "m:latest"], "the newest first")
      const deleted = yield* call("/api/delete", { method: "DELETE", body: { model: "m" } })
      assert.deepStrictEqual([deleted.status, deleted.text, deleted.type], [200, "", null])
      assert.deepStrictEqual(yield* names, ["me/mine:2"])
      yield* refusals([
        ["DELETE /api/delete", { model: "m" }, 404, "model 'm' not found"],
        ["DELETE /api/delete", { model: "a b" }, 400, 'name "a b" is invalid'],
        ["POST /api/copy", { source: "m", destination: "n" }, 404, 'model "m" not found'],
        ["POST /api/copy", { source: "a b", destination: "n" }, 400, 'source "a b" is invalid'],
        ["POST /api/copy", { source: "me/mine:2", destination: "" }, 400, 'destination "" is invalid']
      ])
    }).pipe(with_({}))
  )
})

describe("embed", () => {
  const capabilities = ["embedding"]
  const norm = (vector: ReadonlyArray<number>) => Math.hypot(...vector)

  it.live("makes vectors of unit length, one for each text and in their order", () =>
    Effect.gen(function* () {
      const { text, type } = yield* post("/api/embed", { model: "m", input: ["a cat sat", "a cat sat", "why?", "?"] })
      assert.strictEqual(type, "application/json; charset=utf-8")
      const { model, embeddings, prompt_eval_count, total_duration } = JSON.parse(text)
      assert.strictEqual(model, "m")
      assert.lengthOf(embeddings, 4)
      assert.deepStrictEqual(embeddings[0], embeddings[1])
      assert.notDeepEqual(embeddings[0], embeddings[2])
      for (const vector of embeddings) {
        assert.lengthOf(vector, 384)
        assert.closeTo(norm(vector), 1, 1e-5)
      }
      assert.strictEqual(prompt_eval_count, 9)
      assert.isAbove(total_duration, 0)
      const one = JSON.parse((yield* post("/api/embed", { model: "m", input: "a cat sat" })).text)
      assert.deepStrictEqual(one.embeddings, [embeddings[0]])
      const short = JSON.parse((yield* post("/api/embed", { model: "m", input: "a cat sat", dimensions: 64 })).text)
      assert.lengthOf(short.embeddings[0], 64)
      assert.closeTo(norm(short.embeddings[0]), 1, 1e-5)
      const long = JSON.parse((yield* post("/api/embed", { model: "m", input: "x", dimensions: 1000 })).text)
      assert.lengthOf(long.embeddings[0], 384)
    }).pipe(with_({ capabilities }))
  )

  it.live("D8 loads the model for no text, whatever the model is for", () =>
    Effect.gen(function* () {
      for (const [model, input] of [
        ["m", []],
        ["talker", ""]
      ] as const) {
        const { status, text } = yield* call("/api/embed", { body: { model, input } })
        assert.deepStrictEqual([status, JSON.parse(text)], [200, { model, embeddings: [] }])
      }
      const loaded = JSON.parse((yield* call("/api/ps")).text).models as ReadonlyArray<{ readonly name: string }>
      assert.sameMembers(
        loaded.map(({ name }) => name),
        ["m:latest", "talker:latest"]
      )
    }).pipe(serving("never", { models: [{ name: "m", capabilities }, "talker"], maxLoaded: 2 } as Partial<Script>))
  )

  it.live("answers nothing with nothing, and the old endpoint with one vector", () =>
    Effect.gen(function* () {
      for (const input of [undefined, null, "", []]) {
        const { status, text } = yield* post("/api/embed", { model: "m", input })
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(JSON.parse(text), { model: "m", embeddings: [] })
      }
      const { embedding } = JSON.parse((yield* post("/api/embeddings", { model: "m", prompt: "x" })).text)
      assert.lengthOf(embedding, 384)
      assert.strictEqual((yield* post("/api/embeddings", { model: "m", prompt: "" })).text, '{"embedding":[]}')
    }).pipe(with_({ capabilities }))
  )

  it.live("refuses as Ollama does", () =>
    refusals([
      ["POST /api/embed", { input: "x" }, 404, "model '' not found"],
      ["POST /api/embeddings", { prompt: "x" }, 400, "model is required"],
      ["POST /api/embed", { model: "nope", input: "x" }, 404, 'model "nope" not found, try pulling it first'],
      ["POST /api/embeddings", { model: "nope", prompt: "x" }, 404, 'model "nope" not found, try pulling it first'],
      ["POST /api/embed", { model: "m", input: [1, 2] }, 400, "invalid input type"],
      ["POST /api/embed", { model: "m", input: 5 }, 400, "invalid input type"],
      [
        "POST /api/embeddings",
        { model: "m", prompt: ["x"] },
        400,
        "json: cannot unmarshal array into Go struct field EmbeddingRequest.prompt of type string"
      ],
      [
        "POST /api/embed",
        { model: "m", input: ["x", "a b c d e"], truncate: false },
        400,
        "the input length exceeds the context length"
      ],
      [
        "POST /api/embed",
        { model: "talker", input: "x" },
        501,
        "This server does not support embeddings. Start it with `--embeddings`"
      ]
    ]).pipe(
      with_({
        models: [
          { name: "m", capabilities, contextLength: 4 },
          { name: "talker", capabilities: ["completion"] }
        ]
      })
    )
  )

  it.live("sends the vectors of a script as they are", () =>
    Effect.gen(function* () {
      const { text } = yield* post("/api/embed", { model: "m", input: ["a", "b"] })
      assert.deepStrictEqual(JSON.parse(text).embeddings, [[3, 4], []])
      assert.strictEqual((yield* post("/api/embed", { model: "m", input: "nan" })).status, 400)
    }).pipe(
      with_({
        capabilities,
        embed: ({ inputs }) =>
          inputs[0] === "nan"
            ? { status: 400, error: "embedding contains NaN or Inf values" }
            : { embeddings: [[3, 4], []] }
      })
    )
  )
})
