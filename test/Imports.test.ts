// Holds the imports of src against the map of modules: what may know what.
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"

// From the bottom up: a module imports only what stands above it in this list, so nothing points back.
const order = [
  [
    "Version",
    "RetryAfter",
    "WrittenTime",
    "Json",
    "Ports",
    "Stderr",
    "Stdout",
    "Typing",
    "Usage",
    "Utf8",
    "Secrets",
    "SecretPatterns",
    "Redaction",
    "Attribute",
    "SpanAttributes",
    "SpanException",
    "Span",
    "LogLine",
    "MermaidText",
    "Visit"
  ],
  ["Messages", "Capture", "ChunkTimes", "TraceContext", "SpanBudget", "SpanGuard"],
  ["Endpoint", "Baggage", "Propagation", "TerminalText", "CliTable", "SpanPrinter", "Logs"],
  // Traces to look at
  [
    "StoredSpan",
    "TraceTree",
    "TraceRun",
    "TraceSpanText",
    "TraceWaterfall",
    "TraceMermaid",
    "TraceDiff",
    "TraceStats",
    "TraceJson",
    "TracePageData",
    "TracePage"
  ],
  // Ollama
  [
    "OllamaApi",
    "OllamaKeepAlive",
    "OllamaOptions",
    "OllamaSettings",
    "OllamaBody",
    "OllamaLines",
    "OllamaSchema",
    "OllamaTools",
    "OllamaErrorText",
    "OllamaReason",
    "OllamaError"
  ],
  ["OllamaHost", "OllamaStream", "OllamaTransport", "OllamaHttp", "OllamaReading", "OllamaAhead"],
  ["OllamaPermits", "OllamaTimings", "OllamaOutcome", "OllamaWarnings", "OllamaCall"],
  [
    "OllamaModels",
    "OllamaProgress",
    "OllamaEmbed",
    "OllamaService",
    "OllamaPatience",
    "OllamaClient",
    "OllamaTest",
    "Ollama"
  ],
  // On `effect/ai`
  ["ToolSpan", "OllamaPrompt", "OllamaAiError", "OllamaLanguageModel", "OllamaEmbeddingModel"],
  ["OllamaFiles", "NodeClient"],
  ["Arithmetic", "OllamaGo", "OllamaScript", "OllamaReply", "OllamaDemo"],
  ["OllamaDoubleAccess", "OllamaDoubleFaults", "OllamaDoubleModels", "OllamaDoubleRequest", "OllamaDoublePull"],
  ["OllamaDoubleQueue", "OllamaDoubleEmbed"],
  ["OllamaDoubleAnswer", "OllamaDoubleCalls"],
  ["OllamaDoubleRoutes", "OllamaDouble", "Demo"],
  // Telemetry
  [
    "EnvironmentValues",
    "OtlpSettings",
    "MetricSettings",
    "PrivacySettings",
    "EnvironmentVariables",
    "StatePlace",
    "SpoolConfig",
    "TraceSummary",
    "StoreConfig",
    "TelemetryConfig"
  ],
  // Stored traces
  ["ProcessName"],
  ["Spool", "OtlpFormat", "OtlpProtobuf", "OtlpJson", "OtlpValues", "OtlpTraces", "OtlpBatches"],
  ["TraceStoreError", "TraceDatabase", "TraceFacts", "TraceRows", "TraceQueries", "TraceWatch", "TraceStore"],
  [
    "TraceCollectorAnswer",
    "TraceCollectorLimits",
    "TraceCollectorMemory",
    "TraceCollectorPorts",
    "TraceCollectorIntake",
    "TraceCollectorGrpc",
    "TraceCollectorHttp",
    "TraceCollector"
  ],
  ["TraceUiData", "TraceUiAccess", "TraceUiEvents", "TraceUi", "TraceUiViews"],
  [
    "RandomIds",
    "Sampling",
    "SpanErrors",
    "SpanValues",
    "RecordedSpan",
    "TelemetryResource",
    "SpanSnapshot",
    "Sink",
    "KeepTraces",
    "Tracer",
    "ConsoleSpans",
    "Interop"
  ],
  [
    "Diagnostics",
    "DiagLogger",
    "Report",
    "RetryInfo",
    "OtlpAnswers",
    "OtlpCertificates",
    "OtlpClient",
    "OtlpGrpc",
    "OtlpHttp",
    "OtlpDelivery",
    "OtlpExport",
    "OtlpPush",
    "OtlpProbe",
    "OtlpUntraced",
    "OtlpResource",
    "Metrics",
    "OtlpMetrics",
    "OtlpSpans",
    "SpanBuffer",
    "OtlpSink",
    "OtlpEncode",
    "StoreSink",
    "Bridge",
    "OpenTelemetry",
    "TelemetryStore",
    "TelemetryLayers",
    "Telemetry"
  ],
  // Tests of programs that are traced
  ["TraceExpectation", "TraceComparison", "TraceMismatch", "TestSpans", "TelemetryTest"],
  // Graphs
  [
    "Preflight",
    "NodeType",
    "ModelNeeds",
    "ModelNode",
    "AgentNode",
    "Attempts",
    "NodeChanges",
    "Node",
    "GraphDrawing",
    "Graph",
    "Assistant"
  ],
  // Command line
  [
    "TraceList",
    "CliError",
    "NodePages",
    "NodePorts",
    "NodeTyping",
    "NodePlatform",
    "CliFlags",
    "CliTraceFlags",
    "CliCollectFlags",
    "CliCollect",
    "Progress",
    "CliRun",
    "CliChat",
    "CliModels",
    "CliShow",
    "CliPull",
    "OutputFile",
    "CliTrace",
    "CliUi",
    "CliTraceStore",
    "CliTraceOpen",
    "CliTraceList",
    "CliTraceShow",
    "TraceTail",
    "CliTraceTail",
    "CliTraceExport",
    "CliTracePush",
    "CliTraceCommands",
    "CliUsage",
    "DoctorSettings",
    "DoctorTelemetry",
    "Doctor",
    "Cli",
    "Program",
    "Main"
  ],
  // For programs that import everything at once
  ["index"]
].flat()

