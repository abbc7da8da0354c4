// Builds the package, packs it, and uses it as a stranger does: from the archive, without tsx and without the sources.
import { spawnSync } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { version } from "../src/Version.ts"
import * as Process from "./support/Process.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "tinyllm-build-test-"))
/** What is packed: the project with a build of its own. */
const project = join(folder, "project")
/** What came out of the archive. */
const installed = join(folder, "user/node_modules/tinyllm")

const run = (command: string, args: ReadonlyArray<string>, options: { readonly cwd?: string } = {}) => {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:OTEL_|TINYLLM_|TRACE|NODE_OPTIONS|VITEST)/.test(name))
  )
  return spawnSync(command, args, { encoding: "utf8", cwd: folder, ...options, env })
}

const node = (...args: ReadonlyArray<string>) => run(process.execPath, args)

const bin = () => {
  const { bin } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { bin: { tinyllm: string } }
  return join(installed, bin.tinyllm)
}

interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: ReadonlyArray<{ readonly path: string; readonly mode: number }>
}

let packed: Packed

beforeAll(() => {
  const names = [
    "package.json",
    "tsconfig.json",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "src",
    "page",
    "scripts",
    "examples"
  ]
  for (const name of names) {
    cpSync(join(root, name), join(project, name), { recursive: true })
  }
  symlinkSync(join(root, "node_modules"), join(project, "node_modules"))
  // Builds, by what package.json says must happen before packing.
  const npm = run("npm", ["pack", "--json"], { cwd: project })
  assert.strictEqual(npm.status, 0, npm.stderr)
  packed = (JSON.parse(npm.stdout) as [Packed])[0]

  // Installed as npm would, without asking a registry: the dependencies are those of the project.
  mkdirSync(installed, { recursive: true })
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (!name.startsWith(".")) {
      symlinkSync(join(root, "node_modules", name), join(folder, "user/node_modules", name))
    }
  }
  const tar = run("tar", ["xf", join(project, packed.filename), "-C", installed, "--strip-components", "1"])
  assert.strictEqual(tar.status, 0, tar.stderr)
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }))

describe("npm pack", () => {
  it("takes out of package.json what only a clone needs, and puts it back", () => {
    const manifest = (folder: string) =>
      JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, unknown>
    const published = manifest(installed)
    for (const key of ["optionalDependencies", "devDependencies", "allowScripts"]) {
      assert.notProperty(published, key)
    }
    for (const key of ["name", "version", "bin", "exports", "dependencies", "engines", "license"]) {
      assert.deepStrictEqual(published[key], manifest(root)[key], key)
    }
    assert.deepStrictEqual(manifest(project), manifest(root))
    assert.isFalse(existsSync(join(project, "package.json.before-pack")))
  })
})

