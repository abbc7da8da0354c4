import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import * as Telemetry from "../src/Telemetry.ts"

const variable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

/** The configuration of options and variables; tracing is on, so that warnings show. */
const resolve = (options: Telemetry.Options, env: Readonly<Record<string, string>> = {}) =>
  Telemetry.resolve({ enableTracing: true, ...options }).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

const refused = (options: unknown, env: Readonly<Record<string, string>> = {}) =>
  Effect.map(Effect.flip(resolve(options as Telemetry.Options, env)), ({ message }) => message)

describe("where content is recorded", () => {
  it.effect.each<[string, string, boolean, number]>([
    ["", "NO_CONTENT", true, 0],
    ["NO_CONTENT", "NO_CONTENT", false, 0],
    ["no_content", "NO_CONTENT", false, 0],
    ["false", "NO_CONTENT", false, 0],
    ["FALSE", "NO_CONTENT", false, 0],
    ["true", "SPAN_ONLY", true, 0],
    ["True", "SPAN_ONLY", true, 0],
    ["SPAN_ONLY", "SPAN_ONLY", true, 0],
    ["span_only", "SPAN_ONLY", true, 0],
    ["EVENT_ONLY", "EVENT_ONLY", true, 0],
    ["Span_And_Event", "SPAN_AND_EVENT", true, 0],
    ["bogus", "NO_CONTENT", false, 1],
    ["1", "NO_CONTENT", false, 1],
    ["SPAN-ONLY", "NO_CONTENT", false, 1]
  ])("T23 the variable at %j: %s, the task %j", ([value, mode, task, warnings]) =>
    Effect.gen(function* () {
      const config = yield* resolve({}, { [variable]: value })
      assert.strictEqual(config.privacy.capture.value, mode)
      assert.strictEqual(config.privacy.capture.source, value === "" ? "default" : variable)
      assert.strictEqual(config.privacy.taskContent.value, task)
      assert.lengthOf(config.warnings, warnings)
    })
  )

  it.effect("T23 an option beats the variable", () =>
    Effect.gen(function* () {
      const cases = [
        [true, "SPAN_ONLY", true],
        [false, "NO_CONTENT", false],
        ["NO_CONTENT", "NO_CONTENT", false],
        ["EVENT_ONLY", "EVENT_ONLY", true]
      ] as const
      for (const [captureContent, mode, task] of cases) {
        const { privacy } = yield* resolve({ captureContent }, { [variable]: "SPAN_AND_EVENT" })
        assert.deepStrictEqual(privacy.capture, { value: mode, source: "flag/program" })
        assert.strictEqual(privacy.taskContent.value, task)
      }
      assert.strictEqual(
        yield* refused({ captureContent: "all" }),
        'captureContent must be true, false, NO_CONTENT, SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT, but got "all".'
      )
    })
  )

  it.effect("lowers the size of a batch, unless that is set", () =>
    Effect.gen(function* () {
      const size = (env: Readonly<Record<string, string>>, options: Telemetry.Options = { captureContent: true }) =>
        Effect.map(resolve(options, env), ({ batch }) => batch.maxExportBatchSize)
      assert.strictEqual(yield* size({}, {}), 512)
      assert.strictEqual(yield* size({}), 213)
      assert.strictEqual(yield* size({ OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "512" }), 512)
      assert.strictEqual(yield* size({ TINYLLM_SPAN_BUDGET: "4000000" }), 1)
    })
  )
})

