import { assert, describe, it } from "vitest"
import * as TraceRun from "../src/TraceRun.ts"
import * as TraceTree from "../src/TraceTree.ts"
import { call, decided, type Given, graph, node, spanId, spans } from "./support/StoredSpans.ts"

const read = (...given: ReadonlyArray<Given>) => {
  const tree = TraceTree.make(spans(...given))
  return { tree, ...TraceRun.facts(tree) }
}

const run: Given = {
  id: "run",
  name: "graph.execute",
  at: [0, 100],
  attributes: graph("assistant", { "task.content": "2 + 2?" })
}
const router: Given = {
  id: "r",
  parent: "run",
  name: "node.router",
  at: [1, 40],
  attributes: node("classify", "router", 1),
  events: [decided("math", ["math", "code"])]
}
const small: Given = { id: "l1", parent: "r", name: "llm.chat", at: [2, 39], attributes: call("qwen2.5:0.5b", 73, 9) }
const model: Given = { id: "m", parent: "run", name: "node.model", at: [41, 90], attributes: node("math", "model", 2) }
const large: Given = {
  id: "l2",
  parent: "m",
  name: "llm.chat",
  at: [42, 89],
  attributes: call("qwen2.5:3b", 28, 1, { "tinyllm.ollama.output_tokens_per_second": 40 })
}

describe("TraceRun.facts", () => {
  it("tells the steps of a run in order, with ways, models and tokens", () => {
    const { models, runs, tokens } = read(large, model, small, router, run)
    assert.strictEqual(runs.length, 1)
    const [only] = runs
    assert.strictEqual(only?.graph, "assistant")
    assert.strictEqual(only?.task, "2 + 2?")
    assert.strictEqual(only?.outcome, "ok")
    assert.deepStrictEqual(
      only?.steps.map(({ decision, id, models, number, tokens, type }) => ({
        id,
        type,
        number,
        route: decision?.route,
        models,
        tokens
      })),
      [
        {
          id: "classify",
          type: "router",
          number: 1,
          route: "math",
          models: ["qwen2.5:0.5b"],
          tokens: { input: 73, output: 9 }
        },
        {
          id: "math",
          type: "model",
          number: 2,
          route: undefined,
          models: ["qwen2.5:3b"],
          tokens: { input: 28, output: 1 }
        }
      ]
    )
    assert.deepStrictEqual(only?.steps[0]?.decision, {
      route: "math",
      candidates: ["math", "code"],
      strategy: "model",
      fallback: false
    })
    assert.deepStrictEqual(tokens, { input: 101, output: 10 })
    assert.deepStrictEqual(models, ["qwen2.5:0.5b", "qwen2.5:3b"])
  })

  it("tells the tokens per second that the server measured, and else those of the whole call", () => {
    const { calls, tree } = read(large, small)
    const rate = (id: string) => calls.get(tree.bySpanId.get(spanId(id))!)?.tokensPerSecond
    assert.deepStrictEqual(rate("l2"), { value: 40, of: "generation" })
    assert.deepStrictEqual(rate("l1"), { value: 9 / 0.037, of: "call" })
  })

  it("has no numbers that nobody measured", () => {
    const { calls, runs, tokens } = read(run, model, { ...large, attributes: call("qwen2.5:3b") })
    assert.deepStrictEqual(tokens, { input: undefined, output: undefined })
    assert.deepStrictEqual(runs[0]?.tokens, { input: undefined, output: undefined })
    assert.isUndefined(Array.from(calls.values())[0]?.tokensPerSecond)
  })

  it("sees a visit inside of a visit, and a run inside of a visit with steps of its own", () => {
    const { runs } = read(
      run,
      { id: "p", parent: "run", name: "node.parallel", at: [1, 50], attributes: node("both", "parallel", 1) },
      { id: "x", parent: "p", name: "node.tool", at: [2, 20], attributes: node("both.x", "tool", 2) },
      { id: "s", parent: "p", name: "node.subgraph", at: [2, 45], attributes: node("both.s", "subgraph", 3) },
      { id: "g", parent: "s", name: "graph.execute", at: [3, 44], attributes: graph("inner") },
      { id: "y", parent: "g", name: "node.model", at: [4, 43], attributes: node("ask", "model", 1) },
      { ...large, parent: "y" }
    )
    const shape = (run: TraceRun.Run): unknown => [run.graph, run.steps.map(step)]
    const step = ({ id, inner, runs }: TraceRun.Step): unknown => [id, inner.map(step), runs.map(shape)]
    assert.deepStrictEqual(runs.map(shape), [
      [
        "assistant",
        [
          [
            "both",
            [
              ["both.x", [], []],
              ["both.s", [], [["inner", [["ask", [], []]]]]]
            ],
            []
          ]
        ]
      ]
    ])
    assert.deepStrictEqual(runs[0]?.steps[0]?.tokens, { input: 28, output: 1 })
    assert.deepStrictEqual(
      TraceRun.allRuns(runs).map(({ graph }) => graph),
      ["assistant", "inner"]
    )
    assert.deepStrictEqual(
      TraceRun.allSteps(runs[0]!).map(({ id }) => id),
      ["both", "both.x", "both.s"]
    )
  })

  it("counts attempts at a node and at a call", () => {
    const attempt = (id: string, parent: string, number: number, at: readonly [number, number]): Given => ({
      id,
      parent,
      name: "retry.attempt",
      at,
      attributes: { "retry.attempt": number }
    })
    const { calls, runs } = read(
      run,
      model,
      attempt("a1", "m", 1, [41, 60]),
      attempt("a2", "m", 2, [61, 90]),
      { ...large, parent: "a2" },
      attempt("c1", "l2", 1, [61, 62]),
      attempt("c2", "l2", 2, [62, 63]),
      attempt("c3", "l2", 3, [63, 80])
    )
    assert.strictEqual(runs[0]?.steps[0]?.attempts, 2)
    assert.strictEqual(Array.from(calls.values())[0]?.attempts, 3)
  })

  it("makes a run of steps whose run has not arrived", () => {
    const { runs } = read(router, small, model)
    assert.strictEqual(runs.length, 1)
    assert.strictEqual(runs[0]?.outcome, "running")
    assert.isUndefined(runs[0]?.graph)
    assert.deepStrictEqual(
      runs[0]?.steps.map(({ id }) => id),
      ["classify", "math"]
    )
    assert.deepStrictEqual(runs[0]?.tokens, { input: 73, output: 9 })
    assert.deepStrictEqual(runs[0]?.models, ["qwen2.5:0.5b"])
  })

  it("finds the calls of other programs by the conventions, and counts none twice that a library repeats around them", () => {
    const usage = {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "gpt",
      "gen_ai.usage.input_tokens": 5n,
      "gen_ai.usage.output_tokens": 7
    }
    const { calls, models, tokens } = read(
      { id: "a", name: "LanguageModel.generateText", at: [0, 9], attributes: usage },
      { id: "b", parent: "a", name: "chat gpt", at: [1, 8], attributes: usage }
    )
    assert.strictEqual(calls.size, 1)
    assert.deepStrictEqual(tokens, { input: 5, output: 7 })
    assert.deepStrictEqual(models, ["gpt"])
  })
})
