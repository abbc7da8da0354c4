// A server on loopback that is no collector, nor anything else: what it does with a connection is the test's affair.
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Socket } from "node:net"
import { Worker } from "node:worker_threads"
import type * as Scope from "effect/Scope"

export interface Listener {
  /** `http://127.0.0.1:<port>`, whatever is spoken there. */
  readonly url: string
  readonly port: number
  /** How many connections were made. */
  readonly connections: () => number
  /** Cuts what is still connected. */
  readonly close: () => Promise<void>
}

/** Does with each connection, counted from 1, what it is told; by itself it accepts and says nothing. */
export const start = async (serve: (socket: Socket, connection: number) => void = () => {}): Promise<Listener> => {
  const sockets: Array<Socket> = []
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => {}))
    serve(socket, sockets.length)
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    connections: () => sockets.length,
    close: async () => {
      server.close()
      sockets.forEach((socket) => socket.destroy())
    }
  }
}

/** The same, closed with its scope. */
export const make = (...options: Parameters<typeof start>): Effect.Effect<Listener, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => start(...options)),
    (listener) => Effect.promise(() => listener.close())
  )

/**
 * The URL of a port that neither takes a connection nor refuses one: its thread sleeps, and those who wait to be
 * accepted are as many as the system allows.
 */
export const full: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const worker = new Worker(
        `const { parentPort } = require("node:worker_threads")
        const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
          parentPort.postMessage(server.address().port)
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
        })`,
        { eval: true }
      )
      const [port] = (await once(worker, "message")) as [number]
      const waiting = Array.from({ length: 8 }, () => connect(port, "127.0.0.1").on("error", () => {}))
      await new Promise((resolve) => setTimeout(resolve, 50))
      return { port, waiting, worker }
    }),
    ({ waiting, worker }) =>
      Effect.promise(async () => {
        waiting.forEach((socket) => socket.destroy())
        await worker.terminate()
      })
  ),
  ({ port }) => `http://127.0.0.1:${port}`
)
