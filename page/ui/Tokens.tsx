/** Tokens that went in and came out, as far as somebody counted them. */
import * as Format from "./Format.ts"

export const Tokens = ({
  input,
  output
}: {
  readonly input?: number | undefined
  readonly output?: number | undefined
}) =>
  input === undefined && output === undefined ? (
    <span class="quiet">–</span>
  ) : (
    <span title={`${input ?? "an unknown number of"} tokens in, ${output ?? "an unknown number of"} tokens out`}>
      {input === undefined ? "–" : Format.integer(input)} → {output === undefined ? "–" : Format.integer(output)}
    </span>
  )
