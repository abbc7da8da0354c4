/**
 * What the texts of Ollama's errors say.
 *
 * @since 0.1.0
 */

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
  const outer = record(parse(trimmed))
  if (outer === undefined) {
    return { text: trimmed === "" ? `HTTP ${status}` : trimmed.slice(0, 500), json: false }
  }
  const inner = typeof outer["error"] === "string" ? record(parse(outer["error"])) : record(outer["error"])
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

/** The text of an `error` field in a record of a stream; `undefined` when there is none. */
export const errorText = (error: unknown): string | undefined =>
  error === undefined || error === null
    ? undefined
    : typeof error === "string"
      ? error
      : (string(record(error)?.["message"]) ?? "an error without a text")

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const record = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined
const string = (value: unknown) => (typeof value === "string" ? value : undefined)
const number = (value: unknown) => (typeof value === "number" ? value : undefined)

export const isOutOfMemory = (text: string) =>
  /out of memory|failed to allocate|insufficient memory|requires more system memory/i.test(text)

export const isRunnerFailure = (text: string) =>
  /runner process has terminated|llama-server process has terminated|timed out waiting for llama-server|runner has unexpectedly stopped|error was encountered while running the model|^do embedding request:/i.test(
    text
  )

// Texts that Ollama writes itself and that hold nothing of a prompt or an answer. Anything else (a parser's complaint
// about what the model wrote, a proxy's page) stays in `text`.
const known =
  /^(missing request body|unexpected EOF|json: cannot unmarshal|invalid character|model is required|invalid model name|option "|invalid think value|time: |top_logprobs|raw mode|embedding contains NaN|request canceled|prediction aborted|ollama cloud is disabled|HTTP \d+$)/

export const quote = (text: string): string =>
  known.test(text) || isRunnerFailure(text) ? `: ${text.split("\n", 1)[0]?.slice(0, 200)}` : ""
