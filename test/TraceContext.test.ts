import { assert, describe, it } from "@effect/vitest"
import { OtelTraceFlags, OtelTraceState } from "@effect/opentelemetry/OtelTracer"
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import * as TraceContext from "../src/TraceContext.ts"

const T = "12345678901234567890123456789012"
const P = "1234567890123456"

const flags = (header: string) => Option.getOrUndefined(TraceContext.parse(header))?.flags

describe("TraceContext.parse", () => {
  it.each<[string, number]>([
    [`00-${T}-${P}-00`, 0],
    [`00-${T}-${P}-01`, 1],
    [`00-${T}-${P}-02`, 2],
    [`00-${T}-${P}-03`, 3],
    [`00-${T}-${P}-ff`, 3],
    [`cc-${T}-${P}-01`, 1],
    [`cc-${T}-${P}-01-more`, 1],
    [`01-${T}-${P}-00-`, 0],
    [` \t00-${T}-${P}-01\t `, 1]
  ])("T46 accepts %j", (header, expected) => {
    assert.deepStrictEqual(TraceContext.parse(header), Option.some({ traceId: T, spanId: P, flags: expected }))
  })

  it.each([
    "",
    "garbage",
    `cc-${T}-${P}-01.more`,
    `00-${T}-${P}-01-x`,
    `00-${T}-${P}-01.`,
    `00-${T}-${P}-01-`,
    `ff-${T}-${P}-01`,
    `0-${T}-${P}-01`,
    `000-${T}-${P}-01`,
    `.0-${T}-${P}-01`,
    `00-${"0".repeat(32)}-${P}-01`,
    `00-${T}-${"0".repeat(16)}-01`,
    `00-${"A".repeat(32)}-${P}-01`,
    `00-${T}-${"A".repeat(16)}-01`,
    `00-${T.slice(1)}-${P}-01`,
    `00-${T}1-${P}-01`,
    `00-${T}-${P.slice(1)}-01`,
    `00-${T}-${P}1-01`,
    `00-.${T.slice(1)}-${P}-01`,
    `00-${T}-.${P.slice(1)}-01`,
    `00-${T}-${P}-1`,
    `00-${T}-${P}-001`,
    `00-${T}-${P}-.0`,
    `00-${T}-${P}-0A`,
    `00-${T}-${P}`,
    `00-${T}-${P}-01, 00-${T}-${P}-01`,
    `00-${T}-${P}-01\n`
  ])("T46 begins a new trace for %j", (header) => {
    assert.isTrue(Option.isNone(TraceContext.parse(header)))
  })

  it("T46 knows bit 0 as sampled, whatever else is set", () => {
    assert.strictEqual(flags(`00-${T}-${P}-fe`), 2)
    assert.strictEqual(flags(`00-${T}-${P}-fd`), 1)
  })
})

describe("TraceContext.parseState", () => {
  it.each<[string, string]>([
    ["foo=1,bar=2", "foo=1,bar=2"],
    ["foo=1 \t , \t bar=2", "foo=1,bar=2"],
    ["foo=1,,bar=2", "foo=1,bar=2"],
    ["foo@=1,bar=2", "foo@=1,bar=2"],
    ["foo@@bar=1,bar=2", "foo@@bar=1,bar=2"],
    ["0foo=1", "0foo=1"],
    [`${"k".repeat(256)}=1`, `${"k".repeat(256)}=1`],
    [`foo=${"v".repeat(256)}`, `foo=${"v".repeat(256)}`],
    ["foo= a b", "foo= a b"],
    ["foo=1\t", "foo=1"],
    [" foo=1 ,\tbar=2 ", "foo=1,bar=2"],
    ["foo@bar@baz=1,bar=2", "foo@bar@baz=1,bar=2"],
    ["a-b_c*d/e=!#$%&'()*+-./:;<>?@[]^_`{|}~", "a-b_c*d/e=!#$%&'()*+-./:;<>?@[]^_`{|}~"],
    ["foo=1,bar=2,foo=3", "foo=1,bar=2"],
    ["foo=1,bar=2,", "foo=1,bar=2"]
  ])("T46 keeps %j", (header, expected) => {
    assert.strictEqual(TraceContext.parseState(header), expected)
  })

  it.each([
    "",
    " , ",
    "@foo=1,bar=2",
    "foo =1",
    "FOO=1",
    "foo.bar=1",
    `${"k".repeat(257)}=1`,
    `foo=${"v".repeat(257)}`,
    "foo=bar=baz",
    "foo=,bar=3",
    "foo",
    "=1",
    "foo=é",
    "foo=1\n",
    "foo=1\u00a0",
    "foo=1;bar=2,foo =3",
    "foo\t=1",
    "-foo=1",
    "_foo=1",
    "foo=1,bar",
    Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(",")
  ])("T46 discards all of %j", (header) => {
    assert.isUndefined(TraceContext.parseState(header))
  })

  it("T46 keeps a list of 32 members", () => {
    const header = Array.from({ length: 32 }, (_, index) => `k${index}=1`).join(",")
    assert.strictEqual(TraceContext.parseState(header), header)
  })
})

