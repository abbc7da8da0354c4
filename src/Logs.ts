/**
 * Log lines on standard error, with the ids of the span they were written in.
 *
 * A line names its trace, so one can go from a log to the trace and back. What it says is not copied into spans: it may
 * be anything, and span events are a closed set.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import * as Attribute from "./Attribute.ts"
import * as Capture from "./Capture.ts"
import * as Redaction from "./Redaction.ts"
import * as SecretPatterns from "./SecretPatterns.ts"
import * as Span from "./Span.ts"
import * as Stderr from "./Stderr.ts"

/** `pretty` for people, `json` and `logfmt` for programs; one line a record in each. */
export type Format = "pretty" | "json" | "logfmt"

/**
 * Writes log lines to standard error in place of Effect's own loggers.
 *
 * Inside a span each line carries `trace_id`, `span_id` and `trace_flags` (`01` sampled, `00` not), unless
 * `Span.withoutLogIds` is around it; inside a run also `execution_id`. Annotations become fields, and so do the times
 * of `Effect.withLogSpan`: `label_ms`. What looks like a secret is replaced, and what an annotation calls one, and what
 * the patterns match that are given here or to `Telemetry.layer`. Texts are cut after 16 384 characters.
 *
 * A pattern that cannot be used throws a `RangeError`.
 */
export const layer = (options: {
  readonly format: Format
  /** The lowest level that is written; what the context says by default, which is `Info`. */
  readonly level?: LogLevel.LogLevel | undefined
  /** What is replaced by `__REDACTED__`, beside what looks like a secret anyway. */
  readonly redact?: ReadonlyArray<RegExp> | undefined
}): Layer.Layer<never> => {
  const patterns = options.redact ?? []
  for (const pattern of patterns) {
    const problem = SecretPatterns.problem(pattern)
    if (problem !== undefined) {
      throw new RangeError(
        `Logs.layer: redact must be a list of regular expressions, got one that cannot be used: ${problem}`
      )
    }
  }
  const own = patterns.length === 0 ? undefined : Redaction.withPatterns(patterns)
  return Layer.merge(
    Layer.unwrap(
      Effect.gen(function* () {
        const stderr = yield* Stderr.Stderr
        const colour = yield* Stderr.colours
        const format = options.format === "pretty" ? pretty(colour) : options.format === "json" ? json : logfmt
        return Logger.layer([
          Logger.make((record) => {
            const current = record.fiber.getRef(Redaction.Current)
            const redact: Redaction.Redact = own === undefined ? current : (text) => own(current(text))
            stderr.write(`${format(toLine(record, redact))}\n`)
            if (record.fiber.getRef(Capture.LogEvents)) {
              // Its event has the whole line; our tracers leave the level of it.
              Logger.tracerLogger.log(record)
            }
          })
        ])
      })
    ),
    options.level === undefined ? Layer.empty : Layer.succeed(References.MinimumLogLevel, options.level)
  )
}

interface Line {
  readonly timestamp: string
  readonly level: string
  readonly message: string
  readonly traceId: string | undefined
  /** Ids first, then annotations and the cause: primitives, or JSON as text. */
  readonly fields: ReadonlyArray<readonly [key: string, value: unknown]>
}

const toLine = (record: Logger.Options<unknown>, all: Redaction.Redact): Line => {
  const { fiber } = record
  const redact: Redaction.Redact = (text) => Span.truncate(Redaction.start(text, 2 * textLength, all), textLength)
  const annotations = fiber.getRef(References.CurrentLogAnnotations)
  const span = Span.isUnseen(fiber) ? undefined : spanOf(fiber.context)
  const executionId = annotations["execution_id"]
  const fields: Array<readonly [string, unknown]> = []
  if (span !== undefined) {
    fields.push(["trace_id", span.traceId], ["span_id", span.spanId], ["trace_flags", span.sampled ? "01" : "00"])
  }
  if (executionId !== undefined) {
    fields.push(["execution_id", readable(executionId)])
  }
  // A line keeps its own fields: one of the same name goes beside it.
  const add = (key: string, value: unknown) => void fields.push([reserved.has(key) ? `${key}_` : key, value])
  for (const [key, value] of Object.entries(annotations)) {
    const normal = readable(value)
    if (key !== "execution_id" && normal !== undefined) {
      add(redact(key), withoutSecret(key, normal, redact))
    }
  }
  for (const [label, since] of fiber.getRef(References.CurrentLogSpans)) {
    add(`${redact(label)}_ms`, record.date.getTime() - since)
  }
  if (record.cause.reasons.length > 0) {
    fields.push(["cause", redact(attempt(() => Cause.pretty(record.cause)))])
  }
  return {
    timestamp: record.date.toISOString(),
    level: record.logLevel.toLowerCase(),
    message: redact(text(record.message)),
    traceId: span?.traceId,
    fields
  }
}

