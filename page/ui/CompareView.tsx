/**
 * Two traces side by side: which step went another way, and what it took in each.
 */
import { useMemo, useState } from "preact/hooks"
import type { CompareData, Row } from "../../src/TraceUiData.ts"
import { Badge } from "./Badge.tsx"
import * as Format from "./Format.ts"
import { useLive } from "./Live.ts"
import { Notice } from "./Notice.tsx"
import { everything, href } from "./Route.ts"
import { Tokens } from "./Tokens.tsx"
import { Top } from "./Top.tsx"

type Step = CompareData["rows"][number]
type Side = NonNullable<Step["a"]>

export const CompareView = ({ a, b }: { readonly a: string; readonly b: string }) => {
  const [data, setData] = useState<CompareData | undefined>(undefined)
  const [trouble, setTrouble] = useState<string | null>(null)
  const connection = useLive(`compare/${a}/${b}`, {
    compare: (data: CompareData) => {
      setData(data)
      setTrouble(null)
    },
    trouble: setTrouble
  })
  return (
    <main class="ui">
      <Top view="compare" filter={everything} />
      <Notice connection={connection} trouble={trouble} />
      {data === undefined ? null : (
        <>
          <div class="pair">
            <Head name="A" trace={data.a} />
            <Head name="B" trace={data.b} />
          </div>
          <p class="said">{introduction(data)}</p>
          <Steps data={data} />
          <p class="swap">
            <a href={href({ view: "compare", a: b, b: a })}>Swap the two</a>
          </p>
        </>
      )}
    </main>
  )
}

const Head = ({ name, trace }: { readonly name: string; readonly trace: Row }) => (
  <section class="side" aria-label={`Trace ${name}`}>
    <h2>
      <span class={`letter ${name.toLowerCase()}`}>{name}</span>{" "}
      <a href={href({ view: "trace", id: trace.id })}>{Format.line(trace.graph ?? trace.name)}</a>{" "}
      <Badge status={trace.status} />
    </h2>
    {trace.query === undefined ? null : <p class="query">{Format.line(trace.query, 300)}</p>}
    <dl>
      <dt>Began</dt>
      <dd>{Format.exactTime(trace.start)}</dd>
      <dt>Duration</dt>
      <dd>{Format.duration(trace.durationNanos)}</dd>
      <dt>Nodes</dt>
      <dd>{trace.nodes === undefined ? "–" : Format.integer(trace.nodes)}</dd>
      <dt>Tokens</dt>
      <dd>
        <Tokens input={trace.inputTokens} output={trace.outputTokens} />
      </dd>
      <dt>Models</dt>
      <dd>{trace.models.length === 0 ? "–" : Format.line(trace.models.join(", "))}</dd>
    </dl>
  </section>
)

const introduction = ({ by, parting, rows }: CompareData): string => {
  const differing = rows.filter(({ differs }) => differs.length > 0).length
  return by === "spans"
    ? "At least one of them ran no graph, so spans are compared by their names."
    : by === "graphs"
      ? "They ran different graphs, so spans are compared by their names."
      : parting !== undefined
        ? `They went different ways at “${Format.line(parting, 100)}”.`
        : differing === 0
          ? "They took the same path, with the same results in each step but for time."
          : "They took the same path."
}

const Steps = ({ data }: { readonly data: CompareData }) => {
  const longest = useMemo(
    () => Math.max(1, ...data.rows.flatMap(({ a, b }) => [a?.durationNanos ?? 0, b?.durationNanos ?? 0])),
    [data]
  )
  return (
    <div class="scroll">
      <table class="steps">
        <thead>
          <tr>
            <th>{data.by === "steps" ? "Step" : "Span"}</th>
            <th class="times">Time</th>
            <th class="number">Difference</th>
            <th class="number">Tokens</th>
            <th>What differs</th>
          </tr>
        </thead>
        <tbody>
          {data.rows.map((step) => (
            <tr
              key={step.name}
              class={step.name === data.parting ? "differs parting" : isOther(step) ? "differs" : undefined}
            >
              <th scope="row">{Format.line(step.name)}</th>
              <td class="times">
                <Time name="a" side={step.a} longest={longest} />
                <Time name="b" side={step.b} longest={longest} />
              </td>
              <td class="number" data-label="Difference">
                {step.a === undefined || step.b === undefined ? "" : change(step.a, step.b)}
              </td>
              <td class="number" data-label="Tokens">
                {step.a?.tokens === step.b?.tokens
                  ? (step.a?.tokens ?? "")
                  : `${step.a?.tokens ?? "–"} / ${step.b?.tokens ?? "–"}`}
              </td>
              <td class="what" data-label="What differs">
                {differences(step).join(", ")}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** More than a few tokens or moments differ. */
const isOther = ({ differs }: Step): boolean => differs.some((what) => what !== "tokens")

const Time = ({
  longest,
  name,
  side
}: {
  readonly name: "a" | "b"
  readonly side: Side | undefined
  readonly longest: number
}) => (
  <div class={`time-of ${name}`}>
    <svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      {side === undefined ? null : <rect width={Math.max(0.6, (100 * side.durationNanos) / longest)} height="6" />}
    </svg>
    <span>{side === undefined ? <span class="quiet">not here</span> : Format.duration(side.durationNanos)}</span>
  </div>
)

/** How much longer the second took. */
const change = (a: Side, b: Side): string => {
  const difference = b.durationNanos - a.durationNanos
  return difference === 0 ? "±0" : `${difference < 0 ? "−" : "+"}${Format.duration(Math.abs(difference))}`
}

const differences = ({ a, b, differs }: Step): ReadonlyArray<string> =>
  differs.flatMap((what) => {
    switch (what) {
      case "presence":
        return [a === undefined ? "only in B" : "only in A"]
      case "route":
        return [`way ${Format.line(a?.route ?? "none")} / ${Format.line(b?.route ?? "none")}`]
      case "outcome":
        return [`${words(a)} / ${words(b)}`]
      case "attempts":
        return [`attempts ${a?.attempts ?? 0} / ${b?.attempts ?? 0}`]
      default:
        return ["tokens"]
    }
  })

const words = (side: Side | undefined): string => (side?.outcome === "error" ? "failed" : (side?.outcome ?? "none"))
