/**
 * The models of an Ollama double: which are installed, which could be pulled, and how lists and details show them.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Crypto from "node:crypto"
import type * as Duration from "effect/Duration"
import * as Faults from "./OllamaDoubleFaults.ts"
import * as Go from "./OllamaGo.ts"
import type { Model, Pullable, Script } from "./OllamaScript.ts"

/** An installed model, complete. */
export interface Installed {
  readonly name: string
  readonly key: string
  readonly capabilities: ReadonlyArray<string>
  readonly contextLength: number
  readonly embeddingLength: number
  readonly bytes: number
  readonly load: Duration.Input | undefined
  readonly overflow: "cut" | "refuse" | undefined
  readonly digest: string
  readonly modifiedAt: string
  readonly details: Readonly<Record<string, unknown>>
  readonly show: Readonly<Record<string, unknown>>
}

/** 64 hexadecimal digits that stand for a text. */
export const digest = (text: string): string => Crypto.createHash("sha256").update(text).digest("hex")

export class Models {
  /** Digests of uploaded files, with their `sha256:`. */
  readonly blobs = new Set<string>()
  /** Bytes of each layer that was begun to be pulled, by its digest. */
  readonly pulled = new Map<string, number>()
  readonly #installed = new Map<string, Installed>()
  readonly #registry: ReadonlyMap<string, Pullable>
  readonly #script: Script
  readonly #clock: Clock.Clock

  constructor(script: Script, clock: Clock.Clock) {
    this.#script = script
    this.#clock = clock
    for (const model of script.models) {
      const installed = this.#complete(typeof model === "string" ? { name: model } : model, aLongTimeAgo)
      this.#installed.set(installed.key, installed)
    }
    this.#registry = new Map(
      (script.registry ?? []).map((model) => {
        const pullable = typeof model === "string" ? { name: model } : model
        return [Go.name(pullable.name).key, pullable]
      })
    )
  }

  /** The installed model of that name. */
  find(name: string): Installed | undefined {
    const { key, short, valid } = Go.name(name)
    const installed = this.#installed.get(key)
    if (installed !== undefined) {
      return installed
    }
    return Faults.find("", name) !== undefined
      ? this.#complete({ name: short, capabilities: everything }, aLongTimeAgo)
      : this.#script.anyModel === true && valid
        ? this.#complete({ name: short }, aLongTimeAgo)
        : undefined
  }

  /** What `pull` would get. */
  pullable(name: string): Pullable | undefined {
    return this.#registry.get(Go.name(name).key) ?? this.find(name)
  }

  /** Newest first. */
  get all(): ReadonlyArray<Installed> {
    return [...this.#installed.values()]
  }

  install(name: string, model: Omit<Model, "name">): void {
    this.#add(this.#complete({ ...model, name: Go.name(name).short }, this.#now()))
  }

  copy(model: Installed, name: string): void {
    const { key, short } = Go.name(name)
    const modifiedAt = this.#now()
    this.#add({ ...model, name: short, key, modifiedAt, show: { ...model.show, modified_at: modifiedAt } })
  }

  #now(): string {
    return Go.time(this.#clock.currentTimeNanosUnsafe())
  }

  #add(installed: Installed): void {
    const others = this.all.filter(({ key }) => key !== installed.key)
    this.#installed.clear()
    for (const each of [installed, ...others]) {
      this.#installed.set(each.key, each)
    }
  }

  delete(model: Installed): void {
    this.#installed.delete(model.key)
  }

  #complete(model: Model, modifiedAt: string): Installed {
    const { contextLength = 32_768, embeddingLength = 384, family = "qwen2" } = model
    const capabilities = model.capabilities ?? this.#script.capabilities ?? ["completion"]
    const details = {
      parent_model: "",
      format: "gguf",
      family,
      families: [family],
      parameter_size: model.parameterSize ?? "494.03M",
      quantization_level: model.quantization ?? "Q4_K_M"
    }
    const { key, short } = Go.name(model.name)
    return {
      name: short,
      key,
      capabilities,
      contextLength,
      embeddingLength,
      bytes: model.bytes ?? 397_821_319,
      load: model.load,
      overflow: model.overflow,
      digest: digest(key),
      modifiedAt,
      details,
      show: {
        modelfile: `FROM ${short}`,
        parameters: model.parameters ?? "",
        template: model.template ?? "{{ .Prompt }}",
        ...(model.system === undefined ? {} : { system: model.system }),
        details,
        model_info: {
          "general.architecture": family,
          [`${family}.context_length`]: contextLength,
          [`${family}.embedding_length`]: embeddingLength
        },
        ...(this.#script.old === true ? {} : { capabilities }),
        modified_at: modifiedAt
      }
    }
  }
}

const everything = ["completion", "tools", "insert", "vision", "embedding", "thinking"]

const aLongTimeAgo = "2026-08-21T10:00:00.123456789Z"

/** A model in `tags` and `ps`. */
export const tag = (model: Installed, { old }: { readonly old: boolean }) => ({
  name: model.name,
  model: model.name,
  modified_at: model.modifiedAt,
  size: model.bytes,
  digest: model.digest,
  details: model.details,
  ...(old ? {} : { capabilities: model.capabilities })
})
