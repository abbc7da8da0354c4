/**
 * Finished spans as text for people, and as JSON for programs. Pure: it knows neither OpenTelemetry nor the terminal.
 *
 * @since 0.1.0
 */

import { bold, dim, duration, harmless, line, plain, red, type Styled, take, wrap } from "./TerminalText.ts"

export { displayWidth, harmless } from "./TerminalText.ts"

/** A finished span. */
export interface SpanRecord {
  readonly traceId: string
  readonly spanId: string
  readonly parentId?: string | undefined
  readonly name: string
  readonly kind: "internal" | "server" | "client" | "producer" | "consumer"
  /** Nanoseconds since 1970. */
  readonly startTime: bigint
  readonly endTime: bigint
  readonly status: { readonly code: "unset" | "ok" | "error"; readonly message?: string | undefined }
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<{
    readonly name: string
    readonly time: bigint
    readonly attributes: Readonly<Record<string, unknown>>
  }>
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON
// ---------------------------------------------------------------------------------------------------------------------

/** One line of JSON, without its newline. Numbers stay numbers; `duration_ms` has microseconds as decimals. */
export const json = (span: SpanRecord): string =>
  JSON.stringify({
    trace_id: span.traceId,
    span_id: span.spanId,
    parent_id: span.parentId ?? null,
    name: span.name,
    kind: span.kind,
    start: timestamp(span.startTime),
    duration_ms: millis(span),
    status: span.status.code,
    status_message: span.status.message,
    attributes: span.attributes,
    events: span.events.map((event) => ({
      name: event.name,
      time: timestamp(event.time),
      attributes: event.attributes
    }))
  })

const nanosPerMilli = 1_000_000n

const timestamp = (nanos: bigint): string => new Date(Number(nanos / nanosPerMilli)).toISOString()

const millis = (span: SpanRecord): number => Number((span.endTime - span.startTime) / 1000n) / 1000

// ---------------------------------------------------------------------------------------------------------------------
// Trees
// ---------------------------------------------------------------------------------------------------------------------

/** How a tree is drawn. */
export interface TreeOptions {
  /**
   * Columns of the terminal: lines of spans are cut there and end with `…`, errors go on in the next line. Nothing is cut
   * where it is `undefined`.
   */
  readonly width: number | undefined
  readonly colour: boolean
  /** Spans of these traces that are not among them; 0 by default. */
  readonly notShown?: number | undefined
}

/**
 * Spans as trees, one a trace, each span with its duration, the attributes that matter and its error; every line ends
 * with a newline. A span whose parent is not among them is drawn as a root.
 */
export const tree = (spans: ReadonlyArray<SpanRecord>, options: TreeOptions): string =>
  Array.from(Map.groupBy(spans, (span) => span.traceId).values())
    .flatMap((trace) => drawTrace(trace.toSorted(byStart), options))
    .map((line) => `${line}\n`)
    .join("")

const drawTrace = (spans: ReadonlyArray<SpanRecord>, options: TreeOptions): ReadonlyArray<string> => {
  const ids = new Set(spans.map((span) => span.spanId))
  const isRoot = (span: SpanRecord) => span.parentId === undefined || !ids.has(span.parentId)
  const children = Map.groupBy(spans, (span) => (isRoot(span) ? "" : (span.parentId ?? "")))
  const notShown = options.notShown ?? 0
  const total = spans.length + notShown
  const count = `${total} ${total === 1 ? "span" : "spans"}${notShown === 0 ? "" : `, ${notShown} of them not shown`}`
  // Never cut: an id in part is of no use.
  const lines = [line([dim(`trace ${spans[0]?.traceId ?? ""}, ${count}`)], { ...options, width: undefined })]
  // A list of what is left to draw, not recursion: a chain of ten thousand spans must not overflow the stack.
  const left = (children.get("") ?? []).map((span) => ({ span, indent: "", branch: "" })).toReversed()
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { span, indent, branch } = next
    const below = children.get(span.spanId) ?? []
    const inner = indent.length > (options.width ?? maximumIndent) ? indent : indent + (continued[branch] ?? "")
    lines.push(line([dim(indent + branch), ...describe(span, options)], options))
    for (const error of errors(span, below)) {
      lines.push(...errorLines(inner + (below.length > 0 ? "│  " : "   "), error, options))
    }
    for (const [index, child] of below.toReversed().entries()) {
      left.push({ span: child, indent: inner, branch: index === 0 ? "└─ " : "├─ " })
    }
  }
  return lines
}