// Longer lines are of use to nobody, and some of those who collect logs refuse them.
const textLength = 16_384

const reserved = new Set(["timestamp", "ts", "level", "message", "msg", "trace_id", "span_id", "trace_flags", "cause"])

// With the tracer off, the span in the context is an empty one.
const spanOf = (context: Context.Context<never>): Tracer.Span | undefined => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  return span?._tag === "Span" && span.traceId !== "noop" && Context.get(context, Span.LogIds) ? span : undefined
}

const text = (message: unknown): string =>
  (Array.isArray(message) ? message : [message]).map((part) => attempt(() => String(readable(part) ?? part))).join(" ")

// A getter or a proxy may throw, and a log line is no reason to fail.
const attempt = <A>(read: () => A): A | string => Result.getOrElse(Result.try(read), () => "[unreadable]")

const readable = (value: unknown): Attribute.AttributeValue | undefined => attempt(() => Attribute.normalize(value))

const withoutSecret = (
  key: string,
  value: Attribute.AttributeValue,
  redact: Redaction.Redact
): Attribute.AttributeValue =>
  typeof value === "boolean" || value === "<redacted>"
    ? value
    : typeof value === "object"
      ? value.map((item) => withoutSecret(key, item, redact) as string)
      : Redaction.isSecret(key, value)
        ? Redaction.mark
        : typeof value === "string"
          ? redact(value)
          : value

// ---------------------------------------------------------------------------------------------------------------------
// Formats
// ---------------------------------------------------------------------------------------------------------------------

const json = (line: Line): string =>
  JSON.stringify({
    timestamp: line.timestamp,
    level: line.level,
    message: line.message,
    ...Object.fromEntries(line.fields)
  })

/** https://brandur.org/logfmt; values that need quotes are JSON strings, so that every value can be read back. */
const logfmt = (line: Line): string =>
  [["ts", line.timestamp] as const, ["level", line.level] as const, ["msg", line.message] as const, ...line.fields]
    .map(field)
    .join(" ")

const field = ([key, value]: readonly [string, unknown]): string =>
  `${key.replace(/[\s="\p{C}]/gu, "_")}=${quoted(Array.isArray(value) ? JSON.stringify(value) : String(value))}`

const quoted = (value: string): string =>
  /^[^\s"=\\\p{C}]+$/u.test(value)
    ? value
    : // JSON leaves some control characters as they are.
      JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029]/g, (char) => `\\u${hex(char)}`)

const hex = (char: string): string => char.charCodeAt(0).toString(16).padStart(4, "0")

const levels: Record<string, string> = { warn: "33", error: "31", fatal: "31" }

const pretty =
  (colour: boolean) =>
  (line: Line): string => {
    const style = (code: string | undefined, text: string) =>
      colour && code !== undefined ? `\u001b[${code}m${text}\u001b[0m` : text
    const fields = line.fields.filter(([key]) => !idFields.has(key))
    return [
      style("2", line.timestamp.slice(11, 23)),
      style(levels[line.level], line.level.toUpperCase().padEnd(5)),
      oneLine(line.message),
      ...fields.map(field),
      ...(line.traceId === undefined ? [] : [style("2", `trace=${line.traceId.slice(0, 8)}`)])
    ].join(" ")
  }

// The trace is named by its first digits; the rest is for programs.
const idFields = new Set(["trace_id", "span_id", "trace_flags", "execution_id"])

// A message is shown as it is, unless it would break the line or move the cursor: then it is a JSON string.
const oneLine = (text: string): string => (/^"|[\p{Cc}\u2028\u2029]/u.test(text) ? quoted(text) : text)