const knowOpenTelemetry = [
  "Bridge",
  "DiagLogger",
  "Interop",
  "Metrics",
  "OpenTelemetry",
  "OtlpEncode",
  "OtlpExport",
  "OtlpGrpc",
  "OtlpHttp",
  "OtlpMetrics",
  "OtlpProbe",
  "OtlpResource",
  "OtlpSink",
  "OtlpSpans",
  "OtlpUntraced",
  "SpanBuffer",
  "StoreSink",
  "Telemetry",
  "TelemetryLayers",
  "TelemetryStore"
]
// It takes what OpenTelemetry sends, and knows nothing of it but the bytes.
const serveGrpc = ["TraceCollectorGrpc"]
const knowHttp = ["NodeClient", "Ollama", "OllamaHttp", "OllamaReading", "OllamaTest"]
const knowNode = [
  "NodeClient",
  "OllamaFiles",
  "NodePlatform",
  "NodePages",
  "NodePorts",
  "NodeTyping",
  "OllamaDouble",
  "OllamaDoubleAccess",
  "OllamaDoubleModels",
  "OllamaDoubleRoutes",
  "OllamaReply",
  "OtlpCertificates",
  "OtlpGrpc",
  "OtlpHttp",
  "Program",
  "ProcessName",
  "Spool",
  "TracePage",
  "TraceCollector",
  "TraceDatabase",
  "TraceStore",
  "TraceWatch",
  "TraceCollectorGrpc",
  "TraceCollectorHttp",
  "TraceCollectorPorts",
  "TraceUi",
  "TraceUiAccess",
  "TraceUiEvents"
]
const runEffects = ["Main"]

