import { assert, describe, it, vi } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import type { StoredSpan, Values } from "../src/StoredSpan.ts"
import * as StoreConfig from "../src/StoreConfig.ts"
import * as TraceDatabase from "../src/TraceDatabase.ts"
import * as TraceQueries from "../src/TraceQueries.ts"
import * as TraceStore from "../src/TraceStore.ts"
import { scratch } from "./support/Process.ts"

const fileIn = (folder = scratch()) => join(folder, "traces.db")

const open = (file: string, keeping?: TraceStore.Options["keeping"]) => TraceStore.make({ file, keeping })

const id = (n: number): string => n.toString(16).padStart(32, "0")
const spanId = (n: number): string => n.toString(16).padStart(16, "0")

/** A span of one second, in trace 1 unless it says another one. */
const span = (n: number, more: Partial<StoredSpan> & { readonly attributes?: Values } = {}): StoredSpan => ({
  traceId: id(1),
  spanId: spanId(n),
  parentSpanId: undefined,
  name: `span ${n}`,
  kind: "internal",
  startNanos: 1_700_000_000_000_000_000n,
  endNanos: 1_700_000_001_000_000_000n,
  status: { code: "unset", message: "" },
  attributes: {},
  events: [],
  links: [],
  resource,
  scope,
  traceState: "",
  dropped: { attributes: 0, events: 0, links: 0 },
  ...more
})
const resource = { "service.name": "shop" }
const scope = { name: "test", version: "1" }
const child = { parentSpanId: spanId(1) }
const failed = { status: { code: "error", message: "" } } as const

const put = (store: TraceStore.TraceStore["Service"], ...spans: ReadonlyArray<StoredSpan>) =>
  store.append(OtlpTraces.request(spans))

const only = (store: TraceStore.TraceStore["Service"]) => Effect.map(store.list(), ([summary]) => summary)

describe("append and read", () => {
  it.effect("gives back what it was given, the span that began first first", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      const other = { "service.name": "till" }
      const spans = [
        span(3, { startNanos: 30n, attributes: { n: 1, big: 2n ** 60n, half: 0.5 }, parentSpanId: spanId(2) }),
        span(2, { startNanos: 20n, resource: other, scope: { name: "http", version: "" } }),
        span(1, { startNanos: 10n, events: [{ name: "e", timeNanos: 11n, attributes: { a: "b" } }] })
      ]
      assert.deepStrictEqual(yield* put(store, ...spans), { taken: 3, known: 0, invalid: 0 })
      assert.deepStrictEqual(yield* store.read(id(1)), spans.toReversed())
      assert.deepStrictEqual(yield* Effect.flip(store.read(id(2))), notFound(id(2)))
    })
  )

  it.effect("says which spans of a trace came after so many others", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      yield* put(store, span(3, { ...child, startNanos: 30n }), span(4, child))
      yield* put(store, span(1, { traceId: id(2) }))
      yield* put(store, span(4, child), span(2, { ...child, startNanos: 20n }), span(1, { startNanos: 10n }))
      assert.deepStrictEqual(yield* store.latest(id(1), 0), [3, 4, 2, 1].map(spanId))
      assert.deepStrictEqual(yield* store.latest(id(1), 2), [2, 1].map(spanId))
      assert.deepStrictEqual(yield* store.latest(id(1), 5), [])
      assert.deepStrictEqual(yield* store.latest(id(3), 0), [])
    })
  )

  it.effect("keeps every byte of a span, also of fields that came after this program", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      const [part] = Result.getOrThrow(OtlpTraces.split(OtlpTraces.request([span(1)])))
      assert.isDefined(part)
      const future = Uint8Array.from([...(part?.spans[0] ?? []), 0xfa, 0x3f, 3, 1, 2, 3])
      const request = OtlpTraces.join([{ source: part!.source, spans: [future] }])
      yield* store.append(request)
      assert.deepStrictEqual(yield* store.raw(id(1)), request)
    })
  )

  it.effect("counts a span once, however often it comes", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      yield* put(store, span(1), span(2, child))
      assert.deepStrictEqual(yield* put(store, span(2, child), span(3, child)), { taken: 1, known: 1, invalid: 0 })
      assert.deepStrictEqual((yield* only(store))?.spans, 3)
      assert.lengthOf(yield* store.read(id(1)), 3)
    })
  )

  it.effect("takes the spans of a request that have ids, and none of what is no request", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      const nothing = "0".repeat(32)
      const result = yield* put(store, span(1), span(2, { traceId: nothing }), span(0), span(3, { traceId: "ab" }))
      assert.deepStrictEqual(result, { taken: 1, known: 0, invalid: 3 })
      const broken = OtlpTraces.request([span(4), span(5)]).subarray(0, -1)
      assert.strictEqual((yield* Effect.flip(store.append(broken))).reason._tag, "RequestInvalid")
      assert.deepStrictEqual((yield* only(store))?.spans, 1)
    })
  )

  it.effect("shares the resource and the scope of the spans of a trace", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const store = yield* open(file)
      const described = { "service.name": "shop", long: "x".repeat(1000) }
      for (let n = 1; n <= 50; n++) {
        yield* put(store, span(n, { resource: described }))
      }
      const rows = new DatabaseSync(file).prepare("SELECT count(*) AS n FROM sources").get()
      assert.strictEqual(rows?.["n"], 1)
    })
  )
})

