// README, CHANGELOG, docs and examples: what they say is run, compiled or looked up.
//
// A `sh` block is run line by line, but for the lines that `notRun` names, in a directory of stand-ins for npm, npx and
// tinyllm that start the command line from source. A `text` block after it is what its last line prints. A `ts` block
// is compiled, and run if a `text` block follows. Ollama is a double and the collector is one of tests, both on free
// loopback ports; they appear under their usual addresses. A comment `<!-- exit 3, no Ollama, no collector -->` in front
// of a block says what is different about it.
import * as Effect from "effect/Effect"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, dirname, join, relative } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { parse as parseYaml } from "yaml"
import * as Assistant from "../src/Assistant.ts"
import * as Baggage from "../src/Baggage.ts"
import * as Demo from "../src/Demo.ts"
import * as Graph from "../src/Graph.ts"
import * as Logs from "../src/Logs.ts"
import * as Node from "../src/Node.ts"
import * as NodeClient from "../src/NodeClient.ts"
import * as OllamaModule from "../src/Ollama.ts"
import { OllamaDouble, type Reply } from "../src/OllamaDouble.ts"
import * as OllamaEmbeddingModel from "../src/OllamaEmbeddingModel.ts"
import * as OllamaLanguageModel from "../src/OllamaLanguageModel.ts"
import * as Propagation from "../src/Propagation.ts"
import * as Span from "../src/Span.ts"
import * as StoreConfig from "../src/StoreConfig.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as TelemetryTest from "../src/TelemetryTest.ts"
import * as Usage from "../src/Usage.ts"
import * as Collector from "./support/Collector.ts"
import { exampleHome } from "./support/ExampleTraces.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import { type Result, root, run } from "./support/Process.ts"

const { Ollama } = OllamaModule

/** Commands that run until somebody ends them: CliCollect.test.ts and CliUi.test.ts run them, and compare what they print. */
const ownTests = [/^tinyllm collect$/, /^tinyllm ui$/]

/** Commands that need Docker, a browser, an installation, a checkout or Ollama itself, or would run tests within a test. */
const notRun = [
  /^docker /,
  /^open /,
  /^git /,
  /^ollama /,
  // Goes on until it is ended.
  /^tinyllm trace tail$/,
  /^npm install /,
  /^npm ci && npm (?:test|pack)$/,
  /^npx tinyllm /,
  /^npx vitest /,
  ...ownTests,
  /^curl /
]

const tracing = "docs/tracing.md"
const traces = "docs/traces.md"
const testing = "docs/testing.md"
const ollamaReference = "docs/ollama.md"
const documents = ["README.md", "CHANGELOG.md", tracing, traces, testing, ollamaReference]
const examples = readdirSync(`${root}examples`).map((file) => `examples/${file}`)
const read = (path: string) => readFileSync(root + path, "utf8")

// ---------------------------------------------------------------------------------------------------------------------
// Reading Markdown
// ---------------------------------------------------------------------------------------------------------------------

interface Block {
  readonly language: string
  readonly text: string
  /** File and line, for messages. */
  readonly at: string
  readonly exit: number
  readonly ollama: boolean
  readonly collector: boolean
  /** The `text` block that follows at once. */
  readonly output: string | undefined
}

const blocksOf = (path: string): ReadonlyArray<Block> => {
  const text = read(path)
  const fences = [...text.matchAll(/(?:<!-- ([^\n]*) -->\n+)?^```(\w+)\n(.*?)^```\n(?=(?:\n```text\n(.*?)^```$)?)/gms)]
  return fences.map(([whole, marks = "", language = "", code = "", output], index) => ({
    language,
    text: code,
    at: `${path}:${text.slice(0, (fences[index]?.index ?? 0) + whole.indexOf("```")).split("\n").length}`,
    exit: Number(/exit (\d+)/.exec(marks)?.[1] ?? 0),
    ollama: !marks.includes("no Ollama"),
    collector: !marks.includes("no collector"),
    output
  }))
}

const blocks = documents.flatMap(blocksOf)

interface Command extends Block {
  readonly line: string
}

const lines = blocks
  .filter(({ language }) => language === "sh")
  .flatMap((block): ReadonlyArray<Command> => {
    const own = block.text.split("\n").filter((line) => line !== "")
    return own.map((line, index) => ({ ...block, line, output: index === own.length - 1 ? block.output : undefined }))
  })
const commands = lines.filter(({ line }) => !notRun.some((pattern) => pattern.test(line)))

const snippets = blocks
  .filter(({ language }) => language === "ts")
  .map((block, index) => ({ ...block, file: `snippet${index + 1}.ts` }))

interface Table {
  readonly heading: string
  readonly rows: ReadonlyArray<Readonly<Record<string, string>>>
}

/** The tables of a document: each row by the names of its columns. */
const tablesOf = (path: string): ReadonlyArray<Table> => {
  let heading = ""
  const tables: Array<
    Table & { readonly rows: Array<Record<string, string>>; readonly columns: ReadonlyArray<string> }
  > = []
  let inTable = false
  for (const line of read(path).split("\n")) {
    heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading
    const cells = line.startsWith("| ")
      ? line
          .slice(2, -1)
          .split("|")
          .map((cell) => cell.trim())
      : undefined
    if (cells !== undefined && !inTable) {
      tables.push({ heading, columns: cells, rows: [] })
    } else if (cells !== undefined && !/^-+$/.test(cells[0] ?? "")) {
      const table = tables.at(-1)
      table?.rows.push(Object.fromEntries(table.columns.map((column, index) => [column, cells[index] ?? ""])))
    }
    inTable = cells !== undefined
  }
  return tables
}

const table = (path: string, heading: string, column: string): Table["rows"] => {
  const found = tablesOf(path).find((table) => table.heading === heading && column in (table.rows[0] ?? {}))
  assert.isDefined(found, `${path} has no table with the column "${column}" under "${heading}"`)
  return found.rows
}

/** What stands between backticks. */
const code = (text: string): ReadonlyArray<string> => [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code)

/** A document without its blocks. */
const prose = (path: string) => read(path).replaceAll(/^```.*?^```$/gms, "")

// ---------------------------------------------------------------------------------------------------------------------
// Comparing output
// ---------------------------------------------------------------------------------------------------------------------

