// What must not compile. `npm run check` fails when one of these lines compiles after all; nothing here is executed.
import { Context, Effect, Layer } from "effect"
import { describe, expectTypeOf, it } from "vitest"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"

interface Question {
  readonly _tag: "Question"
  readonly text: string
}
interface Draft {
  readonly _tag: "Draft"
  readonly text: string
}
interface Answer {
  readonly _tag: "Answer"
  readonly text: string
}
class Broken extends Error {
  readonly _tag = "Broken"
}
class Library extends Context.Service<Library, { readonly find: (text: string) => string }>()("test/Library") {}

declare const question: Question
declare const draft: Draft

const write = Node.transform((question: Question): Draft => ({ _tag: "Draft", text: question.text }))
const publish = Node.transform((draft: Draft): Answer => ({ _tag: "Answer", text: draft.text }))
const search = Node.tool((question: Question) =>
  Effect.gen(function* () {
    const library = yield* Library
    return yield* library.find(question.text) === "" ? Effect.fail(new Broken()) : Effect.succeed(question)
  })
)
const sort = Node.branch((question: Question) =>
  question.text === "" ? Node.to("empty", draft) : Node.to("full", question)
)
const check = Node.gate((draft: Draft) => draft.text !== "")

/** Keeps a case from running: only its types are of interest. */
const never = (_: () => unknown): void => {}

describe("Graph.make", () => {
  it("infers what a graph takes, gives, fails with and needs", () => {
    const graph = () =>
      Graph.make("g", {
        nodes: { search, write, publish },
        start: "search",
        edges: { search: "write", write: "publish", publish: "end" }
      })
    expectTypeOf<ReturnType<typeof graph>>().toEqualTypeOf<
      Graph.Graph<Question, Answer, Broken | Graph.StepLimitExceeded, Library>
    >()
  })

  it("infers the messages of every way that leads to the end", () => {
    const graph = () =>
      Graph.make("g", {
        nodes: { sort, check, publish },
        start: "sort",
        edges: { sort: { empty: "check", full: "end" }, check: { pass: "publish", fail: "end" }, publish: "end" }
      })
    expectTypeOf<ReturnType<typeof graph>>().toEqualTypeOf<
      Graph.Graph<Question, Question | Draft | Answer, Graph.StepLimitExceeded>
    >()
  })

  it("refuses a target that does not accept the message", () => {
    never(() =>
      Graph.make("g", {
        nodes: { write, publish, search },
        start: "write",
        // @ts-expect-error `search` takes a Question, and `write` gives a Draft
        edges: { write: "search", search: "end", publish: "end" }
      })
    )
  })

  it("refuses a target that is no step", () => {
    never(() =>
      Graph.make("g", {
        nodes: { write },
        start: "write",
        // @ts-expect-error there is no step `publich`
        edges: { write: "publich" }
      })
    )
  })

  it("refuses a missing edge", () => {
    never(() =>
      Graph.make("g", {
        nodes: { write, publish },
        start: "write",
        // @ts-expect-error `publish` leads nowhere
        edges: { write: "publish" }
      })
    )
  })

  it("refuses a missing way out", () => {
    never(() =>
      Graph.make("g", {
        nodes: { check, publish },
        start: "check",
        // @ts-expect-error the way out `fail` leads nowhere
        edges: { check: { pass: "publish" }, publish: "end" }
      })
    )
  })

  it("refuses an edge for a step that does not exist", () => {
    never(() =>
      Graph.make("g", {
        nodes: { write },
        start: "write",
        // @ts-expect-error there is no step `publish`
        edges: { write: "end", publish: "end" }
      })
    )
  })

  it("refuses an edge for a way out that does not exist", () => {
    never(() =>
      Graph.make("g", {
        nodes: { check },
        start: "check",
        // @ts-expect-error a gate has no way out `maybe`
        edges: { check: { pass: "end", fail: "end", maybe: "end" } }
      })
    )
  })

  it("refuses a way out that leads to a step which does not accept its message", () => {
    never(() =>
      Graph.make("g", {
        nodes: { sort, publish },
        start: "sort",
        // @ts-expect-error `publish` takes a Draft, and `full` carries a Question
        edges: { sort: { empty: "publish", full: "publish" }, publish: "end" }
      })
    )
  })

  it("refuses one target for a router and ways out for a plain node", () => {
    never(() =>
      Graph.make("g", {
        nodes: { check },
        start: "check",
        // @ts-expect-error a gate has two ways out
        edges: { check: "end" }
      })
    )
    never(() =>
      Graph.make("g", {
        nodes: { write },
        start: "write",
        // @ts-expect-error a transform has one way out
        edges: { write: { pass: "end" } }
      })
    )
  })

  it("refuses a start that is no step, and a step called end", () => {
    // @ts-expect-error there is no step `search`
    never(() => Graph.make("g", { nodes: { write }, start: "search", edges: { write: "end" } }))
    // @ts-expect-error `end` is where runs end
    never(() => Graph.make("g", { nodes: { end: write }, start: "end", edges: { end: "end" } }))
  })
})

