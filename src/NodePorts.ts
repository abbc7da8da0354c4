/**
 * Looking at TCP ports, on Node.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type { Speech } from "./Ports.ts"

/** Whether a connection is accepted within a second. */
export const listening = (host: string, port: number): Effect.Effect<boolean> =>
  Effect.map(heard(host, port, 1000), (text) => text !== undefined)

/** What somebody speaks, found out in `millis` at most. */
export const speech = (host: string, port: number, millis: number): Effect.Effect<Speech> =>
  Effect.map(
    Effect.all(
      [
        heard(host, port, millis, question(host)),
        negotiated(host, port, millis, "h2"),
        negotiated(host, port, millis, "http/1.1")
      ],
      { concurrency: "unbounded" }
    ),
    ([plain, h2, http]) => {
      const tls = h2 !== undefined || http !== undefined
      return {
        listening: plain !== undefined,
        tls,
        // A server of TLS may answer plain text by HTTP, to say what it is.
        http: tls ? http === "http/1.1" || (http === "" && h2 !== "h2") : (plain ?? "").startsWith("HTTP/1."),
        http2: tls ? h2 === "h2" : settings.test(plain ?? "")
      }
    }
  )

// A server of HTTP/1 answers this, and one of HTTP/2 has sent its settings before it reads.
const question = (host: string): string =>
  `OPTIONS * HTTP/1.1\r\nhost: ${Net.isIPv6(host) ? `[${host}]` : host}\r\nconnection: close\r\n\r\n`

// The head of a frame: its length, and its type. https://www.rfc-editor.org/rfc/rfc9113#name-settings
const settings = /^\0\0[^]\x04/

// The first words of whoever answers, as Latin-1; empty where it says nothing, undefined where nobody is.
const heard = (host: string, port: number, millis: number, say?: string): Effect.Effect<string | undefined> =>
  Effect.callback<string | undefined>((resume) => {
    let connected = false
    let text = ""
    const socket = Net.connect({ host, port })
    const end = () => {
      clearTimeout(timer)
      socket.destroy()
      resume(Effect.succeed(connected ? text : undefined))
    }
    const timer = setTimeout(end, millis)
    socket.once("connect", () => {
      connected = true
      if (say === undefined) {
        end()
      } else {
        socket.write(say)
      }
    })
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1")
      if (text.length > 8) {
        end()
      }
    })
    socket.once("error", end).once("end", end)
    return Effect.sync(end)
  })

// The protocol that a server of TLS agrees to when it is offered one; empty where it does not say, `refused` where it
// wants none of it, undefined where nobody speaks TLS.
const negotiated = (host: string, port: number, millis: number, offer: string): Effect.Effect<string | undefined> =>
  Effect.callback<string | undefined>((resume) => {
    const socket = Tls.connect({
      host,
      port,
      ALPNProtocols: [offer],
      ...(Net.isIP(host) === 0 ? { servername: host } : {}),
      // Who it is does not matter here, only what it speaks; nothing is told.
      rejectUnauthorized: false
    })
    const end = (result: string | undefined) => {
      clearTimeout(timer)
      socket.destroy()
      resume(Effect.succeed(result))
    }
    const timer = setTimeout(() => end(undefined), millis)
    socket.once("secureConnect", () => end(socket.alpnProtocol || ""))
    // An alert is a word of TLS, too.
    socket.on("error", ({ code }: NodeJS.ErrnoException) =>
      end(/^ERR_SSL_(?:TLSV1|SSLV3)_ALERT|^ERR_SSL_TLSV13_ALERT/.test(code ?? "") ? "refused" : undefined)
    )
    socket.once("close", () => end(undefined))
    return Effect.sync(() => end(undefined))
  })
