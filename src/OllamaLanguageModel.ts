/**
 * `LanguageModel` of `effect/ai` on Ollama: texts, streams, objects, tools, and what is built on them (`Chat`, plans that
 * fall back from one model to another).
 *
 * Each request is a model call of `Ollama`, so it has that one's time limits, retries and span: `llm.chat` is below
 * `LanguageModel.generateText`, in streams too. Each tool that a model calls is a span `execute_tool <name>`; what it was
 * called with is in no span unless content is captured.
 *
 * Ollama knows no `toolChoice` that makes a model call a tool, and holds a model either to a schema or lets it call
 * tools: asking for such a thing fails with `InvalidRequestError` before anything is sent.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import type * as Response from "effect/ai/Response"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Json from "./Json.ts"
import * as Ollama from "./Ollama.ts"
import * as OllamaAiError from "./OllamaAiError.ts"
import * as OllamaPrompt from "./OllamaPrompt.ts"
import * as OllamaSchema from "./OllamaSchema.ts"
import * as ToolSpan from "./ToolSpan.ts"

/** What every request of a model is sent with. What is absent is the model's own, but for `maxTokens` and `truncate`. */
export type Options = Omit<Ollama.Options, "model" | "format">

/** A language model of this name. Requests are made when it is used, so it may be missing until then. */
export const layer = (
  options: Options & { readonly model: string }
): Layer.Layer<LanguageModel.LanguageModel, never, Ollama.Ollama> =>
  Layer.effect(LanguageModel.LanguageModel, make(options))

/**
 * The same as `layer`, for `ExecutionPlan` and for programs that ask which model they are given: it also provides
 * `Model.ModelName` and `Model.ProviderName`, which is `"ollama"`.
 */
export const model = (
  name: string,
  options: Options = {}
): Model.Model<"ollama", LanguageModel.LanguageModel, Ollama.Ollama> =>
  Model.make("ollama", name, layer({ ...options, model: name }))

/** Options for all requests of a program, over those that a model was made with; `withOptions` sets them. */
export const CurrentOptions: Context.Reference<Options> = Context.Reference("tinyllm/OllamaLanguageModel/Options", {
  defaultValue: (): Options => ({})
})

/**
 * Sets options for all requests of an effect, over those that a model was made with. For a stream, provide
 * `CurrentOptions`.
 */
export const withOptions: {
  (options: Options): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options: Options): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, options: Options) =>
  Effect.flatMap(CurrentOptions, (outer) => Effect.provideService(self, CurrentOptions, { ...outer, ...options }))
)

/** Makes the service that `layer` provides. */
export const make = (
  options: Options & { readonly model: string }
): Effect.Effect<LanguageModel.LanguageModel, never, Ollama.Ollama> =>
  Effect.gen(function* () {
    const ollama = yield* Ollama.Ollama
    const service = yield* LanguageModel.make({
      generateText: (asked) =>
        Effect.flatMap(requestOf("generateText", options, asked), (request) =>
          ollama.chat(request).pipe(
            Effect.mapError((error) => OllamaAiError.fromOllamaError("OllamaLanguageModel", "generateText", error)),
            Effect.flatMap((completion) => Effect.fromResult(partsOf(completion, asked)))
          )
        ),
      streamText: (asked) =>
        Effect.gen(function* () {
          const call = yield* Call
          if (call !== undefined) {
            call.span = asked.span
          }
          const request = yield* requestOf("streamText", options, asked)
          return ollama.stream(request).pipe(
            Stream.mapError((error) => OllamaAiError.fromOllamaError("OllamaLanguageModel", "streamText", error)),
            Stream.mapAccumEffect(
              () => new Parts(),
              (parts, part) => Effect.map(Effect.fromResult(parts.next(part, asked)), (next) => [parts, next] as const)
            )
          )
        }).pipe(
          Stream.unwrap,
          // `effect/ai` runs streams beside its span for them, not inside.
          Stream.provideService(Tracer.ParentSpan, asked.span)
        ),
      codecTransformer: transformer,
      supportsSystemMessagesInHistory: Effect.succeed(true)
    })
    return withToolSpans(service)
  })

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

