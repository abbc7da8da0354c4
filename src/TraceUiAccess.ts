/**
 * Whom the page of traces answers: a browser on this machine that was given its address, and no other site's page.
 *
 * Any program on the machine reaches a loopback port, any site's page can make a browser send requests there, and a name
 * of another site can be made to lead there (DNS rebinding). So a request must name the server by its loopback address,
 * must not come from another origin, and its path must begin with a secret that only the one who started the server was
 * told. A cookie in place of the path would be sent to every other port of the same address.
 *
 * @since 0.1.0
 */
import * as Crypto from "node:crypto"
import type * as Http from "node:http"

/** Why a request is refused. */
export interface Refusal {
  readonly status: 403 | 405 | 421
  readonly text: string
}

/** What is looked at in a request. */
export interface Asked {
  readonly method?: string | undefined
  readonly headers: Http.IncomingHttpHeaders
}

/** Headers of every response: nothing is kept, framed, guessed, or loaded from elsewhere. */
export const responseHeaders: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/**
 * The policy of a page as it stands in it, and that nobody frames it, which only a header can say. No text becomes HTML in
 * it either: the browser sees to that.
 */
export const policyOf = (html: string): string => {
  const policy = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(html)?.[1] ?? "default-src 'none'"
  return `${policy}; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`
}

/** A secret for the address, which nobody guesses: 128 random bits. */
export const makeSecret = (): string => Crypto.randomBytes(16).toString("base64url")

/** Whether two secrets are the same, in a time that does not tell where they differ. */
export const isSecret = (given: string, secret: string): boolean => {
  const digest = (text: string) => Crypto.createHash("sha256").update(text).digest()
  return Crypto.timingSafeEqual(digest(given), digest(secret))
}

/** Says why a request to a server on a port is refused, whatever its path is; `undefined` where it is not. */
export const refusal = ({ headers, method }: Asked, port: number): Refusal | undefined => {
  const host = headers.host?.toLowerCase() ?? ""
  if (!ownHosts(port).includes(host)) {
    return { status: 421, text: `This is 127.0.0.1:${port}, and nobody else.` }
  }
  if (headers.origin !== undefined && headers.origin.toLowerCase() !== `http://${host}`) {
    return { status: 403, text: "Pages of other origins are not answered." }
  }
  // https://www.w3.org/TR/fetch-metadata/. Programs that are no browser do not send it, and are told nothing without
  // the secret. Following a link to here is no harm: what is answered is shown to the person, not to the other page.
  const site = headers["sec-fetch-site"] ?? "none"
  const isLink = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document"
  if (site !== "same-origin" && site !== "none" && !isLink) {
    return { status: 403, text: "Pages of other origins are not answered." }
  }
  return method === "GET" || method === "HEAD" ? undefined : { status: 405, text: "Only GET and HEAD." }
}

const ownHosts = (port: number): ReadonlyArray<string> =>
  ["127.0.0.1", "localhost"].flatMap((name) => [`${name}:${port}`, ...(port === 80 ? [name] : [])])
