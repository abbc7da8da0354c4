/**
 * Who waits for what in an Ollama double: models are loaded one after another, and each answers one request at a time.
 *
 * A request for a model that is loaded waits for its turn, however long. One that needs a load waits in a queue with an
 * end, behind which is a 503. A request whose client leaves gives its place free, and a load ends with the request that
 * wanted it. https://github.com/ollama/ollama/blob/main/docs/faq.mdx#how-does-ollama-handle-concurrent-requests
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { isObject } from "./Json.ts"
import type { Installed } from "./OllamaDoubleModels.ts"
import { type Body, integerOption, keepAlive } from "./OllamaDoubleRequest.ts"
import { pause } from "./OllamaReply.ts"
import type { Refusal, Script } from "./OllamaScript.ts"

/** How far a request got. */
export type Stage = "received" | "queued" | "loading" | "reading" | "answering"

/** A model that was loaded, or that somebody did not wait for. */
export interface Load {
  readonly model: string
  /** Milliseconds of the clock. */
  readonly startedAt: number
  /** `undefined` while it loads. */
  readonly endedAt: number | undefined
  /** Whether the client left before the model was loaded, so that it is not. */
  readonly aborted: boolean
}

/** A model in memory. */
export interface Runner {
  readonly model: Installed
  /** Size of its context in tokens. */
  readonly numCtx: number
  readonly settings: string
  readonly turns: Semaphore.Semaphore
  /** Requests that use it or wait for it. */
  users: number
  /** Milliseconds; `Infinity` for ever. */
  keepAlive: number
  /** Milliseconds of the clock. */
  expiresAt: number
}

/** What a request wants. */
export interface Wanted {
  readonly model: Installed
  readonly body: Body
  /** How long the model loads, also when it is loaded; otherwise it loads once, for as long as the model says. */
  readonly load?: Duration.Input | undefined
  readonly stage: (stage: Stage) => void
}

/** When a request's turn has come: nanoseconds of the monotonic clock. */
export interface Turn {
  /** When the model was loaded, before other requests were waited for. */
  readonly loaded: number
  readonly begun: number
}

const busy: Refusal = { status: 503, error: "server busy, please try again.  maximum pending requests exceeded" }

const fiveMinutes = 300_000

export class Queue {
  readonly loads: Array<{ -readonly [K in keyof Load]: Load[K] }> = []
  readonly #runners = new Map<string, Runner>()
  readonly #slot = Semaphore.makeUnsafe(1)
  readonly #script: Script
  readonly #clock: Clock.Clock
  readonly #waiting = new Set<() => void>()
  #pending = 0

  constructor(script: Script, clock: Clock.Clock) {
    this.#script = script
    this.#clock = clock
  }

