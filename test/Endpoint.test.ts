// Addresses of collectors: what they mean, and where the bytes go.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, type Scope } from "effect"
import * as Endpoint from "../src/Endpoint.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Collector from "./support/Collector.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import { isolated } from "./support/Isolated.ts"

const grpc = (text: string, insecure?: boolean) => Endpoint.parse(text, { protocol: "grpc", path: "base", insecure })
const http = (text: string, path: Endpoint.Reading["path"]) => Endpoint.parse(text, { protocol: "http/protobuf", path })

const failure = (result: Result.Result<unknown, string>) => (Result.isFailure(result) ? result.failure : "it is taken")

describe("Endpoint.parse over gRPC", () => {
  it.each<[string, string, string, number, boolean, number]>([
    ["http://h:4317", "http://h:4317", "h", 4317, false, 0],
    ["http://h:4317/", "http://h:4317", "h", 4317, false, 0],
    ["http://h:4317/v1/traces", "http://h:4317", "h", 4317, false, 1],
    ["http://h:4317?key=1", "http://h:4317", "h", 4317, false, 1],
    ["https://h:4317", "https://h:4317", "h", 4317, true, 0],
    ["localhost:4317", "http://localhost:4317", "localhost", 4317, false, 0],
    ["localhost", "http://localhost:4317", "localhost", 4317, false, 0],
    ["127.0.0.1:4317", "http://127.0.0.1:4317", "127.0.0.1", 4317, false, 0],
    ["[::1]:4317", "http://[::1]:4317", "::1", 4317, false, 0],
    ["http://[::1]", "http://[::1]:4317", "::1", 4317, false, 0],
    ["http://h", "http://h:4317", "h", 4317, false, 0],
    ["https://h", "https://h:4317", "h", 4317, true, 0],
    ["http://h:80", "http://h:80", "h", 80, false, 0],
    ["https://h:443", "https://h:443", "h", 443, true, 0],
    ["HTTP://h:4317", "http://h:4317", "h", 4317, false, 0],
    ["HTTPS://H", "https://h:4317", "h", 4317, true, 0],
    ["  http://H:4317\t", "http://h:4317", "h", 4317, false, 0],
    ["http://h:4318", "http://h:4318", "h", 4318, false, 1],
    ["http://127.1.2.3:80", "http://127.1.2.3:80", "127.1.2.3", 80, false, 0],
    ["localhost:4318/v1/traces", "http://localhost:4318", "localhost", 4318, false, 2]
  ])("T33 resolves %j", (text, url, host, port, tls, warnings) => {
    const endpoint = Result.getOrThrow(grpc(text))
    const { path, protocol } = endpoint
    assert.deepStrictEqual(
      { protocol, url: endpoint.url, path, host: endpoint.host, port: endpoint.port, tls: endpoint.tls },
      { protocol: "grpc", url, path: "", host, port, tls }
    )
    assert.lengthOf(endpoint.warnings, warnings)
    assert.strictEqual(endpoint.address, url.replace(/^https?:\/\//, ""))
    assert.strictEqual(endpoint.loopback, /^(localhost|127\..*|::1)$/.test(host))
  })

  it.each<[string, RegExp]>([
    ["h:4317", /no scheme/],
    ["collector.example", /no scheme/],
    ["unix:///x.sock", /Unix/],
    ["unix:x.sock", /Unix/],
    ["not a url", /not an address/],
    ["", /not an address/],
    ["http://", /not an address/],
    ["http://h:0", /not an address/],
    ["http://h:65536", /not an address/],
    ["http://h:x", /not an address/],
    ["::1:4317", /not an address/],
    ["grpc://h:4317", /scheme is grpc/],
    ["http://user:secret@h:4317", /user name or password/]
  ])("T33 refuses %j, over HTTP as well", (text, reason) => {
    assert.match(failure(grpc(text)), reason)
    assert.match(failure(http(text, "base")), reason)
  })

  it.each<[string, boolean, string]>([
    ["h:4317", true, "http://h:4317"],
    ["h:4317", false, "https://h:4317"],
    ["localhost:4317", true, "http://localhost:4317"],
    ["localhost:4317", false, "https://localhost:4317"],
    ["http://h:4317", false, "http://h:4317"],
    ["https://h:4317", true, "https://h:4317"]
  ])("T33 takes %j with INSECURE=%s for %s: a scheme always wins", (text, insecure, url) => {
    assert.strictEqual(Result.getOrThrow(grpc(text, insecure)).url, url)
  })
})

describe("Endpoint.parse over HTTP", () => {
  it.each<[string, Endpoint.Reading["path"], string, string, number]>([
    // The general variable is a base.
    ["http://h:4318", "base", "http://h:4318", "/v1/traces", 0],
    ["http://h:4318/", "base", "http://h:4318", "/v1/traces", 0],
    ["http://h:4318/otlp", "base", "http://h:4318", "/otlp/v1/traces", 0],
    ["http://h:4318/otlp/", "base", "http://h:4318", "/otlp/v1/traces", 0],
    ["http://h:4318//x", "base", "http://h:4318", "//x/v1/traces", 0],
    ["http://h:4318/v1/traces", "base", "http://h:4318", "/v1/traces/v1/traces", 1],
    ["https://cloud.test/api/public/otel", "base", "https://cloud.test:443", "/api/public/otel/v1/traces", 0],
    // The variable of traces is taken as it is.
    ["http://h:4318", "exact", "http://h:4318", "/", 1],
    ["http://h:4318/v1/traces", "exact", "http://h:4318", "/v1/traces", 0],
    ["http://h:4318/own/", "exact", "http://h:4318", "/own/", 0],
    // A flag, an option and our own variable are a base, unless they are all of it.
    ["http://h:4318", "either", "http://h:4318", "/v1/traces", 0],
    ["http://h:4318/otlp", "either", "http://h:4318", "/otlp/v1/traces", 0],
    ["http://h:4318/v1/traces", "either", "http://h:4318", "/v1/traces", 0],
    // Ports.
    ["http://h", "base", "http://h:80", "/v1/traces", 1],
    ["http://h:80", "base", "http://h:80", "/v1/traces", 0],
    ["https://h", "base", "https://h:443", "/v1/traces", 0],
    ["http://h:4317", "base", "http://h:4317", "/v1/traces", 1],
    ["localhost", "either", "http://localhost:4318", "/v1/traces", 0],
    ["127.0.0.1:4318", "either", "http://127.0.0.1:4318", "/v1/traces", 0],
    ["[::1]:4318", "either", "http://[::1]:4318", "/v1/traces", 0],
    ["HTTP://H:4318", "base", "http://h:4318", "/v1/traces", 0],
    [" http://h:4318 ", "base", "http://h:4318", "/v1/traces", 0]
  ])("T33 resolves %j, as %s, to %s with %s", (text, rule, origin, path, warnings) => {
    const endpoint = Result.getOrThrow(http(text, rule))
    assert.deepStrictEqual(
      { protocol: endpoint.protocol, url: endpoint.url, path: endpoint.path, tls: endpoint.tls },
      { protocol: "http/protobuf", url: origin + path, path, tls: origin.startsWith("https:") }
    )
    assert.strictEqual(endpoint.address, origin.replace(/^https?:\/\//, ""))
    assert.lengthOf(endpoint.warnings, warnings)
  })

  it("T33 sends a query, which may hold a key, and shows it nowhere", () => {
    const endpoint = Result.getOrThrow(http("https://h/otlp?key=SEKRET#part", "base"))
    assert.strictEqual(endpoint.path, "/otlp/v1/traces?key=SEKRET")
    assert.notInclude(endpoint.url + endpoint.address + endpoint.warnings.join(), "SEKRET")
  })

  it("T33 has port 4318 on this machine where nobody says where", () => {
    assert.strictEqual(Endpoint.local("http/protobuf").url, "http://localhost:4318/v1/traces")
    assert.strictEqual(Endpoint.local("grpc").url, "http://localhost:4317")
  })
})

describe("The bytes", () => {
  const sent = (env: Record<string, string>) =>
    isolated(Effect.provide(Effect.withSpan(Effect.void, "one"), Telemetry.layerConfig), {
      OTEL_TRACES_EXPORTER: "otlp",
      ...env
    })

  it.live("T33 go to the collector of each address over gRPC", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const addresses = [
        "http://127.0.0.1:%",
        "HTTP://127.0.0.1:%/",
        "http://localhost:%/v1/traces",
        "127.0.0.1:%",
        "localhost:%"
      ]
      for (const address of addresses) {
        const before = collector.spans().length
        yield* sent({ OTEL_EXPORTER_OTLP_ENDPOINT: address.replace("%", String(collector.port)) })
        assert.strictEqual(collector.spans().length, before + 1, address)
      }
    })
  )

  it.live("T33 go to the path of each address over HTTP", () =>
    Effect.gen(function* () {
      const collector = yield* HttpCollector.make()
      const general = "OTEL_EXPORTER_OTLP_ENDPOINT"
      const traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
      for (const [variable, suffix, path] of [
        [general, "", "/v1/traces"],
        [general, "/", "/v1/traces"],
        [general, "/otlp", "/otlp/v1/traces"],
        [general, "/v1/traces", "/v1/traces/v1/traces"],
        [traces, "", "/"],
        [traces, "/v1/traces", "/v1/traces"],
        [traces, "/any?key=1", "/any?key=1"],
        ["TINYLLM_OTLP_ENDPOINT", "/v1/traces", "/v1/traces"],
        ["TINYLLM_OTLP_ENDPOINT", "", "/v1/traces"]
      ] as const) {
        yield* sent({ [variable]: collector.url + suffix, OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" })
        assert.strictEqual(collector.calls().at(-1)?.path, path, `${variable}=${suffix}`)
      }
      assert.lengthOf(collector.spans(), 9)
    })
  )

  const collectors = { grpc: Collector.make, "http/protobuf": HttpCollector.make } as const

  it.live.each<["grpc" | "http/protobuf"]>([["grpc"], ["http/protobuf"]])(
    "T34 go over %s where the flag says, then our variable, the one of traces, the general one, the usual port",
    ([protocol]) =>
      Effect.gen(function* () {
        const make: (options?: {
          readonly port: number
        }) => Effect.Effect<Pick<HttpCollector.HttpCollector, "url" | "spans">, never, Scope.Scope> =
          collectors[protocol]
        const [flag, ours, traces, general] = [yield* make(), yield* make(), yield* make(), yield* make()]
        const env = {
          OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
          TINYLLM_OTLP_ENDPOINT: ours.url,
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces.url,
          OTEL_EXPORTER_OTLP_ENDPOINT: general.url
        }
        const { TINYLLM_OTLP_ENDPOINT: _1, ...withoutOurs } = env
        const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: _2, ...withGeneral } = withoutOurs
        const { OTEL_EXPORTER_OTLP_ENDPOINT: _3, ...withNone } = withGeneral
        const span = (name: string, options: Telemetry.Options, env: Record<string, string>) =>
          isolated(
            Effect.provide(
              Effect.withSpan(Effect.void, name),
              Telemetry.layer({ enableTracing: true, exporter: "otlp", ...options })
            ),
            env
          )
        yield* span("flag", { otlpEndpoint: flag.url }, env)
        yield* span("ours", {}, env)
        yield* span("traces", {}, withoutOurs)
        yield* span("general", {}, withGeneral)
        const names = [flag, ours, traces, general].map((collector) => collector.spans().map(({ name }) => name))
        assert.deepStrictEqual(names, [["flag"], ["ours"], ["traces"], ["general"]])

        // Somebody's own collector may have the usual port. It is not for tests to send it anything.
        const usual = yield* Effect.option(
          Effect.catchDefect(make({ port: Endpoint.defaultPorts[protocol] }), Effect.fail)
        )
        if (usual._tag === "Some") {
          yield* span("default", {}, withNone)
          assert.deepStrictEqual(
            usual.value.spans().map(({ name }) => name),
            ["default"]
          )
        }
      })
  )
})
