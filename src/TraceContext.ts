/**
 * W3C trace context: which trace a span belongs to, in and out of `traceparent` and `tracestate`.
 *
 * Effect's own reader knows version 00 only and no `tracestate`; OpenTelemetry's drops single members of a list that
 * the standard discards as a whole. https://www.w3.org/TR/trace-context-2/
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"

/** A parent in another process. */
export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** Bit 0: sampled, bit 1: the trace id is random. Bits that the standard does not know are 0. */
  readonly flags: number
}

/** A parent with what the systems before it wrote about the trace. */
export interface TraceContext extends TraceParent {
  /** A `tracestate` as `parseState` gives it. */
  readonly state?: string | undefined
}

/** The bit of `flags` that says that the spans of the trace are recorded. */
export const sampledFlag = 0b01

/** The bit of `flags` that says that the last seven bytes of the trace id are random. */
export const randomFlag = 0b10

// ---------------------------------------------------------------------------------------------------------------------
// traceparent
// ---------------------------------------------------------------------------------------------------------------------

/** Reads a `traceparent`; none when it is not valid. Later versions are read as version 00. */
export const parse = (header: string): Option.Option<TraceParent> => {
  const [, version, traceId = "", spanId = "", flags = "", rest] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(trimmed(header)) ?? []
  return version === undefined ||
    version === "ff" ||
    (version === "00" && rest !== undefined) ||
    isZero(traceId) ||
    isZero(spanId)
    ? Option.none()
    : Option.some({ traceId, spanId, flags: Number.parseInt(flags, 16) & (sampledFlag | randomFlag) })
}

/** The `traceparent` of a context, version 00. */
export const format = ({ flags, spanId, traceId }: TraceParent): string =>
  `00-${traceId}-${spanId}-0${flags & (sampledFlag | randomFlag)}`

const isZero = (id: string): boolean => /^0+$/.test(id)

/** A text without optional white space of HTTP around it: no line ends, no spaces of Unicode. */
export const trimmed = (text: string): string => text.replace(/^[ \t]+/, "").replace(/[ \t]+$/, "")

// ---------------------------------------------------------------------------------------------------------------------
// tracestate
// ---------------------------------------------------------------------------------------------------------------------

const key = /^[a-z0-9][a-z0-9_\-*/@]{0,255}$/
const value = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const maximumMembers = 32

/**
 * Reads a `tracestate`, several headers of it joined with commas; `undefined` when it is empty or not valid. What is left
 * keeps its order. Of members with the same key the first stays, which is the latest.
 */
export const parseState = (header: string): string | undefined => {
  const members = header
    .split(",")
    .map(trimmed)
    .filter((member) => member !== "")
  if (members.length === 0 || members.length > maximumMembers) {
    return undefined
  }
  const unique = new Map<string, string>()
  for (const member of members) {
    const equals = member.indexOf("=")
    const name = member.slice(0, equals)
    if (equals === -1 || !key.test(name) || !value.test(member.slice(equals + 1))) {
      return undefined
    }
    unique.set(name, unique.get(name) ?? member)
  }
  return [...unique.values()].join(",")
}

/** The value of a key in a `tracestate` as `parseState` gives it. */
export const stateMember = (state: string | undefined, name: string): string | undefined =>
  membersOf(state)
    .find((member) => member.startsWith(`${name}=`))
    ?.slice(name.length + 1)

/**
 * A `tracestate` in which a key has a value, in front of all others, as the standard asks of who writes one. Where that
 * makes more than 32 members the last go. An invalid key or value changes nothing; `undefined` as value removes the key.
 */
export const withStateMember = (
  state: string | undefined,
  name: string,
  text: string | undefined
): string | undefined => {
  if (!key.test(name) || (text !== undefined && !value.test(text))) {
    return state
  }
  const others = membersOf(state).filter((member) => !member.startsWith(`${name}=`))
  const members = text === undefined ? others : [`${name}=${text}`, ...others].slice(0, maximumMembers)
  return members.length === 0 ? undefined : members.join(",")
}

/**
 * How many characters of `tracestate` are sent at most; the standard asks for 512 at least. With 8192 bytes of baggage
 * it stays below the 16 KiB of headers that many servers take.
 */
export const maximumStateLength = 4096

/** How many characters of `tracestate` a span, or a link of one, is exported with at most. */
export const exportedStateLength = 512

/** A `tracestate` that is not too long: members of more than 128 characters go first, then the last. */
export const limitState = (state: string | undefined, maximum = maximumStateLength): string | undefined => {
  if (state === undefined || state.length <= maximum) {
    return state === "" ? undefined : state
  }
  const members = [...membersOf(state)]
  let length = members.reduce((sum, member) => sum + member.length + 1, -1)
  while (length > maximum) {
    const large = members.findLastIndex((member) => member.length > 128)
    const [removed = ""] = members.splice(large === -1 ? members.length - 1 : large, 1)
    length -= removed.length + 1
  }
  return members.length === 0 ? undefined : members.join(",")
}

const membersOf = (state: string | undefined): ReadonlyArray<string> =>
  state === undefined || state === "" ? [] : state.split(",")

