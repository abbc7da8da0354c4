/**
 * The list of traces: filters, and a row for each trace that changes while it runs.
 */
import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import type { Filter, Row } from "../../src/TraceUiData.ts"
import * as Format from "./Format.ts"
import { useLive } from "./Live.ts"
import { Notice } from "./Notice.tsx"
import { everything, href, query } from "./Route.ts"
import { Filters } from "./Filters.tsx"

const step = 200

export const ListView = ({ filter }: { readonly filter: Filter }) => {
  const [rows, setRows] = useState<ReadonlyArray<Row> | undefined>(undefined)
  const [more, setMore] = useState(false)
  const [limit, setLimit] = useState(step)
  const [chosen, setChosen] = useState<ReadonlyArray<string>>([])
  const [trouble, setTrouble] = useState<string | null>(null)
  const search = query(filter)
  const connection = useLive(`traces${search}${search === "" ? "?" : "&"}limit=${limit}`, {
    all: (data: { readonly rows: ReadonlyArray<Row>; readonly more: boolean }) => {
      setRows(data.rows)
      setMore(data.more)
      setTrouble(null)
    },
    some: (data: {
      readonly rows: ReadonlyArray<Row>
      readonly gone: ReadonlyArray<string>
      readonly more: boolean
    }) => {
      setRows((known = []) => merge(known, data.rows, data.gone))
      setMore(data.more)
      setTrouble(null)
    },
    trouble: setTrouble
  })
  const now = useClock(rows?.some(({ status }) => status === "running") === true)
  const list = useRef<HTMLTableSectionElement>(null)
  useKeys(list, chosen, setChosen)
  const longest = useMemo(() => Math.max(1, ...(rows ?? []).map((row) => elapsed(row, now))), [rows, now])
  const graphs = useMemo(() => known(rows ?? []), [rows])
  const toggle = (id: string) =>
    setChosen((ids) => (ids.includes(id) ? ids.filter((other) => other !== id) : [...ids.slice(-1), id]))
  const [a, b] = inOrder(chosen, rows ?? [])
  return (
    <main class="list">
      <header class="bar">
        <h1>Traces</h1>
        <nav>
          <a href={href({ view: "stats", filter: { ...everything, graph: filter.graph, since: filter.since } })}>
            Statistics
          </a>
        </nav>
      </header>
      <Filters filter={filter} graphs={graphs} to={(filter) => href({ view: "list", filter })} />
      <Notice connection={connection} trouble={trouble} />
      {rows === undefined ? null : rows.length === 0 ? (
        <Empty filtered={search !== ""} />
      ) : (
        <>
          <p class="hint" aria-live="polite">
            {a !== undefined && b !== undefined ? (
              <a class="button" href={href({ view: "compare", a, b })}>
                Compare the two
              </a>
            ) : chosen.length === 1 ? (
              "Choose another one to compare it with."
            ) : (
              `${Format.count(rows.length)}${more ? " newest traces" : rows.length === 1 ? " trace" : " traces"}`
            )}
          </p>
          <table>
            <thead>
              <tr>
                <th class="choose">
                  <span class="hidden">Compare</span>
                </th>
                <th class="time">Time</th>
                <th class="name">Graph</th>
                <th class="status">Status</th>
                <th class="duration">Duration</th>
                <th class="number nodes">Nodes</th>
                <th class="number tokens">Tokens</th>
                <th class="models">Model</th>
                <th class="query">Query</th>
              </tr>
            </thead>
            <tbody ref={list}>
              {rows.map((row) => (
                <TraceRow
                  key={row.id}
                  row={row}
                  now={now}
                  longest={longest}
                  chosen={chosen.includes(row.id)}
                  choose={toggle}
                />
              ))}
            </tbody>
          </table>
          {more ? (
            <p>
              <button type="button" onClick={() => setLimit(limit + step)}>
                Show older ones
              </button>
            </p>
          ) : null}
        </>
      )}
    </main>
  )
}

const TraceRow = ({
  choose,
  chosen,
  longest,
  now,
  row
}: {
  readonly row: Row
  readonly now: number
  readonly longest: number
  readonly chosen: boolean
  readonly choose: (id: string) => void
}) => {
  const millis = elapsed(row, now)
  const label = row.graph ?? row.name
  return (
    <tr class={row.status}>
      <td class="choose">
        <input
          type="checkbox"
          aria-label={`Compare ${label} of ${Format.time(row.start, now)}`}
          checked={chosen}
          onChange={() => choose(row.id)}
        />
      </td>
      <td class="time" title={Format.exactTime(row.start)}>
        {Format.time(row.start, now)}
      </td>
      <th scope="row" class="name">
        <a href={href({ view: "trace", id: row.id })} data-trace={row.id}>
          {label}
        </a>
        {row.service === "tinyllm" ? null : <small> {row.service}</small>}
      </th>
      <td class="status">
        <span class={`badge ${row.status}`}>{words[row.status]}</span>
      </td>
      <td class="duration">
        <span class="figure">{Format.duration(millis)}</span>
        <svg class="track" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
          <rect width={Math.max(0.8, (100 * millis) / longest)} height="6" rx="1" />
        </svg>
      </td>
      <td class="number nodes">{row.nodes === 0 ? "" : Format.count(row.nodes)}</td>
      <td class="number tokens">
        <Tokens input={row.inputTokens} output={row.outputTokens} />
      </td>
      <td class="models">{row.models.join(", ")}</td>
      <td class="query" title={row.query}>
        {row.query}
      </td>
    </tr>
  )
}

