/**
 * How an Ollama double writes its replies: records, chunks, delays, and endings good and bad.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Http from "node:http"
import { words } from "./OllamaApi.ts"
import { json, time } from "./OllamaGo.ts"
import { type Answer, type Asked, countTokens, type End, type Raw, type Refusal, type Reply } from "./OllamaScript.ts"

/** Writes the response to one request. */
export class Player {
  /** Whether we cut the connection ourselves. */
  cut = false
  readonly #response: Http.ServerResponse
  readonly #clock: Clock.Clock

  constructor(response: Http.ServerResponse, clock: Clock.Clock) {
    this.#response = response
    this.#clock = clock
  }

  text(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Effect.Effect<void> {
    return this.#whole(status, { "content-type": "text/plain; charset=utf-8", ...headers }, text)
  }

  json(status: number, value: unknown): Effect.Effect<void> {
    return this.#whole(status, { "content-type": "application/json; charset=utf-8" }, json(value))
  }

  refuse({ status, error, fields }: Refusal): Effect.Effect<void> {
    return this.json(status, { error, ...fields })
  }

  /** No body at all, as after `delete`. */
  empty(status: number): Effect.Effect<void> {
    return this.#whole(status, {}, "")
  }

  /** An error as it comes now: with its status before the first record, as a line after it. */
  failed(refusal: Refusal): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#response.headersSent
        ? Effect.andThen(this.line({ error: refusal.error, ...refusal.fields }), this.end("done"))
        : this.refuse(refusal)
    )
  }

  /** One record that is the whole response: load and unload requests, and `stream: false`. */
  single(path: string, model: string, rest: object, text = "", thinking = ""): Effect.Effect<void> {
    return this.json(200, this.#record(path, model, text, thinking, rest))
  }

  /** What a panic of Ollama's looks like: 500 without a body, or a connection that breaks when the answer has begun. */
  readonly panic: Effect.Effect<void> = Effect.suspend(() =>
    this.#response.headersSent ? this.end("reset") : this.#whole(500, {}, "")
  )

  play(asked: Asked, reply: Reply): Effect.Effect<void> {
    return typeof reply === "string"
      ? this.#answer(asked, { text: words(reply) })
      : "raw" in reply
        ? this.raw(reply)
        : "error" in reply
          ? this.refuse(reply)
          : this.#answer(asked, reply)
  }

  raw(raw: Raw): Effect.Effect<void> {
    const chunks = typeof raw.raw === "string" || raw.raw instanceof Uint8Array ? [raw.raw] : raw.raw
    return Effect.gen({ self: this }, function* () {
      yield* pause(raw.firstDelay)
      this.#head(raw.status ?? 200, { "content-type": raw.contentType ?? ndjson, ...raw.headers })
      for (const [index, chunk] of chunks.entries()) {
        if (index > 0) {
          yield* pause(raw.delay)
        }
        yield* this.#write(chunk, raw.bytesPerChunk)
      }
      yield* this.end(raw.end ?? "done")
    })
  }

  #answer(asked: Asked, answer: Answer): Effect.Effect<void> {
    const stream = asked.body["stream"] !== false
    const thinking = pieces(answer.thinking)
    const text = pieces(answer.text)
    const clock = this.#clock
    return Effect.gen({ self: this }, function* () {
      const now = () => Number(clock.monotonicTimeNanosUnsafe())
      const received = now()
      yield* pause(answer.load)
      const loaded = now()
      yield* pause(answer.firstDelay)
      const begun = now()
      const last = answer.textInLastRecord === true ? text.at(-1) : undefined
      const streamed = [
        ...thinking.map((piece) => ({ text: "", thinking: piece })),
        ...(last === undefined ? text : text.slice(0, -1)).map((piece) => ({ text: piece, thinking: "" }))
      ]
      if (stream) {
        for (const [index, piece] of streamed.entries()) {
          if (index > 0) {
            yield* pause(answer.delay)
          }
          const record = this.#record(asked.path, asked.model, piece.text, piece.thinking, { done: false })
          yield* this.line(record, answer.bytesPerChunk)
        }
      } else {
        yield* Effect.forEach(streamed.slice(1), () => pause(answer.delay), { discard: true })
      }
      if (answer.errorLine !== undefined) {
        yield* this.line({ error: answer.errorLine }, answer.bytesPerChunk)
        return yield* this.end(answer.end ?? "done")
      }
      if (answer.end !== undefined && answer.end !== "done") {
        if (answer.end === "fin" && streamed.length > 0) {
          yield* this.#write(`{"model":"${asked.model}","created_at":"20`, undefined)
        }
        return yield* this.end(answer.end)
      }
      const ended = now()
      const reason = answer.doneReason === undefined ? "stop" : answer.doneReason
      const rest = {
        done: true,
        ...(reason === null ? {} : { done_reason: reason }),
        ...nonZero({
          total_duration: ended - received,
          load_duration: loaded - received,
          prompt_eval_count: asked.messages.reduce((sum, { content }) => sum + countTokens(content), 0),
          prompt_eval_duration: begun - loaded,
          eval_count: countTokens(thinking.join("")) + countTokens(text.join("")),
          eval_duration: ended - begun
        }),
        ...answer.metrics
      }
      if (!stream) {
        return yield* this.single(asked.path, asked.model, rest, text.join(""), thinking.join(""))
      }
      if (streamed.length > 0) {
        yield* pause(answer.delay)
      }
      yield* this.line(this.#record(asked.path, asked.model, last ?? "", "", rest), answer.bytesPerChunk)
      if (answer.trailing !== undefined) {
        yield* this.#write(answer.trailing, answer.bytesPerChunk)
      }
      yield* this.end("done")
    })
  }

  #record(path: string, model: string, text: string, thinking: string, rest: object): object {
    const thought = thinking === "" ? {} : { thinking }
    const created_at = time(this.#clock.currentTimeNanosUnsafe())
    return path === "/api/chat"
      ? { model, created_at, message: { role: "assistant", content: text, ...thought }, ...rest }
      : { model, created_at, response: text, ...thought, ...rest }
  }

  line(record: object, bytesPerChunk?: number | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#head(200, { "content-type": ndjson })
      return this.#write(`${json(record)}\n`, bytesPerChunk)
    })
  }

  #whole(status: number, headers: Readonly<Record<string, string>>, body: string): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#head(status, { ...headers, "content-length": String(Buffer.byteLength(body)) })
      this.#response.end(body)
    })
  }

  // With the first record, not before: that is how Ollama does it.
  #head(status: number, headers: Readonly<Record<string, string>>): void {
    if (!this.#response.headersSent) {
      this.#response.writeHead(status, headers)
    }
  }

  #write(data: string | Uint8Array, bytesPerChunk: number | undefined): Effect.Effect<void> {
    const bytes = typeof data === "string" ? Buffer.from(data) : data
    const size = bytesPerChunk ?? bytes.length
    return Effect.gen({ self: this }, function* () {
      for (let start = 0; start < bytes.length; start += size) {
        yield* Effect.callback<void>((resume) => {
          // A client that is gone stops the fiber by way of "close".
          this.#response.write(bytes.subarray(start, start + size), () => resume(Effect.void))
        })
      }
    })
  }

  end(end: End): Effect.Effect<void> {
    return Effect.suspend(() => {
      const socket = this.#response.socket
      switch (end) {
        case "done":
        case "eof":
          this.#head(200, { "content-type": ndjson })
          this.#response.end()
          return Effect.void
        case "fin":
          this.cut = true
          socket?.end()
          return Effect.void
        case "reset":
          this.cut = true
          socket?.resetAndDestroy()
          return Effect.void
        case "hang":
          return Effect.never
      }
    })
  }
}

const ndjson = "application/x-ndjson"

const pieces = (text: string | ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
  text === undefined ? [] : typeof text === "string" ? words(text) : text

/** Waits on the clock. */
export const pause = (duration: Duration.Input | undefined): Effect.Effect<void> =>
  duration === undefined ? Effect.void : Effect.sleep(duration)

/** Go leaves zeros out. */
export const nonZero = (values: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value > 0))
