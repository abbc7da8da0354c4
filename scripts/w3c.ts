// Runs the public test harness of W3C Trace Context against a service that propagates as we do.
// W3C_TRACE_CONTEXT is a checkout of it, PYTHON the interpreter (python3 by default), which needs the package aiohttp.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import * as Stderr from "../src/Stderr.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as TraceService from "../test/support/TraceService.ts"

const checkout = process.env["W3C_TRACE_CONTEXT"] ?? ""
const python = process.env["PYTHON"] ?? "python3"

const stop = (text: string): never => {
  process.stderr.write(`test:w3c: ${text}\n`)
  process.exit(2)
}

if (checkout === "") {
  stop(
    "set W3C_TRACE_CONTEXT to a checkout of https://github.com/w3c/trace-context. " +
      "Its harness needs Python with the package aiohttp; PYTHON names the interpreter."
  )
}

const directory = [join(checkout, "test"), checkout].find((path) => existsSync(join(path, "test.py")))
const harness = directory ?? stop(`there is no test/test.py in ${checkout}.`)

/** Runs a command and gives its exit code; what it prints is printed. */
const run = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.callback<number>((resume) => {
    const child = spawn(python, args, { cwd: harness, env: { ...process.env, ...env }, stdio: "inherit" })
    child.on("error", () => resume(Effect.succeed(127)))
    child.on("close", (code) => resume(Effect.succeed(code ?? 1)))
  })

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

// Spans are recorded, so that the tracer is the one of a program, and shown to nobody.
const telemetry = Telemetry.layer({ exporter: "console", traceFormat: "json", samplingRate: 1 }).pipe(
  Layer.provide(
    Layer.succeed(Stderr.Stderr, { write: () => {}, status: () => {}, isTerminal: false, columns: () => undefined })
  )
)

const program = Effect.gen(function* () {
  if ((yield* run(["-c", "import aiohttp"])) !== 0) {
    return stop(`${python} has no package aiohttp. Install it, or set PYTHON to an interpreter that has it.`)
  }
  const service = yield* TraceService.make
  return yield* run(["test.py", service.url, ...process.argv.slice(2)], {
    HARNESS_PORT: String(yield* freePort),
    SPEC_LEVEL: "2",
    STRICT_LEVEL: "2"
  })
}).pipe(Effect.scoped, Effect.provide(telemetry))

// The exit code of the harness is the number of its failures.
process.exit(Math.min(await Effect.runPromise(program), 1))