describe("how much is recorded", () => {
  it.effect("16 KiB a span and 2000 bytes of content, or what is set", () =>
    Effect.gen(function* () {
      const { privacy } = yield* resolve({})
      assert.deepStrictEqual(privacy.spanBytes, { value: 16_384, source: "default" })
      assert.deepStrictEqual(privacy.contentBytes, { value: 2000, source: "default" })
      const env = { TINYLLM_SPAN_BUDGET: "65536", TINYLLM_CONTENT_BUDGET: "10000" }
      const ofEnv = (yield* resolve({ captureContent: true }, env)).privacy
      assert.deepStrictEqual(ofEnv.spanBytes, { value: 65_536, source: "TINYLLM_SPAN_BUDGET" })
      assert.deepStrictEqual(ofEnv.contentBytes, { value: 10_000, source: "TINYLLM_CONTENT_BUDGET" })
      const ofOptions = (yield* resolve({ spanBudgetBytes: 32_768, contentBudgetBytes: 500 }, env)).privacy
      assert.deepStrictEqual([ofOptions.spanBytes.value, ofOptions.contentBytes.value], [32_768, 500])
    })
  )

  it.effect("the default has room for content as attributes and in an event", () =>
    Effect.gen(function* () {
      const { privacy, warnings } = yield* resolve({ captureContent: "SPAN_AND_EVENT" })
      assert.strictEqual(privacy.contentBytes.value, 2000)
      assert.deepStrictEqual(warnings, [])
    })
  )

  it.effect("T22 content that does not fit is cut to what does, which is reported", () =>
    Effect.gen(function* () {
      const large = yield* resolve({ captureContent: true, contentBudgetBytes: 50_000 })
      assert.strictEqual(large.privacy.contentBytes.value, 4224)
      assert.match(large.warnings.join(), /^content is cut to 4224 bytes, not 50000/)
      const limited = yield* resolve({ captureContent: true }, { OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "1000" })
      assert.strictEqual(limited.privacy.contentBytes.value, 1000)
      const none = yield* resolve({ captureContent: true }, { OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "100" })
      assert.strictEqual(none.privacy.capture.value, "NO_CONTENT")
      assert.match(none.warnings.join(), /^content is not captured/)
    })
  )

  it.effect.each<[object, Record<string, string>, string]>([
    [
      { spanBudgetBytes: 100 },
      {},
      "spanBudgetBytes must be a whole number of bytes from 4096 to 4000000, but got 100."
    ],
    [
      { spanBudgetBytes: 5000.5 },
      {},
      "spanBudgetBytes must be a whole number of bytes from 4096 to 4000000, but got 5000.5."
    ],
    [
      { contentBudgetBytes: 1 },
      {},
      "contentBudgetBytes must be a whole number of bytes from 256 to 1000000, but got 1."
    ],
    [
      {},
      { TINYLLM_SPAN_BUDGET: "16k" },
      'TINYLLM_SPAN_BUDGET must be a whole number of bytes from 4096 to 4000000, but got "16k".'
    ],
    [
      {},
      { TINYLLM_CONTENT_BUDGET: "0" },
      'TINYLLM_CONTENT_BUDGET must be a whole number of bytes from 256 to 1000000, but got "0".'
    ]
  ])("refuses %j %j", ([options, env, message]) =>
    Effect.map(refused(options, env), (actual) => assert.strictEqual(actual, message))
  )
})

describe("what is redacted", () => {
  it.effect("T25 what the option and the variable say, together", () =>
    Effect.gen(function* () {
      const { privacy } = yield* resolve({ redact: [/one/] }, { TINYLLM_REDACT: "two\n/THREE/i" })
      assert.strictEqual(
        privacy.redact("one two three four token=abcd1234"),
        "__REDACTED__ __REDACTED__ __REDACTED__ four token=__REDACTED__"
      )
    })
  )

  it.effect("T25 what describes the service, too", () =>
    Effect.gen(function* () {
      const env = {
        OTEL_RESOURCE_ATTRIBUTES:
          "host=one,db.url=https%3A%2F%2Fme%3Ahunter22%40db%2F,api_key=hunter22,team=two,two.id=1,auth.tokens=hunter22"
      }
      const { resourceAttributes } = yield* resolve({ redact: [/two/] }, env)
      assert.deepStrictEqual(resourceAttributes, {
        host: "one",
        "db.url": "https://__REDACTED__@db/",
        api_key: "__REDACTED__",
        team: "__REDACTED__",
        "__REDACTED__.id": "1",
        "auth.tokens": "__REDACTED__"
      })
    })
  )

  it.effect("T25 refuses patterns that cannot be used, without quoting them", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* refused({}, { TINYLLM_REDACT: "ok\n(hunter22" }),
        "TINYLLM_REDACT must be regular expressions, one a line, but got one that cannot be used: " +
          "line 2: it is no regular expression (unterminated group)."
      )
      assert.strictEqual(
        yield* refused({ redact: [/ok/, /(hunter22+)+/] }),
        "redact must be a list of regular expressions, but got one that cannot be used: " +
          "it repeats a group that repeats or has alternatives inside, which can take forever."
      )
      assert.include(yield* refused({ redact: "hunter" }), "redact must be a list of regular expressions")
    })
  )
})
