// Traces as lines for a terminal: waterfalls, lists, differences, numbers. All of them fit whatever terminal there is.
import { assert, beforeAll, describe, it } from "vitest"
import { displayWidth } from "../src/TerminalText.ts"
import * as TraceDiff from "../src/TraceDiff.ts"
import * as TraceJson from "../src/TraceJson.ts"
import * as TraceList from "../src/TraceList.ts"
import * as TraceStats from "../src/TraceStats.ts"
import type { TraceSummary } from "../src/TraceSummary.ts"
import * as TraceTree from "../src/TraceTree.ts"
import * as TraceWaterfall from "../src/TraceWaterfall.ts"
import { call, decided, epoch, type Given, graph, node, span, spans, traceId } from "./support/StoredSpans.ts"

beforeAll(() => {
  process.env["TZ"] = "Asia/Tokyo"
})

const plain = (width: number | undefined) => ({ width, colour: false })

const exception = (type: string, message: string) => ({
  name: "exception",
  attributes: {
    "exception.type": type,
    "exception.message": message,
    "exception.stacktrace": `${type}: ${message}\n    at one (a.ts:1:1)\n    at two (b.ts:2:2)\n    at three (c.ts:3:3)\n    at four (d.ts:4:4)`
  }
})

/** A run that asks two models, of which the second does not answer. */
const failed: ReadonlyArray<Given> = [
  {
    id: "run",
    name: "graph.execute",
    at: [0, 85],
    failed: true,
    attributes: graph("assistant", { "task.content": "What is 2 + 2?" })
  },
  {
    id: "r",
    parent: "run",
    name: "node.router",
    at: [1, 64],
    attributes: node("classify", "router", 1),
    events: [decided("math", ["math", "code", "other"])]
  },
  {
    id: "l1",
    parent: "r",
    name: "llm.chat",
    at: [2, 63],
    attributes: call("qwen2.5:0.5b", 73, 9, { "tinyllm.ollama.output_tokens_per_second": 219.3 })
  },
  { id: "load", parent: "l1", name: "ollama.load", at: [3, 5.3] },
  { id: "generate", parent: "l1", name: "ollama.generate", at: [8, 49] },
  { id: "m", parent: "run", name: "node.model", at: [65, 83], failed: true, attributes: node("math", "model", 2) },
  {
    id: "l2",
    parent: "m",
    name: "llm.chat",
    at: [66, 82],
    failed: "refused",
    attributes: call("qwen2.5:3b", 28),
    events: [exception("OllamaError", "Ollama is not reachable at http://127.0.0.1:11434 (connection refused)")]
  }
]

const tree = (...given: ReadonlyArray<Given>) => TraceTree.make(spans(...given))

const widths = [60, 80, 200]

