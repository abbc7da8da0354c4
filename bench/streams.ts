// What reading a streamed answer costs: our client, traced and not, beside `fetch` with lines split by hand and the
// official client of Ollama. The server is a process of its own, so that the CPU time is that of reading alone.
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { Ollama as Official } from "ollama"
import * as NodeClient from "../src/NodeClient.ts"
import { Ollama } from "../src/Ollama.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { type Contestant, type Effort, interleave, median, ratio } from "./interleave.ts"
import { micros, type Section, times } from "./report.ts"
import { counting, verify } from "./tracing.ts"

const records = 2000
const request = { model: "qwen2.5:0.5b", messages: [{ role: "user" as const, content: "Go on." }] }

export const measure = async (effort: Effort): Promise<Section> => {
  const server = spawn(process.execPath, [new URL("records.ts", import.meta.url).pathname, String(records)], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  try {
    const { value: port } = await createInterface(server.stdout)[Symbol.asyncIterator]().next()
    return await compare(`http://127.0.0.1:${port}`, effort)
  } finally {
    server.kill()
  }
}

const compare = async (url: string, effort: Effort): Promise<Section> => {
  const { exported, exporter } = counting()
  const client = NodeClient.layer({ url })
  const traced = ManagedRuntime.make(Layer.merge(client, Telemetry.layerExporter(exporter)))
  const untraced = ManagedRuntime.make(client)
  const official = new Official({ host: url })

  const streamed = Effect.gen(function* () {
    let texts = 0
    yield* Stream.runForEachArray((yield* Ollama).stream(request), (parts) =>
      Effect.sync(() => {
        texts += parts.length
      })
    )
    verify(texts === records, `${texts} parts of ${records} records`)
  })
  const collected = Effect.gen(function* () {
    const { outputTokens } = yield* (yield* Ollama).chat(request)
    verify(outputTokens === records - 1, `${outputTokens} tokens`)
  })

  const contestants: ReadonlyArray<Contestant> = [
    { name: "fetch", things: records, run: () => byHand(url) },
    { name: "official", things: records, run: () => byOfficial(official) },
    { name: "stream", things: records, run: () => untraced.runPromise(streamed) },
    { name: "stream, traced", things: records, run: () => traced.runPromise(streamed) },
    { name: "chat, traced", things: records, run: () => traced.runPromise(collected) }
  ]
  const turns = await interleave(contestants, effort)
  await traced.runPromise(Telemetry.flush)
  const runs = turns.get("stream, traced")!.runs + turns.get("chat, traced")!.runs
  verify(exported() >= runs, `${exported()} spans of ${runs} calls`)
  await Promise.all([traced.dispose(), untraced.dispose()])

  const names: Readonly<Record<string, string>> = {
    fetch: "`fetch`, lines split by hand",
    official: "the `ollama` package",
    stream: "`Ollama.stream`",
    "stream, traced": "`Ollama.stream`, traced",
    "chat, traced": "`Ollama.chat`, traced"
  }
  const cpu = (name: string) => turns.get(name)!.cpu
  const ofFetch = (name: string) => ratio(cpu(name), cpu("fetch"))
  return {
    title: "Reading a streamed answer, µs for one record",
    notes: [`${records} records, each flushed by itself, from a server in a process of its own`],
    header: ["", "CPU", "Of fetch", "Time"],
    rows: contestants.map(({ name }) => [
      names[name]!,
      micros(median(cpu(name))),
      times(ofFetch(name)),
      micros(median(turns.get(name)!.wall))
    ]),
    goals: [
      { what: "CPU of a traced stream over that of fetch", measured: ofFetch("stream, traced"), atMost: 1.3 },
      { what: "CPU of a traced chat over that of fetch", measured: ofFetch("chat, traced"), atMost: 1.3 }
    ],
    numbers: Object.fromEntries(
      contestants.flatMap(({ name }) => [
        [`${name}, CPU`, median(cpu(name))],
        [`${name}, CPU / fetch`, ofFetch(name)]
      ])
    )
  }
}

/** As one would without a library: decode, split, parse, put together. */
const byHand = async (url: string): Promise<void> => {
  const { messages, model } = request
  const response = await fetch(`${url}/api/chat`, {
    method: "POST",
    body: JSON.stringify({ model, messages, stream: true })
  })
  const decoder = new TextDecoder()
  let rest = ""
  let text = ""
  let seen = 0
  for await (const chunk of response.body!) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      const record = JSON.parse(line) as { readonly message: { readonly content: string } }
      text += record.message.content
      seen++
    }
  }
  verify(seen === records && text.length > records, `${seen} records`)
}

const byOfficial = async (client: Official): Promise<void> => {
  let seen = 0
  for await (const _ of await client.chat({ ...request, stream: true })) {
    seen++
  }
  verify(seen === records, `${seen} records`)
}
