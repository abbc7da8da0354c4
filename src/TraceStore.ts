/**
 * Traces that are kept on this machine, in one database of SQLite.
 *
 * Runs write to it while others read. A span is kept as the bytes in which OTLP carried it, so that nothing is lost on
 * the way to another tool; beside the spans stands one row a trace, kept up to date with every span that arrives, from
 * which traces are listed without a look at their spans.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { statSync } from "node:fs"
import { dirname } from "node:path"
import type { TelemetryConfigError } from "./EnvironmentValues.ts"
import { Malformed } from "./OtlpFormat.ts"
import * as OtlpTraces from "./OtlpTraces.ts"
import * as ProcessName from "./ProcessName.ts"
import type { StoredSpan } from "./StoredSpan.ts"
import * as StoreConfig from "./StoreConfig.ts"
import * as TraceDatabase from "./TraceDatabase.ts"
import * as TraceQueries from "./TraceQueries.ts"
import * as TraceRows from "./TraceRows.ts"
import {
  isFull,
  RequestInvalid,
  StoreBusy,
  StoreDamaged,
  StoreNewer,
  StoreUnusable,
  TraceAmbiguous,
  TraceNotFound,
  TraceStoreError,
  unusable
} from "./TraceStoreError.ts"
import type { Appended, Keeping, ListFilter, TraceSummary } from "./TraceSummary.ts"
import * as TraceWatch from "./TraceWatch.ts"

export * from "./TraceStoreError.ts"
export type { Appended, Keeping, ListFilter, TraceSummary } from "./TraceSummary.ts"

/** Where the store is, and what it keeps. */
export interface Options {
  /** The database, an absolute path. */
  readonly file: string
  /** By default 1 000 traces, for 30 days, in 1 GiB. */
  readonly keeping?: Partial<Keeping> | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Service
// ---------------------------------------------------------------------------------------------------------------------

/** Traces of this machine. Nothing is opened, or made, before it is used; to look at what is not there makes nothing. */
export class TraceStore extends Context.Service<
  TraceStore,
  {
    /** Where it is. */
    readonly file: string
    /** Puts the spans of an OTLP request (`ExportTraceServiceRequest`, protobuf) into the store, all or none. */
    readonly append: (request: Uint8Array) => Effect.Effect<Appended, TraceStoreError>
    /**
     * The same for spans of this process, with the messages that their bytes are of. A trace whose root has not come is
     * interrupted when this process has ended.
     */
    readonly put: (parts: ReadonlyArray<OtlpTraces.ReadPart>) => Effect.Effect<Appended, TraceStoreError>
    /** The traces, those that began last first. */
    readonly list: (filter?: ListFilter) => Effect.Effect<ReadonlyArray<TraceSummary>, TraceStoreError>
    /** One of them, by its whole id. Fails with `TraceNotFound`. */
    readonly summary: (traceId: string) => Effect.Effect<TraceSummary, TraceStoreError>
    /**
     * The whole id of the trace that is meant: by `last` the one that began last, else by the start of an id, in letters of
     * either case. Fails with `TraceNotFound` and `TraceAmbiguous`.
     */
    readonly resolve: (id: string) => Effect.Effect<string, TraceStoreError>
    /** The spans of a trace, those that began first first. Fails with `TraceNotFound`. */
    readonly read: (traceId: string) => Effect.Effect<ReadonlyArray<StoredSpan>, TraceStoreError>
    /** The ids of the spans of a trace that came after so many others, in the order in which they came. */
    readonly latest: (traceId: string, after: number) => Effect.Effect<ReadonlyArray<string>, TraceStoreError>
    /** A trace as one OTLP request, every span byte for byte as it came. Fails with `TraceNotFound`. */
    readonly raw: (traceId: string) => Effect.Effect<Uint8Array, TraceStoreError>
    /** Removes traces by their whole ids, and says how many there were. */
    readonly remove: (traceIds: ReadonlyArray<string>) => Effect.Effect<number, TraceStoreError>
    /**
     * Removes all traces, and says how many there were. It does so also where a disk is full, which removing some of them
     * takes room on.
     */
    readonly clear: Effect.Effect<number, TraceStoreError>
    /** Removes the traces that are too old, or too many, or for which there is no room, and says how many that were. */
    readonly prune: (keeping?: Partial<Keeping>) => Effect.Effect<number, TraceStoreError>
    /**
     * Emits when it begins to watch, and then whenever the store has changed, whichever process did it. Several changes in
     * a short time are one.
     */
    readonly changes: Stream.Stream<void, TraceStoreError>
  }
>()("tinyllm/TraceStore") {
  /** The store in a file. The layer itself never fails: what is wrong with the file is seen when it is used. */
  static readonly layer = (options: Options): Layer.Layer<TraceStore> =>
    Layer.effect(TraceStore, Effect.map(make(options), TraceStore.of))

  /**
   * The store of the user: `traces.db` in the folder of the user's state, with what `TINYLLM_STORE_MAX_TRACES`,
   * `TINYLLM_STORE_MAX_AGE` and `TINYLLM_STORE_MAX_BYTES` say. Fails where there is no such folder, or a variable is wrong.
   */
  static readonly layerConfig: Layer.Layer<TraceStore, TelemetryConfigError> = Layer.unwrap(
    Effect.map(
      Effect.suspend(() => StoreConfig.usual),
      (settings) => TraceStore.layer(settings)
    )
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Making it
// ---------------------------------------------------------------------------------------------------------------------

/** Opens a store, for those who need no service. */
export const make = ({ file, keeping }: Options): Effect.Effect<TraceStore["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const connection = yield* Effect.acquireRelease(
      Effect.sync(() => new Connection(file)),
      (connection) => Effect.ignore(attempt(file, () => connection.close()))
    )
    const kept: Keeping = { ...StoreConfig.keeping, ...keeping }

    const reading = <A>(absent: A, work: (database: TraceDatabase.Database) => A): Effect.Effect<A, TraceStoreError> =>
      attempt(file, () => {
        const database = connection.toRead()
        return database === undefined ? absent : TraceDatabase.naming(file, () => work(database))
      })
    // Loaded when it is needed: once, as a rule, for each user.
    const folder = Effect.promise(() => import("./Spool.ts")).pipe(
      Effect.flatMap(({ makeFolder }) => makeFolder(dirname(file), dirname(file))),
      Effect.mapError(({ code }) => new TraceStoreError({ reason: unusable(file, code) }))
    )
    const writing = <A>(work: (database: TraceDatabase.Database) => A): Effect.Effect<A, TraceStoreError> =>
      Effect.andThen(
        Effect.suspend(() => (connection.isReady() || isFolder(dirname(file)) ? Effect.void : folder)),
        attempt(file, () => work(connection.toWrite()))
      )
    const found = <A>(traceId: string, value: A | undefined): Effect.Effect<A, TraceStoreError> =>
      value === undefined
        ? Effect.fail(new TraceStoreError({ reason: new TraceNotFound({ id: traceId }) }))
        : Effect.succeed(value)
    const parts = (traceId: string): Effect.Effect<ReadonlyArray<OtlpTraces.Part>, TraceStoreError> =>
      Effect.flatMap(
        reading<ReadonlyArray<OtlpTraces.Part>>([], (database) => TraceQueries.parts(database, traceId)),
        (parts) => found(traceId, parts.length === 0 ? undefined : parts)
      )

    const prune = (keeping: Keeping): Effect.Effect<number, TraceStoreError> =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        let sum = 0
        // The program that this is part of has its turn between two steps.
        for (let more = true; more; yield* Effect.yieldNow) {
          const some = yield* writing((database) => TraceQueries.pruneSome(database, keeping, now))
          sum += some.traces
          more = some.more
        }
        for (let more = sum > 0, hasBegun = false; more; hasBegun = true, yield* Effect.yieldNow) {
          more = yield* writing((database) => TraceQueries.shrinkSome(database, hasBegun))
        }
        return sum
      })
    // When a process begins to write, then now and then.
    const due = { at: Number.NEGATIVE_INFINITY, traces: 0, bytes: 0 }
    const pruneIfDue = Effect.fnUntraced(function* (now: number, traces: number, bytes: number) {
      due.traces += traces
      due.bytes += bytes
      const isMuch = due.traces > Math.max(10, kept.maximumTraces / 10) || due.bytes > kept.maximumBytes / 10
      if (now >= due.at || isMuch) {
        due.at = now + pruneEveryMillis
        due.traces = 0
        due.bytes = 0
        yield* Effect.ignore(prune(kept))
      }
    })

