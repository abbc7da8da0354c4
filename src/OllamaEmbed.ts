/**
 * Vectors of texts.
 *
 * The answer is one JSON value that comes at once, so there is nothing to stream; but the call loads a model as others
 * do, and is repeated, limited and traced as they are.
 * https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings
 *
 * @since 0.1.0
 */
import * as Json from "./Json.ts"
import type { LoadOptions, Timings } from "./OllamaApi.ts"
import * as OllamaError from "./OllamaError.ts"
import { errorText } from "./OllamaErrorText.ts"
import { excerpt } from "./OllamaLines.ts"
import * as OllamaKeepAlive from "./OllamaKeepAlive.ts"
import * as OllamaOptions from "./OllamaOptions.ts"
import { Reader, type ReaderOptions } from "./OllamaStream.ts"

/** Texts to be made into vectors. */
export interface EmbedRequest extends LoadOptions {
  /** One text or several, none of them empty. A list without texts gives no vectors, without asking the server. */
  readonly input: string | ReadonlyArray<string>
  /** Whether a text longer than the context is cut, in silence; `false` by default: it is an error. */
  readonly truncate?: boolean | undefined
  /** Numbers in a vector, at least 1: the model's own unless set, and never more. */
  readonly dimensions?: number | undefined
}

/** The vectors of texts. */
export interface Embeddings {
  /**
   * One for each text, in their order, with as many numbers as the others. They are as the server gave them: Ollama makes
   * them of length 1.
   */
  readonly embeddings: ReadonlyArray<ReadonlyArray<number>>
  /** As the server says. */
  readonly model: string
  /** Tokens of all texts; absent when the server gave no count. */
  readonly inputTokens?: number | undefined
  readonly timings: Pick<Timings, "total" | "load">
}

/** The texts of a request. */
export const texts = ({ input }: EmbedRequest): ReadonlyArray<string> => (typeof input === "string" ? [input] : input)

/** The body of `POST /api/embed`. */
export const body = (request: EmbedRequest): string =>
  JSON.stringify({
    model: request.model,
    input: request.input,
    truncate: request.truncate ?? false,
    dimensions: request.dimensions,
    keep_alive: request.keepAlive === undefined ? undefined : OllamaKeepAlive.seconds(request.keepAlive),
    options: OllamaOptions.loadToWire(request)
  })

/** What is wrong with a request; `undefined` when nothing is. */
export const check = (request: EmbedRequest): OllamaOptions.Problem | undefined => {
  const problem = OllamaOptions.checkLoad(request) ?? OllamaOptions.checkEmbedding(request)
  const empty = texts(request).findIndex((text) => text === "")
  return problem !== undefined || empty === -1
    ? problem
    : {
        option: "input",
        text: `"input" holds an empty text${typeof request.input === "string" ? "" : ` (number ${empty + 1})`}: it has no vector. Leave it out.`
      }
}

// A thousand vectors of 4096 numbers have half of it.
const maxLength = 128 * 1024 * 1024

/** Reads the answer, which is whole when it has ended. */
export class EmbedReader extends Reader {
  embeddings: ReadonlyArray<ReadonlyArray<number>> = []

  #text = ""
  readonly #utf8 = new TextDecoder("utf-8")
  readonly #options: ReaderOptions
  readonly #count: number

  constructor(options: ReaderOptions, count: number) {
    super(options)
    this.#options = options
    this.#count = count
  }

  override push(chunk: Uint8Array): void {
    this.#text += this.#utf8.decode(chunk, { stream: true })
    if (this.#text.length > maxLength) {
      this.onMalformed("the answer to /api/embed is longer than 128 MB", this.#text)
    }
  }

  override end(): void {
    const value = this.ended ? undefined : Json.parse(this.#text + this.#utf8.decode())
    const answer: { readonly [key: string]: unknown } = typeof value === "object" && value !== null ? { ...value } : {}
    const vectors: unknown = answer["embeddings"]
    if (this.ended) {
      return
    }
    const said = errorText(answer["error"])
    if (said !== undefined) {
      this.failure = OllamaError.make(
        new OllamaError.StreamError({ model: this.#options.model, status: 200, text: said, partial: "" })
      )
      return
    }
    if (!Array.isArray(vectors)) {
      this.onMalformed("the answer to /api/embed has another form", excerpt(this.#text))
      return
    }
    const problem = problemOf(vectors, this.#count)
    if (problem !== undefined) {
      this.failure = OllamaError.make(
        new OllamaError.EmbeddingInvalid({ model: this.#options.model, status: 200, problem, text: "" })
      )
      return
    }
    this.#text = ""
    this.records = 1
    this.embeddings = vectors
    this.complete(answer)
  }
}

const problemOf = (vectors: ReadonlyArray<unknown>, count: number): string | undefined => {
  if (vectors.length !== count) {
    return `${vectors.length} vectors for ${count} texts`
  }
  let length: number | undefined
  for (const vector of vectors) {
    if (!Array.isArray(vector) || !vector.every((value) => typeof value === "number" && Number.isFinite(value))) {
      return "one of them holds what is no number"
    }
    if (vector.length === 0) {
      return "one of them is empty"
    }
    length ??= vector.length
    if (vector.length !== length) {
      return `they have ${length} and ${vector.length} numbers`
    }
  }
  return undefined
}

/** An answer without asking: there was no text. */
export const none = (model: string): Embeddings => ({ embeddings: [], model, timings: {} })
