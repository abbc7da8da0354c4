import { assert, describe, it } from "vitest"
import * as RetryInfo from "../src/RetryInfo.ts"
import { retryInfo } from "./support/Collector.ts"

describe("RetryInfo.millis", () => {
  it.each([0, 1, 700, 1000, 61_250])("reads %i ms", (millis) => {
    assert.strictEqual(RetryInfo.millis(retryInfo(8, millis)), millis)
  })

  it("is undefined for a status without details, for what is no status, and for one that was cut off", () => {
    const whole = retryInfo(8, 61_250)
    assert.isUndefined(RetryInfo.millis(Buffer.from([8, 8])))
    assert.isUndefined(RetryInfo.millis(undefined))
    assert.isUndefined(RetryInfo.millis("text"))
    assert.isUndefined(RetryInfo.millis(Buffer.alloc(40, 0xff)))
    for (let length = 0; length < whole.length; length++) {
      assert.isUndefined(RetryInfo.millis(whole.subarray(0, length)), `${length} bytes`)
    }
  })

  it("takes a wait in the past for none", () => {
    // Duration { seconds: -5 } in RetryInfo in Any in Status.
    const seconds = Buffer.from([8, 0xfb, ...Array.from({ length: 8 }, () => 0xff), 1])
    const wrap = (field: number, bytes: Buffer) => Buffer.concat([Buffer.from([(field << 3) | 2, bytes.length]), bytes])
    const any = Buffer.concat([wrap(1, Buffer.from("x/google.rpc.RetryInfo")), wrap(2, wrap(1, seconds))])
    assert.strictEqual(RetryInfo.millis(wrap(3, any)), 0)
  })
})
