/**
 * Spans on disk that could not be sent, one file a request, until somebody sends them.
 *
 * The name of a file says when it was written, how many spans it holds, and its length and checksum: so a file that was
 * cut off is known from one that is whole, and to make room nothing has to be opened. A file that is being sent has the
 * sender in its name. Renaming is atomic, so of two that want it one gets it, and when a sender has died, the next one
 * sees from the name that it has. Files are written under such a name, too, which is why no half one is ever free.
 * Nothing is forced to the disk itself: what a power cut takes is found by its checksum.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { createHash, randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { lstat, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { hostname } from "node:os"
import { dirname, join } from "node:path"
import * as ProcessName from "./ProcessName.ts"
import type { Settings } from "./SpoolConfig.ts"

/** A file could not be written, read or renamed. */
export class SpoolFailed extends Schema.TaggedError<SpoolFailed>()("SpoolFailed", {
  directory: Schema.String,
  /** What the system says, such as `EACCES`. */
  code: Schema.String,
  /** What it was that failed; `use` by default. */
  operation: Schema.optional(Schema.Literals(["make", "use"]))
}) {
  override get message() {
    const what = problems[this.code] ?? (this.operation === "make" ? "cannot be made" : "cannot be used")
    return `the folder ${this.directory} ${what} (${this.code})`
  }
}

const problems: Readonly<Record<string, string>> = {
  EACCES: "may not be written",
  EPERM: "may not be written",
  EROFS: "may not be written",
  ENOSPC: "is on a disk that is full",
  EDQUOT: "is on a disk that is full",
  ENOTDIR: "is no folder",
  EEXIST: "is no folder"
}

/** A file of the spool that belongs to us: nobody else sends it. */
export interface Held {
  readonly name: string
  readonly spans: number
  /** Gives it to whoever sends next. */
  readonly release: Effect.Effect<void, SpoolFailed>
  /** Its spans have arrived. */
  readonly remove: Effect.Effect<void, SpoolFailed>
}

/** A file as its name describes it. */
export interface File {
  readonly name: string
  readonly spans: number
  readonly bytes: number
  readonly checksum: string
  /** Who is sending it. */
  readonly sender: Sender | undefined
}

