import { assert, describe, it } from "vitest"
import * as Arithmetic from "../src/Arithmetic.ts"

const byZero = "Division by zero has no result."
const tooLarge = "The result is too large for me."

/** What is asked, and what is answered; `undefined` where there is no answer by rule. */
const groups: Record<string, Record<string, string | undefined>> = {
  "works out what is asked": {
    "What is 2 + 2?": "4",
    "2+2": "4",
    "2 + 2 =": "4",
    "2 + 2 = ?": "4",
    "Is 2 + 2 = 5?": "4",
    "What is 2+2!": "4",
    "12*(3-1)": "24",
    "7 times 6": "42",
    "3 x 4": "12",
    "3x4": "12",
    "10 divided by 4": "2.5",
    "6 × 7": "42",
    "2 ** 3": "8",
    "2 to the power of 10": "1024",
    "the sum of 3 and 4": "7",
    "the product of 3 and 4": "12",
    "the difference between 9 and 4": "5",
    "(Is it 2+2)": "4",
    "Solve 2+2. I have 3 apples.": "4",
    "What is 10-3?": "7",
    "Please calculate 20/4 for me": "5",
    "first 1 + 1, then 2 * (3 + 4)": "1 + 1: 2\n2 * (3 + 4): 14",
    "1 / 0 or 1 / 1?": "1 / 0: Division by zero has no result.\n1 / 1: 1"
  },
  "binds as usual": {
    "2 + 3 * 4 - 6 / 2": "11",
    "(1+2)*3": "9",
    "10 - 3 - 2": "5",
    "2^3^2": "512",
    "2^10": "1024",
    "2^-2": "0.25",
    "-2^2": "-4",
    "17 % 5": "2",
    "-3 - -4": "1",
    "What is -(2+3)*2?": "-10",
    "minus 3 plus 5": "2",
    "What is minus 3 plus 5?": "2",
    "5 minus minus 3": "8",
    "0 * -1 + 0": "0"
  },
  "is exact": {
    "1000001 * 1000001": "1000002000001",
    "99999999999 * 99999999999": "9999999999800000000001",
    "9007199254740993 + 0": "9007199254740993",
    "2^100": "1267650600228229401496703205376",
    "-(2^64) - 1": "-18446744073709551617",
    "0.1 + 0.2": "0.3",
    "1.5 / 0.5": "3",
    "1/3": "0.333333333333",
    "2/3": "0.666666666667",
    "-1 / 8": "-0.125",
    "1 / 3 * 3": "1",
    "10000000000000 / 3": "3333333333333.33",
    "1000001 * 1000001.5": "1000002500001.5",
    "0.999999999999999 * 1": "0.999999999999999",
    "12345678901.123 + 0": "12345678901.123",
    "1 / 3e9": "3.33333333333e-10",
    "1e3 + 1": "1001",
    "1E3 + 1": "1001",
    "5e-7 * 2": "0.000001",
    "1e-9 * 2": "0.000000002",
    "1,000 + 1": "1001",
    "1,234,567.5 + 1": "1234568.5"
  },
  "says what has no result": {
    "1/0": byZero,
    "5 / 0": byZero,
    "5 % 0": byZero,
    "0^-1": byZero,
    "1/(2 - 2) + 1": byZero,
    "10^999": tooLarge,
    "9^9^9": tooLarge,
    "1e400 * 2": tooLarge,
    "-(10^999)": tooLarge,
    "10^-999": "The result is too small for me.",
    "1e-400 / 3": "The result is too small for me."
  },
  "has no answer to numbers it cannot be sure of": {
    "1.000,5 + 1": undefined,
    "1,00 + 1": undefined,
    "0,5 + 1": undefined,
    "1_000 + 1": undefined,
    "1 000 + 1": undefined,
    "1'000 + 1": undefined,
    "0x10 + 1": undefined,
    "1e + 1": undefined,
    "3² + 1": undefined,
    "2b - 3a": undefined,
    "1_000 + 1 - 2": undefined
  },
  "has no answer to what is no arithmetic": {
    "12:30 - 11:30": undefined,
    "call 555-1234": undefined,
    "call 1-800-555-1234": undefined,
    "on 2024-05-01": undefined,
    "What is 2024-05-01?": undefined,
    "What is 05/01/2024?": undefined,
    "pages 10-20": undefined,
    "24/7 support": undefined,
    "a 1920x1080 screen": undefined,
    "version 1.2.3 - 1.2.4": undefined,
    "COVID-19 + 1": undefined,
    "I have 3 apples": undefined,
    "x + 2 + 3": undefined,
    "2 + 2 + x": undefined,
    "2 + x = 5 + 1": undefined,
    "5 kg + 3 kg": undefined,
    hello: undefined,
    "": undefined
  },
  "has no answer to what it does not know": {
    "2 +": undefined,
    "(0-8)^0.5": undefined,
    "sqrt(9) + 2": undefined,
    "√9 + 2": undefined,
    "the square root of 9 + 7": undefined,
    "2 + 3 squared": undefined,
    "20% + 5": undefined,
    "100 - 20%": undefined,
    "20 percent of 5 + 5": undefined,
    "3 + 2 million": undefined,
    "the sum of 3 and 4 and 5": undefined,
    "- 2 + 3 as an item": undefined,
    "2 + 3! - 1": undefined
  }
}

describe("Arithmetic.evaluate", () => {
  for (const [group, rows] of Object.entries(groups)) {
    describe(group, () => {
      for (const [text, result] of Object.entries(rows)) {
        it(`"${text}" is ${result ?? "no arithmetic"}`, () => {
          assert.strictEqual(Arithmetic.evaluate(text), result)
        })
      }
    })
  }

  it("takes no time for a long or deep text", () => {
    const start = performance.now()
    for (const part of [
      "(",
      "1-",
      "-",
      " ",
      "1 ",
      "- ",
      "((1)",
      "9^",
      "1/7+",
      "1.",
      "1,",
      "9^99/7^99+",
      "a.",
      "1e9*"
    ]) {
      assert.doesNotThrow(() => Arithmetic.evaluate(`${part.repeat(100_000)}1+1`))
      assert.doesNotThrow(() => Arithmetic.evaluate(`${part.repeat(Math.floor(1990 / part.length))}1+1`))
    }
    assert.isBelow(performance.now() - start, 1000)
  })
})
