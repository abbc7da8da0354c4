/** Zooming with the wheel, and with two fingers. */
import { type RefObject } from "preact"
import { useLayoutEffect, useRef } from "preact/hooks"
import { pan, type Span, zoom } from "./zoom.ts"

/** `area` is where gestures are noticed, `scale` what says where in it the time begins and ends. */
export const useGestures = (options: {
  readonly area: RefObject<HTMLElement | null>
  readonly scale: RefObject<HTMLElement | null>
  readonly whole: number
  readonly span: Span
  readonly onZoom: (span: Span) => void
}): void => {
  // What happens between two pictures must build on each other.
  const latest = useRef(options)
  latest.current = options
  useLayoutEffect(() => {
    const area = options.area.current
    if (area === null) {
      return
    }
    const fingers = new Map<number, number>()
    const shareAt = (x: number): number => {
      const { left, width } = latest.current.scale.current!.getBoundingClientRect()
      return (x - left) / width
    }
    const set = (span: Span) => {
      latest.current = { ...latest.current, span }
      latest.current.onZoom(span)
    }
    const wheel = (event: WheelEvent) => {
      const { span, whole } = latest.current
      const share = shareAt(event.clientX)
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault()
        const around = span.from + Math.max(0, share) * (span.to - span.from)
        // A line of a mouse is 100 or so, a step of fingers on a pad a few.
        set(zoom(whole, span, Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) * 0.006), around))
      } else {
        const across = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX
        if (
          share >= 0 &&
          Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY) &&
          span.to - span.from < whole
        ) {
          event.preventDefault()
          set(pan(whole, span, across / 1000))
        }
      }
    }
    const spread = (): readonly [number, number] => {
      const [a = 0, b = 0] = Array.from(fingers.values())
      return a < b ? [a, b] : [b, a]
    }
    const down = (event: PointerEvent) => {
      if (event.pointerType === "touch") {
        fingers.set(event.pointerId, event.clientX)
      }
    }
    const move = (event: PointerEvent) => {
      if (fingers.has(event.pointerId)) {
        const [a, b] = spread()
        fingers.set(event.pointerId, event.clientX)
        if (fingers.size === 2) {
          const [c, d] = spread()
          const { span, whole } = latest.current
          const middle = span.from + shareAt((a + b) / 2) * (span.to - span.from)
          const zoomed = zoom(whole, span, Math.max(20, d - c) / Math.max(20, b - a), middle)
          set(pan(whole, zoomed, shareAt((a + b) / 2) - shareAt((c + d) / 2)))
        }
      }
    }
    const up = (event: PointerEvent) => void fingers.delete(event.pointerId)
    area.addEventListener("wheel", wheel, { passive: false })
    area.addEventListener("pointerdown", down)
    area.addEventListener("pointermove", move)
    area.addEventListener("pointerup", up)
    area.addEventListener("pointercancel", up)
    return () => {
      area.removeEventListener("wheel", wheel)
      area.removeEventListener("pointerdown", down)
      area.removeEventListener("pointermove", move)
      area.removeEventListener("pointerup", up)
      area.removeEventListener("pointercancel", up)
    }
  }, [options.area, options.scale])
}
