// The command line from outside: real processes, a real collector, an Ollama double on a loopback port.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import type { Script } from "../src/OllamaDouble.ts"
import { version } from "../src/Version.ts"
import * as Collector from "./support/Collector.ts"
import { callsOf, withOllama } from "./support/Double.ts"
import * as Process from "./support/Process.ts"
import * as Quick from "./support/Quick.ts"

const cli = (args: ReadonlyArray<string>, options?: Process.Options) =>
  Effect.promise(() => Process.runNode("src/Main.ts", args, options))

/** Models that sort every question as "general" and answer as told. */
const answering = (answer: Script["reply"]): Script => ({
  models: ["qwen2.5:0.5b", "qwen2.5:3b"],
  version: "0.33.1",
  reply: (asked) => (asked.format === undefined ? answer(asked) : `{"route":"general"}`)
})

const assertFailed = (result: Process.Result, code: number, ...texts: ReadonlyArray<string>) => {
  assert.strictEqual(result.stdout, "")
  assert.strictEqual(result.code, code, result.stderr)
  for (const text of texts) {
    assert.include(result.stderr, text)
  }
  assert.notMatch(result.stderr, /^\s+at /m, "a person has no use for a stack")
}

describe("tinyllm run --demo --tracing", () => {
  it.live("prints the answer on stdout and a tree with tokens on stderr", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* cli(["run", "What is 2 + 2?", "--demo", "--tracing"])
      assert.strictEqual(stdout, "4\n")
      assert.strictEqual(code, 0)
      const tree = stderr.split("\n").map((line) => line.replace(/[\d.]+ (ms|s|µs)\b/, "TIME"))
      assert.include(tree[0], "no language model")
      assert.match(tree[1] ?? "", /^trace [0-9a-f]{32}, 14 spans$/)
      assert.deepStrictEqual(tree.slice(2), [
        "graph.execute TIME  assistant nodes=3 tokens=111",
        "├─ node.router TIME  classify step=1 → math",
        "│  └─ llm.chat TIME  qwen2.5:0.5b in=73 out=9",
        "│     ├─ ollama.load TIME",
        "│     ├─ ollama.wait TIME",
        "│     ├─ ollama.prompt_eval TIME",
        "│     └─ ollama.generate TIME",
        "├─ node.model TIME  math step=2",
        "│  └─ llm.chat TIME  qwen2.5:3b in=28 out=1",
        "│     ├─ ollama.load TIME",
        "│     ├─ ollama.wait TIME",
        "│     ├─ ollama.prompt_eval TIME",
        "│     └─ ollama.generate TIME",
        "└─ node.gate TIME  check step=3 → pass",
        ""
      ])
    })
  )

  it.live("prints one JSON object a span with --trace-format json", () =>
    Effect.gen(function* () {
      const { stderr } = yield* cli(["run", "What is 2 + 2?", "--demo", "--tracing", "--trace-format", "json"])
      const spans = stderr
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
      assert.strictEqual(spans.length, 14)
      assert.strictEqual(spans.at(-1)?.["name"], "graph.execute")
      assert.strictEqual(new Set(spans.map((span) => span["trace_id"])).size, 1)
    })
  )

  it.live("goes on when the reader of its output has gone", () =>
    Effect.gen(function* () {
      const command = `"${process.execPath}" src/Main.ts run "What is 2 + 2?" --demo --tracing 2>&1 | true; echo "$PIPESTATUS"`
      const { stderr, stdout } = yield* Effect.promise(() => Process.run("bash", ["-c", command]))
      assert.strictEqual(stdout, "0\n")
      assert.strictEqual(stderr, "")
    })
  )
})

