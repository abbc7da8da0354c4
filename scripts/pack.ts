// Before packing: builds, and takes out of package.json what only a clone needs. The pins of Node and of the compiler
// weigh 300 MB, and whoever installs the package has a Node. After packing: puts package.json back.
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const original = path("package.json.before-pack")

if (process.argv[2] === "after") {
  if (existsSync(original)) {
    renameSync(original, path("package.json"))
  }
} else {
  const { status } = spawnSync(process.execPath, [path("scripts/build.ts")], { stdio: ["ignore", 2, 2] })
  if (status !== 0) {
    process.exit(1)
  }
  // A run that was cut off has left the original: that one is right.
  if (!existsSync(original)) {
    copyFileSync(path("package.json"), original)
  }
  const manifest = JSON.parse(readFileSync(original, "utf8")) as Record<string, unknown>
  for (const key of ["allowScripts", "devDependencies", "optionalDependencies"]) {
    delete manifest[key]
  }
  // npm reads package.json again to find out what to do afterwards.
  manifest["scripts"] = { postpack: "node scripts/pack.ts after" }
  writeFileSync(path("package.json"), `${JSON.stringify(manifest, null, 2)}\n`)
}
