// What agents fail with and need, and what must not compile. Nothing here is executed.
import { Context, Effect, Schema } from "effect"
import type { AiError } from "effect/ai"
import { Tool, Toolkit } from "effect/ai"
import { describe, expectTypeOf, it } from "vitest"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import type { Ollama, OllamaError } from "../src/Ollama.ts"

class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}
class Lost extends Schema.TaggedError<Lost>()("Lost", {}) {}
class Library extends Context.Service<Library, { readonly find: (text: string) => string }>()("test/Library") {}

const Open = Tool.make("open", { failure: Closed })
const Find = Tool.make("find", { failure: Lost, failureMode: "return" }).addDependency(Library)
const toolkit = Toolkit.make(Open, Find)
const options = { model: "m", prompt: (input: number) => String(input), tools: toolkit }

/** Keeps a case from running: only its types are of interest. */
const compiles = (_: () => unknown) => {}

describe("Node.agent", () => {
  it("gives text, or what its schema says", () => {
    compiles(() => {
      const text = Node.agent(options)
      expectTypeOf<Node.Input<typeof text>>().toEqualTypeOf<number>()
      expectTypeOf<Node.Output<typeof text>>().toEqualTypeOf<string>()
      const object = Node.agent({ ...options, schema: Schema.Struct({ on: Schema.Date }) })
      expectTypeOf<Node.Output<typeof object>>().toEqualTypeOf<{ readonly on: Date }>()
      const made = Node.agent({ ...options, output: ({ text }, input) => ({ text, input }) })
      expectTypeOf<Node.Output<typeof made>>().toEqualTypeOf<{ text: string; input: number }>()
      // @ts-expect-error an object is made by its schema alone
      Node.agent({ ...options, schema: Schema.String, output: ({ text }) => text })
    })
  })

  it("fails with what its tools fail with, but for what they return", () => {
    compiles(() => {
      const text = Node.agent(options)
      expectTypeOf<Node.Error<typeof text>>().toEqualTypeOf<
        OllamaError | Node.RoundsExceeded | AiError.AiError | Closed
      >()
      const object = Node.agent({ ...options, schema: Schema.Struct({ on: Schema.Date }) })
      expectTypeOf<Node.Error<typeof object>>().toEqualTypeOf<
        OllamaError | Node.RoundsExceeded | AiError.AiError | Closed | Node.AnswerInvalid
      >()
    })
  })

  it("needs Ollama, the handlers of its tools, and what these need", () => {
    compiles(() => {
      const text = Node.agent(options)
      expectTypeOf<Node.Services<typeof text>>().toEqualTypeOf<
        Ollama | Tool.Handler<"open"> | Tool.Handler<"find"> | Library
      >()
      const graph = Graph.single("g", text)
      // @ts-expect-error the input is a number
      return Graph.run(graph, "1")
    })
  })

  it("brings the error of a toolkit that is made by an effect", () => {
    compiles(() => {
      const text = Node.agent({ ...options, tools: Effect.andThen(new Lost(), toolkit) })
      expectTypeOf<Node.Error<typeof text>>().toEqualTypeOf<
        OllamaError | Node.RoundsExceeded | AiError.AiError | Closed | Lost
      >()
    })
  })

  it("must have tools that are a toolkit", () => {
    compiles(() => {
      // @ts-expect-error a list of tools has no handlers
      Node.agent({ ...options, tools: [Open] })
    })
  })
})
