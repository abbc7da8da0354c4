/**
 * The page of traces, live: a server on a loopback port that shows the local store and what comes into it.
 *
 * It only reads. It binds 127.0.0.1, answers whoever knows its address (`TraceUiAccess`), and ends at once, also while
 * pages are open.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Access from "./TraceUiAccess.ts"
import * as Events from "./TraceUiEvents.ts"

/** The port could not be had. */
export class TraceUiFailed extends Data.TaggedError("TraceUiFailed")<{
  readonly port: number
  readonly cause: NodeJS.ErrnoException
}> {
  /** Whether somebody else has it. */
  get isTaken(): boolean {
    return this.cause.code === "EADDRINUSE"
  }
  override get message() {
    const why = this.isTaken
      ? "is taken"
      : this.cause.code === "EACCES"
        ? "is for administrators only"
        : `cannot be listened on (${this.cause.code ?? this.cause.message})`
    return `Port ${this.port} ${why}. Choose another one with --port; 0 takes a free one.`
  }
}

/** What a page wants to follow. */
export interface Wanted {
  /** What comes after `live/` in the address. */
  readonly path: string
  readonly query: URLSearchParams
  /** The id of the last event that the page got, when it comes back. */
  readonly lastEventId: string | undefined
}

/** What a server shows. */
export interface Content {
  /** The HTML of the page, which asks for nothing but views. Its content security policy is in a `meta` element. */
  readonly page: string
  /** `undefined` where there is no such view. */
  readonly view: (wanted: Wanted) => Events.View | undefined
  /** Emits when views may have something new. */
  readonly changes: Stream.Stream<unknown, unknown>
}

/** A server that runs. */
export interface TraceUi {
  readonly port: number
  /** The address of the page, with the secret that opens it. */
  readonly url: string
  /** An address that opens the page once, for a command line, which other users of the machine may see. */
  readonly once: Effect.Effect<string>
}

// More pages than anybody looks at, and few enough for any machine.
const maximumViews = 64

// A running trace looks alive, and what comes every millisecond is sent ten times a second.
const pause = Duration.millis(100)

/**
 * Serves content until the scope ends, which ends what pages follow, too. `port` 0 takes a free one. Fails with
 * `TraceUiFailed` when the port cannot be had.
 */
export const serve = Effect.fnUntraced(function* (
  content: Content,
  port: number
): Effect.fn.Return<TraceUi, TraceUiFailed, Scope.Scope> {
  const changed = yield* PubSub.sliding<void>(1)
  const run = yield* FiberSet.makeRuntime<never>()
  const secret = Access.makeSecret()
  const tickets = new Set<string>()
  const policy = Access.policyOf(content.page)
  let bound = port
  let views = 0

  const server = Http.createServer((request, response) => {
    request.on("error", () => {}).resume() // what comes with a GET is of no interest; the response's "close" tells
    response.on("error", () => {})
    const end = (status: number, body: string, headers: Readonly<Record<string, string>> = {}) => {
      response
        .writeHead(status, { ...Access.responseHeaders, "content-type": "text/plain; charset=utf-8", ...headers })
        .end(request.method === "HEAD" ? undefined : body)
    }
    const refused = Access.refusal(request, bound)
    if (refused !== undefined) {
      return end(refused.status, `${refused.text}\n`, refused.status === 405 ? { allow: "GET, HEAD" } : {})
    }
    const url = parse(request.url ?? "")
    const [, given = "", ...rest] = url?.pathname.split("/") ?? []
    if (given === "once" && tickets.delete(rest.join("/"))) {
      return end(303, "", { location: `/${secret}/` })
    }
    if (url === undefined || !Access.isSecret(given, secret)) {
      return end(403, 'This is the page of tinyllm\'s traces. Open the address that "tinyllm ui" printed.\n')
    }
    const path = rest.join("/")
    if (path === "" && rest.length > 0) {
      return end(200, content.page, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy })
    }
    const view = path.startsWith("live/")
      ? content.view({
          path: path.slice("live/".length),
          query: url.searchParams,
          lastEventId: lastEventId(request.headers)
        })
      : undefined
    if (view === undefined) {
      return rest.length === 0 ? end(308, "", { location: `/${secret}/` }) : end(404, "There is no such page.\n")
    }
    if (request.method === "HEAD") {
      return end(200, "", { "content-type": Events.contentType })
    }
    if (views >= maximumViews) {
      return end(503, `More than ${maximumViews} pages are open.\n`, { "retry-after": "10" })
    }
    views++
    const fiber = run(
      Events.send(response, Access.responseHeaders, view, changed, pause).pipe(
        Effect.catchCauseIf(
          (cause) => !Cause.hasInterruptsOnly(cause),
          // The page would wait for ever; so it asks again.
          (cause) =>
            Effect.andThen(
              Effect.logError("A view of the page failed.", cause),
              Effect.sync(() => response.destroy())
            )
        )
      )
    )
    response.once("close", () => {
      views--
      fiber.interruptUnsafe()
    })
  })

  yield* Effect.acquireRelease(
    Effect.callback<void, TraceUiFailed>((resume) => {
      server.on("error", (cause) => resume(Effect.fail(new TraceUiFailed({ port, cause }))))
      server.listen(port, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  bound = (server.address() as AddressInfo).port // listening on TCP, so it is one
  yield* content.changes.pipe(
    Stream.runForEach(() => PubSub.publish(changed, undefined)),
    // What views read fails too, then, and they say so. A folder that has gone may come back.
    Effect.ignore,
    Effect.andThen(Effect.sleep("2 seconds")),
    Effect.forever,
    Effect.forkScoped
  )
  const origin = `http://127.0.0.1:${bound}`
  return {
    port: bound,
    url: `${origin}/${secret}/`,
    once: Effect.sync(() => {
      const ticket = Access.makeSecret()
      tickets.add(ticket)
      return `${origin}/once/${ticket}`
    })
  }
})

// The path of a request, which a browser never sends in another form.
const parse = (path: string): URL | undefined =>
  path.startsWith("/") && !path.startsWith("//") ? (URL.parse(path, "http://127.0.0.1") ?? undefined) : undefined

const lastEventId = (headers: Http.IncomingHttpHeaders): string | undefined => {
  const id = headers["last-event-id"]
  return typeof id === "string" && id !== "" ? id : undefined
}
