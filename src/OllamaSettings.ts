/**
 * The options of model calls by themselves: picked out of what holds more, and on the spans of calls.
 *
 * @since 0.1.0
 */
import type { Options } from "./OllamaApi.ts"
import * as OllamaKeepAlive from "./OllamaKeepAlive.ts"
import * as OllamaOptions from "./OllamaOptions.ts"

const others = {
  model: true,
  keepAlive: true,
  useMmap: true,
  stop: true,
  think: true,
  format: true,
  truncate: true,
  shift: true,
  logprobs: true,
  topLogprobs: true
} satisfies Record<Exclude<keyof Options, keyof typeof OllamaOptions.ranges>, true>

const names = [...Object.keys(OllamaOptions.ranges), ...Object.keys(others)]

/** The options of a model call alone, of an object that may hold more. */
export const pick = (given: Options): Options =>
  Object.fromEntries(
    names.flatMap((name): ReadonlyArray<readonly [string, unknown]> => {
      const value: unknown = Reflect.get(given, name)
      return value === undefined ? [] : [[name, value]]
    })
  ) as unknown as Options // of its own fields, each as it was

const inConventions = new Set([
  "maxTokens",
  "temperature",
  "topP",
  "topK",
  "seed",
  "presencePenalty",
  "frequencyPenalty"
])

const unnamed = Object.entries<OllamaOptions.Range>(OllamaOptions.ranges).filter(([name]) => !inConventions.has(name))

/**
 * What was set, as attributes, of the options that the conventions have no name for: `tinyllm.ollama.` and the name as it
 * is sent. What has another type is left out.
 */
export const attributes = (
  options: Partial<Options>
): Readonly<Record<string, string | number | boolean | undefined>> => ({
  ...Object.fromEntries(
    unnamed.map(([name, { wire }]) => [`tinyllm.ollama.${wire}`, typeOf(Reflect.get(options, name), "number")])
  ),
  "tinyllm.ollama.use_mmap": typeOf(options.useMmap, "boolean"),
  "tinyllm.ollama.shift": typeOf(options.shift, "boolean"),
  "tinyllm.ollama.truncate": typeOf(options.truncate, "boolean"),
  "tinyllm.ollama.keep_alive": options.keepAlive === undefined ? undefined : OllamaKeepAlive.seconds(options.keepAlive),
  // A text, because it is a level too.
  "tinyllm.ollama.think":
    options.think !== undefined && OllamaOptions.thinks.has(options.think) ? String(options.think) : undefined
})

const typeOf = (value: unknown, type: "number" | "boolean"): number | boolean | undefined =>
  typeof value === type ? (value as number | boolean) : undefined
