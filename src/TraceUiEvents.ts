/**
 * Server-sent events for pages that show what changes: a page gets what there is, and then what becomes of it.
 *
 * Nothing is queued for a page. It is read from the store when the page has taken what it got before, so one that is
 * slow, or sleeps in a tab in the background, gets fewer and larger changes and holds no more memory than one answer.
 *
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import type * as Http from "node:http"

/** One event. */
export interface Message {
  readonly type: string
  /** What the browser says when it connects again, so that the view goes on from there. */
  readonly id?: string | undefined
  readonly data: unknown
}

/** What one page follows. */
export interface View {
  /** What changed since it was asked last, everything the first time; nothing where nothing did. */
  readonly next: Effect.Effect<ReadonlyArray<Message>>
  /**
   * Whether another look is worth it although nothing was heard of a change: the last one failed, or something runs, and may
   * be killed.
   */
  readonly looksAgain?: (() => boolean) | undefined
}

export const contentType = "text/event-stream; charset=utf-8"

// A browser connects again after so many milliseconds.
const retryMillis = 1000

// A look at much takes its time, and may take a quarter of all.
const rest = 3

// Where another look is worth it, it is taken so much later.
const patience = "2 seconds"

/**
 * Sends a view to a page until the page leaves, which interrupts it: at once, and each time that `changed` says so, but
 * no more often than `pause` allows.
 */
export const send = (
  response: Http.ServerResponse,
  headers: Readonly<Record<string, string>>,
  view: View,
  changed: PubSub.PubSub<void>,
  pause: Duration.Duration
): Effect.Effect<never> =>
  Effect.gen(function* () {
    // Before the first look, so that nothing falls between the two.
    const changes = yield* PubSub.subscribe(changed)
    response.writeHead(200, { ...headers, "content-type": contentType })
    yield* write(response, `retry: ${retryMillis}\n\n`)
    while (true) {
      const [took, messages] = yield* Effect.timed(view.next)
      for (const message of messages) {
        yield* write(response, text(message))
      }
      yield* Effect.sleep(Duration.max(pause, Duration.times(took, rest)))
      yield* view.looksAgain?.() === true ? Effect.timeoutOption(PubSub.take(changes), patience) : PubSub.take(changes)
    }
  }).pipe(Effect.scoped)

// JSON has no line breaks, so the data is one line.
const text = ({ data, id, type }: Message): string =>
  `event: ${type}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`

/** Waits while the page does not take what was written. */
const write = (response: Http.ServerResponse, text: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (response.write(text)) {
      resume(Effect.void)
      return
    }
    const drained = () => resume(Effect.void)
    response.once("drain", drained)
    return Effect.sync(() => response.off("drain", drained))
  })
