/**
 * `tinyllm doctor`: says whether Ollama answers, which models it has, and where traces would go and why.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Assistant from "./Assistant.ts"
import { CommandFailed, failed, isUnreachable } from "./CliError.ts"
import type { DoctorFlags } from "./CliFlags.ts"
import { modelsOf, optionsOf } from "./CliRun.ts"
import * as DoctorSettings from "./DoctorSettings.ts"
import { origin } from "./DoctorSettings.ts"
import * as NodeClient from "./NodeClient.ts"
import { Ollama, sameModel } from "./Ollama.ts"
import { Ports } from "./Ports.ts"
import { harmless } from "./SpanPrinter.ts"
import { Stdout } from "./Stdout.ts"
import * as Telemetry from "./Telemetry.ts"
import { commandLine } from "./TelemetryConfig.ts"

/**
 * Prints what there is and what is missing, line by line. Fails as a run would, for want of Ollama or of a model; with
 * `--telemetry` it leaves those out, sends a span, and fails when that does not arrive.
 */
export const doctor = (flags: DoctorFlags) =>
  Effect.gen(function* () {
    // A setting that cannot be used is wrong whatever the rest is like.
    const options = optionsOf(flags)
    const config = yield* Telemetry.resolve(options, commandLine)
    if (flags.telemetry) {
      const { verdict } = yield* Effect.promise(() => import("./DoctorTelemetry.ts"))
      yield* tracing({ ...config, warnings: yield* warnings(options, config) }, flags.verbose)
      const { failure, text } = yield* verdict(config)
      yield* print("Verdict", text)
      return yield* failure === undefined ? Effect.void : failure
    }
    const result = yield* Effect.result(Effect.provide(models(flags), NodeClient.layerConfig))
    yield* tracing(config, flags.verbose)
    return yield* Effect.fromResult(result)
  }).pipe(Effect.mapError(failed))

// What a configuration warns of, as if tracing to a collector were asked for, where nobody asked for anything else.
const warnings = (options: Telemetry.Options, { enabled, exporters }: Telemetry.Resolved) =>
  Effect.map(
    Telemetry.resolve({
      ...options,
      ...(enabled.source === "default" ? { enableTracing: true } : {}),
      ...(exporters.source === "default" ? { exporter: "otlp" as const } : {})
    }),
    (config) => config.warnings
  )

const print = (name: string, text: string) =>
  Effect.flatMap(Stdout, (stdout) => stdout.write(`${name.padEnd(10)}${harmless(text)}\n`))

/** A server that takes longer to say its version than this is as good as none for the person who waits. */
const patience = "5 seconds"

const models = Effect.fnUntraced(function* (flags: DoctorFlags) {
  const ollama = yield* Ollama
  const version = yield* ollama.version.pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () =>
        Effect.fail(
          new CommandFailed({ text: `Ollama at ${ollama.url} says nothing for 5 s. Restart it.`, exitCode: 3 })
        )
    }),
    Effect.tapError((error) =>
      print(
        "Ollama",
        error instanceof CommandFailed || isUnreachable(error)
          ? `no answer at ${ollama.url}`
          : `something else answers at ${ollama.url}`
      )
    )
  )
  yield* print("Ollama", `answers at ${ollama.url}, version ${version}`)
  const installed = yield* ollama.models
  const { model, routerModel } = yield* modelsOf(flags)
  const wanted = new Set([routerModel ?? model ?? Assistant.defaultRouterModel, model ?? Assistant.defaultModel])
  const lacking = [...wanted].filter((name) => !installed.some((model) => sameModel(model.name, name)))
  for (const name of wanted) {
    yield* print("Model", lacking.includes(name) ? `${name} is missing: ollama pull ${name}` : `${name} is installed`)
  }
  if (lacking.length > 0) {
    const commands = lacking.map((name) => `"ollama pull ${name}"`).join(" and ")
    return yield* new CommandFailed({
      text: `The default graph lacks models. Install them with ${commands}.`,
      exitCode: 3
    })
  }
}, Effect.mapError(failed))

const tracing = Effect.fnUntraced(function* (config: Telemetry.Resolved, all: boolean) {
  const { enabled, endpoint, exporters } = config
  if (enabled.value) {
    yield* print("Tracing", `on (${origin(enabled)})`)
  } else {
    const remedy =
      enabled.source === "default"
        ? "Turn it on with --tracing or TINYLLM_TRACING=true"
        : enabled.source === "OTEL_SDK_DISABLED"
          ? "Nothing turns it on but taking that variable away"
          : "Turn it on with --exporter, or change that setting"
    yield* print("Tracing", `off (${origin(enabled)}). ${remedy}. Then:`)
  }
  for (const { name, text } of DoctorSettings.main(config)) {
    yield* print(name, text)
  }
  if (exporters.value.includes("otlp")) {
    const { host, port, url } = endpoint.value
    const ports = yield* Ports
    const listening = (yield* ports.listening(host, port)) ? "something listens there" : "nothing listens there"
    yield* print("Collector", `${url} (${origin(endpoint)}): ${listening}`)
  } else if (all) {
    yield* print("Collector", `${endpoint.value.url} (${origin(endpoint)}): not used`)
  }
  for (const { name, text } of DoctorSettings.others(config).filter(({ isDefault }) => all || !isDefault)) {
    yield* print(name, text)
  }
  for (const warning of config.warnings) {
    yield* print("Warning", warning)
  }
  const problem = exporters.value.includes("otlp") ? yield* problemOf(config) : undefined
  if (problem !== undefined) {
    yield* print("Warning", `spans are not sent: ${problem}`)
  }
})

// Why nothing can be sent, as far as that is known without a collector.
const problemOf = ({ endpoint, otlp }: Telemetry.Resolved) =>
  Effect.map(
    Effect.promise(() => import("./OtlpCertificates.ts")),
    ({ read }) =>
      otlp.problem ??
      (endpoint.value.tls
        ? Result.match(read(otlp), { onFailure: (problem) => problem, onSuccess: () => undefined })
        : undefined)
  )
