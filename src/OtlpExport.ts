/**
 * Spans to a collector, in batches, without harm to the program.
 *
 * The stock exporter sends all batches of a burst at once and drops what exceeds thirty, never tries again, and says
 * nothing about what was lost. So batches come to a queue here, which takes turns, tries again, never fails, counts, and
 * keeps on disk what nobody takes, where that is asked for.
 *
 * @since 0.1.0
 */
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"
import * as Result from "effect/Result"
import type { Reason } from "./OtlpAnswers.ts"
import type { OtlpClient } from "./OtlpClient.ts"
import * as OtlpDelivery from "./OtlpDelivery.ts"
import type { Counter } from "./Report.ts"
import type { Held, Spool, SpoolFailed } from "./Spool.ts"

const concurrentExports = 4

// A collector takes 4 MiB at once by default, and what is larger never.
// https://github.com/open-telemetry/opentelemetry-collector/tree/main/config/configgrpc#server-configuration
const largestRequestBytes = 3.5 * 1024 * 1024

// After so long without an answer a batch is on disk, where there is one, and what a killed process loses is younger.
const unansweredMillis = 1000

// After the time for the collector, the disk gets this much for each answer: it may be far away and never say anything.
const diskMillis = 300

const unwritable: Reason = { reason: "they cannot be written as OTLP" }

/** An exporter that can be told of the end before the last spans are handed over. */
export interface OtlpExporter extends SpanExporter {
  /**
   * The program ends: from now on there are three seconds for what is under way and for all that is still handed over.
   * `shutdown` begins with it, for who hands over everything before that.
   */
  readonly hurry: () => void
}

/**
 * Makes the exporter. Whatever happens to spans, `export` reports success, so that nobody above complains or tries
 * again: what became of them is in the counter, which counts all but those that ended.
 */
