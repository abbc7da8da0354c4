// The page of a trace in a real browser: what a person sees of it, and does with it.
//
// TINYLLM_SCREENSHOTS=1 writes the pictures of the documents anew, into docs/images.
import * as Effect from "effect/Effect"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Page } from "playwright-core"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { StoredSpan } from "../../src/StoredSpan.ts"
import * as TracePage from "../../src/TracePage.ts"
import * as Browser from "../support/Browser.ts"
import { faint } from "./Contrast.ts"
import { root, scratch } from "../support/Process.ts"
import { assistant, chain, deep, foreign, hostile, loop, spansOf, support } from "../support/Traces.ts"

const skip = Browser.missing
const folder = scratch()
let browser: Browser.Opened

beforeAll(async () => {
  if (!skip) {
    browser = await Browser.open()
  }
}, 60_000)

afterAll(async () => {
  await browser?.close()
}, 60_000)

const files = new Map<() => ReadonlyArray<StoredSpan>, string>()

/** The page of a trace, as a file. */
const fileOf = async (trace: () => ReadonlyArray<StoredSpan>): Promise<string> => {
  const known = files.get(trace)
  if (known !== undefined) {
    return known
  }
  const path = join(folder, `${files.size}.html`)
  writeFileSync(path, await Effect.runPromise(TracePage.render(trace())))
  files.set(trace, path)
  return path
}

interface Options {
  readonly width?: number
  readonly height?: number
  readonly dark?: boolean
}

/**
 * Opens the page of a trace from its file and does something with it. Fails when it asked anybody for anything, wrote to
 * the console, threw, or is wider than the screen.
 */
const withPage = async (
  trace: () => ReadonlyArray<StoredSpan>,
  use: (page: Page) => Promise<void>,
  { dark = false, height = 800, width = 1280 }: Options = {}
): Promise<void> => {
  const url = pathToFileURL(await fileOf(trace)).href
  const page = await browser.context.newPage()
  try {
    page.setDefaultTimeout(10_000)
    const said: Array<string> = []
    const asked: Array<string> = []
    page.on("console", (message) => said.push(message.text()))
    page.on("pageerror", (error) => said.push(String(error)))
    page.on("dialog", (dialog) => void (said.push(dialog.message()), dialog.dismiss()))
    page.on("request", (request) => asked.push(request.url()))
    page.on("popup", (popup) => asked.push(popup.url()))
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" })
    await page.setViewportSize({ width, height })
    await page.goto(url)
    await page.getByRole("treegrid").waitFor({ state: "attached" })
    await use(page)
    assert.deepStrictEqual(said, [])
    // The icon stands in the page, too.
    assert.deepStrictEqual(Array.from(new Set(asked.filter((address) => !address.startsWith("data:")))), [url])
    assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0)
  } finally {
    await page.close()
  }
}

const rows = (page: Page) => page.getByRole("treegrid").getByRole("row")
const row = (page: Page, text: string | RegExp) => rows(page).filter({ hasText: text })
const selected = (page: Page) => page.locator('[role="row"][aria-selected="true"]')
const details = (page: Page) => page.getByRole("complementary")
const press = async (page: Page, ...keys: ReadonlyArray<string>) => {
  for (const key of keys) {
    await page.keyboard.press(key)
  }
}
/** The row that is selected, as a person would name it. */
const current = async (page: Page) => (await selected(page).locator(".label").innerText()).replace(/\s+/g, " ").trim()