/** Makes equal what differs from run to run: ids, times, durations. */
const normalize = (text: string): ReadonlyArray<string> =>
  text
    .replaceAll(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "<uuid>")
    .replaceAll(/\b[0-9a-f]{32}\b/g, "<trace id>")
    .replaceAll(/\b[0-9a-f]{16}\b/g, "<span id>")
    .replaceAll(/\btrace=[0-9a-f]{8}\b/g, "trace=<trace>")
    .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<time>")
    .replaceAll(/\b\d\d:\d\d:\d\d\.\d{3}\b/g, "<time>")
    .replaceAll(/\b(?:\d+ min )?\d+(?:\.\d+)? m?s\b/g, "<duration>")
    .replaceAll(/("(?:durationMs|(?:execution\.)?duration_ms)":)[\d.]+/g, "$1<duration>")
    .split("\n")
    .filter((line) => line !== "")

/**
 * Whether a text is what a terminal shows of standard output and standard error: the lines of both, each in its order.
 * A line `…` stands for any lines.
 */
const isShown = (documented: string, { stderr, stdout }: Pick<Result, "stdout" | "stderr">): boolean => {
  const [wanted, out, err] = [normalize(documented), normalize(stdout), normalize(stderr)]
  const from = (line: number, o: number, e: number): boolean => {
    if (line === wanted.length) {
      return o === out.length && e === err.length
    }
    if (wanted[line] === "…") {
      return (
        from(line + 1, o, e) || (o < out.length && from(line, o + 1, e)) || (e < err.length && from(line, o, e + 1))
      )
    }
    return (
      (out[o] === wanted[line] && from(line + 1, o + 1, e)) || (err[e] === wanted[line] && from(line + 1, o, e + 1))
    )
  }
  return from(0, 0, 0)
}

const shows = (documented: string, result: Result, at: string): void => {
  if (!isShown(documented, result)) {
    // Never equal: a difference that can be read.
    assert.deepStrictEqual([...normalize(result.stdout), ...normalize(result.stderr)], normalize(documented), at)
  }
}

describe("isShown", () => {
  const result = { stdout: "a\nb\n", stderr: "x\n" }

  it("takes both streams in any order, each in its own", () => {
    assert.isTrue(isShown("a\nx\nb", result))
    assert.isFalse(isShown("b\nx\na", result))
    assert.isFalse(isShown("a\nb", result))
    assert.isFalse(isShown("a\nb\nx\ny", result))
  })

  it("takes … for any lines", () => {
    assert.isTrue(isShown("…\nb", result))
    assert.isFalse(isShown("…\nc", result))
  })

  it("takes ids, times and durations for equal", () => {
    assert.isTrue(isShown("in 5 ms, 12:00:00.000", { stdout: "in 1.25 s, 09:30:12.345", stderr: "" }))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Running what documents say
// ---------------------------------------------------------------------------------------------------------------------

/** Stand-ins for programs, and the snippets as files. */
let folder = ""

const installed = ["qwen2.5:0.5b", "qwen2.5:3b"]
const ollama = ManagedRuntime.make(
  OllamaDouble.layer({
    ...OllamaDouble.demo,
    models: installed,
    registry: ["llama3.2:1b"],
    anyModel: false,
    version: "0.33.3"
  })
)
let ollamaUrl = ""
let nowhere = ""

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tinyllm-docs-"))
  ollamaUrl = (await ollama.runPromise(OllamaDouble)).url
  nowhere = `http://127.0.0.1:${await Collector.deadPort()}`
  const tsx = `exec "${process.execPath}" "${root}node_modules/tsx/dist/cli.mjs"`
  const standIns = {
    node: `exec "${process.execPath}" "$@"`,
    tinyllm: `exec "${process.execPath}" "${root}src/Main.ts" "$@"`,
    npx: `[ "$1" = tsx ] || exit 99\nshift\n${tsx} "$@"`,
    npm: `[ "$1" = ci ] && exit 0\n[ "$1 $2 $3" = "start --silent --" ] || exit 99\nshift 3\n${tsx} "${root}src/Main.ts" "$@"`
  }
  for (const [name, script] of Object.entries(standIns)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, name), 0o755)
  }

  for (const { file, text } of snippets) {
    writeFileSync(join(folder, file), text)
  }
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`)
  symlinkSync(`${root}node_modules`, join(folder, "node_modules"))
  const { compilerOptions } = JSON.parse(read("tsconfig.json")) as {
    compilerOptions: { paths: Record<string, [string]> }
  }
  const paths = Object.entries(compilerOptions.paths).map(([name, [path]]) => [name, [join(root, path)]])
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: `${root}tsconfig.json`,
      compilerOptions: { paths: Object.fromEntries(paths) },
      include: ["*.ts"]
    })
  )
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  await ollama.dispose()
})

// Two processes at a time: there may be no more cores, and other tests want some.
let free = 2
const waiting: Array<() => void> = []
const inTurn = async <A>(work: () => Promise<A>): Promise<A> => {
  if (free === 0) {
    await new Promise<void>((resolve) => waiting.push(resolve))
  } else {
    free--
  }
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next === undefined) {
      free++
    } else {
      next()
    }
  }
}

const timeout = { timeout: 90_000 }
const processTimeout = { timeoutMillis: 60_000 }
const usualCollector = "localhost:4317"
const usualHttpCollector = "localhost:4318"
const usualOllama = "http://127.0.0.1:11434"

/** A folder with the spans of one run that found no collector. */
const spooled = async () => {
  const home = mkdtempSync(join(folder, "spooled-"))
  await run(process.execPath, [`${root}src/Main.ts`, "run", "1 + 1", "--demo", "--otlp-endpoint", nowhere], {
    ...processTimeout,
    env: { TINYLLM_HOME: home }
  })
  return home
}

// Commands about stored traces, but for the one that sends spans that no collector took.
const aboutTraces = /\btinyllm trace (?!push(?! last))/

type Shell = ReturnType<typeof runShell>
const ran = new Map<string, Shell>()

/** Runs a line of a shell, once: what two places document alike is run for both. */
const shell = (command: Parameters<typeof runShell>[0]): Shell => {
  const key = JSON.stringify([command.line, command.ollama, command.collector, command.mode])
  const result = ran.get(key) ?? runShell(command)
  ran.set(key, result)
  return result
}

/** With the double for Ollama and a collector of its own, both shown at their usual address. */
const runShell = (command: Pick<Command, "line" | "ollama" | "collector"> & { readonly mode?: Collector.Mode }) =>
  inTurn(async () => {
    const http = command.line.includes(usualHttpCollector)
    const collector = http ? await HttpCollector.start() : await Collector.start({ mode: command.mode ?? "ok" })
    const usualAddress = http ? usualHttpCollector : usualCollector
    const collectorUrl = command.collector ? collector.url : nowhere
    const address = collectorUrl.replace("http://", "")
    try {
      const line = command.line.replaceAll(usualAddress, address)
      const exports = /--exporter (?:jaeger|otlp)|trace push/.test(line) || line.includes(address)
      const result = await run("sh", ["-c", line], {
        ...processTimeout,
        // Some write files.
        ...(aboutTraces.test(line) ? { cwd: mkdtempSync(join(folder, "traces-")) } : {}),
        env: {
          PATH: [folder, dirname(process.execPath), "/usr/local/bin", "/usr/bin", "/bin"].join(delimiter),
          OLLAMA_HOST: command.ollama ? ollamaUrl : nowhere,
          TINYLLM_HOME: aboutTraces.test(line)
            ? await exampleHome()
            : line.includes("trace push")
              ? await spooled()
              : join(folder, "home"),
          TZ: "UTC",
          ...(exports && !line.includes(address) ? { TINYLLM_OTLP_ENDPOINT: collectorUrl } : {})
        }
      })
      const usual = (text: string) =>
        text
          .replaceAll(command.ollama ? ollamaUrl : nowhere, usualOllama)
          .replaceAll(`${collectorUrl} (TINYLLM_OTLP_ENDPOINT)`, `http://${usualAddress} (default)`)
          .replaceAll(address, usualAddress)
          .replaceAll(join(folder, "home"), "/home/me/.local/state/tinyllm")
      return {
        ...result,
        stdout: usual(result.stdout),
        stderr: usual(result.stderr),
        exports: exports && command.collector,
        spans: collector.spans(),
        metricCalls: "metricCalls" in collector ? collector.metricCalls() : []
      }
    } finally {
      await collector.close()
    }
  })

