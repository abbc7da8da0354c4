/**
 * Sees that the database of traces has changed, whichever process did it.
 *
 * The system tells of writes to its folder, and SQLite whether they were changes: nothing asks again and again.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { watch } from "node:fs"
import { basename, dirname } from "node:path"
import { naming, open, type Database } from "./TraceDatabase.ts"
import type { TraceStoreError } from "./TraceStoreError.ts"

/**
 * Emits when it watches, and then at each change. The folder must be there. `attempt` makes effects of what throws.
 */
export const changes = (
  file: string,
  attempt: <A>(work: () => A) => Effect.Effect<A, TraceStoreError>
): Stream.Stream<void, TraceStoreError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const seen = yield* Effect.acquireRelease(
        Effect.sync(() => new Seen(file)),
        (seen) => Effect.sync(() => seen.close())
      )
      const look = attempt(() => seen.hasChanged())
      // What is written counts a moment later than it is told of: a short one, unless whoever writes has to wait for a
      // processor. Nothing is told of that moment.
      const lookOn = Effect.repeat(look, {
        until: (changed) => changed,
        times: 4,
        schedule: Schedule.exponential("25 millis")
      })
      return writes(file, attempt).pipe(
        Stream.mapEffect((_, index) => (index === 0 ? Effect.as(look, true) : lookOn)),
        Stream.filter((changed) => changed),
        Stream.map(() => {})
      )
    })
  )

// Writes to the folder of the file, one where several wait to be looked at.
const writes = (
  file: string,
  attempt: <A>(work: () => A) => Effect.Effect<A, TraceStoreError>
): Stream.Stream<void, TraceStoreError> =>
  Stream.callback<void, TraceStoreError>(
    (queue) =>
      Effect.acquireRelease(
        attempt(() =>
          naming(file, () => {
            const name = basename(file)
            const watcher = watch(dirname(file), { persistent: false }, (_, changed) => {
              if (changed === null || changed.startsWith(name)) {
                Queue.offerUnsafe(queue, undefined)
              }
            })
            // The folder has gone, or the system has no more to say.
            watcher.on("error", () => Queue.endUnsafe(queue as Queue.Queue<void, Cause.Done>))
            return watcher
          })
        ),
        (watcher) => Effect.sync(() => watcher.close())
      ).pipe(Effect.tap(() => Queue.offer(queue, undefined))),
    { bufferSize: 1, strategy: "sliding" }
  )

class Seen {
  private database: Database | undefined
  private version: number | undefined
  private readonly file: string

  constructor(file: string) {
    this.file = file
  }

  /** Whether what is there is something else than last time. */
  hasChanged(): boolean {
    if (this.database?.isThere() === false) {
      this.close()
    }
    this.database ??= open(this.file)
    // Of a connection that stays open: it counts what others have committed.
    const version =
      this.database === undefined
        ? undefined
        : naming(this.file, () =>
            Number(this.database?.connection.prepare("PRAGMA data_version").get()?.["data_version"])
          )
    const before = this.version
    this.version = version
    return version !== before
  }

  close(): void {
    this.database?.connection.close()
    this.database = undefined
    this.version = undefined
  }
}
