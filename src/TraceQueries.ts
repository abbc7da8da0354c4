/**
 * What is asked of the database of traces: which there are, and the spans of one; and how traces leave it.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as ProcessName from "./ProcessName.ts"
import { naming, transaction, type Database } from "./TraceDatabase.ts"
import { hex, unhex } from "./OtlpJson.ts"
import type * as OtlpTraces from "./OtlpTraces.ts"
import type { Row } from "./TraceRows.ts"
import type { Keeping, ListFilter, TraceSummary } from "./TraceSummary.ts"

/** The traces that fit, those that began last first. */
export const list = ({ connection }: Database, filter: ListFilter): ReadonlyArray<TraceSummary> => {
  const conditions: Array<string> = [isThere]
  const values: Array<string | bigint | number> = []
  const where = (condition: string, value: string | bigint): void => {
    conditions.push(condition)
    values.push(value)
  }
  if (filter.failed === true) {
    where("status = ?", "error")
  }
  if (filter.slowerThan !== undefined) {
    where("end_nanos - start_nanos > ?", nanosOf(filter.slowerThan))
  }
  if (filter.graph !== undefined) {
    where("graph = ?", filter.graph)
  }
  if (filter.sinceNanos !== undefined) {
    where("start_nanos >= ?", column(filter.sinceNanos))
  }
  const statement = connection.prepare(
    `SELECT * FROM traces WHERE ${conditions.join(" AND ")}
    ORDER BY start_nanos DESC, id DESC LIMIT ?`
  )
  statement.setReadBigInts(true)
  return (statement.all(...values, filter.limit ?? -1) as unknown as ReadonlyArray<Row>).map(summaryOf)
}

// Not what is left of a trace that is being removed, see `pruneSome`.
const isThere = "touched >= 0"

// What a column holds: no trace is further away than that.
const column = (nanos: bigint): bigint => (nanos < 0n ? 0n : nanos > 2n ** 63n - 1n ? 2n ** 63n - 1n : nanos)

const nanosOf = (duration: Duration.Input): bigint => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(duration))
  return millis >= 9e12 ? 2n ** 63n - 1n : BigInt(Math.round(millis * 1e6))
}

/** One of them by its id. */
export const summary = ({ connection }: Database, traceId: string): TraceSummary | undefined => {
  const statement = connection.prepare("SELECT * FROM traces WHERE trace_id = ?")
  statement.setReadBigInts(true)
  const row = statement.get(unhex(traceId) ?? new Uint8Array()) as unknown as Row | undefined
  return row === undefined ? undefined : summaryOf(row)
}

const summaryOf = (row: Row): TraceSummary => ({
  traceId: hex(row.trace_id),
  rootName: row.root_name,
  service: row.service ?? undefined,
  ...(row.graph === null ? {} : { graph: row.graph }),
  ...(row.query === null ? {} : { query: row.query }),
  ...outcomeOf(row),
  startNanos: row.start_nanos,
  endNanos: row.end_nanos,
  spans: Number(row.spans),
  failedSpans: Number(row.failed),
  ...(row.nodes === null ? {} : { nodes: Number(row.nodes) }),
  ...(row.input_tokens === null ? {} : { inputTokens: Number(row.input_tokens) }),
  ...(row.output_tokens === null ? {} : { outputTokens: Number(row.output_tokens) }),
  models: JSON.parse(row.models)
})

// What a process that was killed has left says so from the moment when somebody asks.
const outcomeOf = ({ error, status, writer }: Row): Pick<TraceSummary, "status" | "error"> =>
  status === "running" && ProcessName.hasEnded(writer ?? "")
    ? { status: "interrupted", error: "its process has ended before it did" }
    : { status: status as TraceSummary["status"], ...(error === null ? {} : { error }) }

/** The id of the trace that began last. */
export const last = ({ connection }: Database): string | undefined => {
  const row = connection
    .prepare(`SELECT trace_id FROM traces WHERE ${isThere} ORDER BY start_nanos DESC, id DESC LIMIT 1`)
    .get()
  return row === undefined ? undefined : hex(row["trace_id"] as Uint8Array)
}

/** The ids that begin so, some of them, and how many there are. `start` are hexadecimal digits, 32 at most. */
export const beginning = (
  { connection }: Database,
  start: string
): { readonly ids: ReadonlyArray<string>; readonly count: number } => {
  const range = [unhex(start.padEnd(32, "0")) ?? new Uint8Array(), unhex(start.padEnd(32, "f")) ?? new Uint8Array()]
  const among = `trace_id BETWEEN ? AND ? AND ${isThere}`
  const rows = connection
    .prepare(`SELECT trace_id FROM traces WHERE ${among} ORDER BY start_nanos DESC LIMIT 5`)
    .all(...range)
  const count = connection.prepare(`SELECT count(*) AS n FROM traces WHERE ${among}`).get(...range)
  return { ids: rows.map((row) => hex(row["trace_id"] as Uint8Array)), count: Number(count?.["n"]) }
}

