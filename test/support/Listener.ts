// A server on loopback that is no collector, nor anything else: what it does with a connection is the test's affair.
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { createServer, type AddressInfo, type Socket } from "node:net"
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
