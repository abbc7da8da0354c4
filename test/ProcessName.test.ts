import { assert, describe, it } from "@effect/vitest"
import * as ProcessName from "../src/ProcessName.ts"
import * as Process from "./support/Process.ts"

const nameOfAnother = `
  import * as ProcessName from "./src/ProcessName.ts"
  process.stdout.write(ProcessName.own() + "\\n")
  process.stdin.resume()`

describe("ProcessName", () => {
  it("tells a process that runs from one that has ended", { timeout: 60_000 }, async () => {
    const other = Process.spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", nameOfAnother], {
      stdin: null
    })
    await other.waitForStdout("\n")
    const name = other.stdout().trimEnd()
    assert.notStrictEqual(name, ProcessName.own())
    assert.isFalse(ProcessName.hasEnded(name))
    assert.isFalse(ProcessName.hasEnded(ProcessName.own()))
    other.kill("SIGKILL")
    await other.exit
    assert.isTrue(ProcessName.hasEnded(name))
    // What the same number is elsewhere, nobody knows.
    assert.isFalse(ProcessName.hasEnded(`${name}-elsewhere`))
  })

  it("knows nothing of what is no name", () => {
    for (const text of ["", "0 - ", "-1 - here", ProcessName.own().replace(/^\d+/, "0")]) {
      assert.isFalse(ProcessName.hasEnded(text), text)
    }
  })

  it.skipIf(process.platform !== "linux")("tells two processes of the same number apart", () => {
    const [pid, start, ...place] = ProcessName.own().split(" ")
    assert.match(start ?? "", /^\d+@[0-9a-f]{8}$/)
    assert.isTrue(ProcessName.hasEnded([pid, `1${start}`, ...place].join(" ")))
  })

  it.skipIf(process.platform !== "linux")(
    "takes one for ended that nobody has asked how it ended",
    { timeout: 60_000 },
    async () => {
      // The shell becomes a program that never asks.
      const other = Process.spawn("sh", [
        "-c",
        `"${process.execPath}" --import tsx --input-type=module -e "$0" & exec sleep 60`,
        nameOfAnother
      ])
      await other.waitForStdout("\n")
      const name = other.stdout().trimEnd()
      process.kill(Number.parseInt(name), "SIGKILL")
      while (!ProcessName.hasEnded(name)) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      process.kill(Number.parseInt(name), 0)
      other.kill("SIGKILL")
      await other.exit
    }
  )
})
