// `tinyllm ui` as a person starts and ends it: real processes, real signals, a real terminal.
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import * as Process from "./support/Process.ts"

const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Process.spawnNode("src/Main.ts", ["ui", ...args], {
    env: { TINYLLM_HOME: Process.scratch(), ...env },
    timeoutMillis: 60_000
  })

/** Starts it, and gives its address. */
const started = async (args: ReadonlyArray<string>) => {
  const running = start(args)
  await running.waitForStdout("/\n")
  return { ...running, url: new URL(running.stdout().trim()) }
}

/** The status of an answer, as soon as its head is here; what follows goes on. */
const get = (url: URL | string) =>
  new Promise<number>((resolve, reject) => {
    Http.get(url, { agent: false }, (response) => {
      response.on("error", () => {}).resume()
      resolve(response.statusCode ?? 0)
    }).once("error", reject)
  })

describe("tinyllm ui", () => {
  it("prints the address of its page and nothing else, and serves it until Ctrl-C, with pages that follow it", async () => {
    const ui = await started(["--port", "0"])
    assert.strictEqual(await get(ui.url), 200)
    assert.strictEqual(await get(`${ui.url}live/traces`), 200)
    assert.strictEqual(await get(`${ui.url}live/stats`), 200)
    ui.kill("SIGINT")
    const { code, stderr, stdout } = await ui.exit
    assert.deepStrictEqual({ code, stderr }, { code: 130, stderr: "" })
    const form = /^http:\/\/127\.0\.0\.1:\d+\/[\w-]{22}\/\n$/
    assert.match(stdout, form)
    const documented = /^```sh\ntinyllm ui\n```\n\n```text\n(.*?)```$/ms.exec(
      readFileSync(`${Process.root}docs/traces.md`, "utf8")
    )
    assert.match(documented?.[1] ?? "", form)
  })

  it("takes port 4319, or a free one where that is taken", async () => {
    const first = await started([])
    const second = await started([])
    // Whoever else has it on this machine: the second one comes after it.
    assert.notStrictEqual(first.url.port, second.url.port)
    assert.notStrictEqual(second.url.port, "4319")
    for (const ui of [first, second]) {
      assert.strictEqual(await get(ui.url), 200)
      ui.kill("SIGTERM")
      await ui.exit
    }
  })

  it("says on one line that a port is taken, or is none", async () => {
    const ui = await started(["--port", "0"])
    const taken = await start(["--port", ui.url.port]).exit
    assert.deepStrictEqual(
      { code: taken.code, stdout: taken.stdout, stderr: taken.stderr },
      {
        code: 1,
        stdout: "",
        stderr: `tinyllm: Port ${ui.url.port} is taken. Choose another one with --port; 0 takes a free one.\n`
      }
    )
    ui.kill("SIGINT")
    const wrong = await start(["--port", "70000"]).exit
    assert.strictEqual(wrong.code, 2)
    assert.include(wrong.stderr, "Expected a port from 0 to 65535, got 70000")
    const nowhere = await start([], { TINYLLM_HOME: "", HOME: "" }).exit
    assert.deepStrictEqual([nowhere.code, nowhere.stdout], [2, ""])
    assert.match(nowhere.stderr, /^tinyllm: .*TINYLLM_HOME.*\n$/)
  })

  it("makes no store of its own", async () => {
    const home = Process.scratch()
    const running = start(["--port", "0"], { TINYLLM_HOME: home })
    await running.waitForStdout("/\n")
    const url = running.stdout().trim()
    assert.strictEqual(await get(`${url}live/traces`), 200)
    running.kill("SIGINT")
    await running.exit
    assert.isFalse(existsSync(join(home, "traces.db")))
  })

  it.skipIf(!Process.hasTerminal)(
    "opens the page in a terminal, by an address that works once and does not tell the lasting one",
    async () => {
      const folder = Process.scratch()
      const browser = join(folder, "browser")
      const seen = join(folder, "seen")
      writeFileSync(browser, `#!/bin/sh\nprintf '%s' "$1" > "${seen}.new"\nmv "${seen}.new" "${seen}"\n`)
      chmodSync(browser, 0o755)
      const env = { TINYLLM_HOME: folder, BROWSER: browser }
      const ui = Process.spawnInTerminal(120, `"${process.execPath}" src/Main.ts ui --port 0`, { env })
      await ui.waitForStdout("Ctrl-C ends it")
      const [, lasting = ""] = /(http:\/\/127\.0\.0\.1:\d+\/[\w-]{22}\/)\r?\n/.exec(ui.stdout()) ?? []
      while (!existsSync(seen)) {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      const once = readFileSync(seen, "utf8")
      assert.match(once, /^http:\/\/127\.0\.0\.1:\d+\/once\/[\w-]{22}$/)
      assert.notInclude(once, new URL(lasting).pathname)
      assert.strictEqual(await get(once), 303)
      assert.strictEqual(await get(once), 403)
      ui.kill("SIGTERM")
      await ui.exit
      const quiet = Process.spawnInTerminal(120, `"${process.execPath}" src/Main.ts ui --port 0 --no-open`, {
        env: { ...env, BROWSER: `${folder}/nothing` }
      })
      await quiet.waitForStdout("Ctrl-C ends it")
      quiet.kill("SIGTERM")
      assert.notInclude((await quiet.exit).stdout, "nothing opened")
    }
  )
})