// The schema's canonical JSON both ways, as `Node.object` has it.
const transformer: LanguageModel.CodecTransformer = (schema) => ({
  codec: Schema.toCodecJson(schema as unknown as Schema.Top) as unknown as typeof schema,
  jsonSchema: OllamaSchema.answer(schema as unknown as Schema.Top)
})

const requestOf = (
  method: "generateText" | "streamText",
  options: Options & { readonly model: string },
  asked: LanguageModel.ProviderOptions
): Effect.Effect<Ollama.ChatRequest, AiError.AiError> =>
  Effect.flatMap(CurrentOptions, (overrides) => {
    const cannot = (parameter: string) => (description: string) =>
      OllamaAiError.unsupported(method, parameter, description)
    return Effect.fromResult(
      Result.gen(function* () {
        const { responseFormat, toolChoice } = asked
        const given = toolChoice === "none" ? [] : asked.tools
        if (toolChoice === "required" || (typeof toolChoice === "object" && isForced(toolChoice))) {
          return yield* Result.fail(
            cannot("toolChoice")("Ollama cannot make a model call a tool. Leave it at auto, and say so in the prompt.")
          )
        }
        if (responseFormat.type === "json" && given.length > 0) {
          return yield* Result.fail(
            cannot("toolkit")(
              "Ollama holds a model to a schema or lets it call tools, not both at once. Call generateText with the " +
                "tools first, then generateObject without."
            )
          )
        }
        const messages = yield* Result.mapError(OllamaPrompt.messages(asked.prompt), cannot("prompt"))
        const tools = yield* Result.mapError(Result.all(given.map(OllamaPrompt.tool)), cannot("toolkit"))
        const format =
          responseFormat.type === "text"
            ? undefined
            : yield* Result.try({
                try: () => OllamaSchema.answer(responseFormat.schema),
                catch: (error) =>
                  AiError.make({
                    module: "OllamaLanguageModel",
                    method: "generateObject",
                    reason: new AiError.UnsupportedSchemaError({
                      description: error instanceof Error ? error.message : String(error)
                    })
                  })
              })
        return {
          ...options,
          ...overrides,
          messages,
          ...(tools.length === 0 ? {} : { tools }),
          ...(format === undefined ? {} : { format })
        }
      })
    )
  })

const isForced = (choice: Extract<LanguageModel.ToolChoice<string>, object>): boolean =>
  "tool" in choice || choice.mode === "required"

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const partsOf = (
  completion: Ollama.Completion,
  asked: LanguageModel.ProviderOptions
): Result.Result<Array<Response.PartEncoded>, AiError.AiError> =>
  Result.gen(function* () {
    const { text, thinking, toolCalls } = completion
    if (asked.responseFormat.type === "json" && completion.doneReason === "length" && !Json.isJson(text)) {
      return yield* Result.fail(
        AiError.make({
          module: "OllamaLanguageModel",
          method: "generateObject",
          reason: new AiError.StructuredOutputError({
            description: `The answer was cut off after ${text.length} characters. Raise maxTokens.`,
            responseText: text
          })
        })
      )
    }
    const calls = yield* Result.all(toolCalls.map((call) => toolCallOf("generateText", call, asked)))
    return [
      metadataOf(completion),
      ...(thinking === undefined ? [] : [{ type: "reasoning" as const, text: thinking }]),
      ...(text === "" ? [] : [{ type: "text" as const, text }]),
      ...calls,
      finishOf(completion)
    ]
  })

/** The parts of a stream: each text and each thought is a block, with a beginning and an end. */
class Parts {
  private open: { readonly type: "text" | "reasoning"; readonly id: string } | undefined
  private count = 0

  next(
    part: Ollama.Part,
    asked: LanguageModel.ProviderOptions
  ): Result.Result<ReadonlyArray<Response.StreamPartEncoded>, AiError.AiError> {
    switch (part._tag) {
      case "Text":
        return Result.succeed(this.delta("text", part.text))
      case "Thinking":
        return Result.succeed(this.delta("reasoning", part.text))
      case "ToolCall":
        return Result.map(toolCallOf("streamText", part, asked), (call) => [...this.close(), call])
      case "Done":
        return Result.succeed([...this.close(), metadataOf(part.completion), finishOf(part.completion)])
    }
  }

