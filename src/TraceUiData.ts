/**
 * What the server of `tinyllm ui` says to its page, as JSON.
 *
 * Knows neither Effect nor Node: both sides import it.
 *
 * @since 0.1.0
 */

import type { Row as Step } from "./TraceDiff.ts"
import type { Group } from "./TraceStats.ts"

/** A trace in the list. What nobody measured is absent, never 0. */
export interface Row {
  readonly id: string
  /** The name of the root span; the earliest one's while there is none. */
  readonly name: string
  readonly service: string
  readonly graph?: string | undefined
  readonly status: "ok" | "error" | "interrupted" | "running"
  /** Milliseconds since 1970. */
  readonly start: number
  /** Of one that runs, until the end of the span that ended last. */
  readonly durationNanos: number
  readonly spans: number
  /** Node visits; absent where no graph ran. */
  readonly nodes?: number | undefined
  readonly failedSpans: number
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  readonly models: ReadonlyArray<string>
  /** The start of what was asked. */
  readonly query?: string | undefined
}

/** Which traces a list shows, as the page's address and the server's have it. */
export interface Filter {
  readonly failed: boolean
  /** As a person writes it: `500ms`, `2s`. */
  readonly slowerThan: string
  readonly graph: string
  /** How long ago at most: `15m`, `2h`, `7d`. */
  readonly since: string
  /** Somewhere in the name, the query, a model or the id. */
  readonly text: string
}

/** Many traces in numbers. */
export interface StatsData {
  readonly traces: number
  readonly failed: number
  /** Older traces that nobody had the time to read. */
  readonly leftOut: number
  /** The earliest start and the latest end, in milliseconds since 1970; absent without traces. */
  readonly start?: number | undefined
  readonly end?: number | undefined
  readonly tokens: { readonly input?: number | undefined; readonly output?: number | undefined }
  readonly nodes: ReadonlyArray<Group>
  readonly models: ReadonlyArray<Group>
  /** The names of all graphs in the store. */
  readonly graphs: ReadonlyArray<string>
}

/** Two traces, compared. */
export interface CompareData {
  readonly a: Row
  readonly b: Row
  readonly by: "steps" | "graphs" | "spans"
  readonly rows: ReadonlyArray<Step>
  /** The name of the step after which they went on differently. */
  readonly parting?: string | undefined
}