    // For a process that lives long enough.
    const log = { bytes: 0, isMoving: false }
    const moveLog = (bytes: number): void => {
      log.bytes += bytes
      if (log.bytes > longLogBytes && !log.isMoving) {
        log.bytes = 0
        log.isMoving = true
        TraceDatabase.checkpoint(file, () => (log.isMoving = false))
      }
    }

    const write = Effect.fnUntraced(function* (parts: ReadonlyArray<TraceRows.Part>, writer: string | null) {
      const now = yield* Clock.currentTimeMillis
      const { traces, ...appended } = yield* writing((database) => TraceRows.append(database, parts, now, writer))
      const bytes = sizeOf(parts)
      yield* pruneIfDue(now, traces, bytes)
      yield* Effect.ignore(attempt(file, () => moveLog(bytes)))
      return appended
    })

    return {
      file,
      append: (request) =>
        Effect.flatMap(
          // Whoever waits for the file does not have to read it again.
          attempt(file, () => Result.getOrThrow(OtlpTraces.split(request, mostSpans)).map(TraceRows.ofBytes)),
          (parts) => write(parts, null)
        ),
      put: (parts) => Effect.suspend(() => write(parts.map(TraceRows.ofMessages), ProcessName.own())),
      list: (filter = {}) =>
        reading<ReadonlyArray<TraceSummary>>([], (database) => TraceQueries.list(database, filter)),
      summary: (traceId) =>
        Effect.flatMap(
          reading<TraceSummary | undefined>(undefined, (database) => TraceQueries.summary(database, traceId)),
          (summary) => found(traceId, summary)
        ),
      resolve: Effect.fnUntraced(function* (given) {
        const id = given.toLowerCase()
        if (id === "last") {
          return yield* Effect.flatMap(reading<string | undefined>(undefined, TraceQueries.last), (last) =>
            found(id, last)
          )
        }
        const none = { ids: [], count: 0 }
        const { count, ids } = /^[0-9a-f]{1,32}$/.test(id)
          ? yield* reading<ReturnType<typeof TraceQueries.beginning>>(none, (database) =>
              TraceQueries.beginning(database, id)
            )
          : none
        return count > 1
          ? yield* new TraceStoreError({
              reason: new TraceAmbiguous({ id, candidates: shortest(ids, id.length), count })
            })
          : yield* found(given, ids[0])
      }),
      read: (traceId) =>
        Effect.flatMap(parts(traceId), (parts) =>
          attempt(file, () => {
            const spans = parts.flatMap((part) => Result.getOrThrow(OtlpTraces.spansOf(part)))
            return parts.length === 1 ? spans : spans.sort((a, b) => Number(a.startNanos - b.startNanos))
          })
        ),
      latest: (traceId, after) =>
        reading<ReadonlyArray<string>>([], (database) => TraceQueries.latest(database, traceId, after)),
      raw: (traceId) => Effect.map(parts(traceId), OtlpTraces.join),
      remove: (traceIds) =>
        Effect.suspend(() =>
          // There is nothing to remove from what is not there.
          Effect.flatMap(
            reading(false, () => true),
            (isThere) => (isThere ? writing((database) => TraceQueries.remove(database, traceIds)) : Effect.succeed(0))
          )
        ),
      clear: Effect.gen(function* () {
        const ids = yield* reading<ReadonlyArray<string>>([], (database) =>
          TraceQueries.list(database, {}).map(({ traceId }) => traceId)
        )
        if (ids.length === 0) {
          return 0
        }
        const discard = attempt(file, () => {
          connection.close()
          TraceDatabase.discard(file)
          return ids.length
        })
        return yield* writing((database) => TraceQueries.remove(database, ids)).pipe(
          Effect.catchIf(isFull, () => discard)
        )
      }),
      prune: (keeping) =>
        Effect.flatMap(
          reading(false, () => true),
          (isThere) => (isThere ? prune({ ...kept, ...keeping }) : Effect.succeed(0))
        ),
      changes: Stream.unwrap(
        Effect.as(
          folder,
          TraceWatch.changes(file, (work) => attempt(file, work))
        )
      )
    }
  })

