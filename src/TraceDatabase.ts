/**
 * The file in which traces are kept: how it is opened, made, brought up to date and found broken.
 *
 * It is a database of SQLite, by the module that Node brings along. Its log is written ahead (WAL), so those who read
 * never wait for one who writes, nor the other way round, and a process may be killed at any moment: what was committed
 * is there, the rest never was. Only a power cut may take the last seconds with it.
 *
 * Nothing here waits: a file that is locked is `StoreBusy` at once, and whoever wants it comes again.
 *
 * @since 0.1.0
 */
import { accessSync, closeSync, constants, openSync, rmSync, statSync } from "node:fs"
import type { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { full, StoreBusy, StoreDamaged, StoreNewer, StoreUnusable, unusable } from "./TraceStoreError.ts"

/** Why a file cannot be used. */
export type Reason = StoreUnusable | StoreDamaged | StoreNewer | StoreBusy

/** A file that is open. */
export interface Database {
  readonly file: string
  readonly connection: DatabaseSync
  /** Whether this is still the file that has its name. */
  readonly isThere: () => boolean
}

/**
 * Opens a file, which is made where it is missing, and brought to the format of today. Its folder must be there. Throws a
 * `Reason`.
 */
export const make = (file: string): Database =>
  naming(file, () => {
    if (!exists(file)) {
      // Made here, and not by SQLite: what it makes may be read by others, and its other files take after this one.
      closeSync(openSync(file, "a", 0o600))
    }
    const database = connect(file, "write")
    try {
      begin(database)
    } catch (error) {
      database.connection.close()
      throw error
    }
    return database
  })

/** Opens a file to read it; `undefined` where there is none, or nothing in it yet. Throws a `Reason`. */
export const open = (file: string): Database | undefined => {
  if (!exists(file)) {
    return undefined
  }
  return naming(file, () => {
    try {
      // What a process that was killed has left in the log is put in order by whoever comes next, if it may write.
      return begun(connect(file, isWritable(file) ? "write" : "read"))
    } catch (error) {
      // Who reads makes files beside it, for the log. Where there is no log, it can be read without them.
      if (!isOfFilesBeside(error)) {
        throw error
      }
      if (hasLog(file)) {
        throw hasNoRoom(error) ? error : new StoreUnusable({ file, why: unreadableLog, cause: error })
      }
      return begun(connect(file, "still"))
    }
  })
}

const unreadableLog = "has a log (-wal), which is only read where the file and its folder may be written"

// What is open, or nothing where nothing is in it yet.
const begun = (database: Database): Database | undefined => {
  let version = 0
  try {
    version = versionOf(database)
    return version > 0 ? database : undefined
  } finally {
    if (version === 0) {
      database.connection.close()
    }
  }
}

/**
 * Removes a file, with what is beside it. Whoever has it open sees that it has gone, and begins another one. Throws a
 * `Reason`.
 */
export const discard = (file: string): void =>
  naming(file, () => {
    // The file is the last to go: what somebody makes beside it meanwhile is removed by SQLite, when a new file is empty.
    for (const end of ["-wal", "-shm", ""]) {
      rmSync(`${file}${end}`, { force: true })
    }
  })

/** Work on a file; whatever SQLite or the system throws becomes a `Reason`. */
export const naming = <A>(file: string, work: () => A): A => {
  try {
    return work()
  } catch (error) {
    throw reasonOf(file, error)
  }
}

/** Does all of something or nothing, while nobody else writes. */
export const transaction = <A>({ connection, file }: Database, work: () => A): A =>
  naming(file, () => {
    connection.exec("BEGIN IMMEDIATE")
    try {
      const result = work()
      connection.exec("COMMIT")
      return result
    } catch (error) {
      // Some errors, such as that of a disk that is full, have ended it already.
      if (connection.isTransaction) {
        connection.exec("ROLLBACK")
      }
      throw error
    }
  })

/**
 * Moves what is in the log to where it belongs, in a thread of its own: the disk is waited for, which may take a tenth of
 * a second. `done` is called when that has ended, however. Nobody runs on for its sake.
 */
export const checkpoint = (file: string, done: () => void): void => {
  // Loaded when it is needed, which it is not in short runs, and takes as long as all else that is loaded to write a trace.
  const { Worker } = process.getBuiltinModule("node:worker_threads")
  const worker = new Worker(checkpointing, { eval: true, workerData: file, execArgv: [] })
  worker.unref()
  worker.on("error", () => {})
  worker.on("exit", done)
}

const checkpointing = `
  process.emitWarning = () => {}
  const connection = new (require("node:sqlite").DatabaseSync)(require("node:worker_threads").workerData)
  try {
    connection.exec("PRAGMA wal_checkpoint(PASSIVE)")
  } finally {
    // Left open, it would keep whoever closes the file last from putting it in order.
    connection.close()
  }`

// Of 4 096 bytes. Whoever makes it longer does that work at once: short-lived processes, which wait for nobody.
const longestLogPages = 4000

// ---------------------------------------------------------------------------------------------------------------------
// Opening
// ---------------------------------------------------------------------------------------------------------------------

// "still" is a file that nobody writes to: it has no log, and nothing is made beside it.
const connect = (file: string, how: "write" | "read" | "still"): Database => {
  const { dev, ino, mtimeNs } = regular(file)
  const url = pathToFileURL(file)
  url.searchParams.set("immutable", "1")
  const connection = new (sqlite().DatabaseSync)(how === "still" ? url : file, {
    readOnly: how !== "write",
    timeout: 0
  })
  return {
    file,
    connection,
    isThere: () => {
      const now = statSync(file, { bigint: true, throwIfNoEntry: false })
      const isSame = now !== undefined && now.ino === ino && now.dev === dev
      // SQLite would not see what others have written since.
      return isSame && (how !== "still" || (now.mtimeNs === mtimeNs && !hasLog(file)))
    }
  }
}

const hasLog = (file: string): boolean => (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0

const exists = (file: string): boolean => {
  try {
    return statSync(file, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    throw reasonOf(file, error)
  }
}

// To open a pipe may never end.
const regular = (file: string) => {
  const found = statSync(file, { bigint: true })
  if (!found.isFile()) {
    throw new StoreUnusable({ file, why: "is no file" })
  }
  return found
}

const isWritable = (file: string): boolean => {
  try {
    accessSync(file, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/**
 * The module of Node. It is loaded when a store is used. Node 22 calls it experimental on standard error, which is no
 * news for who runs a graph; only what is said while it loads is kept back.
 */
const sqlite = (): typeof import("node:sqlite") => {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return process.getBuiltinModule("node:sqlite")
  } finally {
    process.emitWarning = emitWarning
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Format
// ---------------------------------------------------------------------------------------------------------------------

/** What says in the head of a file that it is ours: "tlTS". */
const application = 0x74_6c_54_53

/**
 * The steps from nothing to the format of today. The format of a file is how many of them were done, its `user_version`.
 * A step that has been released is never changed: what comes later is one more.
 */
const steps: ReadonlyArray<string> = [
  `
  -- One row a trace, brought up to date with each of its spans. Times are in nanoseconds, "touched" in milliseconds.
  CREATE TABLE traces (
    id INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL UNIQUE,
    touched INTEGER NOT NULL,
    start_nanos INTEGER NOT NULL,
    end_nanos INTEGER NOT NULL,
    spans INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    nodes INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    models TEXT NOT NULL,
    -- Of the best root so far: the one of the highest rank, of those the earliest.
    root_rank INTEGER NOT NULL,
    root_start INTEGER NOT NULL,
    root_name TEXT NOT NULL,
    service TEXT,
    status TEXT NOT NULL,
    error TEXT,
    -- Of the earliest graph.
    graph_start INTEGER,
    graph TEXT,
    query TEXT
  ) STRICT;
  CREATE INDEX traces_start ON traces (start_nanos);
  CREATE INDEX traces_touched ON traces (touched);

  -- The resource and the scope that spans of a trace share, as their bytes.
  CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    trace INTEGER NOT NULL REFERENCES traces ON DELETE CASCADE,
    resource BLOB NOT NULL,
    resource_schema TEXT NOT NULL,
    scope BLOB NOT NULL,
    scope_schema TEXT NOT NULL,
    UNIQUE (trace, resource, scope, resource_schema, scope_schema)
  ) STRICT;

  -- "body" is the message of OTLP. "contains" is 1 where the call of a model is inside of the span, at any depth.
  CREATE TABLE spans (
    id INTEGER PRIMARY KEY,
    trace INTEGER NOT NULL REFERENCES traces ON DELETE CASCADE,
    span_id BLOB NOT NULL,
    source INTEGER NOT NULL,
    start_nanos INTEGER NOT NULL,
    contains INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (trace, span_id)
  ) STRICT;

  -- Spans that have not come yet, and of which that is known.
  CREATE TABLE containers (
    trace INTEGER NOT NULL REFERENCES traces ON DELETE CASCADE,
    span_id BLOB NOT NULL,
    PRIMARY KEY (trace, span_id)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- The process that wrote to it last, where its spans are those of that process; it ends with them.
  ALTER TABLE traces ADD COLUMN writer TEXT;
  `
]

// The mode is set before the first table is made, or it is not. Two that make a file at the same moment take turns.
const begin = (database: Database): void => {
  const { connection } = database
  if (versionOf(database) === 0) {
    connection.exec("PRAGMA auto_vacuum = INCREMENTAL")
  }
  connection.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${longestLogPages}`
  )
  if (versionOf(database) < steps.length) {
    transaction(database, () => {
      for (const step of steps.slice(versionOf(database))) {
        connection.exec(step)
      }
      connection.exec(`PRAGMA application_id = ${application}; PRAGMA user_version = ${steps.length}`)
    })
  }
}

// Throws where the file is not ours to use.
const versionOf = ({ connection, file }: Database): number => {
  const number = (pragma: string): number => Number(Object.values(connection.prepare(pragma).get() ?? {})[0])
  const version = number("PRAGMA user_version")
  const isOurs = number("PRAGMA application_id") === application
  if (!isOurs && (version > 0 || number("SELECT count(*) FROM sqlite_schema") > 0)) {
    throw new StoreDamaged({ file })
  }
  if (version > steps.length) {
    throw new StoreNewer({ file, version })
  }
  return version
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

// https://sqlite.org/rescode.html: the first byte of a code is the kind, the others say more.
const kindOf = (error: unknown): number | undefined => {
  const { errcode } = error as { readonly errcode?: number }
  return errcode === undefined ? undefined : errcode & 0xff
}

// FULL; IOERR_SHMOPEN, IOERR_SHMSIZE: the index of the log can be opened, and not made as long as it has to be.
const hasNoRoom = (error: unknown): boolean =>
  kindOf(error) === 13 || [4618, 4874].includes((error as { readonly errcode?: number }).errcode ?? 0)

// READONLY, CANTOPEN: a file beside the database may be what they are about.
const isOfFilesBeside = (error: unknown): boolean => [8, 14].includes(kindOf(error) ?? 0) || hasNoRoom(error)

const reasonOf = (file: string, error: unknown): unknown => {
  const { code, errcode, message } = error as NodeJS.ErrnoException & { readonly errcode?: number }
  if (errcode !== undefined) {
    const why = (text: string) => new StoreUnusable({ file, why: text, cause: error })
    if (hasNoRoom(error)) {
      return why(full)
    }
    switch (kindOf(error)) {
      case 5: // BUSY
      case 6: // LOCKED
        return new StoreBusy({ file })
      case 11: // CORRUPT
      case 26: // NOTADB
        return new StoreDamaged({ file, cause: error })
      case 8: // READONLY
        return why("may not be written")
      case 14: // CANTOPEN
        return why("cannot be opened: may its folder be written?")
      default:
        return why(`cannot be used: ${message}`)
    }
  }
  return typeof code === "string" && /^E[A-Z]+$/.test(code) ? unusable(file, code, error) : error
}
