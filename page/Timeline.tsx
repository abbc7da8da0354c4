/** What stands above the waterfall: the whole trace in small, to zoom into, and the scale of what is shown. */
import { useLayoutEffect, useRef, useState } from "preact/hooks"
import { outcome, type TraceTree } from "../src/TraceTree.ts"
import { useWidth } from "./hooks.ts"
import { of } from "./kind.ts"
import { ticks } from "./ticks.ts"
import { type Span, within } from "./zoom.ts"

export interface TimelineProps {
  readonly tree: TraceTree
  readonly zoom: Span
  /** The colours of the page changed: the picture must be drawn again. */
  readonly theme: string
  readonly onZoom: (span: Span | undefined) => void
}

export const Timeline = ({ onZoom, theme, tree, zoom }: TimelineProps) => {
  const box = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const width = useWidth(box)
  const [drag, setDrag] = useState<Span>()
  const whole = Math.max(1, tree.durationNanos)

  useLayoutEffect(() => paint(canvas.current!, tree, whole), [tree, width, theme])

  const momentOf = (event: PointerEvent): number => {
    const { left, width } = box.current!.getBoundingClientRect()
    return Math.min(1, Math.max(0, (event.clientX - left) / width)) * whole
  }
  const shown = drag === undefined ? zoom : { from: Math.min(drag.from, drag.to), to: Math.max(drag.from, drag.to) }
  const zoomed = drag !== undefined || zoom.to - zoom.from < whole
  return (
    <div
      ref={box}
      class="minimap"
      title="Drag to zoom, double-click for all of it"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId)
        const at = momentOf(event)
        setDrag({ from: at, to: at })
      }}
      onPointerMove={(event) => {
        if (drag !== undefined) {
          setDrag({ from: drag.from, to: momentOf(event) })
        }
      }}
      onPointerUp={() => {
        // A click is no drag.
        if (drag !== undefined && Math.abs(drag.to - drag.from) > whole / 200) {
          onZoom(within(whole, shown))
        }
        setDrag(undefined)
      }}
      onPointerCancel={() => setDrag(undefined)}
      onDblClick={() => onZoom(undefined)}
    >
      <canvas ref={canvas} aria-hidden="true" />
      {zoomed && (
        <>
          <span class="shade" style={{ left: "0", width: `${(100 * shown.from) / whole}%` }} />
          <span class="shade" style={{ right: "0", width: `${100 - (100 * shown.to) / whole}%` }} />
        </>
      )}
    </div>
  )
}

/** Every span as a line, the first at the top. */
const paint = (canvas: HTMLCanvasElement, { nodes }: TraceTree, whole: number): void => {
  const { clientHeight, clientWidth } = canvas
  const context = canvas.getContext("2d")
  if (context === null || clientWidth === 0) {
    return
  }
  const ratio = window.devicePixelRatio
  canvas.width = clientWidth * ratio
  canvas.height = clientHeight * ratio
  context.scale(ratio, ratio)
  // A pair of colours is one only where it is used.
  const probe = canvas.parentElement!.appendChild(document.createElement("i"))
  const colours = new Map<string, string>()
  const colour = (name: string): string => {
    let known = colours.get(name)
    if (known === undefined) {
      probe.className = `probe k-${name}`
      known = getComputedStyle(probe).color
      colours.set(name, known)
    }
    return known
  }
  const room = clientHeight - 6
  const height = Math.min(4, Math.max(1, room / nodes.length - 0.5))
  for (const at of nodes) {
    const y =
      3 +
      (nodes.length * (height + 1) <= room
        ? at.index * (height + 1)
        : (at.index * (room - height)) / Math.max(1, nodes.length - 1))
    context.fillStyle = colour(outcome(at.span) === "error" ? "error" : of(at.span))
    context.globalAlpha = at.children.length === 0 || outcome(at.span) === "error" ? 1 : 0.45
    context.fillRect(
      (at.offsetNanos / whole) * clientWidth,
      y,
      Math.max(1, (at.durationNanos / whole) * clientWidth),
      height
    )
  }
  probe.remove()
}

/** The scale of what is shown. */
export const Scale = ({ about, zoom }: { readonly about: number; readonly zoom: Span }) => {
  const length = zoom.to - zoom.from
  return (
    <div class="scale">
      {ticks(zoom, about).map(({ at, text }) => (
        <span key={at} class="tick" style={{ left: `${(100 * (at - zoom.from)) / length}%` }}>
          {text}
        </span>
      ))}
    </div>
  )
}

/** The lines of the scale, behind the bars. */
export const Lines = ({ about, zoom }: { readonly about: number; readonly zoom: Span }) => (
  <div class="lines" aria-hidden="true">
    {ticks(zoom, about).map(({ at }) => (
      <span key={at} style={{ left: `${(100 * (at - zoom.from)) / (zoom.to - zoom.from)}%` }} />
    ))}
  </div>
)
