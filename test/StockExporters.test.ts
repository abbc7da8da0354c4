// Why `Telemetry.layer` carries spans by itself: what the exporter of OpenTelemetry does at the same collectors. When one
// of these fails after an update, that exporter may have learned it.
import { assert, describe, it } from "@effect/vitest"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc"
import { Effect } from "effect"
import type { Layer } from "effect"
import * as Telemetry from "../src/Telemetry.ts"
import * as Collector from "./support/Collector.ts"
import { isolated } from "./support/Isolated.ts"

const spans = Effect.forEach([1, 2, 3, 4, 5], () => Effect.withSpan(Effect.void, "step"), { discard: true })

const at = (
  mode: Collector.Mode | ((call: number) => Collector.Mode),
  layer: (url: string) => Layer.Layer<never, unknown>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const collector = yield* Effect.acquireRelease(
        Effect.promise(() => Collector.start({ mode })),
        (collector) => Effect.promise(() => collector.close())
      )
      const { stderr } = yield* isolated(spans.pipe(Effect.provide(layer(collector.url))))
      return { arrived: collector.spans().length, stderr: stderr.replaceAll(new URL(collector.url).host, "HOST") }
    })
  )

const ours = (url: string) => Telemetry.layer({ otlpEndpoint: url })
const stock = (url: string) => Telemetry.layerExporter(new OTLPTraceExporter({ url }))

const busyOnce =
  (refuse: "UNAVAILABLE" | "RESOURCE_EXHAUSTED") =>
  (call: number): Collector.Mode =>
    call === 1 ? { refuse, retryMillis: 50 } : "ok"

describe("The stock exporter", () => {
  it.live.each(["UNAVAILABLE", "RESOURCE_EXHAUSTED"] as const)(
    "gives up at the first %s, which the specification calls passing; Telemetry.layer sends them again",
    (status) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* at(busyOnce(status), ours), { arrived: 5, stderr: "" })
        const { arrived, stderr } = yield* at(busyOnce(status), stock)
        assert.strictEqual(arrived, 0)
        assert.match(stderr, new RegExp(`^tinyllm: 5 spans not exported: \\d+ ${status}: refused by the test\\n$`))
      })
  )

  it.live("calls a batch exported of which a collector rejects spans; Telemetry.layer counts them", () =>
    Effect.gen(function* () {
      const rejecting = { reject: 2, message: "no room" }
      assert.strictEqual(
        (yield* at(rejecting, ours)).stderr,
        "tinyllm: 2 spans not exported: rejected by HOST: no room\n"
      )
      assert.notInclude((yield* at(rejecting, stock)).stderr, "not exported")
    })
  )
})
