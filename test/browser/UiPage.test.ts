// The page of `tinyllm ui` in a real browser, served by a real process from a store that others write to.
//
// TINYLLM_SCREENSHOTS=1 writes the pictures of the documents anew, into docs/images.
import { Effect } from "effect"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Page } from "playwright-core"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as OtlpTraces from "../../src/OtlpTraces.ts"
import type { StoredSpan } from "../../src/StoredSpan.ts"
import * as TraceStore from "../../src/TraceStore.ts"
import * as Browser from "../support/Browser.ts"
import * as Process from "../support/Process.ts"
import * as Runs from "../support/Runs.ts"
import { faint } from "./Contrast.ts"

const append = (home: string, spans: ReadonlyArray<StoredSpan>) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(TraceStore.make({ file: join(home, "traces.db") }), (store) =>
        store.append(OtlpTraces.request(spans))
      )
    )
  )

const remove = (home: string, ids: ReadonlyArray<string>) =>
  Effect.runPromise(
    Effect.scoped(Effect.flatMap(TraceStore.make({ file: join(home, "traces.db") }), (store) => store.remove(ids)))
  )

/** Starts `tinyllm ui`, and gives its address when it serves. */
const serve = async (home: string, port = 0) => {
  const running = Process.spawnNode("src/Main.ts", ["ui", "--no-open", "--port", String(port)], {
    env: { TINYLLM_HOME: home },
    timeoutMillis: 300_000
  })
  await running.waitForStdout("/\n")
  return { ...running, url: running.stdout().trim() }
}

let browser: Browser.Opened

/** A page that is asked to behave: it must report no trouble, and ask nobody but its server for anything. */
const open = async (url: string, options: { readonly width?: number; readonly dark?: boolean } = {}) => {
  const page = await browser.context.newPage()
  page.setDefaultTimeout(10_000)
  const troubles: Array<string> = []
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      troubles.push(message.text())
    }
  })
  page.on("pageerror", (error) => troubles.push(String(error)))
  page.on("dialog", (dialog) => {
    troubles.push(dialog.message())
    void dialog.dismiss()
  })
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith("data:")) {
      troubles.push(`asked for ${request.url()}`)
    }
  })
  await page.setViewportSize({ width: options.width ?? 1280, height: 800 })
  await page.emulateMedia({ colorScheme: options.dark === true ? "dark" : "light", reducedMotion: "reduce" })
  await page.goto(url)
  return {
    page,
    close: async () => {
      await page.close()
      assert.deepStrictEqual(troubles, [])
    },
    troubles
  }
}

const rows = (page: Page) => page.locator("tbody tr")
const row = (page: Page, id: number) => rows(page).filter({ has: page.locator(`[data-trace="${Runs.traceId(id)}"]`) })

/** Waits until there are so many of something. */
const counted = async (page: Page, selector: string, count: number) => {
  await page.waitForFunction(([selector, count]) => document.querySelectorAll(selector).length === count, [
    selector,
    count
  ] as const)
}