describe("tinyllm run", () => {
  it.live("T1 T5 T13 T28 T59 every span arrives at the collector with its attributes, numbers as numbers", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { code, stdout } = yield* cli(["run", "What is 2 + 2?", "--demo", "--otlp-endpoint", collector.url])
      assert.strictEqual(stdout, "4\n")
      assert.strictEqual(code, 0)
      const spans = collector.spans()
      assert.deepStrictEqual(spans.map((span) => span.name).toSorted(), [
        "graph.execute",
        "llm.chat",
        "llm.chat",
        "node.gate",
        "node.model",
        "node.router",
        ...["generate", "load", "prompt_eval", "wait"].flatMap((part) => [`ollama.${part}`, `ollama.${part}`])
      ])
      assert.strictEqual(new Set(spans.map((span) => span.traceId)).size, 1)

      const root = collector.span("graph.execute")
      assert.strictEqual(root.parentId, "")
      assert.strictEqual(root.resource["service.name"], "tinyllm")
      assert.strictEqual(root.resource["service.version"], version)
      assert.strictEqual(root.attributes["task.content"], "What is 2 + 2?")
      assert.strictEqual(root.attributes["graph.id"], "assistant")
      assert.match(String(root.attributes["execution.trace_id"]), /^[0-9a-f-]{36}$/)
      assert.deepStrictEqual(root.otlp["execution.nodes_executed"], { intValue: 3 })
      assert.deepStrictEqual(root.otlp["execution.tokens_used"], { intValue: 111 })
      assert.isDefined(root.otlp["execution.duration_ms"]?.intValue)
      assert.strictEqual(root.attributes["gen_ai.operation.name"], "invoke_workflow")

      const model = collector.span("node.model")
      assert.strictEqual(model.parentId, root.spanId)
      assert.strictEqual(model.attributes["node.id"], "math")
      assert.strictEqual(model.attributes["node.type"], "model")
      assert.deepStrictEqual(model.otlp["execution.step"], { intValue: 2 })

      const call = spans.find((span) => span.parentId === model.spanId)
      assert.strictEqual(call?.kind, "client")
      assert.strictEqual(call?.attributes["llm.model"], "qwen2.5:3b")
      assert.strictEqual(call?.attributes["gen_ai.request.model"], "qwen2.5:3b")
      assert.strictEqual(call?.attributes["gen_ai.provider.name"], "ollama")
      assert.strictEqual(call?.attributes["gen_ai.operation.name"], "chat")
      assert.deepStrictEqual(call?.otlp["llm.input_tokens"], { intValue: 28 })
      assert.deepStrictEqual(call?.otlp["llm.output_tokens"], { intValue: 1 })
      assert.deepStrictEqual(call?.otlp["llm.total_tokens"], { intValue: 29 })
      assert.isDefined(call?.otlp["llm.prompt_length"]?.intValue)
      assert.strictEqual(call?.attributes["llm.temperature"], 0)
      // T10
      assert.deepStrictEqual(call?.otlp["gen_ai.response.finish_reasons"], {
        arrayValue: { values: [{ stringValue: "stop" }] }
      })
      // T63
      for (const span of spans) {
        assert.deepStrictEqual(span.scope, { name: "tinyllm", version })
      }
    })
  )

  it.live("prints one object with --json", () =>
    Effect.gen(function* () {
      const { stdout } = yield* cli(["run", "What is 2 + 2?", "--demo", "--json"])
      const { durationMs, executionId, ...rest } = JSON.parse(stdout) as Record<string, unknown>
      assert.deepStrictEqual(rest, {
        answer: "4",
        traceId: null,
        nodesExecuted: 3,
        inputTokens: 101,
        outputTokens: 10
      })
      assert.isTrue(Number.isInteger(durationMs))
      assert.match(String(executionId), /^[0-9a-f-]{36}$/)

      const collector = yield* Collector.make()
      const traced = yield* cli(["run", "2 + 2", "--demo", "--json", "--otlp-endpoint", collector.url])
      assert.strictEqual(JSON.parse(traced.stdout).traceId, collector.span("graph.execute").traceId)
    })
  )

  it.live("sends an empty answer back once", () =>
    withOllama(
      answering(({ count }) => (count < 4 ? " \n" : "at last")),
      (env, double) =>
        Effect.gen(function* () {
          const { code, stdout } = yield* cli(["run", "hello"], { env })
          assert.strictEqual(stdout, "at last\n")
          assert.strictEqual(code, 0)
          assert.strictEqual(callsOf(yield* double.requests).length, 4)
        })
    )
  )

  it.live("exits with 1 when the answer stays empty", () =>
    withOllama(
      answering(() => ""),
      (env) =>
        Effect.gen(function* () {
          assertFailed(yield* cli(["run", "hello"], { env }), 1, "tinyllm: The model gave an empty answer 2 times.")
        })
    )
  )

  it.live("exits with 1 when the model breaks off, and says so", () =>
    withOllama(
      answering(() => ({ text: ["half an ", "answer"], end: "eof" })),
      (env) =>
        Effect.gen(function* () {
          const result = yield* cli(["run", "hello"], { env })
          assertFailed(result, 1, "tinyllm: ")
          assert.notInclude(result.stderr, "half an")
        })
    )
  )

  it.live("exits with 3 when a model is missing, and says how to install it", () =>
    withOllama({ models: [], reply: () => "never" }, (env) =>
      Effect.gen(function* () {
        const result = yield* cli(["run", "hello", "--model", "tiny:1b"], { env })
        assertFailed(result, 3, `"tinyllm models pull tiny:1b"`)
      })
    )
  )

  it.live("exits with 3 without Ollama, at once, and says how to start it and what --demo is for", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(Collector.deadPort)
      const result = yield* cli(["run", "hello"], { env: { OLLAMA_HOST: `127.0.0.1:${port}` } })
      assertFailed(result, 3, "connection refused", "ollama serve", "--demo")
      assert.strictEqual(result.stderr.trim().split("\n").length, 1)
    })
  )

  it.live("T57 --log-level debug tells of the run in lines with the ids of the spans they were written in", () =>
    Effect.gen(function* () {
      const args = ["run", "What is 2 + 2?", "--demo"]
      const flags = ["--tracing", "--trace-format", "json", "--log-level", "debug", "--log-format", "json"]
      const { stderr, stdout } = yield* cli([...args, ...flags])
      assert.strictEqual(stdout, "4\n")
      const [notice, ...rest] = stderr.trimEnd().split("\n")
      assert.include(notice, "no language model")
      const records = rest.map((line) => JSON.parse(line))
      const spans = records.filter((record) => record.name !== undefined)
      const lines = records.filter((record) => record.message !== undefined)
      const nameOf = (id: string) => spans.find((span) => span.span_id === id)?.name
      assert.deepStrictEqual(
        lines.map(
          (line) => `${line.level} ${nameOf(line.span_id)}: ${line.message} ${line["llm.model"] ?? line["graph.id"]}`
        ),
        [
          "debug graph.execute: Run started assistant",
          "debug llm.chat: Model call ended qwen2.5:0.5b",
          "debug llm.chat: Model call ended qwen2.5:3b",
          "debug graph.execute: Run ended assistant"
        ]
      )
      const root = spans.find((span) => span.name === "graph.execute")
      for (const line of lines) {
        assert.strictEqual(line.trace_id, root.trace_id)
        assert.strictEqual(line.trace_flags, "01")
        assert.strictEqual(line.execution_id, root.attributes["execution.trace_id"])
        assert.notInclude(JSON.stringify(line), "2 + 2")
      }
      assert.strictEqual(lines.at(-1)["execution.tokens_used"], root.attributes["execution.tokens_used"])
      const quiet = yield* cli(args)
      assert.strictEqual(quiet.stderr, `${notice}\n`)
    })
  )

  it.live("T57 warns of a model call that is made again, with the ids of its span", () =>
    withOllama(
      answering(({ count }) => (count === 2 ? { status: 503, error: "server busy, please try again." } : "fine")),
      (env) =>
        Effect.gen(function* () {
          const { code, stderr, stdout } = yield* cli(["run", "hello", "--log-format", "logfmt", "--tracing"], { env })
          assert.strictEqual(stdout, "fine\n")
          assert.strictEqual(code, 0)
          assert.match(
            stderr,
            /^ts=\S+ level=warn msg="A model call failed and is made again" trace_id=[0-9a-f]{32} span_id=[0-9a-f]{16} trace_flags=01 execution_id=\S+ llm\.model=qwen2\.5:3b retry\.attempt=1 retry\.delay_ms=\d+ error\.type=503$/m
          )
        })
    )
  )

  it.live("says what became of an answer that broke off, in words for a person", () =>
    withOllama(
      answering(({ messages }) => ({ text: JSON.stringify(messages).includes("nothing") ? [] : ["one "], end: "eof" })),
      (env) =>
        Effect.gen(function* () {
          assertFailed(
            yield* cli(["run", "hello"], { env }),
            1,
            `tinyllm: The answer of model "qwen2.5:3b" broke off. What had come is not printed, since it is not whole;`
          )
          assertFailed(yield* cli(["run", "nothing"], { env }), 1, "Nothing of its text had come.")
        })
    )
  )

  it.live("exits with 2 for wrong usage and settings, and names what is wrong", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<[ReadonlyArray<string>, Readonly<Record<string, string>>, string]> = [
        [["run"], {}, "Missing required argument: query"],
        [["run", ""], {}, "The query is empty"],
        [["run", "a", "b"], {}, "in quotes"],
        [["rum"], {}, "Did you mean run?"],
        [["run", "-5 + 3"], {}, 'tinyllm run -- "…"'],
        [["run", "hi", "--model", ""], {}, "--model"],
        [["hello there"], {}, "To ask something"],
        [["doctor", "extra"], {}, "takes fewer arguments"],
        [["models", "ex\u001btra"], {}, 'There is no command "tinyllm models ex\ufffdtra".'],
        [["models", "pull"], {}, "Missing required argument: name"],
        [["models", "show", " "], {}, "Expected the name of a model"],
        [["run", "hi", "--model", "kimi:cloud"], {}, "--allow-remote"],
        [["run", "hi", "--traicing"], {}, "Did you mean --tracing?"],
        [["run", "hi", "--sampling-rate", "1.1"], {}, "--sampling-rate"],
        [["run", "hi", "--sampling-rate", "NaN"], {}, "--sampling-rate"],
        [["run", "hi", "--exporter", "zipkin"], {}, "--exporter"],
        [["run", "hi", "--otlp-endpoint", "collector:4317"], {}, "--otlp-endpoint must be"],
        [["run", "hi", "--demo"], { TINYLLM_SAMPLING_RATE: "2" }, "TINYLLM_SAMPLING_RATE"],
        [["run", "hi"], { OLLAMA_HOST: "tcp://x" }, "OLLAMA_HOST"]
      ]
      const results = yield* Effect.forEach(cases, ([args, env]) => cli(args, { env }), { concurrency: 2 })
      results.forEach((result, index) => assertFailed(result, 2, "tinyllm: ", cases[index]![2]))
    })
  )

  it.live("refuses values of flags that begin with a dash, and shows no help in their place", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<[ReadonlyArray<string>, string]> = [
        [["run", "hi", "--log-level", "-h"], "The value of --log-level begins with a dash"],
        [["chat", "--system", "-x y"], "The value of --system begins with a dash"],
        // What is read as it is meant is what its flag says.
        [["run", "hi", "--sampling-rate", "-1"], "Expected a number from 0 to 1, got -1"]
      ]
      const results = yield* Effect.forEach(cases, ([args]) => cli(args), { concurrency: 2 })
      results.forEach((result, index) => assertFailed(result, 2, "tinyllm: ", cases[index]![1]))
    })
  )

  it.live("refuses --json and --stream together, and says which flags are for traces that nobody asked for", () =>
    Effect.gen(function* () {
      const of = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
        Effect.map(cli(["run", "1 + 1", "--demo", ...args], { env }), ({ code, stderr, stdout }) => ({
          code,
          stdout,
          said: stderr.split("\n").filter((line) => line.startsWith("tinyllm: ") && !line.includes("no language model"))
        }))
      assert.deepStrictEqual(yield* of(["--json", "--stream"]), {
        code: 2,
        stdout: "",
        said: ["tinyllm: Write --json or --stream, not both: the object has the whole answer."]
      })
      assert.include((yield* of(["--json", "--no-stream"])).stdout, '"answer":"2"')
      const answered = (...said: Array<string>) => ({ code: 0, stdout: "2\n", said })
      const off = "tracing is off. Turn it on with --tracing."
      assert.deepStrictEqual(
        yield* of(["--trace-format", "json"]),
        answered(`tinyllm: --trace-format is not used: ${off}`)
      )
      assert.deepStrictEqual(
        yield* of(["--sampling-rate", "0.5", "--keep-errors"]),
        answered(`tinyllm: --sampling-rate, --keep-errors are not used: ${off}`)
      )
      assert.deepStrictEqual(
        yield* of(["--trace-format", "json", "--exporter", "none"]),
        answered("tinyllm: --trace-format is not used by the exporter none.")
      )
      // Whoever turned it off knows it, and who turned it on elsewhere has what they asked for.
      assert.deepStrictEqual(yield* of(["--trace-format", "json", "--no-tracing"]), answered())
      assert.deepStrictEqual(yield* of(["--trace-format", "tree"], { TINYLLM_TRACING: "true" }), answered())
    })
  )

  it.live("answers a query that begins with a dash, after --", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* cli(["run", "--demo", "--", "-5 + 3"])).stdout, "-2\n")
    })
  )

  it.live.skipIf(!existsSync("/dev/full"))("exits with 1 when the answer cannot be written", () =>
    Effect.gen(function* () {
      const command = `"${process.execPath}" src/Main.ts run "2+2" --demo > /dev/full; echo "exit $?" >&2`
      const { stderr } = yield* Effect.promise(() => Process.run("bash", ["-c", command]))
      assert.include(stderr, "tinyllm: Standard output could not be written: ")
      assert.include(stderr, "exit 1")
    })
  )

  it.live("lets nothing drive the terminal: escapes in names come out as text", () =>
    withOllama({ models: ["a\u001b[31mb:1", "宽字:1"], version: "1\u001b[2J", reply: () => "" }, (env) =>
      Effect.gen(function* () {
        const missing = yield* cli(["run", "hi", "--model", "x\u001b[31m"], { env })
        const listed = yield* cli(["models"], { env })
        const doctor = yield* cli(["doctor"], { env })
        for (const { stderr, stdout } of [missing, listed, doctor]) {
          assert.notInclude(stderr + stdout, "\u001b")
        }
        const [head, first, second] = listed.stdout.split("\n")
        const column = head?.indexOf("SIZE") ?? 0
        assert.strictEqual(first?.[column - 1], " ")
        // Each of its two characters takes two columns.
        assert.strictEqual(second?.[column - 2 - 1], " ")
        assert.notStrictEqual(second?.[column - 2], " ")
      })
    )
  )

  it.live("writes warnings to standard error in every command", () =>
    Effect.gen(function* () {
      const env = { OLLAMA_HOST: "127.0.0.1:99999" }
      for (const command of ["models", "doctor"]) {
        const { stderr, stdout } = yield* cli([command], { env })
        assert.include(stderr, `"99999" is no port`)
        assert.notInclude(stdout, "WARN")
      }
    })
  )

  it.live("takes the models from flags, then from the environment", () =>
    withOllama(
      { models: [], anyModel: true, reply: (asked) => (asked.format ? `{"route":"code"}` : "ok") },
      (env, double) =>
        Effect.gen(function* () {
          const models = Effect.map(double.requests, (requests) =>
            requests.slice(-2).map((request) => JSON.parse(request.body).model as string)
          )
          const settings = { ...env, TINYLLM_MODEL: "m", TINYLLM_ROUTER_MODEL: "r" }
          yield* cli(["run", "hello"], { env: settings })
          assert.deepStrictEqual(yield* models, ["r", "m"])
          yield* cli(["run", "hello", "--model", "flag", "--router-model", "small"], { env: settings })
          assert.deepStrictEqual(yield* models, ["small", "flag"])
          yield* cli(["run", "hello", "--model", "one"], { env })
          assert.deepStrictEqual(yield* models, ["one", "one"])
          yield* cli(["run", "hello"], { env })
          assert.deepStrictEqual(yield* models, ["qwen2.5:0.5b", "qwen2.5:3b"])
        })
    )
  )

  it.live("T49 hangs its trace below TRACEPARENT, keeps quiet when that is unsampled, and ignores nonsense", () =>
    Effect.gen(function* () {
      const traceId = "12345678901234567890123456789012"
      const traced = (TRACEPARENT: string) =>
        Effect.gen(function* () {
          const collector = yield* Collector.make()
          const env = { TRACEPARENT }
          const { stdout } = yield* cli(["run", "2+2", "--demo", "--otlp-endpoint", collector.url], { env })
          assert.strictEqual(stdout, "4\n")
          return collector.spans()
        })
      const sampled = yield* traced(`00-${traceId}-1234567890123456-01`)
      assert.strictEqual(sampled.length, 14)
      const root = sampled.find((span) => span.name === "graph.execute")
      assert.strictEqual(root?.traceId, traceId)
      assert.strictEqual(root?.parentId, "1234567890123456")
      assert.strictEqual((yield* traced(`00-${traceId}-1234567890123456-00`)).length, 0)
      const nonsense = yield* traced("00-nonsense")
      assert.strictEqual(nonsense.length, 14)
      assert.notStrictEqual(nonsense[0]?.traceId, traceId)
    })
  )

  it.live("T49 says at level debug, once, that TRACEPARENT is not valid; other spellings are other variables", () =>
    Effect.gen(function* () {
      const traced = (env: Record<string, string>) =>
        Effect.map(cli(["run", "2+2", "--demo", "--tracing", "--log-level", "debug"], { env }), ({ stderr }) => stderr)
      const told = yield* traced({ TRACEPARENT: "00-canary-7f3a" })
      assert.lengthOf(told.match(/TRACEPARENT names no valid parent/g) ?? [], 1)
      assert.notInclude(told, "canary-7f3a")
      const traceId = "12345678901234567890123456789012"
      const others = yield* traced({ traceparent: `00-${traceId}-1234567890123456-01` })
      assert.notInclude(others, "TRACEPARENT")
      assert.notInclude(others, traceId)
    })
  )

  it.live("T49 T48 passes TRACESTATE and BAGGAGE on to Ollama, with tracing and without", () =>
    withOllama(
      answering(() => "ok"),
      (env, double) =>
        Effect.gen(function* () {
          const context = {
            TRACEPARENT: "00-12345678901234567890123456789012-1234567890123456-01",
            TRACESTATE: "foo@=1",
            BAGGAGE: "tenant=a%20b"
          }
          for (const flags of [["--tracing"], ["--no-tracing"]]) {
            yield* cli(["run", "hello", ...flags], { env: { ...env, ...context } })
          }
          const calls = (yield* double.requests).filter(({ path }) => path === "/api/chat")
          assert.lengthOf(calls, 4)
          for (const [index, { headers }] of calls.entries()) {
            assert.match(String(headers["traceparent"]), /^00-12345678901234567890123456789012-[0-9a-f]{16}-01$/)
            assert.strictEqual(headers["traceparent"] === context.TRACEPARENT, index >= 2)
            assert.include(headers, { tracestate: "foo@=1", baggage: "tenant=a%20b" })
          }
        })
    )
  )

  it.live("T48 OTEL_PROPAGATORS says in which headers, with tracing and without", () =>
    withOllama(
      answering(() => "ok"),
      (env, double) =>
        Effect.gen(function* () {
          const traced = {
            ...env,
            TRACEPARENT: "00-12345678901234567890123456789012-1234567890123456-01",
            BAGGAGE: "a=1"
          }
          const sent = (OTEL_PROPAGATORS: string, ...flags: ReadonlyArray<string>) =>
            Effect.gen(function* () {
              const { code } = yield* cli(["run", "hello", ...flags], { env: { ...traced, OTEL_PROPAGATORS } })
              assert.strictEqual(code, 0)
              const { headers } = (yield* double.requests).at(-1) ?? { headers: {} }
              return Object.keys(headers).filter((name) => /^(traceparent|baggage|b3|x-b3-.*)$/.test(name))
            })
          assert.deepStrictEqual(yield* sent("tracecontext,b3", "--tracing"), ["traceparent", "b3"])
          assert.deepStrictEqual(yield* sent("Baggage"), ["baggage"])
          assert.deepStrictEqual(yield* sent("none", "--tracing"), [])
        })
    )
  )
})

