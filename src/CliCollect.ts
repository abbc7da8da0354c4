/**
 * `tinyllm collect`: puts what any OpenTelemetry program sends where `tinyllm trace` looks.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { CollectFlags } from "./CliCollectFlags.ts"
import { CommandFailed, failed } from "./CliError.ts"
import { Stderr } from "./Stderr.ts"
import { harmless } from "./TerminalText.ts"
import * as TraceCollector from "./TraceCollector.ts"
import { TraceStore } from "./TraceStore.ts"

/** Receives until it is interrupted. Fails with 1 when the store cannot be written, with 2 when a port is taken. */
export const collect = ({ grpcPort, host, httpPort }: CollectFlags) =>
  Effect.gen(function* () {
    const stderr = yield* Stderr
    const tell = (line: string) => stderr.write(`tinyllm collect: ${harmless(line)}\n`)
    if (grpcPort === httpPort && grpcPort !== 0) {
      return yield* new CommandFailed({
        text: `gRPC and HTTP have a port each, and ${grpcPort} is given for both. Choose another one with --http-port.`,
        exitCode: 2
      })
    }
    const store = yield* TraceStore
    // Whoever starts it reads now what is wrong with the store, and no sender has to hear of it.
    yield* store.append(new Uint8Array())
    let counts: Effect.Effect<TraceCollector.Counts> | undefined
    // Runs when what was under way has ended.
    yield* Effect.addFinalizer(() =>
      counts === undefined ? Effect.void : Effect.map(counts, (all) => tell(told(all)))
    )
    const collector = yield* Effect.mapError(
      TraceCollector.make({ sink: into(store), host, grpcPort, httpPort, tell }),
      unavailable
    )
    counts = collector.counts
    const { grpc, http, loopback } = collector
    if (!loopback) {
      tell(`warning: other machines that reach ${host} can send traces here, too; there is no key and no TLS`)
    }
    tell(
      `OTLP gRPC on ${grpc.addresses.join(" and ")}, HTTP on ${http.addresses.join(" and ")}, ` +
        `traces in ${store.file}; "tinyllm trace tail" shows them`
    )
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(TraceStore.layerConfig), Effect.mapError(failed))

const into =
  (store: typeof TraceStore.Service): TraceCollector.Sink =>
  (request) =>
    store.append(request).pipe(
      Effect.map(({ invalid, known, taken }) => ({ spans: taken + known, rejected: invalid })),
      Effect.mapError((error) =>
        error.reason._tag === "RequestInvalid" ? new TraceCollector.Unreadable({ why: error.reason.why }) : error
      )
    )

const unavailable = (error: TraceCollector.PortUnavailable): CommandFailed =>
  new CommandFailed({
    text: `${error.message}. ${
      error.taken
        ? `Choose another port with ${error.protocol === "grpc" ? "--grpc-port" : "--http-port"}; 0 takes a free one.`
        : "Choose another address with --host."
    }`,
    exitCode: 2
  })

const told = ({ later, refused, rejected, requests, spans }: TraceCollector.Counts): string =>
  [
    `${count(spans, "span")} in ${count(requests, "request")} stored`,
    ...(rejected === 0 ? [] : [`${count(rejected, "span")} without valid ids left out`]),
    ...(refused === 0 ? [] : [`${count(refused, "request")} refused`]),
    ...(later === 0 ? [] : [`${count(later, "request")} sent away to come again`])
  ].join(", ")

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`
