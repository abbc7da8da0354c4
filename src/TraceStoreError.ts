/**
 * Why the store of traces fails.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** The file, or its folder, cannot be used. */
export class StoreUnusable extends Schema.TaggedError<StoreUnusable>()("StoreUnusable", {
  file: Schema.String,
  /** In words that follow the name of the file. */
  why: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {
  override get message() {
    return `the trace store ${this.file} ${this.why}`
  }
}

/** What is wrong where there is no room. */
export const full = "is on a disk that is full"

const problems: Readonly<Record<string, string>> = {
  EACCES: "may not be written",
  EPERM: "may not be written",
  EROFS: "may not be written",
  ENOSPC: full,
  EDQUOT: full,
  ENOTDIR: "has a file in its path where a folder should be",
  EEXIST: "has a file in its path where a folder should be"
}

/** As the system gives a reason, such as `EACCES`. */
export const unusable = (file: string, code: string, cause?: unknown): StoreUnusable =>
  new StoreUnusable({ file, why: `${problems[code] ?? "cannot be used"} (${code})`, cause })

/** The file is no database, or a broken one. */
export class StoreDamaged extends Schema.TaggedError<StoreDamaged>()("StoreDamaged", {
  file: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {
  override get message() {
    return `the trace store ${this.file} is damaged, or no trace store; move it away to begin a new one`
  }
}

/** A later version of TinyLLM has written the file. */
export class StoreNewer extends Schema.TaggedError<StoreNewer>()("StoreNewer", {
  file: Schema.String,
  version: Schema.Int
}) {
  override get message() {
    return `the trace store ${this.file} was made by a later version of tinyllm (its format is ${this.version}); update tinyllm, or name another folder with TINYLLM_HOME`
  }
}

/** Other processes have kept the file locked for too long. */
export class StoreBusy extends Schema.TaggedError<StoreBusy>()("StoreBusy", { file: Schema.String }) {
  override get message() {
    return `the trace store ${this.file} is locked by another process`
  }
}

/** What was to be stored is no OTLP. */
export class RequestInvalid extends Schema.TaggedError<RequestInvalid>()("RequestInvalid", { why: Schema.String }) {
  override get message() {
    return `the request is wrong: ${this.why}`
  }
}

/** No trace has such an id. */
export class TraceNotFound extends Schema.TaggedError<TraceNotFound>()("TraceNotFound", { id: Schema.String }) {
  override get message() {
    return this.id === "last"
      ? `there are no traces yet; "tinyllm run --tracing" makes one`
      : `there is no trace ${this.id}; "tinyllm trace ls" shows which there are`
  }
}

/** Several traces have ids that begin so. */
export class TraceAmbiguous extends Schema.TaggedError<TraceAmbiguous>()("TraceAmbiguous", {
  id: Schema.String,
  /** Some of them. */
  candidates: Schema.Array(Schema.String),
  /** How many there are. */
  count: Schema.Int
}) {
  override get message() {
    const more = this.count - this.candidates.length
    return `the id ${this.id} is that of ${this.count} traces: ${this.candidates.join(", ")}${more > 0 ? ` and ${more} more` : ""}`
  }
}

/** What every operation of the store fails with; `reason` says why. */
export class TraceStoreError extends Schema.TaggedError<TraceStoreError>()("TraceStoreError", {
  reason: Schema.Union([
    StoreUnusable,
    StoreDamaged,
    StoreNewer,
    StoreBusy,
    RequestInvalid,
    TraceNotFound,
    TraceAmbiguous
  ])
}) {
  override get message() {
    return this.reason.message
  }
}

/** Whether what failed did so for want of room. */
export const isFull = ({ reason }: TraceStoreError): boolean =>
  reason._tag === "StoreUnusable" && reason.why.startsWith(full)
