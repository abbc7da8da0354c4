/**
 * Finds arithmetic in a sentence and works it out: the demo server's only skill.
 *
 * What it says stands there as a fact. So it reckons in fractions of whole numbers, which are exact, and leaves alone
 * what can be read in two ways: dates, ranges, telephone numbers, percentages, decimal commas, sums with unknowns.
 *
 * @since 0.1.0
 */

/**
 * The result of the expression in a text as a text, or why there is none; `undefined` without an expression, or when
 * anything that looks like one is doubtful. Several are answered one by one.
 *
 * Knows `+ - * / ^ %`, parentheses, signs, decimals, `1e3`, `1,000`, and the English words for them. Whole numbers come
 * with all their digits, decimals that end within 20 places too; others are rounded to 12 digits.
 */
export const evaluate = (text: string): string | undefined => {
  // Only the beginning: what a person asks is short. A sign that nobody knows stands for the rest. A "!" at the end is no
  // factorial.
  const asked = symbols(text.length > maxLength ? `${text.slice(0, maxLength)}≈` : text.replace(/!+\s*$/, ""))
  if (otherOperations.test(asked)) {
    return undefined
  }
  const answers: Array<readonly [asked: string, result: string]> = []
  for (const run of expressions(asked)) {
    const parser = new Parser(run)
    const value = parser.parse()
    if (value === undefined || isDoubtful(run, asked)) {
      return undefined
    }
    if (parser.operators > 0) {
      answers.push([source(run, asked), typeof value === "string" ? value : show(value)])
    }
  }
  return answers.length < 2 ? answers[0]?.[1] : answers.map(([asked, result]) => `${asked}: ${result}`).join("\n")
}

const maxLength = 2000

// Operations this knows nothing of: what stands beside them is not all that is asked for.
const otherOperations =
  /\b(squared?|cubed?|roots?|sqrt|percent(age)?s?|average|mean of|median|factorial|half|halves|thirds?|twice|doubled?|tripled?|mod|modul\w+|remainder|log|logarithm|ln|sine?|cosine?|cos|tan|rounded|nearest|binary|hex\w*|octal|dozens?|hundreds?|thousands?|[mbtr]+illions?)\b/i

/** The words for operators as operators. */
const symbols = (text: string): string =>
  text
    .replace(/[−–]/g, "-")
    .replace(/[×·]/g, "*")
    .replace(/÷/g, "/")
    .replace(pair("sum of"), "($1 + $2)")
    .replace(pair("product of"), "($1 * $2)")
    .replace(pair("difference (?:of|between)"), "($1 - $2)")
    .replace(/\bdivided by\b/gi, "/")
    .replace(/\b(?:times|multiplied by)\b/gi, "*")
    .replace(/\bto the power of\b|\*\*/gi, "^")
    .replace(/\bplus\b/gi, "+")
    .replace(/\bminus\b\s*/gi, "-")

// Of two numbers, and not the first two of three.
const pair = (words: string): RegExp => {
  const number = String.raw`(-?\d+(?:,\d{3})*(?:\.\d+)?)`
  return new RegExp(String.raw`\b${words} ${number} and ${number}(?!\d|[.,]\d|\s*(?:,|and\b|&)\s*-?\d)`, "gi")
}

// ---------------------------------------------------------------------------------------------------------------------
// Tokens
// ---------------------------------------------------------------------------------------------------------------------

interface Token {
  /** `bad` is part of an expression that nobody can be sure of; `break` is the sentence around it. */
  readonly kind: "number" | "operator" | "bad" | "break"
  readonly text: string
  readonly start: number
  /** Whether it follows without a space. */
  readonly tight: boolean
}

