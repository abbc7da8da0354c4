// compose.yaml and the files it mounts. No container runs here: what is checked is what a person would otherwise find
// out by starting one.
import * as Schema from "effect/Schema"
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"
import { parseDocument } from "yaml"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Reads YAML and refuses what the programs that read it later only ignore: doubled keys, unknown aliases, warnings. */
const parse = (path: string, text = readFileSync(root + path, "utf8")): unknown => {
  const document = parseDocument(text, { strict: true, uniqueKeys: true, stringKeys: true })
  const [problem] = [...document.errors, ...document.warnings]
  if (problem !== undefined) {
    throw new Error(`${path}: ${problem.message}`, { cause: problem })
  }
  return document.toJS()
}

// Excess properties are errors, so a misspelled key is one too; a key that is really new is added here.
const decode = <A>(schema: Schema.Codec<A, unknown>, path: string): A =>
  Schema.decodeUnknownSync(schema)(parse(path), { onExcessProperty: "error" })

const Strings = Schema.Array(Schema.String)

const Service = Schema.Struct({
  image: Schema.String,
  profiles: Strings,
  ports: Strings,
  command: Schema.optionalKey(Strings),
  depends_on: Schema.optionalKey(Strings),
  volumes: Schema.optionalKey(Strings),
  environment: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  healthcheck: Schema.optionalKey(
    Schema.Struct({ test: Strings, interval: Schema.String, timeout: Schema.String, start_period: Schema.String })
  )
})

const Compose = Schema.Struct({
  name: Schema.String,
  services: Schema.Record(Schema.String, Service),
  volumes: Schema.Record(Schema.String, Schema.Null)
})

const Endpoint = Schema.Struct({ endpoint: Schema.String })

const Tempo = Schema.Struct({
  server: Schema.Struct({ http_listen_port: Schema.Int }),
  distributor: Schema.Struct({
    receivers: Schema.Struct({ otlp: Schema.Struct({ protocols: Schema.Struct({ grpc: Endpoint, http: Endpoint }) }) })
  }),
  query_frontend: Schema.Struct({ query_end_cutoff: Schema.String }),
  storage: Schema.Struct({
    trace: Schema.Struct({
      backend: Schema.Literal("local"),
      wal: Schema.Struct({ path: Schema.String }),
      local: Schema.Struct({ path: Schema.String })
    })
  }),
  usage_report: Schema.Struct({ reporting_enabled: Schema.Literal(false) })
})

const DataSources = Schema.Struct({
  apiVersion: Schema.Literal(1),
  datasources: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      uid: Schema.String,
      type: Schema.Literal("tempo"),
      access: Schema.Literal("proxy"),
      url: Schema.String,
      isDefault: Schema.Boolean,
      editable: Schema.Boolean,
      jsonData: Schema.Struct({ nodeGraph: Schema.Struct({ enabled: Schema.Boolean }) })
    })
  )
})

interface Mount {
  readonly source: string
  readonly target: string
}

const compose = () => decode(Compose, "compose.yaml")
const services = () => Object.entries(compose().services)
const service = (name: string) => {
  const found = compose().services[name]
  assert.isDefined(found, `compose.yaml has no service ${name}`)
  return found
}

const mounts = (of: typeof Service.Type): ReadonlyArray<Mount> =>
  (of.volumes ?? []).map((volume) => {
    const [source = "", target = ""] = volume.split(":")
    return { source, target }
  })

const isFile = (mount: Mount) => mount.source.startsWith(".")

/** `${NAME:-default}`, the one form of variable that works without a file of settings. */
const interpolate = (text: string, variables: Record<string, string> = {}) =>
  text.replaceAll(/\$\{(\w+):-([^}]*)\}/g, (_, name: string, otherwise: string) => variables[name] ?? otherwise)

/** The ports on the host and in the container; throws for one that is open to others than this computer. */
const ports = (of: typeof Service.Type, variables?: Record<string, string>) =>
  of.ports.map((port) => {
    const match = /^127\.0\.0\.1:(\d+):(\d+)$/.exec(interpolate(port, variables))
    assert.isNotNull(match, `${port} is not published on 127.0.0.1 only`)
    return { host: Number(match[1]), container: Number(match[2]) }
  })

const hostPorts = (profiles: ReadonlyArray<string>, variables?: Record<string, string>) =>
  services()
    .filter(([, { profiles: of }]) => of.some((profile) => profiles.includes(profile)))
    .flatMap(([, of]) => ports(of, variables).map(({ host }) => host))
    .sort((a, b) => a - b)

describe("parse", () => {
  it("refuses a key that stands twice", () => {
    assert.throws(() => parse("twice.yaml", "a: 1\na: 2\n"), "twice.yaml: Map keys must be unique")
  })

  it("refuses an alias of nothing", () => {
    assert.throws(() => parse("alias.yaml", "a: *nothing\n"), "nothing")
  })
})

