/**
 * Nodes that let a model call tools, round after round, until it answers.
 *
 * The tools are a toolkit of `effect/ai`, of which only the types are known here: programs without agents do not load it.
 *
 * @since 0.1.0
 */
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as AiTool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { AnswerInvalid, messagesOf, type ModelOptions, settingsOf } from "./ModelNode.ts"
import * as ModelNeeds from "./ModelNeeds.ts"
import { currentId, node, type Node } from "./NodeType.ts"
import * as Ollama from "./Ollama.ts"
import * as OllamaPrompt from "./OllamaPrompt.ts"
import * as OllamaSchema from "./OllamaSchema.ts"
import * as Span from "./Span.ts"
import * as ToolSpan from "./ToolSpan.ts"
import * as Visit from "./Visit.ts"

/** An agent's model still asked for tools when its rounds were used up. */
export class RoundsExceeded extends Schema.TaggedError<RoundsExceeded>()("RoundsExceeded", {
  node: Schema.String,
  maxRounds: Schema.Int
}) {
  override get message() {
    return (
      `The model of the agent "${this.node}" still asked for tools after ${this.maxRounds} rounds. ` +
      `Raise maxRounds, say in "system" when the work is done, or use a larger model.`
    )
  }
}

/** What an agent is told, and what it may do. */
export interface AgentOptions<In, Tools extends Record<string, AiTool.Any>, E, R> extends ModelOptions<In> {
  /**
   * A toolkit of `effect/ai`; its handlers are services, unless it brings them. A tool that needs approval is refused:
   * there is nobody to ask.
   */
  readonly tools: LanguageModel.ToolkitInput<Tools, E, R>
  /**
   * How often the model is asked with tools at most: 10 by default, at least 1. Tools it asks for in the last round are not
   * run. With `schema` it is asked once more after its rounds, without tools.
   */
  readonly maxRounds?: number | undefined
  /** How many tools of one round run at once; all of them by default. */
  readonly concurrency?: number | "unbounded" | undefined
}

/** Makes the message to pass on from the last answer. Whether that was cut off, its `doneReason` says. */
type AgentOutput<In, Out> = (completion: Ollama.Completion, input: In) => Out

/** What an agent fails with. Of tools with `failureMode: "return"` it is told, so they do not fail it. */
export type AgentError<Tools extends Record<string, AiTool.Any>, E> =
  | Ollama.OllamaError
  | RoundsExceeded
  | AiError.AiError
  | AiTool.HandlerError<Tools[keyof Tools]>
  | E

/** What an agent needs: Ollama, the handlers of its tools, and what these need. */
export type AgentServices<Tools extends Record<string, AiTool.Any>, R> =
  | Ollama.Ollama
  | AiTool.HandlerServices<Tools[keyof Tools]>
  | R

/**
 * A node that lets a model call tools until it answers. Gives the text of the answer, or what `output` makes of it, or with
 * `schema` an object: then the model is asked once more, and held to the schema, when it is done. Those who listen to the
 * run hear the text when it is known to be the answer, all at once: what a model says while it works is none.
 *
 * A call with arguments that do not fit, or of a tool that does not exist, is told to the model, and it may try again. A
 * tool that fails makes the agent fail, unless it is made with `failureMode: "return"`: then the model is told.
 *
 * Fails with `RoundsExceeded` when the model does not come to an end.
 */
export const agent: {
  <In, A, Encoded, Tools extends Record<string, AiTool.Any>, E = never, R = never>(
    options: AgentOptions<In, Tools, E, R> & { readonly schema: Schema.Codec<A, Encoded> }
  ): Node<In, A, AgentError<Tools, E> | AnswerInvalid, AgentServices<Tools, R>>
  <In, Out, Tools extends Record<string, AiTool.Any>, E = never, R = never>(
    options: AgentOptions<In, Tools, E, R> & { readonly output: AgentOutput<In, Out>; readonly schema?: undefined }
  ): Node<In, Out, AgentError<Tools, E>, AgentServices<Tools, R>>
  <In, Tools extends Record<string, AiTool.Any>, E = never, R = never>(
    options: AgentOptions<In, Tools, E, R> & { readonly output?: undefined; readonly schema?: undefined }
  ): Node<In, string, AgentError<Tools, E>, AgentServices<Tools, R>>
} = <In, A, Encoded, Tools extends Record<string, AiTool.Any>, E, R>(
  options: AgentOptions<In, Tools, E, R> & {
    readonly output?: AgentOutput<In, unknown> | undefined
    readonly schema?: Schema.Codec<A, Encoded> | undefined
  }
): Node<In, any, any, any> => {
  const { concurrency = "unbounded", maxRounds = 10, schema } = options
  if (!(Number.isInteger(maxRounds) && maxRounds >= 1)) {
    throw new RangeError(`Node.agent: maxRounds must be an integer >= 1, got ${maxRounds}`)
  }
  if (concurrency !== "unbounded" && !(Number.isInteger(concurrency) && concurrency >= 1)) {
    throw new RangeError(`Node.agent: concurrency must be an integer >= 1 or "unbounded", got ${concurrency}`)
  }
  // Those of a toolkit that an effect gives are not known yet; an agent with none at all would be an odd one.
  const hasTools = !Predicate.hasProperty(options.tools, "tools") || offered(options.tools.tools as Tools).length > 0
  const settings = settingsOf("Node.agent", options)
  const finish = schema === undefined ? undefined : finishing(schema, settings)

  return node({
    type: "agent",
    needs: ModelNeeds.ofCall(settings, hasTools ? ["tools"] : []),
    run: (input: In) =>
      Effect.gen(function* () {
        const ollama = yield* Ollama.Ollama
        const name = yield* currentId("agent")
        yield* Span.describeVisit(() => Span.agent({ name, provider: "ollama" }))
        const given = yield* (
          Effect.isEffect(options.tools) ? options.tools : Effect.succeed(options.tools)
        ) as Effect.Effect<Toolkit.WithHandler<Tools>, E, R> // a toolkit with handlers is no effect, one without is
        const toolkit = ToolSpan.traced(given)
        const tools = offered(given.tools)
        const messages = [...messagesOf(options, input)]
        let rounds = 0
        const conversation = Effect.gen(function* () {
          while (true) {
            rounds++
            const completion = yield* ollama.chat({ ...settings, messages, tools })
            if (completion.toolCalls.length === 0) {
              return completion
            }
            if (rounds === maxRounds) {
              return yield* new RoundsExceeded({ node: name, maxRounds })
            }
            const results = yield* Effect.forEach(completion.toolCalls, (call) => resultOf(toolkit, call), {
              concurrency
            })
            messages.push(Ollama.assistantMessage(completion), ...results)
          }
        })
        const completion = yield* Effect.ensuring(
          conversation,
          Effect.suspend(() => Span.describeVisit(() => ({ "tinyllm.agent.rounds": rounds })))
        )
        if (finish !== undefined) {
          return yield* finish(completion, messages, name)
        }
        yield* completion.text === "" ? Effect.void : Visit.tell(completion.text)
        return options.output === undefined ? completion.text : options.output(completion, input)
      })
  })
}

