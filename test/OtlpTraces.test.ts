import type { HrTime } from "@opentelemetry/api"
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import { resourceFromAttributes } from "@opentelemetry/resources"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import * as Result from "effect/Result"
import { assert, describe, it } from "vitest"
import { decode } from "../src/OtlpProtobuf.ts"
import * as OtlpTraces from "../src/OtlpTraces.ts"
import type { StoredSpan } from "../src/StoredSpan.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const time = (nanos: number): HrTime => [1_700_000_000, nanos]

/** A span as the SDK hands it to its exporters, with a value of every kind. */
const readable = (name: string, more: Partial<ReadableSpan> = {}): ReadableSpan => ({
  name,
  kind: 2,
  spanContext: () => ({ traceId, spanId: "b7ad6b7169203331", traceFlags: 1 }),
  parentSpanContext: { traceId, spanId: "00f067aa0ba902b7", traceFlags: 1, isRemote: true },
  startTime: time(1),
  endTime: time(999_999_999),
  duration: [0, 999_999_998],
  status: { code: 2, message: "läuft nicht 🙈" },
  attributes: {
    text: "grün",
    empty: "",
    yes: true,
    no: false,
    zero: 0,
    int: -42,
    large: Number.MAX_SAFE_INTEGER,
    double: 0.7,
    tiny: 5e-324,
    list: ["a", "b"],
    numbers: [1, 2.5],
    none: []
  },
  links: [
    { context: { traceId: traceId.replace("0", "f"), spanId: "00f067aa0ba902b7", traceFlags: 0 }, attributes: { a: 1 } }
  ],
  events: [{ name: "exception", time: time(5), attributes: { "exception.type": "E" }, droppedAttributesCount: 3 }],
  ended: true,
  resource,
  instrumentationScope: scope,
  droppedAttributesCount: 1,
  droppedEventsCount: 2,
  droppedLinksCount: 300,
  ...more
})
const resource = resourceFromAttributes({ "service.name": "shop", "process.pid": 7 })
const scope = { name: "tinyllm", version: "0.1.0" }

const requestOf = (...spans: ReadonlyArray<ReadableSpan>): Uint8Array =>
  ProtobufTraceSerializer.serializeRequest(spans as Array<ReadableSpan>) ?? new Uint8Array()
const jsonOf = (...spans: ReadonlyArray<ReadableSpan>): string =>
  new TextDecoder().decode(JsonTraceSerializer.serializeRequest(spans as Array<ReadableSpan>))

/** What a failure says, or `undefined`. */
const why = (result: Result.Result<unknown, Error>): string | undefined =>
  Result.isFailure(result) ? result.failure.message : undefined

const varied = [
  readable("one"),
  readable("", { kind: 0, parentSpanContext: undefined, attributes: {}, events: [], links: [] } as never),
  readable("other service", { resource: resourceFromAttributes({ "service.name": "till" }) }),
  readable("other library", { instrumentationScope: { name: "http", version: "2", schemaUrl: "https://x/1" } })
]

