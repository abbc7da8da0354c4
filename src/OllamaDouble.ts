/**
 * An Ollama for tests and for `--demo`: a real HTTP server on a loopback port that answers from a script.
 *
 * It speaks Ollama's protocol as far as clients see it: the same paths, texts of errors, content types and records;
 * headers are withheld until the first record. It binds 127.0.0.1 only and is no model: what it says comes from the
 * script, its token counts are words and punctuation marks, its timings are measured.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { demo } from "./OllamaDemo.ts"
import * as OllamaReply from "./OllamaReply.ts"
import { type Asked, messagesOf, type Script } from "./OllamaScript.ts"

export type { Answer, Asked, End, Raw, Refusal, Reply, Script } from "./OllamaScript.ts"

/** A request as it arrived. */
export interface Recorded {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  /** Which connection it came on, from 1: two requests with the same number shared a socket. */
  readonly connection: number
  /** Milliseconds of the clock. */
  readonly receivedAt: number
  /** When the client closed the connection before the response was complete. */
  readonly disconnectedAt: number | undefined
  /** Whether the response was sent to its end. */
  readonly complete: boolean
}

/** The port could not be had. */
export class OllamaDoubleFailed extends Data.TaggedError("OllamaDoubleFailed")<{
  readonly port: number
  readonly cause: unknown
}> {
  override get message() {
    return `The Ollama double could not listen on 127.0.0.1:${this.port}. Choose another port; 0 takes a free one.`
  }
}

export class OllamaDouble extends Context.Service<
  OllamaDouble,
  {
    /** `http://127.0.0.1:<port>`. */
    readonly url: string
    readonly port: number
    /** What was received until now, oldest first. */
    readonly requests: Effect.Effect<ReadonlyArray<Recorded>>
  }
>()("tinyllm/OllamaDouble") {
  /**
   * Serves a script until the layer's scope ends, which also closes connections that are still busy.
   *
   * `port` is a free one by default. Fails with `OllamaDoubleFailed` when it is taken; a free port does not fail.
   */
  static readonly layer = (
    script: Script,
    options: { readonly port?: number | undefined } = {}
  ): Layer.Layer<OllamaDouble, OllamaDoubleFailed> => Layer.effect(OllamaDouble, serve(script, options.port ?? 0))

  /** The script of `--demo`: any model is installed, arithmetic is worked out, and nothing passes for a model. */
  static readonly demo: Script = demo
}