const eventually = async <A>(read: () => Promise<A>, holds: (value: A) => boolean): Promise<A> => {
  for (let attempt = 0; ; attempt++) {
    const value = await read()
    if (holds(value) || attempt === 100) {
      assert.isTrue(holds(value), `never held of ${JSON.stringify(value)}`)
      return value
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

describe("the page of a trace", { skip }, () => {
  it("does not say how it ended where its root is not here, whatever its spans are", async () => {
    const page = await browser.context.newPage()
    try {
      const [span] = foreign()
      const path = join(folder, "status.html")
      for (const [status, word] of [
        ["running", "incomplete"],
        ["interrupted", "interrupted"]
      ] as const) {
        const html = TracePage.render([{ ...span!, parentSpanId: "00000000000000ff" }], status)
        writeFileSync(path, await Effect.runPromise(html))
        await page.goto(pathToFileURL(path).href)
        assert.strictEqual(await page.locator(".pill").innerText({ timeout: 10_000 }), word)
      }
    } finally {
      await page.close()
    }
  })

  it("shows what was asked, how it ended, totals, the path through the graph and every span", () =>
    withPage(assistant, async (page) => {
      assert.include(await page.title(), "assistant")
      assert.include(await page.getByRole("heading", { level: 1 }).innerText(), "assistant")
      assert.include(await page.locator(".header").innerText(), "What is 17 * 23, and why?")
      const totals = (await page.locator(".totals").innerText()).replace(/\s+/g, " ")
      for (const text of [
        "Duration 2.41 s",
        "Spans 14",
        "Node visits 3",
        "Model calls 2",
        "Tokens in 104",
        "Tokens out 163"
      ]) {
        assert.include(totals, text)
      }
      assert.include(totals, "Failed spans 0")
      assert.deepStrictEqual(
        (await page.getByRole("figure").getByRole("button").allInnerTexts()).map((text) => text.split(/\s/)[0]),
        ["classify", "math", "check"]
      )
      assert.strictEqual(await rows(page).count(), 14)
      assert.include((await row(page, "node.router").innerText()).replace(/\s+/g, " "), "classify → math")
    }))

  it("shows times in the zone of whoever looks", () =>
    withPage(assistant, async (page) => {
      const nanos = assistant()[0]!.startNanos
      const hour = new Date(Number(nanos / 1_000_000n)).toLocaleString("en-GB", {
        hour: "2-digit",
        timeZone: "Europe/Berlin"
      })
      assert.match(await page.locator(".header").innerText(), new RegExp(` ${hour}:\\d\\d:\\d\\d`))
    }))

  it("draws loops, branches side by side and graphs within graphs, with visits, time, tokens and failures", () =>
    withPage(support, async (page) => {
      const named = (name: RegExp) => page.getByRole("figure").getByRole("button", { name })
      await named(/^draft, model, 2 visits, 1\.52 s · 1.092 tok$/).waitFor()
      await named(/^publish, subgraph, 1 visit, .*, failed$/).waitFor()
      const inside = (outer: string, inner: string) =>
        page
          .locator(".node", { has: page.locator(`:scope > button b:text-is("${outer}")`) })
          .locator(`.node b:text-is("${inner}")`)
      for (const inner of ["orders", "history", "carrier"]) {
        assert.strictEqual(await inside("research", inner).count(), 1, inner)
      }
      assert.strictEqual(await inside("publish", "verdict").count(), 1)
      assert.deepStrictEqual((await page.locator(".arrow-label").allInnerTexts()).toSorted(), [
        "accept",
        "order",
        "revise",
        "×2"
      ])
      assert.include(await named(/^triage/).innerText(), "not taken: billing, other")
    }))

  it("shows the visits of a node one after the other", () =>
    withPage(support, async (page) => {
      const node = page.getByRole("figure").getByRole("button", { name: /^draft/ })
      const places: Array<string | null> = []
      for (let click = 0; click < 3; click++) {
        await node.click()
        assert.strictEqual(await current(page), "node.model draft")
        places.push(await selected(page).getAttribute("id"))
      }
      assert.notStrictEqual(places[0], places[1])
      assert.strictEqual(places[0], places[2])
      assert.strictEqual(await node.getAttribute("aria-pressed"), "true")
    }))

  it("begins with the failure that a run ended with: message, stack, attributes", () =>
    withPage(support, async (page) => {
      const text = await details(page).innerText()
      assert.include(text, "AnswerInvalid")
      assert.include(text, "The answer is not JSON: it ends within a text")
      assert.include(text, "at review (file:///app/src/support.ts:118:31)")
      assert.match(text, /execution\.step\s+number\s+2/)
      await page.getByRole("button", { name: "5", exact: true }).click()
      assert.strictEqual(await selected(page).locator(".mark.bad").count(), 1)
    }))

  it("shows what Ollama said of a call: load, wait, prompt evaluation, generation", () =>
    withPage(assistant, async (page) => {
      await row(page, "qwen2.5:3b").click()
      const text = (await details(page).innerText()).replace(/\s+/g, " ")
      for (const part of [
        "Tokens in 31",
        "Tokens out 154",
        "load 402 ms",
        "prompt evaluation 88 ms",
        "generation 1.49 s 104 tok/s"
      ]) {
        assert.include(text, part)
      }
      await details(page)
        .getByRole("img", { name: "load 402 ms, wait 1.4 ms, prompt evaluation 88 ms, generation 1.49 s" })
        .waitFor()
    }))

  it("shows attributes with their kinds, events, the program and ids", () =>
    withPage(assistant, async (page) => {
      await row(page, "node.router").click()
      await details(page).getByText("Program and ids").click()
      const text = (await details(page).innerText()).replace(/\s+/g, " ")
      for (const part of [
        "node.id classify",
        "execution.step number 1",
        "router.decision +411 ms",
        "service.name tinyllm",
        "trace id 4bf92f3577b34da6a3ce929d0e0e4736"
      ]) {
        assert.include(text, part)
      }
    }))

  it("collapses and expands one span, all of them, and to a level", () =>
    withPage(assistant, async (page) => {
      await row(page, "node.router").locator(".twisty").click()
      assert.strictEqual(await rows(page).count(), 9)
      assert.strictEqual(await row(page, "node.router").getAttribute("aria-expanded"), "false")
      await row(page, "node.router").locator(".twisty").click()
      await page.getByRole("button", { name: "Collapse" }).click()
      assert.strictEqual(await rows(page).count(), 1)
      await page.getByLabel("Levels to expand").selectOption("3")
      assert.strictEqual(await rows(page).count(), 6)
      await page.getByRole("button", { name: "Expand" }).click()
      assert.strictEqual(await rows(page).count(), 14)
    }))

  it("is used by keys alone", () =>
    withPage(assistant, async (page) => {
      await press(page, "Home")
      assert.strictEqual(await current(page), "graph.execute assistant")
      await press(page, "ArrowDown", "ArrowDown")
      assert.strictEqual(await current(page), "llm.chat qwen2.5:0.5b")
      await press(page, "ArrowLeft")
      assert.strictEqual(await rows(page).count(), 10)
      await press(page, "ArrowLeft")
      assert.strictEqual(await current(page), "node.router classify → math")
      await press(page, "ArrowRight", "ArrowRight", "ArrowRight")
      assert.strictEqual(await current(page), "ollama.load")
      await press(page, "End")
      assert.strictEqual(await current(page), "node.gate check → pass")
      await press(page, "1")
      assert.strictEqual(await rows(page).count(), 1)
      await press(page, "2")
      assert.strictEqual(await rows(page).count(), 4)
      await press(page, "e", "Home", "Enter")
      await eventually(
        () => details(page).evaluate((panel) => panel === document.activeElement),
        (focused) => focused
      )
      await press(page, "Escape")
      assert.strictEqual(await page.evaluate(() => document.activeElement?.getAttribute("role")), "treegrid")
      await press(page, "?")
      await page.getByRole("dialog", { name: "Keys" }).waitFor()
      await press(page, "Escape")
      await page.getByRole("dialog").waitFor({ state: "detached" })
      await press(page, "g")
      await page.getByRole("figure").waitFor({ state: "detached" })
    }))

  it("finds spans by names, attributes and errors, those below collapsed ones too", () =>
    withPage(support, async (page) => {
      await press(page, "c", "/")
      await page.keyboard.type("CarrierDown")
      assert.strictEqual(await page.getByRole("search").getByRole("status").innerText(), "1 of 1")
      assert.strictEqual(await current(page), "retry.attempt attempt 1")
      await page.getByRole("searchbox").fill("llm.model=qwen2.5:3b")
      const place = page.getByRole("search").getByRole("status")
      assert.match(await place.innerText(), /^\d of 4$/)
      await page.getByRole("searchbox").press("Enter")
      const first = await place.innerText()
      await page.getByRole("button", { name: "Next match" }).click()
      assert.notStrictEqual(await place.innerText(), first)
      await page.getByRole("button", { name: "Previous match" }).click()
      assert.strictEqual(await place.innerText(), first)
      await page.getByRole("searchbox").fill("nothing says this")
      assert.strictEqual(await place.innerText(), "none")
      await press(page, "Escape")
      assert.strictEqual(await page.getByRole("searchbox").inputValue(), "")
      assert.strictEqual(await page.locator(".row.dim").count(), 0)
      await press(page, "x", "x")
      assert.strictEqual(await selected(page).locator(".mark.bad").count(), 1)
    }))

  it("zooms by buttons, keys, the wheel, a double-click and a drag over the small picture", () =>
    withPage(assistant, async (page) => {
      const bar = (model: string) => row(page, model).locator(".bar")
      const width = async (model = "qwen2.5:3b") => (await bar(model).boundingBox())?.width ?? 0
      const whole = await width()
      const small = await width("qwen2.5:0.5b")
      const grows = () => eventually(width, (now) => now > whole * 1.1)
      const fits = () => eventually(width, (now) => Math.abs(now - whole) < 1)
      await page.getByRole("button", { name: "Zoom in" }).click()
      await grows()
      await page.getByRole("button", { name: "Fit" }).click()
      await fits()
      await press(page, "+")
      await grows()
      await press(page, "0")
      await fits()
      await row(page, "qwen2.5:3b").dblclick()
      await grows()
      await press(page, "0")
      await fits()
      await bar("qwen2.5:3b").hover()
      await page.keyboard.down("Control")
      await page.mouse.wheel(0, -300)
      await page.keyboard.up("Control")
      await grows()
      await press(page, "0")
      await fits()
      const box = (await page.locator(".minimap").boundingBox())!
      await page.mouse.move(box.x + 1, box.y + 10)
      await page.mouse.down()
      await page.mouse.move(box.x + box.width * 0.2, box.y + 10, { steps: 4 })
      await page.mouse.up()
      await eventually(
        () => width("qwen2.5:0.5b"),
        (now) => now > small * 4
      )
      assert.isAbove(await page.locator(".outside.after").count(), 0)
    }))

  it("zooms by two fingers", () =>
    withPage(assistant, async (page) => {
      const bar = row(page, "qwen2.5:3b").locator(".bar")
      const width = async () => (await bar.boundingBox())?.width ?? 0
      const whole = await width()
      const { height, x, y } = (await bar.boundingBox())!
      const session = await page.context().newCDPSession(page)
      const touch = (type: "touchStart" | "touchMove" | "touchEnd", apart: number) =>
        session.send("Input.dispatchTouchEvent", {
          type,
          touchPoints:
            type === "touchEnd"
              ? []
              : [-1, 1].map((side, id) => ({ x: x + whole / 2 + side * apart, y: y + height / 2, id }))
        })
      await touch("touchStart", 40)
      for (const apart of [50, 60, 80]) {
        await touch("touchMove", apart)
      }
      await touch("touchEnd", 0)
      await eventually(width, (now) => now > whole * 1.1)
    }))

  it("puts bars under the moments of the scale", () =>
    withPage(assistant, async (page) => {
      const tick = (await page.locator(".tick").first().boundingBox())!
      const bar = (await row(page, "graph.execute").locator(".bar").boundingBox())!
      const map = (await page.locator(".minimap").boundingBox())!
      assert.closeTo(bar.x, tick.x, 1.5)
      assert.closeTo(bar.x, map.x, 1.5)
      assert.closeTo(bar.width, map.width, 2)
    }))

  it("shows traces of other programs: parents that are missing, clocks that disagree, spans without length", () =>
    withPage(foreign, async (page) => {
      assert.include(await page.getByRole("heading", { level: 1 }).innerText(), "GET /checkout")
      assert.strictEqual(await page.getByRole("figure").count(), 0)
      assert.include(await page.locator(".header").innerText(), "parent is missing")
      assert.include(await row(page, "mail.send").innerText(), "no parent")
      assert.include(await row(page, "/reserve").innerText(), "stock")
      await row(page, "lock").click()
      assert.include((await details(page).innerText()).replace(/\s+/g, " "), "Duration 0 ns")
      await row(page, "mail.send").click()
      assert.include(await details(page).innerText(), "It ends before it starts")
      await details(page).getByRole("button", { name: "GET /checkout" }).click()
      assert.strictEqual(await current(page), "GET /checkout")
    }))

  it("leaves room for the name of a span beside that of its program, however long that is", () =>
    withPage(
      () =>
        foreign().map((span, index) =>
          index === 0 ? span : { ...span, resource: { "service.name": "s".repeat(80) } }
        ),
      async (page) => {
        const hidden = await rows(page)
          .locator(".label")
          .evaluateAll((labels) =>
            labels
              .filter((label) => {
                const name = label.querySelector("b")!.getBoundingClientRect()
                return name.left + Math.min(name.width, 60) > label.getBoundingClientRect().right
              })
              .map((label) => label.textContent)
          )
        assert.deepStrictEqual(hidden, [])
        assert.strictEqual(await page.locator(".service").first().getAttribute("title"), "s".repeat(80))
      }
    ))

  it("says on a narrow screen, below the heading, what a run failed with, and leads there", () =>
    withPage(
      support,
      async (page) => {
        const failure = page.locator(".header").getByRole("button", { name: "The answer is not JSON" })
        assert.strictEqual(await details(page).count(), 0)
        assert.include(await failure.innerText(), "AnswerInvalid: The answer is not JSON: it ends within a text")
        await failure.click()
        assert.match(await current(page), /^node\.object verdict/)
        assert.include(await details(page).innerText(), "The answer is not JSON")
        await page.setViewportSize({ width: 1280, height: 800 })
        await failure.waitFor({ state: "detached" })
      },
      { width: 768 }
    ))

  for (const [seconds, text] of [
    [59.9, "59.90 s"],
    [3599, "59 min 59 s"],
    [1_799_999, "499 h 59 min"]
  ] as const) {
    it(`has room for ${text} beside the longest bar`, () =>
      withPage(
        () => spansOf([{ name: "batch", at: 0, for: seconds * 1000 }]),
        async (page) => {
          const length = page.locator(".length")
          assert.strictEqual(await length.innerText(), text)
          assert.isTrue(
            await length.evaluate(
              (length) => length.getBoundingClientRect().right <= length.closest(".time")!.getBoundingClientRect().right
            )
          )
        }
      ))
  }

  it("shows no spans at all", () =>
    withPage(
      () => [],
      async (page) => {
        assert.include(await page.getByRole("heading", { level: 1 }).innerText(), "No spans")
        await press(page, "End", "ArrowRight", "Enter", "z", "x", "+", "3")
      }
    ))
})

describe("content that means harm", { skip }, () => {
  it("does nothing, and is seen for what it is", () =>
    withPage(hostile, async (page) => {
      for (let place = 0; place < 7; place++) {
        await press(page, place === 0 ? "Home" : "ArrowDown")
        await details(page).locator("summary", { hasText: "Program and ids" }).click()
      }
      await press(page, "/")
      await page.keyboard.type("<script>")
      await press(page, "Escape", "Home")
      for (let more = 0; more < 3; more++) {
        await details(page)
          .getByRole("button", { name: /more characters$/ })
          .last()
          .click()
      }
      assert.isUndefined(await page.evaluate(() => (globalThis as { harmed?: unknown }).harmed))
      assert.strictEqual(await page.locator("img, iframe, object, embed, a, form").count(), 0)
      // Our own, and the data.
      assert.strictEqual(await page.locator("script").count(), 2)
      const all = await page.locator("body").innerText()
      assert.include(all, "</script><script>window.harmed = 1</script>")
      assert.include(all, "safe⟨U+202E⟩gnp.exe")
      assert.notMatch(await page.title(), /[\u0000-\u001f\u202a-\u202e\u2066-\u2069]/)
      assert.notMatch(all, /[\u0000\u001b\u202e\u2028\u2066]/)
    }))

  it("is as harmless in the middle of the file", async () => {
    const html = readFileSync(await fileOf(hostile), "utf8")
    const [, data = ""] = /<script type="application\/json" id="trace">(.*?)<\/script>/s.exec(html) ?? []
    assert.isAbove(data.length, 2_000_000)
    assert.strictEqual(html.split(/<\/script>/i).length, 3)
    assert.notInclude(html, "<img")
    assert.include(html, `content="default-src 'none'; script-src 'sha256-`)
  })

  it("cannot be so deep that the page breaks", () =>
    withPage(
      () => deep(5000),
      async (page) => {
        await press(page, "End")
        assert.strictEqual(await current(page), "level 4999")
        assert.isBelow(await rows(page).count(), 200)
        await press(page, "c", "e", "Home")
        assert.strictEqual(await current(page), "level 0")
      }
    ))
})

describe("a trace of ten thousand spans", { skip }, () => {
  it("has only those rows that are near the screen, and goes to its end", () =>
    withPage(
      () => loop(10_000),
      async (page) => {
        assert.strictEqual(await page.getByRole("treegrid").getAttribute("aria-rowcount"), "9997")
        assert.isBelow(await rows(page).count(), 200)
        await press(page, "End")
        assert.strictEqual(await selected(page).getAttribute("aria-rowindex"), "9997")
        assert.isTrue(
          await selected(page).evaluate((element) => {
            const { bottom, top } = element.getBoundingClientRect()
            return top >= 0 && bottom <= innerHeight
          })
        )
        await page.getByRole("searchbox").fill("router.route=yes")
        assert.strictEqual(await page.getByRole("search").getByRole("status").innerText(), "1 of 1")
        await press(page, "Escape", "c")
        await eventually(
          () => rows(page).count(),
          (count) => count === 1
        )
      }
    ))
})

describe("everybody", { skip }, () => {
  it("finds names and roles: a tree of rows with levels, and no control without a name", () =>
    withPage(support, async (page) => {
      const grid = page.getByRole("treegrid", { name: "Spans" })
      assert.strictEqual(await grid.getAttribute("tabindex"), "0")
      await press(page, "Home", "ArrowDown")
      const active = await grid.getAttribute("aria-activedescendant")
      assert.strictEqual(await selected(page).getAttribute("id"), active)
      assert.strictEqual(await selected(page).getAttribute("aria-level"), "2")
      assert.strictEqual(await selected(page).getAttribute("aria-posinset"), "1")
      await press(page, "ArrowLeft", "ArrowDown")
      assert.strictEqual(await selected(page).getAttribute("aria-posinset"), "2")
      assert.strictEqual(await selected(page).getAttribute("aria-setsize"), "7")
      await press(page, "ArrowUp")
      await selected(page).getByRole("gridcell", { name: "236 ms, begins at 2.0 ms" }).waitFor()
      await press(page, "?")
      const nameless = await page.evaluate(() =>
        Array.from(document.querySelectorAll("button, input, select, [role=img], dialog"))
          .filter((element) => {
            const labelled = element.getAttribute("aria-labelledby")
            const name =
              element.getAttribute("aria-label") ??
              (labelled === null ? element.textContent : document.getElementById(labelled)?.textContent)
            return (name ?? "").trim() === ""
          })
          .map((element) => element.outerHTML)
      )
      assert.deepStrictEqual(nameless, [])
      await press(page, "Escape")
      await press(page, "Tab")
      assert.notStrictEqual(await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle), "none")
    }))

  for (const dark of [false, true]) {
    it(`can read every text: 4.5 to 1 in the ${dark ? "dark" : "light"} theme`, () =>
      withPage(
        support,
        async (page) => {
          assert.deepStrictEqual(await page.evaluate(faint), [])
          await press(page, "/")
          await page.keyboard.type("verdict")
          assert.isAbove(await page.locator(".row.dim").count(), 0)
          assert.deepStrictEqual(await page.evaluate(faint), [])
          await press(page, "Escape", "Escape", "?")
          assert.deepStrictEqual(await page.evaluate(faint), [])
          await press(page, "Escape")
          await page.setViewportSize({ width: 768, height: 800 })
          await page.locator(".header .failed-with").waitFor()
          assert.deepStrictEqual(await page.evaluate(faint), [])
        },
        { dark }
      ))
  }

  it("chooses between light and dark, and begins with what the system says", () =>
    withPage(
      assistant,
      async (page) => {
        const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
        const dark = await ground()
        await page.getByRole("button", { name: "Light colours" }).click()
        const light = await ground()
        assert.notStrictEqual(light, dark)
        await press(page, "t")
        assert.strictEqual(await ground(), dark)
        await press(page, "t")
        await page.reload()
        assert.strictEqual(await ground(), light)
        await page.evaluate(() => localStorage.clear())
      },
      { dark: true }
    ))

  it("goes on from what hides the selected span when that is collapsed", () =>
    withPage(support, async (page) => {
      const grid = page.getByRole("treegrid")
      const active = async () => page.locator(`[id="${await grid.getAttribute("aria-activedescendant")}"]`)
      await grid.focus()
      await press(page, "End")
      await row(page, "node.subgraph").locator(".twisty").click()
      assert.match(await current(page), /^node\.subgraph/)
      assert.strictEqual(await (await active()).getAttribute("aria-expanded"), "false")
      await press(page, "c")
      assert.match(await current(page), /^graph\.execute/)
      assert.strictEqual(await (await active()).count(), 1)
      await press(page, "e", "End", "2")
      assert.match(await current(page), /^node\.subgraph/)
      await press(page, "ArrowUp")
      assert.match(await current(page), /^node\.router/)
    }))

  it("prints it whole: every row, none of the controls, the errors", () =>
    withPage(support, async (page) => {
      await press(page, "c")
      await page.emulateMedia({ media: "print" })
      await eventually(
        () => rows(page).count(),
        (count) => count === 52
      )
      assert.isFalse(await page.getByRole("searchbox").isVisible())
      assert.isFalse(await page.locator(".details").isVisible())
      assert.include(await page.locator(".printed").innerText(), "The answer is not JSON")
      await page.emulateMedia({ media: "screen" })
      await eventually(
        () => rows(page).count(),
        (count) => count === 1
      )
      assert.isAbove((await page.pdf()).length, 10_000)
    }))

  it("prints nothing that is wider than the sheet, however long the graph is", () =>
    withPage(
      () => chain(14),
      async (page) => {
        // A4 within the margins of a browser.
        await page.setViewportSize({ width: 718, height: 1000 })
        await page.emulateMedia({ media: "print" })
        await page.locator(".printed").waitFor()
        const widths = await page.evaluate(() => ({
          page: document.documentElement.scrollWidth,
          graph: document.querySelector(".picture")!.getBoundingClientRect().right,
          hidden: Array.from(document.querySelectorAll(".graph-scroll, .printed *"))
            .filter(
              (element) => element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight
            )
            .map((element) => element.className)
        }))
        assert.isAtMost(widths.page, 718)
        assert.isAtMost(widths.graph, 718)
        assert.deepStrictEqual(widths.hidden, [])
        await page.emulateMedia({ media: "screen" })
        await page.locator(".printed").waitFor({ state: "detached" })
      }
    ))

  for (const width of [360, 768, 1280]) {
    it(`has the waterfall below a long graph, ${width} pixels wide, and says that the graph goes on`, () =>
      withPage(
        () => chain(14),
        async (page) => {
          const box = (await page.locator(".graph-scroll").boundingBox())!
          assert.isAtMost(box.height, 480)
          const goesOn = () => page.locator(".graph-scroll:is(.right, .below)").count()
          for (const [to, sides] of [
            [0, 1],
            [1e5, 0]
          ] as const) {
            await page.locator(".graph-scroll").evaluate((room, to) => room.scrollTo(to, to), to)
            await eventually(goesOn, (count) => count === sides)
          }
        },
        { width }
      ))
  }

  for (const width of [360, 768, 1280, 2200]) {
    it(`sees it ${width} pixels wide, with nothing that sticks out`, () =>
      withPage(
        support,
        async (page) => {
          await row(page, "node.parallel").click()
          assert.include(await details(page).innerText(), "research")
          const cut = await page.evaluate(() =>
            Array.from(document.querySelectorAll(".node-facts > span:last-child, .totals dd, .length"))
              .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
              .map((element) => element.outerHTML)
          )
          assert.deepStrictEqual(cut, [])
          if (width < 1100) {
            await page.getByRole("button", { name: "Close details" }).click()
            await details(page).waitFor({ state: "detached" })
          }
        },
        { width }
      ))
  }
})

describe("pictures of the page", { skip: skip || process.env["TINYLLM_SCREENSHOTS"] === undefined }, () => {
  for (const [name, trace] of [
    ["trace", support],
    ["trace-answer", assistant]
  ] as const) {
    for (const width of [360, 768, 1280]) {
      for (const dark of [false, true]) {
        it(`${name}, ${width} pixels, ${dark ? "dark" : "light"}`, () =>
          withPage(
            trace,
            async (page) => {
              const path = `${root}docs/images/${name}-${width}-${dark ? "dark" : "light"}.png`
              mkdirSync(`${root}docs/images`, { recursive: true })
              await page.evaluate(() => document.fonts.ready)
              if (trace === assistant) {
                await row(page, "qwen2.5:3b").click()
                await page.evaluate(() => scrollTo(0, 0))
              }
              await page.mouse.move(0, 0)
              await page.screenshot({ path, animations: "disabled" })
            },
            { width, dark, height: width === 1280 ? 880 : 1500 }
          ))
      }
    }
  }
})
