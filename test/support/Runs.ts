/** Spans of runs as a store has them, with times and numbers that a test chooses. */
import type { StoredSpan, Values } from "../../src/StoredSpan.ts"

/** A visit of a node. */
export interface Step {
  readonly node: string
  readonly type: string
  readonly millis: number
  /** The model that it calls for most of its time. */
  readonly model?: string
  readonly tokens?: readonly [input: number, output: number]
  /** The way that it took. */
  readonly route?: string
  /** What it failed with. */
  readonly error?: string
}

export interface Run {
  /** Any number, from which all ids are made. */
  readonly id: number
  readonly graph: string
  readonly query: string
  /** Milliseconds since 1970. */
  readonly start: number
  readonly steps: ReadonlyArray<Step>
  readonly interrupted?: boolean
  readonly service?: string
}

export const traceId = (run: number): string => `7ace${run.toString(16).padStart(28, "0")}`

/** Its spans in the order in which they end, the root last. */
export const spans = (run: Run): ReadonlyArray<StoredSpan> => {
  let count = 0
  let millis = 0
  const make = (span: {
    readonly id: number
    readonly parent: number | undefined
    readonly name: string
    readonly from: number
    readonly to: number
    readonly attributes: Values
    readonly kind?: StoredSpan["kind"]
    readonly events?: StoredSpan["events"]
    readonly error?: string | undefined
  }): StoredSpan => ({
    traceId: traceId(run.id),
    spanId: spanId(run.id, span.id),
    parentSpanId: span.parent === undefined ? undefined : spanId(run.id, span.parent),
    name: span.name,
    kind: span.kind ?? "internal",
    startNanos: nanos(run.start + span.from),
    endNanos: nanos(run.start + span.to),
    status: span.error === undefined ? { code: "unset", message: "" } : { code: "error", message: span.error },
    attributes: span.attributes,
    events: span.events ?? [],
    links: [],
    resource: { "service.name": run.service ?? "tinyllm" },
    scope: { name: "tinyllm", version: "0.1.0" },
    traceState: "",
    dropped: { attributes: 0, events: 0, links: 0 }
  })
  const steps = run.steps.flatMap((step, index) => {
    const from = millis + 2
    const to = from + step.millis
    millis = to
    const id = ++count
    const call = ++count
    const [input, output] = step.tokens ?? []
    return [
      ...(step.model === undefined
        ? []
        : [
            make({
              id: call,
              parent: id,
              name: "llm.chat",
              kind: "client",
              from: from + step.millis * 0.02,
              to: to - step.millis * 0.02,
              error: step.error,
              attributes: {
                "llm.model": step.model,
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": step.model,
                ...(input === undefined || output === undefined
                  ? {}
                  : {
                      "llm.input_tokens": input,
                      "llm.output_tokens": output,
                      "llm.total_tokens": input + output,
                      "gen_ai.usage.input_tokens": input,
                      "gen_ai.usage.output_tokens": output
                    })
              }
            })
          ]),
      make({
        id,
        parent: 0,
        name: `node.${step.type}`,
        from,
        to,
        error: step.error,
        attributes: {
          "node.id": step.node,
          "node.type": step.type,
          "execution.step": index + 1,
          ...(step.error === undefined ? {} : { "error.type": "OllamaError" })
        },
        events:
          step.route === undefined
            ? []
            : [
                {
                  name: "router.decision",
                  timeNanos: nanos(run.start + to),
                  attributes: {
                    "router.route": step.route,
                    "router.candidates": Array.from(new Set([step.route, "math", "general"])),
                    "router.strategy": step.type === "gate" ? "code" : "model"
                  }
                }
              ]
      })
    ]
  })
  const failure = run.steps.find(({ error }) => error !== undefined)?.error
  return [
    ...steps,
    make({
      id: 0,
      parent: undefined,
      name: "graph.execute",
      from: 0,
      to: millis + 3,
      error: failure,
      attributes: {
        "graph.id": run.graph,
        "task.content": run.query,
        "execution.nodes_executed": run.steps.length,
        ...(run.interrupted === true ? { "effect.fiber.interrupted": true } : {})
      }
    })
  ]
}

const spanId = (run: number, span: number): string =>
  `${(run + 1).toString(16).padStart(8, "0")}${(span + 1).toString(16).padStart(8, "0")}`

const nanos = (millis: number): bigint => BigInt(Math.round(millis * 1000)) * 1000n

/** An afternoon of somebody's: some twenty runs of two graphs, of which some failed. The newest one began at `now`. */
export const afternoon = (now: number): ReadonlyArray<Run> =>
  Array.from({ length: 24 }, (_, id): Run => {
    const question = questions[id % questions.length] ?? ""
    const slow = 1 + ((id * 7) % 5) / 4
    const start = now - id * 17 * 60_000
    const small = { model: "qwen2.5:0.5b", tokens: [61 + id, 4] as const }
    const route = /\d/.test(question) ? "math" : "general"
    if (id % 4 === 3) {
      const steps: ReadonlyArray<Step> = [
        { node: "read", type: "transform", millis: 3 },
        { node: "sort", type: "router", millis: 160 * slow, route: "refund", ...small },
        { node: "write", type: "model", millis: 1900 * slow, model: "llama3.2:1b", tokens: [310 + id * 3, 140 + id] },
        { node: "review", type: "gate", millis: 1, route: id % 8 === 3 ? "fail" : "pass" }
      ]
      const again: ReadonlyArray<Step> = [
        { node: "write", type: "model", millis: 1400 * slow, model: "llama3.2:1b", tokens: [470 + id, 120 + id] },
        { node: "review", type: "gate", millis: 1, route: "pass" }
      ]
      return {
        id,
        start,
        graph: "support",
        query: question,
        steps: id % 8 === 3 ? [...steps, ...again] : steps,
        service: "help-desk"
      }
    }
    return {
      id,
      start,
      graph: "assistant",
      query: question,
      interrupted: id % 11 === 6,
      steps: [
        { node: "route", type: "router", millis: 180 * slow, route, ...small },
        {
          node: route,
          type: "model",
          millis: (id % 9 === 5 ? 31_000 : 2300) * slow,
          model: "qwen2.5:3b",
          ...(id % 9 === 5
            ? { error: "Ollama did not answer within 30 s. Load a smaller model, or raise the timeout." }
            : { tokens: [94 + id * 2, 180 + ((id * 37) % 200)] as const })
        },
        ...(id % 9 === 5 ? [] : [{ node: "check", type: "gate", millis: 1, route: "pass" }])
      ]
    }
  })

const questions = [
  "Why is the sky blue?",
  "What is 17 * 23?",
  "Write a haiku about a train that is late again, and translate it into German.",
  "My order came broken, and nobody answers the phone. I want my money back.",
  "Explain recursion to a child of six.",
  "What is 12 % of 480?",
  "Which planets have rings?"
]
