import { Result } from "effect"
import { assert, describe, it } from "vitest"
import * as OtlpBatches from "../src/OtlpBatches.ts"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import { span } from "./support/StoredSpans.ts"

/** Spans of two programs, a kilobyte each. */
const spans = Array.from({ length: 40 }, (_, index) =>
  span({
    id: `${index}`,
    at: [index, index + 1],
    service: index < 25 ? "shop" : "till",
    attributes: { text: "x".repeat(1000) }
  })
)
const request = OtlpTraces.request(spans)
const batches = (maximumBytes?: number) => Result.getOrThrow(OtlpBatches.make(request, maximumBytes))
const read = (bytes: Uint8Array) => Result.getOrThrow(OtlpTraces.spans(bytes))
const bytesOf = (bytes: Uint8Array) =>
  Result.getOrThrow(OtlpTraces.split(bytes)).flatMap(({ spans }) =>
    spans.map((span) => Buffer.from(span).toString("hex"))
  )

describe("OtlpBatches.make", () => {
  it("leaves a request that is small enough as it is", () => {
    const [only, ...more] = batches()
    assert.deepStrictEqual(more, [])
    assert.strictEqual(only?.request, request)
    assert.strictEqual(only?.spans, 40)
  })

  it("makes of a large one several, in which every span is once, byte for byte what it was, with its program", () => {
    const several = batches(5000)
    assert.isAbove(several.length, 7)
    for (const { request, spans } of several) {
      assert.isAtMost(request.length, 5500)
      assert.strictEqual(read(request).length, spans)
    }
    assert.deepStrictEqual(
      several.flatMap(({ request }) => bytesOf(request)),
      bytesOf(request)
    )
    assert.deepStrictEqual(
      several.flatMap(({ request }) => read(request)),
      read(request)
    )
  })

  it("sends a span that is larger than a request may be by itself", () => {
    assert.deepStrictEqual(
      batches(10).map(({ spans }) => spans),
      spans.map(() => 1)
    )
  })

  it("says what is no request", () => {
    assert.isTrue(Result.isFailure(OtlpBatches.make(new Uint8Array([255, 255, 255]))))
  })
})
