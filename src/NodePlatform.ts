/**
 * What the command line needs of Node: standard output, files, and whether something listens on a port.
 *
 * @since 0.1.0
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Net from "node:net"
import { CommandFailed } from "./CliError.ts"
import { Ports } from "./Ports.ts"
import { Stdout } from "./Stdout.ts"

const stdout = Layer.sync(Stdout, () => {
  // An error comes as an event, which would end the program, and to the callback of `write`.
  process.stdout.on("error", () => {})
  return {
    isTerminal: process.stdout.isTTY === true,
    write: (text: string) =>
      Effect.callback<void>((resume) => {
        process.stdout.write(text, (error) =>
          resume(
            error === null || error === undefined || readerHasGone(error)
              ? Effect.void
              : Effect.die(
                  new CommandFailed({ text: `Standard output could not be written: ${error.message}.`, exitCode: 1 })
                )
          )
        )
      })
  }
})

const readerHasGone = (error: NodeJS.ErrnoException): boolean =>
  error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED"

const ports = Layer.succeed(Ports, {
  listening: (host: string, port: number) =>
    Effect.callback<boolean>((resume) => {
      const socket = Net.connect({ host, port, timeout: 1000 })
      const answer = (listening: boolean) => () => {
        socket.destroy()
        resume(Effect.succeed(listening))
      }
      socket.once("connect", answer(true)).once("error", answer(false)).once("timeout", answer(false))
      return Effect.sync(() => socket.destroy())
    })
})

export const layer = Layer.mergeAll(NodeServices.layer, stdout, ports)
