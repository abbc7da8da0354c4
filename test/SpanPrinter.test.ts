import { assert, describe, it } from "@effect/vitest"
import * as SpanPrinter from "../src/SpanPrinter.ts"
import type { SpanRecord } from "../src/SpanPrinter.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"

const span = (spanId: string, parentId: string | undefined, rest: Partial<SpanRecord> = {}): SpanRecord => ({
  traceId,
  spanId,
  parentId,
  name: spanId,
  kind: "internal",
  startTime: 1_700_000_000_000_000_000n,
  endTime: 1_700_000_000_012_500_000n,
  status: { code: "unset" },
  attributes: {},
  events: [],
  ...rest
})

const exception = {
  name: "exception",
  time: 1n,
  attributes: { "exception.type": "OllamaError", "exception.message": 'Model "x" is not installed.\nInstall it.' }
}

const later = (millis: number) => 1_700_000_000_000_000_000n + BigInt(millis) * 1_000_000n

const plain = { width: 100, colour: false }

describe("SpanPrinter.tree", () => {
  it("shows a program's own attributes and events, and of ours what matters", () => {
    const record = span("order.load", undefined, {
      attributes: {
        "order.id": "o-17",
        "order.items": 3,
        "order.note": "long ".repeat(20),
        "gen_ai.provider.name": "ollama",
        "task.content": "hidden"
      },
      events: [
        { name: "cache.hit", time: 1n, attributes: {} },
        { name: "retry.scheduled", time: 2n, attributes: {} }
      ]
    })
    assert.strictEqual(
      SpanPrinter.tree([record], { width: 200, colour: false }).split("\n")[1],
      `order.load 13 ms  order.id=o-17 order.items=3 order.note=${"long ".repeat(8)}… • cache.hit`
    )
  })

  it("draws a run: names, times, what matters, the route, the error where it arose", () => {
    const spans = [
      span("llm1", "router", {
        name: "llm.chat",
        startTime: later(1),
        attributes: {
          "llm.model": "qwen2.5:0.5b",
          "llm.input_tokens": 40,
          "llm.output_tokens": 2,
          "llm.prompt_length": 99
        }
      }),
      span("router", "root", {
        name: "node.router",
        attributes: { "node.id": "classify", "execution.step": 1 },
        events: [{ name: "router.decision", time: 1n, attributes: { "router.route": "code" } }]
      }),
      span("llm2", "model", {
        name: "llm.chat",
        startTime: later(30),
        endTime: later(1530),
        status: { code: "error", message: "not installed" },
        events: [exception]
      }),
      span("model", "root", {
        name: "node.model",
        startTime: later(20),
        endTime: later(1540),
        attributes: { "node.id": "write", "execution.step": 2 },
        status: { code: "error", message: "not installed" }
      }),
      span("root", undefined, {
        name: "graph.execute",
        endTime: later(75_000),
        attributes: { "graph.id": "default", "execution.nodes_executed": 2, "execution.tokens_used": 42 },
        status: { code: "error", message: "not installed" }
      })
    ]
    assert.strictEqual(
      SpanPrinter.tree(spans, plain),
      [
        `trace ${traceId}, 5 spans`,
        "graph.execute 1 min 15 s  default nodes=2 tokens=42",
        "├─ node.router 13 ms  classify step=1 → code",
        "│  └─ llm.chat 12 ms  qwen2.5:0.5b in=40 out=2",
        "└─ node.model 1.52 s  write step=2",
        "   └─ llm.chat 1.50 s",
        '         ✗ OllamaError: Model "x" is not installed. Install it.',
        ""
      ].join("\n")
    )
  })

  it("shows the status of a failed span that recorded nothing", () => {
    const text = SpanPrinter.tree([span("root", undefined, { status: { code: "error", message: "gone" } })], plain)
    assert.include(text, "✗ gone")
  })

  it("draws spans whose parent is elsewhere as roots, and says when a span was interrupted", () => {
    const text = SpanPrinter.tree(
      [span("a", "remote", { attributes: { "effect.fiber.interrupted": true } }), span("b", "remote")],
      plain
    )
    assert.strictEqual(text, `trace ${traceId}, 2 spans\na 13 ms  interrupted\nb 13 ms\n`)
  })

  it("cuts every line to the width, also with wide characters and deep trees", () => {
    const spans = [span("root", undefined, { name: "根".repeat(80) })]
    for (let depth = 0; depth < 40; depth++) {
      spans.push(span(`s${depth}`, depth === 0 ? "root" : `s${depth - 1}`, { events: [exception] }))
    }
    for (const line of SpanPrinter.tree(spans, { width: 60, colour: false }).trimEnd().split("\n")) {
      assert.isAtMost(SpanPrinter.displayWidth(line), 60)
    }
  })

  it("colours nothing unless asked, and errors red when asked; colours take no width", () => {
    const spans = [span("root", undefined, { status: { code: "error" }, events: [exception] })]
    assert.notInclude(SpanPrinter.tree(spans, plain), "\u001b")
    const coloured = SpanPrinter.tree(spans, { width: 100, colour: true })
    assert.include(coloured, "\u001b[31m✗ OllamaError")
    // oxlint-disable-next-line no-control-regex -- takes the colours away again
    assert.strictEqual(coloured.replace(/\u001b\[\d+m/g, ""), SpanPrinter.tree(spans, plain))
  })

  it("makes escapes, control characters and marks of direction harmless", () => {
    const text = SpanPrinter.tree(
      [
        span("root", undefined, {
          name: "evil\u001b[2J\u009b31m\u202e",
          attributes: { "node.id": "a\r\nb\u0007\tc" },
          status: { code: "error", message: "x\u001b]0;title\u0007" }
        })
      ],
      plain
    )
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    assert.notMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    assert.include(text, "evil�[2J�31m�")
    assert.include(text, "a b� c")
  })

  it("draws a chain of ten thousand spans", () => {
    const spans = Array.from({ length: 10_000 }, (_, depth) =>
      span(`s${depth}`, depth === 0 ? undefined : `s${depth - 1}`)
    )
    assert.lengthOf(SpanPrinter.tree(spans, plain).trimEnd().split("\n"), 10_001)
  })
})

describe("SpanPrinter.json", () => {
  it("is one line that can be read back, numbers as numbers", () => {
    const text = SpanPrinter.json(
      span("child", "root", {
        kind: "client",
        attributes: { "llm.input_tokens": 40, rate: 0.5, text: 'a\nb "c"', list: ["a", "b"], yes: true },
        status: { code: "error", message: "no" },
        events: [exception]
      })
    )
    assert.notInclude(text, "\n")
    assert.deepStrictEqual(JSON.parse(text), {
      trace_id: traceId,
      span_id: "child",
      parent_id: "root",
      name: "child",
      kind: "client",
      start: "2023-11-14T22:13:20.000Z",
      duration_ms: 12.5,
      status: "error",
      status_message: "no",
      attributes: { "llm.input_tokens": 40, rate: 0.5, text: 'a\nb "c"', list: ["a", "b"], yes: true },
      events: [{ name: "exception", time: "1970-01-01T00:00:00.000Z", attributes: exception.attributes }]
    })
  })

  it("has a null parent at the root", () => {
    assert.isNull(JSON.parse(SpanPrinter.json(span("root", undefined))).parent_id)
  })
})

describe("SpanPrinter.displayWidth", () => {
  it.each<[string, number]>([
    ["abc", 3],
    ["日本", 4],
    ["e\u0301", 1],
    ["😀", 2],
    ["…", 1],
    ["한", 2]
  ])("%j takes %d columns", (text, width) => {
    assert.strictEqual(SpanPrinter.displayWidth(text), width)
  })
})
