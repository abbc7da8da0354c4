/**
 * `tinyllm doctor`: says whether Ollama answers, which models it has, and where traces would go.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Assistant from "./Assistant.ts"
import { CommandFailed, failed } from "./CliError.ts"
import type { DoctorFlags } from "./CliFlags.ts"
import { modelsOf, optionsOf } from "./CliRun.ts"
import * as NodeClient from "./NodeClient.ts"
import { Ollama, sameModel } from "./Ollama.ts"
import { Ports } from "./Ports.ts"
import { Stdout } from "./Stdout.ts"
import * as Telemetry from "./Telemetry.ts"

/** Prints what there is and what is missing. Fails with exit code 3 when a run would, for want of Ollama or a model. */
export const doctor = (flags: DoctorFlags) =>
  Effect.gen(function* () {
    const telemetry = yield* tracing(flags)
    const { lines, missing } = yield* models(flags)
    const stdout = yield* Stdout
    yield* stdout.write([...lines, ...telemetry, ""].join("\n"))
    if (missing !== undefined) {
      return yield* new CommandFailed({ text: missing, exitCode: 3 })
    }
  }).pipe(Effect.provide(NodeClient.layerConfig), Effect.mapError(failed))

const models = Effect.fnUntraced(function* (flags: DoctorFlags) {
  const ollama = yield* Ollama
  const version = yield* Effect.result(ollama.version)
  if (version._tag === "Failure") {
    return { lines: [line("Ollama", `no answer at ${ollama.url}`)], missing: failed(version.failure).message }
  }
  const installed = yield* ollama.models
  const { model, routerModel } = yield* modelsOf(flags)
  const wanted = new Set([
    routerModel ?? model ?? Assistant.defaultRouterModel,
    model ?? Assistant.defaultModel
  ])
  const lacking = [...wanted].filter((name) => !installed.some((model) => sameModel(model.name, name)))
  return {
    lines: [
      line("Ollama", `answers at ${ollama.url}, version ${version.success}`),
      ...[...wanted].map((name) =>
        line("Model", lacking.includes(name) ? `${name} is missing: ollama pull ${name}` : `${name} is installed`)
      )
    ],
    missing:
      lacking.length === 0
        ? undefined
        : `The default graph cannot run: ${lacking.map((name) => `"ollama pull ${name}"`).join(" and ")} would install what it lacks.`
  }
})

const tracing = Effect.fnUntraced(function* (flags: DoctorFlags) {
  const config = yield* Telemetry.resolve(optionsOf(flags))
  const { enabled, endpoint, exporters, sampler, serviceName } = config
  const warnings = config.warnings.map((warning) => line("Warning", warning))
  if (!enabled.value) {
    return [line("Tracing", `off (${enabled.source}). Turn it on with --tracing or TINYLLM_TRACING=true`), ...warnings]
  }
  const lines = [
    line("Tracing", `on (${enabled.source})`),
    line("Exporter", `${exporters.value.join(", ") || "none"} (${exporters.source})`),
    line("Service", `${serviceName.value} (${serviceName.source})`),
    line("Sampler", `${Telemetry.samplerName(sampler.value)} (${sampler.source})`)
  ]
  if (exporters.value.includes("otlp")) {
    const { host, port, url } = endpoint.value
    const ports = yield* Ports
    const listening = yield* ports.listening(host, port)
    lines.push(
      line(
        "Collector",
        `${url} (${endpoint.source}): ` + (listening ? "something listens there" : "nothing listens there")
      )
    )
  }
  return [...lines, ...warnings]
})

const line = (name: string, text: string): string => `${name.padEnd(10)}${text}`