// ---------------------------------------------------------------------------------------------------------------------
// Spans
// ---------------------------------------------------------------------------------------------------------------------

/** The annotation of an external span that holds its `tracestate`, as `parseState` gives it. */
export const TraceState: Context.Reference<string | undefined> = Context.Reference("tinyllm/TraceContext/TraceState", {
  defaultValue: (): string | undefined => undefined
})

/** The annotation of an external span that holds its flags. */
export const TraceFlags: Context.Reference<number | undefined> = Context.Reference("tinyllm/TraceContext/TraceFlags", {
  defaultValue: (): number | undefined => undefined
})

/** A parent for spans of this process. Tracers that know one annotation or the other, OpenTelemetry's included, find it. */
export const externalSpan = ({ flags, spanId, state, traceId }: TraceContext): Tracer.ExternalSpan => {
  const own = Context.add(Context.make(TraceFlags, flags), BridgeFlags, flags)
  return Tracer.externalSpan({
    traceId,
    spanId,
    sampled: (flags & sampledFlag) !== 0,
    annotations:
      state === undefined
        ? own
        : Context.add(
            Context.add(own, TraceState, state),
            BridgeState,
            // Spans are exported with it; what is sent to others is the whole one.
            otelState(limitState(state, exportedStateLength))
          )
  })
}

/** The `TraceState` of `@opentelemetry/api`, which is not loaded to say this. */
export interface OtelState {
  readonly get: (name: string) => string | undefined
  readonly set: (name: string, text: string) => OtelState
  readonly unset: (name: string) => OtelState
  readonly serialize: () => string
}

// What `@effect/opentelemetry` reads of an external span, under its names.
class BridgeFlags extends Context.Service<BridgeFlags, number>()("@effect/opentelemetry/Tracer/OtelTraceFlags") {}

class BridgeState extends Context.Service<BridgeState, OtelState>()("@effect/opentelemetry/Tracer/OtelTraceState") {}

/** A `tracestate` as an object of OpenTelemetry's API, which by itself drops members that the standard allows. */
export const otelState = (state: string | undefined): OtelState => ({
  get: (name) => stateMember(state, name),
  set: (name, text) => otelState(withStateMember(state, name, text)),
  unset: (name) => otelState(withStateMember(state, name, undefined)),
  serialize: () => state ?? ""
})

/** A span of our tracer has its trace state and flags under these keys. */
export const stateKey = "~tinyllm/traceState"
export const flagsKey = "~tinyllm/traceFlags"

/** The `tracestate` of a span: its own, or that of the external span above it. */
export const stateOf = (span: Tracer.AnySpan): string | undefined => {
  const found = inChain(span, stateKey, ({ annotations }) =>
    // Annotations are anybody's to write.
    parseState(
      Context.get(annotations, TraceState) ?? Context.getOrUndefined(annotations, BridgeState)?.serialize() ?? ""
    )
  )
  return typeof found === "string" ? found : undefined
}

/** The flags of a span: bit 0 as it is sampled, bit 1 as its trace id is random. */
export const flagsOf = (span: Tracer.AnySpan): number => {
  const found = inChain(
    span,
    flagsKey,
    ({ annotations }) => Context.get(annotations, TraceFlags) ?? Context.getOrUndefined(annotations, BridgeFlags)
  )
  return (typeof found === "number" ? found & randomFlag : 0) | (span.sampled ? sampledFlag : 0)
}

const inChain = (span: Tracer.AnySpan, name: string, ofExternal: (span: Tracer.ExternalSpan) => unknown): unknown => {
  for (let at: Tracer.AnySpan | undefined = span; at !== undefined; at = parentOf(at)) {
    if (Predicate.hasProperty(at, name)) {
      return at[name]
    }
    if (at._tag === "ExternalSpan") {
      return ofExternal(at)
    }
  }
  return undefined
}

const parentOf = (span: Tracer.AnySpan): Tracer.AnySpan | undefined =>
  span._tag === "Span" ? Option.getOrUndefined(span.parent) : undefined

/**
 * What other processes are told of a span. A span that does not propagate, as there are with tracing off, stands for the
 * one above it. `undefined` where no span has ids.
 */
export const contextOf = (span: Tracer.AnySpan | undefined): TraceContext | undefined => {
  let at = span
  while (at !== undefined && Context.get(at.annotations, Tracer.DisablePropagation)) {
    at = parentOf(at)
  }
  const traceId = at?.traceId.padStart(32, "0") ?? ""
  return at === undefined || !isTraceId(traceId) || !isSpanId(at.spanId)
    ? undefined
    : { traceId, spanId: at.spanId, flags: flagsOf(at), state: parseState(stateOf(at) ?? "") } // it becomes a header
}

/** Whether it is 32 hexadecimal digits in lower case, not all 0. */
export const isTraceId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text) && !isZero(text)

/** Whether it is 16 hexadecimal digits in lower case, not all 0. */
export const isSpanId = (text: string): boolean => /^[0-9a-f]{16}$/.test(text) && !isZero(text)
