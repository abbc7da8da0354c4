import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeClient from "../src/NodeClient.ts"
import * as Ollama from "../src/Ollama.ts"
import { OllamaDouble, type Raw } from "../src/OllamaDouble.ts"
import { against, requests, until } from "./support/Double.ts"
import * as Listener from "./support/Listener.ts"

const use = <A, E, R>(f: (ollama: Ollama.Client) => Effect.Effect<A, E, R>) => Ollama.Ollama.use(f)
const names = Effect.map(
  use((ollama) => ollama.models),
  (models) => models.map(({ name }) => name)
)
const pull = (model: string) => Stream.unwrap(Effect.map(Ollama.Ollama, (ollama) => ollama.pull(model)))
const statuses = <E, R>(stream: Stream.Stream<Ollama.Progress, E, R>) =>
  Effect.map(Stream.runCollect(stream), (records) => records.map(({ status }) => status))

const paths = (paths: Readonly<Record<string, Raw>>) => against("never", {}, { paths })
const json = (value: unknown): Raw => ({ raw: JSON.stringify(value), contentType: "application/json; charset=utf-8" })

describe("lists of models", () => {
  it.live("name what is loaded, with its memory and context", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* use((ollama) => ollama.loaded), [])
      yield* use((ollama) => ollama.generate({ model: "m", prompt: "hi", numCtx: 8192 }))
      const [model] = yield* use((ollama) => ollama.loaded)
      assert.strictEqual(model?.name, "m:latest")
      assert.isAbove(model?.bytes ?? 0, 0)
      assert.isDefined(model?.vramBytes)
      assert.isNumber(model?.contextLength)
    }).pipe(Effect.provide(against("ok")))
  )

  it.live("trap 48 load a model with the same options that calls send, and unload it", () =>
    Effect.gen(function* () {
      const options = { model: "m", numCtx: 8192, numGpu: 0, useMmap: false, keepAlive: "5m" }
      yield* use((ollama) => ollama.load(options))
      assert.lengthOf(yield* use((ollama) => ollama.loaded), 1)
      yield* use((ollama) => ollama.generate({ ...options, prompt: "hi" }))
      yield* use((ollama) => ollama.embed({ ...options, input: "hi" }))
      yield* use((ollama) => ollama.load({ model: "m", keepAlive: 0 }))
      assert.lengthOf(yield* use((ollama) => ollama.loaded), 0)
      const [loading, , generating, embedding, unloading] = yield* requests
      assert.strictEqual(
        loading?.body,
        '{"model":"m","stream":true,"keep_alive":300,"options":{"num_ctx":8192,"num_gpu":0,"use_mmap":false}}'
      )
      const optionsOf = (body = "") => (JSON.parse(body) as { readonly options: object }).options
      assert.deepStrictEqual(optionsOf(generating?.body), { num_predict: 2048, ...optionsOf(loading?.body) })
      assert.deepStrictEqual(optionsOf(embedding?.body), optionsOf(loading?.body))
      assert.strictEqual(unloading?.body, '{"model":"m","stream":true,"keep_alive":0}')
      for (const wrong of [{ model: "" }, { model: "m", numCtx: 1 }]) {
        assert.strictEqual((yield* Effect.flip(use((ollama) => ollama.load(wrong)))).reason._tag, "InvalidRequest")
      }
      const missing = yield* Effect.flip(use((ollama) => ollama.load({ model: "nope" })))
      assert.strictEqual(missing.reason._tag, "ModelNotFound")
    }).pipe(Effect.provide(against("ok")))
  )

  it.live("trap 48 load what calls with `shift` need, and a model that only makes vectors", () =>
    Effect.gen(function* () {
      yield* use((ollama) => ollama.load({ model: "m", shift: false }))
      yield* use((ollama) => ollama.generate({ model: "m", shift: false, prompt: "hi" }))
      yield* use((ollama) => ollama.load({ model: "vectors", numCtx: 512 }))
      yield* use((ollama) => ollama.embed({ model: "vectors", numCtx: 512, input: "hi" }))
      assert.deepStrictEqual((yield* requests).map(({ path, body }) => [path, body]).slice(2, 4), [
        ["/api/generate", '{"model":"vectors","stream":true,"options":{"num_ctx":512}}'],
        ["/api/embed", '{"model":"vectors","input":[],"options":{"num_ctx":512}}']
      ])
      const { loads } = yield* OllamaDouble
      assert.lengthOf(yield* loads, 2)
    }).pipe(
      Effect.provide(against("ok", {}, { models: [{ name: "m" }, { name: "vectors", capabilities: ["embedding"] }] }))
    )
  )

  it.live("gives up on a model that does not load in time", () =>
    Effect.gen(function* () {
      const { reason } = yield* Effect.flip(use((ollama) => ollama.load({ model: "m" })))
      assert.isTrue(reason._tag === "Timeout" && reason.phase === "first record")
    }).pipe(
      Effect.provide(
        against(
          "ok",
          { firstRecordTimeout: 30 },
          { paths: { "POST /api/generate": { raw: "", firstDelay: "5 seconds" } } }
        )
      )
    )
  )

  it.live("trap 33 trap 34 trap 36 tell absent from zero, and keep what has no name here", () =>
    Effect.gen(function* () {
      const loaded = yield* use((ollama) => ollama.loaded)
      assert.deepStrictEqual(
        loaded.map(({ name, bytes, vramBytes, contextLength, expiresAt }) => [
          name,
          bytes,
          vramBytes,
          contextLength,
          expiresAt
        ]),
        [
          ["a", 5, 0, 4096, "2026-08-21T10:00:00.1+02:00"],
          ["b", undefined, undefined, undefined, undefined],
          ["c", undefined, undefined, undefined, undefined]
        ]
      )
      assert.deepStrictEqual(loaded[0]?.raw["future"], { a: [1] })
      const [model] = yield* use((ollama) => ollama.models)
      assert.deepStrictEqual(
        { ...model, raw: undefined },
        {
          name: "x:1",
          digest: "d",
          bytes: 0,
          modifiedAt: "2026-08-21T10:00:00Z",
          format: "gguf",
          family: "llama",
          families: ["llama", "clip"],
          parameterSize: "1B",
          quantization: "Q4_0",
          parent: "y",
          contextLength: undefined,
          embeddingLength: undefined,
          capabilities: [],
          remote: true,
          raw: undefined
        }
      )
    }).pipe(
      Effect.provide(
        paths({
          "GET /api/ps": json({
            models: [
              {
                name: "a",
                size: 5.0,
                size_vram: 0,
                context_length: 4096,
                expires_at: "2026-08-21T10:00:00.1+02:00",
                future: { a: [1] }
              },
              { model: "b", size: null, size_vram: null, context_length: "4096", expires_at: "2318-11-01T00:00:00Z" },
              { name: "c" }
            ]
          }),
          "GET /api/tags": json({
            models: [
              {
                name: "x:1",
                size: 0,
                digest: "d",
                modified_at: "2026-08-21T10:00:00Z",
                remote_host: "https://ollama.com",
                capabilities: [],
                details: {
                  format: "gguf",
                  family: "llama",
                  families: ["llama", "clip"],
                  parameter_size: "1B",
                  quantization_level: "Q4_0",
                  parent_model: "y"
                }
              }
            ]
          })
        })
      )
    )
  )

  it.live("C18 trap 41 find a model by every name that means it", () =>
    Effect.gen(function* () {
      for (const name of [
        "qwen3",
        "qwen3:latest",
        "QWEN3:Latest",
        "library/qwen3",
        "registry.ollama.ai/library/qwen3"
      ]) {
        assert.strictEqual((yield* use((ollama) => ollama.find(name)))?.name, "qwen3:latest", name)
      }
      for (const name of ["qwen3:0.6b", "qwen", "me/qwen3"]) {
        assert.isUndefined(yield* use((ollama) => ollama.find(name)), name)
      }
    }).pipe(Effect.provide(against("never", {}, { models: ["qwen3:latest", "phi3:mini"] })))
  )

  it.live("trap 42 show everything about a model, also where parts of it are missing", () =>
    Effect.gen(function* () {
      const info = yield* use((ollama) => ollama.show("m"))
      assert.strictEqual(info.contextLength, 32_768)
      assert.strictEqual(info.embeddingLength, 1024)
      assert.strictEqual(info.system, "Be brief.")
      assert.deepStrictEqual(info.raw["messages"], [])
      assert.isFalse(info.remote)
      yield* use((ollama) => ollama.show("m", { verbose: true }))
      assert.deepStrictEqual(
        (yield* requests).map(({ body }) => body),
        ['{"model":"m"}', '{"model":"m","verbose":true}']
      )
    }).pipe(
      Effect.provide(
        paths({
          "POST /api/show": json({
            system: "Be brief.",
            details: null,
            messages: [],
            model_info: {
              "clip.vision.context_length": 77,
              "clip.embedding_length": 5,
              "qwen2.embedding_length": 1024,
              "qwen2.context_length": 32_768,
              "general.architecture": "qwen2"
            }
          })
        })
      )
    )
  )

  it.live("copy and delete, and say what is not there", () =>
    Effect.gen(function* () {
      yield* use((ollama) => ollama.copy("m", "n"))
      assert.sameMembers(yield* names, ["m:latest", "n:latest"])
      yield* use((ollama) => ollama.delete("m"))
      assert.deepStrictEqual(yield* names, ["n:latest"])
      for (const missing of [
        use((ollama) => ollama.delete("m")),
        use((ollama) => ollama.copy("m", "k")),
        use((ollama) => ollama.show("m"))
      ]) {
        assert.strictEqual((yield* Effect.flip(missing)).reason._tag, "ModelNotFound")
      }
      for (const invalid of [use((ollama) => ollama.copy("n", "a b")), use((ollama) => ollama.delete(" "))]) {
        assert.strictEqual((yield* Effect.flip(invalid)).reason._tag, "InvalidRequest")
      }
      const [copy, , remove] = yield* requests
      assert.deepStrictEqual([copy?.method, copy?.body], ["POST", '{"source":"m","destination":"n"}'])
      assert.deepStrictEqual([remove?.method, remove?.body], ["DELETE", '{"model":"m"}'])
    }).pipe(Effect.provide(against("never")))
  )
})

