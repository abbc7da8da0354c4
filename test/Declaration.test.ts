// What an editor shows of a graph: the declaration that the compiler emits for the example stays readable.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import * as Process from "./support/Process.ts"

describe("the declaration of examples/graph.ts", () => {
  it("names the messages, every error and the service, and nothing else", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tinyllm-declaration-"))
    try {
      writeFileSync(
        join(directory, "tsconfig.json"),
        JSON.stringify({
          extends: join(Process.root, "tsconfig.json"),
          compilerOptions: {
            noEmit: false,
            declaration: true,
            emitDeclarationOnly: true,
            outDir: join(directory, "out"),
            rootDir: Process.root,
            typeRoots: [join(Process.root, "node_modules/@types")]
          },
          include: [],
          files: [join(Process.root, "examples/graph.ts")]
        })
      )
      const compiler = join(Process.root, "node_modules/typescript/bin/tsc")
      const { code, stdout } = await Process.run(process.execPath, [compiler, "--project", directory])
      assert.strictEqual(code, 0, stdout)
      const declaration = readFileSync(join(directory, "out/examples/graph.d.ts"), "utf8")
      assert.strictEqual(
        declaration.slice(declaration.indexOf("export declare const support")).trim(),
        "export declare const support: Graph.Graph<Question, Answer, " +
          'Node.NodeTimeout | import("../src/OllamaError.ts").OllamaError | Node.RouteUnknown | Graph.StepLimitExceeded, ' +
          'import("../src/Ollama.ts").Ollama>;'
      )
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
