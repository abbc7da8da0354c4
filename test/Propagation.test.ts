import { assert, describe, it } from "@effect/vitest"
import { trace } from "@opentelemetry/api"
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { ConfigProvider, Effect, Layer, Logger, Option, References } from "effect"
import { Headers as EffectHeaders } from "effect/http"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Baggage from "../src/Baggage.ts"
import * as Propagation from "../src/Propagation.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { Stderr } from "../src/Stderr.ts"
import * as TraceContext from "../src/TraceContext.ts"
import * as Collector from "./support/Collector.ts"
import * as Process from "./support/Process.ts"
import { Spans } from "./support/Spans.ts"
import * as TraceService from "./support/TraceService.ts"

const T = "12345678901234567890123456789012"
const P = "1234567890123456"
const remote = { traceparent: `00-${T}-${P}-01` }

const all: ReadonlyArray<Propagation.Propagator> = ["tracecontext", "baggage", "b3", "b3multi"]

const withPropagators = (...names: ReadonlyArray<Propagation.Propagator>) =>
  Effect.provideService(Propagation.Propagators, names)

/** The span that headers name, as `traceparent` and `tracestate` would. */
const seen = (carrier: unknown, ...propagators: ReadonlyArray<Propagation.Propagator>) =>
  Effect.map(
    propagators.length === 0
      ? Propagation.extract(carrier as Propagation.Carrier)
      : Propagation.extract(carrier as Propagation.Carrier).pipe(withPropagators(...propagators)),
    ({ parent }) =>
      Option.match(parent, {
        onNone: () => undefined,
        onSome: (span) =>
          `00-${span.traceId}-${span.spanId}-0${TraceContext.flagsOf(span)} ${TraceContext.stateOf(span) ?? ""}`.trim()
      })
  )

/** The lines that an effect logs. */
const logged = <A, E, R>(self: Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  return self.pipe(
    Effect.provide(
      Layer.merge(
        Logger.layer([Logger.make(({ logLevel, message }) => void lines.push(`${logLevel}: ${String(message)}`))]),
        Layer.succeed(References.MinimumLogLevel, "Debug")
      )
    ),
    Effect.map((value) => ({ value, lines }))
  )
}

