/**
 * What the command line needs of Node: standard output, files, what is typed, and whether something listens on a port.
 *
 * @since 0.1.0
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CommandFailed } from "./CliError.ts"
import { Ports } from "./Ports.ts"
import { Stdout } from "./Stdout.ts"
import { Typing } from "./Typing.ts"

const stdout = Layer.sync(Stdout, () => {
  let isClosed = false
  // An error comes as an event, which would end the program, and to the callback of `write`.
  process.stdout.on("error", () => {})
  return {
    isTerminal: process.stdout.isTTY === true,
    // A terminal that says 0 does not say.
    columns: () => (process.stdout.isTTY === true ? process.stdout.columns || undefined : undefined),
    isClosed: () => isClosed,
    write: (text: string) =>
      Effect.callback<void>((resume) => {
        process.stdout.write(text, (error) => {
          isClosed ||= error !== null && error !== undefined
          resume(
            error === null || error === undefined || readerHasGone(error)
              ? Effect.void
              : Effect.die(
                  new CommandFailed({ text: `Standard output could not be written: ${error.message}.`, exitCode: 1 })
                )
          )
        })
      })
  }
})

const readerHasGone = (error: NodeJS.ErrnoException): boolean =>
  error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED"

// Only `tinyllm doctor` looks at ports.
const loaded = Effect.promise(() => import("./NodePorts.ts"))

const ports = Layer.succeed(Ports, {
  listening: (host, port) => Effect.flatMap(loaded, ({ listening }) => listening(host, port)),
  speech: (host, port, millis) => Effect.flatMap(loaded, ({ speech }) => speech(host, port, millis))
})

// Only `tinyllm chat` reads a line.
const typing = Layer.succeed(Typing, {
  open: Effect.flatMap(
    Effect.promise(() => import("./NodeTyping.ts")),
    ({ open }) => open
  )
})

export const layer = Layer.mergeAll(NodeServices.layer, stdout, ports, typing)