export const make = (options: {
  readonly client: OtlpClient
  /** How long one export may take, with all its attempts, in milliseconds; `Infinity` for no limit. */
  readonly timeoutMillis: number
  readonly counter: Counter
  /** Where spans are kept that no collector takes; without it they are lost. */
  readonly spool?: Spool | undefined
}): OtlpExporter => {
  const { client, counter, spool, timeoutMillis } = options
  const waiting: Array<Batch> = []
  const underWay = new Set<OtlpDelivery.Delivery>()
  // Those of them without an answer for some time.
  const unanswered = new Set<OtlpDelivery.Delivery>()
  const idle = new Set<() => void>()
  // Files that were written here, with the reason; they may have to give way to later ones.
  const files = new Map<string, string>()
  let open = 0
  let busy = false
  let endsSince: number | undefined
  // The time of the end is up as well.
  let over = false
  let timer: NodeJS.Timeout | undefined
  let end: Promise<void> | undefined
  // What is asked of the disk, as what is done without its answer; and whether it hangs, so that it is asked no more.
  const asked = new Set<() => void>()
  let hangs = false
  // Why a batch was not taken, twice. While that is so, what comes meanwhile is kept, and one at a time is sent.
  let down: Reason | undefined

  const finish = (batch: Batch): void => {
    open -= 1
    batch.done()
    next()
    if (open === 0) {
      for (const resolve of idle) {
        resolve()
      }
      idle.clear()
    }
  }

  const lose = (batch: Batch, { hint, reason }: Reason): void => {
    counter.lost(batch.spans.length, reason, hint)
    finish(batch)
  }

  const hold = (batch: Batch, request: Uint8Array): Hold | undefined =>
    spool?.run(
      spool.hold(request, batch.spans.length, (dropped) => {
        counter.dropped(dropped.spans, files.get(dropped.name))
        files.delete(dropped.name)
      })
    )

  const ask = <A>(answer: Promise<A>, then: (answer: A) => void, without: () => void): void => {
    asked.add(without)
    void answer.then((answer) => {
      if (asked.delete(without)) {
        then(answer)
      }
    })
  }

  // The program ends, and the disk has to say something now and then.
  const watch = (answers: number | undefined): void => {
    timer = setTimeout(() => {
      const now = spool?.answers()
      if (now !== answers) {
        watch(now)
        return
      }
      hangs = true
      for (const without of Array.from(asked)) {
        asked.delete(without)
        without()
      }
    }, diskMillis)
  }

  const keep = (batch: Batch, request: Uint8Array, why: Reason, before?: Hold): void => {
    if (spool === undefined) {
      lose(batch, why)
      return
    }
    const notKept = (because: string) => lose(batch, { reason: `${why.reason}; not kept: ${because}` })
    const without = () => notKept(`the folder ${spool.directory} does not answer`)
    const held = hangs ? undefined : (before ?? hold(batch, request))
    if (held === undefined) {
      without()
      return
    }
    const kept = (held: Result.Result<Held, SpoolFailed>): void => {
      if (Result.isFailure(held)) {
        notKept(held.failure.message)
        return
      }
      files.set(held.success.name, why.reason)
      counter.kept(batch.spans.length, why.reason)
      // If that fails the file is there all the same, and free when this process has ended.
      const end = () => finish(batch)
      ask(spool.run(held.success.release), end, end)
    }
    ask(held, kept, without)
  }

  // What happened to a batch is counted when the disk knows it as well.
  const forget = (held: Hold | undefined, then: () => void): void => {
    if (spool === undefined || held === undefined || hangs) {
      then()
    } else {
      ask(
        held.then((held) => (Result.isSuccess(held) ? spool.run(held.success.remove) : undefined)),
        then,
        then
      )
    }
  }

  const send = (batch: Batch, request: Uint8Array): void => {
    let held: Hold | undefined
    // If the process is killed now, the spans are not gone with it. And what is on disk need not be in memory.
    const secure = (): void => {
      if (held === undefined) {
        held = hold(batch, request)
        void held?.then((held) => (Result.isSuccess(held) ? batch.done() : undefined))
      }
    }
    const late =
      spool === undefined
        ? undefined
        : setTimeout(() => {
            unanswered.add(delivery)
            secure()
            next()
          }, unansweredMillis)
    const delivery = OtlpDelivery.make({
      client,
      request,
      limitMillis: timeoutMillis,
      endsSince: () => endsSince,
      again: (failures, reason) => {
        if (failures === 1) {
          secure()
        } else {
          down = reason
          next()
        }
      },
      done: (end) => {
        clearTimeout(late)
        unanswered.delete(delivery)
        underWay.delete(delivery)
        if (end._tag === "Accepted") {
          const rejected = Math.min(end.rejected, batch.spans.length)
          down = undefined
          forget(held, () => {
            counter.exported(batch.spans.length - rejected, client.address)
            counter.lost(rejected, end.reason)
            finish(batch)
          })
        } else if (end.unwanted) {
          forget(held, () => lose(batch, end.reason))
        } else {
          // That one batch is too large says nothing of others.
          down = end.tooLarge ? down : end.reason
          keep(batch, request, end.reason, held)
        }
        next()
      }
    })
    underWay.add(delivery)
    delivery.start()
  }

  const next = (): void => {
    if (busy) {
      return
    }
    busy = true
    while (waiting.length > 0) {
      const why = over
        ? (down ?? client.silence(OtlpDelivery.defaultEndMillis))
        : underWay.size > 0
          ? (down ?? (unanswered.size >= concurrentExports ? client.silence(unansweredMillis) : undefined))
          : undefined
      const kept = why !== undefined && (over || spool !== undefined)
      if (!kept && underWay.size >= concurrentExports) {
        break
      }
      const batch = waiting.shift()
      if (batch !== undefined) {
        const request = Result.try(() => ProtobufTraceSerializer.serializeRequest(batch.spans))
        const bytes = Result.isSuccess(request) ? request.success : undefined
        if (batch.spans.length > 1 && (bytes === undefined || bytes.length > largestRequestBytes)) {
          open += 1
          waiting.unshift(...halves(batch))
        } else if (bytes === undefined) {
          lose(batch, unwritable)
        } else if (kept) {
          keep(batch, bytes, why)
        } else {
          send(batch, bytes)
        }
      }
    }
    busy = false
  }

  const giveUp = (): void => {
    over = true
    for (const delivery of Array.from(underWay)) {
      delivery.giveUp(client.silence(OtlpDelivery.defaultEndMillis))
    }
    next()
    // What is still open waits for the disk.
    watch(spool?.answers())
  }

  const hurry = (): void => {
    if (endsSince === undefined) {
      endsSince = performance.now()
      timer = setTimeout(giveUp, OtlpDelivery.defaultEndMillis)
      for (const delivery of underWay) {
        delivery.hurry()
      }
    }
  }

  const whenIdle = (): Promise<void> =>
    open === 0 ? Promise.resolve() : new Promise((resolve) => void idle.add(resolve))

  return {
    export: (spans, result) => {
      open += 1
      waiting.push({ spans, done: once(() => result({ code: 0 })) })
      next()
    },
    forceFlush: whenIdle,
    hurry,
    // Who hands batches over does not wait for all of them: some were under way before the end. `giveUp` ends the wait.
    shutdown: () => {
      hurry()
      end ??= whenIdle().then(() => {
        clearTimeout(timer)
        client.close()
      })
      return end
    }
  }
}

type Hold = Promise<Result.Result<Held, SpoolFailed>>

interface Batch {
  readonly spans: Array<ReadableSpan>
  /** Whoever handed it over need not care any more; may be called again. */
  readonly done: () => void
}

const once = (run: () => void): (() => void) => {
  let called = false
  return () => {
    if (!called) {
      called = true
      run()
    }
  }
}

// Of a batch that is too large, or cannot be written, as much as possible goes its way.
const halves = ({ done, spans }: Batch): ReadonlyArray<Batch> => {
  const middle = Math.ceil(spans.length / 2)
  let missing = 2
  const half = (spans: Array<ReadableSpan>): Batch => ({
    spans,
    done: once(() => {
      missing -= 1
      if (missing === 0) {
        done()
      }
    })
  })
  return [half(spans.slice(0, middle)), half(spans.slice(middle))]
}
