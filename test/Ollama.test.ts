import { assert, describe, it } from "@effect/vitest"
import {
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Exit,
  Fiber,
  Inspectable,
  Layer,
  Option,
  Redacted,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import * as NodeClient from "../src/NodeClient.ts"
import * as Ollama from "../src/Ollama.ts"
import { OllamaDouble, type Refusal, type Reply } from "../src/OllamaDouble.ts"
import { against, ask, requests, until } from "./support/Double.ts"
import * as Listener from "./support/Listener.ts"
import { named, Spans } from "./support/Spans.ts"

const chat = (request = ask()) => Ollama.Ollama.use((ollama) => ollama.chat(request))
const stream = (request = ask()) => Stream.unwrap(Effect.map(Ollama.Ollama, (ollama) => ollama.stream(request)))
const failure = (request = ask()) => Effect.flip(chat(request))

/** Lines of a chat, as a server writes them. */
const line = (content: string, rest: object = { done: false }) =>
  `${JSON.stringify({ model: "m", message: { role: "assistant", content }, ...rest })}\n`
const last = (content = "") => line(content, { done: true, done_reason: "stop", eval_count: 2 })

describe("Ollama.chat", () => {
  it.live("gives the whole answer with what the server counted and measured", () =>
    Effect.gen(function* () {
      const completion = yield* chat(ask("one two three?"))
      assert.strictEqual(completion.text, "Hello there, you.")
      assert.strictEqual(completion.thinking, "Hm, well.")
      assert.strictEqual(completion.model, "m")
      assert.strictEqual(completion.doneReason, "stop")
      assert.strictEqual(completion.inputTokens, 4)
      assert.strictEqual(completion.outputTokens, 9)
      const { total, load, promptEval, eval: generating } = completion.timings
      const parts = [load, promptEval, generating].map((part) => Duration.toMillis(part ?? Duration.zero))
      assert.isAtLeast(parts[0] ?? 0, 3)
      assert.isAtLeast(parts[1] ?? 0, 4)
      assert.isAtLeast(Duration.toMillis(total ?? Duration.zero), parts[0]! + parts[1]! + parts[2]! - 0.001)
      assert.isAtLeast(Duration.toMillis(completion.timeToFirstToken ?? Duration.zero), 8)
    }).pipe(
      Effect.provide(against({ text: "Hello there, you.", thinking: "Hm, well.", load: 4, firstDelay: 5, delay: 1 }))
    )
  )

  it.live("C2 sends exactly what was set", () =>
    Effect.gen(function* () {
      yield* chat({ model: "m", messages: [{ role: "user", content: "hi" }] })
      yield* chat({
        model: "m",
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "hi" }
        ],
        temperature: 0,
        topP: 0.9,
        topK: 40,
        maxTokens: 7,
        seed: 1,
        stop: ["\n"],
        numCtx: 4096,
        keepAlive: "5 minutes",
        think: false,
        format: "json"
      })
      yield* Ollama.Ollama.use((ollama) =>
        ollama.generate({
          model: "m",
          prompt: "hi",
          system: "s",
          stop: [],
          keepAlive: Duration.infinity,
          think: "high"
        })
      )
      assert.deepStrictEqual(
        (yield* requests).map(({ body }) => body),
        [
          '{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"truncate":false,"options":{"num_predict":2048}}',
          '{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}],"stream":true,"truncate":false,"format":"json","think":false,"keep_alive":300,"options":{"num_predict":7,"num_ctx":4096,"temperature":0,"top_p":0.9,"top_k":40,"seed":1,"stop":["\\n"]}}',
          '{"model":"m","prompt":"hi","system":"s","stream":true,"truncate":false,"think":"high","keep_alive":-1,"options":{"num_predict":2048}}'
        ]
      )
      const { headers } = (yield* requests)[0]!
      assert.strictEqual(headers["content-type"], "application/json")
      assert.strictEqual(headers.accept, "application/x-ndjson")
      assert.strictEqual(headers["accept-encoding"], "identity")
      assert.include(headers["user-agent"], "tinyllm")
    }).pipe(Effect.provide(against("ok")))
  )

  it.live("uses connections again for calls that follow each other", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 3; i++) {
        yield* chat()
        yield* Stream.runDrain(stream())
        yield* failure(ask("hi", { model: "missing" }))
      }
      // Two, because the client frees a connection a moment after the response was read.
      assert.isAtMost(Math.max(...(yield* requests).map(({ connection }) => connection)), 2)
    }).pipe(Effect.provide(against("a b c")))
  )

  it.live("refuses to send an empty prompt, no model, no tokens", () =>
    Effect.gen(function* () {
      const wrong = [
        ask("hi", { messages: [] }),
        ask("hi", { model: " " }),
        ask("hi", { maxTokens: 0 }),
        ask("hi", { maxTokens: 1.5 })
      ]
      for (const request of wrong) {
        assert.strictEqual((yield* failure(request)).reason._tag, "InvalidRequest")
      }
      const empty = yield* Effect.flip(Ollama.Ollama.use((ollama) => ollama.generate({ model: "m", prompt: "" })))
      assert.include(empty.message, "empty")
      assert.lengthOf(yield* requests, 0)
    }).pipe(Effect.provide(against("never")))
  )

  it.live("trap 51 keeps the prompt on this machine unless told otherwise", () =>
    Effect.gen(function* () {
      for (const model of ["gpt-oss:120b-cloud", "kimi:cloud", "KIMI:CLOUD", "kimi: cloud ", "kimi:cloud\u0085"]) {
        const error = yield* failure(ask("hi", { model }))
        assert.strictEqual(error.reason._tag, "RemoteRefused")
        assert.include(error.message, "allowRemote")
      }
      const streamed = yield* Effect.flip(Stream.runDrain(stream(ask("hi", { model: "a-cloud" }))))
      assert.strictEqual(streamed.reason._tag, "RemoteRefused")
      assert.lengthOf(yield* requests, 0)
    }).pipe(Effect.provide(against("never", {}, { anyModel: true })))
  )

  it.live("lets a cloud model pass when told so, without the trace", () =>
    Effect.gen(function* () {
      yield* chat(ask("hi", { model: "a:cloud" }))
      assert.isUndefined((yield* requests)[0]?.headers["traceparent"])
    }).pipe(Effect.provide(against("ok", { allowRemote: true }, { anyModel: true })))
  )
})

