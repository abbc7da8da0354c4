// Times that can be compared: every contestant gets a short turn in every round, so that whatever slows the machine
// down slows all of them down, and a ratio is taken within the round before the median is taken over the rounds.

/** Something that takes turns. */
export interface Contestant {
  /** Unique among those that run together. */
  readonly name: string
  /** How many things one run does: nodes, spans. Times are for one thing. */
  readonly things: number
  readonly run: () => Promise<void>
  /** Belongs to a turn and is timed with it: what waits to be exported is exported. */
  readonly finish?: () => Promise<void>
}

export interface Effort {
  readonly rounds: number
  readonly warmUpMillis: number
  readonly turnMillis: number
}

/** The turns of one contestant, one for each round: microseconds for one thing. */
export interface Turns {
  readonly wall: ReadonlyArray<number>
  readonly cpu: ReadonlyArray<number>
  /** Runs in all, those of the warm-up included. */
  readonly runs: number
}

/** Runs contestants in turns. The turns of one are found under its name. */
export const interleave = async (
  contestants: ReadonlyArray<Contestant>,
  effort: Effort
): Promise<ReadonlyMap<string, Turns>> => {
  const entries: Array<{
    readonly contestant: Contestant
    readonly wall: Array<number>
    readonly cpu: Array<number>
    readonly runsOfTurn: number
    runs: number
  }> = []
  for (const contestant of contestants) {
    const { runs, runsOfTurn } = await warmUp(contestant, effort)
    entries.push({ contestant, wall: [], cpu: [], runs, runsOfTurn })
  }
  for (let round = 0; round < effort.rounds; round++) {
    for (let index = 0; index < entries.length; index++) {
      // Nobody always comes after the same neighbour's garbage.
      const entry = entries[(index + round) % entries.length]!
      const { contestant, runsOfTurn } = entry
      const cpu = process.cpuUsage()
      const start = performance.now()
      await turn(contestant, runsOfTurn)
      const millis = performance.now() - start
      const { system, user } = process.cpuUsage(cpu)
      entry.runs += runsOfTurn
      entry.wall.push((millis * 1000) / (runsOfTurn * contestant.things))
      entry.cpu.push((user + system) / (runsOfTurn * contestant.things))
    }
  }
  return new Map(entries.map(({ contestant, cpu, runs, wall }) => [contestant.name, { wall, cpu, runs }]))
}

const turn = async (contestant: Contestant, runs: number): Promise<void> => {
  for (let run = 0; run < runs; run++) {
    await contestant.run()
  }
  await contestant.finish?.()
}

const warmUp = async (contestant: Contestant, effort: Effort) => {
  const until = performance.now() + effort.warmUpMillis
  let runs = 0
  let millis = 0
  do {
    const start = performance.now()
    await turn(contestant, 1)
    millis = performance.now() - start
    runs++
  } while (performance.now() < until)
  // The last run is the warmest. A single one with its export says less than several, hence a second look.
  const guess = Math.max(1, Math.round(effort.turnMillis / Math.max(millis, 0.001)))
  const start = performance.now()
  await turn(contestant, guess)
  const each = (performance.now() - start) / guess
  return { runs: runs + guess, runsOfTurn: Math.max(1, Math.round(effort.turnMillis / each)) }
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The median of what one takes over what another takes in the same round. */
export const ratio = (self: ReadonlyArray<number>, that: ReadonlyArray<number>): number =>
  median(self.map((value, round) => value / that[round]!))

/** The median of what one takes more than another in the same round, divided by `parts`. */
export const difference = (self: ReadonlyArray<number>, that: ReadonlyArray<number>, parts = 1): number =>
  median(differences(self, that, parts))

export const differences = (
  self: ReadonlyArray<number>,
  that: ReadonlyArray<number>,
  parts = 1
): ReadonlyArray<number> => self.map((value, round) => (value - that[round]!) / parts)
