import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "../src/Redaction.ts"

describe("Redaction.redact", () => {
  it("replaces what looks like a secret and leaves the rest", () => {
    const cases = {
      "Authorization: Bearer abcdefgh12345678": "Authorization: Bearer __REDACTED__",
      "Authorization: Token abcdefgh12345678": "Authorization: Token __REDACTED__",
      'api_key="s3cr3t99" next': 'api_key="__REDACTED__" next',
      "PASSWORD='hun ter22'": "PASSWORD='__REDACTED__'",
      "DB_PASSWORD=hunter22": "DB_PASSWORD=__REDACTED__",
      "OPENAI_API_KEY=abcd1234": "OPENAI_API_KEY=__REDACTED__",
      "AWS_SECRET_ACCESS_KEY=abcd1234": "AWS_SECRET_ACCESS_KEY=__REDACTED__",
      "access_token=abcd1234&x=1": "access_token=__REDACTED__&x=1",
      "clientSecret: abcd1234": "clientSecret: __REDACTED__",
      "https://u:pa/ss@host/x": "https://__REDACTED__@host/x",
      "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": "__REDACTED__",
      "https://user:pw@host:1/x?y=1": "https://__REDACTED__@host:1/x?y=1",
      AKIAABCDEFGHIJKLMNOP: "__REDACTED__",
      ghp_abcdefghijklmnopqrst: "__REDACTED__",
      "eyJhbGciOi.eyJzdWIi.c2ln": "__REDACTED__",
      "The token count is 42; see https://host/a and mail a@b":
        "The token count is 42; see https://host/a and mail a@b",
      "a basic example of token counting": "a basic example of token counting"
    }
    for (const [text, expected] of Object.entries(cases)) {
      assert.strictEqual(Redaction.redact(text), expected)
      assert.strictEqual(Redaction.redact(expected), expected, "what is redacted stays as it is")
    }
  })

  it("leaves JSON that parses, also JSON inside of JSON", () => {
    const inner = JSON.stringify({ password: "hun\\ter 22", url: "http://a", mail: "me@b" })
    for (const value of [JSON.parse(inner), { body: inner }, { body: JSON.stringify({ inner }) }]) {
      const redacted = Redaction.redact(JSON.stringify(value))
      assert.notInclude(redacted, "22")
      assert.include(redacted, "me@b")
      assert.doesNotThrow(() => JSON.parse(redacted))
    }
  })

  it("takes no longer for texts made to take long", () => {
    const hard = ["token ", 'password="', "a://", "eyJa.", "-----BEGIN PRIVATE KEY-----", "secret\\", "bearer x"]
    for (const text of hard) {
      const begin = performance.now()
      Redaction.redact(text.repeat(65_536 / text.length))
      assert.isBelow(performance.now() - begin, 500, text)
    }
  })
})

describe("Redaction.start", () => {
  const { redact, start } = Redaction

  it("is the whole text where that is short, and ends with … where it is cut", () => {
    assert.strictEqual(start("a short text", 100, redact), "a short text")
    assert.match(start("x ".repeat(10_000), 100, redact), /^(x )+x?…$/)
  })

  it("T25 shows no half of a secret that a cut goes through, wherever that is", () => {
    const key = `sk-${"a".repeat(30)}`
    const secrets = [
      key,
      `password="${"b ".repeat(20)}b"`,
      `https://user:${"c".repeat(40)}@host/`,
      `DB_PASSWORD=${"d".repeat(9)}`
    ]
    for (const secret of secrets) {
      for (let before = 1100; before < 1180; before++) {
        const shown = start(`${" ".repeat(before)}${secret} ${" ".repeat(5000)}`, 100, redact)
        assert.notMatch(shown, /aa|b b|cc|dd/, `${secret} after ${before}`)
      }
    }
  })

  it("T25 also not where secrets before it take up what is read", () => {
    const filler = `sk-${"x".repeat(1380)} `
    for (let before = 0; before < 60; before++) {
      const shown = start(`${filler}${" ".repeat(before)}sk-${"a".repeat(5000)}`, 400, redact)
      assert.notInclude(shown, "aa")
    }
  })

  it("reads no more than it needs of ten megabytes", () => {
    const begin = performance.now()
    assert.isBelow(start("word ".repeat(2_000_000), 400, redact).length, 2000)
    assert.isBelow(start(`sk-${"x".repeat(10_000_000)}`, 400, redact).length, 2000)
    assert.isBelow(performance.now() - begin, 500)
  })

  it("T24 never ends in half a character", () => {
    for (let before = 100; before < 104; before++) {
      assert.isTrue(start(`${"a".repeat(before)}${"🙂".repeat(5000)}`, 100, redact).isWellFormed())
    }
  })
})

describe("Redaction.withPatterns", () => {
  const redact = Redaction.withPatterns([/customer-\d+/, /[A-Z]{2}\d{6}/i])

  it("T25 replaces what the patterns match, as often as they do, and what looks like a secret", () => {
    assert.strictEqual(
      redact("customer-1 and customer-22, de123456, token=abcd1234"),
      "__REDACTED__ and __REDACTED__, __REDACTED__, token=__REDACTED__"
    )
    assert.strictEqual(redact(redact("customer-1")), "__REDACTED__")
    assert.strictEqual(
      Redaction.withPatterns([/[A-Z]+/])("a B password=hunter22"),
      "a __REDACTED__ password=__REDACTED__"
    )
  })

  it("T25 finds all of them in long texts, also across the pieces that are read at a time", () => {
    const behind = Redaction.withPatterns([/(?<=pin: )\d{4,8}/, /\bcustomer-\d+\b/])
    for (let before = 4060; before < 4100; before++) {
      const text = `${".".repeat(before)} pin: 12345678 customer-77 ${".".repeat(9000)} customer-1`
      assert.strictEqual(
        behind(text),
        text.replace("12345678", "__REDACTED__").replace(/customer-\d+/g, "__REDACTED__")
      )
    }
  })

  it("bounds the time of patterns that grow with the square of a text", () => {
    const begin = performance.now()
    Redaction.withPatterns([/\w+@secret/])("a".repeat(65_536))
    assert.isBelow(performance.now() - begin, 3000)
  })
})

describe("Redaction.parse", () => {
  it("takes patterns, one a line, with flags or without", () => {
    const patterns = Redaction.parse("customer-\\d+\n\n  /iban [a-z]+/i \r\nx")
    assert.deepStrictEqual(patterns, [/customer-\d+/, /iban [a-z]+/i, /x/])
  })

  it("refuses those that cannot be used, says which and why, and quotes nothing", () => {
    const cases: Record<string, RegExp> = {
      "ok\n(hunter22": /^line 2: it is no regular expression \(unterminated group\)$/,
      "/hunter22/qq": /^line 1: it is no regular expression/,
      "x*": /^line 1: it matches the empty text$/,
      "(hunter22+)+": /^line 1: it repeats a group/,
      "(?:a|hunter22)*b": /^line 1: it repeats a group/,
      "((a{2,})b)+": /^line 1: it repeats a group/,
      "(a|b){20}": /^line 1: it repeats a group/
    }
    for (const [text, why] of Object.entries(cases)) {
      const parsed = Redaction.parse(text)
      assert.match(String(parsed), why)
      assert.notInclude(String(parsed), "hunter22")
    }
    for (const fine of ["[(a+)+]", "\\(a+\\)+", "(a+)?b", "(?:ab)+", "a{2,5}", "(?<=x)y+"]) {
      assert.isArray(Redaction.parse(fine), fine)
    }
  })
})