describe("framing", () => {
  const text = 'Grüße, 世界 🙂\u2028 <b>&amp;</b> "q" \\ \n end'
  const answers: Record<string, Reply> = {
    "trap 1 trap 2 reads pieces of the double, characters split": { text: [text.slice(0, 5), text.slice(5)] },
    "trap 4 trap 5 trap 9 reads CRLF, blank lines and a byte order mark": {
      raw: `\uFEFF${line(text.slice(0, 5))}\r\n  \r\n\n${line(text.slice(5)).trim()}\r\n${last()}`
    },
    "trap 2 trap 3 reads many records in one chunk, the last without newline": {
      raw: line(text.slice(0, 5)) + line(text.slice(5)) + last().trim()
    },
    "trap 10 reads a single JSON object": { raw: last(text).trim(), contentType: "application/json; charset=utf-8" },
    "trap 18 reads content in the last record": { raw: line(text.slice(0, 5)) + last(text.slice(5)) },
    "trap 39 reads null and missing content": {
      raw: `${line(text)}{"message":null}\n{"message":{"content":null}}\n{"other":1}\n${last()}`
    },
    "trap 16 reads past records after the last one": {
      raw: `${line(text)}${last()}${line("more")}{"error":"late"}\nno json`
    },
    "trap 34 reads past unknown fields": { raw: line(text, { done: false, future: { a: [1] } }) + last() }
  }
  for (const [name, answer] of Object.entries(answers)) {
    for (const bytesPerChunk of [1, 7, 4096, undefined]) {
      it.live(`C5 C6 ${name}, in chunks of ${bytesPerChunk ?? "any number of"} bytes`, () =>
        Effect.gen(function* () {
          assert.strictEqual((yield* chat()).text, text)
          const parts = yield* Stream.runCollect(stream())
          assert.strictEqual(parts.map((part) => (part._tag === "Text" ? part.text : "")).join(""), text)
          assert.strictEqual(parts.at(-1)?._tag, "Done")
          assert.isTrue((yield* requests).every(({ complete }) => complete))
        }).pipe(Effect.provide(against({ ...(answer as object), bytesPerChunk } as Reply)))
      )
    }
  }

  const inChunks = (bytesPerChunk: number | undefined) => `in chunks of ${bytesPerChunk ?? "any number of"} bytes`

  // Smaller chunks are OllamaStream.test.ts's: a system call for each byte of megabytes takes a minute.
  for (const bytesPerChunk of [4096, undefined]) {
    it.live(`C5 trap 6 reads a line of two megabytes, ${inChunks(bytesPerChunk)}`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* chat()).text.length, 2_000_000)
      }).pipe(Effect.provide(against({ raw: last("x".repeat(2_000_000)), bytesPerChunk })))
    )
  }

  it.live("C5 trap 6 gives up on a line that does not end", () =>
    Effect.gen(function* () {
      const error = yield* failure()
      assert.strictEqual(error.reason._tag, "Malformed")
      assert.include(error.message, "line is longer")
    }).pipe(Effect.provide(against({ raw: Array.from({ length: 18 }, () => "x".repeat(1024 * 1024)) })))
  )

  for (const bytesPerChunk of [1, 7, 4096, undefined]) {
    it.live(`C5 trap 8 reads escapes, also of half a character, ${inChunks(bytesPerChunk)}`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* chat()).text, "<&>\u2028\ud800!🙂")
      }).pipe(
        Effect.provide(
          against({
            raw: `{"message":{"content":"\\u003c\\u0026\\u003e\\u2028\\ud800!\\ud83d\\ude42"},"done":true}\n`,
            bytesPerChunk
          })
        )
      )
    )

    it.live(`C5 trap 7 hands out what came before a line that is no JSON, ${inChunks(bytesPerChunk)}`, () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const error = yield* stream().pipe(
          Stream.runForEach((part) => Effect.sync(() => seen.push(part._tag === "Text" ? part.text : part._tag))),
          Effect.flip
        )
        assert.deepStrictEqual(seen, ["one "])
        assert.strictEqual(error.reason._tag, "Malformed")
        if (error.reason._tag === "Malformed") {
          assert.lengthOf(error.reason.excerpt, 200)
        }
        assert.notInclude(error.message, "secret")
      }).pipe(Effect.provide(against({ raw: `${line("one ")}secret ${"x".repeat(300)}\n${last()}`, bytesPerChunk })))
    )

    for (const [name, raw] of Object.entries({
      HTML: "<html>\n<body>Welcome to the hotel</body></html>",
      text: "OK",
      "a JSON array": "[]"
    })) {
      it.live(`C5 C20 trap 11 calls ${name} with status 200 no Ollama, ${inChunks(bytesPerChunk)}`, () =>
        Effect.gen(function* () {
          const error = yield* failure()
          assert.strictEqual(error.reason._tag, "Malformed")
          assert.include(error.message, "OLLAMA_HOST")
          assert.lengthOf(yield* requests, 1)
        }).pipe(Effect.provide(against({ raw, contentType: "text/html", bytesPerChunk })))
      )
    }
  }

  it.live("reads an answer whose encoding is none, however that is written", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* chat()).text, "hi")
    }).pipe(Effect.provide(against({ raw: last("hi"), headers: { "content-encoding": " Identity" } })))
  )

  it.live("trap 26 refuses an encoding that was not asked for", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* failure()).reason._tag, "Malformed")
    }).pipe(Effect.provide(against({ raw: "x", headers: { "content-encoding": "gzip" } })))
  )
})

