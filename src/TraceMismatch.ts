/**
 * What a test says when a trace is not as expected: the first difference, and both trees.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { harmless } from "./TerminalText.ts"
import type { Pair, SpanTree } from "./TraceComparison.ts"
import { type Many, matches, shown, type Span, statusOf } from "./TraceExpectation.ts"

/**
 * A trace is not as expected. `actual` and `expected` are both trees, alike wherever what was recorded is as expected, for
 * test runners that show how they differ.
 */
export class TraceMismatch extends Schema.TaggedError<TraceMismatch>()("TraceMismatch", {
  /** The first difference, and both trees as a whole. */
  message: Schema.String,
  /** Where the first difference is, and what: `graph.execute > llm.chat: attribute llm.model: expected "a", got "b"`. */
  difference: Schema.String,
  /** How many there are. */
  count: Schema.Int,
  actual: Schema.String,
  expected: Schema.String
}) {}

/**
 * What is wrong with traces that were held against what was expected; `undefined` when nothing is. `caller` is an error
 * that was made where something was expected: its stack leads there.
 */
export const make = (
  pairs: ReadonlyArray<Pair>,
  traces: { readonly expected: Many<Span>; readonly recorded: ReadonlyArray<SpanTree> },
  caller: Error
): TraceMismatch | undefined => {
  const count = pairs.reduce((sum, pair) => sum + pair.count, 0)
  if (count === 0) {
    return undefined
  }
  const wrong = marks(pairs)
  const difference = firstDifference(pairs, traces.recorded) ?? ""
  const message = [
    difference,
    ...(count === 1 ? [] : [`(the first of ${count} differences)`]),
    "",
    "Expected:",
    ...traces.expected.items.flatMap((span) => expectedLines(span, "", wrong)),
    "",
    "Recorded:",
    ...(traces.recorded.length === 0 ? ["  nothing"] : recordedLines(traces.recorded, "", wrong))
  ].join("\n")
  const mismatch = new TraceMismatch({
    message,
    difference,
    count,
    actual: pairs.flatMap((pair) => aligned(pair, "recorded", "")).join("\n"),
    expected: pairs.flatMap((pair) => aligned(pair, "expected", "")).join("\n")
  })
  const frames = caller.stack?.slice(caller.stack.indexOf("\n    at ")) ?? ""
  mismatch.stack = `${mismatch.name}: ${message}${frames}`
  return mismatch
}

/** Names and nesting, a line for each span. */
export const outline = (trees: ReadonlyArray<SpanTree>, indent = ""): ReadonlyArray<string> =>
  trees.flatMap(({ children, span }) => [`${indent}${harmless(span.name)}`, ...outline(children, `${indent}  `)])

// ---------------------------------------------------------------------------------------------------------------------
// The first difference
// ---------------------------------------------------------------------------------------------------------------------

// A trace is compared by the span that it starts with, and there is no span around traces.
const firstDifference = (pairs: ReadonlyArray<Pair>, recorded: ReadonlyArray<SpanTree>): string | undefined =>
  firstOf(pairs, recorded, [], (name) => {
    const names = recorded.map(({ span }) => harmless(span.name))
    const where = names.includes(name) ? undefined : below(recorded, name, [])
    return (
      `expected a trace ${name}, got ${names.length === 0 ? "none: no span was recorded" : [...new Set(names)].join(", ")}` +
      (where === undefined ? "" : ` (there is one below another span: ${where})`)
    )
  })

