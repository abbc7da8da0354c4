// Vitest's global set-up: what tests write goes into one folder, which goes when they have ended. A process that runs
// tests may be killed at its end, and then nothing of its own is done any more.
import { mkdtempSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

export default () => {
  const folder = mkdtempSync(join(tmpdir(), "tinyllm-tests-"))
  // Those of POSIX and of Windows.
  for (const name of ["TMPDIR", "TEMP", "TMP"]) {
    process.env[name] = folder
  }
  // Processes that were told to end may write there for a moment.
  return () => rm(folder, { recursive: true, force: true, maxRetries: 10 })
}
