/** What sort of work a span is: it says which colour it has, wherever it is drawn. */
import type { StoredSpan } from "../src/StoredSpan.ts"
import { text } from "../src/TraceTree.ts"

export type Kind =
  | "graph"
  | "decision"
  | "node"
  | "code"
  | "container"
  | "llm"
  | "load"
  | "wait"
  | "prompt"
  | "generate"
  | "tool"
  | "retry"
  | "server"
  | "client"
  | "data"
  | "other"

/** Nodes by their types; those of users do work of code as far as anybody knows. */
const nodeKinds: Readonly<Record<string, Kind>> = {
  agent: "node",
  branch: "decision",
  forEach: "container",
  gate: "decision",
  model: "node",
  object: "node",
  parallel: "container",
  race: "container",
  router: "decision",
  subgraph: "container"
}

const named: Readonly<Record<string, Kind>> = {
  "graph.execute": "graph",
  "ollama.load": "load",
  "ollama.wait": "wait",
  "ollama.prompt_eval": "prompt",
  "ollama.generate": "generate",
  "retry.attempt": "retry"
}

/** The kind of a node, by its type. */
export const ofType = (type: string): Kind => (Object.hasOwn(nodeKinds, type) ? nodeKinds[type]! : "code")

/** The kind of a span, of any OpenTelemetry program. */
export const of = (span: StoredSpan): Kind => {
  const { attributes, kind, name } = span
  if (Object.hasOwn(named, name)) {
    return named[name]!
  }
  if (name.startsWith("node.")) {
    return ofType(text(span, "node.type") ?? name.slice("node.".length))
  }
  const operation = text(span, "gen_ai.operation.name")
  if (operation === "execute_tool") {
    return "tool"
  }
  if (operation === "invoke_agent" || operation === "invoke_workflow") {
    return "graph"
  }
  if (name.startsWith("llm.") || operation !== undefined) {
    return "llm"
  }
  if (attributes["db.system"] !== undefined || attributes["db.system.name"] !== undefined) {
    return "data"
  }
  return kind === "server" || kind === "consumer"
    ? "server"
    : kind === "client" || kind === "producer"
      ? "client"
      : "other"
}

/** What tells a span from others of its name: a node, a model, a route. */
export const detail = (span: StoredSpan): string => {
  const first = (...keys: ReadonlyArray<string>): string =>
    keys.map((key) => text(span, key)).find((value) => value !== undefined) ?? ""
  const { name } = span
  if (name === "graph.execute") {
    return first("graph.id")
  }
  if (name.startsWith("node.")) {
    const route = span.events.find((event) => event.name === "router.decision")?.attributes["router.route"]
    return typeof route === "string" ? `${first("node.id")} → ${route}` : first("node.id")
  }
  if (name === "retry.attempt") {
    const attempt = span.attributes["retry.attempt"]
    return typeof attempt === "number" ? `attempt ${attempt}` : ""
  }
  if (name === "ollama.prompt_eval" || name === "ollama.generate") {
    const tokens = span.attributes["tinyllm.ollama.tokens"]
    return typeof tokens === "number" ? `${tokens} ${tokens === 1 ? "token" : "tokens"}` : ""
  }
  const other = first(
    "llm.model",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.tool.name",
    "gen_ai.agent.name",
    "http.route",
    "url.path",
    "url.full",
    "http.url",
    "db.query.summary",
    "db.operation.name",
    "rpc.method",
    "messaging.destination.name"
  )
  // Many programs have it in the name already.
  return name.includes(other) ? "" : other
}