describe("the end of an answer", () => {
  const partial = (error: Ollama.OllamaError) => ("partial" in error.reason ? error.reason.partial : undefined)

  for (const end of ["eof", "fin", "reset"] as const) {
    it.live(`C6 C9 trap 12 trap 24 says what had come when it breaks off (${end}), and does not ask again`, () =>
      Effect.gen(function* () {
        const error = yield* failure()
        assert.strictEqual(error.reason._tag, "StreamInterrupted")
        assert.strictEqual(partial(error), "one two ")
        assert.isFalse(error.isRetryable)
        assert.notInclude(error.message, "one two")
        assert.lengthOf(yield* requests, 1)
      }).pipe(Effect.provide(against({ text: ["one ", "two "], delay: 2, end })))
    )
  }

  it.live("C6 trap 13 says what had come when a whole answer is none (done: false)", () =>
    Effect.gen(function* () {
      for (const call of [chat(), Stream.runDrain(stream())]) {
        const error = yield* Effect.flip(call)
        assert.strictEqual(error.reason._tag, "StreamInterrupted")
        assert.strictEqual(partial(error), "half")
        assert.isFalse(error.isRetryable)
      }
      assert.lengthOf(yield* requests, 2)
    }).pipe(Effect.provide(against({ raw: line("half").trim(), contentType: "application/json; charset=utf-8" })))
  )

  it.live("C6 C9 trap 14 says what had come before an error line", () =>
    Effect.gen(function* () {
      const error = yield* failure()
      assert.strictEqual(error.reason._tag, "StreamError")
      assert.strictEqual(partial(error), "one two ")
      assert.notInclude(error.message, "one two")
      assert.include(error.message, "unexpected EOF")
      assert.lengthOf(yield* requests, 1)
    }).pipe(
      Effect.provide(
        against({
          text: ["one ", "two "],
          errorLine: "an error was encountered while running the model: unexpected EOF"
        })
      )
    )
  )

  it.live("does not repeat in its message an error that may quote the answer", () =>
    Effect.gen(function* () {
      const error = yield* failure()
      assert.notInclude(error.message, "SENTINEL")
      assert.isTrue(error.reason._tag === "StreamError" && error.reason.text.includes("SENTINEL"))
    }).pipe(Effect.provide(against({ text: ["x"], errorLine: "cannot parse tool call: SENTINEL" })))
  )

  it.live("C6 trap 15 fails for an error as the first line", () =>
    Effect.gen(function* () {
      const error = yield* failure()
      assert.strictEqual(error.reason._tag, "StreamError")
      assert.strictEqual(partial(error), "")
      assert.lengthOf(yield* requests, 1)
    }).pipe(Effect.provide(against({ text: [], errorLine: "something else" })))
  )

  for (const [status, tag, count] of [
    [401, "Unauthorized", 1],
    [429, "Busy", 4]
  ] as const) {
    it.live(`C6 trap 15 reads the status that a model in the cloud gives in its first line: ${status}`, () =>
      Effect.gen(function* () {
        const { reason } = yield* failure()
        assert.strictEqual(reason._tag, tag)
        assert.isTrue("status" in reason && reason.status === status)
        assert.strictEqual(
          "signinUrl" in reason ? reason.signinUrl : undefined,
          status === 401 ? "https://s" : undefined
        )
        assert.lengthOf(yield* requests, count)
      }).pipe(
        Effect.provide(
          against({ raw: `{"error":"no","StatusCode":${status},"Status":"x","signin_url":"https://s"}\n` })
        )
      )
    )
  }

  it.live("C6 C9 C20 trap 17 asks once more when nothing came, then gives up", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* failure()).reason._tag, "StreamInterrupted")
      assert.lengthOf(yield* requests, 2)
    }).pipe(Effect.provide(against({ raw: "" })))
  )

  it.live("C6 trap 21 takes an answer of loading for an empty prompt", () =>
    Effect.gen(function* () {
      const error = yield* failure()
      assert.strictEqual(error.reason._tag, "InvalidRequest")
      assert.include(error.message, "empty")
    }).pipe(Effect.provide(against({ raw: line("", { done: true, done_reason: "load" }) })))
  )

  it.live("C6 trap 19 trap 20 trap 33 takes a last record without counts, times or reason", () =>
    Effect.gen(function* () {
      const completion = yield* chat()
      assert.strictEqual(completion.text, "hi")
      for (const value of [completion.doneReason, completion.inputTokens, completion.outputTokens]) {
        assert.isUndefined(value)
      }
      assert.deepStrictEqual(
        Object.values(completion.timings).filter((value) => value !== undefined),
        []
      )
    }).pipe(
      Effect.provide(
        against({ raw: line("hi", { done: true, done_reason: null, prompt_eval_count: null, eval_count: "3" }) })
      )
    )
  )

  it.live("C6 trap 20 keeps a reason it does not know", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* chat()).doneReason, "tired")
    }).pipe(Effect.provide(against({ text: "ok", doneReason: "tired" })))
  )

  it.live("reads the response to its end, so that the connection can serve again", () =>
    Effect.gen(function* () {
      yield* chat()
      yield* Stream.runDrain(stream())
      yield* until(({ complete }) => complete)
      assert.deepStrictEqual(
        (yield* requests).map(({ disconnectedAt }) => disconnectedAt),
        [undefined, undefined]
      )
    }).pipe(Effect.provide(against({ raw: [last("hi"), "\n"], delay: 15 })))
  )

  it.live("does not wait for a server that keeps the response open after the last record", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* chat().pipe(Effect.timeout("10 seconds"))).text, "hi")
    }).pipe(Effect.provide(against({ raw: last("hi"), end: "hang" })))
  )
})

