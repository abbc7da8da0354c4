/** A real browser, without a window: Chromium as the system has it. Nothing is downloaded. */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type BrowserContext, chromium } from "playwright-core"

const usual = [
  process.env["CHROMIUM_PATH"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome-stable",
  "/usr/bin/google-chrome",
  "/opt/google/chrome/chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe"
]

/** Where Chromium is: `CHROMIUM_PATH`, or one of the usual places. */
export const path: string | undefined = usual.find((path) => path !== undefined && existsSync(path))

/** What `skip` of a test says where there is none. A line on standard error says it too: no one reads what is skipped. */
export const missing = path === undefined

if (missing) {
  process.stderr.write(
    "\nskipped: tests in a browser, as there is no Chromium here. Install it (apt-get install chromium), or name it with CHROMIUM_PATH.\n"
  )
}

export interface Opened {
  readonly context: BrowserContext
  readonly close: () => Promise<void>
}

/** Starts a browser that knows nothing of any other, and asks nobody for anything on its own. */
export const open = async (): Promise<Opened> => {
  const folder = mkdtempSync(join(tmpdir(), "tinyllm-browser-"))
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: path ?? "",
    headless: true,
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync"
    ]
  })
  return {
    context,
    close: async () => {
      await context.close()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}
