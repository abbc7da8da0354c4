// Standard decorators need a compiler, so this runs in a process of its own, by tsx. Prints the spans it made.
import { Effect } from "effect"
import * as Span from "../../src/Span.ts"
import { parentName, Spans } from "../support/Spans.ts"

class Shop {
  readonly price = 3

  @Span.method({ "shop.kind": "books" })
  total(count: number): Effect.Effect<number> {
    return Effect.succeed(count * this.price).pipe(Effect.withSpan("inner"))
  }

  @Span.method()
  static open(): Effect.Effect<string> {
    return Effect.succeed("open")
  }
}

const program = Effect.gen(function* () {
  const results = [yield* new Shop().total(2), yield* Shop.open()]
  const spans = (yield* Spans).all.map((span) => ({
    name: span.name,
    parent: parentName(span),
    attributes: Object.fromEntries(span.attributes)
  }))
  console.log(JSON.stringify({ results, spans }))
})

await Effect.runPromise(Effect.provide(program, Spans.layer))
