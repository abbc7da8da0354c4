/**
 * The whole program, ready to be run: the command line on Node.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Cli from "./Cli.ts"
import * as NodePlatform from "./NodePlatform.ts"

export { runMain } from "@effect/platform-node/NodeRuntime"

export const program = Effect.suspend(() => {
  // The terminal is closed, which is no reason to lose spans: it ends as by Ctrl-C, for which the runtime listens.
  process.once("SIGHUP", () => process.emit("SIGINT"))
  return Cli.main(process.argv.slice(2))
}).pipe(Effect.provide(NodePlatform.layer))

/** Exits whatever still holds the process, a collector that never answers for one. */
export const teardown: Runtime.Teardown = (exit) => Runtime.defaultTeardown(exit, (code) => process.exit(code))
