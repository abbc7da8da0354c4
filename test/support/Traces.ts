/** Traces to look at: what programs record, the same in every run. */
import type { StoredEvent, StoredSpan, Values } from "../../src/StoredSpan.ts"

/** A span with those below it. Times are milliseconds. */
export interface Sketch {
  readonly name: string
  /** After the start of the one above. */
  readonly at: number
  readonly for: number
  readonly attributes?: Values | undefined
  readonly events?: ReadonlyArray<StoredEvent & { readonly at?: number }> | undefined
  readonly error?: string | undefined
  readonly kind?: StoredSpan["kind"] | undefined
  readonly below?: ReadonlyArray<Sketch> | undefined
  readonly resource?: Values | undefined
}

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
const begin = 1_795_871_400_000_000_000n

const nanos = (millis: number): bigint => BigInt(Math.round(millis * 1e6))

/** The spans of sketches, each after the one that it is below. */
export const spansOf = (sketches: ReadonlyArray<Sketch>, resource: Values = { "service.name": "tinyllm" }) => {
  const spans: Array<StoredSpan> = []
  const left = sketches
    .map((sketch) => ({ sketch, parent: undefined as string | undefined, start: begin, resource }))
    .toReversed()
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { parent, sketch } = next
    const start = next.start + nanos(sketch.at)
    const spanId = (spans.length + 1).toString(16).padStart(16, "0")
    const resource = sketch.resource ?? next.resource
    spans.push({
      traceId,
      spanId,
      parentSpanId: parent,
      name: sketch.name,
      kind: sketch.kind ?? "internal",
      startNanos: start,
      endNanos: start + nanos(sketch.for),
      status: sketch.error === undefined ? { code: "unset", message: "" } : { code: "error", message: sketch.error },
      attributes: sketch.attributes ?? {},
      events: (sketch.events ?? []).map(({ at, attributes, name }) => ({
        name,
        attributes,
        timeNanos: start + nanos(at ?? 0)
      })),
      links: [],
      resource,
      scope: { name: "tinyllm", version: "0.1.0" },
      traceState: "",
      dropped: { attributes: 0, events: 0, links: 0 }
    })
    left.push(...(sketch.below ?? []).map((sketch) => ({ sketch, parent: spanId, start, resource })).toReversed())
  }
  return spans
}

const event = (name: string, attributes: Values, at = 0): StoredEvent & { readonly at: number } => ({
  name,
  attributes,
  timeNanos: 0n,
  at
})

const decision = (route: string, candidates: ReadonlyArray<string>, at: number, strategy = "model") =>
  event(
    "router.decision",
    { "router.route": route, "router.candidates": candidates, "router.strategy": strategy, "router.fallback": false },
    at
  )

/** A call of a model, with what Ollama says of its time. */
const call = (
  at: number,
  options: {
    readonly model: string
    readonly in: number
    readonly out: number
    readonly load?: number
    readonly prompt: number
    readonly generate: number
  }
): Sketch => {
  const { generate, load = 2.3, model, prompt } = options
  const wait = 1.4
  const first = 3 + load + wait + prompt
  const perSecond = (1000 * options.out) / generate
  return {
    name: "llm.chat",
    kind: "client",
    at,
    for: first + generate + 2,
    attributes: {
      "llm.model": model,
      "llm.prompt_length": options.in * 4,
      "llm.temperature": 0,
      "llm.input_tokens": options.in,
      "llm.output_tokens": options.out,
      "llm.total_tokens": options.in + options.out,
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "ollama",
      "gen_ai.request.model": model,
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.usage.input_tokens": options.in,
      "gen_ai.usage.output_tokens": options.out,
      "server.address": "127.0.0.1",
      "server.port": 11434,
      "tinyllm.ollama.time_to_first_token": first / 1000,
      "tinyllm.ollama.eval_duration": generate / 1000,
      "tinyllm.ollama.output_tokens_per_second": perSecond,
      "tinyllm.ollama.attempts": 1
    },
    events: [event("llm.first_token", {}, first)],
    below: [
      { name: "ollama.load", at: 3, for: load, attributes: { "tinyllm.reconstructed": true } },
      { name: "ollama.wait", at: 3 + load, for: wait, attributes: { "tinyllm.reconstructed": true } },
      {
        name: "ollama.prompt_eval",
        at: 3 + load + wait,
        for: prompt,
        attributes: {
          "tinyllm.reconstructed": true,
          "tinyllm.ollama.tokens": options.in,
          "tinyllm.ollama.tokens_per_second": (1000 * options.in) / prompt
        }
      },
      {
        name: "ollama.generate",
        at: first,
        for: generate,
        attributes: {
          "tinyllm.reconstructed": true,
          "tinyllm.ollama.tokens": options.out,
          "tinyllm.ollama.tokens_per_second": perSecond
        }
      }
    ]
  }
}

