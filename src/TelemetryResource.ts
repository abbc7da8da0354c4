/**
 * What describes this process to whoever receives its spans.
 *
 * @since 0.1.0
 */
import { version } from "./Version.ts"

/** The library that makes the spans. */
export const scope = { name: "tinyllm", version }

/**
 * The attributes of a service. What the environment says about the service beats what we know of it; what we say of this
 * process is a fact. There are no `process.command_args`: they hold the prompt.
 * https://opentelemetry.io/docs/specs/semconv/resource/
 */
export const attributes = (
  serviceName: string,
  given: Readonly<Record<string, string>>
): Readonly<Record<string, string | number>> => ({
  "service.version": version,
  ...given,
  // This tracer is not OpenTelemetry's own, so it does not call itself so.
  "telemetry.sdk.name": "tinyllm",
  "telemetry.sdk.language": "nodejs",
  "telemetry.sdk.version": version,
  "service.name": serviceName,
  "process.pid": process.pid,
  "process.runtime.name": "nodejs",
  "process.runtime.version": process.versions.node
})