describe("Propagation.inject", () => {
  it.effect("T48 names the current span, its trace's state and the baggage; nothing where there is none", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Propagation.inject, {})
      const [span, headers] = yield* Effect.all([Effect.currentSpan, Propagation.inject]).pipe(
        Effect.withSpan("inner"),
        Effect.withSpan("outer"),
        Baggage.withEntries({ tenant: "a b" }),
        Propagation.withRemote({ ...remote, tracestate: "foo@=1" })
      )
      assert.deepStrictEqual(headers, {
        traceparent: `00-${T}-${span.spanId}-01`,
        tracestate: "foo@=1",
        baggage: "tenant=a%20b"
      })
    }).pipe(Effect.provide(Spans.layer))
  )

  it.effect(
    "T48 without telemetry names no span of this program, which nobody records, but the one it was called by",
    () =>
      Effect.gen(function* () {
        const inside = Propagation.inject.pipe(Effect.withSpan("inner"), Effect.withSpan("outer"))
        assert.deepStrictEqual(yield* inside, {})
        assert.deepStrictEqual(yield* Propagation.withRemote(remote)(inside), remote)
      })
  )

  it.effect("T48 writes b3 only where it is asked for", () =>
    Effect.gen(function* () {
      const headers = (...names: ReadonlyArray<Propagation.Propagator>) =>
        Propagation.inject.pipe(
          withPropagators(...names),
          Baggage.withEntries({ tenant: "a" }),
          Propagation.withRemote(remote)
        )
      assert.deepStrictEqual(yield* headers("b3"), { b3: `${T}-${P}-1` })
      assert.deepStrictEqual(yield* headers("b3multi"), {
        "x-b3-traceid": T,
        "x-b3-spanid": P,
        "x-b3-sampled": "1"
      })
      assert.deepStrictEqual(yield* headers("baggage"), { baggage: "tenant=a" })
      assert.deepStrictEqual(yield* headers(), {})
      assert.sameMembers(Object.keys(yield* headers(...all)), [
        "traceparent",
        "baggage",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-sampled"
      ])
      const unsampled = yield* Propagation.inject.pipe(
        withPropagators(...all),
        Propagation.withRemote({ traceparent: `00-${T}-${P}-02` })
      )
      assert.include(unsampled, { traceparent: `00-${T}-${P}-02`, b3: `${T}-${P}-0`, "x-b3-sampled": "0" })
    })
  )

  it.effect("T48 passes the caller's span on where tracing is off, for the next service to continue", () =>
    Effect.gen(function* () {
      const off = Effect.provideService(References.TracerEnabled, false)
      const inside = Propagation.inject.pipe(Effect.withSpan("inner"), Effect.withSpan("outer"))
      assert.deepStrictEqual(yield* inside.pipe(off), {})
      assert.deepStrictEqual(yield* inside.pipe(Propagation.withRemote({ ...remote, tracestate: "foo=1" }), off), {
        ...remote,
        tracestate: "foo=1"
      })
    })
  )

  it.effect("says at level debug when baggage does not fit", () =>
    Effect.gen(function* () {
      const entries = Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`k${index}`, "secret"]))
      const { lines, value } = yield* logged(Propagation.inject.pipe(Baggage.withEntries(entries)))
      assert.strictEqual(value["baggage"]?.split(",").length, 64)
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", /^Debug: 6 of 70 entries/)
      assert.notInclude(lines[0], "secret")
    })
  )
})