describe("telemetry never harms a run", () => {
  const untraced = cli(["run", "What is 2 + 2?", "--demo"])

  const harmless = (mode: Collector.Mode | "down") =>
    // From the answer on: what a process takes until then depends on the machine and on what else it does.
    // 3.5 s, and what loading the exporter takes.
    Quick.within(
      3500 + 500,
      Effect.gen(function* () {
        const port =
          mode === "down" ? yield* Effect.promise(Collector.deadPort) : (yield* Collector.make({ mode })).port
        const endpoint = `http://127.0.0.1:${port}`
        const running = Process.spawnNode("src/Main.ts", [
          "run",
          "What is 2 + 2?",
          "--demo",
          "--otlp-endpoint",
          endpoint
        ])
        yield* Effect.promise(() => running.waitForStdout("4"))
        const answered = performance.now()
        const { code, stderr, stdout } = yield* Effect.promise(() => running.exit)
        const millis = performance.now() - answered
        const without = yield* untraced
        assert.deepStrictEqual({ code, stdout }, { code: without.code, stdout: without.stdout })
        const lines = stderr.split("\n").filter((line) => line !== "" && !line.includes("no language model"))
        assert.strictEqual(lines.length, 1, stderr)
        assert.include(lines[0], `127.0.0.1:${port}`)
        return millis
      })
    )

  it.live("T44 says on one line what became of the spans, and nothing where they go to the console or nowhere", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const address = collector.url.slice(7)
      const lines = (args: ReadonlyArray<string>) =>
        Effect.map(cli(["run", "1 + 1", "--demo", ...args]), ({ stderr }) =>
          stderr.split("\n").filter((line) => line !== "" && !line.includes("no language model"))
        )
      const to = ["--otlp-endpoint", collector.url]
      assert.deepStrictEqual(yield* lines(to), [`tinyllm: 14 spans exported to ${address}`])
      assert.lengthOf(collector.spans(), 14)
      assert.deepStrictEqual(yield* lines([...to, "--sampling-rate", "0"]), [
        "tinyllm: no spans exported: the trace was not sampled"
      ])
      assert.isTrue((yield* lines(["--tracing"])).every((line) => !line.startsWith("tinyllm:")))
      collector.mode = { reject: 2, message: "no room" }
      assert.deepStrictEqual(yield* lines(to), [`tinyllm: 2 of 14 spans not exported: rejected by ${address}: no room`])
      collector.mode = { refuse: "UNAUTHENTICATED" }
      assert.deepStrictEqual(yield* lines(to), [
        `tinyllm: 14 spans not exported: ${address} answered UNAUTHENTICATED: refused by the test; kept, send them with "tinyllm trace push --otlp-endpoint ${collector.url}"`
      ])
    })
  )

  it.live("T40 a collector that is down", () => harmless("down"), 90_000)
  it.live("T41 a collector that hangs", () => harmless("hang"), 90_000)
  it.live("T40 a collector that refuses", () => harmless({ refuse: "PERMISSION_DENIED" }), 90_000)
})

