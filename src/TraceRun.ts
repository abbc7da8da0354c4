/**
 * What a trace says of runs of graphs and of model calls: the steps in their order, ways that were taken, attempts, tokens.
 *
 * Knows neither Effect nor Node, so that a page in a browser can use it. Numbers that nobody measured are absent, never 0.
 *
 * @since 0.1.0
 */
import type { StoredSpan } from "./StoredSpan.ts"
import { asText, count, number, type Outcome, outcome, text, type TraceNode, type TraceTree } from "./TraceTree.ts"

/** Tokens, as far as models said. */
export interface Tokens {
  readonly input: number | undefined
  readonly output: number | undefined
}

/** A call of a model, with its repetitions. */
export interface Call {
  readonly at: TraceNode
  readonly model: string | undefined
  readonly tokens: Tokens
  /** Of the output: as the server measured it while it wrote, or else of the whole call, which is less. */
  readonly tokensPerSecond: { readonly value: number; readonly of: "generation" | "call" } | undefined
  readonly attempts: number
}

/** Which way a router, a branch or a gate took. */
export interface Decision {
  readonly route: string
  readonly candidates: ReadonlyArray<string>
  /** `model` or `code`, as far as it says so. */
  readonly strategy: string | undefined
  /** Whether it is the way for what none was found for. */
  readonly fallback: boolean
}

/** A visit of a node. */
export interface Step {
  readonly at: TraceNode
  /** The node's name, with those of the containers that it is in before it, joined by dots. */
  readonly id: string
  /** `model`, `router`, `parallel`, … */
  readonly type: string
  /** Its number within the run, from 1. */
  readonly number: number | undefined
  readonly outcome: Outcome
  /** The way it took, the last one where there were several. */
  readonly decision: Decision | undefined
  /** 1 where it was not tried again. */
  readonly attempts: number
  /** Of the model calls in it, at any depth. */
  readonly tokens: Tokens
  /** Models called in it, at any depth. */
  readonly models: ReadonlyArray<string>
  /** Visits inside of it, of a container or a fallback, in their order. */
  readonly inner: ReadonlyArray<Step>
  /** Runs inside of it, of a sub-graph. */
  readonly runs: ReadonlyArray<Run>
}

/** A run of a graph. */
export interface Run {
  /** `undefined` where the span of the run has not arrived: it still runs, or was lost. */
  readonly at: TraceNode | undefined
  readonly graph: string | undefined
  /** The run's own id, `execution.trace_id`. */
  readonly executionId: string | undefined
  /** The start of what it was given. */
  readonly task: string | undefined
  readonly outcome: Outcome | "running"
  /** The path: steps of the graph in the order in which they were visited, with what is inside of them. */
  readonly steps: ReadonlyArray<Step>
  readonly tokens: Tokens
  readonly models: ReadonlyArray<string>
}

/** What a trace holds. */
export interface Facts {
  /** Runs that are not within another one, in the order of their starts. */
  readonly runs: ReadonlyArray<Run>
  /** By the span of a run, those inside of others too. */
  readonly runsAt: ReadonlyMap<TraceNode, Run>
  /** By the span of a visit. */
  readonly steps: ReadonlyMap<TraceNode, Step>
  /** By the span of a model call. */
  readonly calls: ReadonlyMap<TraceNode, Call>
  /** Of all model calls. */
  readonly tokens: Tokens
  /** In the order of their first call. */
  readonly models: ReadonlyArray<string>
}

const runName = "graph.execute"
const attemptName = "retry.attempt"