const firstOf = (
  pairs: ReadonlyArray<Pair>,
  siblings: ReadonlyArray<SpanTree>,
  path: ReadonlyArray<string>,
  missingTrace: (name: string) => string
): string | undefined => {
  for (const [index, { children, count, differences, expected, recorded }] of pairs.entries()) {
    if (count === 0) {
      continue
    }
    const name = harmless(expected?.name ?? recorded?.span.name ?? "")
    const here = path.length === 0 ? "" : `${path.join(" > ")}: `
    const kind = path.length === 0 ? "trace" : "child"
    if (recorded === undefined) {
      // It may only come earlier or later than it should.
      const free = siblings.filter(
        (tree) => !pairs.some((pair) => pair.expected !== undefined && pair.recorded === tree)
      )
      return free.some(({ span }) => span.name === expected?.name)
        ? `${here}${kind} ${name}: not in this order (unordered allows any)`
        : path.length === 0
          ? missingTrace(name)
          : `${here}expected a child ${name}, got ${got(pairs, index)}`
    }
    if (expected === undefined) {
      return `${here}${kind} ${name}: not expected${recorded.ended ? "" : ", and has not ended"}`
    }
    const own = [...path, numbered(pairs, index, name)]
    const [first] = differences
    return first === undefined
      ? firstOf(children, recorded.children, own, missingTrace)
      : `${own.join(" > ")}: ${harmless(first)}`
  }
  return undefined
}

// What came in its place, if it is one too many.
const got = (pairs: ReadonlyArray<Pair>, index: number): string => {
  const next = [pairs[index - 1], pairs[index + 1]].find((pair) => pair !== undefined && pair.expected === undefined)
  return next?.recorded === undefined ? "none" : harmless(next.recorded.span.name)
}

// Only where there are several of a name it matters which one.
const numbered = (pairs: ReadonlyArray<Pair>, index: number, name: string): string => {
  const alike = pairs.flatMap(({ expected, recorded }, at) =>
    harmless(recorded?.span.name ?? expected?.name ?? "") === name ? [at] : []
  )
  return alike.length === 1 ? name : `${name}[${alike.indexOf(index)}]`
}

