/**
 * `tinyllm trace` and its commands.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import {
  diffFlags,
  exportFlags,
  listFlags,
  openFlags,
  pruneFlags,
  pushFlags,
  removeFlags,
  showFlags,
  statsFlags,
  tailFlags
} from "./CliTraceFlags.ts"

const list = Command.make("ls", listFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceList.ts")),
    (module) => module.list(flags)
  )
).pipe(
  Command.withDescription("List the traces of this machine, the newest first"),
  Command.withExamples([
    { command: "tinyllm trace ls --failed --since 1d", description: "What failed since yesterday" },
    { command: "tinyllm trace ls --graph assistant --slower-than 2s", description: "Slow runs of one graph" },
    { command: "tinyllm trace ls --json", description: "For programs" }
  ])
)

const show = Command.make("show", showFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceShow.ts")),
    (module) => module.show(flags)
  )
).pipe(
  Command.withDescription("Show a trace as a waterfall: when each span ran, for how long, with tokens and errors"),
  Command.withExamples([
    { command: "tinyllm trace show", description: "The newest trace" },
    { command: "tinyllm trace show 584f --attributes --events", description: "All that is known of one" },
    { command: "tinyllm trace show last --mermaid", description: "The graph as it ran, for Markdown" }
  ])
)

const tail = Command.make("tail", tailFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceTail.ts")),
    (module) => module.tail(flags)
  )
).pipe(
  Command.withDescription("Show what runs do as they do it, whichever process they are in; Ctrl-C ends it"),
  Command.withExamples([
    { command: "tinyllm trace tail", description: "Visits of nodes, calls of models, runs, and what fails" },
    { command: "tinyllm trace tail --json", description: "A line of JSON for each trace that has ended" }
  ])
)

const diff = Command.make("diff", diffFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceShow.ts")),
    (module) => module.diff(flags)
  )
).pipe(
  Command.withDescription("Show where two runs of a graph differ: in the way they took, in time, in tokens"),
  Command.withExamples([{ command: "tinyllm trace diff 584f last", description: "A run from before, and the newest" }])
)

const stats = Command.make("stats", statsFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceShow.ts")),
    (module) => module.stats(flags)
  )
).pipe(
  Command.withDescription("Show many traces in numbers, for each type of node and each model"),
  Command.withExamples([
    { command: "tinyllm trace stats --graph assistant --since 7d", description: "One graph in the last week" }
  ])
)

const write = Command.make("export", exportFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceExport.ts")),
    (module) => module.write(flags)
  )
).pipe(
  Command.withDescription("Write a trace for other tools: as OTLP in JSON, as a page, or as a Mermaid flowchart"),
  Command.withExamples([
    { command: "tinyllm trace export last > trace.json", description: "OTLP, which other tools load" },
    { command: "tinyllm trace export last --format html --output trace.html", description: "A page by itself" }
  ])
)

const open = Command.make("open", openFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceOpen.ts")),
    (module) => module.open(flags)
  )
).pipe(
  Command.withDescription("Show a trace as a page in the browser: one file, which asks no one for anything"),
  Command.withExamples([
    { command: "tinyllm trace open", description: "Show the last trace" },
    { command: "tinyllm trace open 4bf92f35 --no-open", description: "Write the page, and print where it is" },
    { command: "tinyllm trace open last --output trace.html", description: "Write it where it can be sent from" }
  ])
)

const push = Command.make("push", pushFlags, (flags) =>
  Option.isSome(flags.id)
    ? Effect.flatMap(
        Effect.promise(() => import("./CliTracePush.ts")),
        (module) =>
          module.push(
            Option.getOrElse(flags.id, () => ""),
            flags
          )
      )
    : Effect.flatMap(
        Effect.promise(() => import("./CliTrace.ts")),
        (module) => module.push(flags)
      )
).pipe(
  Command.withDescription("Send a stored trace to a collector, or without an id the spans that no collector took"),
  Command.withExamples([
    { command: "tinyllm trace push", description: "What was kept because no collector took it" },
    {
      command: "tinyllm trace push last --otlp-endpoint http://localhost:4317",
      description: "The newest trace, to Jaeger, Tempo or any collector"
    }
  ])
)

const remove = Command.make("rm", removeFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceList.ts")),
    (module) => module.remove(flags)
  )
).pipe(
  Command.withDescription("Remove traces for good"),
  Command.withExamples([
    { command: "tinyllm trace rm 584f 9c01", description: "Two of them" },
    { command: "tinyllm trace rm --all --yes", description: "All of them" }
  ])
)

const prune = Command.make("prune", pruneFlags, (flags) =>
  Effect.flatMap(
    Effect.promise(() => import("./CliTraceList.ts")),
    (module) => module.prune(flags)
  )
).pipe(
  Command.withDescription(
    "Remove the traces that are too old, too many or too large, as happens by itself now and then"
  ),
  Command.withExamples([{ command: "tinyllm trace prune --older-than 7d --keep 100", description: "Keep fewer" }])
)

/** Everything that can be done with traces that were recorded before. */
export const trace = Command.make("trace").pipe(
  Command.withDescription("Look at the traces of this machine, compare them, keep them, send them on"),
  Command.withExamples([
    { command: "tinyllm trace ls", description: "Which traces there are" },
    { command: "tinyllm trace show last", description: "The newest one" }
  ]),
  Command.withSubcommands([list, show, open, tail, diff, stats, write, push, remove, prune])
)
