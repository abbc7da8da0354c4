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
import * as Crypto from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { demo } from "./OllamaDemo.ts"
import { names as faults } from "./OllamaDoubleFaults.ts"
import { Models } from "./OllamaDoubleModels.ts"
import { type Load, Queue, type Stage } from "./OllamaDoubleQueue.ts"
import * as Routes from "./OllamaDoubleRoutes.ts"
import * as OllamaReply from "./OllamaReply.ts"
import type { Script } from "./OllamaScript.ts"

export type {
  Answer,
  Asked,
  AskedToEmbed,
  EmbedReply,
  End,
  Model,
  Pullable,
  Raw,
  Refusal,
  Reply,
  Script,
  ToolCall,
  Vectors
} from "./OllamaScript.ts"

export type { Load, Stage } from "./OllamaDoubleQueue.ts"

/** A request as it arrived. */
export interface Recorded {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  /** As text; empty for an uploaded file, of which only the size is kept. */
  readonly body: string
  /** Size of the body. */
  readonly bytes: number
  /** Which connection it came on, from 1: two requests with the same number shared a socket. */
  readonly connection: number
  /** Milliseconds of the clock. */
  readonly receivedAt: number
  /** How far it got: waiting for its turn (`queued`), for its model (`loading`), reading its prompt, or answering. */
  readonly stage: Stage
  /** As sent; 499 when the client left before there was an answer; `undefined` before. */
  readonly status: number | undefined
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
    /** Waits until there is a request that is so, and gives the first one. */
    readonly until: (is: (request: Recorded) => boolean) => Effect.Effect<Recorded>
    /** Models that were loaded, and loads that were aborted because the client left, oldest first. */
    readonly loads: Effect.Effect<ReadonlyArray<Load>>
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

  /** Models of every script that always fail, each in its way: `fault/busy`, `fault/out-of-memory`, … */
  static readonly faults: ReadonlyArray<string> = faults
}

const serve = Effect.fnUntraced(function* (script: Script, port: number) {
  const recorded: Array<{ -readonly [K in keyof Recorded]: Recorded[K] }> = []
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never>()
  const state: Routes.State = {
    script,
    clock,
    models: new Models(script, clock),
    queue: new Queue(script, clock),
    prompts: new Map(),
    calls: 0,
    embeds: 0
  }
  const watching = new Set<() => void>()
  const changed = () => {
    for (const look of watching) {
      look()
    }
  }
  let connections = 0
  const connectionOf = new WeakMap<object, number>()

  const server = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    const upload = Routes.isUpload(request.method, request.url) ? Crypto.createHash("sha256") : undefined
    let bytes = 0
    request.on("error", () => {}) // the response's "close" tells
    response.on("error", () => {})
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      if (upload === undefined) {
        chunks.push(chunk)
      } else {
        upload.update(chunk)
      }
    })
    request.on("end", () => {
      const entry = {
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks).toString("utf8"),
        bytes,
        connection: connectionOf.get(request.socket) ?? 0,
        receivedAt: clock.currentTimeMillisUnsafe(),
        stage: "received" as Stage,
        status: undefined as number | undefined,
        disconnectedAt: undefined as number | undefined,
        complete: false
      }
      recorded.push(entry)
      const stage = (stage: Stage) => {
        entry.stage = stage
        changed()
      }
      const received = Number(clock.monotonicTimeNanosUnsafe())
      const player = new OllamaReply.Player(response, (status) => {
        entry.status = status
        changed()
      })
      const fiber = run(played(state, { ...entry, digest: upload?.digest("hex"), received, stage }, player))
      response.on("close", () => {
        entry.complete = response.writableFinished
        if (!entry.complete && !player.cut) {
          entry.status ??= 499
          entry.disconnectedAt = clock.currentTimeMillisUnsafe()
        }
        fiber.interruptUnsafe()
        changed()
      })
      changed()
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
    requests: Effect.sync(() => structuredClone(recorded)),
    until: (is) =>
      Effect.callback((resume) => {
        const look = () => {
          const found = recorded.find(is)
          if (found !== undefined) {
            watching.delete(look)
            resume(Effect.succeed(structuredClone(found)))
          }
        }
        watching.add(look)
        look()
        return Effect.sync(() => watching.delete(look))
      }),
    loads: Effect.sync(() => structuredClone(state.queue.loads))
  })
})

/** A defect is the script's: it ends the one request, as a panic does in Ollama. */
const played = (state: Routes.State, request: Routes.Request, player: OllamaReply.Player): Effect.Effect<void> =>
  Effect.catchCauseIf(
    Effect.suspend(() => Routes.handle(state, request, player)),
    (cause) => !Cause.hasInterruptsOnly(cause),
    (cause) =>
      Effect.andThen(
        Effect.logError(`The script of the Ollama double failed to reply to ${request.method} ${request.path}.`, cause),
        player.panic
      )
  )
