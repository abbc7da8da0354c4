// What the double refuses, and with which words: https://github.com/ollama/ollama/blob/main/server/routes.go
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http from "node:http"
import { OllamaDouble, type Script } from "../src/OllamaDouble.ts"
import { call, chat, lines, serving } from "./support/Outside.ts"

const messages = [{ role: "user", content: "hi" }]

/** A request to `fault/NAME` by chat, or by the endpoint named. */
const faulty = (name: string, path = "/api/chat", rest: object = {}) =>
  call(path, { body: { model: `fault/${name}`, messages, prompt: "hi", input: "hi", ...rest } })

describe("models that fail", () => {
  // Every row of the errors, but for those of a model that is not installed: any name does for them.
  const rows: Readonly<Record<string, readonly [number, string]>> = {
    "missing-body": [400, "missing request body"],
    "bad-json": [400, "invalid character 'x' looking for beginning of value"],
    "truncated-body": [400, "unexpected EOF"],
    "wrong-type": [
      400,
      "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"
    ],
    "model-required": [400, "model is required"],
    "model-empty": [404, "model '' not found"],
    "invalid-name": [400, "invalid model name"],
    "tools-unsupported": [400, "registry.ollama.ai/fault/tools-unsupported:latest does not support tools"],
    "insert-unsupported": [400, "registry.ollama.ai/fault/insert-unsupported:latest does not support insert"],
    "thinking-unsupported": [400, '"fault/thinking-unsupported" does not support thinking'],
    "talking-unsupported": [400, '"fault/talking-unsupported" does not support chat'],
    "embedding-unsupported": [501, "This server does not support embeddings. Start it with `--embeddings`"],
    "bad-think": [400, 'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)'],
    "bad-keep-alive": [400, 'time: missing unit in duration "5"'],
    "bad-top-logprobs": [400, "top_logprobs must be between 0 and 20"],
    "bad-raw": [400, "raw mode does not support template, system, or context"],
    "bad-option": [500, 'option "stop" must be of type array'],
    "bad-format": [500, 'invalid format: "xml"; expected "json" or a valid JSON Schema object'],
    "context-unshifted": [400, "the prompt is longer than the context length currently available to the model"],
    "context-exceeded": [
      400,
      '{"error":{"code":400,"message":"request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}'
    ],
    "embed-too-long": [400, "the input length exceeds the context length"],
    "embed-crashed": [400, 'do embedding request: Post "http://127.0.0.1:39041/embedding": EOF'],
    "embed-nan": [400, "embedding contains NaN or Inf values"],
    busy: [503, "server busy, please try again.  maximum pending requests exceeded"],
    "out-of-memory": [500, "cudaMalloc failed: out of memory"],
    "out-of-memory-old": [500, "model requires more system memory (5.6 GiB) than is available (3.1 GiB)"],
    "load-failed": [500, "llama-server process has terminated: exit status 2"],
    "load-failed-old": [500, "llama runner process has terminated: exit status 2"],
    "load-timeout": [500, "timed out waiting for llama-server to start - progress 0.00 - "],
    "runner-gone": [
      500,
      "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details"
    ],
    "rate-limited": [429, "too many requests"],
    "cloud-unreachable": [502, "remote model is unreachable"],
    "cloud-disabled": [403, "ollama cloud is disabled: remote model is unavailable"],
    canceled: [499, "request canceled"]
  }
  const late: Readonly<Record<string, string>> = {
    "runner-died": "an error was encountered while running the model: unexpected EOF",
    "token-repeat": "prediction aborted, token repeat limit reached",
    "bad-tool-call": `error parsing tool call: raw='{"name":', err=unexpected end of JSON input`
  }
  const empty: Readonly<Record<string, number>> = { forbidden: 403, panic: 500 }

  it.live("D7 say so with the server's status and words, before the first record", () =>
    Effect.gen(function* () {
      for (const [name, [status, error]] of Object.entries(rows)) {
        const response = yield* faulty(name)
        assert.strictEqual(response.status, status, name)
        assert.strictEqual(response.type, "application/json; charset=utf-8", name)
        assert.deepStrictEqual(JSON.parse(response.text), { error })
      }
      const signIn = yield* faulty("not-signed-in", "/api/generate")
      assert.strictEqual(signIn.status, 401)
      assert.deepStrictEqual(Object.keys(JSON.parse(signIn.text)), ["error", "signin_url"])
      for (const [name, status] of Object.entries(empty)) {
        const response = yield* faulty(name)
        assert.deepStrictEqual([response.status, response.text, response.type], [status, "", null], name)
      }
      const embedded = yield* faulty("embed-nan", "/api/embed")
      assert.strictEqual(embedded.status, 400)
    }).pipe(serving("never"))
  )

  it.live("D7 say so within a stream, or by a 500 where there is none", () =>
    Effect.gen(function* () {
      for (const [name, error] of Object.entries(late)) {
        const response = yield* faulty(name)
        assert.deepStrictEqual([response.status, response.type], [200, "application/x-ndjson"])
        const records = lines(response.text)
        assert.strictEqual(records[0]!["done"], false)
        assert.deepStrictEqual(records.slice(1), [{ error }])
        const whole = yield* faulty(name, "/api/generate", { stream: false })
        assert.deepStrictEqual([whole.status, JSON.parse(whole.text)], [500, { error }])
      }
    }).pipe(serving("never"))
  )

  it.live("D7 are all named, shown with all capabilities, and not listed", () =>
    Effect.gen(function* () {
      assert.sameMembers(
        [...OllamaDouble.faults],
        [...Object.keys(rows), ...Object.keys(late), ...Object.keys(empty), "not-signed-in"].map(
          (name) => `fault/${name}`
        )
      )
      const shown = JSON.parse((yield* call("/api/show", { body: { model: "fault/busy" } })).text)
      assert.includeMembers(shown.capabilities, ["completion", "tools", "thinking", "embedding"])
      assert.lengthOf(JSON.parse((yield* call("/api/tags")).text).models, 1)
      assert.strictEqual((yield* faulty("unheard-of")).status, 404)
    }).pipe(serving("never"))
  )
})

