/**
 * `tinyllm models`: lists the models that are installed, what they can do, and which of them are loaded.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { failed } from "./CliError.ts"
import type { ModelsFlags } from "./CliFlags.ts"
import * as CliTable from "./CliTable.ts"
import * as NodeClient from "./NodeClient.ts"
import { type LoadedModel, type Model, Ollama, sameModel } from "./Ollama.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"

/** Prints a table of the installed models, the newest first. */
export const models = (flags: ModelsFlags) =>
  Effect.gen(function* () {
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const ollama = yield* Ollama
    const [installed, loaded] = yield* Effect.all(
      [
        Effect.flatMap(ollama.models, Effect.forEach(withContext, { concurrency: 4 })),
        // Servers of before 2024 do not tell.
        known(ollama.loaded)
      ],
      { concurrency: 2 }
    )
    const now = yield* Clock.currentTimeMillis
    const listed = installed.map(({ contextLength, model }) => ({
      model,
      contextLength,
      loaded: loaded?.find(({ name }) => sameModel(name, model.name)),
      isKnown: loaded !== undefined
    }))
    if (flags.json) {
      return yield* stdout.write(CliTable.json(listed.map(toJson)))
    }
    if (listed.length === 0) {
      stderr.write(
        `tinyllm: no models are installed at ${ollama.url}. Install one, for example "tinyllm models pull qwen2.5:0.5b".\n`
      )
      return
    }
    const { leftOut, text } = CliTable.table(
      columns,
      listed.map((entry) => row(entry, now)),
      { width: stdout.columns(), colour: false }
    )
    yield* stdout.write(text)
    if (leftOut.length > 0) {
      stderr.write(`tinyllm: no room for ${leftOut.join(", ")}. A wider terminal or --json shows all.\n`)
    }
  }).pipe(Effect.provide(NodeClient.layerConfigWith({ allowRemote: flags.allowRemote })), Effect.mapError(failed))

// A list is worth more than what one model in it can do, and whether it is loaded.
const patience = "3 seconds"

const known = <A, E>(answer: Effect.Effect<A, E>): Effect.Effect<A | undefined> =>
  answer.pipe(
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.undefined }),
    Effect.orElseSucceed(() => undefined)
  )

interface Listed {
  readonly model: Model
  readonly contextLength: number | undefined
  readonly loaded: LoadedModel | undefined
  /** Whether the server said what is loaded. */
  readonly isKnown: boolean
}

/** A model with what it was trained for, which older servers tell only of one model at a time. */
const withContext = (model: Model) =>
  Effect.gen(function* () {
    const ollama = yield* Ollama
    const isKnown = model.contextLength !== undefined && model.capabilities !== undefined
    const info = model.remote || isKnown ? undefined : yield* known(ollama.show(model.name))
    return {
      model: { ...model, capabilities: model.capabilities ?? info?.capabilities },
      contextLength: model.contextLength ?? info?.contextLength
    }
  })

// The higher, the sooner it gives way where a terminal is narrow.
const columns: ReadonlyArray<CliTable.Column> = [
  { name: "NAME" },
  { name: "SIZE", gives: 1 },
  { name: "PARAMETERS", gives: 5 },
  { name: "QUANTIZATION", gives: 6 },
  { name: "CONTEXT", gives: 2 },
  { name: "LOADED", gives: 3 },
  { name: "VRAM", gives: 7 },
  { name: "CAPABILITIES", gives: 4 }
]

const row = ({ contextLength, isKnown, loaded, model }: Listed, now: number): ReadonlyArray<string> => [
  model.name,
  model.remote ? "remote" : CliTable.size(model.bytes),
  model.parameterSize ?? "-",
  model.quantization ?? "-",
  contextOf(contextLength, loaded?.contextLength),
  loaded === undefined ? (isKnown ? "no" : "-") : remaining(loaded.expiresAt, now),
  loaded?.vramBytes === undefined ? "-" : CliTable.size(loaded.vramBytes),
  model.capabilities?.join(",") || "-"
]

/** What a model is loaded with may be less than what it was trained for. */
const contextOf = (trained: number | undefined, used: number | undefined): string =>
  used === undefined || used === trained ? String(trained ?? "-") : `${used}/${trained ?? "-"}`

/** How long a model stays. */
const remaining = (expiresAt: string | undefined, now: number): string => {
  const millis = expiresAt === undefined ? Number.NaN : Date.parse(expiresAt) - now
  if (Number.isNaN(millis)) {
    return "always"
  }
  const seconds = Math.max(0, Math.round(millis / 1000))
  return seconds < 60
    ? `${seconds} s`
    : seconds < 3600
      ? `${Math.round(seconds / 60)} min`
      : `${Math.round(seconds / 3600)} h`
}

const toJson = ({ contextLength, isKnown, loaded, model }: Listed) => ({
  name: model.name,
  bytes: model.bytes ?? null,
  family: model.family ?? null,
  parameters: model.parameterSize ?? null,
  quantization: model.quantization ?? null,
  contextLength: contextLength ?? null,
  capabilities: model.capabilities ?? null,
  modifiedAt: model.modifiedAt ?? null,
  digest: model.digest ?? null,
  remote: model.remote,
  isLoaded: isKnown ? loaded !== undefined : null,
  loaded:
    loaded === undefined
      ? null
      : {
          bytes: loaded.bytes ?? null,
          vramBytes: loaded.vramBytes ?? null,
          contextLength: loaded.contextLength ?? null,
          expiresAt: loaded.expiresAt ?? null
        }
})
