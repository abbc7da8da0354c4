// Effects without anything of the machine they run on.
import { ConfigProvider, Effect, type Exit } from "effect"
import * as Stderr from "../../src/Stderr.ts"

/** Runs an effect with no environment but the given one, and gives its end with what standard error would show. */
export const isolated = <A, E>(
  self: Effect.Effect<A, E>,
  env: Record<string, string> = {}
): Effect.Effect<{ readonly exit: Exit.Exit<A, E>; readonly stderr: string }> =>
  Effect.suspend(() => {
    let stderr = ""
    return self.pipe(
      Effect.exit,
      Effect.provideService(Stderr.Stderr, {
        write: (text) => void (stderr += text),
        status: () => {},
        isTerminal: false,
        columns: () => undefined
      }),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
      Effect.map((exit) => ({ exit, stderr }))
    )
  })