describe.skipIf(Browser.missing)("the page of tinyllm ui", () => {
  const home = Process.scratch()
  let ui: Awaited<ReturnType<typeof serve>>

  beforeAll(async () => {
    browser = await Browser.open()
    for (const run of Runs.afternoon(Date.now() - 60_000)) {
      await append(home, Runs.spans(run))
    }
    ui = await serve(home)
  }, 60_000)

  afterAll(async () => {
    ui?.kill("SIGINT")
    await browser?.close()
  })

  it("lists the traces, the newest first, with what they took", async () => {
    const { close, page } = await open(ui.url)
    await counted(page, "tbody tr", 24)
    assert.strictEqual(await page.title(), "Traces · TinyLLM")
    const first = await rows(page).first().locator("td, th").allInnerTexts()
    assert.match(first[1] ?? "", /^\d\d:\d\d:\d\d$|^\d+ \w+ \d\d:\d\d$/)
    assert.strictEqual(first[2]?.trim(), "assistant")
    assert.strictEqual(first[3], "completed")
    assert.match(first[4] ?? "", /^2\.49 s/)
    assert.deepStrictEqual(first.slice(5), ["3", "155 → 184", "qwen2.5:0.5b, qwen2.5:3b", "Why is the sky blue?"])
    assert.strictEqual(await row(page, 5).locator(".c-status").innerText(), "failed")
    assert.strictEqual(await row(page, 6).locator(".c-status").innerText(), "interrupted")
    assert.include(await row(page, 3).locator(".c-name").innerText(), "help-desk")
    await close()
  })

  it("keeps its filters in its address, which can be reloaded and kept", async () => {
    const { close, page } = await open(ui.url)
    await counted(page, "tbody tr", 24)
    await page.getByRole("checkbox", { name: "Failed only" }).check()
    await counted(page, "tbody tr", 2)
    assert.match(page.url(), /#\/\?failed=1$/)
    await page.reload()
    await counted(page, "tbody tr", 2)
    assert.isTrue(await page.getByRole("checkbox", { name: "Failed only" }).isChecked())
    await page.getByRole("button", { name: "Show all" }).click()
    await counted(page, "tbody tr", 24)
    await page.getByRole("combobox", { name: "Slower than" }).selectOption("30s")
    await counted(page, "tbody tr", 2)
    await page.getByRole("combobox", { name: "Slower than" }).selectOption("")
    await page.getByRole("combobox", { name: "Graph" }).fill("support")
    await counted(page, "tbody tr", 6)
    await page.getByRole("searchbox", { name: "Search" }).fill("MONEY back")
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length < 6)
    for (const query of await page.locator("tbody .c-query").allInnerTexts()) {
      assert.include(query, "money back")
    }
    await page.getByRole("searchbox", { name: "Search" }).fill("nothing is like this")
    await page.getByText("No trace is like that.").waitFor()
    await page.getByRole("link", { name: "Show all" }).click()
    await counted(page, "tbody tr", 24)
    await page.getByRole("combobox", { name: "Since" }).selectOption("1h")
    await counted(page, "tbody tr", 4)
    await close()
  })

  it("keeps what is typed while a filter comes into effect, spaces too", async () => {
    const { close, page } = await open(ui.url)
    await counted(page, "tbody tr", 24)
    const search = page.getByRole("searchbox", { name: "Search" })
    const graph = page.getByRole("combobox", { name: "Graph" })
    // A letter in the moment in which the one before comes into effect, and another one after that.
    await page.evaluate(() => {
      const type = (letter: string) => {
        const input = document.querySelector<HTMLInputElement>("input[type=search]")!
        input.value += letter
        input.dispatchEvent(new Event("input", { bubbles: true }))
      }
      addEventListener("hashchange", () => (type("u"), setTimeout(type, 100, "i")), { once: true })
    })
    await search.fill("q")
    await page.waitForURL(/text=qu?i$/)
    assert.strictEqual(await search.inputValue(), "qui")
    await search.fill("")
    await counted(page, "tbody tr", 24)
    await graph.pressSequentially("support desk")
    await page.waitForURL(/graph=support\+desk$/)
    assert.strictEqual(await graph.inputValue(), "support desk")
    await graph.fill(" support ")
    await counted(page, "tbody tr", 6)
    await close()
  })

  it("does not go back to a filter that somebody typed, and left before it came into effect", async () => {
    const { close, page } = await open(`${ui.url}#/?failed=1`)
    await counted(page, "tbody tr", 2)
    // Types, and clicks at once.
    const typeAndClick = (text: string, selector: string) =>
      page.evaluate(
        ([text, selector]) => {
          const input = document.querySelector<HTMLInputElement>("input[type=search]")!
          input.value = text
          input.dispatchEvent(new Event("input", { bubbles: true }))
          document.querySelector<HTMLElement>(selector)!.click()
        },
        [text, selector] as const
      )
    // Longer than what is typed takes to come into effect.
    const later = () => page.waitForTimeout(400)
    await typeAndClick("zz", ".filters button")
    await counted(page, "tbody tr", 24)
    await later()
    assert.match(page.url(), /#\/$/)
    const search = page.getByRole("searchbox", { name: "Search" })
    assert.strictEqual(await search.inputValue(), "")
    await search.fill("nothing is like this")
    await page.getByText("No trace is like that.").waitFor()
    await typeAndClick("nor is this", ".empty a")
    await counted(page, "tbody tr", 24)
    await later()
    assert.match(page.url(), /#\/$/)
    assert.strictEqual(await search.inputValue(), "")
    await typeAndClick("support", "a[data-trace]")
    await page.getByRole("treegrid").waitFor()
    await later()
    assert.match(page.url(), /#\/trace\//)
    await close()
  })

  it("has room for the time of a trace of another day, and tells the name of a graph that is cut", async () => {
    const own = Process.scratch()
    const graph = "a-graph-with-a-name-that-is-far-too-long-for-its-column"
    await append(own, Runs.spans({ ...Runs.afternoon(Date.parse("2025-11-28T12:00:00Z"))[0]!, graph }))
    await append(own, Runs.spans(Runs.afternoon(Date.now() - 48 * 3_600_000)[1]!))
    const other = await serve(own)
    const { close, page } = await open(other.url)
    await counted(page, "tbody tr", 2)
    for (const width of [390, 768, 1280]) {
      await page.setViewportSize({ width, height: 800 })
      const cut = await page
        .locator("td.c-time")
        .evaluateAll((cells) =>
          cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)
        )
      assert.deepStrictEqual(cut, [], `${width} pixels`)
    }
    assert.strictEqual(await page.locator(".c-name", { hasText: graph }).getAttribute("title"), graph)
    await close()
    other.kill("SIGINT")
  })

  it("is gone through by keys: j, k, arrows, Enter, x, c and /", async () => {
    const { close, page } = await open(ui.url)
    await counted(page, "tbody tr", 24)
    const focused = () => page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset["trace"])
    await page.keyboard.press("j")
    assert.strictEqual(await focused(), Runs.traceId(0))
    await page.keyboard.press("j")
    await page.keyboard.press("ArrowDown")
    assert.strictEqual(await focused(), Runs.traceId(2))
    await page.keyboard.press("k")
    assert.strictEqual(await focused(), Runs.traceId(1))
    await page.keyboard.press("End")
    assert.strictEqual(await focused(), Runs.traceId(23))
    await page.keyboard.press("Home")
    await page.keyboard.press("x")
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await page.getByRole("link", { name: "Compare the two" }).waitFor()
    await page.keyboard.press("c")
    await page.getByRole("heading", { name: "Two traces" }).waitFor()
    // The older one comes first.
    assert.match(page.url(), new RegExp(`#/compare/${Runs.traceId(1)}/${Runs.traceId(0)}$`))
    await page.goBack()
    await counted(page, "tbody tr", 24)
    await page.keyboard.press("/")
    assert.strictEqual(await page.evaluate(() => document.activeElement?.getAttribute("type")), "search")
    // What is typed there is text.
    await page.keyboard.type("j")
    await page.waitForURL(/text=j$/)
    await page.getByRole("searchbox", { name: "Search" }).fill("")
    await page.waitForURL(/#\/$/)
    await page.getByRole("searchbox", { name: "Search" }).blur()
    await counted(page, "tbody tr", 24)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { level: 1, name: /assistant/ }).waitFor()
    assert.match(page.url(), new RegExp(`#/trace/${Runs.traceId(0)}$`))
    await page.getByRole("link", { name: "Traces" }).click()
    await counted(page, "tbody tr", 24)
    await close()
  })

  it("goes back to the filters and to the row that somebody came from", async () => {
    const { close, page } = await open(`${ui.url}#/?graph=support`)
    await counted(page, "tbody tr", 6)
    await row(page, 11).getByRole("link").click()
    await page.getByRole("heading", { level: 1, name: /support/ }).waitFor()
    assert.strictEqual(await page.title(), `Trace ${Runs.traceId(11).slice(0, 8)} · TinyLLM`)
    await page.getByRole("link", { name: "Traces" }).click()
    await counted(page, "tbody tr", 6)
    const focused = await page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset["trace"])
    assert.strictEqual(focused, Runs.traceId(11))
    assert.strictEqual(await page.title(), "Traces · TinyLLM")
    await close()
  })

  it("shows each type of node and each model in numbers", async () => {
    const { close, page } = await open(`${ui.url}#/stats?graph=support`)
    await page.getByRole("heading", { name: "Types of nodes" }).waitFor()
    const sums = await page.locator(".sums dd").allInnerTexts()
    assert.deepStrictEqual(
      sums.map((text) => text.replaceAll("\u202f", " ")),
      ["6", "0", "30", "15", "3 981 → 1 335"]
    )
    const write = page.getByRole("row", { name: /^model/ })
    const cells = await write.getByRole("cell").allInnerTexts()
    assert.deepStrictEqual(cells.slice(0, 2), ["9", "0"])
    assert.match(cells[2] ?? "", /^2\.\d\d s$/)
    const models = await page.getByRole("table").nth(1).getByRole("rowheader").allInnerTexts()
    assert.deepStrictEqual(models, ["llama3.2:1b", "qwen2.5:0.5b"])
    await close()
  })

  it("shows two traces side by side, and where they went different ways", async () => {
    const { close, page } = await open(`${ui.url}#/compare/${Runs.traceId(3)}/${Runs.traceId(7)}`)
    await page.getByText("They went different ways at “review”.").waitFor()
    const steps = await page.locator(".steps tbody th").allInnerTexts()
    assert.deepStrictEqual(steps, ["read", "sort", "write", "review", "write (2)", "review (2)"])
    assert.include(
      await page
        .getByRole("row", { name: /^review way|^review / })
        .first()
        .innerText(),
      "way fail / pass"
    )
    assert.include(await page.getByRole("row", { name: /^write \(2\)/ }).innerText(), "only in A")
    await page.getByRole("link", { name: "Swap the two" }).click()
    await page.getByText("only in B").first().waitFor()
    await close()
  })

  it("follows the system's dark colours, until somebody chooses", async () => {
    const { close, page } = await open(ui.url, { dark: true })
    await counted(page, "tbody tr", 24)
    const brightness = () =>
      page.evaluate(() => {
        const [red = 0, green = 0, blue = 0] = (
          getComputedStyle(document.documentElement).backgroundColor.match(/[\d.]+/g) ?? []
        ).map(Number)
        return (red + green + blue) / 3
      })
    assert.isBelow(await brightness(), 60)
    await page.keyboard.press("t")
    assert.isAbove(await brightness(), 200)
    await page.reload()
    await counted(page, "tbody tr", 24)
    assert.isAbove(await brightness(), 200)
    await page.evaluate(() => localStorage.clear())
    await close()
  })

  it("gives every control a name, and every view one heading and one main part", async () => {
    for (const view of [
      "",
      "#/?text=nothing",
      "#/stats",
      `#/compare/${Runs.traceId(3)}/${Runs.traceId(7)}`,
      `#/trace/${Runs.traceId(3)}`
    ]) {
      const { close, page } = await open(`${ui.url}${view}`)
      await page.locator("main table, main [role=treegrid], main .empty").first().waitFor()
      const session = await browser.context.newCDPSession(page)
      const { nodes } = (await session.send("Accessibility.getFullAXTree")) as {
        readonly nodes: ReadonlyArray<{
          readonly ignored: boolean
          readonly role?: { readonly value: string }
          readonly name?: { readonly value: string }
        }>
      }
      const nameless = nodes.filter(
        ({ ignored, name, role }) =>
          !ignored &&
          /^(button|link|checkbox|combobox|textbox|searchbox|heading)$/.test(role?.value ?? "") &&
          (name?.value ?? "").trim() === ""
      )
      assert.deepStrictEqual(nameless, [], view)
      assert.lengthOf(
        nodes.filter(({ ignored, role }) => !ignored && role?.value === "main"),
        1,
        view
      )
      assert.strictEqual(await page.getByRole("heading", { level: 1 }).count(), 1, view)
      await close()
    }
  })

  it("has texts that stand out from what is behind them, by day and by night", async () => {
    for (const dark of [false, true]) {
      for (const view of ["", "#/?text=nothing", "#/stats", `#/compare/${Runs.traceId(3)}/${Runs.traceId(7)}`]) {
        const { close, page } = await open(`${ui.url}${view}`, { dark })
        await page.locator("main table, main .empty").first().waitFor()
        assert.deepStrictEqual(await page.evaluate(faint), [], `${view} ${dark}`)
        await close()
      }
    }
  })

  it("fits a screen of 390 pixels in every view, without scrolling sideways", async () => {
    for (const view of [
      "",
      "#/stats",
      `#/compare/${Runs.traceId(3)}/${Runs.traceId(7)}`,
      `#/trace/${Runs.traceId(3)}`
    ]) {
      const { close, page } = await open(`${ui.url}${view}`, { width: 390 })
      await page.locator("main table, main [role=treegrid]").first().waitFor()
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      assert.isAtMost(width, 390, view)
      await close()
    }
  })
})