/** Reads a trace. */
export const facts = (tree: TraceTree): Facts => {
  const { nodes } = tree
  const calls = callsOf(nodes)
  const sums = sumsOf(nodes, calls)
  const steps = new Map<TraceNode, BuildingStep>()
  const runs: Array<Building> = []
  const runsAt = new Map<TraceNode, Building>()
  const unfinished = new Map<string, Building>()
  const lists = new Set<Array<Step>>()
  // The innermost visit and run that a span is in, by its index.
  const stepAt: Array<BuildingStep | undefined> = []
  const runAt: Array<Building | undefined> = []
  for (const at of nodes) {
    const sum = sums[at.index]!
    const outer = at.parent === undefined ? undefined : stepAt[at.parent.index]
    let run = at.parent === undefined ? undefined : runAt[at.parent.index]
    let step = outer
    if (at.span.name === runName) {
      run = runOf(at, sum)
      const among = outer === undefined ? runs : outer.runs
      among.push(run)
      runsAt.set(at, run)
      // Visits in a run are steps of that run, not of the visit around it.
      step = undefined
    } else if (isVisit(at.span)) {
      if (run === undefined && at.severed === "missing") {
        run = unfinished.get(at.span.parentSpanId!)
        if (run === undefined) {
          run = runOf(undefined, { tokens: none, models: new Set() })
          unfinished.set(at.span.parentSpanId!, run)
          runs.push(run)
        }
        run.tokens = plus(run.tokens, sum.tokens)
        run.models = Array.from(new Set([...run.models, ...sum.models]))
      }
      step = stepOf(at, sum)
      steps.set(at, step)
      const among = outer === undefined ? run?.steps : outer.inner
      if (among !== undefined) {
        among.push(step)
        lists.add(among)
      }
    }
    stepAt.push(step)
    runAt.push(run)
  }
  for (const list of lists) {
    // Branches start at the same moment, and have their numbers in the order in which they were begun.
    if (list.every((step) => step.number !== undefined)) {
      list.sort((a, b) => (a.number ?? 0) - (b.number ?? 0))
    }
  }
  const total = tree.roots.map(({ index }) => sums[index]!)
  return {
    runs,
    runsAt,
    steps,
    calls,
    tokens: total.map(({ tokens }) => tokens).reduce(plus, none),
    models: Array.from(new Set(total.flatMap(({ models }) => Array.from(models))))
  }
}

/** Every run of a trace, those inside of others after them. */
export const allRuns = (runs: ReadonlyArray<Run>): ReadonlyArray<Run> => {
  const all = Array.from(runs)
  for (const run of all) {
    for (const step of allSteps(run)) {
      for (const inner of step.runs) {
        all.push(inner)
      }
    }
  }
  return all
}

/** Every visit of a run, those inside of others after them, without those of runs inside of it. */
export const allSteps = (run: Run): ReadonlyArray<Step> => {
  const all = Array.from(run.steps)
  for (const step of all) {
    for (const inner of step.inner) {
      all.push(inner)
    }
  }
  return all
}

/** The sum of tokens: of each kind it is known as far as some are. */
export const plus = (a: Tokens, b: Tokens): Tokens => ({
  input: plusKnown(a.input, b.input),
  output: plusKnown(a.output, b.output)
})

const plusKnown = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : a + b

/** The tokens of a visit without those of visits and runs inside of it. */
export const own = ({ inner, runs, tokens }: Step): Tokens => {
  const inside = [...inner, ...runs].map((one) => one.tokens).reduce(plus, none)
  const left = (all: number | undefined, part: number | undefined) =>
    all === undefined || part === undefined ? all : all === part ? undefined : all - part
  return { input: left(tokens.input, inside.input), output: left(tokens.output, inside.output) }
}

/** Input and output together, as far as either is known. */
export const total = ({ input, output }: Tokens): number | undefined => plusKnown(input, output)

/** Nothing known. */
export const none: Tokens = { input: undefined, output: undefined }

// ---------------------------------------------------------------------------------------------------------------------
// Runs and visits
// ---------------------------------------------------------------------------------------------------------------------

type Mutable<A> = { -readonly [K in keyof A]: A[K] }
type Building = Omit<Mutable<Run>, "steps"> & { readonly steps: Array<Step> }
type BuildingStep = Omit<Step, "inner" | "runs"> & { readonly inner: Array<Step>; readonly runs: Array<Run> }

interface Sum {
  tokens: Tokens
  /** Shared with others until something is added. */
  models: ReadonlySet<string>
}

const isVisit = (span: StoredSpan): boolean => span.name.startsWith("node.") && text(span, "node.id") !== undefined

const runOf = (at: TraceNode | undefined, { models, tokens }: Sum): Building => ({
  at,
  graph: at === undefined ? undefined : text(at.span, "graph.id"),
  executionId: at === undefined ? undefined : text(at.span, "execution.trace_id"),
  task: at === undefined ? undefined : text(at.span, "task.content"),
  outcome: at === undefined ? "running" : outcome(at.span),
  steps: [],
  tokens,
  models: Array.from(models)
})

