// The licences of what goes into a bundle.
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** The licences of the packages that modules are from, which must go where their code goes. */
export const licenses = (modules: ReadonlyArray<string>): string => {
  const folders = modules.flatMap((id) => /^[^\0]*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)?.[0] ?? [])
  return Array.from(new Set(folders))
    .toSorted()
    .map((folder) => {
      const { license, name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
        readonly license: string
        readonly name: string
        readonly version: string
      }
      const file = readdirSync(folder).find((name) => /^licen[cs]e(?:\.|$)/i.test(name))
      const text = file === undefined ? "" : readFileSync(join(folder, file), "utf8").trim()
      return `${name} ${version} (${license})\n\n${text}\n`
    })
    .join(`\n${"-".repeat(80)}\n\n`)
}