/** The tools as a model is shown them. Throws a `RangeError` for such as an agent cannot use. */
const offered = (tools: Record<string, AiTool.Any>): ReadonlyArray<Ollama.Tool> =>
  Object.values(tools).map((tool) => {
    if (tool.needsApproval !== undefined && tool.needsApproval !== false) {
      throw new RangeError(
        `Node.agent: the tool "${tool.name}" needs approval, and an agent has nobody to ask. Use Chat of effect/ai.`
      )
    }
    return Result.getOrThrowWith(OllamaPrompt.tool(tool), (problem) => new RangeError(`Node.agent: ${problem}`))
  })

/** Runs a tool and gives the message that tells the model of it. */
const resultOf = <Tools extends Record<string, AiTool.Any>>(
  toolkit: Toolkit.WithHandler<Tools>,
  call: Ollama.ToolCall
): Effect.Effect<
  Ollama.Message,
  AiError.AiError | AiTool.HandlerError<Tools[keyof Tools]>,
  AiTool.HandlerServices<Tools[keyof Tools]>
> =>
  Effect.gen(function* () {
    const ran = yield* toolkit.handle(call.name, call.arguments as never, call.id).pipe(
      Stream.unwrap,
      Stream.filter((result) => !result.preliminary),
      Stream.runLast,
      Effect.result
    )
    if (Result.isFailure(ran)) {
      const mistake = mistakeOf(ran.failure)
      return mistake === undefined
        ? yield* Effect.fromResult(Result.fail(ran.failure)) // any value at all, not only an error
        : Ollama.toolResult(call, OllamaPrompt.toolText(mistake, true))
    }
    const result = Option.getOrThrow(ran.success) // a handler gives a result or fails
    const content =
      result.modelOutput === undefined
        ? Result.succeed({ content: OllamaPrompt.toolText(result.encodedResult, result.isFailure) })
        : OllamaPrompt.textAndImages(result.modelOutput)
    return Result.isSuccess(content)
      ? { ...Ollama.toolResult(call, ""), ...content.success }
      : yield* Effect.die(
          new RangeError(`Node.agent: what the tool "${call.name}" gives the model: ${content.failure}`)
        )
  })

/** What is wrong when a model called what there is not, or in another way than it was shown: it can do better. */
const mistakeOf = (error: unknown): string | undefined => {
  const reason =
    Predicate.hasProperty(error, "~effect/ai/AiError") && Predicate.hasProperty(error, "reason")
      ? error.reason
      : undefined
  return reason instanceof Error &&
    (Predicate.isTagged(reason, "ToolParameterValidationError") || Predicate.isTagged(reason, "ToolNotFoundError"))
    ? reason.message
    : undefined
}

/** Asks for the answer as an object, after the conversation. */
const finishing = <A, Encoded>(schema: Schema.Codec<A, Encoded>, settings: Ollama.Options) => {
  const format = OllamaSchema.answer(schema)
  const decode = OllamaSchema.decodeAnswer(schema)
  // Ollama holds a model to the schema and does not show it.
  const demand = `Give your answer as JSON, by this JSON Schema: ${JSON.stringify(format)}`
  return (
    completion: Ollama.Completion,
    messages: ReadonlyArray<Ollama.Message>,
    name: string
  ): Effect.Effect<A, Ollama.OllamaError | AnswerInvalid, Ollama.Ollama> =>
    Effect.gen(function* () {
      const ollama = yield* Ollama.Ollama
      const said = completion.text === "" ? [] : [Ollama.assistantMessage(completion)]
      const last = yield* ollama.chat({
        ...settings,
        messages: [...messages, ...said, { role: "user", content: demand }],
        format
      })
      const decoded = decode(last)
      return Result.isSuccess(decoded)
        ? decoded.success
        : yield* new AnswerInvalid({ node: name, answerLength: last.text.length, ...decoded.failure })
    })
}
