/**
 * The script of `--demo`: a server that speaks like Ollama and says that it is no language model.
 *
 * It does two things by rule, so that every graph can be tried without a model: it works out arithmetic, and it sorts
 * messages into routes by their words.
 *
 * @since 0.1.0
 */
import * as Arithmetic from "./Arithmetic.ts"
import { words } from "./OllamaApi.ts"
import type { Asked, Reply, Script } from "./OllamaScript.ts"

export const demo: Script = {
  models: ["qwen2.5:0.5b", "qwen2.5-coder:0.5b", "llama3.2:1b"],
  anyModel: true,
  version: "0.0.0-tinyllm-demo",
  reply: (asked) => slowly(answer(asked))
}

// Slow enough to be seen coming, and for the times in a trace to be more than zero.
const slowly = (text: string): Reply => ({
  text: words(text),
  load: "1 millis",
  firstDelay: "2 millis",
  delay: "3 millis"
})

const notice =
  "This is TinyLLM's demo server, not a language model: it works out arithmetic and nothing else. " +
  'For real answers, install Ollama from https://ollama.com, run "ollama pull qwen2.5:0.5b", and leave out --demo.'

const answer = ({ messages, format }: Asked): string => {
  const question = messages.findLast((message) => message.role === "user")?.content ?? ""
  const routes = routesOf(format)
  if (routes.length > 0) {
    return JSON.stringify({ route: classify(question, routes) })
  }
  const result = format === undefined || format === null ? Arithmetic.evaluate(question) : undefined
  return result ?? (format === undefined || format === null ? notice : JSON.stringify({ notice }))
}

/** The routes that a router's JSON Schema allows. */
const routesOf = (format: unknown): ReadonlyArray<string> => {
  const schema = format as { readonly properties?: { readonly route?: { readonly enum?: unknown } } } | null | undefined
  const routes = schema?.properties?.route?.enum
  return Array.isArray(routes) ? routes.filter((route) => typeof route === "string") : []
}

const mathWords =
  /\b(sums?|plus|minus|times|multipl\w+|divide\w*|subtract\w*|add|added|calculat\w+|comput\w+|math\w*|arithmetic|equations?|percent\w*|average|square root|how (much|many))\b/i
const codeWords =
  /\b(codes?|coding|functions?|programs?|programm\w+|script\w*|class(es)?|bugs?|debug\w*|compil\w+|refactor\w*|algorithms?|regex\w*|api|sql|html|css|json|python|javascript|typescript|java|rust|golang|bash|loops?|arrays?|recursi\w+|implement\w*|stack ?trace)\b|```|=>|\(\)/i

const classify = (text: string, routes: ReadonlyArray<string>): string => {
  const kind =
    Arithmetic.evaluate(text) !== undefined
      ? "math"
      : codeWords.test(text)
        ? "code"
        : mathWords.test(text)
          ? "math"
          : "general"
  const route = [kind, "general"].find((name) => routes.includes(name))
  return route ?? routes[0] ?? ""
}
