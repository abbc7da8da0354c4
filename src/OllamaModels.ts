/**
 * The models of a server: what is installed, what is loaded, what each can do; copies and removals.
 *
 * The server is read leniently: unknown fields are kept in `raw`, `null` is the same as absent, and what has another type
 * than it should is taken for absent. Zero stays zero.
 * https://github.com/ollama/ollama/blob/main/docs/api.md#list-local-models
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { isObject } from "./Json.ts"
import { isRemoteModel, type LoadRequest, sameModel } from "./OllamaApi.ts"
import * as OllamaError from "./OllamaError.ts"
import * as OllamaHttp from "./OllamaHttp.ts"
import * as OllamaKeepAlive from "./OllamaKeepAlive.ts"
import { excerpt } from "./OllamaLines.ts"
import * as OllamaOptions from "./OllamaOptions.ts"

/** What the server says about the make of a model. */
export interface Details {
  /** `gguf`, mostly. */
  readonly format?: string | undefined
  readonly family?: string | undefined
  readonly families?: ReadonlyArray<string> | undefined
  /** As the server writes it: `494.03M`. */
  readonly parameterSize?: string | undefined
  readonly quantization?: string | undefined
  /** The model that this one was made from. */
  readonly parent?: string | undefined
  /** Tokens the model was trained for; what the server uses may be less. In lists absent on older servers. */
  readonly contextLength?: number | undefined
  /** Numbers in a vector of the model. In lists absent on older servers. */
  readonly embeddingLength?: number | undefined
}

interface Listed extends Details {
  /** With its tag. */
  readonly name: string
  readonly digest?: string | undefined
  /** As it came, with fields that have no name here. */
  readonly raw: Readonly<Record<string, unknown>>
}

/** One installed model. */
export interface Model extends Listed {
  /** Size on disk, in bytes. */
  readonly bytes?: number | undefined
  readonly modifiedAt?: string | undefined
  /** `completion`, `tools`, `thinking`, …; absent on older servers. */
  readonly capabilities?: ReadonlyArray<string> | undefined
  /** Whether it runs on another machine (Ollama's cloud). */
  readonly remote: boolean
}

/** One model in memory. */
export interface LoadedModel extends Listed {
  /** Size in memory, in bytes. */
  readonly bytes?: number | undefined
  /** How much of it is in the memory of GPUs, in bytes; 0 when none is. */
  readonly vramBytes?: number | undefined
  /** Size of the context it is loaded with, in tokens; absent on older servers. */
  readonly contextLength?: number | undefined
  /** When it is unloaded, as the server writes it: a time with its offset. Absent when it stays. */
  readonly expiresAt?: string | undefined
}

/** Details of one installed model. */
export interface ModelInfo extends Details {
  /** `completion`, `tools`, `thinking`, `vision`, `embedding`, `insert`, …; absent on older servers. */
  readonly capabilities?: ReadonlyArray<string> | undefined
  /** Settings of the Modelfile, as a text block. */
  readonly parameters?: string | undefined
  readonly template?: string | undefined
  readonly system?: string | undefined
  readonly license?: string | undefined
  readonly modelfile?: string | undefined
  readonly modifiedAt?: string | undefined
  /** The oldest version of Ollama that runs it. */
  readonly requires?: string | undefined
  /** The model's own metadata: `general.architecture`, `qwen2.block_count`, …; empty on some models. */
  readonly modelInfo: Readonly<Record<string, unknown>>
  /** Whether it runs on another machine (Ollama's cloud). */
  readonly remote: boolean
  /** As it came, with fields that have no name here. */
  readonly raw: Readonly<Record<string, unknown>>
}

const Json = Schema.Record(Schema.String, Schema.Unknown)
type Json = typeof Json.Type

// Whatever else an answer may lack, it says one of these.
const Shown = Json.check(
  Schema.makeFilter((json) => ["details", "model_info", "capabilities", "modelfile"].some((key) => key in json))
)

const List = Schema.Struct({ models: Schema.NullOr(Schema.Array(Json)) })