describe("trap 11 a status 200 is no success by itself:", () => {
  const digest = `sha256:${"0".repeat(64)}`
  const operations = {
    load: use((ollama) => ollama.load({ model: "m" })),
    copy: use((ollama) => ollama.copy("a", "b")),
    delete: use((ollama) => ollama.delete("a")),
    hasBlob: use((ollama) => ollama.hasBlob(digest)),
    pushBlob: use((ollama) => ollama.pushBlob({ digest, bytes: 3, content: Stream.make(new Uint8Array(3)) })),
    models: use((ollama) => ollama.models),
    loaded: use((ollama) => ollama.loaded),
    show: use((ollama) => ollama.show("m")),
    version: use((ollama) => ollama.version)
  }
  const everywhere = (raw: Raw) =>
    paths(
      Object.fromEntries(
        [
          "POST /api/generate",
          "POST /api/copy",
          "DELETE /api/delete",
          `HEAD /api/blobs/${digest}`,
          `POST /api/blobs/${digest}`,
          "GET /api/tags",
          "GET /api/ps",
          "POST /api/show",
          "GET /api/version"
        ].map((path) => [path, raw])
      )
    )

  for (const [name, operation] of Object.entries<Effect.Effect<unknown, Ollama.OllamaError, Ollama.Ollama>>(
    operations
  )) {
    it.live(`a page in place of an answer (${name})`, () =>
      Effect.gen(function* () {
        const { reason } = yield* Effect.flip(operation)
        assert.strictEqual(reason._tag, "Malformed")
      }).pipe(Effect.provide(everywhere({ raw: "<html>portal</html>", contentType: "text/html" })))
    )

    if (name !== "hasBlob") {
      it.live(`an error in place of an answer (${name})`, () =>
        Effect.gen(function* () {
          const { reason } = yield* Effect.flip(operation)
          // Where no model is concerned, none has failed.
          const expected = ["load", "copy", "delete", "show"].includes(name) ? "StreamError" : "ServerFailed"
          assert.isTrue(reason._tag === expected && reason.text === "no space left on device")
        }).pipe(Effect.provide(everywhere(json({ error: "no space left on device" }))))
      )
    }

    it.live(`a JSON 404 names no model where none is concerned (${name})`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(operation)
        if (name !== "hasBlob") {
          const { reason } = yield* Effect.flip(exit)
          assert.strictEqual(
            reason._tag,
            ["load", "copy", "delete", "show"].includes(name) ? "ModelNotFound" : "WrongUrl"
          )
        }
      }).pipe(Effect.provide(everywhere({ ...json({ error: "Not found" }), status: 404 })))
    )
  }

  it.live("a load whose record does not say that it is done, a description that describes nothing", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(operations.load)).reason._tag, "StreamInterrupted")
      assert.strictEqual((yield* Effect.flip(operations.show)).reason._tag, "Malformed")
    }).pipe(Effect.provide(everywhere(json({ model: "m", done: false }))))
  )
})