const notFound = (id: string) => new TraceStore.TraceStoreError({ reason: new TraceStore.TraceNotFound({ id }) })

describe("list", () => {
  it.effect("says of a trace what its spans say", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      const call = (n: number, parent: number, attributes: Values) =>
        span(n, { name: "llm.chat", parentSpanId: spanId(parent), attributes })
      yield* put(
        store,
        call(4, 3, { "llm.model": "qwen", "llm.input_tokens": 10, "llm.output_tokens": 5 }),
        call(5, 3, { "gen_ai.request.model": "llama", "gen_ai.usage.input_tokens": 1 }),
        span(3, { name: "node.model", parentSpanId: spanId(2), attributes: { "node.id": "write" }, ...failed }),
        span(2, {
          name: "graph.execute",
          ...child,
          startNanos: 1_700_000_000_500_000_000n,
          attributes: { "graph.id": "support", "task.content": "Why is the sky blue?" }
        }),
        span(1, { name: "POST /ask", endNanos: 1_700_000_002_000_000_000n })
      )
      assert.deepStrictEqual(yield* store.list(), [
        {
          traceId: id(1),
          rootName: "POST /ask",
          service: "shop",
          graph: "support",
          query: "Why is the sky blue?",
          status: "ok",
          startNanos: 1_700_000_000_000_000_000n,
          endNanos: 1_700_000_002_000_000_000n,
          spans: 5,
          failedSpans: 1,
          nodes: 1,
          inputTokens: 11,
          outputTokens: 5,
          models: ["llama", "qwen"]
        }
      ])
      assert.deepStrictEqual(yield* store.summary(id(1)), (yield* store.list())[0])
    })
  )

  it.effect("leaves out what was not measured", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      yield* put(store, span(1))
      const summary = yield* only(store)
      assert.notProperty(summary, "nodes")
      assert.notProperty(summary, "inputTokens")
      assert.notProperty(summary, "graph")
    })
  )

  it.effect("calls a trace running until its root has come, and says then how it ended", () =>
    Effect.gen(function* () {
      const interrupted = { attributes: { "effect.fiber.interrupted": true } }
      for (const [root, status, error] of [
        [{}, "ok", undefined],
        [{ status: { code: "error", message: "model missing" } }, "error", "model missing"],
        [{ ...failed, attributes: { "error.type": "timeout" } }, "error", "timeout"],
        [interrupted, "interrupted", undefined]
      ] as const) {
        const store = yield* open(fileIn())
        yield* put(store, span(3, { ...child, startNanos: 5n }), span(2, { ...child, startNanos: 3n, ...failed }))
        const before = yield* only(store)
        assert.deepStrictEqual([before?.status, before?.rootName, before?.error], ["running", "span 2", undefined])
        yield* put(store, span(1, root))
        const after = yield* only(store)
        assert.deepStrictEqual([after?.status, after?.rootName, after?.error], [status, "span 1", error])
      }
    })
  )

  it.effect("takes for the root what another process has called, until the root of all comes", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      // As a run with TRACEPARENT: the flags say that its parent is elsewhere.
      const remote = JSON.parse(
        JSON.stringify(Result.getOrThrow(OtlpTraces.toJson(OtlpTraces.request([span(2, { ...child, ...failed })]))))
      )
      remote.resourceSpans[0].scopeSpans[0].spans[0].flags = 0x301
      yield* store.append(Result.getOrThrow(OtlpTraces.fromJson(JSON.stringify(remote))))
      assert.deepStrictEqual((yield* only(store))?.status, "error")
      yield* put(store, span(1))
      const summary = yield* only(store)
      assert.deepStrictEqual([summary?.rootName, summary?.status], ["span 1", "ok"])
    })
  )

  it.effect("takes for the root, while that has not come, the one around others that began at the same moment", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      yield* put(store, span(3, { parentSpanId: spanId(2) }))
      yield* put(store, span(2, child))
      assert.strictEqual((yield* only(store))?.rootName, "span 2")
    })
  )

  it.effect("counts the tokens of a call within a call once, in whichever order they come", () =>
    Effect.gen(function* () {
      const usage = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 2
      }
      const outer = span(2, { ...child, name: "LanguageModel.generateText", attributes: usage })
      const between = span(3, { parentSpanId: spanId(2), name: "between" })
      const inner = span(4, { parentSpanId: spanId(3), name: "llm.chat", attributes: usage })
      const second = span(5, { parentSpanId: spanId(1), name: "llm.chat", attributes: usage })
      const orders = [
        [inner, between, outer, second],
        [outer, between, inner, second],
        [outer, inner, second, between],
        [between, second, outer, inner]
      ]
      for (const order of orders) {
        for (const together of [true, false]) {
          const store = yield* open(fileIn())
          for (const spans of together ? [order] : order.map((span) => [span])) {
            yield* put(store, ...spans, span(1))
          }
          const summary = yield* only(store)
          assert.deepStrictEqual([summary?.inputTokens, summary?.outputTokens], [20, 4])
        }
      }
    })
  )

  it.effect("knows no tokens and no model of a call that turns out to be around another one", () =>
    Effect.gen(function* () {
      const usage = { "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 3 }
      const outer = span(2, { ...child, name: "llm.chat", attributes: { "llm.model": "outer", ...usage } })
      const inner = span(3, { parentSpanId: spanId(2), name: "llm.chat", attributes: { "llm.model": "inner" } })
      for (const order of [
        [outer, inner],
        [inner, outer]
      ]) {
        const store = yield* open(fileIn())
        for (const one of order) {
          yield* put(store, one)
        }
        const summary = yield* only(store)
        assert.notProperty(summary, "inputTokens")
        assert.notProperty(summary, "outputTokens")
        assert.deepStrictEqual(summary?.models, ["inner"])
      }
    })
  )

  it.effect("ends where spans are the parents of each other", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      const call = (n: number, parent: number) => span(n, { name: "llm.chat", parentSpanId: spanId(parent) })
      yield* put(store, call(1, 2), call(2, 3), call(3, 1), call(4, 4))
      assert.deepStrictEqual((yield* only(store))?.spans, 4)
    })
  )

  it.effect("takes the outer graph of a trace for its graph, and the first of several", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      const graph = (n: number, startNanos: bigint, id: string) =>
        span(n, { ...child, name: "graph.execute", startNanos, attributes: { "graph.id": id, "task.content": id } })
      yield* put(store, graph(4, 20n, "inner"), graph(3, 10n, "outer"), graph(5, 50n, "later"), span(1))
      const summary = yield* only(store)
      assert.deepStrictEqual([summary?.graph, summary?.query], ["outer", "outer"])
    })
  )

  it.effect("lists by every filter, the trace that began last first", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      const at = (second: number) => BigInt(second) * 1_000_000_000n
      for (const n of [2, 5, 3, 1, 4]) {
        yield* put(
          store,
          span(n, {
            traceId: id(n),
            name: "graph.execute",
            startNanos: at(n),
            endNanos: at(2 * n),
            attributes: { "graph.id": n < 3 ? "a" : "b" },
            ...(n === 2 ? failed : {})
          })
        )
      }
      const ids = (filter: TraceStore.ListFilter) =>
        Effect.map(store.list(filter), (list) => list.map(({ traceId }) => Number(traceId)))
      assert.deepStrictEqual(yield* ids({}), [5, 4, 3, 2, 1])
      assert.deepStrictEqual(yield* ids({ failed: true }), [2])
      assert.deepStrictEqual(yield* ids({ failed: false }), [5, 4, 3, 2, 1])
      assert.deepStrictEqual(yield* ids({ graph: "a" }), [2, 1])
      assert.deepStrictEqual(yield* ids({ slowerThan: "3 seconds" }), [5, 4])
      assert.deepStrictEqual(yield* ids({ sinceNanos: at(3) }), [5, 4, 3])
      assert.deepStrictEqual(yield* ids({ sinceNanos: -(2n ** 70n) }), [5, 4, 3, 2, 1])
      assert.deepStrictEqual(yield* ids({ sinceNanos: 2n ** 70n }), [])
      assert.deepStrictEqual(yield* ids({ sinceNanos: at(2), graph: "b", limit: 2 }), [5, 4])
      assert.deepStrictEqual(yield* ids({ slowerThan: "1000 days" }), [])
    })
  )
})

