import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Propagation from "../src/Propagation.ts"
import * as Sampling from "../src/Sampling.ts"
import * as Span from "../src/Span.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as TraceContext from "../src/TraceContext.ts"
import * as Collector from "./support/Collector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Kept from "./support/Kept.ts"
import * as SeededIds from "./support/SeededIds.ts"

vi.mock("../src/RandomIds.ts", () => import("./support/SeededIds.ts"))

const candidate = (traceId: string, traceState?: string): Sampling.Candidate => ({
  traceId,
  name: "root",
  kind: "internal",
  attributes: {},
  traceState
})

const spansOf = <A, E>(self: Effect.Effect<A, E>, options?: Telemetry.ExporterOptions) =>
  Effect.gen(function* () {
    const kept = Kept.make()
    yield* self.pipe(Effect.exit, Effect.provide(Telemetry.layerExporter(kept.exporter, options)), Effect.orDie)
    return kept.spans()
  })

const work = Effect.void.pipe(Effect.withSpan("child"), Effect.withSpan("root"))

describe("Sampling.ratio", () => {
  it.each([
    [0.75, "4"],
    [0.5, "8"],
    [0.25, "c"],
    [0.1, "e6666666666666"],
    [0.01, "fd70a3d70a3d71"],
    [2 ** -56, "ffffffffffffff"]
  ])("T56 the threshold of %d is %s", (share, th) => {
    assert.strictEqual(Sampling.ratio(share).threshold, th)
    assert.strictEqual(Sampling.encode(Sampling.decode(th) ?? ""), th)
  })

  it("T56 a threshold of zero is written as 0, and what is no threshold is not read", () => {
    assert.strictEqual(Sampling.encode("00000000000000"), "0")
    assert.strictEqual(Sampling.decode("0"), "00000000000000")
    for (const wrong of ["", "g", "123456789012345", "C"]) {
      assert.isUndefined(Sampling.decode(wrong), wrong)
    }
  })

  it("T56 keeps a trace whose random bits are at the threshold, and none below", () => {
    const sampler = Sampling.ratio(0.1)
    const id = (bits: string) => "f".repeat(18) + bits
    assert.isTrue(sampler.isSampled(candidate(id("e6666666666666"))))
    assert.isFalse(sampler.isSampled(candidate(id("e6666666666665"))))
    assert.isTrue(sampler.isSampled(candidate(id("ffffffffffffff"))))
  })

  it("T56 takes the random bits of rv where there are some", () => {
    const sampler = Sampling.ratio(0.5)
    const low = "0".repeat(31) + "1"
    assert.isFalse(sampler.isSampled(candidate(low)))
    assert.isTrue(sampler.isSampled(candidate(low, "a=1,ot=th:0;rv:80000000000000")))
    assert.isFalse(sampler.isSampled(candidate("f".repeat(32), "ot=rv:7fffffffffffff")))
    assert.isFalse(sampler.isSampled(candidate(low, "ot=rv:8")), "what is no rv does not count")
  })

  it("T51 keeps a tenth of ten thousand ids at 0.1, all of them at 0.5 too, none at 0 and every one at 1", () => {
    SeededIds.restart()
    const ids = Array.from({ length: 10_000 }, SeededIds.traceId)
    const kept = (share: number) => new Set(ids.filter((id) => Sampling.ratio(share).isSampled(candidate(id))))
    const tenth = kept(0.1)
    const half = kept(0.5)
    assert.isTrue(tenth.size > 900 && tenth.size < 1100, `${tenth.size}`)
    for (const id of tenth) {
      assert.isTrue(half.has(id))
    }
    assert.strictEqual(kept(0).size, 0)
    assert.strictEqual(kept(1).size, ids.length)
  })
})

