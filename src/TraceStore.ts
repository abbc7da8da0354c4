/**
 * Traces that are kept on this machine, in one database of SQLite.
 *
 * Runs write to it while others read. A span is kept as the bytes in which OTLP carried it, so that nothing is lost on
 * the way to another tool; beside the spans stands one row a trace, kept up to date with every span that arrives, from
 * which traces are listed without a look at their spans.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { StoredSpan } from "./StoredSpan.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Types
// ---------------------------------------------------------------------------------------------------------------------

/** A trace in a few words. What was not measured is absent, never 0. */
export interface TraceSummary {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** The name of the root; while that has not arrived, of the earliest span there is. */
  readonly rootName: string
  /** `service.name` of the same span. */
  readonly service: string | undefined
  /** `graph.id` of the earliest graph that ran in it. */
  readonly graph?: string | undefined
  /** `task.content` of that graph: the start of what it was asked, without secrets, as far as privacy lets it. */
  readonly query?: string | undefined
  /**
   * How the root ended. `running` says that it has not arrived: the program still runs, or it was killed. A root is a span
   * without a parent, or one whose parent is in another process.
   */
  readonly status: "ok" | "error" | "interrupted" | "running"
  /** What the root failed with: its status message, else its `error.type`. */
  readonly error?: string | undefined
  /** Nanoseconds since 1970: the start of the earliest span. */
  readonly startNanos: bigint
  /** The end of the latest span so far. */
  readonly endNanos: bigint
  readonly spans: number
  /** Spans with the status `error`. */
  readonly failedSpans: number
  /** Node visits; absent where no graph ran. */
  readonly nodes?: number | undefined
  /** Tokens of all model calls together. */
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  /** The models that were called, in the order of their names. */
  readonly models: ReadonlyArray<string>
}

/** Which traces to list; all of it must hold. */
export interface ListFilter {
  /** Only those that ended with an error. */
  readonly failed?: boolean | undefined
  /** Only those that took longer, from the start of their first span to the end of their last. */
  readonly slowerThan?: Duration.Input | undefined
  /** Only those of this graph. */
  readonly graph?: string | undefined
  /** Only those that began at this time or later, in nanoseconds since 1970. */
  readonly sinceNanos?: bigint | undefined
  /** How many at most; all by default. */
  readonly limit?: number | undefined
}

/** How many traces are kept, and for how long. */
export interface Keeping {
  /** 1 000 by default. The ones that were written to last stay. */
  readonly maximumTraces: number
  /** 30 days by default, from the moment when the last of its spans came. */
  readonly maximumAge: Duration.Input
}

/** What became of the spans of a request. */
export interface Appended {
  /** They are in the store now. */
  readonly taken: number
  /** They were in the store before. */
  readonly known: number
  /** They have no valid ids, or are no spans. */
  readonly invalid: number
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

/** The file, or its folder, cannot be used. */
export class StoreUnusable extends Schema.TaggedError<StoreUnusable>()("StoreUnusable", {
  file: Schema.String,
  /** In words that follow the name of the file. */
  why: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {
  override get message() {
    return `the trace store ${this.file} ${this.why}`
  }
}

/** The file is no database, or a broken one. */
export class StoreDamaged extends Schema.TaggedError<StoreDamaged>()("StoreDamaged", {
  file: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {
  override get message() {
    return `the trace store ${this.file} is damaged, or no trace store; move it away to begin a new one`
  }
}

/** A later version of TinyLLM has written the file. */
export class StoreNewer extends Schema.TaggedError<StoreNewer>()("StoreNewer", {
  file: Schema.String,
  version: Schema.Int
}) {
  override get message() {
    return `the trace store ${this.file} was made by a later version of tinyllm (its format is ${this.version}); update tinyllm, or name another folder with TINYLLM_HOME`
  }
}

/** Other processes have kept the file locked for too long. */
export class StoreBusy extends Schema.TaggedError<StoreBusy>()("StoreBusy", { file: Schema.String }) {
  override get message() {
    return `the trace store ${this.file} is locked by another process`
  }
}

/** What was to be stored is no OTLP. */
export class RequestInvalid extends Schema.TaggedError<RequestInvalid>()("RequestInvalid", { why: Schema.String }) {
  override get message() {
    return `the request is wrong: ${this.why}`
  }
}

/** No trace has such an id. */
export class TraceNotFound extends Schema.TaggedError<TraceNotFound>()("TraceNotFound", { id: Schema.String }) {
  override get message() {
    return this.id === "last"
      ? `there are no traces yet; "tinyllm run --tracing" makes one`
      : `there is no trace ${this.id}; "tinyllm trace ls" shows which there are`
  }
}

/** Several traces have ids that begin so. */
export class TraceAmbiguous extends Schema.TaggedError<TraceAmbiguous>()("TraceAmbiguous", {
  id: Schema.String,
  /** Some of them. */
  candidates: Schema.Array(Schema.String),
  /** How many there are. */
  count: Schema.Int
}) {
  override get message() {
    const more = this.count - this.candidates.length
    return `the id ${this.id} is that of ${this.count} traces: ${this.candidates.join(", ")}${more > 0 ? ` and ${more} more` : ""}`
  }
}

/** What every operation of the store fails with; `reason` says why. */
export class TraceStoreError extends Schema.TaggedError<TraceStoreError>()("TraceStoreError", {
  reason: Schema.Union([
    StoreUnusable,
    StoreDamaged,
    StoreNewer,
    StoreBusy,
    RequestInvalid,
    TraceNotFound,
    TraceAmbiguous
  ])
}) {
  override get message() {
    return this.reason.message
  }
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
    /** The same as one OTLP request, every span byte for byte as it came. Fails with `TraceNotFound`. */
    readonly raw: (traceId: string) => Effect.Effect<Uint8Array, TraceStoreError>
    /** Removes traces by their whole ids, and says how many there were. */
    readonly remove: (traceIds: ReadonlyArray<string>) => Effect.Effect<number, TraceStoreError>
    /** Removes the traces that are too old, or too many, and says how many that were. */
    readonly prune: (keeping?: Partial<Keeping>) => Effect.Effect<number, TraceStoreError>
    /**
     * Emits when it begins to watch, and then whenever the store has changed, whichever process did it. Several changes in
     * a short time are one.
     */
    readonly changes: Stream.Stream<void, TraceStoreError>
  }
>()("tinyllm/TraceStore") {}
