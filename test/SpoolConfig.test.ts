import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import * as SpoolConfig from "../src/SpoolConfig.ts"
import * as StatePlace from "../src/StatePlace.ts"

const inEnvironment = <A, E>(self: Effect.Effect<A, E>, env: Record<string, string>) =>
  Effect.provideService(self, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

describe("StatePlace.state", () => {
  it.effect.each<[NodeJS.Platform, Record<string, string>, string | undefined]>([
    ["linux", { HOME: "/home/me" }, "/home/me/.local/state/tinyllm"],
    ["linux", { HOME: "/home/me", XDG_STATE_HOME: "/state" }, "/state/tinyllm"],
    ["linux", { HOME: "/home/me", XDG_STATE_HOME: "state" }, "/home/me/.local/state/tinyllm"],
    ["linux", { HOME: "/home/me", XDG_STATE_HOME: "/state", TINYLLM_HOME: "/mine" }, "/mine"],
    ["linux", { HOME: "" }, undefined],
    ["darwin", { HOME: "/Users/me" }, "/Users/me/Library/Application Support/tinyllm"],
    ["darwin", { HOME: "/Users/me", XDG_STATE_HOME: "/state" }, "/state/tinyllm"],
    [
      "win32",
      { LOCALAPPDATA: "C:\\Users\\me\\AppData\\Local", USERPROFILE: "C:\\Users\\me" },
      "C:\\Users\\me\\AppData\\Local/tinyllm"
    ],
    ["win32", { USERPROFILE: "C:\\Users\\me" }, "C:\\Users\\me/AppData/Local/tinyllm"]
  ])("on %s with %j is %s", ([platform, env, folder]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* inEnvironment(StatePlace.state(platform), env), folder)
    })
  )

  it.effect("refuses a relative TINYLLM_HOME: nothing goes into the working directory", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(inEnvironment(StatePlace.state("linux"), { TINYLLM_HOME: "here" }))
      assert.strictEqual(error.message, 'TINYLLM_HOME must be an absolute path, but got "here".')
    })
  )
})

describe("SpoolConfig.resolve", () => {
  const home = { TINYLLM_HOME: "/t" }

  it.effect.each<[SpoolConfig.SpoolOption | undefined, boolean, Record<string, string>, string | undefined]>([
    [undefined, false, home, undefined],
    [undefined, true, home, "/t/spool"],
    [undefined, true, { ...home, TINYLLM_SPOOL: "false" }, undefined],
    [undefined, false, { ...home, TINYLLM_SPOOL: "true" }, "/t/spool"],
    [true, false, { ...home, TINYLLM_SPOOL: "false" }, "/t/spool"],
    [false, true, home, undefined],
    [{}, false, home, "/t/spool"],
    [{ directory: "/var/x" }, false, home, "/var/x"],
    [undefined, true, {}, undefined]
  ])("of %j, by default %s, with %j, is %s", ([option, byDefault, env, directory]) =>
    Effect.gen(function* () {
      const { value } = yield* inEnvironment(SpoolConfig.resolve(option, byDefault), env)
      assert.strictEqual(value?.directory, directory)
    })
  )

  it.effect("refuses what was asked for where there is no folder for it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(inEnvironment(SpoolConfig.resolve(true, false), {}))
      assert.strictEqual(
        error.message,
        "spool must be false where neither TINYLLM_HOME nor HOME names a folder, but got true."
      )
    })
  )

  it.effect("names the command that sends what is in it", () =>
    Effect.gen(function* () {
      const push = (option: SpoolConfig.SpoolOption) =>
        Effect.map(inEnvironment(SpoolConfig.resolve(option, false), home), ({ value }) =>
          SpoolConfig.pushCommand(value, "")
        )
      assert.strictEqual(yield* push(true), "tinyllm trace push")
      assert.strictEqual(yield* push({ directory: "/var/x" }), "tinyllm trace push --directory /var/x")
      assert.strictEqual(yield* push({ directory: "/my x" }), "tinyllm trace push --directory '/my x'")
    })
  )
})
