// `tinyllm models` and what is below it from outside: real processes, a real terminal, an Ollama double.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Script } from "../src/OllamaDouble.ts"
import { withOllama } from "./support/Double.ts"
import * as Process from "./support/Process.ts"

const models = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  Effect.promise(() => Process.runNode("src/Main.ts", ["models", ...args], { env }))

const inTerminal = (columns: number, args: string, env: Readonly<Record<string, string>>) =>
  Effect.promise(
    () => Process.spawnInTerminal(columns, `"${process.execPath}" src/Main.ts models ${args}`, { env }).exit
  )

/** What a terminal shows in the end: what a line was before it was erased is gone. */
const shown = (text: string) => text.split("\r\n").map((line) => line.split("\r\u001b[K").at(-1) ?? "")

const installed: Script["models"] = [
  { name: "qwen2.5:0.5b", capabilities: ["completion", "tools"], bytes: 397_821_319 },
  {
    name: "someone/other-model:7b-instruct",
    capabilities: ["completion", "tools", "thinking", "vision"],
    bytes: 4_700_000_000,
    parameterSize: "7.6B",
    contextLength: 131_072
  },
  { name: "nomic-embed-text:latest", capabilities: ["embedding"], contextLength: 2048, bytes: 900_000 }
]

/** The first model is loaded, for five minutes and half in the memory of a GPU; the last one for ever. */
const loaded = () => ({
  "GET /api/ps": {
    raw: JSON.stringify({
      models: [
        {
          name: "qwen2.5:0.5b",
          size: 600_000_000,
          size_vram: 300_000_000,
          context_length: 4096,
          expires_at: new Date(Date.now() + 5 * 60_000).toISOString()
        },
        { name: "nomic-embed-text:latest", size: 1e6, size_vram: 0, expires_at: "2318-12-03T22:00:00.5+02:00" }
      ]
    }),
    contentType: "application/json"
  }
})

describe("tinyllm models", () => {
  it.live("prints plain columns into a pipe: what is installed, what it can do, and what is loaded", () =>
    withOllama({ models: installed, paths: loaded() }, (env) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* models([], env)
        assert.strictEqual(code, 0)
        assert.strictEqual(stderr, "")
        assert.deepStrictEqual(stdout.split("\n"), [
          "NAME                             SIZE    PARAMETERS  QUANTIZATION  CONTEXT     LOADED  VRAM    CAPABILITIES",
          "qwen2.5:0.5b                     398 MB  494.03M     Q4_K_M        4096/32768  5 min   300 MB  completion,tools",
          "someone/other-model:7b-instruct  4.7 GB  7.6B        Q4_K_M        131072      no      -       completion,tools,thinking,vision",
          "nomic-embed-text:latest          900 kB  494.03M     Q4_K_M        2048        always  0 kB    embedding",
          ""
        ])
      })
    )
  )

  it.live("prints a JSON array with --json, also of no models", () =>
    withOllama({ models: installed, paths: loaded() }, (env) =>
      Effect.gen(function* () {
        const { code, stdout } = yield* models(["--json"], env)
        assert.strictEqual(code, 0)
        const [first, second, third] = JSON.parse(stdout) as ReadonlyArray<Record<string, unknown>>
        const { digest, loaded, modifiedAt, ...rest } = first ?? {}
        assert.deepStrictEqual(rest, {
          name: "qwen2.5:0.5b",
          bytes: 397_821_319,
          family: "qwen2",
          parameters: "494.03M",
          quantization: "Q4_K_M",
          contextLength: 32_768,
          capabilities: ["completion", "tools"],
          remote: false,
          isLoaded: true
        })
        assert.match(String(digest), /^[0-9a-f]{64}$/)
        assert.match(String(modifiedAt), /^\d{4}-/)
        const { expiresAt, ...memory } = loaded as Record<string, unknown>
        assert.deepStrictEqual(memory, { bytes: 600_000_000, vramBytes: 300_000_000, contextLength: 4096 })
        assert.isAbove(Date.parse(String(expiresAt)), Date.now())
        assert.deepInclude(second, { isLoaded: false, loaded: null })
        assert.deepInclude(third, {
          loaded: { bytes: 1e6, vramBytes: 0, contextLength: null, expiresAt: null }
        })
        yield* withOllama({}, (env) =>
          Effect.map(models(["--json"], env), ({ code, stderr, stdout }) =>
            assert.deepStrictEqual({ code, stderr, stdout }, { code: 0, stderr: "", stdout: "[]\n" })
          )
        )
      })
    )
  )

  it.live("says nothing of what an old server does not tell", () =>
    withOllama(
      {
        models: ["m:1"],
        paths: {
          "GET /api/ps": { raw: "404 page not found", status: 404, contentType: "text/plain" },
          "POST /api/show": { raw: "{}", contentType: "application/json" },
          "GET /api/tags": { raw: `{"models":[{"name":"m:1"}]}`, contentType: "application/json" }
        }
      },
      (env) =>
        Effect.gen(function* () {
          const { stdout } = yield* models([], env)
          assert.match(stdout.split("\n")[1] ?? "", /^m:1( +-){7}$/)
          assert.deepInclude(JSON.parse((yield* models(["--json"], env)).stdout)[0], {
            isLoaded: null,
            loaded: null,
            bytes: null,
            capabilities: null
          })
        })
    )
  )

  it.live.skipIf(!Process.hasTerminal)(
    "fits a terminal of 60, 80 and 200 columns, and says what there was no room for",
    () =>
      withOllama({ models: installed, paths: loaded() }, (env) =>
        Effect.gen(function* () {
          const head = (text: string) => shown(text)[0]?.split(/ +/)
          const [narrow, usual, wide] = yield* Effect.all(
            [inTerminal(60, "", env), inTerminal(80, "", env), inTerminal(200, "", env)],
            { concurrency: 3 }
          )
          assert.deepStrictEqual(head(narrow.stdout), ["NAME", "SIZE", "CONTEXT", "LOADED"])
          // The capabilities do not fit, and what is less wanted and narrower does.
          assert.deepStrictEqual(head(usual.stdout), ["NAME", "SIZE", "PARAMETERS", "CONTEXT", "LOADED", "VRAM"])
          assert.lengthOf(head(wide.stdout) ?? [], 8)
          for (const [{ stdout }, columns] of [
            [narrow, 60],
            [usual, 80],
            [wide, 200]
          ] as const) {
            const table = shown(stdout).filter((line) => line !== "" && !line.startsWith("tinyllm:"))
            assert.lengthOf(table, 4)
            for (const line of table) {
              // Two of its characters take two columns each.
              assert.isAtMost(line.length + (line.includes("宽字") ? 2 : 0), columns)
            }
            assert.include(stdout, "someone/other-model:7b-instruct")
            assert.strictEqual(stdout.includes("no room for "), columns < 200)
            assert.notInclude(stdout, "\u001b")
          }
        })
      )
  )
})

