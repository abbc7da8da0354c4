/**
 * Finds an arithmetic expression in a sentence and works it out: the demo server's only skill.
 *
 * @since 0.1.0
 */

/**
 * The result of the longest expression in a text as a text, or why there is none; `undefined` without an expression.
 * Knows `+ - * / ^ %`, parentheses, a minus in front, decimals, and the English words for them.
 */
export const evaluate = (text: string): string | undefined => {
  // Only the beginning: what a person asks is short, and the search is not linear.
  const candidates = expressions(symbols(text.slice(0, 2000)))
  for (const candidate of candidates.sort((a, b) => b.length - a.length)) {
    const value = new Parser(candidate).parse()
    if (value !== undefined) {
      return Number.isNaN(value)
        ? "Division by zero has no result."
        : Number.isFinite(value)
          ? String(Number(value.toPrecision(12)) + 0) // rounds 0.30000000000000004, and -0 to 0
          : "The result is too large for me."
    }
  }
  return undefined
}

const symbols = (text: string): string =>
  text
    // A date is no subtraction, and a version no number.
    .replace(/\b\d{4}-\d{1,2}-\d{1,2}\b|\b\d+(\.\d+){2,}\b/g, ";")
    .replace(/\.(?=\s|$)/g, ";")
    .replace(/(\d),(?=\d{3}\b)/g, "$1")
    .replace(/[−–]/g, "-")
    .replace(/×|·/g, "*")
    .replace(/÷/g, "/")
    .replace(/\bsum of (-?[\d.]+) and (-?[\d.]+)/gi, "($1 + $2)")
    .replace(/\b(?:product) of (-?[\d.]+) and (-?[\d.]+)/gi, "($1 * $2)")
    .replace(/\bdifference (?:of|between) (-?[\d.]+) and (-?[\d.]+)/gi, "($1 - $2)")
    .replace(/\bdivided by\b/gi, "/")
    .replace(/\b(?:times|multiplied by)\b/gi, "*")
    .replace(/\bto the power of\b|\*\*/gi, "^")
    .replace(/\bplus\b/gi, "+")
    .replace(/\bminus\b/gi, "-")
    .replace(/([\d)])\s*x\s*(?=[\d(-])/gi, "$1*")

/** Runs of digits and operators with an operator after a number, without what belongs to the sentence around them. */
const expressions = (text: string): Array<string> =>
  (text.match(/[\d.\s()+*/^%-]+/g) ?? [])
    .map((run) => balanced(run.replace(/^(?:[-+]\s+|[\s*/^%)])+/, "").replace(/[\s.+*/^%(-]+$/, "")))
    .filter((run) => /\d[\s)]*[-+*/^%]/.test(run))

// A sentence in parentheses leaves one of them at the end, or at the start.
const balanced = (run: string): string => {
  const open = run.split("(").length
  const close = run.split(")").length
  return close > open && run.endsWith(")")
    ? run.slice(0, -1).trim()
    : open > close && run.startsWith("(")
      ? run.slice(1).trim()
      : run
}

// Recursive descent over the usual precedences; `^` binds from the right. NaN stands for a division by zero.
class Parser {
  #at = 0
  #depth = 0
  readonly #text: string
  constructor(text: string) {
    this.#text = text.replace(/\s+(?=[^\d.])|(?<=[^\d.])\s+/g, "").trim()
  }

  /** `undefined` when the text is no expression. */
  parse(): number | undefined {
    const value = this.#sum()
    return this.#at === this.#text.length ? value : undefined
  }

  #sum(): number | undefined {
    let left = this.#product()
    while (left !== undefined && (this.#next("+") || this.#next("-"))) {
      const sign = this.#text[this.#at - 1] === "+" ? 1 : -1
      const right = this.#product()
      left = right === undefined ? undefined : left + sign * right
    }
    return left
  }

  #product(): number | undefined {
    let left = this.#negated()
    while (left !== undefined && (this.#next("*") || this.#next("/") || this.#next("%"))) {
      const operator = this.#text[this.#at - 1]
      const right = this.#negated()
      if (right === undefined) {
        return undefined
      }
      left = operator === "*" ? left * right : right === 0 ? Number.NaN : operator === "/" ? left / right : left % right
    }
    return left
  }

  #negated(): number | undefined {
    if (this.#next("-")) {
      const value = this.#negated()
      return value === undefined ? undefined : -value
    }
    return this.#next("+") ? this.#negated() : this.#power()
  }

  #power(): number | undefined {
    const base = this.#atom()
    if (base === undefined || !this.#next("^")) {
      return base
    }
    const exponent = this.#negated()
    const value = exponent === undefined ? undefined : base ** exponent
    return Number.isNaN(value) && !Number.isNaN(base) && !Number.isNaN(exponent) ? undefined : value // no real number
  }

  #atom(): number | undefined {
    if (this.#next("(")) {
      if (++this.#depth > 100) {
        return undefined
      }
      const value = this.#sum()
      this.#depth--
      return this.#next(")") ? value : undefined
    }
    const digits = /^(\d+\.?\d*|\.\d+)/.exec(this.#text.slice(this.#at))?.[0]
    if (digits === undefined) {
      return undefined
    }
    this.#at += digits.length
    return Number(digits)
  }

  #next(char: string): boolean {
    if (this.#text[this.#at] !== char) {
      return false
    }
    this.#at++
    return true
  }
}
