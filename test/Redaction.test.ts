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
    }
  })
})
