/**
 * A trace in a few words, and which traces are listed and kept.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

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
   * How the root ended. `running` says that it has not arrived. Where the program kept its own spans, on this machine, and
   * has ended without it, that is `interrupted`; of spans that were sent to this machine nobody knows. A root is a span
   * without a parent, or one whose parent is in another process.
   */
  readonly status: "ok" | "error" | "interrupted" | "running"
  /** What the root failed with: its status message, else its `error.type`. Or that its process has ended before it. */
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

/** How many traces are kept, for how long, and in how much room. */
export interface Keeping {
  /** 1 000 by default. The ones that were written to last stay. */
  readonly maximumTraces: number
  /** 30 days by default, from the moment when the last of its spans came. */
  readonly maximumAge: Duration.Input
  /** 1 GiB by default. The one that was written to last stays, however large it is. */
  readonly maximumBytes: number
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
