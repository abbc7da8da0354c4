import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const report = process.env["TINYLLM_TEST_REPORT"]

const src = fileURLToPath(new URL("src/", import.meta.url))

export default defineConfig({
  resolve: {
    // As tsconfig.json has it: examples import what users do, and get what is here.
    alias: [
      { find: "tinyllm/node", replacement: `${src}NodeClient.ts` },
      { find: /^tinyllm\/(\w+)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/*.test.ts"],
    globalSetup: "test/support/Temporary.ts",
    // Most of the time is spent waiting for processes, so a machine of two cores is not too small for two files at a time.
    maxWorkers: 2,
    testTimeout: 90_000,
    hookTimeout: 90_000,
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
