// Checks types. Where the compiler with Effect's diagnostics is installed (Linux x64), a floating effect or a missing
// `yield*` is an error too; elsewhere TypeScript's own compiler checks the types alone.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const withEffect = `${root}node_modules/@effect/tsgo-linux-x64/lib/tsc`
const compiler = existsSync(withEffect) ? [withEffect] : [process.execPath, `${root}node_modules/typescript/bin/tsc`]
const [command = "", ...args] = compiler
// What runs in a browser has types of its own, and tests of it have those of both.
const failed = [root, `${root}page`, `${root}test/browser`].filter(
  (project) => spawnSync(command, [...args, "--project", project], { stdio: "inherit" }).status !== 0
)
process.exit(failed.length === 0 ? 0 : 1)
