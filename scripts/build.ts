// Builds what is published.
//
// dist/*.js, *.d.ts    the library, one file for one module, so that an import of one loads nothing of the others;
//                      its dependencies stay outside, and a program has one copy of each
// dist/page/*.html     what the pages are made of, for both
// dist/cli/Main.js     the command line as a bundle with everything inside: that starts in a third of the time, and
//                      what a run does not need (gRPC, the SDK, the demo server) stays in files that it does not read
//
// node scripts/build.ts [--out DIR] [--only cli|library]
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative, resolve, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { type Plugin, rolldown } from "rolldown"
import { licenses } from "./licenses.ts"
import { bundlePage, names } from "./page.ts"

const root = resolve(fileURLToPath(new URL("..", import.meta.url)))

// ---------------------------------------------------------------------------------------------------------------------
// The library
// ---------------------------------------------------------------------------------------------------------------------

/** Compiles every module but the entry of the command line. Throws when the types are wrong. */
const library = (out: string): void => {
  const folder = mkdtempSync(join(tmpdir(), "tinyllm-build-"))
  try {
    const project = join(folder, "tsconfig.json")
    writeFileSync(
      project,
      JSON.stringify({
        extends: join(root, "tsconfig.json"),
        compilerOptions: {
          noEmit: false,
          rootDir: join(root, "src"),
          outDir: out,
          declaration: true,
          sourceMap: true,
          inlineSources: true,
          sourceRoot: "../src",
          typeRoots: [join(root, "node_modules/@types")]
        },
        include: [join(root, "src")],
        exclude: [join(root, "src/Main.ts")]
      })
    )
    // The one with Effect's diagnostics where it is installed, as in check.ts.
    const withEffect = join(root, "node_modules/@effect/tsgo-linux-x64/lib/tsc")
    const compiler = existsSync(withEffect)
      ? [withEffect]
      : [process.execPath, join(root, "node_modules/typescript/bin/tsc")]
    const [command = "", ...args] = compiler
    const { status } = spawnSync(command, [...args, "--project", project], { stdio: "inherit" })
    if (status !== 0) {
      throw new Error("the library does not compile")
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The command line
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The client uses one class of undici, and importing undici loads everything in it: fetch, mocks, caches, WebSocket,
 * twice as long as Node itself takes to start. This is the one class, put together as undici's own index.js does it.
 */
const undici: Plugin = {
  name: "undici",
  load: {
    filter: { id: /platform-node[\\/]dist[\\/]Undici\.js$/ },
    handler: () => ({
      code: `
        import Dispatcher from "undici/lib/dispatcher/dispatcher.js"
        import Agent from "undici/lib/dispatcher/agent.js"
        import api from "undici/lib/api/index.js"
        import { getGlobalDispatcher } from "undici/lib/global.js"
        Object.assign(Dispatcher.prototype, api)
        export { Agent, getGlobalDispatcher }`,
      // The package says that none of its modules does anything on its own; this one does.
      moduleSideEffects: true
    })
  }
}

/**
 * Importing `node:http` makes Node read all of its exports, and one of them, `WebSocket`, loads the whole of `fetch`:
 * 25 ms, as long as Node itself takes to start. The same module from `getBuiltinModule` costs 3 ms.
 */
const builtinHttp: Plugin = {
  name: "builtin-http",
  resolveId: {
    filter: { id: /^(?:node:)?https?$/ },
    handler: (id, _, { kind }) =>
      kind === "require-call" ? null : { id: `\0${id.replace("node:", "")}`, moduleSideEffects: false }
  },
  load: {
    filter: { id: /^\0https?$/ },
    handler: (id) => {
      const module = process.getBuiltinModule(`node:${id.slice(1)}`)
      const names = Object.entries(Object.getOwnPropertyDescriptors(module ?? {}))
        .filter(([name, property]) => isName(name) && "value" in property)
        .map(([name]) => name)
      return [
        `const module = process.getBuiltinModule("node:${id.slice(1)}")`,
        "export default module",
        ...names.map((name) => `export const ${name} = module.${name}`)
      ].join("\n")
    }
  }
}

/** Only a help text needs to know how wide a character is, and making this takes 8 ms. */
const segmenter: Plugin = {
  name: "segmenter",
  transform: {
    filter: { id: /effect[\\/]dist[\\/]cli[\\/]CliOutput\.js$/ },
    handler: (code) => ({
      code: code.replace(
        /new (Intl\.Segmenter\([^()]*\))/,
        "{ made: undefined, segment(text) { return (this.made ??= new $1).segment(text) } }"
      ),
      // The lines are where they were.
      map: null
    })
  }
}

const isName = (name: string): boolean => /^[A-Za-z_$][\w$]*$/.test(name) && name !== "default"

/**
 * Node keeps what it compiled in the folder for temporary files, which saves a tenth of the start. It says nothing when
 * it cannot, and NODE_DISABLE_COMPILE_CACHE=1 turns it off.
 */
const compileCache = `process.getBuiltinModule?.("node:module").enableCompileCache?.()`

/** Bundles the command line into a folder. Throws when something cannot be found. */
const commandLine = async (out: string): Promise<void> => {
  const bundle = await rolldown({
    input: { Main: join(root, "src/Main.ts") },
    platform: "node",
    plugins: [undici, builtinHttp, segmenter],
    checks: { ineffectiveDynamicImport: false },
    onLog: (level, log, print) => {
      if (level === "warn") {
        // A name that is not there is a warning for rolldown, and a crash for whoever runs the command.
        throw new Error(log.message)
      }
      print(level, log)
    }
  })
  const { output } = await bundle.write({
    dir: out,
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    sourcemap: true,
    // The text of all that is inside would be four times the code. Lines and names are what stack traces need.
    sourcemapExcludeSources: true,
    // As seen from dist/cli, wherever this build goes and wherever node_modules really is.
    sourcemapPathTransform: (path, map) => {
      const file = resolve(dirname(map), path)
      const inPackages = file.indexOf(`${sep}node_modules${sep}`)
      return `../..${(inPackages === -1 ? `${sep}${relative(root, file)}` : file.slice(inPackages)).replaceAll("\\", "/")}`
    },
    // Names stay as they are: what a stack trace says is read without the source map, too.
    minify: { mangle: false, compress: true, codegen: true },
    postBanner: ({ isEntry }) => (isEntry ? compileCache : "")
  })
  await bundle.close()
  writeFileSync(
    join(out, "LICENSES.txt"),
    licenses(output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : [])))
  )
  const main = join(out, "Main.js")
  chmodSync(main, statSync(main).mode | 0o111)
}

// ---------------------------------------------------------------------------------------------------------------------
// Pages
// ---------------------------------------------------------------------------------------------------------------------

const pages = async (out: string): Promise<void> => {
  mkdirSync(out, { recursive: true })
  for (const name of names) {
    writeFileSync(join(out, `${name}.html`), await bundlePage(name))
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const { values: options } = parseArgs({ options: { out: { type: "string" }, only: { type: "string" } } })
const out = resolve(options.out ?? join(root, "dist"))

if (`${root}/`.startsWith(`${out}/`)) {
  console.error(`build: --out ${out} would be emptied, and holds the project`)
  process.exit(1)
}
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
try {
  if (options.only !== "cli") {
    library(out)
  }
  if (options.only !== "library") {
    await commandLine(join(out, "cli"))
  }
  await pages(join(out, "page"))
} catch (error) {
  // Half a build must not be mistaken for a whole one.
  rmSync(out, { recursive: true, force: true })
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
