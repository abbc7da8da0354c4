/** A trace as a picture: totals, the graph with the path that was taken, the waterfall and the details of a span. */
import type { ComponentChildren } from "preact"
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks"
import type { StoredSpan } from "../src/StoredSpan.ts"
import * as TraceRun from "../src/TraceRun.ts"
import * as TraceTree from "../src/TraceTree.ts"
import { Details } from "./Details.tsx"
import { useGestures } from "./gestures.ts"
import { line } from "./format.ts"
import { GraphView } from "./GraphView.tsx"
import { Header } from "./Header.tsx"
import { Help } from "./Help.tsx"
import { useMedia, usePrinting, useTheme, useWidth } from "./hooks.ts"
import { PrintedErrors } from "./PrintedErrors.tsx"
import { ancestors, firstFailure, hiding, middleOf, nothing, placesOf, rowsOf, stepsAt, without } from "./rows.ts"
import { find } from "./search.ts"
import { Lines, Scale, Timeline } from "./Timeline.tsx"
import { Toolbar } from "./Toolbar.tsx"
import { Totals } from "./Totals.tsx"
import { Waterfall } from "./Waterfall.tsx"
import { pan, type Span, within, zoom as zoomBy } from "./zoom.ts"

type TraceNode = TraceTree.TraceNode

const minute = 60e9

export interface TraceViewProps {
  /** All spans of one trace that are there, in any order. A new array is a new state of the trace: it may grow. */
  readonly spans: ReadonlyArray<StoredSpan>
  /** More spans may come: the view says so, and keeps what is selected, collapsed and zoomed while they do. */
  readonly live?: boolean | undefined
  /** How it ended, where that is known from elsewhere: `running` where its root is not among the spans. */
  readonly status?: string | undefined
  /** What stands at the left of the heading: a way back to a list, for example. */
  readonly before?: ComponentChildren
  /** Further controls at the right of the heading. */
  readonly controls?: ComponentChildren
}

