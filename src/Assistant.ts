/**
 * The graph that `tinyllm run` runs: a small model sorts the question, a specialist answers it, and an empty answer
 * goes back once.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Graph from "./Graph.ts"
import * as Node from "./Node.ts"
import type * as Ollama from "./Ollama.ts"

/** What a person asks; a `Question` when it is asked again. */
export type Input = string | Question

/** A question that is asked again. `attempt` counts from 1, which is the string it was at first. */
export interface Question {
  readonly _tag: "Question"
  readonly text: string
  readonly attempt: number
}

/** What a specialist answers. */
export interface Draft {
  readonly _tag: "Draft"
  readonly question: string
  readonly answer: string
  readonly attempt: number
}

/** The specialists answered with nothing, twice. */
export class AnswerEmpty extends Schema.TaggedError<AnswerEmpty>()("AnswerEmpty", { attempts: Schema.Int }) {
  override get message() {
    return `The model gave an empty answer ${this.attempts} times. Ask differently, or try another one with --model.`
  }
}

/** The model that sorts questions when no other is named: 0.4 GB, and enough to choose one word of three. */
export const defaultRouterModel = "qwen2.5:0.5b"

/** The model that answers when no other is named: 1.9 GB. */
export const defaultModel = "qwen2.5:3b"

export type Assistant = Graph.Graph<
  Input,
  Draft,
  Ollama.OllamaError | Node.RouteUnknown | AnswerEmpty | Graph.StepLimitExceeded,
  Ollama.Ollama
>

const attempts = 2

const textOf = (input: Input): string => (typeof input === "string" ? input : input.text)
const attemptOf = (input: Input): number => (typeof input === "string" ? 1 : input.attempt)

/** The default graph. Where only `model` is given, it sorts the questions too, so that one model is enough. */
export const make = (options?: {
  /** Answers questions; `qwen2.5:3b` unless given. */
  readonly model?: string | undefined
  /** Sorts questions; `model` if that is given, else `qwen2.5:0.5b`. */
  readonly routerModel?: string | undefined
}): Assistant => {
  const model = options?.model ?? defaultModel
  const routerModel = options?.routerModel ?? options?.model ?? defaultRouterModel

  const specialist = (system: string, temperature: number) =>
    Node.model({
      model,
      system,
      temperature,
      prompt: textOf,
      output: ({ text }, input): Draft => ({
        _tag: "Draft",
        question: textOf(input),
        answer: text,
        attempt: attemptOf(input)
      })
    })

  return Graph.make("assistant", {
    nodes: {
      classify: Node.router({
        model: routerModel,
        prompt: textOf,
        routes: {
          code: "writing, reading or repairing programs, and questions about programming tools",
          math: "calculating, equations, numbers, probability and logic puzzles",
          general: "everything else"
        },
        fallback: "general"
      }),
      code: specialist(
        "You are an experienced programmer. Answer with working code and as few words as it needs. " +
          "Say which language you used when the question leaves it open.",
        0.2
      ),
      math: specialist(
        "You are a careful mathematician. Work step by step where the problem needs it, and end with the result.",
        0
      ),
      general: specialist("You are a helpful assistant. Answer shortly and plainly. Say so when you do not know.", 0.7),
      check: Node.gate((draft: Draft) => draft.answer.trim() !== ""),
      again: Node.tool((draft: Draft) =>
        draft.attempt >= attempts
          ? Effect.fail(new AnswerEmpty({ attempts: draft.attempt }))
          : Effect.succeed<Question>({ _tag: "Question", text: draft.question, attempt: draft.attempt + 1 })
      )
    },
    start: "classify",
    edges: {
      classify: { code: "code", math: "math", general: "general" },
      code: "check",
      math: "check",
      general: "check",
      check: { pass: "end", fail: "again" },
      again: "classify"
    },
    maxSteps: 10
  })
}