const visit = (type: string, id: string, step: number, sketch: Omit<Sketch, "name">): Sketch => ({
  ...sketch,
  name: `node.${type}`,
  attributes: { "node.id": id, "node.type": type, "execution.step": step, ...sketch.attributes }
})

const run = (graph: string, task: string, sketch: Omit<Sketch, "name">): Sketch => ({
  ...sketch,
  name: "graph.execute",
  attributes: {
    "graph.id": graph,
    "execution.trace_id": "093d3eca-c975-438f-a3f3-d038158ab30a",
    "task.content": task,
    "gen_ai.operation.name": "invoke_workflow",
    "gen_ai.workflow.name": graph,
    ...sketch.attributes
  }
})

const small = "qwen2.5:0.5b"
const large = "qwen2.5:3b"

/** A question that the assistant answers: a router, a model and a gate. */
export const assistant = (): ReadonlyArray<StoredSpan> =>
  spansOf([
    run("assistant", "What is 17 * 23, and why?", {
      at: 0,
      for: 2410,
      attributes: { "execution.nodes_executed": 3, "execution.tokens_used": 267, "execution.duration_ms": 2410 },
      below: [
        visit("router", "classify", 1, {
          at: 2,
          for: 412,
          events: [decision("math", ["code", "math", "general"], 411)],
          below: [call(2, { model: small, in: 73, out: 9, load: 268, prompt: 46, generate: 84 })]
        }),
        visit("model", "math", 2, {
          at: 416,
          for: 1990,
          below: [call(2, { model: large, in: 31, out: 154, load: 402, prompt: 88, generate: 1486 })]
        }),
        visit("gate", "check", 3, { at: 2407, for: 0.3, events: [decision("pass", ["pass", "fail"], 0.2, "code")] })
      ]
    })
  ])

const stack = [
  "AnswerInvalid: The answer is not JSON: it ends within a text",
  "    at parse (file:///app/src/verdict.ts:41:13)",
  "    at Object.decode (file:///app/src/verdict.ts:22:24)",
  "    at review (file:///app/src/support.ts:118:31)"
].join("\n")

const exception = (type: string, message: string, at: number) =>
  event("exception", { "exception.type": type, "exception.message": message, "exception.stacktrace": stack }, at)

