/** Finding spans by what they say. */
import type { StoredSpan, Value, Values } from "../src/StoredSpan.ts"
import type { TraceNode } from "../src/TraceTree.ts"

/** The spans that say all words of a query somewhere: in names, ids, attributes, events and errors. */
export const find = (nodes: ReadonlyArray<TraceNode>, query: string): ReadonlyArray<TraceNode> => {
  const words = query
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")
  return words.length === 0
    ? []
    : nodes.filter(({ span }) => {
        const text = textOf(span)
        return words.every((word) => text.includes(word))
      })
}

// Put together when it is first asked for, and kept: a search is one for each letter that is typed.
const texts = new WeakMap<StoredSpan, string>()

const textOf = (span: StoredSpan): string => {
  const known = texts.get(span)
  if (known !== undefined) {
    return known
  }
  const parts = [span.name, span.spanId, span.kind, span.status.message]
  if (span.status.code === "error") {
    parts.push("error")
  }
  addAll(parts, span.attributes)
  for (const event of span.events) {
    parts.push(event.name)
    addAll(parts, event.attributes)
  }
  const service = span.resource["service.name"]
  if (typeof service === "string") {
    parts.push(service)
  }
  const text = parts.join("\n").toLowerCase()
  texts.set(span, text)
  return text
}

const addAll = (parts: Array<string>, values: Values): void => {
  for (const [key, value] of Object.entries(values)) {
    // As one writes it to find just this: `llm.model=qwen2.5:3b`.
    parts.push(`${key}=${plain(value)}`)
  }
}

/** A value as text, on one line. */
export const plain = (value: Value): string =>
  typeof value === "string"
    ? value
    : value instanceof Uint8Array
      ? Array.from(value.subarray(0, 1000), (byte) => byte.toString(16).padStart(2, "0")).join(" ")
      : typeof value === "object" && value !== null
        ? JSON.stringify(value, (_, inner: unknown) =>
            typeof inner === "bigint" ? inner.toString() : inner instanceof Uint8Array ? plain(inner) : inner
          )
        : String(value)
