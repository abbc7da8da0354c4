/**
 * Traces as JSON objects for programs: one with what its runs did and every span, what differs between two, and numbers of
 * many. Times are milliseconds with the microseconds as decimals; what nobody measured is `null`.
 *
 * @since 0.1.0
 */
import * as TraceRun from "./TraceRun.ts"
import * as TraceDiff from "./TraceDiff.ts"
import { isoTime, plainValues } from "./TraceSpanText.ts"
import type { Group, Stats } from "./TraceStats.ts"
import * as TraceTree from "./TraceTree.ts"

/** A trace: what its runs did, and every span. */
export const toJson = (tree: TraceTree.TraceTree) => {
  const facts = TraceRun.facts(tree)
  const [root] = tree.roots
  return {
    traceId: tree.traceId,
    startTime: isoTime(tree.startNanos),
    durationMs: millis(tree.durationNanos),
    service: (root === undefined ? undefined : TraceTree.asText(root.span.resource["service.name"])) ?? null,
    inputTokens: facts.tokens.input ?? null,
    outputTokens: facts.tokens.output ?? null,
    models: facts.models,
    missingParents: tree.missingParents,
    runs: facts.runs.map(run),
    spans: tree.nodes.map((at) => spanOf(at, facts))
  }
}

interface RunJson {
  readonly graph: string | null
  readonly executionId: string | null
  readonly spanId: string | null
  readonly query: string | null
  readonly outcome: TraceRun.Run["outcome"]
  readonly inputTokens: number | null
  readonly outputTokens: number | null
  readonly steps: ReadonlyArray<StepJson>
}

interface StepJson {
  readonly node: string
  readonly type: string
  readonly step: number | null
  readonly spanId: string
  readonly outcome: TraceTree.Outcome
  readonly durationMs: number
  readonly attempts: number
  readonly route: string | null
  readonly inputTokens: number | null
  readonly outputTokens: number | null
  readonly models: ReadonlyArray<string>
  readonly steps: ReadonlyArray<StepJson>
  readonly runs: ReadonlyArray<RunJson>
}

const run = (run: TraceRun.Run): RunJson => ({
  graph: run.graph ?? null,
  executionId: run.executionId ?? null,
  spanId: run.at?.span.spanId ?? null,
  query: run.task ?? null,
  outcome: run.outcome,
  inputTokens: run.tokens.input ?? null,
  outputTokens: run.tokens.output ?? null,
  steps: run.steps.map(stepOf)
})

const stepOf = (step: TraceRun.Step): StepJson => ({
  node: step.id,
  type: step.type,
  step: step.number ?? null,
  spanId: step.at.span.spanId,
  outcome: step.outcome,
  durationMs: millis(step.at.durationNanos),
  attempts: step.attempts,
  route: step.decision?.route ?? null,
  inputTokens: step.tokens.input ?? null,
  outputTokens: step.tokens.output ?? null,
  models: step.models,
  steps: step.inner.map(stepOf),
  runs: step.runs.map(run)
})

const spanOf = (at: TraceTree.TraceNode, facts: TraceRun.Facts) => {
  const { span } = at
  return {
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? null,
    name: span.name,
    kind: span.kind,
    depth: at.depth,
    startTime: isoTime(span.startNanos),
    offsetMs: millis(at.offsetNanos),
    durationMs: millis(at.durationNanos),
    selfMs: millis(at.selfNanos),
    status: span.status.code,
    statusMessage: span.status.message,
    tokensPerSecond: facts.calls.get(at)?.tokensPerSecond?.value ?? null,
    attributes: plainValues(span.attributes),
    events: span.events.map(({ attributes, name, timeNanos }) => ({
      name,
      time: isoTime(timeNanos),
      attributes: plainValues(attributes)
    })),
    links: span.links.map(({ attributes, spanId, traceId }) => ({
      traceId,
      spanId,
      attributes: plainValues(attributes)
    }))
  }
}

const millis = (nanos: number): number => Math.round(nanos / 1000) / 1000

// ---------------------------------------------------------------------------------------------------------------------
// Several traces
// ---------------------------------------------------------------------------------------------------------------------

/** What differs between two traces, row by row. */
export const difference = (a: TraceTree.TraceTree, b: TraceTree.TraceTree) => {
  const { by, graphs, parting, rows } = TraceDiff.compare(a, b)
  return {
    a: a.traceId,
    b: b.traceId,
    by,
    graphs: { a: graphs[0], b: graphs[1] },
    parting: parting?.name ?? null,
    rows: rows.map(({ a, b, differs, name }) => ({
      name,
      differs,
      a: a === undefined ? null : side(a),
      b: b === undefined ? null : side(b)
    }))
  }
}

const side = ({ attempts, durationNanos, outcome, route, tokens }: TraceDiff.Side) => ({
  route: route ?? null,
  outcome,
  durationMs: millis(durationNanos),
  tokens: tokens ?? null,
  attempts
})

/** Many traces in numbers. */
export const stats = ({ failed, models, nodes, period, tokens, traces }: Stats) => ({
  traces,
  failed,
  startTime: period === undefined ? null : isoTime(period[0]),
  endTime: period === undefined ? null : isoTime(period[1]),
  inputTokens: tokens.input ?? null,
  outputTokens: tokens.output ?? null,
  nodes: nodes.map(group("type")),
  models: models.map(group("model"))
})

const group =
  <Key extends string>(key: Key) =>
  (group: Group) => ({
    ...({ [key]: group.name } as Record<Key, string>),
    count: group.count,
    failed: group.failed,
    p50Ms: millis(group.p50Nanos),
    p95Ms: millis(group.p95Nanos),
    p99Ms: millis(group.p99Nanos),
    inputTokens: group.tokens.input ?? null,
    outputTokens: group.tokens.output ?? null,
    tokensPerSecond: group.tokensPerSecond ?? null,
    share: Math.round(group.share * 1e4) / 1e4
  })
