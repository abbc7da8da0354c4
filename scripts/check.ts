// Checks types. Where the compiler with Effect's diagnostics is installed (Linux x64), a floating effect or a missing
// `yield*` is an error too; elsewhere TypeScript's own compiler checks the types alone.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const withEffect = `${root}node_modules/@effect/tsgo-linux-x64/lib/tsc`
const compiler = existsSync(withEffect) ? [withEffect] : [process.execPath, `${root}node_modules/typescript/bin/tsc`]
const [command = "", ...args] = compiler
const { status } = spawnSync(command, [...args, "--project", root], { stdio: "inherit" })
process.exit(status ?? 1)
