/**
 * The model calls of an Ollama double: chat, generate and embeddings, from the checks to the answer.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { play, short } from "./OllamaDoubleAnswer.ts"
import { type Call, embed } from "./OllamaDoubleEmbed.ts"
import * as Faults from "./OllamaDoubleFaults.ts"
import { tag } from "./OllamaDoubleModels.ts"
import { numCtxOf, type Queue } from "./OllamaDoubleQueue.ts"
import * as Read from "./OllamaDoubleRequest.ts"
import * as Go from "./OllamaGo.ts"
import type { Player } from "./OllamaReply.ts"
import { type Answer, type Asked, countTokens, messagesOf, type Refusal, type Script } from "./OllamaScript.ts"

export interface State {
  readonly script: Script
  readonly clock: Clock.Clock
  readonly queue: Queue
  /** The last prompt of each model, which an old server counts once. */
  readonly prompts: Map<string, string>
  calls: number
  embeds: number
}

export const handle = (state: State, call: Call, player: Player): Effect.Effect<void> => {
  const fault = Faults.find(call.path, Read.nameOf(call.body))
  return fault !== undefined
    ? fail(state, call, fault, player)
    : call.path === "/api/embed" || call.path === "/api/embeddings"
      ? embed(state, call, player)
      : talk(state, call, player)
}

const talk = (state: State, call: Call, player: Player): Effect.Effect<void> => {
  const { body, model, path } = call
  const isEmpty = Read.isEmptyCall(path, body)
  if (isEmpty && Read.keepAlive(body) === 0) {
    // Whatever the model can do, and whatever else is asked for.
    return unload(state, call, player)
  }
  const refused = Read.callRefusal(path, body, model)
  if (refused !== undefined) {
    return player.refuse(refused)
  }
  if (isEmpty) {
    return inTurn(state, call, {}, player, () => loadedOrNot(state, call, player, "load"))
  }
  const format = Read.formatRefusal(body)
  if (format !== undefined) {
    return player.refuse(format)
  }
  const fitted = fit(state.script, call, messagesOf(body))
  if ("error" in fitted) {
    return inTurn(state, call, {}, player, () => player.refuse(fitted))
  }
  const asked = askedOf(state, call, fitted.messages)
  const reply = state.script.reply(asked)
  assertReply(reply)
  const answer: Answer | undefined =
    typeof reply === "string" ? { text: reply } : "raw" in reply || "error" in reply ? undefined : reply
  if (answer === undefined) {
    return typeof reply === "object" && "raw" in reply ? player.raw(reply) : player.refuse(reply as Refusal)
  }
  const counted = countOf(state, call, fitted)
  return inTurn(state, call, answer, player, (turn) =>
    play(player, state.clock, asked, answer, {
      ...turn,
      received: call.received,
      promptTokens: counted,
      old: state.script.old === true,
      stage: call.stage
    })
  )
}

/** Code without types gets here, with functions that are async. */
const assertReply = (reply: unknown): void => {
  if (
    typeof reply !== "string" &&
    !(typeof reply === "object" && reply !== null && ("text" in reply || "raw" in reply || "error" in reply))
  ) {
    throw new TypeError("OllamaDouble: reply must return a text, or an object with text, raw or error, and no promise")
  }
}

const askedOf = (state: State, { body, path }: Call, messages: Asked["messages"]): Asked => ({
  path: path === "/api/chat" ? path : "/api/generate",
  model: Read.nameOf(body),
  messages,
  format: body["format"],
  count: ++state.calls,
  body
})

/** Waits for the model, or says that too many do. */
const inTurn = (
  { queue }: State,
  { body, model, stage }: Call,
  { load }: { readonly load?: Answer["load"] },
  player: Player,
  run: Parameters<Queue["use"]>[1]
): Effect.Effect<void> =>
  Effect.catch(queue.use({ model, body, load, stage }, run), (refusal) => player.refuse(refusal))