  private delta(type: "text" | "reasoning", delta: string): ReadonlyArray<Response.StreamPartEncoded> {
    if (this.open?.type === type) {
      return [{ type: `${type}-delta`, id: this.open.id, delta }]
    }
    const ended = this.close()
    const id = `${type}-${++this.count}`
    this.open = { type, id }
    return [...ended, { type: `${type}-start`, id }, { type: `${type}-delta`, id, delta }]
  }

  private close(): ReadonlyArray<Response.StreamPartEncoded> {
    const { open } = this
    this.open = undefined
    return open === undefined ? [] : [{ type: `${open.type}-end`, id: open.id }]
  }
}

const toolCallOf = (
  method: string,
  { id, name, arguments: params }: Ollama.ToolCall,
  { toolCallValidation, tools }: LanguageModel.ProviderOptions
): Result.Result<Response.ToolCallPartEncoded, AiError.AiError> =>
  toolCallValidation === "deferred" || tools.some((tool) => tool.name === name)
    ? Result.succeed({ type: "tool-call", id, name, params })
    : Result.fail(
        AiError.make({
          module: "OllamaLanguageModel",
          method,
          reason: new AiError.ToolNotFoundError({
            toolName: name.slice(0, 64),
            availableTools: tools.map((tool) => tool.name)
          })
        })
      )

const metadataOf = ({ model }: Ollama.Completion): Response.ResponseMetadataPartEncoded => ({
  type: "response-metadata",
  modelId: model
})

// Ollama counts neither cached tokens nor those of thinking: what it does not say is left out.
const finishOf = (completion: Ollama.Completion): Response.FinishPartEncoded => ({
  type: "finish",
  reason: reasonOf(completion),
  usage: {
    inputTokens: {
      uncached: undefined,
      total: completion.inputTokens,
      cacheRead: undefined,
      cacheWrite: undefined
    },
    outputTokens: { total: completion.outputTokens, text: undefined, reasoning: undefined }
  }
})

// For tool calls the server has no word of its own, and a call that came is whole.
const reasonOf = ({ doneReason, toolCalls }: Ollama.Completion): Response.FinishReason =>
  toolCalls.length > 0
    ? "tool-calls"
    : doneReason === "stop" || doneReason === "length"
      ? doneReason
      : doneReason === undefined || doneReason === ""
        ? "unknown"
        : "other"

// ---------------------------------------------------------------------------------------------------------------------
// Tools
// ---------------------------------------------------------------------------------------------------------------------

/** The stream in progress. Its tools are run by `effect/ai`, outside of the span that it has made for it. */
const Call: Context.Reference<{ span: Tracer.AnySpan | undefined } | undefined> = Context.Reference(
  "tinyllm/OllamaLanguageModel/Call",
  { defaultValue: (): { span: Tracer.AnySpan | undefined } | undefined => undefined }
)

// The signatures are overloads over the type of the toolkit, which stays what it is.
const withToolSpans = (service: LanguageModel.LanguageModel): LanguageModel.LanguageModel => ({
  ...service,
  generateText: ((options: AnyOptions) => service.generateText(traced(options) as never)) as never,
  generateObject: ((options: AnyOptions) => service.generateObject(traced(options) as never)) as never,
  streamText: ((options: AnyOptions) =>
    Stream.suspend(() => {
      const call: { span: Tracer.AnySpan | undefined } = { span: undefined }
      return Stream.provideService(service.streamText(traced(options, () => call.span) as never), Call, call)
    })) as never
})

type AnyOptions = LanguageModel.GenerateTextOptions<any>

const traced = (options: AnyOptions, parent?: () => Tracer.AnySpan | undefined): AnyOptions =>
  options.toolkit === undefined
    ? options
    : {
        ...options,
        toolkit: Effect.isEffect(options.toolkit)
          ? Effect.map(options.toolkit, (toolkit) => ToolSpan.traced(toolkit, parent))
          : ToolSpan.traced(options.toolkit, parent)
      }