describe.skipIf(Browser.missing)("the page of tinyllm ui, live", () => {
  const home = Process.scratch()
  let ui: Awaited<ReturnType<typeof serve>>

  beforeAll(async () => {
    browser = await Browser.open()
    ui = await serve(home)
  }, 60_000)

  afterAll(async () => {
    ui?.kill("SIGINT")
    await browser?.close()
  })

  it("says how to make a trace where there is none, shows the first one when it comes, and none that is removed", async () => {
    const { close, page } = await open(ui.url)
    await page.getByText(`tinyllm run "What is 2 + 2?" --demo --tracing`).waitFor()
    const run = { ...Runs.afternoon(Date.now())[0]!, id: 100 }
    await append(home, Runs.spans(run))
    await counted(page, "tbody tr", 1)
    await remove(home, [Runs.traceId(100)])
    await page.getByText("There are no traces yet").waitFor()
    await close()
  })

  it("lets a trace grow while it runs, and leaves what somebody looks at where it is", async () => {
    const step = { node: "step", type: "tool", millis: 40 }
    const run: Runs.Run = {
      id: 101,
      graph: "long",
      query: "Take your time",
      start: Date.now(),
      steps: Array.from({ length: 90 }, () => step)
    }
    const spans = Runs.spans(run)
    await append(home, spans.slice(0, 60))
    const list = await open(ui.url)
    const trace = await open(`${ui.url}#/trace/${Runs.traceId(101)}`)
    await list.page.getByText("running").waitFor()
    await trace.page.locator("main[aria-busy=true]").waitFor()
    await trace.page.locator(".pill.running").waitFor()
    await counted(trace.page, ".trace main[aria-busy=true]", 1)
    await trace.page.evaluate(() => window.scrollTo(0, 500))
    const before = await trace.page.evaluate(() => window.scrollY)
    assert.isAbove(before, 0)
    await append(home, spans.slice(60, 70))
    await trace.page.locator(".totals", { hasText: /Spans\s*70/ }).waitFor()
    assert.strictEqual(await trace.page.evaluate(() => window.scrollY), before)
    await append(home, spans.slice(70))
    await trace.page.locator(".totals", { hasText: /Spans\s*91/ }).waitFor()
    await trace.page.locator(".pill.ok, .pill:has-text('completed')").first().waitFor()
    assert.strictEqual(await trace.page.locator("main[aria-busy=true]").count(), 0)
    await row(list.page, 101).getByText("completed").waitFor()
    await trace.close()
    await list.close()
  })

  it("leaves the waterfall where it is while the graph above it grows", async () => {
    const run: Runs.Run = {
      id: 106,
      graph: "steps",
      query: "Step by step",
      start: Date.now(),
      steps: Array.from({ length: 5 }, (_, index) => ({
        node: `a-step-with-a-long-name-${index + 1}`,
        type: "tool",
        millis: 40
      }))
    }
    const spans = Runs.spans(run)
    await append(home, spans.slice(0, 2))
    const { close, page } = await open(`${ui.url}#/trace/${Runs.traceId(106)}`, { width: 720 })
    const top = async (nodes: number) => {
      await counted(page, "figure .node", nodes)
      return await page.locator(".waterfall").evaluate((part) => part.getBoundingClientRect().top + scrollY)
    }
    const before = await top(2)
    for (let count = 3; count <= 6; count++) {
      await append(home, spans.slice(count - 1, count))
      const now = await top(Math.min(count, 5))
      assert.closeTo(now, before, 40, `${count} spans`)
    }
    await page.locator(".pill.ok").waitFor()
    assert.closeTo(await top(5), before, 40)
    await close()
  })

  it("watches a program that runs: each step when it has ended, and the end", async () => {
    const { close, page } = await open(ui.url)
    await page.locator("tbody tr, .empty").first().waitFor()
    const program = Process.spawnNode("test/programs/steps.ts", [], {
      env: { TINYLLM_HOME: home },
      stdin: null,
      timeoutMillis: 60_000
    })
    program.type("on\n")
    await page.getByRole("link", { name: "node.tool" }).click()
    const main = page.locator("main[aria-busy=true]")
    await main.getByText("running", { exact: true }).waitFor()
    // The root is not there yet, nor are the steps that follow.
    await page.locator(".totals", { hasText: /Spans\s*1\b/ }).waitFor()
    program.type("on\n")
    await page.locator(".totals", { hasText: /Spans\s*2\b/ }).waitFor()
    assert.strictEqual(await main.count(), 1)
    program.type("on\n")
    await page.getByRole("heading", { level: 1, name: /steps/ }).waitFor()
    await page.locator(".totals", { hasText: /Spans\s*4\b/ }).waitFor()
    assert.strictEqual(await main.count(), 0)
    assert.strictEqual((await program.exit).code, 0)
    await close()
  })

  it("goes on where it was when somebody looks at it again, and holds no connection before", async () => {
    const { close, page } = await open(ui.url)
    await page.locator("tbody tr, .empty").first().waitFor()
    const look = (state: "hidden" | "visible") =>
      page.evaluate((state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true })
        document.dispatchEvent(new Event("visibilitychange"))
      }, state)
    const streams: Array<string> = []
    page.on("request", (request) => streams.push(request.url()))
    await look("hidden")
    await append(home, Runs.spans({ ...Runs.afternoon(Date.now())[1]!, id: 102 }))
    // Whoever looks sees it, so the server has told it.
    const other = await open(ui.url)
    await row(other.page, 102).waitFor()
    await other.close()
    assert.strictEqual(await row(page, 102).count(), 0)
    assert.deepStrictEqual(streams, [])
    await look("visible")
    await row(page, 102).waitFor()
    assert.lengthOf(streams, 1)
    await close()
  })

  it("says that a trace is gone, and leaves on the page what came of it", async () => {
    await append(home, Runs.spans({ ...Runs.afternoon(Date.now())[1]!, id: 105 }))
    const { close, page } = await open(`${ui.url}#/trace/${Runs.traceId(105)}`)
    await page.getByRole("heading", { level: 1, name: /assistant/ }).waitFor()
    await remove(home, [Runs.traceId(105)])
    await page.getByText("This trace is no longer in the store.").waitFor()
    assert.strictEqual(await page.getByRole("heading", { level: 1, name: /assistant/ }).count(), 1)
    await page.reload()
    await page.getByText("There is no such trace in the store").waitFor()
    await close()
  })

  it("shows texts of others as texts, whatever they hold", async () => {
    const evil = `"><img src=x onerror=alert(1)><script>alert(2)</script>\u001b[31mred\u202egnp.exe`
    const run: Runs.Run = {
      id: 103,
      graph: evil,
      query: evil,
      service: evil,
      start: Date.now(),
      steps: [
        { node: evil, type: "router", millis: 5, model: evil, tokens: [1, 2], route: evil },
        { node: "__proto__", type: evil, millis: 5, error: evil }
      ]
    }
    await append(home, Runs.spans(run))
    await append(home, Runs.spans({ ...run, id: 104, steps: run.steps.slice(0, 1) }))
    const pages = [
      "",
      "#/stats",
      `#/compare/${Runs.traceId(103)}/${Runs.traceId(104)}`,
      `#/trace/${Runs.traceId(103)}`,
      `#/trace/<img src=x onerror=alert(1)>`,
      `#/?text=<img src=x onerror=alert(1)>&graph=<b>`
    ]
    for (const view of pages) {
      const { close, page } = await open(`${ui.url}${view}`)
      await page.locator("main table, main [role=treegrid], main .empty").first().waitFor()
      assert.strictEqual(await page.locator("#page img, #page script").count(), 0, view)
      const text = await page.locator("#page").innerText()
      assert.notMatch(text, /[\u001b\u202e]/, view)
      await close()
    }
    await remove(home, [Runs.traceId(103), Runs.traceId(104)])
  })

  it("shows two hundred traces, and older ones when somebody wants them", async () => {
    const start = Date.now() - 86_400_000
    const [run] = Runs.afternoon(start)
    const many = Array.from({ length: 205 }, (_, index) => ({ ...run!, id: 1000 + index, start: start - index }))
    await append(home, many.flatMap(Runs.spans))
    const { close, page } = await open(`${ui.url}#/?graph=assistant`)
    await counted(page, "tbody tr", 200)
    await page.getByText("200 newest traces").waitFor()
    await page.getByRole("button", { name: "Show older ones" }).click()
    await page.getByText(/^20\d traces$/).waitFor()
    await close()
    await remove(
      home,
      many.map(({ id }) => Runs.traceId(id))
    )
  })

  it("says that its server has ended, and that another one does not know its address", async () => {
    const own = Process.scratch()
    const first = await serve(own)
    const { page } = await open(first.url)
    await page.getByText("There are no traces yet").waitFor()
    first.kill("SIGINT")
    await first.exit
    await page.getByText("The server does not answer.").waitFor()
    const second = await serve(own, Number(new URL(first.url).port))
    await page.getByText("The server does not know this address.").waitFor()
    second.kill("SIGINT")
    await second.exit
    await page.close()
  })

  it("says what is wrong with the store, and shows traces when that is over", async () => {
    const own = Process.scratch()
    const file = join(own, "traces.db")
    writeFileSync(file, "this is no database, and long enough to be told from one that is only beginning. ".repeat(20))
    const broken = await serve(own)
    const { page } = await open(broken.url)
    await page.getByText(/trace store .* is damaged/).waitFor()
    rmSync(file)
    await append(own, Runs.spans(Runs.afternoon(Date.now())[0]!))
    await counted(page, "tbody tr", 1)
    assert.strictEqual(await page.getByText("is damaged").count(), 0)
    broken.kill("SIGINT")
    await page.close()
  })
})