describe("the built command line", () => {
  it("prints its version", () => {
    const { status, stderr, stdout } = node(bin(), "--version")
    assert.deepStrictEqual({ status, stderr, stdout }, { status: 0, stderr: "", stdout: `tinyllm ${version}\n` })
  })

  it("starts by its own name", { skip: process.platform === "win32" }, () => {
    assert.strictEqual(run(bin(), ["--version"]).stdout, `tinyllm ${version}\n`)
  })

  it("prints help", () => {
    const { status, stdout } = node(bin(), "run", "--help")
    assert.strictEqual(status, 0)
    assert.include(stdout, "--tracing")
  })

  it("answers, and prints the trace on standard error", () => {
    const { status, stderr, stdout } = node(bin(), "run", "What is 2 + 2?", "--demo", "--tracing")
    assert.deepStrictEqual({ status, stdout }, { status: 0, stdout: "4\n" })
    assert.include(stderr, "graph.execute")
    assert.include(stderr, "llm.chat")
  })

  it("sends spans to a collector, and says when none is there", () => {
    const { status, stderr, stdout } = node(
      bin(),
      "run",
      "What is 2 + 2?",
      "--demo",
      "--otlp-endpoint",
      "http://127.0.0.1:9"
    )
    assert.deepStrictEqual({ status, stdout }, { status: 0, stdout: "4\n" })
    assert.include(stderr, "not exported: connection refused")
  })

  /** The files of the bundle that a command reads, each with the packages that are in it. */
  const loaded = (...args: ReadonlyArray<string>) => {
    const preload = join(folder, "loaded.mjs")
    writeFileSync(
      preload,
      `import { registerHooks } from "node:module"
       import { writeSync } from "node:fs"
       registerHooks({ load: (url, context, next) => (writeSync(2, "loaded " + url + "\\n"), next(url, context)) })`
    )
    const { status, stderr } = node("--import", preload, bin(), ...args)
    assert.strictEqual(status, 0, stderr)
    const files = [...stderr.matchAll(/^loaded (file:.*)$/gm)].map((match) => fileURLToPath(match[1] ?? ""))
    assert.isNotEmpty(files)
    return files.map((file) => {
      assert.isTrue(file.startsWith(installed), `${file} is outside of the package`)
      // What only hands on the names of another file has no map.
      const map = existsSync(`${file}.map`) ? readFileSync(`${file}.map`, "utf8") : `{ "sources": [] }`
      return (JSON.parse(map) as { sources: ReadonlyArray<string> }).sources.join("\n")
    })
  }

  it("serves the page of traces, which was bundled when it was built", async () => {
    const ui = Process.spawn(process.execPath, [bin(), "ui", "--no-open", "--port", "0"], {
      env: { TINYLLM_HOME: folder },
      timeoutMillis: 60_000
    })
    await ui.waitForStdout("/\n")
    const response = await fetch(ui.stdout().trim())
    assert.include(await response.text(), "<title>Traces · TinyLLM</title>")
    ui.kill("SIGTERM")
    assert.strictEqual((await ui.exit).stderr, "")
  })

  it("reads nothing of OpenTelemetry, effect/ai or the demo without need", () => {
    for (const sources of loaded("--version")) {
      assert.notMatch(
        sources,
        /@opentelemetry|@grpc|OpenTelemetry\.ts|OllamaDouble\.ts|Graph\.ts|undici|effect\/dist\/ai/
      )
    }
  })

  it("reads nothing of OpenTelemetry in a run that is not traced", () => {
    const all = loaded("run", "What is 2 + 2?", "--demo")
    assert.isTrue(all.some((sources) => sources.includes("OllamaDouble.ts")))
    for (const sources of all) {
      assert.notMatch(
        sources,
        /@opentelemetry|@grpc|OpenTelemetry\.ts|OtlpExport\.ts|ConsoleSpans\.ts|effect\/dist\/ai/
      )
    }
  })

  it("reads nothing of OpenTelemetry or gRPC when spans go to the console", () => {
    const all = loaded("run", "What is 2 + 2?", "--demo", "--tracing")
    assert.isTrue(all.some((sources) => sources.includes("/ConsoleSpans.ts")))
    for (const sources of all) {
      assert.notMatch(sources, /@opentelemetry|@grpc|OtlpExport\.ts/)
    }
  })
})

