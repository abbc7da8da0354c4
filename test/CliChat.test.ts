// `tinyllm chat` from outside: real processes, a real terminal, an Ollama double on a loopback port.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { OllamaDouble, type Script } from "../src/OllamaDouble.ts"
import * as Collector from "./support/Collector.ts"
import { withOllama } from "./support/Double.ts"
import * as Process from "./support/Process.ts"

/** Says what was last asked, in words that come one by one. */
const parrot: Script = {
  models: ["qwen2.5:3b"],
  reply: ({ messages }) => `You said: ${messages.at(-1)?.content}`
}

const chat = (
  stdin: string,
  env: Readonly<Record<string, string>>,
  args: ReadonlyArray<string> = []
): Effect.Effect<Process.Result> =>
  Effect.promise(() => Process.runNode("src/Main.ts", ["chat", ...args], { env, stdin }))

/** The messages of each turn, as the server got them. */
const conversations = (double: OllamaDouble["Service"]) =>
  Effect.map(double.requests, (requests) =>
    requests
      .filter(({ path }) => path === "/api/chat")
      .map(({ body }) =>
        (JSON.parse(body) as { messages: ReadonlyArray<{ role: string; content: string }> }).messages.map(
          ({ content, role }) => `${role}: ${content}`
        )
      )
  )

