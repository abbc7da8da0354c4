import { assert, describe, it } from "vitest"
import * as TraceTree from "../src/TraceTree.ts"
import { epoch, type Given, span, spanId, spans, traceId } from "./support/StoredSpans.ts"

/** Names and nesting, one line a span: two spaces for every level. */
const drawn = (tree: TraceTree.TraceTree): ReadonlyArray<string> =>
  tree.nodes.map(({ depth, span }) => "  ".repeat(depth) + span.name)

const at = (tree: TraceTree.TraceTree, id: string): TraceTree.TraceNode => tree.bySpanId.get(spanId(id))!

describe("TraceTree.make", () => {
  it("puts children below their parents in the order of their starts, whatever the order of the spans", () => {
    const tree = TraceTree.make(
      spans(
        { id: "d", parent: "b", at: [12, 18] },
        { id: "c", parent: "a", at: [20, 30] },
        { id: "a", at: [0, 40] },
        { id: "b", parent: "a", at: [10, 19] }
      )
    )
    assert.deepStrictEqual(drawn(tree), ["a", "  b", "    d", "  c"])
    assert.strictEqual(tree.traceId, traceId)
    assert.deepStrictEqual(
      tree.nodes.map(({ index }) => index),
      [0, 1, 2, 3]
    )
    assert.deepStrictEqual(
      tree.nodes.map(({ descendants }) => descendants),
      [3, 1, 0, 0]
    )
  })

  it("puts what starts at the same time in the order of their lengths, the longest first", () => {
    const tree = TraceTree.make(spans({ id: "a", at: [0, 1] }, { id: "b", at: [0, 3] }, { id: "c", at: [0, 2] }))
    assert.deepStrictEqual(drawn(tree), ["b", "c", "a"])
  })

  it("tells when the trace starts and ends, and each span's offset and duration in nanoseconds", () => {
    const tree = TraceTree.make(spans({ id: "a", at: [5, 8] }, { id: "b", parent: "a", at: [7, 20] }))
    assert.strictEqual(tree.startNanos, epoch + 5_000_000n)
    assert.strictEqual(tree.endNanos, epoch + 20_000_000n)
    assert.strictEqual(tree.durationNanos, 15_000_000)
    assert.strictEqual(at(tree, "b").offsetNanos, 2_000_000)
    assert.strictEqual(at(tree, "b").durationNanos, 13_000_000)
  })

  it("takes no spans, and one of no length", () => {
    assert.deepStrictEqual(TraceTree.make([]).nodes, [])
    const tree = TraceTree.make(spans({ id: "a", at: [3, 3] }))
    assert.strictEqual(tree.durationNanos, 0)
    assert.strictEqual(at(tree, "a").selfNanos, 0)
  })

  it("makes a root of a span whose parent is not there, and names the parent", () => {
    const tree = TraceTree.make(spans({ id: "b", parent: "a", at: [1, 2] }, { id: "c", parent: "a", at: [3, 4] }))
    assert.deepStrictEqual(drawn(tree), ["b", "c"])
    assert.deepStrictEqual(
      tree.roots.map(({ severed }) => severed),
      ["missing", "missing"]
    )
    assert.deepStrictEqual(tree.missingParents, [spanId("a")])
  })

  it("has every span once where spans are each other's parents, from the earliest of them", () => {
    const tree = TraceTree.make(
      spans(
        { id: "a", parent: "c", at: [5, 6] },
        { id: "b", parent: "a", at: [1, 2] },
        { id: "c", parent: "b", at: [3, 4] },
        { id: "below", parent: "a", at: [7, 8] },
        { id: "itself", parent: "itself", at: [9, 10] },
        { id: "late", parent: "later", at: [12, 13] },
        { id: "later", parent: "late", at: [14, 15] },
        { id: "before", parent: "later", at: [11, 12] },
        { id: "root", at: [0, 10] }
      )
    )
    assert.deepStrictEqual(drawn(tree), [
      "root",
      "b",
      "  c",
      "    a",
      "      below",
      "itself",
      "late",
      "  later",
      "    before"
    ])
    assert.strictEqual(at(tree, "b").severed, "cycle")
    assert.strictEqual(at(tree, "itself").severed, "cycle")
    assert.isUndefined(at(tree, "b").parent)
  })

  it("keeps of spans with one id the one that ends last, and counts the others", () => {
    const tree = TraceTree.make(
      spans({ id: "a", at: [0, 1] }, { id: "a", name: "whole", at: [0, 5] }, { id: "a", at: [0, 2] })
    )
    assert.deepStrictEqual(drawn(tree), ["whole"])
    assert.strictEqual(at(tree, "a").durationNanos, 5_000_000)
    assert.strictEqual(tree.duplicates, 2)
  })

  it("gives a span that ends before it starts no length, and says so", () => {
    const tree = TraceTree.make(spans({ id: "a", at: [10, 4] }, { id: "b", parent: "a", at: [6, 8] }))
    assert.isTrue(at(tree, "a").backwards)
    assert.strictEqual(at(tree, "a").durationNanos, 0)
    assert.strictEqual(at(tree, "a").selfNanos, 0)
    assert.strictEqual(tree.durationNanos, 4_000_000)
  })

  it("counts as a span's own time what its children leave of it, however they overlap or outlive it", () => {
    const tree = TraceTree.make(
      spans(
        { id: "a", at: [10, 30] },
        { id: "before", parent: "a", at: [5, 12] },
        { id: "b", parent: "a", at: [15, 20] },
        { id: "overlaps", parent: "a", at: [16, 22] },
        { id: "inside", parent: "a", at: [17, 18] },
        { id: "later", parent: "a", at: [28, 50] }
      )
    )
    assert.strictEqual(at(tree, "a").selfNanos, (20 - 2 - 7 - 2) * 1e6)
  })

  it("draws a chain of 50 000 spans, a wide trace and one of cycles in a time that grows with their number", () => {
    const shapes: Record<string, (index: number) => Partial<Given>> = {
      chain: (index) => (index === 0 ? {} : { parent: `${index - 1}` }),
      wide: (index) => (index === 0 ? {} : { parent: "0" }),
      cycle: (index) => ({ parent: `${(index + 1) % 50_000}` }),
      cycles: (index) => ({ parent: `${index % 2 === 0 ? index + 1 : index - 1}` })
    }
    for (const [name, shape] of Object.entries(shapes)) {
      const all = Array.from({ length: 50_000 }, (_, index) =>
        span({ id: `${index}`, at: [index, 100_000 - index], ...shape(index) })
      )
      const begin = performance.now()
      const tree = TraceTree.make(all)
      // Quadratic work would take minutes.
      assert.isBelow(performance.now() - begin, 5000, name)
      assert.strictEqual(tree.nodes.length, 50_000, name)
    }
  })
})

