// `tinyllm doctor --telemetry` against servers of each kind, as a person would run it.
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { afterAll, beforeAll, vi } from "vitest"
import * as DoctorTelemetry from "../src/DoctorTelemetry.ts"
import * as NodePorts from "../src/NodePorts.ts"
import { Ports } from "../src/Ports.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Certificates from "./support/Certificates.ts"
import * as Collector from "./support/Collector.ts"
import * as HttpCollector from "./support/HttpCollector.ts"
import * as Listener from "./support/Listener.ts"
import * as Process from "./support/Process.ts"
import * as Quick from "./support/Quick.ts"

const authority = Certificates.authority()
const { paths, remove } = Certificates.files({ authority: authority.certificate })
afterAll(remove)

const start = async () => ({
  grpc: await Collector.start(),
  http: await HttpCollector.start(),
  grpcTls: await Collector.start({ tls: authority.server() }),
  httpTls: await HttpCollector.start({ tls: authority.server() }),
  grpcDenied: await Collector.start({ mode: { refuse: "UNAUTHENTICATED" } }),
  grpcForbidden: await Collector.start({ mode: { refuse: "PERMISSION_DENIED" } }),
  httpDenied: await HttpCollector.start({ mode: { status: 401 } }),
  httpForbidden: await HttpCollector.start({ mode: { status: 403 } }),
  grpcHangs: await Collector.start({ mode: "hang" }),
  httpHangs: await HttpCollector.start({ mode: "hang" }),
  silent: await Listener.start(),
  closing: await Listener.start((socket) => void socket.destroy()),
  other: await Listener.start((socket) => void socket.write("SSH-2.0-x\r\n")),
  grpcBroken: await Collector.start({ mode: { refuse: "UNIMPLEMENTED" } }),
  httpMissing: await HttpCollector.start({ mode: { status: 404 } }),
  rejecting: await Collector.start({ mode: { reject: 1, message: "no room" } })
})

let servers: Awaited<ReturnType<typeof start>>
let dead = 0
beforeAll(async () => {
  servers = await start()
  dead = await Collector.deadPort()
})
afterAll(() => Promise.all(Object.values(servers).map(({ close }) => close())))

type Name = keyof typeof servers
const tls = (name: Name) => servers[name].url.replace("http:", "https:")
const plain = (name: Name) => servers[name].url.replace("https:", "http:")

const http = ["--otlp-protocol", "http/protobuf"]

