// `tinyllm trace` on a store that other processes write to. Where a process, a pipe, a terminal or a signal is what
// matters there is a real one; the rest runs the command line here.
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { execFileSync } from "node:child_process"
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import * as Cli from "../src/Cli.ts"
import type { CommandFailed } from "../src/CliError.ts"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import { Ports } from "../src/Ports.ts"
import { Stderr } from "../src/Stderr.ts"
import { Stdout } from "../src/Stdout.ts"
import { displayWidth } from "../src/TerminalText.ts"
import { Typing } from "../src/Typing.ts"
import * as Closing from "./support/Closing.ts"
import * as Collector from "./support/Collector.ts"
import * as Process from "./support/Process.ts"
import { call, decided, type Given, graph, node } from "./support/StoredSpans.ts"
import { append, homeWith, trace } from "./support/TraceHome.ts"

const closing = Closing.afterAll()

const env = (home: string, more: Record<string, string> = {}) => ({ TINYLLM_HOME: home, TZ: "Asia/Tokyo", ...more })

process.env["TZ"] = "Asia/Tokyo"

/** The command line in this process: what it prints in a pipe, or on a terminal of so many columns. */
const main = async (home: string, args: ReadonlyArray<string>, columns?: number, more: Record<string, string> = {}) => {
  let stdout = ""
  let stderr = ""
  const exit = await Cli.main(["trace", ...args]).pipe(
    Effect.provide([
      NodeServices.layer,
      // Of other commands.
      Layer.mock(Ports)({}),
      Layer.mock(Typing)({}),
      Layer.succeed(Stdout, {
        isTerminal: columns !== undefined,
        columns: () => columns,
        isClosed: () => false,
        write: (text) => Effect.sync(() => void (stdout += text))
      }),
      Layer.succeed(Stderr, {
        isTerminal: false,
        columns: () => undefined,
        status: () => {},
        write: (text) => void (stderr += text)
      }),
      ConfigProvider.layer(ConfigProvider.fromUnknown({ ...env(home), ...more }))
    ]),
    Effect.runPromiseExit
  )
  const error = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  const code = error === undefined ? (Exit.isSuccess(exit) ? 0 : 1) : (error as CommandFailed).exitCode
  return { code, stdout, stderr }
}

const run = (home: string, ...args: ReadonlyArray<string>) => main(home, args)

/** A process of its own. */
const runProcess = (home: string, ...args: ReadonlyArray<string>) =>
  Process.runNode("src/Main.ts", ["trace", ...args], { env: env(home), timeoutMillis: 60_000 })

const lines = (text: string) => text.trimEnd().split(/\r?\n/)

const math = `aaaa${"1".repeat(28)}`
const code = `aabb${"2".repeat(28)}`
const broken = `cccc${"3".repeat(28)}`
const foreign = `dddd${"4".repeat(28)}`

const going = (way: string, factor: number): ReadonlyArray<Given> => [
  {
    id: "run",
    name: "graph.execute",
    at: [0, 85 * factor],
    attributes: graph("assistant", { "task.content": "What is 2 + 2?" })
  },
  {
    id: "r",
    parent: "run",
    name: "node.router",
    at: [1, 64 * factor],
    attributes: node("classify", "router", 1),
    events: [decided(way, ["math", "code"])]
  },
  { id: "l1", parent: "r", name: "llm.chat", at: [2, 63 * factor], attributes: call("qwen2.5:0.5b", 73, 9) },
  { id: "m", parent: "run", name: "node.model", at: [65 * factor, 83 * factor], attributes: node(way, "model", 2) },
  { id: "l2", parent: "m", name: "llm.chat", at: [66 * factor, 82 * factor], attributes: call("qwen2.5:3b", 28, 1) }
]

// What outsiders may write into a span.
const hostile = "\u001b[31mred\u001b[0m\r\n\u202eevil\u0007 日本語 🙂"

/** Four traces, each a minute after the one before: two ways, one that failed, one of another program. */
const home = homeWith(
  trace(math, 0, ...going("math", 1)),
  trace(code, 1, ...going("code", 30)),
  trace(
    broken,
    2,
    {
      id: "run",
      name: "graph.execute",
      at: [0, 9],
      failed: "bad",
      attributes: graph("chat", { "task.content": hostile })
    },
    { id: "m", parent: "run", name: "node.model", at: [1, 8], failed: hostile, attributes: node(hostile, "model", 1) }
  ),
  trace(foreign, 3, { id: "a", name: "GET /", at: [0, 7], service: "shop" })
)

