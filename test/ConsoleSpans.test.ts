import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Schema } from "effect"
import { Stderr } from "../src/Stderr.ts"
import * as Telemetry from "../src/Telemetry.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { message: Schema.String }) {}

/** What the console shows of an effect's spans, on a terminal of this width or on none. */
const shown = (
  self: Effect.Effect<unknown> | ((soFar: () => string) => Effect.Effect<unknown>),
  columns?: number
): Effect.Effect<string> =>
  Effect.suspend(() => {
    let text = ""
    return (Effect.isEffect(self) ? self : self(() => text)).pipe(
      Effect.provide(Telemetry.layer({ exporter: "console" })),
      Effect.orDie,
      Effect.provideService(Stderr, {
        write: (line) => void (text += line),
        status: () => {},
        isTerminal: columns !== undefined,
        columns: () => columns
      }),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { NO_COLOR: "1" } })),
      Effect.map(() => text)
    )
  })

const span = (name: string) => Effect.withSpan(Effect.void, name, { captureStackTrace: false })
const many = (count: number, name: string) => Effect.forEach(Array(count).fill(name), span, { discard: true })
const lines = (text: string) => text.trimEnd().split("\n")
const count = (text: string, name: string) => lines(text).filter((line) => line.includes(`─ ${name} `)).length

describe("a trace of more spans than are held", () => {
  it.live("is printed as one tree with the true count, its beginning, its end, and what failed in between", () =>
    Effect.gen(function* () {
      const failed = Effect.ignore(Effect.withSpan(Effect.fail(new Broken({ message: "no luck" })), "failed"))
      const text = yield* shown(
        Effect.all([
          many(4000, "first"),
          many(4000, "middle"),
          failed,
          many(19_998, "middle"),
          many(2000, "last")
        ]).pipe(Effect.withSpan("inner"), Effect.withSpan("root"))
      )
      const [head, root, inner] = lines(text)
      const notShown = Number(/^trace [0-9a-f]{32}, 30001 spans, (\d+) of them not shown$/.exec(head ?? "")?.[1])
      assert.match(root ?? "", /^root /)
      assert.match(inner ?? "", /^└─ inner /)
      assert.strictEqual(text.match(/^trace /gm)?.length, 1)
      assert.strictEqual(count(text, "first"), 4000)
      assert.strictEqual(count(text, "last"), 2000)
      assert.strictEqual(count(text, "failed"), 1)
      assert.include(text, "✗ Broken: no luck")
      assert.strictEqual(lines(text).length, 1 + (30_001 - notShown) + 1)
      assert.isAtMost(30_001 - notShown, 10_001)
    })
  )

  it.live("gives up some of its own for a small one beside it", () =>
    Effect.gen(function* () {
      const small = Effect.withSpan(many(3, "small"), "beside", { root: true })
      const text = yield* shown(
        Effect.all([many(9998, "large"), small, many(2000, "large"), small]).pipe(Effect.withSpan("root"))
      )
      assert.strictEqual(text.match(/^trace \w+, 4 spans\nbeside /gm)?.length, 2)
      assert.match(text, /^trace \w+, 11999 spans, \d+ of them not shown\nroot /m)
      assert.strictEqual(text.match(/^trace /gm)?.length, 3)
    })
  )

  it.live("many traces whose roots never end do not fill the memory: the oldest are printed as they are", () =>
    Effect.gen(function* () {
      const lost = Effect.gen(function* () {
        const open = yield* Effect.makeSpan("never ended", { root: true })
        yield* Effect.withSpan(Effect.void, "orphan", { parent: open })
      })
      const text = yield* shown((soFar) =>
        Effect.gen(function* () {
          yield* Effect.replicateEffect(lost, 10_000, { discard: true })
          assert.strictEqual(soFar(), "")
          yield* lost
          assert.strictEqual(soFar().match(/^trace /gm)?.length, 1001)
        })
      )
      assert.strictEqual(text.match(/^trace \w+, 1 span\norphan /gm)?.length, 10_001)
    })
  )
})

describe("an error", () => {
  const message = `The model "qwen2.5:0.5b" is not installed at http://127.0.0.1:11434. ${"Install it, please. ".repeat(8)}End.`
  const fails = Effect.ignore(
    Effect.fail(new Broken({ message })).pipe(
      Effect.withSpan("inner", { attributes: { long: "x".repeat(80) } }),
      Effect.withSpan("outer")
    )
  )

  it.live("is whole where no terminal is, and so is everything else", () =>
    Effect.gen(function* () {
      const text = yield* shown(fails)
      assert.include(text, `✗ Broken: ${message}\n`)
      assert.include(text, `long=${"x".repeat(80)}\n`)
      assert.notInclude(text, "…")
    })
  )

  it.live("goes on in lines as wide as the terminal at most, below where it begins", () =>
    Effect.gen(function* () {
      for (const columns of [60, 80]) {
        const [head, ...rest] = lines(yield* shown(fails, columns))
        assert.match(head ?? "", /^trace [0-9a-f]{32}, 2 spans$/)
        for (const line of rest) {
          assert.isAtMost(line.length, columns)
        }
        const error = rest.slice(rest.findIndex((line) => line.includes("✗")))
        assert.match(error[0] ?? "", /^ {6}✗ Broken: The model/)
        assert.isTrue(error.slice(1).every((line) => /^ {8}\S/.test(line)))
        assert.strictEqual(error.map((line) => line.slice(8)).join(" "), `Broken: ${message}`)
      }
    })
  )

  it.live("leaves the trace's id whole on the narrowest terminal", () =>
    Effect.gen(function* () {
      assert.match(yield* shown(fails, 20), /^trace [0-9a-f]{32}, 2 spans\n/)
    })
  )
})