describe("tinyllm models show", () => {
  const model = {
    name: "qwen2.5:0.5b",
    capabilities: ["completion", "tools"],
    parameters: `temperature                    0.7\nstop                           "<|im_end|>"`,
    system: "You are\u001b[31m kind.\nAnd short.",
    embeddingLength: 896
  }

  it.live("prints what the server says, in words or as JSON", () =>
    withOllama({ models: [model] }, (env) =>
      Effect.gen(function* () {
        const { code, stdout } = yield* models(["show", "qwen2.5:0.5b"], env)
        assert.strictEqual(code, 0)
        assert.deepStrictEqual(stdout.split("\n"), [
          "Name          qwen2.5:0.5b",
          "Family        qwen2",
          "Parameters    494.03M",
          "Quantization  Q4_K_M",
          "Context       32768 tokens",
          "Embedding     896 numbers",
          "Capabilities  completion, tools",
          "Modified      2026-08-21",
          "Settings      temperature 0.7",
          `              stop "<|im_end|>"`,
          "System        You are�[31m kind.",
          "              And short.",
          ""
        ])
        const json = yield* models(["show", "qwen2.5:0.5b", "--json"], env)
        assert.deepInclude(JSON.parse(json.stdout), {
          template: "{{ .Prompt }}",
          capabilities: ["completion", "tools"],
          system: model.system
        })
        assert.lengthOf(json.stdout.match(/\n/g) ?? [], 1)
      })
    )
  )

  it.live("says on one line that a model is not installed, and what to type, and exits with 3", () =>
    withOllama({ models: [model] }, (env) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* models(["show", "phi3", "--json"], env)
        assert.deepStrictEqual({ code, stdout }, { code: 3, stdout: "" })
        assert.match(
          stderr,
          /^tinyllm: Model "phi3" is not installed at http:\S+\. Install it with "tinyllm models pull phi3"\.\n$/
        )
        const cloud = yield* models(["show", "foo:cloud", "--allow-remote"], env)
        assert.include(cloud.stderr, 'Install it with "tinyllm models pull foo:cloud --allow-remote".')
      })
    )
  )
})

describe("tinyllm models, where it would leave the machine", () => {
  it.live("is refused with 2 unless allowed, and nothing is sent", () =>
    withOllama({ models: ["m"] }, (env, double) =>
      Effect.gen(function* () {
        const refused = yield* Effect.all(
          [
            models(["show", "foo:cloud"], env),
            models([], { OLLAMA_HOST: "https://ollama.com" }),
            models(["show", "m"], { OLLAMA_HOST: "ollama.com" })
          ],
          { concurrency: 2 }
        )
        for (const { code, stderr, stdout } of refused) {
          assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" })
          assert.match(stderr, /^tinyllm: .*runs on ollama\.com.*--allow-remote\.\n$/)
        }
        assert.isEmpty(yield* double.requests)
      })
    )
  )
})