describe("A share", () => {
  it.live(
    "T51 of ten thousand runs is a tenth at a collector at 0.1, all of them at 0.5 too, and only whole traces",
    () =>
      Effect.gen(function* () {
        const graph = Graph.make("g", {
          nodes: { a: Node.transform((n: number) => n), b: Node.transform((n: number) => n) },
          start: "a",
          edges: { a: "b", b: "end" }
        })
        /** The traces that arrive of so many runs, which have the same ids each time. */
        const arrived = (samplingRate: number, runs: number) =>
          Effect.gen(function* () {
            SeededIds.restart()
            const collector = yield* Collector.make()
            const { stderr } = yield* isolated(
              Effect.forEach(Array.from({ length: runs }), (_, n) => Graph.run(graph, n), { discard: true }).pipe(
                Effect.provide(Telemetry.layer({ otlpEndpoint: collector.url, samplingRate }))
              )
            )
            assert.strictEqual(stderr, "")
            const traces = Map.groupBy(collector.spans(), (span) => span.traceId)
            for (const spans of traces.values()) {
              assert.sameMembers(
                spans.map((span) => span.name),
                ["graph.execute", "node.transform", "node.transform"]
              )
            }
            return new Set(traces.keys())
          }).pipe(Effect.scoped)
        assert.strictEqual((yield* arrived(0, 200)).size, 0)
        assert.strictEqual((yield* arrived(1, 200)).size, 200)
        const tenth = yield* arrived(0.1, 10_000)
        assert.isTrue(tenth.size > 900 && tenth.size < 1100, `${tenth.size}`)
        const half = yield* arrived(0.5, 10_000)
        assert.isTrue([...tenth].every((traceId) => half.has(traceId)))
      })
  )
})

describe("Sampling.withThreshold", () => {
  it.each([
    [undefined, "8", "ot=th:8"],
    ["a=1", "8", "ot=th:8,a=1"],
    ["a=1,ot=th:4;rv:80000000000000,b=2", "8", "ot=th:8;rv:80000000000000,a=1,b=2"],
    ["ot=th:4,a=1", undefined, "a=1"],
    ["ot=th:4", undefined, undefined],
    ["ot=rv:80000000000000;x:y", undefined, "ot=rv:80000000000000;x:y"]
  ])("T56 of %s with %s gives %s", (before, threshold, after) => {
    assert.strictEqual(Sampling.withThreshold(before, threshold), after)
  })
})

