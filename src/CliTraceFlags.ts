/**
 * The flags of `tinyllm trace`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import { type Flags, otlpProtocolFlag } from "./CliFlags.ts"
import { durationMillis, moment } from "./WrittenTime.ts"

const durationFlag = (name: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("DURATION"),
    Flag.filterMap(durationMillis, () => "Expected a duration such as 500ms, 2s, 10m, 2h or 7d")
  )

const sinceFlag = Flag.String("since").pipe(
  Flag.withMetavar("TIME"),
  Flag.filterMap(
    moment,
    () => "Expected a duration ago such as 2h, a date, or a date and a time such as 2026-11-28 13:00"
  ),
  Flag.withDescription("Only traces that began then or later: so long ago (2h, 7d), a date, or a date and a time"),
  Flag.optional
)

const graphFlag = Flag.String("graph").pipe(
  Flag.withMetavar("NAME"),
  Flag.withDescription("Only traces of this graph"),
  Flag.optional
)

const json = (description: string) =>
  Flag.Boolean("json").pipe(Flag.withDescription(description), Flag.withDefault(false))

const countFlag = (name: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.filter(
      (number) => number >= 1,
      (number) => `Expected a whole number above 0, got ${number}`
    ),
    Flag.withDescription(description),
    Flag.optional
  )

const outputFlags = (description: string) => ({
  output: Flag.String("output").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription(description),
    Flag.optional
  ),
  force: Flag.Boolean("force").pipe(Flag.withDescription("Replace the file if there is one"), Flag.withDefault(false))
})

// ---------------------------------------------------------------------------------------------------------------------
// Commands
// ---------------------------------------------------------------------------------------------------------------------

const idArgument = (name: string, description: string) =>
  Argument.String(name).pipe(
    Argument.withDescription(description),
    Argument.filter(
      (id) => id.trim() !== "",
      () => "Expected the id of a trace, or its beginning, or last"
    )
  )

const trace = idArgument("id", "The id of the trace or its beginning; last is the newest one")

/** The flags of `tinyllm trace ls`. */
export const listFlags = {
  failed: Flag.Boolean("failed").pipe(Flag.withDescription("Only traces that failed"), Flag.withDefault(false)),
  slowerThan: durationFlag("slower-than").pipe(
    Flag.withDescription("Only traces that took longer: 500ms, 2s, 1m"),
    Flag.optional
  ),
  graph: graphFlag,
  since: sinceFlag,
  limit: countFlag("limit", "So many at most, the newest first; all by default"),
  json: json("Print a JSON array of the traces")
}

/** The flags of `tinyllm trace show`. */
export const showFlags = {
  id: trace.pipe(Argument.withDefault("last")),
  attributes: Flag.Boolean("attributes").pipe(
    Flag.withDescription("Show all attributes of each span"),
    Flag.withDefault(false)
  ),
  events: Flag.Boolean("events").pipe(Flag.withDescription("Show all events of each span"), Flag.withDefault(false)),
  json: json("Print one JSON object: what the runs did, and every span"),
  mermaid: Flag.Boolean("mermaid").pipe(
    Flag.withDescription("Print what ran as a Mermaid flowchart, the path that was taken bold"),
    Flag.withDefault(false)
  )
}

/** The flags of `tinyllm trace open`. */
export const openFlags = {
  id: trace.pipe(Argument.withDefault("last")),
  open: Flag.Boolean("open").pipe(
    Flag.withDescription("Open the page in the browser; --no-open only prints its path"),
    Flag.withDefault(true)
  ),
  ...outputFlags("Where the page is written, a temporary file by default")
}

/** The flags of `tinyllm trace tail`. */
export const tailFlags = { json: json("Print each trace that has ended as a line of JSON") }

/** The flags of `tinyllm trace diff`. */
export const diffFlags = {
  a: idArgument("a", "A trace: its id, the beginning of it, or last"),
  b: idArgument("b", "The trace to compare it with"),
  json: json("Print what differs as one JSON object")
}

/** The flags of `tinyllm trace stats`. */
export const statsFlags = { graph: graphFlag, since: sinceFlag, json: json("Print the numbers as one JSON object") }

/** The flags of `tinyllm trace export`. */
export const exportFlags = {
  id: trace,
  format: Flag.Literals("format", ["otlp-json", "html", "mermaid"]).pipe(
    Flag.withDescription("otlp-json, which other OpenTelemetry tools load; html, a page by itself; or mermaid"),
    Flag.withDefault("otlp-json")
  ),
  ...outputFlags("Write to this file in place of standard output")
}

/** The flags of `tinyllm trace push`. */
export const pushFlags = {
  id: idArgument(
    "id",
    "A stored trace: its id, the beginning of it, or last; without one, the spans that were kept"
  ).pipe(Argument.optional),
  otlpEndpoint: Flag.String("otlp-endpoint").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription("Collector that spans go to, http://localhost:4317 by default"),
    Flag.optional
  ),
  otlpProtocol: otlpProtocolFlag,
  directory: Flag.String("directory").pipe(
    Flag.withMetavar("PATH"),
    Flag.withDescription("The folder of the spans, for programs that keep them in one of their own"),
    Flag.optional
  )
}

/** The flags of `tinyllm trace rm`. */
export const removeFlags = {
  ids: idArgument("id", "The traces: their ids, or the beginnings of them").pipe(Argument.variadic()),
  all: Flag.Boolean("all").pipe(Flag.withDescription("Remove all traces; needs --yes"), Flag.withDefault(false)),
  yes: Flag.Boolean("yes").pipe(Flag.withDescription("Really remove all traces"), Flag.withDefault(false))
}

/** The flags of `tinyllm trace prune`. */
export const pruneFlags = {
  keep: countFlag("keep", "How many traces stay, the newest; 1000 by default"),
  olderThan: durationFlag("older-than").pipe(
    Flag.filter(
      (millis) => millis > 0,
      () => "Expected a duration above 0; all traces are removed by tinyllm trace rm --all --yes"
    ),
    Flag.withDescription("Remove traces that are older than this; 30d by default"),
    Flag.optional
  )
}

/** Those of all commands. */
export const all = [
  listFlags,
  showFlags,
  openFlags,
  tailFlags,
  diffFlags,
  statsFlags,
  exportFlags,
  pushFlags,
  removeFlags,
  pruneFlags
]

export type ListFlags = Flags<typeof listFlags>
export type ShowFlags = Flags<typeof showFlags>
export type OpenFlags = Flags<typeof openFlags>
export type TailFlags = Flags<typeof tailFlags>
export type DiffFlags = Flags<typeof diffFlags>
export type StatsFlags = Flags<typeof statsFlags>
export type ExportFlags = Flags<typeof exportFlags>
export type PushFlags = Flags<typeof pushFlags>
export type RemoveFlags = Flags<typeof removeFlags>
export type PruneFlags = Flags<typeof pruneFlags>
