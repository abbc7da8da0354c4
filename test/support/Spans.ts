// Records spans in memory through Effect's own tracer: no OpenTelemetry, no clock but the test's.
import { Context, Effect, Layer, Option, Tracer } from "effect"

/** What was recorded, in the order in which spans started. */
export class Spans extends Context.Service<Spans, { readonly all: ReadonlyArray<Tracer.NativeSpan> }>()("test/Spans") {
  static readonly layer = Layer.effectContext(
    Effect.sync(() => {
      const all: Array<Tracer.NativeSpan> = []
      return Context.make(Spans, { all }).pipe(
        Context.add(
          Tracer.Tracer,
          Tracer.make({
            span: (options) => {
              const span = new Tracer.NativeSpan(options)
              all.push(span)
              return span
            }
          })
        )
      )
    })
  )
}

/** The spans of a name. */
export const named = (name: string) => Effect.map(Spans, ({ all }) => all.filter((span) => span.name === name))

/** The only span of a name. Dies when there are several, or none. */
export const only = (name: string) =>
  Effect.flatMap(named(name), (spans) => {
    const [span] = spans
    return span !== undefined && spans.length === 1
      ? Effect.succeed(span)
      : Effect.die(new Error(`expected one span "${name}", got ${spans.length}`))
  })

/** The name of a span's parent; `undefined` for a root. */
export const parentName = (span: Tracer.Span): string | undefined => {
  const parent = Option.getOrUndefined(span.parent)
  return parent?._tag === "Span" ? parent.name : undefined
}

/** Names and nesting, one line a span: two spaces for every level. */
export const tree = Effect.map(Spans, ({ all }) => {
  const lines = (parent: Tracer.Span | undefined, indent: string): ReadonlyArray<string> =>
    all
      .filter((span) => Option.getOrUndefined(span.parent) === parent)
      .flatMap((span) => [indent + span.name, ...lines(span, `${indent}  `)])
  return lines(undefined, "")
})

/** How a span ended. */
export const exitOf = (span: Tracer.Span) => (span.status._tag === "Ended" ? span.status.exit : undefined)

/** The names and attributes of a span's events, without the log lines that Effect's own loggers add. */
export const eventsOf = (span: Tracer.NativeSpan) =>
  span.events
    .map(([name, , attributes]) => ({ name, attributes }))
    .filter(({ attributes }) => attributes["effect.logLevel"] === undefined)