describe("resolve", () => {
  it.effect("finds the last trace, and one by the start of its id", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      assert.strictEqual(
        (yield* Effect.flip(store.resolve("last"))).message,
        'there are no traces yet; "tinyllm run --tracing" makes one'
      )
      const [one, two, three] = ["3f2a0000", "3f2b0000", "a0000000"].map((start) => start.padEnd(32, "1"))
      for (const [index, traceId] of [one, two, three].entries()) {
        yield* put(store, span(1, { traceId: traceId!, startNanos: BigInt(index) }))
      }
      assert.strictEqual(yield* store.resolve("last"), three)
      assert.strictEqual(yield* store.resolve("A"), three)
      assert.strictEqual(yield* store.resolve("3f2a"), one)
      assert.strictEqual(yield* store.resolve(two!), two)
      assert.strictEqual(
        (yield* Effect.flip(store.resolve("3f2"))).message,
        "the id 3f2 is that of 2 traces: 3f2b0000, 3f2a0000"
      )
      for (const wrong of ["", "b", "xyz", `${one}0`, "3f2a%", "' OR 1=1"]) {
        assert.strictEqual((yield* Effect.flip(store.resolve(wrong))).reason._tag, "TraceNotFound", wrong)
      }
    })
  )

  it.effect("names a few of many, as far as it takes to tell them apart", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      for (let n = 0; n < 9; n++) {
        yield* put(store, span(1, { traceId: `abcdef0123${n}`.padEnd(32, "0"), startNanos: BigInt(n) }))
      }
      assert.strictEqual(
        (yield* Effect.flip(store.resolve("ab"))).message,
        "the id ab is that of 9 traces: abcdef01238, abcdef01237, abcdef01236, abcdef01235, abcdef01234 and 4 more"
      )
    })
  )
})