const serve = Effect.fnUntraced(function* (script: Script, port: number) {
  const recorded: Array<{ -readonly [K in keyof Recorded]: Recorded[K] }> = []
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never>()
  const state: State = { script, calls: 0, loaded: new Set() }
  let connections = 0
  const connectionOf = new WeakMap<object, number>()

  const server = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("error", () => {}) // the response's "close" tells
    response.on("error", () => {})
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const entry = {
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks).toString("utf8"),
        connection: connectionOf.get(request.socket) ?? 0,
        receivedAt: clock.currentTimeMillisUnsafe(),
        disconnectedAt: undefined as number | undefined,
        complete: false
      }
      recorded.push(entry)
      const player = new OllamaReply.Player(response, clock)
      const fiber = run(played(state, entry, player))
      response.on("close", () => {
        entry.complete = response.writableFinished
        if (!entry.complete && !player.cut) {
          entry.disconnectedAt = clock.currentTimeMillisUnsafe()
        }
        fiber.interruptUnsafe()
      })
    })
  })
  server.on("connection", (socket) => {
    socket.setNoDelay(true)
    connectionOf.set(socket, ++connections)
  })

  yield* Effect.acquireRelease(
    Effect.callback<void, OllamaDoubleFailed>((resume) => {
      server.once("error", (cause) => resume(Effect.fail(new OllamaDoubleFailed({ port, cause }))))
      server.listen(port, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const bound = (server.address() as AddressInfo).port // listening on TCP, so it is one
  return OllamaDouble.of({
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    requests: Effect.sync(() => structuredClone(recorded))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Paths
// ---------------------------------------------------------------------------------------------------------------------

interface State {
  readonly script: Script
  calls: number
  readonly loaded: Set<string>
}

const methods: Readonly<Record<string, string>> = {
  "/": "GET, HEAD",
  "/api/version": "GET, HEAD",
  "/api/tags": "GET, HEAD",
  "/api/ps": "GET",
  "/api/show": "POST",
  "/api/chat": "POST",
  "/api/generate": "POST"
}

/** A defect is the script's: it ends the one request, as a panic does in Ollama. */
const played = (state: State, { body, method, path }: Recorded, player: OllamaReply.Player): Effect.Effect<void> =>
  Effect.catchCauseIf(
    Effect.suspend(() => handle(state, method, path, body, player)),
    (cause) => !Cause.hasInterruptsOnly(cause),
    (cause) =>
      Effect.andThen(
        Effect.logError(`The script of the Ollama double failed to reply to ${method} ${path}.`, cause),
        player.panic
      )
  )

const handle = (
  state: State,
  method: string,
  url: string,
  body: string,
  player: OllamaReply.Player
): Effect.Effect<void> => {
  const { script } = state
  const path = url.split("?", 1)[0] ?? ""
  const replaced = script.paths?.[`${method} ${path}`]
  if (replaced !== undefined) {
    return player.raw(replaced)
  }
  const cleaned = path.replace(/\/{2,}/g, "/").replace(/(.)\/$/, "$1")
  const allowed = methods[cleaned]
  if (allowed === undefined) {
    return player.text(404, "404 page not found")
  }
  if (cleaned !== path) {
    return player.text(method === "GET" ? 301 : 307, "", { location: cleaned })
  }
  if (!allowed.split(", ").includes(method)) {
    return player.text(405, "405 method not allowed", { allow: allowed })
  }
  switch (path) {
    case "/":
      return player.text(200, "Ollama is running")
    case "/api/version":
      return player.json(200, { version: script.version ?? "0.33.1" })
    case "/api/tags":
      return player.json(200, { models: script.models.map((name) => tag(script, name)) })
    case "/api/ps":
      return player.json(200, {
        models: [...state.loaded].map((name) => tag(script, name, { size_vram: 0, context_length: 4096 }))
      })
    default:
      return post(state, path, body, player)
  }
}

const post = (state: State, path: string, body: string, player: OllamaReply.Player): Effect.Effect<void> => {
  const { script } = state
  const read = OllamaReply.readBody(body, path)
  if (read.refusal !== undefined) {
    return player.refuse(read.refusal)
  }
  const { request, model } = read
  const installed = script.anyModel === true || script.models.some((name) => canonical(name) === canonical(model))
  if (!installed) {
    return player.refuse({
      status: 404,
      error: `model '${path === "/api/show" ? canonical(model) : model}' not found`
    })
  }
  if (path === "/api/show") {
    return player.json(200, show(script))
  }
  const messages = messagesOf(request)
  if (messages.length === 0) {
    const reason = request["keep_alive"] === 0 ? "unload" : "load"
    state.loaded[reason === "load" ? "add" : "delete"](model)
    return player.single(path, model, { done: true, done_reason: reason })
  }
  state.loaded.add(model)
  const asked: Asked = {
    path: path === "/api/chat" ? path : "/api/generate",
    model,
    messages,
    format: request["format"],
    count: ++state.calls,
    body: request
  }
  return player.play(asked, script.reply(asked))
}

const canonical = (name: string): string => (name.includes(":") ? name : `${name}:latest`).toLowerCase()

const details = {
  parent_model: "",
  format: "gguf",
  family: "qwen2",
  families: ["qwen2"],
  parameter_size: "494.03M",
  quantization_level: "Q4_K_M"
}

const tag = (script: Script, name: string, more: object = {}) => ({
  name,
  model: name,
  modified_at: "2026-08-21T10:00:00.123456789Z",
  size: 397_821_319,
  digest: "a8b0c51577010a279d933d14c2a8ab4b268079d44c5c8830c0a93900f1827c67",
  details,
  capabilities: script.capabilities ?? ["completion"],
  ...more
})

const show = (script: Script) => ({
  modelfile: "",
  parameters: "",
  template: "{{ .Prompt }}",
  details,
  model_info: { "general.architecture": "qwen2", "qwen2.context_length": 32768 },
  capabilities: script.capabilities ?? ["completion"],
  modified_at: "2026-08-21T10:00:00.123456789Z"
})
