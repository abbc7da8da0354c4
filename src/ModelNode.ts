/**
 * Nodes that ask a model: for text, for an object, for a way to go.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ModelNeeds from "./ModelNeeds.ts"
import { currentId, decided, type KnownRoutes, node, type Node, routed, type Router } from "./NodeType.ts"
import * as Ollama from "./Ollama.ts"
import * as OllamaOptions from "./OllamaOptions.ts"
import * as OllamaSchema from "./OllamaSchema.ts"
import * as OllamaSettings from "./OllamaSettings.ts"
import * as Visit from "./Visit.ts"

/** A model router's model named none of the routes, and there was no fallback. */
export class RouteUnknown extends Schema.TaggedError<RouteUnknown>()("RouteUnknown", {
  node: Schema.String,
  routes: Schema.Array(Schema.String),
  /** Characters of the model's answer, which is not quoted. */
  answerLength: Schema.Int
}) {
  override get message() {
    return (
      `The router "${this.node}" got an answer of ${this.answerLength} characters that names none of its routes ` +
      `(${this.routes.join(", ")}). Give it a "fallback" route or a larger model.`
    )
  }
}

/** A model's answer is not the JSON that was asked for. The answer itself is in no message. */
export class AnswerInvalid extends Schema.TaggedError<AnswerInvalid>()("AnswerInvalid", {
  node: Schema.String,
  /** The answer was cut off at `maxTokens` or at the end of the context. */
  truncated: Schema.Boolean,
  answerLength: Schema.Int,
  /** What was wrong with it. It may quote the answer. */
  issue: Schema.Defect()
}) {
  override get message() {
    return this.truncated
      ? `The model's answer to "${this.node}" was cut off after ${this.answerLength} characters. Raise "maxTokens" or "numCtx".`
      : `The model's answer to "${this.node}" (${this.answerLength} characters) is not the JSON that its schema asks for.`
  }
}

/** What the form of an answer is, and what is told of it: for nodes that hand the answer on as it came. */
type AnswerOptions = Pick<Ollama.Options, "format" | "logprobs" | "topLogprobs">

/**
 * What every node that asks a model is told: the model, what to ask, and all options of a model call. What is absent is the
 * model's own, but for `maxTokens` (2048) and `truncate` (`false`). An option that is out of range throws a `RangeError`
 * when the node is made. Nodes of a graph that ask one model should have the same options of `Ollama.LoadOptions`: with
 * others it is loaded again.
 */
export interface ModelOptions<in In> extends Omit<Ollama.Options, keyof AnswerOptions> {
  readonly prompt: (input: In) => string
  readonly system?: string | undefined
}

/** The options of model calls among those of a node. Throws a `RangeError` that begins with `where` for one that is wrong. */
export const settingsOf = (where: string, options: Ollama.Options): Ollama.Options => {
  const settings = OllamaSettings.pick(options)
  const problem = OllamaOptions.checkSettings(settings)
  if (problem !== undefined) {
    throw new RangeError(`${where}: ${problem.text}`)
  }
  return settings
}

/** Asks a model. When someone listens to the run, the text of its answer is passed on as it comes. */
export const ask = (request: Ollama.ChatRequest): Effect.Effect<Ollama.Completion, Ollama.OllamaError, Ollama.Ollama> =>
  Effect.gen(function* () {
    const ollama = yield* Ollama.Ollama
    const visit = yield* Visit.Current
    const listen = visit?.run.listen
    if (visit === undefined || listen === undefined) {
      return yield* ollama.chat(request)
    }
    const completion = yield* Stream.runFoldEffect(
      ollama.stream(request),
      (): Ollama.Completion | undefined => undefined,
      (completion, part) =>
        part._tag === "Done"
          ? Effect.succeed(part.completion)
          : part._tag === "Text"
            ? Effect.as(listen({ ...Visit.where(visit), _tag: "Text", text: part.text }), completion)
            : Effect.succeed(completion)
    )
    // A stream of the client ends with `Done` or fails.
    return completion as Ollama.Completion
  })

/** A node that asks a model for text. When someone listens to the run, the text is passed on as it comes. */
export const model = <In, Out>(
  options: ModelOptions<In> &
    AnswerOptions & {
      /** Makes the message to pass on from the model's answer. */
      readonly output: (completion: Ollama.Completion, input: In) => Out
    }
): Node<In, Out, Ollama.OllamaError, Ollama.Ollama> => {
  const settings = settingsOf("Node.model", options)
  return node({
    type: "model",
    needs: ModelNeeds.ofCall(settings),
    run: (input: In) =>
      Effect.map(ask({ ...settings, messages: messagesOf(options, input) }), (completion) =>
        options.output(completion, input)
      )
  })
}

