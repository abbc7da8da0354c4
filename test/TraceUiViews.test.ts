// What the page of `tinyllm ui` is told of a store.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { join } from "node:path"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import * as TracePageData from "../src/TracePageData.ts"
import * as TraceStore from "../src/TraceStore.ts"
import * as TraceUiViews from "../src/TraceUiViews.ts"
import { scratch } from "./support/Process.ts"
import { span, spanId, traceId } from "./support/StoredSpans.ts"

describe("the view of a trace", () => {
  it.live("is told each span once, and nothing where nothing has changed", () =>
    Effect.gen(function* () {
      const store = yield* TraceStore.make({ file: join(scratch(), "traces.db") })
      const put = (id: string, parent?: string) => store.append(OtlpTraces.request([span({ id, parent, at: [0, 1] })]))
      const view = TraceUiViews.view(store, {
        path: `trace/${traceId}`,
        query: new URLSearchParams(),
        lastEventId: undefined
      })
      const told = Effect.map(view!.next, (messages) =>
        messages.map(({ data, id }) => {
          const { running, spans } = data as { readonly running: boolean; readonly spans: string }
          return { id, running, spans: TracePageData.decode(spans).map((span) => span.spanId) }
        })
      )
      yield* put("b", "a")
      yield* put("c", "a")
      assert.deepStrictEqual(yield* told, [{ id: "2", running: true, spans: [spanId("b"), spanId("c")] }])
      assert.deepStrictEqual(yield* told, [])
      yield* put("a")
      assert.deepStrictEqual(yield* told, [{ id: "3", running: false, spans: [spanId("a")] }])
      assert.deepStrictEqual(yield* told, [])
    })
  )
})

describe("the view of many traces in numbers", () => {
  it.live("leaves out the oldest traces beyond a hundred thousand spans, and says how many", () =>
    Effect.gen(function* () {
      const store = yield* TraceStore.make({ file: join(scratch(), "traces.db") })
      yield* store.append(OtlpTraces.request([span({ id: "a", at: [0, 1] })]))
      const [summary] = yield* store.list()
      const leftOut = (...sizes: ReadonlyArray<number>) => {
        // As if these were the spans of as many traces.
        const list = () => Effect.succeed(sizes.map((spans) => ({ ...summary!, spans })))
        const wanted = { path: "stats", query: new URLSearchParams(), lastEventId: undefined }
        const view = TraceUiViews.view({ ...store, list }, wanted)
        return Effect.map(view!.next, ([message]) => (message!.data as { readonly leftOut: number }).leftOut)
      }
      assert.strictEqual(yield* leftOut(60_000, 40_000), 0)
      assert.strictEqual(yield* leftOut(60_000, 40_000, 1, 1), 2)
      assert.strictEqual(yield* leftOut(200_000, 1), 1)
    })
  )
})
