/**
 * The model calls of an Ollama double: chat, generate and embeddings.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import { play, short } from "./OllamaDoubleAnswer.ts"
import { embed } from "./OllamaDoubleEmbed.ts"
import { type Installed, tag } from "./OllamaDoubleModels.ts"
import * as Read from "./OllamaDoubleRequest.ts"
import type { Player } from "./OllamaReply.ts"
import { type Asked, messagesOf, type Script } from "./OllamaScript.ts"

export interface State {
  readonly script: Script
  readonly clock: Clock.Clock
  calls: number
  embeds: number
  readonly loaded: Map<string, Installed>
}

/** A request to a model that is installed. */
export interface Call {
  readonly path: string
  readonly body: Read.Body
  readonly model: Installed
}

export const handle = (state: State, call: Call, player: Player): Effect.Effect<void> =>
  call.path === "/api/embed" || call.path === "/api/embeddings" ? embed(state, call, player) : talk(state, call, player)

const talk = (state: State, { path, body, model }: Call, player: Player): Effect.Effect<void> => {
  const name = Read.nameOf(body)
  const refused = Read.callRefusal(path, body, model)
  if (refused !== undefined) {
    return player.refuse(refused)
  }
  if (Read.isEmptyCall(path, body)) {
    const reason = body["keep_alive"] === 0 ? "unload" : "load"
    if (reason === "load") {
      state.loaded.set(model.key, model)
    } else {
      state.loaded.delete(model.key)
    }
    return short(player, state.clock, path, name, reason)
  }
  const format = Read.formatRefusal(body)
  if (format !== undefined) {
    return player.refuse(format)
  }
  state.loaded.set(model.key, model)
  const asked: Asked = {
    path: path === "/api/chat" ? path : "/api/generate",
    model: name,
    messages: messagesOf(body),
    format: body["format"],
    count: ++state.calls,
    body
  }
  const reply = state.script.reply(asked)
  return typeof reply === "string"
    ? play(player, state.clock, asked, { text: reply })
    : "raw" in reply
      ? player.raw(reply)
      : "error" in reply
        ? player.refuse(reply)
        : play(player, state.clock, asked, reply)
}

/** The models in `ps`. */
export const loaded = (state: State): ReadonlyArray<object> =>
  [...state.loaded.values()].map((model) => ({ ...tag(model), size_vram: 0, context_length: 4096 }))
