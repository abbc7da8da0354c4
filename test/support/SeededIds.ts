/**
 * Ids of traces and spans that are the same in every run of a test, for tests that count what chance keeps:
 *
 *     vi.mock("../src/RandomIds.ts", () => import("./support/SeededIds.ts"))
 *
 * Traces and spans draw from generators of their own: spans draw when they are exported, which no test can time.
 */
const seeds = { trace: 0x9e3779b97f4a7c15n, span: 0xd1342543de82ef95n }

// https://en.wikipedia.org/wiki/Xorshift#xorshift*
const generator = (seed: bigint) => {
  let state = seed
  return (): string => {
    state ^= state >> 12n
    state = (state ^ (state << 25n)) & 0xffffffffffffffffn
    state ^= state >> 27n
    return ((state * 0x2545f4914f6cdd1dn) & 0xffffffffffffffffn).toString(16).padStart(16, "0")
  }
}

let trace = generator(seeds.trace)
let span = generator(seeds.span)

/** Begins again with the first ids. */
export const restart = (): void => {
  trace = generator(seeds.trace)
  span = generator(seeds.span)
}

/** 32 hexadecimal digits. */
export const traceId = (): string => trace() + trace()

/** 16 hexadecimal digits. */
export const spanId = (): string => span()
