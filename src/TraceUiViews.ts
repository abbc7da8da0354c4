/**
 * What the page of `tinyllm ui` follows: the list of traces, one trace, many in numbers, and two side by side.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TraceDiff from "./TraceDiff.ts"
import * as TracePageData from "./TracePageData.ts"
import * as TraceStats from "./TraceStats.ts"
import type { ListFilter, TraceStore, TraceStoreError, TraceSummary } from "./TraceStore.ts"
import * as TraceTree from "./TraceTree.ts"
import type { Wanted } from "./TraceUi.ts"
import type { CompareData, Row, StatsData } from "./TraceUiData.ts"
import type { Message, View } from "./TraceUiEvents.ts"
import { durationMillis } from "./WrittenTime.ts"

type Store = TraceStore["Service"]

/** The view that a page wants. */
export const view = (store: Store, { lastEventId, path, query }: Wanted): View | undefined => {
  const [name, ...ids] = path.split("/")
  switch (`${name}/${ids.length}`) {
    case "traces/0":
      return list(store, query)
    case "trace/1":
      return trace(store, ids[0] ?? "", lastEventId ?? query.get("after") ?? undefined)
    case "stats/0":
      return stats(store, query)
    case "compare/2":
      return compare(store, ids[0] ?? "", ids[1] ?? "")
    default:
      return undefined
  }
}

/**
 * The traces that a filter lets through, the newest `limit` of them: `all` of them first, and then `some`, those that are
 * new or not what they were, with the ids of those that are `gone`.
 */
const list = (store: Store, query: URLSearchParams): View => {
  const limit = Math.min(maximumRows, Math.max(1, Number.parseInt(query.get("limit") ?? "", 10) || 200))
  let sent: ReadonlyMap<string, string> | undefined
  let hadMore = false
  let running = false
  return telling(
    () => running,
    Effect.gen(function* () {
      const text = query.get("text")?.trim().toLowerCase() ?? ""
      const filter = filterOf(query, yield* Clock.currentTimeMillis)
      // One more says that there are more; a text is looked for in all of them.
      const found = yield* store.list(text === "" ? { ...filter, limit: limit + 1 } : filter)
      const matching = text === "" ? found : found.filter((summary) => contains(summary, text))
      const rows = matching.slice(0, limit).map(toRow)
      const more = matching.length > limit
      const now = new Map(rows.map((row) => [row.id, JSON.stringify(row)]))
      const before = sent
      const moreBefore = hadMore
      sent = now
      hadMore = more
      running = rows.some(({ status }) => status === "running")
      if (before === undefined) {
        return [{ type: "all", data: { rows, more } }]
      }
      const changed = rows.filter(({ id }) => before.get(id) !== now.get(id))
      const gone = Array.from(before.keys()).filter((id) => !now.has(id))
      return changed.length === 0 && gone.length === 0 && more === moreBefore
        ? []
        : [{ type: "some", data: { rows: changed, gone, more } }]
    })
  )
}

// A page with more rows is of no use to anybody.
const maximumRows = 5000

/**
 * The spans of a trace: those that are there, and then those that come. `gone` says that there is no such trace.
 *
 * The number of spans is the id of an event: a page that comes back with that of all there are is told nothing, and any
 * other page is told everything.
 */
const trace = (store: Store, id: string, lastEventId: string | undefined): View => {
  const sent = new Set<string>()
  let known = lastEventId
  let wasRunning: boolean | undefined
  return telling(
    () => wasRunning === true,
    Effect.gen(function* () {
      const summary = yield* store.summary(id)
      const running = summary.status === "running"
      if (known === String(summary.spans) && wasRunning === running) {
        return []
      }
      const added =
        known === String(summary.spans) ? [] : (yield* store.read(id)).filter(({ spanId }) => !sent.has(spanId))
      for (const { spanId } of added) {
        sent.add(spanId)
      }
      known = String(summary.spans)
      wasRunning = running
      return chunks(added).map((spans, index, all): Message => ({
        type: "spans",
        // Who got only some of them has not got all.
        id: index === all.length - 1 ? known : undefined,
        data: { spans: TracePageData.encode(spans), running }
      }))
    }).pipe(
      Effect.catchReason("TraceStoreError", "TraceNotFound", () =>
        Effect.sync((): ReadonlyArray<Message> => {
          sent.clear()
          known = undefined
          wasRunning = undefined
          return [{ type: "gone", data: null }]
        })
      )
    )
  )
}

// Spans of one event, some megabytes.
const chunkSpans = 20_000

/** At least one, which is empty where there is nothing. */
const chunks = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.max(1, Math.ceil(items.length / chunkSpans)) }, (_, index) =>
    items.slice(index * chunkSpans, (index + 1) * chunkSpans)
  )