const below = (trees: ReadonlyArray<SpanTree>, name: string, path: ReadonlyArray<string>): string | undefined => {
  for (const { children, span } of trees) {
    const own = [...path, harmless(span.name)]
    const found = span.name === name ? own.join(" > ") : below(children, name, own)
    if (found !== undefined) {
      return found
    }
  }
  return undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Both trees, each as a whole
// ---------------------------------------------------------------------------------------------------------------------

interface Marks {
  /** `!` what differs, `-` what is missing, `+` what is one too many. */
  readonly of: ReadonlyMap<Span | SpanTree, "!" | "-" | "+">
  /** What is expected of a span, where something is. */
  readonly expectations: ReadonlyMap<SpanTree, Span>
}

const marks = (pairs: ReadonlyArray<Pair>): Marks => {
  const of = new Map<Span | SpanTree, "!" | "-" | "+">()
  const expectations = new Map<SpanTree, Span>()
  const mark = ({ children, differences, expected, recorded }: Pair): void => {
    if (expected !== undefined && recorded !== undefined) {
      expectations.set(recorded, expected)
      if (differences.length > 0) {
        of.set(expected, "!").set(recorded, "!")
      }
    } else if (expected !== undefined) {
      of.set(expected, "-")
    } else if (recorded !== undefined) {
      of.set(recorded, "+")
    }
    children.forEach(mark)
  }
  pairs.forEach(mark)
  return { of, expectations }
}

const manyLines = (expected: Many<Span>, indent: string, wrong: Marks): ReadonlyArray<string> => [
  ...(expected.ordered ? [] : [`  ${indent}(in any order)`]),
  ...expected.items.flatMap((span) => expectedLines(span, indent, wrong)),
  ...(expected.others ? [`  ${indent}…`] : [])
]

const expectedLines = (span: Span, indent: string, wrong: Marks): ReadonlyArray<string> => [
  `${wrong.of.get(span) ?? " "} ${indent}${[harmless(span.name), ...facts(span)].join("  ")}`,
  ...(span.children === undefined
    ? []
    : span.children.items.length === 0 && !span.children.others
      ? [`  ${indent}  (nothing below)`]
      : manyLines(span.children, `${indent}  `, wrong))
]

const recordedLines = (trees: ReadonlyArray<SpanTree>, indent: string, wrong: Marks): ReadonlyArray<string> =>
  trees.flatMap((tree) => {
    const { children, ended, span } = tree
    const expected = wrong.expectations.get(tree)
    const status = statusOf(span)
    const facts = [
      harmless(span.name),
      ...(expected?.kind === undefined ? [] : [span.kind]),
      ...(!ended ? ["(has not ended)"] : status === "ok" && expected?.status === undefined ? [] : [status]),
      ...(span.status.message === "" ? [] : [text(span.status.message)]),
      ...Object.keys(expected?.attributes ?? {}).map((key) => attribute(key, span.attributes[key])),
      ...(expected?.events === undefined ? [] : [events(span.events)])
    ]
    return [
      `${wrong.of.get(tree) ?? " "} ${indent}${facts.join("  ")}`,
      ...recordedLines(children, `${indent}  `, wrong)
    ]
  })

const facts = ({ attributes, error, events: expected, kind, status }: Span): ReadonlyArray<string> => [
  ...(kind === undefined ? [] : [kind]),
  ...(status === undefined ? [] : [status]),
  ...(error === undefined ? [] : [text(error)]),
  ...Object.entries(attributes).map(([key, value]) => attribute(key, value)),
  ...(expected === undefined ? [] : [events(expected.items)])
]

const attribute = (key: string, value: Parameters<typeof shown>[0]): string => `${harmless(key)}=${text(value, key)}`

const events = (of: ReadonlyArray<{ readonly name: string }>): string =>
  `events: ${of.map(({ name }) => harmless(name)).join(", ") || "none"}`

const longest = 200

const text = (value: Parameters<typeof shown>[0], key?: string): string => {
  const whole = harmless(shown(value, key))
  return whole.length <= longest ? whole : `${whole.slice(0, longest).replace(/[\ud800-\udbff]$/, "")}…`
}

// ---------------------------------------------------------------------------------------------------------------------
// Both trees, alike where they can be
// ---------------------------------------------------------------------------------------------------------------------

const aligned = (pair: Pair, side: "expected" | "recorded", indent: string): ReadonlyArray<string> => {
  const { children, expected, recorded } = pair
  if (side === "expected") {
    return expected === undefined
      ? []
      : [
          `${indent}${[harmless(expected.name), ...facts(expected)].join("  ")}`,
          ...(recorded === undefined
            ? (expected.children?.items ?? []).flatMap((child) =>
                aligned({ ...alone, expected: child }, side, `${indent}  `)
              )
            : children.flatMap((child) => aligned(child, side, `${indent}  `)))
        ]
  }
  if (recorded === undefined) {
    return []
  }
  const { ended, span } = recorded
  const message = span.status.message
  const status = statusOf(span)
  const given: Span = expected ?? { name: span.name, attributes: {}, events: undefined, children: undefined }
  const actual = [
    harmless(span.name),
    ...(given.kind === undefined ? [] : [span.kind]),
    ...(!ended ? ["(has not ended)"] : given.status === undefined ? [] : [status]),
    ...(given.error === undefined
      ? []
      : [text(status === "error" && matches(given.error, message) ? given.error : message)]),
    ...Object.entries(given.attributes).map(([key, value]) =>
      attribute(key, matches(value, span.attributes[key]) ? value : span.attributes[key])
    ),
    ...(given.events === undefined
      ? []
      : [
          events(
            pair.differences.some((difference) => difference.startsWith("event ")) ? span.events : given.events.items
          )
        ])
  ]
  return [
    `${indent}${actual.join("  ")}`,
    ...(expected === undefined
      ? outline(recorded.children, `${indent}  `)
      : children.flatMap((child) => aligned(child, side, `${indent}  `)))
  ]
}

const alone = { expected: undefined, recorded: undefined, differences: [], children: [], count: 0 }
