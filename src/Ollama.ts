/**
 * Ollama as a service: chats, prompts, installed models.
 *
 * Each model call is a span `llm.chat` or `llm.generate`, with the tokens that the server counted. On the wire it always
 * streams, so the time of the first token is known and interrupting a call stops the model.
 *
 * @since 0.1.0
 */
import * as Channel from "effect/Channel"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Capture from "./Capture.ts"
import type { ChatRequest, Completion, GenerateRequest, Model, ModelInfo, Part } from "./OllamaApi.ts"
import * as OllamaApi from "./OllamaApi.ts"
import * as OllamaBody from "./OllamaBody.ts"
import * as OllamaCall from "./OllamaCall.ts"
import { InvalidRequest, make as fail, OllamaError, RemoteRefused } from "./OllamaError.ts"
import * as OllamaHost from "./OllamaHost.ts"
import * as OllamaHttp from "./OllamaHttp.ts"
import * as OllamaOptions from "./OllamaOptions.ts"
import * as OllamaOutcome from "./OllamaOutcome.ts"
import * as OllamaTest from "./OllamaTest.ts"
import type { Answer as TestAnswer } from "./OllamaTest.ts"
import * as OllamaTimings from "./OllamaTimings.ts"
import * as Span from "./Span.ts"

export type {
  ChatRequest,
  Completion,
  GenerateRequest,
  KeepAlive,
  LoadOptions,
  Logprob,
  Message,
  Model,
  ModelInfo,
  Options,
  Part,
  Timings,
  Tool,
  ToolCall
} from "./OllamaApi.ts"
export { sameModel } from "./OllamaApi.ts"
export {
  Busy,
  ContextExceeded,
  Forbidden,
  InvalidRequest,
  Malformed,
  ModelNotFound,
  OllamaError,
  OutOfMemory,
  type Reason,
  RemoteRefused,
  RunnerFailed,
  ServerFailed,
  StreamError,
  StreamInterrupted,
  Timeout,
  Unauthorized,
  Unreachable,
  Unsupported,
  WrongUrl
} from "./OllamaError.ts"
export type { Answer as TestAnswer } from "./OllamaTest.ts"
export {
  assistantMessage,
  decodeToolCall,
  tool,
  ToolArgumentsInvalid,
  toolResult,
  type TypedTool
} from "./OllamaTools.ts"

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
   * time it takes to load means that the model never loads: giving up aborts that.
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

export class Ollama extends Context.Service<
  Ollama,
  {
    /** Where the server is, for messages: without user and password. */
    readonly url: string
    /** Answers a prompt. */
    readonly generate: (request: GenerateRequest) => Effect.Effect<Completion, OllamaError>
    /** Continues a conversation. */
    readonly chat: (request: ChatRequest) => Effect.Effect<Completion, OllamaError>
    /** Continues a conversation and gives the answer as it comes; the last part is `Done`. */
    readonly stream: (request: ChatRequest) => Stream.Stream<Part, OllamaError>
    /** The installed models, newest first. */
    readonly models: Effect.Effect<ReadonlyArray<Model>, OllamaError>
    /** Details of an installed model. Fails with `ModelNotFound` when there is none of that name. */
    readonly show: (model: string) => Effect.Effect<ModelInfo, OllamaError>
    /** The server's version; the cheapest way to ask whether it is there. */
    readonly version: Effect.Effect<string, OllamaError>
  }