describe("tinyllm trace ls", () => {
  it("lists the traces, the newest first, whole where nobody watches", async () => {
    const { code: exit, stderr, stdout } = await runProcess(await home, "ls")
    assert.strictEqual(exit, 0)
    assert.strictEqual(stderr, "")
    assert.deepStrictEqual(
      lines(stdout).map((line) => line.slice(0, 53)),
      [
        "TRACE                             TIME               ",
        `${foreign}  2026-01-02 12:07:05`,
        `${broken}  2026-01-02 12:06:05`,
        `${code}  2026-01-02 12:05:05`,
        `${math}  2026-01-02 12:04:05`
      ]
    )
    assert.include(stdout, "assistant  ok        2.55 s      2  101→10  qwen2.5:0.5b, qwen2.5:3b  What is 2 + 2?")
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    assert.notMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u202e]/)
  })

  it("lists those that failed, were slower, are of a graph, began since, and so many at most", async () => {
    const ids = async (...args: ReadonlyArray<string>) => {
      const { stdout } = await run(await home, "ls", "--json", ...args)
      return (JSON.parse(stdout) as ReadonlyArray<{ traceId: string }>).map(({ traceId }) => traceId)
    }
    assert.deepStrictEqual(await ids("--failed"), [broken])
    assert.deepStrictEqual(await ids("--slower-than", "1.5s"), [code])
    assert.deepStrictEqual(await ids("--graph", "assistant", "--limit", "1"), [code])
    assert.deepStrictEqual(await ids("--since", "2026-01-02 12:06"), [foreign, broken])
    assert.deepStrictEqual(await ids("--since", "1h"), [])
  })

  it("says what is wrong with a time", async () => {
    const { code: exit, stderr, stdout } = await run(await home, "ls", "--slower-than", "5")
    assert.deepStrictEqual({ exit, stdout }, { exit: 2, stdout: "" })
    assert.include(stderr, `"5". Expected a duration such as 500ms, 2s, 10m, 2h or 7d`)
  })

  it("says how to make a trace where there is none, and makes nothing", async () => {
    const empty = join(Process.scratch(), "none")
    for (const args of [["ls"], ["stats"]]) {
      const { code: exit, stdout } = await run(empty, ...args)
      assert.deepStrictEqual({ exit, stdout }, { exit: 0, stdout: "" })
    }
    assert.include((await run(empty, "ls")).stderr, `tinyllm run "What is 2 + 2?" --demo --tracing`)
    const { code: exit, stderr } = await run(empty, "show")
    assert.strictEqual(exit, 1)
    assert.match(stderr, /^tinyllm: there are no traces yet; [^\n]*\n$/)
    assert.isFalse(existsSync(empty))
  })

  it("fits terminals of 60, 80 and 200 columns, and says for what there was no room", async () => {
    for (const columns of [60, 80, 200]) {
      const { code: exit, stderr, stdout } = await main(await home, ["ls"], columns, { NO_COLOR: "1" })
      assert.strictEqual(exit, 0)
      for (const line of lines(stdout)) {
        assert.isAtMost(displayWidth(line), columns, line)
      }
      assert.strictEqual(lines(stdout).length, 5)
      assert.strictEqual(stderr.startsWith("tinyllm: no room for "), columns < 200)
      assert.include(stdout, "dddd4444  ")
    }
  })

  it.skipIf(!Process.hasTerminal)("learns the width of a real terminal, and is in colour there", async () => {
    const line = `"${process.execPath}" src/Main.ts trace ls`
    const { stdout } = await Process.spawnInTerminal(70, line, { env: env(await home), timeoutMillis: 60_000 }).exit
    assert.include(stdout, "\u001b[31mfailed\u001b[0m")
    // oxlint-disable-next-line no-control-regex -- colours are what is looked for
    const table = lines(stdout.replace(/\u001b\[\d+m/g, "")).filter((line) => !line.startsWith("tinyllm: "))
    assert.isAtMost(Math.max(...table.map(displayWidth)), 70)
    assert.strictEqual(table.length, 5)
  })

  it("ends well when its reader goes", async () => {
    const {
      code: exit,
      stderr,
      stdout
    } = await Process.run("sh", ["-c", `"${process.execPath}" src/Main.ts trace ls | head -1`], {
      env: env(await home)
    })
    assert.strictEqual(exit, 0)
    assert.strictEqual(stderr, "")
    assert.match(stdout, /^TRACE [^\n]*\n$/)
  })

  it("loads neither OpenTelemetry nor HTTP nor what draws other things", async () => {
    const { code: exit, stdout } = await Process.run(
      process.execPath,
      ["--import", "./test/fixtures/loaded.ts", "src/Main.ts", "trace", "ls", "--json"],
      { env: env(await home), timeoutMillis: 60_000 }
    )
    assert.strictEqual(exit, 0)
    const loaded = lines(stdout).slice(1)
    assert.isTrue(loaded.some((url) => url.includes("TraceStore")))
    assert.deepStrictEqual(
      loaded.filter((url) =>
        /opentelemetry|grpc|\/http\/Http|undici|Telemetry\.ts|TracePage|TraceStats|TraceWaterfall|TraceMermaid/.test(
          url
        )
      ),
      []
    )
  })
})

