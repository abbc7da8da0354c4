/** Metrics as a collector receives them: OTLP in protobuf, decoded. */
import protobuf from "protobufjs"
import { type Call, common, values, type WireAttribute } from "./Collector.ts"

/** One point: what was counted, for one set of dimensions. */
export interface Point {
  readonly attributes: Readonly<Record<string, unknown>>
  /** Of a sum; which of the two it is says how it was sent. */
  readonly asInt?: number
  readonly asDouble?: number
  /** Of a histogram. */
  readonly count?: number
  readonly sum?: number
  readonly buckets?: ReadonlyArray<number>
  readonly bounds?: ReadonlyArray<number>
}

export interface CollectedMetric {
  readonly name: string
  readonly unit: string
  readonly description: string
  readonly type: "histogram" | "counter" | "up-down counter" | "other"
  readonly temporality: "delta" | "cumulative" | "unspecified"
  readonly points: ReadonlyArray<Point>
  readonly scope: { readonly name: string; readonly version: string }
  readonly resource: Readonly<Record<string, unknown>>
}

// https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/metrics/v1/metrics.proto
const { root } = protobuf.parse(
  `syntax = "proto3";
  message Request { repeated ResourceMetrics resource_metrics = 1; }
  message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
  message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
  message Metric {
    string name = 1; string description = 2; string unit = 3;
    oneof data { Other gauge = 5; Sum sum = 7; Histogram histogram = 9; Other exponential = 10; Other summary = 11; }
  }
  message Other {}
  message Sum { repeated Number data_points = 1; int32 aggregation_temporality = 2; bool is_monotonic = 3; }
  message Histogram { repeated HistogramPoint data_points = 1; int32 aggregation_temporality = 2; }
  message Number {
    repeated KeyValue attributes = 7; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
    oneof value { double as_double = 4; sfixed64 as_int = 6; } repeated Exemplar exemplars = 5;
  }
  message HistogramPoint {
    repeated KeyValue attributes = 9; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4;
    double sum = 5; repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7;
    repeated Exemplar exemplars = 8; double min = 11; double max = 12;
  }
  message Exemplar { fixed64 time_unix_nano = 2; }
  ${common}`
)

const Request = root.lookupType("Request")

interface WireData {
  readonly aggregationTemporality: number
  readonly isMonotonic?: boolean
  readonly dataPoints: ReadonlyArray<{
    readonly attributes: ReadonlyArray<WireAttribute>
    readonly exemplars: ReadonlyArray<unknown>
    readonly asInt?: number
    readonly asDouble?: number
    readonly count?: number
    readonly sum?: number
    readonly bucketCounts?: ReadonlyArray<number>
    readonly explicitBounds?: ReadonlyArray<number>
  }>
}

interface WireRequest {
  readonly resourceMetrics: ReadonlyArray<{
    readonly resource: { readonly attributes: ReadonlyArray<WireAttribute> }
    readonly scopeMetrics: ReadonlyArray<{
      readonly scope: { readonly name: string; readonly version: string }
      readonly metrics: ReadonlyArray<{
        readonly name: string
        readonly unit: string
        readonly description: string
        readonly sum?: WireData
        readonly histogram?: WireData
      }>
    }>
  }>
}

/** The metrics of one request. Throws where a point has an exemplar, which would hold the id of a trace. */
export const decode = (bytes: Buffer): ReadonlyArray<CollectedMetric> => {
  const { resourceMetrics } = Request.toObject(Request.decode(bytes), {
    longs: Number,
    arrays: true
  }) as WireRequest
  return resourceMetrics.flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics, scope }) =>
      metrics.map(({ description, histogram, name, sum, unit }): CollectedMetric => {
        const data = histogram ?? sum
        return {
          name,
          unit,
          description,
          type: histogram !== undefined ? "histogram" : sum === undefined ? "other" : kindOf(sum),
          temporality: temporalities[data?.aggregationTemporality ?? 0] ?? "unspecified",
          points: (data?.dataPoints ?? []).map(({ attributes, exemplars, ...point }) => {
            if (exemplars.length > 0) {
              throw new Error(`${name} has exemplars`)
            }
            return {
              attributes: values(attributes),
              ...(point.asInt === undefined ? {} : { asInt: point.asInt }),
              ...(point.asDouble === undefined ? {} : { asDouble: point.asDouble }),
              ...(histogram === undefined
                ? {}
                : {
                    count: point.count ?? 0,
                    sum: point.sum ?? 0,
                    buckets: point.bucketCounts ?? [],
                    bounds: point.explicitBounds ?? []
                  })
            }
          }),
          scope: { name: scope.name, version: scope.version },
          resource: values(resource.attributes)
        }
      })
    )
  )
}

const kindOf = (sum: WireData): CollectedMetric["type"] => (sum.isMonotonic === true ? "counter" : "up-down counter")

const temporalities = ["unspecified", "delta", "cumulative"] as const

/** The metrics of the last call, by their names. */
export const latest = (calls: ReadonlyArray<Call>): Readonly<Record<string, CollectedMetric>> => {
  const last = calls.at(-1)
  return Object.fromEntries((last === undefined ? [] : decode(last.bytes)).map((metric) => [metric.name, metric]))
}
