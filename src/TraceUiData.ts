/**
 * What the server of `tinyllm ui` says to its page, as JSON.
 *
 * Knows neither Effect nor Node: both sides import it.
 *
 * @since 0.1.0
 */

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
  /** Milliseconds; of one that runs, until the end of the span that ended last. */
  readonly duration: number
  readonly spans: number
  readonly nodes: number
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
