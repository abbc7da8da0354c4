// How long the page of a large trace takes to open, and whether it scrolls without a pause, in a real browser.
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Page } from "playwright-core"
import * as TracePage from "../src/TracePage.ts"
import * as Browser from "../test/support/Browser.ts"
import { loop } from "../test/support/Traces.ts"
import { millis, type Section } from "./report.ts"

const spans = 10_000

export const measure = async (quick: boolean): Promise<Section> => {
  if (Browser.missing) {
    return {
      title: `The page of a trace of ${spans} spans in Chromium`,
      notes: ["Not measured: there is no Chromium here. Install it, or name it with CHROMIUM_PATH."],
      header: [],
      rows: [],
      goals: [],
      numbers: {}
    }
  }
  const folder = mkdtempSync(join(tmpdir(), "tinyllm-bench-"))
  const browser = await Browser.open()
  try {
    const file = join(folder, "trace.html")
    const trace = loop(spans)
    const begin = performance.now()
    writeFileSync(file, await Effect.runPromise(TracePage.render(trace)))
    const rendered = performance.now() - begin
    const opened: Array<number> = []
    const frames: Array<number> = []
    const steps: Array<number> = []
    for (let round = 0; round < (quick ? 1 : 5); round++) {
      const page = await browser.context.newPage()
      await page.goto(pathToFileURL(file).href)
      opened.push(await page.evaluate(shown))
      frames.push(...(await scroll(page, quick ? 60 : 300)))
      steps.push(...(await work(page, quick ? 20 : 60)))
      await page.close()
    }
    const open = middle(opened)
    const worst = Math.max(...frames)
    const late = frames.filter((frame) => frame > 50).length
    return {
      title: `The page of a trace of ${trace.length} spans in Chromium`,
      notes: [
        `To open it: from the start of the navigation to the second frame that has rows, the median of ${opened.length}.`,
        `To scroll it: by 12 rows a frame, every tenth by a jump, ${frames.length} frames, without a GPU. Their times hold on`,
        "a machine that does nothing else; what the page itself does for a step is CPU time of its thread, which does not",
        "depend on others."
      ],
      header: ["", "time"],
      rows: [
        [
          `made by TracePage.render, bundled on the way, ${(statSync(file).size / 1e6).toFixed(1)} MB`,
          millis(rendered)
        ],
        ["opened", millis(open)],
        ["a frame, median", `${middle(frames).toFixed(1)} ms`],
        ["a frame, longest", `${worst.toFixed(1)} ms`],
        ["frames over 50 ms", String(late)],
        ["CPU of the page for a step, median", `${middle(steps).toFixed(1)} ms`],
        ["CPU of the page for a step, most", `${Math.max(...steps).toFixed(1)} ms`]
      ],
      goals: [
        { what: "to open it takes", measured: open, atMost: 2000, unit: "ms" },
        { what: "a frame takes", measured: worst, atMost: 50, unit: "ms" },
        { what: "the page's own work for a step takes", measured: Math.max(...steps), atMost: 50, unit: "ms" }
      ],
      numbers: {
        "open, ms": open,
        "longest frame, ms": worst,
        "longest step, CPU ms": Math.max(...steps),
        "size, bytes": statSync(file).size
      }
    }
  } finally {
    await browser.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const middle = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** CPU time of the page's thread for each step, in milliseconds: script, styles, layout and paint. */
const work = async (page: Page, count: number): Promise<ReadonlyArray<number>> => {
  const session = await page.context().newCDPSession(page)
  await session.send("Performance.enable", { timeDomain: "threadTicks" })
  const spent = async () => {
    const { metrics } = await session.send("Performance.getMetrics")
    return 1000 * (metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0)
  }
  const steps: Array<number> = []
  for (let step = 0; step < count; step++) {
    const before = await spent()
    const top = step % 4 === 3 ? `scrollTo(0, ${(step * 7919 * 26) % 250_000})` : "scrollBy(0, 12 * 26)"
    await page.evaluate(`${top}; new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))`)
    steps.push((await spent()) - before)
  }
  return steps
}

// What runs in the page is text: this project has no types of a browser.

/** Milliseconds until the rows were on the screen. */
const shown = `new Promise((resolve) => {
  const look = () =>
    document.querySelector('[role="row"]') === null
      ? requestAnimationFrame(look)
      : requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now())))
  look()
})` as unknown as () => Promise<number>

/** Milliseconds of each frame while it scrolls. */
const scroll = (page: Page, count: number): Promise<ReadonlyArray<number>> =>
  page.evaluate(`new Promise((resolve) => {
    const frames = []
    let before
    const next = (now) => {
      if (before !== undefined) frames.push(now - before)
      before = now
      if (frames.length === ${count}) return resolve(frames)
      // Every tenth time to somewhere else, as by dragging the bar.
      if (frames.length % 10 === 9) scrollTo({ top: (frames.length * 7919 * 26) % document.body.scrollHeight, behavior: "instant" })
      else scrollBy({ top: 12 * 26, behavior: "instant" })
      requestAnimationFrame(next)
    }
    requestAnimationFrame(next)
  })`)