const get = (server: OllamaHttp.Server, path: string) =>
  OllamaHttp.json(server, { method: "GET", path, model: "" }, List)

/** `GET /api/tags`. */
export const list = (server: OllamaHttp.Server): Effect.Effect<ReadonlyArray<Model>, OllamaError.OllamaError> =>
  Effect.map(get(server, "/api/tags"), ({ models }) => (models ?? []).map(toModel))

/** `GET /api/ps`. */
export const loaded = (server: OllamaHttp.Server): Effect.Effect<ReadonlyArray<LoadedModel>, OllamaError.OllamaError> =>
  Effect.map(get(server, "/api/ps"), ({ models }) => (models ?? []).map(toLoaded))

/** The installed model that a name means, as the server would find it. */
export const find = (
  server: OllamaHttp.Server,
  name: string
): Effect.Effect<Model | undefined, OllamaError.OllamaError> =>
  Effect.map(list(server), (models) => models.find((model) => sameModel(model.name, name)))

/**
 * `POST /api/generate` without a prompt: loads a model, or with `keepAlive: 0` unloads it. A model that only makes vectors
 * is loaded by `POST /api/embed` without a text.
 */
export const load = (
  server: OllamaHttp.Server & { readonly firstRecordTimeout: number },
  options: LoadRequest
): Effect.Effect<void, OllamaError.OllamaError> => {
  const { firstRecordTimeout: millis, url } = server
  const { keepAlive, model } = options
  const settings = {
    keep_alive: keepAlive === undefined ? undefined : OllamaKeepAlive.seconds(keepAlive),
    options: OllamaOptions.loadToWire(options)
  }
  const asked = (path: string, rest: object, done: (answer: Json) => boolean) =>
    OllamaHttp.text(server, {
      method: "POST",
      path,
      body: JSON.stringify({ model, ...rest, ...settings }),
      model
    }).pipe(Effect.flatMap((text) => loadedBy({ text, url, path, model, done })))
  return asked("/api/generate", { stream: true, shift: options.shift }, (answer) => answer["done"] === true).pipe(
    Effect.catchIf(
      ({ reason }) => reason._tag === "Unsupported",
      () => asked("/api/embed", { input: [] }, (answer) => Array.isArray(answer["embeddings"]))
    ),
    Effect.timeoutOrElse({
      duration: millis,
      orElse: () =>
        Effect.fail(OllamaError.make(new OllamaError.Timeout({ url, phase: "first record", millis, partial: "" })))
    })
  )
}

// One record, which says that it is done.
const loadedBy = (answer: {
  readonly text: string
  readonly url: string
  readonly path: string
  readonly model: string
  readonly done: (answer: Json) => boolean
}): Effect.Effect<void, OllamaError.OllamaError> => {
  const { text, url, path, model } = answer
  const decoded = Schema.decodeUnknownExit(Schema.fromJsonString(Json))(text)
  if (Exit.isFailure(decoded)) {
    return Effect.fail(
      OllamaError.make(
        new OllamaError.Malformed({
          url,
          status: 200,
          problem: `the answer to ${path} has another form`,
          excerpt: excerpt(text)
        })
      )
    )
  }
  return answer.done(decoded.value)
    ? Effect.void
    : Effect.fail(OllamaError.make(new OllamaError.StreamInterrupted({ model, status: 200, partial: "" })))
}

/** `POST /api/show`. */
export const show = (
  server: OllamaHttp.Server,
  model: string,
  verbose: boolean | undefined
): Effect.Effect<ModelInfo, OllamaError.OllamaError> =>
  Effect.map(
    OllamaHttp.json(
      server,
      { method: "POST", path: "/api/show", body: JSON.stringify({ model, verbose }), model },
      Shown
    ),
    toInfo
  )

/** `POST /api/copy`. */
export const copy = (
  server: OllamaHttp.Server,
  source: string,
  destination: string
): Effect.Effect<void, OllamaError.OllamaError> =>
  Effect.asVoid(
    OllamaHttp.status(server, {
      method: "POST",
      path: "/api/copy",
      body: JSON.stringify({ source, destination }),
      model: source
    })
  )