describe("tinyllm chat, from a pipe", () => {
  it.live("takes each line for a turn, remembers, and prints the answers alone", () =>
    withOllama(parrot, (env, double) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* chat("one\n\n  two  \r\n/clear\nthree\n/constructor", env, [
          "--system",
          "Be short."
        ])
        assert.strictEqual(stdout, "You said: one\nYou said: two\nYou said: three\nYou said: /constructor\n")
        assert.strictEqual(stderr, "tinyllm: what was said is forgotten.\n")
        assert.strictEqual(code, 0)
        const first = ["system: Be short.", "user: one"]
        assert.deepStrictEqual(yield* conversations(double), [
          first,
          [...first, "assistant: You said: one", "user: two"],
          ["system: Be short.", "user: three"],
          ["system: Be short.", "user: three", "assistant: You said: three", "user: /constructor"]
        ])
      })
    )
  )

  it.live("says which flags are for traces that nobody asked for", () =>
    withOllama(parrot, (env) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* chat("one", env, ["--trace-format", "json"])
        assert.deepStrictEqual([code, stdout], [0, "You said: one\n"])
        assert.strictEqual(stderr, "tinyllm: --trace-format is not used: tracing is off. Turn it on with --tracing.\n")
      })
    )
  )

  it.live("tells of a turn that failed on one line and goes on without it; its end is the last turn's", () =>
    withOllama(
      {
        ...parrot,
        reply: (asked) =>
          asked.messages.at(-1)?.content === "fail"
            ? { text: ["half an ", "answer"], end: "eof" }
            : asked.messages.at(-1)?.content === "long"
              ? { status: 400, error: "the prompt is longer than the context length currently available to the model" }
              : parrot.reply(asked)
      },
      (env, double) =>
        Effect.gen(function* () {
          const recovered = yield* chat("fail\nlong\nhello\n", env)
          assert.strictEqual(recovered.stdout, "You said: hello\n")
          assert.strictEqual(recovered.code, 0)
          const [broken, long, ...rest] = recovered.stderr.split("\n")
          assert.match(
            broken ?? "",
            /^tinyllm: The answer of model "qwen2.5:3b" broke off\. What had come is not printed/
          )
          assert.match(long ?? "", /^tinyllm: The prompt is longer than the model's context\..* \/clear begins anew\.$/)
          assert.deepStrictEqual(rest, [""])
          assert.deepStrictEqual((yield* conversations(double)).at(-1), ["user: hello"])

          const failed = yield* chat("hello\nfail\n", env)
          assert.strictEqual(failed.stdout, "You said: hello\n")
          assert.lengthOf(failed.stderr.trimEnd().split("\n"), 1)
          assert.strictEqual(failed.code, 1)
        })
    )
  )

  it.live("says that an answer was cut off, or is empty", () =>
    withOllama(
      { ...parrot, reply: ({ count }) => (count === 1 ? { text: "and so", doneReason: "length" } : "") },
      (env) =>
        Effect.gen(function* () {
          const { code, stderr, stdout } = yield* chat("a\nb\n", env)
          assert.strictEqual(stdout, "and so\n\n")
          assert.strictEqual(
            stderr,
            "tinyllm: the answer was cut off after 2 tokens.\ntinyllm: the model gave an empty answer.\n"
          )
          assert.strictEqual(code, 0)
        })
    )
  )

  it.live("makes a trace of every turn, all with the id of their conversation", () =>
    withOllama(parrot, (env) =>
      Effect.gen(function* () {
        const collector = yield* Collector.make()
        const { code } = yield* chat("one\ntwo\n/clear\nthree\n", env, ["--otlp-endpoint", collector.url])
        assert.strictEqual(code, 0)
        const spans = collector.spans()
        const roots = spans.filter(({ name }) => name === "graph.execute").toSorted((a, b) => Number(a.start - b.start))
        assert.deepStrictEqual(
          roots.map(({ attributes, parentId }) => [attributes["task.content"], attributes["graph.id"], parentId]),
          [
            ["one", "chat", ""],
            ["two", "chat", ""],
            ["three", "chat", ""]
          ]
        )
        assert.strictEqual(new Set(spans.map(({ traceId }) => traceId)).size, 3)
        for (const root of roots) {
          // What the client reconstructs of a call (`ollama.*`) is below it, and no span of generative AI.
          const turn = spans.filter(({ name, traceId }) => traceId === root.traceId && !name.startsWith("ollama."))
          assert.sameMembers(
            turn.map(({ name }) => name),
            ["graph.execute", "node.model", "llm.chat"]
          )
          for (const { attributes } of turn) {
            assert.strictEqual(attributes["gen_ai.conversation.id"], root.attributes["gen_ai.conversation.id"])
          }
        }
        const ids = roots.map(({ attributes }) => String(attributes["gen_ai.conversation.id"]))
        assert.match(ids[0] ?? "", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
        assert.strictEqual(ids[0], ids[1])
        assert.notStrictEqual(ids[0], ids[2])
      })
    )
  )

  it.live("fails before the first turn when the model cannot be had", () =>
    withOllama(
      { ...parrot, models: ["qwen2.5:3b", { name: "embedder", capabilities: ["embedding"] }] },
      (env, double) =>
        Effect.gen(function* () {
          const port = yield* Effect.promise(Collector.deadPort)
          const [missing, dead, cloud, mute] = yield* Effect.all(
            [
              chat("hi", env, ["--model", "phi3"]),
              chat("hi", { OLLAMA_HOST: `127.0.0.1:${port}` }),
              chat("hi", env, ["--model", "kimi:cloud"]),
              chat("hi\nhi", env, ["--model", "embedder"])
            ],
            { concurrency: 2 }
          )
          for (const [{ code, stderr, stdout }, exit, text] of [
            [missing, 3, "tinyllm models pull phi3"],
            [dead, 3, "--demo"],
            [cloud, 2, "--allow-remote"],
            [mute, 1, 'Model "embedder" cannot chat: it is one for embedding. Choose another with --model.']
          ] as const) {
            assert.strictEqual(stdout, "")
            assert.strictEqual(code, exit)
            assert.match(stderr, /^tinyllm: .*\n$/)
            assert.include(stderr, text)
          }
          assert.isEmpty(yield* conversations(double))
        })
    )
  )

  it.live("talks with a model of Ollama's cloud when that is allowed", () =>
    withOllama({ ...parrot, anyModel: true }, (env) =>
      Effect.gen(function* () {
        const { stdout } = yield* chat("hi", env, ["--model", "kimi:cloud", "--allow-remote"])
        assert.strictEqual(stdout, "You said: hi\n")
      })
    )
  )

  it.live("ends at SIGINT with 130, and closes the request", () =>
    withOllama({ ...parrot, reply: () => ({ text: ["one "], end: "hang" }) }, (env, double) =>
      Effect.gen(function* () {
        const running = Process.spawnNode("src/Main.ts", ["chat"], { env, stdin: "hello\n" })
        while ((yield* conversations(double)).length === 0) {
          yield* Effect.sleep("20 millis")
        }
        running.kill("SIGINT")
        const { code, stdout } = yield* Effect.promise(() => running.exit)
        assert.strictEqual(code, 130)
        assert.strictEqual(stdout, "")
        while ((yield* double.requests).at(-1)?.disconnectedAt === undefined) {
          yield* Effect.sleep("20 millis")
        }
      })
    )
  )
})

