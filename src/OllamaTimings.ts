/**
 * Where the time of a model call went, by Ollama's own word.
 *
 * Ollama makes no spans. The last record of an answer says how long it loaded, read the prompt and generated; with the
 * client's clock at the request, the first token and the last record, that says when. What the server did not measure
 * is left out: no part of it is estimated.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { Completion } from "./OllamaApi.ts"

/** When things happened, in nanoseconds since 1970 by the client's clock. */
export interface Moments {
  /** The request was sent. */
  readonly sentAt: bigint
  /** The first text, thinking or tool call came; `undefined` when none did. */
  readonly firstTokenAt: bigint | undefined
  /** The last record was read. */
  readonly endedAt: bigint
}

/** What the last record says. A count or time that it lacks is `undefined`. */
export type Counted = Pick<Completion, "timings" | "inputTokens" | "outputTokens">

/** A part of the call, within it and never negative. */
export interface Part {
  readonly name: "ollama.load" | "ollama.wait" | "ollama.prompt_eval" | "ollama.generate"
  readonly startTime: bigint
  readonly endTime: bigint
  readonly tokens: number | undefined
  readonly tokensPerSecond: number | undefined
}

/**
 * The parts of a call in their order. Each is there if the server measured it; `ollama.wait`, which is what lies between
 * loading and reading the prompt (requests of others, the template, thinking that was thrown away), if both are.
 */
export const parts = (counted: Counted, moments: Moments): ReadonlyArray<Part> => {
  const { total, load, promptEval, eval: generating } = nanosOf(counted)
  const t0 = moments.sentAt
  const t1 = max(t0, moments.endedAt)
  const within = (at: bigint, from: bigint) => min(t1, max(from, at))
  const start = total === undefined ? t0 : max(t0, t1 - total)
  const loadEnd = min(t1, start + (load ?? 0n))
  const first = moments.firstTokenAt
  const evalStart = first === undefined ? max(loadEnd, t1 - (generating ?? 0n)) : within(first, loadEnd)
  const promptStart = max(loadEnd, evalStart - (promptEval ?? 0n))
  const evalEnd = first === undefined ? t1 : min(t1, evalStart + (generating ?? 0n))
  const { prompt, output } = rates(counted)
  const known: Array<Part> = []
  const add = (
    name: Part["name"],
    startTime: bigint,
    endTime: bigint,
    tokens?: number | undefined,
    tokensPerSecond?: number | undefined
  ) => known.push({ name, startTime, endTime, tokens, tokensPerSecond })
  if (load !== undefined) {
    add("ollama.load", start, loadEnd)
  }
  if (load !== undefined && promptEval !== undefined && (first !== undefined || generating !== undefined)) {
    add("ollama.wait", loadEnd, promptStart)
  }
  if (promptEval !== undefined) {
    add("ollama.prompt_eval", promptStart, evalStart, counted.inputTokens, prompt)
  }
  if (generating !== undefined) {
    add("ollama.generate", evalStart, evalEnd, counted.outputTokens, output)
  }
  return known
}

/** Tokens per second. That of the prompt is an upper bound: its count includes tokens that the server had read before. */
export const rates = (
  counted: Counted
): { readonly prompt: number | undefined; readonly output: number | undefined } => {
  const { promptEval, eval: generating } = nanosOf(counted)
  return { prompt: rate(counted.inputTokens, promptEval), output: rate(counted.outputTokens, generating) }
}

const rate = (tokens: number | undefined, nanos: bigint | undefined): number | undefined =>
  tokens !== undefined && tokens > 0 && nanos !== undefined && nanos > 0n ? (tokens * 1e9) / Number(nanos) : undefined

/** Nanoseconds that the parts leave open: in the server, where it measured all of them, and outside of it. */
export const gaps = (
  counted: Counted,
  { sentAt, endedAt }: Moments
): { readonly unaccounted: bigint | undefined; readonly overhead: bigint | undefined } => {
  const { total, load, promptEval, eval: generating } = nanosOf(counted)
  return {
    unaccounted:
      total === undefined || load === undefined || promptEval === undefined || generating === undefined
        ? undefined
        : max(0n, total - load - promptEval - generating),
    overhead: total === undefined ? undefined : max(0n, endedAt - sentAt - total)
  }
}

// Words for yes and no, in any case; empty is as good as unset.
const yes = ["", "true", "yes", "on", "1"]
const no = ["false", "no", "off", "0"]

const word = (text: string) => text.trim().toLowerCase()

/** `TINYLLM_OLLAMA_TIMINGS`: whether the parts of calls become spans. */
export const config: Config.Config<boolean> = Config.schema(
  Schema.String.check(
    Schema.makeFilter((text) => [...yes, ...no].includes(word(text)) || `must be true or false, got "${text}"`)
  ),
  "TINYLLM_OLLAMA_TIMINGS"
).pipe(
  Config.map((text) => yes.includes(word(text))),
  Config.withDefault(true)
)

const nanosOf = ({ timings }: Counted) => ({
  total: nanos(timings.total),
  load: nanos(timings.load),
  promptEval: nanos(timings.promptEval),
  eval: nanos(timings.eval)
})

const nanos = (duration: Duration.Duration | undefined): bigint | undefined =>
  duration === undefined ? undefined : Duration.toNanosUnsafe(duration)

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
