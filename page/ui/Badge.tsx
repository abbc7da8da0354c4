/** How a trace ended, in a word. */
import type { Row } from "../../src/TraceUiData.ts"

export const Badge = ({ status }: { readonly status: Row["status"] }) => (
  <span class={`pill ${status}`}>{words[status]}</span>
)

const words = { ok: "completed", error: "failed", interrupted: "interrupted", running: "running" }