/** A conversation at a terminal. `sees` waits for text that comes after what was seen before. */
const terminal = (env: Readonly<Record<string, string>>, rest = "", columns = 80) => {
  // The shell becomes what it runs, so its process is the one that signals are for.
  const line = `echo "pid $$"; ${"TTY" in env ? "echo tty $(tty); " : ""}${rest.includes("|") ? "" : "exec "}"${process.execPath}" src/Main.ts chat ${rest}`
  return Effect.map(
    // A test that fails leaves no conversation behind.
    Effect.acquireRelease(
      Effect.sync(() => Process.spawnInTerminal(columns, line, { env, stdin: null })),
      (running) => Effect.sync(() => running.kill("SIGTERM"))
    ),
    watched
  )
}

const watched = (running: Process.Running) => {
  let at = 0
  /** Gives what came before the text. */
  const sees = (text: string) =>
    Effect.promise(async () => {
      await running.waitForStdout(text, at)
      const from = at
      at = running.stdout().indexOf(text, from) + text.length
      return running.stdout().slice(from, at - text.length)
    })
  return {
    sees,
    prompt: sees("> \u001b[3G"),
    type: (text: string) => Effect.sync(() => running.type(text)),
    exit: Effect.promise(() => running.exit),
    shown: running.stdout
  }
}

const ctrlC = "\u0003"
const ctrlD = "\u0004"
const ctrlZ = "\u001a"

