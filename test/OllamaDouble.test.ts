// What other clients than ours see: read with Node's own fetch and with bare sockets.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Layer, Logger } from "effect"
import { OllamaDouble, type Reply, type Script } from "../src/OllamaDouble.ts"
import { requests } from "./support/Double.ts"
import { bare, call, chat, lines, script, serving } from "./support/Outside.ts"

const hello = { model: "m", messages: [{ role: "user", content: "hi" }] }

describe("OllamaDouble", () => {
  it.live("D2 streams records as x-ndjson, with counts and times that fit", () =>
    Effect.gen(function* () {
      const { type, text } = yield* chat()
      assert.strictEqual(type, "application/x-ndjson")
      const records = lines(text)
      assert.deepStrictEqual(
        records.map(({ message, done }) => [message.content, message.thinking, done]),
        [
          ["", "hm", false],
          ["a ", undefined, false],
          ["<b>", undefined, false],
          ["", undefined, true]
        ]
      )
      assert.include(text, "\\u003cb\\u003e")
      const last = records.at(-1)!
      assert.match(last["created_at"], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z$/)
      assert.strictEqual(last["done_reason"], "stop")
      assert.strictEqual(last["prompt_eval_count"], 3)
      assert.strictEqual(last["eval_count"], 5)
      const { total_duration, load_duration, prompt_eval_duration, eval_duration } = last
      assert.isAtLeast(total_duration, load_duration + prompt_eval_duration + eval_duration)
      for (const duration of [load_duration, prompt_eval_duration, eval_duration]) {
        assert.isAtLeast(duration, 3e6)
      }
    }).pipe(serving({ thinking: ["hm"], text: ["a ", "<b>"], load: 4, firstDelay: 4, delay: 2 }))
  )

  it.live("D2 answers with one object when asked not to stream", () =>
    Effect.gen(function* () {
      const { type, text } = yield* chat({ stream: false })
      assert.strictEqual(type, "application/json; charset=utf-8")
      assert.notInclude(text, "\n")
      const record = JSON.parse(text)
      assert.strictEqual(record.message.content, "a b")
      assert.isTrue(record.done)
      const generated = yield* call("/api/generate", { body: { model: "m", prompt: "x", stream: false } })
      assert.strictEqual(JSON.parse(generated.text).response, "a b")
      assert.lengthOf(JSON.parse(generated.text).context, 3)
      const raw = yield* call("/api/generate", { body: { model: "m", prompt: "x", raw: true, stream: false } })
      assert.notProperty(JSON.parse(raw.text), "context")
    }).pipe(serving("a b"))
  )

  it.live("D8 loads and unloads for an empty prompt", () =>
    Effect.gen(function* () {
      for (const [path, body] of [
        ["/api/chat", { model: "m", messages: [] }],
        ["/api/chat", { model: "m" }],
        ["/api/generate", { model: "m", prompt: "" }]
      ] as const) {
        const loaded = yield* call(path, { body })
        assert.strictEqual(loaded.type, "application/json; charset=utf-8")
        assert.strictEqual(JSON.parse(loaded.text).done_reason, "load")
        assert.lengthOf(JSON.parse((yield* call("/api/ps")).text).models, 1)
        assert.strictEqual(
          JSON.parse((yield* call(path, { body: { ...body, keep_alive: 0 } })).text).done_reason,
          "unload"
        )
        assert.lengthOf(JSON.parse((yield* call("/api/ps")).text).models, 0)
      }
    }).pipe(serving("never"))
  )

  it.live("knows the other paths", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* call("/")).text, "Ollama is running")
      assert.strictEqual(JSON.parse((yield* call("/api/version")).text).version, "0.33.1")
      const [tag] = JSON.parse((yield* call("/api/tags")).text).models
      assert.strictEqual(tag.name, "m:latest")
      assert.match(tag.digest, /^[0-9a-f]{64}$/)
      const show = JSON.parse((yield* call("/api/show", { body: { model: "M" } })).text)
      assert.deepStrictEqual(show.capabilities, ["completion"])
    }).pipe(serving("never"))
  )

  it.live("D6 refuses before the first record, as Ollama does", () =>
    Effect.gen(function* () {
      const message = [{ role: "user", content: "x" }]
      const rows: ReadonlyArray<readonly [string, unknown, number, string]> = [
        ["/api/chat", { model: "nope", messages: message }, 404, "model 'nope' not found"],
        ["/api/generate", { model: "nope", prompt: "x" }, 404, "model 'nope' not found"],
        ["/api/show", { model: "nope" }, 404, "model 'nope:latest' not found"],
        ["/api/chat", { messages: message }, 400, "model is required"],
        ["/api/show", {}, 400, "model is required"],
        ["/api/generate", { prompt: "x" }, 404, "model '' not found"],
        ["/api/chat", "", 400, "missing request body"],
        ["/api/chat", " \n", 400, "missing request body"],
        ["/api/chat", "xx", 400, "invalid character 'x' looking for beginning of value"],
        ["/api/chat", '{"model":"m","messages":[{"role":"us', 400, "unexpected EOF"],
        ["/api/chat", '{"model":', 400, "unexpected EOF"],
        ["/api/chat", '{"model":x}', 400, "invalid character 'x' looking for beginning of value"],
        ["/api/chat", "{'model'}", 400, "invalid character '\\'' looking for beginning of object key string"],
        ["/api/chat", '{"model":"m",}', 400, "invalid character '}' looking for beginning of object key string"],
        ["/api/chat", '{"model":"m" "messages"}', 400, `invalid character '"' after object key:value pair`],
        ["/api/chat", '{"model" "m"}', 400, `invalid character '"' after object key`],
        ["/api/chat", '{"model":"m","messages":[1 2]}', 400, "invalid character '2' after array element"],
        ["/api/chat", '{"model":"\n"}', 400, "invalid character '\\n' in string literal"],
        ["/api/chat", "[1]", 400, "json: cannot unmarshal array into Go value of type api.ChatRequest"],
        ["/api/generate", '"x"', 400, "json: cannot unmarshal string into Go value of type api.GenerateRequest"],
        ["/api/show", "1", 400, "json: cannot unmarshal number into Go value of type api.ShowRequest"],
        ["/api/chat", "null", 400, "model is required"],
        [
          "/api/chat",
          { model: "m", messages: message, options: { stop: "x" } },
          500,
          'option "stop" must be of type array'
        ],
        [
          "/api/chat",
          { model: "m", messages: message, format: "xml" },
          500,
          'invalid format: "xml"; expected "json" or a valid JSON Schema object'
        ],
        ["/api/chat", { model: "m", messages: message }, 503, "scripted"]
      ]
      for (const [path, body, status, error] of rows) {
        const response = yield* call(path, { method: "POST", body })
        assert.strictEqual(response.status, status, error)
        assert.strictEqual(response.type, "application/json; charset=utf-8")
        assert.deepStrictEqual(JSON.parse(response.text), { error })
      }
    }).pipe(serving({ status: 503, error: "scripted" }))
  )

  it.live("D17 ignores what follows the first JSON value of a request", () =>
    Effect.gen(function* () {
      for (const rest of ["}", " junk", '\n{"model":"other"}']) {
        const { status, text } = yield* call("/api/chat", {
          body: `\n{"model":"m","messages":[{"role":"user","content":"a \\" } {"}],"stream":false}${rest}`
        })
        assert.strictEqual(status, 200, rest)
        assert.strictEqual(JSON.parse(text).message.content, 'a " } {')
      }
    }).pipe(serving(({ messages }) => String(messages[0]?.content)))
  )

  it.live("D17 takes the names of fields in any case", () =>
    Effect.gen(function* () {
      const { text } = yield* call("/api/chat", {
        body: { Model: "m", MESSAGES: [{ Role: "user", Content: "hi" }], Stream: false }
      })
      assert.strictEqual(JSON.parse(text).message.content, "user: hi")
    }).pipe(serving(({ messages }) => `${messages[0]?.role}: ${messages[0]?.content}`))
  )

  it.live("reads messages without a text as empty ones", () =>
    Effect.gen(function* () {
      for (const message of [null, {}, { role: null, content: null }]) {
        const { text } = yield* call("/api/chat", { body: { model: "m", messages: [message], stream: false } })
        assert.strictEqual(JSON.parse(text).message.content, "<>", JSON.stringify(message))
      }
    }).pipe(serving(({ messages }) => `<${messages.map(({ content }) => content.toUpperCase()).join()}>`))
  )

  it.live("D18 answers other paths and methods in text, and redirects untidy ones", () =>
    Effect.gen(function* () {
      const missing = yield* call("/api/nothing")
      assert.deepStrictEqual([missing.status, missing.text], [404, "404 page not found"])
      const method = yield* call("/api/chat")
      assert.deepStrictEqual(
        [method.status, method.text, method.headers.get("allow")],
        [405, "405 method not allowed", "POST"]
      )
      const slash = yield* call("/api/chat/", { body: hello })
      assert.deepStrictEqual([slash.status, slash.headers.get("location")], [307, "/api/chat"])
      assert.isNull(slash.type)
      const get = yield* call("/api/tags/")
      assert.deepStrictEqual([get.status, get.headers.get("location")], [301, "/api/tags"])
      assert.strictEqual(get.type, "text/html; charset=utf-8")
      assert.strictEqual(get.text, '<a href="/api/tags">Moved Permanently</a>.\n\n')
      assert.strictEqual((yield* call("//api/tags")).status, 307)
      for (const { type } of [missing, method]) {
        assert.strictEqual(type, "text/plain; charset=utf-8")
      }
    }).pipe(serving("never"))
  )

  it.live("D1 sends the headers together with the first record", () =>
    Effect.gen(function* () {
      const { reads } = yield* bare("/api/chat", hello)
      assert.include(reads[0], "200 OK")
      assert.include(reads[0] + (reads[1] ?? ""), '"content":"x"')
      const received = (yield* requests)[0]!
      assert.isTrue(received.complete)
    }).pipe(Effect.scoped, serving({ text: ["x"], firstDelay: 20 }))
  )

  it.live("D3 cuts records into chunks of so many bytes", () =>
    Effect.gen(function* () {
      const { reads } = yield* bare("/api/chat", hello)
      const body = reads.join("").split("\r\n\r\n").slice(1).join("\r\n\r\n")
      const sizes = [...body.matchAll(/(?:^|\r\n)([0-9a-f]+)\r\n/g)].map(([, size]) => Number.parseInt(size!, 16))
      assert.isAbove(sizes.length, 10)
      assert.isTrue(sizes.every((size) => size <= 7))
    }).pipe(Effect.scoped, serving({ text: ["x"], bytesPerChunk: 7 }))
  )

  it.live("D3 cuts characters, too, and loses nothing", () =>
    Effect.gen(function* () {
      const { reads } = yield* bare("/api/chat", hello)
      const raw = reads.join("")
      const chunks = [...raw.slice(raw.indexOf("\r\n\r\n")).matchAll(/\r\n1\r\n([^])(?=\r\n)/g)].map(([, byte]) => byte)
      const text = Buffer.from(chunks.join(""), "latin1").toString("utf8")
      assert.strictEqual(lines(text)[0]!["message"].content, "\u00e9\u{1f600}")
      assert.lengthOf(chunks, Buffer.byteLength(text))
    }).pipe(Effect.scoped, serving({ text: ["\u00e9\u{1f600}"], bytesPerChunk: 1 }))
  )

  for (const [end, seen] of [
    ["done", "complete"],
    ["eof", "complete"],
    ["fin", "FIN"],
    ["reset", "ECONNRESET"]
  ] as const) {
    it.live(`D5 ends a connection as told (${end})`, () =>
      Effect.gen(function* () {
        const got = yield* bare("/api/chat", hello)
        assert.strictEqual(got.end, seen)
        const text = got.reads.join("")
        assert.include(text, '"content":"x"')
        assert.strictEqual(text.includes('"done":true'), end === "done")
        assert.isUndefined((yield* requests)[0]?.disconnectedAt)
      }).pipe(Effect.scoped, serving({ text: ["x"], delay: 5, end }))
    )
  }

  it.live("D6 writes an error line after records, and a status before them", () =>
    Effect.gen(function* () {
      const { status, text } = yield* chat()
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(lines(text).at(-1), { error: "boom" })
      const before = yield* chat()
      assert.deepStrictEqual([before.status, before.text], [500, '{"error":"bang"}'])
    }).pipe(serving(({ count }) => (count === 1 ? { text: ["x"], errorLine: "boom" } : { status: 500, error: "bang" })))
  )

  it.live("D19 escapes what HTML and JavaScript would take for their own, as Go does", () =>
    Effect.gen(function* () {
      const { text } = yield* chat()
      assert.include(text, '"content":"\\u003ca\\u003e \\u0026 \\u2028\\u2029"')
      assert.strictEqual(lines(text)[0]!["message"].content, "<a> & \u2028\u2029")
      const whole = yield* chat({ stream: false })
      assert.include(whole.text, "\\u003ca\\u003e \\u0026")
      const refused = yield* call("/api/chat", { body: { model: "<&>", messages: [] } })
      assert.include(refused.text, "invalid model name")
      const format = yield* chat({ format: "<&>" })
      assert.include(format.text, "\\u003c\\u0026\\u003e")
    }).pipe(serving({ text: ["<a> & \u2028\u2029"] }))
  )

  it.live("D20 records requests with their headers, and when their clients left", () =>
    Effect.gen(function* () {
      const { until, url } = yield* OllamaDouble
      const leaving = yield* Effect.forkChild(chat())
      yield* until(({ stage }) => stage === "loading")
      yield* Fiber.interrupt(leaving)
      yield* until(({ disconnectedAt }) => disconnectedAt !== undefined)
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      yield* Effect.promise(() => fetch(`${url}/api/version`, { headers: { traceparent } }))
      const [request, other] = yield* requests
      assert.deepInclude(request, { method: "POST", path: "/api/chat", complete: false })
      assert.include(request?.body, "one two?")
      assert.strictEqual(other?.headers["traceparent"], traceparent)
    }).pipe(serving({ text: "x", load: "1 hour" }))
  )

  it.live("says when its port is taken", () =>
    Effect.gen(function* () {
      const { port } = yield* OllamaDouble
      const error = yield* Effect.flip(Effect.provide(Effect.void, OllamaDouble.layer(script("x"), { port })))
      assert.include(error.message, String(port))
    }).pipe(serving("x"))
  )

  it.live("closes connections that are busy when its scope ends", () =>
    Effect.gen(function* () {
      const { until } = yield* OllamaDouble
      yield* Effect.forkChild(chat().pipe(Effect.ignoreCause))
      yield* until(({ stage }) => stage === "loading")
    }).pipe(serving({ text: "x", load: "1 minute" }), Effect.timeout("10 seconds"))
  )
})