describe("remove and prune", () => {
  const fill = Effect.fnUntraced(function* (store: TraceStore.TraceStore["Service"], from: number, to: number) {
    for (let n = from; n <= to; n++) {
      yield* put(store, span(1, { traceId: id(n), startNanos: BigInt(n) }), span(2, { traceId: id(n), ...child }))
      yield* TestClock.adjust("1 minute")
    }
  })
  const ids = (store: TraceStore.TraceStore["Service"]) =>
    Effect.map(store.list(), (list) => list.map(({ traceId }) => parseInt(traceId, 16)))

  it.effect("removes traces with all that belongs to them, and nothing else", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const store = yield* open(file)
      yield* fill(store, 1, 4)
      assert.strictEqual(yield* store.remove([id(1), id(3), id(9), "no id"]), 2)
      assert.deepStrictEqual(yield* ids(store), [4, 2])
      const database = new DatabaseSync(file)
      for (const [table, rows] of [
        ["spans", 4],
        ["sources", 2]
      ]) {
        assert.strictEqual(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"], rows, String(table))
      }
      assert.deepStrictEqual(yield* Effect.flip(store.read(id(3))), notFound(id(3)))
    })
  )

  it.effect("prunes to the traces that were written to last, and by their age", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn())
      yield* fill(store, 1, 60)
      yield* put(store, span(3, { traceId: id(1), ...child }))
      assert.strictEqual(yield* store.prune({ maximumTraces: 50 }), 10)
      assert.deepStrictEqual(yield* ids(store), [...Array.from({ length: 49 }, (_, n) => 60 - n), 1])
      assert.strictEqual(yield* store.prune({ maximumAge: "9.5 minutes" }), 40)
      assert.deepStrictEqual(yield* ids(store), [60, 59, 58, 57, 56, 55, 54, 53, 52, 1])
      assert.strictEqual(yield* store.prune(), 0)
    })
  )

  it.effect("prunes by itself when it begins to write, after many traces, and after some time", () =>
    Effect.gen(function* () {
      const file = fileIn()
      yield* fill(yield* open(file), 1, 30)
      const store = yield* open(file, { maximumTraces: 20 })
      const count = Effect.map(store.list(), ({ length }) => length)
      yield* fill(store, 31, 31)
      assert.strictEqual(yield* count, 20, "at the first write")
      yield* fill(store, 32, 36)
      assert.strictEqual(yield* count, 25, "but not at each")
      yield* TestClock.adjust("10 minutes")
      yield* fill(store, 37, 37)
      assert.strictEqual(yield* count, 20, "after ten minutes")
    })
  )

  it.live("prunes in small steps, between which the program goes on", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const store = yield* open(file, { maximumAge: "36500 days" })
      const long = { text: "x".repeat(3000) }
      const many = Array.from({ length: 4000 }, (_, n) => span(n + 1, { attributes: long }))
      yield* put(store, ...many)
      const pruning = yield* Effect.forkScoped(store.prune({ maximumTraces: 0 }))
      let turns = 0
      while (pruning.pollUnsafe() === undefined) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        turns++
      }
      assert.strictEqual(yield* Fiber.join(pruning), 1)
      assert.isAtLeast(turns, 8)
    })
  )

  it.effect("begins a trace anew when a span comes while it is being removed", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const store = yield* open(file)
      yield* put(store, ...Array.from({ length: 1200 }, (_, n) => span(n + 1, n === 0 ? {} : child)))
      yield* put(store, span(1, { traceId: id(2), startNanos: 1n }))
      yield* TestClock.adjust("1 hour")
      const database = TraceDatabase.make(file)
      const step = () => {
        const keeping = { ...StoreConfig.keeping, maximumAge: "30 minutes" } as const
        return TraceQueries.pruneSome(database, keeping, 3_600_000)
      }
      const rows = (table: string) => database.connection.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]
      yield* put(store, span(2, { ...child, traceId: id(2) }))
      assert.deepStrictEqual(step(), { traces: 1, more: true })
      assert.isAbove(Number(rows("spans")), 2)
      // What is left of it is nowhere.
      assert.deepStrictEqual(yield* ids(store), [2])
      assert.strictEqual(yield* store.resolve("last"), id(2))
      assert.strictEqual(yield* store.resolve("0"), id(2))
      for (const gone of [store.summary(id(1)), store.read(id(1)), store.resolve(id(1))]) {
        assert.deepStrictEqual(yield* Effect.flip<unknown, unknown, never>(gone), notFound(id(1)))
      }
      yield* put(store, span(5000, { ...child, startNanos: 7n }))
      assert.deepInclude(yield* store.summary(id(1)), { spans: 1, startNanos: 7n, rootName: "span 5000" })
      let removed = 0
      for (let some = step(); some.more; some = step()) {
        removed += some.traces
      }
      assert.strictEqual(removed, 0)
      assert.lengthOf(yield* store.read(id(1)), 1)
      assert.deepStrictEqual([rows("traces"), rows("spans"), rows("sources")], [2, 3, 2])
      database.connection.close()
    })
  )

  it.effect("prunes by the room that traces take, and leaves the one that was written to last", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const store = yield* open(file, { maximumBytes: 2_000_000 })
      const large = (trace: number, n = 1) =>
        put(
          store,
          span(n, { traceId: id(trace), startNanos: BigInt(trace), attributes: { text: "x".repeat(500_000) } })
        )
      for (let n = 1; n <= 3; n++) {
        yield* large(n)
        yield* TestClock.adjust("1 second")
      }
      yield* put(store, span(2, { ...child, traceId: id(1) }))
      assert.deepStrictEqual(yield* ids(store), [3, 2, 1], "while there is room")
      // By itself, after a tenth of the room.
      yield* TestClock.adjust("1 second")
      yield* large(4)
      assert.deepStrictEqual(yield* ids(store), [4, 3, 1], "the one that was written to longest ago has gone")
      assert.strictEqual(yield* store.prune(), 0)
      assert.strictEqual(yield* store.prune({ maximumBytes: 1_200_000 }), 1)
      assert.deepStrictEqual(yield* ids(store), [4, 1])
      for (let n = 2; n <= 6; n++) {
        yield* large(4, n)
      }
      assert.deepStrictEqual(yield* ids(store), [4])
      assert.lengthOf(yield* store.read(id(4)), 6)
      // What is free is used again.
      yield* TestClock.adjust("1 second")
      yield* large(5)
      assert.deepStrictEqual(yield* ids(store), [5])
    })
  )

  it.effect("gives back the room that many traces had", () =>
    Effect.gen(function* () {
      const file = fileIn()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open(file)
          const long = { text: "x".repeat(50_000) }
          for (let n = 1; n <= 200; n++) {
            yield* put(store, span(1, { traceId: id(n), attributes: long }))
          }
        })
      )
      // A thread that moves the log may still have the file open, and then it is the one that puts it in order.
      yield* Effect.promise(() => vi.waitFor(() => assert.isAbove(statSync(file).size, 8_000_000), { timeout: 20_000 }))
      yield* Effect.scoped(Effect.flatMap(open(file), (store) => store.prune({ maximumTraces: 10 })))
      // A thread that moves the log of the first writer may still have the file open.
      yield* Effect.promise(() => vi.waitFor(() => assert.isBelow(statSync(file).size, 2_000_000), { timeout: 20_000 }))
    })
  )

  it.effect("makes nothing where nothing is", () =>
    Effect.gen(function* () {
      const folder = join(scratch(), "state")
      const store = yield* open(fileIn(folder))
      assert.deepStrictEqual(yield* store.list(), [])
      assert.strictEqual(yield* store.remove([id(1)]), 0)
      assert.strictEqual(yield* store.prune(), 0)
      assert.isFalse(existsSync(folder))
    })
  )
})