/** The spans of a trace, by what they share, those that began first first; none where there is no such trace. */
export const parts = ({ connection }: Database, traceId: string): ReadonlyArray<OtlpTraces.Part> => {
  const rows = connection
    .prepare(
      `SELECT source, body, resource, resource_schema, scope, scope_schema
      FROM traces JOIN spans ON spans.trace = traces.id JOIN sources ON sources.id = spans.source
      WHERE trace_id = ? ORDER BY spans.start_nanos, spans.id`
    )
    .all(unhex(traceId) ?? new Uint8Array())
  return Array.from(
    Map.groupBy(rows, ({ source }) => source),
    ([, spans]) => ({
      source: {
        resource: spans[0]?.["resource"] as Uint8Array,
        resourceSchema: spans[0]?.["resource_schema"] as string,
        scope: spans[0]?.["scope"] as Uint8Array,
        scopeSchema: spans[0]?.["scope_schema"] as string
      },
      spans: spans.map(({ body }) => body as Uint8Array)
    })
  )
}

/** The ids of the spans of a trace that came after so many others, in the order in which they came. */
export const latest = ({ connection }: Database, traceId: string, after: number): ReadonlyArray<string> =>
  connection
    .prepare(
      `SELECT span_id FROM traces JOIN spans ON spans.trace = traces.id
      WHERE trace_id = ? ORDER BY spans.id LIMIT -1 OFFSET ?`
    )
    .all(unhex(traceId) ?? new Uint8Array(), after)
    .map((row) => hex(row["span_id"] as Uint8Array))

// ---------------------------------------------------------------------------------------------------------------------
// Removing
// ---------------------------------------------------------------------------------------------------------------------

/** Removes traces by their ids, and says how many there were. */
export const remove = (database: Database, traceIds: ReadonlyArray<string>): number =>
  transaction(database, () => {
    const statement = database.connection.prepare("DELETE FROM traces WHERE trace_id = ?")
    return traceIds.reduce((sum, id) => sum + Number(statement.run(unhex(id) ?? new Uint8Array()).changes), 0)
  })

/**
 * Removes some of the traces that are too old, or too many, or else one for which there is no room, as far as it takes no
 * long time. Says how many have gone, and whether there may be more: others write in between, and it is called again.
 */
export const pruneSome = (
  database: Database,
  keeping: Keeping,
  now: number
): { readonly traces: number; readonly more: boolean } => {
  const { connection, file } = database
  const oldest = now - Duration.toMillis(Duration.fromInputUnsafe(keeping.maximumAge))
  // To look costs nobody a turn.
  const dueByNumber = naming(file, () =>
    connection
      .prepare(
        `SELECT id, touched FROM traces WHERE touched < max(?, 0) UNION
        SELECT id, touched FROM (SELECT id, touched FROM traces ORDER BY touched DESC, id DESC LIMIT -1 OFFSET ?) LIMIT ?`
      )
      .all(
        Number.isFinite(oldest) ? Math.floor(oldest) : 0,
        Math.min(keeping.maximumTraces, Number.MAX_SAFE_INTEGER),
        atOnce
      )
  )
  const due = dueByNumber.length > 0 ? dueByNumber : dueBySize(database, keeping.maximumBytes)
  if (due.length === 0) {
    return { traces: 0, more: false }
  }
  return transaction(database, () => {
    const find = connection.prepare("SELECT 1 FROM traces WHERE id = ? AND touched = ?")
    const removeSpans = connection.prepare(
      "DELETE FROM spans WHERE id IN (SELECT id FROM spans WHERE trace = ? LIMIT ?)"
    )
    const removeTrace = connection.prepare("DELETE FROM traces WHERE id = ?")
    // What is left of a trace is none any more: nobody finds it, and a span that comes begins another one. Ids are shorter.
    const bury = connection.prepare(
      "UPDATE traces SET touched = -1, trace_id = CAST('what is left of trace ' || id AS BLOB) WHERE id = ?"
    )
    let traces = 0
    let left = spansAtOnce
    for (const { id, touched } of due) {
      // Somebody has written to it since, or to another one that has its number now.
      if (find.get(id as number, touched as number) === undefined) {
        continue
      }
      left -= Number(removeSpans.run(id as number, left).changes)
      const remove = left === 0 ? bury : removeTrace
      remove.run(id as number)
      traces += Number(touched) < 0 ? 0 : 1
      if (left === 0) {
        break
      }
    }
    return { traces, more: true }
  })
}

// The one that was written to longest ago, but for the last. What is free in the file is used again, and does not count.
const dueBySize = (database: Database, maximumBytes: number) =>
  naming(database.file, () => {
    const pages = pragma(database, "page_count") - pragma(database, "freelist_count")
    return pages * pragma(database, "page_size") <= maximumBytes
      ? []
      : database.connection
          .prepare(
            `SELECT id, touched FROM (SELECT id, touched FROM traces ORDER BY touched DESC, id DESC LIMIT -1 OFFSET 1)
            ORDER BY touched, id LIMIT 1`
          )
          .all()
  })

// What is removed while others wait.
const atOnce = 20
const spansAtOnce = 500

/**
 * Gives some room in the file back to the system where much of it is free, and says whether there is more to give. What
 * is free otherwise is used again.
 */
export const shrinkSome = (database: Database, hasBegun: boolean): boolean =>
  naming(database.file, () => {
    const free = pragma(database, "freelist_count")
    if (!hasBegun && (free <= 1000 || free <= pragma(database, "page_count") / 4)) {
      return false
    }
    database.connection.exec(`PRAGMA incremental_vacuum(${pagesAtOnce})`)
    return pragma(database, "freelist_count") < free
  })

const pragma = ({ connection }: Database, name: "freelist_count" | "page_count" | "page_size"): number =>
  Number(Object.values(connection.prepare(`PRAGMA ${name}`).get() ?? {})[0])

// Of 4 096 bytes.
const pagesAtOnce = 250
