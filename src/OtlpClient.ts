/**
 * What sends spans or metrics to a collector, whichever protocol it speaks.
 *
 * @since 0.1.0
 */
import type { Outcome, Reason } from "./OtlpAnswers.ts"

/** A call under way. */
export interface Call {
  /** Ends it now. Nothing is reported any more. */
  readonly cancel: () => void
}

/** A connection to one collector, or what will become one. */
export interface OtlpClient {
  /** Host and port, and the proxy in between if there is one, as messages name them. */
  readonly address: string
  /**
   * Sends a request: an `ExportTraceServiceRequest`, or `ExportMetricsServiceRequest`, in protobuf. So what is sent again
   * is the same to the last byte, and so is what comes from disk. `millis` is what that may take; `done` is called once,
   * in a later turn.
   */
  readonly send: (request: Uint8Array, millis: number, done: (outcome: Outcome) => void) => Call
  /** In words: nothing was heard for so long. */
  readonly silence: (millis: number) => Reason
  /** Ends what it holds, calls under way included: nothing of it keeps the process alive. */
  readonly close: () => void
}