/** A desk that researches in parallel, drafts until a review accepts, and hands the rest to another graph; one call fails. */
export const support = (): ReadonlyArray<StoredSpan> => {
  const draft = (step: number, at: number) =>
    visit("model", "draft", step, {
      at,
      for: 760,
      below: [call(3, { model: large, in: 240 + 30 * step, out: 96, prompt: 120, generate: 610 })]
    })
  const review = (step: number, at: number, route: string) =>
    visit("router", "review", step, {
      at,
      for: 210,
      events: [decision(route, ["accept", "revise", "escalate"], 209)],
      below: [call(2, { model: small, in: 190, out: 7, prompt: 74, generate: 98 })]
    })
  return spansOf([
    run("support", "My order 7731 has not arrived, and the tracking page shows nothing.", {
      at: 0,
      for: 4480,
      error: "Could not publish the answer",
      attributes: { "execution.nodes_executed": 14, "execution.tokens_used": 2071, "error.type": "PublishFailed" },
      below: [
        visit("router", "triage", 1, {
          at: 2,
          for: 236,
          events: [decision("order", ["order", "billing", "other"], 235)],
          below: [call(2, { model: small, in: 88, out: 6, load: 96, prompt: 51, generate: 70 })]
        }),
        visit("parallel", "research", 2, {
          at: 240,
          for: 890,
          below: [
            visit("tool", "research.orders", 3, {
              at: 1,
              for: 320,
              below: [
                {
                  name: "GET /orders/{id}",
                  kind: "client",
                  at: 4,
                  for: 310,
                  attributes: {
                    "http.request.method": "GET",
                    "http.route": "/orders/{id}",
                    "http.response.status_code": 200
                  }
                }
              ]
            }),
            visit("model", "research.history", 4, {
              at: 1,
              for: 885,
              below: [call(2, { model: large, in: 412, out: 90, prompt: 204, generate: 660 })]
            }),
            visit("tool", "research.carrier", 5, {
              at: 1,
              for: 610,
              below: [
                {
                  name: "retry.attempt",
                  at: 1,
                  for: 180,
                  error: "The carrier did not answer",
                  attributes: { "retry.attempt": 1, "error.type": "CarrierDown" },
                  events: [exception("CarrierDown", "The carrier did not answer", 179)]
                },
                { name: "retry.attempt", at: 390, for: 215, attributes: { "retry.attempt": 2 } }
              ]
            })
          ]
        }),
        draft(6, 1134),
        review(7, 1898, "revise"),
        draft(8, 2112),
        review(9, 2876, "accept"),
        visit("subgraph", "publish", 10, {
          at: 3090,
          for: 1384,
          error: "Could not publish the answer",
          attributes: { "error.type": "PublishFailed" },
          below: [
            run("publish", "Your parcel is with the carrier since Monday …", {
              at: 1,
              for: 1380,
              error: "Could not publish the answer",
              below: [
                visit("transform", "shorten", 1, { at: 1, for: 0.4 }),
                visit("object", "verdict", 2, {
                  at: 3,
                  for: 1360,
                  error: "The answer is not JSON: it ends within a text",
                  attributes: { "error.type": "AnswerInvalid" },
                  events: [exception("AnswerInvalid", "The answer is not JSON: it ends within a text", 1359)],
                  below: [call(2, { model: large, in: 309, out: 128, prompt: 140, generate: 1190 })]
                })
              ]
            })
          ]
        })
      ]
    })
  ])
}

/** Services of other programs, with clocks that do not agree and a parent that is not there. */
export const foreign = (): ReadonlyArray<StoredSpan> => {
  const shop: Values = { "service.name": "shop", "telemetry.sdk.language": "go", "host.name": "web-1" }
  const stock: Values = { "service.name": "stock", "telemetry.sdk.language": "java" }
  const spans = spansOf(
    [
      {
        name: "GET /checkout",
        kind: "server",
        at: 0,
        for: 184,
        attributes: { "http.request.method": "GET", "http.route": "/checkout", "http.response.status_code": 200 },
        below: [
          {
            name: "cart.load",
            at: 4,
            for: 31,
            below: [
              {
                name: "SELECT carts",
                kind: "client",
                at: 2,
                for: 27,
                attributes: { "db.system.name": "postgresql", "db.query.text": "SELECT * FROM carts WHERE id = $1" }
              }
            ]
          },
          {
            name: "POST stock",
            kind: "client",
            at: 38,
            for: 120,
            below: [
              // A clock that is 12 ms behind.
              {
                name: "POST /reserve",
                kind: "server",
                at: -12,
                for: 96,
                resource: stock,
                below: [{ name: "lock", at: 9, for: 0 }]
              }
            ]
          }
        ]
      }
    ],
    shop
  )
  const [root] = spans
  return [
    ...spans,
    {
      ...root!,
      spanId: "ffffffffffffff01",
      parentSpanId: "eeeeeeeeeeeeeeee",
      name: "mail.send",
      kind: "producer",
      startNanos: root!.startNanos + 150_000_000n,
      endNanos: root!.startNanos + 149_000_000n,
      links: [
        { traceId: root!.traceId, spanId: root!.spanId, attributes: {} },
        { traceId: "1".repeat(32), spanId: "2".repeat(16), attributes: { reason: "batch" } }
      ]
    }
  ]
}

