/**
 * The flags of the commands.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"

/** How a collector is spoken to, in every command that sends it something. */
export const otlpProtocolFlag = Flag.Literals("otlp-protocol", ["grpc", "http/protobuf"]).pipe(
  Flag.withDescription("How the collector is spoken to, grpc by default"),
  Flag.optional
)

const telemetryFlags = {
  tracing: Flag.Boolean("tracing").pipe(
    Flag.withDescription("Trace the run, and print the trace on standard error unless it goes elsewhere"),
    Flag.optional
  ),
  exporter: Flag.Literals("exporter", ["console", "otlp", "jaeger", "none"]).pipe(
    Flag.withDescription(
      "Where spans go besides the store: console, otlp, jaeger (otlp to http://localhost:4317), none; turns tracing on"
    ),
    Flag.optional
  ),
  otlpEndpoint: Flag.String("otlp-endpoint").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription("Collector that spans go to, for example http://localhost:4317; turns tracing on"),
    Flag.optional
  ),
  otlpProtocol: otlpProtocolFlag,
  samplingRate: Flag.Finite("sampling-rate").pipe(
    Flag.withMetavar("0..1"),
    Flag.withDescription("The share of traces that is kept, 1 by default"),
    Flag.filter(
      (rate) => rate >= 0 && rate <= 1,
      (rate) => `Expected a number from 0 to 1, got ${rate}`
    ),
    Flag.optional
  ),
  keepErrors: Flag.Boolean("keep-errors").pipe(
    Flag.withDescription("Keep every trace in which something failed, whatever the sampling rate"),
    Flag.optional
  ),
  store: Flag.Boolean("store").pipe(
    Flag.withDescription(
      "Keep the trace on this machine, for tinyllm trace; on with tracing, and turns it on; --no-store does not"
    ),
    Flag.optional
  ),
  serviceName: Flag.String("service-name").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Name under which traces appear, tinyllm by default"),
    Flag.optional
  ),
  captureContent: Flag.Boolean("capture-content").pipe(
    Flag.withDescription(
      "Record prompts and answers in the spans of model calls; --no-capture-content not even the task"
    ),
    Flag.optional
  ),
  traceFormat: Flag.Literals("trace-format", ["tree", "json"]).pipe(
    Flag.withDescription(
      "How the console shows spans: a tree for each trace, by default, or a JSON object for each span"
    ),
    Flag.optional
  )
}

const modelName = (name: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("NAME"),
    Flag.filter(
      (name) => name.trim() !== "",
      () => "Expected the name of a model"
    )
  )

const modelFlags = {
  model: modelName("model").pipe(
    Flag.withDescription("Model that answers, qwen2.5:3b by default (TINYLLM_MODEL)"),
    Flag.optional
  ),
  routerModel: modelName("router-model").pipe(
    Flag.withDescription("Model that sorts questions: --model if given, else qwen2.5:0.5b (TINYLLM_ROUTER_MODEL)"),
    Flag.optional
  )
}

const remoteFlags = {
  allowRemote: Flag.Boolean("allow-remote").pipe(
    Flag.withDescription("Allow models of Ollama's cloud: what you write leaves this machine"),
    Flag.withDefault(false)
  )
}

const demoFlags = {
  demo: Flag.Boolean("demo").pipe(
    Flag.withDescription("Use a demo server in place of Ollama: it is no language model, but can add"),
    Flag.withDefault(false)
  )
}

const logFlags = {
  logFormat: Flag.Literals("log-format", ["pretty", "json", "logfmt"]).pipe(
    Flag.withDescription("How log lines look on standard error"),
    Flag.withDefault("pretty")
  )
}