describe("changes", () => {
  it.live("tells of what other connections and processes write", () =>
    Effect.gen(function* () {
      const folder = join(scratch(), "state")
      const file = fileIn(folder)
      const watching = yield* open(file)
      const seen: Array<number> = []
      const fiber = yield* watching.changes.pipe(
        Stream.mapEffect(() => watching.list()),
        Stream.tap((list) => Effect.sync(() => seen.push(list.length))),
        Stream.takeUntil((list) => list.length === 3),
        Stream.runDrain,
        Effect.forkScoped
      )
      const until = (length: number) =>
        Effect.gen(function* () {
          while (!seen.includes(length)) {
            yield* Effect.sleep("5 millis")
          }
        }).pipe(Effect.timeout("20 seconds"))
      yield* until(0)
      yield* put(yield* open(file), span(1))
      yield* until(1)
      yield* put(watching, span(1, { traceId: id(2) }))
      yield* until(2)
      writeInAnotherProcess(file, span(1, { traceId: id(3) }))
      yield* Fiber.join(fiber).pipe(Effect.timeout("20 seconds"))
      assert.isBelow(seen.length, 12, "not over and over")
    })
  )

  it.effect("tells of what counts only some time after the system told of a write", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const store = yield* open(file)
      yield* put(store, span(1))
      // The same files in another folder: of what is written there the system tells nothing here.
      const elsewhere = fileIn()
      for (const end of ["", "-wal", "-shm"]) {
        linkSync(`${file}${end}`, `${elsewhere}${end}`)
      }
      const seen: Array<number> = []
      yield* store.changes.pipe(
        Stream.mapEffect(() => store.list()),
        Stream.runForEach((list) => Effect.sync(() => seen.push(list.length))),
        Effect.forkScoped
      )
      // The clock of the test stands still: how long a look takes changes nothing.
      const turn = (millis: number) =>
        Effect.andThen(
          Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20))),
          TestClock.adjust(millis)
        )
      while (seen.length === 0) {
        yield* turn(0)
      }
      utimesSync(`${file}-wal`, new Date(), new Date())
      for (let looks = 0; looks < 3; looks++) {
        yield* turn(25)
      }
      yield* put(yield* open(elsewhere), span(1, { traceId: id(2) }))
      for (let left = 400; seen.length === 1 && left > 0; left -= 25) {
        yield* turn(25)
      }
      assert.deepStrictEqual(seen, [1, 2])
    })
  )
})

