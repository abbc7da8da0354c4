/**
 * A view that the server keeps up to date, by server-sent events.
 */
import { useEffect, useRef, useState } from "preact/hooks"

/** Whether the server is heard. */
export type Connection = "opening" | "open" | "lost" | "refused"

/** What becomes of an event, by its type. */
export type Handlers = Readonly<Record<string, (data: never) => void>>

/**
 * Follows `live/<path>` while the page is seen.
 *
 * A page that nobody looks at lets go of its connection, of which a browser has six for one server, and goes on later
 * from the last event that it got. One that was cut off connects again by itself.
 */
export const useLive = (path: string, handlers: Handlers): Connection => {
  const [connection, setConnection] = useState<Connection>("opening")
  const current = useRef(handlers)
  current.current = handlers
  useEffect(() => {
    let source: EventSource | undefined
    let last = ""
    const open = () => {
      const separator = path.includes("?") ? "&" : "?"
      const events = new EventSource(
        `live/${path}${last === "" ? "" : `${separator}after=${encodeURIComponent(last)}`}`
      )
      source = events
      events.addEventListener("open", () => setConnection("open"))
      events.addEventListener("error", () =>
        setConnection(events.readyState === EventSource.CLOSED ? "refused" : "lost")
      )
      for (const type of Object.keys(current.current)) {
        events.addEventListener(type, (event: MessageEvent<string>) => {
          last = event.lastEventId
          current.current[type]?.(JSON.parse(event.data) as never)
        })
      }
    }
    const close = () => {
      source?.close()
      source = undefined
    }
    const look = () => {
      if (document.visibilityState === "hidden") {
        close()
      } else if (source === undefined) {
        open()
      }
    }
    setConnection("opening")
    look()
    document.addEventListener("visibilitychange", look)
    return () => {
      document.removeEventListener("visibilitychange", look)
      close()
    }
  }, [path])
  return connection
}
