/**
 * What became of the spans: how many were recorded, sent, kept for later and lost, and why.
 *
 * Whoever takes spans on their way counts them here: what collects them counts those that ended and those it had no
 * room for, what sends them counts the rest. At the end every span that was recorded is exported, kept or lost.
 *
 * @since 0.1.0
 */

/** Counts of spans, taken at one moment. */
export interface Report {
  /** Spans that ended and were to be sent. What is in none of the other three counts is still on its way. */
  readonly recorded: number
  /** Spans that a collector has acknowledged. */
  readonly exported: number
  /** Spans that could not be sent, and are on disk: `tinyllm trace push` sends them. */
  readonly kept: number
  /** Spans that are gone. */
  readonly lost: number
  /** Spans of earlier runs that were kept on disk, and had to give way. They are in none of the other counts. */
  readonly dropped: number
  /** Where spans were exported to: `localhost:4317`. */
  readonly destinations: ReadonlyArray<string>
  /** Why spans were kept or lost, in the order in which the reasons came up; a few at most, the last one for the rest. */
  readonly reasons: ReadonlyArray<Reason>
}

/** Spans that were not exported for one reason. */
export interface Reason {
  readonly fate: "kept" | "lost"
  readonly spans: number
  /** In words that follow a colon, without a full stop: `connection refused at localhost:4317`. */
  readonly reason: string
  /** A question that may help whoever lost them: `Is a collector running there?` */
  readonly hint?: string | undefined
}

/** Where spans are counted. All counts are of spans, never of batches. */
export interface Counter {
  readonly ended: (spans: number) => void
  /** `to` is where they went, host and port. */
  readonly exported: (spans: number, to: string) => void
  readonly kept: (spans: number, reason: string) => void
  readonly lost: (spans: number, reason: string, hint?: string) => void
  /** Spans on disk had to give way. `because` is why they were kept, if they are in this count. */
  readonly dropped: (spans: number, because: string | undefined) => void
  readonly snapshot: () => Report
}

// Reasons that are told apart; a collector that says something else each time must not fill the screen.
const maximumReasons = 5

/** Why, for the reasons that are not told apart. */
export const otherReasons = "for other reasons"

/** Why spans were lost that found the buffer full. */
export const tooFast = "they came faster than they could be sent"

/** Why spans were lost that had been kept on disk. */
const noRoom = "the spool has no more room for them"

/** Why spans were lost that ended when everything had been handed over. */
export const tooLate = "they ended after the end of the program"

/** Nothing happened. */
export const none: Report = { recorded: 0, exported: 0, kept: 0, lost: 0, dropped: 0, destinations: [], reasons: [] }

/** Makes a counter. */
export const make = (): Counter => {
  const counts = { recorded: 0, exported: 0, kept: 0, lost: 0, dropped: 0 }
  const destinations = new Set<string>()
  const reasons: Array<{ -readonly [K in keyof Reason]: Reason[K] }> = []

  const find = (fate: Reason["fate"], reason: string) =>
    reasons.find((known) => known.fate === fate && known.reason === reason)

  const count = (fate: Reason["fate"], spans: number, reason: string, hint?: string): void => {
    if (spans > 0) {
      counts[fate] += spans
      const full = reasons.filter((known) => known.fate === fate).length >= maximumReasons
      const known = find(fate, reason) ?? (full ? find(fate, otherReasons) : undefined)
      if (known !== undefined) {
        known.spans += spans
      } else if (full) {
        reasons.push({ fate, spans, reason: otherReasons })
      } else {
        reasons.push({ fate, spans, reason, ...(hint === undefined ? {} : { hint }) })
      }
    }
  }

  return {
    ended: (spans) => void (counts.recorded += spans),
    exported: (spans, to) => {
      if (spans > 0) {
        counts.exported += spans
        destinations.add(to)
      }
    },
    kept: (spans, reason) => count("kept", spans, reason),
    lost: (spans, reason, hint) => count("lost", spans, reason, hint),
    dropped: (spans, because) => {
      const known = because === undefined ? undefined : (find("kept", because) ?? find("kept", otherReasons))
      if (known === undefined) {
        counts.dropped += spans
      } else {
        known.spans -= spans
        counts.kept -= spans
        count("lost", spans, noRoom)
      }
    },
    snapshot: () => ({
      ...counts,
      destinations: Array.from(destinations),
      reasons: reasons.filter((reason) => reason.spans > 0).map((reason) => ({ ...reason }))
    })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Lines for people
// ---------------------------------------------------------------------------------------------------------------------

/** What became of all spans, on one line. `push` is the command that sends those that were kept. */
export const summary = (report: Report, push: string): readonly [line: string] => [line(report, push)]

const line = (report: Report, push: string): string => {
  const { dropped, exported, kept, lost, recorded } = report
  const missing = kept + lost
  const older = dropped === 0 ? "" : `; ${spans(dropped)} of earlier runs dropped, the spool had no more room for them`
  if (missing === 0) {
    return exported === 0 && recorded === 0
      ? "no spans exported: the trace was not sampled"
      : `${spans(exported)} exported to ${report.destinations.join(" and ")}${older}`
  }
  const share = missing === recorded ? spans(missing) : `${missing} of ${spans(recorded)}`
  const [whyKept, whyLost] = [why(report, "kept"), why(report, "lost")]
  const fate =
    lost === 0
      ? `${whyKept}; kept, send them with "${push}"`
      : kept === 0
        ? whyLost
        : `${kept} kept (${whyKept}), ${lost} lost (${whyLost}); send the kept ones with "${push}"`
  return `${share} not exported: ${fate}${older}`
}

/** What went wrong, one line a reason. */
export const complaints = ({ dropped, reasons }: Report, push: string): ReadonlyArray<string> => [
  ...reasons.map(({ fate, hint, reason, spans: count }) => {
    const text = fate === "kept" ? `${reason}; kept, send them with "${push}"` : sentence(reason, hint)
    return `${spans(count)} not exported: ${text}`
  }),
  ...(dropped === 0 ? [] : [`${spans(dropped)} of earlier runs dropped: the spool had no more room for them`])
]

const why = (report: Report, fate: Reason["fate"]): string => {
  const reasons = report.reasons.filter((reason) => reason.fate === fate)
  const [only] = reasons
  return reasons.length === 1 && only !== undefined
    ? sentence(only.reason, fate === "lost" && report.kept === 0 ? only.hint : undefined)
    : reasons.map(({ reason, spans }) => `${spans} ${reason}`).join("; ")
}

const sentence = (reason: string, hint: string | undefined): string =>
  hint === undefined ? reason : `${reason}. ${hint}`

const spans = (count: number): string => `${count} ${count === 1 ? "span" : "spans"}`