describe("TraceContext.format", () => {
  it.each([
    [0, "00"],
    [1, "01"],
    [2, "02"],
    [3, "03"],
    [0xff, "03"]
  ])("T46 writes flags %d as %s: version 00, and unknown bits 0", (flags, text) => {
    assert.strictEqual(TraceContext.format({ traceId: T, spanId: P, flags }), `00-${T}-${P}-${text}`)
  })
})

describe("TraceContext.withStateMember", () => {
  it("T46 puts a key in front, moves it there when it is changed, and removes it", () => {
    assert.strictEqual(TraceContext.withStateMember(undefined, "ours", "1"), "ours=1")
    assert.strictEqual(TraceContext.withStateMember("foo=1,bar=2", "ours", "1"), "ours=1,foo=1,bar=2")
    assert.strictEqual(TraceContext.withStateMember("foo=1,ours=1,bar=2", "ours", "2"), "ours=2,foo=1,bar=2")
    assert.strictEqual(TraceContext.withStateMember("foo=1,ours=1,bar=2", "ours", undefined), "foo=1,bar=2")
    assert.isUndefined(TraceContext.withStateMember("ours=1", "ours", undefined))
    // Another key that begins alike is another key.
    assert.strictEqual(TraceContext.withStateMember("oursx=1", "ours", "2"), "ours=2,oursx=1")
  })

  it("T46 keeps 32 members: the last goes when one is added, none when one is changed", () => {
    const full = Array.from({ length: 32 }, (_, index) => `k${index}=1`)
    assert.strictEqual(
      TraceContext.withStateMember(full.join(","), "ours", "1"),
      ["ours=1", ...full.slice(0, 31)].join(",")
    )
    assert.strictEqual(
      TraceContext.withStateMember(full.join(","), "k31", "2"),
      ["k31=2", ...full.slice(0, 31)].join(",")
    )
  })

  it.each([
    ["Ours", "1"],
    ["", "1"],
    ["ours", ""],
    ["ours", "a,b"],
    ["ours", "a=b"],
    ["ours", "a "],
    ["ours", "a\r\nx: y"]
  ])("T46 changes nothing for the key %j with the value %j", (key, value) => {
    assert.strictEqual(TraceContext.withStateMember("foo=1", key, value), "foo=1")
  })

  it("reads a value", () => {
    assert.strictEqual(TraceContext.stateMember("oursx=0,ours=th:8;rv:1,b=2", "ours"), "th:8;rv:1")
    assert.isUndefined(TraceContext.stateMember("foo=1", "ours"))
    assert.isUndefined(TraceContext.stateMember(undefined, "ours"))
  })
})

describe("TraceContext.limitState", () => {
  it("T46 keeps every member as long as there is room, which is more than 512 characters", () => {
    const state = Array.from({ length: 32 }, (_, index) => `k${10 + index}=${"v".repeat(123)}`).join(",")
    assert.lengthOf(state, 32 * 128 - 1)
    assert.strictEqual(TraceContext.limitState(state), state)
    assert.isUndefined(TraceContext.limitState(undefined))
  })

  it("T46 gives up members of more than 128 characters first, then the last ones, always whole", () => {
    const large = (index: number) => `big${index}=${"v".repeat(256)}`
    const small = Array.from({ length: 16 }, (_, index) => `k${10 + index}=${"v".repeat(100)}`)
    const larges = Array.from({ length: 16 }, (_, index) => large(index + 1))
    assert.strictEqual(
      TraceContext.limitState([...larges, ...small].join(",")),
      [...larges.slice(0, 9), ...small].join(",")
    )
    const longKeys = Array.from({ length: 32 }, (_, index) => `${"k".repeat(150)}${index}=1`)
    const kept = TraceContext.limitState(longKeys.join(",")) ?? ""
    assert.isAtMost(kept.length, TraceContext.maximumStateLength)
    assert.deepStrictEqual(kept.split(","), longKeys.slice(0, kept.split(",").length))
  })
})

