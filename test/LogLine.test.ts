import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, References, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Graph from "../src/Graph.ts"
import * as Node from "../src/Node.ts"
import * as Ollama from "../src/Ollama.ts"
import { against } from "./support/Double.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { message: Schema.String }) {}

type Level = "Debug" | "Info"

/** The log lines of a run from a level on, with their annotations, but for those that differ every time. */
const linesOf = <E, R>(node: Node.Node<string, unknown, E, R>, level: Level, live = false) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      const { execution_id, ...rest } = fiber.getRef(References.CurrentLogAnnotations)
      assert.isString(execution_id)
      const facts = Object.entries(rest).map(([key, value]) => ` ${key}=${key.endsWith("_ms") ? typeof value : value}`)
      lines.push(`${logLevel} ${String(message)}${facts.join("")}`)
    })
    yield* Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(Graph.run(Graph.single("g", node), "CANARY")))
      if (!live) {
        yield* TestClock.adjust("1 hour")
      }
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, level))))
    return lines
  })

const ask = Node.model({ model: "m", prompt: (text: string) => text, output: ({ text }) => text })
const fails = Node.tool((text: string) => Effect.fail(new Broken({ message: text })))
const fine = Node.transform((text: string) => text)

describe("the log lines of a run", () => {
  it.effect("say at debug when it starts and ends and what its model calls took, and nothing above debug", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(ask, "Debug"), [
        "Debug Run started graph.id=g",
        "Debug Model call ended llm.model=m llm.input_tokens=1 llm.output_tokens=2 duration_ms=number",
        "Debug Run ended graph.id=g execution.nodes_executed=1 execution.tokens_used=3 execution.duration_ms=number"
      ])
      assert.deepStrictEqual(yield* linesOf(ask, "Info"), [])
    }).pipe(Effect.provide(Ollama.Ollama.layerTest(() => "CANARY answer")))
  )

  it.effect("say how a run ended that did not succeed", () =>
    Effect.gen(function* () {
      const failed = yield* linesOf(fails, "Debug")
      assert.match(failed[1] ?? "", /^Debug Run failed graph\.id=g .* error\.type=Broken$/)
      const died = yield* linesOf(
        Node.tool(() => Effect.die(new TypeError("bug"))),
        "Debug"
      )
      assert.match(died[1] ?? "", /^Debug Run failed .* error\.type=TypeError$/)
      const interrupted = yield* linesOf(
        Node.tool(() => Effect.interrupt),
        "Debug"
      )
      assert.match(interrupted[1] ?? "", /^Debug Run interrupted [^:]*=number$/)
      assert.notInclude([...failed, ...died, ...interrupted].join(), "CANARY")
    })
  )

  it.effect("warn of a node that is run again, takes too long, or has another run in its place", () =>
    Effect.gen(function* () {
      const again = Node.retry({ times: 1, schedule: Schedule.spaced("1 second") })
      assert.deepStrictEqual(yield* linesOf(fails.pipe(again), "Info"), [
        "Warn A node failed and is run again node.id=node retry.attempt=1 retry.delay_ms=number error.type=Broken"
      ])
      assert.deepStrictEqual(yield* linesOf(Node.tool(() => Effect.never).pipe(Node.timeout("1 second")), "Info"), [
        "Warn A node took too long node.id=node timeout_ms=number"
      ])
      assert.deepStrictEqual(yield* linesOf(fails.pipe(Node.fallback(fine)), "Info"), [
        "Warn A node failed and another is run in its place node.id=node error.type=Broken"
      ])
    })
  )

  it.live("warn of a model call that is made again", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(ask, "Info", true), [
        "Warn A model call failed and is made again llm.model=m retry.attempt=1 retry.delay_ms=number error.type=503"
      ])
    }).pipe(Effect.provide(against(({ count }) => (count === 1 ? { status: 503, error: "CANARY busy" } : "fine"))))
  )
})