describe("the package", () => {
  it("holds the build and the documents, and no sources, tests or examples", () => {
    const paths = packed.files.map(({ path }) => path)
    assert.includeMembers(paths, ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "dist/cli/Main.js"])
    const others = paths.filter((path) => !/^(?:dist\/|package\.json$|README\.md$|LICENSE$|CHANGELOG\.md$)/.test(path))
    assert.deepStrictEqual(others, [])
    assert.isBelow(packed.size, 2_600_000)
    assert.isBelow(packed.unpackedSize, 10_000_000)
  })

  it("holds nothing of the machine that built it", () => {
    for (const { path } of packed.files) {
      assert.notInclude(readFileSync(join(installed, path), "latin1"), root, path)
    }
  })

  it("brings the licences of what is in the bundle", () => {
    const text = readFileSync(join(installed, "dist/cli/LICENSES.txt"), "utf8")
    for (const name of ["effect", "@effect/platform-node", "@opentelemetry/api", "@grpc/grpc-js", "protobufjs"]) {
      assert.match(text, new RegExp(`^${name} [\\d.]+ \\(.+\\)\\n\\n.{10}`, "m"))
    }
  })

  it("holds the pages, each small and with the licences of what is in it", () => {
    for (const [name, bytes] of [
      ["trace", 150_000],
      ["ui", 220_000]
    ] as const) {
      const html = readFileSync(join(installed, `dist/page/${name}.html`), "utf8")
      assert.isBelow(Buffer.byteLength(html), bytes, name)
      assert.isBelow(gzipSync(html).length, bytes / 3, name)
      for (const part of ["preact", "@dagrejs/dagre"]) {
        assert.match(html, new RegExp(`^${part} [\\d.]+ \\(MIT\\)\\n\\n.{10}`, "m"))
      }
    }
  })

  it("makes the page of a trace from what it brings along, without the bundler", () => {
    const program = join(folder, "user/page.mjs")
    writeFileSync(
      program,
      `import * as Effect from "effect/Effect"
       import { render } from "./node_modules/tinyllm/dist/TracePage.js"
       const html = await Effect.runPromise(render([]))
       console.log(html.startsWith("<!doctype html>"), html.includes('id="trace">{"base"'))`
    )
    const { stderr, stdout } = node(program)
    assert.deepStrictEqual({ stderr, stdout }, { stderr: "", stdout: "true true\n" })
    const home = join(folder, "home")
    const { stderr: said } = spawnSync(process.execPath, [bin(), "run", "1 + 1", "--demo", "--tracing"], {
      encoding: "utf8",
      env: { ...process.env, TINYLLM_HOME: home }
    })
    const opened = spawnSync(process.execPath, [bin(), "trace", "open", "--no-open"], {
      encoding: "utf8",
      env: { ...process.env, TINYLLM_HOME: home }
    })
    assert.strictEqual(opened.status, 0, said + opened.stderr)
    assert.include(readFileSync(opened.stdout.trimEnd(), "utf8"), "<title>assistant · ")
  })

  it("has a file for every entry of exports", () => {
    const { exports } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
      exports: Record<string, string | Record<string, string>>
    }
    const paths = packed.files.map(({ path }) => `./${path}`)
    const targets = Object.values(exports).flatMap((entry) =>
      typeof entry === "string" ? [entry] : Object.values(entry)
    )
    assert.includeMembers(paths, targets)
  })

  it("is a library", () => {
    const program = join(folder, "user/program.mjs")
    writeFileSync(
      program,
      `import * as Effect from "effect/Effect"
       import * as Graph from "tinyllm/Graph"
       import * as Node from "tinyllm/Node"
       const graph = Graph.make("g", { nodes: { twice: Node.transform((n) => 2 * n) }, start: "twice", edges: { twice: "end" } })
       console.log((await Effect.runPromise(Graph.run(graph, 21))).output)`
    )
    const { stderr, stdout } = node(program)
    assert.deepStrictEqual({ stderr, stdout }, { stderr: "", stdout: "42\n" })
  })

  it("has declarations that the examples compile against", () => {
    cpSync(join(root, "examples"), join(folder, "user/examples"), { recursive: true })
    writeFileSync(join(folder, "user/package.json"), JSON.stringify({ type: "module" }))
    writeFileSync(
      join(folder, "user/tsconfig.json"),
      JSON.stringify({
        extends: join(root, "tsconfig.json"),
        // As a user has it: the package by its name.
        compilerOptions: { paths: {}, plugins: [], typeRoots: [join(root, "node_modules/@types")] },
        include: ["examples"]
      })
    )
    const { status, stdout } = node(join(root, "node_modules/typescript/bin/tsc"), "--project", join(folder, "user"))
    assert.strictEqual(status, 0, stdout)
  })
})

describe("the build", () => {
  it("fails with exit code 1, and leaves nothing behind, when something is wrong", () => {
    const copy = join(folder, "broken")
    for (const name of ["package.json", "tsconfig.json", "src", "page", "scripts"]) {
      cpSync(join(root, name), join(copy, name), { recursive: true })
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
    writeFileSync(join(copy, "src/Version.ts"), "export const other = 1\n")
    const { status } = node(join(copy, "scripts/build.ts"), "--only", "cli")
    assert.strictEqual(status, 1)
    assert.notInclude(readdirSync(copy), "dist")
  })
})

describe("the benchmark", () => {
  it("does what it says, and gives its numbers to machines", () => {
    const { status, stderr, stdout } = node(join(root, "bench/main.ts"), "--quick", "--json")
    assert.strictEqual(status, 0, stderr)
    const { numbers } = JSON.parse(stdout) as { numbers: Record<string, number> }
    for (const name of [
      "graph: chain of 10: traced / SDK",
      "graph: loop of 1000: off / Effect",
      "spans: span, sampled / SDK",
      "spans: OTLP gRPC, CPU / SDK",
      "streams: stream, traced, CPU / fetch",
      "start: built run --demo --tracing / empty Node"
    ]) {
      assert.isAbove(numbers[name] ?? 0, 0, name)
    }
    // What a machine that does other things at the same time makes less than nothing: one process less another one.
    for (const name of [
      "store: trace ls beyond the start, ms of processor",
      "store: trace show last beyond the start, ms of processor",
      "store: to keep a span, µs of processor"
    ]) {
      assert.isTrue(Number.isFinite(numbers[name]), name)
    }
  }, 300_000)
})
