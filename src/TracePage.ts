/**
 * A trace as a page: one HTML file with everything in it, which asks no one for anything.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readFile } from "node:fs/promises"
import type { StoredSpan } from "./StoredSpan.ts"
import { harmless } from "./TerminalText.ts"
import { encode } from "./TracePageData.ts"
import type { Run } from "./TraceRun.ts"

/** The page cannot be made: what it is made of is not in this installation. */
export class TracePageError extends Schema.TaggedError<TracePageError>()("TracePageError", {
  page: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `The page "${this.page}" cannot be made: it is not in this installation. Install tinyllm again, or run "npm ci" in a clone.`
  }
}

/**
 * The spans of one trace as a page, to be written to a file. How it ended is by default what the spans tell. Fails with
 * `TracePageError` when the installation is not whole.
 */
export const render = Effect.fnUntraced(function* (
  spans: ReadonlyArray<StoredSpan>,
  status?: Run["outcome"] | undefined
) {
  const ended = status === undefined ? "" : ` data-status="${status}"`
  const html = yield* shell("trace")
  // As functions: in a text, `$&` would be the marker itself.
  return html
    .replace("<!--title-->", () => escape(title(spans)))
    .replace("<!--data-->", () => `<script type="application/json" id="trace"${ended}>${encode(spans)}</script>`)
})

/**
 * The HTML of a page as it was built, or, in a clone, as it is bundled now. `<!--title-->` and `<!--data-->` stand where
 * what it shows may be put.
 */
export const shell = (page: string): Effect.Effect<string, TracePageError> =>
  Effect.tryPromise({
    try: () => load(page),
    catch: (cause) => new TracePageError({ page, cause })
  })

/** What scripts/page.ts has, of which the library knows nothing when it is compiled. */
interface Bundler {
  readonly bundlePage: (page: string) => Promise<string>
}

const load = async (page: string): Promise<string> => {
  // Beside the library, and beside the folder of the command line.
  for (const path of [`./page/${page}.html`, `../page/${page}.html`]) {
    const text = await readFile(new URL(path, import.meta.url), "utf8").catch(() => undefined)
    if (text !== undefined) {
      return text
    }
  }
  // The bundler is there in a clone only, and must not end up in a bundle.
  const bundler = new URL("../scripts/page.ts", import.meta.url).href
  const { bundlePage } = (await import(bundler)) as Bundler
  return bundlePage(page)
}

const title = (spans: ReadonlyArray<StoredSpan>): string => {
  const ids = new Set(spans.map((span) => span.spanId))
  // Where spans are each other's parents there is no root.
  const root = spans.find((span) => span.parentSpanId === undefined || !ids.has(span.parentSpanId)) ?? spans[0]
  const graph = root?.attributes["graph.id"]
  const name = typeof graph === "string" ? graph : (root?.name ?? "trace")
  return `${harmless(name.slice(0, 100))} · ${(root?.traceId ?? "").slice(0, 8)} · TinyLLM`
}

const escape = (text: string): string =>
  text.replace(/[&<>]/g, (char) => (char === "&" ? "&amp;" : char === "<" ? "&lt;" : "&gt;"))
