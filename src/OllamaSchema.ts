/**
 * Schemas of Effect as the JSON Schema that Ollama takes, for answers (`format`) and for the arguments of tools.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Json from "./Json.ts"
import type { Completion } from "./OllamaApi.ts"

/**
 * JSON Schema for `format`. Ollama makes a grammar of it and follows references within it (`$defs`). It describes the
 * schema's canonical JSON, which is what answers are decoded from: a date is text there. Keys that the schema does not
 * know are left out of the grammar, or a model could go on adding some.
 */
export const answer = (schema: Schema.Top): Json.JsonObject => {
  const document = Schema.toJsonSchemaDocument(schema, { onExcessProperty: "error" })
  if (isAnything(document.schema)) {
    return { type: "object" } // Ollama's grammar has no words for it
  }
  return Object.keys(document.definitions).length === 0
    ? document.schema
    : { ...document.schema, $defs: document.definitions }
}

/**
 * JSON Schema for the arguments of a tool. Of it the server shows models `type`, `description`, `enum`, `items`,
 * `anyOf`, `properties` and `required` only, so references are written out, and what has a form in these words gets it.
 * Of several objects it shows the properties of all. Throws a `RangeError` for what is no object.
 */
export const parameters = (schema: Schema.Top): Json.JsonObject => {
  const document = Schema.toJsonSchemaDocument(schema, { onExcessProperty: "error" })
  const written = isAnything(document.schema)
    ? { type: "object" }
    : merged(writeOut(document.schema, document.definitions, []))
  if (written["type"] !== "object") {
    throw new RangeError("arguments are an object, and the schema is none: use a Struct")
  }
  return { ...written, properties: written["properties"] ?? {} }
}

// A struct without fields takes any value but null, in Effect; arguments and answers are objects in any case.
const isAnything = (schema: Json.JsonObject): boolean =>
  Json.isObject(schema["not"]) && schema["not"]["type"] === "null" && Object.keys(schema).length === 1

/** One object for several that a value may be: a model is shown what any of them has, and must give what all have. */
const merged = (schema: Json.JsonObject): Json.JsonObject => {
  const alternatives: unknown = schema["anyOf"]
  if (!Array.isArray(alternatives)) {
    return schema
  }
  const objects = alternatives.map((each: unknown) => (Json.isObject(each) ? merged(each) : {}))
  if (!objects.every((each) => each["type"] === "object")) {
    return schema
  }
  const { anyOf: _, ...rest } = schema
  const properties = new Map<string, ReadonlyArray<unknown>>()
  for (const each of objects) {
    for (const [key, property] of Object.entries(Json.isObject(each["properties"]) ? each["properties"] : {})) {
      const known = properties.get(key) ?? []
      const isNew = known.every((other) => JSON.stringify(other) !== JSON.stringify(property))
      properties.set(key, isNew ? [...known, property] : known)
    }
  }
  const required = objects.map(({ required }) => (Array.isArray(required) ? (required as ReadonlyArray<unknown>) : []))
  return {
    type: "object",
    ...rest,
    properties: Object.fromEntries(
      [...properties].map(([key, all]) => [key, all.length === 1 ? all[0] : { anyOf: all }])
    ),
    required: required.reduce((common, names) => common.filter((name) => names.includes(name)))
  }
}

const writeOut = (
  schema: Json.JsonObject,
  definitions: Json.JsonObject,
  inside: ReadonlyArray<string>
): Json.JsonObject => {
  const inner = (value: unknown): unknown => (Json.isObject(value) ? writeOut(value, definitions, inside) : value)
  const all = (values: unknown): ReadonlyArray<unknown> => (Array.isArray(values) ? values.map(inner) : [])
  const reference = schema["$ref"]
  if (typeof reference === "string") {
    const name = reference.slice(reference.lastIndexOf("/") + 1)
    const definition = definitions[name]
    const { $ref: _, ...own } = schema
    // What holds itself has no end, and is left open where it begins again.
    return Json.isObject(definition) && !inside.includes(name)
      ? { ...writeOut(definition, definitions, [...inside, name]), ...own }
      : { type: "object", ...own }
  }
  const { allOf, oneOf, prefixItems, ...rest } = schema
  const alternatives = [...all(schema["anyOf"]), ...all(oneOf)]
  const items = all(prefixItems)
  return {
    ...Object.assign({}, ...all(allOf)),
    ...rest,
    ...(alternatives.length === 0 ? {} : { anyOf: alternatives }),
    ...("const" in schema ? { enum: [schema["const"]] } : {}),
    ...(items.length > 0
      ? { items: items.length === 1 ? items[0] : { anyOf: items } }
      : "items" in schema
        ? { items: inner(schema["items"]) }
        : {}),
    ...(Json.isObject(schema["properties"])
      ? {
          properties: Object.fromEntries(
            Object.entries(schema["properties"]).map(([key, value]) => [key, inner(value)])
          )
        }
      : {})
  }
}

/** Why an answer is not what was asked for. */
export interface Wrong {
  /** Whether it was cut off before its JSON was whole. */
  readonly truncated: boolean
  /** What is wrong with it. It may quote the answer. */
  readonly issue: unknown
}

/** Decodes answers that were asked for in this schema. */
export const decodeAnswer = <A, Encoded>(
  schema: Schema.Codec<A, Encoded>
): ((completion: Completion) => Result.Result<A, Wrong>) => {
  const decode = Schema.decodeUnknownExit(Schema.fromJsonString(Schema.toCodecJson(schema)))
  return ({ doneReason, text }) => {
    const decoded = decode(text)
    return Exit.isSuccess(decoded)
      ? Result.succeed(decoded.value)
      : // White space behind an answer that is whole can use up its tokens, too.
        Result.fail({
          truncated: doneReason === "length" && Json.parse(text) === undefined,
          issue: Cause.squash(decoded.cause)
        })
  }
}
