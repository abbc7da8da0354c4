/** The page that `tinyllm trace open` writes: one trace, which stands in the page itself. */
import { render } from "preact"
import { decode } from "../src/TracePageData.ts"
import { TraceView } from "./TraceView.tsx"

const data = document.getElementById("trace")
const place = document.getElementById("page")
if (place !== null) {
  render(<TraceView spans={decode(data?.textContent ?? "")} status={data?.dataset["status"]} />, place)
}
