/** What the page keeps, and what it notices of its surroundings. */
import type { RefObject } from "preact"
import { useCallback, useEffect, useLayoutEffect, useState } from "preact/hooks"

/** Whether a media query holds. */
export const useMedia = (query: string): boolean => {
  const [holds, setHolds] = useState(() => matchMedia(query).matches)
  useLayoutEffect(() => {
    const list = matchMedia(query)
    const changed = () => setHolds(list.matches)
    list.addEventListener("change", changed)
    changed()
    return () => list.removeEventListener("change", changed)
  }, [query])
  return holds
}

/** The width of an element, in pixels, as it is now. */
export const useWidth = (element: RefObject<HTMLElement | null>): number => {
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setWidth(element.current?.clientWidth ?? 0))
    observer.observe(element.current!)
    setWidth(element.current!.clientWidth)
    return () => observer.disconnect()
  }, [element])
  return width
}

/** Whether the page is being printed. */
export const usePrinting = (): boolean => {
  const media = useMedia("print")
  const [asked, setAsked] = useState(false)
  useEffect(() => {
    const before = () => setAsked(true)
    const after = () => setAsked(false)
    window.addEventListener("beforeprint", before)
    window.addEventListener("afterprint", after)
    return () => {
      window.removeEventListener("beforeprint", before)
      window.removeEventListener("afterprint", after)
    }
  }, [])
  return media || asked
}

export type Theme = "light" | "dark"

const key = "tinyllm-theme"

/** The theme of the page: that of the system, until somebody chooses, and then for good where the browser lets us. */
export const useTheme = (): readonly [theme: Theme, toggle: () => void] => {
  const [chosen, setChosen] = useState(remembered)
  const dark = useMedia("(prefers-color-scheme: dark)")
  const theme = chosen ?? (dark ? "dark" : "light")
  useLayoutEffect(() => {
    document.documentElement.style.colorScheme = theme
  }, [theme])
  const toggle = useCallback(() => {
    const next = theme === "dark" ? "light" : "dark"
    setChosen(next)
    try {
      localStorage.setItem(key, next)
    } catch {
      // There is none in a file that a browser shows without one; then it is chosen for this time.
    }
  }, [theme])
  return [theme, toggle]
}

const remembered = (): Theme | undefined => {
  try {
    const known = localStorage.getItem(key)
    return known === "light" || known === "dark" ? known : undefined
  } catch {
    return undefined
  }
}
