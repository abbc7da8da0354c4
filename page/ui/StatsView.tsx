/**
 * Many traces in numbers: what each type of node and each model takes.
 */
import { useMemo, useState } from "preact/hooks"
import type { Filter, StatsData } from "../../src/TraceUiData.ts"
import { Filters } from "./Filters.tsx"
import * as Format from "./Format.ts"
import { useLive } from "./Live.ts"
import { Notice } from "./Notice.tsx"
import { href, query } from "./Route.ts"
import { Tokens } from "./Tokens.tsx"
import { Top } from "./Top.tsx"

type Group = StatsData["nodes"][number]

export const StatsView = ({ filter }: { readonly filter: Filter }) => {
  const [stats, setStats] = useState<StatsData | undefined>(undefined)
  const [trouble, setTrouble] = useState<string | null>(null)
  const connection = useLive(`stats${query(filter)}`, {
    stats: (data: StatsData) => {
      setStats(data)
      setTrouble(null)
    },
    trouble: setTrouble
  })
  return (
    <main class="ui">
      <Top view="stats" filter={filter} />
      <Filters
        filter={filter}
        graphs={stats?.graphs ?? []}
        only={["graph", "since", "failed"]}
        to={(filter) => href({ view: "stats", filter })}
      />
      <Notice connection={connection} trouble={trouble} />
      {stats === undefined ? null : stats.traces === 0 ? (
        <p class="empty">There are no traces like that.</p>
      ) : (
        <>
          <Summary stats={stats} />
          <Groups title="Types of nodes" what="Type" groups={stats.nodes} />
          <Groups title="Models" what="Model" groups={stats.models} speed />
        </>
      )}
    </main>
  )
}

const Summary = ({ stats }: { readonly stats: StatsData }) => {
  const sum = (groups: ReadonlyArray<Group>) => groups.reduce((sum, group) => sum + group.count, 0)
  const now = Date.now()
  return (
    <>
      <dl class="sums">
        <Total name="Traces" value={Format.integer(stats.traces)} />
        <Total name="Failed" value={Format.integer(stats.failed)} bad={stats.failed > 0} />
        <Total name="Node visits" value={Format.integer(sum(stats.nodes))} />
        <Total name="Model calls" value={Format.integer(sum(stats.models))} />
        <Total name="Tokens in → out" value={<Tokens input={stats.tokens.input} output={stats.tokens.output} />} />
      </dl>
      <p class="quiet">
        {stats.start === undefined || stats.end === undefined
          ? null
          : `From ${Format.time(stats.start, now)} to ${Format.time(stats.end, now)}.`}
        {stats.leftOut === 0 ? null : ` ${Format.integer(stats.leftOut)} older traces are left out.`}
      </p>
    </>
  )
}

const Total = ({
  bad = false,
  name,
  value
}: {
  readonly name: string
  readonly value: preact.ComponentChildren
  readonly bad?: boolean
}) => (
  <div class={bad ? "bad" : ""}>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
)

const Groups = ({
  groups,
  speed = false,
  title,
  what
}: {
  readonly title: string
  readonly what: string
  readonly groups: ReadonlyArray<Group>
  readonly speed?: boolean
}) => {
  const longest = useMemo(() => Math.max(1, ...groups.map(({ p99Nanos }) => p99Nanos)), [groups])
  return groups.length === 0 ? null : (
    <section>
      <h2>{title}</h2>
      <div class="scroll">
        <table class="stats">
          <thead>
            <tr>
              <th>{what}</th>
              <th class="number small">Count</th>
              <th class="number small">Failed</th>
              <th class="number small">p50</th>
              <th class="number small">p95</th>
              <th class="number small">p99</th>
              <th class="spread">p50, p95, p99</th>
              <th class="number">Tokens</th>
              <th class="number small">{speed ? "Tokens/s" : ""}</th>
              <th class="share">Share of time</th>
            </tr>
          </thead>
          <tbody>
            {groups.map((group) => (
              <tr key={group.name}>
                <th scope="row">{Format.line(group.name)}</th>
                <td class="number first" data-label="Count">
                  {Format.integer(group.count)}
                </td>
                <td class={`number first ${group.failed > 0 ? "bad" : "quiet"}`} data-label="Failed">
                  {Format.integer(group.failed)}
                </td>
                <td class="number" data-label="p50">
                  {Format.duration(group.p50Nanos)}
                </td>
                <td class="number" data-label="p95">
                  {Format.duration(group.p95Nanos)}
                </td>
                <td class="number" data-label="p99">
                  {Format.duration(group.p99Nanos)}
                </td>
                <td class="spread">
                  <Spread group={group} longest={longest} />
                </td>
                <td class="number first" data-label="Tokens">
                  <Tokens input={group.tokens.input} output={group.tokens.output} />
                </td>
                <td class="number" data-label="Tokens/s">
                  {group.tokensPerSecond === undefined ? "" : group.tokensPerSecond.toFixed(1)}
                </td>
                <td class="share" data-label="Share of time">
                  <span class="figure">{Format.percent(group.share)}</span>
                  <svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                    <rect width={100 * group.share} height="6" />
                  </svg>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}

/** How long they took: dark up to what half of them needed, lighter up to 95 of 100, and a mark at 99. */
const Spread = ({ group, longest }: { readonly group: Group; readonly longest: number }) => {
  const at = (nanos: number) => (100 * nanos) / longest
  return (
    <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect class="p95" width={Math.max(0.5, at(group.p95Nanos))} height="10" />
      <rect class="p50" width={Math.max(0.5, at(group.p50Nanos))} height="10" />
      <rect class="p99" x={Math.min(99.2, at(group.p99Nanos))} width="0.8" height="10" />
    </svg>
  )
}
