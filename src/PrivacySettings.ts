/**
 * The settings that say what of prompts, answers and secrets goes into spans, and how large a span may be.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Sourced, Warn } from "./EnvironmentValues.ts"
import { boolean, ours, TelemetryConfigError, variable } from "./EnvironmentValues.ts"
import * as Redaction from "./Redaction.ts"
import * as SecretPatterns from "./SecretPatterns.ts"
import * as SpanGuard from "./SpanGuard.ts"

/** Where prompts and answers are recorded: nowhere, as attributes of spans, in events of spans, or in both. */
export const CaptureMode = Schema.Literals(["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"])
export type CaptureMode = typeof CaptureMode.Type

/** The options that a program may give. */
export const options = {
  /**
   * Whether prompts and answers are recorded, and where; nowhere by default. `true` is `SPAN_ONLY`. `false` and
   * `NO_CONTENT` leave out `task.content` too.
   */
  captureContent: Schema.optional(Schema.Union([Schema.Boolean, CaptureMode])),
  /** What is replaced by `__REDACTED__` in spans, metrics and log lines, beside what looks like a secret anyway. */
  redact: Schema.optional(Schema.Array(Schema.RegExp)),
  /** Bytes of one span at most, 16 384 by default. */
  spanBudgetBytes: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 4096, maximum: 4_000_000 }))),
  /** Bytes of one attribute that holds content, 2000 by default. */
  contentBudgetBytes: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 256, maximum: 1_000_000 }))),
  /**
   * Whether a log line that is written inside a span is an event of it too: `log`, with its level, and nothing of what
   * the line says. Off by default.
   */
  logEvents: Schema.optional(Schema.Boolean)
}

const spanBytes = "a whole number of bytes from 4096 to 4000000"
const contentBytes = "a whole number of bytes from 256 to 1000000"
const expressions = "regular expressions"

/** What the options may be. */
export const allowed: Readonly<Record<keyof typeof options, string>> = {
  captureContent: `true, false, ${CaptureMode.literals.join(", ")}`,
  redact: `a list of ${expressions}`,
  spanBudgetBytes: spanBytes,
  contentBudgetBytes: contentBytes,
  logEvents: "true or false"
}

/** What the environment says; `undefined` is unset. */
export interface PrivacySettings {
  readonly capture: Sourced<CaptureMode> | undefined
  readonly redact: Sourced<ReadonlyArray<RegExp>> | undefined
  readonly spanBytes: Sourced<number> | undefined
  readonly contentBytes: Sourced<number> | undefined
  readonly logEvents: Sourced<boolean> | undefined
}

/** Reads the variables. Fails with `TelemetryConfigError` when a `TINYLLM_*` variable is wrong. */
export const read = Effect.fnUntraced(function* (warn: Warn) {
  return {
    capture: yield* capture(warn),
    redact: yield* redact,
    spanBytes: yield* ours("TINYLLM_SPAN_BUDGET", spanBytes, whole(4096, 4_000_000)),
    contentBytes: yield* ours("TINYLLM_CONTENT_BUDGET", contentBytes, whole(256, 1_000_000)),
    logEvents: yield* ours("TINYLLM_LOG_EVENTS", allowed.logEvents, boolean)
  } satisfies PrivacySettings
})

/** What holds, from options, environment and defaults. */
export interface Privacy {
  readonly capture: Sourced<CaptureMode>
  /** Whether `task.content` holds the start of the task. */
  readonly taskContent: Sourced<boolean>
  readonly redact: Redaction.Redact
  /** How many patterns are replaced beside what looks like a secret. */
  readonly patterns: Sourced<number>
  /** Bytes of one span. */
  readonly spanBytes: Sourced<number>
  /** Bytes of one attribute that holds content. */
  readonly contentBytes: Sourced<number>
  /** Whether spans have events for log lines. */
  readonly logEvents: Sourced<boolean>
}

type Options = { readonly [K in keyof typeof options]?: (typeof options)[K]["Type"] }

