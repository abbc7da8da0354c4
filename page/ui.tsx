/**
 * The page of `tinyllm ui`.
 */
import { render } from "preact"
import { useEffect, useState } from "preact/hooks"
import { CompareView } from "./ui/CompareView.tsx"
import { ListView } from "./ui/ListView.tsx"
import { LiveTrace } from "./ui/LiveTrace.tsx"
import * as Route from "./ui/Route.ts"
import { StatsView } from "./ui/StatsView.tsx"

const Page = () => {
  const [route, setRoute] = useState(() => Route.parse(location.hash))
  useEffect(() => {
    const change = () => setRoute(Route.parse(location.hash))
    addEventListener("hashchange", change)
    return () => removeEventListener("hashchange", change)
  }, [])
  useEffect(() => {
    document.title = `${titleOf(route)} · TinyLLM`
  }, [route])
  switch (route.view) {
    case "trace":
      return <LiveTrace key={route.id} id={route.id} />
    case "stats":
      return <StatsView filter={route.filter} />
    case "compare":
      return <CompareView key={Route.href(route)} a={route.a} b={route.b} />
    default:
      return <ListView filter={route.filter} />
  }
}

const titleOf = (route: Route.Route): string => {
  switch (route.view) {
    case "trace":
      return `Trace ${route.id.slice(0, 8)}`
    case "compare":
      return `${route.a.slice(0, 8)} and ${route.b.slice(0, 8)}`
    case "stats":
      return "Statistics"
    case "list":
      return "Traces"
  }
}

render(<Page />, document.getElementById("page")!)
