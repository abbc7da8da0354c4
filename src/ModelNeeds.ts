/**
 * What nodes need of models: that they can use tools, think, see, make vectors, or talk at all.
 *
 * A server refuses a call that its model is not made for, but only when that call comes, which may be at the end of a long
 * run. So a run asks once for each of its models what it can do (`/api/show`), and fails before it has visited a node. It
 * refuses only what the server says is not so, and a model that runs on another machine where that is not allowed: where the server is down, too old to tell, or has no such model, the run
 * goes on, and the call of the node says what is wrong if it comes to that.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as LogLine from "./LogLine.ts"
import { type Any, assertNode, type Error, type MapNode, type Services, withRun } from "./NodeType.ts"
import * as Ollama from "./Ollama.ts"
import { canonicalName, sameModel } from "./OllamaApi.ts"
import { make as fail } from "./OllamaError.ts"
import * as OllamaOptions from "./OllamaOptions.ts"
import * as OllamaWarnings from "./OllamaWarnings.ts"
import * as Preflight from "./Preflight.ts"
import * as Span from "./Span.ts"
import type * as Visit from "./Visit.ts"

/** What a model can be able to, in Ollama's words: `completion` is talking. */
export type Capability = "completion" | "tools" | "thinking" | "vision" | "embedding" | "insert"

/** What a node needs of a model. */
export interface ModelNeed {
  readonly model: string
  readonly capabilities: ReadonlyArray<Capability>
  /** Tokens of context that the node asks for. */
  readonly numCtx?: number | undefined
}

interface Need extends Preflight.Need, ModelNeed {
  /** The options that say how the model is loaded, where they are known. */
  readonly load?: Readonly<Record<string, unknown>> | undefined
}

/** The needs of a node that asks a model with these options, and for what else they say. */
export const ofCall = (
  options: Ollama.Options,
  capabilities: ReadonlyArray<Capability> = []
): ReadonlyArray<Preflight.Need> => {
  const { model, numCtx, think } = options
  const needed: ReadonlyArray<Capability> = [
    "completion",
    ...(think === undefined || think === false ? [] : ["thinking" as const]),
    ...capabilities
  ]
  return [needOf({ model, capabilities: needed, numCtx, load: OllamaOptions.load(options) })]
}

const needOf = (need: ModelNeed & Pick<Need, "load">): Need => ({ ...need, node: "", vital: true, check })

/**
 * Says what a node of your own needs of a model that it calls, so that a run with it fails before it begins where the model
 * is not made for that. `Node.model`, `object`, `router` and `agent` say it by themselves.
 */
export const needs =
  (need: ModelNeed) =>
  <N extends Any>(self: N): MapNode<N, Error<N> | Ollama.OllamaError, Services<N> | Ollama.Ollama> => {
    assertNode("Node.needs: what it is for", self)
    return Preflight.attach(withRun(self, self.run), [...Preflight.of(self), needOf(need)])
  }

// ---------------------------------------------------------------------------------------------------------------------
// Seeing to needs
// ---------------------------------------------------------------------------------------------------------------------

const check: Preflight.Need["check"] = (given, run) =>
  Effect.gen(function* () {
    const service = yield* Effect.serviceOption(Ollama.Ollama)
    // A node that brings its own says nothing of what it needs, and without any there is nobody to ask.
    if (Option.isNone(service)) {
      return
    }
    const needs = given as ReadonlyArray<Need> // all that come here were made here
    const models = [...Map.groupBy(needs, ({ model }) => canonicalName(model)).values()].map(([first]) => first!.model)
    const asked = yield* Effect.forEach(models, (model) => show(service.value, model, run), {
      concurrency: "unbounded"
    })
    for (const { fresh, info, model } of asked) {
      if (fresh && (info?.capabilities !== undefined || info?.contextLength !== undefined)) {
        yield* Span.event("llm.model_checked", {
          "llm.model": model,
          "tinyllm.ollama.capabilities": info.capabilities,
          "tinyllm.ollama.context_length": info.contextLength
        })
      }
    }
    for (const need of needs) {
      const found = asked.find(({ model }) => sameModel(model, need.model))
      if (need.vital && found?.remote === true) {
        return yield* fail(new Ollama.RemoteRefused({ name: need.model }))
      }
      if (found?.info !== undefined) {
        yield* judge(need, found.info)
      }
      const { load, model, node } = need
      if (load !== undefined) {
        yield* OllamaWarnings.ofLoad({ run, url: service.value.url, model, node, load })
      }
    }
  })

