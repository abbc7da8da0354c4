/**
 * The flags of `tinyllm collect`.
 *
 * @since 0.1.0
 */
import * as Flag from "effect/cli/Flag"

const port = (name: string, protocol: string, usual: number) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("PORT"),
    Flag.withDescription(`Port for OTLP over ${protocol}, ${usual} by default; 0 takes a free one`),
    Flag.filter(
      (port) => port >= 0 && port <= 65535,
      (port) => `Expected a port from 0 to 65535, got ${port}`
    ),
    Flag.withDefault(usual)
  )

export const collectFlags = {
  grpcPort: port("grpc-port", "gRPC", 4317),
  httpPort: port("http-port", "HTTP", 4318),
  host: Flag.String("host").pipe(
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription("Address to listen on, localhost by default; 0.0.0.0 lets other machines send traces here"),
    Flag.filter(
      (host) => /^[\w.:[\]%-]+$/.test(host),
      () => "Expected an address of this machine"
    ),
    Flag.withDefault("localhost")
  )
}

export interface CollectFlags {
  readonly grpcPort: number
  readonly httpPort: number
  readonly host: string
}