export const TraceView = ({ before, controls, live = false, spans, status }: TraceViewProps) => {
  const tree = useMemo(() => TraceTree.make(spans), [spans])
  const facts = useMemo(() => TraceRun.facts(tree), [tree])
  const [theme, toggleTheme] = useTheme()
  const wide = useMedia("(min-width: 1100px)")
  const narrow = useMedia("(max-width: 600px)")
  const printing = usePrinting()
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(nothing)
  const [selectedId, setSelectedId] = useState<string>()
  const [query, setQuery] = useState("")
  const [zoomed, setZoomed] = useState<Span>()
  const [help, setHelp] = useState(false)
  const [graphShown, setGraphShown] = useState(true)

  const whole = Math.max(1, tree.durationNanos)
  const zoom = printing || zoomed === undefined ? { from: 0, to: whole } : within(whole, zoomed)
  const chosen = selectedId === undefined ? undefined : tree.bySpanId.get(selectedId)
  // Where there is room for details there are some from the start.
  const selected = chosen ?? (wide ? (firstFailure(tree) ?? tree.roots[0]) : undefined)
  const rows = useMemo(() => rowsOf(tree, printing ? nothing : collapsed), [tree, collapsed, printing])
  const places = useMemo(() => placesOf(tree), [tree])
  const matches = useMemo(() => (query.trim() === "" ? undefined : find(tree.nodes, query)), [tree, query])
  const matching = useMemo(() => (matches === undefined ? undefined : new Set(matches)), [matches])

  const grid = useRef<HTMLDivElement>(null)
  const area = useRef<HTMLDivElement>(null)
  const scale = useRef<HTMLDivElement>(null)
  const head = useRef<HTMLDivElement>(null)
  const panel = useRef<HTMLElement>(null)
  const search = useRef<HTMLInputElement>(null)
  const toShow = useRef<string>(undefined)
  const rowHeight = narrow ? 42 : 26

  // -------------------------------------------------------------------------------------------------------------------
  // What can be done

  const setZoom = useCallback(
    (span: Span | undefined) => setZoomed(span === undefined || span.to - span.from >= whole ? undefined : span),
    [whole]
  )
  const select = useCallback((at: TraceNode, reveal = true) => {
    setSelectedId(at.span.spanId)
    if (reveal) {
      toShow.current = at.span.spanId
      setCollapsed((known) => {
        const above = ancestors(at).filter(({ span }) => known.has(span.spanId))
        return above.length === 0
          ? known
          : without(
              known,
              above.map(({ span }) => span.spanId)
            )
      })
    }
  }, [])
  const selectRow = useCallback((at: TraceNode) => select(at, false), [select])
  // Whoever uses keys goes on from the row that has taken in the selected one.
  const collapse = (ids: ReadonlySet<string>) => {
    setCollapsed(ids)
    const instead = selected === undefined ? undefined : hiding(selected, ids)
    if (instead !== undefined) {
      setSelectedId(instead.span.spanId)
    }
  }
  const toggle = ({ span }: TraceNode) =>
    collapse(collapsed.has(span.spanId) ? without(collapsed, [span.spanId]) : new Set([...collapsed, span.spanId]))
  const toLevel = (level: number) =>
    collapse(
      new Set(
        tree.nodes
          .filter(({ children, depth }) => children.length > 0 && depth >= level - 1)
          .map(({ span }) => span.spanId)
      )
    )
  const zoomTo = useCallback(
    ({ durationNanos, offsetNanos }: TraceNode) =>
      setZoom(within(whole, { from: offsetNanos - durationNanos * 0.02, to: offsetNanos + durationNanos * 1.02 })),
    [whole, setZoom]
  )
  const among = (list: ReadonlyArray<TraceNode>, by: 1 | -1) => {
    const here = selected?.index ?? -1
    const next =
      by === 1
        ? (list.find(({ index }) => index > here) ?? list[0])
        : (list.findLast(({ index }) => index < here) ?? list.at(-1))
    if (next !== undefined) {
      select(next)
    }
  }
  const searchFor = (text: string) => {
    setQuery(text)
    const found = text.trim() === "" ? [] : find(tree.nodes, text)
    const first = found.find(({ index }) => index >= (selected?.index ?? 0)) ?? found[0]
    if (first !== undefined) {
      select(first)
    }
  }
  const failures = () => tree.nodes.filter(({ span }) => TraceTree.outcome(span) === "error")
  const close = () => {
    setSelectedId(undefined)
    grid.current?.focus({ preventScroll: true })
  }

  useGestures({ area, scale, whole, span: zoom, onZoom: setZoom })

  const keyDown = (event: KeyboardEvent): void => {
    const target = event.target instanceof Element ? event.target : document.body
    // The help is asked itself whether it is open: that it has closed is heard of a moment later.
    const isElsewhere = document.querySelector("dialog[open]") ?? target.closest("input, select, textarea")
    if (event.ctrlKey || event.metaKey || event.altKey || isElsewhere !== null) {
      return
    }
    const key = event.shiftKey && event.key.startsWith("Arrow") ? `Shift ${event.key}` : event.key
    const inRows = target === document.body || (grid.current?.contains(target) ?? false)
    const action = anywhere(key) ?? (inRows ? withinRows(key) : undefined)
    if (action !== undefined) {
      event.preventDefault()
      action()
    }
  }
  const anywhere = (key: string): (() => void) | undefined => {
    switch (key) {
      case "/":
        return () => search.current?.focus()
      case "?":
        return () => setHelp(true)
      case "Escape":
        return query !== "" ? () => setQuery("") : selectedId !== undefined ? close : undefined
      case "e":
        return () => setCollapsed(nothing)
      case "c":
        return () => toLevel(1)
      case "n":
        return () => among(matches ?? [], 1)
      case "p":
      case "N":
        return () => among(matches ?? [], -1)
      case "x":
        return () => among(failures(), 1)
      case "+":
      case "=":
        return () => setZoom(zoomBy(whole, zoom, 2, middleOf(selected, zoom)))
      case "-":
        return () => setZoom(zoomBy(whole, zoom, 0.5))
      case "0":
        return () => setZoom(undefined)
      case "z":
        return () => selected !== undefined && zoomTo(selected)
      case "Shift ArrowLeft":
        return () => setZoom(pan(whole, zoom, -0.2))
      case "Shift ArrowRight":
        return () => setZoom(pan(whole, zoom, 0.2))
      case "g":
        return () => setGraphShown((shown) => !shown)
      case "t":
        return toggleTheme
      default:
        return /^[1-9]$/.test(key) ? () => toLevel(Number(key)) : undefined
    }
  }
  const withinRows = (key: string): (() => void) | undefined => {
    const at = selected === undefined ? -1 : rows.indexOf(selected)
    const go = (to: number) => () => {
      const next = rows[Math.min(rows.length - 1, Math.max(0, to))]
      if (next !== undefined) {
        select(next)
      }
    }
    const page = Math.max(1, Math.floor((window.innerHeight * 0.7) / rowHeight))
    switch (key) {
      case "ArrowDown":
        return go(at + 1)
      case "ArrowUp":
        return go(at === -1 ? 0 : at - 1)
      case "Home":
        return go(0)
      case "End":
        return go(rows.length - 1)
      case "PageDown":
        return go(at + page)
      case "PageUp":
        return go(at - page)
      case "Enter":
        return () => {
          if (selected === undefined) {
            go(0)()
          }
          requestAnimationFrame(() => panel.current?.focus({ preventScroll: true }))
        }
      case " ":
        return selected === undefined ? undefined : () => toggle(selected)
      case "ArrowRight":
        return selected === undefined
          ? go(0)
          : collapsed.has(selected.span.spanId)
            ? () => toggle(selected)
            : selected.children.length > 0
              ? go(at + 1)
              : () => undefined
      case "ArrowLeft":
        return selected === undefined
          ? go(0)
          : selected.children.length > 0 && !collapsed.has(selected.span.spanId)
            ? () => toggle(selected)
            : () => selected.parent !== undefined && select(selected.parent)
      default:
        return undefined
    }
  }
  const keys = useRef(keyDown)
  keys.current = keyDown
  useEffect(() => {
    const listen = (event: KeyboardEvent) => keys.current(event)
    document.addEventListener("keydown", listen)
    return () => document.removeEventListener("keydown", listen)
  }, [])

  // What is selected from afar is brought onto the screen, when its row is where it will be.
  useLayoutEffect(() => {
    const place = toShow.current === undefined ? -1 : rows.findIndex(({ span }) => span.spanId === toShow.current)
    toShow.current = undefined
    if (place !== -1 && grid.current !== null) {
      const top = grid.current.getBoundingClientRect().top + place * rowHeight
      const from = head.current?.getBoundingClientRect().height ?? 0
      const sheet = wide ? 0 : (panel.current?.getBoundingClientRect().height ?? 0)
      const to = window.innerHeight - sheet - rowHeight
      if (top < from || top > to) {
        window.scrollBy({ top: top - from - Math.max(0, to - from) / 3, behavior: "instant" })
      }
    }
  })

  const current = useMemo(() => stepsAt(selected, facts), [selected, facts])
  const about = Math.max(2, Math.floor(useWidth(scale) / 90))
  const drawn = facts.runs.filter((run) => run.steps.length > 0)
  return (
    <div
      class={`trace ${wide ? "wide" : selected === undefined ? "" : "sheet"}${tree.durationNanos < minute ? "" : " long"}`}
    >
      <main aria-busy={live}>
        <Header
          tree={tree}
          facts={facts}
          live={live}
          status={status}
          failure={wide ? undefined : firstFailure(tree)}
          onFailure={select}
          before={before}
          controls={controls}
          theme={theme}
          onTheme={toggleTheme}
          onHelp={() => setHelp(true)}
        />
        <Totals tree={tree} facts={facts} onErrors={() => among(failures(), 1)} />
        {drawn.length > 0 && (
          <section class="card graph-card" aria-label="Graph">
            <h2>
              <button type="button" aria-expanded={graphShown} onClick={() => setGraphShown(!graphShown)}>
                <span class={graphShown ? "twisty open" : "twisty closed"} aria-hidden="true" />
                Path through the graph
              </button>
            </h2>
            {(graphShown || printing) && (
              <GraphView
                runs={drawn}
                current={current}
                direction={narrow ? "TB" : "LR"}
                onSelect={select}
                printing={printing}
              />
            )}
          </section>
        )}
        <div class="split">
          <section class="card waterfall" aria-label="Waterfall" ref={area}>
            <div class="head" ref={head}>
              <Toolbar
                search={search}
                query={query}
                matches={matches}
                selected={selected}
                deepest={tree.nodes.reduce((deepest, { depth }) => Math.max(deepest, depth), 0) + 1}
                zoomed={zoomed !== undefined}
                onQuery={searchFor}
                onMatch={(by) => among(matches ?? [], by)}
                onLevel={(level) => (level === undefined ? setCollapsed(nothing) : toLevel(level))}
                onZoom={(factor) =>
                  setZoom(factor === undefined ? undefined : zoomBy(whole, zoom, factor, middleOf(selected, zoom)))
                }
                onLeave={() => grid.current?.focus({ preventScroll: true })}
              />
              <div class="over-rows">
                <span class="names-title" />
                <div ref={scale}>
                  <Timeline tree={tree} zoom={zoom} theme={`${theme}${printing}`} onZoom={setZoom} />
                  <Scale zoom={zoom} about={about} />
                </div>
              </div>
            </div>
            <div class="rows-area">
              <div class="over-rows behind">
                <span />
                <Lines zoom={zoom} about={about} />
              </div>
              <Waterfall
                grid={grid}
                rows={rows}
                places={places}
                collapsed={collapsed}
                selected={selected}
                found={
                  matching !== undefined && selected !== undefined && matching.has(selected) ? selected : undefined
                }
                matches={matching}
                zoom={zoom}
                rowHeight={rowHeight}
                whole={printing}
                onSelect={selectRow}
                onToggle={toggle}
                onZoomTo={zoomTo}
              />
            </div>
          </section>
          {selected !== undefined && (
            <aside
              ref={panel}
              class="details"
              tabIndex={-1}
              aria-label={`Details of ${line(selected.span.name, 100)}`}
              onKeyDown={(event) => {
                if (event.key === "Escape") {
                  event.stopPropagation()
                  close()
                }
              }}
            >
              {!wide && (
                <button type="button" class="close" aria-label="Close details" onClick={close}>
                  ✕
                </button>
              )}
              <Details
                key={selected.span.spanId}
                tree={tree}
                at={selected}
                call={facts.calls.get(selected)}
                step={facts.steps.get(selected)}
                onSelect={select}
              />
            </aside>
          )}
        </div>
        {printing && <PrintedErrors nodes={failures()} />}
      </main>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  )
}
