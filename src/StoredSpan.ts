/**
 * A span as the local store gives it back: what OTLP carried, with the kinds of value that it knows.
 *
 * Knows neither Effect nor Node, so that a page in a browser can use it.
 *
 * @since 0.1.0
 */

/** The value of an attribute. An integer is a number where a number holds it exactly, and a bigint beyond. */
export type Value = string | number | bigint | boolean | null | Uint8Array | ReadonlyArray<Value> | Values

/** Attributes by their keys. */
export interface Values {
  readonly [key: string]: Value
}

/** Something that happened within a span. */
export interface StoredEvent {
  readonly name: string
  /** Nanoseconds since 1970. */
  readonly timeNanos: bigint
  readonly attributes: Values
}

/** Another span that a span points to. */
export interface StoredLink {
  readonly traceId: string
  readonly spanId: string
  readonly attributes: Values
}

/** A span of any OpenTelemetry program. */
export interface StoredSpan {
  /** 32 hexadecimal digits in lower case. */
  readonly traceId: string
  /** 16 hexadecimal digits in lower case. */
  readonly spanId: string
  /** `undefined` for a root. */
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly kind: "unspecified" | "internal" | "server" | "client" | "producer" | "consumer"
  /** Nanoseconds since 1970. */
  readonly startNanos: bigint
  readonly endNanos: bigint
  readonly status: { readonly code: "unset" | "ok" | "error"; readonly message: string }
  readonly attributes: Values
  readonly events: ReadonlyArray<StoredEvent>
  readonly links: ReadonlyArray<StoredLink>
  /** What the program said about itself, `service.name` first of all. */
  readonly resource: Values
  /** The library that made the span. */
  readonly scope: { readonly name: string; readonly version: string }
  readonly traceState: string
  /** How much of it exceeded a limit. */
  readonly dropped: { readonly attributes: number; readonly events: number; readonly links: number }
}
