import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { join } from "node:path"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import { displayWidth } from "../src/TerminalText.ts"
import * as TraceStore from "../src/TraceStore.ts"
import * as TraceTail from "../src/TraceTail.ts"
import { scratch } from "./support/Process.ts"
import { call, type Given, graph, node } from "./support/StoredSpans.ts"
import { trace } from "./support/TraceHome.ts"

const hostile = "\u001b[31mred\u001b[0m\r\n\u202eevil\u0007 日本語 🙂"

const run: Given = { id: "run", name: "graph.execute", at: [0, 9], attributes: graph("assistant") }
const visit: Given = { id: "m", parent: "run", name: "node.model", at: [1, 8], attributes: node("ask", "model", 1) }
const model: Given = { id: "l", parent: "m", name: "llm.chat", at: [2, 7], attributes: call("qwen", 5, 6) }
const load: Given = { id: "o", parent: "l", name: "ollama.load", at: [3, 4] }

/** A store, what puts spans of a trace into it, and the names of what is new at each look. */
const watched = Effect.gen(function* () {
  const file = join(scratch(), "traces.db")
  const store = yield* TraceStore.make({ file, keeping: { maximumAge: "36500 days" } })
  const { look } = yield* TraceTail.make
  return {
    put: (id: string, ...given: ReadonlyArray<Given>) =>
      store.append(OtlpTraces.request(trace(id.repeat(32), 0, ...given))),
    // As a run with TRACEPARENT: the flags say that its parent is in another process.
    putCalled: (id: string, given: Given) =>
      Effect.suspend(() => {
        const json = Result.getOrThrow(OtlpTraces.toJson(OtlpTraces.request(trace(id.repeat(32), 0, given))))
        const flagged = JSON.stringify(json).replaceAll('"spanId"', '"flags":769,"spanId"')
        return store.append(Result.getOrThrow(OtlpTraces.fromJson(flagged)))
      }),
    look: Effect.provideService(look, TraceStore.TraceStore, store),
    remove: (id: string) => store.remove([id.repeat(32)])
  }
})

const names = (news: ReadonlyArray<TraceTail.News>) =>
  news.map(({ hasEnded, spans, summary }) => [
    summary.traceId[0],
    spans.map(({ span }) => span.name),
    hasEnded ? "ended" : "runs"
  ])

describe("TraceTail.make", () => {
  it.effect("finds what came since the last look, each span once, and tells when a trace has ended", () =>
    Effect.gen(function* () {
      const { look, put, remove } = yield* watched
      yield* put("a", run, visit)
      yield* put("b", visit)
      assert.deepStrictEqual(names(yield* look), [])
      assert.deepStrictEqual(names(yield* look), [])
      yield* put("b", model)
      yield* put("c", visit)
      assert.deepStrictEqual(names(yield* look), [
        ["b", ["llm.chat"], "runs"],
        ["c", ["node.model"], "runs"]
      ])
      yield* put("b", run)
      yield* put("d", run)
      yield* remove("c")
      assert.deepStrictEqual(names(yield* look), [
        ["b", ["graph.execute"], "ended"],
        ["d", ["graph.execute"], "ended"]
      ])
      assert.deepStrictEqual(names(yield* look), [])
    }).pipe(Effect.scoped)
  )

  it.effect("finds of a trace that had ended before the first look what comes late, and nothing else", () =>
    Effect.gen(function* () {
      const { look, put } = yield* watched
      yield* put("a", run, visit, load)
      yield* look
      // It has ended before others that are there.
      yield* put("a", { ...model, at: [2, 3] })
      assert.deepStrictEqual(names(yield* look), [["a", ["llm.chat"], "runs"]])
      yield* put("a", { id: "late", parent: "run", at: [5, 20] })
      assert.deepStrictEqual(names(yield* look), [["a", ["late"], "runs"]])
      assert.deepStrictEqual(names(yield* look), [])
    }).pipe(Effect.scoped)
  )

  it.effect("takes the end of what another process has called for the end, and then the real one", () =>
    Effect.gen(function* () {
      const { look, put, putCalled } = yield* watched
      // The same graph in both: nothing but the spans tells their roots apart.
      const called: Given = { ...run, id: "called", parent: "request", at: [3, 4] }
      yield* look
      yield* putCalled("a", called)
      assert.deepStrictEqual(names(yield* look), [["a", ["graph.execute"], "ended"]])
      yield* put("a", { id: "request", parent: "run", at: [2, 5] })
      assert.deepStrictEqual(names(yield* look), [["a", ["request"], "runs"]])
      yield* put("a", run)
      const [news] = yield* look
      assert.deepStrictEqual(names([news!]), [["a", ["graph.execute"], "ended"]])
      assert.strictEqual(news!.summary.endNanos - news!.summary.startNanos, 9_000_000n)
    }).pipe(Effect.scoped)
  )
})

describe("TraceTail.draw", () => {
  it.effect("has a line for what matters, in the order in which it ended", () =>
    Effect.gen(function* () {
      process.env["TZ"] = "UTC"
      const { look, put } = yield* watched
      yield* look
      yield* put("a", run, visit, model, load)
      const [news] = yield* look
      assert.deepStrictEqual(
        TraceTail.draw(news!, { width: undefined, colour: false }).map((line) => line.trimEnd()),
        [
          "03:04:05 aaaaaaaa llm.chat qwen                        5.0 ms  tokens 5→6  ~1200 tok/s",
          "03:04:05 aaaaaaaa node.model ask                       7.0 ms",
          "03:04:05 aaaaaaaa graph.execute assistant              9.0 ms  tokens 5→6  ok"
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("fits terminals, and lets no name drive them", () =>
    Effect.gen(function* () {
      const { look, put } = yield* watched
      yield* look
      yield* put(
        "a",
        { ...run, failed: hostile },
        { ...visit, name: `node.${hostile}`, attributes: node(hostile, "x", 1) }
      )
      const [news] = yield* look
      for (const width of [60, 80, 200]) {
        const lines = TraceTail.draw(news!, { width, colour: false })
        assert.strictEqual(lines.length, 2)
        for (const line of lines) {
          assert.isAtMost(displayWidth(line), width, line)
          // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
          assert.notMatch(line, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
        }
      }
    }).pipe(Effect.scoped)
  )
})
