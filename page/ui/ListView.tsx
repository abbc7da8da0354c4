/**
 * The list of traces: filters, and a row for each trace that changes while it runs.
 */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks"
import type { Filter, Row } from "../../src/TraceUiData.ts"
import { Badge } from "./Badge.tsx"
import { Filters } from "./Filters.tsx"
import * as Format from "./Format.ts"
import { useLive } from "./Live.ts"
import { memory } from "./Memory.ts"
import { Notice } from "./Notice.tsx"
import { everything, href, query } from "./Route.ts"
import { Tokens } from "./Tokens.tsx"
import { Top } from "./Top.tsx"

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
  useEffect(() => {
    memory.filter = filter
  }, [search])
  useReturn(list, rows !== undefined)
  useKeys(list, chosen, setChosen)
  const longest = useMemo(() => longestOf(rows ?? []), [rows])
  const graphs = useMemo(() => known(rows ?? []), [rows])
  const toggle = (id: string) =>
    setChosen((ids) => (ids.includes(id) ? ids.filter((other) => other !== id) : [...ids.slice(-1), id]))
  const [a, b] = inOrder(chosen, rows ?? [])
  return (
    <main class="ui">
      <Top view="list" filter={filter} />
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
              `${Format.integer(rows.length)}${more ? " newest traces" : rows.length === 1 ? " trace" : " traces"}`
            )}
          </p>
          <table class="traces">
            <thead>
              <tr>
                <th class="c-choose">
                  <span class="out-of-sight">Compare</span>
                </th>
                <th class="c-time">Time</th>
                <th class="c-name">Graph</th>
                <th class="c-status">Status</th>
                <th class="c-duration">Duration</th>
                <th class="number c-nodes">Nodes</th>
                <th class="number c-tokens">Tokens</th>
                <th class="c-models">Model</th>
                <th class="c-query">Query</th>
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
          <p class="quiet keys">
            Keys: <kbd>j</kbd> <kbd>k</kbd> move, <kbd>Enter</kbd> opens, <kbd>x</kbd> chooses, <kbd>c</kbd> compares
            two, <kbd>/</kbd> searches, <kbd>t</kbd> turns the colours.
          </p>
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
  const nanos = elapsed(row, now)
  const name = row.graph ?? row.name
  const label = Format.line(name)
  return (
    <tr class={row.status}>
      <td class="c-choose">
        <input
          type="checkbox"
          aria-label={`Compare ${label} of ${Format.time(row.start, now)}`}
          checked={chosen}
          onChange={() => choose(row.id)}
        />
      </td>
      <td class="c-time" title={Format.exactTime(row.start)}>
        {Format.time(row.start, now)}
      </td>
      <th scope="row" class="c-name" title={Format.line(name, 500)}>
        <a href={href({ view: "trace", id: row.id })} data-trace={row.id}>
          {label}
        </a>
        {row.service === "tinyllm" ? null : <small> {Format.line(row.service)}</small>}
      </th>
      <td class="c-status">
        <Badge status={row.status} />
      </td>
      <td class="c-duration">
        <span class="figure">{Format.duration(nanos)}</span>
        <svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
          <rect width={Math.min(100, Math.max(0.8, (100 * nanos) / longest))} height="6" rx="1" />
        </svg>
      </td>
      <td class="number c-nodes">{row.nodes === undefined ? "" : Format.integer(row.nodes)}</td>
      <td class="number c-tokens">
        <Tokens input={row.inputTokens} output={row.outputTokens} />
      </td>
      <td class="c-models" title={Format.line(row.models.join(", "), 500)}>
        {Format.line(row.models.join(", "))}
      </td>
      <td class="c-query" title={row.query === undefined ? undefined : Format.line(row.query, 500)}>
        {row.query === undefined ? null : Format.line(row.query)}
      </td>
    </tr>
  )
}

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

/** Nanoseconds that a trace took, or runs by now. */
const elapsed = (row: Row, now: number): number =>
  row.status === "running" ? Math.max(row.durationNanos, (now - row.start) * 1e6) : row.durationNanos

/** What fills a bar. One that still runs may have been left behind long ago, and has no say. */
const longestOf = (rows: ReadonlyArray<Row>): number =>
  rows.reduce(
    (longest, { durationNanos, status }) => (status === "running" ? longest : Math.max(longest, durationNanos)),
    1
  )

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

/** Puts whoever comes back from a trace where that one is in the list. */
const useReturn = (list: { readonly current: HTMLElement | null }, isShown: boolean) => {
  useLayoutEffect(() => {
    if (isShown && memory.trace !== undefined) {
      list.current?.querySelector<HTMLElement>(`a[data-trace="${memory.trace}"]`)?.focus()
      memory.trace = undefined
    }
  }, [isShown])
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