describe("capabilities", () => {
  const script: Partial<Script> = {
    models: [
      { name: "talker", capabilities: ["completion"] },
      { name: "Thinker:1b", capabilities: ["completion", "thinking"] },
      { name: "embedder", capabilities: ["embedding"] },
      { name: "me/all", capabilities: ["completion", "tools", "insert", "thinking"] }
    ]
  }
  const tools = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }]
  const cases: ReadonlyArray<readonly [string, object, string | undefined]> = [
    ["/api/chat", { model: "talker", tools }, "registry.ollama.ai/library/talker:latest does not support tools"],
    ["/api/chat", { model: "talker", tools: [] }, undefined],
    ["/api/chat", { model: "talker", think: true }, '"talker" does not support thinking'],
    ["/api/chat", { model: "talker", think: "low" }, '"talker" does not support thinking'],
    ["/api/chat", { model: "talker", think: false }, undefined],
    ["/api/chat", { model: "thinker:1b", think: "max" }, undefined],
    ["/api/chat", { model: "Thinker:1b", tools }, "registry.ollama.ai/library/Thinker:1b does not support tools"],
    [
      "/api/generate",
      { model: "talker", suffix: "x" },
      "registry.ollama.ai/library/talker:latest does not support insert"
    ],
    ["/api/chat", { model: "embedder" }, '"embedder" does not support chat'],
    ["/api/chat", { model: "embedder", messages: [] }, '"embedder" does not support chat'],
    // Unloading comes before all checks.
    ["/api/chat", { model: "embedder", messages: [], keep_alive: 0 }, undefined],
    ["/api/generate", { model: "embedder", prompt: "", keep_alive: 0, raw: true, system: "x" }, undefined],
    ["/api/generate", { model: "embedder" }, '"embedder" does not support generate'],
    ["/api/chat", { model: "me/all", tools, think: true }, undefined],
    ["/api/generate", { model: "me/all", suffix: "x" }, undefined]
  ]

  it.live("D15 are checked, with the server's words", () =>
    Effect.gen(function* () {
      for (const [path, body, error] of cases) {
        const response = yield* call(path, { body: { messages, prompt: "hi", ...body } })
        const at = JSON.stringify([path, body])
        assert.strictEqual(response.status, error === undefined ? 200 : 400, at)
        if (error !== undefined) {
          assert.deepStrictEqual(JSON.parse(response.text), { error }, at)
        }
      }
    }).pipe(serving("ok", script))
  )
})

