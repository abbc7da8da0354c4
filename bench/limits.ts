// What happens at the limits: a burst of spans, a collector that is not there, and many runs at once.
import { fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { startCollector } from "./spans.ts"
import type { Section } from "./report.ts"
import type { Mode, Outcome } from "./limits-child.ts"

const run = async (mode: Mode, url: string, size: number): Promise<Outcome> => {
  const child = fork(fileURLToPath(new URL("limits-child.ts", import.meta.url)), [mode, url, String(size)], {
    execArgv: ["--expose-gc"],
    // What a program says on standard error about spans it lost is counted here in another way.
    stdio: ["ignore", "ignore", "ignore", "ipc"]
  })
  const [outcome] = (await once(child, "message")) as [Outcome]
  await once(child, "exit")
  return outcome
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`

/** Each is a program of its own. Throws when a span is missing that had room. */
export const measure = async (quick: boolean): Promise<Section> => {
  const burst = quick ? 20_000 : 100_000
  const runs = quick ? 1000 : 10_000
  const collector = await startCollector()
  try {
    const arrived = async (mode: Mode) => {
      const before = await collector.spans()
      const outcome = await run(mode, collector.url, burst)
      return { ...outcome, arrived: (await collector.spans()) - before }
    }
    const ours = await arrived("burst ours")
    const sdk = await arrived("burst SDK")
    const sdkLarge = await arrived("burst SDK, queue of 200 000")
    // Nothing listens on port 9, which is for discarding.
    const down = await run("burst ours", "http://127.0.0.1:9", 4 * burst)
    const traced = await run("runs traced", "", runs)
    const untraced = await run("runs untraced", "", runs)
    const kilobytes = (traced.heapBytes - untraced.heapBytes) / 1024 / runs
    const row = (what: string, { arrived, heapBytes, millis }: typeof ours) => [
      what,
      String(burst),
      String(arrived),
      `${((1 - arrived / burst) * 100).toFixed(1)} %`,
      megabytes(heapBytes),
      `${millis.toFixed(0)} ms`
    ]
    return {
      title: `A burst of ${burst} spans, and ${runs} runs at once`,
      notes: [
        "Spans made without a pause, to a collector in another process that acknowledges at once; memory is the heap",
        "when the last one has ended, before the end of the program waits for the rest."
      ],
      header: ["", "made", "arrived", "lost", "heap", "time"],
      rows: [
        row("ours, default settings", ours),
        row("SDK, default settings", sdk),
        row("SDK, queue of 200 000", sdkLarge),
        ["ours, no collector", String(4 * burst), "0", "", megabytes(down.heapBytes), `${down.millis.toFixed(0)} ms`],
        [`a run of 3 nodes, ${runs} at once`, "", "", "", `${kilobytes.toFixed(2)} KB more than untraced`, ""]
      ],
      goals: [
        { what: "lost in a burst", measured: burst - ours.arrived, atMost: 0, unit: "spans" },
        { what: "memory of a traced run", measured: kilobytes, atMost: 10, unit: "KB" }
      ],
      numbers: {
        "burst, lost": burst - ours.arrived,
        "SDK burst, lost": burst - sdk.arrived,
        "SDK burst with a queue of 200 000, lost": burst - sdkLarge.arrived,
        "no collector, heap MB": down.heapBytes / 2 ** 20,
        "kilobytes a run": kilobytes
      }
    }
  } finally {
    await collector.close()
  }
}
