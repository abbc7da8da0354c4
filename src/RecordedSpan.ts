/**
 * A span as a plain object: what Effect's tracer asks for, and what an exporter needs later.
 *
 * It is made for every node and model call, so it does as little as it can: ids are drawn when somebody reads them, the
 * sampler is asked when somebody wants to know, or at the end, and nothing is turned into OpenTelemetry's types before
 * it is exported. Nothing here fails, whatever a program puts into a span.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Tracer from "effect/Tracer"
import type * as Attribute from "./Attribute.ts"
import type { Limits } from "./EnvironmentVariables.ts"
import * as RandomIds from "./RandomIds.ts"
import * as Sampling from "./Sampling.ts"
import * as Span from "./Span.ts"
import * as SpanErrors from "./SpanErrors.ts"
import * as SpanGuard from "./SpanGuard.ts"
import { newValues, readable, readableAll, type Values } from "./SpanValues.ts"
import * as TraceContext from "./TraceContext.ts"

/** What all spans of one tracer share. */
export interface Recorder {
  readonly sampler: Sampling.Sampler
  readonly limits: Limits
  readonly guard: SpanGuard.Guard
  /** Whether spans that are not sampled are recorded all the same, for somebody who looks at all of them. */
  readonly recordsUnsampled: (trace: Trace) => boolean
  /** Takes every recorded span when it has ended. */
  readonly onEnd: (span: RecordedSpan) => void
}

/** Something that happened at a time. */
export interface Event {
  name: string
  /** Nanoseconds since 1970. */
  readonly time: bigint
  readonly attributes: Values
  readonly droppedAttributes: number
}

/** Another span that this one has to do with. */
export interface Link {
  readonly span: Tracer.AnySpan
  readonly attributes: Values
  readonly droppedAttributes: number
}

/** How many spans of a trace gave way before it was known whether it is kept: to more traces, or to more spans. */
export interface Gone {
  traces: number
  spans: number
  latest: "traces" | "spans"
}

/** What the spans of a trace share that begins here, or continues here from elsewhere. */
export class Trace {
  /** The span elsewhere that the trace is continued from. */
  readonly origin: Tracer.AnySpan | undefined
  /** When its first span here started, in nanoseconds since 1970. */
  readonly startTime: bigint
  private drawn: string | undefined
  /** The `tracestate` of its spans. */
  state: string | undefined
  /** The bits of `traceparent` beside "sampled". */
  readonly otherFlags: number
  /** What a keeper of whole traces knows of it. */
  pending: Array<RecordedSpan> | undefined
  kept: boolean | undefined
  gone: Gone | undefined

  constructor(origin: Tracer.AnySpan | undefined, startTime: bigint) {
    this.origin = origin
    this.startTime = startTime
    this.drawn = origin?.traceId
    this.state = origin === undefined ? undefined : Sampling.withoutWrongThreshold(TraceContext.stateOf(origin), origin)
    // Ids of our own are random in all their bits.
    this.otherFlags = origin === undefined ? randomFlag : TraceContext.flagsOf(origin) & ~1
    this.pending = undefined
    this.kept = undefined
    this.gone = undefined
  }

  /** 32 hexadecimal digits. */
  get id(): string {
    return (this.drawn ??= RandomIds.traceId())
  }
}

type Options = Parameters<Tracer.Tracer["span"]>[0]

// https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
const randomFlag = 0b10

// Shared by all spans that have none, and never written to.
const noEvents: Array<Event> = []
const noLinks: Array<Link> = []

export class RecordedSpan implements Tracer.Span {
  readonly _tag = "Span"
  name: string
  readonly parent: Option.Option<Tracer.AnySpan>
  readonly annotations: Context.Context<never>
  readonly kind: Tracer.SpanKind
  readonly trace: Trace
  /** Nanoseconds since 1970. */
  readonly startTime: bigint
  /** Nanoseconds since 1970; `undefined` while it runs. */
  endTime: bigint | undefined
  /** What it holds, in OpenTelemetry's types. */
  readonly values: Values
  events: Array<Event>
  recordedLinks: Array<Link>
  droppedAttributes: number
  droppedEvents: number
  droppedLinks: number
  /** Whether it ended as an error, and what the status says then. */
  failed: boolean
  statusMessage: string
  /** Whether somebody said that it succeeded, beyond that nothing failed. */
  ok: boolean
  /** Whether what is put into it is kept. */
  recording: boolean
  /** Whether it was asked for as one that is not recorded, or is below such a span. */
  readonly hidden: boolean
  private readonly recorder: Recorder
  /** What its exporter makes of its ids, for the spans below it too. */
  exported: unknown
  private drawn: string | undefined
  private decision: boolean | undefined
  private valueCount: number
  private isGuarded: boolean
  private lastException: string | undefined
  private failure: Exit.Exit<unknown, unknown> | undefined

