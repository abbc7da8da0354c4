/**
 * The settings of telemetry in lines for people: each with its value and with what set it.
 *
 * @since 0.1.0
 */
import { isSecret } from "./Redaction.ts"
import * as Telemetry from "./Telemetry.ts"

/** A setting, what it is, and whether that is a default, which is told only to who asks for all. */
export interface Line {
  readonly name: string
  readonly text: string
  readonly isDefault: boolean
}

/** What set a value. A program could have set what a flag sets; on the command line it was a flag. */
export const origin = ({ source }: Pick<Telemetry.Sourced<unknown>, "source">): string =>
  source === "flag/program" ? "flag" : source

/** The settings that every report has. */
export const main = ({ exporters, sampler, serviceName, store }: Telemetry.Resolved): ReadonlyArray<Line> => [
  line("Exporter", exporters.value.join(", ") || "none", exporters),
  line("Store", store.value?.file ?? "traces are not kept on this machine", store),
  line("Service", serviceName.value, serviceName),
  line("Sampler", Telemetry.samplerName(sampler.value), sampler)
]

/** All others, in the order of the configuration reference. Values of headers are never shown. */
export const others = (config: Telemetry.Resolved): ReadonlyArray<Line> => {
  const { batch, batchSources, limitSources, limits, otlp, privacy } = config
  return [
    line("Protocol", otlp.protocol.value, otlp.protocol),
    ...otlp.headerKeys.map((key) => line("Header", `${key.value}=***`, key)),
    line("Keep", kept(config.keep.value), config.keep),
    line("Timeout", `${duration(otlp.timeout.value)} for one export`, otlp.timeout),
    line("Gzip", otlp.gzip ? "on" : "off", { source: otlp.gzipSource }),
    ...(otlp.insecure === undefined
      ? []
      : [
          line("Insecure", otlp.insecure.value ? "plain text without a scheme" : "TLS without a scheme", otlp.insecure)
        ]),
    ...(otlp.certificate === undefined ? [] : [line("Authority", otlp.certificate.value, otlp.certificate)]),
    ...(otlp.clientKey === undefined ? [] : [line("Key", otlp.clientKey.value, otlp.clientKey)]),
    ...(otlp.clientCertificate === undefined
      ? []
      : [line("Identity", otlp.clientCertificate.value, otlp.clientCertificate)]),
    ...Object.entries(config.resourceAttributes).map(([key, value]) =>
      line("Resource", `${key}=${isSecret(key, value) ? "***" : privacy.redact(value)}`, {
        source: "OTEL_RESOURCE_ATTRIBUTES"
      })
    ),
    line("Queue", `${batch.maxQueueSize} spans wait at most`, { source: batchSources.maxQueueSize }),
    line("Batch", `${batch.maxExportBatchSize} spans at most`, { source: batchSources.maxExportBatchSize }),
    line("Batch", `every ${duration(batch.scheduledDelayMillis)}`, { source: batchSources.scheduledDelayMillis }),
    line("Batch", `given up after ${duration(batch.exportTimeoutMillis)}`, {
      source: batchSources.exportTimeoutMillis
    }),
    ...limitNames.map(([key, text]) =>
      line("Limit", limits[key] === Number.POSITIVE_INFINITY ? `no limit for ${text}` : `${limits[key]} ${text}`, {
        source: limitSources[key]
      })
    ),
    line("Spool", config.spool.value?.directory ?? "spans that are not sent are lost", config.spool),
    line("Context", config.propagators.value.join(", ") || "none", config.propagators),
    line("Content", content(privacy), privacy.capture),
    line("Content", `${privacy.contentBytes.value} bytes of an attribute`, privacy.contentBytes),
    line("Content", `${patterns(privacy.patterns.value)} of secrets beside the built-in ones`, privacy.patterns),
    line(
      "Content",
      `log lines are ${privacy.logEvents.value ? "events, without their text" : "no events"}`,
      privacy.logEvents
    ),
    line("Span", `${privacy.spanBytes.value} bytes at most`, privacy.spanBytes),
    line("Log level", config.logLevel.value, config.logLevel),
    ...metrics(config)
  ]
}

const metrics = ({ metrics }: Telemetry.Resolved): ReadonlyArray<Line> =>
  metrics === undefined
    ? [line("Metrics", "off", { source: "default" })]
    : [
        line("Metrics", "otlp", metrics),
        // Where they go is no default to whoever turned them on.
        { ...line("Metrics", metrics.endpoint.value.url, metrics.endpoint), isDefault: false },
        line("Metrics", metrics.otlp.protocol.value, metrics.otlp.protocol),
        ...metrics.otlp.headerKeys.map((key) => line("Metrics", `header ${key.value}=***`, key)),
        line("Metrics", `every ${duration(metrics.interval.value)}`, metrics.interval),
        line("Metrics", `given up after ${duration(metrics.timeout.value)}`, metrics.timeout),
        line("Metrics", metrics.temporality.value, metrics.temporality)
      ]

const limitNames = [
  ["attributeCountLimit", "attributes of a span"],
  ["attributeValueLengthLimit", "characters of an attribute"],
  ["eventCountLimit", "events of a span"],
  ["linkCountLimit", "links of a span"],
  ["attributePerEventCountLimit", "attributes of an event"],
  ["attributePerLinkCountLimit", "attributes of a link"]
] as const

const kept = ({ errors, slowerThan }: Telemetry.Resolved["keep"]["value"]): string =>
  [
    ...(errors ? ["traces that failed"] : []),
    ...(slowerThan === undefined ? [] : [`traces slower than ${duration(Number(slowerThan) / 1_000_000)}`])
  ].join(", ") || "no trace beside those sampled"

const content = ({ capture, taskContent }: Telemetry.Resolved["privacy"]): string =>
  capture.value !== "NO_CONTENT"
    ? `prompts and answers, ${capture.value}`
    : taskContent.value
      ? "the start of the task, no prompts and answers"
      : "none"

const patterns = (count: number): string => (count === 1 ? "1 pattern" : `${count} patterns`)

const line = (name: string, text: string, from: Pick<Telemetry.Sourced<unknown>, "source">): Line => ({
  name,
  text: `${text} (${origin(from)})`,
  isDefault: from.source === "default"
})

const duration = (millis: number): string =>
  millis === Number.POSITIVE_INFINITY ? "no limit" : millis < 1000 ? `${millis} ms` : `${millis / 1000} s`
