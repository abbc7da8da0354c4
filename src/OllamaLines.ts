/**
 * Newline-delimited JSON as Ollama streams it: bytes in, records out.
 *
 * This is the hot path of every model call: one pass over the bytes, no schema.
 *
 * @since 0.1.0
 */
import * as Json from "./Json.ts"

/** A line longer than this is no record. The last record of `generate` may hold every token and exceed 1 MB. */
export const maxLineLength = 16 * 1024 * 1024

/** A record: a JSON object. Nothing of it is certain before it is looked at. */
export type Record = Readonly<{ [key: string]: unknown }>

/** Who hears of records. */
export interface Sink {
  /** Whether nothing more is to be read. */
  readonly ended: boolean
  readonly onRecord: (record: Record) => void
  /** A line that is no record; `problem` says why and holds nothing of it. */
  readonly onMalformed: (problem: string, line: string) => void
}

/** Takes bytes as they come, in chunks that know nothing of lines or characters. */
export class Lines {
  #rest = ""
  // Keeps the bytes of a split character for the next chunk and drops a byte order mark at the start.
  readonly #decoder = new TextDecoder("utf-8")
  readonly #sink: Sink

  constructor(sink: Sink) {
    this.#sink = sink
  }

  push(chunk: Uint8Array): void {
    this.#split(this.#decoder.decode(chunk, { stream: true }))
  }

  /** The body ended. The last line may lack its newline. */
  end(): void {
    this.#split(`${this.#decoder.decode()}\n`)
  }

  #split(text: string): void {
    const sink = this.#sink
    let start = 0
    // Only the new text is searched, so that a line of many chunks costs no more than its length.
    for (let end = text.indexOf("\n"); end !== -1 && !sink.ended; end = text.indexOf("\n", start)) {
      const line = this.#rest + text.slice(start, end)
      this.#rest = ""
      start = end + 1
      this.#line(line)
    }
    if (sink.ended) {
      return
    }
    this.#rest += start === 0 ? text : text.slice(start)
    if (this.#rest.length > maxLineLength) {
      sink.onMalformed(`a line is longer than ${maxLineLength} characters`, this.#rest)
      this.#rest = ""
    }
  }

  #line(line: string): void {
    const record = Json.parse(line)
    if (typeof record !== "object" || record === null || Array.isArray(record)) {
      // Blank lines, also with the `\r` of CRLF, are no records. Asked only now: a good line pays nothing for it.
      if (line.trim() !== "") {
        this.#sink.onMalformed(record === undefined ? "a line is no JSON" : "a line is no JSON object", line)
      }
      return
    }
    this.#sink.onRecord(record as Record) // an object of JSON
  }
}

/** The beginning of a text that is no record, for errors. */
export const excerpt = (text: string): string => text.slice(0, 1000).trim().slice(0, 200)
