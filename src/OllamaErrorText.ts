/**
 * What the texts of Ollama's errors say.
 *
 * @since 0.1.0
 */
import * as Json from "./Json.ts"

/** What the body of an error holds. */
export interface Said {
  readonly text: string
  readonly json: boolean
  readonly type?: string | undefined
  readonly promptTokens?: number | undefined
  readonly numCtx?: number | undefined
  readonly signinUrl?: string | undefined
}

/** What the body of an error says: `error` is a text, a text that is JSON itself (the runner's), or an object. */
export const readBody = (body: string, status: number): Said => {
  const trimmed = body.trim()
  const outer = record(Json.parse(trimmed))
  if (outer === undefined) {
    return { text: trimmed === "" ? `HTTP ${status}` : trimmed.slice(0, 500), json: false }
  }
  const inner = typeof outer["error"] === "string" ? record(Json.parse(outer["error"])) : record(outer["error"])
  const detail = record(inner?.["error"]) ?? inner
  const text = string(detail?.["message"]) ?? string(outer["error"])
  return {
    text: text === undefined || text === "" ? `HTTP ${status}` : text,
    json: text !== undefined,
    type: string(detail?.["type"]),
    promptTokens: number(detail?.["n_prompt_tokens"]),
    numCtx: number(detail?.["n_ctx"]),
    signinUrl: string(outer["signin_url"])
  }
}

/** The text of an `error` field in a record; `undefined` when there is none. The runner's is JSON in a text, as above. */
export const errorText = (error: unknown): string | undefined => {
  if (error === undefined || error === null) {
    return undefined
  }
  const inner = typeof error === "string" ? record(Json.parse(error)) : record(error)
  const message = string((record(inner?.["error"]) ?? inner)?.["message"])
  return message ?? (typeof error === "string" ? error : "an error without a text")
}

const record = (value: unknown) => (Json.isObject(value) ? value : undefined)
const string = (value: unknown) => (typeof value === "string" ? value : undefined)
const number = (value: unknown) => (typeof value === "number" ? value : undefined)

export const isOutOfMemory = (text: string) =>
  /out of memory|failed to allocate|insufficient memory|requires more system memory/i.test(text)

export const isRunnerFailure = (text: string) =>
  /runner process has terminated|llama-server process has terminated|timed out waiting for llama-server|runner has unexpectedly stopped|error was encountered while running the model|^do embedding request:/i.test(
    text
  )

// Texts that Ollama writes itself and that hold nothing of a prompt or an answer, each as far as that is certain.
// Anything else (a parser's complaint about what the model wrote, a proxy's page) stays in `text`.
const known: ReadonlyArray<RegExp> = [
  /^(?:missing request body|unexpected EOF|model is required|invalid model name|embedding contains NaN|HTTP \d+$)/,
  /^(?:request canceled|prediction aborted, token repeat limit reached|prediction aborted|ollama cloud is disabled)/,
  /^json: cannot unmarshal (?:string|array|object|bool|number)(?: into Go (?:struct field [\w.]{1,60}|value))?(?: of type [\w.[\]*]{1,40})?/,
  // https://github.com/golang/go/blob/master/src/encoding/json/scanner.go
  /^invalid character (?:'[^']{1,6}'|'\\'') (?:looking for beginning of (?:value|object key string)|after (?:object key:value pair|object key|array element|top-level value)|in (?:string literal|string escape code|numeric literal|literal (?:true|false|null)))/,
  /^option "\w{1,40}" must be of type \w{1,20}/,
  /^invalid think value|^top_logprobs must be [\w ]{0,40}|^raw mode does not support template, system, or context/,
  /^illegal base64 data(?: at input byte \d+)?/,
  /^digest mismatch|^invalid digest format|^neither 'from' or 'files' was specified/,
  /^time: (?:invalid|missing unit in|unknown unit in) duration/,
  /^(?:llama |llama-server |model )*(?:runner )?process has terminated(?:: (?:exit status \d+|signal: [a-z ]{1,20}))?/i,
  /^timed out waiting for llama-server(?: to start)?/i,
  /^(?:llama |model )*runner has unexpectedly stopped(?:, this may be due to resource limitations or an internal error)?/i,
  /^an error was encountered while running the model(?:: unexpected EOF)?/i,
  /^do embedding request(?=:)/i
]

/** What a message repeats of a text of the server. */
export const quote = (text: string): string => {
  for (const pattern of known) {
    const match = pattern.exec(text)
    if (match !== null) {
      return `: ${match[0]}`
    }
  }
  return ""
}

// https://github.com/ollama/ollama/blob/main/types/model/capability.go
const capabilities = new Set([
  "chat",
  "completion",
  "generate",
  "embeddings",
  "embedding",
  "insert",
  "tools",
  "thinking",
  "vision",
  "image",
  "images",
  "audio"
])

/** What a model cannot do, by the server's text, which begins with its name; `undefined` where it says no such thing. */
export const unsupported = (text: string): string | undefined => {
  const word = /^(?:"[^"]*"|\S+) does not support (\w+)/.exec(text)?.[1]
  return word === undefined ? undefined : capabilities.has(word) ? word : "this"
}
