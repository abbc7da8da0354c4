/**
 * How spans are put into the database, each once, and how the row of their trace follows.
 *
 * @since 0.1.0
 */
import { transaction, type Database } from "./TraceDatabase.ts"
import * as TraceFacts from "./TraceFacts.ts"
import { decode } from "./OtlpProtobuf.ts"
import type * as OtlpFormat from "./OtlpFormat.ts"
import type * as OtlpTraces from "./OtlpTraces.ts"

/** What became of spans. */
export interface Appended {
  /** They are in the store now. */
  readonly taken: number
  /** They were in the store before. */
  readonly known: number
  /** They have no valid ids. */
  readonly invalid: number
  /** How many traces are in the store that were not. */
  readonly traces: number
}

/** Spans of one source, each with what the rows want to know of it; without, where its ids are no ids. */
export interface Part {
  readonly source: OtlpTraces.Source
  readonly service: string | null
  readonly spans: ReadonlyArray<{ readonly body: Uint8Array; readonly facts: TraceFacts.Facts | undefined }>
}

/** Looks at spans whose messages are at hand. */
export const ofMessages = ({ resource, source, spans }: OtlpTraces.ReadPart): Part => ({
  source,
  service: serviceOf(resource),
  spans: spans.map(({ bytes, message }) => ({ body: bytes, facts: TraceFacts.of(message) }))
})

/** Looks at spans of which there are the bytes, and keeps nothing else of what it reads. Throws `Malformed`. */
export const ofBytes = ({ source, spans }: OtlpTraces.Part): Part => ({
  source,
  service: serviceOf(decode("Resource", source.resource)),
  spans: spans.map((body) => ({ body, facts: TraceFacts.of(decode("Span", body)) }))
})

/**
 * Puts spans in, all or none, as of a time in milliseconds. `writer` names the process that they are of, where that is the
 * one that writes them. Throws a `Reason`.
 */
export const append = (database: Database, parts: ReadonlyArray<Part>, now: number, writer: string | null): Appended =>
  transaction(database, () => {
    const writing = new Writing(database, now, writer)
    for (const { service, source, spans } of parts) {
      for (const { body, facts } of spans) {
        if (facts === undefined) {
          writing.invalid++
        } else {
          writing.span(source, service, facts, body)
        }
      }
    }
    return writing.end()
  })

const serviceOf = (resource: OtlpFormat.Resource): string | null =>
  resource.attributes?.find(({ key }) => key === "service.name")?.value?.stringValue ?? null

/** The row of a trace, with the names of its columns. */
export interface Row {
  id: number | bigint
  trace_id: Uint8Array
  touched: number
  start_nanos: bigint
  end_nanos: bigint
  spans: number
  failed: number
  nodes: number | null
  input_tokens: number | null
  output_tokens: number | null
  models: string
  root_rank: number
  root_start: bigint
  root_name: string
  service: string | null
  status: string
  error: string | null
  graph_start: bigint | null
  graph: string | null
  query: string | null
  /** Absent in a file of an earlier format. */
  writer?: string | null
}

interface Trace {
  readonly row: Row
  changed: boolean
  /** Whether what was taken for the call of a model is none. */
  miscounted: boolean
  readonly models: Set<string>
  readonly sources: Map<OtlpTraces.Source, number | bigint>
}

class Writing {
  invalid = 0
  private taken = 0
  private known = 0
  private made = 0
  private readonly traces = new Map<string, Trace>()
  private readonly statements: Statements
  private readonly now: number
  private readonly writer: string | null

  constructor(database: Database, now: number, writer: string | null) {
    this.statements = statementsOf(database)
    this.now = now
    this.writer = writer
  }