describe("errors", () => {
  interface Row {
    readonly reply: Refusal | Extract<Reply, { readonly raw: unknown }>
    readonly tag: Ollama.Reason["_tag"]
    /** Requests made in all. */
    readonly requests: number
    readonly says?: string
  }
  const error = (status: number, text: unknown, fields = {}): Refusal => ({ status, error: text, fields })
  const rows: Record<string, Row> = {
    "missing body": {
      reply: error(400, "missing request body"),
      tag: "InvalidRequest",
      requests: 1,
      says: "missing request body"
    },
    "trap 53 bad JSON": {
      reply: error(400, "invalid character 'x' looking for beginning of value"),
      tag: "InvalidRequest",
      requests: 1
    },
    "no model": { reply: error(400, "model is required"), tag: "InvalidRequest", requests: 1 },
    "invalid name": { reply: error(400, "invalid model name"), tag: "InvalidRequest", requests: 1 },
    "trap 53 unknown model": {
      reply: error(404, "model 'm' not found"),
      tag: "ModelNotFound",
      requests: 1,
      says: "ollama pull m"
    },
    "unknown model, older": {
      reply: error(404, 'model "m" not found, try pulling it first'),
      tag: "ModelNotFound",
      requests: 1
    },
    "no tools": {
      reply: error(400, "registry.ollama.ai/library/m:latest does not support tools"),
      tag: "Unsupported",
      requests: 1,
      says: "does not support tools"
    },
    "no gap to fill": {
      reply: error(400, "registry.ollama.ai/library/m:latest does not support insert"),
      tag: "Unsupported",
      requests: 1,
      says: "does not support insert"
    },
    "neither tools nor a gap": {
      reply: error(
        400,
        "registry.ollama.ai/library/m:latest does not support tools\nregistry.ollama.ai/library/m:latest does not support insert"
      ),
      tag: "Unsupported",
      requests: 1,
      says: "does not support tools"
    },
    "no thinking": {
      reply: error(400, '"m" does not support thinking'),
      tag: "Unsupported",
      requests: 1,
      says: "does not support thinking"
    },
    "embedding model": { reply: error(400, '"m" does not support chat'), tag: "Unsupported", requests: 1 },
    "bad think": {
      reply: error(400, 'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)'),
      tag: "InvalidRequest",
      requests: 1
    },
    "bad keep_alive": { reply: error(400, 'time: missing unit in duration "5"'), tag: "InvalidRequest", requests: 1 },
    "raw mode": {
      reply: error(400, "raw mode does not support template, system, or context"),
      tag: "InvalidRequest",
      requests: 1
    },
    "bad option": {
      reply: error(500, 'option "stop" must be of type array'),
      tag: "InvalidRequest",
      requests: 1,
      says: "of type array"
    },
    "bad format": {
      reply: error(500, 'invalid format: "x"; expected "json" or a valid JSON Schema object'),
      tag: "InvalidRequest",
      requests: 1
    },
    "long prompt": {
      reply: error(400, "the prompt is longer than the context length currently available to the model"),
      tag: "ContextExceeded",
      requests: 1
    },
    "long prompt, from the runner": {
      reply: error(
        400,
        '{"error":{"code":400,"message":"request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}'
      ),
      tag: "ContextExceeded",
      requests: 1,
      says: "5000 tokens, room for 4096"
    },
    "crash behind a 400": {
      reply: error(400, 'do embedding request: Post "http://127.0.0.1:1": EOF'),
      tag: "RunnerFailed",
      requests: 2
    },
    "trap 49 full queue": {
      reply: error(503, "server busy, please try again.  maximum pending requests exceeded"),
      tag: "Busy",
      requests: 4,
      says: "OLLAMA_MAX_QUEUE"
    },
    "rate limit": { reply: error(429, "too many"), tag: "Busy", requests: 4 },
    "out of memory": {
      reply: error(500, "model requires more system memory (5.6 GiB) than is available (3.1 GiB)"),
      tag: "OutOfMemory",
      requests: 2
    },
    "out of GPU memory": { reply: error(500, "cudaMalloc failed: out of memory"), tag: "OutOfMemory", requests: 2 },
    "load failed": {
      reply: error(500, "llama-server process has terminated: exit status 2"),
      tag: "RunnerFailed",
      requests: 2
    },
    "load timed out": {
      reply: error(500, "timed out waiting for llama-server to start - progress 0.00"),
      tag: "RunnerFailed",
      requests: 2
    },
    "runner gone": {
      reply: error(
        500,
        "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details"
      ),
      tag: "RunnerFailed",
      requests: 2
    },
    "not signed in": {
      reply: error(401, "unauthorized", { signin_url: "https://ollama.com/x" }),
      tag: "Unauthorized",
      requests: 1
    },
    "cloud off": {
      reply: error(403, "ollama cloud is disabled: remote model is unavailable"),
      tag: "Forbidden",
      requests: 1,
      says: "cloud is disabled"
    },
    "cloud unreachable": { reply: error(502, "bad gateway"), tag: "ServerFailed", requests: 4 },
    "trap 31 refused host": {
      reply: { raw: "", status: 403, contentType: "text/plain" },
      tag: "Forbidden",
      requests: 1,
      says: "Host"
    },
    "trap 31 panic": {
      reply: { raw: "", status: 500, contentType: "text/plain" },
      tag: "ServerFailed",
      requests: 2,
      says: "HTTP 500"
    },
    "unknown 500": { reply: error(500, "no idea"), tag: "ServerFailed", requests: 1 },
    "client gone": { reply: error(499, "request canceled"), tag: "ServerFailed", requests: 1 },
    "trap 31 proxy error": {
      reply: { raw: "<html>Bad Gateway</html>", status: 502, contentType: "text/html" },
      tag: "ServerFailed",
      requests: 4
    },
    "trap 31 proxy time-out": {
      reply: { raw: "<html>Gateway Time-out</html>", status: 504, contentType: "text/html" },
      tag: "ServerFailed",
      requests: 4
    },
    "trap 31 other path": {
      reply: { raw: "404 page not found", status: 404, contentType: "text/plain" },
      tag: "WrongUrl",
      requests: 1,
      says: "OLLAMA_HOST"
    },
    "trap 31 other method": {
      reply: { raw: "405 method not allowed", status: 405, contentType: "text/plain" },
      tag: "WrongUrl",
      requests: 1
    },
    "trap 25 redirect": {
      reply: { raw: "", status: 301, headers: { location: "https://elsewhere/" } },
      tag: "WrongUrl",
      requests: 1,
      says: "base URL"
    },
    "trap 25 redirect of what is posted": {
      reply: { raw: "", status: 307, headers: { location: "/api/chat" } },
      tag: "WrongUrl",
      requests: 1,
      says: "base URL"
    },
    "no content": {
      reply: { raw: "", status: 204 },
      tag: "WrongUrl",
      requests: 1,
      says: "OLLAMA_HOST"
    },
    "a part": {
      reply: { raw: last("hi"), status: 206 },
      tag: "WrongUrl",
      requests: 1,
      says: "HTTP 206"
    },
    "no model, of generate": { reply: error(404, "model '' not found"), tag: "ModelNotFound", requests: 1 },
    "log probabilities out of range": {
      reply: error(400, "top_logprobs must be between 0 and 20"),
      tag: "InvalidRequest",
      requests: 1,
      says: "top_logprobs"
    },
    "vectors that are none": {
      reply: error(400, "embedding contains NaN or Inf values"),
      tag: "EmbeddingInvalid",
      requests: 1
    },
    "runner died, before the answer": {
      reply: error(500, "an error was encountered while running the model: unexpected EOF"),
      tag: "RunnerFailed",
      requests: 2
    },
    "tokens that repeat": {
      reply: error(500, "prediction aborted, token repeat limit reached"),
      tag: "ServerFailed",
      requests: 1,
      says: "token repeat limit"
    },
    "a tool call that cannot be read": {
      reply: error(500, "error parsing tool call: raw='x', err=invalid character"),
      tag: "ServerFailed",
      requests: 1
    },
    "OpenAI's form": {
      reply: error(400, { message: "bad thing", type: "invalid_request_error" }),
      tag: "InvalidRequest",
      requests: 1
    },
    "trap 31 trap 32 large page": {
      reply: { raw: "x".repeat(300_000), status: 400, contentType: "text/html" },
      tag: "InvalidRequest",
      requests: 1
    }
  }
  for (const [name, row] of Object.entries(rows)) {
    it.live(`C4 C9 C20 ${name}: ${row.tag} after ${row.requests} request(s)`, () =>
      Effect.gen(function* () {
        const error = yield* failure(ask("SENTINEL"))
        assert.strictEqual(error.reason._tag, row.tag)
        assert.lengthOf(yield* requests, row.requests)
        assert.strictEqual(error.isRetryable, row.requests > 1)
        assert.include(error.message, row.says ?? "")
        assert.strictEqual("status" in error.reason ? error.reason.status : undefined, row.reply.status)
        if ("text" in error.reason) {
          assert.isAtMost(error.reason.text.length, 500)
        }
      }).pipe(Effect.provide(against(row.reply)))
    )
  }

  it.live("trap 32 do not wait for the end of a short error's body either", () =>
    Effect.gen(function* () {
      const error = yield* failure().pipe(Effect.timeout("20 seconds"))
      assert.isTrue(error instanceof Ollama.OllamaError && error.reason._tag === "InvalidRequest")
      yield* until((request) => request.disconnectedAt !== undefined)
    }).pipe(Effect.provide(against({ raw: "no", status: 400, end: "hang" })))
  )

  it.live("trap 32 do not wait for the end of an error's body", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* failure().pipe(Effect.timeout("1500 millis")))._tag, "OllamaError")
      yield* until((request) => request.disconnectedAt !== undefined)
    }).pipe(Effect.provide(against({ raw: "x".repeat(70_000), status: 400, end: "hang" })))
  )

  it.live("C9 come back to the answer when a repetition helps", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* chat()).text, "third time")
      assert.strictEqual((yield* Stream.runCollect(stream())).length, 3)
    }).pipe(
      Effect.provide(
        against(({ count }) => (count <= 2 ? { status: 503, error: "server busy, please try again." } : "third time"))
      )
    )
  )

  it.live("C9 trap 24 repeat a connection that was reset before the answer", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* chat()).text, "ok")
      assert.lengthOf(yield* requests, 2)
    }).pipe(Effect.provide(against(({ count }) => (count === 1 ? { text: [], end: "reset" } : "ok"))))
  )

  it.live("C9 trap 24 say how to start a server that is not there, at once", () =>
    Effect.gen(function* () {
      const error = yield* failure().pipe(Effect.timeout("5 seconds"))
      assert.isTrue(error instanceof Ollama.OllamaError && error.reason._tag === "Unreachable")
      assert.include(error.message, "ollama serve")
      assert.include(error.message, "OLLAMA_HOST")
      assert.include(error.message, "http://127.0.0.1:1 ")
    }).pipe(Effect.provide(NodeClient.layer({ url: "127.0.0.1:1" })))
  )

  it.live("C9 repeat a refused connection to a server that had answered before", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        OllamaDouble.layer({ models: ["m:latest"], reply: () => "ok" }),
        scope
      )
      const { url } = Context.get(context, OllamaDouble)
      yield* Effect.gen(function* () {
        yield* chat()
        yield* Scope.close(scope, Exit.void)
        const error = yield* failure()
        assert.strictEqual(error.reason._tag, "Unreachable")
        assert.lengthOf(yield* named("retry.attempt"), 3)
      }).pipe(Effect.provide(NodeClient.layer({ url, retry: { times: 2, base: "1 millis" } })))
    }).pipe(Effect.provide(Spans.layer))
  )

  for (const [code, tag, attempts] of [
    ["UND_ERR_CONNECT_TIMEOUT", "Timeout", 1],
    ["ENOTFOUND", "Unreachable", 1],
    ["ECONNRESET", "Unreachable", 4]
  ] as const) {
    it.live(`C4 C9 ${code} of the transport: ${tag} after ${attempts} attempt(s)`, () =>
      Effect.gen(function* () {
        let sent = 0
        const client = HttpClient.make((request) => {
          sent++
          const cause = Object.assign(new Error("no"), { code })
          return Effect.fail(
            new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
          )
        })
        const error = yield* failure(ask("SENTINEL")).pipe(
          Effect.provide(
            Ollama.Ollama.layer({ retry: { base: "1 millis" } }).pipe(
              Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
            )
          )
        )
        assert.strictEqual(error.reason._tag, tag)
        assert.strictEqual(sent, attempts)
        assert.include(error.message, "OLLAMA_HOST")
        // The client's own error holds the request, and with it the prompt.
        assert.notInclude(Inspectable.toStringUnknown(error), "SENTINEL")
      })
    )
  }

  const strangers: Record<string, string | Buffer> = {
    "an SSH server": "SSH-2.0-OpenSSH_9.6\r\n",
    "a TLS server": Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28]),
    "a page without a head": "<html>hello</html>"
  }
  for (const [name, bytes] of Object.entries(strangers)) {
    it.live(`C4 C20 say that ${name} is no Ollama, without asking again`, () =>
      Effect.gen(function* () {
        const { port, connections } = yield* bare(bytes)
        for (const call of [Effect.asVoid(chat()), Effect.asVoid(Ollama.Ollama.use((ollama) => ollama.version))]) {
          const error = yield* Effect.flip(call).pipe(
            Effect.provide(NodeClient.layer({ url: `http://127.0.0.1:${port}` }))
          )
          assert.strictEqual(error.reason._tag, "Malformed")
          assert.include(error.message, "does not speak HTTP")
          assert.include(error.message, "OLLAMA_HOST")
          assert.notInclude(error.message, "ollama serve")
        }
        assert.strictEqual(connections(), 2)
      }).pipe(Effect.scoped)
    )
  }

  it.live("say that a server without TLS is to be asked without it", () =>
    Effect.gen(function* () {
      const { port } = yield* bare("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
      const error = yield* failure().pipe(Effect.provide(NodeClient.layer({ url: `https://127.0.0.1:${port}` })))
      assert.strictEqual(error.reason._tag, "Malformed")
      assert.include(error.message, "TLS")
    }).pipe(Effect.scoped)
  )

  it.live("C9 count attempts as told", () =>
    Effect.gen(function* () {
      yield* failure()
      assert.lengthOf(yield* requests, 1)
    }).pipe(Effect.provide(against({ status: 503, error: "busy" }, { retry: { times: 0 } })))
  )
})

