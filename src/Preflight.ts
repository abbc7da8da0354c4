/**
 * What nodes must be sure of before the run begins in which they are, and when that is looked at.
 *
 * A node carries its needs as data, containers and graphs carry those of what they contain, and a run sees to all of them
 * before it visits its first node. What a need is, and how it is seen to, is the business of who makes it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Visit from "./Visit.ts"

/** Something that a node needs. */
export interface Need {
  /** The node, as visits name it: its step, and inside of containers and sub-graphs the names on the way, with dots. */
  readonly node: string
  /** Whether nothing else takes over when the node fails. What is not vital is warned of, and fails no run. */
  readonly vital: boolean
  /** Sees to all needs of a run that are of this kind. It fails with what the nodes would fail with. */
  readonly check: (needs: ReadonlyArray<Need>, run: Visit.Run) => Effect.Effect<void, unknown, unknown>
}

/**
 * Whether runs see to what their nodes need before they begin: `true` by default. Provide `false` where the time for it
 * matters more than an early word about a mistake.
 */
export const Enabled: Context.Reference<boolean> = Context.Reference("tinyllm/Preflight/Enabled", {
  defaultValue: () => true
})

const key = "~tinyllm/needs"

/** A node, or something else that is made of nodes, with needs. It carries them where it is copied, too. */
export const attach = <A extends object>(self: A, needs: ReadonlyArray<Need>): A =>
  needs.length === 0 ? self : Object.assign(self, { [key]: needs })

/** Forgets what it needs: something else gives it that, and only when it runs. */
export const forget = <A extends object>(self: A): A => Object.assign(self, { [key]: none })

/** What it needs. */
export const of = (self: object): ReadonlyArray<Need> => (self as { readonly [key]?: ReadonlyArray<Need> })[key] ?? none

/** What nodes need that are called so inside of another. */
export const inside = (nodes: Readonly<Record<string, object>>): ReadonlyArray<Need> =>
  Object.entries(nodes).flatMap(([name, node]) =>
    of(node).map((need) => ({ ...need, node: need.node === "" ? name : `${name}.${need.node}` }))
  )

/** The same for nodes that others stand in for when they fail. */
export const replaceable = (needs: ReadonlyArray<Need>): ReadonlyArray<Need> =>
  needs.map((need) => ({ ...need, vital: false }))

const none: ReadonlyArray<Need> = []

/** Sees to the needs of a run, those of each kind together. Errors come as those of the nodes would. */
export const run = (needs: ReadonlyArray<Need>, visits: Visit.Run): Effect.Effect<void> =>
  Effect.flatMap(Enabled, (enabled) =>
    enabled
      ? (Effect.forEach(
          Map.groupBy(needs, ({ check }) => check),
          ([check, needs]) => check(needs, visits),
          { discard: true }
        ) as Effect.Effect<void>) // what it fails with and needs is in the types of the nodes
      : Effect.void
  )