describe("The context of a span", () => {
  const child = (parent: Tracer.AnySpan | undefined, sampled = true, annotations = Context.empty()) =>
    new Tracer.NativeSpan({
      name: "child",
      parent: Option.fromUndefinedOr(parent),
      annotations,
      links: [],
      startTime: 0n,
      kind: "internal",
      sampled
    })
  const remote = TraceContext.externalSpan({ traceId: T, spanId: P, flags: 3, state: "foo@=1,bar=2" })

  it("T46 an external span tells the state and flags that it was made with, and so do the spans below it", () => {
    assert.isTrue(remote.sampled)
    assert.isFalse(TraceContext.externalSpan({ traceId: T, spanId: P, flags: 2 }).sampled)
    const deep = child(child(remote))
    for (const span of [remote, child(remote), deep]) {
      assert.strictEqual(TraceContext.stateOf(span), "foo@=1,bar=2")
      assert.strictEqual(TraceContext.flagsOf(span), 3)
    }
    assert.deepStrictEqual(TraceContext.contextOf(deep), {
      traceId: T,
      spanId: deep.spanId,
      flags: 3,
      state: "foo@=1,bar=2"
    })
  })

  it("T46 bit 0 is the span's own, bit 1 that of its trace", () => {
    assert.strictEqual(TraceContext.flagsOf(child(remote, false)), 2)
    assert.strictEqual(TraceContext.flagsOf(child(undefined)), 1)
    assert.isUndefined(TraceContext.stateOf(child(undefined)))
  })

  it("believes a span that says it itself, before the spans above it", () => {
    const own = Object.assign(child(remote), { [TraceContext.stateKey]: "ours=1", [TraceContext.flagsKey]: 0 })
    assert.strictEqual(TraceContext.stateOf(child(own)), "ours=1")
    assert.strictEqual(TraceContext.flagsOf(child(own)), 1)
    const none = Object.assign(child(remote), { [TraceContext.stateKey]: undefined, [TraceContext.flagsKey]: 2 })
    assert.isUndefined(TraceContext.stateOf(none))
    assert.strictEqual(TraceContext.flagsOf(none), 3)
  })

  it("gives OpenTelemetry's tracer what it looks for, and reads what that wrote", () => {
    assert.strictEqual(Context.get(remote.annotations as Context.Context<OtelTraceFlags>, OtelTraceFlags), 3)
    const state = Context.get(remote.annotations as Context.Context<OtelTraceState>, OtelTraceState)
    assert.strictEqual(state.serialize(), "foo@=1,bar=2")
    assert.strictEqual(state.get("bar"), "2")
    assert.strictEqual(state.set("ours", "1").serialize(), "ours=1,foo@=1,bar=2")
    assert.strictEqual(state.unset("foo@").unset("bar").serialize(), "")

    const theirs = Tracer.externalSpan({
      traceId: T,
      spanId: P,
      annotations: Context.make(OtelTraceFlags, TraceContext.randomFlag as 0).pipe(Context.add(OtelTraceState, state))
    })
    assert.strictEqual(TraceContext.stateOf(child(theirs)), "foo@=1,bar=2")
    assert.strictEqual(TraceContext.flagsOf(child(theirs)), 3)
  })

  it("takes no state that is none from an annotation, since it becomes a header", () => {
    const annotations = Context.make(TraceContext.TraceState, "foo=1\r\nx-evil: 1")
    assert.isUndefined(TraceContext.stateOf(child(Tracer.externalSpan({ traceId: T, spanId: P, annotations }))))
    const own = Object.assign(child(remote), { [TraceContext.stateKey]: "foo=1\r\nx-evil: 1" })
    assert.isUndefined(TraceContext.contextOf(own)?.state)
  })

  it("a span that does not propagate stands for the one above it; without ids there is no context", () => {
    const silent = Context.make(Tracer.DisablePropagation, true)
    assert.strictEqual(TraceContext.contextOf(child(remote, false, silent))?.spanId, P)
    assert.isUndefined(TraceContext.contextOf(child(undefined, false, silent)))
    assert.isUndefined(TraceContext.contextOf(undefined))
    assert.isUndefined(TraceContext.contextOf(Tracer.externalSpan({ traceId: "noop", spanId: "noop" })))
    assert.isUndefined(TraceContext.contextOf(Tracer.externalSpan({ traceId: T, spanId: "0".repeat(16) })))
    // Zipkin has ids of half the length.
    assert.strictEqual(
      TraceContext.contextOf(Tracer.externalSpan({ traceId: P, spanId: P }))?.traceId,
      `${"0".repeat(16)}${P}`
    )
  })
})
