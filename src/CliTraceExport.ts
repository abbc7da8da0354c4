/**
 * `tinyllm trace export`: a trace for other tools, for a browser, or for Markdown.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CommandFailed } from "./CliError.ts"
import type { ExportFlags } from "./CliTraceFlags.ts"
import * as CliTraceStore from "./CliTraceStore.ts"
import * as OtlpTraces from "./OtlpTraces.ts"
import * as OutputFile from "./OutputFile.ts"
import { Stdout } from "./Stdout.ts"
import { TraceStore } from "./TraceStore.ts"

/** Writes a trace to standard output or to a file, which is then there as a whole. */
export const write = (flags: ExportFlags) =>
  Effect.gen(function* () {
    const stdout = yield* Stdout
    const file = Option.getOrUndefined(flags.output)
    if (file === undefined && flags.force) {
      return yield* new CommandFailed({ text: "--force replaces a file: name it with --output.", exitCode: 2 })
    }
    const text = yield* textOf(flags)
    return yield* file === undefined ? stdout.write(text) : OutputFile.write(file, text, { force: flags.force })
  }).pipe(CliTraceStore.provide)

const textOf = Effect.fnUntraced(function* ({ format, id }: ExportFlags) {
  const store = yield* TraceStore
  switch (format) {
    case "otlp-json": {
      // One object a line, as the file exporter of the OpenTelemetry Collector writes it.
      // https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
      const raw = yield* store.raw(yield* store.resolve(id.trim()))
      return `${JSON.stringify(yield* Effect.fromResult(OtlpTraces.toJson(raw)))}\n`
    }
    case "html": {
      const { render } = yield* Effect.promise(() => import("./TracePage.ts"))
      const traceId = yield* store.resolve(id.trim())
      return yield* render(yield* store.read(traceId), (yield* store.summary(traceId)).status)
    }
    case "mermaid": {
      const { draw } = yield* Effect.promise(() => import("./TraceMermaid.ts"))
      return `${draw(yield* CliTraceStore.read(id))}\n`
    }
  }
})