// Bounds the memory and the time that one look takes.
const maximumSpans = 100_000

/** The traces that a filter lets through in numbers, the newest ones where there are too many spans. */
const stats = (store: Store, query: URLSearchParams): View =>
  whole(
    "stats",
    Effect.gen(function* () {
      const all = yield* store.list(filterOf(query, yield* Clock.currentTimeMillis))
      const collector = TraceStats.collector()
      let spans = 0
      let read = 0
      for (const summary of all) {
        spans += summary.spans
        if (spans > maximumSpans && read > 0) {
          break
        }
        collector.add(yield* treeOf(store, summary.traceId))
        read++
        // Other pages are not kept waiting.
        yield* Effect.yieldNow
      }
      const { period, ...numbers } = collector.stats()
      const graphs = new Set((yield* store.list()).flatMap(({ graph }) => graph ?? []))
      return {
        ...numbers,
        leftOut: all.length - read,
        ...(period === undefined ? {} : { start: Number(period[0]) / 1e6, end: Number(period[1]) / 1e6 }),
        graphs: Array.from(graphs).toSorted()
      } satisfies StatsData
    })
  )

/** Two traces side by side. */
const compare = (store: Store, a: string, b: string): View =>
  whole(
    "compare",
    Effect.gen(function* () {
      const summaries = [yield* store.summary(a), yield* store.summary(b)] as const
      const { by, parting, rows } = TraceDiff.compare(yield* treeOf(store, a), yield* treeOf(store, b))
      return {
        a: toRow(summaries[0]),
        b: toRow(summaries[1]),
        by,
        rows,
        parting: parting?.name
      } satisfies CompareData
    })
  )

/** One that was removed a moment ago has no spans. */
const treeOf = (store: Store, id: string) =>
  store.read(id).pipe(
    Effect.catchReason("TraceStoreError", "TraceNotFound", () => Effect.succeed([])),
    Effect.map(TraceTree.make)
  )

/** A view that is told as a whole each time that it is not what it was. */
const whole = (type: string, read: Effect.Effect<unknown, TraceStoreError>): View => {
  let sent: string | undefined
  return telling(
    () => false,
    Effect.map(read, (data) => {
      const text = JSON.stringify(data)
      const isSame = text === sent
      sent = text
      return isSame ? [] : [{ type, data }]
    })
  )
}

/** A view that tells the page of trouble with the store, once while it is the same. */
const telling = (isRunning: () => boolean, next: Effect.Effect<ReadonlyArray<Message>, TraceStoreError>): View => {
  let trouble: string | undefined
  return {
    looksAgain: () => trouble !== undefined || isRunning(),
    next: Effect.match(next, {
      onFailure: ({ message }): ReadonlyArray<Message> => {
        const isSame = message === trouble
        trouble = message
        return isSame ? [] : [{ type: "trouble", data: message }]
      },
      onSuccess: (messages) => {
        const isOver = trouble !== undefined
        trouble = undefined
        return isOver ? [{ type: "trouble", data: null }, ...messages] : messages
      }
    })
  }
}

/** What a filter of the page asks the store for. What is no duration is as if it were not there. */
const filterOf = (query: URLSearchParams, now: number): ListFilter => {
  const slowerThan = millisOf(query.get("slowerThan"))
  const since = millisOf(query.get("since"))
  const graph = query.get("graph")?.trim() ?? ""
  return {
    ...(query.get("failed") === "1" ? { failed: true } : {}),
    ...(slowerThan === undefined ? {} : { slowerThan }),
    ...(graph === "" ? {} : { graph }),
    ...(since === undefined ? {} : { sinceNanos: BigInt(Math.round(now - since)) * 1_000_000n })
  }
}

const millisOf = (text: string | null): number | undefined => Option.getOrUndefined(durationMillis(text ?? ""))

const contains = (summary: TraceSummary, text: string): boolean =>
  summary.traceId.startsWith(text) ||
  [summary.rootName, summary.graph, summary.query, summary.service, ...summary.models].some((words) =>
    words?.toLowerCase().includes(text)
  )

/** A summary as the page is told it: times as numbers. */
const toRow = (summary: TraceSummary): Row => ({
  id: summary.traceId,
  name: summary.rootName,
  service: summary.service ?? "",
  graph: summary.graph,
  status: summary.status,
  start: Number(summary.startNanos) / 1e6,
  durationNanos: Number(summary.endNanos - summary.startNanos),
  spans: summary.spans,
  nodes: summary.nodes,
  failedSpans: summary.failedSpans,
  inputTokens: summary.inputTokens,
  outputTokens: summary.outputTokens,
  models: summary.models,
  query: summary.query
})