describe("TraceTree.errors", () => {
  const exception = (message: string) => ({
    name: "exception",
    attributes: { "exception.type": "Oops", "exception.message": message, "exception.stacktrace": "Oops\n    at f" }
  })

  it("are those that a span recorded", () => {
    const tree = TraceTree.make(
      spans({ id: "a", at: [0, 1], failed: "no", events: [exception("one"), exception("two")] })
    )
    assert.deepStrictEqual(TraceTree.errors(at(tree, "a")), [
      { type: "Oops", message: "one", stack: "Oops\n    at f" },
      { type: "Oops", message: "two", stack: "Oops\n    at f" }
    ])
  })

  it("are shown where they arose, and where nobody recorded one as the status", () => {
    const tree = TraceTree.make(
      spans(
        { id: "a", at: [0, 9], failed: "bad luck" },
        { id: "b", parent: "a", at: [0, 8], failed: "bad luck", attributes: { "error.type": "Luck" } }
      )
    )
    assert.deepStrictEqual(TraceTree.errors(at(tree, "a")), [])
    assert.deepStrictEqual(TraceTree.errors(at(tree, "b")), [{ type: "Luck", message: "bad luck", stack: undefined }])
  })
})

describe("TraceTree.outcome", () => {
  it("tells an interruption from a success and from a failure", () => {
    const interrupted = { "effect.fiber.interrupted": true }
    assert.strictEqual(TraceTree.outcome(span({ id: "a", at: [0, 1] })), "ok")
    assert.strictEqual(TraceTree.outcome(span({ id: "a", at: [0, 1], attributes: interrupted })), "interrupted")
    assert.strictEqual(TraceTree.outcome(span({ id: "a", at: [0, 1], attributes: interrupted, failed: true })), "error")
  })
})
