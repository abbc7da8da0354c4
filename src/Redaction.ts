/**
 * Secrets in texts: what looks like one is replaced before a text leaves the program.
 *
 * @since 0.1.0
 */

const secretKey = "(?:api[_-]?key|secret|token|password|passwd|authorization)(?:[_-]?(?:access[_-]?)?key)?"

// Each pattern keeps its first group: keys with the usual prefixes, bearer tokens, private keys, `key=value` pairs whose
// key names a secret, and the userinfo of URLs. They are linear: none starts inside of what it matches.
const secrets: ReadonlyArray<RegExp> = [
  /\b((?:bearer|basic|token)\s+)(?=[^\s]*[0-9_.~+/=-])[A-Za-z0-9._~+/=-]{8,}/gi,
  /()\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abps]|hf|npm)[-_][A-Za-z0-9_-]{10,}/g,
  /()\bAKIA[0-9A-Z]{16}\b/g,
  /()\bAIza[0-9A-Za-z_-]{30,}/g,
  /()(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g,
  /()-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g,
  new RegExp(`(${secretKey}["']?\\s*[:=]\\s*)(?:"[^"]{4,}"|'[^']{4,}'|(?!bearer|basic|token|__)[^\\s"',;&]{4,})`, "gi"),
  /\b([a-z][a-z0-9+.-]{0,31}:\/\/)[^\s@]{1,256}@(?=[^\s/@]+)/gi
]

/** Replaces what looks like a secret (API keys, bearer tokens, passwords, userinfo of URLs) by `__REDACTED__`. */
export const redact = (text: string): string =>
  secrets.reduce(
    (text, pattern) =>
      text.replace(pattern, (match, kept: string) => `${kept}__REDACTED__${match.endsWith("@") ? "@" : ""}`),
    text
  )

/** Whether a name says that what it names is a secret. */
export const namesSecret = (name: string): boolean => new RegExp(`${secretKey}$`, "i").test(name)