// Without it, a chain of ten thousand spans would be hundreds of megabytes of spaces.
const maximumIndent = 300

const continued: Record<string, string> = { "├─ ": "│  ", "└─ ": "   " }

const byStart = (a: SpanRecord, b: SpanRecord): number =>
  a.startTime < b.startTime ? -1 : a.startTime > b.startTime ? 1 : 0

// What is left of a narrow terminal for the text of an error, however deep in the tree it is.
const minimumText = 24

/** An error as a whole, in as many lines as it takes. */
const errorLines = (indent: string, error: string, options: TreeOptions): ReadonlyArray<string> => {
  const mark = "✗ "
  const width = options.width ?? Number.POSITIVE_INFINITY
  const before = take(indent, Math.max(0, width - minimumText - mark.length))
  const texts = wrap(harmless(error), Math.max(1, width - before.length - mark.length))
  return texts.map((text, index) =>
    line([dim(before), red(`${index === 0 ? mark : "  "}${text}`)], { ...options, width: undefined })
  )
}

const describe = (span: SpanRecord, options: TreeOptions): ReadonlyArray<Styled> => {
  const failed = span.status.code === "error"
  const shown = details(span, options.width === undefined ? Number.POSITIVE_INFINITY : valueLength)
  return [
    failed ? red(span.name) : bold(span.name),
    plain(` ${duration(millis(span))}`),
    ...(shown.length === 0 ? [] : [dim(`  ${shown.join(" ")}`)])
  ]
}

// What a reader looks for, in the order in which they look. The rest of ours is in the JSON and in the collector.
const labels: ReadonlyArray<readonly [attribute: string, label: string]> = [
  ["graph.id", ""],
  ["node.id", ""],
  ["execution.step", "step"],
  ["retry.attempt", "attempt"],
  ["llm.model", ""],
  ["tinyllm.agent.rounds", "rounds"],
  ["llm.input_tokens", "in"],
  ["llm.output_tokens", "out"],
  ["execution.nodes_executed", "nodes"],
  ["execution.tokens_used", "tokens"],
  ["http.request.method", ""],
  ["http.response.status_code", ""]
]

// The rest of what we write. What is not in these namespaces is a program's own, and what it wanted to see.
const ours = /^(graph|node|execution|task|llm|gen_ai|server|http|url|tinyllm|retry|error|effect|process)\./

const ownEvents = new Set(["router.decision", "llm.first_token", "llm.model_checked", "retry.scheduled", "exception"])

const valueLength = 40

const details = (span: SpanRecord, valueLength: number): ReadonlyArray<string> => {
  const shown: Array<string> = []
  for (const [attribute, label] of labels) {
    const value = span.attributes[attribute]
    if (value !== undefined) {
      shown.push(label === "" ? String(value) : `${label}=${String(value)}`)
    }
  }
  for (const [attribute, value] of Object.entries(span.attributes)) {
    if (!ours.test(attribute)) {
      const text = String(value)
      shown.push(`${attribute}=${text.length > valueLength ? `${text.slice(0, valueLength)}…` : text}`)
    }
  }
  for (const event of span.events) {
    if (event.name === "router.decision") {
      shown.push(`→ ${String(event.attributes["router.route"])}`)
    } else if (!ownEvents.has(event.name)) {
      shown.push(`• ${event.name}`)
    }
  }
  if (span.attributes["effect.fiber.interrupted"] === true) {
    shown.push("interrupted")
  }
  return shown
}

// An error is written where it arose. A failed span that recorded none, above no failed span, says its status.
const errors = (span: SpanRecord, below: ReadonlyArray<SpanRecord>): ReadonlyArray<string> => {
  const recorded = span.events.flatMap((event) => {
    const type = String(event.attributes["exception.type"] ?? "")
    const message = String(event.attributes["exception.message"] ?? "")
    return event.name === "exception" ? [type === "" || message === "" ? type + message : `${type}: ${message}`] : []
  })
  return recorded.length > 0 || span.status.code !== "error" || below.some((child) => child.status.code === "error")
    ? recorded
    : [span.status.message ?? String(span.attributes["error.type"] ?? "failed")]
}