>()("tinyllm/Ollama") {
  /** A client for one server. Makes no request until it is used. */
  static readonly layer = (options: LayerOptions = {}): Layer.Layer<Ollama, never, HttpClient.HttpClient> => {
    const host = OllamaHost.parse(options.url, "url")
    if (Result.isFailure(host)) {
      throw new RangeError(`Ollama.layer: ${host.failure}`)
    }
    const permits = options.permitsPerModel ?? 1
    if (permits !== Infinity && !(Number.isSafeInteger(permits) && permits >= 1)) {
      throw new RangeError(`Ollama.layer: permitsPerModel must be an integer >= 1 or Infinity, got ${permits}`)
    }
    return fromHost(host.success, options)
  }

  /**
   * A client for the server that `OLLAMA_HOST` names; `OLLAMA_API_KEY` is sent to https://ollama.com only, and
   * `TINYLLM_OLLAMA_TIMINGS=false` is `timings: false`. Fails when a value cannot be read.
   */
  static readonly layerConfigWith = (
    options: Omit<LayerOptions, "url" | "apiKey">
  ): Layer.Layer<Ollama, Config.ConfigError, HttpClient.HttpClient> =>
    Layer.unwrap(
      Effect.gen(function* () {
        const host = yield* OllamaHost.config
        const apiKey = yield* Config.Redacted("OLLAMA_API_KEY").pipe(Config.withDefault(undefined))
        return fromHost(host, { ...options, apiKey, timings: options.timings ?? (yield* OllamaTimings.config) })
      })
    )

  /** `layerConfigWith` without options. */
  static readonly layerConfig: Layer.Layer<Ollama, Config.ConfigError, HttpClient.HttpClient> = Ollama.layerConfigWith(
    {}
  )

  /**
   * A model that is a function of the conversation; opens no socket. Its calls take the same way as real ones, so spans
   * and tokens are there (one token for each word), but no timings of a server. A prompt comes as a user's message.
   */
  static readonly layerTest = (
    answer: (request: ChatRequest) => TestAnswer | Effect.Effect<TestAnswer, OllamaError>
  ): Layer.Layer<Ollama> =>
    Layer.sync(Ollama, () => make(OllamaTest.host, OllamaTest.send(answer), { permitsPerModel: Infinity }))
}

const fromHost = (host: OllamaHost.Host, options: LayerOptions): Layer.Layer<Ollama, never, HttpClient.HttpClient> =>
  Layer.effect(
    Ollama,
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      for (const warning of host.warnings) {
        yield* Effect.logWarning(warning)
      }
      const bearer =
        /^ollama\.com$/i.test(host.address) && host.scheme === "https" && options.apiKey !== undefined
          ? Redacted.make(`Bearer ${Redacted.value(options.apiKey)}`)
          : undefined
      const send = OllamaHttp.make(client, { url: host.url, authorization: bearer ?? host.authorization })
      return make(host, send, options)
    })
  )

