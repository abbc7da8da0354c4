/**
 * How long a model stays loaded, as people write it.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { KeepAlive } from "./OllamaApi.ts"

// Of Go's time.Duration, in which the server counts: what is longer lasts for ever.
const longestSeconds = 2 ** 63 / 1e9

/** As the server takes it: seconds, -1 for ever; `undefined` when it cannot be read. */
export const seconds = (value: KeepAlive): number | undefined => {
  const given = typeof value === "string" ? (inSeconds(value.trim()) ?? duration(value.trim())) : duration(value)
  return given === undefined || Number.isNaN(given) ? undefined : given < 0 || given >= longestSeconds ? -1 : given
}

const duration = (value: unknown): number | undefined =>
  typeof value === "number"
    ? value / 1000 // of its own, because a negative one is kept
    : Option.getOrUndefined(Option.map(Duration.fromInput(value as Duration.Input), Duration.toSeconds))

// What `ollama run --keepalive` and OLLAMA_KEEP_ALIVE take: seconds, or a duration of Go, which knows no days.
// https://pkg.go.dev/time#ParseDuration
const inSeconds = (text: string): number | undefined => {
  if (/^(forever|[+-]?infinity)$/i.test(text)) {
    return -1
  }
  if (/^[+-]?\d+(\.\d+)?$/.test(text)) {
    return Number(text)
  }
  if (!/^[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(text)) {
    return undefined
  }
  let sum = 0
  for (const [, amount = "", unit = ""] of text.matchAll(/([\d.]+)([^\d.]+)/g)) {
    sum += Number(amount) * (units[unit] ?? 0)
  }
  return text.startsWith("-") ? -sum : sum
}

const units: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  μs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600
}
