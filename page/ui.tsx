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

render(<Page />, document.getElementById("page")!)
