/**
 * What the service `Ollama` does: checks requests, makes the spans of model calls, sends.
 *
 * @since 0.1.0
 */
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import * as Capture from "./Capture.ts"
import type { ChatRequest, GenerateRequest, Part } from "./OllamaApi.ts"
import * as OllamaApi from "./OllamaApi.ts"
import * as OllamaBody from "./OllamaBody.ts"
import * as OllamaCall from "./OllamaCall.ts"
import * as OllamaEmbed from "./OllamaEmbed.ts"
import { AnswerInvalid, InvalidRequest, make as fail, type OllamaError, RemoteRefused } from "./OllamaError.ts"
import type * as OllamaHost from "./OllamaHost.ts"
import type * as OllamaHttp from "./OllamaHttp.ts"
import * as OllamaModels from "./OllamaModels.ts"
import * as OllamaOptions from "./OllamaOptions.ts"
import * as OllamaOutcome from "./OllamaOutcome.ts"
import * as OllamaPatience from "./OllamaPatience.ts"
import * as OllamaProgress from "./OllamaProgress.ts"
import * as OllamaSchema from "./OllamaSchema.ts"
import type { Client, LayerOptions, ObjectAnswer, ObjectRequest } from "./OllamaService.ts"
import * as OllamaSettings from "./OllamaSettings.ts"
import * as Span from "./Span.ts"

type CallRequest = ChatRequest | GenerateRequest | OllamaEmbed.EmbedRequest

