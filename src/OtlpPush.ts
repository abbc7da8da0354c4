/**
 * Sends what is in a spool, one file after the other, and deletes what was acknowledged; and requests that are at hand.
 *
 * Two that do this at the same time share the files. Who is killed between an acknowledgement and the deletion sends
 * that file again the next time: it is better to have spans twice than not at all.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Reason } from "./OtlpAnswers.ts"
import type { OtlpClient } from "./OtlpClient.ts"
import * as OtlpDelivery from "./OtlpDelivery.ts"
import * as Spool from "./Spool.ts"

/** What became of the files. */
export interface Pushed {
  /** Where spans went to, host and port. */
  readonly address: string
  readonly directory: string
  /** Files that were acknowledged, and are gone. */
  readonly files: number
  /** Spans in them, without those that were rejected. */
  readonly spans: number
  /** Spans of acknowledged files that the collector did not want, and why. */
  readonly rejected: ReadonlyArray<{ readonly spans: number; readonly reason: string }>
  /** Files that are not what was written, and why; they were skipped. */
  readonly damaged: ReadonlyArray<{ readonly name: string; readonly damage: string }>
  /** Files that the collector does not want, today or any other day, or not in one piece; they stay. */
  readonly refused: ReadonlyArray<{ readonly name: string; readonly spans: number; readonly reason: string }>
  /** Files that somebody else is sending. */
  readonly elsewhere: number
  /** Why what is left was not sent. */
  readonly failed: (Reason & { readonly files: number; readonly spans: number }) | undefined
}

/**
 * Sends all files of a folder. `timeoutMillis` is for one file, with all attempts. Closes the client.
 *
 * Fails when the folder cannot be used; what became of single files is in the result.
 */
export const push = (options: {
  readonly client: OtlpClient
  readonly directory: string
  readonly timeoutMillis: number
}): Effect.Effect<Pushed, Spool.SpoolFailed> =>
  Effect.gen(function* () {
    const { client, directory, timeoutMillis } = options
    const { files, unknown } = yield* Spool.list(directory)
    const now = yield* Clock.currentTimeMillis
    const free = files.filter((file) => Spool.isFree(file, now))
    const done = {
      files: 0,
      spans: 0,
      rejected: [] as Array<Pushed["rejected"][number]>,
      damaged: unknown.map((name) => ({ name, damage: "TinyLLM gives no such name" })),
      refused: [] as Array<Pushed["refused"][number]>,
      elsewhere: files.length - free.length
    }
    let failed: Pushed["failed"]
    for (const [index, file] of free.entries()) {
      const taken = yield* Spool.take(directory, file)
      if (taken === undefined) {
        done.elsewhere++
        continue
      }
      if (taken.request === undefined) {
        yield* taken.release
        done.damaged.push({ name: file.name, damage: taken.damage })
        continue
      }
      const end = yield* deliver(client, taken.request, timeoutMillis).pipe(
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.ignore(taken.release)))
      )
      if (end._tag === "Accepted") {
        yield* taken.remove
        const rejected = Math.min(end.rejected, file.spans)
        done.files++
        done.spans += file.spans - rejected
        if (rejected > 0) {
          done.rejected.push({ spans: rejected, reason: end.reason })
        }
        continue
      }
      yield* taken.release
      // What a collector does not take of one file says nothing of those behind it.
      if (end.unwanted || end.tooLarge) {
        done.refused.push({ name: file.name, spans: file.spans, reason: end.reason.reason })
        continue
      }
      const left = free.slice(index)
      failed = { ...end.reason, files: left.length, spans: left.reduce((sum, { spans }) => sum + spans, 0) }
      break
    }
    return { ...done, address: client.address, directory, failed }
  }).pipe(Effect.ensuring(Effect.sync(() => options.client.close())))

/** What became of requests. */
export interface Sent {
  /** Where they went to, host and port. */
  readonly address: string
  /** How many were acknowledged, from the first on. */
  readonly accepted: number
  /** Spans of acknowledged requests that the collector did not want, and why. */
  readonly rejected: ReadonlyArray<{ readonly spans: number; readonly reason: string }>
  /** Why the next one, and what follows it, was not sent. */
  readonly failed: Reason | undefined
}

/** Sends requests, one after the other. `timeoutMillis` is for one, with all attempts. Closes the client. */
export const send = (options: {
  readonly client: OtlpClient
  readonly requests: ReadonlyArray<Uint8Array>
  readonly timeoutMillis: number
}): Effect.Effect<Sent> =>
  Effect.gen(function* () {
    const { client, requests, timeoutMillis } = options
    const rejected: Array<Sent["rejected"][number]> = []
    for (const [index, request] of requests.entries()) {
      const end = yield* deliver(client, request, timeoutMillis)
      if (end._tag === "Failed") {
        return { address: client.address, accepted: index, rejected, failed: end.reason }
      }
      if (end.rejected > 0) {
        rejected.push({ spans: end.rejected, reason: end.reason })
      }
    }
    return { address: client.address, accepted: requests.length, rejected, failed: undefined }
  }).pipe(Effect.ensuring(Effect.sync(() => options.client.close())))

// A person waits: pauses are those of the end of a program, but the time is what the settings give.
const deliver = (client: OtlpClient, request: Uint8Array, timeoutMillis: number): Effect.Effect<OtlpDelivery.End> =>
  Effect.callback((resume) => {
    const begin = performance.now()
    const delivery = OtlpDelivery.make({
      client,
      request,
      limitMillis: timeoutMillis,
      endsSince: () => begin,
      endMillis: timeoutMillis,
      done: (end) => resume(Effect.succeed(end))
    })
    delivery.start()
    return Effect.sync(() => delivery.giveUp({ reason: "interrupted" }))
  })
