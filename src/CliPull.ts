/**
 * `tinyllm models pull`: installs a model, and shows how far it is.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CommandFailed, failed } from "./CliError.ts"
import type { PullFlags } from "./CliFlags.ts"
import * as CliTable from "./CliTable.ts"
import * as NodeClient from "./NodeClient.ts"
import { Ollama, type Progress } from "./Ollama.ts"
import { displayWidth, harmless } from "./SpanPrinter.ts"
import { Stderr } from "./Stderr.ts"
import { Stdout } from "./Stdout.ts"

/** Pulls a model. What came before it was stopped is kept by the server, so the same command goes on from there. */
export const pull = (flags: PullFlags) =>
  Effect.gen(function* () {
    const { name } = flags
    const stdout = yield* Stdout
    const stderr = yield* Stderr
    const clock = yield* Clock.Clock
    const ollama = yield* Ollama
    const reporter = report(stderr, () => clock.currentTimeMillisUnsafe())
    yield* Stream.runForEach(ollama.pull(name), (progress) => Effect.sync(() => reporter.on(progress))).pipe(
      Effect.ensuring(Effect.sync(() => stderr.status(""))),
      Effect.onInterrupt(() =>
        Effect.sync(() => {
          stderr.write(
            `tinyllm: stopped${reporter.where()}. What has come is kept: the same command goes on from there.\n`
          )
        })
      )
    )
    yield* stdout.write(`${harmless(name)} is installed\n`)
  }).pipe(
    Effect.provide(NodeClient.layerConfigWith({ allowRemote: flags.allowRemote })),
    Effect.mapError((error) =>
      error._tag === "OllamaError" && error.reason._tag === "PullFailed" && error.reason.isUnknown
        ? new CommandFailed({ text: error.message, exitCode: 3 })
        : failed(error)
    )
  )

// A line is replaced so often at most, and where nothing can be replaced a new one comes so often.
const redrawMillis = 100
const lineMillis = 10_000

/** Tells how far it is: on a line that is replaced where a person watches, else in few lines. */
const report = (stderr: Stderr, now: () => number) => {
  let last: Progress | undefined
  let told = ""
  let drawnAt = Number.NEGATIVE_INFINITY
  // Where the file that is under way began, to tell its speed.
  let begun = { digest: "", at: 0, bytes: 0 }

  const on = (progress: Progress): void => {
    const { completedBytes = 0, digest = "", status, totalBytes } = progress
    if (digest !== begun.digest) {
      begun = { digest, at: now(), bytes: completedBytes }
    }
    last = progress
    const isNew = status !== told
    const isDone = totalBytes !== undefined && completedBytes === totalBytes
    const since = now() - drawnAt
    if (stderr.isTerminal) {
      if (isNew || isDone || since >= redrawMillis) {
        draw(progress)
      }
    } else if (isNew || (since >= lineMillis && totalBytes !== undefined && !isDone)) {
      stderr.write(`${line(progress)}\n`)
      drawnAt = now()
    }
    told = status
  }

  const draw = (progress: Progress) => {
    drawnAt = now()
    // A terminal that does not know its width says 0.
    stderr.status(bar(progress, bytesPerSecond(progress), Math.max(1, (stderr.columns() || 80) - 1)))
  }

  const bytesPerSecond = ({ completedBytes = 0 }: Progress): number | undefined => {
    const seconds = (now() - begun.at) / 1000
    return seconds >= 0.5 && completedBytes > begun.bytes ? (completedBytes - begun.bytes) / seconds : undefined
  }

  return {
    on,
    /** How far it was, as the end of a sentence. */
    where: () => {
      const share = last === undefined ? undefined : shareOf(last)
      return share === undefined ? "" : ` at ${percent(share)} of ${CliTable.size(last?.totalBytes)}`
    }
  }
}

const shareOf = ({ completedBytes, totalBytes }: Progress): number | undefined =>
  totalBytes === undefined || totalBytes === 0 ? undefined : Math.min(1, (completedBytes ?? 0) / totalBytes)

const percent = (share: number): string => `${Math.floor(share * 100)}%`

const line = (progress: Progress): string => {
  const share = shareOf(progress)
  const status = harmless(progress.status)
  return share === undefined ? status : `${status}: ${percent(share)} of ${CliTable.size(progress.totalBytes)}`
}

/** What is done, how far, how fast, in a line of so many columns; the bar takes what is left, and may be none. */
const bar = (progress: Progress, bytesPerSecond: number | undefined, columns: number): string => {
  const status = harmless(progress.status)
  const share = shareOf(progress)
  if (share === undefined) {
    return CliTable.cut(status, columns)
  }
  const { completedBytes = 0, totalBytes = 0 } = progress
  const seconds = bytesPerSecond === undefined ? undefined : Math.ceil((totalBytes - completedBytes) / bytesPerSecond)
  const facts = [
    percent(share).padStart(4),
    `${CliTable.size(completedBytes)}/${CliTable.size(totalBytes)}`,
    ...(bytesPerSecond === undefined ? [] : [`${CliTable.size(bytesPerSecond)}/s`]),
    ...(seconds === undefined || seconds === 0 ? [] : [remaining(seconds)])
  ].join(" ")
  const room = Math.min(40, columns - displayWidth(status) - facts.length - 4)
  if (room < 5) {
    return CliTable.cut(`${status} ${facts}`, columns)
  }
  const full = Math.round(room * share)
  return `${status} [${"█".repeat(full)}${" ".repeat(room - full)}] ${facts}`
}

const remaining = (seconds: number): string =>
  seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`