describe("Propagation.extract", () => {
  it.effect("T46 reads headers however they are kept and spelled", () =>
    Effect.gen(function* () {
      const expected = `00-${T}-${P}-01 foo=1,bar=2`
      const { traceparent } = remote
      const carriers: ReadonlyArray<unknown> = [
        { traceparent, tracestate: "foo=1,bar=2" },
        { TraceParent: traceparent, TRACESTATE: "foo=1,bar=2" },
        { traceparent, tracestate: ["foo=1", "bar=2"] },
        { traceparent: [traceparent], tracestate: "foo=1 , bar=2", other: undefined },
        new Headers([
          ["traceparent", traceparent],
          ["tracestate", "foo=1"],
          ["tracestate", "bar=2"]
        ]),
        new Map([
          ["Traceparent", traceparent],
          ["tracestate", "foo=1,bar=2"]
        ]),
        EffectHeaders.fromInput({ traceparent, tracestate: "foo=1,bar=2" }),
        [
          ["traceparent", traceparent],
          ["tracestate", "foo=1"],
          ["Tracestate", "bar=2"]
        ]
      ]
      for (const carrier of carriers) {
        assert.strictEqual(yield* seen(carrier), expected)
      }
    })
  )

  it.effect(
    "T46 two traceparents, or names that are none, begin a new trace, and a tracestate alone means nothing",
    () =>
      Effect.gen(function* () {
        const { traceparent } = remote
        for (const carrier of [
          { traceparent: [traceparent, traceparent] },
          { traceparent, Traceparent: traceparent },
          { "trace-parent": traceparent },
          { "trace.parent": traceparent },
          { tracestate: "foo=1" },
          { traceparent: `00-${T}-${P}-01.`, tracestate: "foo=1" },
          {}
        ]) {
          assert.isUndefined(yield* seen(carrier), JSON.stringify(carrier))
        }
        assert.strictEqual(yield* seen({ traceparent, tracestate: "foo=1,BAR=2" }), traceparent)
      })
  )

  it.effect("T46 nothing makes it fail", () =>
    Effect.gen(function* () {
      const hostile = new Proxy(
        {},
        {
          get: () => {
            throw new Error("no")
          },
          ownKeys: () => {
            throw new Error("no")
          }
        }
      )
      for (const carrier of [
        undefined,
        null,
        7,
        "traceparent",
        [],
        [[]],
        [null],
        ["traceparent", remote.traceparent],
        { traceparent: 7, tracestate: null, baggage: {} },
        { traceparent: [undefined, {}], baggage: [Symbol("x")] },
        {
          get traceparent(): string {
            throw new Error("no")
          }
        },
        hostile,
        { traceparent: "0".repeat(1_000_000), tracestate: ",".repeat(1_000_000), baggage: "=;,".repeat(300_000) }
      ]) {
        for (const names of [["tracecontext", "baggage"], all]) {
          assert.isUndefined(yield* seen(carrier, ...(names as ReadonlyArray<Propagation.Propagator>)))
        }
        assert.strictEqual(
          yield* Effect.succeed(42).pipe(Propagation.withRemote(carrier as unknown as Propagation.Carrier)),
          42
        )
      }
    })
  )

  it.effect.each<[Record<string, string>, string | undefined]>([
    [{ b3: `${T}-${P}-1` }, `00-${T}-${P}-01`],
    [{ b3: `${T}-${P}-0` }, `00-${T}-${P}-00`],
    [{ b3: `${T}-${P}-d` }, `00-${T}-${P}-01`],
    [{ b3: `${T}-${P}` }, `00-${T}-${P}-01`],
    [{ B3: `${T}-${P}-1-0000000000000001` }, `00-${T}-${P}-01`],
    [{ b3: `${P}-${P}-1` }, `00-${"0".repeat(16)}${P}-${P}-01`],
    [{ b3: `${"A".repeat(32)}-${"B".repeat(16)}-1` }, `00-${"a".repeat(32)}-${"b".repeat(16)}-01`],
    [{ "X-B3-TraceId": T, "X-B3-SpanId": P, "X-B3-Sampled": "1" }, `00-${T}-${P}-01`],
    [{ "x-b3-traceid": T, "x-b3-spanid": P, "x-b3-sampled": "0" }, `00-${T}-${P}-00`],
    [{ "x-b3-traceid": T, "x-b3-spanid": P, "x-b3-sampled": "0", "x-b3-flags": "1" }, `00-${T}-${P}-01`],
    [{ "x-b3-traceid": T, "x-b3-spanid": P }, `00-${T}-${P}-01`],
    [{ b3: "0" }, undefined],
    [{ b3: `${T.slice(1)}-${P}-1` }, undefined],
    [{ b3: `${T}-${"0".repeat(16)}-1` }, undefined],
    [{ "x-b3-traceid": T }, undefined],
    [{}, undefined]
  ])("reads %j", ([headers, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* seen(headers, "b3"), expected)
      assert.strictEqual(yield* seen(headers, "b3multi"), expected)
      assert.isUndefined(yield* seen(headers), "not unless it is asked for")
    })
  )

  it.effect("believes the last propagator that finds something, and reads nothing for none", () =>
    Effect.gen(function* () {
      const headers = { ...remote, tracestate: "foo=1", b3: `${"a".repeat(32)}-${P}-1`, baggage: "a=1" }
      assert.strictEqual(yield* seen(headers, "tracecontext", "b3"), `00-${"a".repeat(32)}-${P}-01`)
      assert.strictEqual(yield* seen(headers, "b3", "tracecontext"), `00-${T}-${P}-01 foo=1`)
      assert.strictEqual(yield* seen({ ...headers, b3: "" }, "tracecontext", "b3"), `00-${T}-${P}-01 foo=1`)
      const none = yield* Propagation.extract(headers).pipe(withPropagators())
      assert.isTrue(Option.isNone(none.parent))
      assert.strictEqual(none.baggage.size, 0)
      assert.strictEqual((yield* Propagation.extract(headers)).baggage.get("a")?.value, "1")
    })
  )
})