describe("A sampler", () => {
  it.effect("T56 writes its threshold into the tracestate of all spans of what it keeps, and into nothing else", () =>
    Effect.gen(function* () {
      const states = new Set<string | undefined>()
      const spans = yield* spansOf(
        Effect.forEach(Array.from({ length: 40 }), () =>
          Effect.gen(function* () {
            const span = yield* Effect.orDie(Effect.currentSpan)
            if (!span.sampled) {
              states.add(TraceContext.stateOf(span))
            }
          }).pipe(Effect.withSpan("child"), Effect.withSpan("root"))
        ),
        { samplingRate: 0.5 }
      )
      assert.isAbove(spans.length, 0)
      for (const span of spans) {
        assert.strictEqual(span.spanContext().traceState?.serialize(), "ot=th:8")
      }
      assert.deepStrictEqual(Array.from(states), [undefined])
      const [whole] = yield* spansOf(work, { samplingRate: 1 })
      assert.isUndefined(whole?.spanContext().traceState, "nothing was left to chance")
    })
  )

  it.effect("T56 erases a threshold of a parent that contradicts its decision, or is none, and nothing else", () =>
    Effect.gen(function* () {
      const [low, high] = [`${"1".repeat(18)}00000000000001`, `${"1".repeat(18)}ffffffffffffff`]
      /** What the spans say below a parent with this, and what is told to other services. */
      const states = (traceId: string, flags: number, state: string, options?: Telemetry.ExporterOptions) =>
        Effect.gen(function* () {
          const headers: Array<string | undefined> = []
          const parent = TraceContext.externalSpan({ traceId, spanId: "b".repeat(16), flags, state })
          const spans = yield* spansOf(
            Propagation.inject.pipe(
              Effect.map(({ tracestate }) => headers.push(tracestate)),
              Effect.withSpan("child"),
              Effect.withParentSpan(parent)
            ),
            options
          )
          const exported = spans.map((span) => span.spanContext().traceState?.serialize())
          assert.deepStrictEqual(exported, flags === 1 ? headers : [], "what is exported is what is propagated")
          return headers[0]
        })
      // Sampled below the threshold, dropped above it, and what is no threshold.
      assert.isUndefined(yield* states(low, 1, "ot=th:c"))
      assert.strictEqual(yield* states(low, 1, "a=1,ot=x:y;th:c,b=2"), "ot=x:y,a=1,b=2")
      assert.isUndefined(yield* states(low, 1, "ot=th:c", { samplingRate: 0.5 }))
      assert.isUndefined(yield* states(high, 0, "ot=th:4"))
      assert.strictEqual(yield* states(low, 1, "ot=th:zz;x:1,foo=1"), "ot=x:1,foo=1")
      assert.strictEqual(yield* states(high, 1, "ot=rv:00000000000001;th:c"), "ot=rv:00000000000001")
      // Those that are right stay, as they were.
      for (const [id, flags, state] of [
        [low, 1, "ot=th:0"],
        [low, 0, "a=1,ot=th:c"],
        [high, 1, "a=1,ot=th:c"],
        [low, 1, "a=1,ot=rv:ffffffffffffff;th:c"],
        [`${"1".repeat(18)}c0000000000000`, 1, "ot=th:c"]
      ] as const) {
        assert.strictEqual(yield* states(id, flags, state), state)
      }
    })
  )

  it.effect("T56 leaves the threshold of a parent as it is", () =>
    Effect.gen(function* () {
      const parent = TraceContext.externalSpan({
        traceId: "a".repeat(32),
        spanId: "b".repeat(16),
        flags: 1,
        state: "ot=th:c;rv:d0000000000000,v=1"
      })
      const spans = yield* spansOf(Effect.withParentSpan(work, parent), { samplingRate: 0.01 })
      assert.lengthOf(spans, 2)
      for (const span of spans) {
        assert.strictEqual(span.spanContext().traceState?.serialize(), "ot=th:c;rv:d0000000000000,v=1")
      }
    })
  )

  it.effect(
    "sees the attributes that a span starts with, also those that an effect sets on it before its first child",
    () =>
      Effect.gen(function* () {
        const seen: Array<unknown> = []
        const sampler: Telemetry.Sampler = {
          parentBased: true,
          threshold: undefined,
          isSampled: ({ attributes, name }) => {
            seen.push({ name, ...attributes })
            return attributes["keep"] === true
          }
        }
        const spans = yield* spansOf(
          Effect.gen(function* () {
            yield* Span.attributes({ later: 1 })
            yield* Effect.withSpan(Effect.void, "child")
          }).pipe(
            Effect.withSpan("root", { attributes: { keep: true } }),
            Effect.andThen(Effect.withSpan(Effect.void, "other", { attributes: { keep: false } }))
          ),
          { sampler }
        )
        assert.deepStrictEqual(seen, [
          { name: "root", keep: true, later: 1 },
          { name: "other", keep: false }
        ])
        assert.deepStrictEqual(
          spans.map((span) => span.name),
          ["child", "root"]
        )
      })
  )

  it.effect("that throws keeps nothing, and fails nothing", () =>
    Effect.gen(function* () {
      let result: unknown
      const spans = yield* spansOf(
        Effect.tap(Effect.as(work, 42), (value) => Effect.sync(() => (result = value))),
        {
          sampler: {
            parentBased: true,
            threshold: undefined,
            isSampled: () => {
              throw new Error("broken")
            }
          }
        }
      )
      assert.strictEqual(result, 42)
      assert.lengthOf(spans, 0)
    })
  )
})