/** The flags of `tinyllm run`. */
export const runFlags = {
  query: Argument.String("query").pipe(Argument.withDescription("What to ask")),
  graph: Flag.Literals("graph", ["assistant"]).pipe(
    Flag.withDescription("The graph to run"),
    Flag.withDefault("assistant")
  ),
  ...modelFlags,
  ...remoteFlags,
  ...demoFlags,
  ...telemetryFlags,
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON object: the answer, ids, tokens and duration"),
    Flag.withDefault(false)
  ),
  stream: Flag.Boolean("stream").pipe(
    Flag.withDescription("Print the answer as it comes; on in a terminal, --no-stream waits for the whole answer"),
    Flag.optional
  ),
  ...logFlags
}

/** The flags of `tinyllm chat`. */
export const chatFlags = {
  model: modelFlags.model,
  system: Flag.String("system").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription("What the model is told before the conversation begins"),
    Flag.optional
  ),
  ...remoteFlags,
  ...demoFlags,
  ...telemetryFlags,
  ...logFlags
}

const modelArgument = Argument.String("name").pipe(
  Argument.withDescription("The model, with its tag: qwen2.5:0.5b"),
  Argument.filter(
    (name) => /^[^\s\p{Cc}]+$/u.test(name),
    () => "Expected the name of a model, without blanks or control characters"
  )
)

/** The flags of `tinyllm models`. */
export const modelsFlags = {
  json: Flag.Boolean("json").pipe(Flag.withDescription("Print a JSON array of the models"), Flag.withDefault(false)),
  ...remoteFlags
}

/** The flags of `tinyllm models show`. */
export const showFlags = {
  name: modelArgument,
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print what the server says, as one JSON object"),
    Flag.withDefault(false)
  ),
  ...remoteFlags
}

/** The flags of `tinyllm models pull`. */
export const pullFlags = { name: modelArgument, ...remoteFlags }

const { traceFormat: _, ...doctorTelemetryFlags } = telemetryFlags

/** The flags of `tinyllm doctor`: those of a run that it can say something about. */
export const doctorFlags = {
  ...modelFlags,
  ...doctorTelemetryFlags,
  telemetry: Flag.Boolean("telemetry").pipe(
    Flag.withDescription(
      "Send a span to the collector and say what became of it, without Ollama. Exit code 0: it arrived. " +
        "10: nothing listens. 11: HTTP is spoken there, not gRPC. 12: gRPC, not HTTP. 13: TLS is spoken on one side only, " +
        "or a certificate is not trusted. 14: a key is missing or wrong. 15: no answer. 16: the sampling rate is 0. " +
        "17: a setting turns tracing off. 1: anything else"
    ),
    Flag.withDefault(false)
  ),
  verbose: Flag.Boolean("verbose").pipe(
    Flag.withDescription("Show also the settings that are at their defaults"),
    Flag.withDefault(false)
  )
}

/** The flags of `tinyllm ui`. */
export const uiFlags = {
  port: Flag.Int("port").pipe(
    Flag.withDescription("Port of the page, 4319 or a free one by default; 0 takes a free one"),
    Flag.filter(
      (port) => port >= 0 && port <= 65_535,
      (port) => `Expected a port from 0 to 65535, got ${port}`
    ),
    Flag.optional
  ),
  open: Flag.Boolean("open").pipe(
    Flag.withDescription("Open the page in a browser; on in a terminal, --no-open prints its address only"),
    Flag.withDefault(true)
  )
}

export type UiFlags = Flags<typeof uiFlags>
export type RunFlags = Flags<typeof runFlags>
export type ModelsFlags = Flags<typeof modelsFlags>
export type ShowFlags = Flags<typeof showFlags>
export type PullFlags = Flags<typeof pullFlags>
export type ChatFlags = Flags<typeof chatFlags>
export type DoctorFlags = Flags<typeof doctorFlags>

/** What a command gets of its flags. */
export type Flags<Config extends Record<string, unknown>> = {
  readonly [K in keyof Config]: Config[K] extends Flag.Flag<infer A>
    ? A
    : Config[K] extends Argument.Argument<infer A>
      ? A
      : never
}
