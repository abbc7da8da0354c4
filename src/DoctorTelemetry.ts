/**
 * `tinyllm doctor --telemetry`: sends a span to the collector and says what became of it.
 *
 * Each way in which it goes wrong has a verdict, an exit code and what to do about it. A collector that is spoken to in
 * the wrong way often says nothing, or says it in its own way: so somebody who does not answer as a collector does is
 * asked what it speaks.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { CommandFailed } from "./CliError.ts"
import type { ExitCode } from "./CliError.ts"
import { origin } from "./DoctorSettings.ts"
import { Ports } from "./Ports.ts"
import type { Speech } from "./Ports.ts"
import * as Telemetry from "./Telemetry.ts"

/** The name of the span that is sent. */
export const spanName = "tinyllm.doctor"

/** What was found; where it is not good, an exit code and what to do about it. */
type Verdict = { readonly text: string } | { readonly text: string; readonly exitCode: ExitCode; readonly fix: string }

// All of it is to take less than three seconds, the start of the program included, and as little less as can be: a run
// waits for three seconds at its end.
const wholeMillis = 2650
const leastSendMillis = 1500
const slowMillis = 1000
const patienceMillis = 600
const speechMillis = 900

/**
 * Gives the verdict, and the failure of the command where it is not a good one. Where nobody chose an exporter, it asks
 * the collector that `--exporter otlp` would send to.
 */
export const verdict = (
  config: Telemetry.Resolved
): Effect.Effect<{ readonly text: string; readonly failure: CommandFailed | undefined }, never, Ports> =>
  Effect.map(beforehand(config) ?? examined(config), (verdict) => ({
    text: verdict.text,
    failure:
      "exitCode" in verdict ? new CommandFailed({ text: `${verdict.fix}.`, exitCode: verdict.exitCode }) : undefined
  }))

// What can be said without sending anything.
const beforehand = (config: Telemetry.Resolved): Effect.Effect<Verdict> | undefined => {
  const { enabled, exporters, keep, sampler } = config
  if (!enabled.value && enabled.source !== "default") {
    return Effect.succeed({
      exitCode: 17,
      text: `no span is sent: tracing is turned off by ${named(enabled)}`,
      fix: enabled.source === "flag/program" ? "Leave out that flag" : `Unset ${enabled.source}, or change it`
    })
  }
  if (exporters.value.length === 0) {
    return Effect.succeed({
      exitCode: 17,
      text: `no span is sent: ${named(exporters)} says none`,
      fix: `Set ${exporters.source} to otlp`
    })
  }
  if (sampler.value.ratio === 0 && !keep.value.errors && keep.value.slowerThan === undefined) {
    return Effect.succeed({
      exitCode: 16,
      text: `no span is sent: the sampler is ${Telemetry.samplerName(sampler.value)}, by ${named(sampler)}`,
      fix:
        sampler.source === "flag/program"
          ? "Choose a sampling rate above 0"
          : sampler.source.startsWith("OTEL_")
            ? "Unset OTEL_TRACES_SAMPLER, or choose a sampler and a rate (OTEL_TRACES_SAMPLER_ARG) above 0"
            : `Set ${sampler.source} to a rate above 0`
    })
  }
  return exporters.value.includes("otlp") || exporters.source === "default"
    ? undefined
    : Effect.succeed({
        text: `spans go to the console, by ${named(exporters)}; to ask the collector, add --exporter otlp`
      })
}

const named = (from: Telemetry.Sourced<unknown>): string =>
  from.source === "flag/program" ? "a flag" : from.source === "default" ? "default" : origin(from)