describe("Ctrl-C", () => {
  const slow = answering(() => ({ text: Array.from({ length: 600 }, () => "word "), delay: "50 millis" }))

  const interrupted = (
    mode: Collector.Mode,
    signal: NodeJS.Signals,
    check: (collector: Collector.Collector) => void = () => {}
  ) =>
    withOllama(slow, (env, double) =>
      Effect.gen(function* () {
        const collector = yield* Collector.make({ mode })
        const running = Process.spawnNode("src/Main.ts", ["run", "hello", "--otlp-endpoint", collector.url], { env })
        // The second call is the answer's.
        while (callsOf(yield* double.requests).length < 2) {
          yield* Effect.sleep("20 millis")
        }
        yield* Effect.sleep("200 millis")
        const begin = performance.now()
        running.kill(signal)
        const { code, stdout } = yield* Effect.promise(() => running.exit)
        const millis = performance.now() - begin
        assert.strictEqual(code, 130)
        assert.strictEqual(stdout, "")
        const call = callsOf(yield* double.requests)[1]
        assert.isDefined(call?.disconnectedAt, "the request is closed, so that the model stops")
        check(collector)
        return millis
      })
    )

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it.live(`T43 ${signal} closes the request, delivers the spans and exits with 130 within a second`, () =>
      Quick.within(
        1000,
        interrupted("ok", signal, (collector) => {
          const names = collector.spans().map((span) => span.name)
          assert.includeMembers(names, ["graph.execute", "node.model", "llm.chat", "node.router"])
          const root = collector.span("graph.execute")
          assert.strictEqual(root.attributes["effect.fiber.interrupted"], true)
          assert.strictEqual(root.attributes["execution.nodes_executed"], 1)
          for (const span of collector.spans()) {
            assert.notProperty(span.attributes, "error.type")
          }
        })
      )
    )
  }

  it.live("exits within 3.5 s when the collector hangs", () => Quick.within(3500, interrupted("hang", "SIGINT")))
})