/** `DELETE /api/delete`. */
export const remove = (server: OllamaHttp.Server, model: string): Effect.Effect<void, OllamaError.OllamaError> =>
  Effect.asVoid(
    OllamaHttp.removal(server, { method: "DELETE", path: "/api/delete", body: JSON.stringify({ model }), model })
  )

const Version = Schema.Struct({ version: Schema.String })

/** `GET /api/version`. */
export const version = (server: OllamaHttp.Server): Effect.Effect<string, OllamaError.OllamaError> =>
  Effect.map(
    OllamaHttp.json(server, { method: "GET", path: "/api/version", model: "" }, Version),
    ({ version }) => version
  )

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

const text = (json: Json, key: string): string | undefined =>
  typeof json[key] === "string" && json[key] !== "" ? json[key] : undefined

const number = (json: Json, key: string): number | undefined =>
  typeof json[key] === "number" && Number.isFinite(json[key]) ? json[key] : undefined

const texts = (json: Json, key: string): ReadonlyArray<string> | undefined =>
  Array.isArray(json[key]) ? json[key].filter((item) => typeof item === "string") : undefined

const record = (value: unknown): Json => (isObject(value) ? value : {})

const toDetails = (json: Json): Details => {
  const details = record(json["details"])
  return {
    format: text(details, "format"),
    family: text(details, "family"),
    families: texts(details, "families"),
    parameterSize: text(details, "parameter_size"),
    quantization: text(details, "quantization_level"),
    parent: text(details, "parent_model"),
    contextLength: number(details, "context_length"),
    embeddingLength: number(details, "embedding_length")
  }
}

const toListed = (json: Json): Listed => ({
  name: text(json, "name") ?? text(json, "model") ?? "",
  digest: text(json, "digest"),
  ...toDetails(json),
  raw: json
})

const isRemote = (json: Json, name: string): boolean =>
  (text(json, "remote_host") ?? text(json, "remote_model")) !== undefined || isRemoteModel(name)

const toModel = (json: Json): Model => {
  const listed = toListed(json)
  return {
    ...listed,
    bytes: number(json, "size"),
    modifiedAt: text(json, "modified_at"),
    capabilities: texts(json, "capabilities"),
    remote: isRemote(json, listed.name)
  }
}

const toLoaded = (json: Json): LoadedModel => {
  const expiresAt = text(json, "expires_at")
  return {
    ...toListed(json),
    bytes: number(json, "size"),
    vramBytes: number(json, "size_vram"),
    contextLength: number(json, "context_length"),
    expiresAt: expiresAt === undefined || isNever(expiresAt) ? undefined : expiresAt
  }
}

// For ever is the longest duration of Go from now, 292 years.
const isNever = (time: string): boolean => Number(/^\d+/.exec(time)?.[0] ?? 0) >= 2200

const toInfo = (json: Json): ModelInfo => {
  const modelInfo = record(json["model_info"])
  // Keys start with the architecture: `qwen2.context_length`. Others are of parts, as of the eyes of a model that sees.
  const architecture = text(modelInfo, "general.architecture")
  const about = (key: string): number | undefined => {
    const name = architecture === undefined ? undefined : number(modelInfo, `${architecture}.${key}`)
    const other = Object.keys(modelInfo).find((name) => name.split(".").length === 2 && name.endsWith(`.${key}`))
    return name ?? (other === undefined ? undefined : number(modelInfo, other))
  }
  const details = toDetails(json)
  return {
    ...details,
    capabilities: texts(json, "capabilities"),
    contextLength: about("context_length") ?? details.contextLength,
    embeddingLength: about("embedding_length") ?? details.embeddingLength,
    parameters: text(json, "parameters"),
    template: text(json, "template"),
    system: text(json, "system"),
    license: text(json, "license"),
    modelfile: text(json, "modelfile"),
    modifiedAt: text(json, "modified_at"),
    requires: text(json, "requires"),
    modelInfo,
    remote: isRemote(json, ""),
    raw: json
  }
}
