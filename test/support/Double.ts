// The client for Node against an Ollama double on a real socket, with the spans it makes.
import { Clock, Effect, Layer, type Scope } from "effect"
import * as NodeClient from "../../src/NodeClient.ts"
import type * as Ollama from "../../src/Ollama.ts"
import { type Asked, OllamaDouble, type Recorded, type Reply, type Script } from "../../src/OllamaDouble.ts"
import { Spans } from "./Spans.ts"

/** Short waits, so that a test of a retry takes milliseconds. */
const quick: Ollama.LayerOptions = { retry: { base: "2 millis", cap: "4 millis" } }

/** One model, "m", that can do everything and replies so. */
export const against = (
  reply: Reply | ((asked: Asked) => Reply),
  options: Ollama.LayerOptions = {},
  script: Partial<Script> = {}
) => {
  const double = OllamaDouble.layer({
    models: ["m:latest"],
    capabilities: ["completion", "tools", "thinking", "vision", "insert", "embedding"],
    ...script,
    reply: typeof reply === "function" ? reply : () => reply
  })
  return Layer.unwrap(Effect.map(OllamaDouble, ({ url }) => NodeClient.layer({ url, ...quick, ...options }))).pipe(
    Layer.provideMerge(double),
    Layer.provideMerge(Spans.layer)
  )
}

/** A chat of one message. */
export const ask = (content = "hi", rest: Partial<Ollama.ChatRequest> = {}): Ollama.ChatRequest => ({
  model: "m",
  messages: [{ role: "user", content }],
  ...rest
})

/** The requests the double received. */
export const requests = Effect.flatMap(OllamaDouble, (double) => double.requests)

/** Without those by which runs ask beforehand what their models can do. */
export const callsOf = (all: ReadonlyArray<Recorded>) => all.filter(({ path }) => path !== "/api/show")

/** The requests the double received, without those by which runs ask beforehand what their models can do. */
export const calls = Effect.map(requests, callsOf)

/** Waits until the last request is so, and says how long that took in milliseconds; fails after ten seconds. */
export const until = (is: (request: Recorded) => boolean) =>
  Effect.gen(function* () {
    const start = yield* Clock.currentTimeMillis
    while (true) {
      const last = (yield* requests).at(-1)
      const now = yield* Clock.currentTimeMillis
      if (last !== undefined && is(last)) {
        return now - start
      }
      if (now - start > 10_000) {
        return yield* Effect.die(new Error(`not in time: ${JSON.stringify(last)}`))
      }
      yield* Effect.sleep("2 millis")
    }
  })

/** A double for a process of its own, which finds it by its environment. */
export const withOllama = <A, E>(
  script: Partial<Script>,
  use: (env: Readonly<Record<string, string>>, double: OllamaDouble["Service"]) => Effect.Effect<A, E, Scope.Scope>
) =>
  Effect.flatMap(OllamaDouble, (double) => use({ OLLAMA_HOST: double.url }, double)).pipe(
    Effect.provide(OllamaDouble.layer({ models: [], reply: () => "", ...script })),
    Effect.scoped
  )
