/**
 * `tinyllm models show`: what the server says about one model.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { failed } from "./CliError.ts"
import type { ShowFlags } from "./CliFlags.ts"
import * as CliTable from "./CliTable.ts"
import * as NodeClient from "./NodeClient.ts"
import { type ModelInfo, Ollama } from "./Ollama.ts"
import { harmless } from "./SpanPrinter.ts"
import { Stdout } from "./Stdout.ts"

/** Prints what is known of a model, or with `--json` what the server said, as it came. */
export const show = (flags: ShowFlags) =>
  Effect.gen(function* () {
    const stdout = yield* Stdout
    const ollama = yield* Ollama
    const info = yield* ollama.show(flags.name)
    yield* stdout.write(flags.json ? CliTable.json(info.raw) : readable(flags.name, info))
    // Of a model in the cloud, a local server asks there too.
  }).pipe(Effect.provide(NodeClient.layerConfigWith({ allowRemote: flags.allowRemote })), Effect.mapError(failed))

const readable = (name: string, info: ModelInfo): string => {
  const facts: ReadonlyArray<readonly [string, string | number | undefined]> = [
    ["Name", name],
    ["Family", info.family],
    ["Parameters", info.parameterSize],
    ["Quantization", info.quantization],
    ["Context", info.contextLength === undefined ? undefined : `${info.contextLength} tokens`],
    ["Embedding", info.embeddingLength === undefined ? undefined : `${info.embeddingLength} numbers`],
    ["Capabilities", info.capabilities?.join(", ")],
    ["Made from", info.parent],
    ["Needs", info.requires === undefined ? undefined : `Ollama ${info.requires}`],
    ["Runs on", info.remote ? "ollama.com" : undefined],
    ["Modified", info.modifiedAt?.slice(0, 10)],
    ["Settings", info.parameters],
    ["System", info.system],
    ["License", firstLine(info.license)]
  ]
  return facts
    .map(([label, value]) => (value === undefined || value === "" ? "" : entry(label, String(value))))
    .join("")
}

/** A fact of one line, or of several below each other. */
const entry = (label: string, value: string): string =>
  value
    .trimEnd()
    .split("\n")
    .map((line, index) => `${(index === 0 ? label : "").padEnd(14)}${harmless(line.replace(/ {2,}/g, " "))}`.trimEnd())
    .join("\n")
    .concat("\n")

// Licences are pages long.
const firstLine = (text: string | undefined): string | undefined => {
  const lines =
    text
      ?.split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "") ?? []
  return lines.length > 1 ? `${lines[0]} …` : lines[0]
}
