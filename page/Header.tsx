/** What trace it is, and how it ended. */
import type { ComponentChildren } from "preact"
import { useState } from "preact/hooks"
import type { Facts } from "../src/TraceRun.ts"
import { asText, errors, outcome, type TraceNode, type TraceTree } from "../src/TraceTree.ts"
import { line, moment } from "./format.ts"
import type { Theme } from "./hooks.ts"

export interface HeaderProps {
  readonly tree: TraceTree
  readonly facts: Facts
  readonly live: boolean
  readonly status: string | undefined
  /** Where the error arose that it failed with, to say here what it was. */
  readonly failure: TraceNode | undefined
  readonly onFailure: (at: TraceNode) => void
  readonly before: ComponentChildren
  readonly controls: ComponentChildren
  readonly theme: Theme
  readonly onTheme: () => void
  readonly onHelp: () => void
}

export const Header = ({
  before,
  controls,
  facts,
  failure,
  live,
  onFailure,
  onHelp,
  onTheme,
  status,
  theme,
  tree
}: HeaderProps) => {
  const [root] = tree.roots
  const [run] = facts.runs
  const services = new Set(tree.nodes.map(({ span }) => asText(span.resource["service.name"]) ?? "unknown"))
  const names = Array.from(services)
  // Without its root, nobody knows how it ended.
  const isPartial = root === undefined || (status ?? run?.outcome) === "running"
  const known = status === "ok" || status === "error" || status === "interrupted" ? status : undefined
  const ended = live ? "running" : isPartial ? "partial" : (known ?? outcome(root.span))
  return (
    <header class="header">
      {before}
      <div class="title">
        <h1>
          {root === undefined ? "No spans" : line(run?.graph ?? root.span.name)}
          <span class={`pill ${ended}`}>{endings[ended]}</span>
        </h1>
        {run?.task !== undefined && <p class="task">{line(run.task, 300)}</p>}
        <p class="meta">
          <span>{moment(tree.startNanos)}</span>
          <span>
            {line(names.slice(0, 3).join(", "))}
            {names.length > 3 && ` and ${names.length - 3} more`}
          </span>
          <TraceId id={tree.traceId} />
        </p>
        {ended === "error" && failure !== undefined && (
          <button type="button" class="failed-with" onClick={() => onFailure(failure)} title="Go to it">
            <span>{said(failure)}</span>
          </button>
        )}
        {/* In one that runs, what contains others comes after them. */}
        {tree.missingParents.length > 0 && !live && (
          <p class="notice">
            Not all of the trace is here: {tree.missingParents.length === 1 ? "a span" : "spans"} that others name as
            their parent {tree.missingParents.length === 1 ? "is" : "are"} missing.
          </p>
        )}
      </div>
      <div class="controls">
        {controls}
        <button
          type="button"
          onClick={onTheme}
          aria-label={theme === "dark" ? "Light colours" : "Dark colours"}
          title="Light or dark (t)"
        >
          {theme === "dark" ? <Sun /> : <Moon />}
        </button>
        <button type="button" onClick={onHelp} aria-label="Keys" title="Keys (?)">
          ?
        </button>
      </div>
    </header>
  )
}

/** What a span failed with. */
const said = (at: TraceNode): string => {
  const [error] = errors(at)
  return line([error?.type ?? "Error", error?.message ?? ""].filter((part) => part !== "").join(": "), 300)
}

const endings = {
  ok: "completed",
  error: "failed",
  interrupted: "interrupted",
  running: "running",
  partial: "incomplete"
}

const TraceId = ({ id }: { readonly id: string }) => {
  const [copied, setCopied] = useState(false)
  return (
    <button
      type="button"
      class="trace-id"
      title="Copy"
      aria-label={`Trace id ${id}, copy`}
      onClick={() => {
        // Not allowed everywhere; the id is there to be selected.
        void navigator.clipboard?.writeText(id).then(
          () => setCopied(true),
          () => undefined
        )
      }}
    >
      {line(id)}
      <span aria-live="polite">{copied ? " copied" : ""}</span>
    </button>
  )
}

const Sun = () => (
  <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="icon">
    <circle cx="8" cy="8" r="3" />
    <path d="M8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13" />
  </svg>
)

const Moon = () => (
  <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="icon">
    <path d="M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3Z" />
  </svg>
)