const judge = (
  need: Need,
  { capabilities, contextLength }: Ollama.ModelInfo
): Effect.Effect<void, Ollama.OllamaError> =>
  Effect.gen(function* () {
    const lacking = need.capabilities.find((capability) => capabilities?.includes(capability) === false)
    const facts = { "node.id": need.node, "llm.model": need.model }
    if (lacking !== undefined && need.vital) {
      return yield* unsupported(need, lacking, capabilities ?? [])
    }
    if (lacking !== undefined) {
      yield* LogLine.warn("A node needs of its model what that does not support: what stands in for it has to", () => ({
        ...facts,
        "tinyllm.ollama.capability": lacking
      }))
    }
    const { numCtx } = need
    if (numCtx !== undefined && contextLength !== undefined && numCtx > contextLength) {
      yield* LogLine.warn(
        '"numCtx" is more than the model was trained for, and Ollama takes no more than that',
        () => ({
          ...facts,
          "tinyllm.ollama.num_ctx": numCtx,
          "tinyllm.ollama.context_length": contextLength
        })
      )
    }
  })

const unsupported = (need: Need, capability: Capability, capabilities: ReadonlyArray<string>): Ollama.OllamaError =>
  fail(
    new Ollama.Unsupported({
      model: need.model,
      // As the server calls it when it refuses a call.
      capability: capability === "completion" ? "chat" : capability,
      status: 200,
      text: `its capabilities are: ${capabilities.join(", ") || "none"}`,
      node: need.node
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// Asking once
// ---------------------------------------------------------------------------------------------------------------------

interface Known {
  /** `undefined` where the server does not say. */
  readonly info: Ollama.ModelInfo | undefined
  /** Whether it would leave the machine, and nobody said that it may: by its name, or as the server knows behind that name. */
  readonly remote: boolean
}

// What models of a run can do, by server and name; also of runs within it.
const known = new WeakMap<Visit.Run, Map<string, Deferred.Deferred<Known>>>()

interface Shown extends Known {
  readonly model: string
  /** Whether that was asked now. */
  readonly fresh: boolean
}

const show = (ollama: Ollama.Client, model: string, run: Visit.Run): Effect.Effect<Shown> =>
  Effect.suspend((): Effect.Effect<Shown> => {
    let root = run
    while (root.parent !== undefined) {
      root = root.parent
    }
    const models = known.get(root) ?? new Map<string, Deferred.Deferred<Known>>()
    known.set(root, models)
    const key = JSON.stringify([ollama.url, canonicalName(model)])
    const asked = models.get(key)
    if (asked !== undefined) {
      return Effect.map(Deferred.await(asked), (known) => ({ model, ...known, fresh: false }))
    }
    const answer = Deferred.makeUnsafe<Known>()
    models.set(key, answer)
    return ask(ollama, model).pipe(
      // Who is interrupted knows nothing, and others must not wait for it.
      Effect.onExit((exit) => {
        if (Exit.isFailure(exit)) {
          models.delete(key)
        }
        return Deferred.succeed(answer, Exit.isSuccess(exit) ? exit.value : unknown)
      }),
      Effect.map((known) => ({ model, ...known, fresh: true }))
    )
  })

// The answer comes from a file in milliseconds. A server that takes longer has other work, and a run must not wait for what
// it can do without.
const patience = "2 seconds"

const ask = (ollama: Ollama.Client, model: string): Effect.Effect<Known> =>
  ollama.show(model).pipe(
    Effect.map((info): Known => ({ info, remote: info.remote && ollama.allowRemote !== true })),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(unknown) }),
    // What else is wrong with the server or the name is told by the call that needs them.
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : Effect.succeed({ info: undefined, remote: isRefused(Option.getOrUndefined(Cause.findErrorOption(cause))) })
    )
  )

const unknown: Known = { info: undefined, remote: false }

const isRefused = (error: unknown): boolean =>
  error instanceof Ollama.OllamaError && error.reason._tag === "RemoteRefused"
