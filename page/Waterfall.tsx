/** The rows of the waterfall: a tree of spans beside their bars. */
import type { RefObject } from "preact"
import { useLayoutEffect, useRef, useState } from "preact/hooks"
import { outcome, type TraceNode } from "../src/TraceTree.ts"
import { duration, line } from "./format.ts"
import { detail, type Kind, of } from "./kind.ts"
import type { Place } from "./rows.ts"
import type { Span } from "./zoom.ts"

export interface WaterfallProps {
  readonly grid: RefObject<HTMLDivElement | null>
  /** The rows to show: what is below a collapsed one is not among them. */
  readonly rows: ReadonlyArray<TraceNode>
  readonly places: ReadonlyMap<TraceNode, Place>
  readonly collapsed: ReadonlySet<string>
  readonly selected: TraceNode | undefined
  readonly matches: ReadonlySet<TraceNode> | undefined
  readonly found: TraceNode | undefined
  readonly zoom: Span
  readonly rowHeight: number
  /** All rows, not only those on the screen. */
  readonly whole: boolean
  readonly onSelect: (at: TraceNode) => void
  readonly onToggle: (at: TraceNode) => void
  readonly onZoomTo: (at: TraceNode) => void
}

/** The id of the element of a row, for who points to it. */
export const rowId = ({ span }: TraceNode): string => `row-${span.spanId}`

// Names must not be pushed out of sight by what they are in.
const maximumIndent = 10

export const Waterfall = (props: WaterfallProps) => {
  const {
    collapsed,
    found,
    grid,
    matches,
    onSelect,
    onToggle,
    onZoomTo,
    places,
    rowHeight,
    rows,
    selected,
    whole,
    zoom
  } = props
  const body = useRef<HTMLDivElement>(null)
  const [first, last] = useVisible(body, rows.length, rowHeight, whole)
  const slots = useRef(1)
  slots.current = Math.max(slots.current, last - first)
  return (
    <div
      ref={grid}
      class="rows"
      role="treegrid"
      aria-label="Spans"
      aria-rowcount={rows.length}
      aria-readonly
      tabIndex={0}
      aria-activedescendant={selected === undefined ? undefined : rowId(selected)}
    >
      <div ref={body} role="rowgroup" class="rows-body" style={{ height: `${rows.length * rowHeight}px` }}>
        {rows.slice(first, last).map((at, index) => (
          <Row
            // A row that leaves the screen becomes one that comes: that is faster than to make a new one.
            key={(first + index) % slots.current}
            at={at}
            place={first + index}
            beside={places.get(at)}
            top={(first + index) * rowHeight}
            zoom={zoom}
            collapsed={collapsed.has(at.span.spanId)}
            selected={at === selected}
            state={at === found ? "found" : matches === undefined || matches.has(at) ? "" : "dim"}
            onSelect={onSelect}
            onToggle={onToggle}
            onZoomTo={onZoomTo}
          />
        ))}
      </div>
    </div>
  )
}

// Rows that are drawn beyond the screen, and how many it scrolls by before they are drawn anew.
const beyond = 16
const step = 8

/** Which rows are on the screen, or near it. */
const useVisible = (body: RefObject<HTMLElement | null>, count: number, height: number, whole: boolean) => {
  const [visible, setVisible] = useState<readonly [number, number]>([0, 60])
  useLayoutEffect(() => {
    let frame = 0
    const measure = () => {
      frame = 0
      const top = body.current?.getBoundingClientRect().top ?? 0
      const at = Math.floor(-top / height / step) * step
      const first = Math.max(0, at - beyond)
      const last = at + Math.ceil(window.innerHeight / height / step) * step + step + beyond
      setVisible((known) => (known[0] === first && known[1] === last ? known : [first, last]))
    }
    const later = () => {
      frame = frame === 0 ? requestAnimationFrame(measure) : frame
    }
    measure()
    window.addEventListener("scroll", later, { passive: true, capture: true })
    window.addEventListener("resize", later)
    return () => {
      cancelAnimationFrame(frame)
      window.removeEventListener("scroll", later, { capture: true })
      window.removeEventListener("resize", later)
    }
  }, [body, height, count])
  return whole ? ([0, count] as const) : ([Math.min(visible[0], count), Math.min(visible[1], count)] as const)
}

interface RowProps extends Pick<WaterfallProps, "zoom" | "onSelect" | "onToggle" | "onZoomTo"> {
  readonly at: TraceNode
  readonly place: number
  /** Its place among those with the same parent. */
  readonly beside: Place | undefined
  readonly top: number
  readonly collapsed: boolean
  readonly selected: boolean
  readonly state: "" | "found" | "dim"
}

