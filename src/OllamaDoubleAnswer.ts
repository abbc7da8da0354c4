/**
 * How an Ollama double plays an answer of its script: records of text, thinking and tool calls, and the last one with
 * what was measured.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { words } from "./OllamaApi.ts"
import { digest } from "./OllamaDoubleModels.ts"
import { json, time } from "./OllamaGo.ts"
import { nonZero, pause, type Player } from "./OllamaReply.ts"
import { type Answer, type Asked, countTokens } from "./OllamaScript.ts"

/** What one record carries. */
interface Piece {
  readonly text: string
  readonly thinking: string
  readonly toolCalls: ReadonlyArray<object>
}

const piece = (text: string, thinking = "", toolCalls: ReadonlyArray<object> = []): Piece => ({
  text,
  thinking,
  toolCalls
})

/** One record of either endpoint. */
export const record = (clock: Clock.Clock, path: string, model: string, content: Piece, rest: object): object => {
  const created_at = time(clock.currentTimeNanosUnsafe())
  const thinking = content.thinking === "" ? {} : { thinking: content.thinking }
  const tools = content.toolCalls.length === 0 ? {} : { tool_calls: content.toolCalls }
  return path === "/api/chat"
    ? { model, created_at, message: { role: "assistant", content: content.text, ...thinking, ...tools }, ...rest }
    : { model, created_at, response: content.text, ...thinking, ...tools, ...rest }
}

/** The one object that answers a call without a prompt. */
export const short = (player: Player, clock: Clock.Clock, path: string, model: string, reason: string) =>
  player.json(200, record(clock, path, model, piece(""), { done: true, done_reason: reason }))

/** What an answer consists of. */
interface Parts {
  /** One for each record before the last one. */
  readonly streamed: ReadonlyArray<Piece>
  readonly last: Piece
  /** All in one. */
  readonly whole: Piece
}

/** What is known when an answer begins: times are nanoseconds of the monotonic clock. */
export interface Begun {
  readonly received: number
  /** When the model was loaded. */
  readonly loaded: number
  /** When its turn came. */
  readonly begun: number
  readonly promptTokens: number
  readonly old: boolean
  readonly stage: (stage: "reading" | "answering") => void
}

const partsOf = (asked: Asked, answer: Answer, old: boolean): Parts => {
  const thinking = asked.body["think"] === false ? [] : pieces(answer.thinking)
  const text = pieces(answer.text)
  const calls = toolCallsOf(asked, answer, old)
  const callsIn = asked.path === "/api/generate" ? "last" : (answer.toolCallsIn ?? "record")
  const lastText = answer.textInLastRecord === true ? (text.at(-1) ?? "") : ""
  return {
    streamed: [
      ...thinking.map((thought) => piece("", thought)),
      ...(answer.textInLastRecord === true ? text.slice(0, -1) : text).map((each) => piece(each)),
      ...(callsIn === "records"
        ? calls.map((call) => piece("", "", [call]))
        : callsIn === "record" && calls.length > 0
          ? [piece("", "", calls)]
          : [])
    ],
    last: piece(lastText, "", callsIn === "last" ? calls : []),
    whole: piece(text.join(""), thinking.join(""), calls)
  }
}

const pieces = (text: string | ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
  text === undefined ? [] : typeof text === "string" ? words(text) : text

const toolCallsOf = (asked: Asked, answer: Answer, old: boolean): ReadonlyArray<object> =>
  (answer.toolCalls ?? []).map(({ arguments: given = {}, id, index = 0, name }, at) => {
    const made = `call_${digest(`${asked.count} ${at}`).slice(0, 8)}`
    return {
      ...(id === null || old ? {} : { id: id ?? made }),
      function: { ...(index === null ? {} : { index }), name, arguments: given }
    }
  })

/** Plays an answer to its end, good or bad. */
export const play = (
  player: Player,
  clock: Clock.Clock,
  asked: Asked,
  answer: Answer,
  start: Begun
): Effect.Effect<void> => {
  const parts = partsOf(asked, answer, start.old)
  const now = () => Number(clock.monotonicTimeNanosUnsafe())
  const say = (content: Piece, rest: object) => record(clock, asked.path, asked.model, content, rest)
  return Effect.gen(function* () {
    start.stage("reading")
    yield* pause(answer.firstDelay)
    const read = now()
    start.stage("answering")
    const metrics = () => {
      const ended = now()
      const reason = answer.doneReason === undefined ? "stop" : answer.doneReason
      return {
        done: true,
        ...(reason === null ? {} : { done_reason: reason }),
        ...contextOf(asked, start.promptTokens + tokensOf(parts.whole)),
        ...nonZero({
          total_duration: ended - start.received,
          load_duration: start.loaded - start.received,
          prompt_eval_count: start.promptTokens,
          prompt_eval_duration: read - start.begun,
          eval_count: tokensOf(parts.whole),
          eval_duration: ended - read
        }),
        ...answer.metrics
      }
    }
    if (asked.body["stream"] === false) {
      yield* Effect.forEach(parts.streamed.slice(1), (_, index) => between(answer, index), { discard: true })
      return yield* whole(player, answer, (rest) => say(parts.whole, rest), metrics)
    }
    for (const [index, content] of parts.streamed.entries()) {
      if (index > 0) {
        yield* between(answer, index - 1)
      }
      yield* player.line(say(content, { done: false }), answer.bytesPerChunk)
    }
    if (answer.errorLine !== undefined) {
      yield* player.line({ error: answer.errorLine }, answer.bytesPerChunk)
      return yield* player.end(answer.end ?? "done")
    }
    if (answer.end !== undefined && answer.end !== "done") {
      if (answer.end === "fin" && parts.streamed.length > 0) {
        yield* player.write(`{"model":"${asked.model}","created_at":"20`)
      }
      return yield* player.end(answer.end)
    }
    if (parts.streamed.length > 0) {
      yield* between(answer, parts.streamed.length - 1)
    }
    yield* player.line(say(parts.last, metrics()), answer.bytesPerChunk)
    if (answer.trailing !== undefined) {
      yield* player.write(answer.trailing, answer.bytesPerChunk)
    }
    yield* player.end("done")
  })
}

/** What `generate` gives back for the next call: a number for each token of prompt and answer. They mean nothing. */
const contextOf = ({ body, path }: Asked, tokens: number) =>
  path === "/api/generate" && body["raw"] !== true
    ? { context: Array.from({ length: tokens }, (_, index) => index) }
    : {}

const between = ({ delay, delays }: Answer, index: number) => pause(delays?.[index] ?? delay)

/** What a client sees that asked not to stream: an error has its status, an early end is an answer that is not done. */
const whole = (
  player: Player,
  answer: Answer,
  say: (rest: object) => object,
  metrics: () => object
): Effect.Effect<void> =>
  answer.errorLine !== undefined
    ? player.refuse({ status: 500, error: answer.errorLine })
    : answer.end === undefined || answer.end === "done"
      ? player.json(200, say(metrics()))
      : answer.end === "eof"
        ? player.json(200, say({ done: false }))
        : player.end(answer.end)

const tokensOf = ({ text, thinking, toolCalls }: Piece): number =>
  countTokens(thinking) + countTokens(text) + (toolCalls.length === 0 ? 0 : countTokens(json(toolCalls)))
