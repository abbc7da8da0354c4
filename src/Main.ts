#!/usr/bin/env node
/**
 * The command line: the only place where effects run.
 *
 * @since 0.1.0
 */
// Nothing is imported before the version is known: what follows does not even load on an older Node.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `tinyllm needs Node 22.19 or newer, and this is Node ${process.versions.node}. ` +
      `Install a newer one, or run "npm start -- …" in a clone, which brings its own Node on Linux and Windows.\n`
  )
  process.exitCode = 1
} else {
  const [Cli, NodePlatform, NodeRuntime, Runtime, Effect] = await Promise.all([
    import("./Cli.ts"),
    import("./NodePlatform.ts"),
    import("@effect/platform-node/NodeRuntime"),
    import("effect/Runtime"),
    import("effect/Effect")
  ])
  NodeRuntime.runMain(Cli.main(process.argv.slice(2)).pipe(Effect.provide(NodePlatform.layer)), {
    // Cli has told the person what went wrong.
    disableErrorReporting: true,
    // Whatever still holds the process, a collector that never answers for one, does not hold it longer than this.
    teardown: (exit) => Runtime.defaultTeardown(exit, (code) => process.exit(code))
  })
}