/** Says these bytes to everyone who says something. */
const bare = (bytes: string | Buffer) => Listener.make((socket) => void socket.once("data", () => socket.end(bytes)))

describe("time limits", () => {
  const phase = (error: Ollama.OllamaError) =>
    error.reason._tag === "Timeout" ? error.reason.phase : error.reason._tag

  it.effect("trap 23 by default, a model has 15 minutes to load", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(chat()))
      yield* TestClock.adjust("14 minutes")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      const { reason } = yield* Fiber.join(fiber)
      assert.isTrue(reason._tag === "Timeout" && reason.phase === "first record" && reason.millis === 900_000)
    }).pipe(Effect.provide(Ollama.Ollama.layerTest(() => Effect.never)))
  )

  for (const [name, noise] of Object.entries({ "blank lines": "\r\n", "a line without an end": "x" })) {
    it.live(`do not take ${name} for an answer that goes on`, () =>
      Effect.gen(function* () {
        for (const call of [chat(), Stream.runDrain(stream())]) {
          const error = yield* Effect.flip(call).pipe(Effect.timeout("10 seconds"))
          assert.isTrue(error instanceof Ollama.OllamaError && phase(error) === "idle")
        }
      }).pipe(
        Effect.provide(
          against(
            { raw: [line("one "), ...Array.from({ length: 4000 }, () => noise)], delay: "5 millis" },
            { idleTimeout: "60 millis" }
          )
        )
      )
    )
  }

  it.live("begin anew with each record, also with one that says nothing", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* chat()).text, "one ")
    }).pipe(
      Effect.provide(
        against(
          { raw: [line("one "), ...Array.from({ length: 10 }, () => line("")), last()], delay: "300 millis" },
          { idleTimeout: "2 seconds" }
        )
      )
    )
  )
})

