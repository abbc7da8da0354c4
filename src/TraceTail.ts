/**
 * What came into the store of traces since the last look, as lines: visits of nodes, calls of models, runs and whatever
 * failed, when each of them has ended.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import {
  cyan,
  dateTime,
  dim,
  duration,
  green,
  harmless,
  line,
  padEnd,
  plain,
  red,
  type Styled,
  type Terminal,
  yellow
} from "./TerminalText.ts"
import { statusText } from "./TraceList.ts"
import * as TraceRun from "./TraceRun.ts"
import { TraceStore, type TraceSummary } from "./TraceStore.ts"
import * as TraceTree from "./TraceTree.ts"
import { rateText, tokensText } from "./TraceSpanText.ts"

/** What is new in one trace. */
export interface News {
  readonly summary: TraceSummary
  readonly tree: TraceTree.TraceTree
  readonly facts: TraceRun.Facts
  /** The spans that came since the last look, in the order in which they ended. */
  readonly spans: ReadonlyArray<TraceTree.TraceNode>
  /** Whether the root of the trace came since the last look, or another one in the place of the root so far. */
  readonly hasEnded: boolean
}

interface Known {
  readonly spans: number
  readonly status: TraceSummary["status"]
  readonly rootName: string
}

// A look is at so many traces: whoever runs more of them at once cannot read along.
const watched = 1000

/** Looks at the store again and again. The first look finds nothing new: it sees what is there already. */
export const make = Effect.sync(() => {
  let known: Map<string, Known> | undefined
  const look = Effect.gen(function* () {
    const store = yield* TraceStore
    const first = known === undefined
    const before = known ?? new Map<string, Known>()
    const after = new Map<string, Known>()
    const news: Array<News> = []
    for (const summary of (yield* store.list({ limit: watched })).toReversed()) {
      const { rootName, spans, status, traceId } = summary
      const old = before.get(traceId)
      if (first || (old?.spans === spans && old.status === status)) {
        after.set(traceId, { spans, status, rootName })
        continue
      }
      const seen = old?.spans ?? 0
      const ids = new Set(yield* store.latest(traceId, seen))
      // More may have come between the two, which are for the next look.
      after.set(traceId, { spans: seen + ids.size, status, rootName })
      const read = yield* Effect.catchIf(
        store.read(traceId),
        ({ reason }) => reason._tag === "TraceNotFound",
        () => Effect.succeed([])
      )
      const tree = TraceTree.make(read)
      const fresh = tree.nodes.filter(({ span }) => ids.has(span.spanId))
      news.push({
        summary,
        tree,
        facts: TraceRun.facts(tree),
        spans: fresh.toSorted(byEnd),
        // The root so far may be that of a process that was called, until the one around it comes.
        hasEnded:
          status !== "running" &&
          (old?.status !== status ||
            old.rootName !== rootName ||
            fresh.some(({ span }) => span.parentSpanId === undefined))
      })
    }
    known = after
    return news
  })
  return { look }
})

const byEnd = ({ span: a }: TraceTree.TraceNode, { span: b }: TraceTree.TraceNode): number =>
  a.endNanos < b.endNanos ? -1 : a.endNanos > b.endNanos ? 1 : 0

/** The news as lines, each with when it was and the beginning of the trace's id. */
export const draw = (news: News, terminal: Terminal): ReadonlyArray<string> =>
  news.spans.filter((at) => isWorthALine(at, news)).map((at) => lineOf(at, news, terminal))

// Where the time of a call went, and attempts that are told by what they are attempts at, are not.
const isWorthALine = (at: TraceTree.TraceNode, { facts }: News): boolean =>
  at.parent === undefined ||
  at.span.status.code === "error" ||
  facts.steps.has(at) ||
  facts.calls.has(at) ||
  facts.runsAt.has(at) ||
  TraceTree.text(at.span, "gen_ai.tool.name") !== undefined

const nameWidth = 34

const lineOf = (at: TraceTree.TraceNode, { facts, summary }: News, terminal: Terminal): string => {
  const { span } = at
  const run = facts.runsAt.get(at)
  const step = facts.steps.get(at)
  const call = facts.calls.get(at)
  const [error] = TraceTree.errors(at)
  const outcome = TraceTree.outcome(span)
  const what = run?.graph ?? step?.id ?? call?.model
  const name = `${span.name}${what === undefined ? "" : ` ${what}`}${step?.decision === undefined ? "" : ` → ${step.decision.route}`}`
  const tokens = tokensText((call ?? run)?.tokens ?? TraceRun.none)
  const numbers = [
    duration(at.durationNanos / 1e6).padStart(8),
    ...(tokens === "" ? [] : [`tokens ${tokens}`]),
    ...(call?.tokensPerSecond === undefined ? [] : [`${rateText(call.tokensPerSecond)} tok/s`])
  ]
  const end: ReadonlyArray<Styled> =
    error !== undefined
      ? [red(`  ✗ ${error.type === undefined ? "" : `${error.type}: `}${error.message}`)]
      : outcome === "interrupted"
        ? [yellow("  interrupted")]
        : run !== undefined && at.parent === undefined
          ? [summary.status === "ok" ? green("  ok") : red(`  ${statusText(summary)}`)]
          : []
  const style = run === undefined ? plain : cyan
  return line(
    [
      dim(`${dateTime(span.endNanos).slice(11)} ${span.traceId.slice(0, 8)} `),
      style(`${padEnd(harmless(name), nameWidth)} `),
      plain(numbers.join("  ")),
      ...end
    ],
    terminal
  )
}
