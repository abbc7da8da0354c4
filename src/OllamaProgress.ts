/**
 * Work that a server does on its models and reports on: pulling one, creating one; and the files that it is made of.
 *
 * Ollama answers 200 at once and says in a later record what went wrong. Only a record `success` is the end.
 * https://github.com/ollama/ollama/blob/main/docs/api.md#pull-a-model
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Message } from "./OllamaApi.ts"
import * as OllamaBody from "./OllamaBody.ts"
import * as OllamaError from "./OllamaError.ts"
import { errorText } from "./OllamaErrorText.ts"
import * as OllamaHttp from "./OllamaHttp.ts"
import * as OllamaTransport from "./OllamaTransport.ts"
import { nowMillis } from "./OllamaReading.ts"
import { excerpt, Lines, type Record, type Sink } from "./OllamaLines.ts"

/** How far the server is. The last one says `success`. */
export interface Progress {
  /** As the server writes it: `pulling manifest`, `pulling 8934d96d3f08`, `verifying sha256 digest`, `success`. */
  readonly status: string
  /** Of the file that is under way. */
  readonly digest?: string | undefined
  /** Size of that file, in bytes. */
  readonly totalBytes?: number | undefined
  /** How much of it is there, in bytes; absent until the first byte came. */
  readonly completedBytes?: number | undefined
  /** As it came, with fields that have no name here. */
  readonly raw: Readonly<{ [key: string]: unknown }>
}

/** A model to be created. */
export interface CreateRequest {
  readonly model: string
  /** A model to make it from. One that is not installed is pulled first. */
  readonly from?: string | undefined
  /** Files to make it from: names, each with the digest of a blob (`sha256:…`) that the server has. */
  readonly files?: Readonly<{ [name: string]: string }> | undefined
  /** Adapters (LoRA) to put on it, as `files`. */
  readonly adapters?: Readonly<{ [name: string]: string }> | undefined
  /** A template of Go. */
  readonly template?: string | undefined
  readonly system?: string | undefined
  /** Options as a Modelfile has them: `{ temperature: 0.2, num_ctx: 8192, stop: ["\n"] }`. */
  readonly parameters?: Readonly<{ [name: string]: unknown }> | undefined
  /** A conversation that precedes every other. */
  readonly messages?: ReadonlyArray<Message> | undefined
  readonly license?: string | ReadonlyArray<string> | undefined
  /** `q4_K_M`, `q8_0`, …, of a model that is not quantized yet. */
  readonly quantize?: string | undefined
}

/** Bytes that the server keeps under their digest. */
export interface Blob {
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string
  readonly bytes: number
  /** Read again when the connection breaks. */
  readonly content: Stream.Stream<Uint8Array, unknown>
}

/** What these requests share: the server, and how long it may say nothing, in milliseconds. */
export interface Server extends OllamaHttp.Server {
  readonly firstRecordTimeout: number
}

/** `POST /api/pull`. A connection that breaks is made again as often as told, and anew after each progress. */
export const pull = (
  server: Server,
  model: string,
  insecure: boolean | undefined
): Stream.Stream<Progress, OllamaError.OllamaError> =>
  progress(
    server,
    { method: "POST", path: "/api/pull", body: JSON.stringify({ model, insecure, stream: true }), model },
    (problem) => new OllamaError.PullFailed({ model, ...problem })
  )

/** `POST /api/create`. */
export const create = (server: Server, request: CreateRequest): Stream.Stream<Progress, OllamaError.OllamaError> => {
  const { model } = request
  const body = JSON.stringify({
    model,
    from: request.from,
    files: request.files,
    adapters: request.adapters,
    template: request.template,
    system: request.system,
    parameters: request.parameters,
    messages: request.messages?.map(OllamaBody.wireMessage),
    license: request.license,
    quantize: request.quantize,
    stream: true
  })
  return progress(
    server,
    { method: "POST", path: "/api/create", body, model },
    (problem) => new OllamaError.CreateFailed({ model, ...problem })
  )
}