const examined = Effect.fnUntraced(function* (config: Telemetry.Resolved): Effect.fn.Return<Verdict, never, Ports> {
  const endpoint = config.endpoint.value
  const ports = yield* Ports
  const ask = ports.speech(endpoint.host, endpoint.port, speechMillis)
  const begin = performance.now()
  const sendMillis = Math.max(leastSendMillis, wholeMillis - begin)
  // Who is silent for so long is asked meanwhile.
  const asked = yield* Effect.forkChild(Effect.delay(ask, patienceMillis))
  const sent = yield* Effect.result(Telemetry.probe(config, spanName, sendMillis))
  if (sent._tag === "Failure") {
    return { exitCode: 2, text: `no span is sent: ${sent.failure}`, fix: "Correct that setting" }
  }
  const { outcome, traceId } = sent.success
  const millis = performance.now() - begin
  if (outcome._tag === "Accepted") {
    return outcome.rejected > 0
      ? { exitCode: 1, text: `the collector answers and does not take the span: ${outcome.reason}`, fix: seeLog }
      : {
          text:
            `works${millis < slowMillis ? "" : `, slowly, after ${(millis / 1000).toFixed(1)} s`}: ` +
            `${endpoint.address} took span ${spanName} of service ${config.serviceName.value}, trace ${traceId}` +
            (config.enabled.value ? "" : "; runs are not traced until tracing is turned on")
        }
  }
  return found(config, outcome, yield* outcome.silent || millis > patienceMillis ? Fiber.join(asked) : ask)
})

const wayIn = ({ otlp }: Telemetry.Resolved): string =>
  otlp.headerKeys.length === 0
    ? "Give the key that it asks for in OTEL_EXPORTER_OTLP_HEADERS"
    : `Correct the key in ${Array.from(new Set(otlp.headerKeys.map(({ source }) => source))).join(" or ")}`

type Failed = Exclude<Effect.Success<ReturnType<typeof Telemetry.probe>>["outcome"], { readonly _tag: "Accepted" }>

const seeLog = "See what the collector says about it in its own log"

const found = (
  config: Telemetry.Resolved,
  { hint, reason: said, silent, unauthorised, unreachable }: Failed,
  speech: Speech
): Verdict => {
  const reason = hint === undefined ? said : `${said}. ${hint}`
  const { address, protocol, tls } = config.endpoint.value
  if (tls && speech.listening && !speech.tls && (speech.http || speech.http2 || /TLS|SSL/.test(reason))) {
    return {
      exitCode: 13,
      text: `TLS mismatch: ${address} speaks plain text, and the endpoint is for TLS`,
      fix: `Write the endpoint with http:// in front: http://${address}`
    }
  }
  if (!tls && speech.tls) {
    return {
      exitCode: 13,
      text: `TLS mismatch: ${address} speaks TLS, and the endpoint is for plain text`,
      fix: `Write the endpoint with https:// in front: https://${address}`
    }
  }
  if (protocol === "grpc" && speech.http && !speech.http2) {
    return {
      exitCode: 11,
      text: `wrong protocol: ${address} speaks HTTP, and OTLP over gRPC is sent there`,
      fix: "Use its port for gRPC, usually 4317, or add --otlp-protocol http/protobuf"
    }
  }
  if (protocol !== "grpc" && speech.http2 && !speech.http) {
    return {
      exitCode: 12,
      text: `wrong protocol: ${address} speaks gRPC, and OTLP over HTTP is sent there`,
      fix: "Use its port for HTTP, usually 4318, or add --otlp-protocol grpc"
    }
  }
  if (unauthorised) {
    return { exitCode: 14, text: `not allowed: ${reason}`, fix: wayIn(config) }
  }
  if (tls && !silent && speech.tls && /certificate|issuer|altnames|signature|alert|TLS|SSL/i.test(reason)) {
    return {
      exitCode: 13,
      text: `TLS mismatch: ${reason}`,
      fix:
        "Name the authority of the collector's certificate in OTEL_EXPORTER_OTLP_CERTIFICATE and, where the collector " +
        "asks for one, a certificate of yours in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
    }
  }
  if (silent) {
    return {
      exitCode: 15,
      text: `it hangs: ${reason}`,
      fix: "Restart the collector, or see what is between here and there"
    }
  }
  return unreachable && !speech.listening
    ? { exitCode: 10, text: `nothing listens: ${reason}`, fix: "Start a collector there, or correct the endpoint" }
    : { exitCode: 1, text: `it does not work: ${reason}`, fix: seeLog }
}
