import { Effect } from "effect"
import * as Telemetry from "../src/Telemetry.ts"
import * as Span from "../src/Span.ts"
import * as Collector from "./support/Collector.ts"
const c = await Collector.start()
class Boom extends Error { readonly _tag = "Boom" }
const prog = Effect.gen(function*(){
  yield* Effect.annotateCurrentSpan({ a: 1, b: 0.5, c: undefined, d: null, e: {x: 1n, y: "z"}, f: ["a"], g: 10n } as any)
  yield* Span.event("router.decision", {"router.route": "a"})
  yield* Effect.sleep(5)
  yield* Effect.fail(new Boom("no sk-abcdefghijklmnop")).pipe(Effect.withSpan("child", {kind: "client"}), Effect.ignore)
}).pipe(Effect.withSpan("root"))
await Effect.runPromise(prog.pipe(Effect.provide(Telemetry.layer({ otlpEndpoint: c.url }))))
console.dir(c.spans(), {depth: 8})
await Effect.runPromise(prog.pipe(Effect.provide(Telemetry.layer({ exporter: "console" }))))
await Effect.runPromise(prog.pipe(Effect.provide(Telemetry.layer({ exporter: "console", traceFormat: "json" }))))
await c.close()
const t = performance.now()
await Effect.runPromise(prog.pipe(Effect.provide(Telemetry.layer({ otlpEndpoint: c.url }))))
console.log(performance.now()-t)
const h = await Collector.start({mode: "hang"})
await Effect.runPromise(prog.pipe(Effect.provide(Telemetry.layer({ otlpEndpoint: h.url }))))
console.log(performance.now()-t)
await h.close()
