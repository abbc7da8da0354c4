/** Commands as real child processes: what a person would see, and how long it took. */
import { spawn as nodeSpawn } from "node:child_process"
import { existsSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export interface Result {
  /** `null` when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** From start to exit. */
  readonly millis: number
}

export interface Running {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  readonly kill: (signal: NodeJS.Signals) => void
  /** Writes to standard input, where that stays open. */
  readonly type: (text: string) => void
  /** Resolves when the text has been written, after so many characters; rejects when the process ends without it. */
  readonly waitForStdout: (text: string, after?: number) => Promise<void>
  readonly waitForStderr: (text: string, after?: number) => Promise<void>
  readonly exit: Promise<Result>
}

export interface Options {
  /**
   * Beside PATH and HOME, which is all that the child inherits, and `TINYLLM_HOME`, a folder that goes with the tests: no
   * variable of this machine changes a test, and no test changes its files.
   */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** `null` leaves it open, for `type`. */
  readonly stdin?: string | null
  /** After this the child is killed, 60 s by default. */
  readonly timeoutMillis?: number
}

/** The root of the repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url))

/** A folder for the files of one test file, which goes when all tests have ended. */
export const scratch = (): string => mkdtempSync(join(tmpdir(), "tinyllm-test-"))

let home: string | undefined

export const spawn = (command: string, args: ReadonlyArray<string>, options: Options = {}): Running => {
  const begin = performance.now()
  const child = nodeSpawn(command, args, {
    cwd: options.cwd ?? root,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      TINYLLM_HOME: (home ??= scratch()),
      ...options.env
    },
    stdio: "pipe"
  })
  child.stdin.on("error", () => {})
  if (options.stdin !== null) {
    child.stdin.end(options.stdin ?? "")
  }
  const read = (stream: NodeJS.ReadableStream) => {
    let text = ""
    const waiting = new Set<() => void>()
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk
      for (const check of waiting) {
        check()
      }
    })
    return {
      text: () => text,
      waitFor: (wanted: string, after = 0) =>
        new Promise<void>((resolve, reject) => {
          const check = () => {
            if (text.includes(wanted, after)) {
              waiting.delete(check)
              resolve()
            }
          }
          waiting.add(check)
          child.once("close", () => reject(new Error(`ended without writing "${wanted}":\n${out.text()}${err.text()}`)))
          check()
        })
    }
  }
  const out = read(child.stdout)
  const err = read(child.stderr)
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMillis ?? 60_000)
  return {
    pid: child.pid ?? 0,
    stdout: out.text,
    stderr: err.text,
    kill: (signal) => void child.kill(signal),
    type: (text) => void child.stdin.write(text),
    waitForStdout: out.waitFor,
    waitForStderr: err.waitFor,
    exit: new Promise((resolve, reject) => {
      child.once("error", reject)
      child.once("close", (code, signal) => {
        clearTimeout(timer)
        resolve({ code, signal, stdout: out.text(), stderr: err.text(), millis: performance.now() - begin })
      })
    })
  }
}

export const run = (command: string, args: ReadonlyArray<string>, options?: Options): Promise<Result> =>
  spawn(command, args, options).exit

// `script`, of util-linux, gives a process a terminal.
const script = "/usr/bin/script"

/** Whether a process can be given a terminal here. */
export const hasTerminal = existsSync(script)

/** Runs a line of a shell in a terminal; what it writes comes on standard output, whichever stream it was for. */
export const spawnInTerminal = (columns: number, line: string, options: Options = {}): Running =>
  spawn(script, ["-qec", `stty cols ${columns}; ${line}`, "/dev/null"], {
    ...options,
    env: { TERM: "xterm", ...options.env }
  })

/** Runs a TypeScript file, named from the root of the repository, with the Node that runs the tests. */
export const spawnNode = (file: string, args: ReadonlyArray<string> = [], options?: Options): Running =>
  spawn(process.execPath, [`${root}${file}`, ...args], options)

export const runNode = (file: string, args: ReadonlyArray<string> = [], options?: Options): Promise<Result> =>
  spawnNode(file, args, options).exit
