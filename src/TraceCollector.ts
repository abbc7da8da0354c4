/**
 * A receiver of OpenTelemetry traces: OTLP over gRPC and HTTP, into whatever takes them.
 *
 * It acknowledges what its sink has taken, and nothing before that; what the sink fails to take it asks for again. What
 * comes is bounded in length, number, time and memory. It takes no metrics and no logs.
 * https://opentelemetry.io/docs/specs/otlp/
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import { createServer } from "node:net"
import * as Grpc from "./TraceCollectorGrpc.ts"
import * as HttpSide from "./TraceCollectorHttp.ts"
import * as Intake from "./TraceCollectorIntake.ts"
import * as Limits from "./TraceCollectorLimits.ts"
import * as Memory from "./TraceCollectorMemory.ts"
import { listen, PortUnavailable, written } from "./TraceCollectorPorts.ts"

export { type Counts, type Sink, type Taken, Unreadable } from "./TraceCollectorIntake.ts"
export { PortUnavailable } from "./TraceCollectorPorts.ts"

/** A receiver that listens. */
export interface TraceCollector {
  readonly grpc: Listening
  readonly http: Listening
  /** Whether nobody reaches it from another machine. */
  readonly loopback: boolean
  /** What came until now. */
  readonly counts: Effect.Effect<Intake.Counts>
}

/** Where one of the protocols is spoken. */
export interface Listening {
  readonly port: number
  /** All addresses: `127.0.0.1:4317`, `[::1]:4317`. */
  readonly addresses: ReadonlyArray<string>
}

export interface Options {
  /** Where requests go. */
  readonly sink: Intake.Sink
  /** An address of this machine, or `0.0.0.0` or `::` for all; by default those of loopback, IPv4 and IPv6. */
  readonly host?: string | undefined
  /** 4317 by default; 0 is a free one. */
  readonly grpcPort?: number | undefined
  /** 4318 by default; 0 is a free one. */
  readonly httpPort?: number | undefined
  /** Hears when the sink begins to fail, and when it works again. */
  readonly tell?: ((line: string) => void) | undefined
  /** Bounds other than the usual ones. */
  readonly limits?: Partial<Limits.Limits> | undefined
}

/**
 * Receives until the scope ends: then what is under way is finished, for two seconds at most. Fails with
 * `PortUnavailable` when one of the ports cannot be had.
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<TraceCollector, PortUnavailable, Scope.Scope> {
  const limits: Limits.Limits = { ...Limits.limits, ...options.limits }
  const hosts = options.host === undefined || options.host === "localhost" ? ["127.0.0.1", "::1"] : [bare(options.host)]
  const loopback = hosts.every((host) => host === "::1" || /^127(?:\.\d+){3}$/.test(host))

  const run = yield* FiberSet.makeRuntime<never>()
  const intake = Intake.make(options.sink, limits.sinkMillis, options.tell ?? (() => {}))
  const memory = Memory.make(limits.memoryBytes, limits.waiting, limits.patienceMillis)
  const own = { intake, memory, limits, loopback, run }
  const grpc = Grpc.make(own)
  const http = HttpSide.make(own)
  yield* Effect.addFinalizer(() =>
    Effect.interruptible(Effect.all([grpc.drain, http.drain], { concurrency: 2 })).pipe(
      Effect.timeoutOption(limits.drainMillis),
      Effect.andThen(
        Effect.sync(() => {
          grpc.close()
          http.close()
        })
      )
    )
  )

  const bound = (server: ReturnType<typeof createServer>) => {
    server.maxConnections = limits.connections
    return server
  }
  const listening = (port: number, protocol: "grpc" | "http", server: () => ReturnType<typeof createServer>) =>
    Effect.map(
      listen(hosts, port, protocol, () => bound(server())),
      (addresses): Listening => ({
        port: addresses[0]?.port ?? port,
        addresses: addresses.map(({ address, port }) => written(address, port))
      })
    )
  return {
    grpc: yield* listening(options.grpcPort ?? 4317, "grpc", () => createServer(grpc.connected)),
    http: yield* listening(options.httpPort ?? 4318, "http", http.server),
    loopback,
    counts: Effect.sync(intake.counts)
  }
})

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")