  /** Runs when it is the request's turn. Fails when the queue for a load is full. */
  use(wanted: Wanted, run: (turn: Turn) => Effect.Effect<void>): Effect.Effect<void, Refusal> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(this.#loaded(wanted)), ({ fresh, runner }) => {
        runner.users++
        runner.keepAlive = keepAlive(wanted.body) ?? runner.keepAlive
        const loaded = this.#now()
        const turn = Effect.suspend(() =>
          fresh || wanted.load === undefined
            ? run({ loaded, begun: this.#now() })
            : Effect.andThen(
                this.#load(wanted),
                Effect.suspend(() => run({ loaded: this.#now(), begun: this.#now() }))
              )
        )
        wanted.stage("queued")
        return Effect.ensuring(
          restore(runner.turns.withPermits(1)(turn)),
          Effect.sync(() => this.#leave(runner))
        )
      })
    )
  }

  /** Forgets a model as soon as nobody uses it. */
  unload(model: Installed): void {
    const runner = this.#runners.get(model.key)
    if (runner !== undefined) {
      runner.keepAlive = 0
      runner.users++
      this.#leave(runner)
    }
  }

  /** What is in memory, longest-lived first. */
  get running(): ReadonlyArray<Runner> {
    this.#expire()
    return [...this.#runners.values()].sort((a, b) => b.expiresAt - a.expiresAt)
  }

  #find({ body, model }: Wanted): Runner | undefined {
    this.#expire()
    const runner = this.#runners.get(model.key)
    return runner?.settings === settingsOf(this.#script, model, body) ? runner : undefined
  }

  #loaded(wanted: Wanted): Effect.Effect<{ readonly runner: Runner; readonly fresh: boolean }, Refusal> {
    return Effect.suspend(() => {
      const runner = this.#find(wanted)
      if (runner !== undefined) {
        return Effect.succeed({ runner, fresh: false })
      }
      // The one that loads is not in the queue.
      if (this.#pending > (this.#script.maxQueue ?? 512)) {
        return Effect.fail(busy)
      }
      wanted.stage("queued")
      return Effect.acquireUseRelease(
        Effect.sync(() => this.#pending++),
        () => this.#slot.withPermits(1)(this.#inSlot(wanted)),
        () => Effect.sync(() => this.#pending--)
      )
    })
  }

  #inSlot(wanted: Wanted): Effect.Effect<{ readonly runner: Runner; readonly fresh: boolean }> {
    return Effect.gen({ self: this }, function* () {
      const found = this.#find(wanted)
      if (found !== undefined) {
        return { runner: found, fresh: false }
      }
      while (!this.#makeRoom(wanted.model)) {
        yield* this.#change()
      }
      yield* this.#load(wanted)
      const runner: Runner = {
        model: wanted.model,
        numCtx: numCtxOf(this.#script, wanted.model, wanted.body),
        settings: settingsOf(this.#script, wanted.model, wanted.body),
        turns: Semaphore.makeUnsafe(this.#script.parallel ?? 1),
        users: 0,
        keepAlive: fiveMinutes,
        expiresAt: this.#clock.currentTimeMillisUnsafe() + fiveMinutes
      }
      this.#runners.set(wanted.model.key, runner)
      return { runner, fresh: true }
    })
  }

  // A model with other settings has to go first, and one of the others when there are too many. Nobody is thrown out.
  #makeRoom(model: Installed): boolean {
    const old = this.#runners.get(model.key)
    if (old !== undefined) {
      return old.users === 0 && this.#runners.delete(model.key)
    }
    if (this.#runners.size < (this.#script.maxLoaded ?? 3)) {
      return true
    }
    const idle = this.running.findLast(({ users }) => users === 0)
    return idle !== undefined && this.#runners.delete(idle.model.key)
  }

  #load(wanted: Wanted): Effect.Effect<void> {
    return Effect.suspend(() => {
      wanted.stage("loading")
      const load = {
        model: wanted.model.name,
        startedAt: this.#clock.currentTimeMillisUnsafe(),
        endedAt: undefined as number | undefined,
        aborted: true
      }
      this.loads.push(load)
      const ended = Effect.sync(() => {
        load.endedAt = this.#clock.currentTimeMillisUnsafe()
        if (load.aborted) {
          this.#runners.delete(wanted.model.key)
        }
      })
      return pause(wanted.load ?? wanted.model.load).pipe(
        Effect.andThen(
          Effect.sync(() => {
            load.aborted = false
          })
        ),
        Effect.ensuring(ended)
      )
    })
  }

  #leave(runner: Runner): void {
    runner.users--
    runner.expiresAt = this.#clock.currentTimeMillisUnsafe() + runner.keepAlive
    this.#expire()
    for (const wake of this.#waiting) {
      wake()
    }
  }

  /** Waits until somebody leaves. */
  #change(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const wake = () => resume(Effect.void)
      this.#waiting.add(wake)
      return Effect.sync(() => this.#waiting.delete(wake))
    })
  }

  // Nothing happens at the moment itself: nobody can see it but by asking.
  #expire(): void {
    const now = this.#clock.currentTimeMillisUnsafe()
    for (const [key, { expiresAt, users }] of this.#runners) {
      if (users === 0 && expiresAt <= now) {
        this.#runners.delete(key)
      }
    }
  }

  #now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe())
  }
}

/** Tokens that a model is given for its context: at least 4, at most what it was trained for. */
export const numCtxOf = (script: Script, model: Installed, body: Body): number =>
  Math.min(Math.max(4, integerOption(body, "num_ctx") ?? script.numCtx ?? 4096), model.contextLength)

const loadTime = ["num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "draft_num_predict"]

/** What a model is loaded with: one that is loaded otherwise has to be loaded again. */
const settingsOf = (script: Script, model: Installed, body: Body): string => {
  const options = isObject(body["options"]) ? body["options"] : {}
  const shift = body["shift"] !== false
  return JSON.stringify([numCtxOf(script, model, body), shift, ...loadTime.map((name) => options[name])])
}