const directory = new URL("../src/", import.meta.url)
const modules = readdirSync(directory)
  .map((file) => file.replace(/\.ts$/, ""))
  .map((name) => ({ name, text: readFileSync(new URL(`${name}.ts`, directory), "utf8") }))
  .map(({ name, text }) => ({
    name,
    text,
    imports: [...text.matchAll(/(?:\bfrom |^import |\bimport\()"([^"]+)"/gm)].map((match) => match[1] ?? "")
  }))

const own = (path: string) => /^\.\/(\w+)\.ts$/.exec(path)?.[1]
const knowing = (pattern: RegExp) =>
  modules.filter(({ imports }) => imports.some((path) => pattern.test(path))).map(({ name }) => name)

describe("imports of src", () => {
  it("every module is in the map, and the map names no others", () => {
    assert.sameMembers(
      modules.map(({ name }) => name),
      order
    )
  })

  it("a module imports only what stands below it", () => {
    for (const { imports, name } of modules) {
      for (const path of imports.filter((path) => path.startsWith("."))) {
        const imported = own(path)
        assert.isDefined(imported, `${name} imports ${path}`)
        assert.isBelow(order.indexOf(imported ?? ""), order.indexOf(name), `${name} imports ${imported}`)
      }
    }
  })

  it("graphs, nodes and the client do not know telemetry, and telemetry does not know them", () => {
    const work =
      /^(Graph|GraphDrawing|Node|NodeType|NodeChanges|Preflight|ModelNeeds|ModelNode|AgentNode|ToolSpan|Attempts|Assistant|Visit|Usage|Span|Ollama\w*)$/
    const telemetry =
      /^(Telemetry\w*|Tracer|RecordedSpan|SpanSnapshot|TestSpans|Sink|KeepTraces|Sampling|SpanErrors|SpanValues|SpanBuffer|Bridge|Interop|OpenTelemetry|Otlp\w+|Metric\w+|Diag\w+|ConsoleSpans|SpanPrinter|Environment\w+)$/
    for (const { imports, name } of modules) {
      const others = imports.map(own).filter((imported) => imported !== undefined)
      if (work.test(name)) {
        assert.deepStrictEqual(
          others.filter((other) => telemetry.test(other)),
          [],
          name
        )
      }
      if (telemetry.test(name)) {
        assert.deepStrictEqual(
          others.filter((other) => work.test(other) && other !== "Span"),
          [],
          name
        )
      }
    }
  })

  it("only Telemetry, and what only it imports, knows OpenTelemetry", () => {
    assert.sameMembers(knowing(/opentelemetry|grpc/), [...knowOpenTelemetry, ...serveGrpc])
    const inner = new Set(knowOpenTelemetry.filter((name) => name !== "Telemetry"))
    for (const { imports, name } of modules.filter(({ name }) => !knowOpenTelemetry.includes(name))) {
      assert.deepStrictEqual(
        imports.map(own).filter((imported) => inner.has(imported ?? "")),
        [],
        name
      )
    }
  })

  it("Telemetry loads OpenTelemetry only when tracing is on: its own imports of it are types", () => {
    const text = modules
      .filter(({ name }) => name === "Telemetry" || name === "TelemetryLayers")
      .map(({ text }) => text)
      .join("\n")
    const eager = [
      ...text.matchAll(
        /^import (?!type)[^\n]*"(@[^"]*opentelemetry[^"]*|\.\/(?:Tracer|RecordedSpan|SpanBuffer|Bridge|Interop|OpenTelemetry|Otlp\w+|Metrics|DiagLogger|ConsoleSpans)\.ts)"/gm
      )
    ]
    assert.deepStrictEqual(
      eager.map((match) => match[0]),
      []
    )
  })

  it("only the client and our own servers know HTTP, and only the Node side knows Node", () => {
    assert.sameMembers(knowing(/^effect\/http\//), knowHttp)
    assert.sameMembers(knowing(/^(node:|@effect\/platform-node\/)/), knowNode)
  })

  it("effect/ai is loaded by programs that use it: elsewhere only its types are known", () => {
    const loading = modules.filter(({ text }) => /^import (?!type)[^\n]*"effect\/ai\//m.test(text))
    const knowAi = ["OllamaAiError", "OllamaEmbeddingModel", "OllamaLanguageModel"]
    assert.sameMembers(
      loading.map(({ name }) => name),
      knowAi
    )
    for (const { imports, name } of modules.filter(({ name }) => !knowAi.includes(name) && name !== "index")) {
      assert.isFalse(
        imports.some((path) => knowAi.includes(own(path) ?? "")),
        name
      )
    }
  })

  it("only Main runs effects", () => {
    const running = modules.filter(({ text }) => /\b(runMain|run(?:Promise|Sync|Fork|Callback)\w*)\(/.test(text))
    assert.deepStrictEqual(
      running.map(({ name }) => name),
      runEffects
    )
  })

  it("no whole package is imported, nothing of tests or examples, and index.ts by nobody", () => {
    const packages = ["effect", "@effect/platform-node", "@effect/opentelemetry"]
    for (const { imports, name } of modules) {
      for (const path of imports) {
        assert.notInclude(packages, path, name)
        assert.notMatch(path, /^effect\/(ai|cli|http|observability|cluster|workflow|testing)$/, name)
        assert.notMatch(path, /^\.\.|index\.ts/, name)
      }
    }
  })
})
