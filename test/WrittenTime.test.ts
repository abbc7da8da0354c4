import { Option } from "effect"
import { assert, describe, it } from "vitest"
import { durationMillis, moment } from "../src/WrittenTime.ts"

process.env["TZ"] = "America/New_York"

describe("durations", () => {
  it("are numbers with a unit", () => {
    const written: Readonly<Record<string, number>> = {
      "500ms": 500,
      "1.5s": 1500,
      "2 m": 120_000,
      "2min": 120_000,
      "1H": 3_600_000,
      "7d": 604_800_000,
      "0s": 0
    }
    for (const [text, millis] of Object.entries(written)) {
      assert.deepStrictEqual(durationMillis(text), Option.some(millis), text)
    }
    for (const text of ["", "5", "s", "-1s", "1 week", "1s2", "1e3s", "Infinitys", "1constructor"]) {
      assert.deepStrictEqual(durationMillis(text), Option.none(), text)
    }
  })
})

describe("moments of flags", () => {
  it("are so long ago, or by the clock on the wall where they are, or in the zone that they name", () => {
    const at = (text: string) => Option.getOrUndefined(moment(text))
    assert.deepStrictEqual(at("2h"), { agoMillis: 7_200_000 })
    assert.deepStrictEqual(at("2026-01-02"), { atMillis: Date.UTC(2026, 0, 2, 5) })
    assert.deepStrictEqual(at("2026-01-02 13:00"), { atMillis: Date.UTC(2026, 0, 2, 18) })
    assert.deepStrictEqual(at("2026-01-02T13:00:30Z"), { atMillis: Date.UTC(2026, 0, 2, 13, 0, 30) })
    for (const text of ["yesterday", "2026", "13:00", "2026-13-01", "2026-01-02 25:00", ""]) {
      assert.isUndefined(at(text), text)
    }
  })

  it("are of days that there are", () => {
    const isMoment = (text: string) => Option.isSome(moment(text))
    assert.isTrue(["2024-02-29", "2000-02-29 23:59", " 2026-12-31T00:00Z "].every(isMoment))
    for (const text of ["2026-02-30", "2026-02-29", "2026-04-31 13:00", "1900-02-29", "2026-06-31T00:00+09:00"]) {
      assert.isFalse(isMoment(text), text)
    }
  })
})
