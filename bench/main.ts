// Measures what graphs and tracing cost, and how long the command line takes to start.
//
// node bench/main.ts [--quick] [--only graph|spans|limits|streams|preflight|collect|store|page|start] [--json]
//
// Everything that is compared runs in turns in one process, or as child processes in turns: trust the ratios, and
// compare times only with those of the same machine on the same day.
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { render, type Section } from "./report.ts"

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    json: { type: "boolean", default: false }
  }
})
const { only, quick } = options

// Settings of the shell are for other programs than this.
for (const name of Object.keys(process.env)) {
  if (/^(?:OTEL_|TINYLLM_|TRACEPARENT$|TRACESTATE$|NODE_OPTIONS$|NODE_COMPILE_CACHE$)/.test(name)) {
    delete process.env[name]
  }
}

const effort = quick ? { rounds: 5, warmUpMillis: 50, turnMillis: 5 } : { rounds: 60, warmUpMillis: 300, turnMillis: 8 }

const parts: Record<string, ReadonlyArray<() => Promise<Section>>> = {
  graph: [async () => (await import("./graphs.ts")).measure(effort)],
  spans: [
    async () => (await import("./spans.ts")).making(effort),
    async () => (await import("./spans.ts")).exporting(quick)
  ],
  limits: [async () => (await import("./limits.ts")).measure(quick)],
  streams: [async () => (await import("./streams.ts")).measure({ ...effort, turnMillis: quick ? 5 : 60 })],
  collect: [async () => (await import("./collect.ts")).measure(quick)],
  store: [
    async () => (await import("./store.ts")).looking(quick),
    async () =>
      (await import("./store.ts")).keeping({ rounds: quick ? 5 : 40, warmUpMillis: quick ? 300 : 2000, turnMillis: 60 })
  ],
  preflight: [async () => (await import("./preflight.ts")).measure(effort)],
  page: [async () => (await import("./page.ts")).measure(quick)],
  start: [async () => (await import("./start.ts")).measure(quick)]
}

if (only !== undefined && !Object.hasOwn(parts, only)) {
  console.error(`bench: --only takes one of ${Object.keys(parts).join(", ")}, got "${only}"`)
  process.exitCode = 2
} else {
  const numbers: Record<string, number> = {}
  // With --json, standard output is for the machine.
  const people = options.json ? process.stderr : process.stdout
  for (const [name, measures] of Object.entries(parts)) {
    for (const measure of only === undefined || only === name ? measures : []) {
      try {
        const section = await measure()
        people.write(`${render(section)}\n`)
        for (const [key, value] of Object.entries(section.numbers)) {
          numbers[`${name}: ${key}`] = value
        }
      } catch (error) {
        // The others are still worth something.
        console.error(`bench: ${name}: ${error instanceof Error ? error.message : String(error)}\n`)
        process.exitCode = 1
      }
    }
  }
  const seconds = Math.round(performance.now() / 1000)
  people.write(`Node ${process.version}, ${availableParallelism()} cores, ${seconds} s\n`)
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ node: process.version, quick, seconds, numbers })}\n`)
  }
}
