/**
 * Reading an answer on while its caller is busy with what came: a call is over when the server is done with it, not when
 * the caller gets round to the end.
 *
 * What is not read yet is bounded. Beyond that the server has to wait.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import type { Completion, Part } from "./OllamaApi.ts"
import type { OllamaError } from "./OllamaError.ts"
import { drain, fill, nowMillis, type Reading } from "./OllamaReading.ts"

// Some answers of the usual length, so that a server hardly ever waits.
const maximumUnread = 8192

// The same in UTF-16 units of text: a record may be long.
const maximumUnreadUnits = 1024 * 1024

// A caller who spends seconds on each part comes back soon enough to be seen alive.
const maximumChunk = 32

type Parts = Pull.Pull<readonly [Part, ...Array<Part>], OllamaError>

/**
 * Starts to read, and gives a pull of the parts that fails with `Done` after the last one. The call ends in its scope:
 * `looked` and `finished` run when the answer is complete, the latter as a whole; then the scope is closed with how the call ended, then the caller hears
 * of it. Closing the scope before that ends the reading.
 */
export const start = (
  reading: Reading,
  scope: Scope.Closeable,
  on: {
    readonly looked: (completion: Completion) => Effect.Effect<void>
    readonly finished: (completion: Completion) => Effect.Effect<void>
  }
): Effect.Effect<Parts> => {
  const { reader, clock } = reading
  const unread: Array<Part> = []
  let unreadUnits = 0
  let end: Parts | undefined
  /** Wakes the caller who waits for parts, or the reading that waits for room. */
  let onParts: (() => void) | undefined
  let onRoom: (() => void) | undefined

  const wakeCaller = () => {
    const wake = onParts
    onParts = undefined
    wake?.()
  }

  const deliver = () => {
    const { parts } = reader
    if (parts.length > 0) {
      reader.parts = []
      for (const part of parts) {
        unread.push(part)
        unreadUnits += units(part)
      }
      reading.unreadSince ??= nowMillis(clock)
      wakeCaller()
    }
  }

  const ended = (exit: Exit.Exit<void, OllamaError>, last: Parts): Effect.Effect<void> =>
    Effect.uninterruptible(
      Effect.andThen(
        Scope.close(scope, exit),
        Effect.sync(() => {
          end = last
          wakeCaller()
        })
      )
    )

  const room = Effect.callback<void>((resume) => {
    onRoom = () => resume(Effect.void)
    return Effect.sync(() => (onRoom = undefined))
  })

  const read: Effect.Effect<void> = Effect.suspend(() => {
    if (reader.completion !== undefined) {
      return complete(reader.completion)
    }
    deliver()
    if (reader.failure !== undefined) {
      return ended(Exit.fail(reader.failure), Effect.fail(reader.failure))
    }
    return (unread.length < maximumUnread && unreadUnits < maximumUnreadUnits) || reading.expired !== undefined
      ? Effect.andThen(fill(reading), read)
      : Effect.andThen(room, read)
  })

  // The last part says that all is done, so it comes when all is.
  const complete = (completion: Completion): Effect.Effect<void> => {
    const done = reader.parts.pop()
    deliver()
    return Effect.andThen(
      Effect.andThen(drain(reading.pull), on.looked(completion)),
      Effect.uninterruptible(
        Effect.andThen(
          on.finished(completion),
          Effect.suspend(() => {
            if (done !== undefined) {
              unread.push(done)
            }
            return ended(Exit.void, Cause.done())
          })
        )
      )
    )
  }

  const next: Parts = Effect.suspend(() => {
    if (unread.length > 0) {
      const chunk = unread.splice(0, maximumChunk)
      for (const part of chunk) {
        unreadUnits -= units(part)
      }
      const [part, ...parts] = chunk
      reading.unreadSince = unread.length > 0 ? nowMillis(clock) : undefined
      onRoom?.()
      return Effect.succeed([part as Part, ...parts] as const) // there was one
    }
    return (
      end ??
      Effect.callback((resume) => {
        onParts = () => resume(next)
        return Effect.sync(() => (onParts = undefined))
      })
    )
  })

  reading.onExpired = () => onRoom?.()
  return read.pipe(
    Effect.catchCauseIf(
      (cause) => !Cause.hasInterruptsOnly(cause),
      (cause) => ended(Exit.failCause(cause), Effect.failCause(cause))
    ),
    Effect.forkIn(scope),
    Effect.as(next)
  )
}

// What a call of a tool asks for is seldom long, and one record of it is.
const units = (part: Part): number =>
  part._tag === "Text" || part._tag === "Thinking"
    ? part.text.length
    : part._tag === "ToolCall"
      ? JSON.stringify(part.arguments).length
      : 0
