/** The graph with the path that was taken. */
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks"
import type { Run, Step } from "../src/TraceRun.ts"
import type { TraceNode } from "../src/TraceTree.ts"
import { count, integer, line } from "./format.ts"
import { type Box, curve, draw, type Direction, type Drawing, notTakenText, size, summary } from "./graph.ts"
import { ofType } from "./kind.ts"

export interface GraphViewProps {
  readonly runs: ReadonlyArray<Run>
  readonly direction: Direction
  /** The node whose visit is selected, and those that it is in. */
  readonly current: ReadonlySet<Step>
  readonly onSelect: (at: TraceNode) => void
  /** On paper, where nobody scrolls: as a whole, however small or high. */
  readonly printing: boolean
}

// A layout takes a moment for each of them, and a picture of more is none that somebody reads.
const maximumBoxes = 150

export const GraphView = ({ current, direction, onSelect, printing, runs }: GraphViewProps) => {
  const [wanted, setWanted] = useState(false)
  const byGraph = useMemo(
    () =>
      Array.from(
        Map.groupBy(runs, (run) => run.graph ?? ""),
        ([graph, runs]) => ({ graph, runs })
      ),
    [runs]
  )
  const boxes = useMemo(() => size(runs), [runs])
  if (boxes > maximumBoxes && !wanted) {
    return (
      <p class="quiet graph-large">
        A graph of {integer(boxes)} nodes.{" "}
        <button type="button" class="plain" onClick={() => setWanted(true)}>
          Draw it
        </button>
      </p>
    )
  }
  return (
    <div class="graphs">
      {byGraph.map(({ graph, runs }, index) => (
        <OneGraph
          // Its name comes last in a trace that grows.
          key={index}
          graph={graph}
          runs={runs}
          current={current}
          direction={direction}
          onSelect={onSelect}
          printing={printing}
        />
      ))}
    </div>
  )
}

const smallest = 0.8

/** What style.css leaves for it: more to scroll by is worse than a drawing that goes on to the right. */
const highest = () => Math.max(0.6 * window.innerHeight, 320) - 20

/** Pixels beside a drawing that are left free. */
const beside = 28

// Pixels from margin to margin of a sheet of A4 or letter.
const sheet = 690

interface Fitting {
  readonly direction: Direction
  readonly drawing: Drawing
}

/** From left to right, as one reads, or from top to bottom where only that fits. */
const fitting = (
  runs: ReadonlyArray<Run>,
  wanted: Direction,
  width: number | undefined,
  printing: boolean
): Fitting => {
  const fit = { direction: wanted, drawing: draw(runs, wanted) }
  if (wanted === "TB" || width === undefined || fit.drawing.width * smallest <= width) {
    return fit
  }
  const drawing = draw(runs, "TB")
  const isBetter = printing
    ? drawing.width < fit.drawing.width
    : drawing.width * smallest <= width && drawing.height <= highest()
  return isBetter ? { direction: "TB", drawing } : fit
}

/**
 * The drawing that fits. One that grows keeps the direction in which it began: turned, it would push what is below it to
 * where nobody looks.
 */
const useFitting = (
  runs: ReadonlyArray<Run>,
  wanted: Direction,
  width: number | undefined,
  printing: boolean
): Drawing => {
  const kept = useRef<{ readonly wanted: Direction; readonly width: number; readonly direction: Direction }>(undefined)
  return useMemo(() => {
    if (!printing && kept.current?.wanted === wanted && kept.current.width === width) {
      return draw(runs, kept.current.direction)
    }
    const { direction, drawing } = fitting(runs, wanted, width, printing)
    if (!printing && width !== undefined) {
      kept.current = { wanted, width, direction }
    }
    return drawing
  }, [runs, wanted, width, printing])
}

/** To which sides there is more of it, as classes. */
const goesOn = (room: HTMLElement): string =>
  (room.scrollLeft + room.clientWidth < room.scrollWidth - 4 ? " right" : "") +
  (room.scrollTop + room.clientHeight < room.scrollHeight - 4 ? " below" : "")

