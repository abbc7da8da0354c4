/** Spans as the store gives them, with short ids and times in milliseconds from the start of the trace. */
import type { StoredSpan, Values } from "../../src/StoredSpan.ts"

/** When traces of tests start: 2026-01-02T03:04:05Z. */
export const epoch = BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1_000_000n

export const traceId = "0af7651916cd43dd8448eb211c80319c"

export interface Given {
  /** A short name; the span id is made of it. */
  readonly id: string
  readonly parent?: string | undefined
  readonly name?: string | undefined
  /** Milliseconds from the start of the trace. */
  readonly at: readonly [start: number, end: number]
  readonly failed?: string | boolean | undefined
  readonly attributes?: Values | undefined
  readonly events?: ReadonlyArray<{ readonly name: string; readonly at?: number; readonly attributes?: Values }>
  readonly service?: string | undefined
}

/** 16 hexadecimal digits that are the same for the same name. */
export const spanId = (name: string): string =>
  Array.from(name, (char) => char.codePointAt(0)!.toString(16).padStart(2, "0"))
    .join("")
    .padStart(16, "0")
    .slice(-16)

const nanos = (millis: number): bigint => epoch + BigInt(Math.round(millis * 1e6))

export const span = (given: Given): StoredSpan => ({
  traceId,
  spanId: spanId(given.id),
  parentSpanId: given.parent === undefined ? undefined : spanId(given.parent),
  name: given.name ?? given.id,
  kind: "internal",
  startNanos: nanos(given.at[0]),
  endNanos: nanos(given.at[1]),
  status:
    given.failed === undefined || given.failed === false
      ? { code: "unset", message: "" }
      : { code: "error", message: given.failed === true ? "" : given.failed },
  attributes: given.attributes ?? {},
  events: (given.events ?? []).map(({ at, attributes, name }) => ({
    name,
    timeNanos: nanos(at ?? given.at[1]),
    attributes: attributes ?? {}
  })),
  links: [],
  resource: { "service.name": given.service ?? "tinyllm" },
  scope: { name: "tinyllm", version: "0.1.0" },
  traceState: "",
  dropped: { attributes: 0, events: 0, links: 0 }
})

export const spans = (...given: ReadonlyArray<Given>): ReadonlyArray<StoredSpan> => given.map(span)

/** The attributes of a run of a graph. */
export const graph = (id: string, more: Values = {}): Values => ({ "graph.id": id, ...more })

/** The attributes of a visit. */
export const node = (id: string, type: string, step: number, more: Values = {}): Values => ({
  "node.id": id,
  "node.type": type,
  "execution.step": step,
  ...more
})

/** The attributes of a model call. */
export const call = (model: string, input?: number, output?: number, more: Values = {}): Values => ({
  "llm.model": model,
  "gen_ai.operation.name": "chat",
  ...(input === undefined ? {} : { "llm.input_tokens": input }),
  ...(output === undefined ? {} : { "llm.output_tokens": output }),
  ...more
})

/** The event of a router that chose. */
export const decided = (route: string, candidates: ReadonlyArray<string> = [route]) => ({
  name: "router.decision",
  attributes: { "router.route": route, "router.candidates": candidates, "router.strategy": "model" }
})
