/**
 * Where somebody was in the list, to go back there.
 */
import type { Filter } from "../../src/TraceUiData.ts"
import { everything } from "./Route.ts"

export const memory: {
  /** Of the list that was shown last. */
  filter: Filter
  /** The trace that was looked at last. */
  trace: string | undefined
} = { filter: everything, trace: undefined }