describe("compose.yaml", () => {
  it("has only keys that are known here", () => {
    assert.strictEqual(compose().name, "tinyllm")
  })

  it("starts nothing without a profile", () => {
    assert.deepStrictEqual(Object.fromEntries(services().map(([name, { profiles }]) => [name, profiles])), {
      ollama: ["ollama"],
      jaeger: ["jaeger"],
      tempo: ["tempo"],
      grafana: ["tempo"]
    })
  })

  it("names an exact version of every image", () => {
    for (const [name, { image }] of services()) {
      assert.match(image, /^[a-z]+\/[a-z]+:\d+\.\d+\.\d+$/, name)
    }
  })

  it("runs Jaeger 2", () => {
    // jaegertracing/all-in-one is Jaeger 1, also where its tag looks newer.
    assert.match(service("jaeger").image, /^jaegertracing\/jaeger:2\./)
  })

  it.each([
    { profile: "ollama", expected: [11434] },
    { profile: "jaeger", expected: [4317, 4318, 16686] },
    { profile: "tempo", expected: [3000, 4317, 4318] }
  ])("publishes the ports of profile $profile on 127.0.0.1, each once", ({ profile, expected }) => {
    assert.deepStrictEqual(hostPorts([profile]), expected)
  })

  it("runs Jaeger beside Tempo on the ports its comment names", () => {
    const text = readFileSync(`${root}compose.yaml`, "utf8")
    const [, grpc = "", http = ""] = /TEMPO_GRPC_PORT=(\d+) TEMPO_HTTP_PORT=(\d+) docker compose/.exec(text) ?? []
    assert.include(text, `--otlp-endpoint http://localhost:${grpc}\n`)
    const all = hostPorts(["ollama", "jaeger", "tempo"], { TEMPO_GRPC_PORT: grpc, TEMPO_HTTP_PORT: http })
    assert.deepStrictEqual(all, [3000, 4317, 4318, 11434, Number(grpc), Number(http), 16686])
  })

  it("mounts every file of compose/, and no other", () => {
    const mounted = services().flatMap(([, of]) =>
      mounts(of)
        .filter(isFile)
        .map(({ source }) => source)
    )
    // Docker makes a folder of a file that is missing, and the program in the container then cannot start.
    assert.deepStrictEqual(
      mounted.filter((source) => !statSync(root + source).isFile()),
      []
    )
    assert.deepStrictEqual(
      mounted.sort(),
      readdirSync(`${root}compose`)
        .map((file) => `./compose/${file}`)
        .sort()
    )
  })

  it("declares the volumes it uses, and uses those it declares", () => {
    const named = services().flatMap(([, of]) =>
      mounts(of)
        .filter((mount) => !isFile(mount))
        .map(({ source }) => source)
    )
    assert.deepStrictEqual(named.sort(), Object.keys(compose().volumes).sort())
  })

  it("keeps the models of Ollama in a volume", () => {
    assert.deepInclude(mounts(service("ollama")), { source: "ollama-models", target: "/root/.ollama" })
  })

  it("waits only for services that start with it", () => {
    for (const [name, { depends_on, profiles }] of services()) {
      for (const other of depends_on ?? []) {
        assert.includeMembers([...service(other).profiles], [...profiles], `${name} waits for ${other}`)
      }
    }
  })

  it("is accepted by docker compose", (context) => {
    if (spawnSync("docker", ["compose", "version"]).status !== 0) {
      context.skip("docker compose is not installed")
    }
    const { status, stderr } = spawnSync("docker", ["compose", "--profile", "*", "config", "--quiet"], {
      cwd: root,
      encoding: "utf8"
    })
    assert.strictEqual(status, 0, stderr)
  })
})

describe("compose/tempo.yaml", () => {
  const tempo = () => decode(Tempo, "compose/tempo.yaml")

  it("is the file Tempo is started with", () => {
    const mount = mounts(service("tempo")).find(isFile)
    assert.strictEqual(mount?.source, "./compose/tempo.yaml")
    assert.deepStrictEqual(service("tempo").command, [`-config.file=${mount?.target}`])
  })

  it("receives spans from outside the container, on the ports that are published", () => {
    const { grpc, http } = tempo().distributor.receivers.otlp.protocols
    assert.strictEqual(grpc.endpoint, "0.0.0.0:4317")
    assert.strictEqual(http.endpoint, "0.0.0.0:4318")
    assert.deepStrictEqual(
      ports(service("tempo")).map(({ container }) => container),
      [4317, 4318]
    )
  })

  it("shows a run at once", () => {
    assert.strictEqual(tempo().query_frontend.query_end_cutoff, "0s")
  })

  it("writes traces to the volume", () => {
    const volume = mounts(service("tempo")).find((mount) => !isFile(mount))
    const { local, wal } = tempo().storage.trace
    for (const { path } of [local, wal]) {
      assert.isTrue(path.startsWith(`${volume?.target}/`), path)
    }
  })
})

describe("compose/grafana-datasources.yaml", () => {
  it("is mounted where Grafana looks for data sources", () => {
    assert.deepInclude(mounts(service("grafana")), {
      source: "./compose/grafana-datasources.yaml",
      target: "/etc/grafana/provisioning/datasources/datasources.yaml"
    })
  })

  it("points at the HTTP port of Tempo", () => {
    const { datasources } = decode(DataSources, "compose/grafana-datasources.yaml")
    const port = decode(Tempo, "compose/tempo.yaml").server.http_listen_port
    assert.isDefined(compose().services["tempo"])
    assert.deepStrictEqual(
      datasources.map(({ url }) => url),
      [`http://tempo:${port}`]
    )
    assert.deepStrictEqual(
      datasources.map(({ isDefault }) => isDefault),
      [true]
    )
  })
})
