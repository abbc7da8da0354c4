/** The errors of a trace on paper. */
import * as TraceTree from "../src/TraceTree.ts"
import { cut, line, visible } from "./format.ts"

/** On paper nothing can be selected, and errors are what one looks for. */
export const PrintedErrors = ({ nodes }: { readonly nodes: ReadonlyArray<TraceTree.TraceNode> }) => {
  const failed = nodes.flatMap((at) => TraceTree.errors(at).map((error) => ({ at, error })))
  return failed.length === 0 ? null : (
    <section class="printed">
      <h2>Errors</h2>
      {failed.slice(0, 50).map(({ at, error }, index) => (
        <article key={index}>
          <h3>
            {line(at.span.name)}: {line(error.type ?? "Error")}
          </h3>
          <p>{visible(cut(error.message, 2000))}</p>
          {error.stack !== undefined && <pre>{visible(cut(error.stack, 4000))}</pre>}
        </article>
      ))}
    </section>
  )
}
