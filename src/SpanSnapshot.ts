/**
 * Recorded spans as plain values: what an exporter gets, and what the local store would give back.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import type * as EffectTracer from "effect/Tracer"
import { RecordedSpan } from "./RecordedSpan.ts"
import type { Values as RecordedValues } from "./SpanValues.ts"
import type { StoredSpan, Values } from "./StoredSpan.ts"
import { scope } from "./TelemetryResource.ts"
import * as TraceContext from "./TraceContext.ts"

/** A span of a service as it is now. One that has ended is first made ready for being handed on: it keeps no secrets. */
export const make = (span: RecordedSpan, resource: Values): StoredSpan => {
  const ended = span.endTime !== undefined
  if (ended) {
    span.guarded()
  }
  const parent = Option.getOrUndefined(span.parent)
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: parent?.spanId,
    name: span.name,
    kind: span.kind,
    startNanos: span.startTime,
    endNanos: span.endTime ?? span.startTime,
    status: span.failed
      ? { code: "error", message: span.statusMessage }
      : { code: span.ok ? "ok" : "unset", message: "" },
    attributes: plain(span.values),
    events: span.events.map(({ attributes, name, time }) => ({ name, timeNanos: time, attributes: plain(attributes) })),
    links: span.recordedLinks.map((link) => ({
      traceId: link.span.traceId,
      spanId: link.span.spanId,
      attributes: plain(link.attributes)
    })),
    resource,
    scope,
    // Whether it is sampled decides what is in it; of a span that runs, that may be open.
    traceState: ended ? (TraceContext.limitState(stateOf(span), TraceContext.exportedStateLength) ?? "") : "",
    dropped: { attributes: span.droppedAttributes, events: span.droppedEvents, links: span.droppedLinks }
  }
}

const stateOf = (span: EffectTracer.AnySpan): string | undefined =>
  span instanceof RecordedSpan ? span[TraceContext.stateKey] : TraceContext.stateOf(span)

// Their own have no prototype, which tests that compare objects would notice.
const plain = (values: RecordedValues): Values => ({ ...values })