describe("Ollama.pull", () => {
  it.live("finds no Ollama where nobody knows how to pull", () =>
    Effect.gen(function* () {
      const { reason } = yield* Effect.flip(Stream.runDrain(pull("m")))
      assert.strictEqual(reason._tag, "WrongUrl")
    }).pipe(Effect.provide(paths({ "POST /api/pull": { ...json({ error: "Not found" }), status: 404 } })))
  )

  it.live("C17 gives progress in bytes, and ends with success", () =>
    Effect.gen(function* () {
      const progress = yield* Stream.runCollect(pull("phi3"))
      assert.deepStrictEqual(
        progress.map(({ status, completedBytes, totalBytes }) => [
          status.replace(/ [0-9a-f]{12}$/, ""),
          completedBytes,
          totalBytes
        ]),
        [
          ["pulling manifest", undefined, undefined],
          ["pulling", undefined, 100],
          ["pulling", 50, 100],
          ["pulling", 100, 100],
          ["verifying sha256 digest", undefined, undefined],
          ["writing manifest", undefined, undefined],
          ["success", undefined, undefined]
        ]
      )
      assert.match(progress[1]?.digest ?? "", /^sha256:/)
      assert.include(yield* names, "phi3:latest")
      assert.strictEqual((yield* requests)[0]?.body, '{"model":"phi3","stream":true}')
    }).pipe(Effect.provide(against("never", {}, { registry: [{ name: "phi3", layers: [100], steps: 2 }] })))
  )

  it.live("C17 says that there is no such model, once, though the server answered 200", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const error = yield* pull("nope").pipe(
        Stream.runForEach(({ status }) => Effect.sync(() => seen.push(status))),
        Effect.flip
      )
      assert.deepStrictEqual(seen, ["pulling manifest"])
      assert.isTrue(error.reason._tag === "PullFailed" && error.reason.isUnknown)
      assert.include(error.message, 'There is no model "nope" to pull')
      assert.lengthOf(yield* requests, 1)
    }).pipe(Effect.provide(against("never")))
  )

  it.live("C17 goes on where it broke off, by itself while it gets on, and when it is pulled again", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Stream.runDrain(pull("phi3")))
      assert.isTrue(error.reason._tag === "PullFailed" && error.reason.code === "ECONNRESET")
      assert.isTrue(error.isRetryable)
      assert.include(error.message, "Pull it again")
      // The first came half-way; the others, that were made by themselves, no further.
      assert.lengthOf(yield* requests, 4)
      const [, again] = yield* Stream.runCollect(Stream.take(pull("phi3"), 2))
      assert.strictEqual(again?.completedBytes, 50)
    }).pipe(
      Effect.provide(against("never", {}, { registry: [{ name: "phi3", layers: [100], steps: 4, end: "reset" }] }))
    )
  )

  it.live("C17 succeeds after a break", () =>
    Effect.gen(function* () {
      const seen = yield* statuses(pull("phi3"))
      assert.strictEqual(seen.at(-1), "success")
      assert.lengthOf(
        seen.filter((status) => status === "pulling manifest"),
        2
      )
      assert.lengthOf(yield* requests, 2)
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.sync(() => {
            let count = 0
            // The double's own pull breaks each time; this one is a server that recovers.
            const record = (value: object) => `${JSON.stringify(value)}\n`
            const manifest = record({ status: "pulling manifest" })
            return against(
              "never",
              {},
              {
                paths: {
                  get "POST /api/pull"(): Raw {
                    return count++ === 0
                      ? { raw: [manifest, record({ status: "pulling x", total: 10, completed: 5 })], end: "reset" }
                      : { raw: [manifest, record({ status: "success" })] }
                  }
                }
              }
            )
          })
        )
      )
    )
  )

  it.live("C17 may break off more often than it is tried again, as long as it gets on", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* statuses(pull("phi3"))).at(-1), "success")
      assert.lengthOf(yield* requests, 7)
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.sync(() => {
            let count = 0
            return against(
              "never",
              {},
              {
                paths: {
                  get "POST /api/pull"(): Raw {
                    return ++count < 7
                      ? { raw: `{"status":"pulling x","digest":"d","total":10,"completed":${count}}\n`, end: "reset" }
                      : { raw: '{"status":"success"}\n' }
                  }
                }
              }
            )
          })
        )
      )
    )
  )

  const broken: Record<string, readonly [Raw, tag: Ollama.Reason["_tag"], requests: number]> = {
    "an end without success": [{ raw: '{"status":"pulling manifest"}\n' }, "PullFailed", 4],
    "an error that will stay": [
      { raw: '{"status":"pulling manifest"}\n{"error":"no space left on device"}\n' },
      "PullFailed",
      1
    ],
    "an error of the network": [
      { raw: '{"error":"max retries exceeded: Get \\"https://r2.example/x?X-Signature=SENTINEL\\": EOF"}' },
      "PullFailed",
      4
    ],
    "a page": [{ raw: "<html>", contentType: "text/html" }, "Malformed", 1],
    "another path": [{ raw: "404 page not found", status: 404, contentType: "text/plain" }, "WrongUrl", 1],
    "a failure": [{ raw: '{"error":"boom"}', status: 500 }, "PullFailed", 1],
    "a proxy's failure": [{ raw: "<html>", status: 502 }, "ServerFailed", 4]
  }
  for (const [name, [raw, tag, count]] of Object.entries(broken)) {
    it.live(`C17 ${name}: ${tag} after ${count} request(s)`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Stream.runDrain(pull("x")))
        assert.strictEqual(error.reason._tag, tag)
        assert.notInclude(error.message, "SENTINEL")
        assert.lengthOf(yield* requests, count)
      }).pipe(Effect.provide(paths({ "POST /api/pull": raw })))
    )
  }

  it.live("gives up on a server that falls silent in the middle, and on one that sends nothing but blank lines", () =>
    Effect.gen(function* () {
      for (const raw of ['{"status":"pulling manifest"}\n', ['{"status":"pulling manifest"}\n', ..."\n".repeat(500)]]) {
        const error = yield* Effect.flip(Stream.runDrain(pull("x"))).pipe(
          Effect.provide(
            against(
              "never",
              { firstRecordTimeout: 100 },
              { paths: { "POST /api/pull": { raw, end: "hang", delay: "20 millis" } } }
            )
          )
        )
        assert.isTrue(error.reason._tag === "Timeout" && error.reason.phase === "progress")
        assert.include(error.message, "said nothing of its work for 0.1 s")
      }
    })
  )

  it.live("stops when it is interrupted, and when enough was taken", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Stream.runDrain(pull("slow")))
      yield* until(() => true)
      yield* Effect.sleep("30 millis")
      yield* Fiber.interrupt(fiber)
      yield* until(({ disconnectedAt }) => disconnectedAt !== undefined)
      yield* Stream.runDrain(Stream.take(pull("slow"), 1))
      yield* until(({ disconnectedAt }) => disconnectedAt !== undefined)
      assert.lengthOf(yield* requests, 2)
    }).pipe(Effect.provide(against("never", {}, { registry: [{ name: "slow", delay: "5 seconds" }] })))
  )
})

