/**
 * `tinyllm trace push`: sends the spans that were kept because no collector took them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CommandFailed, failed } from "./CliError.ts"
import type { PushFlags } from "./CliTraceFlags.ts"
import { harmless } from "./SpanPrinter.ts"
import * as SpoolConfig from "./SpoolConfig.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"
import * as Telemetry from "./Telemetry.ts"

/**
 * Sends the spans that were kept because no collector took them, and says what became of them. Fails when some are left:
 * with 1 when the collector does not take them, with 2 when a setting makes it impossible.
 */
export const push = (flags: PushFlags) =>
  Effect.gen(function* () {
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const tell = (line: string) => stderr.write(`tinyllm: ${harmless(line)}\n`)
    const config = yield* collectorOf(flags)
    const directory = Option.getOrUndefined(flags.directory) ?? (yield* SpoolConfig.directory)
    if (directory === undefined) {
      return yield* new CommandFailed({
        text: "There is no folder in which spans are kept: set TINYLLM_HOME, or name one with --directory.",
        exitCode: 2
      })
    }
    const pushed = yield* Telemetry.push(config, directory)
    for (const { damage, name } of pushed.damaged) {
      tell(`${fileName(name)} is skipped: ${damage}. Delete it to hear no more of it.`)
    }
    for (const { reason, spans } of pushed.rejected) {
      tell(`${count(spans, "span")} ${reason}`)
    }
    for (const { name, reason, spans } of pushed.refused) {
      tell(`${fileName(name)} with ${count(spans, "span")} stays: ${reason}. Delete it to hear no more of it.`)
    }
    const elsewhere = pushed.elsewhere === 0 ? "" : `; another process is sending ${count(pushed.elsewhere, "file")}`
    if (pushed.files > 0) {
      yield* stdout.write(
        `${count(pushed.spans, "span")} in ${count(pushed.files, "file")} sent to ${pushed.address}${elsewhere}\n`
      )
    } else if (pushed.failed === undefined && pushed.refused.length === 0) {
      const whole = pushed.damaged.length === 0 ? "" : " that are whole"
      yield* stdout.write(`Nothing to send: no spans${whole} are kept in ${harmless(directory)}${elsewhere}\n`)
    }
    if (pushed.failed !== undefined) {
      const { files, hint, reason, spans } = pushed.failed
      return yield* new CommandFailed({
        text: `${count(spans, "span")} in ${count(files, "file")} not sent, they stay: ${reason}${hint === undefined ? "" : `. ${hint}`}`,
        exitCode: 1
      })
    }
    return pushed.refused.length === 0
      ? undefined
      : yield* new CommandFailed({
          text: `${count(pushed.refused.length, "file")} not taken by ${pushed.address}`,
          exitCode: 1
        })
  }).pipe(Effect.mapError(failed))

/** The collector that flags and environment name. Says what is odd about them, and fails where they turn tracing off. */
export const collectorOf = Effect.fnUntraced(function* (flags: PushFlags) {
  const stderr = yield* Stderr
  const config = yield* Telemetry.resolve({ exporter: "otlp", ...given(flags) })
  if (!config.enabled.value) {
    return yield* new CommandFailed({ text: `Nothing is sent: ${config.enabled.source} is true.`, exitCode: 2 })
  }
  for (const warning of config.warnings) {
    stderr.write(`tinyllm: ${harmless(warning)}\n`)
  }
  return config
})

const given = ({ otlpEndpoint, otlpProtocol }: PushFlags): Telemetry.Options => ({
  ...(Option.isSome(otlpEndpoint) ? { otlpEndpoint: otlpEndpoint.value } : {}),
  ...(Option.isSome(otlpProtocol) ? { otlpProtocol: otlpProtocol.value } : {})
})

// A name is there to be found again. What a terminal would not show, or take for something else, is escaped.
const fileName = (name: string): string =>
  /^[\w.@%+~-]+$/.test(name)
    ? name
    : JSON.stringify(name).replace(
        /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
        (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
      )

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`