describe("spans", () => {
  it("reads what the SDK's serializer writes", () => {
    const [span, second, third, fourth] = Result.getOrThrow(OtlpTraces.spans(requestOf(...varied)))
    assert.deepStrictEqual(span, {
      traceId,
      spanId: "b7ad6b7169203331",
      parentSpanId: "00f067aa0ba902b7",
      name: "one",
      kind: "client",
      startNanos: 1_700_000_000_000_000_001n,
      endNanos: 1_700_000_000_999_999_999n,
      status: { code: "error", message: "läuft nicht 🙈" },
      attributes: {
        text: "grün",
        empty: "",
        yes: true,
        no: false,
        zero: 0,
        int: -42,
        large: Number.MAX_SAFE_INTEGER,
        double: 0.7,
        tiny: 5e-324,
        list: ["a", "b"],
        numbers: [1, 2.5],
        none: []
      },
      events: [{ name: "exception", timeNanos: 1_700_000_000_000_000_005n, attributes: { "exception.type": "E" } }],
      links: [{ traceId: `faf7${traceId.slice(4)}`, spanId: "00f067aa0ba902b7", attributes: { a: 1 } }],
      resource: { "service.name": "shop", "process.pid": 7 },
      scope: { name: "tinyllm", version: "0.1.0" },
      traceState: "",
      dropped: { attributes: 1, events: 2, links: 300 }
    } satisfies StoredSpan)
    assert.deepStrictEqual([second?.name, second?.kind, second?.parentSpanId], ["", "internal", undefined])
    // The serializer sorts them by resource.
    assert.deepStrictEqual(
      [third, fourth].map((span) => [span?.name, span?.resource["service.name"], span?.scope.name]).sort(),
      [
        ["other library", "shop", "http"],
        ["other service", "till", "tinyllm"]
      ]
    )
  })

  it("keeps integers of 64 bits exact, and values that are nested", () => {
    const json = JSON.stringify({
      resourceSpans: [
        {
          scopeSpans: [
            {
              spans: [
                {
                  traceId,
                  spanId: "b7ad6b7169203331",
                  attributes: [
                    { key: "most", value: { intValue: "9223372036854775807" } },
                    { key: "least", value: { intValue: "-9223372036854775808" } },
                    { key: "bytes", value: { bytesValue: "AP8=" } },
                    { key: "nothing", value: {} },
                    { key: "__proto__", value: { stringValue: "just a key" } },
                    {
                      key: "map",
                      value: { kvlistValue: { values: [{ key: "in", value: { arrayValue: { values: [{}] } } }] } }
                    }
                  ]
                }
              ]
            }
          ]
        }
      ]
    })
    const [span] = Result.getOrThrow(OtlpTraces.spans(Result.getOrThrow(OtlpTraces.fromJson(json))))
    assert.deepStrictEqual(Object.entries(span?.attributes ?? {}), [
      ["most", 9223372036854775807n],
      ["least", -9223372036854775808n],
      ["bytes", Uint8Array.of(0, 255)],
      ["nothing", null],
      ["__proto__", "just a key"],
      ["map", { in: [null] }]
    ])
  })

  it("reads again what it was given as spans", () => {
    const spans = Result.getOrThrow(OtlpTraces.spans(requestOf(...varied)))
    assert.deepStrictEqual(Result.getOrThrow(OtlpTraces.spans(OtlpTraces.request(spans))), spans)
  })

  it("ends with a reason on every request that is cut off", () => {
    const whole = requestOf(...varied)
    for (let length = 1; length < whole.length; length++) {
      const result = OtlpTraces.spans(whole.subarray(0, length))
      // The end of the one list is where the next begins.
      assert.isTrue(Result.isFailure(result) || result.success.length < varied.length, `${length} bytes`)
    }
  })

  it("survives bytes that are anything, and a byte that has changed", () => {
    const whole = requestOf(...varied)
    let seed = 1
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
    for (let round = 0; round < 3000; round++) {
      const bytes = round % 2 === 0 ? Uint8Array.from({ length: random(64) }, () => random(256)) : whole.slice()
      bytes[random(bytes.length)] = random(256)
      for (const read of [OtlpTraces.spans, OtlpTraces.toJson, OtlpTraces.split]) {
        read(bytes)
      }
    }
  })

  it("refuses values nested without end", () => {
    // An array in an array, over and over: each is a field 5 with a field 1 in it.
    let value: Uint8Array = Uint8Array.of()
    for (let depth = 0; depth < 500; depth++) {
      value = within(5, within(1, value))
    }
    const attribute = within(9, within(2, value))
    const request = within(1, within(2, within(2, attribute)))
    assert.strictEqual(why(OtlpTraces.spans(request)), "its values are nested more than 100 deep")
  })
})

/** A field of protobuf that is bytes. */
const within = (field: number, content: Uint8Array): Uint8Array => {
  const length: Array<number> = []
  let rest = content.length
  for (; rest > 127; rest >>>= 7) {
    length.push((rest & 127) | 128)
  }
  return Uint8Array.from([(field << 3) | 2, ...length, rest, ...content])
}

describe("toJson", () => {
  it("writes what the SDK's JSON serializer writes", () => {
    const ours = Result.getOrThrow(OtlpTraces.toJson(requestOf(...varied)))
    // The SDK leaves empty lists in and writes integers as numbers; OTLP has both, or neither, mean the same.
    assert.deepStrictEqual(plain(ours), plain(JSON.parse(jsonOf(...varied))))
  })

  it("is read back to the same bytes", () => {
    const request = requestOf(...varied)
    const text = JSON.stringify(Result.getOrThrow(OtlpTraces.toJson(request)))
    assert.deepStrictEqual(Result.getOrThrow(OtlpTraces.fromJson(text)), request)
  })
})

/** Without what may be left out, and with every integer as a text. */
const plain = (json: unknown): unknown =>
  Array.isArray(json)
    ? json.map(plain)
    : typeof json === "object" && json !== null
      ? Object.fromEntries(
          Object.entries(json).flatMap(([key, value]) =>
            (Array.isArray(value) && value.length === 0) || value === undefined
              ? []
              : [[key, key === "intValue" ? String(value) : plain(value)]]
          )
        )
      : json

