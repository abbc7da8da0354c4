/**
 * Calls that nobody makes a span of: an export would otherwise be a span, to be exported next.
 *
 * @since 0.1.0
 */
import { context, createContextKey } from "@opentelemetry/api"

// The key by which instrumentations of HTTP and gRPC know what to leave alone; equal for equal names.
// https://github.com/open-telemetry/opentelemetry-js/blob/main/packages/opentelemetry-core/src/trace/suppress-tracing.ts
const suppressed = createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING")

/** Runs a function, and all that it starts, where OpenTelemetry's own instrumentation makes no spans. */
export const untraced = <A>(run: () => A): A => context.with(context.active().setValue(suppressed, true), run)
