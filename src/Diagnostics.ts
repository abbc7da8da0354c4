/**
 * What telemetry says about itself on standard error, from the level of `OTEL_LOG_LEVEL` on.
 *
 * @since 0.1.0
 */
import type { LogLevel } from "./EnvironmentVariables.ts"
import { harmless } from "./SpanPrinter.ts"

/** The level of a line. */
export type Level = Exclude<LogLevel, "none" | "all">

/** Takes a line, without a full stop, and tells it where its level is one of those that are told. */
export type Diagnostics = (level: Level, text: string) => void

// From those that are told most often.
const levels = ["error", "warn", "info", "debug", "verbose"] as const

/** Tells lines of that level, and of those that are worse. `error` is what was lost, `warn` what was ignored. */
export const make = (lowest: LogLevel, write: (text: string) => void): Diagnostics => {
  const told = lowest === "all" ? levels.length : lowest === "none" ? 0 : levels.indexOf(lowest) + 1
  return (level, text) => {
    if (levels.indexOf(level) < told) {
      // It may quote what a collector said.
      write(`tinyllm: ${harmless(text)}\n`)
    }
  }
}
