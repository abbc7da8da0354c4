/**
 * Metrics of runs and model calls, made of the spans that tell of them.
 *
 * Every span that ends counts, whether its trace is sampled or not. What a metric says is what the span says: names,
 * counts and `error.type` are read from its attributes. Prompts, ids of nodes and traces, and texts of errors are no
 * dimensions. https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-metrics.md
 *
 * @since 0.1.0
 */
import { type Attributes, type Meter, ValueType } from "@opentelemetry/api"
import type * as Tracer from "effect/Tracer"
import type * as ChunkTimes from "./ChunkTimes.ts"
import type { RecordedSpan } from "./RecordedSpan.ts"
import * as Redaction from "./Redaction.ts"
import type * as Report from "./Report.ts"
import type { Observer } from "./Sink.ts"

/** Looks at spans and measures what they tell of. */
export interface Metrics extends Observer {
  readonly onChunk: ChunkTimes.Take
}

/**
 * Makes the instruments. `counter` counts the spans that go to a collector, where some do. What `redact` does to values
 * of spans, it does to dimensions.
 */
export const make = (
  meter: Meter,
  counter: Report.Counter | undefined,
  redact: Redaction.Redact = Redaction.redact
): Metrics => {
  const seconds = (name: string, description: string) =>
    meter.createHistogram(name, {
      description,
      unit: "s",
      valueType: ValueType.DOUBLE,
      advice: { explicitBucketBoundaries: durations }
    })
  const usage = meter.createHistogram("gen_ai.client.token.usage", {
    description: "Number of input and output tokens used.",
    unit: "{token}",
    valueType: ValueType.INT,
    advice: { explicitBucketBoundaries: tokens }
  })
  const duration = seconds("gen_ai.client.operation.duration", "GenAI operation duration.")
  const firstChunk = seconds(
    "gen_ai.client.operation.time_to_first_chunk",
    "Time to receive the first chunk, measured from when the client issues the generation request."
  )
  const eachChunk = seconds(
    "gen_ai.client.operation.time_per_output_chunk",
    "Time per output chunk, recorded for each chunk received after the first one."
  )
  const executions = meter.createCounter("tinyllm.graph.executions", {
    description: "Runs of graphs that have ended, sub-graphs included.",
    unit: "{execution}",
    valueType: ValueType.INT
  })

  const running = new Set<RecordedSpan>()
  const clean = cleaning(redact)
  const graphId = bounded(clean)
  meter
    .createObservableUpDownCounter("tinyllm.graph.active", {
      description: "Runs of graphs that are in progress, sub-graphs included.",
      unit: "{execution}",
      valueType: ValueType.INT
    })
    .addCallback((result) => {
      // A graph that was seen and does not run now is at 0, and does not vanish.
      const counts = new Map(graphId.known().map((id) => [id, 0]))
      for (const { values } of running) {
        if (values["graph.id"] !== undefined) {
          const id = graphId.of(values["graph.id"])
          counts.set(id, (counts.get(id) ?? 0) + 1)
        }
      }
      for (const [id, count] of counts) {
        result.observe(count, { "graph.id": id })
      }
    })
  if (counter !== undefined) {
    fates(meter, counter)
  }

  const chunks = new WeakMap<Tracer.Span, Array<number>>()

  const onCall = (span: RecordedSpan, time: bigint): void => {
    const { values } = span
    const call = pick(values, callDimensions, clean)
    const failure = values["error.type"]
    duration.record(
      Number(time - span.startTime) / 1e9,
      typeof failure === "string" ? { ...call, "error.type": clean(failure) } : call
    )
    for (const type of ["input", "output"] as const) {
      const count = values[`gen_ai.usage.${type}_tokens`]
      if (typeof count === "number") {
        usage.record(count, { ...call, "gen_ai.token.type": type })
      }
    }
    const first = values["gen_ai.response.time_to_first_chunk"]
    if (typeof first === "number") {
      firstChunk.record(first, call)
    }
    for (const nanos of chunks.get(span) ?? []) {
      eachChunk.record(nanos / 1e9, call)
    }
  }

  return {
    onStart: (span) => {
      if (span.name === graphSpan) {
        running.add(span)
      }
    },
    onEnd: (span) => {
      const { endTime, name, values } = span
      // It may have got another name meanwhile.
      if (running.delete(span)) {
        executions.add(1, { "graph.id": graphId.of(values["graph.id"]), status: statusOf(span) })
      } else if (callSpans.has(name) && endTime !== undefined) {
        onCall(span, endTime)
      }
    },
    onChunk: (span, nanos) => {
      const known = chunks.get(span)
      if (known === undefined) {
        chunks.set(span, [nanos])
      } else {
        known.push(nanos)
      }
    }
  }
}

