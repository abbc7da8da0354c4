/**
 * Spans to a collector, over OTLP and gRPC, without harm to the program.
 *
 * The SDK's own parts reject on a dead collector, send all batches of a burst at once and drop what exceeds thirty,
 * and say nothing about what was lost. So a processor stands around the batch processor that counts, and an exporter
 * around the exporter that takes turns and never fails.
 *
 * @since 0.1.0
 */
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import type { ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { AsyncLocalStorage } from "node:async_hooks"
import { subscribe } from "node:diagnostics_channel"
import type { Socket } from "node:net"
import type { Endpoint } from "./Endpoint.ts"
import type { Batch } from "./EnvironmentVariables.ts"
import * as Span from "./Span.ts"

const concurrentExports = 4

/** A failed export that says nothing about why still fails for a reason. */
interface Failure {
  readonly code?: unknown
  readonly message?: unknown
  readonly details?: unknown
}

/** Makes the processor. `warn` gets one line at the end when spans were lost. */
export const make = (options: {
  readonly endpoint: Endpoint
  /** For one export, and for everything that is left when the program ends, in milliseconds. */
  readonly timeoutMillis: number
  readonly batch: Batch
  readonly warn: (line: string) => void
}): SpanProcessor => {
  const { endpoint, timeoutMillis } = options
  const waiting: Array<{ readonly spans: Array<ReadableSpan>; readonly done: () => void }> = []
  const underWay = new Set<() => void>()
  const sockets = new Set<Socket>()
  let ended = 0
  let delivered = 0
  let reason = "they came faster than they could be sent"
  // Set when the program ends: the time until which it waits.
  let deadline: number | undefined
  let exporter = exporterTo(endpoint, timeoutMillis)
  // Called when nothing is under way any more.
  let idle = (): void => {}

  const next = (): void => {
    while (underWay.size < concurrentExports) {
      const batch = waiting.shift()
      if (batch === undefined) {
        return
      }
      send(batch.spans, batch.done)
    }
  }

  const send = (spans: Array<ReadableSpan>, done: () => void): void => {
    const finish = () => {
      if (underWay.delete(finish)) {
        done()
        next()
        if (underWay.size === 0) {
          idle()
        }
      }
    }
    underWay.add(finish)
    openedFor.run(sockets, () =>
      exporterInTime().export(spans, (result) => {
        // A result that comes after giving up is no longer waited for, but it still counts.
        if (result.code === 0) {
          delivered += spans.length
        } else {
          reason = explain(result.error, endpoint, timeoutMillis)
        }
        finish()
      })
    )
  }

  // A gRPC call holds the process until its own deadline. One that starts late must get a shorter one.
  const exporterInTime = (): SpanExporter => {
    const left = deadline === undefined ? timeoutMillis : deadline - performance.now()
    if (left < timeoutMillis - 500) {
      void exporter.shutdown().catch(() => {})
      exporter = exporterTo(endpoint, Math.max(left, 1))
    }
    return exporter
  }

  const giveUp = (): void => {
    reason = explain({ code: deadlineExceeded }, endpoint, timeoutMillis)
    const rest = waiting.splice(0)
    for (const batch of rest) {
      batch.done()
    }
    for (const finish of Array.from(underWay)) {
      finish()
    }
  }

  const processor = new BatchSpanProcessor(
    {
      export: (spans, result) => {
        waiting.push({ spans, done: () => result({ code: 0 }) })
        next()
      },
      // The batch processor waits for the batches that it sends at its end, not for those that were under way before;
      // `giveUp` ends the wait. What the exporter itself does at its end is not waited for.
      shutdown: () =>
        new Promise<void>((resolve) => {
          idle = resolve
          if (underWay.size === 0) {
            resolve()
          }
        }).then(() => {
          void exporter.shutdown().catch(() => {})
        })
    },
    options.batch
  )

  return {
    onStart: (span, context) => processor.onStart(span, context),
    onEnd: (span) => {
      ended += span.spanContext().traceFlags & 1
      processor.onEnd(span)
    },
    forceFlush: () => processor.forceFlush().catch(() => {}),
    shutdown: () => {
      if (deadline !== undefined) {
        return Promise.resolve()
      }
      deadline = performance.now() + timeoutMillis
      const timer = setTimeout(giveUp, timeoutMillis)
      return processor
        .shutdown()
        .catch(() => {})
        .then(() => {
          clearTimeout(timer)
          if (delivered < ended) {
            for (const socket of sockets) {
              socket.destroy()
            }
            const lost = ended - delivered
            options.warn(`${lost} ${lost === 1 ? "span" : "spans"} not exported: ${reason}`)
          }
        })
    }
  }
}

// gRPC closes a connection that works, but leaves one that is being made: an address that swallows packets, or never
// answers in TLS, would hold the process for 20 s. So the sockets opened on behalf of an export are remembered.
const openedFor = new AsyncLocalStorage<Set<Socket>>()

subscribe("net.client.socket", (message) => {
  const sockets = openedFor.getStore()
  if (sockets !== undefined) {
    const { socket } = message as { readonly socket: Socket }
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  }
})

const exporterTo = (endpoint: Endpoint, timeoutMillis: number): SpanExporter => {
  const exporter = new OTLPTraceExporter({ url: endpoint.url, timeoutMillis })
  if (!endpoint.tls && endpoint.port === 80) {
    // The exporter takes its address from a URL, where port 80 is not written, and gRPC then goes to 443.
    const inside = exporter as unknown as {
      readonly _delegate?: { readonly _transport?: { readonly _parameters?: { address?: string } } }
    }
    const parameters = inside._delegate?._transport?._parameters
    if (parameters?.address !== undefined) {
      parameters.address += ":80"
    }
  }
  return exporter
}

// https://grpc.io/docs/guides/status-codes/
const deadlineExceeded = 4
const unavailable = 14
const codes: Record<number, string> = {
  1: "CANCELLED",
  2: "UNKNOWN",
  3: "INVALID_ARGUMENT",
  5: "NOT_FOUND",
  6: "ALREADY_EXISTS",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  9: "FAILED_PRECONDITION",
  10: "ABORTED",
  11: "OUT_OF_RANGE",
  12: "UNIMPLEMENTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
  15: "DATA_LOSS",
  16: "UNAUTHENTICATED"
}

const explain = (error: Failure | undefined, endpoint: Endpoint, timeoutMillis: number): string => {
  const address = new URL(endpoint.url).host
  const text = String(error?.details ?? error?.message ?? "the exporter gave no reason").split("\n", 1)[0] ?? ""
  if (error?.code === deadlineExceeded) {
    return `no answer from ${address} within ${timeoutMillis / 1000} s. Is it a collector for OTLP over gRPC?`
  }
  if (text.includes("ECONNREFUSED")) {
    return `connection refused at ${address}. Is a collector running there?`
  }
  if (/ENOTFOUND|EAI_AGAIN|Name resolution failed/.test(text)) {
    return `unknown host ${endpoint.host}. Is the endpoint spelled right?`
  }
  const code = typeof error?.code === "number" ? codes[error.code] : undefined
  const said = Span.truncate(Span.redact(text), 200)
  return error?.code === unavailable && text.startsWith("No connection established")
    ? `no connection to ${address} (${said}). Is a collector for OTLP over gRPC running there?`
    : `${address} answered ${code === undefined ? said : `${code}: ${said}`}`
}