describe("tinyllm trace", () => {
  it("names a command that is not there, and the nearest one", async () => {
    const said = async (...args: ReadonlyArray<string>) => {
      const { code: exit, stderr, stdout } = await run(await home, ...args)
      assert.deepStrictEqual([exit, stdout], [2, ""])
      return lines(stderr)
    }
    const help = 'Run "tinyllm trace --help" for help.'
    assert.deepStrictEqual(await said("foo"), ['tinyllm: There is no command "tinyllm trace foo".', help])
    assert.deepStrictEqual(await said("sohw"), [
      'tinyllm: There is no command "tinyllm trace sohw". Did you mean show?',
      help
    ])
    assert.deepStrictEqual(await said("x"), ['tinyllm: There is no command "tinyllm trace x".', help])
    // It may be a query.
    assert.deepStrictEqual(await said("a secret"), ["tinyllm: There is no such command.", help])
  })

  it("refuses what begins with a dash and is no flag, and shows no help in its place", async () => {
    const cases: ReadonlyArray<[ReadonlyArray<string>, string]> = [
      [
        ["ls", "--since", "-1h"],
        "The value of --since begins with a dash, so it is read as a flag. Write it as --since=…"
      ],
      [["ls", "--limit", "-h"], "The value of --limit begins with a dash"],
      [["export", "last", "-o", "-v"], "Write it as -o=…"],
      [["show", "-1h"], 'Write it last, after "--"'],
      [["-1h"], 'Write it last, after "--"'],
      // What is read as it is meant is what its flag says.
      [["ls", "--since=-1h"], "Expected a duration ago"],
      [["ls", "--limit", "-5"], "Expected a whole number above 0, got -5"],
      [["ls", "--graph", "--json"], "Missing value for flag --graph"]
    ]
    for (const [args, said] of cases) {
      const { code: exit, stderr, stdout } = await run(await home, ...args)
      assert.deepStrictEqual([exit, stdout], [2, ""], args.join(" "))
      assert.include(stderr, said)
    }
    const help = await run(await home, "ls", "--since", "1h", "-h")
    assert.strictEqual(help.code, 0)
    assert.include(help.stdout, "tinyllm trace ls [flags]")
    assert.strictEqual((await run(await home, "show", "--", "-1h")).code, 1)
  })
})

describe("a command for one trace", () => {
  it("says what an id is where it is given an empty one, and does nothing", async () => {
    for (const command of ["show", "open", "export", "push", "rm"]) {
      for (const id of ["", " "]) {
        const { code: exit, stderr, stdout } = await run(await home, command, id)
        assert.deepStrictEqual([exit, stdout], [2, ""], command)
        assert.match(
          stderr,
          /^tinyllm: .*Expected the id of a trace, or its beginning, or last\nRun [^\n]*\n$/,
          command
        )
      }
    }
  })
})

