// A small HTTP service whose only purpose is to pass a trace on. It is what the W3C trace-context harness talks to:
// `POST /test` takes a JSON array of `{ url, arguments }` and posts each `arguments` to its `url`.
// https://github.com/w3c/trace-context/tree/main/test
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Propagation from "../../src/Propagation.ts"

interface Call {
  readonly url: string
  readonly arguments: unknown
}

/** Serves on a free loopback port until the scope ends, with the tracer of the effect that starts it. */
export const make: Effect.Effect<{ readonly url: string }, never, Scope.Scope> = Effect.gen(function* () {
  const run = yield* FiberSet.makeRuntime<never>()
  const server = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      run(
        handle(Buffer.concat(chunks).toString("utf8")).pipe(
          Effect.withSpan("POST /test", { kind: "server" }),
          Propagation.withRemote(request.headers),
          Effect.exit,
          Effect.map(({ _tag }) => {
            response.writeHead(_tag === "Success" ? 200 : 500, { "content-type": "application/json" }).end("null")
          })
        )
      )
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/test` }
})

const handle = (body: string) =>
  Effect.flatMap(
    Effect.sync(() => JSON.parse(body) as ReadonlyArray<Call>),
    (calls) => Effect.forEach(calls, call, { discard: true })
  )

const call = Effect.fn("POST", { kind: "client" })(function* ({ arguments: body, url }: Call) {
  const headers = { "content-type": "application/json", ...(yield* Propagation.inject) }
  return yield* Effect.callback<void, Error>((resume) => {
    const request = Http.request(url, { method: "POST", headers, agent: false }, (response) => {
      response.resume().on("end", () => resume(Effect.void))
    })
    request.on("error", (error) => resume(Effect.fail(error)))
    request.end(JSON.stringify(body))
  })
})
