/**
 * Metrics to a collector: the instruments, when they are read, and how what they say is sent.
 *
 * OpenTelemetry's SDK adds up. What it comes to is sent as spans are, by the same clients and with the same patience: a
 * collector that is down, slow or refusing costs a line at the end of the program.
 *
 * @since 0.1.0
 */
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer"
import { AggregationTemporality, InstrumentType, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics"
import type { OtlpClient } from "./OtlpClient.ts"
import * as OtlpDelivery from "./OtlpDelivery.ts"
import * as OtlpResource from "./OtlpResource.ts"
import * as Metrics from "./Metrics.ts"
import type { MetricSettings, Temporality } from "./MetricSettings.ts"
import type * as Report from "./Report.ts"
import type { Resolved } from "./TelemetryConfig.ts"
import { version } from "./Version.ts"

export interface OtlpMetrics extends Metrics.Metrics {
  /** Sends what there is, and waits for the answer, for as long as one export may take. */
  readonly flush: () => Promise<void>
  /**
   * The program ends: sends for the last time, within three seconds. It waits a moment for `spans`, so that what became
   * of them is among what it sends.
   */
  readonly shutdown: (spans: Promise<unknown>) => Promise<void>
}

/** Starts to measure. `warn` gets a line at the end where something is missing at the collector. */
export const make = (options: {
  readonly client: OtlpClient
  readonly settings: MetricSettings
  readonly service: Pick<Resolved, "serviceName" | "resourceAttributes" | "privacy">
  readonly counter: Report.Counter | undefined
  readonly warn: (line: string) => void
}): OtlpMetrics => {
  const { client, service, settings, warn } = options
  const reader = new Reader(settings.temporality.value)
  const provider = new MeterProvider({
    resource: OtlpResource.make(service.serviceName.value, service.resourceAttributes),
    readers: [reader]
  })
  const metrics = Metrics.make(provider.getMeter("tinyllm", version), options.counter, service.privacy.redact)

  const limitMillis = Math.min(settings.timeout.value, settings.otlp.timeoutMillis)
  const underWay = new Set<OtlpDelivery.Delivery>()
  const ends = new Set<Promise<void>>()
  let endsSince: number | undefined
  let end: Promise<void> | undefined
  // Why something is missing at the collector: what counts from the start is whole again with the next success.
  let missing: string | undefined
  const cumulative = settings.temporality.value === "cumulative"

  const deliver = (request: Uint8Array): Promise<void> => {
    const ended = new Promise<void>((resolve) => {
      const delivery = OtlpDelivery.make({
        client,
        request,
        limitMillis,
        endsSince: () => endsSince,
        done: (end) => {
          underWay.delete(delivery)
          if (end._tag === "Failed") {
            const { hint, reason } = end.reason
            missing = `metrics not exported: ${reason}${hint === undefined ? "" : `. ${hint}`}`
          } else if (end.rejected > 0) {
            const points = end.rejected === 1 ? "point" : "points"
            missing = `${end.rejected} ${points} of metrics not exported: ${end.reason}`
          } else if (cumulative) {
            missing = undefined
          }
          resolve()
        }
      })
      underWay.add(delivery)
      delivery.start()
    })
    ends.add(ended)
    return ended.then(() => void ends.delete(ended))
  }

  const send = (): Promise<void> =>
    reader.collect().then(
      ({ resourceMetrics }) => {
        const request = ProtobufMetricsSerializer.serializeRequest(resourceMetrics)
        return request === undefined || resourceMetrics.scopeMetrics.length === 0 ? undefined : deliver(request)
      },
      () => void (missing = "metrics not exported: they cannot be read")
    )

  const timer = setInterval(() => {
    // What is late already would only be later.
    if (underWay.size === 0) {
      void send()
    }
  }, settings.interval.value)
  // A program does not run on for the sake of its metrics.
  timer.unref()

  const shutdown = (spans: Promise<unknown>): Promise<void> => {
    clearInterval(timer)
    endsSince = performance.now()
    const giveUp = (): void => {
      for (const delivery of Array.from(underWay)) {
        delivery.giveUp(client.silence(OtlpDelivery.defaultEndMillis))
      }
    }
    if (cumulative) {
      // All of it is in what comes now.
      giveUp()
    }
    for (const delivery of underWay) {
      delivery.hurry()
    }
    const over = setTimeout(giveUp, OtlpDelivery.defaultEndMillis)
    return within(spans, patienceMillis)
      .then(send)
      .then(() => Promise.all(ends))
      .then(() => {
        clearTimeout(over)
        client.close()
        if (missing !== undefined) {
          warn(missing)
        }
        return provider.shutdown()
      })
      .catch(() => {})
  }

  return { ...metrics, flush: send, shutdown: (spans) => (end ??= shutdown(spans)) }
}

// A collector that answers has taken the last spans by then.
const patienceMillis = 1000

const within = (other: Promise<unknown>, millis: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, millis)
    void other
      .catch(() => {})
      .then(() => {
        clearTimeout(timer)
        resolve()
      })
  })

// The reader of the SDK sends by itself, complains by itself, and waits at the end for whatever is under way.
class Reader extends MetricReader {
  constructor(temporality: Temporality) {
    super({ aggregationTemporalitySelector: (type) => temporalityOf(temporality, type) })
  }
  protected override onForceFlush(): Promise<void> {
    return Promise.resolve()
  }
  protected override onShutdown(): Promise<void> {
    return Promise.resolve()
  }
}

// https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/#additional-environment-variable-configuration
const temporalityOf = (preference: Temporality, type: InstrumentType): AggregationTemporality => {
  const delta =
    (preference !== "cumulative" && (type === InstrumentType.COUNTER || type === InstrumentType.HISTOGRAM)) ||
    (preference === "delta" && type === InstrumentType.OBSERVABLE_COUNTER)
  return delta ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE
}
