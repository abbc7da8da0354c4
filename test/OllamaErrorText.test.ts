import { assert, describe, it } from "@effect/vitest"
import { errorText, quote, unsupported } from "../src/OllamaErrorText.ts"

describe("quote", () => {
  it("repeats what Ollama is known to write", () => {
    const texts = [
      "missing request body",
      "invalid character 'x' looking for beginning of value",
      'option "temperature" must be of type float32',
      "llama runner process has terminated: exit status 2",
      "llama-server process has terminated: signal: killed",
      "raw mode does not support template, system, or context",
      "illegal base64 data at input byte 4",
      "neither 'from' or 'files' was specified",
      "HTTP 500"
    ]
    for (const text of texts) {
      assert.strictEqual(quote(text), `: ${text}`)
    }
  })

  it("T20 repeats nothing of what may hold a prompt or an answer", () => {
    const cases: Record<string, string> = {
      "the answer is CANARY": "",
      "CANARY: llama runner process has terminated: CANARY": "",
      "llama runner process has terminated: CANARY": ": llama runner process has terminated",
      "llama runner process has terminated: exit status 2 CANARY":
        ": llama runner process has terminated: exit status 2",
      "invalid character 'C' in CANARY": "",
      "invalid character 'CANARY CANARY' in string literal": "",
      "json: cannot unmarshal string into Go struct field ChatRequest.messages CANARY":
        ": json: cannot unmarshal string into Go struct field ChatRequest.messages",
      'option "CANARY and more" must be of type float32': "",
      'digest mismatch, expected "CANARY", got "CANARY"': ": digest mismatch",
      "unexpected EOF after CANARY": ": unexpected EOF",
      "do embedding request: CANARY": ": do embedding request",
      "time: invalid duration CANARY": ": time: invalid duration"
    }
    for (const [text, quoted] of Object.entries(cases)) {
      assert.strictEqual(quote(text), quoted)
    }
  })
})

describe("errorText", () => {
  it("finds the text in an object, and in an object that is a text, as the runner writes it", () => {
    const said = { message: "too long", type: "exceed_context_size_error" }
    for (const error of ["too long", said, { error: said }, JSON.stringify({ error: said }), JSON.stringify(said)]) {
      assert.strictEqual(errorText(error), "too long")
    }
    assert.strictEqual(errorText({}), "an error without a text")
    assert.isUndefined(errorText(null))
  })
})

describe("unsupported", () => {
  it("T20 names capabilities that there are, and nothing else", () => {
    assert.strictEqual(unsupported('"m" does not support thinking'), "thinking")
    assert.strictEqual(unsupported("CANARY does not support CANARY"), "this")
    assert.isUndefined(unsupported("raw mode does not support template"))
    assert.isUndefined(unsupported("error parsing tool call: raw='it does not support tools', err=EOF"))
    assert.isUndefined(unsupported("anything else"))
  })
})
