/** The numbers of a whole trace. */
import { number, outcome, type TraceTree } from "../src/TraceTree.ts"
import type { Facts } from "../src/TraceRun.ts"
import { duration, integer, line, speed } from "./format.ts"

export interface TotalsProps {
  readonly tree: TraceTree
  readonly facts: Facts
  /** Goes to the next span that failed. */
  readonly onErrors: () => void
}

export const Totals = ({ facts, onErrors, tree }: TotalsProps) => {
  const failed = tree.nodes.filter(({ span }) => outcome(span) === "error").length
  const perSecond = speedOf(facts)
  const items: ReadonlyArray<readonly [name: string, value: string, note?: string]> = [
    ["Spans", integer(tree.nodes.length)],
    ...(facts.steps.size === 0 ? [] : [["Node visits", integer(facts.steps.size)] as const]),
    ...(facts.calls.size === 0
      ? []
      : [["Model calls", integer(facts.calls.size), facts.models.map((model) => line(model, 60)).join(", ")] as const]),
    ...(facts.tokens.input === undefined ? [] : [["Tokens in", integer(facts.tokens.input)] as const]),
    ...(facts.tokens.output === undefined ? [] : [["Tokens out", integer(facts.tokens.output)] as const]),
    ...(perSecond === undefined ? [] : [["Generation", speed(perSecond)] as const])
  ]
  return (
    <dl class="totals">
      <div>
        <dt>Duration</dt>
        <dd>{duration(tree.durationNanos)}</dd>
      </div>
      <div class={failed > 0 ? "bad" : ""}>
        <dt>Failed spans</dt>
        <dd>
          {failed > 0 ? (
            <button type="button" onClick={onErrors} title="Go to the next one">
              {integer(failed)}
            </button>
          ) : (
            "0"
          )}
        </dd>
      </div>
      {items.map(([name, value, note]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {value} {note !== undefined && <small title={note}>{note}</small>}
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** Tokens written over the time in which they were, of all calls of which both are known. */
const speedOf = ({ calls }: Facts): number | undefined => {
  let tokens = 0
  let seconds = 0
  for (const {
    at,
    tokens: { output }
  } of calls.values()) {
    const took = number(at.span, "tinyllm.ollama.eval_duration")
    if (took !== undefined && output !== undefined) {
      tokens += output
      seconds += took
    }
  }
  return seconds > 0 ? tokens / seconds : undefined
}
