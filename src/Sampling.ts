/**
 * Which traces are kept: decided from the trace id, so that all spans of a trace, in all services, are decided alike.
 *
 * The rule is OpenTelemetry's consistent probability sampling: 56 random bits R of the trace id are compared with a
 * threshold T, and a trace is kept where R >= T. What is kept says in its `tracestate` with which threshold
 * (`ot=th:…`), so that who counts spans knows how many each one stands for.
 * https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
 *
 * @since 0.1.0
 */
import * as TraceContext from "./TraceContext.ts"

/** What is known of a span when it is decided whether it is kept. */
export interface Candidate {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  readonly name: string
  readonly kind: "internal" | "server" | "client" | "producer" | "consumer"
  /** What the span has when it is asked for; with Effect's spans, all that they start with. */
  readonly attributes: Readonly<Record<string, unknown>>
  /** The `tracestate` of the parent, if there is one. */
  readonly traceState: string | undefined
}

/** Decides about spans that begin a trace, and where it is not `parentBased`, about all spans. */
export interface Sampler {
  /** Whether the decision of a parent is obeyed, wherever the parent is. */
  readonly parentBased: boolean
  readonly isSampled: (candidate: Candidate) => boolean
  /** The threshold of what it keeps, without the zeros at its end; `undefined` where it does not decide by chance. */
  readonly threshold: string | undefined
}

/** A sampler that keeps a share of the traces, from 0 to 1. */
export const ratio = (share: number, parentBased = true): Sampler => {
  if (share >= 1) {
    return { parentBased, isSampled: () => true, threshold: undefined }
  }
  const threshold = thresholdOf(share)
  return threshold === undefined
    ? { parentBased, isSampled: () => false, threshold }
    : { parentBased, isSampled: (candidate) => randomness(candidate) >= threshold, threshold: encode(threshold) }
}

// 14 hexadecimal digits are 56 bits.
const digits = 14
const two56 = 2n ** 56n

/** The threshold of a share, as 14 hexadecimal digits; `undefined` for a share that is too small to be kept at all. */
const thresholdOf = (share: number): string | undefined => {
  // The share times 2^56 is exact; the share's complement is not.
  const kept = BigInt(Math.round(share * 2 ** 56))
  return kept <= 0n ? undefined : (two56 - kept).toString(16).padStart(digits, "0")
}

/** A threshold as `th` has it: without the zeros at its end, but for the last one. */
export const encode = (threshold: string): string => threshold.replace(/0+$/, "") || "0"

/** The threshold that `th` names, as 14 hexadecimal digits; `undefined` when it names none. */
export const decode = (th: string): string | undefined =>
  /^[0-9a-f]{1,14}$/.test(th) ? th.padEnd(digits, "0") : undefined

/** The 56 random bits of a trace, as 14 hexadecimal digits: what `rv` says, or the end of the trace id. */
const randomness = ({ traceId, traceState }: Pick<Candidate, "traceId" | "traceState">): string =>
  (traceState === undefined ? undefined : /(?:^|,)ot=(?:[^,]*;)?rv:([0-9a-f]{14})(?:;|,|$)/.exec(traceState)?.[1]) ??
  traceId.slice(-digits)

/**
 * A `tracestate` whose `ot` member says `th:threshold`; without one where that is `undefined`. Other parts of the
 * member and other members are kept; a member that is new comes first.
 */
export const withThreshold = (traceState: string | undefined, threshold: string | undefined): string | undefined => {
  const parts = (TraceContext.stateMember(traceState, "ot")?.split(";") ?? []).filter(
    (part) => part !== "" && !part.startsWith("th:")
  )
  const value = [...(threshold === undefined ? [] : [`th:${threshold}`]), ...parts].join(";")
  return TraceContext.withStateMember(traceState, "ot", value === "" ? undefined : value)
}

/**
 * The `tracestate` of a parent elsewhere, without a threshold that says something else than the parent's decision, or that
 * is none: whoever counts spans by it would count wrong. The rest is kept.
 * https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#sampling-threshold-value-th
 */
export const withoutWrongThreshold = (
  traceState: string | undefined,
  parent: { readonly traceId: string; readonly sampled: boolean }
): string | undefined => {
  const th = TraceContext.stateMember(traceState, "ot")
    ?.split(";")
    .find((part) => part.startsWith("th:"))
  if (th === undefined) {
    return traceState
  }
  const threshold = decode(th.slice("th:".length))
  const isRight =
    threshold !== undefined && randomness({ traceId: parent.traceId, traceState }) >= threshold === parent.sampled
  return isRight ? traceState : withThreshold(traceState, undefined)
}
