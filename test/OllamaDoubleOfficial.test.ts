// The official JavaScript client of Ollama, unchanged, against the double. https://github.com/ollama/ollama-js
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Ollama } from "ollama"
import { OllamaDouble } from "../src/OllamaDouble.ts"
import { serving } from "./support/Outside.ts"

/** Runs with a client of the double. */
const using = <A>(use: (client: Ollama) => Promise<A>) =>
  Effect.flatMap(OllamaDouble, ({ url }) => Effect.promise(() => use(new Ollama({ host: url }))))

const collect = async <A>(items: AsyncIterable<A>): Promise<ReadonlyArray<A>> => {
  const all: Array<A> = []
  for await (const item of items) {
    all.push(item)
  }
  return all
}

const rejected = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.fail("was not rejected"),
    (error: Error) => error
  )

const messages = [{ role: "user", content: "one two?" }]
const everything = { capabilities: ["completion", "tools", "thinking", "vision", "embedding", "insert"] }

describe("the official client", () => {
  it.live("chats", () =>
    using(async (client) => {
      const { created_at, done, done_reason, eval_count, message, model, prompt_eval_count, total_duration } =
        await client.chat({ model: "m", messages, think: true })
      assert.deepStrictEqual(message, { role: "assistant", content: "a <b>", thinking: "hm" })
      assert.deepStrictEqual([model, done, done_reason, prompt_eval_count, eval_count], ["m", true, "stop", 3, 5])
      assert.isAbove(total_duration, 0)
      assert.isFalse(Number.isNaN(new Date(created_at).getTime()))
    }).pipe(serving({ thinking: "hm", text: ["a ", "<b>"] }, everything))
  )

  it.live("streams a chat", () =>
    using(async (client) => {
      const parts = await collect(await client.chat({ model: "m", messages, stream: true }))
      assert.deepStrictEqual(
        parts.map(({ done, message }) => [message.content, done]),
        [
          ["a ", false],
          ["<b> \u00e9", false],
          ["", true]
        ]
      )
    }).pipe(serving({ text: ["a ", "<b> \u00e9"], bytesPerChunk: 1 }))
  )

  it.live("gets tool calls, and sends their results", () =>
    using(async (client) => {
      const tools = [
        {
          type: "function",
          function: {
            name: "add",
            description: "Adds.",
            parameters: { type: "object", properties: { a: { type: "number" } } }
          }
        }
      ]
      const { message } = await client.chat({ model: "m", messages, tools })
      assert.deepStrictEqual(message.tool_calls?.[0]?.function.arguments, { a: 1 })
      const told = [...messages, message, { role: "tool", content: "3", tool_name: "add" }]
      assert.strictEqual(
        (await client.chat({ model: "m", messages: told, tools })).message.content,
        "user assistant tool"
      )
    }).pipe(
      serving(
        ({ messages, count }) =>
          count === 1
            ? { text: "", toolCalls: [{ name: "add", arguments: { a: 1 } }] }
            : messages.map(({ role }) => role).join(" "),
        everything
      )
    )
  )

  it.live("generates, streamed and not, with pictures, formats and options", () =>
    using(async (client) => {
      const request = {
        model: "m",
        prompt: "x",
        images: [new Uint8Array([1, 2, 3])],
        format: { type: "object" },
        options: { temperature: 0, stop: ["a"] },
        keep_alive: "5m"
      }
      assert.strictEqual((await client.generate(request)).response, "a b")
      const parts = await collect(await client.generate({ ...request, stream: true }))
      assert.strictEqual(parts.map(({ response }) => response).join(""), "a b")
      assert.isTrue(parts.at(-1)?.done)
      assert.strictEqual((await client.generate({ model: "m", prompt: "" })).done_reason, "load")
    }).pipe(serving("a b", everything))
  )

  it.live("embeds", () =>
    using(async (client) => {
      const { embeddings } = await client.embed({ model: "m", input: ["a", "b"] })
      assert.lengthOf(embeddings, 2)
      assert.closeTo(Math.hypot(...embeddings[0]!), 1, 1e-5)
      assert.deepStrictEqual((await client.embeddings({ model: "m", prompt: "a" })).embedding, embeddings[0])
    }).pipe(serving("never", everything))
  )

  it.live("lists, shows, copies and deletes", () =>
    using(async (client) => {
      await client.copy({ source: "m", destination: "n" })
      assert.sameMembers(
        (await client.list()).models.map(({ name }) => name),
        ["m:latest", "n:latest"]
      )
      await client.delete({ model: "n" })
      assert.lengthOf((await client.list()).models, 1)
      const { capabilities, details, model_info } = await client.show({ model: "m" })
      assert.deepStrictEqual(capabilities, everything.capabilities)
      assert.strictEqual(details.family, "qwen2")
      assert.property(model_info, "qwen2.context_length")
      await client.generate({ model: "m", prompt: "x" })
      const [running] = (await client.ps()).models
      assert.strictEqual(running?.name, "m:latest")
      assert.isAbove(new Date(running!.expires_at).getTime(), Date.now())
      assert.strictEqual((await client.version()).version, "0.33.1")
    }).pipe(serving("x", everything))
  )

  it.live("pulls, with progress and without, and creates", () =>
    using(async (client) => {
      const progress = await collect(await client.pull({ model: "new", stream: true }))
      assert.deepStrictEqual(progress.at(-1), { status: "success" } as never)
      assert.deepStrictEqual(
        progress.filter(({ total }) => total === 100).map(({ completed }) => completed),
        [undefined as never, 50, 100]
      )
      assert.strictEqual((await client.pull({ model: "new" })).status, "success")
      assert.strictEqual((await client.create({ model: "mine", from: "new", system: "Be brief." })).status, "success")
      assert.strictEqual((await client.show({ model: "mine" })).system, "Be brief.")
      const error = await rejected(client.pull({ model: "nope", stream: true }).then(collect))
      assert.include(error.message, "pull model manifest: file does not exist")
    }).pipe(serving("never", { registry: [{ name: "new", layers: [100], steps: 2 }] }))
  )

  it.live("is told of errors, before the first record and after it", () =>
    using(async (client) => {
      const missing = await rejected(client.chat({ model: "nope", messages }))
      assert.deepInclude(missing as object, {
        name: "ResponseError",
        status_code: 404,
        error: "model 'nope' not found"
      })
      assert.include((await rejected(client.embed({ model: "nope", input: "x" }))).message, "try pulling it first")
      assert.include(
        (await rejected(client.chat({ model: "m", messages, think: true }))).message,
        "does not support thinking"
      )
      const late = await rejected(client.chat({ model: "m", messages, stream: true }).then(collect))
      assert.include(late.message, "boom")
    }).pipe(serving({ text: ["x"], errorLine: "boom" }))
  )

  it.live("aborts a stream, which the double notices", () =>
    Effect.gen(function* () {
      const double = yield* OllamaDouble
      const exit = yield* Effect.exit(
        using(async (client) => {
          const stream = await client.chat({ model: "m", messages, stream: true })
          for await (const { message } of stream) {
            assert.strictEqual(message.content, "x")
            client.abort()
          }
        })
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("AbortError"))
      const { complete, disconnectedAt, stage } = yield* double.until((request) => request.disconnectedAt !== undefined)
      assert.deepStrictEqual([complete, stage], [false, "answering"])
      assert.isDefined(disconnectedAt)
    }).pipe(serving({ text: ["x"], end: "hang" }))
  )
})