describe("interruption closes the socket", () => {
  const closed = Effect.gen(function* () {
    assert.isBelow(yield* until((request) => request.disconnectedAt !== undefined), 200)
  })

  it.live("while the model loads", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(chat())
      yield* until(() => true)
      yield* Fiber.interrupt(fiber)
      yield* closed
    }).pipe(Effect.provide(against({ text: "late", load: "10 seconds" })))
  )

  it.live("in the middle of an answer", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(chat())
      yield* until(() => true)
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(fiber)
      yield* closed
    }).pipe(Effect.provide(against({ text: ["one "], end: "hang" })))
  )

  it.live("of a stream", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Stream.runDrain(stream()))
      yield* until(() => true)
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(fiber)
      yield* closed
    }).pipe(Effect.provide(against({ text: ["one "], end: "hang" })))
  )

  it.live("trap 27 when enough of a stream was taken", () =>
    Effect.gen(function* () {
      assert.lengthOf(yield* stream().pipe(Stream.take(2), Stream.runCollect), 2)
      yield* closed
    }).pipe(Effect.provide(against({ text: ["one ", "two ", "three "], delay: 1, end: "hang" })))
  )

  it.live("between repetitions: none follows", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(chat())
      yield* until(() => true)
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(fiber)
      assert.lengthOf(yield* requests, 1)
    }).pipe(
      // For want of memory the pause is never shorter than `base`.
      Effect.provide(
        against(
          { status: 500, error: "cudaMalloc failed: out of memory" },
          { retry: { base: "30 seconds", cap: "30 seconds" } }
        )
      )
    )
  )
})