describe("a defect in a script", () => {
  /** Replies of the double, and what it logged. */
  const defective = (reply: Reply | Script["reply"]) => {
    const logged: Array<string> = []
    const logger = Logger.make<unknown, void>(({ cause, logLevel, message }) => {
      logged.push(`${logLevel} ${String(message)} ${Cause.pretty(cause)}`)
    })
    const double = OllamaDouble.layer(script(reply)).pipe(Layer.provide(Logger.layer([logger])))
    return { logged, provide: Effect.provide(double) }
  }

  const replies: Record<string, Script["reply"]> = {
    "that throws": () => {
      throw new TypeError("no such reply")
    },
    "that returns nothing": () => undefined as never,
    "that is async": (async () => ({ text: "x" })) as never,
    "with a delay that is none": () => ({ text: "x", load: "soon" as never }),
    "in chunks of no bytes": () => ({ text: "x", bytesPerChunk: 0 }),
    "of bytes in chunks of half a byte": () => ({ raw: "x", bytesPerChunk: 0.5 })
  }
  for (const [name, reply] of Object.entries(replies)) {
    it.live(`is a 500 with an empty body and an error in the log (a reply ${name})`, () => {
      const { logged, provide } = defective(reply)
      return Effect.gen(function* () {
        for (let i = 1; i <= 2; i++) {
          const { status, text } = yield* chat()
          assert.deepStrictEqual([status, text], [500, ""])
          assert.lengthOf(logged, i)
        }
        assert.match(logged[0]!, /^Error .*\/api\/chat.*Error: /s)
        assert.notInclude(logged[0]!, "one two")
        assert.strictEqual((yield* call("/")).text, "Ollama is running")
      }).pipe(provide)
    })
  }

  it.live("resets the connection when the answer has begun", () => {
    const { logged, provide } = defective({ text: ["x", "y"], delay: "soon" as never })
    return Effect.gen(function* () {
      const { end, reads } = yield* bare("/api/chat", hello)
      assert.include(reads.join(""), "200 OK")
      assert.strictEqual(end, "ECONNRESET")
      assert.lengthOf(logged, 1)
      assert.isUndefined((yield* requests)[0]?.disconnectedAt)
    }).pipe(Effect.scoped, provide)
  })
})