describe("NodeClient.create", () => {
  const folder = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "tinyllm-files-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )

  it.live("makes a model of a file, and sends the file only once", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "model.gguf")
      const content = Buffer.alloc(3_000_000, "GGUF")
      writeFileSync(file, content)
      const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`
      const made = NodeClient.create({
        model: "mine",
        files: [file],
        system: "Be brief.",
        parameters: { temperature: 0, stop: ["a"] },
        messages: [{ role: "user", content: "hi" }]
      })
      const first = yield* Stream.runCollect(made)
      assert.deepStrictEqual(
        first.slice(0, 2).map(({ status, totalBytes }) => [status, totalBytes]),
        [
          ["hashing model.gguf", undefined],
          ["uploading model.gguf", 3_000_000]
        ]
      )
      assert.strictEqual(first.at(-1)?.status, "success")
      assert.include(yield* names, "mine:latest")
      assert.strictEqual((yield* use((ollama) => ollama.show("mine"))).system, "Be brief.")
      const sent = yield* requests
      assert.deepStrictEqual(
        sent.slice(0, 3).map(({ method, path }) => [method, path]),
        [
          ["HEAD", `/api/blobs/${digest}`],
          ["POST", `/api/blobs/${digest}`],
          ["POST", "/api/create"]
        ]
      )
      assert.strictEqual(sent[1]?.headers["content-length"], "3000000")
      assert.strictEqual(
        sent[2]?.body,
        `{"model":"mine","files":{"model.gguf":"${digest}"},"system":"Be brief.","parameters":{"temperature":0,"stop":["a"]},"messages":[{"role":"user","content":"hi"}],"stream":true}`
      )
      const again = yield* statuses(made)
      assert.notInclude(again, "uploading model.gguf")
      assert.strictEqual(again.at(-1), "success")
    }).pipe(Effect.scoped, Effect.provide(against("never")))
  )

  it.live("names files of one name by their folders", () =>
    Effect.gen(function* () {
      const root = yield* folder
      const files = ["config.json", join("1_Pooling", "config.json"), "model.safetensors"].map((name) =>
        join(root, name)
      )
      mkdirSync(join(root, "1_Pooling"))
      for (const [index, file] of files.entries()) {
        writeFileSync(file, String(index))
      }
      yield* Stream.runDrain(NodeClient.create({ model: "mine", files }))
      const { files: named } = JSON.parse((yield* requests).at(-1)?.body ?? "") as { readonly files: object }
      assert.deepStrictEqual(Object.keys(named), ["config.json", "1_Pooling/config.json", "model.safetensors"])
    }).pipe(Effect.scoped, Effect.provide(against("never")))
  )

  it.effect("sends a file for as long as it takes, while it gets on", () =>
    Effect.gen(function* () {
      // The limit is 15 minutes, of which each piece takes one.
      const pieces = Array.from({ length: 20 }, (_, index) => new Uint8Array([index]))
      const digest = `sha256:${createHash("sha256").update(Buffer.concat(pieces)).digest("hex")}`
      const content = Stream.tap(Stream.fromIterable(pieces), () => Effect.sleep("1 minute"))
      const fiber = yield* Effect.forkChild(use((ollama) => ollama.pushBlob({ digest, bytes: pieces.length, content })))
      for (let minute = 0; minute < 60 && fiber.pollUnsafe() === undefined; minute++) {
        yield* TestClock.withLive(Effect.sleep("10 millis"))
        yield* TestClock.adjust("1 minute")
      }
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(against("never")))
  )

  it.live("gives up on a server that takes no bytes and says nothing", () =>
    Effect.gen(function* () {
      const pushed = (content: Stream.Stream<Uint8Array>) =>
        use((ollama) => ollama.pushBlob({ digest: `sha256:${"0".repeat(64)}`, bytes: 10, content }))
      const { reason } = yield* Effect.flip(pushed(Stream.make(new Uint8Array(10))))
      assert.isTrue(reason._tag === "Timeout" && reason.phase === "progress")
    }).pipe(
      Effect.provide(
        against(
          "never",
          { firstRecordTimeout: 100 },
          { paths: { [`POST /api/blobs/sha256:${"0".repeat(64)}`]: { raw: "", firstDelay: "1 hour" } } }
        )
      )
    )
  )

  it.live("says which file cannot be read, and what the server refused", () =>
    Effect.gen(function* () {
      const unreadable = yield* Effect.flip(
        Stream.runDrain(NodeClient.create({ model: "mine", files: [join(yield* folder, "none.gguf")] }))
      )
      assert.strictEqual(unreadable._tag, "FileUnreadable")
      assert.include(unreadable.message, "none.gguf")
      const digest = `sha256:${"0".repeat(64)}`
      const content = Stream.succeed(new Uint8Array([1]))
      const { pushBlob, hasBlob, create } = yield* Ollama.Ollama
      const mismatch = yield* Effect.flip(pushBlob({ digest, bytes: 1, content }))
      assert.strictEqual(mismatch.reason._tag, "InvalidRequest")
      assert.isFalse(yield* hasBlob(digest))
      for (const odd of ["sha256:12", "../delete", digest.toUpperCase()]) {
        assert.strictEqual((yield* Effect.flip(hasBlob(odd))).reason._tag, "InvalidRequest")
      }
      const failed = yield* Effect.flip(Stream.runDrain(create({ model: "mine", files: { a: digest } })))
      assert.strictEqual(failed.reason._tag, "CreateFailed")
    }).pipe(Effect.scoped, Effect.provide(against("never")))
  )

  it.live("says it where the fault is with the file that is being sent, and not with the server", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "model.gguf")
      const changing = (change: () => void) => {
        writeFileSync(file, "GGUF")
        return NodeClient.create({ model: "mine", files: [file] }).pipe(
          Stream.runForEach(({ status }) => Effect.sync(() => (status.startsWith("uploading") ? change() : undefined))),
          Effect.flip
        )
      }
      assert.strictEqual((yield* changing(() => rmSync(file)))._tag, "FileUnreadable")
      for (const content of ["GG", "GGUF and more"]) {
        const longer = yield* changing(() => writeFileSync(file, content))
        assert.include(longer.message, "Has the file been changed?")
      }
      const broken = yield* Effect.flip(
        use((ollama) =>
          ollama.pushBlob({
            digest: `sha256:${"0".repeat(64)}`,
            bytes: 10,
            content: Stream.concat(Stream.make(new Uint8Array(3)), Stream.fail("the disk"))
          })
        )
      )
      assert.isTrue(broken.reason._tag === "InvalidRequest" && broken.reason.cause === "the disk")
    }).pipe(Effect.scoped, Effect.provide(against("never")))
  )

  it.live("takes a model for deleted that is not there any more when the answer to that was cut off", () =>
    Effect.gen(function* () {
      let sent = 0
      const server = yield* Listener.make((socket) => {
        socket.on("data", () => {
          sent++
          if (sent === 1) {
            socket.resetAndDestroy()
          } else {
            const body = `{"error":"model 'm' not found"}`
            socket.end(`HTTP/1.1 404 Not Found\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
          }
        })
      })
      const client = NodeClient.layer({ url: `127.0.0.1:${server.port}`, retry: { base: 1 } })
      yield* Effect.provide(
        use((ollama) => ollama.delete("m")),
        client
      )
      assert.strictEqual(sent, 2)
      const missing = yield* Effect.flip(
        Effect.provide(
          use((ollama) => ollama.delete("m")),
          client
        )
      )
      assert.strictEqual(missing.reason._tag, "ModelNotFound")
    }).pipe(Effect.scoped)
  )

  it.live("makes one of another model", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        (yield* statuses(NodeClient.create({ model: "mine", from: "m", files: [] }))).at(-1),
        "success"
      )
      assert.include(yield* names, "mine:latest")
    }).pipe(Effect.provide(against("never")))
  )
})