describe("Propagation.withRemote", () => {
  it.effect("makes the caller the parent, before a span that is open, and adds its baggage", () =>
    Effect.gen(function* () {
      const handler = Effect.all([Effect.currentParentSpan, Propagation.inject])
      const [parent, headers] = yield* handler.pipe(
        Propagation.withRemote({ ...remote, baggage: "a=2,b=3" }),
        Baggage.withEntries({ a: "1", c: "4" }),
        Effect.withSpan("serve")
      )
      assert.strictEqual(parent.spanId, P)
      assert.strictEqual(headers["baggage"], "a=2,c=4,b=3")
      const without = yield* handler.pipe(Propagation.withRemote({}), Effect.withSpan("serve"))
      assert.strictEqual(without[0]._tag, "Span")
    })
  )
})

describe("Propagation.withEnvironment", () => {
  const inside = Effect.all([Propagation.inject, Effect.option(Effect.currentParentSpan)])
  const within = (env: Record<string, string>, self = Propagation.withEnvironment(inside)) =>
    logged(self.pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))))

  it.effect("T49 reads TRACEPARENT, TRACESTATE and BAGGAGE", () =>
    Effect.gen(function* () {
      const { lines, value } = yield* within({
        TRACEPARENT: ` 00-${T}-${P}-03\t`,
        TRACESTATE: "foo@=1,bar=2",
        BAGGAGE: "a=1;p,b=2"
      })
      assert.deepStrictEqual(value[0], {
        traceparent: `00-${T}-${P}-03`,
        tracestate: "foo@=1,bar=2",
        baggage: "a=1;p,b=2"
      })
      assert.deepStrictEqual(lines, [])
    })
  )

  it.effect(
    "T49 begins a new trace when TRACEPARENT is not valid, with one line at level debug that does not quote it",
    () =>
      Effect.gen(function* () {
        const { lines, value } = yield* within({ TRACEPARENT: "00-nonsense", TRACESTATE: "foo=1", BAGGAGE: "a=1" })
        assert.deepStrictEqual(value, [{ baggage: "a=1" }, Option.none()])
        assert.deepStrictEqual(lines, ["Debug: TRACEPARENT names no valid parent, so a new trace begins."])
        for (const env of [
          {},
          { TRACEPARENT: "" },
          { traceparent: remote.traceparent, Traceparent: remote.traceparent }
        ]) {
          assert.deepStrictEqual(yield* within(env), { value: [{}, Option.none()], lines: [] })
        }
      })
  )

  it.effect("T49 reads what the propagators are for", () =>
    Effect.gen(function* () {
      const env = { TRACEPARENT: remote.traceparent, BAGGAGE: "a=1" }
      const only = (...names: ReadonlyArray<Propagation.Propagator>) =>
        Effect.map(
          within(
            env,
            Propagation.withEnvironment(inside.pipe(withPropagators(...all))).pipe(withPropagators(...names))
          ),
          ({ value }) => Object.keys(value[0])
        )
      assert.deepStrictEqual(yield* only("baggage"), ["baggage"])
      assert.notInclude(yield* only("tracecontext"), "baggage")
      assert.deepStrictEqual(yield* only(), [])
    })
  )

  it.effect("leaves a span that is open and baggage that is set their places", () =>
    Effect.gen(function* () {
      const env = { TRACEPARENT: remote.traceparent, BAGGAGE: "a=1,b=1" }
      const self = Propagation.withEnvironment(inside).pipe(Baggage.withEntries({ a: "2" }), Effect.withSpan("open"))
      const { value } = yield* within(env, self)
      assert.strictEqual(value[0]["baggage"], "a=2,b=1")
      assert.notInclude(value[0]["traceparent"], T)
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("Propagation.childEnvironment", () => {
  it.effect("T50 names the current span, and takes away what is not to be inherited", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Propagation.childEnvironment, {
        TRACEPARENT: undefined,
        TRACESTATE: undefined,
        BAGGAGE: undefined
      })
      const [span, env] = yield* Effect.all([Effect.currentSpan, Propagation.childEnvironment]).pipe(
        withPropagators(...all),
        Effect.withSpan("tool"),
        Propagation.withRemote({ ...remote, tracestate: "foo=1", baggage: "a=1" })
      )
      assert.deepStrictEqual(env, {
        TRACEPARENT: `00-${T}-${span.spanId}-01`,
        TRACESTATE: "foo=1",
        BAGGAGE: "a=1"
      })
    }).pipe(Effect.provide(Spans.layer))
  )
})

