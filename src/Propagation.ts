/**
 * One trace through several programs: what a request or a child process is told of the span that started it, and what
 * is read of a request that comes in.
 *
 * `traceparent` and `tracestate` name the trace, `baggage` carries values of your own, and `b3` is there for services
 * that know nothing else. Nothing here fails, whatever it is given: what cannot be read is as if it were not there.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import * as Baggage from "./Baggage.ts"
import * as Span from "./Span.ts"
import * as TraceContext from "./TraceContext.ts"

/** A way to write the context of a request into its headers, by its name in `OTEL_PROPAGATORS`. */
export type Propagator = "tracecontext" | "baggage" | "b3" | "b3multi"

/** Which headers are read and written; `tracecontext` and `baggage` by default. None at all is possible. */
export const Propagators: Context.Reference<ReadonlyArray<Propagator>> = Context.Reference(
  "tinyllm/Propagation/Propagators",
  { defaultValue: (): ReadonlyArray<Propagator> => ["tracecontext", "baggage"] }
)

// ---------------------------------------------------------------------------------------------------------------------
// Out
// ---------------------------------------------------------------------------------------------------------------------

/** Headers by their names in lower case. */
export type Headers = Readonly<Record<string, string>>

/** The headers that tell another service of the current span and the current baggage; none where there is neither. */
export const inject: Effect.Effect<Headers> = Effect.withFiber((fiber) => headersOf(fiber, openSpan(fiber)))

/** The headers that tell another service of this span and the current baggage. */
export const injectSpan = (span: Tracer.AnySpan): Effect.Effect<Headers> =>
  Effect.withFiber((fiber) => headersOf(fiber, span))

/**
 * The variables that tell a child process of the current span and the current baggage, `undefined` for those that it
 * must not inherit. The environment of this process is neither read nor changed: hand the child a copy with these in it.
 *
 * ```ts
 * const env = { ...process.env, ...(yield* Propagation.childEnvironment) }
 * ```
 */
export const childEnvironment: Effect.Effect<Readonly<Record<Variable, string | undefined>>> = Effect.map(
  inject,
  (headers) => ({
    TRACEPARENT: headers["traceparent"],
    TRACESTATE: headers["tracestate"],
    BAGGAGE: headers["baggage"]
  })
)

/** The variables of https://opentelemetry.io/docs/specs/otel/context/env-carriers/ that we know. */
export type Variable = "TRACEPARENT" | "TRACESTATE" | "BAGGAGE"

const openSpan = (fiber: Fiber.Fiber<unknown, unknown>): Tracer.AnySpan | undefined =>
  Context.getOrUndefined(fiber.context, Tracer.ParentSpan)

// Without telemetry, spans of this program are nowhere to be found; one that it was called from is.
const remoteOf = (span: Tracer.AnySpan | undefined): Tracer.AnySpan | undefined =>
  span?._tag === "Span" ? remoteOf(Option.getOrUndefined(span.parent)) : span

const headersOf = (fiber: Fiber.Fiber<unknown, unknown>, span: Tracer.AnySpan | undefined): Effect.Effect<Headers> => {
  const propagators = fiber.getRef(Propagators)
  const headers: Record<string, string> = {}
  const context = TraceContext.contextOf(Span.isUnseen(fiber) ? remoteOf(span) : span)
  if (context !== undefined) {
    const sampled = (context.flags & TraceContext.sampledFlag) === 0 ? "0" : "1"
    if (propagators.includes("tracecontext")) {
      headers["traceparent"] = TraceContext.format(context)
      const state = TraceContext.limitState(context.state)
      if (state !== undefined) {
        headers["tracestate"] = state
      }
    }
    if (propagators.includes("b3")) {
      headers["b3"] = `${context.traceId}-${context.spanId}-${sampled}`
    }
    if (propagators.includes("b3multi")) {
      headers["x-b3-traceid"] = context.traceId
      headers["x-b3-spanid"] = context.spanId
      headers["x-b3-sampled"] = sampled
    }
  }
  const baggage = fiber.getRef(Baggage.Current)
  if (baggage.size === 0 || !propagators.includes("baggage")) {
    return Effect.succeed(headers)
  }
  const { header, leftOut } = Baggage.serialize(baggage)
  if (header !== undefined) {
    headers["baggage"] = header
  }
  return leftOut === 0
    ? Effect.succeed(headers)
    : Effect.as(
        Effect.logDebug(
          `${leftOut} of ${baggage.size} entries of the baggage are not passed on: a header holds ` +
            `${Baggage.maximumEntries} of them and ${Baggage.maximumBytes} bytes, and their keys are tokens of HTTP.`
        ),
        headers
      )
}

// ---------------------------------------------------------------------------------------------------------------------
// In
// ---------------------------------------------------------------------------------------------------------------------

/** Headers as Node, `fetch` and Effect hold them. Upper and lower case do not matter. */
export type Carrier =
  | Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  | Iterable<readonly [name: string, value: string]>

/** What came with a request. */
export interface Extracted {
  /** The span that sent it. None when no header names one, or not validly: then a new trace begins. */
  readonly parent: Option.Option<Tracer.ExternalSpan>
  readonly baggage: Baggage.Baggage
}

