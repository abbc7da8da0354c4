/**
 * Tables and JSON for standard output: columns that fit a terminal, and nothing that drives one.
 *
 * @since 0.1.0
 */
import { cut, displayWidth, harmless, padEnd, padStart, type Terminal } from "./TerminalText.ts"

export { cut } from "./TerminalText.ts"

/** One column. */
export interface Column {
  readonly name: string
  /** The lower, the earlier it gets room, and one without always does; where one does not fit, a later one still may. */
  readonly gives?: number | undefined
  /** How narrow it may become, with `…` where a cell is cut, before any other column goes; it takes what others leave. */
  readonly shrinks?: number | undefined
  readonly align?: "left" | "right" | undefined
  /** The style of a cell, as numbers of ECMA-48; empty for none. */
  readonly style?: ((cell: string) => string) | undefined
}

/**
 * A table, in full where the terminal's width is `undefined`; else of lines that are so wide at most, without the columns
 * `leftOut`.
 */
export const table = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  { colour, width }: Terminal
): { readonly text: string; readonly leftOut: ReadonlyArray<string> } => {
  const all = columns.map((column, index) => {
    const cells = [column.name, ...rows.map((row) => harmless(row[index] ?? ""))]
    const width = cells.reduce((most, cell) => Math.max(most, displayWidth(cell)), 0)
    return { ...column, gives: column.gives ?? 0, cells, width, least: Math.min(width, column.shrinks ?? width) }
  })
  const room = width ?? Number.POSITIVE_INFINITY
  const total = (shown: typeof all, of: "width" | "least") => shown.reduce((sum, column) => sum + column[of] + 2, -2)
  let shown = all.filter(({ gives }) => gives === 0)
  for (const rank of Array.from(new Set(all.map(({ gives }) => gives))).toSorted((a, b) => a - b)) {
    const more = all.filter((column) => shown.includes(column) || column.gives === rank)
    if (total(more, "least") <= room) {
      shown = more
    }
  }
  let spare = Math.max(0, room - total(shown, "least"))
  const drawn = shown.map((column) => {
    const width = Math.min(column.width, column.least + spare)
    spare -= width - column.least
    return { ...column, width }
  })
  const paint = (cell: string, style: string) =>
    colour && style !== "" && cell !== "" ? `\u001b[${style}m${cell}\u001b[0m` : cell
  const fits = total(shown, "least") <= room
  const lines = [undefined, ...rows].map((row, index) => {
    const cells = drawn.map((column) => {
      const cell = cut(column.cells[index] ?? "", column.width)
      const padded = column.align === "right" ? padStart(cell, column.width) : padEnd(cell, column.width)
      return row === undefined || !fits ? padded : padded.replace(cell, () => paint(cell, column.style?.(cell) ?? ""))
    })
    const line = cells.join("  ").trimEnd()
    return fits ? line : cut(line, room)
  })
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
