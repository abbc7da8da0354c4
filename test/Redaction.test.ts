import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "../src/Redaction.ts"
import * as SecretPatterns from "../src/SecretPatterns.ts"

const { mark } = Redaction

const assertCases = (cases: Readonly<Record<string, string>>): void => {
  for (const [text, expected] of Object.entries(cases)) {
    assert.strictEqual(Redaction.redact(text), expected)
    assert.strictEqual(Redaction.redact(expected), expected, "what is redacted stays as it is")
  }
}

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
    assertCases(cases)
  })

  it("T25 replaces every token of an authorization header", () => {
    assertCases({
      "Authorization: Basic dXNlcjpwYXNz": "Authorization: Basic __REDACTED__",
      "Authorization: Bearer CANARYonlyletters": "Authorization: Bearer __REDACTED__",
      "authorization=bearer CANARYonlyletters": "authorization=bearer __REDACTED__",
      "Proxy-Authorization: Basic dXNlcjpwYXNz, x: y": "Proxy-Authorization: Basic __REDACTED__, x: y",
      "a bearer of unhappytidings": "a bearer of unhappytidings",
      "authorization: basic": "authorization: basic",
      "authorization by bearer tokens": "authorization by bearer tokens"
    })
  })

  it("T25 replaces the userinfo of URLs up to the last @ before the path", () => {
    const long = "Q".repeat(300)
    assertCases({
      "https://bob:p4ss@CANARY4@host/x": "https://__REDACTED__@host/x",
      "https://bob:pa/ss@CANARY@host/x": "https://__REDACTED__@host/x",
      [`https://bob:${long}@host/x?y=1`]: "https://__REDACTED__@host/x?y=1",
      "http://a/b,http://u:p@host,https://v:q@host?x":
        "http://a/b,http://__REDACTED__@host,https://__REDACTED__@host?x",
      "see <https://host/a> and mail a@b": "see <https://host/a> and mail a@b",
      [`https://host/${long}/@user`]: `https://host/${long}/@user`,
      "https://host:8080/a?b=c#d": "https://host:8080/a?b=c#d"
    })
  })

  it("T25 replaces a whole value, with quotes in it, and every value of a list", () => {
    assertCases({
      '{"password":"ab\\"CANARY","a":"b"}': '{"password":"__REDACTED__","a":"b"}',
      '{"password":"ab\\\\","a":"CANARY stays"}': '{"password":"ab\\\\","a":"CANARY stays"}'.replace("ab\\\\", mark),
      'token="abc\\"defgh" x': 'token="__REDACTED__" x',
      "token='abc\\'defgh' x": "token='__REDACTED__' x",
      '{"apiKey":["CANARY1"]}': '{"apiKey":["__REDACTED__"]}',
      '{"apiKey": ["CANARY1", "CANARY2"], "a": ["b"]}': '{"apiKey": ["__REDACTED__", "__REDACTED__"], "a": ["b"]}',
      '{"token":123456789,"n":123456789}': '{"token":"__REDACTED__","n":123456789}',
      '{"token":null,"secret":false}': '{"token":null,"secret":false}',
      '{"token":[{"kind":"any"}],"secret":{}}': '{"token":[{"kind":"any"}],"secret":{}}',
      "Map { 'password' => 'CANARY 1' }": "Map { 'password' => '__REDACTED__' }",
      "private_key: CANARY, passphrase=CANARY": "private_key: __REDACTED__, passphrase=__REDACTED__",
      "token=tokenCANARY": "token=__REDACTED__",
      '{"max_tokens":123456,"tokens":"many"}': '{"max_tokens":123456,"tokens":"many"}'
    })
  })

  it("T25 replaces keys with the usual prefixes", () => {
    for (const key of ["ghu_CANARYGHU3aaaaaaaaaaaa", "ghr_CANARYGHR4aaaaaaaaaaaa", "ASIACANARYASIA11ABCD"]) {
      assert.strictEqual(Redaction.redact(`got ${key}.`), "got __REDACTED__.")
    }
    assert.strictEqual(Redaction.redact("fantASIA, Asia, ghu_"), "fantASIA, Asia, ghu_")
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
    const hard = [
      "token ",
      'password="',
      "a://",
      "a://u@",
      "eyJa.",
      "-----BEGIN PRIVATE KEY-----",
      "secret\\",
      "bearer x",
      "password=__REDACTED__",
      'token="__REDACTED__\\"',
      "token:[a,",
      "token:[a ",
      "authorization: bearer "
    ].map((text) => text.repeat(65_536 / text.length))
    const runs = ['password="aaaa', "password=aaaa", "password", "password ", "https://"].flatMap((text) =>
      ["\\", " ", "@", "a"].map((char) => text + char.repeat(65_536))
    )
    for (const text of [...hard, ...runs]) {
      const begin = performance.now()
      Redaction.redact(text)
      assert.isBelow(performance.now() - begin, 500, text.slice(0, 40))
    }
  })
})

