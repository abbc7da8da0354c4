// An Ollama double as other clients than ours see it: with Node's own fetch and with bare sockets.
import { Effect, type Scope } from "effect"
import * as Net from "node:net"
import { OllamaDouble, type Reply, type Script } from "../../src/OllamaDouble.ts"

export const script = (reply: Reply | Script["reply"], rest: Partial<Script> = {}): Script => ({
  models: ["m:latest"],
  reply: typeof reply === "function" ? reply : () => reply,
  ...rest
})

/** Runs with a double of a script. */
export const serving = (reply: Reply | Script["reply"], rest: Partial<Script> = {}) =>
  Effect.provide(OllamaDouble.layer(script(reply, rest)))

export const call = (path: string, init: { method?: string; body?: unknown } = {}) =>
  Effect.gen(function* () {
    const { url } = yield* OllamaDouble
    return yield* Effect.promise(async (signal) => {
      const response = await fetch(url + path, {
        method: init.method ?? (init.body === undefined ? "GET" : "POST"),
        body:
          init.body === undefined
            ? null
            : typeof init.body === "string" || init.body instanceof Uint8Array
              ? new Uint8Array(Buffer.from(init.body))
              : JSON.stringify(init.body),
        redirect: "manual",
        signal
      })
      return {
        status: response.status,
        type: response.headers.get("content-type"),
        headers: response.headers,
        text: await response.text()
      }
    })
  })

export const chat = (rest: object = {}) =>
  call("/api/chat", { body: { model: "m", messages: [{ role: "user", content: "one two?" }], ...rest } })

export const lines = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, any>)

/** Bytes as they come from a socket, one entry for each read, and how the connection ended. */
export const bare = (
  path: string,
  body: object
): Effect.Effect<{ readonly reads: ReadonlyArray<string>; readonly end: string }, never, OllamaDouble | Scope.Scope> =>
  Effect.gen(function* () {
    const { port } = yield* OllamaDouble
    const text = JSON.stringify(body)
    const reads: Array<string> = []
    const socket = Net.connect(port, "127.0.0.1")
    yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
    const end = yield* Effect.callback<string>((resume) => {
      socket.on("data", (data) => {
        reads.push(data.toString("latin1"))
        if (data.toString("latin1").endsWith("0\r\n\r\n")) {
          resume(Effect.succeed("complete"))
        }
      })
      socket.on("end", () => resume(Effect.succeed("FIN")))
      socket.on("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? "")))
      socket.write(`POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${text.length}\r\n\r\n${text}`)
    })
    return { reads, end }
  })

/** A request on a socket of its own, which is closed with the scope. */
export const open = (path: string, body: object, headers = "") =>
  Effect.gen(function* () {
    const { port } = yield* OllamaDouble
    const socket = Net.connect(port, "127.0.0.1")
    yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
    socket.on("error", () => {})
    let text = ""
    socket.on("data", (data) => {
      text += data.toString("latin1")
    })
    const json = JSON.stringify(body)
    const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}content-length: ${Buffer.byteLength(json)}\r\n\r\n`
    socket.write(head + json)
    return {
      /** What came until now. */
      text: () => text,
      /** Waits until so much came. */
      until: (is: (text: string) => boolean) =>
        Effect.callback<string>((resume) => {
          const look = () => {
            if (is(text)) {
              resume(Effect.succeed(text))
            }
          }
          socket.on("data", look)
          look()
          return Effect.sync(() => socket.off("data", look))
        }),
      close: Effect.sync(() => socket.destroy())
    }
  })

/** Whether a response came to its end. */
export const isComplete = (text: string) => text.endsWith("0\r\n\r\n")