  span(source: OtlpTraces.Source, service: string | null, facts: TraceFacts.Facts, body: Uint8Array): void {
    const trace = this.trace(service, facts)
    const { row } = trace
    const { insertSpan, removeContainer } = this.statements
    const sourceId = trace.sources.get(source) ?? this.source(trace, source)
    const { changes } = insertSpan.run(row.id, facts.spanId, sourceId, facts.startNanos, body)
    if (changes === 0) {
      this.known++
      return
    }
    this.taken++
    trace.changed = true
    add(row, service, facts)
    const contains = removeContainer.run(row.id, facts.spanId).changes > 0
    if (facts.call !== undefined && !contains) {
      count(trace, facts.call)
    }
    if (contains) {
      this.statements.setContains.run(row.id, facts.spanId)
    }
    if (facts.call !== undefined || contains) {
      this.contain(trace, facts.parentSpanId)
    }
  }

  end(): Appended {
    for (const trace of this.traces.values()) {
      const { changed, models, row } = trace
      if (trace.miscounted) {
        this.countAgain(trace)
      }
      if (changed) {
        row.models = JSON.stringify(Array.from(models).sort())
        this.statements.update.run(
          this.now,
          row.start_nanos,
          row.end_nanos,
          row.spans,
          row.failed,
          row.nodes,
          row.input_tokens,
          row.output_tokens,
          row.models,
          row.root_rank,
          row.root_start,
          row.root_name,
          row.service,
          row.status,
          row.error,
          row.graph_start,
          row.graph,
          row.query,
          this.writer,
          row.id
        )
      }
    }
    return { taken: this.taken, known: this.known, invalid: this.invalid, traces: this.made }
  }

  private countAgain(trace: Trace): void {
    trace.row.input_tokens = null
    trace.row.output_tokens = null
    trace.models.clear()
    for (const { body } of this.statements.innermost.iterate(trace.row.id)) {
      const call = TraceFacts.of(decode("Span", body as Uint8Array))?.call
      if (call !== undefined) {
        count(trace, call)
      }
    }
  }

  private trace(service: string | null, { name, startNanos, traceId }: TraceFacts.Facts): Trace {
    const key = Buffer.from(traceId).toString("latin1")
    const open = this.traces.get(key)
    if (open !== undefined) {
      return open
    }
    let row = this.statements.find.get(traceId) as unknown as Row | undefined
    if (row === undefined) {
      this.made++
      this.statements.insert.run(traceId, this.now, startNanos, startNanos, startNanos, name, service)
      row = this.statements.find.get(traceId) as unknown as Row
    }
    const trace = {
      row: plain(row),
      changed: false,
      miscounted: false,
      models: new Set<string>(JSON.parse(row.models)),
      sources: new Map()
    }
    this.traces.set(key, trace)
    return trace
  }

  private source({ row, sources }: Trace, source: OtlpTraces.Source): number | bigint {
    const { findSource, insertSource } = this.statements
    const values = [row.id, source.resource, source.resourceSchema, source.scope, source.scopeSchema] as const
    const found = findSource.get(...values)
    const id = found === undefined ? insertSource.run(...values).lastInsertRowid : (found["id"] as number)
    sources.set(source, id)
    return id
  }

  // A span that contains the call of a model is none itself: it would say the same tokens again. Those inside come first,
  // as a rule, since they end first; where the one around them came first, all are counted again.
  private contain(trace: Trace, spanId: Uint8Array | undefined): void {
    const { addContainer, findSpan, setContains } = this.statements
    let id = spanId
    while (id !== undefined) {
      const span = findSpan.get(trace.row.id, id)
      if (span === undefined) {
        addContainer.run(trace.row.id, id)
        return
      }
      if (span["contains"] === 1) {
        return
      }
      setContains.run(trace.row.id, id)
      const facts = TraceFacts.of(decode("Span", span["body"] as Uint8Array))
      if (facts?.call !== undefined) {
        trace.miscounted = true
      }
      id = facts?.parentSpanId
    }
  }
}

const count = ({ models, row }: Trace, { inputTokens, model, outputTokens }: TraceFacts.Call): void => {
  row.input_tokens = plus(row.input_tokens, inputTokens)
  row.output_tokens = plus(row.output_tokens, outputTokens)
  if (model !== undefined) {
    models.add(model)
  }
}

const plus = (sum: number | null, more: number | undefined): number | null =>
  more === undefined ? sum : Math.min((sum ?? 0) + more, Number.MAX_SAFE_INTEGER)

