/**
 * What a call should make its author think: a prompt that the server has probably cut, and options with which it loads
 * a model again and again. Both pass in silence otherwise.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import * as LogLine from "./LogLine.ts"
import { canonicalName, sameModel } from "./OllamaApi.ts"
import * as OllamaHttp from "./OllamaHttp.ts"
import * as Visit from "./Visit.ts"

/** What is to be known of a call. */
export interface Call {
  readonly model: string
  /** The options that say how the model is loaded, as they are sent. */
  readonly load: Readonly<Record<string, unknown>>
  readonly numCtx: number | undefined
  readonly numKeep: number | undefined
  /** Whether the server may cut the prompt. */
  readonly truncates: boolean
}

// ---------------------------------------------------------------------------------------------------------------------
// Prompts that were cut
// ---------------------------------------------------------------------------------------------------------------------

// https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx
const defaultNumKeep = 4

/**
 * Whether a prompt of so many tokens is what Ollama leaves of one that is too long: it keeps the first `num_keep` tokens
 * (some models' first token besides) and half of the room for the others. Where it keeps all, -1, nothing is cut.
 *
 * Asked also where the request forbids to cut: not every server knows that it may.
 */
export const isCut = (promptTokens: number, numCtx: number, numKeep: number = defaultNumKeep): boolean =>
  numKeep >= 0 &&
  [numKeep, numKeep + 1].some((kept) => kept < numCtx && promptTokens === numCtx - Math.floor((numCtx - kept) / 2))

// Sizes that servers take by themselves, and others in use: whether it is one of them is then asked.
const usualSizes = Array.from({ length: 8 }, (_, power) => 2048 * 2 ** power)

/** Says on the span and in the log that the prompt was probably cut. */
export const ofCut = (
  server: OllamaHttp.Server,
  call: Call,
  span: Tracer.Span,
  promptTokens: number | undefined
): Effect.Effect<void> => {
  if (promptTokens === undefined) {
    return Effect.void
  }
  const { model, numCtx, numKeep } = call
  if (numCtx !== undefined && isCut(promptTokens, numCtx, numKeep)) {
    return said(model, span, promptTokens, numCtx)
  }
  // Also where a size was asked for: the server takes no more than the model was trained for.
  return call.truncates && usualSizes.some((size) => isCut(promptTokens, size, numKeep))
    ? Effect.flatMap(contextOf(server, model), (size) =>
        size !== undefined && isCut(promptTokens, size, numKeep) ? said(model, span, promptTokens, size) : Effect.void
      )
    : Effect.void
}

const said = (model: string, span: Tracer.Span, promptTokens: number, numCtx: number): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeNanos, (now) => {
    const facts = { "llm.input_tokens": promptTokens, "tinyllm.ollama.num_ctx": numCtx }
    span.event("llm.prompt_truncated", now, facts)
    return Effect.provideService(
      LogLine.warn('A prompt was probably cut to fit the context: shorten it, or raise "numCtx"', () => ({
        "llm.model": model,
        ...facts
      })),
      Tracer.ParentSpan,
      span
    )
  })

const PsResponse = Schema.Struct({
  models: Schema.Array(Schema.Struct({ name: Schema.String, context_length: Schema.optional(Schema.Finite) }))
})

// The size of the context that a loaded model has. A warning is not worth failing or waiting for.
const contextOf = (server: OllamaHttp.Server, model: string): Effect.Effect<number | undefined> =>
  OllamaHttp.json(server, { method: "GET", path: "/api/ps", model: "" }, PsResponse).pipe(
    Effect.map(({ models }) => models.find(({ name }) => sameModel(name, model))?.context_length),
    Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.undefined }),
    Effect.orElseSucceed(() => undefined)
  )

// ---------------------------------------------------------------------------------------------------------------------
// Models that are loaded again
// ---------------------------------------------------------------------------------------------------------------------

// How each model was asked to be loaded first in a run; `undefined` once that was warned of.
const firstLoads = new WeakMap<Visit.Run, Map<string, Call["load"] | undefined>>()

/** Warns, once for each run and model, when it asks for a model with other options than those it was loaded with. */
export const ofReload = (url: string, { load, model }: Call): Effect.Effect<void> =>
  Effect.flatMap(Visit.Current, (visit) =>
    visit === undefined ? Effect.void : ofLoad({ run: visit.run, url, model, node: visit.id, load })
  )

/** The same for a node that will ask for a model, before it does. */
export const ofLoad = (given: {
  readonly run: Visit.Run
  readonly url: string
  readonly model: string
  readonly node: string
  readonly load: Call["load"]
}): Effect.Effect<void> =>
  Effect.suspend(() => {
    let { run } = given
    while (run.parent !== undefined) {
      run = run.parent
    }
    const loads = firstLoads.get(run) ?? new Map<string, Call["load"] | undefined>()
    firstLoads.set(run, loads)
    const key = JSON.stringify([given.url, canonicalName(given.model)])
    if (!loads.has(key)) {
      loads.set(key, given.load)
      return Effect.void
    }
    const first = loads.get(key)
    const changed = first === undefined ? [] : differences(first, given.load)
    if (changed.length === 0) {
      return Effect.void
    }
    loads.set(key, undefined)
    return LogLine.warn(
      `Nodes of one run ask for a model with different options, and Ollama loads it again each time: give them the same`,
      () => ({ "llm.model": given.model, "node.id": given.node, "tinyllm.ollama.options": changed.join(", ") })
    )
  })

/** `num_ctx 4096 and 8192` for each option that is not the same. */
const differences = (a: Call["load"], b: Call["load"]): ReadonlyArray<string> =>
  [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((name) => a[name] !== b[name])
    .map((name) => `${name} ${shown(a[name])} and ${shown(b[name])}`)

const shown = (value: unknown): string => (value === undefined ? "unset" : String(value))
