/** The traces that the documents look at: runs of the usual graph that went one way, another way, and wrong, and a chat. */
import { epoch, type Given, call, decided, graph, node } from "./StoredSpans.ts"
import { homeWith, trace } from "./TraceHome.ts"

/** From the epoch of stored spans to 2026-11-28 12:58:40, in minutes. */
const begin = Number(BigInt(Date.UTC(2026, 10, 28, 12, 58, 40)) * 1_000_000n - epoch) / 60e9

const routes = ["math", "code", "general"]

/** A call of a model with where its time went, as Ollama says. */
const asked = (
  id: string,
  parent: string,
  [start, end]: readonly [number, number],
  model: string,
  tokens: readonly [input: number, output: number],
  load: number
): ReadonlyArray<Given> => {
  const loaded = start + 2 + load
  const read = loaded + (end - loaded) * 0.3
  const rate = (tokens[1] * 1000) / (end - 2 - read)
  const measured = { "tinyllm.ollama.output_tokens_per_second": rate }
  return [
    { id, parent, name: "llm.chat", at: [start, end], attributes: call(model, ...tokens, measured) },
    { id: `${id}1`, parent: id, name: "ollama.load", at: [start + 2, loaded] },
    { id: `${id}2`, parent: id, name: "ollama.prompt_eval", at: [loaded, read] },
    { id: `${id}3`, parent: id, name: "ollama.generate", at: [read, end - 2] }
  ]
}

const run = (query: string, end: number, failed?: boolean): Given => ({
  id: "run",
  name: "graph.execute",
  at: [0, end],
  failed,
  attributes: graph("assistant", { "task.content": query })
})

const step = (
  id: string,
  type: string,
  number: number,
  at: readonly [number, number],
  more: Partial<Given> = {}
): Given => ({
  id,
  parent: "run",
  name: `node.${type}`,
  at,
  attributes: node(id, type, number),
  ...more
})

const sorted = (way: string, at: readonly [number, number], load: number): ReadonlyArray<Given> => [
  step("classify", "router", 1, at, { events: [decided(way, routes)] }),
  ...asked("a", "classify", [at[0] + 1, at[1] - 1], "qwen2.5:0.5b", [73, 9], load)
]

const passed = (at: readonly [number, number]): Given =>
  step("check", "gate", 3, at, {
    events: [
      {
        name: "router.decision",
        attributes: { "router.route": "pass", "router.candidates": ["pass", "fail"], "router.strategy": "code" }
      }
    ]
  })

const missing = `Model "qwen2.5:3b" is not installed at http://127.0.0.1:11434. Install it with "ollama pull qwen2.5:3b".`

/** A new folder with them. */
export const exampleHome = (): Promise<string> =>
  homeWith(
    trace(
      "3c5d7a0e91b24f6688d2c07f5ae31b94",
      begin,
      run("What is 2 + 2?", 1290),
      ...sorted("math", [3, 640], 320),
      step("math", "model", 2, [642, 1284]),
      ...asked("b", "math", [643, 1283], "qwen2.5:3b", [28, 12], 410),
      passed([1285, 1286])
    ),
    trace(
      "9f1be204c6d84a0ab53be8d91c7720fe",
      begin + 3,
      run("Write a function that adds two numbers", 2912),
      ...sorted("code", [2, 184], 4),
      step("code", "model", 2, [185, 2905]),
      ...asked("b", "code", [186, 2904], "qwen2.5:3b", [41, 118], 6),
      passed([2906, 2907])
    ),
    trace(
      "b7e0416a5f3d4c1e9a80d6b2f94c5e13",
      begin + 9,
      run("What is 6 * 7?", 203, true),
      ...sorted("math", [2, 181], 5),
      step("math", "model", 2, [182, 200], { failed: true }),
      {
        id: "b",
        parent: "math",
        name: "llm.chat",
        at: [183, 199],
        failed: missing,
        attributes: call("qwen2.5:3b"),
        events: [
          {
            name: "exception",
            attributes: {
              "exception.type": "OllamaError",
              "exception.message": missing,
              "exception.stacktrace": `OllamaError: ${missing}\n    at classify (src/OllamaHttp.ts:212:14)\n    at chat (src/OllamaCall.ts:98:7)`
            }
          }
        ]
      }
    ),
    trace(
      "e40c2b8d73f14d5aa6c19b5e08d7f261",
      begin + 12,
      { ...run("Why is the sky blue?", 1811), attributes: graph("chat", { "task.content": "Why is the sky blue?" }) },
      step("answer", "model", 1, [1, 1808]),
      ...asked("b", "answer", [2, 1807], "qwen2.5:3b", [36, 74], 5)
    )
  )
