import { assert, describe, it } from "vitest"
import * as Report from "../src/Report.ts"

const push = "tinyllm trace push"
const there = "localhost:4317"
const refused = `connection refused at ${there}`

const summary = (count: (counter: Report.Counter) => void): string => {
  const counter = Report.make()
  count(counter)
  return Report.summary(counter.snapshot(), push)[0]
}

describe("Report.make", () => {
  it("counts nothing at first", () => {
    assert.deepStrictEqual(Report.make().snapshot(), Report.none)
  })

  it("adds up what became of spans, and why", () => {
    const counter = Report.make()
    counter.ended(12)
    counter.exported(6, there)
    counter.exported(0, "nowhere:1")
    counter.kept(3, refused)
    counter.kept(1, refused)
    counter.lost(2, "rejected", "Why?")
    assert.deepStrictEqual(counter.snapshot(), {
      recorded: 12,
      exported: 6,
      kept: 4,
      lost: 2,
      dropped: 0,
      destinations: [there],
      reasons: [
        { fate: "kept", spans: 4, reason: refused },
        { fate: "lost", spans: 2, reason: "rejected", hint: "Why?" }
      ]
    })
  })

  it("tells five reasons apart, for what is kept and for what is lost", () => {
    const counter = Report.make()
    for (let number = 1; number <= 9; number++) {
      counter.lost(1, `reason ${number}`)
      counter.kept(2, `reason ${number}`)
    }
    const { kept, lost, reasons } = counter.snapshot()
    assert.deepStrictEqual({ kept, lost }, { kept: 18, lost: 9 })
    assert.lengthOf(reasons, 12)
    assert.deepStrictEqual(
      reasons.filter(({ reason }) => reason === Report.otherReasons).map(({ fate, spans }) => [fate, spans]),
      [
        ["lost", 4],
        ["kept", 8]
      ]
    )
  })

  it("knows what gave way on disk: spans of its own are lost, those of others are counted apart", () => {
    const counter = Report.make()
    counter.ended(5)
    counter.kept(5, refused)
    counter.dropped(2, refused)
    counter.dropped(7, undefined)
    const { dropped, kept, lost, reasons } = counter.snapshot()
    assert.deepStrictEqual({ dropped, kept, lost }, { dropped: 7, kept: 3, lost: 2 })
    assert.deepStrictEqual(
      reasons.map(({ fate, spans }) => [fate, spans]),
      [
        ["kept", 3],
        ["lost", 2]
      ]
    )
  })
})

describe("Report.summary", () => {
  it.each<[string, (counter: Report.Counter) => void]>([
    [
      "12 spans exported to localhost:4317",
      (counter) => {
        counter.ended(12)
        counter.exported(12, there)
      }
    ],
    [
      "1 span exported to localhost:4317",
      (counter) => {
        counter.ended(1)
        counter.exported(1, there)
      }
    ],
    ["no spans exported: the trace was not sampled", () => {}],
    [
      '3 of 12 spans not exported: connection refused at localhost:4317; kept, send them with "tinyllm trace push"',
      (counter) => {
        counter.ended(12)
        counter.exported(9, there)
        counter.kept(3, refused)
      }
    ],
    [
      "2 spans not exported: connection refused at localhost:4317. Is a collector running there?",
      (counter) => {
        counter.ended(2)
        counter.lost(2, refused, "Is a collector running there?")
      }
    ],
    [
      '4 of 9 spans not exported: 3 connection refused at localhost:4317; 1 no answer; kept, send them with "tinyllm trace push"',
      (counter) => {
        counter.ended(9)
        counter.exported(5, there)
        counter.kept(3, refused)
        counter.kept(1, "no answer")
      }
    ],
    [
      '5 of 9 spans not exported: 3 kept (connection refused at localhost:4317), 2 lost (rejected); send the kept ones with "tinyllm trace push"',
      (counter) => {
        counter.ended(9)
        counter.exported(4, there)
        counter.kept(3, refused)
        counter.lost(2, "rejected", "Why?")
      }
    ],
    [
      '2 spans not exported: connection refused at localhost:4317; kept, send them with "tinyllm trace push"; 7 spans of earlier runs dropped, the spool had no more room for them',
      (counter) => {
        counter.ended(2)
        counter.kept(2, refused)
        counter.dropped(7, undefined)
      }
    ]
  ])("says %s", (line, count) => {
    assert.strictEqual(summary(count), line)
  })
})