// Asked at once: what makes a folder answers in a later turn, which the end of a short run would wait for.
const isFolder = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  } catch {
    return false
  }
}

const sizeOf = (parts: ReadonlyArray<TraceRows.Part>): number =>
  parts.reduce((sum, { spans }) => spans.reduce((sum, { body }) => sum + body.length, sum), 0)

// A span that is empty has two bytes in a request, and takes hundreds in memory. No 20 MiB of spans with ids and names have
// so many.
const mostSpans = 300_000

// What is written to the log is some three times as much.
const longLogBytes = 1_500_000

const pruneEveryMillis = 10 * 60 * 1000

/** The file, opened when it is needed. */
class Connection {
  private database: TraceDatabase.Database | undefined
  private isMade = false
  private readonly file: string

  constructor(file: string) {
    this.file = file
  }

  isReady(): boolean {
    return this.database?.isThere() === true
  }

  toRead(): TraceDatabase.Database | undefined {
    this.forget()
    this.database ??= TraceDatabase.open(this.file)
    return this.database
  }

  toWrite(): TraceDatabase.Database {
    this.forget()
    if (!this.isMade) {
      this.close()
    }
    this.database ??= TraceDatabase.make(this.file)
    this.isMade = true
    return this.database
  }

  close(): void {
    const { database } = this
    this.database = undefined
    this.isMade = false
    database?.connection.close()
  }

