import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Baggage from "../src/Baggage.ts"

const parsed = (header: string) => Object.fromEntries(Baggage.parse(header))
const of = (entries: Record<string, Baggage.Entry | string>): Baggage.Baggage =>
  new Map(Object.entries(entries).map(([key, entry]) => [key, typeof entry === "string" ? { value: entry } : entry]))

describe("Baggage.parse", () => {
  it("reads entries, decodes their values, and keeps their properties", () => {
    assert.deepStrictEqual(parsed("key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=value"), {
      key1: { value: "value1", properties: "property1;property2" },
      key2: { value: "value2" },
      key3: { value: "value3", properties: "propertyKey=value" }
    })
    assert.deepStrictEqual(parsed("userId =   Am%C3%A9lie,serverNode=DF%2028,\tempty=\t"), {
      userId: { value: "Amélie" },
      serverNode: { value: "DF 28" },
      empty: { value: "" }
    })
    assert.deepStrictEqual(parsed("a=b=c==,b=100%,c=%zz"), {
      a: { value: "b=c==" },
      b: { value: "100%" },
      c: { value: "%zz" }
    })
  })

  it("puts the replacement character for what is no UTF-8", () => {
    assert.deepStrictEqual(parsed("a=x%FFy,b=%C3"), { a: { value: "x\ufffdy" }, b: { value: "\ufffd" } })
  })

  it("leaves out what is not valid, and keeps the rest", () => {
    for (const wrong of [
      "",
      "x",
      "=1",
      "k y=1",
      "k=a b",
      'k="a"',
      "k=a\\b",
      "k=é",
      "ké=1",
      "k=1;",
      "k=1;p q",
      "k=1;p=é"
    ]) {
      assert.deepStrictEqual(
        parsed(`before=1,${wrong},after=2`),
        { before: { value: "1" }, after: { value: "2" } },
        wrong
      )
    }
  })

  it("keeps the last of entries with the same key", () => {
    assert.deepStrictEqual(parsed("a=1,b=2,a=3"), { a: { value: "3" }, b: { value: "2" } })
  })

  it("takes 64 entries and 8192 bytes", () => {
    const many = Array.from({ length: 70 }, (_, index) => `k${index}=1`)
    assert.deepStrictEqual(
      [...Baggage.parse(many.join(",")).keys()],
      many.slice(0, 64).map((text) => text.slice(0, -2))
    )
    const exact = `a=${"x".repeat(8190)}`
    assert.strictEqual(Baggage.parse(exact).size, 1)
    assert.deepStrictEqual(Object.keys(parsed(`${exact}x,b=1`)), ["b"])
  })
})

describe("Baggage.serialize", () => {
  it("T48 gives back what was read, without spaces", () => {
    for (const header of [
      "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue",
      "userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false",
      "a=b=c==/:@[]{}|~!#$&'()*+-.<>?^_`",
      "empty="
    ]) {
      assert.deepStrictEqual(Baggage.serialize(Baggage.parse(header)), { header, leftOut: 0 })
    }
  })

  it("encodes what a header cannot hold", () => {
    const value = 'a,b;c "d"\\e%41é🙂\r\n\u0000'
    const { header = "" } = Baggage.serialize(of({ key: value }))
    assert.strictEqual(header, "key=a%2Cb%3Bc%20%22d%22%5Ce%2541%C3%A9%F0%9F%99%82%0D%0A%00")
    assert.strictEqual(Baggage.parse(header).get("key")?.value, value)
    assert.strictEqual(Baggage.serialize(of({ half: "\ud83d" })).header, "half=%EF%BF%BD")
  })

  it("leaves out what has no room or no way to be written, and counts it", () => {
    assert.deepStrictEqual(Baggage.serialize(Baggage.empty), { header: undefined, leftOut: 0 })
    const many = of(Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`k${index}`, "1"])))
    const { header = "", leftOut } = Baggage.serialize(many)
    assert.strictEqual(header.split(",").length, 64)
    assert.strictEqual(leftOut, 6)
    const large = Baggage.serialize(of({ a: "x".repeat(4000), b: "x".repeat(5000), c: "x".repeat(4187) }))
    assert.strictEqual(large.header?.length, 8192)
    assert.strictEqual(large.leftOut, 1)
    const wrong = of({ "no token": "1", "x\r\ny": "1", "": "1", p: { value: "1", properties: "a\r\nb" } })
    assert.deepStrictEqual(Baggage.serialize(wrong), { header: undefined, leftOut: 4 })
    const untyped = new Map([["n", { value: 1 }]]) as unknown as Baggage.Baggage
    assert.deepStrictEqual(Baggage.serialize(untyped), { header: undefined, leftOut: 1 })
  })
})

describe("Baggage.withEntries", () => {
  it.effect("adds, changes and removes entries for one effect only", () =>
    Effect.gen(function* () {
      const keys = Effect.map(Baggage.current, (baggage) => [...baggage].map(([key, { value }]) => `${key}=${value}`))
      const seen = yield* Effect.all([
        keys,
        keys.pipe(Baggage.withEntries({ b: undefined, a: "2", c: { value: "3", properties: "p" } }))
      ]).pipe(Baggage.withEntries({ a: "1", b: "1" }))
      assert.deepStrictEqual(seen, [
        ["a=1", "b=1"],
        ["a=2", "c=3"]
      ])
      assert.deepStrictEqual(yield* keys, [])
      assert.strictEqual(yield* Baggage.get("a").pipe(Baggage.withEntries({ a: "1" })), "1")
      assert.isUndefined(yield* Baggage.get("a"))
    })
  )
})