/** Works out what holds. `valueLength` is the limit of the SDK for one attribute; `warn` takes what cannot be kept. */
export const resolve = Effect.fnUntraced(function* (
  given: Options,
  env: PrivacySettings,
  valueLength: number,
  warn: (line: string) => void
) {
  for (const pattern of given.redact ?? []) {
    const problem = SecretPatterns.problem(pattern)
    if (problem !== undefined) {
      return yield* refuse("redact", allowed.redact, problem)
    }
  }
  const asked: Sourced<CaptureMode> | undefined =
    given.captureContent === undefined ? env.capture : { value: modeOf(given.captureContent), source: "flag/program" }
  const spanBytes = setOr(given.spanBudgetBytes, env.spanBytes, SpanGuard.defaultBytes)
  const contentBytes = setOr(given.contentBudgetBytes, env.contentBytes, defaultContentBytes)
  const mode = asked?.value ?? "NO_CONTENT"
  const patterns = [...(env.redact?.value ?? []), ...(given.redact ?? [])]

  // What is recorded twice takes twice the room.
  const room = Math.floor((spanBytes.value - restBytes) / (mode === "SPAN_AND_EVENT" ? 6 : 3))
  const fitting = Math.min(contentBytes.value, room, valueLength)
  const fits = fitting >= leastContentBytes
  if (mode !== "NO_CONTENT" && !fits) {
    warn(
      `content is not captured: there is no room for it (${valueLength < room ? "the limit of an attribute's length" : "the budget of a span"} is too small)`
    )
  } else if (mode !== "NO_CONTENT" && fitting < contentBytes.value && contentBytes.source !== "default") {
    warn(
      `content is cut to ${fitting} bytes, not ${contentBytes.value}: more does not fit into ${spanBytes.value} bytes of a span`
    )
  }
  return {
    capture: { value: fits ? mode : "NO_CONTENT", source: asked?.source ?? "default" },
    taskContent: { value: asked?.value !== "NO_CONTENT", source: asked?.source ?? "default" },
    redact: Redaction.withPatterns(patterns),
    patterns: {
      value: patterns.length,
      source: given.redact === undefined ? (env.redact?.source ?? "default") : "flag/program"
    },
    spanBytes,
    contentBytes: { value: Math.max(fitting, leastContentBytes), source: contentBytes.source },
    logEvents: setOr(given.logEvents, env.logEvents, false)
  } satisfies Privacy
})

const defaultContentBytes = 2000
const leastContentBytes = 256

// A model call's span without content: its ids, some thirty attributes, the beginning of an error.
const restBytes = 3712

const modeOf = (given: boolean | CaptureMode): CaptureMode =>
  typeof given === "string" ? given : given ? "SPAN_ONLY" : "NO_CONTENT"

const setOr = <A>(given: A | undefined, env: Sourced<A> | undefined, otherwise: A): Sourced<A> =>
  given !== undefined ? { value: given, source: "flag/program" } : (env ?? { value: otherwise, source: "default" })

const refuse = (setting: string, allowed: string, why: string) =>
  Effect.fail(new TelemetryConfigError({ setting, allowed, received: `one that cannot be used: ${why}` }))

const variableOfCapture = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

// Two dialects: the words, and a boolean. Somebody who wrote anything else meant to say something about content, so
// there is none.
const capture = (warn: Warn) =>
  Effect.map(variable(variableOfCapture), (text): Sourced<CaptureMode> | undefined => {
    if (text === undefined) {
      return undefined
    }
    const word = text.value.toUpperCase()
    const mode = CaptureMode.literals.find((literal) => literal === word)
    if (mode === undefined && word !== "TRUE" && word !== "FALSE") {
      warn(variableOfCapture, text.value, `${CaptureMode.literals.join(", ")}, true or false`, "no content is recorded")
    }
    return { value: mode ?? modeOf(word === "TRUE"), source: text.source }
  })

const variableOfRedact = "TINYLLM_REDACT"

const redact = Effect.flatMap(variable(variableOfRedact), (text) => {
  if (text === undefined) {
    return Effect.undefined
  }
  const parsed = SecretPatterns.parse(text.value)
  return typeof parsed === "string"
    ? refuse(variableOfRedact, `${expressions}, one a line`, parsed)
    : Effect.succeed({ value: parsed, source: text.source })
})

const whole =
  (minimum: number, maximum: number) =>
  (text: string): Option.Option<number> => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    return value >= minimum && value <= maximum ? Option.some(value) : Option.none()
  }
