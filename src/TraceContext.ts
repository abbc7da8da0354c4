/**
 * W3C trace context: who started us, from `traceparent` and `tracestate`.
 *
 * Effect's own reader knows version 00 only and no `tracestate`; OpenTelemetry's drops single members of a list that
 * the standard discards as a whole. https://www.w3.org/TR/trace-context-2/
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"

/** A parent in another process. */
export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** Bit 0: sampled, bit 1: the trace id is random. Bits that the standard does not know are 0. */
  readonly flags: number
}

const knownFlags = 0b11

/** Reads a `traceparent`; none when it is not valid. Later versions are read as version 00. */
export const parse = (header: string): Option.Option<TraceParent> => {
  const [, version, traceId = "", spanId = "", flags = "", rest] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header.replace(/^[ \t]+|[ \t]+$/g, "")) ??
    []
  return version === undefined ||
    version === "ff" ||
    (version === "00" && rest !== undefined) ||
    /^0+$/.test(traceId) ||
    /^0+$/.test(spanId)
    ? Option.none()
    : Option.some({ traceId, spanId, flags: Number.parseInt(flags, 16) & knownFlags })
}

const key = /^[a-z0-9][a-z0-9_\-*/@]{0,255}$/
const value = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const maximumMembers = 32

/** Reads a `tracestate`; `undefined` when it is empty or not valid. What is left keeps its order. */
export const parseState = (header: string): string | undefined => {
  const members = header
    .split(",")
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((member) => member !== "")
  const valid = members.every((member) => {
    const equals = member.indexOf("=")
    return equals > 0 && key.test(member.slice(0, equals)) && value.test(member.slice(equals + 1))
  })
  return members.length === 0 || members.length > maximumMembers || !valid ? undefined : members.join(",")
}
