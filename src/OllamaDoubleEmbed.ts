/**
 * How an Ollama double makes vectors of texts.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Installed } from "./OllamaDoubleModels.ts"
import type { Queue, Stage } from "./OllamaDoubleQueue.ts"
import * as Read from "./OllamaDoubleRequest.ts"
import { nonZero, pause, type Player } from "./OllamaReply.ts"
import {
  type AskedToEmbed,
  countTokens,
  type EmbedReply,
  type Refusal,
  type Script,
  type Vectors
} from "./OllamaScript.ts"

interface State {
  readonly script: Script
  readonly queue: Queue
  embeds: number
}

/** A request to a model that is installed. */
export interface Call {
  readonly path: string
  readonly body: Read.Body
  readonly model: Installed
  /** Nanoseconds of the monotonic clock. */
  readonly received: number
  readonly stage: (stage: Stage) => void
}

export const embed = (state: State, call: Call, player: Player): Effect.Effect<void> => {
  const { body, model, path } = call
  const inputs = inputsOf(body[path === "/api/embed" ? "input" : "prompt"])
  if (inputs === undefined) {
    return player.refuse({ status: 400, error: "invalid input type" })
  }
  const name = Read.nameOf(body)
  const single = path === "/api/embeddings"
  const nothing = inputs.length === 0
  const refused = Read.optionRefusal(body) ?? (nothing ? undefined : refusal(model, body, inputs))
  if (refused !== undefined) {
    return player.refuse(refused)
  }
  if (nothing) {
    // Loaded all the same.
    return Effect.catch(
      state.queue.use(call, () => player.json(200, single ? { embedding: [] } : { model: name, embeddings: [] })),
      (busy) => player.refuse(busy)
    )
  }
  const asked: AskedToEmbed = {
    path: single ? path : "/api/embed",
    model: name,
    inputs,
    count: ++state.embeds,
    body
  }
  const reply: EmbedReply = state.script.embed?.(asked) ?? {
    embeddings: inputs.map((input) => vector(input, model.embeddingLength))
  }
  return "raw" in reply
    ? player.raw(reply)
    : "error" in reply
      ? player.refuse(reply)
      : Effect.catch(
          state.queue.use({ ...call, load: reply.load }, ({ loaded }) => answer(asked, reply, call, loaded, player)),
          (busy) => player.refuse(busy)
        )
}

// One input that fails fails them all.
const refusal = (model: Installed, body: Read.Body, inputs: ReadonlyArray<string>): Refusal | undefined => {
  if (!model.capabilities.includes("embedding")) {
    return { status: 501, error: "This server does not support embeddings. Start it with `--embeddings`" }
  }
  return body["truncate"] === false && inputs.some((input) => countTokens(input) > model.contextLength)
    ? { status: 400, error: "the input length exceeds the context length" }
    : undefined
}

const answer = (
  asked: AskedToEmbed,
  reply: Vectors,
  { received, stage }: Call,
  loaded: number,
  player: Player
): Effect.Effect<void> =>
  Effect.gen(function* () {
    stage("reading")
    yield* pause(reply.delay)
    stage("answering")
    const { dimensions } = asked.body
    const embeddings = reply.embeddings.map((values) =>
      typeof dimensions === "number" && dimensions > 0 && dimensions < values.length
        ? unit(values.slice(0, dimensions))
        : values
    )
    if (asked.path === "/api/embeddings") {
      return yield* player.json(200, { embedding: embeddings[0] ?? [] })
    }
    const metrics = nonZero({
      total_duration: (yield* now) - received,
      load_duration: loaded - received,
      prompt_eval_count: asked.inputs.reduce((sum, input) => sum + countTokens(input), 0)
    })
    yield* player.json(200, { model: asked.model, embeddings, ...metrics, ...reply.metrics })
  })

const now = Effect.map(Clock.monotonicTimeNanos, Number)

const inputsOf = (input: unknown): ReadonlyArray<string> | undefined => {
  if (input === undefined || input === null || input === "") {
    return []
  }
  const inputs = typeof input === "string" ? [input] : input
  return Array.isArray(inputs) && inputs.every((each) => typeof each === "string") ? inputs : undefined
}

/** Each word is a direction made from its letters, a text is their sum: no meaning, but texts with the same words are near. */
const vector = (text: string, length: number): ReadonlyArray<number> => {
  const values = Array.from({ length }, () => 0)
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [text]) {
    let seed = fnv(word) || 1
    for (let index = 0; index < length; index++) {
      // xorshift32, https://www.jstatsoft.org/article/view/v008i14
      seed ^= seed << 13
      seed ^= seed >>> 17
      seed ^= seed << 5
      values[index] = (values[index] ?? 0) + seed / 2 ** 31
    }
  }
  return unit(values)
}

// FNV-1a, https://www.isthe.com/chongo/tech/comp/fnv/: 32 bits are enough to spread words.
const fnv = (text: string): number => {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  }
  return hash
}

const unit = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const norm = Math.hypot(...values)
  return norm === 0 ? values : values.map((value) => Math.fround(value / norm))
}