describe("Ollama.stream", () => {
  it.live("C11 gives thinking, text and the completion as they come", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(stream())
      assert.deepStrictEqual(
        parts.map((part) => ("text" in part ? `${part._tag}:${part.text}` : part._tag)),
        ["Thinking:hm", "Text:one ", "Text:two", "Done"]
      )
      const done = parts.at(-1)
      assert.isTrue(done?._tag === "Done" && done.completion.text === "one two" && done.completion.thinking === "hm")
    }).pipe(Effect.provide(against({ thinking: ["hm"], text: "one two", delay: 1 })))
  )

  it.live("C3 gives the same completion as chat", () =>
    Effect.gen(function* () {
      const whole = yield* chat()
      const streamed = yield* Stream.runLast(stream())
      const done = Option.getOrThrow(streamed)
      assert.strictEqual(done._tag, "Done")
      if (done._tag === "Done") {
        const { timings: _, timeToFirstToken: __, raw: _raw, ...rest } = whole
        const { timings: ___, timeToFirstToken: ____, raw: __raw, ...same } = done.completion
        assert.deepStrictEqual(same, rest)
      }
    }).pipe(Effect.provide(against({ text: "one two", thinking: "hm hm", textInLastRecord: true })))
  )

  for (const toolCallsIn of ["record", "records", "last"] as const) {
    it.live(`C3 C10 gives the same tool calls as chat (${toolCallsIn}), but for their ids`, () =>
      Effect.gen(function* () {
        const calls = (completion: Ollama.Completion) =>
          completion.toolCalls.map(({ name, arguments: given }) => [name, given])
        const whole = yield* chat()
        const parts = yield* Stream.runCollect(stream())
        const last = parts.at(-1)
        assert.deepStrictEqual(last?._tag === "Done" ? calls(last.completion) : [], calls(whole))
        assert.deepStrictEqual(calls(whole), [
          ["a", { x: 1 }],
          ["a", { x: 1 }],
          ["b", {}]
        ])
        assert.lengthOf(
          parts.filter((part) => part._tag === "ToolCall"),
          3
        )
      }).pipe(
        Effect.provide(
          against({
            text: "I look",
            toolCallsIn,
            toolCalls: [
              { name: "a", arguments: { x: 1 }, id: "same" },
              { name: "a", arguments: { x: 1 }, id: "same", index: null },
              { name: "b", arguments: {}, id: null }
            ]
          })
        )
      )
    )
  }

  it.live("hands a piece out before the next one comes", () =>
    Effect.gen(function* () {
      const first = yield* Stream.runHead(stream()).pipe(Effect.timeout("5 seconds"))
      assert.isTrue(Option.isSome(first))
    }).pipe(Effect.provide(against({ text: ["one ", "two "], delay: "1 minute" })))
  )
})

describe("other operations", () => {
  it.live("list, show and name the version", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      assert.deepStrictEqual(
        (yield* ollama.models).map(({ name, remote }) => ({ name, remote })),
        [{ name: "m:latest", remote: false }]
      )
      assert.strictEqual((yield* ollama.show("m")).contextLength, 32768)
      assert.strictEqual(yield* ollama.version, "0.33.1")
      const missing = yield* Effect.flip(ollama.show("nope"))
      assert.strictEqual(missing.reason._tag, "ModelNotFound")
      assert.include(missing.message, "ollama pull nope")
    }).pipe(Effect.provide(against("never")))
  )

  it.live("trap 33 trap 42 read null, missing and odd fields as absent", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      assert.deepStrictEqual(
        (yield* ollama.models).map(({ name, bytes, family, capabilities }) => ({ name, bytes, family, capabilities })),
        [
          { name: "a", bytes: undefined, family: undefined, capabilities: undefined },
          { name: "b:1", bytes: 12, family: "llama", capabilities: ["vision"] }
        ]
      )
      assert.deepStrictEqual(
        Object.entries(yield* ollama.show("m")).filter(([key, value]) => value !== undefined && key !== "raw"),
        [
          ["license", "x"],
          ["modelInfo", {}],
          ["remote", false]
        ]
      )
    }).pipe(
      Effect.provide(
        against(
          "never",
          {},
          {
            paths: {
              "GET /api/tags": {
                raw: '{"models":[{"name":"a","details":null,"size":null},{"model":"b:1","size":12.0,"new":1,"details":{"family":"llama","families":null},"capabilities":["vision"]}]}'
              },
              "POST /api/show": { raw: '{"details":null,"model_info":{},"license":"x"}' }
            }
          }
        )
      )
    )
  )

  const tags = "GET /api/tags"
  it.live("give up on an answer that does not end", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Ollama.Ollama.use((ollama) => ollama.models)).pipe(Effect.timeout("2 seconds"))
      assert.isTrue(error instanceof Ollama.OllamaError && error.reason._tag === "Malformed")
      assert.include(error.message, "longer than 16 MB")
      yield* until((request) => request.disconnectedAt !== undefined)
    }).pipe(
      Effect.provide(
        against(
          "never",
          {},
          {
            paths: { [tags]: { raw: Array.from({ length: 17 }, () => " ".repeat(1024 * 1024)), end: "hang" } }
          }
        )
      )
    )
  )

  it.live("are made again as calls are", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      for (const [call, sent] of [
        [Effect.asVoid(ollama.version), 4],
        // Once more, because the connection may have been closed while it was kept.
        [Effect.asVoid(ollama.models), 5],
        [Effect.asVoid(ollama.show("m")), 1]
      ] as const) {
        const before = (yield* requests).length
        yield* Effect.flip(call)
        assert.strictEqual((yield* requests).length - before, sent)
      }
      assert.lengthOf((yield* Spans).all, 0)
    }).pipe(
      Effect.provide(
        against(
          "never",
          {},
          {
            paths: {
              "GET /api/version": { raw: '{"error":"busy"}', status: 503 },
              [tags]: { raw: "", end: "reset" },
              "POST /api/show": { raw: '{"error":"model is required"}', status: 400 }
            }
          }
        )
      )
    )
  )

  it.live("trap 29 survive a connection that the server closed between requests", () =>
    Effect.gen(function* () {
      const answer = '{"version":"1","details":null}'
      let stale = 0
      const server = yield* Listener.make((socket, connection) => {
        socket.on("data", () => {
          // The first connection serves one request and breaks at the second.
          if (connection === 1 && socket.bytesWritten > 0) {
            stale++
            socket.resetAndDestroy()
          } else {
            socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`)
          }
        })
      })
      yield* Effect.gen(function* () {
        const ollama = yield* Ollama.Ollama
        assert.strictEqual(yield* ollama.version, "1")
        yield* Effect.sleep("10 millis") // until the client has freed the connection
        assert.isUndefined((yield* ollama.show("m")).family)
        assert.deepStrictEqual([stale, server.connections()], [1, 2])
      }).pipe(Effect.provide(NodeClient.layer({ url: `127.0.0.1:${server.port}`, retry: { times: 0 } })))
    }).pipe(Effect.scoped)
  )

  it.live("fail for another form", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Ollama.Ollama.use((ollama) => ollama.version))
      assert.strictEqual(error.reason._tag, "Malformed")
    }).pipe(Effect.provide(against("never", {}, { paths: { "GET /api/version": { raw: "<html>" } } })))
  )
})

describe("layers", () => {
  it.live("trap 30 authorize from the URL and never show it", () =>
    Effect.gen(function* () {
      yield* chat()
      const [request] = yield* requests
      assert.strictEqual(request?.headers.authorization, `Basic ${Buffer.from("me:pw").toString("base64")}`)
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.map(OllamaDouble, ({ port }) => NodeClient.layer({ url: `http://me:pw@127.0.0.1:${port}` }))
        ).pipe(Layer.provideMerge(OllamaDouble.layer({ models: ["m:latest"], reply: () => "ok" })))
      )
    )
  )

  it.effect("send the key to ollama.com over TLS and to no other host", () =>
    Effect.gen(function* () {
      const sent: Array<string | undefined> = []
      const client = HttpClient.make((request) => {
        sent.push(request.headers["authorization"])
        return Effect.succeed(HttpClientResponse.fromWeb(request, Response.json({ version: "1" })))
      })
      for (const url of [
        "ollama.com",
        "api.ollama.com",
        "http://ollama.com",
        "https://example.com",
        "https://ollama.com.example.com",
        "127.0.0.1"
      ]) {
        yield* Ollama.Ollama.use((ollama) => ollama.version).pipe(
          Effect.provide(
            Ollama.Ollama.layer({ url, apiKey: Redacted.make("key"), allowRemote: true }).pipe(
              Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
            )
          )
        )
      }
      assert.deepStrictEqual(sent, ["Bearer key", undefined, undefined, undefined, undefined, undefined])
    })
  )

  it("throw for a URL that cannot be read", () => {
    assert.throws(() => NodeClient.layer({ url: "tcp://x" }), RangeError, `Ollama.layer: url "tcp://x" cannot be used`)
    assert.throws(() => NodeClient.layer({ url: "::::" }), RangeError, `Ollama.layer: url "::::" cannot be used`)
  })

  it.live("read OLLAMA_HOST", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Ollama.Ollama).url, "http://example.com:80/base")
    }).pipe(
      Effect.provide(
        NodeClient.layerConfig.pipe(
          Layer.provide(
            ConfigProvider.layer(ConfigProvider.fromUnknown({ OLLAMA_HOST: "http://me:pw@example.com/base/" }))
          )
        )
      )
    )
  )
})