describe("tinyllm chat, at a terminal", { skip: !Process.hasTerminal }, () => {
  it.live("streams answers; Ctrl-C stops one and not the program, and a second one leaves with 130", () =>
    withOllama(
      {
        ...parrot,
        reply: (asked) => (asked.count === 1 ? { text: ["one ", "two "], end: "hang" } : parrot.reply(asked))
      },
      (env, double) =>
        Effect.gen(function* () {
          const { exit, prompt, sees, type } = yield* terminal(env)
          yield* sees("tinyllm: qwen2.5:3b at")
          yield* prompt
          yield* type("count\r")
          yield* sees("one two ")
          yield* type(ctrlC)
          yield* sees("\r\ntinyllm: stopped. Ctrl-C again leaves.")
          yield* prompt
          // The model was told to stop.
          while ((yield* double.requests).at(-1)?.disconnectedAt === undefined) {
            yield* Effect.sleep("20 millis")
          }
          yield* type("go on\r")
          yield* sees("You said: go on\r\n")
          yield* prompt
          assert.deepStrictEqual((yield* conversations(double)).at(-1), [
            "user: count",
            "assistant: one two ",
            "user: go on"
          ])
          yield* type(ctrlC)
          yield* sees("Ctrl-C again leaves.")
          yield* prompt
          yield* type(ctrlC)
          assert.strictEqual((yield* exit).code, 130)
        })
    )
  )

  it.live("takes SIGINT for Ctrl-C, and SIGTERM for the end", () =>
    withOllama({ ...parrot, reply: () => ({ text: ["one "], end: "hang" }) }, (env) =>
      Effect.gen(function* () {
        const { exit, prompt, sees, shown, type } = yield* terminal(env)
        yield* prompt
        yield* type("count\r")
        yield* sees("one ")
        const pid = Number(/pid (\d+)/.exec(shown())?.[1])
        process.kill(pid, "SIGINT")
        yield* sees("stopped")
        yield* prompt
        process.kill(pid, "SIGTERM")
        assert.strictEqual((yield* exit).code, 130)
      })
    )
  )

  it.live("edits lines with wide characters, keeps what was pasted together, and leaves at Ctrl-D with 0", () =>
    withOllama(parrot, (env, double) =>
      Effect.gen(function* () {
        const { exit, prompt, sees, type } = yield* terminal(env, "", 20)
        yield* prompt
        // A character of two columns goes at one press, and so does one of two code units.
        yield* type("宽字😀\u007f\u007f好\r")
        yield* sees("You said: 宽好")
        yield* prompt
        // The line before, by the arrow.
        yield* type("\u001b[A!\r")
        yield* sees("You said: 宽好!")
        yield* prompt
        yield* type("\u001b[200~a\rb\u001b[201~")
        yield* type("c\r")
        yield* sees("You said: a\r\nbc")
        yield* prompt
        // The line goes with Ctrl-C, and what came with it stays.
        yield* type(`half${ctrlC}${ctrlD}`)
        assert.strictEqual((yield* exit).code, 0)
        assert.deepStrictEqual(
          (yield* conversations(double)).map((messages) => messages.at(-1)),
          ["user: 宽好", "user: 宽好!", "user: a\nbc"]
        )
      })
    )
  )

  it.live("goes on after a failure, does what /help and /clear say, and leaves at /exit with 0", () =>
    withOllama(
      {
        ...parrot,
        reply: (asked) => (asked.count === 1 ? { status: 500, error: "\u001b[31mout of luck" } : parrot.reply(asked))
      },
      (env, double) =>
        Effect.gen(function* () {
          const { exit, prompt, sees, shown, type } = yield* terminal(env)
          yield* prompt
          // What is typed ahead waits for its turn.
          yield* type("hi\rhello\r/help\r/clear\r/nope\r")
          yield* sees("tinyllm: Ollama at ")
          yield* sees("You said: hello")
          yield* sees("/exit    leaves")
          yield* sees("forgotten")
          yield* sees("no command /nope")
          yield* prompt
          yield* type("again\r")
          yield* sees("You said: again")
          yield* prompt
          yield* type("/exit\r")
          assert.strictEqual((yield* exit).code, 0)
          assert.notInclude(shown(), "\u001b[31m")
          assert.deepStrictEqual((yield* conversations(double)).slice(1), [["user: hello"], ["user: again"]])
        })
    )
  )

  it.live("prints a tree after each turn, and the answers alone on standard output", () =>
    withOllama(parrot, (env) =>
      Effect.gen(function* () {
        const { exit, prompt, sees, type } = yield* terminal(env, `--tracing | sed "s/^/stdout: /"`)
        yield* prompt
        yield* type("hi\r")
        yield* sees("graph.execute")
        yield* prompt
        yield* type(ctrlD)
        const { stdout } = yield* exit
        assert.deepStrictEqual(stdout.match(/stdout: .*/g), ["stdout: You said: hi"])
      })
    )
  )

  it.live("writes what has to be told above the line that is being typed", () =>
    withOllama(parrot, (env, double) =>
      Effect.gen(function* () {
        const port = yield* Effect.promise(Collector.deadPort)
        const settings = { ...env, OTEL_LOG_LEVEL: "debug", OTEL_BSP_SCHEDULE_DELAY: "300" }
        const { exit, prompt, sees, type } = yield* terminal(settings, `--otlp-endpoint http://127.0.0.1:${port}`, 30)
        yield* prompt
        yield* type("one\r")
        yield* sees("You said: one")
        yield* prompt
        const line = "a line that is longer than the terminal is wide"
        yield* type(line)
        // The line goes, what is told comes, and the line is below it; that is not erased with the line the next time.
        yield* sees(`${line}\u001b[1A\u001b[1G\u001b[Jtinyllm: a request of `)
        for (const _ of ["first", "second"]) {
          yield* sees(`connection refused at 127.0.0.1:${port}\r\n\u001b[1G\u001b[0J> ${line}`)
        }
        yield* type("!\r")
        yield* prompt
        assert.strictEqual((yield* conversations(double)).at(-1)?.at(-1), `user: ${line}!`)
        yield* type("/exit\r")
        assert.strictEqual((yield* exit).code, 0)
      })
    )
  )

  it.live("draws the line anew for a terminal that becomes narrower, and loses nothing of it", () =>
    withOllama(parrot, (env, double) =>
      Effect.gen(function* () {
        const { exit, prompt, sees, type } = yield* terminal({ ...env, TTY: "yes" })
        yield* sees("tty /dev/")
        const name = yield* sees("\r\n")
        yield* prompt
        const line = "a line that is longer than the terminal is going to be"
        yield* type(line)
        yield* sees(line)
        // The system tells the program in the terminal.
        yield* Effect.promise(() => Process.run("stty", ["-F", `/dev/${name}`, "cols", "30"]))
        yield* sees(`> ${line}`)
        yield* type("!\r")
        yield* sees(`You said: ${line}!`)
        yield* prompt
        assert.strictEqual((yield* conversations(double)).at(-1)?.at(-1), `user: ${line}!`)
        yield* type(ctrlD)
        assert.strictEqual((yield* exit).code, 0)
      })
    )
  )

  // A shell that knows jobs.
  const shell = "/bin/bash"
  it.live.skipIf(!existsSync(shell))(
    "is stopped by Ctrl-Z, at a line and in an answer, and goes on when it is called back",
    () =>
      withOllama(
        {
          ...parrot,
          reply: (asked) =>
            asked.count === 1 ? { text: ["one ", "two ", "three"], delay: "400 millis" } : parrot.reply(asked)
        },
        (env, double) =>
          Effect.gen(function* () {
            const { exit, prompt, sees, type } = yield* Effect.map(
              Effect.acquireRelease(
                Effect.sync(() =>
                  Process.spawnInTerminal(80, `exec ${shell} --norc --noprofile -i`, {
                    env: { ...env, PS1: "shell$ " },
                    stdin: null
                  })
                ),
                (running) => Effect.sync(() => running.kill("SIGTERM"))
              ),
              watched
            )
            yield* sees("shell$ ")
            yield* type(`"${process.execPath}" src/Main.ts chat\r`)
            yield* prompt
            yield* type("hal")
            yield* sees("hal")
            yield* type(ctrlZ)
            yield* sees("Stopped")
            yield* sees("shell$ ")
            yield* type("echo I am a shell | tr a-z A-Z\r")
            yield* sees("I AM A SHELL")
            yield* sees("shell$ ")
            yield* type("fg\r")
            yield* sees("> hal")
            yield* type("f\r")
            // The answer has begun, and is stopped in the middle.
            yield* sees("one ")
            yield* type(ctrlZ)
            yield* sees("Stopped")
            yield* sees("shell$ ")
            yield* type("fg\r")
            yield* sees("three")
            yield* prompt
            yield* type("again\r")
            yield* sees("You said: again\r\n")
            yield* prompt
            yield* type(ctrlD)
            yield* sees("shell$ ")
            yield* type("exit 7\r")
            assert.strictEqual((yield* exit).code, 7)
            assert.deepStrictEqual((yield* conversations(double)).at(-1), [
              "user: half",
              "assistant: one two three",
              "user: again"
            ])
          })
      )
  )

  it.live("sends a terminal that knows nothing but text nothing but text", () =>
    withOllama(parrot, (env) =>
      Effect.gen(function* () {
        const { exit, sees, shown, type } = yield* terminal({ ...env, TERM: "dumb" })
        yield* sees("leaves.\r\n> ")
        yield* type("one\r")
        yield* sees("You said: one\r\n> ")
        yield* type(ctrlC)
        yield* sees("Ctrl-C again leaves.\r\n> ")
        yield* type(ctrlD)
        assert.strictEqual((yield* exit).code, 0)
        assert.notInclude(shown(), "\u001b")
      })
    )
  )
})