describe("Redaction.isSecret", () => {
  it("T25 goes by the name, and knows how many tokens from what they are", () => {
    const { isSecret } = Redaction
    for (const name of [
      "db.password",
      "Password",
      "user.password.hash",
      "auth.tokens",
      "x-api-key",
      "client.secret",
      "authorization.header"
    ]) {
      assert.isTrue(isSecret(name, "CANARY"), name)
    }
    assert.isTrue(isSecret("db.password", 123_456_789))
    assert.isTrue(isSecret("api_key", 123_456_789))
    for (const name of ["max_token", "max_tokens", "gen_ai.usage.input_tokens"]) {
      assert.isFalse(isSecret(name, 512), name)
    }
    assert.isFalse(isSecret("http.response.header.x-ratelimit-remaining-tokens", "149984"))
    for (const name of ["tokens", "gen_ai.token.type", "tokenizer", "password.length", "secretary", "key"]) {
      assert.isFalse(isSecret(name, "many"), name)
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

  it("bounds the time of patterns that grow with the length of a text, and hides what they have not seen", () => {
    for (const pattern of [/\w+@secret/, /a*a*a*b/, /[\w-]+\d+@corp/, /x[\w-]+\d+@corp/]) {
      const begin = performance.now()
      const shown = Redaction.withPatterns([pattern])(`${"a7".repeat(200)} ${"7".repeat(2000)} CANARY`)
      const millis = performance.now() - begin
      assert.isTrue(millis < 250 || !shown.includes("CANARY"), `${pattern} took ${millis} ms`)
    }
    const begin = performance.now()
    Redaction.withPatterns([/\w+@secret/])("a".repeat(65_536))
    assert.isBelow(performance.now() - begin, 2000)
  })
})

describe("SecretPatterns.parse", () => {
  it("takes patterns, one a line, with flags or without", () => {
    const patterns = SecretPatterns.parse("customer-\\d+\n\n  /iban [a-z]+/i \r\nx")
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
      "(a|b){20}": /^line 1: it repeats a group/,
      "[\\w-]+\\d+@hunter22": /^line 1: it takes too long/,
      "a*a*a*hunter22": /^line 1: it takes too long/,
      ".+@.+\\..+hunter22": /^line 1: it takes too long/,
      "(a?b?)*hunter22": /^line 1: it takes too long/,
      ".*foo.*hunter22": /^line 1: it takes too long/
    }
    for (const [text, why] of Object.entries(cases)) {
      const parsed = SecretPatterns.parse(text)
      assert.match(String(parsed), why)
      assert.notInclude(String(parsed), "hunter22")
    }
    for (const fine of [
      "[\\w.+-]+@[\\w-]+\\.[\\w.-]+",
      "(?:\\d[ -]?){13,16}",
      "\\w+@secret",
      "\\s*\\w+\\s*=\\s*\\w+\\s*;",
      "\\beyJ[\\w-]+\\.[\\w-]+\\.[\\w-]+",
      "[(a+)+]",
      "\\(a+\\)+",
      "(a+)?b",
      "(?:ab)+",
      "a{2,5}",
      "(?<=x)y+"
    ]) {
      assert.isArray(SecretPatterns.parse(fine), fine)
    }
  })
})