/** `HEAD /api/blobs/<digest>`. */
export const hasBlob = (server: Server, digest: string): Effect.Effect<boolean, OllamaError.OllamaError> =>
  Effect.map(
    OllamaHttp.status(server, { method: "HEAD", path: `/api/blobs/${digest}`, model: "", accepts: [404] }),
    (status) => status === 200
  )

/** `POST /api/blobs/<digest>`. Fails when the server takes nothing for as long as it may say nothing. */
export const pushBlob = (server: Server, blob: Blob): Effect.Effect<void, OllamaError.OllamaError> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    let since = nowMillis(clock)
    const taken = Effect.sync(() => (since = nowMillis(clock)))
    const silent: Effect.Effect<void> = Effect.suspend(() => {
      const left = since + server.firstRecordTimeout - nowMillis(clock)
      return left <= 0 ? Effect.void : Effect.andThen(Effect.sleep(left), silent)
    })
    yield* OllamaHttp.upload(server, {
      method: "POST",
      path: `/api/blobs/${blob.digest}`,
      upload: { bytes: blob.bytes, content: Stream.tap(blob.content, () => taken) },
      accepts: [201],
      model: ""
    }).pipe(Effect.raceFirst(Effect.andThen(silent, expired(server, "progress"))))
  })

// ---------------------------------------------------------------------------------------------------------------------
// Progress
// ---------------------------------------------------------------------------------------------------------------------

interface Problem {
  readonly status: number
  readonly text: string
  readonly code?: string | undefined
  readonly cause?: unknown
}

/** One answer: what came of it and was not handed out yet. */
class Report implements Sink {
  records: Array<Progress> = []
  failure: OllamaError.OllamaError | undefined = undefined
  succeeded = false
  readonly #url: string
  readonly #failed: (problem: Problem) => OllamaError.Reason

  constructor(url: string, failed: (problem: Problem) => OllamaError.Reason) {
    this.#url = url
    this.#failed = failed
  }

  get ended(): boolean {
    return this.succeeded || this.failure !== undefined
  }

