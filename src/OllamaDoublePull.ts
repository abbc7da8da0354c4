/**
 * How an Ollama double reports progress: `pull`, `push` and `create`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Go from "./OllamaGo.ts"
import { digest, type Models } from "./OllamaDoubleModels.ts"
import type { Player } from "./OllamaReply.ts"
import type { Pullable } from "./OllamaScript.ts"

type Body = Readonly<Record<string, unknown>>

/**
 * Pulls a model into the installed ones.
 *
 * An unknown name is an error after the first record, so after a 200, as the server answers it; without a stream it is
 * a 500.
 */
export const pull = (player: Player, models: Models, name: string, body: Body): Effect.Effect<void> =>
  Effect.gen(function* () {
    const told = yield* transfer(player, models, name, body)
    if (told) {
      yield* finish(player, body)
    }
  })

/** Whether it got to its end. */
const transfer = (player: Player, models: Models, name: string, body: Body): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    yield* tell(player, body, { status: "pulling manifest" })
    const model = models.pullable(name)
    if (model === undefined) {
      yield* fail(player, body, 500, "pull model manifest: file does not exist")
      return false
    }
    const layers = layersOf(model)
    for (const [index, layer] of layers.entries()) {
      const broken = yield* download(player, models, model, layer, body, index === layers.length - 1)
      if (broken) {
        return false
      }
    }
    for (const status of ["verifying sha256 digest", "writing manifest"]) {
      yield* tell(player, body, { status })
    }
    models.install(name, model)
    return true
  })

interface Layer {
  readonly digest: string
  readonly total: number
}

const layersOf = (model: Pullable): ReadonlyArray<Layer> =>
  (model.layers ?? [model.bytes ?? 397_821_319]).map((total, index) => ({
    digest: `sha256:${digest(`${Go.name(model.name).key} ${index}`)}`,
    total
  }))

/** Whether it broke as the script wants. */
const download = (player: Player, models: Models, model: Pullable, layer: Layer, body: Body, last: boolean) =>
  Effect.gen(function* () {
    const breaks = last && (model.errorLine !== undefined || (model.end ?? "done") !== "done")
    const from = models.pulled.get(layer.digest) ?? 0
    const steps = model.steps ?? 4
    const status = `pulling ${layer.digest.slice(7, 19)}`
    // Go leaves out a zero, so there is no `completed` before the first byte.
    yield* tell(player, body, { status, ...layer, ...(from === 0 ? {} : { completed: from }) })
    for (let step = 1; step <= steps; step++) {
      const completed = Math.round((layer.total * step) / steps)
      if (completed <= from) {
        continue
      }
      if (model.delay !== undefined) {
        yield* Effect.sleep(model.delay)
      }
      if (breaks && step > steps / 2) {
        yield* model.errorLine === undefined ? player.end(model.end ?? "eof") : fail(player, body, 500, model.errorLine)
        return true
      }
      models.pulled.set(layer.digest, completed)
      yield* tell(player, body, { status, ...layer, completed })
    }
    return false
  })

/** Sends a model to nowhere. */
export const push = (player: Player, models: Models, name: string, body: Body): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* tell(player, body, { status: "retrieving manifest" })
    const model = models.find(name)
    if (model === undefined) {
      return yield* fail(player, body, 500, "file does not exist")
    }
    const [layer] = layersOf({ ...model, layers: undefined })
    yield* tell(player, body, { status: `pushing ${layer?.digest.slice(7, 19)}`, ...layer })
    yield* tell(player, body, { status: `pushing ${layer?.digest.slice(7, 19)}`, ...layer, completed: layer?.total })
    yield* tell(player, body, { status: "pushing manifest" })
    yield* finish(player, body)
  })

/** Makes a model of uploaded files, or of another model, which is pulled when it is not installed. */
export const create = (player: Player, models: Models, name: string, body: Body): Effect.Effect<void> =>
  Effect.gen(function* () {
    const files = Object.values(recordOf(body["files"])).filter((file) => typeof file === "string")
    const from = typeof body["from"] === "string" ? body["from"] : ""
    if (files.length === 0 && from === "") {
      return yield* fail(player, body, 400, "neither 'from' or 'files' was specified")
    }
    const missing = files.find((file) => !models.blobs.has(file))
    if (missing !== undefined) {
      // Ollama's text holds the path of its own directory.
      return yield* fail(player, body, 500, `open blobs/${missing.replace(":", "-")}: no such file or directory`)
    }
    if (files.length > 0) {
      yield* tell(player, body, { status: "parsing GGUF" })
    } else if (models.find(from) === undefined && !(yield* transfer(player, models, from, body))) {
      return
    }
    const base = models.find(from)
    for (const digest of files.length > 0 ? files : [`sha256:${base?.digest}`]) {
      yield* tell(player, body, { status: `using existing layer ${digest}` })
    }
    const { system, template } = body
    models.install(name, {
      ...(files.length > 0 || base === undefined ? {} : { ...base, ...shownOf(base.details) }),
      ...(typeof system === "string" ? { system } : {}),
      ...(typeof template === "string" ? { template } : {}),
      ...(parametersOf(body["parameters"]) === "" ? {} : { parameters: parametersOf(body["parameters"]) })
    })
    yield* tell(player, body, { status: "writing manifest" })
    yield* finish(player, body)
  })

const shownOf = (details: Body) => ({
  family: String(details["family"]),
  parameterSize: String(details["parameter_size"]),
  quantization: String(details["quantization_level"])
})

/** Settings as `show` lists them: a line for each value, names padded to the same width. */
const parametersOf = (parameters: unknown): string =>
  Object.entries(recordOf(parameters))
    .flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).map((one) => `${key.padEnd(30)} ${Go.json(one)}`)
    )
    .join("\n")

const recordOf = (value: unknown): Body => (typeof value === "object" && value !== null ? (value as Body) : {})

const tell = (player: Player, body: Body, record: object): Effect.Effect<void> =>
  body["stream"] === false ? Effect.void : player.line(record)

const fail = (player: Player, body: Body, status: number, error: string): Effect.Effect<void> =>
  body["stream"] === false ? player.refuse({ status, error }) : player.failed({ status, error })

const finish = (player: Player, body: Body): Effect.Effect<void> =>
  body["stream"] === false
    ? player.json(200, { status: "success" })
    : Effect.andThen(player.line({ status: "success" }), player.end("done"))
