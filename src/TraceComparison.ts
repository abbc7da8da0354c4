/**
 * An expectation held against what was recorded: which span is meant by which, and how they differ.
 *
 * @since 0.1.0
 */
import type { StoredEvent, StoredSpan } from "./StoredSpan.ts"
import { type Event, type ExpectedValues, type Many, matches, shown, type Span, statusOf } from "./TraceExpectation.ts"

/** A span that was recorded, and what is below it, in the order in which they started. */
export interface SpanTree {
  readonly span: StoredSpan
  /** Whether it has ended. What has not may still become what it is expected to be. */
  readonly ended: boolean
  readonly children: ReadonlyArray<SpanTree>
}

/** One of each, or one without the other: then it is missing, or one too many. */
export interface Pair {
  readonly expected: Span | undefined
  readonly recorded: SpanTree | undefined
  /** How the two differ, what is below them left out. */
  readonly differences: ReadonlyArray<string>
  /** Those that were expected in their order, and those too many where they came. */
  readonly children: ReadonlyArray<Pair>
  /** How much differs, here and below. */
  readonly count: number
}

/** Holds spans against what is expected of them. */
export const compareAll = (expected: Many<Span>, recorded: ReadonlyArray<SpanTree>): ReadonlyArray<Pair> => {
  const pairs = new Map<Span, Map<SpanTree, Pair>>()
  const pair = (one: Span, other: SpanTree): Pair => {
    const known = pairs.get(one) ?? new Map<SpanTree, Pair>()
    pairs.set(one, known)
    const made = known.get(other) ?? compare(one, other)
    known.set(other, made)
    return made
  }
  const cost = (one: Span, other: SpanTree): number =>
    one.name === other.span.name ? pair(one, other).count : Number.POSITIVE_INFINITY
  return align(expected, recorded, cost).map(([one, other]) =>
    one !== undefined && other !== undefined
      ? pair(one, other)
      : { expected: one, recorded: other, differences: [], children: [], count: 1 }
  )
}

const compare = (expected: Span, recorded: SpanTree): Pair => {
  const { span } = recorded
  const differences = [
    ...(recorded.ended ? [] : ["has not ended"]),
    ...(expected.kind === undefined || expected.kind === span.kind
      ? []
      : [`kind: expected ${expected.kind}, got ${span.kind}`]),
    ...ofStatus(expected, recorded),
    ...ofAttributes("", expected.attributes, span.attributes),
    ...(expected.events === undefined ? [] : ofEvents(expected.events, span.events))
  ]
  const children = expected.children === undefined ? [] : compareAll(expected.children, recorded.children)
  return {
    expected,
    recorded,
    differences,
    children,
    count: children.reduce((sum, child) => sum + child.count, differences.length)
  }
}

// How something ended that has not is told once.
const ofStatus = (expected: Span, { ended, span }: SpanTree): ReadonlyArray<string> => {
  const status = statusOf(span)
  const message = span.status.message
  const how = `${status}${message === "" ? "" : ` ${shown(message)}`}`
  return !ended
    ? []
    : expected.status !== undefined && expected.status !== status
      ? [`status: expected ${expected.status}, got ${how}`]
      : expected.error === undefined || (status === "error" && matches(expected.error, message))
        ? []
        : [`error: expected ${shown(expected.error)}, got ${how}`]
}

const ofAttributes = (
  where: string,
  expected: ExpectedValues,
  recorded: StoredSpan["attributes"]
): ReadonlyArray<string> =>
  Object.entries(expected).flatMap(([key, value]) => {
    const own = Object.hasOwn(recorded, key) ? recorded[key] : undefined
    return matches(value, own) ? [] : [`${where}attribute ${key}: expected ${shown(value, key)}, got ${shown(own)}`]
  })

