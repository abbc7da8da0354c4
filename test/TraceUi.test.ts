// The server of `tinyllm ui`, over plain HTTP: whom it answers, and how it tells what changes.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Queue, Scope, Stream } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import * as TraceUi from "../src/TraceUi.ts"

const page = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; connect-src 'self'"><title>Traces</title>`

/** A page and one view: a number that counts up, of which a page gets what it has not seen. */
const counting = (lines: { value: number; reads: number; bytes?: number }, changes: Queue.Queue<void>) => ({
  page,
  view: ({ lastEventId, path, query }: TraceUi.Wanted) => {
    if (path !== "count") {
      return undefined
    }
    let seen = Number(lastEventId ?? query.get("after") ?? -1)
    return {
      next: Effect.sync(() => {
        lines.reads++
        const messages = []
        while (seen < lines.value) {
          seen++
          messages.push({ type: "count", id: String(seen), data: [seen, "x".repeat(lines.bytes ?? 0)] })
        }
        return messages
      })
    }
  },
  changes: Stream.fromQueue(changes)
})

const withServer = <A, E>(
  use: (server: {
    readonly ui: TraceUi.TraceUi
    readonly state: { value: number; reads: number; bytes: number }
    /** Counts up and says so. */
    readonly change: (by?: number) => void
  }) => Effect.Effect<A, E>
) =>
  Effect.gen(function* () {
    const state = { value: 0, reads: 0, bytes: 0 }
    const changes = yield* Queue.unbounded<void>()
    const ui = yield* TraceUi.serve(counting(state, changes), 0)
    const change = (by = 1) => {
      state.value += by
      Queue.offerUnsafe(changes, undefined)
    }
    return yield* use({ ui, state, change })
  }).pipe(Effect.scoped)

interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

const ask = (
  url: string,
  options: { readonly method?: string; readonly headers?: Http.OutgoingHttpHeaders; readonly path?: string } = {}
) =>
  Effect.callback<Answer>((resume) => {
    Http.request(url, { agent: false, ...options }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
      response.on("end", () =>
        resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body }))
      )
    }).end()
  })

/** The status of an answer, of which the rest is not waited for. */
const statusOf = (url: string) =>
  Effect.callback<number>((resume) => {
    const request = Http.get(url, { agent: false }, (response) => {
      resume(Effect.succeed(response.statusCode ?? 0))
      request.destroy()
    })
    request.on("error", () => {})
  })

/** Follows a view, and gives what comes event by event. */
const follow = (url: string, headers: Http.OutgoingHttpHeaders = {}) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly next: Effect.Effect<string>
      readonly close: () => void
      readonly ended: Effect.Effect<void>
    }>((resume) => {
      const request = Http.request(url, { agent: false, headers }, (response) => {
        const events: Array<string> = []
        const waiting: Array<() => void> = []
        let rest = ""
        let over = false
        const wake = () => waiting.splice(0).forEach((look) => look())
        response.setEncoding("utf8").on("data", (chunk: string) => {
          const parts = (rest + chunk).split("\n\n")
          rest = parts.pop() ?? ""
          events.push(...parts.filter((part) => !part.startsWith("retry:")))
          wake()
        })
        response.on("error", () => {})
        response.on("close", () => {
          over = true
          wake()
        })
        resume(
          Effect.succeed({
            close: () => request.destroy(),
            next: Effect.callback<string>((resume) => {
              const look = () => {
                const event = events.shift()
                if (event === undefined) {
                  waiting.push(look)
                } else {
                  resume(Effect.succeed(event))
                }
              }
              look()
            }),
            ended: Effect.callback<void>((resume) => {
              const look = () => (over ? resume(Effect.void) : waiting.push(look))
              look()
            })
          })
        )
      })
      request.on("error", () => {})
      request.end()
    }),
    ({ close }) => Effect.sync(close)
  )

const seen = (event: string) => Number(/^id: (\d+)$/m.exec(event)?.[1])