describe("A program that a traced tool starts", () => {
  const print = `const { TRACEPARENT, TRACESTATE, BAGGAGE, traceparent, b3 } = process.env
    console.log(JSON.stringify({ TRACEPARENT, TRACESTATE, BAGGAGE, traceparent, b3 }))`

  const started = (command: ReadonlyArray<string>, env: Record<string, string>) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const tracing = { TINYLLM_TRACING: "true", TINYLLM_OTLP_ENDPOINT: collector.url }
      const result = yield* Effect.promise(() =>
        Process.runNode("test/fixtures/parent.ts", [process.execPath, ...command], { env: { ...tracing, ...env } })
      )
      assert.strictEqual(result.code, 0, result.stderr)
      const [first = "", ...rest] = result.stdout.trim().split("\n")
      return { collector, first, rest }
    })

  it.live("T50 is told of the tool's span, and the environment of the parent stays as it is", () =>
    Effect.gen(function* () {
      const { collector, first, rest } = yield* started(["-e", print], {
        TRACEPARENT: `00-${T}-${P}-03`,
        TRACESTATE: "foo@=1",
        BAGGAGE: "a=%C3%A9;p"
      })
      const tool = collector.span("node.tool")
      assert.strictEqual(tool.traceId, T)
      assert.strictEqual(collector.span("graph.execute").parentId, P)
      assert.deepStrictEqual(JSON.parse(first), {
        TRACEPARENT: `00-${T}-${tool.spanId}-03`,
        TRACESTATE: "foo@=1",
        BAGGAGE: "a=%C3%A9;p"
      })
      assert.deepStrictEqual(rest, ["environment unchanged"])
    })
  )

  it.live("T50 inherits no state of a trace that its parent did not continue", () =>
    Effect.gen(function* () {
      const { collector, first, rest } = yield* started(["-e", print], { TRACEPARENT: "nonsense", TRACESTATE: "foo=1" })
      const tool = collector.span("node.tool")
      const { TRACEPARENT, ...others } = JSON.parse(first) as Record<string, string>
      assert.match(TRACEPARENT ?? "", new RegExp(`^00-${tool.traceId}-${tool.spanId}-0[13]$`))
      assert.deepStrictEqual(others, {})
      assert.deepStrictEqual(rest, ["environment unchanged"])
    })
  )

  it.live("T50 T49 is part of the same trace when it is tinyllm itself", () =>
    Effect.gen(function* () {
      const { collector, first } = yield* started([`${Process.root}src/Main.ts`, "run", "1 + 1", "--demo"], {
        TRACEPARENT: `00-${T}-${P}-01`,
        TRACESTATE: "foo@=1"
      })
      assert.strictEqual(first, "2")
      const spans = collector.spans()
      assert.strictEqual(spans.length, 16, "two of the parent, fourteen of the child")
      for (const span of spans) {
        assert.strictEqual(span.traceId, T, span.name)
        assert.strictEqual(span.traceState, "foo@=1", span.name)
      }
      const child = spans.find(({ attributes }) => attributes["graph.id"] === "assistant")
      assert.strictEqual(child?.parentId, collector.span("node.tool").spanId)
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Over HTTP
// ---------------------------------------------------------------------------------------------------------------------

type Sent = ReadonlyArray<readonly [name: string, value: string]>

const post = (url: string, sent: Sent, body: unknown) =>
  Effect.callback<number>((resume) => {
    const headers = ["content-type", "application/json", "host", new URL(url).host, ...sent.flat()]
    const request = Http.request(url, { method: "POST", headers, agent: false }, (response) => {
      response.resume().on("end", () => resume(Effect.succeed(response.statusCode ?? 0)))
    })
    request.end(JSON.stringify(body))
  })

/** A server that keeps the headers of every request. */
const listener = Effect.gen(function* () {
  const received: Array<Http.IncomingHttpHeaders> = []
  const server = Http.createServer((request, response) => {
    received.push(request.headers)
    request.resume().on("end", () => response.end("null"))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }
})

const accepted: ReadonlyArray<readonly [traceparent: string, flags: string]> = [
  [`00-${T}-${P}-00`, "00"],
  [`00-${T}-${P}-01`, "01"],
  [`00-${T}-${P}-02`, "02"],
  [`00-${T}-${P}-03`, "03"],
  [`00-${T}-${P}-ff`, "03"],
  [`cc-${T}-${P}-01`, "01"],
  [`cc-${T}-${P}-01-what-comes-next`, "01"],
  [` 00-${T}-${P}-01`, "01"],
  [`\t00-${T}-${P}-01`, "01"],
  [`00-${T}-${P}-01 `, "01"],
  [`00-${T}-${P}-01\t`, "01"],
  [`\t 00-${T}-${P}-01 \t`, "01"]
]

const refused = [
  `cc-${T}-${P}-01.what-comes-next`,
  `00-${T}-${P}-01-x`,
  `00-${T}-${P}-01.`,
  ...["ff", "0", "000", "0000", ".0", "0."].map((version) => `${version}-${T}-${P}-01`),
  ...["0".repeat(32), `.${T.slice(1)}`, `${T.slice(1)}.`, "A".repeat(32), `${T}3`, T.slice(1)].map(
    (traceId) => `00-${traceId}-${P}-01`
  ),
  ...["0".repeat(16), `.${P.slice(1)}`, `${P.slice(1)}.`, "A".repeat(16), `${P}7`, P.slice(1)].map(
    (spanId) => `00-${T}-${spanId}-01`
  ),
  ...["1", "001", ".0", "0.", "0A"].map((flags) => `00-${T}-${P}-${flags}`)
]

const members = (count: number) => Array.from({ length: count }, (_, index) => `k${index}=${index}`)
const printable = Array.from({ length: 0x7e - 0x20 + 1 }, (_, index) => String.fromCharCode(0x20 + index))
  .filter((letter) => letter !== "," && letter !== "=")
  .join("")

/** What is sent in one or more headers, and what goes on. */
const states: ReadonlyArray<readonly [sent: ReadonlyArray<string>, received: string | undefined]> = [
  [["foo=1,bar=2"], "foo=1,bar=2"],
  [["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"],
  [[" foo=1"], "foo=1"],
  [["foo=1 \t"], "foo=1"],
  [["foo=1,,bar=2"], "foo=1,bar=2"],
  [["foo=1", ""], "foo=1"],
  [["", "foo=1"], "foo=1"],
  [[""], undefined],
  [["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], "foo=1,bar=2,rojo=1,congo=2,baz=3"],
  [["foo=1,foo=1"], "foo=1"],
  [["foo=1,foo=2"], "foo=1"],
  [["foo=1", "foo=2"], "foo=1"],
  [["foo@=1,bar=2"], "foo@=1,bar=2"],
  [["foo@@bar=1,bar=2"], "foo@@bar=1,bar=2"],
  [["foo@bar@baz=1,bar=2"], "foo@bar@baz=1,bar=2"],
  [["0foo=1"], "0foo=1"],
  [["foo=1,ot=rv:6e6d1a75832a2f;x:1"], "foo=1,ot=rv:6e6d1a75832a2f;x:1"],
  [[`a0_-*/@z=${printable}`], `a0_-*/@z=${printable}`],
  [["foo=1", `${"z".repeat(256)}=1`], `foo=1,${"z".repeat(256)}=1`],
  [[`${"t".repeat(242)}@v=1,t@${"v".repeat(15)}=1`], `${"t".repeat(242)}@v=1,t@${"v".repeat(15)}=1`],
  [[members(16).join(","), members(32).slice(16).join(",")], members(32).join(",")],
  [[members(16).join(","), members(33).slice(16).join(",")], undefined],
  [["@foo=1,bar=2"], undefined],
  [["foo =1"], undefined],
  [["FOO=1"], undefined],
  [["foo.bar=1"], undefined],
  [["foo=1", `${"z".repeat(257)}=1`], undefined],
  [["foo=bar=baz"], undefined],
  [["foo=,bar=3"], undefined]
]

const silent = Layer.succeed(Stderr, { write: () => {}, status: () => {}, isTerminal: false, columns: () => undefined })
const ignoring: SpanProcessor = {
  onStart: () => {},
  onEnd: () => {},
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve()
}

describe.each([
  ["TinyLLM's tracer", Telemetry.layer({ exporter: "console" })],
  ["a SpanProcessor", Telemetry.layerProcessor(ignoring)]
])("A service with %s", (_, telemetry) => {
  const layers = Layer.orDie(telemetry).pipe(Layer.provide(silent))

  /** Sends requests to the service, which makes one of its own for each, and gives the headers of that. */
  const passed = (requests: ReadonlyArray<Sent>) =>
    Effect.gen(function* () {
      const { received, url } = yield* listener
      const service = yield* TraceService.make
      for (const sent of requests) {
        assert.strictEqual(yield* post(service.url, sent, [{ url, arguments: [] }]), 200)
      }
      assert.lengthOf(received, requests.length)
      return received.map((headers, index) => {
        const [version, traceId, spanId, flags] = String(headers["traceparent"]).split("-")
        assert.match(String(headers["traceparent"]), /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$/)
        assert.notStrictEqual(spanId, P)
        const sent = JSON.stringify(requests[index])
        return { version, traceId, spanId, flags, state: headers["tracestate"], headers, sent }
      })
    }).pipe(Effect.provide(layers), Effect.scoped)

  it.live("T47 continues a trace that is named validly, with its flags", () =>
    Effect.gen(function* () {
      const results = yield* passed(accepted.map(([traceparent]) => [["traceparent", traceparent]]))
      for (const [index, { flags, sent, traceId }] of results.entries()) {
        assert.strictEqual(traceId, T, sent)
        assert.strictEqual(flags, accepted[index]?.[1], sent)
      }
      for (const name of ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"]) {
        assert.strictEqual((yield* passed([[[name, `00-${T}-${P}-01`]]]))[0]?.traceId, T, name)
      }
    })
  )

  it.live("T47 begins a trace of its own otherwise, without the state of the other", () =>
    Effect.gen(function* () {
      const state = ["tracestate", "foo=1"] as const
      const results = yield* passed([
        [],
        [state],
        ...refused.map((traceparent): Sent => [["traceparent", traceparent], state]),
        [["trace-parent", `00-${T}-${P}-01`], state],
        [["trace.parent", `00-${T}-${P}-01`], state],
        [["traceparent", `00-${T}-${P}-01`], ["traceparent", `00-${T}-${P}-01`], state]
      ])
      for (const { sent, state, traceId } of results) {
        assert.notInclude(sent, traceId ?? "none", sent)
        assert.isUndefined(state, sent)
      }
    })
  )

  it.live("T47 passes a tracestate on as it came, or not at all", () =>
    Effect.gen(function* () {
      const results = yield* passed(
        states.map(([sent]): Sent => [
          ["traceparent", `00-${T}-${P}-00`],
          ...sent.map((text) => ["tracestate", text] as const)
        ])
      )
      for (const [index, { sent, state, traceId }] of results.entries()) {
        assert.strictEqual(traceId, T, sent)
        assert.strictEqual(state, states[index]?.[1], sent)
      }
      const traceparent = ["traceparent", `00-${T}-${P}-00`] as const
      const [wrong, ...right] = yield* passed(
        ["trace-state", "TraceState", "TrAcEsTaTe", "TRACESTATE"].map((name): Sent => [traceparent, [name, "foo=1"]])
      )
      assert.isUndefined(wrong?.state)
      assert.deepStrictEqual(
        right.map(({ state }) => state),
        ["foo=1", "foo=1", "foo=1"]
      )
    })
  )

  it.live("T47 continues a trace that is recorded with its sampling threshold as it is", () =>
    Effect.gen(function* () {
      const state = "foo=1,ot=th:8;rv:9e6d1a75832a2f"
      const [first] = yield* passed([
        [
          ["traceparent", `00-${T}-${P}-03`],
          ["tracestate", state]
        ]
      ])
      assert.strictEqual(first?.state, state)
      assert.strictEqual(first?.flags, "03")
    })
  )

  it.live("T47 gives each request of its own another span, of one trace", () =>
    Effect.gen(function* () {
      const { received, url } = yield* listener
      const service = yield* TraceService.make
      const three = Array.from({ length: 3 }, () => ({ url, arguments: [] }))
      for (const [traceparent, continued] of [
        [`00-${T}-${P}-01`, true],
        [`00-${"0".repeat(32)}-${P}-01`, false],
        [undefined, false]
      ] as const) {
        received.length = 0
        yield* post(service.url, traceparent === undefined ? [] : [["traceparent", traceparent]], three)
        const parts = received.map((headers) => String(headers["traceparent"]).split("-"))
        assert.strictEqual(new Set(parts.map(([, traceId]) => traceId)).size, 1)
        assert.strictEqual(new Set(parts.map(([, , spanId]) => spanId)).size, 3)
        assert.strictEqual(parts[0]?.[1] === T, continued)
      }
    }).pipe(Effect.provide(layers), Effect.scoped)
  )

  it.live("T47 passes baggage on, and is not asked for b3", () =>
    Effect.gen(function* () {
      const [first] = yield* passed([
        [
          ["baggage", "a = 1 ; p"],
          ["Baggage", "b=%20,c"]
        ]
      ])
      assert.strictEqual(first?.headers["baggage"], "a=1;p,b=%20")
      assert.notProperty(first?.headers, "b3")
    })
  )
})

describe("A span of OpenTelemetry", () => {
  const caller = Propagation.withRemote({ ...remote, tracestate: "foo@=1,bar=2" })

  it.live("T46 made by layerSdk, has every member of the caller's state", () =>
    Effect.gen(function* () {
      const ended: Array<ReadableSpan> = []
      yield* Effect.void.pipe(
        Effect.withSpan("work"),
        caller,
        Effect.provide(
          Telemetry.layerProcessor({ ...ignoring, onEnd: (span) => void ended.push(span) }).pipe(Layer.provide(silent))
        )
      )
      const context = ended[0]?.spanContext()
      assert.strictEqual(context?.traceId, T)
      assert.strictEqual(context?.traceState?.serialize(), "foo@=1,bar=2")
    })
  )

  it.live("T46 active inside of an effect with interop, has them too", () =>
    Effect.gen(function* () {
      const active = yield* Effect.sync(() => trace.getActiveSpan()?.spanContext()).pipe(
        Effect.withSpan("work"),
        caller,
        Effect.provide(Telemetry.layer({ exporter: "console", interop: true }).pipe(Layer.provide(silent)))
      )
      assert.strictEqual(active?.traceId, T)
      assert.strictEqual(active?.traceState?.serialize(), "foo@=1,bar=2")
    })
  )
})
