/** Search, levels and zoom. */
import type { RefObject } from "preact"
import type { TraceNode } from "../src/TraceTree.ts"
import { integer } from "./format.ts"

export interface ToolbarProps {
  readonly search: RefObject<HTMLInputElement | null>
  readonly query: string
  readonly matches: ReadonlyArray<TraceNode> | undefined
  readonly selected: TraceNode | undefined
  /** Levels of the tree. */
  readonly deepest: number
  readonly zoomed: boolean
  readonly onQuery: (query: string) => void
  readonly onMatch: (by: 1 | -1) => void
  /** `undefined` for all of them. */
  readonly onLevel: (level: number | undefined) => void
  /** `undefined` for all of it. */
  readonly onZoom: (factor: number | undefined) => void
  readonly onLeave: () => void
}

export const Toolbar = (props: ToolbarProps) => {
  const { deepest, matches, onLeave, onLevel, onMatch, onQuery, onZoom, query, search, selected, zoomed } = props
  const place = matches === undefined || selected === undefined ? -1 : matches.indexOf(selected)
  return (
    <div class="toolbar" role="toolbar" aria-label="Waterfall">
      <div class="search" role="search">
        <input
          ref={search}
          type="search"
          placeholder="Search names, attributes, errors"
          aria-label="Search spans"
          aria-keyshortcuts="/"
          spellcheck={false}
          autocomplete="off"
          value={query}
          onInput={(event) => onQuery(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") {
              event.preventDefault()
              onMatch(event.shiftKey ? -1 : 1)
            } else if (event.key === "Escape") {
              event.preventDefault()
              onQuery("")
              onLeave()
            } else if (event.key === "ArrowDown") {
              event.preventDefault()
              onLeave()
            }
          }}
        />
        <output aria-live="polite">
          {matches === undefined
            ? ""
            : matches.length === 0
              ? "none"
              : place === -1
                ? integer(matches.length)
                : `${integer(place + 1)} of ${integer(matches.length)}`}
        </output>
        {matches !== undefined && matches.length > 0 && (
          <>
            <button type="button" aria-label="Previous match" title="The one before (p)" onClick={() => onMatch(-1)}>
              ↑
            </button>
            <button type="button" aria-label="Next match" title="The next one (n)" onClick={() => onMatch(1)}>
              ↓
            </button>
          </>
        )}
      </div>
      <div class="group">
        <button type="button" title="Expand all (e)" onClick={() => onLevel(undefined)}>
          Expand
        </button>
        <button type="button" title="Collapse all (c)" onClick={() => onLevel(1)}>
          Collapse
        </button>
        <select
          aria-label="Levels to expand"
          title="Expand so many levels (1 … 9)"
          value=""
          onChange={(event) => {
            const { value } = event.currentTarget
            event.currentTarget.value = ""
            onLevel(value === "all" ? undefined : Number(value))
          }}
        >
          <option value="" disabled hidden>
            Level
          </option>
          {Array.from({ length: Math.min(9, deepest) }, (_, index) => (
            <option key={index} value={index + 1}>
              {index + 1}
            </option>
          ))}
          <option value="all">all</option>
        </select>
      </div>
      <div class="group">
        <button type="button" aria-label="Zoom out" title="Zoom out (−)" disabled={!zoomed} onClick={() => onZoom(0.5)}>
          −
        </button>
        <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => onZoom(2)}>
          +
        </button>
        <button type="button" title="Show all of it (0)" disabled={!zoomed} onClick={() => onZoom(undefined)}>
          Fit
        </button>
      </div>
    </div>
  )
}