describe("fromJson", () => {
  const withSpan = (span: object) =>
    OtlpTraces.fromJson(JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }))
  const read = (result: Result.Result<Uint8Array, Error>) =>
    Result.getOrThrow(OtlpTraces.spans(Result.getOrThrow(result)))[0]

  it("reads what the SDK's JSON serializer writes as what its protobuf serializer does", () => {
    const fromJson = Result.getOrThrow(OtlpTraces.fromJson(jsonOf(...varied)))
    assert.deepStrictEqual(OtlpTraces.spans(fromJson), OtlpTraces.spans(requestOf(...varied)))
  })

  it("reads all digits of integers that are numbers, and ids in upper case", () => {
    const span = read(
      OtlpTraces.fromJson(`{"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "${traceId.toUpperCase()}", "spanId": "B7AD6B7169203331", "startTimeUnixNano": 1700000000123456789,
        "endTimeUnixNano": "1700000000123456790", "attributes": [{"key": "n", "value": {"intValue": 9007199254740993}}]
      }]}]}]}`)
    )
    assert.deepStrictEqual(
      [span?.traceId, span?.startNanos, span?.endNanos, span?.attributes],
      [traceId, 1_700_000_000_123_456_789n, 1_700_000_000_123_456_790n, { n: 9007199254740993n }]
    )
  })

  it("passes over fields that it does not know, and those that are null", () => {
    const span = read(withSpan({ name: "a", future: { deep: [1] }, kind: null, trace_state: "not a name", flags: 257 }))
    assert.deepStrictEqual([span?.name, span?.kind, span?.traceState], ["a", "unspecified", ""])
  })

  it("reads kinds and codes also by their names, and numbers that are none", () => {
    const span = read(
      withSpan({
        kind: "SPAN_KIND_SERVER",
        status: { code: "STATUS_CODE_ERROR" },
        attributes: [{ key: "n", value: { doubleValue: "-Infinity" } }]
      })
    )
    assert.deepStrictEqual(
      [span?.kind, span?.status.code, span?.attributes],
      ["server", "error", { n: Number.NEGATIVE_INFINITY }]
    )
  })

  it.each([
    ["{", "it is no JSON"],
    ["[]", "ExportTraceServiceRequest must be an object"],
    ["null", "ExportTraceServiceRequest must be an object"],
    [`{"resourceSpans":{}}`, "resourceSpans must be a list"],
    [`{"resourceSpans":[[]]}`, "resourceSpans must be an object"]
  ])("says what is wrong with %s", (text, expected) => {
    assert.strictEqual(why(OtlpTraces.fromJson(text)), expected)
  })

  it.each([
    [{ traceId: "zz" }, "traceId must be hexadecimal digits"],
    [{ traceId: 1 }, "traceId must be hexadecimal digits"],
    [{ name: 1 }, "name must be a text"],
    [{ startTimeUnixNano: "soon" }, "startTimeUnixNano must be an integer from 0 to 18446744073709551615"],
    [{ startTimeUnixNano: -1 }, "startTimeUnixNano must be an integer from 0 to 18446744073709551615"],
    [{ droppedLinksCount: 1.5 }, "droppedLinksCount must be an integer from 0 to 4294967295"],
    [{ attributes: [{ value: { doubleValue: "much" } }] }, "doubleValue must be a number"],
    [{ attributes: [{ value: { bytesValue: "?" } }] }, "bytesValue must be a text in base64"],
    [{ attributes: [{ value: { boolValue: "true" } }] }, "boolValue must be true or false"]
  ])("says what is wrong with a span %j", (span, expected) => {
    assert.strictEqual(why(withSpan(span)), expected)
  })

  it("refuses values nested without end", () => {
    const depth = 2000
    const value = `${`{"arrayValue":{"values":[`.repeat(depth)}{}${"]}}".repeat(depth)}`
    const text = `{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":${value}}]}}]}`
    assert.strictEqual(why(OtlpTraces.fromJson(text)), "its values are nested more than 100 deep")
  })
})

describe("split and join", () => {
  it("refuses spans and scopes without end, which take more memory than bytes", () => {
    const empty = (bytes: number) => Buffer.alloc(bytes, Buffer.from([0x12, 0]))
    const within = (field: number, content: Uint8Array) => {
      const length = [0, 7, 14, 21].map((bits) => ((content.length >> bits) & 127) | (bits < 21 ? 128 : 0))
      return Buffer.concat([Buffer.from([field * 8 + 2, ...length]), content])
    }
    for (const request of [within(1, empty(1_000_000)), within(1, within(2, empty(1_000_000)))]) {
      const refused = OtlpTraces.split(request, 300_000)
      assert.isTrue(Result.isFailure(refused) && refused.failure.message === "it has more than 300000 spans and scopes")
    }
    assert.isTrue(Result.isSuccess(OtlpTraces.split(within(1, within(2, empty(500_000))))))
    const objects = OtlpTraces.fromJson(`{"resourceSpans":[${"{},".repeat(1_500_000)}{}]}`)
    assert.isTrue(Result.isFailure(objects) && objects.failure.message === "it has more than 1500000 objects and lists")
    // Attributes of one span.
    const span = Buffer.alloc(1_200_000, Buffer.from([0x4a, 0]))
    assert.throws(() => decode("Span", span), "it has more than 500000 parts")
  })

  it("takes a request apart and puts it together, byte for byte", () => {
    const request = requestOf(...varied)
    const parts = Result.getOrThrow(OtlpTraces.split(request))
    assert.deepStrictEqual(
      parts.map(({ spans }) => spans.length),
      [2, 1, 1]
    )
    assert.deepStrictEqual(Result.getOrThrow(OtlpTraces.spans(OtlpTraces.join(parts))).length, 4)
    const [first] = parts
    const [span] = first?.spans ?? []
    assert.isDefined(span)
    assert.isTrue(Buffer.from(OtlpTraces.join(parts)).includes(Buffer.from(span ?? [])))
    assert.deepStrictEqual(
      Result.getOrThrow(OtlpTraces.split(OtlpTraces.join(parts))),
      parts,
      "and what is put together can be taken apart"
    )
  })
})
