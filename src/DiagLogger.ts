/**
 * The messages of OpenTelemetry's own parts about themselves, as lines of ours.
 *
 * @since 0.1.0
 */
import { diag, DiagLogLevel } from "@opentelemetry/api"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Diagnostics, Level } from "./Diagnostics.ts"
import * as OtlpSettings from "./OtlpSettings.ts"
import * as Span from "./Span.ts"

/**
 * Tells them as long as the layer lives. There is one logger in a process: where a program has set its own, or another
 * layer its own, that one stays. Objects are left out, since they may be spans; headers are concealed.
 */
export const layer = (diagnostics: Diagnostics, settings: OtlpSettings.OtlpSettings): Layer.Layer<never> =>
  Layer.effectDiscard(
    Effect.acquireRelease(
      Effect.sync(() => {
        if (isSet()) {
          return false
        }
        const told =
          (level: Level) =>
          (...parts: ReadonlyArray<unknown>): void => {
            const line = text(parts, settings)
            if (!expected.test(line)) {
              diagnostics(level, `OpenTelemetry ${level}: ${line}`)
            }
          }
        return diag.setLogger(
          {
            error: told("error"),
            warn: told("warn"),
            info: told("info"),
            debug: told("debug"),
            verbose: told("verbose")
          },
          // What is told is decided by level above.
          { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true }
        )
      }),
      (set) => Effect.sync(() => (set ? diag.disable() : undefined))
    )
  )

// About this logger itself; and of two layers in a process, the second finds what the first has registered for both.
const expected = /Attempted duplicate registration of API|egister(?:ed|ing) a global for /

// The API does not tell; this is where it keeps the logger for all of its copies.
// https://github.com/open-telemetry/opentelemetry-js/blob/main/api/src/internal/global-utils.ts
const isSet = (): boolean => {
  const kept = (globalThis as Record<symbol, unknown>)[Symbol.for("opentelemetry.js.api.1")]
  return typeof kept === "object" && kept !== null && "diag" in kept && kept.diag !== undefined
}

const text = (parts: ReadonlyArray<unknown>, settings: OtlpSettings.OtlpSettings): string => {
  const told = parts.flatMap((part) =>
    part instanceof Error ? part.message : typeof part === "object" || typeof part === "function" ? [] : String(part)
  )
  return Span.truncate(OtlpSettings.conceal(settings, told.join(" ").replace(/\s+/g, " ").trim()), 500)
}
