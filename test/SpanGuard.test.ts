import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "../src/Redaction.ts"
import * as SpanGuard from "../src/SpanGuard.ts"
import * as Utf8 from "../src/Utf8.ts"

type Values = SpanGuard.Parts["attributes"]

const options: SpanGuard.Options = { bytes: 16_384, redact: Redaction.redact, logEvents: false }

const guard = SpanGuard.make(options)

/** A span that has ended, with what a tracer would have kept of these values. */
const ended = (parts: {
  readonly name?: string
  readonly attributes?: Values
  readonly events?: ReadonlyArray<{ readonly name: string; readonly attributes?: Values }>
  readonly links?: number
}) => {
  const kept = (values: Values = {}): Values =>
    Object.fromEntries(
      Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, guard.value(value)]]))
    )
  return {
    name: guard.name(parts.name ?? "work"),
    attributes: kept(parts.attributes),
    events: (parts.events ?? []).map(({ attributes, name }) => ({ name, attributes: kept(attributes) })),
    links: Array.from({ length: parts.links ?? 0 }, () => ({ attributes: {} }))
  }
}

const sizeOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))

const megabytes = (text: string) => text.repeat(10_000_000 / text.length)

describe("SpanGuard.value", () => {
  it("gives back what is small as it is, and cuts what is larger than a span", () => {
    for (const value of [1, true, "short", "x".repeat(16_384), [1, 2], ["a"]]) {
      assert.strictEqual(guard.value(value), value)
    }
    for (const text of ["x", "🙂", "€"]) {
      const cut = guard.value(megabytes(text))
      assert.isAtMost(Utf8.bytes(String(cut)), 16_384)
      assert.isTrue(String(cut).endsWith(`${text}…`))
    }
    const list = guard.value([megabytes("x"), megabytes("y")])
    assert.isBelow(sizeOf(list), 33_000)
    assert.isAtMost((guard.value(Array(1_000_000).fill(7)) as ReadonlyArray<number>).length, 1024)
  })

  it("T25 leaves no half of a secret where it cuts", () => {
    for (let before = 16_300; before < 16_390; before++) {
      const cut = guard.value(`${" ".repeat(before)}sk-${"a".repeat(40)} ${" ".repeat(20_000)}`)
      assert.notInclude(cut, "aa")
    }
  })
})

describe("SpanGuard.name", () => {
  it("cuts names between code points, and replaces secrets in them", () => {
    assert.strictEqual(guard.name("order.load"), "order.load")
    assert.strictEqual(guard.name("get https://me:hunter22@host/"), "get https://__REDACTED__@host/")
    assert.isAtMost(Utf8.bytes(guard.name(megabytes("🙂"))), 256)
    assert.match(guard.name(megabytes("🙂")), /^(🙂)+…$/u)
  })
})

