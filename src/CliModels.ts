/**
 * `tinyllm models`: lists the models that are installed.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { failed } from "./CliError.ts"
import * as NodeClient from "./NodeClient.ts"
import { Ollama } from "./Ollama.ts"
import { displayWidth, harmless } from "./SpanPrinter.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"

/** Prints a table of the installed models, the newest first. */
export const models = Effect.gen(function* () {
  const stdout = yield* Stdout
  const stderr = yield* Stderr
  const ollama = yield* Ollama
  const installed = yield* ollama.models
  if (installed.length === 0) {
    stderr.write(
      `tinyllm: no models are installed at ${ollama.url}. Install one, for example "ollama pull qwen2.5:0.5b".\n`
    )
    return
  }
  const rows = installed.map((model) => [
    model.name,
    size(model.bytes),
    model.parameterSize ?? "-",
    model.quantization ?? "-",
    model.modifiedAt?.slice(0, 10) ?? "-"
  ])
  yield* stdout.write(table([["NAME", "SIZE", "PARAMETERS", "QUANTIZATION", "MODIFIED"], ...rows]))
}).pipe(Effect.provide(NodeClient.layerConfig), Effect.mapError(failed))

const size = (bytes: number | undefined): string => {
  if (bytes === undefined) {
    return "-"
  }
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`
}

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = rows.map((row) => row.map(harmless))
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => displayWidth(row[column] ?? "")))) ?? []
  const padded = (cell: string, column: number) => cell + " ".repeat((widths[column] ?? 0) - displayWidth(cell))
  return cells.map((row) => `${row.map(padded).join("  ").trimEnd()}\n`).join("")
}