describe("tinyllm trace show", () => {
  it("takes the beginning of an id, in either case, and is one line about any other", async () => {
    const shown = await run(await home, "show", "AAAA")
    assert.strictEqual(shown.code, 0)
    assert.include(shown.stdout, `trace ${math}\n`)
    assert.include(shown.stdout, "assistant · tinyllm · 2026-01-02 12:04:05")
    const unknown = await run(await home, "show", "ffff")
    assert.deepStrictEqual([unknown.code, unknown.stdout], [1, ""])
    assert.match(unknown.stderr, /^tinyllm: there is no trace ffff; [^\n]*\n$/)
    const ambiguous = await run(await home, "show", "aa")
    assert.deepStrictEqual([ambiguous.code, ambiguous.stdout], [2, ""])
    assert.match(ambiguous.stderr, /^tinyllm: the id aa is that of 2 traces: [^\n]*\n$/)
  })

  it("shows the newest trace by itself, and changes nothing", async () => {
    const before = readFileSync(join(await home, "traces.db"))
    const { code: exit, stdout } = await run(await home, "show")
    assert.strictEqual(exit, 0)
    assert.include(stdout, "GET /")
    assert.isTrue(readFileSync(join(await home, "traces.db")).equals(before))
  })

  it("prints JSON and Mermaid", async () => {
    const { stdout } = await run(await home, "show", "aaaa", "--json")
    const json = JSON.parse(stdout)
    assert.strictEqual(json.traceId, math)
    assert.deepStrictEqual(
      json.runs[0].steps.map(({ node, route }: { node: string; route: string }) => [node, route]),
      [
        ["classify", "math"],
        ["math", null]
      ]
    )
    const mermaid = await run(await home, "show", "aaaa", "--mermaid")
    assert.match(mermaid.stdout, /^flowchart TD\n[^]*linkStyle 0,1,2 stroke-width:4px\n$/)
    const both = await run(await home, "show", "aaaa", "--json", "--mermaid")
    assert.deepStrictEqual([both.code, both.stderr], [2, "tinyllm: Write --json or --mermaid, not both.\n"])
  })

  it("fits terminals, in colour unless NO_COLOR or TERM say no", async () => {
    for (const columns of [60, 80, 200]) {
      const { stdout } = await main(await home, ["show", "cccc", "--attributes"], columns, { NO_COLOR: "1" })
      for (const line of lines(stdout)) {
        assert.isAtMost(displayWidth(line), columns, line)
        assert.notInclude(line, "\u001b")
      }
      assert.include(stdout, "�[31mred�[0m �evil� 日本語 🙂")
    }
    const coloured = await main(await home, ["show", "aaaa"], 80)
    assert.include(coloured.stdout, "\u001b[32mok\u001b[0m")
    assert.notInclude((await main(await home, ["show", "aaaa"], 80, { TERM: "dumb" })).stdout, "\u001b")
  })
})

describe("how a trace ended", () => {
  it("is the same in every command, also where the root has not come or never will", async () => {
    const [late, circle, itself] = ["a", "b", "c"].map((digit) => digit.repeat(32)) as [string, string, string]
    const home = await homeWith(
      trace(late, 0, { id: "a", parent: "not here", at: [0, 5] }),
      trace(circle, 1, { id: "a", parent: "b", at: [0, 5] }, { id: "b", parent: "a", at: [0, 5] }),
      trace(itself, 2, { id: "a", parent: "a", at: [0, 5], failed: true })
    )
    for (const [id, word, duration] of [
      [late, "running", null],
      [circle, "running", null],
      [itself, "failed", 5]
    ] as const) {
      const list = JSON.parse((await main(home, ["ls", "--json"])).stdout)
      const { durationMs, status } = list.find(({ traceId }: { readonly traceId: string }) => traceId === id)
      assert.deepStrictEqual([status, durationMs], [word === "failed" ? "error" : word, duration])
      assert.include((await main(home, ["show", id])).stdout, `\n${word} · 5.0 ms · `)
      const html = (await main(home, ["export", id, "--format", "html"])).stdout
      assert.include(html, ` data-status="${word === "failed" ? "error" : word}">`)
      assert.match(
        (await main(home, ["diff", id, id])).stdout,
        new RegExp(`^a  ${id.slice(0, 8)} · a · ${word} · 5.0 ms`)
      )
    }
  })
})

