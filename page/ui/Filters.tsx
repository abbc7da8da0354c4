/**
 * Which traces are shown. What is chosen becomes part of the page's address.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import type { Filter } from "../../src/TraceUiData.ts"
import { everything, query } from "./Route.ts"

export const Filters = ({
  filter,
  graphs,
  only,
  to
}: {
  readonly filter: Filter
  /** Names of graphs to offer. */
  readonly graphs: ReadonlyArray<string>
  /** The fields to show, all by default. */
  readonly only?: ReadonlyArray<keyof Filter> | undefined
  /** The address of another filter. */
  readonly to: (filter: Filter) => string
}) => {
  const [draft, setDraft] = useState(filter)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const asked = useRef<string>(undefined)
  const address = query(filter)
  useLayoutEffect(() => {
    // What was asked for from here is what was typed, or older than that. Whoever went elsewhere means that.
    if (location.hash !== asked.current) {
      asked.current = undefined
      clearTimeout(timer.current)
      setDraft(filter)
    }
  }, [address])
  useEffect(() => () => clearTimeout(timer.current), [])
  const change = (part: Partial<Filter>, wait: number) => {
    const next = { ...draft, ...part }
    setDraft(next)
    clearTimeout(timer.current)
    // An address for each letter would have to be gone back through.
    timer.current = setTimeout(() => {
      asked.current = to(next)
      location.replace(asked.current)
    }, wait)
  }
  const shows = (field: keyof Filter) => only === undefined || only.includes(field)
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      {shows("text") ? (
        <label class="grow">
          <span>Search</span>
          <input
            type="search"
            placeholder="query, model, name or id"
            value={draft.text}
            onInput={(event) => change({ text: event.currentTarget.value }, 200)}
          />
        </label>
      ) : null}
      {shows("graph") ? (
        <label class="graph">
          <span>Graph</span>
          <input
            type="text"
            list="graphs"
            placeholder="any"
            value={draft.graph}
            onInput={(event) => change({ graph: event.currentTarget.value }, 200)}
          />
          <datalist id="graphs">
            {graphs.map((graph) => (
              <option key={graph} value={graph} />
            ))}
          </datalist>
        </label>
      ) : null}
      {shows("since") ? (
        <Choice name="Since" value={draft.since} choices={times} choose={(since) => change({ since }, 0)} />
      ) : null}
      {shows("slowerThan") ? (
        <Choice
          name="Slower than"
          value={draft.slowerThan}
          choices={durations}
          choose={(slowerThan) => change({ slowerThan }, 0)}
        />
      ) : null}
      {shows("failed") ? (
        <label class="check">
          <input
            type="checkbox"
            checked={draft.failed}
            onChange={(event) => change({ failed: event.currentTarget.checked }, 0)}
          />
          <span>Failed only</span>
        </label>
      ) : null}
      {address === "" ? null : (
        <button type="button" onClick={() => change(everything, 0)}>
          Show all
        </button>
      )}
    </form>
  )
}

const times: ReadonlyArray<readonly [value: string, text: string]> = [
  ["", "ever"],
  ["15m", "15 minutes ago"],
  ["1h", "an hour ago"],
  ["1d", "a day ago"],
  ["7d", "a week ago"]
]

const durations: ReadonlyArray<readonly [value: string, text: string]> = [
  ["", "any"],
  ["100ms", "100 ms"],
  ["1s", "1 s"],
  ["5s", "5 s"],
  ["30s", "30 s"],
  ["2m", "2 min"]
]

const Choice = ({
  choices,
  choose,
  name,
  value
}: {
  readonly name: string
  readonly value: string
  readonly choices: ReadonlyArray<readonly [value: string, text: string]>
  readonly choose: (value: string) => void
}) => (
  <label>
    <span>{name}</span>
    <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
      {(choices.some(([known]) => known === value) ? choices : [...choices, [value, value] as const]).map(
        ([known, text]) => (
          <option key={known} value={known}>
            {text}
          </option>
        )
      )}
    </select>
  </label>
)
