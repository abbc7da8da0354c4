/**
 * The addresses on which a receiver listens.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isIPv6, type AddressInfo, type Server } from "node:net"

/** A port could not be had. */
export class PortUnavailable extends Data.TaggedError("PortUnavailable")<{
  /** As people write it: `127.0.0.1:4317`. */
  readonly address: string
  readonly protocol: "grpc" | "http"
  /** What the system says, such as `EADDRINUSE`. */
  readonly code: string
}> {
  override get message() {
    return `cannot listen on ${this.address}: ${problems[this.code] ?? this.code}`
  }
  /** Whether it is the port, so that another one may be free, and not the address. */
  get taken(): boolean {
    return this.code === "EADDRINUSE" || this.code === "EACCES"
  }
}

const problems: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there",
  EACCES: "this user may not use the port",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "there is no such host"
}

/**
 * Listens on a port of each host, until the scope ends; 0 is one that is free on all of them. A host but the first one
 * that this machine has not got is left out. Fails with `PortUnavailable`. Gives the addresses.
 */
export const listen = (
  hosts: ReadonlyArray<string>,
  port: number,
  protocol: "grpc" | "http",
  server: () => Server
): Effect.Effect<ReadonlyArray<AddressInfo>, PortUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const bound: Array<AddressInfo> = []
    for (const host of hosts) {
      const address = yield* bind(server(), host, bound[0]?.port ?? port, protocol).pipe(
        Effect.catchIf(
          ({ code }) => bound.length > 0 && missing.has(code),
          () => Effect.undefined
        )
      )
      if (address !== undefined) {
        bound.push(address)
      }
    }
    return bound
  })

// There is no IPv6 here.
const missing: ReadonlySet<string> = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"])

const bind = (
  server: Server,
  host: string,
  port: number,
  protocol: "grpc" | "http"
): Effect.Effect<AddressInfo, PortUnavailable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<AddressInfo, PortUnavailable>((resume) => {
      server.once("error", ({ code = "" }: NodeJS.ErrnoException) =>
        resume(Effect.fail(new PortUnavailable({ address: written(host, port), protocol, code })))
      )
      // Of IPv6 it is only that: who wants both says so.
      server.listen({ host, port, ipv6Only: host !== "::" }, () => {
        // A connection that cannot be accepted, for want of file handles, is not the end of the others.
        server.on("error", () => {})
        resume(Effect.succeed(server.address() as AddressInfo)) // listening on TCP, so it is one
      })
    }),
    () => Effect.sync(() => server.close())
  )

/** An address as people write it. */
export const written = (host: string, port: number): string => `${isIPv6(host) ? `[${host}]` : host}:${port}`
