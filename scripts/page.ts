// Bundles a page: everything it needs in one HTML file, minified, that asks no one for anything.
//
// Text that is put in later takes the place of `<!--title-->` and `<!--data-->`.
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { licenses } from "./licenses.ts"

const folder = resolve(fileURLToPath(new URL("../page", import.meta.url)))

interface Page {
  /** The module in `page` that it starts with. */
  readonly entry: string
  /** The style sheets in `page`, in their order. */
  readonly styles: ReadonlyArray<string>
  /** What it may connect to, in the words of a content security policy; nothing where it is left out. */
  readonly connect?: "'self'"
}

const pages = {
  /** One trace, which stands in the file itself. */
  trace: { entry: "trace.tsx", styles: ["style.css"] },
  /** All traces, live, from the server of `tinyllm ui`. */
  ui: { entry: "ui.tsx", styles: ["style.css", "ui.css"], connect: "'self'" }
} satisfies Record<string, Page>

export type PageName = keyof typeof pages
export const names = Object.keys(pages) as ReadonlyArray<PageName>

/** The HTML of a page. Throws when something of it cannot be found. */
export const bundlePage = async (name: PageName): Promise<string> => {
  const page: Page = pages[name]
  const bundle = await rolldown({
    input: join(folder, page.entry),
    platform: "browser",
    // How TSX is compiled stands in the tsconfig.json of the folder.
    transform: { target: "es2022" },
    onLog: (level, log, print) => {
      if (level === "warn") {
        throw new Error(log.message)
      }
      print(level, log)
    }
  })
  const { output } = await bundle.generate({ format: "iife", minify: true })
  await bundle.close()
  // What looks like the end of a script is one, wherever it stands.
  const script = output[0].code.replace(/<(?=\/script|!--|script)/gi, "\\x3c")
  const style = page.styles.map((file) => minify(readFileSync(join(folder, file), "utf8"))).join("")
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    "img-src data:",
    ...(page.connect === undefined ? [] : [`connect-src ${page.connect}`]),
    "base-uri 'none'",
    "form-action 'none'"
  ].join("; ")
  return [
    `<!doctype html>`,
    `<html lang="en">`,
    `<meta charset="utf-8">`,
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    `<meta name="viewport" content="width=device-width, initial-scale=1">`,
    `<meta name="color-scheme" content="light dark">`,
    `<meta name="referrer" content="no-referrer">`,
    `<title><!--title--></title>`,
    `<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(icon)}">`,
    `<style>${style}</style>`,
    `<div id="page"></div>`,
    `<noscript>This page needs JavaScript to show a trace. Nothing in it leaves your machine.</noscript>`,
    `<!--data-->`,
    `<script>${script}</script>`,
    `<!--\n${licenses(output[0].moduleIds).replaceAll("-->", "")}-->`,
    `</html>`
  ].join("\n")
}

const icon =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3.5" fill="#4f46e5"/>` +
  `<path d="M3 4.5h7M5 8h8M7 11.5h4" stroke="#fff" stroke-width="1.8" stroke-linecap="round"/></svg>`

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** Comments, and the space at the ends of lines. No text in a style sheet of ours holds either. */
const minify = (css: string): string =>
  css
    .replace(/\/\*.*?\*\//gs, "")
    .replace(/\s*\n\s*/g, "\n")
    .replace(/([{;,])\n/g, "$1")
    .replace(/\n\}/g, "}")
    .trim()