/** What somebody would send who means harm. */
export const hostile = (): ReadonlyArray<StoredSpan> => {
  const script = `</script><script>window.harmed = 1</script><img src=x onerror="window.harmed = 2"><!--`
  const hidden = `safe\u202Egnp.exe\u2066\u200b\u0000\u001b[31mred\u001b[0m\u2028window.harmed = 3`
  return spansOf(
    [
      run(`support\u202e ${script}`, `${script}${hidden}`, {
        at: 0,
        for: 50,
        error: `${script}${hidden}`,
        events: [
          event("exception", {
            "exception.type": script,
            "exception.message": hidden,
            "exception.stacktrace": `${script}\n`.repeat(200)
          }),
          event(script, { [script]: hidden })
        ],
        attributes: {
          [script]: script,
          hidden,
          ["__proto__"]: "own",
          constructor: script,
          long: "word ".repeat(200_000),
          "long word": "w".repeat(1_000_000),
          bytes: new Uint8Array(4096).fill(60),
          map: { [script]: [script, { [script]: 1n }] },
          url: "javascript:window.harmed = 4"
        },
        below: [
          visit("router", script, 1, {
            at: 1,
            for: 20,
            events: [event("router.decision", { "router.route": script, "router.candidates": [script, hidden] })]
          }),
          visit(script, hidden, 2, { at: 22, for: 9 }),
          { name: script, at: 32, for: 1 },
          { name: hidden, at: 34, for: 1 },
          { name: "n".repeat(1_000_000), at: 36, for: 1 },
          { name: "constructor", at: 38, for: 1 }
        ]
      })
    ],
    { "service.name": script, [script]: script }
  )
}

/** Spans below each other. */
export const deep = (depth: number): ReadonlyArray<StoredSpan> => {
  const [first] = spansOf([{ name: "level 0", at: 0, for: 100 }])
  return Array.from({ length: depth }, (_, index) => ({
    ...first!,
    name: `level ${index}`,
    spanId: (index + 1).toString(16).padStart(16, "0"),
    parentSpanId: index === 0 ? undefined : index.toString(16).padStart(16, "0"),
    startNanos: first!.startNanos + BigInt(index) * 1000n,
    endNanos: first!.endNanos - BigInt(index) * 1000n
  }))
}

/** A graph of so many nodes, one after the other, of which the last failed with a word that no line has room for. */
export const chain = (nodes: number): ReadonlyArray<StoredSpan> =>
  spansOf([
    run("chain", "One after the other", {
      at: 0,
      for: nodes * 20,
      error: "wide".repeat(300),
      below: Array.from({ length: nodes }, (_, index) =>
        visit("transform", `step-number-${index + 1}`, index + 1, {
          at: index * 20,
          for: 18,
          ...(index + 1 === nodes ? { error: "wide".repeat(300) } : {})
        })
      )
    })
  ])

/** A run of a loop, of so many spans: each round is a router and a model with a call, 12 spans. */
export const loop = (spans: number): ReadonlyArray<StoredSpan> => {
  const rounds = Math.max(1, Math.floor((spans - 1) / 12))
  return spansOf([
    run("loop", "Count to a thousand.", {
      at: 0,
      for: rounds * 100,
      below: Array.from({ length: rounds }, (_, round) => [
        visit("model", "count", 2 * round + 1, {
          at: round * 100,
          for: 60,
          below: [call(1, { model: small, in: 40, out: 12, prompt: 10, generate: 35 })]
        }),
        visit("router", "enough", 2 * round + 2, {
          at: round * 100 + 61,
          for: 38,
          events: [decision(round + 1 === rounds ? "yes" : "no", ["yes", "no"], 37)],
          below: [call(1, { model: small, in: 20, out: 2, prompt: 8, generate: 18 })]
        })
      ]).flat()
    })
  ])
}