describe("tokens", () => {
  it("are those that are counts, in every command", async () => {
    const call = (input: number | bigint, output: number) => ({
      "llm.model": "m",
      "llm.input_tokens": input,
      "llm.output_tokens": output
    })
    const home = await homeWith(
      trace("a".repeat(32), 0, { id: "a", name: "llm.chat", at: [0, 5], attributes: call(2n ** 62n, -5) }),
      trace("b".repeat(32), 1, { id: "b", name: "llm.chat", at: [0, 5], attributes: call(1.5, 7) })
    )
    const list = JSON.parse((await main(home, ["ls", "--json"])).stdout)
    const ofList = list.map(({ inputTokens, outputTokens }: Record<string, unknown>) => [inputTokens, outputTokens])
    assert.deepStrictEqual(ofList, [
      [null, 7],
      [null, null]
    ])
    assert.include((await main(home, ["show", "b"])).stdout, "tokens →7 ·")
    assert.notInclude((await main(home, ["show", "a"])).stdout, "tokens")
  })
})

describe("tinyllm trace diff of a run that goes on", () => {
  it("says so, names its service, and does not say that both went the same way", async () => {
    const visit = { id: "n", parent: "run", name: "node.tool", attributes: node("n", "tool", 1) }
    const home = await homeWith(...["a", "b"].map((id) => trace(id.repeat(32), 0, { ...visit, at: [0, 5] })))
    const { stdout } = await main(home, ["diff", "a", "b"])
    assert.match(stdout, /^a {2}aaaaaaaa · tinyllm · running · 5.0 ms/)
    assert.include(stdout, "\nBoth went the same way so far.\n")
  })
})

describe("a store that cannot be used", () => {
  it("is one line about it, whatever looks at it, and is left as it is", async () => {
    const home = Process.scratch()
    const file = join(home, "traces.db")
    writeFileSync(file, "mine, and no database\n".repeat(1000))
    for (const args of [
      ["ls"],
      ["show"],
      ["diff", "a", "b"],
      ["stats"],
      ["export", "last"],
      ["tail"],
      ["rm", "a"],
      ["prune"]
    ]) {
      const { code: exit, stderr, stdout } = await run(home, ...args)
      assert.deepStrictEqual([args[0], exit, stdout], [args[0], 1, ""])
      assert.match(stderr, /^tinyllm: the trace store [^\n]* is damaged, or no trace store; [^\n]*\n$/, args[0])
    }
    assert.strictEqual(readFileSync(file, "utf8"), "mine, and no database\n".repeat(1000))
  })
})

describe("tinyllm trace diff and stats", () => {
  it("tell two runs apart, and say when they are of different graphs", async () => {
    const { code: exit, stdout } = await run(await home, "diff", "aaaa", "aabb")
    assert.strictEqual(exit, 0)
    assert.include(stdout, "≠  classify  math | code   63 ms  1.92 s   ×30.5")
    assert.include(stdout, "The ways part at classify: math in a, code in b.")
    const other = await run(await home, "diff", "aaaa", "cccc")
    assert.include(other.stdout, "These are runs of different graphs, assistant and chat")
    const json = JSON.parse((await run(await home, "diff", "aaaa", "aabb", "--json")).stdout)
    assert.deepInclude(json, { a: math, b: code, by: "steps", parting: "classify" })
  })

  it("count traces of a graph", async () => {
    const { code: exit, stdout } = await run(await home, "stats", "--graph", "assistant")
    assert.strictEqual(exit, 0)
    assert.match(stdout, /^2 traces · 4 node visits · 4 model calls · tokens 202→20\n/)
    assert.match(stdout, /\nrouter +2 +0 +63 ms +1\.92 s +1\.92 s +146→18 +\d+ % +█+/)
    const json = JSON.parse((await run(await home, "stats", "--json")).stdout)
    assert.deepInclude(json, { traces: 4, failed: 1 })
    assert.deepInclude(json.models[0], { model: "qwen2.5:0.5b", count: 2, failed: 0, inputTokens: 146 })
  })
})

