// The methods of gRPC by which OTLP arrives, for servers that want the bytes.
import type * as grpc from "@grpc/grpc-js"

const identity = (bytes: Buffer) => bytes

/** Serves the export of one signal. */
export const serve = (
  server: grpc.Server,
  service: "trace.v1.TraceService" | "metrics.v1.MetricsService",
  handle: grpc.handleUnaryCall<Buffer, Buffer>
) =>
  server.addService(
    {
      export: {
        path: `/opentelemetry.proto.collector.${service}/Export`,
        requestStream: false,
        responseStream: false,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity
      }
    },
    { export: handle }
  )