const Row = ({ at, beside, collapsed, onSelect, onToggle, onZoomTo, place, selected, state, top, zoom }: RowProps) => {
  const { children, depth, durationNanos, offsetNanos, parent, span } = at
  const kind = of(span)
  const ended = outcome(span)
  const more = detail(span)
  const service = span.resource["service.name"]
  const other = typeof service === "string" && parent !== undefined && parent.span.resource["service.name"] !== service
  return (
    <div
      id={rowId(at)}
      role="row"
      aria-level={depth + 1}
      aria-setsize={beside?.of}
      aria-posinset={beside?.nth}
      aria-rowindex={place + 1}
      aria-selected={selected}
      aria-expanded={children.length === 0 ? undefined : !collapsed}
      class={`row k-${kind} ${ended} ${state}${selected ? " selected" : ""}`}
      style={{ top: `${top}px` }}
      onClick={() => onSelect(at)}
      onDblClick={() => onZoomTo(at)}
    >
      <div role="gridcell" class="name" style={{ "--depth": Math.min(depth, maximumIndent) }}>
        {children.length === 0 ? (
          <span class="twisty" />
        ) : (
          <span
            class={collapsed ? "twisty closed" : "twisty open"}
            aria-hidden="true"
            onClick={(event) => {
              event.stopPropagation()
              onToggle(at)
            }}
            onDblClick={(event) => event.stopPropagation()}
          />
        )}
        {depth > maximumIndent && <span class="depth">{depth}</span>}
        <span class="label">
          {other && (
            <span class="service" title={line(service)}>
              {line(service, 40)}
            </span>
          )}{" "}
          <b>{line(span.name)}</b> {more !== "" && <span class="more">{line(more)}</span>}
        </span>
        {at.severed !== undefined && (
          <span class="depth" title={severed[at.severed]}>
            no parent
          </span>
        )}
        {ended === "error" && (
          <span class="mark bad" role="img" aria-label="failed">
            ✕
          </span>
        )}
        {ended === "interrupted" && (
          <span class="mark" role="img" aria-label="interrupted">
            ◼
          </span>
        )}
        {collapsed && <span class="hidden-count">{at.descendants}</span>}
      </div>
      <div role="gridcell" class="time" aria-label={`${duration(durationNanos)}, begins at ${duration(offsetNanos)}`}>
        <div class="track">
          <Bar at={at} zoom={zoom} />
        </div>
      </div>
    </div>
  )
}

const severed = {
  missing: "Its parent is not among the spans",
  cycle: "Its parent is below it"
}

// More parts of a bar are not told apart on a screen.
const maximumParts = 60
/** Of what is shown: less is less than a line. */
const thinnest = 0.004

const Bar = ({ at, zoom }: { readonly at: TraceNode; readonly zoom: Span }) => {
  const { durationNanos, offsetNanos } = at
  const length = zoom.to - zoom.from
  const start = (offsetNanos - zoom.from) / length
  const end = start + durationNanos / length
  if (end < 0 || start > 1) {
    return (
      <span class={end < 0 ? "outside before" : "outside after"} aria-hidden="true">
        {end < 0 ? "◂" : "▸"}
      </span>
    )
  }
  const from = Math.max(0, start)
  const to = Math.min(1, end)
  return (
    <>
      <span
        class={at.children.length === 0 ? "bar leaf" : "bar"}
        style={{ left: percent(from), width: percent(to - from) }}
      >
        {partsOf(at, from === start && to === end ? undefined : zoom, thinnest / (to - from)).map((part, index) => (
          <span
            key={index}
            class={part.kind === undefined ? "part" : `part k-${part.kind}`}
            style={{ left: percent(part.from), width: percent(part.to - part.from) }}
          />
        ))}
        {at.backwards && <span class="backwards" title="It ends before it starts: a clock was set back" />}
      </span>
      <span class="length" style={{ left: percent(to) }}>
        {duration(durationNanos)}
      </span>
    </>
  )
}

/** When a span with others below it worked itself; or, of a model call, what Ollama did. From 0 to 1 of what is seen of it. */
const partsOf = (at: TraceNode, zoom: Span | undefined, least: number) => {
  const { children, durationNanos, offsetNanos, span } = at
  if (children.length === 0 || children.length > maximumParts || durationNanos <= 0) {
    return []
  }
  const kind = of(span)
  const from = zoom === undefined ? offsetNanos : Math.max(offsetNanos, zoom.from)
  const to = zoom === undefined ? offsetNanos + durationNanos : Math.min(offsetNanos + durationNanos, zoom.to)
  const scale = (nanos: number) => Math.min(1, Math.max(0, (nanos - from) / (to - from)))
  const parts: Array<{ kind: Kind | undefined; from: number; to: number }> = []
  let until = offsetNanos
  const add = (kind: Kind | undefined, begin: number, end: number) => {
    const part = { kind, from: scale(begin), to: scale(end) }
    if (part.to - part.from > least) {
      parts.push(part)
    }
  }
  for (const child of children) {
    if (child.offsetNanos > until) {
      add(undefined, until, child.offsetNanos)
    }
    const end = child.offsetNanos + child.durationNanos
    if (kind === "llm" && child.span.name.startsWith("ollama.")) {
      add(of(child.span), child.offsetNanos, end)
    }
    until = Math.max(until, end)
  }
  add(undefined, until, offsetNanos + durationNanos)
  return parts
}

const percent = (share: number): string => `${Math.round(share * 1e5) / 1e3}%`
