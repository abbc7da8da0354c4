/**
 * How an Ollama double writes: whole responses, records, chunks, delays, and endings good and bad.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Http from "node:http"
import { json } from "./OllamaGo.ts"
import type { End, Raw, Refusal } from "./OllamaScript.ts"

/** Writes the response to one request. */
export class Player {
  /** Whether we cut the connection ourselves. */
  cut = false
  readonly #response: Http.ServerResponse
  readonly #sent: (status: number) => void

  /** `sent` is told the status when the headers go out. */
  constructor(response: Http.ServerResponse, sent: (status: number) => void) {
    this.#response = response
    this.#sent = sent
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
  empty(status: number, headers: Readonly<Record<string, string>> = {}): Effect.Effect<void> {
    return this.#whole(status, headers, "")
  }

  html(status: number, text: string, headers: Readonly<Record<string, string>>): Effect.Effect<void> {
    return this.#whole(status, { "content-type": "text/html; charset=utf-8", ...headers }, text)
  }

  /** An error as it comes now: with its status before the first record, as a line after it. */
  failed(refusal: Refusal): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#response.headersSent
        ? Effect.andThen(this.line({ error: refusal.error, ...refusal.fields }), this.end("done"))
        : this.refuse(refusal)
    )
  }

  /** What a panic of Ollama's looks like: 500 without a body, or a connection that breaks when the answer has begun. */
  readonly panic: Effect.Effect<void> = Effect.suspend(() =>
    this.#response.headersSent ? this.end("reset") : this.#whole(500, {}, "")
  )

  raw(raw: Raw): Effect.Effect<void> {
    const chunks = typeof raw.raw === "string" || raw.raw instanceof Uint8Array ? [raw.raw] : raw.raw
    return Effect.gen({ self: this }, function* () {
      assertChunks(raw.bytesPerChunk)
      yield* pause(raw.firstDelay)
      this.#head(raw.status ?? 200, { "content-type": raw.contentType ?? ndjson, ...raw.headers })
      for (const [index, chunk] of chunks.entries()) {
        if (index > 0) {
          yield* pause(raw.delay)
        }
        yield* this.write(chunk, raw.bytesPerChunk)
      }
      yield* this.end(raw.end ?? "done")
    })
  }

  /** A record of a stream. */
  line(record: object, bytesPerChunk?: number | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      assertChunks(bytesPerChunk)
      this.#head(200, { "content-type": ndjson })
      return this.write(`${json(record)}\n`, bytesPerChunk)
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
      this.#sent(status)
    }
  }

  /** Bytes of the body, once the headers are out. */
  write(data: string | Uint8Array, bytesPerChunk?: number | undefined): Effect.Effect<void> {
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

  /** Ends the response, one way or another. */
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

/** Waits on the clock. */
export const pause = (duration: Duration.Input | undefined): Effect.Effect<void> =>
  duration === undefined ? Effect.void : Effect.sleep(duration)

/** Go leaves zeros out. */
export const nonZero = (values: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value > 0))

// Chunks without a byte would never end.
const assertChunks = (bytes: number | undefined): void => {
  if (bytes !== undefined && !(Number.isInteger(bytes) && bytes >= 1)) {
    throw new RangeError(`OllamaDouble: bytesPerChunk must be an integer >= 1, got ${bytes}`)
  }
}
