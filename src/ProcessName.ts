/**
 * Names of processes, by which others on the same machine see whether they have ended.
 *
 * @since 0.1.0
 */
import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"

/** The name of this process. */
export const own = (): string => (ownName ??= `${process.pid} ${seen(process.pid)?.start ?? unknown} ${place()}`)

let ownName: string | undefined

/**
 * Whether the process of that name is known to have ended. One of another machine or container is not; nor is, where the
 * system does not tell when a process began, one whose number another process has now.
 */
export const hasEnded = (name: string): boolean => {
  const [, pid, start, at] = /^([1-9]\d*) (\S+) (.*)$/s.exec(name) ?? []
  if (pid === undefined || at !== place()) {
    return false
  }
  if (!isAlive(Number(pid))) {
    return true
  }
  const now = seen(Number(pid))
  return now !== undefined && (now.isDead || (start !== unknown && start !== now.start))
}

/** Whether a process of this machine has that number. One of somebody else counts too. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH"
  }
}

const unknown = "-"

// Containers that share a folder count their processes each for itself, under Linux in a namespace.
const place = (): string => (ownPlace ??= `${hostname()} ${linux(() => readlinkSync("/proc/self/ns/pid")) ?? unknown}`)

let ownPlace: string | undefined

// `start` is in ticks since the machine began, and names that. One that is dead keeps its number until its parent has
// asked how it ended, which some never do. The name of the program, in parentheses, may hold anything.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
const seen = (pid: number): { readonly start: string; readonly isDead: boolean } | undefined =>
  linux(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const [state = "", ...more] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8)
    return { start: `${more[18]}@${boot}`, isDead: "ZX".includes(state) }
  })

const linux = <A>(read: () => A): A | undefined => {
  try {
    return process.platform === "linux" ? read() : undefined
  } catch {
    return undefined
  }
}