describe.concurrent("commands of the documents", () => {
  it.each(commands)("$at: $line", timeout, async (command) => {
    const result = await shell(command)
    assert.strictEqual(result.code, command.exit, result.stderr)
    if (command.output !== undefined) {
      shows(command.output, result, command.at)
    }
    if (command.line.startsWith("OTEL_METRICS_EXPORTER=otlp ")) {
      assert.isNotEmpty(result.metricCalls, "no metrics came to the collector")
    } else if (result.exports && !command.line.includes("doctor")) {
      assert.isNotEmpty(result.spans, "no spans came to the collector")
    }
    const parent = /TRACEPARENT=00-(\w{32})/.exec(command.line)?.[1]
    if (parent !== undefined) {
      assert.include(result.stderr, `trace ${parent}`)
    }
  })
})

describe.concurrent("troubleshooting", () => {
  it("quotes what the program writes", timeout, async () => {
    const quoted = table(tracing, "Troubleshooting", "What you see").flatMap((row) => code(row["What you see"] ?? ""))
    const ask = (flags: string, rest: Partial<Parameters<typeof shell>[0]> = {}) =>
      shell({ line: `tinyllm run "1 + 1" --demo ${flags}`, ollama: true, collector: true, ...rest })
    const results = await Promise.all([
      ask("--exporter otlp", { collector: false }),
      ask("--exporter otlp", { mode: "hang" }),
      ask("--exporter otlp", { mode: { refuse: "UNIMPLEMENTED" } }),
      ask("--exporter otlp", { mode: { reject: 1, message: "" } }),
      ask("--otlp-endpoint http://collector.invalid:4317"),
      ask("--otlp-endpoint collector:4317"),
      ask("--otlp-endpoint http://127.0.0.1:4318 --sampling-rate 0"),
      shell({ line: `OTEL_SDK_DISABLED=true tinyllm run "1 + 1" --demo --tracing`, ollama: true, collector: true })
    ])
    const written = results.map(({ stderr }) => stderr).join("")
    assert.isNotEmpty(quoted)
    for (const text of quoted.filter((text) => text !== "…")) {
      assert.include(written, text)
    }
  })
})

describe("blocks of the documents", () => {
  it("are commands, their output, programs, or queries of Tempo", () => {
    assert.deepStrictEqual(
      blocks.filter(({ language }) => !["sh", "text", "ts", "traceql"].includes(language)),
      []
    )
  })

  it("show no output that is not compared", () => {
    const compared = blocks.filter(
      ({ language, output }) => (language === "sh" || language === "ts") && output !== undefined
    )
    assert.strictEqual(compared.length, blocks.filter(({ language }) => language === "text").length)
    // The last line of a block prints what follows, so that one must run.
    assert.deepStrictEqual(
      compared.filter(
        ({ at, language, text }) =>
          language === "sh" &&
          commands.findLast((command) => command.at === at)?.output === undefined &&
          !ownTests.some((pattern) => pattern.test(text.trimEnd()))
      ),
      []
    )
  })

  it("hold the two commands of someone who has npm and nothing else", () => {
    const ofReadme = blocksOf("README.md").map(({ text }) => text)
    assert.include(ofReadme, `npm ci && npm start --silent -- run "What is 2 + 2?" --demo --tracing\n`)
    assert.include(ofReadme, "npm ci && npm test\n")
  })

  it("name profiles of compose.yaml and scripts of package.json", () => {
    const services = Object.values(
      (parseYaml(read("compose.yaml")) as { services: Record<string, { profiles: [] }> }).services
    )
    const text = documents.map(read).join("\n")
    for (const [, profile] of text.matchAll(/--profile (\w+)/g)) {
      assert.include(
        services.flatMap(({ profiles }) => profiles),
        profile
      )
    }
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> }
    for (const [, script = ""] of text.matchAll(/npm (?:run )?(test|start|(?<=run )\w+)/g)) {
      assert.property(scripts, script)
    }
    assert.strictEqual(scripts["start"], "tsx src/Main.ts") // what stands in for it here
  })

  it("name ports that compose.yaml publishes", () => {
    for (const [, port] of documents
      .map(read)
      .join("\n")
      .matchAll(/http:\/\/localhost:(\d+)/g)) {
      assert.match(read("compose.yaml"), new RegExp(`[:-]${port}[}:]`))
    }
  })
})

