// Connections to a collector over TLS, by both protocols, with certificates that are made here.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { existsSync } from "node:fs"
import { afterAll } from "vitest"
import * as Telemetry from "../src/Telemetry.ts"
import * as Certificates from "./support/Certificates.ts"
import * as Collector from "./support/Collector.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import { isolated } from "./support/Isolated.ts"
import * as Process from "./support/Process.ts"

const authority = Certificates.authority()
const stranger = Certificates.authority("Somebody else")
const client = authority.client("tinyllm")
const strange = stranger.client("tinyllm")
const { paths, remove } = Certificates.files({
  authority: authority.certificate,
  stranger: stranger.certificate,
  key: client.key,
  certificate: client.certificate,
  strangeKey: strange.key,
  strangeCertificate: strange.certificate
})
afterAll(remove)

const mine = {
  OTEL_EXPORTER_OTLP_CLIENT_KEY: paths.key,
  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: paths.certificate
}

const protocols = [
  { protocol: "grpc", make: Collector.make },
  { protocol: "http/protobuf", make: HttpCollector.make }
] as const

describe.each(protocols)("TLS over $protocol", ({ make, protocol }) => {
  /** Sends two spans in this process, and gives what standard error would show. */
  const send = (url: string, env: Record<string, string>) =>
    isolated(
      Effect.withSpan(Effect.void, "inner").pipe(
        Effect.withSpan("outer"),
        Effect.as(42),
        Effect.provide(Telemetry.layer({ otlpEndpoint: url, otlpProtocol: protocol }))
      ),
      env
    )

  it.live(
    "T37 trusts the authority of the variable, at an IP address and at a name, and Node warns about nothing",
    () =>
      Effect.gen(function* () {
        const collector = yield* make({ tls: authority.server() })
        for (const url of [collector.url, `https://localhost:${collector.port}`]) {
          const { code, stderr } = yield* Effect.promise(() =>
            Process.runNode("test/fixtures/traced.ts", ["ok"], {
              env: {
                TINYLLM_TRACING: "true",
                TINYLLM_OTLP_ENDPOINT: url,
                TINYLLM_OTLP_PROTOCOL: protocol,
                OTEL_EXPORTER_OTLP_CERTIFICATE: paths.authority
              }
            })
          )
          assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
        }
        assert.lengthOf(collector.spans(), 4)
      })
  )

  it.live("T37 takes the variable of traces before the general one", () =>
    Effect.gen(function* () {
      const collector = yield* make({ tls: authority.server() })
      const { stderr } = yield* send(collector.url, {
        OTEL_EXPORTER_OTLP_CERTIFICATE: paths.stranger,
        OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE: paths.authority
      })
      assert.strictEqual(stderr, "")
      assert.lengthOf(collector.spans(), 2)
    })
  )

  it.live.each<[string, Record<string, string>, string | undefined, RegExp]>([
    ["an authority that nobody named", {}, undefined, /unable to|self-signed|issuer/i],
    ["another authority", { OTEL_EXPORTER_OTLP_CERTIFICATE: paths.stranger }, undefined, /unable to|signature|issuer/i],
    ["another host", { OTEL_EXPORTER_OTLP_CERTIFICATE: paths.authority }, "collector.test", /altnames|collector\.test/i]
  ])("T37 trusts no certificate of %s", ([, env, host, reason]) =>
    Effect.gen(function* () {
      const collector = yield* make({ tls: authority.server(host) })
      const { exit, stderr } = yield* send(collector.url, env)
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.match(stderr, /^tinyllm: 2 spans not exported: no connection to [^\n]*\n$/)
      assert.match(stderr, reason)
      assert.lengthOf(collector.calls(), 0)
    })
  )

  it.live("shows its own certificate to a collector that asks for one", () =>
    Effect.gen(function* () {
      const collector = yield* make({ tls: { ...authority.server(), clients: authority.certificate } })
      const trusted = { OTEL_EXPORTER_OTLP_CERTIFICATE: paths.authority }
      for (const env of [
        trusted,
        {
          ...trusted,
          OTEL_EXPORTER_OTLP_CLIENT_KEY: paths.strangeKey,
          OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: paths.strangeCertificate
        }
      ]) {
        const refused = yield* send(collector.url, env)
        assert.match(refused.stderr, /^tinyllm: 2 spans not exported: [^\n]*\n$/)
        assert.lengthOf(collector.calls(), 0)
      }
      const { stderr } = yield* send(collector.url, { ...trusted, ...mine })
      assert.strictEqual(stderr, "")
      assert.lengthOf(collector.spans(), 2)
    })
  )

  it.live.each<[Record<string, string>, string]>([
    [
      { OTEL_EXPORTER_OTLP_CERTIFICATE: "/nonexistent/SEKRET.pem" },
      "OTEL_EXPORTER_OTLP_CERTIFICATE names a file that cannot be read"
    ],
    [
      { OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE: "/nonexistent/SEKRET.pem" },
      "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE names a file that cannot be read"
    ],
    [
      { OTEL_EXPORTER_OTLP_CLIENT_KEY: "/nonexistent/SEKRET.pem" },
      "OTEL_EXPORTER_OTLP_CLIENT_KEY needs both, a client's key and its certificate"
    ],
    [
      { OTEL_EXPORTER_OTLP_CERTIFICATE: `${Collector.fixtures}traced.ts` },
      "OTEL_EXPORTER_OTLP_CERTIFICATE names a file without PEM"
    ],
    [
      { ...mine, OTEL_EXPORTER_OTLP_CLIENT_KEY: paths.certificate },
      "OTEL_EXPORTER_OTLP_CLIENT_KEY, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: TLS refuses what is in the file"
    ],
    [
      { ...mine, OTEL_EXPORTER_OTLP_CLIENT_KEY: paths.strangeKey },
      "OTEL_EXPORTER_OTLP_CLIENT_KEY, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: TLS refuses what is in the file"
    ]
  ])("T37 names the variable whose file is no use, at the start: %j", ([env, problem]) =>
    Effect.gen(function* () {
      for (const path of Object.values(env).filter((path) => !path.includes("SEKRET"))) {
        assert.isTrue(existsSync(path))
      }
      const { exit, stderr } = yield* send("https://localhost:1", env)
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.strictEqual(stderr, `tinyllm: spans are not sent: ${problem}\n`)
    })
  )
})
