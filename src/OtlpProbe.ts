/**
 * One call of a collector, to see what becomes of it.
 *
 * @since 0.1.0
 */
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import type { Outcome } from "./OtlpAnswers.ts"
import type { OtlpClient } from "./OtlpClient.ts"

/** Sends spans once. The answer may take `millis`. Closes the client. */
export const send = (client: OtlpClient, spans: Array<ReadableSpan>, millis: number): Effect.Effect<Outcome> =>
  Effect.callback<Outcome>((resume) => {
    const request = ProtobufTraceSerializer.serializeRequest(spans) ?? new Uint8Array()
    client.send(request, millis, (outcome) => resume(Effect.succeed(outcome)))
  }).pipe(Effect.ensuring(Effect.sync(() => client.close())))