/** The command as a process, with no Ollama, since it needs none. */
const spawnDoctor = (args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Process.spawnNode("src/Main.ts", ["doctor", "--telemetry", ...args], {
    env: { OLLAMA_HOST: `127.0.0.1:${dead}`, ...env }
  })

const doctor = (...args: Parameters<typeof spawnDoctor>) => spawnDoctor(...args).exit

const verdictOf = (stdout: string) => /^Verdict +(.*)$/m.exec(stdout)?.[1] ?? ""

/** The same in this process, which is quicker. */
const examine = (options: Telemetry.Options, env: Record<string, string>) =>
  Effect.runPromise(
    Telemetry.resolve(options).pipe(
      Effect.flatMap(DoctorTelemetry.verdict),
      Effect.provideService(Ports, NodePorts),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )
  )

const trusting = () => ({ OTEL_EXPORTER_OTLP_CERTIFICATE: paths.authority })

// Three seconds are promised. How long Node takes to start beside other tests is not the program's doing, so that time
// begins when it has started: with the first line. Node loads what is asked for as it goes, which takes longer, too.
const inProcessMillis = 2700
const asProcessMillis = 4500

interface Case {
  readonly what: string
  readonly url: () => string
  readonly http?: true
  readonly samplingRate?: number
  readonly env?: () => Record<string, string>
  readonly code: number
  readonly verdict: RegExp
  readonly fix: RegExp
  /** One of each exit code is a process. */
  readonly process?: true
}

const cases: ReadonlyArray<Case> = [
  {
    what: "nothing listens (gRPC)",
    url: () => `http://127.0.0.1:${dead}`,
    code: 10,
    process: true,
    verdict: /^nothing listens: connection refused at /,
    fix: /Start a collector/
  },
  {
    what: "nothing listens (HTTP)",
    url: () => `http://127.0.0.1:${dead}`,
    http: true,
    code: 10,
    verdict: /^nothing listens: connection refused at /,
    fix: /Start a collector/
  },
  {
    what: "there is no such host",
    url: () => "http://collector.invalid:4317",
    code: 10,
    verdict: /^nothing listens: unknown host collector\.invalid/,
    fix: /correct the endpoint/
  },
  {
    what: "HTTP on the port for gRPC",
    url: () => servers.http.url,
    code: 11,
    process: true,
    verdict: /^wrong protocol: \S+ speaks HTTP/,
    fix: /4317, or add --otlp-protocol http\/protobuf/
  },
  {
    what: "HTTP on the port for gRPC, in TLS",
    url: () => servers.httpTls.url,
    env: trusting,
    code: 11,
    verdict: /^wrong protocol: \S+ speaks HTTP/,
    fix: /4317, or add --otlp-protocol http\/protobuf/
  },
  {
    what: "gRPC on the port for HTTP",
    url: () => servers.grpc.url,
    http: true,
    code: 12,
    process: true,
    verdict: /^wrong protocol: \S+ speaks gRPC/,
    fix: /4318, or add --otlp-protocol grpc/
  },
  {
    what: "gRPC on the port for HTTP, in TLS",
    url: () => servers.grpcTls.url,
    http: true,
    env: trusting,
    code: 12,
    verdict: /^wrong protocol: \S+ speaks gRPC/,
    fix: /4318, or add --otlp-protocol grpc/
  },
  {
    what: "TLS to plain text (gRPC)",
    url: () => tls("grpc"),
    code: 13,
    process: true,
    verdict: /^TLS mismatch: \S+ speaks plain text/,
    fix: /http:\/\/127/
  },
  {
    what: "TLS to plain text (HTTP)",
    url: () => tls("http"),
    http: true,
    code: 13,
    verdict: /^TLS mismatch: \S+ speaks plain text/,
    fix: /http:\/\/127/
  },
  {
    what: "plain text to TLS (gRPC)",
    url: () => plain("grpcTls"),
    code: 13,
    verdict: /^TLS mismatch: \S+ speaks TLS/,
    fix: /https:\/\/127/
  },
  {
    what: "plain text to TLS (HTTP)",
    url: () => plain("httpTls"),
    http: true,
    code: 13,
    verdict: /^TLS mismatch: \S+ speaks TLS/,
    fix: /https:\/\/127/
  },
  {
    what: "a certificate is not trusted (gRPC)",
    url: () => servers.grpcTls.url,
    code: 13,
    verdict: /^TLS mismatch: .*certificate/,
    fix: /OTEL_EXPORTER_OTLP_CERTIFICATE/
  },
  {
    what: "a certificate is not trusted (HTTP)",
    url: () => servers.httpTls.url,
    http: true,
    code: 13,
    verdict: /^TLS mismatch: .*certificate/,
    fix: /OTEL_EXPORTER_OTLP_CERTIFICATE/
  },
  {
    what: "a key is missing (gRPC)",
    url: () => servers.grpcDenied.url,
    code: 14,
    process: true,
    verdict: /^not allowed: .*UNAUTHENTICATED/,
    fix: /Give the key .* in OTEL_EXPORTER_OTLP_HEADERS/
  },
  {
    what: "a key is wrong (gRPC)",
    url: () => servers.grpcForbidden.url,
    env: () => ({ OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-key=SEKRET" }),
    code: 14,
    verdict: /^not allowed: .*PERMISSION_DENIED/,
    fix: /Correct the key in OTEL_EXPORTER_OTLP_TRACES_HEADERS/
  },
  {
    what: "a key is missing (HTTP)",
    url: () => servers.httpDenied.url,
    http: true,
    code: 14,
    verdict: /^not allowed: .*401/,
    fix: /Give the key/
  },
  {
    what: "a key is wrong (HTTP)",
    url: () => servers.httpForbidden.url,
    http: true,
    env: () => ({ OTEL_EXPORTER_OTLP_HEADERS: "x-key=SEKRET" }),
    code: 14,
    verdict: /^not allowed: .*403/,
    fix: /Correct the key/
  },
  {
    what: "the collector hangs (gRPC)",
    url: () => servers.grpcHangs.url,
    code: 15,
    process: true,
    verdict: /^it hangs: no answer from /,
    fix: /Restart/
  },
  {
    what: "the collector hangs (HTTP)",
    url: () => servers.httpHangs.url,
    http: true,
    code: 15,
    verdict: /^it hangs: no answer from /,
    fix: /Restart/
  },
  {
    what: "a port accepts and says nothing",
    url: () => servers.silent.url,
    code: 15,
    verdict: /^it hangs: no answer from /,
    fix: /Restart/
  },
  ...(["closing", "other"] as const).map((name) => ({
    what: `a port accepts and is ${name}`,
    url: () => servers[name].url,
    code: 1,
    verdict: /^it does not work: no connection to /,
    fix: /log/
  })),
  {
    what: "a port accepts and says nothing, in TLS",
    url: () => tls("silent"),
    http: true,
    code: 15,
    verdict: /^it hangs: no answer from /,
    fix: /Restart/
  },
  {
    what: "the sampling rate is 0",
    url: () => servers.grpc.url,
    samplingRate: 0,
    code: 16,
    process: true,
    verdict: /^no span is sent: the sampler is parentbased_always_off, by a flag/,
    fix: /rate above 0/
  },
  {
    what: "the sampler of the environment keeps nothing",
    url: () => servers.grpc.url,
    env: () => ({ OTEL_TRACES_SAMPLER: "always_off" }),
    code: 16,
    verdict: /^no span is sent: the sampler is always_off, by OTEL_TRACES_SAMPLER/,
    fix: /^Unset OTEL_TRACES_SAMPLER, or .*rate.* above 0/
  },
  {
    what: "the SDK is disabled",
    url: () => servers.grpc.url,
    env: () => ({ OTEL_SDK_DISABLED: "true" }),
    code: 17,
    process: true,
    verdict: /^no span is sent: tracing is turned off by OTEL_SDK_DISABLED/,
    fix: /Unset OTEL_SDK_DISABLED/
  },
  {
    what: "the collector refuses for another reason",
    url: () => servers.grpcBroken.url,
    code: 1,
    process: true,
    verdict: /^it does not work: .*UNIMPLEMENTED/,
    fix: /log/
  },
  {
    what: "the path is wrong",
    url: () => servers.httpMissing.url,
    http: true,
    code: 1,
    verdict: /^it does not work: .*404 Not Found at \/v1\/traces/,
    fix: /log/
  },
  {
    what: "the collector does not want the span",
    url: () => servers.rejecting.url,
    code: 1,
    verdict: /does not take the span: .*no room/,
    fix: /log/
  },
  {
    what: "a file cannot be read",
    url: () => servers.grpcTls.url,
    env: () => ({ OTEL_EXPORTER_OTLP_CERTIFICATE: "/nonexistent/SEKRET" }),
    code: 2,
    process: true,
    verdict: /^no span is sent: OTEL_EXPORTER_OTLP_CERTIFICATE names a file that cannot be read$/,
    fix: /Correct that setting/
  }
]

describe.concurrent("DoctorTelemetry.verdict", () => {
  it.each(cases)("is $code when $what", { timeout: 90_000 }, async (wanted) => {
    const env = wanted.env?.() ?? {}
    await Quick.resolvesWithin(inProcessMillis, async () => {
      const begin = performance.now()
      const { failure, text } = await examine(
        {
          otlpEndpoint: wanted.url(),
          ...(wanted.http ? { otlpProtocol: "http/protobuf" } : {}),
          ...(wanted.samplingRate === undefined ? {} : { samplingRate: wanted.samplingRate })
        },
        env
      )
      const millis = performance.now() - begin
      assert.match(text, wanted.verdict)
      assert.match(failure?.message ?? "", wanted.fix)
      assert.strictEqual(failure?.exitCode, wanted.code)
      assert.notInclude(text + String(failure?.message), "SEKRET")
      return millis
    })
  })
})

describe("The span of DoctorTelemetry.verdict", () => {
  it("has about as long as a run has, and the verdict says that the collector was slow", async () => {
    const slow = await Collector.start({ mode: { delayMillis: 1700 } })
    // A process that has just begun.
    const began = performance.now() - 100
    const now = performance.now.bind(performance)
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now() - began)
    const { failure, text } = await examine({ otlpEndpoint: slow.url }, {})
    clock.mockRestore()
    await slow.close()
    assert.match(text, /^works, slowly, after \d\.\d s: /)
    assert.isUndefined(failure)
  })

  it.each<[string, Telemetry.Options]>([
    ["a low rate", { samplingRate: 1e-9 }],
    ["a rate of 0 but for failures", { samplingRate: 0, keep: { errors: true } }]
  ])("is sent also where the sampler has %s", async (_, options) => {
    const collector = await Collector.start()
    const { text } = await examine({ otlpEndpoint: collector.url, ...options }, {})
    await collector.close()
    assert.match(text, /^works: /)
    assert.deepStrictEqual(
      collector.spans().map(({ name }) => name),
      ["tinyllm.doctor"]
    )
  })
})

describe("tinyllm doctor --telemetry", () => {
  it.each(cases.filter(({ process }) => process))(
    "exits with $code when $what",
    { timeout: 90_000 },
    async (wanted) => {
      const flags = [
        ...(wanted.http ? http : []),
        ...(wanted.samplingRate === undefined ? [] : ["--sampling-rate", String(wanted.samplingRate)])
      ]
      await Quick.resolvesWithin(asProcessMillis, async () => {
        const running = spawnDoctor(["--otlp-endpoint", wanted.url(), ...flags], wanted.env?.())
        await running.waitForStdout("Tracing")
        const begin = performance.now()
        const result = await running.exit
        const millis = performance.now() - begin
        assert.match(verdictOf(result.stdout), wanted.verdict)
        assert.match(result.stderr, /^tinyllm: [^\n]*\n$/, "one line, with the fix")
        assert.match(result.stderr, wanted.fix)
        assert.strictEqual(result.code, wanted.code)
        return millis
      })
    }
  )

  it.each<[string, Record<string, string>]>([
    ["TINYLLM_TRACING", { TINYLLM_TRACING: "false" }],
    ["OTEL_TRACES_EXPORTER", { OTEL_TRACES_EXPORTER: "none" }]
  ])("exits with 17 when %s turns tracing off", async (name, env) => {
    const result = await doctor([], env)
    assert.include(verdictOf(result.stdout), `turned off by ${name}`)
    assert.strictEqual(result.code, 17)
  })

  it.each<[string, Name, ReadonlyArray<string>]>([
    ["over gRPC", "grpc", []],
    ["over gRPC and TLS", "grpcTls", []],
    ["over HTTP", "http", http],
    ["over HTTP and TLS", "httpTls", http]
  ])("exits with 0 when the span arrives %s, as a run would send it", async (_, name, flags) => {
    const collector = servers[name] as Collector.Collector
    const service = `shop-${name}`
    const result = await doctor(["--otlp-endpoint", collector.url, "--service-name", service, ...flags], {
      ...trusting(),
      OTEL_RESOURCE_ATTRIBUTES: "team=blue"
    })
    assert.deepStrictEqual({ code: result.code, stderr: result.stderr }, { code: 0, stderr: "" })
    const span = collector.spans().find((span) => span.resource["service.name"] === service)
    assert.strictEqual(span?.name, "tinyllm.doctor")
    assert.strictEqual(span?.resource["team"], "blue")
    assert.strictEqual(span?.parentId, "")
    // On a busy machine, what a process takes to start counts as well.
    assert.match(verdictOf(result.stdout), /^works(?:, slowly, after [\d.]+ s)?: /)
    assert.include(verdictOf(result.stdout), `trace ${span?.traceId}`)
    assert.notInclude(result.stdout, "Ollama")
  })

  it("asks the collector that would be used, where nobody has chosen an exporter, and warns of its settings", async () => {
    const result = await doctor([], {
      OTEL_EXPORTER_OTLP_ENDPOINT: `${servers.http.url}/v1/traces`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf"
    })
    assert.strictEqual(result.code, 0)
    assert.match(result.stdout, /^Warning +spans are posted to \S+\/v1\/traces\/v1\/traces/m)
    assert.include(verdictOf(result.stdout), "runs are not traced until tracing is turned on")
  })

  it("asks nobody where spans go to the console", async () => {
    const before = servers.grpc.calls().length
    const result = await doctor(["--exporter", "console"], { TINYLLM_OTLP_ENDPOINT: servers.grpc.url })
    assert.strictEqual(result.code, 0)
    assert.include(verdictOf(result.stdout), "spans go to the console")
    assert.isAtMost(servers.grpc.calls().length, before + 1)
  })
})
