import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted, Result } from "effect"
import * as OllamaHost from "../src/OllamaHost.ts"

/** What people write, and where requests go. The rows of Ollama's own test table, and some that follow from its rules. */
const rows: ReadonlyArray<readonly [input: string | undefined, url: string, warns?: "warns"]> = [
  [undefined, "http://127.0.0.1:11434"],
  ["", "http://127.0.0.1:11434"],
  ["1.2.3.4", "http://1.2.3.4:11434"],
  ["1.2.3.4:1234", "http://1.2.3.4:1234"],
  ["example.com", "http://example.com:11434"],
  ["example.com:1234", "http://example.com:1234"],
  [":1234", "http://127.0.0.1:1234"],
  [":66000", "http://127.0.0.1:11434", "warns"],
  [":-1", "http://127.0.0.1:11434", "warns"],
  ["1.2.3.4:abc", "http://1.2.3.4:11434", "warns"],
  ["1.2.3.4:", "http://1.2.3.4:11434", "warns"],
  ["[::1]", "http://[::1]:11434"],
  ["::1", "http://[::1]:11434"],
  ["[::1]:1337", "http://[::1]:1337"],
  ["::1:1234", "http://[::1:1234]:11434", "warns"],
  ["0.0.0.0", "http://127.0.0.1:11434"],
  ["0.0.0.0:1234", "http://127.0.0.1:1234"],
  ["[::]", "http://[::1]:11434"],
  ["[::]:1234", "http://[::1]:1234"],
  ["https://0.0.0.0:4321", "https://127.0.0.1:4321"],
  [" 1.2.3.4 ", "http://1.2.3.4:11434"],
  ['"1.2.3.4"', "http://1.2.3.4:11434"],
  ["'1.2.3.4'", "http://1.2.3.4:11434"],
  [' " 1.2.3.4 " ', "http://1.2.3.4:11434"],
  ["http://1.2.3.4", "http://1.2.3.4:80"],
  ["http://1.2.3.4:4321", "http://1.2.3.4:4321"],
  ["https://1.2.3.4", "https://1.2.3.4:443"],
  ["https://1.2.3.4:4321", "https://1.2.3.4:4321"],
  ["https://example.com/ollama", "https://example.com:443/ollama"],
  ["https://example.com/ollama/", "https://example.com:443/ollama"],
  ["example.com/ollama", "http://example.com:11434/ollama"],
  ["http://h:1/", "http://h:1"],
  ["http://h:80//", "http://h:80"],
  ["ollama.com", "https://ollama.com:443"],
  ["ollama.com.", "https://ollama.com.:443"],
  ["http://user:pass@h:1", "http://h:1"],
  ["HTTP://h", "http://h:80"],
  ["HTTPS://h", "https://h:443"]
]

describe("OllamaHost.parse", () => {
  for (const [input, url, warns] of rows) {
    it(`C1 reads ${input === undefined ? "an unset variable" : JSON.stringify(input)} as ${url}`, () => {
      const host = Result.getOrThrow(OllamaHost.parse(input))
      assert.strictEqual(host.url, url)
      assert.strictEqual(`${host.scheme}://${host.address.replace(/^.*:.*$/, "[$&]")}:${host.port}${host.path}`, url)
      assert.strictEqual(host.warnings.length, warns === undefined ? 0 : 1)
    })
  }

  for (const input of [
    ":0",
    "tcp://h",
    "unix:///x",
    "http://h?x=1",
    "http://h#x",
    "fe80::1%eth0",
    "a b",
    "http://h/a b",
    "h:80:90",
    "1:2:3",
    ":::",
    "256.1.1.1",
    "http://256.1.1.1:80/x"
  ]) {
    it(`C1 refuses ${JSON.stringify(input)} and names it`, () => {
      const refused = OllamaHost.parse(input)
      assert.isTrue(Result.isFailure(refused))
      if (Result.isFailure(refused)) {
        assert.include(refused.failure, `"${input}"`)
        assert.include(refused.failure, "OLLAMA_HOST")
      }
    })
  }

  it("C1 trap 30 makes a header of user and password, and shows neither", () => {
    const host = Result.getOrThrow(OllamaHost.parse("http://user:p%40ss@h:abc"))
    assert.strictEqual(
      Redacted.value(host.authorization ?? Redacted.make("")),
      `Basic ${Buffer.from("user:p@ss").toString("base64")}`
    )
    assert.notInclude(JSON.stringify(host), "ss@")
    assert.include(host.warnings[0], "***@h")
    const refused = OllamaHost.parse("tcp://user:secret@h")
    assert.notInclude(JSON.stringify(refused), "secret")
  })

  it("shows nothing of a password that holds a slash or a second @", () => {
    for (const input of ["http://user:secret/word@h", "tcp://user:se@cret@h", "http://user:secret@word@h?x"]) {
      assert.notMatch(JSON.stringify(OllamaHost.parse(input)), /secret|se@|cret@/)
    }
  })

  it("knows ollama.com for another machine", () => {
    for (const host of [
      "https://ollama.com",
      "https://OLLAMA.com.",
      "api.ollama.com",
      "http://www.ollama.com:8080/x"
    ]) {
      assert.isTrue(Result.getOrThrow(OllamaHost.parse(host)).remote, host)
    }
    for (const host of ["https://not-ollama.com", "ollama.com.example.org", "ollama.community"]) {
      assert.isFalse(Result.getOrThrow(OllamaHost.parse(host)).remote, host)
    }
  })
})

describe("OllamaHost.config", () => {
  const read = (env: Record<string, string>) =>
    OllamaHost.config.pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))))

  it.effect("reads OLLAMA_HOST", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* read({ OLLAMA_HOST: "h:1" })).url, "http://h:1")
      assert.strictEqual((yield* read({})).url, "http://127.0.0.1:11434")
    })
  )

  it.effect("fails with the variable and its value", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read({ OLLAMA_HOST: "tcp://h" }))
      assert.include(error.message, "OLLAMA_HOST")
      assert.include(error.message, "tcp://h")
    })
  )
})

describe("OllamaHost.apiKeyConfig", () => {
  const read = (key: string | undefined) =>
    OllamaHost.apiKeyConfig.pipe(
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ OLLAMA_API_KEY: key })))
    )

  it.effect("is taken without the line break that a file ends with, and an empty one is none", () =>
    Effect.gen(function* () {
      const key = yield* read(" abc.DEF-1\n")
      assert.strictEqual(Redacted.value(key ?? Redacted.make("")), "abc.DEF-1")
      assert.isUndefined(yield* read("  "))
      assert.isUndefined(yield* read(undefined))
    })
  )

  it.effect("fails with its name, and without its value, for what no header can hold", () =>
    Effect.gen(function* () {
      for (const key of ["SENTINEL\nkey", "SENTINEL\u20ac", "SENTINEL\u0000"]) {
        const error = yield* Effect.flip(read(key))
        assert.include(error.message, "OLLAMA_API_KEY holds a line break")
        assert.notInclude(String(error), "SENTINEL")
        assert.throws(
          () => OllamaHost.bearer(Redacted.make(key)),
          RangeError,
          /^Ollama\.layer: apiKey holds (?!.*SENTINEL)/
        )
      }
    })
  )
})
