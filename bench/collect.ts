// How many spans `tinyllm collect` takes and stores in a second, and what each costs it.
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import * as Http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import * as Sender from "../test/support/Sender.ts"
import { micros, type Section } from "./report.ts"
import { verify } from "./tracing.ts"

const batch = 512
const senders = 4

interface Collector {
  readonly pid: number
  readonly ports: { readonly grpc: number; readonly http: number }
}

interface Way {
  readonly name: string
  readonly body: (spans: ReturnType<typeof Sender.spans>) => Uint8Array
  /** Sends a body; `false` when it was not taken. */
  readonly send: (ports: Collector["ports"]) => (body: Uint8Array) => Promise<boolean>
}

const protobuf: Way["body"] = (spans) => ProtobufTraceSerializer.serializeRequest([...spans]) ?? new Uint8Array()
const json: Way["body"] = (spans) => JsonTraceSerializer.serializeRequest([...spans]) ?? new Uint8Array()

const grpc =
  (algorithm: number): Way["send"] =>
  (ports) => {
    const client = Sender.grpcClient(ports.grpc, { "grpc.default_compression_algorithm": algorithm })
    return async (body) => (await Sender.call(client, body)).code === "OK"
  }
const http = (headers: Readonly<Record<string, string>>): Way["send"] => {
  const agent = new Http.Agent({ keepAlive: true, maxSockets: senders })
  return (ports) => async (body) => (await Sender.post(ports.http, body, { agent, headers })).status === 200
}

const ways: ReadonlyArray<Way> = [
  { name: "gRPC", body: protobuf, send: grpc(0) },
  { name: "gRPC, gzip", body: protobuf, send: grpc(2) },
  { name: "HTTP, protobuf", body: protobuf, send: http({}) },
  {
    name: "HTTP, protobuf, gzip",
    body: (spans) => gzipSync(protobuf(spans)),
    send: http({ "content-encoding": "gzip" })
  },
  { name: "HTTP, JSON", body: json, send: http({ "content-type": "application/json" }) }
]

/** Throws when a request is not taken. */
export const measure = async (quick: boolean): Promise<Section> => {
  const home = mkdtempSync(join(tmpdir(), "tinyllm-bench-"))
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL("../src/Main.ts", import.meta.url)), "collect", "--grpc-port", "0", "--http-port", "0"],
    { env: { ...process.env, TINYLLM_HOME: home }, stdio: ["ignore", "ignore", "pipe"] }
  )
  try {
    const collector = await listening(child)
    const rounds = quick ? 10 : 100
    const found = []
    for (const way of ways) {
      await take(way, collector, Math.ceil(rounds / 5))
      found.push({ name: way.name, ...(await take(way, collector, rounds)) })
    }
    return {
      title: "Receiving traces: tinyllm collect",
      notes: [
        `${rounds * batch} spans of two attributes for each, in requests of ${batch}, ${senders} at a time, from another process;`,
        "stored when they are acknowledged. The processor time is that of tinyllm collect, from source, and the kernel's for it."
      ],
      header: ["", "spans in a second", "processor time a span"],
      rows: found.map(({ cpu, name, perSecond }) => [
        name,
        Math.round(perSecond).toLocaleString("en"),
        cpu === undefined ? "-" : `${micros(cpu)} µs`
      ]),
      goals: [],
      numbers: Object.fromEntries(
        found.flatMap(({ cpu, name, perSecond }) => [
          [`${name}, spans in a second`, perSecond],
          ...(cpu === undefined ? [] : [[`${name}, µs of processor a span`, cpu] as const])
        ])
      )
    }
  } finally {
    child.kill("SIGINT")
    await once(child, "close")
    rmSync(home, { recursive: true, force: true })
  }
}

const listening = async (child: ReturnType<typeof spawn>): Promise<Collector> => {
  let text = ""
  for await (const chunk of child.stderr ?? []) {
    text += String(chunk)
    const [, grpc, http] = /gRPC on [^,]*?:(\d+).*HTTP on [^,]*?:(\d+).*\n/.exec(text) ?? []
    if (grpc !== undefined) {
      return { pid: child.pid ?? 0, ports: { grpc: Number(grpc), http: Number(http) } }
    }
  }
  throw new Error(`tinyllm collect did not listen: ${text}`)
}

const take = async (way: Way, { pid, ports }: Collector, requests: number) => {
  const send = way.send(ports)
  // Made before, so that this process has a core for nothing but sending.
  const bodies = Sender.batches({ traces: requests * 8, spansPerTrace: batch / 8, batch }).map(way.body)
  const [begin, before] = [performance.now(), processorMillis(pid)]
  await Promise.all(
    Array.from({ length: senders }, async () => {
      for (let body = bodies.pop(); body !== undefined; body = bodies.pop()) {
        verify(await send(body), `a request over ${way.name} was taken`)
      }
    })
  )
  const after = processorMillis(pid)
  const spans = requests * batch
  return {
    perSecond: (spans / (performance.now() - begin)) * 1000,
    cpu: before === undefined || after === undefined ? undefined : ((after - before) / spans) * 1000
  }
}

// Only Linux tells this of another process, in hundredths of a second.
const processorMillis = (pid: number): number | undefined => {
  const file = `/proc/${pid}/stat`
  if (!existsSync(file)) {
    return undefined
  }
  const fields = readFileSync(file, "utf8")
    .replace(/^.*\) /, "")
    .split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}
