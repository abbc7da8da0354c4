/**
 * The options of model calls: what is allowed, checked before anything is sent, and how they are written.
 *
 * Ollama checks no range: it clamps, wraps or runs without a bound, and says nothing.
 * https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx#valid-parameters-and-values
 *
 * @since 0.1.0
 */
import * as Json from "./Json.ts"
import type { ChatRequest, GenerateRequest, KeepAlive, LoadOptions, Options } from "./OllamaApi.ts"
import * as OllamaKeepAlive from "./OllamaKeepAlive.ts"

/** What is wrong with a request: the option, and a sentence with what was given and what is allowed. */
export interface Problem {
  readonly option: string
  readonly text: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Numbers
// ---------------------------------------------------------------------------------------------------------------------

/** What a number may be. */
export interface Range {
  /** Its name as it is sent. */
  readonly wire: string
  readonly integer: boolean
  readonly minimum: number
  readonly maximum: number
  /** Whether the minimum itself is too small. */
  readonly above?: boolean
}

const largest = 2 ** 31 - 1

const integer = (wire: string, minimum: number, maximum = largest): Range => ({
  wire,
  integer: true,
  minimum,
  maximum
})
const finite = (wire: string, minimum = -Infinity, maximum = Infinity, above = false): Range => ({
  wire,
  integer: false,
  minimum,
  maximum,
  above
})

// Load-time options: another value makes the server load the model again.
const loadRanges = {
  numCtx: integer("num_ctx", 4), // the server makes 4 of less
  numBatch: integer("num_batch", 1),
  numGpu: integer("num_gpu", -1),
  mainGpu: integer("main_gpu", 0),
  numThread: integer("num_thread", 0),
  draftNumPredict: integer("draft_num_predict", 0)
} satisfies Partial<Record<keyof LoadOptions, Range>>

/** The numbers among the options, in the order in which they are sent. */
export const ranges = {
  maxTokens: integer("num_predict", 1), // 0 is no bound on one of the server's paths
  temperature: finite("temperature", 0),
  topP: finite("top_p", 0, 1),
  topK: integer("top_k", 0),
  seed: integer("seed", -1, 2 ** 32 - 1), // the runner's seed has 32 bits
  minP: finite("min_p", 0, 1),
  typicalP: finite("typical_p", 0, 1),
  repeatLastN: integer("repeat_last_n", -1),
  repeatPenalty: finite("repeat_penalty", 0, Infinity, true), // the runner divides by it
  presencePenalty: finite("presence_penalty"),
  frequencyPenalty: finite("frequency_penalty"),
  numKeep: integer("num_keep", -1),
  ...loadRanges
} satisfies Partial<Record<keyof Options, Range>>

const outOf = (option: string, value: unknown, range: Range): Problem | undefined => {
  const { integer, minimum, maximum, above } = range
  if (
    typeof value === "number" &&
    Number.isFinite(value) &&
    (!integer || Number.isInteger(value)) &&
    (above === true ? value > minimum : value >= minimum) &&
    value <= maximum
  ) {
    return undefined
  }
  // Of the largest integer of the server is told only who comes near it.
  const isBounded = maximum !== Infinity && (maximum !== largest || (typeof value === "number" && value > maximum))
  const bounds =
    minimum === -Infinity
      ? ""
      : above === true
        ? ` above ${minimum}`
        : isBounded
          ? ` from ${minimum} to ${maximum}`
          : ` of at least ${minimum}`
  return wrong(option, `${integer ? "an integer" : "a number"}${bounds}`, value)
}

const wrong = (option: string, allowed: string, value: unknown): Problem => ({
  option,
  text: `"${option}" must be ${allowed}, got ${shown(value)}.`
})

// Of an option, never of a message.
const shown = (value: unknown): string =>
  typeof value === "string"
    ? JSON.stringify(value.slice(0, 40))
    : typeof value === "number" || typeof value === "boolean" || typeof value === "bigint"
      ? String(value)
      : value === null
        ? "null"
        : Array.isArray(value)
          ? "a list"
          : `a value of type ${typeof value}`

const numbersOf = (options: object, ranges: Readonly<Record<string, Range>>): Problem | undefined => {
  for (const [option, range] of Object.entries(ranges)) {
    const value: unknown = Reflect.get(options, option)
    const problem = value === undefined ? undefined : outOf(option, value, range)
    if (problem !== undefined) {
      return problem
    }
  }
  return undefined
}

const written = (options: object, ranges: Readonly<Record<string, Range>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(ranges).map(([option, { wire }]) => [wire, Reflect.get(options, option)]))

/** The numbers of a request that was written here. */
export const fromWire = (wire: Readonly<Record<string, unknown>>): { readonly [K in keyof typeof ranges]?: number } =>
  Object.fromEntries(
    Object.entries(ranges).flatMap(([option, range]) => {
      const value = wire[range.wire]
      return typeof value === "number" ? [[option, value]] : []
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// Checks
// ---------------------------------------------------------------------------------------------------------------------

/** What is wrong with the options that say how a model is loaded; `undefined` when nothing is. */
export const checkLoad = (options: LoadOptions): Problem | undefined =>
  checkName(options.model) ??
  numbersOf(options, loadRanges) ??
  booleans(options, ["useMmap", "shift"]) ??
  checkKeepAlive(options.keepAlive)

/** What is wrong with the name of a model; `undefined` when nothing is. */
export const checkName = (model: string): Problem | undefined =>
  model.trim() === ""
    ? { option: "model", text: `No model was named. Set "model", for example "qwen2.5:0.5b".` }
    : /[\s\p{Cc}]/u.test(model)
      ? wrong("model", `a name without white space, for example "qwen2.5:0.5b"`, model)
      : undefined

/** What is wrong with the options of vectors alone; `undefined` when nothing is. */
export const checkEmbedding = (options: {
  readonly truncate?: boolean | undefined
  readonly dimensions?: number | undefined
}): Problem | undefined =>
  numbersOf(options, { dimensions: integer("dimensions", 1) }) ?? booleans(options, ["truncate"])

/** What is wrong with a model call; `undefined` when nothing is. */
export const check = (request: ChatRequest | GenerateRequest): Problem | undefined =>
  checkLoad(request) ?? ("messages" in request ? checkMessages(request) : checkPrompt(request)) ?? checkOptions(request)

/** What is wrong with options that are known before there is anything to ask; `undefined` when nothing is. */
export const checkSettings = (options: Options): Problem | undefined => checkLoad(options) ?? checkOptions(options)

const checkOptions = (options: Options): Problem | undefined =>
  numbersOf(options, ranges) ??
  booleans(options, ["truncate", "logprobs"]) ??
  checkStop(options.stop) ??
  checkThink(options.think) ??
  checkFormat(options.format) ??
  checkLogprobs(options)

const booleans = (options: object, names: ReadonlyArray<string>): Problem | undefined => {
  const name = names.find((name) => !["boolean", "undefined"].includes(typeof Reflect.get(options, name)))
  return name === undefined ? undefined : wrong(name, "true or false", Reflect.get(options, name))
}

const checkStop = (stop: unknown): Problem | undefined =>
  stop === undefined || (Array.isArray(stop) && stop.every((text) => typeof text === "string" && text !== ""))
    ? undefined
    : wrong("stop", "a list of texts that are not empty", stop)

/** What `think` may be. */
export const thinks: ReadonlySet<unknown> = new Set<unknown>([undefined, true, false, "low", "medium", "high", "max"])

const checkThink = (think: unknown): Problem | undefined =>
  thinks.has(think) ? undefined : wrong("think", `true, false, "low", "medium", "high" or "max"`, think)

const checkFormat = (format: unknown): Problem | undefined =>
  format === undefined || format === "json" || Json.isObject(format)
    ? undefined
    : wrong("format", `"json" or a JSON Schema object`, format)

const checkLogprobs = ({ logprobs, topLogprobs }: Options): Problem | undefined =>
  topLogprobs === undefined
    ? undefined
    : (outOf("topLogprobs", topLogprobs, integer("top_logprobs", 0, 20)) ??
      (topLogprobs === 0 || logprobs === true
        ? undefined
        : { option: "topLogprobs", text: `"topLogprobs" needs "logprobs: true", got ${shown(logprobs)}.` }))

const checkKeepAlive = (value: KeepAlive | undefined): Problem | undefined =>
  value === undefined || OllamaKeepAlive.seconds(value) !== undefined
    ? undefined
    : wrong("keepAlive", `a duration ("5 minutes", "5m", "300" seconds), 0 or "forever"`, value)

const empty = (option: string): Problem => ({
  option,
  text: "The prompt is empty: Ollama would only load the model. Send a text."
})

const checkPrompt = (request: GenerateRequest): Problem | undefined => {
  if (request.prompt === "") {
    return empty("prompt")
  }
  if (request.raw === true && (request.system !== undefined || request.template !== undefined)) {
    return { option: "raw", text: `"raw" sends the prompt as it is. Leave "system" and "template" out, or "raw".` }
  }
  return booleans(request, ["raw"]) ?? checkImages("images", request.images)
}

const checkMessages = ({ messages, tools }: ChatRequest): Problem | undefined => {
  if (messages.length === 0) {
    return empty("messages")
  }
  for (const [index, { images }] of messages.entries()) {
    const problem = checkImages(`messages[${index}].images`, images)
    if (problem !== undefined) {
      return problem
    }
  }
  const at = tools?.findIndex(({ name, parameters }) => name.trim() === "" || !Json.isObject(parameters)) ?? -1
  return at === -1
    ? undefined
    : {
        option: `tools[${at}]`,
        text: `"tools[${at}]" must have a name and a JSON Schema object as "parameters". "Ollama.tool" makes one.`
      }
}

const checkImages = (option: string, images: ReadonlyArray<Uint8Array | string> | undefined): Problem | undefined => {
  const at = images?.findIndex((image) => (typeof image === "string" ? !isBase64(image) : image.length === 0)) ?? -1
  return at === -1
    ? undefined
    : {
        option: `${option}[${at}]`,
        text: `"${option}[${at}]" must be the bytes of a picture, or these in base64: not its path or URL.`
      }
}

/** What stands before the base64 of a data URL. The server refuses it. */
export const dataUrl = /^data:[^,]{0,100};base64,/i

// As the server reads it: padded, and of white space only line breaks.
const isBase64 = (text: string): boolean => {
  const digits = text.replace(dataUrl, "").replace(/[\r\n]/g, "")
  return digits.length > 0 && digits.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(digits)
}

// ---------------------------------------------------------------------------------------------------------------------
// As they are sent
// ---------------------------------------------------------------------------------------------------------------------

/** The `options` of `chat` and `generate`, which `num_predict` is always one of. */
export const toWire = (options: Options, maxTokens: number): Readonly<Record<string, unknown>> => {
  const { num_predict, num_ctx, temperature, top_p, top_k, seed, ...rest } = written({ ...options, maxTokens }, ranges)
  // An empty list would wipe the model's own.
  const stop = options.stop?.length === 0 ? undefined : options.stop
  return { num_predict, num_ctx, temperature, top_p, top_k, seed, stop, ...rest, use_mmap: options.useMmap }
}

/** The `options` that say how a model is loaded; `undefined` where none is set. */
export const loadToWire = (options: LoadOptions): Readonly<Record<string, unknown>> | undefined => {
  const wire = { ...written(options, loadRanges), use_mmap: options.useMmap }
  return Object.values(wire).every((value) => value === undefined) ? undefined : wire
}

/** All that says how a call loads its model: with other values it is loaded again. */
export const load = (options: LoadOptions & Pick<Options, "shift">): Readonly<Record<string, unknown>> => ({
  ...loadToWire(options),
  shift: options.shift
})
