/**
 * Whom an Ollama double answers: a server on a loopback address wants requests that name it so, from pages of its own.
 *
 * @since 0.1.0
 */
import type * as Http from "node:http"
import * as Os from "node:os"

/** Whether a request is refused, with a 403 without a body, for its `Host` or `Origin`. */
export const isForbidden = ({ host, origin }: Http.IncomingHttpHeaders): boolean =>
  !isOwnHost(host ?? "") || (origin !== undefined && !isAllowedOrigin(origin, host ?? ""))

const isOwnHost = (header: string): boolean => {
  const host = header
    .toLowerCase()
    .replace(/:\d*$/, "")
    .replace(/^\[(.*)\]$/, "$1")
  return (
    host === "" ||
    host === "localhost" ||
    host === Os.hostname().toLowerCase() ||
    /\.(localhost|local|internal)$/.test(host) ||
    isOwnAddress(host)
  )
}

// Loopback, private, unspecified, or one of this machine.
const isOwnAddress = (host: string): boolean =>
  /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)\d+(\.\d+)*$|^0\.0\.0\.0$/.test(host) ||
  /^::1?$|^f[cd][0-9a-f]{2}:[0-9a-f:]*$/.test(host) ||
  Object.values(Os.networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === host))

// https://github.com/ollama/ollama/blob/main/envconfig/config.go, AllowedOrigins
const isAllowedOrigin = (origin: string, host: string): boolean =>
  origin === `http://${host}` ||
  /^https?:\/\/(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?$/.test(origin) ||
  /^(app|file|tauri|vscode-webview|vscode-file):\/\//.test(origin)

/** What a browser is told before it sends a request: neither `traceparent` nor `baggage` is among it. */
export const preflight = (origin: string): Readonly<Record<string, string>> => ({
  "access-control-allow-origin": origin,
  "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
  "access-control-allow-headers": "Origin,Content-Length,Content-Type,Authorization,User-Agent,Accept,X-Requested-With"
})