// A chunk holds together what belongs to a number or spoils it: `1,000.5`, `1e-3`, `12:30`, `0x10`, `5kg`.
const chunk =
  /(?<space>\s+)|(?<chunk>(?:(?<![\p{L}\p{N}_])\.(?=\d))?(?:\d[\d.,]*e[+-]?\d+|[\p{L}\p{N}_]+)(?:(?:(?<=\d)[.,:'’](?=[\p{L}\p{N}_]))?[\p{L}\p{N}_]+)*)|(?<operator>[-+*/^%()=!])|(?<bad>[\p{Sm}\p{Sc}])|[^]/giu

const number = /^(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?$/i
const product = /^(?!0x)\d+(?:\.\d+)?(?:x\d+(?:\.\d+)?)+$/i

const tokens = (text: string): ReadonlyArray<Token> => {
  const found: Array<Token> = []
  let tight = true
  for (const { 0: whole, groups, index } of text.matchAll(chunk)) {
    const add = (kind: Token["kind"], text = whole, start = index) => found.push({ kind, text, start, tight })
    if (groups?.["space"] !== undefined) {
      if (whole.includes("\n")) {
        add("break")
      }
      tight = false
      continue
    }
    if (groups?.["chunk"] === undefined) {
      add(groups?.["operator"] !== undefined ? "operator" : groups?.["bad"] !== undefined ? "bad" : "break")
    } else if (product.test(whole)) {
      let at = index
      for (const part of whole.split(/(x)/i)) {
        add(/x/i.test(part) ? "operator" : "number", part.toLowerCase(), at)
        at += part.length
        tight = true
      }
    } else if (/\p{N}/u.test(whole)) {
      add(number.test(whole) ? "number" : "bad")
    } else if (/^x$/i.test(whole)) {
      add("operator", "x")
    } else {
      // `f(2)`, `COVID-19`
      add(/^[-+*/^%(]/.test(text.slice(index + whole.length, index + whole.length + 1)) ? "bad" : "break")
    }
    tight = true
  }
  return found
}

/** Numbers and operators that stand together, both of them there, without what belongs to the sentence around them. */
const expressions = (text: string): Array<ReadonlyArray<Token>> => {
  const runs: Array<Array<Token>> = [[]]
  for (const token of tokens(text)) {
    if (token.kind === "break") {
      runs.push([])
    } else {
      runs.at(-1)?.push(token)
    }
  }
  return runs
    .map((run) => balanced(withoutClaim(run)))
    .filter((run) => run.some(({ kind }) => kind === "number") && run.some(isOperator))
}

const isOperator = ({ kind, text }: Token) => kind === "operator" && text !== "(" && text !== ")"

/** `2 + 2 =`, and `2 + 2 = 5`, which is the asker's. */
const withoutClaim = (run: ReadonlyArray<Token>): ReadonlyArray<Token> => {
  const equals = run.findIndex(({ text }) => text === "=")
  const claimed = run.slice(equals + 1)
  return equals > 0 && (claimed.length === 0 || (claimed.length === 1 && claimed[0]?.kind === "number"))
    ? run.slice(0, equals)
    : run
}

// A sentence in parentheses leaves one of them at the end, or at the start.
const balanced = (run: ReadonlyArray<Token>): ReadonlyArray<Token> => {
  const open = run.filter(({ text }) => text === "(").length
  const close = run.filter(({ text }) => text === ")").length
  return close > open && run.at(-1)?.text === ")"
    ? run.slice(0, -1)
    : open > close && run[0]?.text === "("
      ? run.slice(1)
      : run
}

const source = (run: ReadonlyArray<Token>, text: string): string => {
  const last = run.at(-1)
  return text.slice(run[0]?.start, (last?.start ?? 0) + (last?.text.length ?? 0))
}

// `10-20`, `24/7`, `555-1234`, `1920x1080`: only a question about nothing else means the result. A date is always one.
const isDoubtful = (run: ReadonlyArray<Token>, text: string): boolean => {
  const written = source(run, text)
  if (/(?<!\d)(?:\d{4}-\d\d?-\d\d?|\d{4}\/\d\d?\/\d\d?|\d\d?\/\d\d?\/\d{4})(?!\d)/.test(written)) {
    return true
  }
  const start = run[0]?.start ?? 0
  const rest = `${text.slice(0, start)} ${text.slice(start + written.length)}`
  return /^[-+]?[\d.,]+(?:[-/x][\d.,]+)+$/i.test(written) && /[\p{L}\p{N}]/u.test(rest.replace(asking, ""))
}

const asking =
  /\b(what|what's|whats|is|are|hi|hello|hey|please|can|could|you|me|us|tell|calculate|compute|evaluate|solve|work|out|how|much|the|result|value|answer|of|to|for|does|equals?|give|do|thanks?|now)\b/gi

// ---------------------------------------------------------------------------------------------------------------------
// Values
// ---------------------------------------------------------------------------------------------------------------------

/** `n / d` with `d > 0`, in lowest terms. */
interface Fraction {
  readonly n: bigint
  readonly d: bigint
}

const one: Fraction = { n: 1n, d: 1n }

const byZero = "Division by zero has no result."
const tooLarge = "The result is too large for me."
const tooSmall = "The result is too small for me."
const tooLong = "The result has too many digits for me."

// Room for what is within reason; a tower of powers would take all memory.
const maxBits = 2048
const max = 1n << BigInt(maxBits)
const maxDigits = 100

const abs = (n: bigint) => (n < 0n ? -n : n)
const bits = (n: bigint) => abs(n).toString(2).length

const reduced = (n: bigint, d: bigint): Fraction => {
  if (d === 1n) {
    return { n, d }
  }
  let [a, b] = [abs(n), abs(d)]
  while (b !== 0n) {
    ;[a, b] = [b, a % b]
  }
  const by = d < 0n ? -a : a
  return { n: n / by, d: d / by }
}

const show = ({ n, d }: Fraction): string => {
  const sign = n < 0n ? "-" : ""
  const size = abs(n)
  const whole = size / d
  const digits = String(whole).length
  if (digits > maxDigits) {
    return tooLarge
  }
  if (10n ** 20n % d === 0n) {
    return sign + point((size * 10n ** 20n) / d, 20)
  }
  const places = whole === 0n ? String(d).length - String(size).length + 12 : Math.max(2, 12 - digits)
  const scaled = (2n * size * 10n ** BigInt(places) + d) / (2n * d) // rounded
  if (whole > 0n) {
    return sign + point(scaled, places)
  }
  const value = Number(Number(`${scaled}e-${places}`).toPrecision(12))
  return value === 0 ? tooSmall : sign + String(value)
}

/** Puts the decimal point into digits, and drops the zeros behind it. */
const point = (scaled: bigint, places: number): string => {
  const digits = String(scaled).padStart(places + 1, "0")
  const decimals = digits.slice(-places).replace(/0+$/, "")
  return digits.slice(0, -places) + (decimals === "" ? "" : `.${decimals}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// Parser
// ---------------------------------------------------------------------------------------------------------------------

// Recursive descent over the usual precedences; `^` binds from the right. After a problem it goes on with a 1, to see
// whether the text is an expression at all.
class Parser {
  /** Operators between two values. */
  operators = 0
  #at = 0
  #depth = 0
  #problem: string | undefined = undefined
  readonly #tokens: ReadonlyArray<Token>
  constructor(tokens: ReadonlyArray<Token>) {
    this.#tokens = tokens
  }

  /** The value, or why it has none; `undefined` when the text is no expression. */
  parse(): Fraction | string | undefined {
    const value = this.#sum()
    return this.#at < this.#tokens.length ? undefined : value && (this.#problem ?? value)
  }

  #sum(): Fraction | undefined {
    let left = this.#product()
    while (left !== undefined && this.#next("+", "-")) {
      const sign = this.#tokens[this.#at - 1]?.text === "+" ? 1n : -1n
      this.operators++
      const right = this.#product()
      left = right && this.#checked(left.n * right.d + sign * right.n * left.d, left.d * right.d)
    }
    return left
  }

  #product(): Fraction | undefined {
    let left = this.#signed()
    while (left !== undefined && this.#next("*", "x", "/", "%")) {
      const operator = this.#tokens[this.#at - 1]
      const after = this.#tokens[this.#at]
      // `20% + 5` and `20% of` are percentages.
      if (
        operator?.text === "%" &&
        (after?.kind === "operator" ? after.text !== "(" : operator.tight && !after?.tight)
      ) {
        return undefined
      }
      this.operators++
      const right = this.#signed()
      left = right && this.#times(left, operator?.text ?? "", right)
    }
    return left
  }

  #times(left: Fraction, operator: string, right: Fraction): Fraction {
    if (operator === "*" || operator === "x") {
      return this.#checked(left.n * right.n, left.d * right.d)
    }
    if (right.n === 0n) {
      return this.#fail(byZero)
    }
    return operator === "/"
      ? this.#checked(left.n * right.d, left.d * right.n)
      : this.#checked((left.n * right.d) % (right.n * left.d), left.d * right.d)
  }

  #signed(): Fraction | undefined {
    if (!this.#next("-", "+")) {
      return this.#power()
    }
    const negative = this.#tokens[this.#at - 1]?.text === "-"
    // A dash in front is as likely to belong to the sentence.
    if (this.#at === 1 && this.#tokens[1]?.tight === false) {
      return undefined
    }
    const value = this.#signed()
    return value && (negative ? { n: -value.n, d: value.d } : value)
  }

  #power(): Fraction | undefined {
    const base = this.#atom()
    if (base === undefined || !this.#next("^")) {
      return base
    }
    this.operators++
    const exponent = this.#signed()
    // A root is seldom a fraction, and never asked for with much more than a root sign.
    return exponent === undefined || exponent.d !== 1n ? undefined : this.#raised(base, exponent.n)
  }

  #raised({ n, d }: Fraction, exponent: bigint): Fraction {
    if (n === 0n && exponent < 0n) {
      return this.#fail(byZero)
    }
    if (d === 1n && abs(n) <= 1n) {
      return n === 1n || exponent % 2n === 0n ? { n: exponent === 0n ? 1n : abs(n), d } : { n, d }
    }
    const times = abs(exponent)
    if (times * BigInt(Math.max(bits(n), bits(d)) - 1) > maxBits) {
      return this.#fail(abs(n) > d === exponent > 0n ? tooLarge : tooSmall)
    }
    return exponent < 0n ? this.#checked(d ** times, n ** times) : this.#checked(n ** times, d ** times)
  }

  #atom(): Fraction | undefined {
    if (this.#next("(")) {
      if (++this.#depth > 100) {
        return undefined
      }
      const value = this.#sum()
      this.#depth--
      return this.#next(")") ? value : undefined
    }
    const token = this.#tokens[this.#at]
    if (token?.kind !== "number") {
      return undefined
    }
    this.#at++
    const [, whole = "", decimals = "", power = "0"] =
      /^(\d*)\.?(\d*)(?:e(.*))?$/i.exec(token.text.replaceAll(",", "")) ?? []
    const exponent = Number(power) - decimals.length
    return Math.abs(exponent) > maxBits
      ? this.#fail(exponent > 0 ? tooLarge : tooSmall)
      : this.#checked(
          BigInt(whole + decimals) * 10n ** BigInt(Math.max(0, exponent)),
          10n ** BigInt(Math.max(0, -exponent))
        )
  }

  #checked(n: bigint, d: bigint): Fraction {
    const value = reduced(n, d)
    return abs(value.n) < max && value.d < max ? value : this.#fail(value.d === 1n ? tooLarge : tooLong)
  }

  #fail(problem: string): Fraction {
    this.#problem ??= problem
    return one
  }

  #next(...operators: ReadonlyArray<string>): boolean {
    const token = this.#tokens[this.#at]
    const is = token?.kind === "operator" && operators.includes(token.text)
    this.#at += is ? 1 : 0
    return is
  }
}