describe("TraceUi.serve", () => {
  it.live("gives the page to whoever knows its address, and nothing to others", () =>
    withServer(({ ui }) =>
      Effect.gen(function* () {
        assert.match(ui.url, /^http:\/\/127\.0\.0\.1:\d+\/[\w-]{22}\/$/)
        const given = yield* ask(ui.url)
        assert.deepInclude(given, { status: 200, body: page })
        assert.strictEqual(
          given.headers["content-security-policy"],
          "default-src 'none'; connect-src 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        )
        const { origin } = new URL(ui.url)
        for (const path of [
          "/",
          "/wrong/",
          "/AAAAAAAAAAAAAAAAAAAAAA/",
          "/AAAAAAAAAAAAAAAAAAAAAA/live/count",
          "/once/",
          "//"
        ]) {
          const { body, status } = yield* ask(origin, { path })
          assert.strictEqual(status, 403, path)
          assert.notInclude(body, new URL(ui.url).pathname.slice(1, -1))
        }
        assert.strictEqual((yield* ask(`${ui.url}nothing`)).status, 404)
        assert.strictEqual((yield* ask(`${ui.url}live/nothing`)).status, 404)
        // Without the last slash, what the page asks for would be looked for elsewhere.
        const { headers, status } = yield* ask(ui.url.slice(0, -1))
        assert.deepStrictEqual([status, headers.location], [308, new URL(ui.url).pathname])
      })
    )
  )

  it.live("opens the page once by an address that others may see", () =>
    withServer(({ ui }) =>
      Effect.gen(function* () {
        const once = yield* ui.once
        assert.notInclude(once, new URL(ui.url).pathname)
        const first = yield* ask(once)
        assert.deepStrictEqual([first.status, first.headers.location], [303, new URL(ui.url).pathname])
        assert.strictEqual((yield* ask(once)).status, 403)
      })
    )
  )

  it.live("answers only requests that name it by its loopback address, which another site's name does not become", () =>
    withServer(({ ui }) =>
      Effect.gen(function* () {
        const { port } = ui
        for (const [host, status] of [
          [`127.0.0.1:${port}`, 200],
          [`localhost:${port}`, 200],
          [`LOCALHOST:${port}`, 200],
          [`evil.example:${port}`, 421],
          ["127.0.0.1", 421],
          ["127.0.0.1:1", 421],
          [`127.0.0.1.evil.example:${port}`, 421],
          [`[::1]:${port}`, 421]
        ] as const) {
          assert.strictEqual((yield* ask(ui.url, { headers: { host } })).status, status, host)
        }
      })
    )
  )

  it.live(
    "refuses what pages of other origins ask for, also those of other ports, but for a link that is followed",
    () =>
      withServer(({ ui }) =>
        Effect.gen(function* () {
          const own = new URL(ui.url).origin
          const cases: ReadonlyArray<readonly [Http.OutgoingHttpHeaders, number]> = [
            [{ origin: own }, 200],
            [{ origin: "https://evil.example" }, 403],
            [{ origin: "null" }, 403],
            [{ origin: "http://127.0.0.1:1" }, 403],
            [{ origin: `http://localhost:${ui.port}` }, 403],
            [{ "sec-fetch-site": "same-origin" }, 200],
            [{ "sec-fetch-site": "none" }, 200],
            [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" }, 403],
            [{ "sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" }, 403],
            [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" }, 403],
            [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }, 200]
          ]
          for (const [headers, status] of cases) {
            const answer = yield* ask(ui.url, { headers })
            assert.strictEqual(answer.status, status, JSON.stringify(headers))
            assert.notProperty(answer.headers, "access-control-allow-origin")
          }
        })
      )
  )

  it.live("takes GET and HEAD only", () =>
    withServer(({ ui }) =>
      Effect.gen(function* () {
        for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]) {
          const { headers, status } = yield* ask(ui.url, { method })
          assert.deepStrictEqual([status, headers.allow], [405, "GET, HEAD"], method)
        }
        const head = yield* ask(ui.url, { method: "HEAD" })
        assert.deepInclude(head, { status: 200, body: "" })
        assert.deepInclude(yield* ask(`${ui.url}live/count`, { method: "HEAD" }), { status: 200, body: "" })
      })
    )
  )

  it.live("lets nothing be kept, framed, guessed or loaded from elsewhere", () =>
    withServer(({ ui }) =>
      Effect.gen(function* () {
        for (const url of [ui.url, `${ui.url}nothing`, new URL(ui.url).origin]) {
          const { headers } = yield* ask(url)
          assert.strictEqual(headers["cache-control"], "no-store")
          assert.strictEqual(headers["x-content-type-options"], "nosniff")
          assert.strictEqual(headers["referrer-policy"], "no-referrer")
          assert.strictEqual(headers["cross-origin-resource-policy"], "same-origin")
          assert.match(String(headers["content-security-policy"]), /default-src 'none'.*frame-ancestors 'none'/)
        }
      })
    )
  )

  it.live("listens on 127.0.0.1 only, and says which port is taken", () =>
    withServer(({ ui }) =>
      Effect.gen(function* () {
        const failed = yield* Effect.flip(
          Effect.scoped(TraceUi.serve(counting({ value: 0, reads: 0 }, yield* Queue.unbounded<void>()), ui.port))
        )
        assert.isTrue(failed.isTaken)
        assert.include(failed.message, `Port ${ui.port} is taken`)
        const others = yield* Effect.callback<boolean>((resume) => {
          const socket = Net.connect({ host: "127.0.0.2", port: ui.port })
          socket.once("connect", () => resume(Effect.succeed(true)))
          socket.once("error", () => resume(Effect.succeed(false)))
          return Effect.sync(() => socket.destroy())
        })
        assert.isFalse(others)
      })
    )
  )
})

