/**
 * One trace, which grows while it runs.
 */
import { useEffect, useState } from "preact/hooks"
import { decode } from "../../src/TracePageData.ts"
import type { StoredSpan } from "../../src/StoredSpan.ts"
import { TraceView } from "../TraceView.tsx"
import { useLive } from "./Live.ts"
import { memory } from "./Memory.ts"
import { Notice } from "./Notice.tsx"
import { href } from "./Route.ts"

interface State {
  readonly spans: ReadonlyArray<StoredSpan>
  readonly running: boolean
  readonly gone: boolean
}

export const LiveTrace = ({ id }: { readonly id: string }) => {
  const [state, setState] = useState<State | undefined>(undefined)
  const [trouble, setTrouble] = useState<string | null>(null)
  const connection = useLive(`trace/${id}`, {
    spans: ({ running, spans }: { readonly spans: string; readonly running: boolean }) => {
      setTrouble(null)
      setState((before) => ({ spans: add(before?.spans ?? [], decode(spans)), running, gone: false }))
    },
    gone: () => setState((before) => ({ spans: before?.spans ?? [], running: false, gone: true })),
    trouble: setTrouble
  })
  useEffect(() => {
    memory.trace = id
  }, [id])
  const back = (
    <a class="back" href={href({ view: "list", filter: memory.filter })}>
      ← <span>Traces</span>
    </a>
  )
  const spans = state?.spans ?? []
  const said = state?.gone === true && spans.length > 0 ? "This trace is no longer in the store." : trouble
  return (
    <>
      <Notice connection={connection} trouble={said} />
      {spans.length > 0 ? (
        <TraceView spans={spans} live={state?.running === true} before={back} />
      ) : state?.gone === true ? (
        <main class="ui">
          <header class="top">{back}</header>
          <p class="empty">There is no such trace in the store: it was removed, or never came.</p>
        </main>
      ) : null}
    </>
  )
}

/** Spans that came before stay where they are, and one that came twice is there once. */
const add = (before: ReadonlyArray<StoredSpan>, more: ReadonlyArray<StoredSpan>): ReadonlyArray<StoredSpan> => {
  const known = new Set(before.map(({ spanId }) => spanId))
  const added = more.filter(({ spanId }) => !known.has(spanId))
  return added.length === 0 ? before : [...before, ...added]
}
