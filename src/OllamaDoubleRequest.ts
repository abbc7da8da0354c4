/**
 * How an Ollama double reads requests: what the server would say about a body, and which model it means.
 *
 * Unknown fields and what follows the first JSON value are ignored.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { isObject } from "./Json.ts"
import type { Installed, Models } from "./OllamaDoubleModels.ts"
import * as Go from "./OllamaGo.ts"
import type { Refusal } from "./OllamaScript.ts"

/** A body that could be read. */
export type Body = Readonly<Record<string, unknown>>

const refusal = (status: number, error: string): Refusal => ({ status, error })

// ---------------------------------------------------------------------------------------------------------------------
// Bodies
// ---------------------------------------------------------------------------------------------------------------------

/** Go's type of each field that is checked, by the name of the request's struct. */
const model = { model: "string", name: "string" }
const call = {
  model: "string",
  stream: "bool",
  options: "map[string]interface {}",
  truncate: "bool",
  shift: "bool",
  logprobs: "bool",
  top_logprobs: "int"
}
const structs: Readonly<Record<string, readonly [string, Readonly<Record<string, string>>]>> = {
  "/api/chat": ["ChatRequest", { ...call, messages: "[]api.Message", tools: "api.Tools" }],
  "/api/generate": [
    "GenerateRequest",
    {
      ...call,
      prompt: "string",
      suffix: "string",
      system: "string",
      template: "string",
      context: "[]int",
      raw: "bool",
      images: "[]api.ImageData"
    }
  ],
  "/api/embed": [
    "EmbedRequest",
    { model: "string", options: "map[string]interface {}", truncate: "bool", dimensions: "int" }
  ],
  "/api/embeddings": ["EmbeddingRequest", { model: "string", prompt: "string", options: "map[string]interface {}" }],
  "/api/show": ["ShowRequest", model],
  "/api/pull": ["PullRequest", { ...model, stream: "bool" }],
  "/api/push": ["PushRequest", { ...model, stream: "bool" }],
  "/api/create": [
    "CreateRequest",
    { ...model, stream: "bool", from: "string", files: "map[string]string", parameters: "map[string]interface {}" }
  ],
  "/api/copy": ["CopyRequest", { source: "string", destination: "string" }],
  "/api/delete": ["DeleteRequest", model]
}
const message = {
  role: "string",
  content: "string",
  thinking: "string",
  images: "[]api.ImageData",
  tool_calls: "[]api.ToolCall",
  tool_name: "string",
  tool_call_id: "string"
}

/** Reads the body of a request. */
export const read = (path: string, text: string): Result.Result<Body, Refusal> => {
  const trimmed = text.trim()
  if (trimmed === "") {
    return Result.fail(refusal(400, "missing request body"))
  }
  const value = Result.orElse(parse(trimmed), (error) => {
    const end = trimmed.startsWith("{") ? endOfObject(trimmed) : undefined
    return end === undefined || end === trimmed.length ? Result.fail(error) : parse(trimmed.slice(0, end))
  })
  if (Result.isFailure(value)) {
    return Result.fail(refusal(400, value.failure))
  }
  if (value.success !== null && !isObject(value.success)) {
    const [struct = ""] = structs[path] ?? []
    return Result.fail(
      refusal(400, `json: cannot unmarshal ${kindOf(value.success)} into Go value of type api.${struct}`)
    )
  }
  const body = anyCase(value.success ?? {})
  const error = typeError(path, body) ?? thinkError(body["think"]) ?? keepAliveError(body["keep_alive"])
  return error === undefined ? Result.succeed(body) : Result.fail(refusal(400, error))
}

const parse = (text: string): Result.Result<unknown, string> =>
  Result.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => Go.jsonError(text, String(error))
  })

// Go takes the names of fields in any case; those of options it takes as they are.
const anyCase = (body: Body): Body => {
  const lower = (record: Body): Body =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key.toLowerCase(), value]))
  const { messages, ...rest } = lower(body)
  return messages === undefined
    ? rest
    : {
        ...rest,
        messages: Array.isArray(messages)
          ? messages.map((message: unknown) => (isObject(message) ? lower(message) : message))
          : messages
      }
}

// Ollama reads one value and no further. A request is an object, so its brace says where it ends.
const endOfObject = (text: string): number | undefined => {
  let depth = 0
  for (const { 0: token, index } of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}]/gs)) {
    depth += token === "{" ? 1 : token === "}" ? -1 : 0
    if (depth === 0 && token === "}") {
      return index + 1
    }
  }
  return undefined
}