describe.concurrent("programs in the documents", () => {
  it("compile", timeout, async () => {
    const withEffect = `${root}node_modules/@effect/tsgo-linux-x64/lib/tsc`
    const [command = "", ...args] = existsSync(withEffect)
      ? [withEffect]
      : [process.execPath, `${root}node_modules/typescript/bin/tsc`]
    const { stdout } = await inTurn(() =>
      run(command, [...args, "--project", folder, "--pretty", "false"], { ...processTimeout, cwd: folder })
    )
    // What is wrong in src is for `npm run check`.
    const problems = stdout.split("\n").flatMap((line) => {
      const [, file, at, text] = /^(snippet\d+\.ts)\((\d+),\d+\): (.*)$/.exec(line) ?? []
      return file === undefined ? [] : [`${snippets.find((snippet) => snippet.file === file)?.at} + ${at}: ${text}`]
    })
    assert.deepStrictEqual(problems, [])
  })

  it.each(snippets.filter(({ output }) => output !== undefined))(
    "$at prints what follows",
    timeout,
    async (snippet) => {
      const result = await inTurn(() =>
        run(
          process.execPath,
          [
            `${root}node_modules/tsx/dist/cli.mjs`,
            "--tsconfig",
            join(folder, "tsconfig.json"),
            join(folder, snippet.file)
          ],
          processTimeout
        )
      )
      assert.strictEqual(result.code, 0, result.stderr)
      shows(snippet.output ?? "", result, snippet.at)
    }
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Examples
// ---------------------------------------------------------------------------------------------------------------------

/** What the comment at the top of an example says that it prints. */
const printed = (path: string): string => {
  const [, text] = /^\/\/ Prints.*:\n\/\/\n((?:\/\/ {3}.*\n)+)/m.exec(read(path)) ?? []
  assert.isDefined(text, `the first lines of ${path} do not say what it prints`)
  return text.replaceAll(/^\/\/ {3}/gm, "")
}

const example = (path: string, args = "", options: Partial<Command> = {}) =>
  shell({ line: `npx tsx ${path}${args}`, ollama: true, collector: true, ...options })

describe.concurrent("examples", () => {
  // Those that are tests run among the tests.
  it.each(examples.filter((path) => !path.endsWith(".test.ts")))(
    "%s prints what its first lines say",
    timeout,
    async (path) => {
      const result = await example(path)
      assert.strictEqual(result.code, 0, result.stderr)
      shows(printed(path), result, path)
    }
  )

  it("are all named in README and in docs/tracing.md", () => {
    for (const path of examples) {
      const command = path.endsWith(".test.ts") ? "npx vitest run" : "npx tsx"
      assert.include(read(path).split("\nimport ")[0], `${command} ${path}`)
      assert.include(read("README.md"), `(${path})`)
      assert.include(read("docs/tracing.md"), `(../${path})`)
    }
  })

  it("examples/tracing.ts asks an Ollama when told so", timeout, async () => {
    const path = "examples/tracing.ts"
    const [asked, failed] = await Promise.all([example(path, " ollama"), example(path, " ollama", { ollama: false })])
    shows(printed(path), asked, path)
    assert.strictEqual(failed.code, 1)
    assert.match(failed.stderr, new RegExp(`^Ollama is not reachable at \\S*${usualOllama}`, "m"))
    assert.notMatch(failed.stderr, /^ {4}at |^Node\.js v/m)
  })

  it("examples/promise.ts sends every span, also those of the end", timeout, async () => {
    const { spans, stderr } = await shell({
      line: `TINYLLM_TRACING=true TINYLLM_OTLP_ENDPOINT=http://${usualCollector} npx tsx examples/promise.ts`,
      ollama: true,
      collector: true
    })
    assert.strictEqual(spans.filter(({ name }) => name === "graph.execute").length, 4, stderr)
    const last = spans.findLast(({ name }) => name === "graph.execute")
    assert.isTrue(last?.attributes["effect.fiber.interrupted"])
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Spans and attributes
// ---------------------------------------------------------------------------------------------------------------------

/** Names and types of the attributes in a table of the document. */
const documented = (heading: string): Readonly<Record<string, string>> =>
  Object.fromEntries(table(tracing, heading, "Attribute").map((row) => [code(row["Attribute"] ?? "")[0], row["Type"]]))

/** As the document names the type of a value on the wire. */
const typeOf = (value: Collector.OtlpValue): string =>
  value.stringValue !== undefined
    ? "string"
    : value.boolValue !== undefined
      ? "boolean"
      : value.intValue !== undefined
        ? "int"
        : value.doubleValue !== undefined
          ? "double"
          : `${value.arrayValue?.values[0] === undefined ? "" : typeOf(value.arrayValue.values[0])}[]`

/** An environment without variables: none of this machine changes a test. */
const noVariables = ConfigProvider.layer(ConfigProvider.fromUnknown({}))

/** Everything that TinyLLM can be made to record, as a collector receives it. */
const recordEverything = async (): Promise<ReadonlyArray<Collector.CollectedSpan>> => {
  const collector = await Collector.start()
  let refused = 0
  const reply = (model: string, otherwise: () => Reply): Reply =>
    model === "busy" && refused++ === 0
      ? { status: 503, error: "server busy, please try again. maximum pending requests exceeded" }
      : model === "silent"
        ? { text: "", end: "hang" }
        : model === "long"
          ? { text: "x", metrics: { prompt_eval_count: 2050 } }
          : model === "tools"
            ? { text: "", toolCalls: [{ name: "add", arguments: { a: 1, b: 1 } }] }
            : otherwise()
  const double = OllamaDouble.layer({
    ...OllamaDouble.demo,
    capabilities: ["completion", "tools", "embedding"],
    reply: (asked) => reply(asked.model, () => OllamaDouble.demo.reply(asked))
  })
  const client = Layer.unwrap(
    Effect.map(OllamaDouble, ({ url }) => NodeClient.layer({ url, retry: { base: "1 millis" } }))
  )

  const model = "qwen2.5:0.5b"
  const ask = Node.model({ model, prompt: (text: string) => text, output: ({ text }) => text })
  const pass = Node.transform((text: string) => text)
  const inner = Graph.make("inner", { nodes: { ask }, start: "ask", edges: { ask: "end" } })
  const broken = Node.tool((_: string) => Effect.fail("no luck"))
  let attempts = 0
  const flaky = Node.tool((text: string) => (attempts++ === 0 ? Effect.fail("not yet") : Effect.succeed(text)))
  const all = Graph.make("all", {
    nodes: {
      sort: Node.router({ model, prompt: (text: string) => text, routes: { math: "numbers", general: "the rest" } }),
      choose: Node.branch((text: string) => Node.to("on", text)),
      check: Node.gate((text: string) => text !== ""),
      both: Node.parallel({ left: pass, right: Node.tool((text: string) => Effect.succeed(text)) }),
      first: Node.race({ only: Node.transform((_: { readonly left: string }) => "1 + 1") }),
      list: Node.transform((text: string) => [text]),
      each: Node.forEach(pass),
      join: Node.transform((texts: ReadonlyArray<string>) => texts.join()),
      again: flaky.pipe(Node.retry({ times: 1 })),
      other: broken.pipe(Node.fallback(pass)),
      own: Node.make("search", (text: string) => Effect.succeed(text)),
      whole: Graph.toNode(inner),
      json: Node.object({ model, prompt: (text: string) => text, schema: Schema.Struct({ notice: Schema.String }) })
    },
    start: "sort",
    edges: {
      sort: { math: "choose", general: "choose" },
      choose: { on: "check" },
      check: { pass: "both", fail: "both" },
      both: "first",
      first: "list",
      list: "each",
      each: "join",
      join: "again",
      again: "other",
      other: "own",
      own: "whole",
      whole: "json",
      json: "end"
    }
  })
  const Add = Tool.make("add", {
    description: "Adds two numbers",
    parameters: Schema.Struct({ a: Schema.Finite, b: Schema.Finite }),
    success: Schema.Finite
  })
  const tools = Toolkit.make(Add)
  const agent = Graph.single(
    "agent",
    Node.agent({ model: "tools", prompt: (text: string) => text, tools, maxRounds: 2 })
  )
  const languageModel = Effect.gen(function* () {
    yield* LanguageModel.generateText({ prompt: "1 + 1", toolkit: tools })
    yield* Stream.runDrain(LanguageModel.streamText({ prompt: "1 + 1", toolkit: tools, concurrency: "unbounded" }))
    yield* LanguageModel.generateObject({ prompt: "1 + 1", schema: Schema.Struct({ notice: Schema.String }) })
    const embeddings = yield* EmbeddingModel.EmbeddingModel
    yield* embeddings.embed("1 + 1")
    yield* embeddings.embedMany(["1 + 1"])
  }).pipe(Effect.provide([OllamaLanguageModel.layer({ model }), OllamaEmbeddingModel.layer({ model })]))
  const single = (model: string, timeLimit?: "20 millis") => {
    const call = Node.model({ model, prompt: (text: string) => text, output: ({ text }) => text })
    const node = timeLimit === undefined ? call : call.pipe(Node.timeout(timeLimit))
    return Graph.make("single", { nodes: { node }, start: "node", edges: { node: "end" } })
  }

  const program = Effect.gen(function* () {
    const client = yield* Ollama
    yield* client.generate({
      model,
      prompt: "1 + 1",
      system: "s",
      temperature: 0.7,
      topP: 0.5,
      topK: 3,
      seed: 1,
      stop: ["x"],
      presencePenalty: 0.5,
      frequencyPenalty: 0.5,
      numCtx: 8192,
      keepAlive: "5m",
      think: false,
      truncate: true,
      shift: true,
      minP: 0.5,
      typicalP: 0.5,
      repeatLastN: 64,
      repeatPenalty: 1.1,
      numKeep: 4,
      numBatch: 512,
      numGpu: 0,
      mainGpu: 0,
      numThread: 2,
      useMmap: true,
      draftNumPredict: 0
    })
    const stream = Stream.runDrain(client.stream({ model, messages: [{ role: "user", content: "1 + 1" }] }))
    yield* Effect.all([stream, stream], { concurrency: 2 })
    yield* Graph.run(all, "1 + 1")
    yield* languageModel
    assert.isTrue(Exit.isFailure(yield* Effect.exit(Graph.run(agent, "1 + 1"))))
    yield* Graph.run(single("busy"), "1 + 1")
    yield* client.chat({ model: "long", numCtx: 4096, messages: [{ role: "user", content: "1 + 1" }] })
    const exit = yield* Effect.exit(Graph.run(single("silent", "20 millis"), "1 + 1"))
    assert.isTrue(Exit.isFailure(exit))
  })
  await Effect.runPromise(
    program.pipe(
      Effect.provide(
        Layer.mergeAll(
          Layer.provide(client, double),
          tools.toLayer({ add: ({ a, b }) => Effect.succeed(a + b) }),
          Telemetry.layer({ otlpEndpoint: collector.url, captureContent: "SPAN_AND_EVENT", logEvents: true })
        ).pipe(Layer.provide(noVariables))
      )
    )
  )
  await collector.close()
  return collector.spans()
}

describe("spans and attributes of docs/tracing.md", () => {
  let spans: ReadonlyArray<Collector.CollectedSpan> = []
  beforeAll(async () => {
    spans = await recordEverything()
  })

  const failed = () => documented("Spans that did not succeed")
  const options = "Options without a name in the conventions"
  const headings = [
    "`graph.execute`",
    "`node.<type>`",
    "`llm.chat`, `llm.generate` and `llm.embed`",
    options,
    "`ollama.*`",
    "`execute_tool <tool>`",
    "`LanguageModel`",
    "`EmbeddingModel`",
    "`retry.attempt`"
  ]

  /** Names and types of what was recorded on some spans, in the order of the document. */
  const compare = (
    heading: string,
    of: ReadonlyArray<Collector.CollectedSpan>,
    except: Readonly<Record<string, string>> = {}
  ) => {
    const wanted = documented(heading)
    const seen = new Map<string, Set<string>>()
    for (const { otlp } of of) {
      for (const [name, value] of Object.entries(otlp)) {
        if (!(name in except)) {
          seen.set(name, (seen.get(name) ?? new Set()).add(typeOf(value)))
        }
      }
    }
    assert.sameMembers([...seen.keys()], Object.keys(wanted))
    for (const [name, types] of seen) {
      // A whole number is an int on the wire.
      const allowed = wanted[name] === "double" ? ["int", "double"] : [wanted[name]]
      assert.includeMembers(allowed, [...types], name)
    }
  }

  it.each([
    { heading: "`graph.execute`", name: /^graph\.execute$/ },
    { heading: "`node.<type>`", name: /^node\./ },
    { heading: "`llm.chat`, `llm.generate` and `llm.embed`", name: /^llm\./ },
    { heading: "`ollama.*`", name: /^ollama\./ },
    { heading: "`execute_tool <tool>`", name: /^execute_tool add$/ },
    { heading: "`LanguageModel`", name: /^LanguageModel\./ },
    { heading: "`EmbeddingModel`", name: /^EmbeddingModel\./ },
    { heading: "`retry.attempt`", name: /^retry\.attempt$/ }
  ])("$heading has the attributes that are recorded, with their types", ({ heading, name }) => {
    compare(
      heading,
      spans.filter((span) => name.test(span.name)),
      { ...failed(), ...documented(options) }
    )
  })

  it("has the options of model calls that are recorded, with their types", () => {
    const { [options]: _, ...others } = Object.fromEntries(headings.map((heading) => [heading, documented(heading)]))
    const calls = spans.filter(({ name }) => name.startsWith("llm."))
    compare(options, calls, Object.assign(failed(), ...Object.values(others)))
  })

  it("says what spans have that did not succeed", () => {
    const own = headings.map(documented)
    compare("Spans that did not succeed", spans, Object.assign({}, ...own))
    for (const span of spans) {
      assert.strictEqual(span.status.code === "error", "error.type" in span.attributes, span.name)
    }
  })

  it("has the attributes of the resource, and the scope", () => {
    assert.sameMembers(Object.keys(spans[0]?.resource ?? {}), Object.keys(documented("Resource")))
    assert.strictEqual(spans[0]?.scope.name, "tinyllm")
  })

  it("has the events that are recorded, with their attributes", () => {
    const seen: Record<string, ReadonlyArray<string>> = {}
    for (const { name, otlp } of spans.flatMap(({ events }) => events)) {
      const attributes = Object.entries(otlp).map(([key, value]) => `${key} ${typeOf(value)}`)
      seen[name] = [...new Set([...(seen[name] ?? []), ...attributes])].sort()
    }
    const wanted = table(tracing, "Events", "Event").map((row) => [
      code(row["Event"] ?? "")[0],
      [...(row["Attributes"] ?? "").matchAll(/`([\w.]+)` ((?:string|int|double|boolean)(?:\[\])?)/g)]
        .map(([, name, type]) => `${name} ${type}`)
        .sort()
    ])
    assert.deepStrictEqual(seen, Object.fromEntries(wanted))
  })

  it("has the spans that are recorded, with their kinds", () => {
    const rows = table(tracing, "Integration points", "Span").flatMap((row) =>
      code(row["Span"] ?? "").map((name) => [name, row["Kind"]])
    )
    const general = (name: string) =>
      name.replace(/^node\..*/, "node.<type>").replace(/^execute_tool .*/, "execute_tool <tool>")
    const seen = spans.map(({ kind, name }) => [general(name), kind])
    assert.deepStrictEqual(Object.fromEntries(seen), Object.fromEntries(rows))
  })

  it("has the types of nodes that there are", () => {
    const [, list = ""] = /The types of nodes are (.*?),\s+and those of your own/s.exec(read(tracing)) ?? []
    const seen = spans.flatMap(({ name }) =>
      name.startsWith("node.") && name !== "node.search" ? [name.slice(5)] : []
    )
    assert.sameMembers([...new Set(seen)], [...code(list)])
  })

  it("README names spans and attributes of it", () => {
    const all = headings.flatMap((heading) => [...code(heading), ...Object.keys(documented(heading))])
    for (const row of table("README.md", "Spans", "Span")) {
      const [attributes = "", events = ""] = (row["Attributes that matter most"] ?? "").split("; event ")
      const names = table(tracing, "Integration points", "Span").flatMap((row) => code(row["Span"] ?? ""))
      assert.includeMembers([...all, ...names, "gen_ai.*"], [...code(row["Span"] ?? ""), ...code(attributes)])
      assert.includeMembers(
        table(tracing, "Events", "Event").flatMap((row) => code(row["Event"] ?? "")),
        [...code(events)]
      )
    }
  })

  it("queries Tempo for attributes that there are", () => {
    const names = new Set(
      spans.flatMap((span) => [span, ...span.events]).flatMap(({ attributes }) => Object.keys(attributes))
    )
    const queries = blocks
      .filter(({ language }) => language === "traceql")
      .map(({ text }) => text)
      .join("")
    const asked = [...queries.matchAll(/\b(?:span|event)\.([\w.]+)/g)].map(([, name = ""]) => name)
    assert.isNotEmpty(asked)
    assert.includeMembers([...names], asked)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// The double
// ---------------------------------------------------------------------------------------------------------------------

describe("the double of docs/testing.md", () => {
  it("has the models that fail of the table, which fail so", async () => {
    const rows = table(testing, "Errors", "Model")
    assert.deepStrictEqual(
      rows.map((row) => code(row["Model"] ?? "")[0]),
      [...OllamaDouble.faults]
    )
    for (const row of rows) {
      const [model = ""] = code(row["Model"] ?? "")
      const response = await fetch(`${ollamaUrl}/api/chat`, {
        method: "POST",
        body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
      })
      const text = await response.text()
      const said =
        text === "" ? undefined : (JSON.parse(text.trim().split("\n").at(-1) ?? "") as { error: string }).error
      assert.strictEqual(response.status, Number.parseInt(row["Status"] ?? "", 10), model)
      const [start = "", end = ""] = (code(row["Error"] ?? "")[0] ?? "").replaceAll("NAME", model).split("…")
      assert.isTrue(
        said === undefined ? row["Error"] === "(an empty body)" : said.startsWith(start),
        `${model}: ${said}`
      )
      assert.isTrue(said === undefined || said.endsWith(end), model)
    }
  })

  it("has the fields of the tables, and no others", () => {
    const source = read("src/OllamaScript.ts")
    for (const [column, type] of [
      ["Field of an answer", "Answer"],
      ["Field of a model", "Model"],
      ["Field of a script", "Script"]
    ] as const) {
      const [, body = ""] = new RegExp(`^export interface ${type} {\n(.*?)^}`, "ms").exec(source) ?? []
      const headings = { Answer: "What a model answers", Model: "Models", Script: "Time" }
      assert.sameMembers(
        table(testing, headings[type], column).flatMap((row) => code(row[column] ?? "")),
        [...body.matchAll(/^ {2}readonly (\w+)/gm)].map(([, field = ""]) => field),
        type
      )
    }
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Names
// ---------------------------------------------------------------------------------------------------------------------

describe("names in the documents", () => {
  const text = documents.map(read).join("\n")

  it("modules are exported", () => {
    const { exports } = JSON.parse(read("package.json")) as { exports: Record<string, unknown> }
    const named = [text, ...examples.map(read)].flatMap((text) => [...text.matchAll(/["`]tinyllm\/(\w+)["`]/g)])
    assert.isNotEmpty(named)
    for (const [, name = ""] of named) {
      assert.property(exports, `./${name}`)
      assert.isTrue(existsSync(`${root}src/${name === "node" ? "NodeClient" : name}.ts`), name)
    }
  })

  it("members of modules are there", () => {
    const modules: Record<string, object> = {
      Assistant,
      Baggage,
      Demo,
      Graph,
      Logs,
      Node,
      NodeClient,
      // `Ollama.layer` belongs to the service, `Ollama.tool` to its module.
      Ollama: Object.assign(Object.create(Ollama) as object, OllamaModule),
      OllamaDouble,
      Propagation,
      Span,
      Telemetry,
      TelemetryTest: { ...TelemetryTest },
      Usage
    }
    const named = [...text.matchAll(/\b([A-Z]\w+)\.(\w+)\b/g)].filter(([, name = ""]) => name in modules)
    assert.isNotEmpty(named)
    for (const [whole, name = "", member = ""] of named) {
      assert.isTrue(member in (modules[name] ?? {}) || member === "ts", whole)
    }
    // Lists of names without their module.
    const nodes = /`tinyllm\/Node`\]\(src\/Node.ts\) has\n\n(.*?)\n\n/s.exec(read("README.md"))?.[1] ?? ""
    for (const name of code(nodes).filter((name) => !name.includes("."))) {
      assert.property(Node, name)
    }
  })

  it("the client's reference names every setting, method, option and reason, and no others", () => {
    const names = (heading: string, column: string) =>
      table(ollamaReference, heading, column).map((row) => code(row[column] ?? "")[0] ?? "")
    const client = /export interface Client \{\n(.*?)^\}/ms.exec(read("src/OllamaService.ts"))?.[1] ?? ""
    assert.sameMembers(
      ["url", ...names("Model calls", "Method"), ...names("Models", "Method")],
      [...client.matchAll(/^  readonly (\w+):/gm)].map(([, name = ""]) => name)
    )
    const api = read("src/OllamaApi.ts")
    const options = ["LoadOptions", "Options extends LoadOptions"].flatMap((name) => {
      const body = new RegExp(`export interface ${name} \\{\\n(.*?)^\\}`, "ms").exec(api)?.[1] ?? ""
      return [...body.matchAll(/^  readonly (\w+)\??:/gm)].map(([, name = ""]) => name)
    })
    assert.sameMembers(["model", ...names("Options", "Option")], options)
    const settings = /export interface LayerOptions \{\n(.*?)^\}/ms.exec(read("src/OllamaService.ts"))?.[1] ?? ""
    assert.sameMembers(
      names("A client", "Setting"),
      [...settings.matchAll(/^  readonly (\w+)\?:/gm)].map(([, name = ""]) => name)
    )
    assert.sameMembers(
      names("Errors", "Reason"),
      OllamaModule.OllamaError.fields.reason.members.map((reason) => reason.fields._tag.schema.literal)
    )
  })

  const traceCommands = ["ls", "show", "tail", "diff", "stats", "export", "push", "rm", "prune"].map(
    (name) => ` trace ${name}`
  )

  it("flags are flags of the command line, and all of them are documented", timeout, async () => {
    const help = await Promise.all(
      [
        "",
        " run",
        " chat",
        " models",
        " models show",
        " models pull",
        " doctor",
        " collect",
        " ui",
        ...traceCommands
      ].map((name) => shell({ line: `tinyllm${name} --help`, ollama: true, collector: true }))
    )
    const flags = new Set(
      help.flatMap(({ stdout }) => [...stdout.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag = ""]) => flag))
    )
    assert.isAbove(flags.size, 10)

    const written = [...lines.map(({ line }) => line), ...documents.flatMap((path) => code(prose(path)))]
    const named = written.flatMap((text) => {
      const [, ours = ""] = /(?:^(?=--)|\btinyllm |npm start --silent -- )(.*)$/.exec(text) ?? []
      return ours.match(/(?<=^|\s)--[a-z][a-z-]*/g) ?? []
    })
    for (const flag of named) {
      assert.isTrue(flags.has(flag) || flags.has(flag.replace(/^--no-/, "--")), flag)
    }
    for (const flag of flags) {
      assert.include(code(prose("README.md")), flag)
    }
  })

  it("variables are read by the program, and all that it reads are documented", () => {
    const source = readdirSync(`${root}src`)
      .map((file) => read(`src/${file}`))
      .join("\n")
    const pattern = /["`]((?:TINYLLM|OTEL|OLLAMA)_[A-Z_]*[A-Z]|TRACEPARENT|TRACESTATE|BAGGAGE|NO_COLOR)["`]/g
    const readBySource = new Set([...source.matchAll(pattern)].map(([, name = ""]) => name))
    const named = new Set(
      [...text.matchAll(/\b(?:(?:TINYLLM|OTEL|OLLAMA)_[A-Z_]*[A-Z]|TRACEPARENT|TRACESTATE|BAGGAGE|NO_COLOR)\b/g)].map(
        ([name]) => name
      )
    )
    assert.sameMembers([...named], [...readBySource])
  })

  it("headers of variables are sent", timeout, async () => {
    const collector = await Collector.start()
    await inTurn(() =>
      run(process.execPath, [`${root}src/Main.ts`, "run", "1 + 1", "--demo", "--otlp-endpoint", collector.url], {
        ...processTimeout,
        env: { OTEL_EXPORTER_OTLP_HEADERS: "x-one=1", OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-two=2" }
      })
    )
    await collector.close()
    assert.include(collector.calls()[0]?.headers, { "x-one": "1", "x-two": "2" })
  })

  it("defaults are those of the program", async () => {
    const config = await Effect.runPromise(Effect.provide(Telemetry.resolve({}), noVariables))
    const defaults = (column: string) =>
      Object.fromEntries(
        table(tracing, "Configuration reference", column).map((row) => [
          code(row[column] ?? "")[0],
          code(row["Default"] ?? "")[0]
        ])
      )
    assert.deepStrictEqual(defaults("Option"), {
      enableTracing: String(config.enabled.value),
      serviceName: config.serviceName.value,
      exporter: config.exporters.value.join(),
      otlpEndpoint: config.endpoint.value.url,
      otlpProtocol: config.otlp.protocol.value,
      samplingRate: String(config.sampler.value.ratio),
      "keep.errors": String(config.keep.value.errors),
      "keep.slowerThan": config.keep.value.slowerThan,
      interop: String(config.interop.value),
      traceFormat: config.traceFormat.value,
      captureContent: String(config.privacy.capture.value !== "NO_CONTENT"),
      redact: undefined,
      spool: String(config.spool.value !== undefined),
      store: String(config.store.value !== undefined),
      "store.maximumTraces": String(StoreConfig.keeping.maximumTraces),
      "store.maximumAge": `${Duration.toDays(StoreConfig.keeping.maximumAge)} days`,
      "store.maximumBytes": String(StoreConfig.keeping.maximumBytes),
      spanBudgetBytes: String(config.privacy.spanBytes.value),
      contentBudgetBytes: String(config.privacy.contentBytes.value),
      logEvents: String(config.privacy.logEvents.value)
    })
    assert.include(defaults("Variable"), {
      OTEL_TRACES_SAMPLER: Telemetry.samplerName(config.sampler.value),
      OTEL_EXPORTER_OTLP_PROTOCOL: config.otlp.protocol.value,
      OTEL_PROPAGATORS: config.propagators.value.join(),
      OTEL_LOG_LEVEL: config.logLevel.value,
      OTEL_EXPORTER_OTLP_TIMEOUT: String(config.timeoutMillis),
      OTEL_BSP_MAX_QUEUE_SIZE: String(config.batch.maxQueueSize),
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: String(config.batch.maxExportBatchSize),
      OTEL_BSP_SCHEDULE_DELAY: String(config.batch.scheduledDelayMillis),
      OTEL_BSP_EXPORT_TIMEOUT: String(config.batch.exportTimeoutMillis)
    })
    const { metrics } = await Effect.runPromise(
      Effect.provide(
        Telemetry.resolve({}),
        ConfigProvider.layer(ConfigProvider.fromEnv({ env: { OTEL_METRICS_EXPORTER: "otlp" } }))
      )
    )
    assert.include(defaults("Variable"), {
      OTEL_METRICS_EXPORTER: config.metrics === undefined ? "none" : "otlp",
      OTEL_METRIC_EXPORT_INTERVAL: String(metrics?.interval.value),
      OTEL_METRIC_EXPORT_TIMEOUT: String(metrics?.timeout.value),
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: metrics?.temporality.value
    })
    const ofReadme = Object.fromEntries(
      table("README.md", "Command line", "Flag").map((row) => [code(row["Flag"] ?? "")[0], code(row["Default"] ?? "")])
    )
    assert.deepStrictEqual(ofReadme["--model"], [Assistant.defaultModel])
    assert.deepStrictEqual(ofReadme["--router-model"], [Assistant.defaultRouterModel])
    assert.deepStrictEqual(ofReadme["--otlp-endpoint"], [config.endpoint.value.url])
    assert.deepStrictEqual(ofReadme["--service-name"], [config.serviceName.value])
  })

  it("links lead to files and headings", () => {
    const slug = (heading: string) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, "")
        .replaceAll(" ", "-")
    for (const path of documents) {
      for (const [, target = ""] of prose(path).matchAll(/\]\(([^)]+)\)/g)) {
        if (!/^https?:/.test(target)) {
          const [file = "", anchor] = target.split("#")
          const linked = file === "" ? path : relative(root, join(root, dirname(path), file))
          assert.isTrue(existsSync(root + linked), `${path} links to ${target}`)
          const headings =
            anchor === undefined ? [] : [...prose(linked).matchAll(/^#+ (.*)$/gm)].map(([, text = ""]) => slug(text))
          assert.isTrue(anchor === undefined || headings.includes(anchor), `${path} links to ${target}`)
        }
      }
    }
  })
})

describe("documents", () => {
  it("docs/tracing.md has its fifteen sections, in a table of contents", () => {
    const sections = [...prose(tracing).matchAll(/^## (.*)$/gm)].map(([, text]) => text)
    assert.strictEqual(sections.length, 15)
    assert.deepStrictEqual(
      [...prose(tracing).matchAll(/^- \[(.*)\]\(#/gm)].map(([, text]) => text),
      sections
    )
  })

  it("CHANGELOG.md has what is not released on top, one line a change", () => {
    const [title, , first, , ...rest] = read("CHANGELOG.md").trimEnd().split("\n")
    assert.deepStrictEqual([title, first], ["# Changelog", "## Unreleased"])
    for (const line of rest) {
      assert.match(line, /^$|^## \d+\.\d+\.\d+|^- .*\.$/)
    }
  })

  it("LICENSE is the licence of package.json", () => {
    assert.strictEqual((JSON.parse(read("package.json")) as { license: string }).license, "MIT")
    assert.match(read("LICENSE"), /^MIT License\n\nCopyright \(c\) 2026 TinyLLM contributors\n/)
  })
})