const words = { ok: "ok", error: "failed", interrupted: "interrupted", running: "running" } as const

const Tokens = ({ input, output }: { readonly input: number | undefined; readonly output: number | undefined }) =>
  input === undefined && output === undefined ? null : (
    <span title={`${input ?? "an unknown number of"} tokens in, ${output ?? "an unknown number of"} tokens out`}>
      {input === undefined ? "–" : Format.count(input)} → {output === undefined ? "–" : Format.count(output)}
    </span>
  )

const Empty = ({ filtered }: { readonly filtered: boolean }) =>
  filtered ? (
    <p class="empty">
      No trace is like that. <a href={href({ view: "list", filter: everything })}>Show all</a>
    </p>
  ) : (
    <section class="empty">
      <h2>There are no traces yet</h2>
      <p>A run with tracing on leaves its trace here, and appears while it runs. Try one without Ollama:</p>
      <pre>tinyllm run "What is 2 + 2?" --demo --tracing</pre>
      <p>Programs that send OpenTelemetry traces are received by:</p>
      <pre>tinyllm collect</pre>
    </section>
  )

// ---------------------------------------------------------------------------------------------------------------------

/** How long a trace took, or runs by now. */
const elapsed = (row: Row, now: number): number =>
  row.status === "running" ? Math.max(row.duration, now - row.start) : row.duration

const merge = (
  known: ReadonlyArray<Row>,
  changed: ReadonlyArray<Row>,
  gone: ReadonlyArray<string>
): ReadonlyArray<Row> => {
  const rows = new Map(known.map((row) => [row.id, row]))
  for (const id of gone) {
    rows.delete(id)
  }
  for (const row of changed) {
    rows.set(row.id, row)
  }
  return Array.from(rows.values()).toSorted((a, b) => b.start - a.start || (a.id < b.id ? -1 : 1))
}

const known = (rows: ReadonlyArray<Row>): ReadonlyArray<string> =>
  Array.from(new Set(rows.flatMap(({ graph }) => graph ?? []))).toSorted()

/** Two that were chosen, the older one first. */
const inOrder = (chosen: ReadonlyArray<string>, rows: ReadonlyArray<Row>): ReadonlyArray<string> =>
  chosen.length < 2 ? [] : chosen.toSorted((a, b) => start(rows, a) - start(rows, b))

const start = (rows: ReadonlyArray<Row>, id: string): number => rows.find((row) => row.id === id)?.start ?? 0

/** The time now: each second, and often while something runs. */
const useClock = (running: boolean): number => {
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), running ? 250 : 60_000)
    return () => clearInterval(timer)
  }, [running])
  return now
}

/** j and k, or the arrows, go through the rows; Enter opens one, x chooses it, c compares two, / goes to the search. */
const useKeys = (
  list: { readonly current: HTMLElement | null },
  chosen: ReadonlyArray<string>,
  setChosen: (ids: ReadonlyArray<string>) => void
) => {
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      if (
        event.altKey ||
        event.ctrlKey ||
        event.metaKey ||
        target.matches("input:not([type=checkbox]), select, textarea")
      ) {
        return
      }
      const links = Array.from(list.current?.querySelectorAll<HTMLElement>("a[data-trace]") ?? [])
      const row = target.closest("tr")
      const at = links.findIndex((link) => link.closest("tr") === row)
      const go = (index: number) => {
        event.preventDefault()
        links[Math.min(links.length - 1, Math.max(0, index))]?.focus()
      }
      switch (event.key) {
        case "j":
        case "ArrowDown":
          return go(at + 1)
        case "k":
        case "ArrowUp":
          return go(at === -1 ? 0 : at - 1)
        case "Home":
          return go(0)
        case "End":
          return go(links.length - 1)
        case "x":
          return row?.querySelector<HTMLElement>("input[type=checkbox]")?.click()
        case "c":
          return document.querySelector<HTMLElement>(".hint a.button")?.click()
        case "Escape":
          return setChosen([])
        case "/":
          event.preventDefault()
          return document.querySelector<HTMLElement>("input[type=search]")?.focus()
      }
    }
    document.addEventListener("keydown", down)
    return () => document.removeEventListener("keydown", down)
  }, [chosen, setChosen])
}