const typeError = (path: string, body: Body): string | undefined => {
  const [struct, fields] = structs[path] ?? ["", {}]
  const eachMessage = (errorOf: (at: string, each: Body) => string | undefined) =>
    // The name of a message while it is read.
    elementError(`${struct}.messages`, "api.Alias", body["messages"], errorOf)
  const error =
    fieldError(struct, body, fields) ??
    eachMessage((at, each) => fieldError(at, each, message)) ??
    eachMessage((at, { tool_calls: calls }) =>
      elementError(`${at}.tool_calls`, "api.ToolCall", calls, (at, call) =>
        elementError(`${at}.function`, "api.ToolCallFunction", [call["function"]], calledError)
      )
    )
  return error ?? imageError(body)
}

// Arguments are read by a library of its own, with its own words.
// https://github.com/buger/jsonparser/blob/master/parser.go
const calledError = (at: string, called: Body): string | undefined => {
  const { arguments: given } = called
  return (
    fieldError(at, called, { name: "string" }) ??
    (given === undefined || given === null || isObject(given)
      ? undefined
      : "Value looks like object, but can't find closing '}' symbol")
  )
}

const fieldError = (at: string, body: Body, fields: Readonly<Record<string, string>>): string | undefined => {
  for (const [field, type] of Object.entries(fields)) {
    const value = body[field]
    if (value !== undefined && value !== null && !fits(type, value)) {
      const kind = type === "int" && typeof value === "number" ? `number ${value}` : kindOf(value)
      return `json: cannot unmarshal ${kind} into Go struct field ${at}.${field} of type ${type}`
    }
  }
  return undefined
}

const elementError = (
  at: string,
  type: string,
  list: unknown,
  errorOf: (at: string, each: Body) => string | undefined
): string | undefined => {
  for (const each of listOf(list)) {
    const error = isObject(each)
      ? errorOf(at, each)
      : each === undefined || each === null
        ? undefined
        : `json: cannot unmarshal ${kindOf(each)} into Go struct field ${at} of type ${type}`
    if (error !== undefined) {
      return error
    }
  }
  return undefined
}

const imageError = (body: Body): string | undefined => {
  const images: ReadonlyArray<unknown> = [
    ...listOf(body["images"]),
    ...listOf(body["messages"]).flatMap((message) => (isObject(message) ? listOf(message["images"]) : []))
  ]
  return images.map((image) => (typeof image === "string" ? Go.base64Error(image) : undefined)).find(Predicate.isString)
}

const fits = (type: string, value: unknown): boolean => {
  switch (type) {
    case "string":
      return typeof value === "string"
    case "bool":
      return typeof value === "boolean"
    case "int":
      return Number.isInteger(value)
    default:
      return type.startsWith("map") ? isObject(value) : Array.isArray(value)
  }
}

const kindOf = (value: unknown): string =>
  Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value

const levels: ReadonlySet<unknown> = new Set(["high", "medium", "low", "max"])

const thinkError = (think: unknown): string | undefined =>
  think === undefined || think === null || typeof think === "boolean" || levels.has(think)
    ? undefined
    : typeof think === "string"
      ? `invalid think value: ${JSON.stringify(think)} (must be "high", "medium", "low", "max", true, or false)`
      : `think must be a boolean or string ("high", "medium", "low", "max", true, or false)`

const keepAliveError = (keepAlive: unknown): string | undefined => {
  if (typeof keepAlive === "string") {
    const read = Go.duration(keepAlive)
    return "error" in read ? read.error : undefined
  }
  return keepAlive === undefined || keepAlive === null || typeof keepAlive === "number"
    ? undefined
    : `Unsupported type: '${typeof keepAlive === "boolean" ? "bool" : Array.isArray(keepAlive) ? "[]interface {}" : "map[string]interface {}"}'`
}

/** How long a request wants its model to stay, in milliseconds: `Infinity` for ever, `undefined` when it does not say. */
export const keepAlive = (body: Body): number | undefined => {
  const value = body["keep_alive"]
  const read = typeof value === "string" ? Go.duration(value) : undefined
  const millis =
    typeof value === "number" ? value * 1000 : read !== undefined && "millis" in read ? read.millis : undefined
  return millis !== undefined && millis < 0 ? Number.POSITIVE_INFINITY : millis
}

// ---------------------------------------------------------------------------------------------------------------------
// Models
// ---------------------------------------------------------------------------------------------------------------------

/** The name that a request gives, old field or new. */
export const nameOf = (body: Body): string => {
  const { model, name } = body
  return typeof model === "string" && model !== "" ? model : typeof name === "string" ? name : ""
}

/** What is wrong with the name itself. */
export const nameRefusal = (path: string, name: string): Refusal | undefined => {
  if (path === "/api/delete" && !Go.name(name).valid) {
    return refusal(400, `name ${JSON.stringify(name)} is invalid`)
  }
  if (name === "") {
    switch (path) {
      case "/api/generate":
      case "/api/embed":
        return refusal(404, "model '' not found")
      case "/api/pull":
      case "/api/create":
        return refusal(400, "invalid model name")
      default:
        return refusal(400, "model is required")
    }
  }
  return Go.name(name).valid ? undefined : refusal(400, "invalid model name")
}