describe("events", () => {
  it.live("tell two pages what there is, and then what changes", () =>
    withServer(({ change, ui }) =>
      Effect.gen(function* () {
        const first = yield* follow(`${ui.url}live/count`)
        const second = yield* follow(`${ui.url}live/count`)
        assert.strictEqual(seen(yield* first.next), 0)
        assert.strictEqual(seen(yield* second.next), 0)
        change()
        assert.strictEqual(yield* first.next, `event: count\nid: 1\ndata: [1,""]`)
        assert.strictEqual(seen(yield* second.next), 1)
        first.close()
        change()
        assert.strictEqual(seen(yield* second.next), 2)
      }).pipe(Effect.scoped)
    )
  )

  it.live("go on where a page was when it comes back, without loss and without saying anything twice", () =>
    withServer(({ change, ui }) =>
      Effect.gen(function* () {
        const before = yield* follow(`${ui.url}live/count`)
        assert.strictEqual(seen(yield* before.next), 0)
        before.close()
        change(3)
        const after = yield* follow(`${ui.url}live/count`, { "last-event-id": "0" })
        assert.deepStrictEqual([seen(yield* after.next), seen(yield* after.next), seen(yield* after.next)], [1, 2, 3])
        const awake = yield* follow(`${ui.url}live/count?after=2`)
        assert.strictEqual(seen(yield* awake.next), 3)
      }).pipe(Effect.scoped)
    )
  )

  it.live("are not read for a page that does not take them, however much changes", () =>
    withServer(({ change, state, ui }) =>
      Effect.gen(function* () {
        const quick = yield* follow(`${ui.url}live/count`)
        assert.strictEqual(seen(yield* quick.next), 0)
        // More than the buffers of two sockets hold.
        state.bytes = 8_000_000
        const url = new URL(`${ui.url}live/count`)
        const slow = yield* Effect.acquireRelease(
          Effect.callback<Net.Socket>((resume) => {
            const socket = Net.connect({ host: "127.0.0.1", port: ui.port }, () => {
              socket.write(`GET ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`)
              socket.once("data", () => resume(Effect.succeed(socket.pause())))
            })
            socket.on("error", () => {})
          }),
          (socket) => Effect.sync(() => socket.destroy())
        )
        state.bytes = 10
        const reads = state.reads
        for (let changes = 1; changes <= 5; changes++) {
          change()
          assert.strictEqual(seen(yield* quick.next), changes)
        }
        // Each of them for the quick one.
        assert.strictEqual(state.reads, reads + 5)
        slow.resume()
      }).pipe(Effect.scoped)
    )
  )

  it.live("end at once when the server does", () =>
    Effect.gen(function* () {
      const after = yield* Effect.scope
      const page = yield* withServer(({ ui }) =>
        follow(`${ui.url}live/count`).pipe(
          Effect.tap((page) => page.next),
          Scope.provide(after)
        )
      )
      yield* page.ended
    }).pipe(Effect.scoped, Effect.timeout("5 seconds"))
  )

  it.live("end when a view fails, so that the page asks again", () =>
    Effect.gen(function* () {
      const changes = yield* Queue.unbounded<void>()
      let looks = 0
      const next = Effect.suspend(() =>
        looks++ === 0 ? Effect.succeed([{ type: "first", data: 1 }]) : Effect.die("a bug")
      )
      const ui = yield* TraceUi.serve({ page, view: () => ({ next }), changes: Stream.fromQueue(changes) }, 0)
      const events = yield* follow(`${ui.url}live/count`)
      assert.strictEqual(yield* events.next, "event: first\ndata: 1")
      Queue.offerUnsafe(changes, undefined)
      yield* events.ended
    }).pipe(Effect.scoped, Effect.provideService(Logger.CurrentLoggers, new Set()))
  )

  it.live("go on when whoever tells of changes ended, or failed, and begins anew", () =>
    Effect.gen(function* () {
      let tries = 0
      let looks = 0
      const ui = yield* TraceUi.serve(
        {
          page,
          view: () => ({ next: Effect.sync(() => [{ type: "look", data: ++looks }]) }),
          changes: Stream.suspend(() =>
            ++tries === 1 ? Stream.empty : tries === 2 ? Stream.fail("no") : Stream.make(1)
          )
        },
        0
      )
      const events = yield* follow(`${ui.url}live/count`)
      assert.include(yield* events.next, "data: 1")
      assert.include(yield* events.next, "data: 2")
      assert.isAtLeast(tries, 3)
    }).pipe(Effect.scoped)
  )

  it.live("are for as many pages as a person has, not for any number", () =>
    withServer(({ ui }) =>
      Effect.gen(function* () {
        const pages = yield* Effect.replicateEffect(follow(`${ui.url}live/count`), 64)
        assert.strictEqual(yield* statusOf(`${ui.url}live/count`), 503)
        pages[0]?.close()
        yield* Effect.repeat(statusOf(`${ui.url}live/count`), { until: (status) => status === 200 })
      }).pipe(Effect.scoped)
    )
  )
})