describe("SpanGuard.finish", () => {
  it("changes nothing of a span like any other", () => {
    const attributes = { "node.id": "classify", "execution.step": 1, list: ["a", "b"], text: "x".repeat(1000) }
    const span = ended({ attributes, events: [{ name: "cache.hit", attributes: { "cache.age_s": 1.5 } }] })
    assert.deepStrictEqual(guard.finish(span), { attributes: 0, events: 0, links: 0 })
    assert.deepStrictEqual(span.attributes, attributes)
    assert.strictEqual(span.attributes["list"], attributes.list)
    assert.deepStrictEqual(span.events, [{ name: "cache.hit", attributes: { "cache.age_s": 1.5 } }])
  })

  it("T25 replaces secrets in attributes, lists, events and names of events", () => {
    const span = ended({
      attributes: { header: "Bearer abcdefgh12345678", list: ["fine", "token=abcd1234"], "db.password": "x", n: 1 },
      events: [{ name: "got sk-abcdefghijklmnop", attributes: { url: "https://me:pw@host/" } }]
    })
    guard.finish(span)
    assert.deepStrictEqual(span.attributes, {
      header: "Bearer __REDACTED__",
      list: ["fine", "token=__REDACTED__"],
      "db.password": "__REDACTED__",
      n: 1
    })
    assert.deepStrictEqual(span.events, [
      { name: "got __REDACTED__", attributes: { url: "https://__REDACTED__@host/" } }
    ])
  })

  it("T25 replaces what configured patterns match in our own attributes too, but no JSON of content", () => {
    const own = SpanGuard.make({ bytes: 16_384, redact: Redaction.withPatterns([/acme/]), logEvents: false })
    const span = ended({ attributes: { "node.id": "acme", "gen_ai.input.messages": '[{"token":"]}]' } })
    own.finish(span)
    assert.deepStrictEqual(span.attributes, {
      "node.id": "__REDACTED__",
      "gen_ai.input.messages": '[{"token":"]}]'
    })
  })

  it("T25 replaces what configured patterns match in keys, but in none of the conventions", () => {
    const own = SpanGuard.make({
      bytes: 16_384,
      redact: Redaction.withPatterns([/acme|[a-z]*model/]),
      logEvents: false
    })
    const span = ended({
      attributes: { "acme.orders": 1, "llm.model": "m", "acme.list": ["acme"], plain: true },
      events: [{ name: "e", attributes: { "x.acme": "y" } }]
    })
    own.finish(span)
    assert.deepStrictEqual(span.attributes, {
      "llm.model": "m",
      plain: true,
      "__REDACTED__.orders": 1,
      "__REDACTED__.list": ["__REDACTED__"]
    })
    assert.deepStrictEqual(span.events[0]?.attributes, { "x.__REDACTED__": "y" })
  })

  it("T25 replaces what a key calls a secret, numbers too, but not how many tokens there are", () => {
    const span = ended({
      attributes: {
        "db.password": 123_456_789,
        "user.password.hash": "CANARY",
        "auth.tokens": ["CANARY"],
        pins: [1, 2],
        passwords: [1, 2],
        "llm.input_tokens": 123_456_789,
        max_token: 512
      }
    })
    guard.finish(span)
    assert.deepStrictEqual(span.attributes, {
      "db.password": "__REDACTED__",
      "user.password.hash": "__REDACTED__",
      "auth.tokens": ["__REDACTED__"],
      pins: [1, 2],
      passwords: ["__REDACTED__", "__REDACTED__"],
      "llm.input_tokens": 123_456_789,
      max_token: 512
    })
  })

  it("T25 cuts to a limit of characters what has no secrets any more, and to no more than the limit", () => {
    const { finish } = SpanGuard.make({ ...options, valueLength: 24 })
    const url = "postgres://admin:CANARY-CANARY@db/orders"
    const values = (): Values => ({ url, list: [url, "b"], short: "token=abcd", n: 1, "gen_ai.x": "🙂".repeat(13) })
    const cut = {
      url: "postgres://__REDACTED__@",
      list: ["postgres://__REDACTED__@", "b"],
      short: "token=__REDACTED__",
      n: 1,
      "gen_ai.x": "🙂".repeat(12)
    }
    const span = {
      ...ended({ attributes: values(), events: [{ name: "e", attributes: values() }] }),
      links: [{ attributes: values() }]
    }
    assert.deepStrictEqual(finish(span), { attributes: 0, events: 0, links: 0 })
    assert.deepStrictEqual(span.attributes, cut)
    assert.deepStrictEqual(span.events[0]?.attributes, cut)
    assert.deepStrictEqual(span.links[0]?.attributes, cut)
    for (let valueLength = 1; valueLength < 60; valueLength++) {
      const { attributes } = ended({ attributes: { url, key: "api_key=CANARY" } })
      SpanGuard.make({ ...options, valueLength }).finish({ name: "s", attributes, events: [], links: [] })
      assert.notInclude(JSON.stringify(attributes), "CAN")
      assert.isTrue(Object.values(attributes).every((value) => String(value).length <= valueLength))
    }
  })

  it("T25 replaces what looks like a secret in keys, and no words", () => {
    const span = ended({
      attributes: {
        "https://me:CANARY@host/": 1,
        "session sk-ant-abcdefghijkl": true,
        npm_package_version: "1.0.0",
        "db.pk_customer_number": 2
      },
      events: [{ name: "e", attributes: { "AKIAABCDEFGHIJKLMNOP.n": 1 } }]
    })
    guard.finish(span)
    assert.deepStrictEqual(span.attributes, {
      "https://__REDACTED__@host/": 1,
      "session __REDACTED__": true,
      npm_package_version: "1.0.0",
      "db.pk_customer_number": 2
    })
    assert.deepStrictEqual(span.events[0]?.attributes, { "__REDACTED__.n": 1 })
  })

  it("T25 keeps the values of keys that are the same without their secrets", () => {
    const own = SpanGuard.make({ ...options, redact: Redaction.withPatterns([/customer-\d+/]) })
    const span = ended({ attributes: { "customer-1.n": 1, "customer-2.n": 2, "__REDACTED__.n": 0, "customer-3.n": 3 } })
    assert.deepStrictEqual(own.finish(span), { attributes: 0, events: 0, links: 0 })
    assert.deepStrictEqual(span.attributes, {
      "__REDACTED__.n": 0,
      "__REDACTED__.n_2": 1,
      "__REDACTED__.n_3": 2,
      "__REDACTED__.n_4": 3
    })
  })

  it("T25 replaces what looks like a secret under our own names", () => {
    const attributes = {
      "error.type": "token=abcd1234",
      "server.address": "https://me:CANARY@host",
      "node.id": "sk-abcdefghijklmnop",
      "gen_ai.response.finish_reasons": ["stop", "password=CANARY"]
    }
    // What was seen before is known, and replaced again.
    for (let time = 0; time < 2; time++) {
      const span = ended({ attributes })
      guard.finish(span)
      assert.deepStrictEqual(span.attributes, {
        "error.type": "token=__REDACTED__",
        "server.address": "https://__REDACTED__@host",
        "node.id": "__REDACTED__",
        "gen_ai.response.finish_reasons": ["stop", "password=__REDACTED__"]
      })
    }
  })

  it("keeps every span within its budget, whatever is in it", () => {
    const big = { big: megabytes("x") }
    const cases: Record<string, Parameters<typeof ended>[0]> = {
      attribute: { attributes: big },
      emoji: { attributes: { big: megabytes("🙂") } },
      "several attributes": { attributes: { a: megabytes("a"), b: megabytes("b"), c: "c".repeat(5000), n: 1 } },
      "many attributes": {
        attributes: Object.fromEntries(Array.from({ length: 128 }, (_, i) => [`key${i}`, "€".repeat(300)]))
      },
      "a long key": { attributes: { [megabytes("k")]: 1, [megabytes("a.")]: 1, short: "x" } },
      "secrets for keys": {
        attributes: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`token=${1000 + i}`, i]))
      },
      name: { name: megabytes("n") },
      exception: {
        events: [
          {
            name: "exception",
            attributes: { "exception.message": megabytes("m"), "exception.stacktrace": megabytes("s") }
          }
        ]
      },
      "a thousand events": {
        events: Array.from({ length: 1000 }, (_, i) => ({
          name: `event ${i}`,
          attributes: { text: "€".repeat(500), i }
        }))
      },
      "events with long names": { events: Array.from({ length: 100 }, (_, i) => ({ name: `${i}${megabytes("e")}` })) },
      lists: { attributes: { texts: Array(5000).fill("text"), numbers: Array(100_000).fill(1.5) } },
      links: { links: 1000 },
      content: {
        attributes: {
          "gen_ai.input.messages": megabytes("i"),
          "gen_ai.output.messages": megabytes("o"),
          "llm.model": "m"
        }
      }
    }
    for (const [what, parts] of Object.entries(cases)) {
      const span = ended(parts)
      const before = {
        attributes: Object.keys(span.attributes).length,
        events: span.events.length,
        links: span.links.length
      }
      const dropped = guard.finish(span)
      assert.isAtMost(sizeOf(span), 16_384, what)
      assert.strictEqual(Object.keys(span.attributes).length + dropped.attributes, before.attributes, what)
      assert.strictEqual(span.events.length + dropped.events, before.events, what)
      assert.strictEqual(span.links.length + dropped.links, before.links, what)
    }
  })

  it("T24 cuts the longest texts to the same length, on code points, and leaves the rest as it was", () => {
    const span = ended({ attributes: { a: megabytes("🙂"), b: megabytes("b"), c: "c".repeat(500), n: 1, list: ["d"] } })
    assert.deepStrictEqual(guard.finish(span), { attributes: 0, events: 0, links: 0 })
    const { a, b, ...rest } = span.attributes
    assert.match(String(a), /^(🙂)+…$/u)
    assert.match(String(b), /^b+…$/)
    assert.isBelow(Math.abs(Utf8.bytes(String(a)) - Utf8.bytes(String(b))), 8)
    assert.deepStrictEqual(rest, { c: "c".repeat(500), n: 1, list: ["d"] })
  })

  it("leaves out the oldest events first, and the error last", () => {
    const span = ended({
      attributes: { n: 1 },
      events: [
        { name: "exception", attributes: { "exception.message": "first" } },
        ...Array.from({ length: 500 }, (_, i) => ({ name: `event ${i}`, attributes: { text: "x".repeat(50) } }))
      ]
    })
    const { events } = guard.finish(span)
    assert.isAbove(events, 100)
    assert.strictEqual(span.events[0]?.name, "exception")
    assert.strictEqual(span.events[1]?.name, `event ${events}`)
    assert.strictEqual(span.events.at(-1)?.name, "event 499")
  })

  it("leaves content whole or out, since half of it would not parse", () => {
    const json = `[${"1,".repeat(6000)}1]`
    const span = ended({
      attributes: { "gen_ai.input.messages": json, "gen_ai.output.messages": json, a: megabytes("a") }
    })
    assert.deepStrictEqual(guard.finish(span), { attributes: 1, events: 0, links: 0 })
    const kept = span.attributes["gen_ai.input.messages"] ?? span.attributes["gen_ai.output.messages"]
    assert.strictEqual(kept, json)
    assert.match(String(span.attributes["a"]), /^a+…$/)
  })
})