const make = (host: OllamaHost.Host, send: OllamaHttp.Send, options: LayerOptions): Ollama["Service"] => {
  const millis = (input: Duration.Input | undefined, other: number) =>
    input === undefined ? other : Duration.toMillis(Duration.fromInputUnsafe(input))
  const server: OllamaCall.Server = {
    url: host.url,
    send,
    firstRecordTimeout: millis(options.firstRecordTimeout, 15 * 60_000),
    idleTimeout: millis(options.idleTimeout, 5 * 60_000),
    totalTimeout: options.totalTimeout === undefined ? undefined : millis(options.totalTimeout, 0),
    permitsPerModel: options.permitsPerModel ?? 1,
    timings: options.timings ?? true,
    retry: {
      times: options.retry?.times ?? 3,
      base: millis(options.retry?.base, 500),
      cap: millis(options.retry?.cap, 5000)
    },
    answered: false
  }
  const allowRemote = options.allowRemote === true

  /** What is wrong with a request can be said without sending it. */
  const refused = (request: ChatRequest | GenerateRequest): OllamaError | undefined => {
    if (!allowRemote && (host.remote || OllamaApi.isRemoteModel(request.model))) {
      return fail(new RemoteRefused({ name: host.remote ? host.url : request.model }))
    }
    const problem = OllamaOptions.check(request)
    return problem === undefined ? undefined : fail(new InvalidRequest(problem))
  }

  const describe = (span: Tracer.Span, request: ChatRequest | GenerateRequest, streams: boolean) => {
    if (Span.isRecording(span)) {
      Span.set(
        span,
        Span.llmRequest({
          operation: "messages" in request ? "chat" : "text_completion",
          model: request.model,
          promptLength: OllamaBody.promptTexts(request).reduce((sum, text) => sum + codePoints(text), 0),
          temperature: request.temperature,
          topP: request.topP,
          topK: request.topK,
          frequencyPenalty: request.frequencyPenalty,
          presencePenalty: request.presencePenalty,
          maxTokens: OllamaBody.maxTokens(request),
          stop: request.stop,
          seed: request.seed,
          stream: streams,
          json: request.format !== undefined,
          serverAddress: host.address,
          serverPort: host.port
        })
      )
    }
  }

  /** Begins to record what is sent and answered, where somebody asked for it. */
  const contentOf = (
    capture: Capture.Capture | undefined,
    span: Tracer.Span,
    request: ChatRequest | GenerateRequest
  ): Capture.Content | undefined =>
    capture === undefined || !Span.isRecording(span)
      ? undefined
      : Capture.begin(capture, span, {
          operation: "messages" in request ? "chat" : "text_completion",
          ...OllamaBody.conversation(request)
        })

  const callOf = (
    request: ChatRequest | GenerateRequest,
    streams: boolean,
    content: Capture.Content | undefined
  ): OllamaCall.Call => ({
    path: "messages" in request ? "/api/chat" : "/api/generate",
    body: "messages" in request ? OllamaBody.chatBody(request) : OllamaBody.generateBody(request),
    model: request.model,
    streams,
    remote: host.remote || OllamaApi.isRemoteModel(request.model),
    content
  })

  const complete = (name: "llm.chat" | "llm.generate", request: ChatRequest | GenerateRequest) =>
    Effect.withSpan(
      Effect.zipWith(Effect.orDie(Effect.currentSpan), Capture.Current, (span, capture) => {
        describe(span, request, false)
        const content = contentOf(capture, span, request)
        const error = refused(request)
        const answer =
          error === undefined ? OllamaCall.collect(server, callOf(request, false, content), span) : Effect.fail(error)
        return content === undefined ? answer : Effect.onExit(answer, (exit) => OllamaOutcome.unfinished(content, exit))
      }).pipe(Effect.flatten),
      name,
      { kind: "client", ...Span.quiet }
    )

  // By hand instead of `Stream.withSpan`: the call's own effects need the span, its consumer's must not see it.
  const stream = (request: ChatRequest): Stream.Stream<Part, OllamaError> =>
    Stream.fromChannel(
      Channel.fromTransform((_, consumer) =>
        Effect.gen(function* () {
          // Whoever closes it first says how the call ended: the call itself, or a consumer that left before. What became
          // of the consumer is none of the call's business.
          const scope = yield* Scope.make()
          yield* Scope.addFinalizer(
            consumer,
            Effect.suspend(() => Scope.close(scope, Exit.interrupt()))
          )
          const span = yield* Effect.makeSpanScoped("llm.chat", { kind: "client", ...Span.quiet }).pipe(
            Scope.provide(scope)
          )
          describe(span, request, true)
          const content = contentOf(yield* Capture.Current, span, request)
          if (content !== undefined) {
            // Added after the span, so it comes before the span's end.
            yield* Scope.addFinalizerExit(scope, (exit) => OllamaOutcome.unfinished(content, exit))
          }
          const error = refused(request)
          const opened =
            error === undefined
              ? OllamaCall.open(server, callOf(request, true, content), span, scope)
              : Effect.fail(error)
          return yield* Effect.onError(opened, (cause) => Scope.close(scope, Exit.failCause(cause)))
        })
      )
    )

  return Ollama.of({
    url: host.url,
    chat: (request) => complete("llm.chat", request),
    generate: (request) => complete("llm.generate", request),
    stream,
    models: Effect.map(
      OllamaHttp.json(server, { method: "GET", path: "/api/tags", model: "" }, OllamaApi.TagsResponse),
      ({ models }) => (models ?? []).map(OllamaApi.toModel)
    ),
    show: (model) =>
      Effect.map(
        OllamaHttp.json(
          server,
          { method: "POST", path: "/api/show", body: JSON.stringify({ model }), model },
          OllamaApi.ShowResponse
        ),
        OllamaApi.toModelInfo
      ),
    version: Effect.map(
      OllamaHttp.json(server, { method: "GET", path: "/api/version", model: "" }, OllamaApi.VersionResponse),
      ({ version }) => version
    )
  })
}

const codePoints = (text: string): number => {
  let count = text.length
  for (let i = 0; i < text.length - 1; i++) {
    // A high surrogate and a low one are one character.
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      count--
    }
  }
  return count
}