describe("in a terminal", () => {
  // `script` gives a process a terminal. Where it is not installed, this says so.
  const terminal = existsSync("/usr/bin/script")
  const inTerminal = (columns: number, args: string, env: Readonly<Record<string, string>> = {}) =>
    Effect.promise(() =>
      Process.run(
        "/usr/bin/script",
        ["-qec", `stty cols ${columns}; "${process.execPath}" src/Main.ts ${args}`, "/dev/null"],
        { env: { TERM: "xterm", ...env } }
      )
    )

  it.live.skipIf(!terminal)("prints the answer as it comes, and shows which step it is at", () =>
    withOllama(
      answering(() => ({ text: ["\n", "one ", "two ", "\u001b[31mthree"], delay: "150 millis" })),
      (env) =>
        Effect.gen(function* () {
          const { code, stdout } = yield* inTerminal(80, `run hello --tracing`, env)
          assert.strictEqual(code, 0)
          assert.include(stdout, "⠋ classify")
          assert.include(stdout, "general")
          // White space in front is left out, control characters are, and the tree begins on a line of its own.
          assert.match(stdout, /\u001b\[Kone two \[31mthree\r\n.*trace [0-9a-f]{32}/)
        })
    )
  )

  it.live.skipIf(!terminal)("keeps spinner, answer and spans on lines of their own, whatever goes where", () =>
    Effect.gen(function* () {
      const json = yield* inTerminal(80, `run "What is 2 + 2?" --demo --tracing --trace-format json`)
      const piped = yield* inTerminal(80, `run "What is 2 + 2?" --demo --tracing | cat`)
      for (const { stdout } of [json, piped]) {
        // As the terminal shows it: what a line was before it was erased is gone.
        const lines = stdout.split("\r\n").map((line) => line.split("\r\u001b[K").at(-1) ?? "")
        assert.include(lines, "4")
        for (const line of lines.filter((line) => /trace_id|trace [0-9a-f]{32}/.test(line))) {
          assert.match(line, /^(\u001b\[\d+m)?(\{"trace_id"|trace )/)
        }
      }
    })
  )

  it.live.skipIf(!terminal)("shows the step in a terminal that does not know its width", () =>
    Effect.gen(function* () {
      assert.include((yield* inTerminal(0, `run "What is 2 + 2?" --demo`)).stdout, "⠋ classify")
    })
  )

  it.live.skipIf(!terminal)("fits the tree to 60 columns, in colour unless NO_COLOR", () =>
    Effect.gen(function* () {
      const args = `run "What is 2 + 2?" --demo --tracing --service-name a-long-name`
      const colour = yield* inTerminal(60, args)
      const plain = yield* inTerminal(60, args, { NO_COLOR: "1" })
      const tree = (text: string) => text.slice(text.indexOf("trace ")).split("\r\n")
      assert.isTrue(tree(plain.stdout).every((line) => line.length <= 60))
      assert.notInclude(plain.stdout.slice(plain.stdout.indexOf("trace ")), "\u001b[1m")
      assert.include(colour.stdout, "\u001b[1m")
    })
  )

  it.live.skipIf(!terminal)("says that the beginning of an answer that broke off is above", () =>
    withOllama(
      answering(() => ({ text: ["one ", "two "], end: "eof" })),
      (env) =>
        Effect.gen(function* () {
          const { stdout } = yield* inTerminal(200, "run hello", env)
          assert.match(stdout, /one two \r\ntinyllm: .* broke off\. What had come is printed above\. Look at/)
        })
    )
  )

  it.live.skipIf(!terminal)("Ctrl-C in the middle of an answer ends the line", () =>
    withOllama(
      answering(() => ({ text: ["one ", "two "], delay: "100 millis", end: "hang" })),
      (env) =>
        Effect.gen(function* () {
          const command = `"${process.execPath}" src/Main.ts run hello & echo "pid $!"; wait $!; echo "exit $?"`
          const running = Process.spawn("/usr/bin/script", ["-qec", command, "/dev/null"], {
            env: { TERM: "xterm", ...env }
          })
          yield* Effect.promise(() => running.waitForStdout("two "))
          process.kill(Number(/pid (\d+)/.exec(running.stdout())?.[1]), "SIGINT")
          const { stdout } = yield* Effect.promise(() => running.exit)
          assert.match(stdout, /one two \r\nexit 130/)
        })
    )
  )
})

describe("tinyllm", () => {
  it.live("alone prints a help with three examples", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* cli([])
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, "")
      assert.strictEqual(stdout.match(/^ {2}tinyllm (run|doctor)/gm)?.length, 3)
    })
  )

  it.live("says what is needed on a Node that is too old, before it loads anything", () =>
    Effect.gen(function* () {
      const pretend = `data:text/javascript,Object.defineProperty(process.versions,"node",{value:"22.18.0"})`
      const { code, stderr, stdout } = yield* Effect.promise(() =>
        Process.run(process.execPath, ["--import", pretend, "src/Main.ts", "run", "hi", "--demo"])
      )
      assert.strictEqual(code, 1)
      assert.strictEqual(stdout, "")
      assert.include(stderr, "tinyllm needs Node 22.19 or newer, and this is Node 22.18.0.")
    })
  )

  it.live("--version prints the version", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* cli(["--version"])).stdout, `tinyllm ${version}\n`)
    })
  )
})

