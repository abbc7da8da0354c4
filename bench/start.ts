// From the start of a process to its answer and to its end, from source and built, beside a Node that does nothing.
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { version } from "../src/Version.ts"
import { median, ratio } from "./interleave.ts"
import { millis, type Section, times } from "./report.ts"
import { verify } from "./tracing.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

interface Command {
  readonly name: string
  readonly args: ReadonlyArray<string>
  /** All of standard output. */
  readonly answer: string
  /** What must be on standard error. */
  readonly trace: boolean
  /** Takes part in every round, or in every fourth because it is slow. */
  readonly every: 1 | 4
}

interface Time {
  readonly answer: number
  readonly end: number
}

const time = (command: Command, home: string): Promise<Time> =>
  new Promise((resolve, reject) => {
    const start = performance.now()
    const child = spawn(process.execPath, command.args, {
      cwd: root,
      // Traces of a benchmark are not those of its user.
      env: { ...process.env, TINYLLM_HOME: home },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let answer: number | undefined
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      answer ??= performance.now() - start
      stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("error", reject)
    let end = 0
    child.on("exit", () => {
      end = performance.now() - start
    })
    child.on("close", (code) => {
      try {
        verify(code === 0, `${command.name} ended with ${code}: ${stderr}`)
        verify(stdout === command.answer, `${command.name} answered ${JSON.stringify(stdout)}`)
        verify(stderr.includes("graph.execute") === command.trace, `${command.name} printed: ${stderr}`)
        resolve({ answer: answer ?? end, end })
      } catch (error) {
        reject(error)
      }
    })
  })

const commands = (built: string): ReadonlyArray<Command> => {
  const source = [join(root, "node_modules/tsx/dist/cli.mjs"), join(root, "src/Main.ts")]
  const ask = ["run", "What is 2 + 2?", "--demo"]
  const versions = { answer: `tinyllm ${version}\n`, trace: false }
  const runs = { answer: "4\n", trace: false }
  const traced = { answer: "4\n", trace: true }
  return [
    { name: "node -e 0", args: ["-e", "0"], answer: "", trace: false, every: 1 },
    { name: "built --version", args: [built, "--version"], ...versions, every: 1 },
    { name: "built run --demo", args: [built, ...ask], ...runs, every: 1 },
    { name: "built run --demo --tracing", args: [built, ...ask, "--tracing"], ...traced, every: 1 },
    {
      name: "built run --demo --tracing --no-store",
      args: [built, ...ask, "--tracing", "--no-store"],
      ...traced,
      every: 1
    },
    { name: "source --version", args: [...source, "--version"], ...versions, every: 4 },
    { name: "source run --demo", args: [...source, ...ask], ...runs, every: 4 },
    { name: "source run --demo --tracing", args: [...source, ...ask, "--tracing"], ...traced, every: 4 }
  ]
}

/** Builds the command line as it is published, and runs all of it. Throws when a command does not answer as it should. */
export const measure = async (quick: boolean): Promise<Section> => {
  const folder = mkdtempSync(join(tmpdir(), "tinyllm-bench-"))
  try {
    const { status } = spawnSync(
      process.execPath,
      [join(root, "scripts/build.ts"), "--only", "cli", "--out", join(folder, "dist")],
      { stdio: ["ignore", "ignore", "inherit"] }
    )
    verify(status === 0, "the command line builds")
    // As in the package: without it, Node has to find out what kind of modules these are.
    writeFileSync(join(folder, "package.json"), `{ "type": "module" }\n`)
    return await inTurns(commands(join(folder, "dist/cli/Main.js")), quick ? 2 : 20, join(folder, "home"))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const inTurns = async (commands: ReadonlyArray<Command>, rounds: number, home: string): Promise<Section> => {
  const runs = commands.map((command) => ({ command, rounds: [] as Array<number>, times: [] as Array<Time> }))
  for (const { command } of runs) {
    // What comes from the disk for the first time is not what is compared, nor what Node compiles for the first time.
    if (command.every === 1 || rounds > command.every) {
      await time(command, home)
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const entry of runs) {
      if (round % entry.command.every === 0) {
        entry.rounds.push(round)
        entry.times.push(await time(entry.command, home))
      }
    }
  }
  const empty = runs[0]!.times.map(({ end }) => end)
  const found = runs.map(({ command, rounds, times }) => ({
    name: command.name,
    answer: median(times.map(({ answer }) => answer)),
    end: median(times.map(({ end }) => end)),
    ofEmpty: ratio(
      times.map(({ end }) => end),
      rounds.map((round) => empty[round]!)
    )
  }))
  const measured = (name: string) => found.find((entry) => entry.name === name)!.ofEmpty
  return {
    title: "Starting the command line",
    notes: [
      "From the start of the process to the first byte of the answer, and to its end; the ratio is that of the ends.",
      `The question is "What is 2 + 2?". Median of ${rounds} rounds, of ${Math.ceil(rounds / 4)} from source.`
    ],
    header: ["", "answer", "end", "of empty Node"],
    rows: found.map(({ answer, end, name, ofEmpty }) => [name, millis(answer), millis(end), times(ofEmpty)]),
    goals: [
      { what: "built --version, of an empty Node,", measured: measured("built --version"), atMost: 4 },
      {
        what: "built run --demo --tracing, of an empty Node,",
        measured: measured("built run --demo --tracing"),
        atMost: 8
      }
    ],
    numbers: Object.fromEntries(
      found.flatMap(({ answer, end, name, ofEmpty }) => [
        [`${name}, answer, ms`, answer],
        [`${name}, end, ms`, end],
        [`${name} / empty Node`, ofEmpty]
      ])
    )
  }
}