  onRecord(record: Record): void {
    const error = errorText(record["error"])
    if (error !== undefined) {
      this.failure = OllamaError.make(this.#failed({ status: 200, text: error }))
      return
    }
    const { status, digest } = record
    this.succeeded = status === "success"
    this.records.push({
      status: typeof status === "string" ? status : "",
      digest: typeof digest === "string" ? digest : undefined,
      totalBytes: bytes(record["total"]),
      completedBytes: bytes(record["completed"]),
      raw: record
    })
  }

  onMalformed(problem: string, line: string): void {
    this.failure = OllamaError.make(
      new OllamaError.Malformed({ url: this.#url, status: 200, problem, excerpt: excerpt(line) })
    )
  }

  brokeOff(broken: { readonly code: string | undefined; readonly cause: unknown } | undefined): void {
    this.failure ??= OllamaError.make(this.#failed({ status: 200, text: "", ...broken }))
  }
}

const bytes = (value: unknown): number | undefined =>
  typeof value === "number" && value >= 0 && Number.isFinite(value) ? value : undefined

type Step = Pull.Pull<readonly [Progress, ...Array<Progress>], OllamaError.OllamaError>

const progress = (
  server: Server,
  request: OllamaHttp.Request,
  failed: (problem: Problem) => OllamaError.Reason
): Stream.Stream<Progress, OllamaError.OllamaError> =>
  Stream.fromChannel(
    Channel.fromTransform((_, scope) =>
      Effect.sync(() => {
        let attempts = 1
        let step: Step | undefined
        let attemptScope: Scope.Closeable | undefined
        const most = new Map<string, number>()
        // Whoever gets on may break off again; what a new attempt says first is only what was there before.
        const note = ({ completedBytes = 0, digest = "" }: Progress) => {
          if (completedBytes > (most.get(digest) ?? 0)) {
            most.set(digest, completedBytes)
            attempts = 1
          }
        }
        const next: Step = Effect.suspend(() => {
          if (step !== undefined) {
            return step
          }
          const opening = Scope.forkUnsafe(scope)
          attemptScope = opening
          return Effect.flatMap(open(server, request, failed, opening), (opened) => {
            step = opened
            return opened
          })
        }).pipe(
          Effect.tap((records) => Effect.sync(() => records.forEach(note))),
          Effect.catchIf(OllamaError.isOllamaError, (error) =>
            Effect.flatMap(OllamaHttp.nextDelayMillis(server, attempts, error), (delay) => {
              if (delay === undefined) {
                return Effect.fail(error)
              }
              attempts += OllamaHttp.isStale(error) ? 0 : 1
              step = undefined
              return Effect.andThen(
                attemptScope === undefined ? Effect.void : Scope.close(attemptScope, Exit.void),
                Effect.andThen(Effect.sleep(delay), next)
              )
            })
          )
        )
        return next
      })
    )
  )

/** Sends the request, and gives a pull of its records that fails with `Done` after `success`. */
const open = (
  server: Server,
  request: OllamaHttp.Request,
  failed: (problem: Problem) => OllamaError.Reason,
  scope: Scope.Scope
): Effect.Effect<Step, OllamaError.OllamaError> =>
  Effect.gen(function* () {
    const report = new Report(server.url, failed)
    const lines = new Lines(report)
    const response = yield* server.send(request).pipe(
      Scope.provide(scope),
      Effect.tapError((error) => Effect.sync(() => OllamaHttp.noteAnswer(server, error))),
      Effect.mapError((error) => ofWork(error, failed)),
      limited(server, "first record")
    )
    OllamaHttp.noteAnswer(server)
    const chunks = yield* Stream.toPull(response.stream).pipe(Scope.provide(scope))
    const read = Effect.matchCauseEffect(chunks, {
      onSuccess: (chunks) =>
        Effect.sync(() => {
          for (const chunk of chunks) {
            lines.push(chunk)
          }
        }),
      onFailure: (cause) => {
        if (Cause.hasInterruptsOnly(cause)) {
          return Effect.failCause(cause as Cause.Cause<never>) // interrupts only
        }
        const broken = OllamaTransport.broken(cause)
        if (broken === undefined) {
          lines.end()
        }
        if (!report.ended) {
          report.brokeOff(broken)
        }
        return Effect.void
      }
    })
    // Bytes alone are no sign of life: a proxy can send blank lines for ever.
    const fill: Effect.Effect<void> = Effect.suspend(() =>
      report.records.length > 0 || report.ended ? Effect.void : Effect.andThen(read, fill)
    )
    const step: Step = Effect.suspend(() => {
      const [first, ...rest] = report.records
      if (first !== undefined) {
        report.records = []
        return Effect.succeed([first, ...rest] as const)
      }
      return report.failure !== undefined
        ? Effect.fail(report.failure)
        : report.succeeded
          ? Cause.done()
          : Effect.andThen(limited(server, "progress")(fill), step)
    })
    return step
  })

// What fails before the first record is a 500 with the text that would have been a record.
const ofWork = (error: OllamaError.OllamaError, failed: (problem: Problem) => OllamaError.Reason) => {
  const { reason } = error
  if (reason._tag === "ModelNotFound") {
    // Who is asked to bring a model has nothing to find.
    return OllamaError.make(new OllamaError.WrongUrl({ url: reason.url, status: reason.status, text: reason.text }))
  }
  return reason._tag === "ServerFailed" && !reason.isRetryable
    ? OllamaError.make(failed({ status: reason.status, text: reason.text }))
    : error
}

/** Bounds the wait for the next record: checking a large file takes its time, and is one. */
const limited =
  (server: Server, phase: "first record" | "progress") =>
  <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E | OllamaError.OllamaError> =>
    Effect.timeoutOrElse(self, { duration: server.firstRecordTimeout, orElse: () => expired(server, phase) })

const expired = ({ url, firstRecordTimeout: millis }: Server, phase: "first record" | "progress") =>
  Effect.fail(OllamaError.make(new OllamaError.Timeout({ url, phase, millis, partial: "" })))