/** Every way to send something, with a model of that name. */
const ways = (model: string): Record<string, Effect.Effect<unknown, Ollama.OllamaError, Ollama.Ollama>> => {
  const messages = [{ role: "user" as const, content: "hi" }]
  const drain = (run: (ollama: Ollama.Client) => Stream.Stream<unknown, Ollama.OllamaError>) =>
    use((ollama) => Stream.runDrain(run(ollama)))
  return {
    chat: use((ollama) => ollama.chat({ model, messages })),
    generate: use((ollama) => ollama.generate({ model, prompt: "hi" })),
    stream: drain((ollama) => ollama.stream({ model, messages })),
    embed: use((ollama) => ollama.embed({ model, input: "hi" })),
    load: use((ollama) => ollama.load({ model })),
    show: use((ollama) => ollama.show(model)),
    find: use((ollama) => ollama.find(model)),
    pull: drain((ollama) => ollama.pull(model)),
    create: drain((ollama) => ollama.create({ model, from: "m" })),
    "create from": drain((ollama) => ollama.create({ model: "mine", from: model })),
    copy: use((ollama) => ollama.copy(model, "local")),
    "copy to": use((ollama) => ollama.copy("m", model))
  }
}
const others: ReturnType<typeof ways> = {
  delete: use((ollama) => ollama.delete("m")),
  models: use((ollama) => ollama.models),
  loaded: use((ollama) => ollama.loaded),
  version: use((ollama) => ollama.version),
  hasBlob: use((ollama) => ollama.hasBlob(`sha256:${"0".repeat(64)}`)),
  pushBlob: use((ollama) => ollama.pushBlob({ digest: `sha256:${"0".repeat(64)}`, bytes: 0, content: Stream.empty }))
}

