// Tables for people and one line for machines.

/** A goal that a number is held against. */
export interface Goal {
  readonly what: string
  readonly measured: number
  readonly atMost: number
  /** A ratio unless it says so. */
  readonly unit?: string
}

/** What a part of the benchmark found: a table, and the numbers under names for `--json`. */
export interface Section {
  readonly title: string
  readonly notes: ReadonlyArray<string>
  readonly header: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
  readonly goals: ReadonlyArray<Goal>
  readonly numbers: Readonly<Record<string, number>>
}

/** The section as text: first column to the left, the others to the right. */
export const render = (section: Section): string => {
  const table = [section.header, ...section.rows]
  const widths = section.header.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  const lines = table.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd()
  )
  const goals = section.goals.map(({ atMost, measured, unit, what }) => {
    const show = (value: number) => (unit === undefined ? times(value) : `${Number(value.toFixed(2))} ${unit}`)
    return `goal: ${what} at most ${show(atMost)}: ${show(measured)}, ${measured <= atMost ? "reached" : "not reached"}`
  })
  return [section.title, ...section.notes, "", ...lines, ...(goals.length === 0 ? [] : ["", ...goals]), ""]
    .map((line) => `${line}\n`)
    .join("")
}

/** A time in microseconds: three figures, as many as mean anything. */
export const micros = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)

export const times = (ratio: number): string => `${ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(2)} ×`

export const millis = (value: number): string => `${value.toFixed(0)} ms`
