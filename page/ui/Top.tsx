/** The head of a view, with the way to the other one. What is chosen in both stays chosen. */
import type { Filter } from "../../src/TraceUiData.ts"
import { everything, href } from "./Route.ts"
import { ThemeButton } from "./ThemeButton.tsx"

export const Top = ({ filter, view }: { readonly filter: Filter; readonly view: "list" | "stats" | "compare" }) => {
  const common = { ...everything, graph: filter.graph, since: filter.since, failed: filter.failed }
  return (
    <header class="top">
      <h1>{titles[view]}</h1>
      <nav>
        {view === "list" ? null : <a href={href({ view: "list", filter: common })}>Traces</a>}
        {view === "stats" ? null : <a href={href({ view: "stats", filter: common })}>Statistics</a>}
      </nav>
      <ThemeButton />
    </header>
  )
}

const titles = { list: "Traces", stats: "Statistics", compare: "Two traces" }
