// A collector in a process of its own: acknowledges every export at once and counts the spans in it. Its parent asks by
// a message for the count so far, and gets it by a message.
import * as grpc from "@grpc/grpc-js"
import * as OtlpMethod from "../test/support/OtlpMethod.ts"

let spans = 0

const server = new grpc.Server({ "grpc.max_receive_message_length": -1 })
OtlpMethod.serve(server, "trace.v1.TraceService", (call, answer) => {
  answer(null, Buffer.alloc(0))
  spans += countSpans(call.request)
})
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) {
    throw error
  }
  process.send?.({ port })
})
process.on("message", () => process.send?.({ spans }))
process.on("disconnect", () => server.forceShutdown())

// ExportTraceServiceRequest.resource_spans = 1, ResourceSpans.scope_spans = 2, ScopeSpans.spans = 2
// https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
function countSpans(request: Buffer): number {
  return fields(request, 1)
    .flatMap((resource) => fields(resource, 2))
    .reduce((count, scope) => count + fields(scope, 2).length, 0)
}

/** The fields with a number in a message in which every field has a length, as in the outer three here. */
function fields(message: Buffer, number: number): ReadonlyArray<Buffer> {
  const found: Array<Buffer> = []
  let at = 0
  const varint = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++] ?? 0
      value += (byte & 127) * 2 ** shift
      if (byte < 128) {
        return value
      }
    }
  }
  while (at < message.length) {
    const tag = varint()
    const length = varint()
    if (tag >> 3 === number) {
      found.push(message.subarray(at, at + length))
    }
    at += length
  }
  return found
}