describe("what leaves the machine", () => {
  it.live("trap 51 names of Ollama's cloud are refused by every operation that would send something there", () =>
    Effect.gen(function* () {
      // Ollama trims a tag before it looks at it.
      for (const model of [
        "kimi:cloud",
        "gpt-oss:120b-cloud",
        "KIMI:CLOUD",
        "kimi: cloud",
        "kimi:cloud\u0085",
        "kimi:120b-cloud\u2003"
      ]) {
        for (const [name, way] of Object.entries(ways(model))) {
          const error = yield* Effect.flip(way)
          assert.isTrue(error.reason._tag === "RemoteRefused" && error.reason.name === model, name)
          assert.include(error.message, "--allow-remote")
        }
      }
      assert.lengthOf(yield* requests, 0)
    }).pipe(Effect.provide(against("never", {}, { anyModel: true })))
  )

  it.live("they are allowed where that was said", () =>
    Effect.gen(function* () {
      for (const [name, way] of Object.entries(ways("kimi:cloud"))) {
        assert.strictEqual((yield* Effect.exit(way))._tag, "Success", name)
      }
    }).pipe(
      Effect.provide(
        against("ok", { allowRemote: true }, { anyModel: true, capabilities: ["completion", "embedding"] })
      )
    )
  )

  const nowhere = (sent: Array<string>) =>
    Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) => {
        sent.push(request.url)
        return Effect.die(new Error("sent"))
      })
    )

  for (const url of ["ollama.com", "https://ollama.com", "http://api.ollama.com:80", "OLLAMA.COM."]) {
    it.effect(`trap 51 ${url} is refused by every operation`, () =>
      Effect.gen(function* () {
        const sent: Array<string> = []
        for (const [name, way] of Object.entries({ ...ways("m"), ...others })) {
          const error = yield* Effect.flip(
            Effect.provide(way, Layer.provide(Ollama.Ollama.layer({ url }), nowhere(sent)))
          )
          assert.strictEqual(error.reason._tag, "RemoteRefused", name)
        }
        assert.deepStrictEqual(sent, [])
      })
    )
  }

  for (const url of ["https://example.com", "10.0.0.7:11434", "notollama.com", "ollama.com.example.org", "gpu.local"]) {
    it.effect(`any other host is allowed: ${url}`, () =>
      Effect.gen(function* () {
        const sent: Array<string> = []
        yield* Effect.exit(
          Effect.provide(
            use((ollama) => ollama.version),
            Layer.provide(Ollama.Ollama.layer({ url }), nowhere(sent))
          )
        )
        assert.lengthOf(sent, 1)
      })
    )
  }
})
