// Every helper for spans of your own, one after the other.
//
// Run it with `npx tsx examples/custom-tracing.ts`. It must be tsx, or another compiler: Node alone does not run
// decorators, which one of the helpers is. No model is asked.
//
// Prints on standard output what `Telemetry.isEnabled` and `Span.traceId` say, and the rest on standard error:
//
//   tracing is on
//   this trace is 0af7651916cd43dd8448eb211c80319c
//   12:00:00.000 INFO  This line names its trace trace=0af76519
//   12:00:00.000 INFO  This one does not
//   trace 0af7651916cd43dd8448eb211c80319c, 6 spans
//   shop.day 9.0 ms
//   ├─ shop.open 0.3 ms
//   ├─ price.of 0.4 ms  price.currency=EUR price.item=tea price.cents=320
//   ├─ Shop.sell 0.5 ms  shop.kind=tea • sold
//   ├─ shop.restock 0.5 ms
//   │     ✗ OutOfStock: No "tea" is left.
//   └─ shop.close 0.2 ms
import { Effect, Layer, Schema } from "effect"
import * as Logs from "tinyllm/Logs"
import * as Span from "tinyllm/Span"
import * as Telemetry from "tinyllm/Telemetry"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { item: Schema.String }) {
  override get message() {
    return `No "${this.item}" is left.`
  }
}

// Effect.withSpan: any effect becomes a span.
const open = Effect.succeed("open").pipe(Effect.withSpan("shop.open"))

// Effect.fn: every call of a function is a span. Attributes that are always the same stand beside the name.
const priceOf = Effect.fn("price.of", { attributes: { "price.currency": "EUR" } })(function* (item: string) {
  // Span.attributes: what is known only now. Numbers stay numbers; what is undefined is left out.
  yield* Span.attributes({ "price.item": item, "price.cents": 320, "price.discount": undefined })
  return 320
})

// Span.method: every call of a method is a span `Class.method`.
class Shop {
  readonly currency = "EUR"

  @Span.method({ "shop.kind": "tea" })
  sell(cents: number): Effect.Effect<string> {
    // Span.event: something that happened at one moment.
    return Effect.as(Span.event("sold", { cents }), `${cents / 100} ${this.currency}`)
  }
}

const order = Effect.fail(new OutOfStock({ item: "tea" }))

// Span.error: the error is handled, the program goes on, and the span shows it all the same.
const restock = order.pipe(
  Effect.catchTag("OutOfStock", (error) => Effect.as(Span.error(error), "ordered")),
  Effect.withSpan("shop.restock")
)

const close = Effect.gen(function* () {
  yield* Effect.logInfo("This line names its trace")
  // Span.withoutLogIds: no ids in the log lines of this effect.
  yield* Effect.logInfo("This one does not").pipe(Span.withoutLogIds)
}).pipe(Effect.withSpan("shop.close"))

const day = Effect.gen(function* () {
  // Telemetry.isEnabled: whether spans are recorded here.
  console.log(`tracing is ${(yield* Telemetry.isEnabled) ? "on" : "off"}`)
  // Span.traceId: to hand to a person, or to another system.
  console.log(`this trace is ${yield* Span.traceId}`)
  yield* open
  const cents = yield* priceOf("tea")
  yield* new Shop().sell(cents)
  yield* restock
  yield* close
}).pipe(Effect.withSpan("shop.day"))

await Effect.runPromise(
  Effect.provide(day, Layer.merge(Telemetry.layer({ exporter: "console" }), Logs.layer({ format: "pretty" })))
)
