/**
 * Tables and JSON for standard output: columns that fit a terminal, and nothing that drives one.
 *
 * @since 0.1.0
 */
import { cut, displayWidth, harmless } from "./TerminalText.ts"

export { cut } from "./TerminalText.ts"

/** One column. */
export interface Column {
  readonly name: string
  /** Where there is no room, the column with the highest number goes first; one without stays. */
  readonly gives?: number | undefined
}

/** A table, in full where `width` is `undefined`; else of lines that are so wide at most, without the columns `leftOut`. */
export const table = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  width: number | undefined
): { readonly text: string; readonly leftOut: ReadonlyArray<string> } => {
  const all = columns.map(({ gives, name }, index) => {
    const cells = [name, ...rows.map((row) => harmless(row[index] ?? ""))]
    return { name, gives: gives ?? 0, cells, width: Math.max(...cells.map(displayWidth)) }
  })
  const room = width ?? Number.POSITIVE_INFINITY
  const total = (shown: typeof all) => shown.reduce((sum, column) => sum + column.width + 2, -2)
  let shown = all
  while (total(shown) > room && shown.some(({ gives }) => gives > 0)) {
    const most = Math.max(...shown.map(({ gives }) => gives))
    shown = shown.filter(({ gives }) => gives !== most)
  }
  const lines = [undefined, ...rows].map((_, line) =>
    cut(
      shown
        .map((column) => {
          const cell = column.cells[line] ?? ""
          return cell + " ".repeat(column.width - displayWidth(cell))
        })
        .join("  ")
        .trimEnd(),
      room
    )
  )
  return {
    text: lines.map((line) => `${line}\n`).join(""),
    leftOut: all.filter((column) => !shown.includes(column)).map(({ name }) => name)
  }
}

/** Bytes for a person: `398 MB`, `1.9 GB`. Decimal, as Ollama counts. */
export const size = (bytes: number | undefined): string => {
  if (bytes === undefined) {
    return "-"
  }
  return bytes >= 1e9
    ? `${(bytes / 1e9).toFixed(1)} GB`
    : bytes >= 1e6
      ? `${Math.round(bytes / 1e6)} MB`
      : `${Math.round(bytes / 1e3)} kB`
}

/** A value as a line of JSON in which nothing drives a terminal or changes the direction of text. */
export const json = (value: unknown): string =>
  `${JSON.stringify(value).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
  )}\n`