describe("fields", () => {
  it.live("D16 answers a wrong type of an option with a 500, and takes floats for integers and null for nothing", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [string, unknown, string]> = [
        ["stop", "x", "type array"],
        ["stop", [1], "an array of strings"],
        ["num_ctx", "4096", "type integer"],
        ["seed", true, "type integer"],
        ["temperature", "1", "type float32"],
        ["top_p", [], "type float32"],
        ["use_mmap", 1, "type boolean"]
      ]
      for (const [option, value, type] of wrong) {
        const response = yield* chat({ options: { [option]: value } })
        assert.strictEqual(response.status, 500)
        assert.deepStrictEqual(JSON.parse(response.text), { error: `option "${option}" must be of ${type}` })
      }
      for (const options of [{ num_ctx: 4096.5 }, { stop: null, temperature: null }, { unheard_of: "x" }, {}]) {
        assert.strictEqual((yield* chat({ options })).status, 200, JSON.stringify(options))
      }
    }).pipe(serving("ok"))
  )

  it.live("D17 ignores fields that it does not know", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* chat({ frobnicate: { a: 1 }, error: "x", status: 1 })).status, 200)
      assert.strictEqual((yield* call("/api/show", { body: { model: "m", frobnicate: null } })).status, 200)
    }).pipe(serving("ok"))
  )

  it.live("D6 answers what Go cannot read with a 400", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [string, object, string]> = [
        [
          "/api/chat",
          { messages: "hi" },
          "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"
        ],
        ...(
          [
            ["hi", "string", "messages of type api.Alias"],
            [{ role: 1 }, "number", "messages.role of type string"],
            [{ content: [{ type: "text", text: "hi" }] }, "array", "messages.content of type string"],
            [{ tool_calls: ["add"] }, "string", "messages.tool_calls of type api.ToolCall"],
            [
              { tool_calls: [{ function: "add" }] },
              "string",
              "messages.tool_calls.function of type api.ToolCallFunction"
            ]
          ] as const
        ).map(
          ([message, kind, field]) =>
            [
              "/api/chat",
              { messages: [message] },
              `json: cannot unmarshal ${kind} into Go struct field ChatRequest.${field}`
            ] as const
        ),
        [
          "/api/chat",
          { messages: [{ tool_calls: [{ function: { name: "add", arguments: "{}" } }] }] },
          "Value looks like object, but can't find closing '}' symbol"
        ],
        [
          "/api/chat",
          { stream: "yes" },
          "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool"
        ],
        [
          "/api/generate",
          { prompt: 5 },
          "json: cannot unmarshal number into Go struct field GenerateRequest.prompt of type string"
        ],
        [
          "/api/chat",
          { top_logprobs: 1.5 },
          "json: cannot unmarshal number 1.5 into Go struct field ChatRequest.top_logprobs of type int"
        ],
        [
          "/api/chat",
          { think: "x" },
          'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)'
        ],
        ["/api/chat", { keep_alive: "5" }, 'time: missing unit in duration "5"'],
        ["/api/chat", { keep_alive: "-1" }, 'time: missing unit in duration "-1"'],
        ["/api/chat", { keep_alive: "" }, 'time: invalid duration ""'],
        ["/api/chat", { keep_alive: "abc" }, 'time: invalid duration "abc"'],
        ["/api/chat", { keep_alive: "1d" }, 'time: unknown unit "d" in duration "1d"'],
        ["/api/chat", { top_logprobs: 21 }, "top_logprobs must be between 0 and 20"],
        ["/api/generate", { raw: true, system: "x" }, "raw mode does not support template, system, or context"],
        ["/api/generate", { images: ["data:image/png;base64,AAAA"] }, "illegal base64 data at input byte 4"]
      ]
      assert.strictEqual((yield* chat({ messages: [{ role: "user", images: ["AA\nAA\r\nAAAA"] }] })).status, 200)
      for (const [path, rest, error] of wrong) {
        const response = yield* call(path, {
          body: { model: "m", ...(path === "/api/chat" ? { messages } : { prompt: "hi" }), ...rest }
        })
        assert.strictEqual(response.status, 400, error)
        assert.deepStrictEqual(JSON.parse(response.text), { error })
      }
      for (const keep_alive of ["300ms", "1.5h", "2h45m", "-1m", "0", 0.5, -1, null]) {
        assert.strictEqual((yield* chat({ keep_alive })).status, 200, String(keep_alive))
      }
    }).pipe(serving("ok"))
  )
})