describe("OllamaDouble.demo", () => {
  const ask = (content: string, format?: unknown) =>
    Effect.map(
      call("/api/chat", {
        body: {
          model: "any",
          messages: [
            { role: "system", content: "1+1" },
            { role: "user", content }
          ],
          format,
          stream: false
        }
      }),
      ({ text }) => JSON.parse(text).message.content as string
    )
  const demo = Effect.provide(OllamaDouble.layer(OllamaDouble.demo))
  const routes = (...names: ReadonlyArray<string>) => ({
    type: "object",
    properties: { route: { type: "string", enum: names } },
    required: ["route"]
  })

  it.live("says what it is", () =>
    Effect.gen(function* () {
      assert.include(JSON.parse((yield* call("/api/version")).text).version, "demo")
      const answer = yield* ask("Who are you?")
      assert.include(answer, "demo server")
      assert.include(answer, "not a language model")
      assert.include(answer, "ollama pull qwen2.5:0.5b")
      assert.include(yield* ask("Who are you?", "json"), "demo server")
    }).pipe(demo)
  )

  it.live("works out arithmetic, and claims nothing about what only looks like it", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* ask("What is 2 + 2?"), "4")
      assert.include(yield* ask("call 555-1234"), "not a language model")
    }).pipe(demo)
  )

  it.live("answers messages without a text", () =>
    Effect.gen(function* () {
      for (const message of [null, { role: "user", content: null }]) {
        const { status, text } = yield* call("/api/chat", {
          body: { model: "any", messages: [message], stream: false }
        })
        assert.strictEqual(status, 200)
        assert.include(JSON.parse(text).message.content, "not a language model")
      }
    }).pipe(demo)
  )

  it.live("sorts messages into the routes it is given", () =>
    Effect.gen(function* () {
      const all = routes("code", "math", "general")
      const sorted = {
        "What is 2 + 2?": "math",
        "the sum of seven and eight": "math",
        "Write a Python function": "code",
        "fix the bug in my program": "code",
        "Tell me about Berlin": "general"
      }
      for (const [question, route] of Object.entries(sorted)) {
        assert.deepStrictEqual(JSON.parse(yield* ask(question, all)), { route }, question)
      }
      assert.deepStrictEqual(JSON.parse(yield* ask("Berlin?", routes("sales", "support"))), { route: "sales" })
    }).pipe(demo)
  )

  it.live("streams word by word", () =>
    Effect.gen(function* () {
      const { text } = yield* call("/api/chat", { body: hello })
      assert.isAbove(lines(text).length, 20)
    }).pipe(demo)
  )
})