describe("Graph.make, with choices that are made at run time", () => {
  it("counts a target that may be the end as one that leads to the end", () => {
    const graph = (early: boolean) =>
      Graph.make("g", {
        nodes: { write, publish },
        start: "write",
        edges: { write: early ? "end" : "publish", publish: "end" }
      })
    expectTypeOf<ReturnType<typeof graph>>().toEqualTypeOf<
      Graph.Graph<Question, Draft | Answer, Graph.StepLimitExceeded>
    >()
  })

  it("takes what every possible start takes", () => {
    const length = Node.transform((text: string) => text.length)
    const double = Node.transform((number: number) => 2 * number)
    const graph = (text: boolean) =>
      Graph.make("g", {
        nodes: { length, double },
        start: text ? "length" : "double",
        edges: { length: "double", double: "end" }
      })
    // @ts-expect-error nothing is both a string and a number
    never(() => Graph.run(graph(true), "text"))
  })

  it("refuses routers whose routes are any text at all", () => {
    // @ts-expect-error the routes are not known
    never(() => Node.branch((number: number) => ({ route: String(number), message: number })))
    const routes: Record<string, string> = { code: "programs" }
    // @ts-expect-error the routes are not known
    never(() => Node.router({ model: "m", prompt: (text: string) => text, routes }))
  })

  it("runs a node of any type by itself, routers apart", () => {
    const generic = <In, Out>(node: Node.Node<In, Out>, input: In) => Graph.run(Graph.single("one", node), input)
    expectTypeOf<Effect.Success<ReturnType<typeof generic<Question, Draft>>>["output"]>().toEqualTypeOf<Draft>()
    // @ts-expect-error a gate is a router
    never(() => Graph.single("one", check))
  })
})

describe("Graph.run", () => {
  const graph = Graph.make("g", { nodes: { write }, start: "write", edges: { write: "end" } })

  it("refuses a wrong message", () => {
    // @ts-expect-error the graph takes a Question
    never(() => Graph.run(graph, draft))
    never(() => Graph.run(graph, question))
  })

  it("needs the services of its nodes", () => {
    const needs = Graph.make("g", { nodes: { search }, start: "search", edges: { search: "end" } })
    // @ts-expect-error nobody provides the Library
    // @effect-diagnostics-next-line missingEffectContext:off
    never(() => Effect.runPromise(Graph.run(needs, question)))
    never(() =>
      Effect.runPromise(
        Graph.run(needs, question).pipe(Effect.provide(Layer.succeed(Library, { find: (text: string) => text })))
      )
    )
  })
})

describe("Node combinators", () => {
  it("keep a router a router", () => {
    expectTypeOf(check.pipe(Node.timeout("1 second"))).toEqualTypeOf<
      Node.Router<Draft, { readonly pass: Draft; readonly fail: Draft }, Node.NodeTimeout>
    >()
    expectTypeOf(check.pipe(Node.retry())).toEqualTypeOf<typeof check>()
  })

  it("add the errors and take away the services that they provide", () => {
    expectTypeOf(search.pipe(Node.timeout("1 second"))).toEqualTypeOf<
      Node.Node<Question, Question, Broken | Node.NodeTimeout, Library>
    >()
    expectTypeOf(search.pipe(Node.provide(Layer.succeed(Library, { find: (text: string) => text })))).toEqualTypeOf<
      Node.Node<Question, Question, Broken>
    >()
  })

  it("narrow what passes a gate with a type guard", () => {
    const gate = Node.gate((message: Draft | Answer) => message._tag === "Answer")
    expectTypeOf(gate).toEqualTypeOf<
      Node.Router<Draft | Answer, { readonly pass: Answer; readonly fail: Draft | Answer }>
    >()
  })

  it("give a record of what parallel nodes give, for what all of them take", () => {
    expectTypeOf(Node.parallel({ write, search })).toEqualTypeOf<
      Node.Node<Question, { readonly write: Draft; readonly search: Question }, Broken, Library>
    >()
  })

  it("refuse parallel nodes that have no input in common", () => {
    const length = Node.transform((text: string) => text.length)
    const double = Node.transform((number: number) => 2 * number)
    // @ts-expect-error nothing is both a string and a number
    never(() => Node.parallel({ length, double }))
  })

  it("refuse routers where their ways out would be lost", () => {
    // @ts-expect-error a gate is a router
    never(() => Node.race({ check, publish }))
    // @ts-expect-error a gate is a router
    never(() => publish.pipe(Node.fallback(check)))
    // @ts-expect-error a gate is a router
    never(() => check.pipe(Node.fallback(publish)))
  })

  it("widen the output and replace the errors by those of the fallback", () => {
    expectTypeOf(search.pipe(Node.fallback(write))).toEqualTypeOf<
      Node.Node<Question, Question | Draft, never, Library>
    >()
  })
})
