/**
 * The spans of tools that models call: `execute_tool <name>`, around the handlers of a toolkit of `effect/ai`.
 *
 * `effect/ai` itself makes no span for a tool, and writes the raw arguments onto whatever span is open. Here they go
 * onto a span only where content is asked for.
 *
 * @since 0.1.0
 */
import type * as AiTool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import * as Json from "./Json.ts"
import * as Capture from "./Capture.ts"
import * as Messages from "./Messages.ts"
import * as Redaction from "./Redaction.ts"
import * as Span from "./Span.ts"
import * as Utf8 from "./Utf8.ts"

/**
 * A toolkit whose tools run in spans. They are below the span that is open when a tool is called, unless `parent` knows
 * another by then.
 */
export const traced = <Tools extends Record<string, AiTool.Any>>(
  toolkit: Toolkit.WithHandler<Tools>,
  parent: () => Tracer.AnySpan | undefined = () => undefined
): Toolkit.WithHandler<Tools> => {
  // A tool is `any` of them here: which one, and with it the types, is up to who calls.
  const handle = (name: string, params: never, callId?: string, options?: never) =>
    Effect.succeed(
      Stream.suspend(() => {
        const tool = Object.hasOwn(toolkit.tools, name) ? toolkit.tools[name] : undefined
        const parentSpan = parent()
        return Stream.unwrap(
          Effect.withFiber((fiber) => {
            // `Stream.withSpan` has put it there.
            const { span } = fiber.cache
            const own = span?._tag === "Span" ? span : undefined
            const capture = fiber.getRef(Capture.Current)
            const content = own !== undefined && capture?.attributes === true && Span.isRecording(own)
            if (content) {
              Span.set(own, { "gen_ai.tool.call.arguments": contentOf(params, capture) })
            }
            return Effect.map(
              own === undefined
                ? toolkit.handle(name, params, callId, options)
                : unannotated(own, toolkit.handle(name, params, callId, options)),
              Stream.tap((result: AiTool.HandlerResult<AiTool.Any>) => {
                if (content && !result.preliminary) {
                  Span.set(own, { "gen_ai.tool.call.result": contentOf(result.encodedResult, capture) })
                }
                // Told to the model instead of failing, but the tool failed all the same.
                return result.isFailure ? Span.error(result.result) : Effect.void
              })
            )
          })
        ).pipe(
          // Of a tool that a model made up, the name could be anything: it is what the model wrote.
          Stream.withSpan(tool === undefined ? "execute_tool" : `execute_tool ${name}`, {
            kind: "internal",
            ...Span.quiet,
            ...(parentSpan === undefined ? {} : { parent: parentSpan }),
            attributes: Span.defined(
              Span.toolCall({ name: tool === undefined ? "unknown" : name, callId, description: tool?.description })
            )
          })
        )
      })
    )
  return { tools: toolkit.tools, handle: handle as unknown as Toolkit.WithHandler<Tools>["handle"] }
}

/**
 * Runs the beginning of a tool call, in which `effect/ai` annotates the span with the tool and its raw arguments, without
 * these. The handler itself starts only afterwards, and sees the span as it is.
 */
const unannotated = <A, E, R>(span: Tracer.Span, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const own = Object.getOwnPropertyDescriptor(span, "attribute")
    const original = span.attribute.bind(span)
    const attribute = (key: string, value: unknown) =>
      key === "tool" || key === "parameters" ? undefined : original(key, value)
    Object.defineProperty(span, "attribute", { value: attribute, configurable: true, writable: true })
    return Effect.ensuring(
      self,
      Effect.sync(() =>
        own === undefined ? Reflect.deleteProperty(span, "attribute") : Object.defineProperty(span, "attribute", own)
      )
    )
  })

/** As JSON, without secrets; what is too long is the text of its beginning. */
const contentOf = (value: unknown, capture: Capture.Capture): string => {
  const json = Result.getOrElse(
    Result.try(() => JSON.stringify(value, Redaction.hidden)),
    () => undefined
  )
  const text = typeof value === "string" ? value : (json ?? "null")
  const started = Redaction.start(text, capture.bytes, capture.redact)
  return typeof value !== "string" && Utf8.bytes(started) <= capture.bytes && Json.isJson(started)
    ? started
    : JSON.stringify(Messages.cut(started, capture.bytes - 2))
}