const unload = (state: State, call: Call, player: Player): Effect.Effect<void> =>
  Effect.andThen(
    Effect.sync(() => state.queue.unload(call.model)),
    loadedOrNot(state, call, player, "unload")
  )

const loadedOrNot = ({ clock }: State, { body, path }: Call, player: Player, reason: "load" | "unload") =>
  short(player, clock, path, Read.nameOf(body), reason)

// ---------------------------------------------------------------------------------------------------------------------
// Prompts that are too long
// ---------------------------------------------------------------------------------------------------------------------

interface Fitted {
  readonly messages: Asked["messages"]
  readonly tokens: number
}

const tokensOf = (messages: Asked["messages"]): number =>
  messages.reduce((sum, { content }) => sum + countTokens(content), 0)

/** What the model gets to see: old messages are dropped, and what is still too long is cut or refused. */
const fit = (script: Script, { body, model }: Call, messages: Asked["messages"]): Fitted | Refusal => {
  const numCtx = numCtxOf(script, model, body)
  const kept = [...messages]
  while (body["truncate"] !== false && tokensOf(kept) > numCtx) {
    const oldest = kept.findIndex(({ role }, index) => role !== "system" && index < kept.length - 1)
    if (oldest === -1) {
      break
    }
    kept.splice(oldest, 1)
  }
  const tokens = tokensOf(kept)
  if (tokens <= numCtx) {
    return { messages: kept, tokens }
  }
  if (body["shift"] === false) {
    const error = "the prompt is longer than the context length currently available to the model"
    return { status: 400, error }
  }
  if (body["truncate"] === false || model.overflow === "refuse") {
    return { status: 400, error: Go.json(exceeded(tokens, numCtx)) }
  }
  const numKeep = Read.integerOption(body, "num_keep") ?? 4
  return { messages: kept, tokens: numCtx - Math.floor((numCtx - numKeep) / 2) }
}

const exceeded = (tokens: number, numCtx: number) => ({
  error: {
    code: 400,
    message: `request (${tokens} tokens) exceeds the available context size (${numCtx} tokens), try increasing it`,
    type: "exceed_context_size_error",
    n_prompt_tokens: tokens,
    n_ctx: numCtx
  }
})

/** Tokens of the prompt as the server counts them: an old one counts what it has read before as none. */
const countOf = ({ prompts, script }: State, { model }: Call, { messages, tokens }: Fitted): number => {
  const prompt = JSON.stringify(messages)
  const again = prompts.get(model.key) === prompt
  prompts.set(model.key, prompt)
  return script.old === true && again ? 0 : tokens
}

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

const fail = (state: State, call: Call, fault: Faults.Fault, player: Player): Effect.Effect<void> => {
  const { error, fields, late, status } = fault
  if (error === undefined) {
    return player.empty(status)
  }
  if (late === true && (call.path === "/api/chat" || call.path === "/api/generate")) {
    return play(
      player,
      state.clock,
      askedOf(state, call, []),
      { text: ["Half an "], errorLine: error },
      {
        received: call.received,
        loaded: call.received,
        begun: call.received,
        promptTokens: 0,
        old: false,
        stage: call.stage
      }
    )
  }
  return player.refuse({ status, error, fields })
}

/** The models in `ps`. */
export const loaded = ({ queue, script }: State): ReadonlyArray<object> =>
  queue.running.map(({ expiresAt, model, numCtx }) => ({
    ...tag(model, { old: true }),
    modified_at: undefined,
    size_vram: 0,
    // For ever is as far as a duration of Go reaches.
    expires_at: Go.time(BigInt(Math.round(Math.min(expiresAt, endOfTime))) * 1_000_000n),
    ...(script.old === true ? {} : { context_length: numCtx })
  }))

/** The last millisecond that Go can count from 1970 in nanoseconds: in the year 2262. */
const endOfTime = 9_223_372_036_854
