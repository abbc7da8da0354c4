/**
 * What looks like a secret in a text: by its form, or by the name of what it is assigned to.
 *
 * @since 0.1.0
 */

/** Replaces the secrets in a text by `__REDACTED__`. */
export type Redact = (text: string) => string

/** What stands in the place of a secret. */
export const mark = "__REDACTED__"

const secretKey =
  "(?:api[_-]?key|private[_-]?key|secret|token|password|passwd|passphrase|authorization)(?:[_-]?(?:access[_-]?)?key)?"

// What stands between a key and its value.
const assigns = `\\s*(?:=>|[:=])\\s*`

// ---------------------------------------------------------------------------------------------------------------------
// What a key or a URL says
// ---------------------------------------------------------------------------------------------------------------------

// In this place every token is a secret, whatever it looks like.
const authorization = new RegExp(
  `(authorization\\\\*["']?${assigns}\\\\*["']?(?:bearer|basic|token)\\s+)(?!${mark})[^\\s"',;&\\\\]+`,
  "gi"
)

const key = new RegExp(`${secretKey}(\\\\*["']?)${assigns}`, "gi")
const opening = /(\\*)(["'])/y
const bare = /[^\s"',;&]+/y
const bareInJson = /[^\s"',;&[\]{}]+/y
const listed = /\[\s*/y
const comma = /\s*,\s*/y

// What is shorter is no secret of any use.
const shortestValue = 4

// The text after a key that names a secret: in quotes, bare, or a list of such.
const assigned: Redact = (text) => {
  let result = ""
  let at = 0
  key.lastIndex = 0
  for (let found = key.exec(text); found !== null; found = key.exec(text)) {
    const start = key.lastIndex
    const list = matched(listed, text, start)?.[0].length ?? 0
    let from = start + list
    for (let more = true; more;) {
      const value = valueAt(text, from, found[1] ?? "", list > 0)
      if (value !== undefined && value.end - value.start >= shortestValue) {
        result += text.slice(at, value.start) + value.put
        at = value.end
      }
      const next = value === undefined || list === 0 ? undefined : matched(comma, text, value.next)
      more = next !== undefined
      from = next === undefined ? from : comma.lastIndex
    }
    key.lastIndex = Math.max(list > 0 ? from : start, at)
  }
  return result + text.slice(at)
}

interface Value {
  readonly start: number
  readonly end: number
  readonly put: string
  /** Where what follows begins. */
  readonly next: number
}

const valueAt = (text: string, from: number, quote: string, list: boolean): Value | undefined => {
  const opened = matched(opening, text, from)
  if (opened !== undefined) {
    const [{ length }, backslashes = "", sign = ""] = opened
    const start = from + length
    const [end, next] = closing(text, start, sign, backslashes.length)
    return { start, end: isMarked(text, start) ? start : end, put: mark, next }
  }
  if (isMarked(text, from)) {
    return { start: from, end: from, put: "", next: from + mark.length }
  }
  const inJson = list || quote !== ""
  const length = matched(inJson ? bareInJson : bare, text, from)?.[0].length ?? 0
  if (length === 0) {
    return undefined
  }
  // In front of a quote that something around it closes, the backslashes belong to the quote.
  const next = from + length
  const trailing = /["']/.test(text[next] ?? "") ? backslashesBefore(text, next, from) : 0
  const word = text.slice(from, Math.min(next - trailing, from + 16))
  return isWord(word, inJson)
    ? { start: from, end: from, put: "", next }
    : { start: from, end: next - trailing, put: quote === "" ? mark : `${quote}${mark}${quote}`, next }
}

// What is said beside a token, or in its place.
const isWord = (word: string, inJson: boolean): boolean =>
  /^(?:bearer|basic|token)$/i.test(word) || (inJson && /^(?:true|false|null)$/.test(word))

// The other is how `Redacted` values show.
const isMarked = (text: string, at: number): boolean => text.startsWith(mark, at) || text.startsWith("<redacted>", at)

const matched = (pattern: RegExp, text: string, at: number): RegExpExecArray | undefined => {
  pattern.lastIndex = at
  return pattern.exec(text) ?? undefined
}

/**
 * Where a text in quotes ends, and where what follows begins. A quote inside of it has backslashes: one in JSON, three in
 * JSON that is a text in JSON, whose own quotes have one, and so on. Backslashes come in pairs of what the next level has.
 */
const closing = (text: string, start: number, quote: string, backslashes: number): readonly [number, number] => {
  for (let at = text.indexOf(quote, start); at !== -1; at = text.indexOf(quote, at + 1)) {
    const before = backslashesBefore(text, at, start)
    if (before < backslashes || (before - backslashes) % (2 * (backslashes + 1)) === 0) {
      return [at - Math.min(before, backslashes), at + 1]
    }
  }
  return [text.length, text.length]
}

const backslashesBefore = (text: string, at: number, start: number): number => {
  let from = at
  while (from > start && text[from - 1] === "\\") {
    from--
  }
  return at - from
}

// A user name or a password may hold more of `@`, and, as people write them, `/` before it.
const withoutUserinfo = (urls: string): string =>
  urls
    .split("://")
    .map((url) => {
      const first = url.indexOf("@")
      const path = /[/?#]/.exec(url)?.index ?? url.length
      if (first <= 0 || (first > longestUserinfo && path < first)) {
        return url
      }
      const host = /[/?#]/.exec(url.slice(first))?.index ?? url.length
      return mark + url.slice(url.lastIndexOf("@", first + host))
    })
    .join("://")

// With `/` in it. What is further behind is part of a path.
const longestUserinfo = 256

// ---------------------------------------------------------------------------------------------------------------------
// Names
// ---------------------------------------------------------------------------------------------------------------------

const secretName = new RegExp(`${secretKey}s?(?:[._-]?(?:hash|digest|salt|value|header))?$`, "i")
const tokensName = /tokens$/i

/** Whether a name says that what it names is a secret, or may be one: see `isSecret`. */
export const namesSecret = (name: string): boolean => secretName.test(name)

/** Whether a value is a secret for its name. How many tokens there are is none: `max_tokens=512`, also as a text. */
export const isSecret = (name: string, value: string | number): boolean =>
  secretName.test(name) &&
  (typeof value === "number"
    ? !/tokens?$/i.test(name)
    : !tokensName.test(name) || (name.length > "tokens".length && !/^\d{1,9}$/.test(value)))

/**
 * What is shown of a value in an object, as JSON has them: the whole of it is replaced if the name says that it is a
 * secret, however deep in it one is. It is a `replacer` of `JSON.stringify`.
 */
export const hidden = (name: string, value: unknown): unknown =>
  namesSecret(name) && holdsSecret(name, value) ? mark : value

const holdsSecret = (name: string, value: unknown): boolean =>
  typeof value === "string"
    ? !isMarked(value, 0) && isSecret(name, value)
    : typeof value === "number"
      ? isSecret(name, value)
      : typeof value === "object" && value !== null && Object.values(value).some((part) => holdsSecret(name, part))

// ---------------------------------------------------------------------------------------------------------------------
// All of it
// ---------------------------------------------------------------------------------------------------------------------

const whole =
  (pattern: RegExp): Redact =>
  (text) =>
    text.replace(pattern, mark)

// Keeps the first group.
const behind =
  (pattern: RegExp): Redact =>
  (text) =>
    text.replace(pattern, `$1${mark}`)

// Private keys, tokens of an authorization header, values whose key names a secret, other tokens, keys with the usual
// prefixes, and the userinfo of URLs. They are linear: none starts inside of what it matches. They match the beginning
// of a secret too, since a text may be cut in the middle of one, and leave quotes where they are, so that JSON still
// parses.
const secrets: ReadonlyArray<Redact> = [
  whole(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?=")|$)/g),
  behind(authorization),
  assigned,
  behind(/\b((?:bearer|basic|token)\s+)(?=[^\s]*[0-9_.~+/=-])[A-Za-z0-9._~+/=-]{8,}/gi),
  whole(/\b(?:sk|pk|rk|gh[oprsu]|github_pat|glpat|xox[abps]|hf|npm)[-_][A-Za-z0-9_-]{10,}/g),
  whole(/\bA[KS]IA[0-9A-Z]{16}\b/g),
  whole(/\bAIza[0-9A-Za-z_-]{30,}/g),
  whole(/(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g),
  (text) => text.replace(/:\/\/[^\s"<>]+/g, withoutUserinfo)
]

// Most texts hold none, and one look at them is cheaper than nine. Whatever is replaced above holds one of these.
const hint =
  /bearer|basic|token|(?:sk|pk|rk|gh[oprsu]|github_pat|glpat|xox[abps]|hf|npm)[-_]|A[KS]IA|AIza|eyJ|PRIVATE KEY|(?:api|private)[_-]?key|secret|passw|passphrase|authorization|:\/\//i

// `token=abcd` is the shortest secret of any use that is found above.
const shortest = 10

/** Replaces what looks like a secret: API keys, bearer tokens, passwords, private keys, userinfo of URLs. */
export const redact: Redact = (text) =>
  text.length < shortest || !hint.test(text) ? text : secrets.reduce((text, replace) => replace(text), text)