const stepOf = (at: TraceNode, { models, tokens }: Sum): BuildingStep => ({
  at,
  id: text(at.span, "node.id") ?? "",
  type: text(at.span, "node.type") ?? at.span.name.slice("node.".length),
  number: number(at.span, "execution.step"),
  outcome: outcome(at.span),
  decision: decisions(at.span).at(-1),
  attempts: attempts(at),
  tokens,
  models: Array.from(models),
  inner: [],
  runs: []
})

/** The ways that were chosen in a span. */
export const decisions = (span: StoredSpan): ReadonlyArray<Decision> =>
  span.events.flatMap(({ attributes, name }) => {
    const route = asText(attributes["router.route"])
    const candidates = attributes["router.candidates"]
    return name === "router.decision" && route !== undefined
      ? [
          {
            route,
            candidates: Array.isArray(candidates) ? candidates.filter((one) => typeof one === "string") : [],
            strategy: asText(attributes["router.strategy"]),
            fallback: attributes["router.fallback"] === true
          }
        ]
      : []
  })

/** How often what a span is about was tried: attempts have spans only where there was more than one. */
export const attempts = ({ children }: TraceNode): number =>
  children.reduce(
    (most, { span }) => (span.name === attemptName ? Math.max(most, number(span, "retry.attempt") ?? 1) : most),
    1
  )

// ---------------------------------------------------------------------------------------------------------------------
// Calls of models
// ---------------------------------------------------------------------------------------------------------------------

const callOperations = new Set(["chat", "text_completion", "generate_content", "embeddings"])

/**
 * Calls of models, of other programs too where they follow the conventions. What contains a call is none: a library that
 * calls through another one says the same tokens again.
 * https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-spans.md
 */
const callsOf = (nodes: ReadonlyArray<TraceNode>): Map<TraceNode, Call> => {
  const containing = new Set<TraceNode>()
  const found: Array<TraceNode> = []
  for (const at of nodes.toReversed()) {
    const contains = containing.has(at)
    const isCall =
      !contains && (at.span.name.startsWith("llm.") || callOperations.has(text(at.span, "gen_ai.operation.name") ?? ""))
    if (isCall) {
      found.push(at)
    }
    if ((isCall || contains) && at.parent !== undefined) {
      containing.add(at.parent)
    }
  }
  return new Map(found.toReversed().map((at) => [at, callOf(at)]))
}

const callOf = (at: TraceNode): Call => {
  const { span } = at
  const output = count(span, "llm.output_tokens") ?? count(span, "gen_ai.usage.output_tokens")
  const measured = number(span, "tinyllm.ollama.output_tokens_per_second")
  return {
    at,
    model: text(span, "llm.model") ?? text(span, "gen_ai.request.model") ?? text(span, "gen_ai.response.model"),
    tokens: { input: count(span, "llm.input_tokens") ?? count(span, "gen_ai.usage.input_tokens"), output },
    tokensPerSecond:
      measured !== undefined
        ? { value: measured, of: "generation" }
        : output !== undefined && output > 0 && at.durationNanos > 0
          ? { value: (output * 1e9) / at.durationNanos, of: "call" }
          : undefined,
    attempts: attempts(at)
  }
}

/** For each span, by its index, the tokens and models of the calls in it. */
const sumsOf = (nodes: ReadonlyArray<TraceNode>, calls: ReadonlyMap<TraceNode, Call>): ReadonlyArray<Sum> => {
  const sums = nodes.map((at): Sum => {
    const call = calls.get(at)
    return { tokens: call?.tokens ?? none, models: call?.model === undefined ? noModels : new Set([call.model]) }
  })
  for (const at of nodes.toReversed()) {
    const sum = sums[at.index]!
    const above = at.parent === undefined ? undefined : sums[at.parent.index]!
    if (above !== undefined) {
      above.tokens = plus(sum.tokens, above.tokens)
      above.models =
        above.models.size === 0 ? sum.models : sum.models.size === 0 ? above.models : union(sum.models, above.models)
    }
  }
  return sums
}

const noModels: ReadonlySet<string> = new Set()

const union = (a: ReadonlySet<string>, b: ReadonlySet<string>): ReadonlySet<string> =>
  Array.from(b).every((one) => a.has(one)) ? a : new Set([...a, ...b])
