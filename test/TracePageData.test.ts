import { assert, describe, it } from "vitest"
import type { StoredSpan, Value } from "../src/StoredSpan.ts"
import { decode, encode } from "../src/TracePageData.ts"

const span: StoredSpan = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  parentSpanId: undefined,
  name: "graph.execute",
  kind: "internal",
  startNanos: 1_790_000_000_123_456_789n,
  endNanos: 1_790_000_001_123_456_789n,
  status: { code: "unset", message: "" },
  attributes: {},
  events: [],
  links: [],
  resource: { "service.name": "tinyllm" },
  scope: { name: "tinyllm", version: "0.1.0" },
  traceState: "",
  dropped: { attributes: 0, events: 0, links: 0 }
}

const roundTrip = (span: StoredSpan) => decode(encode([span]))[0]
const nest = (depth: number): Value => (depth === 0 ? 1 : [nest(depth - 1)])

describe("TracePageData", () => {
  it("gives back what it wrote, every kind of value included", () => {
    const spans: ReadonlyArray<StoredSpan> = [
      {
        ...span,
        attributes: {
          text: "a",
          number: 1.5,
          minusZero: -0,
          none: null,
          no: false,
          integer: 9_007_199_254_740_993n,
          notANumber: Number.NaN,
          infinite: Number.NEGATIVE_INFINITY,
          bytes: new Uint8Array([0, 1, 255]),
          list: ["a", 1, ["b", null]],
          map: { i: "not an integer", n: 1, b: { m: 2 } },
          empty: {},
          ["__proto__"]: "own"
        },
        events: [{ name: "exception", timeNanos: span.startNanos - 5n, attributes: { "exception.type": "Error" } }],
        links: [{ traceId: "1".repeat(32), spanId: "2".repeat(16), attributes: { why: "batch" } }],
        dropped: { attributes: 1, events: 2, links: 3 }
      },
      {
        ...span,
        spanId: "00f067aa0ba902b7",
        parentSpanId: span.spanId,
        kind: "client",
        startNanos: 0n,
        endNanos: -7n,
        status: { code: "error", message: "no" },
        resource: { "service.name": "other" },
        scope: { name: "", version: "" },
        traceState: "a=1"
      }
    ]
    assert.deepStrictEqual(decode(encode(spans)), spans)
  })

  it("gives back no spans", () => {
    assert.deepStrictEqual(decode(encode([])), [])
  })

  it("writes nothing that ends a script element", () => {
    const name = "</script><script>alert(1)</script><!-- \u2028"
    const text = encode([{ ...span, name, attributes: { [name]: name } }])
    assert.notInclude(text, "<")
    assert.strictEqual(decode(text)[0]?.name, name)
  })

  it("writes what spans share once", () => {
    const many = Array.from({ length: 100 }, (_, index) => ({
      ...span,
      spanId: index.toString(16).padStart(16, "0"),
      resource: { "service.name": "a service with a name" }
    }))
    assert.strictEqual(encode(many).split("a service with a name").length, 2)
  })

  it("cuts what is nested without end", () => {
    const read = JSON.stringify(roundTrip({ ...span, attributes: { deep: nest(5000) } })?.attributes)
    assert.include(read, "…")
    assert.isBelow(read.length, 300)
  })
})