/**
 * A node that asks a model for an object of a schema. Ollama holds the model to the schema while it writes, and the
 * answer is decoded all the same. Fails with `AnswerInvalid` when it was cut off or does not fit.
 */
export const object = <In, A, Encoded>(
  options: ModelOptions<In> & { readonly schema: Schema.Codec<A, Encoded> }
): Node<In, A, Ollama.OllamaError | AnswerInvalid, Ollama.Ollama> => {
  const format = OllamaSchema.answer(options.schema)
  const decode = OllamaSchema.decodeAnswer(options.schema)
  const settings = { ...settingsOf("Node.object", options), format }
  return node({
    type: "object",
    needs: ModelNeeds.ofCall(settings),
    run: (input: In) =>
      Effect.gen(function* () {
        const ollama = yield* Ollama.Ollama
        const completion = yield* ollama.chat({ ...settings, messages: messagesOf(options, input) })
        const decoded = decode(completion)
        if (Result.isSuccess(decoded)) {
          return decoded.success
        }
        return yield* new AnswerInvalid({
          node: yield* currentId("object"),
          answerLength: completion.text.length,
          ...decoded.failure
        })
      })
  })
}

/**
 * A router that asks a model which way to go. Ollama holds the model to a JSON Schema that allows the names of the
 * routes only; the message is passed on as it came. An answer that names no route takes `fallback`, or fails with
 * `RouteUnknown` when there is none. Unless given, `temperature` is 0, `think` is `false` and `maxTokens` 128: a model that
 * is to think before it decides needs more.
 */
export const router = <In, const Descriptions extends Record<string, string>>(
  options: ModelOptions<In> & {
    /** The routes, each with what it is for, as the model is told. Their names must be known to the compiler. */
    readonly routes: Descriptions & KnownRoutes<keyof Descriptions>
    readonly fallback?: (keyof Descriptions & string) | undefined
  }
): Router<
  In,
  { readonly [K in keyof Descriptions & string]: In },
  Ollama.OllamaError | RouteUnknown,
  Ollama.Ollama
> => {
  const routes = Object.keys(options.routes)
  if (routes.length === 0) {
    throw new RangeError("Node.router: there must be at least one route")
  }
  if (options.fallback !== undefined && !routes.includes(options.fallback)) {
    throw new RangeError(`Node.router: fallback "${options.fallback}" is none of its routes (${routes.join(", ")})`)
  }
  const Answer = Schema.Struct({ route: Schema.Literals(routes) })
  const decode = Schema.decodeUnknownExit(Schema.fromJsonString(Answer))
  const settings = {
    temperature: 0,
    // By default a model that can think does, and its thoughts would use up the tokens of the answer.
    think: false,
    maxTokens: routeTokens,
    ...settingsOf("Node.router", options),
    format: {
      type: "object",
      properties: { route: { type: "string", enum: routes } },
      required: ["route"]
    }
  }
  const system = [
    ...(options.system === undefined ? [] : [options.system]),
    "Decide which route fits the message best. Routes:",
    ...Object.entries(options.routes).map(([route, description]) => `- ${route}: ${description}`),
    `Answer with JSON: {"route": one of ${routes.map((route) => JSON.stringify(route)).join(", ")}}.`
  ].join("\n")
  return routed({
    type: "router",
    needs: ModelNeeds.ofCall(settings),
    run: (input: In): Effect.Effect<any, Ollama.OllamaError | RouteUnknown, Ollama.Ollama> =>
      Effect.gen(function* () {
        const ollama = yield* Ollama.Ollama
        const messages = messagesOf({ system, prompt: options.prompt }, input)
        const completion = yield* ollama.chat({ ...settings, messages })
        const answerLength = Array.from(completion.text).length
        const decoded = decode(completion.text)
        const route = Exit.isSuccess(decoded) ? decoded.value.route : options.fallback
        if (route === undefined) {
          return yield* new RouteUnknown({ node: yield* currentId("router"), routes, answerLength })
        }
        yield* decided({ route, routes, strategy: "model", answerLength, fallback: Exit.isFailure(decoded) })
        return { route, message: input }
      })
  })
}

// An answer is `{"route": "…"}`; the rest is room for models that write white space around it.
const routeTokens = 128

/** The system message, where there is one, and the prompt. */
export const messagesOf = <In>(
  { prompt, system }: Pick<ModelOptions<In>, "prompt" | "system">,
  input: In
): ReadonlyArray<Ollama.Message> => [
  ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
  { role: "user", content: prompt(input) }
]
