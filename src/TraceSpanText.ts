/**
 * What there is to say of one span beside its times: its error with the first lines of the stack, attributes, events,
 * tokens.
 *
 * @since 0.1.0
 */
import type { StoredSpan, Value, Values } from "./StoredSpan.ts"
import { bold, dim, duration, plain, red, yellow } from "./TerminalText.ts"
import * as TraceRun from "./TraceRun.ts"
import type { SpanError, TraceNode } from "./TraceTree.ts"

/** Something to say, with what stands before its first line. */
export interface Detail {
  readonly mark: string
  readonly text: string
  readonly style: string
}

const detail = (mark: string, { style, text }: { readonly style: string; readonly text: string }): Detail => ({
  mark,
  text,
  style
})

// Lines of a stack that are shown. All of it is in the JSON.
const frames = 3

/** An error with its message and the first lines of its stack. */
export const errorText = ({ message, stack, type }: SpanError): ReadonlyArray<Detail> => {
  const text = [type, message].filter((part) => part !== undefined && part !== "").join(": ")
  return [
    detail("✗ ", red(text === "" ? "failed" : text)),
    ...firstFrames(stack).map((frame) => detail("  ", dim(frame)))
  ]
}

/** The first frames of a stack; of one that has none as JavaScript writes them, its first lines. */
const firstFrames = (stack: string | undefined): ReadonlyArray<string> => {
  const lines = (stack ?? "").split(/\r?\n/).filter((line) => line.trim() !== "")
  const own = lines.filter((line) => /^\s+at /.test(line))
  return (own.length > 0 ? own : lines.slice(1)).slice(0, frames).map((line) => line.trim())
}

/** What was decided in a span and why, what was tried again, and on request all that it holds. */
export const details = (
  at: TraceNode,
  options: { readonly attributes: boolean; readonly events: boolean }
): ReadonlyArray<Detail> => [
  ...TraceRun.decisions(at.span).map(decisionText),
  ...retries(at.span),
  ...(options.attributes ? Object.entries(at.span.attributes).map(([key, value]) => attribute(key, value)) : []),
  ...(options.events ? at.span.events.map((event) => eventText(at.span, event)) : [])
]

const decisionText = ({ candidates, fallback, route, strategy }: TraceRun.Decision): Detail => {
  const others = candidates.filter((candidate) => candidate !== route)
  return detail(
    "→ ",
    dim(
      [
        route,
        strategy === undefined ? "" : ` by ${strategy}`,
        fallback ? ", as nothing else fits" : "",
        others.length === 0 ? "" : `, not ${others.join(", ")}`
      ].join("")
    )
  )
}

const retries = (span: StoredSpan): ReadonlyArray<Detail> =>
  span.events.flatMap(({ attributes, name }) =>
    name === "retry.scheduled"
      ? [
          detail(
            "↻ ",
            yellow(
              `attempt ${valueText(attributes["retry.attempt"])} failed (${valueText(attributes["error.type"])}), ` +
                `again after ${duration(Number(attributes["retry.delay_ms"] ?? 0))}`
            )
          )
        ]
      : []
  )

const attribute = (key: string, value: Value): Detail => detail("", plain(`${key} = ${valueText(value)}`))

const eventText = (span: StoredSpan, event: StoredSpan["events"][number]): Detail => {
  const millis = Number(event.timeNanos - span.startNanos) / 1e6
  const values = pairs(event.attributes)
  return detail(
    "• ",
    bold(`${event.name} ${millis < 0 ? "−" : "+"}${duration(Math.abs(millis))}${values === "" ? "" : `  ${values}`}`)
  )
}

/** Attributes in one line. */
export const pairs = (values: Values): string =>
  Object.entries(values)
    .map(([key, value]) => `${key}=${valueText(value)}`)
    .join(" ")

/** A value as a person reads it: text as it is, lists and maps as JSON, bytes in hexadecimal digits. */
export const valueText = (value: Value | undefined): string =>
  typeof value === "string" || typeof value === "bigint"
    ? value.toString()
    : value === undefined
      ? ""
      : JSON.stringify(plainValue(value))

/** A value as JSON knows it: an integer that no number holds and a number that JSON lacks become text, bytes too. */
export const plainValue = (value: Value): unknown => {
  switch (typeof value) {
    case "bigint":
      return value.toString()
    case "number":
      return Number.isFinite(value) ? value : String(value)
    case "object":
      return value === null
        ? null
        : value instanceof Uint8Array
          ? Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("")
          : Array.isArray(value)
            ? value.map((item: Value) => plainValue(item))
            : plainValues(value as Values)
    default:
      return value
  }
}

/** Attributes as JSON knows them. */
export const plainValues = (values: Values): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, plainValue(value)]))

/** Nanoseconds since 1970 as ISO 8601, with all their digits. */
export const isoTime = (nanos: bigint): string =>
  new Date(Number(nanos / 1_000_000n)).toISOString().replace("Z", `${String(nanos % 1_000_000n).padStart(6, "0")}Z`)

/** Tokens in and out: `73→9`. */
export const tokensText = ({ input, output }: TraceRun.Tokens): string =>
  input === undefined && output === undefined ? "" : `${input ?? ""}→${output ?? ""}`

/** Tokens per second, with `~` where they are of the whole call: `52.1`, `~12.0`. */
export const rateText = ({ of, value }: NonNullable<TraceRun.Call["tokensPerSecond"]>): string =>
  `${of === "call" ? "~" : ""}${value >= 100 ? Math.round(value) : value.toFixed(1)}`