describe("Host and Origin", () => {
  const answered = (headers: Http.OutgoingHttpHeaders, method = "GET") =>
    Effect.flatMap(OllamaDouble, ({ port }) =>
      Effect.callback<{ status: number | undefined; type: string | undefined; text: string; headers: object }>(
        (resume) => {
          const request = Http.request(
            { port, host: "127.0.0.1", path: "/api/version", method, headers },
            (response) => {
              const chunks: Array<Buffer> = []
              response.on("data", (chunk: Buffer) => chunks.push(chunk))
              response.on("end", () =>
                resume(
                  Effect.succeed({
                    status: response.statusCode,
                    type: response.headers["content-type"],
                    text: Buffer.concat(chunks).toString(),
                    headers: response.headers
                  })
                )
              )
            }
          )
          request.end()
        }
      )
    )

  it.live("D18 are looked at: others get a 403 without a body", () =>
    Effect.gen(function* () {
      for (const host of ["ollama.example.com", "8.8.8.8", "evil.localhost.com", "127.evil.com"]) {
        const { status, text, type } = yield* answered({ host })
        assert.deepStrictEqual([status, text, type], [403, "", undefined], host)
      }
      for (const host of [
        "localhost:11434",
        "a.localhost",
        "box.local",
        "host.docker.internal",
        "[::1]:1",
        "192.168.1.5"
      ]) {
        assert.strictEqual((yield* answered({ host })).status, 200, host)
      }
      const { status, text } = yield* answered({ origin: "https://example.com" })
      assert.deepStrictEqual([status, text], [403, ""])
      for (const origin of ["http://localhost:3000", "https://127.0.0.1", "tauri://localhost"]) {
        assert.strictEqual((yield* answered({ origin })).status, 200, origin)
      }
      const preflight = yield* answered(
        { origin: "http://localhost", "access-control-request-method": "POST" },
        "OPTIONS"
      )
      assert.strictEqual(preflight.status, 204)
      assert.notMatch(JSON.stringify(preflight.headers), /traceparent|baggage/)
    }).pipe(serving("ok"))
  )
})

