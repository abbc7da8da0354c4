import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import { inspect } from "node:util"
import * as TelemetryConfig from "../src/TelemetryConfig.ts"

const resolve = (options: unknown, env: Record<string, string> = {}) =>
  TelemetryConfig.resolve(options as TelemetryConfig.Options).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

const refused = (options: unknown, env: Record<string, string> = {}) =>
  Effect.map(Effect.flip(resolve(options, env)), (error) => error.message)

const fields = Object.keys(TelemetryConfig.Options.fields).join(", ")
const nameRefused = 'serviceName must be a name, without spaces around it, but got {"password":"__REDACTED__"}.'

describe("TelemetryConfig.resolve", () => {
  it.effect("T35 shows no key and no password of an address that cannot be used", () =>
    Effect.gen(function* () {
      const addresses = {
        "collector:4318/v1/traces?key=CANARY": /"collector:4318\/v1\/traces\?…"/,
        "http://user:p@CANARY@host": /"http:\/\/__REDACTED__@host"/,
        "user:p/CANARY@host:4317?x=CANARY": /"__REDACTED__@host:4317\?…"/
      }
      for (const [address, shown] of Object.entries(addresses)) {
        const http = { otlpProtocol: "http/protobuf" }
        const messages = [
          yield* refused({ ...http, otlpEndpoint: address }),
          yield* refused(http, { TINYLLM_OTLP_ENDPOINT: address })
        ]
        const env = { OTEL_EXPORTER_OTLP_ENDPOINT: address, OTEL_METRICS_EXPORTER: "otlp" }
        const { warnings } = yield* resolve({ ...http, enableTracing: true }, env)
        messages.forEach((message) => assert.match(message, shown))
        assert.match(warnings.join("\n"), new RegExp(shown.source.replaceAll('"', "")))
        assert.notMatch([...messages, ...warnings].join("\n"), /CANARY/)
      }
    })
  )

  it.effect("has tracing off, service tinyllm, console, everything sampled, by default", () =>
    Effect.gen(function* () {
      const config = yield* resolve({})
      assert.deepStrictEqual(config.enabled, { value: false, source: "default" })
      assert.deepStrictEqual(config.serviceName, { value: "tinyllm", source: "default" })
      assert.deepStrictEqual(config.exporters, { value: ["console"], source: "default" })
      assert.deepStrictEqual(config.sampler, { value: { parentBased: true, ratio: 1 }, source: "default" })
      assert.deepStrictEqual(config.traceFormat, { value: "tree", source: "default" })
      assert.strictEqual(config.endpoint.value.url, "http://localhost:4317")
      assert.isTrue(config.privacy.taskContent.value)
      assert.deepStrictEqual(config.warnings, [])
    })
  )

  it.effect(
    "a store turns tracing on, and is enough; the exporter none without one is said to send spans nowhere",
    () =>
      Effect.gen(function* () {
        for (const config of [
          yield* resolve({ exporter: "none" }),
          yield* resolve({ enableTracing: true }, { TINYLLM_EXPORTER: "none" })
        ]) {
          assert.isTrue(config.enabled.value)
          assert.deepStrictEqual(config.exporters.value, [])
          assert.match(config.warnings.join(), /none sends spans nowhere$/)
        }
        const kept = yield* resolve({ store: { file: "/tmp/traces.db" } })
        assert.deepStrictEqual([kept.enabled.value, kept.exporters.value], [true, []])
        assert.isFalse((yield* resolve({ store: false })).enabled.value)
        const both = yield* resolve({ enableTracing: true, store: { file: "/tmp/traces.db" } })
        assert.deepStrictEqual(both.exporters.value, ["console"])
        assert.deepStrictEqual(kept.warnings, [])
      })
  )

  it.effect.each<[unknown, string]>([
    [{ samplingRate: Number.NaN }, "samplingRate must be a number from 0 to 1, but got NaN."],
    [{ samplingRate: "0.5" }, 'samplingRate must be a number from 0 to 1, but got "0.5".'],
    [{ samplingRate: -0.1 }, "samplingRate must be a number from 0 to 1, but got -0.1."],
    [{ samplingRate: 1.1 }, "samplingRate must be a number from 0 to 1, but got 1.1."],
    [{ samplingRate: Number.POSITIVE_INFINITY }, "samplingRate must be a number from 0 to 1, but got Infinity."],
    [{ samplingRate: null }, "samplingRate must be a number from 0 to 1, but got null."],
    [{ exporter: "zipkin" }, 'exporter must be console, otlp, jaeger or none, but got "zipkin".'],
    [{ enableTracing: "yes" }, 'enableTracing must be true or false, but got "yes".'],
    [{ serviceName: "" }, 'serviceName must be a name, without spaces around it, but got "".'],
    [{ traceFormat: "xml" }, 'traceFormat must be tree or json, but got "xml".'],
    [{ sampling_rate: 1 }, `sampling_rate is no option; options are ${fields}.`],
    [{ toString: 1 }, `toString is no option; options are ${fields}.`],
    [{ constructor: 1, exporter: "otlp" }, `constructor is no option; options are ${fields}.`],
    [JSON.parse('{ "__proto__": 1 }'), `__proto__ is no option; options are ${fields}.`],
    [null, `options must be an object with ${fields}, but got null.`],
    ["otlp", `options must be an object with ${fields}, but got "otlp".`],
    [{ exporter: ["otlp"] }, 'exporter must be console, otlp, jaeger or none, but got ["otlp"].'],
    [{ exporter: Object.create(null) }, "exporter must be console, otlp, jaeger or none, but got {}."],
    [{ serviceName: { password: "hunter22" } }, nameRefused],
    [{ enableTracing: Symbol("yes") }, "enableTracing must be true or false, but got Symbol(yes)."]
  ])("T52 refuses %j", ([options, message]) =>
    Effect.map(refused(options), (actual) => assert.strictEqual(actual, message))
  )

  it.effect("T52 refuses a bad endpoint and says what is wrong with it, but not its password", () =>
    Effect.gen(function* () {
      assert.include(yield* refused({ otlpEndpoint: "collector:4317" }), "it has no scheme")
      const message = yield* refused({ otlpEndpoint: "http://me:hunter22@collector:4317" })
      assert.include(message, "otlpEndpoint must be an address such as http://localhost:4317")
      assert.include(message, "user name or password")
      assert.notInclude(message, "hunter22")
    })
  )

  it.effect.each<[string, string, string]>([
    ["TINYLLM_TRACING", "maybe", 'TINYLLM_TRACING must be true or false, but got "maybe".'],
    ["TINYLLM_EXPORTER", "zipkin", 'TINYLLM_EXPORTER must be console, otlp, jaeger or none, but got "zipkin".'],
    ["TINYLLM_SAMPLING_RATE", "abc", 'TINYLLM_SAMPLING_RATE must be a number from 0 to 1, but got "abc".'],
    ["TINYLLM_SAMPLING_RATE", "1.1", 'TINYLLM_SAMPLING_RATE must be a number from 0 to 1, but got "1.1".'],
    ["TINYLLM_SAMPLING_RATE", "-0.1", 'TINYLLM_SAMPLING_RATE must be a number from 0 to 1, but got "-0.1".'],
    ["TINYLLM_SAMPLING_RATE", "NaN", 'TINYLLM_SAMPLING_RATE must be a number from 0 to 1, but got "NaN".'],
    ["TINYLLM_SAMPLING_RATE", "0x1", 'TINYLLM_SAMPLING_RATE must be a number from 0 to 1, but got "0x1".']
  ])("T52 refuses %s=%s", ([name, value, message]) =>
    Effect.map(refused({}, { [name]: value }), (actual) => assert.strictEqual(actual, message))
  )

  it.effect("takes an empty variable for unset", () =>
    Effect.gen(function* () {
      const config = yield* resolve({}, { TINYLLM_TRACING: "", TINYLLM_SAMPLING_RATE: "", OTEL_TRACES_EXPORTER: "" })
      assert.isFalse(config.enabled.value)
    })
  )

  it.effect.each<[unknown, Record<string, string>, boolean, string]>([
    [{ enableTracing: true }, {}, true, "flag/program"],
    [{ exporter: "console" }, {}, true, "flag/program"],
    [{ otlpEndpoint: "http://localhost:1" }, {}, true, "flag/program"],
    [{ exporter: "otlp", enableTracing: false }, {}, false, "flag/program"],
    [{}, { TINYLLM_TRACING: "true" }, true, "TINYLLM_TRACING"],
    [{}, { TINYLLM_TRACING: "TRUE" }, true, "TINYLLM_TRACING"],
    [{}, { TINYLLM_TRACING: "0", OTEL_TRACES_EXPORTER: "otlp" }, false, "TINYLLM_TRACING"],
    [{ enableTracing: false }, { TINYLLM_TRACING: "true" }, false, "flag/program"],
    [{}, { OTEL_TRACES_EXPORTER: "otlp" }, true, "OTEL_TRACES_EXPORTER"],
    [{}, { OTEL_TRACES_EXPORTER: "none" }, false, "OTEL_TRACES_EXPORTER"],
    [{}, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4317" }, false, "default"],
    [{}, { TINYLLM_OTLP_ENDPOINT: "http://collector:4317" }, false, "default"],
    [{}, { TINYLLM_EXPORTER: "otlp" }, false, "default"]
  ])("turns tracing on or off: %j %j", ([options, env, value, source]) =>
    Effect.map(resolve(options, env), (config) => assert.deepStrictEqual(config.enabled, { value, source }))
  )

  it.effect.each<[string]>([["true"], ["TRUE"], ["True"]])(
    "T27 OTEL_SDK_DISABLED=%s beats everything, with a warning",
    ([value]) =>
      Effect.gen(function* () {
        const config = yield* resolve({ enableTracing: true }, { OTEL_SDK_DISABLED: value, TINYLLM_TRACING: "true" })
        assert.deepStrictEqual(config.enabled, { value: false, source: "OTEL_SDK_DISABLED" })
        assert.deepStrictEqual(config.warnings, ["tracing was asked for, but OTEL_SDK_DISABLED=true turns it off"])
      })
  )

  it.effect("T27 OTEL_SDK_DISABLED=1 disables nothing and is reported", () =>
    Effect.gen(function* () {
      const config = yield* resolve({ enableTracing: true }, { OTEL_SDK_DISABLED: "1" })
      assert.isTrue(config.enabled.value)
      assert.deepStrictEqual(config.warnings, [
        "OTEL_SDK_DISABLED=1 is ignored: it must be true or false; taken as false"
      ])
    })
  )

  it.effect.each<[unknown, Record<string, string>, string, string]>([
    [{}, {}, "tinyllm", "default"],
    [{}, { OTEL_SERVICE_NAME: "otel" }, "otel", "OTEL_SERVICE_NAME"],
    [{}, { OTEL_SERVICE_NAME: "otel", TINYLLM_SERVICE_NAME: "ours" }, "ours", "TINYLLM_SERVICE_NAME"],
    [{ serviceName: "given" }, { OTEL_SERVICE_NAME: "otel", TINYLLM_SERVICE_NAME: "ours" }, "given", "flag/program"],
    [{ serviceName: undefined }, { OTEL_SERVICE_NAME: "otel" }, "otel", "OTEL_SERVICE_NAME"]
  ])("T28 names the service: %j %j", ([options, env, value, source]) =>
    Effect.map(resolve(options, env), (config) => assert.deepStrictEqual(config.serviceName, { value, source }))
  )

  it.effect.each<[unknown, Record<string, string>, ReadonlyArray<"console" | "otlp">, string]>([
    [{ exporter: "jaeger" }, {}, ["otlp"], "flag/program"],
    [{ exporter: "console", otlpEndpoint: "http://localhost:1" }, {}, ["console"], "flag/program"],
    [{ otlpEndpoint: "http://localhost:1" }, { TINYLLM_EXPORTER: "console" }, ["otlp"], "flag/program"],
    [{ enableTracing: true }, { TINYLLM_EXPORTER: "jaeger" }, ["otlp"], "TINYLLM_EXPORTER"],
    [{ enableTracing: true }, { TINYLLM_OTLP_ENDPOINT: "http://localhost:1" }, ["otlp"], "TINYLLM_OTLP_ENDPOINT"],
    [
      { enableTracing: true },
      { TINYLLM_EXPORTER: "console", OTEL_TRACES_EXPORTER: "otlp" },
      ["console"],
      "TINYLLM_EXPORTER"
    ],
    [
      { enableTracing: true },
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:1" },
      ["otlp"],
      "OTEL_EXPORTER_OTLP_ENDPOINT"
    ],
    [{}, { OTEL_TRACES_EXPORTER: "console,otlp" }, ["console", "otlp"], "OTEL_TRACES_EXPORTER"],
    [{}, { OTEL_TRACES_EXPORTER: " OTLP , otlp" }, ["otlp"], "OTEL_TRACES_EXPORTER"]
  ])("T30 selects exporters: %j %j", ([options, env, value, source]) =>
    Effect.map(resolve(options, env), (config) => assert.deepStrictEqual(config.exporters, { value, source }))
  )

  it.effect("T30 OTEL_TRACES_EXPORTER=none with tracing asked for sends spans nowhere and says so", () =>
    Effect.gen(function* () {
      const config = yield* resolve({ enableTracing: true }, { OTEL_TRACES_EXPORTER: "none" })
      assert.deepStrictEqual(config.exporters.value, [])
      assert.lengthOf(config.warnings, 1)
    })
  )

  it.effect("T30 reports an unknown exporter, and takes jaeger for otlp with a notice", () =>
    Effect.gen(function* () {
      const unknown = yield* resolve({}, { OTEL_TRACES_EXPORTER: "zipkin" })
      assert.isFalse(unknown.enabled.value)
      assert.match(unknown.warnings[0] ?? "", /^OTEL_TRACES_EXPORTER=zipkin is ignored/)
      const both = yield* resolve({}, { OTEL_TRACES_EXPORTER: "otlp,zipkin" })
      assert.deepStrictEqual(both.exporters.value, ["otlp"])
      assert.lengthOf(both.warnings, 1)
      const jaeger = yield* resolve({}, { OTEL_TRACES_EXPORTER: "jaeger" })
      assert.deepStrictEqual(jaeger.exporters.value, ["otlp"])
      assert.match(jaeger.warnings[0] ?? "", /jaeger is taken as otlp/)
    })
  )

  it.effect.each<[unknown, Record<string, string>, string, string]>([
    [{}, {}, "parentbased_always_on", "default"],
    [{ samplingRate: 0.1 }, {}, "parentbased_traceidratio 0.1", "flag/program"],
    [{ samplingRate: 0 }, {}, "parentbased_always_off", "flag/program"],
    [{}, { TINYLLM_SAMPLING_RATE: "0.25" }, "parentbased_traceidratio 0.25", "TINYLLM_SAMPLING_RATE"],
    [{ samplingRate: 1 }, { TINYLLM_SAMPLING_RATE: "0.25" }, "parentbased_always_on", "flag/program"],
    [{}, { OTEL_TRACES_SAMPLER: "always_off" }, "always_off", "OTEL_TRACES_SAMPLER"],
    [{}, { OTEL_TRACES_SAMPLER: "ParentBased_Always_Off" }, "parentbased_always_off", "OTEL_TRACES_SAMPLER"],
    [{ samplingRate: 1 }, { OTEL_TRACES_SAMPLER: "always_off" }, "parentbased_always_on", "flag/program"],
    [
      {},
      { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.5" },
      "traceidratio 0.5",
      "OTEL_TRACES_SAMPLER"
    ],
    [{}, { OTEL_TRACES_SAMPLER_ARG: "0.5" }, "parentbased_always_on", "default"]
  ])("T31 chooses the sampler: %j %j", ([options, env, name, source]) =>
    Effect.map(resolve(options, env), (config) => {
      assert.strictEqual(TelemetryConfig.samplerName(config.sampler.value), name)
      assert.strictEqual(config.sampler.source, source)
    })
  )

  it.effect.each<[string]>([["abc"], ["-1"], ["2"], [""]])(
    "T32 OTEL_TRACES_SAMPLER_ARG=%s is reported, every trace is kept",
    ([value]) =>
      Effect.gen(function* () {
        const config = yield* resolve(
          { enableTracing: true },
          { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: value }
        )
        assert.strictEqual(config.sampler.value.ratio, 1)
        assert.lengthOf(config.warnings, 1)
        assert.include(config.warnings[0] ?? "", "OTEL_TRACES_SAMPLER_ARG")
      })
  )

  it.effect("T32 an unknown OTEL_TRACES_SAMPLER is reported, every trace is kept", () =>
    Effect.gen(function* () {
      const config = yield* resolve({ enableTracing: true }, { OTEL_TRACES_SAMPLER: "jaeger_remote" })
      assert.strictEqual(config.sampler.source, "default")
      assert.lengthOf(config.warnings, 1)
    })
  )

  it.effect("T34 the endpoint: flag, then ours, then the signal's, then the general one, then the default", () =>
    Effect.gen(function* () {
      const env = {
        TINYLLM_OTLP_ENDPOINT: "http://ours:1",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://traces:2",
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://general:3"
      }
      const hosts: Array<string> = []
      const rest: Record<string, string> = { ...env }
      hosts.push((yield* resolve({ otlpEndpoint: "http://flag:0004" }, rest)).endpoint.value.host)
      for (const name of Object.keys(env)) {
        hosts.push((yield* resolve({}, rest)).endpoint.value.host)
        delete rest[name]
      }
      hosts.push((yield* resolve({}, rest)).endpoint.value.host)
      assert.deepStrictEqual(hosts, ["flag", "ours", "traces", "general", "localhost"])
    })
  )

  it.effect("T34 a wrong OTEL endpoint is reported and the next one taken", () =>
    Effect.gen(function* () {
      const config = yield* resolve(
        { exporter: "otlp" },
        { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "collector:4317", OTEL_EXPORTER_OTLP_ENDPOINT: "http://general:3" }
      )
      assert.strictEqual(config.endpoint.value.host, "general")
      assert.lengthOf(config.warnings, 1)
      assert.include(config.warnings[0] ?? "", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector:4317")
    })
  )

  it.effect("T38 OTEL_BSP_* reach the batch; 0, negative and text are reported and the default used", () =>
    Effect.gen(function* () {
      const good = yield* resolve(
        { enableTracing: true },
        {
          OTEL_BSP_MAX_QUEUE_SIZE: "10",
          OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "20",
          OTEL_BSP_SCHEDULE_DELAY: "30",
          OTEL_BSP_EXPORT_TIMEOUT: "40"
        }
      )
      assert.deepStrictEqual(good.batch, {
        maxQueueSize: 10,
        maxExportBatchSize: 10,
        scheduledDelayMillis: 30,
        exportTimeoutMillis: 40
      })
      const bad = yield* resolve(
        { enableTracing: true },
        { OTEL_BSP_MAX_QUEUE_SIZE: "-5", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "0", OTEL_BSP_SCHEDULE_DELAY: "abc" }
      )
      assert.deepStrictEqual(bad.batch, {
        maxQueueSize: 131_072,
        maxExportBatchSize: 512,
        scheduledDelayMillis: 5000,
        exportTimeoutMillis: 30_000
      })
      assert.lengthOf(bad.warnings, 3)
    })
  )

  it.effect.each<[Record<string, string>, number, number]>([
    [{}, 3000, 30_000],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "500" }, 500, 30_000],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "60000" }, 60_000, 30_000],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "500", OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "400" }, 400, 30_000],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "0" }, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "0", OTEL_BSP_EXPORT_TIMEOUT: "9" }, Number.POSITIVE_INFINITY, 9],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "99999999999999" }, 2 ** 31 - 1, 30_000]
  ])("an export may take what %j says", ([env, timeoutMillis, exportTimeoutMillis]) =>
    Effect.map(resolve({ enableTracing: true }, env), (config) => {
      assert.strictEqual(config.timeoutMillis, timeoutMillis)
      assert.strictEqual(config.batch.exportTimeoutMillis, exportTimeoutMillis)
      assert.deepStrictEqual(config.warnings, [])
    })
  )

  it.effect.each<[string, Record<string, string>, string, string]>([
    ["service.name=r, team = a%20b ,", { team: "a b" }, "r", "OTEL_RESOURCE_ATTRIBUTES"],
    ["team=%C3%A4%2C%3D", { team: "ä,=" }, "tinyllm", "default"],
    ["service.name=,empty=", { empty: "" }, "tinyllm", "default"],
    ["", {}, "tinyllm", "default"]
  ])("T29 decodes OTEL_RESOURCE_ATTRIBUTES=%s", ([value, attributes, name, source]) =>
    Effect.map(resolve({ enableTracing: true }, { OTEL_RESOURCE_ATTRIBUTES: value }), (config) => {
      assert.deepStrictEqual(config.resourceAttributes, attributes)
      assert.deepStrictEqual(config.serviceName, { value: name, source })
      assert.deepStrictEqual(config.warnings, [])
    })
  )

  it.effect.each<[string]>([["a=1,b"], ["a=1,=2"], ["a=1,b=%ZZ"], ["a=1,b=2=3"], ["SEKRET"]])(
    "T29 discards OTEL_RESOURCE_ATTRIBUTES=%s as a whole, with a warning that quotes nothing",
    ([value]) =>
      Effect.map(resolve({ enableTracing: true }, { OTEL_RESOURCE_ATTRIBUTES: value }), (config) => {
        assert.deepStrictEqual(config.resourceAttributes, {})
        assert.deepStrictEqual(config.warnings, [
          "OTEL_RESOURCE_ATTRIBUTES is ignored as a whole: it must be key=value pairs with commas between, percent-encoded"
        ])
      })
  )

  it.effect("T28 OTEL_SERVICE_NAME and names of ours beat its service.name", () =>
    Effect.gen(function* () {
      const env = { OTEL_RESOURCE_ATTRIBUTES: "service.name=r" }
      const name = (options: unknown, more: Record<string, string>) =>
        Effect.map(resolve(options, { ...env, ...more }), (config) => config.serviceName.value)
      assert.strictEqual(yield* name({}, { OTEL_SERVICE_NAME: "otel" }), "otel")
      assert.strictEqual(yield* name({}, { TINYLLM_SERVICE_NAME: "ours" }), "ours")
      assert.strictEqual(yield* name({ serviceName: "given" }, { OTEL_SERVICE_NAME: "otel" }), "given")
    })
  )

  it.effect.each<[string]>([["-1"], ["abc"], ["1.5"], ["99999999999999999999"]])(
    "T39 a limit of %s is reported, and the default used",
    ([value]) =>
      Effect.gen(function* () {
        const names = [
          "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
          "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
          "OTEL_SPAN_EVENT_COUNT_LIMIT",
          "OTEL_SPAN_LINK_COUNT_LIMIT",
          "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
          "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
          "OTEL_ATTRIBUTE_COUNT_LIMIT",
          "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
        ]
        const config = yield* resolve({ enableTracing: true }, Object.fromEntries(names.map((name) => [name, value])))
        assert.deepStrictEqual(config.limits, {
          attributeCountLimit: 128,
          attributeValueLengthLimit: Number.POSITIVE_INFINITY,
          eventCountLimit: 128,
          linkCountLimit: 128,
          attributePerEventCountLimit: 128,
          attributePerLinkCountLimit: 128
        })
        assert.lengthOf(config.warnings, names.length)
      })
  )

  it.effect("T39 the limit of spans beats the general one", () =>
    Effect.gen(function* () {
      const general = { OTEL_ATTRIBUTE_COUNT_LIMIT: "5", OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "50" }
      const one = yield* resolve({}, general)
      assert.include(one.limits, { attributeCountLimit: 5, attributeValueLengthLimit: 50 })
      const two = yield* resolve(
        {},
        { ...general, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "6", OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: "60" }
      )
      assert.include(two.limits, { attributeCountLimit: 6, attributeValueLengthLimit: 60 })
    })
  )

  it.effect("T35 headers of the environment are never printed", () =>
    Effect.gen(function* () {
      const { otlp } = yield* resolve({}, { OTEL_EXPORTER_OTLP_HEADERS: "authorization=SEKRET" })
      assert.notInclude(inspect(otlp, { depth: 9 }) + JSON.stringify(otlp), "SEKRET")
    })
  )

  it.effect("T36 an unknown compression is reported, and nothing is compressed", () =>
    Effect.gen(function* () {
      const config = yield* resolve({ enableTracing: true }, { OTEL_EXPORTER_OTLP_COMPRESSION: "zstd" })
      assert.isFalse(config.otlp.gzip)
      assert.lengthOf(config.warnings, 1)
    })
  )

  it.effect.each<[unknown, Record<string, string>, string, string, string]>([
    [{}, {}, "grpc", "default", "http://localhost:4317"],
    [{}, { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL", "http://localhost:4317"],
    [
      {},
      { OTEL_EXPORTER_OTLP_PROTOCOL: "HTTP/Protobuf" },
      "http/protobuf",
      "OTEL_EXPORTER_OTLP_PROTOCOL",
      "http://localhost:4318/v1/traces"
    ],
    [
      {},
      { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf" },
      "http/protobuf",
      "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
      "http://localhost:4318/v1/traces"
    ],
    [
      {},
      { TINYLLM_OTLP_PROTOCOL: "grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf" },
      "grpc",
      "TINYLLM_OTLP_PROTOCOL",
      "http://localhost:4317"
    ],
    [
      { otlpProtocol: "http/protobuf" },
      { TINYLLM_OTLP_PROTOCOL: "grpc" },
      "http/protobuf",
      "flag/program",
      "http://localhost:4318/v1/traces"
    ]
  ])("chooses the protocol: %j %j", ([options, env, protocol, source, url]) =>
    Effect.map(resolve(options, env), ({ endpoint, otlp }) => {
      assert.deepStrictEqual(otlp.protocol, { value: protocol, source })
      assert.strictEqual(endpoint.value.url, url)
      assert.strictEqual(endpoint.value.protocol, protocol)
    })
  )

  it.effect.each<[Record<string, string>, string, string]>([
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" },
      "http/protobuf",
      "OTEL_EXPORTER_OTLP_PROTOCOL=http/json is taken as http/protobuf: collectors take both at one address"
    ],
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: "thrift" },
      "grpc",
      "OTEL_EXPORTER_OTLP_PROTOCOL=thrift is ignored: it must be grpc or http/protobuf; it counts as unset"
    ],
    [
      { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "thrift", OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" },
      "http/protobuf",
      "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=thrift is ignored: it must be grpc or http/protobuf; it counts as unset"
    ]
  ])("reports a protocol that is not spoken: %j", ([env, protocol, warning]) =>
    Effect.map(resolve({ enableTracing: true }, env), ({ otlp, warnings }) => {
      assert.strictEqual(otlp.protocol.value, protocol)
      assert.deepStrictEqual(warnings, [warning])
    })
  )

  it.effect("T52 refuses a protocol of ours that is not spoken", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* refused({}, { TINYLLM_OTLP_PROTOCOL: "http/json" }),
        'TINYLLM_OTLP_PROTOCOL must be grpc or http/protobuf, but got "http/json".'
      )
      assert.strictEqual(
        yield* refused({ otlpProtocol: "http" }),
        'otlpProtocol must be grpc or http/protobuf, but got "http".'
      )
    })
  )

  it.effect.each<[Record<string, string>, string]>([
    [{ OTEL_EXPORTER_OTLP_INSECURE: "true" }, "http://collector.test:4317"],
    [{ OTEL_EXPORTER_OTLP_INSECURE: "TRUE" }, "http://collector.test:4317"],
    [{ OTEL_EXPORTER_OTLP_INSECURE: "false" }, "https://collector.test:4317"],
    [{ OTEL_EXPORTER_OTLP_INSECURE: "false", OTEL_EXPORTER_OTLP_TRACES_INSECURE: "true" }, "http://collector.test:4317"]
  ])("T33 says by %j what an address without a scheme is, of each variable and of the program", ([env, url]) =>
    Effect.gen(function* () {
      const address = "collector.test:4317"
      const given: ReadonlyArray<readonly [unknown, Record<string, string>]> = [
        [{ otlpEndpoint: address }, {}],
        [{}, { TINYLLM_OTLP_ENDPOINT: address }],
        [{}, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: address }],
        [{}, { OTEL_EXPORTER_OTLP_ENDPOINT: address }]
      ]
      for (const [options, variables] of given) {
        assert.strictEqual((yield* resolve(options, { ...env, ...variables })).endpoint.value.url, url)
      }
    })
  )

  it.effect("T33 has no use for INSECURE over HTTP", () =>
    Effect.map(
      refused(
        { otlpEndpoint: "collector.test:4318", otlpProtocol: "http/protobuf" },
        { OTEL_EXPORTER_OTLP_INSECURE: "true" }
      ),
      (message) => assert.include(message, "no scheme")
    )
  )

  it.effect.each<[string, ReadonlyArray<string>, string, number]>([
    ["", ["tracecontext", "baggage"], "default", 0],
    ["tracecontext", ["tracecontext"], "OTEL_PROPAGATORS", 0],
    ["B3Multi, baggage ,b3multi", ["b3multi", "baggage"], "OTEL_PROPAGATORS", 0],
    ["b3,tracecontext,jaeger", ["b3", "tracecontext"], "OTEL_PROPAGATORS", 1],
    ["none", [], "OTEL_PROPAGATORS", 0],
    ["xray", ["tracecontext", "baggage"], "default", 1]
  ])("takes OTEL_PROPAGATORS=%s", ([text, propagators, source, warnings]) =>
    Effect.map(resolve({ enableTracing: true }, { OTEL_PROPAGATORS: text }), (config) => {
      assert.deepStrictEqual(config.propagators, { value: propagators, source })
      assert.lengthOf(config.warnings, warnings)
    })
  )

  it.effect.each<[string, string, string]>([
    ["", "warn", "default"],
    ["ERROR", "error", "OTEL_LOG_LEVEL"],
    ["none", "none", "OTEL_LOG_LEVEL"],
    ["loud", "info", "OTEL_LOG_LEVEL"]
  ])("takes OTEL_LOG_LEVEL=%s", ([text, value, source]) =>
    Effect.map(resolve({}, { OTEL_LOG_LEVEL: text }), (config) =>
      assert.deepStrictEqual(config.logLevel, { value, source })
    )
  )

  it.effect("T35 merges headers by key, in any case, and says which variable holds each", () =>
    Effect.gen(function* () {
      const { otlp } = yield* resolve(
        {},
        { OTEL_EXPORTER_OTLP_HEADERS: "X-Key=a,x-team=b%20c", OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-key=d" }
      )
      assert.deepStrictEqual(Redacted.value(otlp.headers), [
        ["x-key", "d"],
        ["x-team", "b c"]
      ])
      assert.deepStrictEqual(otlp.headerKeys, [
        { value: "x-key", source: "OTEL_EXPORTER_OTLP_TRACES_HEADERS" },
        { value: "x-team", source: "OTEL_EXPORTER_OTLP_HEADERS" }
      ])
    })
  )

  it.effect("says what set each part of the batch and each limit", () =>
    Effect.gen(function* () {
      const { batchSources, limitSources } = yield* resolve(
        {},
        {
          OTEL_BSP_MAX_QUEUE_SIZE: "10",
          OTEL_BSP_SCHEDULE_DELAY: "0",
          OTEL_ATTRIBUTE_COUNT_LIMIT: "5",
          OTEL_SPAN_LINK_COUNT_LIMIT: "6"
        }
      )
      assert.deepStrictEqual(batchSources, {
        maxQueueSize: "OTEL_BSP_MAX_QUEUE_SIZE",
        // No batch is larger than the queue.
        maxExportBatchSize: "OTEL_BSP_MAX_QUEUE_SIZE",
        scheduledDelayMillis: "default",
        exportTimeoutMillis: "default"
      })
      assert.include(limitSources, {
        attributeCountLimit: "OTEL_ATTRIBUTE_COUNT_LIMIT",
        linkCountLimit: "OTEL_SPAN_LINK_COUNT_LIMIT",
        eventCountLimit: "default"
      })
    })
  )

  it.effect("says nothing about other programs' variables while tracing is off", () =>
    Effect.gen(function* () {
      const config = yield* resolve({}, { OTEL_TRACES_SAMPLER: "bogus", OTEL_BSP_MAX_QUEUE_SIZE: "x" })
      assert.deepStrictEqual(config.warnings, [])
    })
  )

  it.effect.each<[string, boolean]>([
    ["NO_CONTENT", false],
    ["no_content", false],
    ["false", false],
    ["", true],
    ["SPAN_ONLY", true],
    ["true", true]
  ])("task.content with the capture variable at %j: %j", ([value, expected]) =>
    Effect.map(resolve({}, { OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: value }), (config) =>
      assert.strictEqual(config.privacy.taskContent.value, expected)
    )
  )
})
