/**
 * Where Ollama is, from what people write into `OLLAMA_HOST`.
 *
 * The rules are the server's own, so the same variable works for both; addresses that a server listens on but that
 * nobody can connect to (`0.0.0.0`) become loopback.
 * https://github.com/ollama/ollama/blob/main/envconfig/config.go
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** Where to send requests. */
export interface Host {
  readonly scheme: "http" | "https"
  /** Without brackets. */
  readonly address: string
  readonly port: number
  /** `""`, or what a proxy puts in front of `/api`: starts with `/`, does not end with it. */
  readonly path: string
  /** Scheme, host, port and path, without user and password. The port is always there. */
  readonly url: string
  /** `Basic …`, from a user and password in front of the host. */
  readonly authorization?: Redacted.Redacted<string> | undefined
  /** What was understood otherwise than it may have been meant. */
  readonly warnings: ReadonlyArray<string>
  /** Whether it is ollama.com or below it: prompts leave the machine. */
  readonly remote: boolean
}

const defaultPort = 11434

/**
 * Reads a value of `OLLAMA_HOST`, or of another setting by the name of `name`; fails with a text that says which.
 * Absent and empty mean `http://127.0.0.1:11434`.
 */
export const parse = (value: string | undefined, name = "OLLAMA_HOST"): Result.Result<Host, string> => {
  const trimmed = (value ?? "")
    .trim()
    .replace(/^["']+|["']+$/g, "")
    .trim()
  // Never shown: what stands before an `@` may be a password.
  const shown = trimmed.replace(/(^|:\/\/).*@/, "$1***@")
  const refuse = (why: string) =>
    Result.fail(
      `${name} "${shown}" cannot be used: ${why}. Write it like "127.0.0.1:11434" or "https://example.com/path".`
    )

  const split = trimmed.indexOf("://")
  const written = split === -1 ? undefined : trimmed.slice(0, split).toLowerCase()
  if (written !== undefined && written !== "http" && written !== "https") {
    return refuse(`"${written}" is no scheme for Ollama`)
  }
  const rest = split === -1 ? trimmed : trimmed.slice(split + 3)
  if (/[?#\s\\]/.test(rest)) {
    return refuse("a query, fragment, space or backslash has no place in it")
  }
  const slash = rest.indexOf("/")
  const authority = slash === -1 ? rest : rest.slice(0, slash)
  if (slash !== -1 && rest.includes("@", slash)) {
    return refuse('a "/" in a password must be written %2F')
  }
  const path = slash === -1 ? "" : rest.slice(slash).replace(/\/+$/, "").replace(/^\/+/, "/")

  const at = authority.lastIndexOf("@")
  const userinfo = at === -1 ? undefined : authority.slice(0, at)
  const { address: named, port: digits } = splitPort(at === -1 ? authority : authority.slice(at + 1))
  if (named.includes("%")) {
    return refuse("an address with a zone cannot stand in a URL")
  }
  if (/[^A-Za-z0-9._:-]/.test(named)) {
    return refuse(`"${named}" is no host`)
  }

  const cloud = /^(.+\.)?ollama\.com\.?$/i.test(named)
  const scheme = written ?? (cloud ? "https" : "http")
  const fallback = scheme === "https" ? 443 : written === "http" ? 80 : defaultPort
  const warnings: Array<string> = []
  const port = readPort(digits)
  if (port === 0) {
    return refuse("port 0 is for servers that choose one")
  }
  if (digits !== undefined && port === undefined) {
    warnings.push(`${name} "${shown}": "${digits}" is no port, using ${fallback}.`)
  }
  // Two readings: an IPv6 address, or a shorter one and a port. The server reads an address.
  if (/^.*::.*:\d{1,5}$/.test(named) && !authority.includes("[")) {
    warnings.push(`${name} "${shown}" is read as an address without a port; write "[address]:port" for one.`)
  }
  const address = connectable(named)
  const host = address.includes(":") ? `[${address}]` : address
  const url = `${scheme}://${host}:${port ?? fallback}${path}`
  // What looks like an address and is none: `256.1.1.1`, `h:80:90`.
  if (!URL.canParse(url)) {
    return refuse(`"${named}" is no host`)
  }
  return Result.succeed({
    scheme,
    address,
    port: port ?? fallback,
    path,
    url,
    authorization: userinfo === undefined ? undefined : basic(userinfo),
    warnings,
    remote: cloud
  })
}

/** `host`, `host:port`, `[v6]`, `[v6]:port` or a bare `v6`. */
const splitPort = (authority: string): { readonly address: string; readonly port: string | undefined } => {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(authority)
  if (bracketed !== null) {
    return { address: bracketed[1] ?? "", port: bracketed[2] }
  }
  const colon = authority.indexOf(":")
  return colon === -1 || authority.includes(":", colon + 1)
    ? { address: authority, port: undefined }
    : { address: authority.slice(0, colon), port: authority.slice(colon + 1) }
}

const readPort = (digits: string | undefined): number | undefined => {
  if (digits === undefined || !/^\d+$/.test(digits)) {
    return undefined
  }
  const port = Number(digits)
  return port <= 65535 ? port : undefined
}

// A server listens on all addresses by these; to connect one needs a real one.
const connectable = (address: string): string =>
  address === "" || address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address

const basic = (userinfo: string): Redacted.Redacted<string> => Redacted.make(`Basic ${Base64.encode(decode(userinfo))}`)

// A password may hold `@` and `:` as %40 and %3A; one with a stray `%` is taken as it is.
const decode = (text: string): string =>
  Result.getOrElse(
    Result.try(() => decodeURIComponent(text)),
    () => text
  )

/** `OLLAMA_HOST` from the environment. */
export const config: Config.Config<Host> = Config.schema(
  Schema.String.check(
    Schema.makeFilter((value) => Result.match(parse(value), { onFailure: (why) => why, onSuccess: () => true }))
  ),
  "OLLAMA_HOST"
).pipe(
  Config.withDefault(""),
  Config.map((value) => Result.getOrThrow(parse(value))) // checked above
)

// Of a header, Node takes what Latin-1 can show. https://fetch.spec.whatwg.org/#header-value
const keyProblem = (key: string): string | undefined =>
  /^[\x20-\x7e]*$/.test(key.trim())
    ? undefined
    : "holds a line break or another character that no key has. Copy it again from https://ollama.com/settings/keys."

/** `OLLAMA_API_KEY` from the environment, without white space around it. It is in no message. */
export const apiKeyConfig: Config.Config<Redacted.Redacted<string> | undefined> = Config.schema(
  Schema.String.check(
    Schema.makeFilter((value) => {
      const problem = keyProblem(value)
      return problem === undefined ? true : `OLLAMA_API_KEY ${problem}`
    })
  ),
  "OLLAMA_API_KEY"
).pipe(
  Config.withDefault(""),
  Config.map((value) => (value.trim() === "" ? undefined : Redacted.make(value.trim())))
)

/** The header for a key. Throws a `RangeError`, which does not hold it, for one that no header can hold. */
export const bearer = (key: Redacted.Redacted<string>): Redacted.Redacted<string> => {
  const text = Redacted.value(key).trim()
  const problem = keyProblem(text)
  if (problem !== undefined) {
    throw new RangeError(`Ollama.layer: apiKey ${problem}`)
  }
  return Redacted.make(`Bearer ${text}`)
}
