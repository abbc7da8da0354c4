/**
 * How much a receiver takes, how long it waits, and for how many.
 *
 * @since 0.1.0
 */

/** Bounds of a receiver, each with what the OpenTelemetry Collector has, where that has one. */
export interface Limits {
  /** The longest message over gRPC, also after it was decompressed: 4 MiB. */
  readonly grpcMessageBytes: number
  /** The longest body over HTTP, also after it was decompressed: 20 MiB. */
  readonly httpBodyBytes: number
  /** What all requests under way may take together: 128 MiB. */
  readonly memoryBytes: number
  /** How many requests wait for memory; one more is sent away: 1024. */
  readonly waiting: number
  /** How long a request waits for memory before it is sent away: 5 s. */
  readonly patienceMillis: number
  /** How long the head of a request, or the first word on a connection, may take: 10 s. */
  readonly headersMillis: number
  /** How long a whole request may take to arrive: 60 s. */
  readonly requestMillis: number
  /** How long storing a request may take before its sender is told to come again, who waits for 10 s as a rule: 8 s. */
  readonly sinkMillis: number
  /** How long a connection may be without a request: 5 min. */
  readonly idleMillis: number
  /** Connections at a time, for each of both protocols: 256. */
  readonly connections: number
  /** Calls under way on one connection of gRPC: 32. The others wait with their sender. */
  readonly grpcStreams: number
  /** How long what is under way may take at the end: 2 s. */
  readonly drainMillis: number
}

const mebi = 1024 * 1024

/** The usual ones. */
export const limits: Limits = {
  grpcMessageBytes: 4 * mebi,
  httpBodyBytes: 20 * mebi,
  memoryBytes: 128 * mebi,
  waiting: 1024,
  patienceMillis: 5000,
  headersMillis: 10_000,
  requestMillis: 60_000,
  sinkMillis: 8000,
  idleMillis: 300_000,
  connections: 256,
  grpcStreams: 32,
  drainMillis: 2000
}
