/**
 * How the command line fails: with a message for a person and an exit code for a script.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Predicate from "effect/Predicate"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { isRemoteModel } from "./OllamaApi.ts"
import { OllamaError } from "./OllamaError.ts"
import { harmless } from "./SpanPrinter.ts"
import { TelemetryConfigError } from "./TelemetryConfig.ts"

const exitCodes = [1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17] as const

/**
 * 1: the run failed. 2: wrong usage or setting. 3: Ollama is not reachable, or a model is missing. 10 to 17: verdicts of
 * `tinyllm doctor --telemetry`.
 */
export type ExitCode = (typeof exitCodes)[number]

/** The command failed. Its message is for the person at the terminal. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  text: Schema.String,
  exitCode: Schema.Literals(exitCodes)
}) {
  override get message() {
    return this.text
  }
  override get [Runtime.errorExitCode]() {
    return this.exitCode
  }
}

/** Any failure of a command as one for the person at the terminal. Settings that cannot be used exit with 2. */
export const failed = (error: unknown): CommandFailed => {
  if (error instanceof CommandFailed) {
    return error
  }
  const text = harmless(textOf(error))
  if (error instanceof OllamaError && error.reason._tag === "RemoteRefused") {
    return new CommandFailed({
      text: `"${harmless(error.reason.name)}" runs on ollama.com, so what you ask would leave this machine. Choose a local model, or add --allow-remote.`,
      exitCode: 2
    })
  }
  if (error instanceof OllamaError && error.reason._tag === "ModelNotFound") {
    const { model, url } = error.reason
    const flag = isRemoteModel(model) ? " --allow-remote" : ""
    return new CommandFailed({
      text: harmless(
        `Model "${model}" is not installed at ${url}. Install it with "tinyllm models pull ${model}${flag}".`
      ),
      exitCode: 3
    })
  }
  if (error instanceof OllamaError) {
    return new CommandFailed({ text, exitCode: isUnreachable(error) ? 3 : 1 })
  }
  return new CommandFailed({ text, exitCode: isSetting(error) ? 2 : 1 })
}

/** Whether no connection came about. */
export const isUnreachable = ({ reason }: OllamaError): boolean =>
  reason._tag === "Unreachable" || (reason._tag === "Timeout" && reason.phase === "connect")

const settings = new Set(["ConfigError", "TelemetryConfigError"])

const isSetting = (error: unknown): boolean =>
  Predicate.hasProperty(error, "_tag") && typeof error._tag === "string" && settings.has(error._tag)

const textOf = (error: unknown): string => {
  if (error instanceof Config.ConfigError) {
    // The cause says what is wrong, and on a line of its own at which variable.
    const [text = "", at = ""] = error.cause.message.split(/\n\s*at /)
    const variable = /^\["(.*)"\]$/.exec(at)?.[1]
    return variable === undefined || text.includes(variable) ? text : `${variable}: ${text}`
  }
  if (error instanceof TelemetryConfigError) {
    return error.message.replace(/^\w+/, (setting) => flags[setting] ?? setting)
  }
  return Predicate.hasProperty(error, "message") && typeof error.message === "string" ? error.message : String(error)
}

// What a program calls so, a person typed as a flag.
const flags: Readonly<Record<string, string>> = {
  exporter: "--exporter",
  otlpEndpoint: "--otlp-endpoint",
  otlpProtocol: "--otlp-protocol",
  samplingRate: "--sampling-rate",
  serviceName: "--service-name"
}