describe.skipIf(Browser.missing || process.env["TINYLLM_SCREENSHOTS"] === undefined)("pictures of tinyllm ui", () => {
  const now = Date.parse("2026-11-28T16:20:00+01:00")
  const home = Process.scratch()
  let ui: Awaited<ReturnType<typeof serve>>

  beforeAll(async () => {
    browser = await Browser.open()
    for (const run of Runs.afternoon(now - 95_000)) {
      await append(home, Runs.spans(run))
    }
    // One that has not come to its last step.
    const [, , , run] = Runs.afternoon(now - 2700 + 3 * 17 * 60_000)
    await append(home, Runs.spans({ ...run!, id: 50 }).slice(0, 5))
    ui = await serve(home)
  }, 60_000)

  afterAll(async () => {
    ui?.kill("SIGINT")
    await browser?.close()
  })

  for (const [name, view] of [
    ["ui-list", ""],
    ["ui-running", `#/trace/${Runs.traceId(50)}`],
    ["ui-stats", "#/stats"],
    ["ui-compare", `#/compare/${Runs.traceId(3)}/${Runs.traceId(7)}`]
  ] as const) {
    it(`${name}: narrow, middling and wide, by day and by night`, async () => {
      for (const dark of [false, true]) {
        for (const width of [360, 768, 1280]) {
          const page = await browser.context.newPage()
          await page.clock.setFixedTime(now)
          await page.setViewportSize({ width, height: width === 360 ? 780 : 800 })
          await page.emulateMedia({ colorScheme: dark ? "dark" : "light", reducedMotion: "reduce" })
          await page.goto(`${ui.url}${view}`)
          await page.locator("main table, main [role=treegrid]").first().waitFor()
          await page.evaluate(() => document.fonts.ready)
          const path = `${Process.root}docs/images/${name}-${width}-${dark ? "dark" : "light"}.png`
          await page.screenshot({ path, animations: "disabled" })
          await page.close()
        }
      }
    }, 120_000)
  }
})
