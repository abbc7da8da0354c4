/**
 * The page of `tinyllm ui`.
 */
import { render } from "preact"
import { useEffect, useState } from "preact/hooks"
import { ListView } from "./ui/ListView.tsx"
import { LiveTrace } from "./ui/LiveTrace.tsx"
import * as Route from "./ui/Route.ts"

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
    default:
      return <ListView filter={"filter" in route ? route.filter : Route.everything} />
  }
}

render(<Page />, document.getElementById("page")!)