describe("prompts that are too long", () => {
  const long = Array.from({ length: 5000 }, () => "x").join(" ")
  const old = { role: "user", content: Array.from({ length: 4000 }, () => "y").join(" ") }
  const system = { role: "system", content: "s" }
  const ask = (model: string, rest: object = {}) =>
    call("/api/chat", { body: { model, stream: false, messages: [{ role: "user", content: long }], ...rest } })
  const models: Script["models"] = ["cut", { name: "native", overflow: "refuse" }]
  const exceeded = (tokens: number, numCtx: number) => ({
    error: {
      code: 400,
      message: `request (${tokens} tokens) exceeds the available context size (${numCtx} tokens), try increasing it`,
      type: "exceed_context_size_error",
      n_prompt_tokens: tokens,
      n_ctx: numCtx
    }
  })

  it.live("D21 are cut in silence, to a count that can be told", () =>
    Effect.gen(function* () {
      for (const [options, count] of [
        [{}, 2050],
        [{ num_keep: 5 }, 2051],
        [{ num_ctx: 2048 }, 1026],
        [{ num_ctx: 8192 }, 5000]
      ] as const) {
        const { status, text } = yield* ask("cut", { options })
        assert.deepStrictEqual([status, JSON.parse(text).prompt_eval_count], [200, count])
      }
    }).pipe(serving("ok", { models }))
  )

  it.live("D21 are refused by other models and with truncate: false, in JSON within JSON", () =>
    Effect.gen(function* () {
      for (const response of [yield* ask("native"), yield* ask("cut", { truncate: false })]) {
        assert.strictEqual(response.status, 400)
        assert.deepStrictEqual(JSON.parse(JSON.parse(response.text).error), exceeded(5000, 4096))
      }
      const unshifted = yield* ask("cut", { shift: false })
      assert.strictEqual(unshifted.status, 400)
      assert.match(
        JSON.parse(unshifted.text).error,
        /^the prompt is longer than the context length currently available/
      )
    }).pipe(serving("ok", { models }))
  )

  it.live("D21 lose their oldest messages first, but not the system's", () =>
    Effect.gen(function* () {
      for (const model of ["cut", "native"]) {
        const messages = [system, old, old, { role: "user", content: "z" }]
        const { text } = yield* ask(model, { messages })
        assert.strictEqual(JSON.parse(text).message.content, "system user user")
        assert.strictEqual(JSON.parse(text).prompt_eval_count, 4002)
      }
    }).pipe(serving((asked) => asked.messages.map(({ role }) => role).join(" "), { models }))
  )
})

describe("an old server", () => {
  it.live("D23 knows no capabilities, no context length in use and no ids of calls, and counts a prompt once", () =>
    Effect.gen(function* () {
      const [listed] = JSON.parse((yield* call("/api/tags")).text).models
      assert.notProperty(listed, "capabilities")
      assert.notProperty(JSON.parse((yield* call("/api/show", { body: { model: "m" } })).text), "capabilities")
      const first = lines((yield* chat()).text)
      assert.deepStrictEqual(first[0]!["message"].tool_calls, [{ function: { index: 0, name: "f", arguments: {} } }])
      assert.strictEqual(first.at(-1)?.["prompt_eval_count"], 3)
      assert.notProperty(lines((yield* chat()).text).at(-1), "prompt_eval_count")
      assert.strictEqual(lines((yield* chat({ messages })).text).at(-1)?.["prompt_eval_count"], 1)
      const [running] = JSON.parse((yield* call("/api/ps")).text).models
      assert.notProperty(running, "context_length")
      assert.property(running, "expires_at")
      assert.strictEqual(JSON.parse((yield* call("/api/version")).text).version, "0.5.7")
      assert.strictEqual((yield* call("//api/chat", { body: {} })).status, 301)
    }).pipe(serving({ text: [], toolCalls: [{ name: "f" }] }, { old: true }))
  )

  it.live("D23 is not the usual one", () =>
    Effect.gen(function* () {
      yield* chat()
      assert.strictEqual(lines((yield* chat()).text).at(-1)?.["prompt_eval_count"], 3)
      assert.strictEqual(JSON.parse((yield* call("/api/ps")).text).models[0].context_length, 4096)
    }).pipe(serving("ok"))
  )
})
