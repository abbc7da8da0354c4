import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect } from "effect"
import * as StoreConfig from "../src/StoreConfig.ts"
import * as Telemetry from "../src/Telemetry.ts"

const inEnvironment = <A, E>(self: Effect.Effect<A, E>, env: Record<string, string>) =>
  Effect.provideService(self, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

const home = { TINYLLM_HOME: "/t" }

describe("StoreConfig.resolve", () => {
  it.effect.each<[StoreConfig.StoreOption | undefined, boolean, Record<string, string>, string | undefined]>([
    [undefined, false, home, undefined],
    [undefined, true, home, "/t/traces.db"],
    [undefined, true, { ...home, TINYLLM_STORE: "false" }, undefined],
    [undefined, false, { ...home, TINYLLM_STORE: "true" }, "/t/traces.db"],
    [true, false, { ...home, TINYLLM_STORE: "false" }, "/t/traces.db"],
    [false, true, home, undefined],
    [{}, false, home, "/t/traces.db"],
    [{ file: "/var/x.db" }, false, home, "/var/x.db"],
    [{ file: "/var/x.db" }, false, {}, "/var/x.db"],
    [undefined, true, {}, undefined]
  ])("of %j, by default %s, with %j, is %s", ([option, byDefault, env, file]) =>
    Effect.gen(function* () {
      const { value } = yield* inEnvironment(StoreConfig.resolve(option, byDefault), env)
      assert.strictEqual(value?.file, file)
    })
  )

  it.effect("takes how much is kept from the program, then from the environment, then from the defaults", () =>
    Effect.gen(function* () {
      const keeping = (option: StoreConfig.StoreOption, env: Record<string, string>) =>
        Effect.map(inEnvironment(StoreConfig.resolve(option, false), { ...home, ...env }), ({ value }) => [
          value?.keeping.maximumTraces,
          Duration.toHours(value?.keeping.maximumAge ?? 0),
          value?.keeping.maximumBytes
        ])
      const variables = {
        TINYLLM_STORE_MAX_TRACES: "20",
        TINYLLM_STORE_MAX_AGE: "12 hours",
        TINYLLM_STORE_MAX_BYTES: "1000000"
      }
      assert.deepStrictEqual(yield* keeping(true, {}), [1000, 30 * 24, 1024 ** 3])
      assert.deepStrictEqual(yield* keeping(true, variables), [20, 12, 1e6])
      assert.deepStrictEqual(yield* keeping({ maximumTraces: 5 }, variables), [5, 12, 1e6])
      assert.deepStrictEqual(yield* keeping({ maximumAge: "1 hour" }, variables), [20, 1, 1e6])
      assert.deepStrictEqual(yield* keeping({ maximumBytes: 5e6 }, variables), [20, 12, 5e6])
    })
  )

  it.effect.each<[Record<string, string>, string]>([
    [{ TINYLLM_STORE: "maybe" }, 'TINYLLM_STORE must be true or false, but got "maybe".'],
    [{ TINYLLM_STORE_MAX_TRACES: "0" }, 'TINYLLM_STORE_MAX_TRACES must be an integer of 1 or more, but got "0".'],
    [{ TINYLLM_STORE_MAX_TRACES: "1e3" }, 'TINYLLM_STORE_MAX_TRACES must be an integer of 1 or more, but got "1e3".'],
    [{ TINYLLM_STORE_MAX_AGE: "soon" }, 'TINYLLM_STORE_MAX_AGE must be a duration such as "30 days", but got "soon".'],
    [
      { TINYLLM_STORE_MAX_AGE: "0 days" },
      'TINYLLM_STORE_MAX_AGE must be a duration such as "30 days", but got "0 days".'
    ],
    [
      { TINYLLM_STORE_MAX_BYTES: "0999999" },
      'TINYLLM_STORE_MAX_BYTES must be an integer of 1000000 or more, but got "0999999".'
    ],
    [
      { TINYLLM_STORE_MAX_BYTES: "1GB" },
      'TINYLLM_STORE_MAX_BYTES must be an integer of 1000000 or more, but got "1GB".'
    ]
  ])("refuses %j", ([env, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(inEnvironment(StoreConfig.resolve(undefined, true), { ...home, ...env }))
      assert.strictEqual(error.message, message)
    })
  )

  it.effect("refuses what was asked for where there is no folder for it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(inEnvironment(StoreConfig.resolve(true, false), {}))
      assert.strictEqual(
        error.message,
        "store must be false where neither TINYLLM_HOME nor HOME names a folder, but got true."
      )
    })
  )
})

describe("The option store", () => {
  it.effect.each<[Record<string, unknown>]>([
    [{ file: "here.db" }],
    [{ maximumTraces: 0 }],
    [{ maximumAge: "soon" }],
    [{ maximumAge: -1 }],
    [{ maximumBytes: 999_999 }],
    [{ maximumBytes: 2e6 + 0.5 }],
    [{ folder: "/t" }]
  ])("refuses %j", ([store]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(inEnvironment(Telemetry.resolve({ store } as Telemetry.Options), home))
      assert.include(error.message, "store must be true, false, or an object with file (an absolute path)")
    })
  )

  it.effect("does not say that spans go nowhere where they are only kept", () =>
    Effect.gen(function* () {
      const env = { ...home, TINYLLM_TRACING: "true", OTEL_TRACES_EXPORTER: "none" }
      assert.deepStrictEqual((yield* inEnvironment(Telemetry.resolve({ store: true }), env)).warnings, [])
      assert.lengthOf((yield* inEnvironment(Telemetry.resolve({}), env)).warnings, 1)
    })
  )
})