  constructor(recorder: Recorder, options: Options) {
    const parent = options.parent._tag === "Some" ? options.parent.value : undefined
    const ours = parent instanceof RecordedSpan && parent.recorder === recorder ? parent : undefined
    this.recorder = recorder
    this.name = recorder.guard.name(options.name)
    this.parent = options.parent
    this.annotations = options.annotations
    this.kind = options.kind
    this.startTime = options.startTime
    this.trace = ours === undefined ? new Trace(parent, options.startTime) : ours.trace
    this.endTime = undefined
    this.values = newValues()
    this.events = noEvents
    this.recordedLinks = noLinks
    this.droppedAttributes = 0
    this.droppedEvents = 0
    this.droppedLinks = 0
    this.failed = false
    this.statusMessage = ""
    this.ok = false
    this.exported = undefined
    this.drawn = undefined
    this.valueCount = 0
    this.isGuarded = false
    this.lastException = undefined
    this.failure = undefined
    // Effect also says "not sampled" below an unsampled parent: there the sampler decides, who knows the parent.
    this.hidden = (!options.sampled && (parent === undefined || parent.sampled)) || ours?.hidden === true
    this.decision = this.hidden
      ? false
      : parent !== undefined && recorder.sampler.parentBased
        ? parent.sampled
        : undefined
    this.recording = this.decision !== false || (!this.hidden && recorder.recordsUnsampled(this.trace))
    if (options.links.length > 0) {
      this.addLinks(options.links)
    }
  }

  /** Whether nothing above it is recorded here: its parent is elsewhere, or there is none. */
  get isLocalRoot(): boolean {
    const parent = Option.getOrUndefined(this.parent)
    return !(parent instanceof RecordedSpan && parent.trace === this.trace)
  }

  get traceId(): string {
    return this.trace.id
  }

  get spanId(): string {
    return (this.drawn ??= RandomIds.spanId())
  }

  /** Whether it is kept, as far as that is decided when it starts. Asking is what makes the sampler decide. */
  get sampled(): boolean {
    return this.decision ?? this.decide()
  }

  /** Its `tracestate`, as `TraceContext` looks for it. */
  get "~tinyllm/traceState"(): string | undefined {
    void this.sampled // Who decides writes into it.
    return this.trace.state
  }

  /** Its trace flags, as `TraceContext` looks for them. */
  get "~tinyllm/traceFlags"(): number {
    return (this.sampled ? 1 : 0) | this.trace.otherFlags
  }

  /** Whether it and all spans below it are for nobody, so that they need not be made: `Span.isWanted` looks for it. */
  get "~tinyllm/silent"(): boolean {
    return !this.sampled && !this.recording && (this.hidden || this.recorder.sampler.parentBased)
  }

  get attributes(): ReadonlyMap<string, unknown> {
    return new Map(Object.entries(this.values))
  }

  get links(): ReadonlyArray<Tracer.SpanLink> {
    return this.recordedLinks
  }

  get status(): Tracer.SpanStatus {
    return this.endTime === undefined
      ? { _tag: "Started", startTime: this.startTime }
      : // What a program succeeds with belongs to it: a span that waits for its export must not keep it alive.
        { _tag: "Ended", startTime: this.startTime, endTime: this.endTime, exit: this.failure ?? Exit.void }
  }

  attribute(key: string, value: unknown): void {
    if (this.recording && this.endTime === undefined) {
      if (typeof value === "number" || typeof value === "boolean") {
        this.put(key, value)
      } else {
        const normal = readable(value)
        if (normal !== undefined) {
          this.put(key, this.recorder.guard.value(normal))
        }
      }
    }
  }

  event(name: string, time: bigint, attributes?: Record<string, unknown>): void {
    if (!this.recording || this.endTime !== undefined) {
      return
    }
    if (SpanGuard.isLogLine(attributes)) {
      if (this.recorder.guard.logEvents) {
        this.addEvent(SpanGuard.logEventName, time, SpanGuard.logEvent(attributes))
      }
      return
    }
    if (name === "exception" && attributes !== undefined) {
      this.lastException = String(readable(attributes["exception.message"]) ?? "")
      // Who handles an error marks a span with it; what is below may have failed with it, and recorded it.
      const error = Span.errorOf(attributes)
      if (error !== undefined && !SpanErrors.firstSeen(this, error.value)) {
        return
      }
    }
    this.addEvent(name, time, attributes)
  }

  addLinks(links: ReadonlyArray<Tracer.SpanLink>): void {
    if (!this.recording || this.endTime !== undefined) {
      return
    }
    const { limits } = this.recorder
    const kept = this.recordedLinks.slice()
    for (const link of links) {
      const { dropped, values } = readableAll(link.attributes, limits.attributePerLinkCountLimit, this.recorder.guard)
      kept.push({ span: link.span, attributes: values, droppedAttributes: dropped })
    }
    const excess = Math.max(0, kept.length - limits.linkCountLimit)
    this.droppedLinks += excess
    this.recordedLinks = kept.slice(excess)
  }

