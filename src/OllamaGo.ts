/**
 * How Ollama, a program in Go, reads and writes texts: JSON, times, durations, base64, and names of models.
 *
 * For the double only: the client has its own reading of names, so that one can be wrong without the other.
 *
 * @since 0.1.0
 */

/** JSON as Go writes it: the characters of HTML are escaped, and so are the line separators of Unicode. */
export const json = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/**
 * What Go's decoder says of a text that is no JSON, from what V8 says of it. https://pkg.go.dev/encoding/json#SyntaxError
 */
export const jsonError = (text: string, said: string): string => {
  const at = /at position (\d+)/.exec(said)?.[1]
  const token = /Unexpected (?:non-whitespace character|token '(.+?)'[, ])/su.exec(said)?.[1]
  const char = token ?? (at === undefined ? undefined : Array.from(text.slice(Number(at)))[0])
  if (char === undefined || /Unexpected end|Unterminated string/.test(said)) {
    return "unexpected EOF"
  }
  const context = contexts.find(([pattern]) => pattern.test(said))?.[1] ?? "looking for beginning of value"
  return `invalid character '${char === "'" ? "\\'" : char === '"' ? char : JSON.stringify(char).slice(1, -1)}' ${context}`
}

const contexts: ReadonlyArray<readonly [RegExp, string]> = [
  [/after property name/, "after object key"],
  [/property name/, "looking for beginning of object key string"],
  [/after property value/, "after object key:value pair"],
  [/after array element/, "after array element"],
  [/control character/, "in string literal"]
]

/** A time as Go writes it: nine digits of a second, without the zeros at their end. */
export const time = (nanos: bigint): string => {
  const seconds = new Date(Number(nanos / 1_000_000n)).toISOString().slice(0, 19)
  const fraction = String(nanos % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "")
  return `${seconds}${fraction === "" ? "" : `.${fraction}`}Z`
}

/** Nanoseconds of the units of a Go duration. https://pkg.go.dev/time#ParseDuration */
const units: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  "\u00b5s": 1e3,
  "\u03bcs": 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9
}

/** Milliseconds of a Go duration such as `1h30m`, or Go's complaint about it. */
export const duration = (text: string): { readonly millis: number } | { readonly error: string } => {
  const invalid = { error: `time: invalid duration ${JSON.stringify(text)}` }
  const [, sign = "", rest = ""] = /^([+-]?)(.*)$/s.exec(text) ?? []
  if (rest === "0") {
    return { millis: 0 }
  }
  if (!/^(\d+\.?\d*|\.\d+)/.test(rest)) {
    return invalid
  }
  let nanos = 0
  let left = rest
  while (left !== "") {
    const [part = "", number = "", unit = ""] = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(left) ?? []
    const size = units[unit]
    if (part === "") {
      return invalid
    }
    if (size === undefined) {
      return {
        error:
          unit === ""
            ? `time: missing unit in duration ${JSON.stringify(text)}`
            : `time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`
      }
    }
    nanos += Number(number) * size
    left = left.slice(part.length)
  }
  return { millis: ((sign === "-" ? -1 : 1) * nanos) / 1e6 }
}

/** What Go says about a text that is no base64, whose lines may be broken; `undefined` when it is. */
export const base64Error = (lines: string): string | undefined => {
  const text = lines.replace(/[\r\n]/g, "")
  const valid = /^[A-Za-z0-9+/]*={0,2}/.exec(text)?.[0].length ?? 0
  return valid < text.length || text.length % 4 !== 0
    ? `illegal base64 data at input byte ${Math.min(valid, text.length)}`
    : undefined
}

/** A name of a model, taken apart. */
export interface Name {
  /** As asked for. */
  readonly text: string
  readonly valid: boolean
  /** Equal for names that mean the same model. */
  readonly key: string
  /** With its tag, without the parts that are Ollama's defaults: `qwen3:latest`. */
  readonly short: string
  /** With all its parts: `registry.ollama.ai/library/qwen3:latest`. */
  readonly full: string
}

const part = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/
const host = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/

/** Reads `[host/][namespace/]model[:tag]`. */
export const name = (text: string): Name => {
  const slash = text.lastIndexOf("/")
  const colon = text.indexOf(":", slash + 1)
  const path = (colon === -1 ? text : text.slice(0, colon)).split("/")
  const tag = colon === -1 ? "latest" : text.slice(colon + 1)
  const missing = ["registry.ollama.ai", "library"].slice(0, Math.max(0, 3 - path.length))
  const whole = [...missing, ...path]
  const full = `${whole.join("/")}:${tag}`
  return {
    text,
    valid:
      whole.length === 3 && host.test(whole[0] ?? "") && [...whole.slice(1), tag].every((value) => part.test(value)),
    key: full.toLowerCase(),
    short: full.replace(/^registry\.ollama\.ai\/(library\/)?/i, ""),
    full
  }
}