describe("tinyllm models", () => {
  it.live("says what to do when there are none, and exits with 3 without Ollama", () =>
    Effect.gen(function* () {
      yield* withOllama({ models: [], reply: () => "" }, (env) =>
        Effect.gen(function* () {
          const { code, stderr, stdout } = yield* cli(["models"], { env })
          assert.strictEqual(code, 0)
          assert.strictEqual(stdout, "")
          assert.include(stderr, "tinyllm models pull")
        })
      )
      const port = yield* Effect.promise(Collector.deadPort)
      assertFailed(yield* cli(["models"], { env: { OLLAMA_HOST: `127.0.0.1:${port}` } }), 3, "ollama serve")
    })
  )
})

describe("tinyllm doctor", () => {
  it.live("says that all is well", () =>
    withOllama(
      answering(() => ""),
      (env) =>
        Effect.gen(function* () {
          const collector = yield* Collector.make()
          const { code, stdout } = yield* cli(["doctor", "--otlp-endpoint", collector.url], { env })
          assert.strictEqual(code, 0)
          assert.include(stdout, `answers at ${env["OLLAMA_HOST"]}, version 0.33.1`)
          assert.include(stdout, "qwen2.5:3b is installed")
          assert.include(stdout, `${collector.url} (flag): something listens there`)
        })
    )
  )

  it.live("says which models are missing and how to get them", () =>
    withOllama({ models: ["qwen2.5:0.5b"], reply: () => "" }, (env) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* cli(["doctor"], { env })
        assert.strictEqual(code, 3)
        assert.include(stdout, "qwen2.5:3b is missing: ollama pull qwen2.5:3b")
        assert.include(stdout, "Tracing   off (default). Turn it on with --tracing")
        assert.include(stderr, `"ollama pull qwen2.5:3b"`)
      })
    )
  )

  it.live("does not wait long for a server that accepts and says nothing", () =>
    withOllama({ models: [], reply: () => "", paths: { "GET /api/version": { raw: "", end: "hang" } } }, (env) =>
      Effect.gen(function* () {
        const { code, millis, stderr, stdout } = yield* cli(["doctor"], { env })
        assert.strictEqual(code, 3)
        assert.isBelow(millis, 9000)
        assert.include(stderr, "says nothing for 5 s")
        assert.include(stdout, "Tracing   off")
      })
    )
  )

  it.live("says so when something else answers, and what a variable turned off", () =>
    withOllama(
      { models: [], reply: () => "", paths: { "GET /api/version": { raw: "<html>", contentType: "text/html" } } },
      (env) =>
        Effect.gen(function* () {
          const { code, stdout } = yield* cli(["doctor", "--tracing"], { env: { ...env, OTEL_SDK_DISABLED: "true" } })
          assert.strictEqual(code, 1)
          assert.include(stdout, "something else answers")
          assert.include(stdout, "off (OTEL_SDK_DISABLED). Nothing turns it on but taking that variable away")
        })
    )
  )

  it.live("says that Ollama does not answer and that nothing listens where traces would go", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(Collector.deadPort)
      const env = {
        OLLAMA_HOST: `127.0.0.1:${port}`,
        TINYLLM_TRACING: "true",
        TINYLLM_OTLP_ENDPOINT: `http://127.0.0.1:${port}`
      }
      const { code, stdout } = yield* cli(["doctor"], { env })
      assert.strictEqual(code, 3)
      assert.include(stdout, `no answer at http://127.0.0.1:${port}`)
      assert.include(stdout, "on (TINYLLM_TRACING)")
      assert.include(stdout, `http://127.0.0.1:${port} (TINYLLM_OTLP_ENDPOINT): nothing listens there`)
    })
  )
})