describe("tinyllm trace export", () => {
  it("writes OTLP in JSON that says all that the store knows, to standard output or as a whole into a file", async () => {
    const { code: exit, stdout } = await run(await home, "export", "aaaa")
    assert.strictEqual(exit, 0)
    const [resource] = JSON.parse(stdout).resourceSpans
    assert.deepInclude(resource.resource.attributes, { key: "service.name", value: { stringValue: "tinyllm" } })
    const { spans } = resource.scopeSpans[0]
    assert.strictEqual(spans.length, 5)
    assert.deepInclude(spans[0], { traceId: math, name: "graph.execute", startTimeUnixNano: "1767323045000000000" })
    const again = Result.getOrThrow(Result.flatMap(OtlpTraces.fromJson(stdout), OtlpTraces.spans))
    assert.deepStrictEqual(again, trace(math, 0, ...going("math", 1)))
    const file = join(Process.scratch(), "trace.json")
    assert.strictEqual((await run(await home, "export", "aaaa", "--output", file)).code, 0)
    assert.strictEqual(readFileSync(file, "utf8"), stdout)
    assert.deepStrictEqual(readdirSync(join(file, "..")), ["trace.json"])
  })

  it("replaces no file unless it is told to, and leaves nothing behind", async () => {
    const folder = Process.scratch()
    const file = join(folder, "mine")
    writeFileSync(file, "mine")
    const { code: exit, stderr } = await run(await home, "export", "aaaa", "--format", "mermaid", "--output", file)
    assert.deepStrictEqual(
      [exit, stderr],
      [2, `tinyllm: ${file} is there already. Write --force to replace it, or name another file.\n`]
    )
    assert.strictEqual(readFileSync(file, "utf8"), "mine")
    await run(await home, "export", "aaaa", "--format", "mermaid", "--output", file, "--force")
    assert.match(readFileSync(file, "utf8"), /^flowchart TD\n/)
    const link = join(folder, "link")
    symlinkSync(file, link)
    await run(await home, "export", "aaaa", "--output", link, "--force")
    assert.isTrue(lstatSync(link).isSymbolicLink())
    assert.include(readFileSync(file, "utf8"), "resourceSpans")
    const nowhere = await run(await home, "export", "aaaa", "--output", join(folder, "no", "file"))
    assert.deepStrictEqual(
      [nowhere.code, nowhere.stderr],
      [1, `tinyllm: ${join(folder, "no", "file")} could not be written: its folder is not there.\n`]
    )
    mkdirSync(join(folder, "folder"))
    for (const force of [[], ["--force"]]) {
      const into = await run(await home, "export", "aaaa", "--output", join(folder, "folder"), ...force)
      assert.deepStrictEqual(
        [into.code, into.stderr],
        [2, `tinyllm: ${join(folder, "folder")} is a folder. Name a file in it.\n`]
      )
    }
    assert.deepStrictEqual(readdirSync(folder).toSorted(), ["folder", "link", "mine"])
  })

  it.skipIf(process.platform === "win32")("writes into a pipe with a name, and leaves it one", async () => {
    const pipe = join(Process.scratch(), "pipe")
    const { stdout } = await Process.run(
      "bash",
      [
        "-c",
        `mkfifo ${pipe}; "${process.execPath}" src/Main.ts trace export aaaa -o ${pipe} & cat ${pipe}; wait; test -p ${pipe} && echo still`
      ],
      { env: { TINYLLM_HOME: await home } }
    )
    assert.match(stdout, /^\{"resourceSpans"[^]*\}\n?still\n$/)
  })

  it("writes a page", async () => {
    const { code: exit, stdout } = await run(await home, "export", "aaaa", "--format", "html")
    assert.strictEqual(exit, 0)
    assert.match(stdout, /^<!doctype html>/i)
  })
})

describe("tinyllm trace push <id>", () => {
  it("sends a stored trace, and keeps it", async () => {
    const collector = closing(await Collector.start())
    const { code: exit, stderr, stdout } = await run(await home, "push", "cccc", "--otlp-endpoint", collector.url)
    assert.deepStrictEqual([exit, stderr], [0, ""])
    assert.strictEqual(stdout, `2 spans of trace ${broken} sent to ${new URL(collector.url).host}\n`)
    assert.deepStrictEqual(
      collector
        .spans()
        .map(({ attributes, name, traceId }) => [traceId, name, attributes["task.content"] ?? attributes["node.id"]]),
      [
        [broken, "graph.execute", hostile],
        [broken, "node.model", hostile]
      ]
    )
    assert.strictEqual((await run(await home, "show", "cccc")).code, 0)
  })

  it("says on one line that nobody takes it, and what is no usage of it", async () => {
    const port = await Collector.deadPort()
    const {
      code: exit,
      stderr,
      stdout
    } = await run(await home, "push", "cccc", "--otlp-endpoint", `http://127.0.0.1:${port}`)
    assert.deepStrictEqual([exit, stdout], [1, ""])
    assert.match(stderr, /^tinyllm: 2 spans not sent: connection refused at [^\n]*\n$/)
    assert.strictEqual((await run(await home, "push", "cccc", "--directory", "/nowhere")).code, 2)
  })
})

