// What tests open and do not close themselves.
import { afterAll as vitestAfterAll } from "vitest"

/** For the top of a file: what passes through the function that this gives is closed after the last test. */
export const afterAll = () => {
  const open: Array<() => unknown> = []
  vitestAfterAll(async () => {
    await Promise.all(open.splice(0).map((close) => close()))
  })
  return <A extends { readonly close: () => unknown }>(opened: A): A => {
    open.push(opened.close)
    return opened
  }
}