const add = (row: Row, service: string | null, facts: TraceFacts.Facts): void => {
  row.spans++
  row.failed += facts.status === "error" ? 1 : 0
  row.nodes = facts.isVisit ? (row.nodes ?? 0) + 1 : row.nodes
  row.start_nanos = facts.startNanos < row.start_nanos ? facts.startNanos : row.start_nanos
  row.end_nanos = facts.endNanos > row.end_nanos ? facts.endNanos : row.end_nanos
  // Of two that began at the same moment the one that ended later is around the other.
  if (facts.rank > row.root_rank || (facts.rank === row.root_rank && facts.startNanos <= row.root_start)) {
    row.root_rank = facts.rank
    row.root_start = facts.startNanos
    row.root_name = facts.name
    row.service = service
    row.status = facts.rank === 0 ? "running" : facts.status
    row.error = facts.rank === 0 ? null : (facts.error ?? null)
  }
  if (facts.graph !== undefined && (row.graph_start === null || facts.startNanos <= row.graph_start)) {
    row.graph_start = facts.startNanos
    row.graph = facts.graph.id
    row.query = facts.graph.query ?? null
  }
}

// Times need 64 bits, and with them all numbers of a row come as bigints.
const plain = (row: Row): Row => {
  const number = (value: unknown) => (value === null ? null : Number(value))
  return {
    ...row,
    touched: Number(row.touched),
    spans: Number(row.spans),
    failed: Number(row.failed),
    nodes: number(row.nodes),
    input_tokens: number(row.input_tokens),
    output_tokens: number(row.output_tokens),
    root_rank: Number(row.root_rank)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Statements
// ---------------------------------------------------------------------------------------------------------------------

type Statements = ReturnType<typeof prepare>

const prepared = new WeakMap<Database, Statements>()

const statementsOf = (database: Database): Statements => {
  const known = prepared.get(database)
  if (known !== undefined) {
    return known
  }
  const statements = prepare(database)
  prepared.set(database, statements)
  return statements
}

const prepare = ({ connection }: Database) => {
  const find = connection.prepare("SELECT * FROM traces WHERE trace_id = ?")
  find.setReadBigInts(true)
  return {
    find,
    insert: connection.prepare(`
      INSERT INTO traces (
        trace_id, touched, start_nanos, end_nanos, root_start, root_name, service, spans, failed, models, root_rank, status
      ) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, '[]', 0, 'running')`),
    update: connection.prepare(`
      UPDATE traces SET touched = ?, start_nanos = ?, end_nanos = ?, spans = ?, failed = ?, nodes = ?, input_tokens = ?,
        output_tokens = ?, models = ?, root_rank = ?, root_start = ?, root_name = ?, service = ?, status = ?, error = ?,
        graph_start = ?, graph = ?, query = ?, writer = ? WHERE id = ?`),
    findSource: connection.prepare(`
      SELECT id FROM sources
      WHERE trace = ? AND resource = ? AND resource_schema = ? AND scope = ? AND scope_schema = ?`),
    insertSource: connection.prepare(`
      INSERT INTO sources (trace, resource, resource_schema, scope, scope_schema) VALUES (?, ?, ?, ?, ?)`),
    insertSpan: connection.prepare(`
      INSERT OR IGNORE INTO spans (trace, span_id, source, start_nanos, contains, body) VALUES (?, ?, ?, ?, 0, ?)`),
    findSpan: connection.prepare("SELECT contains, body FROM spans WHERE trace = ? AND span_id = ?"),
    innermost: connection.prepare("SELECT body FROM spans WHERE trace = ? AND contains = 0"),
    setContains: connection.prepare("UPDATE spans SET contains = 1 WHERE trace = ? AND span_id = ?"),
    removeContainer: connection.prepare("DELETE FROM containers WHERE trace = ? AND span_id = ?"),
    addContainer: connection.prepare("INSERT OR IGNORE INTO containers (trace, span_id) VALUES (?, ?)")
  }
}