describe("tinyllm trace rm and prune", () => {
  const some = () =>
    homeWith(...["a", "b", "c"].map((id, minutes) => trace(id.repeat(32), minutes, { id: "a", at: [0, 1] })))
  const left = async (home: string) =>
    (JSON.parse((await run(home, "ls", "--json")).stdout) as ReadonlyArray<{ traceId: string }>).map(
      ({ traceId }) => traceId[0]
    )

  it("removes what is named, or nothing where one of them is not there", async () => {
    const home = await some()
    const none = await run(home, "rm", "a", "f")
    assert.deepStrictEqual([none.code, none.stdout], [1, ""])
    assert.deepStrictEqual(await left(home), ["c", "b", "a"])
    const two = await run(home, "rm", "a", "last", "c")
    assert.deepStrictEqual([two.code, two.stdout], [0, "2 traces removed\n"])
    assert.deepStrictEqual(await left(home), ["b"])
  })

  it("removes all of them only when that is meant", async () => {
    const home = await some()
    const asked = await run(home, "rm", "--all")
    assert.deepStrictEqual(
      [asked.code, asked.stderr],
      [2, "tinyllm: This removes 3 traces for good. Write --yes if you mean it.\n"]
    )
    assert.strictEqual((await run(home, "rm")).code, 2)
    assert.strictEqual((await run(home, "rm", "a", "--all", "--yes")).code, 2)
    assert.deepStrictEqual(await left(home), ["c", "b", "a"])
    assert.strictEqual((await run(home, "rm", "--all", "--yes")).stdout, "3 traces removed\n")
    assert.deepStrictEqual(await left(home), [])
  })

  it("prunes what is too many", async () => {
    const home = await some()
    const { code: exit, stdout } = await run(home, "prune", "--keep", "1", "--older-than", "36500d")
    assert.deepStrictEqual([exit, stdout], [0, "2 traces removed\n"])
    assert.deepStrictEqual(await left(home), ["c"])
  })
})

describe("tinyllm trace tail", () => {
  const tail = (home: string, ...args: ReadonlyArray<string>) =>
    Process.spawnNode("src/Main.ts", ["trace", "tail", ...args], { env: env(home), timeoutMillis: 60_000 })

  it("shows what other processes write, as they write it, until Ctrl-C", async () => {
    const home = await homeWith(trace(math, 0, ...going("math", 1)))
    const running = tail(home)
    await running.waitForStderr("watching")
    const spans = trace(code, 1, ...going("code", 1))
    await append(home, spans.slice(1))
    await running.waitForStdout("node.router classify → code")
    assert.notInclude(running.stdout(), "graph.execute")
    await append(home, spans.slice(0, 1))
    await running.waitForStdout("graph.execute assistant")
    running.kill("SIGINT")
    const { code: exit, stdout } = await running.exit
    assert.strictEqual(exit, 130)
    // What was there before is not shown, and nothing twice.
    assert.deepStrictEqual(
      lines(stdout).map((line) => line.replace(/ +/g, " ")),
      [
        "12:05:05 aabb2222 llm.chat qwen2.5:0.5b 61 ms tokens 73→9 ~148 tok/s",
        "12:05:05 aabb2222 node.router classify → code 63 ms",
        "12:05:05 aabb2222 llm.chat qwen2.5:3b 16 ms tokens 28→1 ~62.5 tok/s",
        "12:05:05 aabb2222 node.model code 18 ms",
        "12:05:05 aabb2222 graph.execute assistant 85 ms tokens 101→10 ok"
      ]
    )
  })

  it("writes a line of JSON for each trace that ends, and begins before there is a store", async () => {
    const home = Process.scratch()
    const running = tail(home, "--json")
    await running.waitForStderr("watching")
    await append(home, trace(math, 0, ...going("math", 1)))
    await running.waitForStdout("\n")
    running.kill("SIGTERM")
    assert.deepInclude(JSON.parse((await running.exit).stdout), { traceId: math, status: "ok", nodes: 2 })
  })

  it("ends when its reader goes", async () => {
    const home = await homeWith()
    const running = Process.spawn("sh", ["-c", `"${process.execPath}" src/Main.ts trace tail | head -1`], {
      env: env(home),
      timeoutMillis: 60_000
    })
    await running.waitForStderr("watching")
    const ended = { yet: false }
    void running.exit.then(() => (ended.yet = true))
    for (let minute = 0; !ended.yet; minute++) {
      await append(home, trace(`f${`${minute}`.padStart(31, "0")}`, minute, ...going("math", 1)))
    }
    const { code: exit, stdout } = await running.exit
    assert.strictEqual(exit, 0)
    assert.strictEqual(lines(stdout).length, 1)
  })
})

