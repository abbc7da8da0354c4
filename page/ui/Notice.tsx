/**
 * What the page says when it does not show what is: there is trouble, or nobody answers.
 */
import type { Connection } from "./Live.ts"

export const Notice = ({
  connection,
  trouble
}: {
  readonly connection: Connection
  readonly trouble?: string | null | undefined
}) => {
  const text =
    connection === "lost"
      ? 'The server does not answer. Is "tinyllm ui" still running? Trying again…'
      : connection === "refused"
        ? 'The server does not know this address. Open the one that "tinyllm ui" printed.'
        : (trouble ?? undefined)
  return (
    <p class="connection" role="status" hidden={text === undefined}>
      {text}
    </p>
  )
}
