/**
 * What the page shows, as the part of its address after `#`: it can be reloaded, kept and gone back to.
 */
import type { Filter } from "../../src/TraceUiData.ts"

export type Route =
  | { readonly view: "list"; readonly filter: Filter }
  | { readonly view: "trace"; readonly id: string }
  | { readonly view: "stats"; readonly filter: Filter }
  | { readonly view: "compare"; readonly a: string; readonly b: string }

export const everything: Filter = { failed: false, slowerThan: "", graph: "", since: "", text: "" }

/** The query part of an address for a filter, with its `?`; empty where everything is shown. */
export const query = (filter: Filter): string => {
  const parameters = new URLSearchParams()
  for (const [key, value] of Object.entries(filter)) {
    if (value !== "" && value !== false) {
      parameters.set(key, value === true ? "1" : value)
    }
  }
  const text = parameters.toString()
  return text === "" ? "" : `?${text}`
}

/** The address of a route. */
export const href = (route: Route): string => {
  switch (route.view) {
    case "list":
      return `#/${query(route.filter)}`
    case "stats":
      return `#/stats${query(route.filter)}`
    case "trace":
      return `#/trace/${route.id}`
    case "compare":
      return `#/compare/${route.a}/${route.b}`
  }
}

/** Reads an address; what is none leads to the list. */
export const parse = (hash: string): Route => {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2)
  const [view, a = "", b = ""] = path.split("/")
  const parameters = new URLSearchParams(search)
  const filter: Filter = {
    failed: parameters.get("failed") === "1",
    slowerThan: parameters.get("slowerThan") ?? "",
    graph: parameters.get("graph") ?? "",
    since: parameters.get("since") ?? "",
    text: parameters.get("text") ?? ""
  }
  if (view === "trace" && isId(a)) {
    return { view, id: a }
  }
  if (view === "compare" && isId(a) && isId(b)) {
    return { view, a, b }
  }
  return { view: view === "stats" ? "stats" : "list", filter }
}

const isId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text)