describe("tinyllm models pull", () => {
  it.live("installs a model, and tells how far it is in few lines where nobody watches", () =>
    withOllama({ registry: [{ name: "tiny:1b", bytes: 1_200_000_000, steps: 50 }] }, (env) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* models(["pull", "tiny:1b"], env)
        assert.strictEqual(code, 0)
        assert.strictEqual(stdout, "tiny:1b is installed\n")
        assert.deepStrictEqual(stderr.replace(/[0-9a-f]{12}/, "DIGEST").split("\n"), [
          "pulling manifest",
          "pulling DIGEST: 0% of 1.2 GB",
          "verifying sha256 digest",
          "writing manifest",
          "success",
          ""
        ])
        assert.include((yield* models([], env)).stdout, "tiny:1b")
      })
    )
  )

  it.live.skipIf(!Process.hasTerminal)("draws a bar that fits the terminal, with bytes, share and speed", () =>
    withOllama(
      {
        // A speed is told after half a second.
        registry: [
          { name: "tiny:1b", bytes: 400_000_000, steps: 8, delay: "200 millis" },
          { name: "tiny:1b-other", bytes: 400_000_000, steps: 1 }
        ]
      },
      (env) =>
        Effect.gen(function* () {
          for (const [columns, name] of [
            [80, "tiny:1b"],
            [40, "tiny:1b-other"]
          ] as const) {
            const { code, stdout } = yield* inTerminal(columns, `pull ${name}`, env)
            assert.strictEqual(code, 0)
            assert.match(
              stdout,
              columns === 80
                ? /pulling [0-9a-f]{12} \[█+ +\]  \d\d% \d+ MB\/400 MB \d+ MB\/s \d s/
                : /pulling [0-9a-f]{12} 100% 400 MB\/400 MB/
            )
            assert.deepStrictEqual(shown(stdout), [`${name} is installed`, ""])
            for (const line of stdout.split(/\r\u001b\[K|\r\n/)) {
              assert.isBelow(line.length, columns)
            }
          }
        })
    )
  )

  it.live("fails clearly: a name that does not exist, a disk that is full, the cloud", () =>
    withOllama(
      { registry: [{ name: "big:1b", errorLine: "write: no space left on device" }, "kimi:cloud"] },
      (env, double) =>
        Effect.gen(function* () {
          const unknown = yield* models(["pull", "nosuch"], env)
          assert.deepStrictEqual({ code: unknown.code, stdout: unknown.stdout }, { code: 3, stdout: "" })
          assert.match(
            unknown.stderr,
            /^pulling manifest\ntinyllm: There is no model "nosuch" to pull\. .*library\.\n$/
          )

          const full = yield* models(["pull", "big:1b"], env)
          assert.deepStrictEqual({ code: full.code, stdout: full.stdout }, { code: 1, stdout: "" })
          assert.include(full.stderr, "no space left on device")

          const before = (yield* double.requests).length
          const cloud = yield* models(["pull", "kimi:cloud"], env)
          assert.deepStrictEqual({ code: cloud.code, stdout: cloud.stdout }, { code: 2, stdout: "" })
          assert.include(cloud.stderr, "--allow-remote")
          assert.lengthOf(yield* double.requests, before)
          assert.strictEqual((yield* models(["pull", "kimi:cloud", "--allow-remote"], env)).code, 0)
        })
    )
  )

  it.live("ends at Ctrl-C with 130, and the same command goes on where it was", () =>
    withOllama({ registry: [{ name: "tiny:1b", bytes: 400_000_000, steps: 40, delay: "100 millis" }] }, (env, double) =>
      Effect.gen(function* () {
        const running = Process.spawnNode("src/Main.ts", ["models", "pull", "tiny:1b"], { env })
        yield* Effect.promise(() => running.waitForStderr("0% of 400 MB"))
        // Far from the beginning and from the end of its four seconds.
        yield* Effect.sleep("1 second")
        running.kill("SIGINT")
        const { code, stderr, stdout } = yield* Effect.promise(() => running.exit)
        assert.deepStrictEqual({ code, stdout }, { code: 130, stdout: "" })
        const [, share] =
          /tinyllm: stopped at (\d+)% of 400 MB\. .* the same command goes on from there\.\n$/.exec(stderr) ?? []
        assert.isAbove(Number(share), 0, stderr)
        while ((yield* double.requests).at(-1)?.disconnectedAt === undefined) {
          yield* Effect.sleep("20 millis")
        }
        const again = yield* models(["pull", "tiny:1b"], env)
        assert.strictEqual(again.code, 0)
        const [, from] = /: (\d+)% of 400 MB/.exec(again.stderr) ?? []
        assert.isAtLeast(Number(from), Number(share))
      })
    )
  )
})
