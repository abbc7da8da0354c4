/**
 * Spans of OpenTelemetry as the parts of a request of OTLP: byte for byte what the SDK's own serializer writes.
 *
 * That one brings a good part of OpenTelemetry with it, which a run that only shows and keeps its spans does without.
 *
 * @since 0.1.0
 */
import type { HrTime, SpanContext } from "@opentelemetry/api"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import type * as OtlpFormat from "./OtlpFormat.ts"
import { encode } from "./OtlpProtobuf.ts"
import type * as OtlpTraces from "./OtlpTraces.ts"
import * as OtlpValues from "./OtlpValues.ts"

/** These spans as the parts of a request, with the messages that the bytes are of. */
export const parts = (spans: ReadonlyArray<ReadableSpan>): ReadonlyArray<OtlpTraces.ReadPart> =>
  Array.from(
    Map.groupBy(spans, ({ resource }) => resource),
    ([about, spans]) => {
      const resource = { attributes: keyValues(about.attributes), droppedAttributesCount: 0 }
      const bytes = encode("Resource", resource)
      return Array.from(
        Map.groupBy(spans, ({ instrumentationScope }) => instrumentationScope),
        ([scope, spans]) => ({
          source: {
            resource: bytes,
            resourceSchema: about.schemaUrl ?? "",
            scope: encode("Scope", { name: scope.name, ...said("version", scope.version) }),
            scopeSchema: scope.schemaUrl ?? ""
          },
          resource,
          spans: spans.map((span) => {
            const message = spanOf(span)
            return { message, bytes: encode("Span", message) }
          })
        })
      )
    }
  ).flat()

// A text that is there only where it says something.
const said = <K extends string>(name: K, text: string | undefined): { readonly [_ in K]?: string } =>
  (text === undefined || text === "" ? {} : { [name]: text }) as { readonly [_ in K]?: string }

const spanOf = (span: ReadableSpan): OtlpFormat.Span => {
  const context = span.spanContext()
  const parent = span.parentSpanContext
  return {
    traceId: OtlpValues.bytes(context.traceId),
    spanId: OtlpValues.bytes(context.spanId),
    ...said("traceState", context.traceState?.serialize()),
    ...(parent === undefined || parent.spanId === "" ? {} : { parentSpanId: OtlpValues.bytes(parent.spanId) }),
    name: span.name,
    // OTLP counts them from 1.
    kind: span.kind + 1,
    startTimeUnixNano: nanos(span.startTime),
    endTimeUnixNano: nanos(span.endTime),
    attributes: keyValues(span.attributes),
    droppedAttributesCount: span.droppedAttributesCount,
    events: span.events.map((event) => ({
      timeUnixNano: nanos(event.time),
      name: event.name,
      attributes: keyValues(event.attributes),
      droppedAttributesCount: event.droppedAttributesCount ?? 0
    })),
    droppedEventsCount: span.droppedEventsCount,
    links: span.links.map((link) => ({
      traceId: OtlpValues.bytes(link.context.traceId),
      spanId: OtlpValues.bytes(link.context.spanId),
      ...said("traceState", link.context.traceState?.serialize()),
      attributes: keyValues(link.attributes),
      droppedAttributesCount: link.droppedAttributesCount ?? 0,
      flags: flags(link.context, link.context.isRemote)
    })),
    droppedLinksCount: span.droppedLinksCount,
    status: { ...said("message", span.status.message), code: span.status.code },
    flags: flags(context, parent?.isRemote)
  }
}

// Bit 8 says that it is known whether the parent, or what a link points to, is in another process; bit 9 that it is.
const flags = ({ traceFlags }: SpanContext, isRemote: boolean | undefined): number =>
  (traceFlags & 0xff) | 0x100 | (isRemote === true ? 0x200 : 0)

const nanos = ([seconds, nanos]: HrTime): bigint => BigInt(seconds) * 1_000_000_000n + BigInt(nanos)

// As the stock serializer has it.
const keyValues = OtlpValues.keyValues((value) => Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63)
