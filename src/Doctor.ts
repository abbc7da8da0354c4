/**
 * `tinyllm doctor`: says whether Ollama answers, which models it has, and where traces would go.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Assistant from "./Assistant.ts"
import { CommandFailed, failed, isUnreachable } from "./CliError.ts"
import type { DoctorFlags } from "./CliFlags.ts"
import { modelsOf, optionsOf } from "./CliRun.ts"
import * as NodeClient from "./NodeClient.ts"
import { Ollama, sameModel } from "./Ollama.ts"
import { Ports } from "./Ports.ts"
import { harmless } from "./SpanPrinter.ts"
import { Stdout } from "./Stdout.ts"
import * as Telemetry from "./Telemetry.ts"

/** Prints what there is and what is missing, line by line. Fails as a run would, for want of Ollama or of a model. */
export const doctor = (flags: DoctorFlags) =>
  Effect.gen(function* () {
    // A setting that cannot be used is wrong whatever the rest is like.
    const config = yield* Telemetry.resolve(optionsOf(flags))
    const result = yield* Effect.result(models(flags))
    yield* tracing(config)
    return yield* Effect.fromResult(result)
  }).pipe(Effect.provide(NodeClient.layerConfig), Effect.mapError(failed))

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

const tracing = Effect.fnUntraced(function* (config: Telemetry.Resolved) {
  const { enabled, endpoint, exporters, sampler, serviceName } = config
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
  yield* print("Exporter", `${exporters.value.join(", ") || "none"} (${origin(exporters)})`)
  yield* print("Service", `${serviceName.value} (${origin(serviceName)})`)
  yield* print("Sampler", `${Telemetry.samplerName(sampler.value)} (${origin(sampler)})`)
  if (exporters.value.includes("otlp")) {
    const { host, port, url } = endpoint.value
    const ports = yield* Ports
    const listening = (yield* ports.listening(host, port)) ? "something listens there" : "nothing listens there"
    yield* print("Collector", `${url} (${origin(endpoint)}): ${listening}`)
  }
  for (const warning of config.warnings) {
    yield* print("Warning", warning)
  }
})

// A program could have set what a flag sets; here it was a flag.
const origin = ({ source }: Telemetry.Sourced<unknown>): string => (source === "flag/program" ? "flag" : source)