describe("options of a layer that make no sense", () => {
  it("throw a RangeError that names them", () => {
    const of = (options: Ollama.LayerOptions) => () => {
      NodeClient.layerConfigWith(options)
    }
    const cases: ReadonlyArray<readonly [Ollama.LayerOptions, string]> = [
      [{ retry: { times: Number.NaN } }, "retry.times must be an integer >= 0 or Infinity, got NaN"],
      [{ retry: { times: 1.5 } }, "retry.times"],
      [{ retry: { times: -1 } }, "retry.times"],
      [
        { retry: { base: "5 parsecs" as "5 seconds" } },
        `retry.base must be a duration, such as "5 minutes", got "5 parsecs"`
      ],
      [{ firstRecordTimeout: -5 }, "firstRecordTimeout"],
      [{ idleTimeout: 0 }, "idleTimeout must be a duration above 0"],
      [{ totalTimeout: Number.NaN }, "totalTimeout must be a duration above 0"],
      [{ idleTimeout: -5n }, "got -5"],
      [{ permitsPerModel: 0 }, "permitsPerModel must be an integer >= 1 or Infinity, got 0"]
    ]
    for (const [options, text] of cases) {
      assert.throws(of(options), RangeError, text)
      assert.throws(() => void NodeClient.layer(options), RangeError, text)
    }
    of({ firstRecordTimeout: Infinity, retry: { times: 0, base: 0 } })()
  })
})

describe("Ollama.layerTest", () => {
  it.effect("hands every option on, and says what it does not answer", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      const options = { minP: 0.1, repeatPenalty: 1.1, numKeep: 4, numGpu: 0, truncate: true, shift: false, seed: 3 }
      const { text } = yield* ollama.chat(ask("hi", options))
      assert.deepInclude(JSON.parse(text), options)
      for (const call of [ollama.embed({ model: "m", input: "hi" }), Stream.runDrain(ollama.pull("m"))]) {
        const { message } = yield* Effect.flip(Effect.asVoid(call))
        assert.match(message, /^Ollama\.layerTest answers model calls, and has nothing for \/api\/(embed|pull)\./)
      }
      assert.deepStrictEqual(yield* ollama.loaded, [])
    }).pipe(Effect.provide(Ollama.Ollama.layerTest((request) => JSON.stringify(request))))
  )

  it.effect("answers by a function, in pieces and whole", () =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      const completion = yield* ollama.chat(ask("a b"))
      assert.strictEqual(completion.text, "you said a b")
      assert.strictEqual(completion.inputTokens, 2)
      assert.strictEqual(completion.outputTokens, 4)
      assert.lengthOf(yield* Stream.runCollect(ollama.stream(ask("a b"))), 5)
      assert.strictEqual((yield* ollama.generate({ model: "m", prompt: "x", system: "s" })).text, "you said x")
    }).pipe(Effect.provide(Ollama.Ollama.layerTest(({ messages }) => `you said ${messages.at(-1)?.content}`)))
  )
})

describe("Ollama.sameModel", () => {
  it("C18 trap 41 leaves out what the server adds", () => {
    for (const [a, b] of [
      ["qwen3", "qwen3:latest"],
      ["Qwen3:0.6B", "qwen3:0.6b"],
      ["library/qwen3", "qwen3"],
      ["registry.ollama.ai/library/qwen3:latest", "qwen3"],
      ["hf.co/a/b:Q4", "hf.co/a/b:q4"],
      ["host:5000/a/b", "host:5000/a/b:latest"]
    ] as const) {
      assert.isTrue(Ollama.sameModel(a, b), `${a} ${b}`)
    }
    for (const [a, b] of [
      ["qwen3", "qwen3:0.6b"],
      ["me/qwen3", "qwen3"],
      ["qwen2.5:0.5b", "qwen2.5:1.5b"]
    ] as const) {
      assert.isFalse(Ollama.sameModel(a, b), `${a} ${b}`)
    }
  })
})
