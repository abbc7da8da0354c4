/**
 * What describes this process to whoever receives its spans.
 *
 * @since 0.1.0
 */
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources"
import { version } from "./Version.ts"

/**
 * The resource of a service. What the environment says about the service beats what we know of it; what we say of this
 * process is a fact. There are no `process.command_args`: they hold the prompt.
 * https://opentelemetry.io/docs/specs/semconv/resource/
 */
export const make = (serviceName: string, attributes: Readonly<Record<string, string>>): Resource =>
  resourceFromAttributes({
    "service.version": version,
    ...attributes,
    // This tracer is not OpenTelemetry's own, so it does not call itself so.
    "telemetry.sdk.name": "tinyllm",
    "telemetry.sdk.language": "nodejs",
    "telemetry.sdk.version": version,
    "service.name": serviceName,
    "process.pid": process.pid,
    "process.runtime.name": "nodejs",
    "process.runtime.version": process.versions.node
  })
