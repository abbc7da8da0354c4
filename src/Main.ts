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
  const { program, runMain, teardown } = await import("./Program.ts")
  // Cli tells the person what went wrong.
  runMain(program, { disableErrorReporting: true, teardown })
}
