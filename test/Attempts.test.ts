// Attempts inside of attempts, as a collector gets them: what is below what, and every error once.
import { assert, describe, it } from "@effect/vitest"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { Effect, Fiber, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Kept from "./support/Kept.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", { message: Schema.String }) {}

/** Fails `times` times, each time with another error, and succeeds then. */
const flaky = (times: number) => {
  let calls = 0
  return Node.tool((_: number) =>
    // It takes its time, so that what came first began first.
    Effect.andThen(
      Effect.sleep("10 millis"),
      Effect.suspend(() =>
        ++calls <= times ? Effect.fail(new Boom({ message: `boom ${calls}` })) : Effect.succeed(calls)
      )
    )
  )
}

const again = (times: number) => Node.retry({ times, schedule: Schedule.spaced("1 second") })

const spansOf = (node: Node.Node<number, unknown, unknown>) =>
  Effect.gen(function* () {
    const kept = Kept.make()
    yield* Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(Graph.run(Graph.single("g", node), 1)))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(Telemetry.layerExporter(kept.exporter)), Effect.orDie)
    return kept.spans()
  })

/**
 * The spans below the node, two spaces for every level: the attempt's number or the node's id, `!` where it failed, and
 * the messages of the errors that it records.
 */
const below = (node: Node.Node<number, unknown, unknown>) =>
  Effect.map(spansOf(node), (spans) => {
    const ids = new Set(spans.map((span) => span.spanContext().spanId))
    const root = spans.find((span) => span.name === "graph.execute")
    assert.isTrue(spans.every((span) => span === root || ids.has(span.parentSpanContext?.spanId ?? "")))
    const lines = (parent: ReadableSpan | undefined, indent: string): ReadonlyArray<string> =>
      spans
        .filter((span) => span.parentSpanContext?.spanId === parent?.spanContext().spanId)
        .toSorted(
          (a, b) => a.startTime[0] - b.startTime[0] || a.startTime[1] - b.startTime[1] || b.endTime[0] - a.endTime[0]
        )
        .flatMap((span) => {
          const label = span.attributes["retry.attempt"] ?? span.attributes["node.id"] ?? span.name
          const errors = span.events
            .filter((event) => event.name === "exception")
            .map((event) => ` ${event.attributes?.["exception.message"]}`)
          return [
            `${indent}${label}${span.status.code === 2 ? "!" : ""}${errors.join("")}`,
            ...lines(span, `${indent}  `)
          ]
        })
    return lines(root, "")
  })

/** Asserts what `below` gives. */
const shows = (node: Node.Node<number, unknown, unknown>, lines: ReadonlyArray<string>) =>
  Effect.map(below(node), (shown) => assert.deepStrictEqual(shown, lines))

describe("Node.retry around Node.fallback", () => {
  it.effect("T17 T19 has the attempts of the fallback inside its own, and every error once", () => {
    const node = flaky(3)
    return shows(node.pipe(Node.fallback(node), again(3)), [
      "node",
      "  1!",
      "    1! boom 1",
      "  node.fallback! boom 2",
      "  2",
      "    1! boom 3",
      "    node.fallback"
    ])
  })

  it.effect("T17 writes no attempt of its own when the fallback answers", () =>
    shows(flaky(1).pipe(Node.fallback(flaky(0)), again(3)), ["node", "  1! boom 1", "  node.fallback"])
  )
})

describe("Node.retry around Node.retry", () => {
  it.effect("T17 T19 counts the attempts of each, the inner ones inside of the outer ones", () =>
    shows(flaky(4).pipe(again(1), again(3)), [
      "node",
      "  1!",
      "    1! boom 1",
      "    2! boom 2",
      "  2!",
      "    1! boom 3",
      "    2! boom 4",
      "  3"
    ])
  )

  it.effect("T17 writes only the attempts of the inner one when that is enough", () =>
    shows(flaky(1).pipe(again(1), again(3)), ["node", "  1! boom 1", "  2"])
  )

  it.effect("T17 T19 three deep, every level inside of the one above", () =>
    shows(flaky(4).pipe(again(1), again(1), again(1)), [
      "node",
      "  1!",
      "    1!",
      "      1! boom 1",
      "      2! boom 2",
      "    2!",
      "      1! boom 3",
      "      2! boom 4",
      "  2"
    ])
  )

  it.effect("T17 writes what an attempt held when a time-out ends it", () => {
    let calls = 0
    const node = Node.tool((_: number) =>
      ++calls === 1 ? Effect.fail(new Boom({ message: "boom" })) : calls === 2 ? Effect.never : Effect.succeed(calls)
    )
    return shows(node.pipe(again(1), Node.timeout("10 seconds"), again(1)), [
      "node",
      `  1! The node "node" did not finish within 10s.`,
      "    1! boom",
      "    2",
      "  2"
    ])
  })
})

describe("Node.fallback around Node.retry", () => {
  it.effect("T17 T19 needs no attempt of its own: the last one of the retry shows the error", () =>
    shows(flaky(9).pipe(again(1), Node.fallback(flaky(0))), ["node", "  1! boom 1", "  2! boom 2", "  node.fallback"])
  )

  it.effect("T17 shows the failure when nothing was tried again", () => {
    const once = Node.retry({ while: () => false })
    return shows(flaky(9).pipe(once, Node.fallback(flaky(0))), ["node", "  1! boom 1", "  node.fallback"])
  })

  it.effect("T17 T19 shows an error that arose around the retry, with the attempts below", () => {
    const node = flaky(9).pipe(again(60), Node.timeout("1500 millis"), Node.fallback(flaky(0)))
    return shows(node, [
      "node",
      `  1! The node "node" did not finish within 1s 500ms.`,
      "    1! boom 1",
      "    2! boom 2",
      "  node.fallback"
    ])
  })
})

describe("the ids of fallbacks", () => {
  it.effect("count the fallbacks of a node, not how often one was visited", () =>
    Effect.gen(function* () {
      const ids = (node: Node.Node<number, unknown, unknown>) =>
        Effect.map(spansOf(node), (spans) => spans.flatMap((span) => span.attributes["node.id"] ?? []))
      const spare = flaky(1)
      assert.deepStrictEqual(yield* ids(flaky(9).pipe(Node.fallback(spare), again(3))), [
        "node.fallback",
        "node.fallback",
        "node"
      ])
      assert.deepStrictEqual(yield* ids(flaky(9).pipe(Node.fallback(flaky(9)), again(1), Node.fallback(flaky(0)))), [
        "node.fallback",
        "node.fallback",
        "node.fallback2",
        "node"
      ])
    })
  )
})
