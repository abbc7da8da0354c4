/**
 * What describes this process, as OpenTelemetry's exporters take it.
 *
 * @since 0.1.0
 */
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources"
import * as TelemetryResource from "./TelemetryResource.ts"

/** The resource of a service. */
export const make = (serviceName: string, attributes: Readonly<Record<string, string>>): Resource =>
  resourceFromAttributes(TelemetryResource.attributes(serviceName, attributes))