const ofEvents = (expected: Many<Event>, recorded: ReadonlyArray<StoredEvent>): ReadonlyArray<string> => {
  const differences = (one: Event, other: StoredEvent) =>
    ofAttributes(`event ${other.name}: `, one.attributes, other.attributes)
  const cost = (one: Event, other: StoredEvent) =>
    one.name === other.name ? differences(one, other).length : Number.POSITIVE_INFINITY
  return align(expected, recorded, cost).flatMap(([one, other]) =>
    one === undefined
      ? [`event ${other?.name}: not expected`]
      : other === undefined
        ? [`event ${one.name}: missing`]
        : differences(one, other)
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Which is meant by which
// ---------------------------------------------------------------------------------------------------------------------

type Aligned<A, B> = ReadonlyArray<readonly [A | undefined, B | undefined]>

/** `cost` says by how much two differ, and that they cannot be the same where it is infinite. */
const align = <A, B>(
  expected: Many<A>,
  recorded: ReadonlyArray<B>,
  cost: (one: A, other: B) => number
): Aligned<A, B> =>
  expected.ordered ? alignOrdered(expected, recorded, cost) : alignUnordered(expected, recorded, cost)

// What is alike at the beginning is taken as it is; the rest in the way in which as little as possible differs. One too
// many, or one too few, counts more than two that differ a little.
const alignOrdered = <A, B>(
  { items, others }: Many<A>,
  recorded: ReadonlyArray<B>,
  cost: (one: A, other: B) => number
): Aligned<A, B> => {
  const found: Array<readonly [A | undefined, B | undefined]> = []
  let start = 0
  let from = 0
  for (const [index, one] of items.entries()) {
    const at = recorded.findIndex((other, at) => (others ? at >= from : at === from) && cost(one, other) === 0)
    if (at === -1) {
      break
    }
    found.push([one, recorded[at]])
    start = index + 1
    from = at + 1
  }
  return start === items.length
    ? [...found, ...(others ? [] : recorded.slice(from).map((other) => [undefined, other] as const))]
    : [...found, ...cheapest(items.slice(start), recorded.slice(from), cost, others ? 0 : single)]
}

const single = 1000
const longestTable = 1_000_000

const cheapest = <A, B>(
  items: ReadonlyArray<A>,
  recorded: ReadonlyArray<B>,
  cost: (one: A, other: B) => number,
  tooMany: number
): Aligned<A, B> => {
  if (items.length * recorded.length > longestTable) {
    // So long a list is compared one by one.
    return Array.from({ length: Math.max(items.length, tooMany === 0 ? 0 : recorded.length) }, (_, index) => {
      const [one, other] = [items[index], recorded[index]]
      return one !== undefined && other !== undefined && cost(one, other) !== Number.POSITIVE_INFINITY
        ? [[one, other] as const]
        : [[one, undefined] as const, [undefined, tooMany === 0 ? undefined : other] as const]
    }).flatMap((pairs) => pairs.filter(([one, other]) => one !== undefined || other !== undefined))
  }
  const width = recorded.length + 1
  // What it costs from here to the end, from the end on.
  const table = new Float64Array((items.length + 1) * width)
  const pairCost = (one: A, other: B) => Math.min(cost(one, other), single)
  const at = (i: number, j: number) => table[i * width + j] ?? 0
  const ways = (i: number, j: number) => ({
    pair:
      i < items.length && j < recorded.length && cost(items[i]!, recorded[j]!) !== Number.POSITIVE_INFINITY
        ? pairCost(items[i]!, recorded[j]!) + at(i + 1, j + 1)
        : Number.POSITIVE_INFINITY,
    missing: i < items.length ? single + at(i + 1, j) : Number.POSITIVE_INFINITY,
    extra: j < recorded.length ? tooMany + at(i, j + 1) : Number.POSITIVE_INFINITY
  })
  for (let i = items.length; i >= 0; i--) {
    for (let j = recorded.length; j >= 0; j--) {
      const { extra, missing, pair } = ways(i, j)
      table[i * width + j] = i === items.length && j === recorded.length ? 0 : Math.min(pair, missing, extra)
    }
  }
  const found: Array<readonly [A | undefined, B | undefined]> = []
  for (let i = 0, j = 0; i < items.length || j < recorded.length;) {
    const { extra, missing, pair } = ways(i, j)
    if (pair <= missing && pair <= extra) {
      found.push([items[i++], recorded[j++]])
    } else if (missing <= extra) {
      found.push([items[i++], undefined])
    } else {
      if (tooMany > 0) {
        found.push([undefined, recorded[j]])
      }
      j++
    }
  }
  return found
}

const alignUnordered = <A, B>(
  { items, others }: Many<A>,
  recorded: ReadonlyArray<B>,
  cost: (one: A, other: B) => number
): Aligned<A, B> => {
  // Which item has which of them. An item that finds all taken lets another one look for a different one.
  const owners = new Map<B, number>()
  const place = (index: number, seen: Set<B>): boolean => {
    // Of many that are alike, each would else move all before it.
    const free = recorded.find((other) => !owners.has(other) && cost(items[index]!, other) === 0)
    if (free !== undefined) {
      owners.set(free, index)
      return true
    }
    return recorded.some((other) => {
      if (seen.has(other) || cost(items[index]!, other) !== 0) {
        return false
      }
      seen.add(other)
      const owner = owners.get(other)
      if (owner === undefined || place(owner, seen)) {
        owners.set(other, index)
        return true
      }
      return false
    })
  }
  for (const index of items.keys()) {
    place(index, new Set())
  }
  const partners = new Map([...owners].map(([other, index]) => [index, other]))
  // Of the rest, those go together that differ the least.
  const rest = [...items.keys()]
    .filter((index) => !partners.has(index))
    .flatMap((index) =>
      recorded.filter((other) => !owners.has(other)).map((other) => ({ index, other, by: cost(items[index]!, other) }))
    )
    .filter(({ by }) => by !== Number.POSITIVE_INFINITY)
    .toSorted((a, b) => a.by - b.by)
  for (const { index, other } of rest) {
    if (!partners.has(index) && !owners.has(other)) {
      partners.set(index, other)
      owners.set(other, index)
    }
  }
  return [
    ...items.map((item, index) => [item, partners.get(index)] as const),
    ...(others ? [] : recorded.filter((other) => !owners.has(other)).map((other) => [undefined, other] as const))
  ]
}
