/**
 * OTLP over gRPC, the receiving side.
 *
 * Whatever arrives is read by the stock server. What it leaves open is decided here, before it reads a message: whether
 * there is memory for it, and how long it may take.
 * https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
 *
 * @since 0.1.0
 */
import { Metadata, Server, ServerCredentials, ServerInterceptingCall, status as codes } from "@grpc/grpc-js"
import type { handleUnaryCall, ServerInterceptor } from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Socket } from "node:net"
import { broken, busy, response, status } from "./TraceCollectorAnswer.ts"
import type { Later, Refused } from "./TraceCollectorAnswer.ts"
import type { Intake } from "./TraceCollectorIntake.ts"
import type { Limits } from "./TraceCollectorLimits.ts"
import type { Memory, Part } from "./TraceCollectorMemory.ts"

/** A server without a port: it is given its connections. */
export interface GrpcServer {
  readonly connected: (socket: Socket) => void
  /** Takes no more calls and waits for those that are under way. */
  readonly drain: Effect.Effect<void>
  /** Ends all of it. */
  readonly close: () => void
}

/** Makes the server. `run` runs what a call does. */
export const make = (options: {
  readonly intake: Intake
  readonly memory: Memory
  readonly limits: Limits
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<unknown, unknown>
}): GrpcServer => {
  const { intake, limits, memory, run } = options

  // The server calls it before it reads the message, which it does not do before `proceed`: until then a sender gets no
  // further than the window of HTTP/2, 64 kB.
  const admit: ServerInterceptor = (method, call) => {
    let admitting: Fiber.Fiber<unknown, unknown> | undefined
    let late: NodeJS.Timeout | undefined
    let part: Part | undefined
    let progress: "arriving" | "answered" | "arrived" | "over" = "arriving"
    const end = (answer: Refused | Later): void => {
      progress = "answered"
      admitted.sendStatus(statusOf(intake.turnedAway(answer)))
    }
    const admitted = new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, proceed) => {
            if (method.path !== traces) {
              end(others)
              return
            }
            admitting = run(
              // Once as it comes, and once more as it is decompressed.
              memory.take(2 * limits.grpcMessageBytes).pipe(
                Effect.map((taken) => {
                  if (progress === "over") {
                    taken?.release()
                  } else if (taken === undefined) {
                    end(busy)
                  } else {
                    part = taken
                    late = setTimeout(() => end(slow), limits.requestMillis)
                    proceed(metadata)
                  }
                }),
                Effect.uninterruptible
              )
            )
          },
          onReceiveMessage: (message: Buffer, proceed) => {
            part?.shrink(message.length)
            const taken = (): void => {
              progress = "arrived"
            }
            proceed({ message, taken, release: () => part?.release() } satisfies Received)
          },
          onReceiveHalfClose: (proceed) => {
            clearTimeout(late)
            proceed()
          },
          // At every end, ours or not: the server refuses what is too long by itself, and senders go away.
          onCancel: () => {
            clearTimeout(late)
            admitting?.interruptUnsafe()
            if (progress !== "arrived") {
              part?.release()
            }
            if (progress === "arriving") {
              intake.turnedAway(broken)
            }
            progress = "over"
          }
        })
    })
    return admitted
  }

  const take: handleUnaryCall<Received, Uint8Array> = ({ request: { message, release, taken } }, answer) => {
    taken()
    run(
      intake.take(message).pipe(
        Effect.map((taken) => {
          if (taken._tag === "Stored") {
            answer(null, response(taken.rejected, taken.reason))
          } else {
            answer(statusOf(taken))
          }
        }),
        Effect.ensuring(Effect.sync(release))
      )
    )
  }

  const server = new Server({
    interceptors: [admit],
    "grpc.max_receive_message_length": limits.grpcMessageBytes,
    "grpc.max_concurrent_streams": limits.grpcStreams,
    "grpc.max_connection_idle_ms": limits.idleMillis,
    // Whoever has gone without a word is found out.
    "grpc.keepalive_time_ms": limits.idleMillis / 2,
    "grpc.keepalive_timeout_ms": limits.headersMillis,
    "grpc.enable_channelz": 0
  })
  server.addService({ export: method(traces) }, { export: take })
  for (const path of notTraces) {
    server.addService({ export: method(path) }, { export: () => {} })
  }
  const connections = server.createConnectionInjector(ServerCredentials.createInsecure())
  const silent = new Set<Socket>()
  return {
    connected: (socket) => {
      silent.add(socket)
      socket.once("close", () => silent.delete(socket))
      heard(socket, limits, (beginning) => {
        silent.delete(socket)
        if (http1.test(beginning.toString("latin1"))) {
          intake.turnedAway(otherProtocol)
          sendAway(socket, limits)
        } else {
          socket.unshift(beginning)
          connections.injectConnection(socket)
        }
      })
    },
    drain: Effect.callback((resume) => server.tryShutdown(() => resume(Effect.void))),
    close: () => {
      server.forceShutdown()
      for (const socket of silent) {
        socket.destroy()
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Connections
// ---------------------------------------------------------------------------------------------------------------------

// The ports of both protocols are often taken for one another, and the server for HTTP/2 closes without a word.
const heard = (socket: Socket, limits: Limits, first: (beginning: Buffer) => void): void => {
  const silent = setTimeout(() => socket.destroy(), limits.headersMillis)
  const ignore = (): void => {}
  socket.on("error", ignore)
  socket.once("close", () => clearTimeout(silent))
  socket.once("readable", () => {
    clearTimeout(silent)
    const beginning = socket.read() as Buffer | null
    if (beginning === null) {
      socket.destroy()
    } else {
      first(beginning)
    }
  })
}

// Who asks with OPTIONS wants to know what is spoken here, as `tinyllm doctor` does, and hears it in HTTP/2.
const http1 = /^(?!OPTIONS )[A-Z]+ [^\r\n]* HTTP\/1\.[01]\r\n/

const sendAway = (socket: Socket, limits: Limits): void => {
  const body = "This port speaks OTLP over gRPC. OTLP over HTTP has a port of its own, usually 4318.\n"
  socket.end(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n" +
      `content-length: ${body.length}\r\n\r\n${body}`
  )
  // What is still on its way is let go by: a connection that is closed may take the answer along.
  socket.resume()
  setTimeout(() => socket.destroy(), limits.drainMillis).unref()
}

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

interface Received {
  readonly message: Buffer
  /** From now on who has taken it releases its memory, whatever becomes of the call. */
  readonly taken: () => void
  readonly release: () => void
}

// https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto/collector
const traces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
const notTraces = [
  "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
  "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
]

const method = (path: string) => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
  responseDeserialize: (bytes: Buffer) => bytes
})

const others: Refused = {
  _tag: "Refused",
  code: "UNIMPLEMENTED",
  reason: "Only traces are stored here, no metrics and no logs."
}
const otherProtocol: Refused = { _tag: "Refused", code: "INVALID_ARGUMENT", reason: "This is no gRPC." }
const slow: Later = { _tag: "Later", code: "UNAVAILABLE", reason: "The request did not arrive in time." }

const statusOf = (answer: Refused | Later) => {
  const metadata = new Metadata()
  if (answer._tag === "Later" && answer.code === "RESOURCE_EXHAUSTED") {
    metadata.set("grpc-status-details-bin", Buffer.from(status(answer.code, answer.reason, true)))
  }
  return { code: codes[answer.code], details: answer.reason, metadata }
}