/** Puts a span in from a process of its own. */
const writeInAnotherProcess = (file: string, ...spans: ReadonlyArray<StoredSpan>): void => {
  const request = Buffer.from(OtlpTraces.request(spans)).toString("base64")
  const program = `
    import * as Effect from "effect/Effect"
    import * as TraceStore from "./src/TraceStore.ts"
    await Effect.runPromise(Effect.scoped(Effect.flatMap(
      TraceStore.make({ file: ${JSON.stringify(file)} }),
      (store) => store.append(Buffer.from("${request}", "base64"))
    )))`
  const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program])
  assert.strictEqual(status, 0, String(stderr))
}

describe("the file", () => {
  it.effect("is for its user alone, and so are its folder and what SQLite puts beside it", () =>
    Effect.gen(function* () {
      const folder = join(scratch(), "a", "b")
      const file = fileIn(folder)
      yield* put(yield* open(file), span(1))
      for (const path of [file, `${file}-wal`, `${file}-shm`]) {
        assert.strictEqual(statSync(path).mode & 0o777, 0o600, path)
      }
      assert.strictEqual(statSync(folder).mode & 0o777, 0o700)
    })
  )

  const reasonOf = (file: string) =>
    Effect.gen(function* () {
      const store = yield* open(file)
      const before = existsSync(file) && statSync(file).isFile() ? readFileSync(file) : undefined
      const read = yield* Effect.flip(store.list())
      const write = yield* Effect.flip(put(store, span(1)))
      assert.strictEqual(read.message, write.message)
      assert.deepStrictEqual(existsSync(file) && statSync(file).isFile() ? readFileSync(file) : undefined, before)
      return read.message
    })

  it.effect("that is none is left alone, with a word on what to do", () =>
    Effect.gen(function* () {
      const file = fileIn()
      writeFileSync(file, "no database at all, but a text of somebody".repeat(100))
      assert.strictEqual(
        yield* reasonOf(file),
        `the trace store ${file} is damaged, or no trace store; move it away to begin a new one`
      )
    })
  )

  it.effect("that belongs to another program is left alone", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const other = new DatabaseSync(file)
      other.exec("CREATE TABLE pictures (name TEXT)")
      other.close()
      assert.include(yield* reasonOf(file), "no trace store")
    })
  )

  it.effect("of a later version is left alone", () =>
    Effect.gen(function* () {
      const file = fileIn()
      yield* Effect.scoped(Effect.flatMap(open(file), (store) => put(store, span(1))))
      const later = new DatabaseSync(file)
      const version = Number(later.prepare("PRAGMA user_version").get()?.["user_version"]) + 1
      later.exec(`PRAGMA user_version = ${version}`)
      later.close()
      assert.strictEqual(
        yield* reasonOf(file),
        `the trace store ${file} was made by a later version of tinyllm (its format is ${version}); update tinyllm, or name another folder with TINYLLM_HOME`
      )
    })
  )

  it.effect("of the first format is read as it is, and brought up to date when it is written to", () =>
    Effect.gen(function* () {
      const file = fileIn()
      yield* Effect.scoped(Effect.flatMap(open(file), (store) => put(store, span(2, child))))
      const earlier = new DatabaseSync(file)
      earlier.exec("ALTER TABLE traces DROP COLUMN writer; PRAGMA user_version = 1")
      const version = () => earlier.prepare("PRAGMA user_version").get()?.["user_version"]
      const store = yield* open(file)
      assert.deepInclude(yield* only(store), { status: "running", spans: 1 })
      assert.strictEqual(version(), 1)
      yield* put(store, span(3, child))
      assert.deepInclude(yield* only(store), { status: "running", spans: 2 })
      assert.strictEqual(version(), 2)
      earlier.close()
    })
  )

  it.effect("whose middle is gone is an error, not a crash", () =>
    Effect.gen(function* () {
      const file = fileIn()
      yield* Effect.scoped(
        Effect.flatMap(open(file), (store) =>
          Effect.forEach(
            Array.from({ length: 200 }, (_, n) => n + 1),
            (n) => put(store, span(1, { traceId: id(n) }))
          )
        )
      )
      const bytes = readFileSync(file)
      writeFileSync(file, bytes.fill(0x5a, 4096, bytes.length - 4096))
      const store = yield* open(file)
      assert.strictEqual((yield* Effect.flip(store.list())).reason._tag, "StoreDamaged")
      assert.strictEqual((yield* Effect.flip(put(store, span(1)))).reason._tag, "StoreDamaged")
    })
  )

  it.effect("that is a folder or a pipe is an error, and nothing waits for it", () =>
    Effect.gen(function* () {
      const folder = fileIn()
      mkdirSync(folder)
      const store = yield* open(folder)
      assert.include((yield* Effect.flip(store.list())).message, "is no file")
      assert.include((yield* Effect.flip(put(store, span(1)))).message, `the trace store ${folder}`)
      const pipe = fileIn()
      spawnSync("mkfifo", [pipe])
      assert.include(yield* reasonOf(pipe), "is no file")
    })
  )

  it.effect.skipIf(process.getuid?.() === 0)("in a folder that may not be written is an error", () =>
    Effect.gen(function* () {
      const folder = scratch()
      chmodSync(folder, 0o500)
      const store = yield* open(fileIn(join(folder, "state")))
      assert.include((yield* Effect.flip(put(store, span(1)))).message, "may not be written (EACCES)")
    })
  )

  const mode = (file: string, folder: number, own: number) =>
    Effect.sync(() => {
      chmodSync(dirname(file), folder)
      chmodSync(file, own)
    })
  const writable = (file: string) => mode(file, 0o700, 0o600)
  const readOnly = (file: string) => Effect.acquireRelease(mode(file, 0o500, 0o400), () => writable(file))

  it.effect.skipIf(process.getuid?.() === 0)("that may only be read is read, and nothing is made beside it", () =>
    Effect.gen(function* () {
      const file = fileIn(join(scratch(), "a #1 100%41"))
      yield* Effect.scoped(Effect.flatMap(open(file), (store) => put(store, span(1))))
      yield* readOnly(file)
      const store = yield* open(file)
      const changes = yield* Effect.forkScoped(Stream.runCollect(Stream.take(store.changes, 1)))
      yield* Fiber.join(changes)
      assert.lengthOf(yield* store.read(id(1)), 1)
      assert.deepStrictEqual(readdirSync(dirname(file)), ["traces.db"])
      for (const change of [put(store, span(2)), store.remove([id(1)]), store.prune({ maximumTraces: 0 })]) {
        assert.include(
          (yield* Effect.flip<unknown, { readonly message: string }, never>(change)).message,
          "may not be written"
        )
      }
      // What its owner writes meanwhile is seen.
      yield* writable(file)
      yield* Effect.scoped(Effect.flatMap(open(file), (store) => put(store, span(1, { traceId: id(2) }))))
      yield* readOnly(file)
      assert.lengthOf(yield* store.list(), 2)
    })
  )

  it.effect.skipIf(process.getuid?.() === 0)("that may only be read, and was not closed, says what it takes", () =>
    Effect.gen(function* () {
      const from = fileIn()
      yield* put(yield* open(from), span(1))
      const file = fileIn()
      for (const end of ["", "-wal"]) {
        copyFileSync(`${from}${end}`, `${file}${end}`)
      }
      yield* readOnly(file)
      const store = yield* open(file)
      assert.strictEqual(
        (yield* Effect.flip(store.list())).message,
        `the trace store ${file} has a log (-wal), which is only read where the file and its folder may be written`
      )
      yield* writable(file)
      assert.lengthOf(yield* store.list(), 1)
    })
  )

  it.effect("under a file is an error", () =>
    Effect.gen(function* () {
      const path = join(scratch(), "file")
      writeFileSync(path, "")
      const file = fileIn(path)
      const store = yield* open(file)
      assert.strictEqual(
        (yield* Effect.flip(put(store, span(1)))).message,
        `the trace store ${file} has a file in its path where a folder should be (EEXIST)`
      )
    })
  )

  it.live("takes in what is in its log meanwhile, in a thread of its own", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const store = yield* open(file)
      yield* put(store, span(1))
      const before = statSync(file).size
      const long = { text: "x".repeat(10_000) }
      for (let n = 2; n <= 200; n++) {
        yield* put(store, span(n, { ...child, attributes: long }))
      }
      while (statSync(file).size < before + 1_000_000) {
        yield* Effect.sleep("5 millis")
      }
      assert.lengthOf(yield* store.read(id(1)), 200)
    })
  )

  it.effect("outlives a power cut, and has one writer at a time from the start of what it writes", () =>
    Effect.gen(function* () {
      const file = fileIn()
      yield* put(yield* open(file), span(1))
      const database = TraceDatabase.make(file)
      // NORMAL
      assert.deepEqual({ ...database.connection.prepare("PRAGMA synchronous").get() }, { synchronous: 1 })
      const other = new DatabaseSync(file, { timeout: 0 })
      TraceDatabase.transaction(database, () => {
        assert.throws(() => other.exec("BEGIN IMMEDIATE"), /locked/)
      })
      other.exec("BEGIN IMMEDIATE; ROLLBACK")
      other.close()
      database.connection.close()
    })
  )

  it.effect("that is moved away is made again", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const store = yield* open(file)
      yield* put(store, span(1))
      renameSync(file, `${file}.old`)
      yield* put(store, span(1, { traceId: id(2) }))
      assert.deepStrictEqual(
        (yield* store.list()).map(({ traceId }) => traceId),
        [id(2)]
      )
    })
  )

  it.effect("that is discarded is made again by those who have it open, and they see the same one", () =>
    Effect.gen(function* () {
      const file = fileIn()
      const [one, other] = [yield* open(file), yield* open(file)]
      yield* put(one, span(1))
      yield* put(other, span(2, child))
      TraceDatabase.discard(file)
      assert.deepStrictEqual(readdirSync(dirname(file)), [])
      assert.deepStrictEqual(yield* one.list(), [])
      yield* put(other, span(1, { traceId: id(2) }))
      yield* put(one, span(2, { ...child, traceId: id(2) }))
      for (const store of [one, other]) {
        assert.deepInclude(yield* only(store), { traceId: id(2), spans: 2 })
      }
      assert.strictEqual(yield* one.clear, 1)
      assert.deepStrictEqual(yield* other.list(), [])
      assert.strictEqual(yield* other.clear, 0)
    })
  )

  it.live("that is locked is waited for, without keeping others of this process waiting", () =>
    Effect.gen(function* () {
      const file = fileIn()
      yield* put(yield* open(file), span(1))
      const locking = new DatabaseSync(file)
      locking.exec("BEGIN IMMEDIATE")
      const store = yield* open(file)
      const writing = yield* Effect.forkScoped(put(store, span(2, child)))
      assert.lengthOf(yield* store.read(id(1)), 1, "reading goes on meanwhile")
      const begin = yield* Clock.currentTimeMillis
      yield* Effect.sleep("50 millis")
      assert.isBelow((yield* Clock.currentTimeMillis) - begin, 2000)
      assert.isUndefined(writing.pollUnsafe())
      locking.exec("COMMIT")
      assert.deepStrictEqual(yield* Fiber.join(writing), { taken: 1, known: 0, invalid: 0 })
      locking.close()
    })
  )
})

describe("maximumAge", () => {
  it.effect("may be without end", () =>
    Effect.gen(function* () {
      const store = yield* open(fileIn(), { maximumAge: Duration.infinity })
      yield* put(store, span(1))
      yield* TestClock.adjust("1000 days")
      assert.strictEqual(yield* store.prune(), 0)
    })
  )
})