  /** Gives it another name, until it ends. */
  rename(name: string): void {
    if (this.endTime === undefined) {
      this.name = this.recorder.guard.name(name)
    }
  }

  /** Marks it as an error, for what is no failure of its effect. */
  fail(message: string): void {
    if (this.recording && this.endTime === undefined) {
      this.failed = true
      this.ok = false
      this.statusMessage = SpanErrors.description(message, this.recorder.guard.redact)
      if (!Object.hasOwn(this.values, "error.type")) {
        this.putAtEnd("error.type", "_OTHER")
      }
    }
  }

  /** Marks it as a success, also where it was marked as an error before. */
  succeed(): void {
    if (this.recording && this.endTime === undefined) {
      this.failed = false
      this.statusMessage = ""
      this.ok = true
      if (Object.hasOwn(this.values, "error.type")) {
        delete this.values["error.type"]
        this.valueCount--
      }
    }
  }

  end(time: bigint, exit: Exit.Exit<unknown, unknown>): void {
    if (this.endTime !== undefined) {
      return
    }
    // Whether it is kept is decided now at the latest, and with it whether it is recorded.
    void this.sampled
    if (!this.recording) {
      this.endTime = time
      return
    }
    if (exit._tag === "Failure") {
      this.failure = exit
      attempt(() => this.conclude(time, exit))
    }
    if (!this.failed && Object.hasOwn(this.values, "error.type")) {
      this.fail(this.lastException ?? "")
    }
    this.endTime = time
    this.recorder.onEnd(this)
  }

  /** Makes it ready to be handed on, once it has ended: without secrets, and within its budget. */
  guarded(): this {
    if (!this.isGuarded) {
      this.isGuarded = true
      attempt(() => {
        const dropped = this.recorder.guard.finish({
          name: this.name,
          attributes: this.values,
          events: this.events,
          links: this.recordedLinks
        })
        this.droppedAttributes += dropped.attributes
        this.droppedEvents += dropped.events
        this.droppedLinks += dropped.links
      })
    }
    return this
  }

  private conclude(time: bigint, exit: Exit.Failure<unknown, unknown>): void {
    const error = SpanErrors.firstError(exit)
    if (error === undefined) {
      if (Cause.hasInterruptsOnly(exit.cause)) {
        this.putAtEnd("effect.fiber.interrupted", true)
      }
      return
    }
    this.putAtEnd("error.type", this.recorder.guard.value(Span.errorType(error.value)))
    this.fail(SpanErrors.messageOf(error.value, this.recorder.guard.redact))
    for (const fresh of SpanErrors.toRecord(this, exit, Context.get(this.annotations, Span.Afterwards))) {
      this.addEvent("exception", time, Span.exception(fresh, this.recorder.guard.redact))
    }
  }

  // How a span ended is part of it, also where no more attributes are allowed: the last one gives way.
  private putAtEnd(key: string, value: Attribute.AttributeValue): void {
    const { attributeCountLimit } = this.recorder.limits
    if (this.valueCount >= attributeCountLimit && attributeCountLimit > 0 && !Object.hasOwn(this.values, key)) {
      const last = Object.keys(this.values).at(-1)
      if (last !== undefined) {
        delete this.values[last]
        this.valueCount--
        this.droppedAttributes++
      }
    }
    this.put(key, value)
  }

  private put(key: string, value: Attribute.AttributeValue): void {
    const { attributeCountLimit } = this.recorder.limits
    if (!Object.hasOwn(this.values, key)) {
      if (this.valueCount >= attributeCountLimit) {
        this.droppedAttributes++
        return
      }
      this.valueCount++
    }
    this.values[key] = value
  }

  // The newest events stay: an error is the last that happens.
  private addEvent(name: string, time: bigint, attributes: Readonly<Record<string, unknown>> | undefined): void {
    const { limits } = this.recorder
    const { dropped, values } = readableAll(attributes, limits.attributePerEventCountLimit, this.recorder.guard)
    const events = this.events === noEvents ? [] : this.events
    events.push({ name, time, attributes: values, droppedAttributes: dropped })
    if (events.length > limits.eventCountLimit) {
      events.shift()
      this.droppedEvents++
    }
    this.events = events
  }

  private decide(): boolean {
    const { sampler } = this.recorder
    const { trace } = this
    const sampled = Result.getOrElse(
      Result.try(() =>
        sampler.isSampled({
          traceId: trace.id,
          name: this.name,
          kind: this.kind,
          attributes: this.values,
          traceState: trace.state
        })
      ),
      () => false
    )
    this.decision = sampled
    if (sampler.threshold !== undefined || trace.state !== undefined) {
      trace.state = Sampling.withThreshold(trace.state, sampled ? sampler.threshold : undefined)
    }
    this.recording = sampled || this.recorder.recordsUnsampled(trace)
    return sampled
  }
}

// Whatever a span is given may throw when it is read. The program is not to notice.
const attempt = (run: () => void): void => void Result.try(run)