  // Somebody has moved it away, and what would be written would go there.
  private forget(): void {
    if (this.database?.isThere() === false) {
      this.close()
    }
  }
}

// Whoever has the file writes for some thousandths of a second, but may be many.
const attempt = <A>(file: string, work: () => A): Effect.Effect<A, TraceStoreError> =>
  Effect.try({
    try: work,
    catch: (error) => new TraceStoreError({ reason: reasonOf(file, error) })
  }).pipe(
    Effect.retry({
      while: ({ reason }) => reason._tag === "StoreBusy",
      schedule: Schedule.jittered(Schedule.spaced("10 millis")),
      times: 500
    })
  )

const reasonOf = (file: string, error: unknown): TraceStoreError["reason"] =>
  error instanceof StoreUnusable ||
  error instanceof StoreDamaged ||
  error instanceof StoreNewer ||
  error instanceof StoreBusy
    ? error
    : error instanceof Malformed
      ? new RequestInvalid({ why: error.message })
      : new StoreUnusable({ file, why: `cannot be used: ${String(error)}`, cause: error })

// As much of each id as tells them apart, and no less than people are used to.
const shortest = (ids: ReadonlyArray<string>, given: number): ReadonlyArray<string> => {
  let length = Math.max(8, given + 2)
  while (length < 32 && new Set(ids.map((id) => id.slice(0, length))).size < ids.length) {
    length++
  }
  return ids.map((id) => id.slice(0, length))
}
