// `tinyllm trace open` as a person runs it: what it writes, where, who may read it, and what opens it.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as NodePages from "../src/NodePages.ts"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import * as TraceStore from "../src/TraceStore.ts"
import { runNode, scratch } from "./support/Process.ts"
import { assistant } from "./support/Traces.ts"

const spans = assistant()
const traceId = spans[0]!.traceId

/** A folder of TinyLLM's with one trace in it, and a folder for temporary files. */
const home = async () => {
  const folder = scratch()
  const state = join(folder, "state")
  const temporary = join(folder, "temporary")
  mkdirSync(temporary)
  await Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(TraceStore.make({ file: join(state, "traces.db") }), (store) =>
        store.append(OtlpTraces.request(spans))
      )
    )
  )
  const open = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
    runNode("src/Main.ts", ["trace", "open", ...args], {
      env: { TINYLLM_HOME: state, TMPDIR: temporary, TEMP: temporary, TMP: temporary, ...env },
      cwd: folder
    })
  return { folder, temporary, open }
}

const posix = process.platform !== "win32"

describe("tinyllm trace open", () => {
  it("writes the page where only its user can read it, and prints its path and nothing else", async () => {
    const { folder, open, temporary } = await home()
    const { code, stderr, stdout } = await open(["last", "--no-open"])
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    const path = stdout.trimEnd()
    assert.strictEqual(dirname(dirname(path)), temporary)
    assert.include(path, `trace-${traceId.slice(0, 16)}.html`)
    if (posix) {
      assert.strictEqual(statSync(path).mode & 0o777, 0o600)
      assert.strictEqual(statSync(dirname(path)).mode & 0o777, 0o700)
    }
    const html = readFileSync(path, "utf8")
    assert.match(html, /^<!doctype html>/)
    assert.include(html, "<title>assistant · 4bf92f35 · TinyLLM</title>")
    assert.deepStrictEqual(readdirSync(folder).toSorted(), ["state", "temporary"])
  })

  it("takes the last trace where none is named, and the start of an id", async () => {
    const { open } = await home()
    for (const args of [[], ["4bf9"]]) {
      const { code, stdout } = await open([...args, "--no-open"])
      assert.strictEqual(code, 0)
      assert.isTrue(existsSync(stdout.trimEnd()))
    }
  })

  it("writes to the file that is named, and over one that is there only with --force", async () => {
    const { folder, open, temporary } = await home()
    const file = join(folder, "mine.html")
    const args = ["last", "--no-open", "--output", "mine.html"]
    const first = await open(args)
    assert.deepStrictEqual(first, { ...first, code: 0, stderr: "", stdout: `${file}\n` })
    assert.match(readFileSync(file, "utf8"), /^<!doctype html>/)
    assert.deepStrictEqual(readdirSync(temporary), [])
    writeFileSync(file, "mine")
    const second = await open(args)
    assert.deepStrictEqual({ code: second.code, stdout: second.stdout }, { code: 2, stdout: "" })
    assert.match(second.stderr, /^tinyllm: .*mine\.html is there already\..*--force.*\n$/)
    assert.strictEqual(readFileSync(file, "utf8"), "mine")
    assert.strictEqual((await open(["--no-open", "-o", "mine.html", "--force"])).code, 0)
    assert.match(readFileSync(file, "utf8"), /^<!doctype html>/)
  })

  it("opens the page by the command that BROWSER names", { skip: !posix }, async () => {
    const { folder, open } = await home()
    const browser = join(folder, "browser")
    writeFileSync(browser, `#!/bin/sh\nprintf '%s\\n' "$@" > ${folder}/opened\n`)
    chmodSync(browser, 0o755)
    const { code, stderr, stdout } = await open([], { BROWSER: `${browser} --new %s:other` })
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    assert.strictEqual(readFileSync(join(folder, "opened"), "utf8"), `--new\n${stdout}`)
  })

  it(
    "says that nothing opened it where there is no display, and exits with 0",
    { skip: process.platform !== "linux" },
    async () => {
      const { open } = await home()
      const { code, stderr, stdout } = await open([])
      assert.strictEqual(code, 0)
      assert.strictEqual(
        stderr,
        "tinyllm: the page is written but not opened: there is no display here. Open the file in a browser.\n"
      )
      assert.isTrue(existsSync(stdout.trimEnd()))
    }
  )

  it("says what went wrong with what should have opened it, and exits with 0", { skip: !posix }, async () => {
    const { open } = await home()
    const none = await open([], { BROWSER: "no-such-browser" })
    assert.strictEqual(none.code, 0)
    assert.include(none.stderr, "there is no command no-such-browser")
    const failing = await open([], { BROWSER: "false" })
    assert.strictEqual(failing.code, 0)
    assert.include(failing.stderr, "false ended with exit code 1")
  })

  it("says that there is no such trace, or no folder for the page, in one line", async () => {
    const { folder, open } = await home()
    const missing = await open(["ffff", "--no-open"])
    assert.strictEqual(missing.code, 1)
    assert.strictEqual(missing.stdout, "")
    assert.match(missing.stderr, /^tinyllm: there is no trace ffff; .*\n$/)
    const nowhere = await open(["last", "--no-open", "--output", "no/such/folder.html"])
    assert.strictEqual(nowhere.code, 1)
    assert.match(nowhere.stderr, /^tinyllm: .*folder\.html could not be written: its folder is not there\.\n$/)
    assert.isFalse(existsSync(join(folder, "no")))
  })

  it("writes to no folder, nor to a file without a name, and says so", async () => {
    const { folder, open, temporary } = await home()
    const force = async (name: string) => await open(["last", "--no-open", "--output", name, "--force"])
    for (const attempt of [await force(temporary), await open(["last", "--no-open", "--output", temporary])]) {
      assert.deepStrictEqual(attempt, {
        ...attempt,
        code: 2,
        stdout: "",
        stderr: `tinyllm: ${temporary} is a folder. Name a file in it.\n`
      })
    }
    const nameless = await force("")
    assert.deepStrictEqual(
      [nameless.code, nameless.stdout, nameless.stderr],
      [2, "", "tinyllm: The file to write has no name. Name one.\n"]
    )
    assert.deepStrictEqual(readdirSync(folder).toSorted(), ["state", "temporary"])
    assert.deepStrictEqual(readdirSync(temporary), [])
  })
})

describe("the command that opens a page", () => {
  const path = "/a b/page.html"
  const command = (platform: NodeJS.Platform, browser?: string, hasDisplay = true) =>
    NodePages.commandOf(platform, path, { browser, hasDisplay })

  it("is that of the platform", () => {
    assert.deepStrictEqual(command("darwin"), ["open", path])
    assert.deepStrictEqual(command("linux"), ["xdg-open", path])
    assert.deepStrictEqual(command("win32"), ["rundll32", "url.dll,FileProtocolHandler", path])
    assert.isUndefined(command("linux", undefined, false))
  })

  it("is the first one that BROWSER names, with the page in place of %s or at the end", () => {
    assert.deepStrictEqual(command("linux", "w3m -F:lynx", false), ["w3m", "-F", path])
    assert.deepStrictEqual(command("darwin", "app --url=%s"), ["app", `--url=${path}`])
    assert.deepStrictEqual(command("linux", ""), ["xdg-open", path])
  })
})
