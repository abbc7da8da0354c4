/**
 * What the service `Ollama` is asked for, and what a layer of it is told.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { ChatRequest, Completion, GenerateRequest, LoadRequest, Part } from "./OllamaApi.ts"
import type * as OllamaEmbed from "./OllamaEmbed.ts"
import type { OllamaError } from "./OllamaError.ts"
import type * as OllamaModels from "./OllamaModels.ts"
import type * as OllamaProgress from "./OllamaProgress.ts"

/** How to reach a server, and how patient to be with it. */
export interface LayerOptions {
  /** As in `OLLAMA_HOST`; `http://127.0.0.1:11434` by default. One that cannot be read throws a `RangeError`. */
  readonly url?: string | undefined
  /** Whether models and servers of Ollama's cloud may be used: prompts leave the machine. `false` by default. */
  readonly allowRemote?: boolean | undefined
  /** Sent to https://ollama.com only. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /**
   * From sending a request to its first text, queueing and loading included: 15 minutes by default. A limit below the
   * time it takes to load means that the model never loads: giving up aborts that. For work on a model, such as a pull, it
   * is the time from each report of progress to the next.
   */
  readonly firstRecordTimeout?: Duration.Input | undefined
  /**
   * Silence in the middle of an answer: 5 minutes by default. It also bounds how long a stream may be left unread while
   * its answer still comes.
   */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * From sending a request to its last record, repetitions included: no limit by default. Waiting for other calls of the
   * same model, see `permitsPerModel`, is not counted.
   */
  readonly totalTimeout?: Duration.Input | undefined
  /**
   * How many calls of one model are sent at a time; the others wait here, in their order. 1 by default, as many as Ollama
   * works on unless its `OLLAMA_NUM_PARALLEL` says otherwise; `Infinity` for no limit. All layers of a process with the
   * same server and number share it. Less than 1 throws a `RangeError`.
   *
   * A call has its permit until its answer is complete: who calls the same model while more than 8192 parts of a stream
   * are left unread waits for themselves, until `idleTimeout`.
   */
  readonly permitsPerModel?: number | undefined
  /**
   * Whether the span of a call has spans below it for what Ollama says of its time (`ollama.load`, `ollama.wait`,
   * `ollama.prompt_eval`, `ollama.generate`): `true` by default.
   */
  readonly timings?: boolean | undefined
  /**
   * Requests are made again while nothing of an answer has come and it may help: 3 times by default, after a random part
   * of `base` (500 ms), 1 s, 2 s, …, at most `cap` (5 s). Where memory ran out it is once, after at least `base`. Wrong
   * requests, unknown models and time-outs are never repeated.
   */
  readonly retry?:
    | {
        readonly times?: number | undefined
        readonly base?: Duration.Input | undefined
        readonly cap?: Duration.Input | undefined
      }
    | undefined
}

/** A conversation to be continued with an object of a schema. */
export interface ObjectRequest<A, Encoded> extends Omit<ChatRequest, "format"> {
  /** What the answer is. Ollama holds the model to it while it writes, and the answer is decoded all the same. */
  readonly schema: Schema.Codec<A, Encoded>
}

/** An object that a model answered. */
export interface ObjectAnswer<out A> {
  readonly value: A
  readonly completion: Completion
}

/** A client for one server. Names of Ollama's cloud, and its server, are refused unless `allowRemote` is set. */
export interface Client {
  /** Where the server is, for messages: without user and password. */
  readonly url: string
  /** Whether models and servers of Ollama's cloud may be used; `false` where it is not said. */
  readonly allowRemote?: boolean | undefined
  /** Answers a prompt. */
  readonly generate: (request: GenerateRequest) => Effect.Effect<Completion, OllamaError>
  /** Continues a conversation. */
  readonly chat: (request: ChatRequest) => Effect.Effect<Completion, OllamaError>
  /** Continues a conversation with an object. Fails with `AnswerInvalid` when it was cut off or does not fit. */
  readonly object: <A, Encoded>(request: ObjectRequest<A, Encoded>) => Effect.Effect<ObjectAnswer<A>, OllamaError>
  /** Continues a conversation and gives the answer as it comes; the last part is `Done`. */
  readonly stream: (request: ChatRequest) => Stream.Stream<Part, OllamaError>
  /** Makes vectors of texts. Fails with `EmbeddingInvalid` when they are too few, of different lengths or no numbers. */
  readonly embed: (request: OllamaEmbed.EmbedRequest) => Effect.Effect<OllamaEmbed.Embeddings, OllamaError>
  /** The installed models, newest first. */
  readonly models: Effect.Effect<ReadonlyArray<OllamaModels.Model>, OllamaError>
  /** The models in memory. */
  readonly loaded: Effect.Effect<ReadonlyArray<OllamaModels.LoadedModel>, OllamaError>
  /**
   * Loads a model before it is needed. With other options than those of later calls, these load it again: give both the
   * same. `keepAlive: 0` unloads it.
   */
  readonly load: (options: LoadRequest) => Effect.Effect<void, OllamaError>
  /** The installed model that a name means, as `sameModel` compares; `undefined` when there is none. */
  readonly find: (model: string) => Effect.Effect<OllamaModels.Model | undefined, OllamaError>
  /**
   * Details of an installed model. Fails with `ModelNotFound` when there is none of that name. `verbose` gives all of
   * `modelInfo`, the vocabulary included: megabytes.
   */
  readonly show: (
    model: string,
    options?: { readonly verbose?: boolean | undefined }
  ) => Effect.Effect<OllamaModels.ModelInfo, OllamaError>
  /**
   * Installs a model, or brings it up to date. Ends after the record `success`, or fails with `PullFailed`. What came
   * before a break is kept by the server, so that pulling again goes on from there; a connection that breaks is made
   * again by itself, as often as `retry` says, and anew once it got on. `insecure` allows a registry without TLS.
   */
  readonly pull: (
    model: string,
    options?: { readonly insecure?: boolean | undefined }
  ) => Stream.Stream<OllamaProgress.Progress, OllamaError>
  /**
   * Creates a model from another one, or from blobs. Ends after the record `success`, or fails with `CreateFailed`.
   * `create` of `tinyllm/node` makes one of a file.
   */
  readonly create: (request: OllamaProgress.CreateRequest) => Stream.Stream<OllamaProgress.Progress, OllamaError>
  /** Whether the server has a blob of this digest (`sha256:…`). */
  readonly hasBlob: (digest: string) => Effect.Effect<boolean, OllamaError>
  /** Gives the server a blob. One that does not have its digest fails with `InvalidRequest`. */
  readonly pushBlob: (blob: OllamaProgress.Blob) => Effect.Effect<void, OllamaError>
  /** Gives an installed model another name as well. */
  readonly copy: (source: string, destination: string) => Effect.Effect<void, OllamaError>
  /** Removes an installed model. Fails with `ModelNotFound` when there is none of that name. */
  readonly delete: (model: string) => Effect.Effect<void, OllamaError>
  /** The server's version; the cheapest way to ask whether it is there. */
  readonly version: Effect.Effect<string, OllamaError>
}
