import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
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
    ["foo= a b", "foo= a b"]
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
    Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(",")
  ])("T46 discards all of %j", (header) => {
    assert.isUndefined(TraceContext.parseState(header))
  })

  it("T46 keeps a list of 32 members", () => {
    const header = Array.from({ length: 32 }, (_, index) => `k${index}=1`).join(",")
    assert.strictEqual(TraceContext.parseState(header), header)
  })
})