const graphSpan = "graph.execute"
const callSpans: ReadonlySet<string> = new Set(["llm.chat", "llm.generate", "llm.embed"])

/** 1, 4, 16, … 4^13 tokens, and 0.01, 0.02, 0.04, … 81.92 s, as the conventions have them. */
const tokens = Array.from({ length: 14 }, (_, power) => 4 ** power)
const durations = Array.from({ length: 14 }, (_, power) => 0.01 * 2 ** power)

const callDimensions = [
  "gen_ai.operation.name",
  "gen_ai.provider.name",
  "gen_ai.request.model",
  "gen_ai.response.model",
  "server.address",
  "server.port"
] as const

const pick = (values: RecordedSpan["values"], names: ReadonlyArray<string>, clean: Redaction.Redact): Attributes => {
  const picked: Attributes = {}
  for (const name of names) {
    const value = values[name]
    if (typeof value === "string") {
      picked[name] = clean(value)
    } else if (typeof value === "number") {
      picked[name] = value
    }
  }
  return picked
}

const statusOf = ({ failed, values }: RecordedSpan): "success" | "failure" | "interrupted" =>
  failed ? "failure" : values["effect.fiber.interrupted"] === true ? "interrupted" : "success"

// A program that makes graphs as it goes, each with an id of its own, must not make metrics without end.
const maximumGraphs = 100
const otherGraphs = "_OTHER"

const bounded = (clean: Redaction.Redact) => {
  const ids = new Set<string>()
  return {
    of: (given: unknown): string => {
      if (typeof given !== "string") {
        return otherGraphs
      }
      const id = clean(given)
      if (!ids.has(id) && ids.size >= maximumGraphs) {
        return otherGraphs
      }
      ids.add(id)
      return id
    },
    known: (): ReadonlyArray<string> => Array.from(ids)
  }
}

// What is to be said is the same again and again.
const cleaning = (redact: Redaction.Redact): Redaction.Redact => {
  const known = new Map<string, string>()
  return (text) => {
    const cleaned = known.get(text) ?? redact(text)
    if (known.size < maximumKnown) {
      known.set(text, cleaned)
    }
    return cleaned
  }
}

const maximumKnown = 1000

// What became of spans, as the report tells it.
const fates = (meter: Meter, counter: Report.Counter): void => {
  const options = (description: string) => ({ description, unit: "{span}", valueType: ValueType.INT })
  meter
    .createObservableCounter("tinyllm.spans.exported", options("Spans that a collector has acknowledged."))
    .addCallback((result) => result.observe(counter.snapshot().exported))
  meter
    // Some of them may have to give way to others.
    .createObservableUpDownCounter("tinyllm.spans.kept", options("Spans that could not be sent and are on disk."))
    .addCallback((result) => result.observe(counter.snapshot().kept))
  meter.createObservableCounter("tinyllm.spans.dropped", options("Spans that are gone.")).addCallback((result) => {
    const { dropped, lost } = counter.snapshot()
    result.observe(lost + dropped)
  })
}