const OneGraph = ({
  current,
  direction,
  graph,
  onSelect,
  printing,
  runs
}: GraphViewProps & { readonly graph: string }) => {
  const room = useRef<HTMLDivElement>(null)
  const [seen, setSeen] = useState<number>()
  const width = printing ? sheet : seen
  const [more, setMore] = useState("")
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      setSeen(entry === undefined ? undefined : entry.contentRect.width - beside)
      setMore(goesOn(room.current!))
    })
    // A scroll bar that comes with a drawing must not change it.
    observer.observe(room.current!.parentElement!)
    return () => observer.disconnect()
  }, [])
  const drawing = useFitting(runs, direction, width, printing)
  // Smaller, so that it is seen as a whole, but not so small that nobody can read it.
  const scale = width === undefined ? 1 : Math.min(1, Math.max(printing ? 0 : smallest, width / drawing.width))
  useLayoutEffect(() => {
    // The innermost one: those around it are as large as the graph may be.
    const box = Array.from(room.current!.querySelectorAll<HTMLElement>(".node.current")).at(-1)
    const [outer, inner] = [room.current!.getBoundingClientRect(), box?.getBoundingClientRect()]
    if (inner !== undefined && (inner.left < outer.left || inner.right > outer.right)) {
      room.current!.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2
    }
    if (inner !== undefined && (inner.top < outer.top || inner.bottom > outer.bottom)) {
      room.current!.scrollTop += inner.top - outer.top - (outer.height - inner.height) / 2
    }
    setMore(goesOn(room.current!))
  }, [current, width, drawing])
  return (
    <figure class="graph" aria-label={`Graph ${line(graph)} with the path that was taken`}>
      {runs.length > 1 && (
        <figcaption class="quiet">
          {line(graph)} · {count(runs.length, "run")}
        </figcaption>
      )}
      <div class={`graph-scroll${more}`} ref={room} onScroll={(event) => setMore(goesOn(event.currentTarget))}>
        <div class="graph-scale" style={{ zoom: String(scale), width: `${drawing.width}px` }}>
          <Picture drawing={drawing} current={current} onSelect={onSelect} />
        </div>
      </div>
    </figure>
  )
}

interface PictureProps {
  readonly drawing: Drawing
  readonly current: ReadonlySet<Step>
  readonly onSelect: (at: TraceNode) => void
}

const Picture = ({ current, drawing, onSelect }: PictureProps) => (
  <div class="picture" style={{ width: `${drawing.width}px`, height: `${drawing.height}px` }}>
    <svg width={drawing.width} height={drawing.height} aria-hidden="true">
      {drawing.arrows.map((arrow) => (
        <g key={`${arrow.from}\n${arrow.to}`} class="arrow">
          <path d={curve(arrow.points)} />
          <Head points={arrow.points} />
        </g>
      ))}
      {drawing.dots.map(({ id, kind, width, x, y }) => (
        <circle key={id} class={`dot-${kind}`} cx={x} cy={y} r={width / 2 - 1} />
      ))}
    </svg>
    {drawing.arrows.map(
      ({ at, from, label, to }) =>
        label !== "" &&
        at !== undefined && (
          <span key={`${from}\n${to}`} class="arrow-label" style={{ left: `${at.x}px`, top: `${at.y}px` }}>
            {line(label, 24)}
          </span>
        )
    )}
    {drawing.boxes.map((box) => (
      <NodeBox key={box.id} box={box} current={current} onSelect={onSelect} />
    ))}
  </div>
)

const Head = ({ points }: { readonly points: ReadonlyArray<{ readonly x: number; readonly y: number }> }) => {
  const [tip, before] = [points.at(-1), points.at(-2)]
  if (tip === undefined || before === undefined) {
    return null
  }
  const angle = (Math.atan2(tip.y - before.y, tip.x - before.x) * 180) / Math.PI
  return <polygon points="0,0 -7,-3.5 -7,3.5" transform={`translate(${tip.x},${tip.y}) rotate(${angle})`} />
}

const NodeBox = ({ box, current, onSelect }: { readonly box: Box } & Omit<PictureProps, "drawing">) => {
  const { failed, inner, interrupted, label, notTaken, type, visits } = box
  const selected = visits.findIndex((visit) => current.has(visit))
  const state =
    failed > 0
      ? failed === visits.length
        ? "failed"
        : `${failed} of ${visits.length} failed`
      : interrupted > 0
        ? "interrupted"
        : ""
  const facts = summary(box)
  return (
    <div
      class={[
        "node",
        `k-${ofType(type)}`,
        ...(failed > 0 ? ["failed"] : []),
        ...(interrupted > 0 ? ["interrupted"] : []),
        ...(inner === undefined ? [] : ["outer"]),
        ...(selected === -1 ? [] : ["current"])
      ].join(" ")}
      style={{
        left: `${box.x - box.width / 2}px`,
        top: `${box.y - box.height / 2}px`,
        width: `${box.width}px`,
        height: `${box.height}px`
      }}
    >
      <button
        type="button"
        aria-pressed={selected !== -1}
        aria-label={`${line(label)}, ${line(type)}, ${count(visits.length, "visit")}, ${facts}${state === "" ? "" : `, ${state}`}`}
        title={visits.length > 1 ? "Each click shows the next visit" : undefined}
        onClick={() => onSelect(visits[(selected + 1) % visits.length]!.at)}
      >
        <span class="node-name">
          <b>{line(label, 60)}</b>
          {visits.length > 1 && <i>×{integer(visits.length)}</i>}
          {failed > 0 && <em aria-hidden="true">✕</em>}
        </span>
        <span class="node-facts">
          <span class="node-type">{line(type, 30)}</span>
          <span>{facts}</span>
        </span>
        {notTaken.length > 0 && inner === undefined && (
          <span class="not-taken" title={line(notTakenText(notTaken))}>
            {line(notTakenText(notTaken))}
          </span>
        )}
      </button>
      {inner !== undefined && (
        <div class="node-inner">
          <Picture drawing={inner} current={current} onSelect={onSelect} />
        </div>
      )}
    </div>
  )
}
