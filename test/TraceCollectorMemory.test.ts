import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TraceCollectorMemory from "../src/TraceCollectorMemory.ts"

describe("take", () => {
  it.live("serves as many as may wait in their order, and sends others away at once", () =>
    Effect.gen(function* () {
      const memory = TraceCollectorMemory.make(10, 2, 60_000)
      const first = yield* memory.take(10)
      const order: Array<string> = []
      const waits = (name: string) =>
        Effect.forkScoped(
          Effect.tap(memory.take(10), () => Effect.sync(() => void order.push(name))),
          {
            startImmediately: true
          }
        )
      const second = yield* waits("second")
      const third = yield* waits("third")
      assert.isUndefined(yield* memory.take(1))
      first?.release()
      const part = yield* Fiber.join(second)
      assert.deepStrictEqual(order, ["second"])
      part?.release()
      assert.isDefined(yield* Fiber.join(third))
      assert.deepStrictEqual(order, ["second", "third"])
    })
  )
})
