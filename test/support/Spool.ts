// What is on disk because no collector took it.
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { decode } from "./Collector.ts"
import { scratch } from "./Process.ts"

/** A folder for the files of processes: what to give them as `TINYLLM_HOME`, and what they leave there. */
export const home = () => {
  const path = scratch()
  const directory = join(path, "spool")
  const names = (): ReadonlyArray<string> => {
    try {
      return readdirSync(directory).sort()
    } catch {
      return []
    }
  }
  // A program that still runs gives a file another name between the two looks: then the list is an old one.
  const bytes = (): Array<Buffer> => {
    try {
      return names().map((name) => readFileSync(join(directory, name)))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
        throw error
      }
      return bytes()
    }
  }
  return {
    path,
    directory,
    names,
    bytes,
    /** The spans of all files. */
    spans: () => bytes().flatMap(decode)
  }
}

export type Home = ReturnType<typeof home>