/** No line is wider than the terminal, and none drives it. */
const assertFits = (lines: ReadonlyArray<string>, width: number) => {
  for (const line of lines) {
    assert.isAtMost(displayWidth(line), width, line)
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    assert.notMatch(line, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
  }
}

// What outsiders may write into a span.
const hostile = "\u001b[31mred\u001b[0m\r\n\u202eevil\u0007 日本語のスパン 🙂 <b>"

describe("TraceWaterfall.draw", () => {
  it("shows every span in its place with its times, tokens and a bar, and errors where they arose", () => {
    const { leftOut, lines } = TraceWaterfall.draw(tree(...failed), plain(80))
    assert.deepStrictEqual(lines, [
      `trace ${traceId}`,
      "assistant · tinyllm · 2026-01-02 12:04:05",
      "failed · 85 ms · 7 spans · 2 node visits · tokens 101→9 · qwen2.5:0.5b,",
      "qwen2.5:3b",
      "“What is 2 + 2?”",
      "",
      "SPAN                           TIME    SELF  TOKENS  TOK/S  0              85 ms",
      "graph.execute assistant       85 ms  4.0 ms   101→9         ████████████████████",
      "├─ node.router classify       63 ms  2.0 ms                 ███████████████",
      "│  │  → math by model, not code, other",
      "│  └─ llm.chat qwen2.5:0.5b   61 ms   18 ms    73→9    219  ▐██████████████",
      "│     ├─ ollama.load         2.3 ms                         ▐",
      "│     └─ ollama.generate      41 ms                           █████████▌",
      "└─ node.model math            18 ms  2.0 ms                                ▐███▌",
      "   └─ llm.chat qwen2.5:3b     16 ms             28→                        ▐███▌",
      "         ✗ OllamaError: Ollama is not reachable at http://127.0.0.1:11434",
      "           (connection refused)",
      "           at one (a.ts:1:1)",
      "           at two (b.ts:2:2)",
      "           at three (c.ts:3:3)"
    ])
    assert.deepStrictEqual(leftOut, [])
  })

  it("fits 60, 80 and 200 columns with names of any kind, at any depth, and says which columns it left out", () => {
    const deep = Array.from({ length: 40 }, (_, index): Given => ({
      id: `deep${index}`,
      parent: index === 0 ? "run" : `deep${index - 1}`,
      name: hostile,
      at: [index, 85 - index],
      failed: hostile,
      attributes: { ...node(hostile, hostile, index), [hostile]: hostile },
      events: [
        exception(hostile, hostile),
        decided(hostile, [hostile, "other"]),
        { name: hostile, attributes: { [hostile]: hostile } }
      ]
    }))
    for (const width of widths) {
      const { leftOut, lines } = TraceWaterfall.draw(tree(...failed, ...deep), {
        ...plain(width),
        attributes: true,
        events: true
      })
      // The id of the trace is whole on every terminal.
      assertFits(lines, width)
      assert.deepStrictEqual(leftOut, width === 60 ? ["TOK/S"] : [])
      assert.include(lines.join("\n"), "日本語のスパン 🙂 <b>")
    }
  })

  it("shows the branches of a tree of short names", () => {
    for (const width of [undefined, 60]) {
      const { lines } = TraceWaterfall.draw(
        tree({ id: "a", at: [0, 2] }, { id: "b", parent: "a", at: [0, 1] }),
        plain(width)
      )
      assert.isTrue(
        lines.some((line) => line.startsWith("└─ ")),
        lines.join("\n")
      )
    }
  })

  it("lines its columns up below names of wide characters", () => {
    const { lines } = TraceWaterfall.draw(
      tree({ id: "a", name: "日本語🙂", at: [0, 10] }, { id: "b", name: "plain", at: [10, 20] }),
      plain(60)
    )
    const [wide, narrow] = lines.slice(-2)
    const before = (line = "") => displayWidth(line.slice(0, line.indexOf("10 ms")))
    assert.strictEqual(before(wide), before(narrow))
  })

  it("cuts nothing where the width is unknown", () => {
    const long = "long".repeat(100)
    const { lines } = TraceWaterfall.draw(tree({ id: "a", name: long, at: [0, 10] }), plain(undefined))
    assert.include(lines.at(-1), `${long}  10 ms`)
  })

  it("colours what it shows only where it is asked to", () => {
    const drawn = (colour: boolean) => TraceWaterfall.draw(tree(...failed), { width: 80, colour }).lines
    const escapes = /\u001b\[\d+m/g
    assert.notMatch(drawn(false).join("\n"), escapes)
    assert.match(drawn(true).join("\n"), escapes)
    assert.deepStrictEqual(
      drawn(true).map((line) => line.replace(escapes, "").trimEnd()),
      drawn(false).map((line) => line.trimEnd())
    )
  })

  it("shows attributes and events on request", () => {
    const [, ...rows] = TraceWaterfall.draw(
      tree({
        id: "a",
        at: [0, 10],
        attributes: {
          text: "two words",
          whole: 42,
          big: 9007199254740993n,
          list: ["a", 1],
          map: { deep: true },
          bytes: new Uint8Array([1, 255])
        },
        events: [
          { name: "cache.hit", at: 4, attributes: { key: "k" } },
          { name: "clock.set", at: -5000 }
        ]
      }),
      { ...plain(80), attributes: true, events: true }
    )
      .lines.join("\n")
      .split(/TIME[^\n]*\n/)
    assert.deepStrictEqual(rows.join("").split("\n").slice(1), [
      "   text = two words",
      "   whole = 42",
      "   big = 9007199254740993",
      `   list = ["a",1]`,
      `   map = {"deep":true}`,
      `   bytes = "01ff"`,
      "   • cache.hit +4.0 ms  key=k",
      "   • clock.set −5.00 s"
    ])
  })

  it("shows attempts, what was interrupted, and what is not whole", () => {
    const shown = TraceWaterfall.draw(
      tree(
        {
          id: "m",
          parent: "gone",
          name: "node.model",
          at: [0, 9],
          attributes: node("ask", "model", 1),
          events: [
            {
              name: "retry.scheduled",
              attributes: { "retry.attempt": 1, "retry.delay_ms": 200, "error.type": "timeout" }
            }
          ]
        },
        { id: "1", parent: "m", name: "retry.attempt", at: [0, 3], failed: "late", attributes: { "retry.attempt": 1 } },
        {
          id: "2",
          parent: "m",
          name: "retry.attempt",
          at: [4, 9],
          attributes: { "retry.attempt": 2, "effect.fiber.interrupted": true }
        },
        { id: "b", parent: "2", name: "odd", at: [8, 7] }
      ),
      plain(100)
    ).lines.join("\n")
    assert.include(shown, "running · ")
    assert.include(shown, "node.model ask 2 attempts (parent not here)")
    assert.include(shown, "↻ attempt 1 failed (timeout), again after 200 ms")
    assert.include(shown, "retry.attempt 2 interrupted")
    assert.include(shown, "odd (ends before it starts)")
    assert.include(shown, "1 span below what is not here: it still runs, is in another program, or was lost.")
  })

  it("shows a stack once where attempts fail alike", () => {
    const attempt = (number: number, message: string): Given => ({
      id: `a${number}`,
      name: "retry.attempt",
      at: [number, number + 1],
      failed: message,
      events: [exception("Busy", message)]
    })
    const { lines } = TraceWaterfall.draw(tree(attempt(1, "busy"), attempt(2, "busy"), attempt(3, "gone")), plain(80))
    const count = (text: string) => lines.filter((line) => line.includes(text)).length
    assert.deepStrictEqual([count("✗ Busy: busy"), count("✗ Busy: gone"), count("at one (a.ts:1:1)")], [2, 1, 2])
  })

  it("draws a chain of 10 000 spans", () => {
    const chain = Array.from({ length: 10_000 }, (_, index) =>
      span({
        id: `${index}`,
        parent: index === 0 ? undefined : `${index - 1}`,
        name: "step",
        at: [index, 20_000 - index]
      })
    )
    for (const width of [60, undefined]) {
      const begin = performance.now()
      const { lines } = TraceWaterfall.draw(TraceTree.make(chain), plain(width))
      assert.isAtLeast(lines.length, 10_000)
      assert.isBelow(performance.now() - begin, 10_000)
    }
  })
})

const summary = (more: Partial<TraceSummary> = {}): TraceSummary => ({
  traceId,
  rootName: "graph.execute",
  service: "tinyllm",
  graph: "assistant",
  query: "What is 2 + 2?",
  status: "ok",
  startNanos: epoch,
  endNanos: epoch + 85_000_000n,
  spans: 14,
  failedSpans: 0,
  nodes: 3,
  inputTokens: 101,
  outputTokens: 10,
  models: ["qwen2.5:0.5b", "qwen2.5:3b"],
  ...more
})

describe("TraceList.draw", () => {
  const others = [
    summary({ traceId: `0af765191${"1".repeat(23)}`, status: "error", query: `${hostile} ${"and more ".repeat(30)}` }),
    summary({
      traceId: "f".repeat(32),
      status: "running",
      graph: undefined,
      query: undefined,
      nodes: undefined,
      inputTokens: undefined,
      outputTokens: undefined,
      models: [],
      rootName: "GET /",
      service: "shop"
    })
  ]
  const now = epoch + 3_600_000_000_000n

  it("shows ids as short as they can be, and times of today without their date", () => {
    assert.deepStrictEqual(TraceList.draw([summary(), ...others], now, plain(120)).text.split("\n"), [
      "TRACE       TIME      GRAPH      STATUS   DURATION  NODES  TOKENS  MODEL                     QUERY",
      "0af7651916  12:04:05  assistant  ok          85 ms      3  101→10  qwen2.5:0.5b, qwen2.5:3b  What is 2 + 2?",
      "0af7651911  12:04:05  assistant  failed      85 ms      3  101→10  qwen2.5:0.5b, qwen2.5:3b  �[31mred�[0m �evil� 日本語…",
      "ffffffffff  12:04:05  shop       running                                                     GET /",
      ""
    ])
    assert.include(TraceList.draw([summary()], now + 86_400_000_000_000n, plain(120)).text, "  2026-01-02 12:04:05  ")
  })

  it("cuts what was asked before a column gives way, and fits 60, 80 and 200 columns", () => {
    for (const width of widths) {
      assertFits(
        TraceList.draw([summary(), ...others], now, plain(width))
          .text.trimEnd()
          .split("\n"),
        width
      )
    }
    assert.deepStrictEqual(TraceList.draw([summary(), ...others], now, plain(80)).leftOut, ["MODEL"])
    assert.deepStrictEqual(TraceList.draw([summary(), ...others], now, plain(200)).leftOut, [])
  })

  it("shows ids, times and queries as a whole where the width is unknown", () => {
    const { text } = TraceList.draw([summary(), ...others], now, plain(undefined))
    assert.include(text, `${traceId}  2026-01-02 12:04:05`)
    assert.include(text, "and more ".repeat(30).trim())
  })

  it("tells programs the same without words for people", () => {
    assert.deepInclude(TraceList.toJson(others[1]!), {
      status: "running",
      durationMs: null,
      graph: null,
      inputTokens: null
    })
    assert.deepInclude(TraceList.toJson(summary()), {
      startTime: "2026-01-02T03:04:05.000000000Z",
      durationMs: 85,
      nodes: 3
    })
  })
})

/** A run that goes one way or the other, and takes so many times as long. */
const going = (way: string, factor: number, ...more: ReadonlyArray<Given>) =>
  tree(
    { id: "run", name: "graph.execute", at: [0, 85 * factor], attributes: graph("assistant") },
    {
      id: "r",
      parent: "run",
      name: "node.router",
      at: [1, 64 * factor],
      attributes: node("classify", "router", 1),
      events: [decided(way, ["math", "code"])]
    },
    {
      id: "l1",
      parent: "r",
      name: "llm.chat",
      at: [2, 63 * factor],
      attributes: call("qwen2.5:0.5b", 73, 9, { "tinyllm.ollama.output_tokens_per_second": 200 })
    },
    { id: "m", parent: "run", name: "node.model", at: [65 * factor, 83 * factor], attributes: node(way, "model", 2) },
    {
      id: "l2",
      parent: "m",
      name: "llm.chat",
      at: [66 * factor, 82 * factor],
      attributes: call("qwen2.5:3b", 28, 2 * factor)
    },
    ...more
  )

describe("TraceDiff", () => {
  it("tells of two runs of one graph which step went another way, took longer, or was visited by one only", () => {
    const { lines } = TraceDiff.draw(going("math", 1), going("code", 2), plain(80))
    assert.deepStrictEqual(lines, [
      "a  0af76519 · assistant · ok · 85 ms · 112 tokens · 2026-01-02 12:04:05",
      "b  0af76519 · assistant · ok · 170 ms · 114 tokens · 2026-01-02 12:04:05",
      "",
      "   STEP      WAY          TIME A  TIME B  CHANGE  TOKENS A  TOKENS B  ENDED",
      "≠  classify  math | code   63 ms  127 ms    ×2.0        82        82  ok",
      "+  code                            36 ms                          32  ok",
      "-  math                    18 ms                        30            ok",
      "",
      "The ways part at classify: math in a, code in b.",
      "The greatest difference in time is at classify: 64 ms more in b."
    ])
  })

  it("tells visits of one node apart, and says that nothing differs", () => {
    const again: Given = {
      id: "r2",
      parent: "run",
      name: "node.router",
      at: [84, 85],
      attributes: node("classify", "router", 3)
    }
    const { parting, rows } = TraceDiff.compare(going("math", 1, again), going("math", 1))
    assert.deepStrictEqual(
      rows.map(({ differs, name }) => [name, differs]),
      [
        ["classify", []],
        ["math", []],
        ["classify (2)", ["presence"]]
      ]
    )
    assert.strictEqual(parting?.name, "classify (2)")
    assert.include(TraceDiff.draw(going("math", 1), going("math", 1), plain(80)).lines, "Both went the same way.")
  })

  it("names what differs in outcome, tokens and attempts", () => {
    const base = (more: Partial<Given>, tokens: number) =>
      tree(
        { id: "run", name: "graph.execute", at: [0, 9], attributes: graph("g") },
        { id: "m", parent: "run", name: "node.model", at: [0, 8], attributes: node("ask", "model", 1), ...more },
        { id: "l", parent: "m", name: "llm.chat", at: [0, 8], attributes: call("m", 1, tokens) },
        ...(more.failed === undefined
          ? []
          : [1, 2].map((attempt): Given => ({
              id: `a${attempt}`,
              parent: "m",
              name: "retry.attempt",
              at: [0, 1],
              attributes: { "retry.attempt": attempt }
            })))
      )
    const [row] = TraceDiff.compare(base({}, 1), base({ failed: true }, 2)).rows
    assert.deepStrictEqual(row?.differs, ["outcome", "tokens", "attempts"])
    assert.include(
      TraceDiff.draw(base({}, 1), base({ failed: true }, 2), plain(100)).lines.join("\n"),
      "ok | failed after 2 attempts"
    )
  })

  it("says that graphs differ or that none ran, and compares spans by their names", () => {
    const other = tree({ id: "run", name: "graph.execute", at: [0, 5], attributes: graph("chat") })
    const none = tree({ id: "a", name: "GET /", at: [0, 5] }, { id: "b", name: "GET /", at: [5, 9] })
    const lines = (a: TraceTree.TraceTree, b: TraceTree.TraceTree) => TraceDiff.draw(a, b, plain(100)).lines.join("\n")
    assert.include(
      lines(going("math", 1), other),
      "These are runs of different graphs, assistant and chat: compared by the names of spans."
    )
    assert.include(lines(going("math", 1), other), "graph.execute  1 ")
    assert.include(lines(other, none), "No graph ran in b: compared by the names of spans.")
    assert.match(lines(none, none), /= {2}GET \/ {2}2 /)
  })

  it("wraps what it says of the two traces", () => {
    const run = tree(...failed)
    const { lines } = TraceDiff.draw(run, run, plain(40))
    const head = lines.slice(0, lines.indexOf("")).join("\n")
    assert.include(head.replaceAll(/\s+/g, " "), "2026-")
    assert.notInclude(head, "…")
  })

  it("fits 60, 80 and 200 columns with names of any kind", () => {
    const odd = (outcome: boolean) =>
      tree(
        { id: "run", name: "graph.execute", at: [0, 5], attributes: graph(hostile) },
        {
          id: "n",
          parent: "run",
          name: "node.gate",
          at: [0, 5],
          failed: outcome,
          attributes: node(hostile.repeat(5), "gate", 1),
          events: [decided(hostile.repeat(3) + String(outcome))]
        }
      )
    for (const width of widths) {
      assertFits(
        TraceDiff.draw(odd(true), odd(false), plain(width)).lines.filter((line) => !line.startsWith("The ")),
        width
      )
    }
  })
})

describe("TraceStats", () => {
  const statsOf = (...traces: ReadonlyArray<TraceTree.TraceTree>) => {
    const collector = TraceStats.collector()
    traces.forEach((trace) => collector.add(trace))
    return collector.stats()
  }

  it("counts visits by type and calls by model, with failures, percentiles, tokens and the share of time", () => {
    const stats = statsOf(...Array.from({ length: 100 }, (_, index) => going("math", index + 1)), tree(...failed))
    assert.strictEqual(stats.traces, 101)
    assert.strictEqual(stats.failed, 1)
    const router = stats.nodes.find(({ name }) => name === "router")
    assert.strictEqual(router?.count, 101)
    assert.strictEqual(router?.failed, 0)
    assert.deepStrictEqual(router?.tokens, { input: 7373, output: 909 })
    assert.strictEqual(router?.p50Nanos, 50 * 64e6 - 1e6)
    assert.strictEqual(router?.p95Nanos, 95 * 64e6 - 1e6)
    assert.strictEqual(router?.p99Nanos, 99 * 64e6 - 1e6)
    const model = stats.nodes.find(({ name }) => name === "model")
    assert.strictEqual(model?.failed, 1)
    const large = stats.models.find(({ name }) => name === "qwen2.5:3b")
    assert.strictEqual(large?.count, 101)
    assert.strictEqual(large?.failed, 1)
    assert.isUndefined(large?.tokensPerSecond)
    assert.strictEqual(stats.models.find(({ name }) => name === "qwen2.5:0.5b")?.tokensPerSecond, 200)
    const share = stats.nodes.reduce((sum, group) => sum + group.share, 0)
    assert.isAtMost(share, 1)
    assert.isAbove(share, 0.9)
  })

  it("gives a container the time and the tokens that are not those of visits inside", () => {
    const stats = statsOf(
      tree(
        { id: "run", name: "graph.execute", at: [0, 10], attributes: graph("g") },
        { id: "p", parent: "run", name: "node.parallel", at: [0, 10], attributes: node("both", "parallel", 1) },
        { id: "x", parent: "p", name: "node.model", at: [0, 8], attributes: node("both.x", "model", 2) },
        { id: "l", parent: "x", name: "llm.chat", at: [0, 8], attributes: call("m", 5, 5) }
      )
    )
    assert.deepStrictEqual(
      stats.nodes.map(({ name, share, tokens }) => ({ name, share, tokens })),
      [
        { name: "model", share: 0.8, tokens: { input: 5, output: 5 } },
        { name: "parallel", share: 0.2, tokens: { input: undefined, output: undefined } }
      ]
    )
  })

  it("shows them as tables with bars that fit 60, 80 and 200 columns", () => {
    const stats = statsOf(
      going("math", 1),
      going("math", 2),
      tree(...failed, {
        id: "odd",
        parent: "run",
        name: "node.odd",
        at: [0, 1],
        attributes: node("odd", hostile.repeat(4), 9)
      })
    )
    for (const width of widths) {
      assertFits(TraceStats.draw(stats, plain(width)).lines, width)
    }
    const { leftOut, lines } = TraceStats.draw(statsOf(going("math", 1), going("math", 2)), plain(100))
    assert.deepStrictEqual(lines, [
      "2 traces · 4 node visits · 4 model calls · tokens 202→24",
      "2026-01-02 12:04:05 to 2026-01-02 12:04:05",
      "",
      "NODE TYPE  COUNT  FAILED    P50     P95     P99  TOKENS  SHARE  OF TIME",
      "router         2       0  63 ms  127 ms  127 ms  146→18   75 %  █████████",
      "model          2       0  18 ms   36 ms   36 ms    56→6   21 %  ██▌",
      "",
      "MODEL         COUNT  FAILED    P50     P95     P99  TOKENS  TOK/S  SHARE  OF TIME",
      "qwen2.5:0.5b      2       0  61 ms  124 ms  124 ms  146→18  200.0   73 %  ████████▊",
      "qwen2.5:3b        2       0  16 ms   32 ms   32 ms    56→6          19 %  ██▎"
    ])
    assert.deepStrictEqual(leftOut, [])
  })
})

describe("narrow terminals", () => {
  const run = (factor: number) =>
    tree(
      { id: "run", name: "graph.execute", at: [0, 1250 * factor], attributes: graph("assistant") },
      { id: "n", parent: "run", name: "node.model", at: [0, 1234 * factor], attributes: node("answer", "model", 1) },
      { id: "l", parent: "n", name: "llm.chat", at: [0, 1230 * factor], attributes: call("large", 1234, 5678) }
    )
  const collector = TraceStats.collector()
  collector.add(run(1))
  collector.add(run(60))
  const summaries = [
    summary({ models: ["large"], query: "Why?" }),
    summary({
      traceId: "f".repeat(32),
      models: ["large"],
      query: "Why?",
      status: "interrupted",
      endNanos: epoch + 12_340_000_000n
    })
  ]
  const foreign = (factor: number) => tree({ id: "a", name: "GET", at: [0, factor] })
  const drawn = (width: number | undefined): Readonly<Record<string, TraceWaterfall.Drawn>> => {
    const list = TraceList.draw(summaries, epoch, plain(width))
    return {
      stats: TraceStats.draw(collector.stats(), plain(width)),
      list: { ...list, lines: list.text.trimEnd().split("\n") },
      show: TraceWaterfall.draw(run(60), plain(width)),
      diff: TraceDiff.draw(run(1), run(60), plain(width)),
      spans: TraceDiff.draw(foreign(12), foreign(34_567), plain(width))
    }
  }
  const columns = ({ lines }: TraceWaterfall.Drawn): ReadonlyArray<string> =>
    lines.join("\n").match(/(?<= {2})(?!OF TIME)([A-Z][A-Z0-9/]+( [AB])?)(?= {2}|\n)/g) ?? []

  it.each([20, 24, 30, 40, 50, 60])("of %d columns show a number as a whole, or say that it has no room", (width) => {
    const whole = drawn(undefined)
    for (const [name, { leftOut, lines }] of Object.entries(drawn(width))) {
      for (const line of lines) {
        assert.notMatch(line, /\d( ?[a-zµ]+)?…/, name)
      }
      const expected = new Set(columns(whole[name]!))
      assert.isNotEmpty(expected)
      for (const column of expected) {
        assert.isTrue(columns({ lines, leftOut: [] }).includes(column) || leftOut.includes(column), `${name} ${column}`)
      }
    }
  })

  it("leave room for the names of spans", () => {
    for (const width of [10, 20, 24, 30, 40]) {
      const { lines } = TraceWaterfall.draw(run(60), plain(width))
      assert.include(lines.join("\n"), "\ngraph.", String(width))
    }
    for (let width = 1; width < 30; width++) {
      assert.isNotEmpty(TraceWaterfall.draw(tree(...failed), plain(width)).lines)
    }
  })
})

describe("TraceJson.toJson", () => {
  it("is an object with what its runs did, and every span with its times and values", () => {
    const json = JSON.parse(JSON.stringify(TraceJson.toJson(tree(...failed))))
    assert.deepInclude(json, {
      traceId,
      startTime: "2026-01-02T03:04:05.000000000Z",
      durationMs: 85,
      inputTokens: 101,
      outputTokens: 9
    })
    assert.deepInclude(json.runs[0], { graph: "assistant", query: "What is 2 + 2?", outcome: "error" })
    assert.deepInclude(json.runs[0].steps[0], {
      node: "classify",
      type: "router",
      step: 1,
      route: "math",
      attempts: 1,
      durationMs: 63
    })
    assert.deepInclude(json.spans[0], { name: "graph.execute", parentSpanId: null, selfMs: 4, status: "error" })
    assert.strictEqual(json.spans.length, 7)
    assert.strictEqual(json.spans[2].attributes["llm.input_tokens"], 73)
    assert.strictEqual(json.spans[2].tokensPerSecond, 219.3)
  })
})
