/**
 * What the list of traces wants to know of one span.
 *
 * @since 0.1.0
 */
import type * as OtlpFormat from "./OtlpFormat.ts"
import { isCount } from "./TraceTree.ts"

/** What one span says of its trace. */
export interface Facts {
  readonly traceId: Uint8Array
  readonly spanId: Uint8Array
  readonly parentSpanId: Uint8Array | undefined
  readonly name: string
  readonly startNanos: bigint
  readonly endNanos: bigint
  /** How good a root it is: 2 without a parent, 1 with one in another process, else 0. */
  readonly rank: 0 | 1 | 2
  readonly status: "ok" | "error" | "interrupted"
  /** What it failed with. */
  readonly error: string | undefined
  /** Whether it is the visit of a node. */
  readonly isVisit: boolean
  /** The graph that it is a run of. */
  readonly graph: { readonly id: string; readonly query: string | undefined } | undefined
  /** The call of a model that it is, unless another one is inside of it. */
  readonly call: Call | undefined
}

/** A call of a model. */
export interface Call {
  readonly model: string | undefined
  readonly inputTokens: number | undefined
  readonly outputTokens: number | undefined
}

/** Reads a span; `undefined` where its ids are no ids. */
export const of = (span: OtlpFormat.Span): Facts | undefined => {
  const { spanId, traceId } = span
  if (!isId(traceId, 16) || !isId(spanId, 8)) {
    return undefined
  }
  const found = new Map<string, OtlpFormat.AnyValue>()
  for (const { key = "", value = {} } of span.attributes ?? []) {
    if (!found.has(key)) {
      found.set(key, value)
    }
  }
  const text = (key: string): string | undefined => found.get(key)?.stringValue || undefined
  const name = span.name ?? ""
  const failed = span.status?.code === 2
  const graph = name === "graph.execute" ? text("graph.id") : undefined
  const isCall = name.startsWith("llm.") || callOperations.has(text("gen_ai.operation.name") ?? "")
  const count = (...keys: ReadonlyArray<string>): number | undefined =>
    keys.map((key) => countOf(found.get(key))).find((value) => value !== undefined)
  // No other span will come that a span is below which names itself.
  const isBelow = isId(span.parentSpanId, 8) && Buffer.compare(span.parentSpanId, spanId) !== 0
  const parentSpanId = isBelow ? span.parentSpanId : undefined
  return {
    traceId,
    spanId,
    parentSpanId,
    name,
    startNanos: column(span.startTimeUnixNano),
    endNanos: column(span.endTimeUnixNano),
    rank: parentSpanId === undefined ? 2 : ((span.flags ?? 0) & remote) === remote ? 1 : 0,
    status: failed ? "error" : found.get("effect.fiber.interrupted")?.boolValue === true ? "interrupted" : "ok",
    error: failed ? span.status?.message || text("error.type") : undefined,
    isVisit: name.startsWith("node.") && text("node.id") !== undefined,
    graph: graph === undefined ? undefined : { id: graph, query: text("task.content") },
    call: isCall
      ? {
          model: text("llm.model") ?? text("gen_ai.request.model") ?? text("gen_ai.response.model"),
          inputTokens: count("llm.input_tokens", "gen_ai.usage.input_tokens"),
          outputTokens: count("llm.output_tokens", "gen_ai.usage.output_tokens")
        }
      : undefined
  }
}

// The same as those whose numbers `trace show` adds up.
const callOperations = new Set(["chat", "text_completion", "generate_content", "embeddings"])

// That it is known whether the parent is in another process, and that it is.
const remote = 0x300

const isId = (id: Uint8Array | undefined, length: number): id is Uint8Array =>
  id !== undefined && id.length === length && id.some((byte) => byte !== 0)

// A column holds 63 bits, until the year 2262.
const column = (nanos = 0n): bigint => (nanos > 2n ** 63n - 1n ? 2n ** 63n - 1n : nanos)

const countOf = ({ doubleValue, intValue }: OtlpFormat.AnyValue = {}): number | undefined => {
  const value = intValue === undefined ? doubleValue : Number(intValue)
  return isCount(value) ? value : undefined
}