interface Sender {
  readonly since: number
  readonly pid: number
  readonly host: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing
// ---------------------------------------------------------------------------------------------------------------------

/** A spool to write to. */
export interface Spool {
  readonly directory: string
  /**
   * Writes a request to the disk, held. The oldest files give way, as far as they are whole and nobody is sending them;
   * `dropped` hears of each.
   */
  readonly hold: (request: Uint8Array, spans: number, dropped: (file: File) => void) => Effect.Effect<Held, SpoolFailed>
  /** Runs what this module makes from where no effects are; it goes on when the effect around has ended. */
  readonly run: <A>(effect: Effect.Effect<A, SpoolFailed>) => Promise<Result.Result<A, SpoolFailed>>
  /** How often the disk has answered so far, whatever it was: it hangs when this stands still while it is asked. */
  readonly answers: () => number
}

/** Opens a spool; nothing is touched yet. */
export const make = (settings: Settings): Effect.Effect<Spool, never, Scope.Scope> =>
  Effect.gen(function* () {
    const run = yield* FiberSet.makeRuntimePromise()
    // One file after the other: each makes room for itself.
    const turn = yield* Semaphore.make(1)
    const whole = new Set<string>()
    let count = 0
    return {
      directory: settings.directory,
      hold: (request, spans, dropped) =>
        Effect.gen(function* () {
          yield* makeFolder(settings.directory, settings.directory)
          yield* makeRoom(settings, whole, { files: 1, bytes: request.length }, dropped)
          const now = yield* Clock.currentTimeMillis
          const name = nameOf(now, count++, spans, request)
          const held = heldBy(now, name)
          yield* attempt(settings.directory, () =>
            writeFile(join(settings.directory, held), request, { flag: "wx", mode: 0o600 })
          ).pipe(
            Effect.tapError(() => Effect.ignore(attempt(settings.directory, () => rm(join(settings.directory, held)))))
          )
          const holds = holding(settings.directory, name, held, spans)
          return {
            ...holds,
            // What was being sent until now did not count when room was made.
            release: Effect.andThen(holds.release, makeRoom(settings, whole, { files: 0, bytes: 0 }, dropped)).pipe(
              turn.withPermits(1)
            )
          }
        }).pipe(turn.withPermits(1)),
      run: (effect) =>
        run(
          effect.pipe(
            // Nobody waits for a promise that is rejected.
            Effect.catchDefect(() => Effect.fail(new SpoolFailed({ directory: settings.directory, code: "defect" }))),
            Effect.result
          )
        ).catch(() => Result.fail(new SpoolFailed({ directory: settings.directory, code: "interrupted" }))),
      answers: () => answers
    }
  })

let answers = 0

const attempt = <A>(
  directory: string,
  operation: (signal: AbortSignal) => Promise<A>,
  what: "make" | "use" = "use"
): Effect.Effect<A, SpoolFailed> =>
  Effect.tryPromise({
    try: (signal) => operation(signal).finally(() => void answers++),
    catch: (error) =>
      new SpoolFailed({ directory, code: String((error as NodeJS.ErrnoException).code ?? error), operation: what })
  })

/**
 * Makes a folder, with those that it is in, for its user alone. `directory` is the one that a failure names.
 *
 * `mkdir` of Node can do this by itself, but never ends, and keeps a processor busy, where a folder that is there says
 * `ENOENT` about one to be made in it, such as `/proc`.
 */
export const makeFolder = (directory: string, path: string): Effect.Effect<void, SpoolFailed> => {
  const isFolder = attempt(directory, () => stat(path)).pipe(
    Effect.match({ onFailure: () => false, onSuccess: (found) => found.isDirectory() })
  )
  const make = attempt(directory, () => mkdir(path, { mode: 0o700 }), "make").pipe(
    Effect.catch((failure) => Effect.flatMap(isFolder, (is) => (is ? Effect.void : Effect.fail(failure))))
  )
  const parent = dirname(path)
  return parent === path
    ? make
    : Effect.catchIf(make, isGone, () => Effect.andThen(makeFolder(directory, parent), make))
}

const isGone = ({ code }: SpoolFailed): boolean => code === "ENOENT"

// A file that has gone is somebody else's now.
const ifThere = <A>(operation: Effect.Effect<A, SpoolFailed>): Effect.Effect<boolean, SpoolFailed> =>
  Effect.as(operation, true).pipe(Effect.catchIf(isGone, () => Effect.succeed(false)))

// A name may say anything. A file whose size is another one is damaged, or just being written: it takes no part in this.
// `whole` are names that have been compared before.
const makeRoom = Effect.fnUntraced(function* (
  settings: Settings,
  whole: Set<string>,
  more: { readonly files: number; readonly bytes: number },
  dropped: (file: File) => void
) {
  const listed = yield* list(settings.directory)
  const names = new Set(listed.files.map(({ name }) => name))
  for (const name of whole) {
    if (!names.has(name)) {
      whole.delete(name)
    }
  }
  yield* Effect.forEach(
    listed.files.filter(({ name }) => !whole.has(name)),
    (file) =>
      attempt(settings.directory, () => lstat(join(settings.directory, fileName(file)))).pipe(
        Effect.map((found) => (found.isFile() && found.size === file.bytes ? whole.add(file.name) : whole)),
        Effect.ignore
      ),
    { concurrency: 8, discard: true }
  )
  const files = listed.files.filter(({ name }) => whole.has(name))
  const now = yield* Clock.currentTimeMillis
  let total = files.reduce((sum, file) => sum + file.bytes, more.bytes)
  let count = files.length + more.files
  for (const file of files.filter((file) => isFree(file, now))) {
    if (total <= settings.maximumBytes && count <= settings.maximumFiles) {
      break
    }
    total -= file.bytes
    count -= 1
    if (yield* ifThere(attempt(settings.directory, () => rm(join(settings.directory, fileName(file)))))) {
      dropped(file)
    }
  }
})

const holding = (directory: string, name: string, held: string, spans: number): Held => ({
  name,
  spans,
  release: attempt(directory, () => rename(join(directory, held), join(directory, name))),
  remove: attempt(directory, () => rm(join(directory, held)))
})

// ---------------------------------------------------------------------------------------------------------------------
// Sending
// ---------------------------------------------------------------------------------------------------------------------

/** What there is to send, the oldest first. A folder that is not there holds nothing. */
export const list = (
  directory: string
): Effect.Effect<{ readonly files: ReadonlyArray<File>; readonly unknown: ReadonlyArray<string> }, SpoolFailed> =>
  attempt(directory, () => readdir(directory)).pipe(
    Effect.catchIf(isGone, () => Effect.succeed([])),
    Effect.map((names) => {
      const spooled = names.filter((name) => name.includes(extension)).sort()
      const files = spooled.map(parse)
      return {
        files: files.filter((file) => file !== undefined),
        unknown: spooled.filter((_, index) => files[index] === undefined)
      }
    })
  )

/** Whether somebody else is sending a file. */
export const isFree = ({ sender }: File, now: number): boolean =>
  sender === undefined ||
  (sender.host === host
    ? hasEnded(sender, now) || now - sender.since > longestHere
    : now - sender.since > longestElsewhere)

// In a container, a program that is started again has the number that it had before.
const hasEnded = ({ pid, since }: Sender, now: number): boolean =>
  pid === process.pid ? since < now - 1000 * process.uptime() - clockMillis : !ProcessName.isAlive(pid)

// What the two clocks may have drifted apart.
const clockMillis = 1000

// Of a process on this machine we see whether it lives, but not whether its number has been given to another one.
const longestHere = 24 * 60 * 60 * 1000
const longestElsewhere = 60 * 60 * 1000

/** A file that was taken for sending, with what is in it, or why that is not what was written. */
export type Taken = Held &
  (
    | { readonly request: Uint8Array; readonly damage?: undefined }
    | { readonly request?: undefined; readonly damage: string }
  )

/** Takes a file for sending and reads it; `undefined` when somebody else has it. */
export const take = (directory: string, file: File): Effect.Effect<Taken | undefined, SpoolFailed> =>
  Effect.gen(function* () {
    const held = heldBy(yield* Clock.currentTimeMillis, file.name)
    const move = attempt(directory, () => rename(join(directory, fileName(file)), join(directory, held)))
    if (!(yield* ifThere(move))) {
      return undefined
    }
    const holds = holding(directory, file.name, held, file.spans)
    const content = yield* read(directory, held, file).pipe(
      Effect.interruptible,
      Effect.onInterrupt(() => Effect.ignore(holds.release))
    )
    return { ...holds, ...content }
  }).pipe(Effect.uninterruptible)

const read = Effect.fnUntraced(function* (directory: string, held: string, file: File) {
  const path = join(directory, held)
  const found = yield* Effect.result(attempt(directory, () => lstat(path)))
  if (Result.isSuccess(found) && !found.success.isFile()) {
    return { damage: "it is no regular file" }
  }
  if (Result.isSuccess(found) && found.success.size !== file.bytes) {
    return { damage: `it has ${found.success.size} of ${file.bytes} bytes` }
  }
  const content = yield* Effect.result(attempt(directory, (signal) => readFile(path, { flag: reading, signal })))
  if (Result.isFailure(content)) {
    return { damage: `it cannot be read (${content.failure.code})` }
  }
  const request: Uint8Array = content.success
  return checksum(request) === file.checksum ? { request } : { damage: "its content is not what was written" }
})

// A pipe that has come in the place of a file must not make a thread wait, which nothing ends, not even the process.
const reading = constants.O_RDONLY | (process.platform === "win32" ? 0 : constants.O_NONBLOCK | constants.O_NOFOLLOW)

// ---------------------------------------------------------------------------------------------------------------------
// Names
// ---------------------------------------------------------------------------------------------------------------------

const extension = ".otlp"
const pattern =
  /^(\d{8}T\d{9}Z-[0-9a-f]{16}-(\d+)spans-(\d+)bytes-([0-9a-f]{16})\.otlp)(?:\.(\d+)-(\d+)-([0-9a-f]{8}))?$/

const parse = (text: string): File | undefined => {
  const [, name, spans, bytes, checksum, since, pid, host] = pattern.exec(text) ?? []
  return name === undefined || checksum === undefined
    ? undefined
    : {
        name,
        spans: Number(spans),
        bytes: Number(bytes),
        checksum,
        sender: host === undefined ? undefined : { since: Number(since), pid: Number(pid), host }
      }
}

const fileName = ({ name, sender }: File): string =>
  sender === undefined ? name : `${name}.${sender.since}-${sender.pid}-${sender.host}`

const heldBy = (now: number, name: string): string => `${name}.${now}-${process.pid}-${host}`

const nameOf = (now: number, count: number, spans: number, request: Uint8Array): string => {
  const time = new Date(now).toISOString().replace(/[-:.]/g, "")
  const unique = count.toString(16).padStart(8, "0").slice(-8) + randomBytes(4).toString("hex")
  return `${time}-${unique}-${spans}spans-${request.length}bytes-${checksum(request)}${extension}`
}

const checksum = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex").slice(0, 16)

const host = checksum(new TextEncoder().encode(hostname())).slice(0, 8)