describe("a run with --tracing", () => {
  it("is watched while it runs, and then listed and shown with its way, tokens and query", async () => {
    const home = Process.scratch()
    const watching = Process.spawnNode("src/Main.ts", ["trace", "tail"], { env: env(home), timeoutMillis: 60_000 })
    await watching.waitForStderr("watching")
    const answered = await Process.runNode("src/Main.ts", ["run", "What is 2 + 2?", "--demo", "--tracing"], {
      env: env(home),
      timeoutMillis: 60_000
    })
    assert.deepStrictEqual([answered.code, answered.stdout], [0, "4\n"])
    await watching.waitForStdout("graph.execute assistant")
    watching.kill("SIGINT")
    const { stdout: watched } = await watching.exit
    assert.deepStrictEqual(
      lines(watched).map((line) => /^[\d:]+ \w{8} (.*?) {2,}/.exec(line)?.[1]),
      [
        "llm.chat qwen2.5:0.5b",
        "node.router classify → math",
        "llm.chat qwen2.5:3b",
        "node.model math",
        "node.gate check → pass",
        "graph.execute assistant"
      ]
    )
    const [listed, ...more] = JSON.parse((await run(home, "ls", "--json")).stdout)
    assert.deepStrictEqual(more, [])
    assert.deepInclude(listed, {
      graph: "assistant",
      status: "ok",
      nodes: 3,
      query: "What is 2 + 2?",
      inputTokens: 101,
      outputTokens: 10,
      models: ["qwen2.5:0.5b", "qwen2.5:3b"]
    })
    const { stdout: shown } = await run(home, "show")
    assert.include(shown, `trace ${listed.traceId}\n`)
    assert.match(shown, /node\.router classify +[^\n]*█[^\n]*\n│ {2}│ {2}→ math by model, not code, general\n/)
    assert.match(shown, /llm\.chat qwen2\.5:0\.5b +[\d.]+ m?s +[\d.]+ m?s +73→9 +[\d.]+ +/)
    assert.strictEqual((await run(home, "diff", "last", "last")).stdout.includes("Both went the same way."), true)
  })

  it("leaves no content in lists where nothing is captured", async () => {
    const home = Process.scratch()
    await Process.runNode("src/Main.ts", ["run", "What is 2 + 2?", "--demo", "--tracing", "--no-capture-content"], {
      env: env(home),
      timeoutMillis: 60_000
    })
    for (const args of [["ls"], ["show", "--attributes", "--events"], ["show", "--json"], ["export", "last"]]) {
      assert.notInclude((await run(home, ...args)).stdout, "2 + 2", args.join(" "))
    }
  })
})

describe("commands while runs write", () => {
  it("all work while another process writes without a pause", async () => {
    const home = await homeWith(trace(math, 0, ...going("math", 1)), trace(code, 1, ...going("code", 1)))
    const writer = Process.spawnNode("test/fixtures/writing.ts", [home], { timeoutMillis: 120_000 })
    await writer.waitForStdout("writing")
    for (const args of [
      ["ls"],
      ["show", "last"],
      ["diff", "aaaa", "aabb"],
      ["stats"],
      ["export", "last"],
      ["rm", "aabb"]
    ]) {
      const { code: exit, stderr } = await run(home, ...args)
      assert.deepStrictEqual([args[0], exit, stderr], [args[0], 0, ""])
    }
    writer.kill("SIGKILL")
    await writer.exit
  })
})

it("the times that a person reads are by the clock on the wall where they are", () => {
  const read = (zone: string) =>
    execFileSync(process.execPath, ["-e", `import("./src/TerminalText.ts").then((m) => console.log(m.dateTime(0n)))`], {
      cwd: Process.root,
      env: { TZ: zone },
      encoding: "utf8"
    }).trim()
  assert.strictEqual(read("UTC"), "1970-01-01 00:00:00")
  assert.strictEqual(read("America/New_York"), "1969-12-31 19:00:00")
})
