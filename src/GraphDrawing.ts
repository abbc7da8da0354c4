/**
 * Graphs as pictures.
 *
 * @since 0.1.0
 */
import * as MermaidText from "./MermaidText.ts"
import * as NodeType from "./NodeType.ts"

/** What is drawn of a graph. */
interface Drawn {
  readonly nodes: Readonly<Record<string, NodeType.Any>>
  readonly start: string
  readonly edges: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

/** A Mermaid flowchart. The steps and edges of `path` are drawn bold, with how often each was taken. */
export const toMermaid = (
  graph: Drawn,
  path: ReadonlyArray<{ readonly node: string; readonly route: string | undefined }>
): string => {
  const names = Object.keys(graph.nodes)
  const ids = new Map(names.map((name, index) => [name, `n${index}`]))
  const visits = (node: string) => path.filter((visit) => visit.node === node).length
  const taken = (node: string, route: string | undefined) =>
    path.filter((visit) => visit.node === node && visit.route === route).length

  const lines = ["flowchart TD", `  start(("start")) --> ${ids.get(graph.start)}`]
  const bold: Array<number> = path.length > 0 ? [0] : []
  let edges = 1
  for (const name of names) {
    const id = ids.get(name)!
    const label = MermaidText.label(`${name}\n${graph.nodes[name]!.type}${MermaidText.times(visits(name))}`)
    lines.push(NodeType.isRouter(graph.nodes[name]) ? `  ${id}{"${label}"}` : `  ${id}["${label}"]`)
    const edge = graph.edges[name]!
    const ways = typeof edge === "string" ? [[undefined, edge] as const] : Object.entries(edge)
    for (const [route, target] of ways) {
      const count = taken(name, route)
      const text = `${route ?? ""}${MermaidText.times(count)}`.trim()
      lines.push(`  ${id} -->${text === "" ? "" : `|"${MermaidText.label(text)}"|`} ${ids.get(target) ?? "end_"}`)
      if (count > 0) {
        bold.push(edges)
      }
      edges++
    }
  }
  lines.push(`  end_(("end"))`)
  const visited = names.filter((name) => visits(name) > 0).map((name) => ids.get(name))
  if (visited.length > 0) {
    lines.push("  classDef visited stroke-width:4px", `  class ${visited.join(",")} visited`)
    lines.push(`  linkStyle ${bold.join(",")} stroke-width:4px`)
  }
  return lines.join("\n")
}