/** A client that sends in this way. */
export const make = (host: OllamaHost.Host, send: OllamaHttp.Send, options: LayerOptions): Client => {
  const server: OllamaCall.Server = {
    url: host.url,
    send,
    ...OllamaPatience.make(options),
    timings: options.timings ?? true,
    answered: false
  }
  const allowRemote = options.allowRemote === true

  /** Whether it would leave the machine, and nobody said that it may: by the server or by the model's name. */
  const leaving = (model: string): OllamaError | undefined =>
    !allowRemote && (host.remote || OllamaApi.isRemoteModel(model))
      ? fail(new RemoteRefused({ name: host.remote ? host.url : model }))
      : undefined

  /** What is wrong with a request can be said without sending it. */
  const refused = (request: CallRequest): OllamaError | undefined => {
    const problem = "input" in request ? OllamaEmbed.check(request) : OllamaOptions.check(request)
    return leaving(request.model) ?? (problem === undefined ? undefined : fail(new InvalidRequest(problem)))
  }

  /** A request about these models; their names are checked, and the host. */
  const about = <A>(models: ReadonlyArray<string>, effect: Effect.Effect<A, OllamaError>) =>
    Effect.suspend(() => unfit(models) ?? effect)

  const streamAbout = <A>(models: ReadonlyArray<string>, stream: Stream.Stream<A, OllamaError>) =>
    Stream.unwrap(Effect.suspend(() => unfit(models) ?? Effect.succeed(stream)))

  const unfit = (models: ReadonlyArray<string>): Effect.Effect<never, OllamaError> | undefined => {
    const problem = models.map(OllamaOptions.checkName).find((problem) => problem !== undefined)
    const error =
      leaving(models.find(OllamaApi.isRemoteModel) ?? "") ??
      (problem === undefined ? undefined : fail(new InvalidRequest(problem)))
    return error === undefined ? undefined : Effect.fail(error)
  }

  const describe = (span: Tracer.Span, request: ChatRequest | GenerateRequest, streams: boolean) => {
    if (Span.isRecording(span)) {
      Span.set(
        span,
        Span.llmRequest({
          operation: "messages" in request ? "chat" : "text_completion",
          model: request.model,
          promptLength: codePoints(OllamaBody.promptTexts(request)),
          temperature: request.temperature,
          topP: request.topP,
          topK: request.topK,
          frequencyPenalty: request.frequencyPenalty,
          presencePenalty: request.presencePenalty,
          maxTokens: OllamaBody.maxTokens(request),
          stop: request.stop?.length === 0 ? undefined : request.stop,
          seed: request.seed,
          stream: streams,
          json: request.format !== undefined,
          serverAddress: host.address,
          serverPort: host.port
        })
      )
      Span.set(span, OllamaSettings.attributes(request))
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
          ...OllamaBody.conversation(request),
          tools: "messages" in request ? (request.tools ?? []) : []
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
    load: OllamaOptions.load(request),
    numCtx: request.numCtx,
    numKeep: request.numKeep,
    truncates: request.truncate === true,
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

  const embed = (request: OllamaEmbed.EmbedRequest): Effect.Effect<OllamaEmbed.Embeddings, OllamaError> =>
    Effect.withSpan(
      Effect.flatMap(Effect.orDie(Effect.currentSpan), (span) => {
        const texts = OllamaEmbed.texts(request)
        if (Span.isRecording(span)) {
          Span.set(
            span,
            Span.llmRequest({
              operation: "embeddings",
              model: request.model,
              promptLength: codePoints(texts),
              serverAddress: host.address,
              serverPort: host.port
            })
          )
          Span.set(span, OllamaSettings.attributes(request))
        }
        const error = refused(request)
        if (error !== undefined) {
          return Effect.fail(error)
        }
        if (texts.length === 0) {
          return Effect.succeed(OllamaEmbed.none(request.model))
        }
        let reader: OllamaEmbed.EmbedReader | undefined
        const call: OllamaCall.Call = {
          path: "/api/embed",
          body: OllamaEmbed.body(request),
          model: request.model,
          streams: false,
          remote: host.remote || OllamaApi.isRemoteModel(request.model),
          load: { ...OllamaOptions.loadToWire(request) },
          // Its count is of all texts together, so it says nothing of one that was cut.
          numCtx: undefined,
          numKeep: undefined,
          truncates: false,
          content: undefined,
          reader: (options) => (reader = new OllamaEmbed.EmbedReader(options, texts.length))
        }
        return Effect.map(OllamaCall.collect(server, call, span), ({ model, inputTokens, timings }) => {
          const embeddings = reader?.embeddings ?? []
          Span.set(span, { "gen_ai.embeddings.dimension.count": embeddings[0]?.length })
          return { embeddings, model, inputTokens, timings: { total: timings.total, load: timings.load } }
        })
      }),
      "llm.embed",
      { kind: "client", ...Span.quiet }
    )

  const object = <A, Encoded>({
    schema,
    ...request
  }: ObjectRequest<A, Encoded>): Effect.Effect<ObjectAnswer<A>, OllamaError> =>
    Effect.flatMap(
      complete("llm.chat", { ...request, format: OllamaSchema.answer(schema) }),
      (completion): Effect.Effect<ObjectAnswer<A>, OllamaError> => {
        const decoded = OllamaSchema.decodeAnswer(schema)(completion)
        return Result.isSuccess(decoded)
          ? Effect.succeed({ value: decoded.success, completion })
          : Effect.fail(
              fail(
                new AnswerInvalid({
                  model: request.model,
                  answerLength: completion.text.length,
                  text: completion.text,
                  ...decoded.failure
                })
              )
            )
      }
    )

  return {
    url: host.url,
    allowRemote,
    chat: (request) => complete("llm.chat", request),
    generate: (request) => complete("llm.generate", request),
    object,
    stream,
    embed,
    models: about([], OllamaModels.list(server)),
    loaded: about([], OllamaModels.loaded(server)),
    load: (options) => {
      const problem = OllamaOptions.checkLoad(options)
      return about(
        [options.model],
        problem === undefined ? OllamaModels.load(server, options) : Effect.fail(fail(new InvalidRequest(problem)))
      )
    },
    find: (model) => about([model], OllamaModels.find(server, model)),
    show: (model, options) => about([model], OllamaModels.show(server, model, options?.verbose)),
    pull: (model, options) => streamAbout([model], OllamaProgress.pull(server, model, options?.insecure)),
    create: (request) =>
      streamAbout(
        request.from === undefined ? [request.model] : [request.model, request.from],
        OllamaProgress.create(server, request)
      ),
    hasBlob: (digest) => about([], blobOf(digest, OllamaProgress.hasBlob(server, digest))),
    pushBlob: (blob) => about([], blobOf(blob.digest, OllamaProgress.pushBlob(server, blob))),
    copy: (source, destination) => about([source, destination], OllamaModels.copy(server, source, destination)),
    // What only names a model of the cloud can be removed without sending anything there.
    delete: (model) => about(model.trim() === "" ? [model] : [], OllamaModels.remove(server, model)),
    version: about([], OllamaModels.version(server))
  }
}

/** A digest becomes a part of a path. */
const blobOf = <A>(digest: string, effect: Effect.Effect<A, OllamaError>): Effect.Effect<A, OllamaError> =>
  /^sha256:[0-9a-f]{64}$/.test(digest)
    ? effect
    : Effect.fail(
        fail(
          new InvalidRequest({
            option: "digest",
            text: `"digest" must be "sha256:" and 64 hexadecimal digits in lower case.`
          })
        )
      )

const codePoints = (texts: ReadonlyArray<string>): number => texts.reduce((sum, text) => sum + codePointsOf(text), 0)

const codePointsOf = (text: string): number => {
  let count = text.length
  for (let i = 0; i < text.length - 1; i++) {
    // A high surrogate and a low one are one character.
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      count--
    }
  }
  return count
}