/** Reads the headers of a request. */
export const extract = (carrier: Carrier): Effect.Effect<Extracted> =>
  Effect.map(Propagators, (propagators) => {
    const headers = read(carrier)
    let parent: TraceContext.TraceContext | undefined
    for (const propagator of propagators) {
      // As OpenTelemetry does it: of several that find something, the last one is believed.
      parent = readers[propagator](headers) ?? parent
    }
    return {
      parent: Option.map(Option.fromUndefinedOr(parent), TraceContext.externalSpan),
      baggage: propagators.includes("baggage") ? Baggage.parse(headers["baggage"] ?? "") : Baggage.empty
    }
  })

/**
 * Continues the trace of a request: its spans become children of the span that sent it, and its baggage is added to
 * what is there. Without a valid parent in the headers, a span that is open stays the parent.
 */
export const withRemote =
  (carrier: Carrier) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
    Effect.flatMap(extract(carrier), ({ baggage, parent }) =>
      Effect.updateService(below(self, parent), Baggage.Current, (current) => Baggage.merge(current, baggage))
    )

/**
 * What the process that started this one says of itself in `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`. Other spellings
 * are not read. A `TRACEPARENT` that is not valid costs a line in the log at level debug.
 */
export const environment: Effect.Effect<Extracted> = Effect.gen(function* () {
  const propagators = yield* Propagators
  const variable = (name: Variable, propagator: Propagator) =>
    propagators.includes(propagator) ? Config.String(name).pipe(Effect.orElseSucceed(() => "")) : Effect.succeed("")
  const headers = {
    traceparent: yield* variable("TRACEPARENT", "tracecontext"),
    tracestate: yield* variable("TRACESTATE", "tracecontext")
  }
  const parent = readers.tracecontext(headers)
  if (parent === undefined && headers.traceparent !== "") {
    yield* Effect.logDebug("TRACEPARENT names no valid parent, so a new trace begins.")
  }
  return {
    parent: Option.map(Option.fromUndefinedOr(parent), TraceContext.externalSpan),
    baggage: Baggage.parse(yield* variable("BAGGAGE", "baggage"))
  }
})

/** Continues the trace of the process that started this one. What is open or set already stays. */
export const withEnvironment = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
  Effect.withFiber((fiber) =>
    Effect.flatMap(environment, ({ baggage, parent }) =>
      Effect.updateService(
        below(self, openSpan(fiber) === undefined ? parent : Option.none()),
        Baggage.Current,
        (current) => Baggage.merge(baggage, current)
      )
    )
  )

const below = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  parent: Option.Option<Tracer.ExternalSpan>
): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
  Option.isSome(parent)
    ? Effect.withParentSpan(self, parent.value)
    : (self as Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>>) // whoever needs a span finds the one around

const wanted = [
  "traceparent",
  "tracestate",
  "baggage",
  "b3",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-sampled",
  "x-b3-flags"
] as const

type Read = Readonly<Partial<Record<(typeof wanted)[number], string>>>

/** The headers we know. One that came several times is joined, as HTTP has it. */
const read = (carrier: Carrier): Read => {
  const found: Record<string, string> = {}
  const add = (name: unknown, value: unknown) => {
    const lower = typeof name === "string" ? name.toLowerCase() : ""
    if ((wanted as ReadonlyArray<string>).includes(lower)) {
      for (const text of Array.isArray(value) ? value : [value]) {
        if (typeof text === "string") {
          found[lower] = lower in found ? `${found[lower]},${text}` : text
        }
      }
    }
  }
  // A carrier may be anything, and may throw when it is read.
  Result.try(() => {
    const given: unknown = carrier
    if (typeof given === "object" && given !== null) {
      const pairs: Iterable<unknown> = Symbol.iterator in given ? (given as Iterable<unknown>) : Object.entries(given)
      for (const pair of pairs) {
        if (Array.isArray(pair)) {
          add(pair[0], pair[1])
        }
      }
    }
  })
  return found
}

const readers: Readonly<Record<Propagator, (headers: Read) => TraceContext.TraceContext | undefined>> = {
  tracecontext: ({ traceparent = "", tracestate = "" }) =>
    Option.getOrUndefined(
      Option.map(TraceContext.parse(traceparent), (parent) => ({
        ...parent,
        state: TraceContext.parseState(tracestate)
      }))
    ),
  baggage: () => undefined,
  // Both forms are read whichever is written: https://github.com/openzipkin/b3-propagation
  b3: (headers) => b3(headers),
  b3multi: (headers) => b3(headers)
}

const b3 = (headers: Read): TraceContext.TraceContext | undefined => {
  const [traceId = "", spanId = "", sampling] = (headers.b3 ?? "").trim().split("-")
  return (
    b3Context(traceId, spanId, sampling) ??
    b3Context(
      headers["x-b3-traceid"] ?? "",
      headers["x-b3-spanid"] ?? "",
      headers["x-b3-flags"] === "1" ? "d" : headers["x-b3-sampled"]
    )
  )
}

// Who sent no decision leaves it to the receiver, and a trace that nobody decided on is better there than missing.
const b3Context = (
  traceId: string,
  spanId: string,
  sampling: string | undefined
): TraceContext.TraceContext | undefined => {
  const long = /^(?:[0-9a-fA-F]{16}){1,2}$/.test(traceId) ? traceId.toLowerCase().padStart(32, "0") : ""
  const span = spanId.toLowerCase()
  return TraceContext.isTraceId(long) && TraceContext.isSpanId(span)
    ? { traceId: long, spanId: span, flags: sampling === "0" || sampling === "false" ? 0 : TraceContext.sampledFlag }
    : undefined
}