/** The installed model that a request means. */
export const modelOf = (path: string, body: Body, models: Models): Result.Result<Installed, Refusal> => {
  const name = nameOf(body)
  const refused = nameRefusal(path, name)
  return refused === undefined ? find(path, name, models) : Result.fail(refused)
}

/** The installed model of a name, or what the server says when there is none. */
export const find = (path: string, name: string, models: Models): Result.Result<Installed, Refusal> => {
  const model = models.find(name)
  return model === undefined ? Result.fail(refusal(404, notFound(path, name))) : Result.succeed(model)
}

const notFound = (path: string, name: string): string => {
  switch (path) {
    case "/api/embed":
    case "/api/embeddings":
      return `model ${JSON.stringify(name)} not found, try pulling it first`
    case "/api/copy":
      return `model ${JSON.stringify(name)} not found`
    case "/api/show":
      return `model '${Go.name(name).short}' not found`
    default:
      return `model '${name}' not found`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

/** What the server says about a model call before it gives it to the model. */
export const callRefusal = (path: string, body: Body, model: Installed): Refusal | undefined =>
  parameterRefusal(body) ?? capabilityRefusal(path, body, model) ?? optionRefusal(body)

const parameterRefusal = (body: Body): Refusal | undefined => {
  const topLogprobs = body["top_logprobs"]
  if (typeof topLogprobs === "number" && (topLogprobs < 0 || topLogprobs > 20)) {
    return refusal(400, "top_logprobs must be between 0 and 20")
  }
  const given = (field: string) => isFull(body[field])
  return body["raw"] === true && (given("template") || given("system") || given("context"))
    ? refusal(400, "raw mode does not support template, system, or context")
    : undefined
}

const capabilityRefusal = (path: string, body: Body, model: Installed): Refusal | undefined => {
  const lacks = (capability: string) => !model.capabilities.includes(capability)
  const name = JSON.stringify(nameOf(body))
  if (lacks("completion")) {
    return refusal(400, `${name} does not support ${path === "/api/chat" ? "chat" : "generate"}`)
  }
  const { think } = body
  if ((think === true || typeof think === "string") && lacks("thinking")) {
    return refusal(400, `${name} does not support thinking`)
  }
  const missing = [
    ...(path === "/api/chat" && isFull(body["tools"]) && lacks("tools") ? ["tools"] : []),
    ...(path === "/api/generate" && isFull(body["suffix"]) && lacks("insert") ? ["insert"] : [])
  ]
  return missing.length === 0
    ? undefined
    : refusal(400, missing.map((capability) => `${Go.name(model.name).full} does not support ${capability}`).join("\n"))
}

const isFull = (value: unknown): boolean => (Array.isArray(value) || typeof value === "string") && value.length > 0

const kinds = (kind: string, names: string) => Object.fromEntries(names.split(" ").map((name) => [name, kind]))
const options: Readonly<Record<string, string>> = {
  ...kinds("integer", "num_keep seed num_predict top_k repeat_last_n num_ctx num_batch num_gpu main_gpu num_thread"),
  ...kinds("integer", "draft_num_predict"),
  ...kinds("float32", "top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty"),
  ...kinds("boolean", "use_mmap"),
  ...kinds("array", "stop")
}
const jsKinds: Readonly<Record<string, string>> = { integer: "number", float32: "number", boolean: "boolean" }

/** A wrong type of an option is a 500, unknown options are ignored, `null` is not set. */
export const optionRefusal = (body: Body): Refusal | undefined => {
  for (const [key, value] of Object.entries(isObject(body["options"]) ? body["options"] : {})) {
    const kind = options[key]
    if (kind === undefined || value === null) {
      continue
    }
    if (kind === "array" ? !Array.isArray(value) : typeof value !== jsKinds[kind]) {
      return refusal(500, `option ${JSON.stringify(key)} must be of type ${kind}`)
    }
    if (Array.isArray(value) && !value.every(Predicate.isString)) {
      return refusal(500, `option ${JSON.stringify(key)} must be of an array of strings`)
    }
  }
  return undefined
}

/** What the runner says about a `format`; a load request does not get so far. */
export const formatRefusal = ({ format }: Body): Refusal | undefined =>
  format === undefined || format === null || format === "" || format === "json" || isObject(format)
    ? undefined
    : refusal(500, `invalid format: ${JSON.stringify(format)}; expected "json" or a valid JSON Schema object`)

/** Whether a call has nothing to say, so that it only loads its model, or unloads it. */
export const isEmptyCall = (path: string, body: Body): boolean =>
  !isFull(body[path === "/api/chat" ? "messages" : "prompt"])

export const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

/** An option that is a whole number. */
export const integerOption = (body: Body, name: string): number | undefined => {
  const value = isObject(body["options"]) ? body["options"][name] : undefined
  return typeof value === "number" ? Math.trunc(value) : undefined
}
