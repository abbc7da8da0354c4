/** Everything that is known of a span. */
import type { ComponentChildren } from "preact"
import { useState } from "preact/hooks"
import type { Value, Values } from "../src/StoredSpan.ts"
import type { Call, Step } from "../src/TraceRun.ts"
import { errors, number, outcome, type TraceNode, type TraceTree } from "../src/TraceTree.ts"
import { count, cut, duration, integer, line, moment, speed, visible } from "./format.ts"
import { detail, of } from "./kind.ts"
import { plain } from "./search.ts"

export interface DetailsProps {
  readonly tree: TraceTree
  readonly at: TraceNode
  readonly call: Call | undefined
  readonly step: Step | undefined
  readonly onSelect: (at: TraceNode) => void
}

export const Details = ({ at, call, onSelect, step, tree }: DetailsProps) => {
  const { durationNanos, offsetNanos, selfNanos, span } = at
  const ended = outcome(span)
  const more = detail(span)
  const failures = errors(at)
  return (
    <>
      <h2 class={`k-${of(span)}`}>
        <span class="kind" />
        <span>
          {line(span.name, 300)} {more !== "" && <small>{line(more)}</small>}
        </span>
      </h2>
      <dl class="facts">
        <Fact name="Duration">{duration(durationNanos)}</Fact>
        <Fact name="Itself">{duration(selfNanos)}</Fact>
        <Fact name="Begins">+{duration(offsetNanos)}</Fact>
        <Fact name="Status">
          <span class={`status ${ended}`}>{statusName(ended, span.status.code)}</span>
        </Fact>
      </dl>
      {(at.severed !== undefined || at.backwards) && (
        <p class="notice">
          {at.severed === "missing" && `Its parent ${line(span.parentSpanId ?? "")} is not among the spans. `}
          {at.severed === "cycle" && "It names as its parent a span that is below it. "}
          {at.backwards && "It ends before it starts: a clock was set back."}
        </p>
      )}
      {failures.map((error, index) => (
        <section key={index} class="failure">
          <h3>{line(error.type ?? "Error")}</h3>
          {error.message !== "" && <Long class="message" text={error.message} />}
          {error.stack !== undefined && (
            <details open={index === 0}>
              <summary>Stack</summary>
              <Long class="stack" text={error.stack} />
            </details>
          )}
        </section>
      ))}
      {call !== undefined && <ModelCall call={call} />}
      {step?.decision !== undefined && (
        <Section title="Decision">
          <p class="ways">
            {(step.decision.candidates.length === 0 ? [step.decision.route] : step.decision.candidates).map((route) => (
              <span key={route} class={route === step.decision?.route ? "way taken" : "way"}>
                {line(route, 60)}
              </span>
            ))}
          </p>
          {step.decision.fallback && <p class="quiet">The fallback: no way fitted what was answered.</p>}
        </Section>
      )}
      <Section title="Attributes" hint={dropped(span.dropped.attributes)}>
        <Table values={span.attributes} />
      </Section>
      {(span.events.length > 0 || span.dropped.events > 0) && (
        <Section title="Events" hint={dropped(span.dropped.events)}>
          <ol class="events">
            {span.events.slice(0, maximumEvents).map((event, index) => (
              <li key={index}>
                <b>{line(event.name)}</b> <span class="quiet">+{since(event.timeNanos, span.startNanos)}</span>
                {/* What an exception says is shown above. */}
                {event.name !== "exception" && <Table values={event.attributes} />}
              </li>
            ))}
            {span.events.length > maximumEvents && (
              <li class="quiet">and {integer(span.events.length - maximumEvents)} more</li>
            )}
          </ol>
        </Section>
      )}
      {(span.links.length > 0 || span.dropped.links > 0) && (
        <Section title="Links" hint={dropped(span.dropped.links)}>
          <ul class="links">
            {span.links.slice(0, maximumEvents).map((link, index) => {
              const to = link.traceId === span.traceId ? tree.bySpanId.get(link.spanId) : undefined
              return (
                <li key={index}>
                  {to === undefined ? (
                    <span class="id">
                      trace {line(link.traceId)}, span {line(link.spanId)}
                    </span>
                  ) : (
                    <button type="button" class="plain" onClick={() => onSelect(to)}>
                      {line(to.span.name)}
                    </button>
                  )}
                  <Table values={link.attributes} />
                </li>
              )
            })}
          </ul>
        </Section>
      )}
      <details class="section">
        <summary>Program and ids</summary>
        <Table values={span.resource} />
        <Table
          values={{
            start: moment(span.startNanos),
            kind: span.kind,
            "trace id": span.traceId,
            "span id": span.spanId,
            ...(span.parentSpanId === undefined ? {} : { "parent id": span.parentSpanId }),
            ...(span.scope.name === "" ? {} : { scope: `${span.scope.name} ${span.scope.version}`.trim() }),
            ...(span.traceState === "" ? {} : { "trace state": span.traceState })
          }}
        />
      </details>
    </>
  )
}

// More are nothing that somebody reads one by one.
const maximumEvents = 200

const statusName = (ended: ReturnType<typeof outcome>, code: "unset" | "ok" | "error"): string =>
  ended === "ok" ? (code === "ok" ? "ok" : "ended") : ended === "error" ? "failed" : "interrupted"

const dropped = (number: number): string => (number === 0 ? "" : `${integer(number)} dropped by a limit`)

const since = (nanos: bigint, start: bigint): string => {
  const offset = Number(nanos - start)
  return offset < 0 ? `−${duration(-offset)}` : duration(offset)
}

const Fact = ({ children, name }: { readonly name: string; readonly children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
)

const Section = (props: { readonly title: string; readonly hint?: string; readonly children: ComponentChildren }) => (
  <section class="section">
    <h3>
      {props.title} {props.hint !== undefined && props.hint !== "" && <small>{props.hint}</small>}
    </h3>
    {props.children}
  </section>
)

// ---------------------------------------------------------------------------------------------------------------------
// Calls of models
// ---------------------------------------------------------------------------------------------------------------------

const parts = [
  ["load", "ollama.load", "load"],
  ["wait", "ollama.wait", "wait"],
  ["prompt", "ollama.prompt_eval", "prompt evaluation"],
  ["generate", "ollama.generate", "generation"]
] as const

/** What Ollama said of the time of a call. */
const ModelCall = ({ call }: { readonly call: Call }) => {
  const { at, model, tokens, tokensPerSecond } = call
  const measured = parts.flatMap(([kind, name, label]) => {
    const found = at.children.filter(({ span }) => span.name === name)
    const nanos = found.reduce((sum, { durationNanos }) => sum + durationNanos, 0)
    const perSecond = found
      .map(({ span }) => number(span, "tinyllm.ollama.tokens_per_second"))
      .find((one) => one !== undefined)
    return found.length === 0 ? [] : [{ kind, label, nanos, perSecond }]
  })
  const whole = Math.max(
    1,
    measured.reduce((sum, { nanos }) => sum + nanos, 0)
  )
  const first = number(at.span, "tinyllm.ollama.time_to_first_token")
  return (
    <Section title="Model call" hint={model === undefined ? "" : line(model, 80)}>
      <dl class="facts">
        {tokens.input !== undefined && <Fact name="Tokens in">{integer(tokens.input)}</Fact>}
        {tokens.output !== undefined && <Fact name="Tokens out">{integer(tokens.output)}</Fact>}
        {tokensPerSecond !== undefined && (
          <Fact name={tokensPerSecond.of === "generation" ? "Generation" : "Whole call"}>
            {speed(tokensPerSecond.value)}
          </Fact>
        )}
        {first !== undefined && <Fact name="First token">{duration(first * 1e9)}</Fact>}
      </dl>
      {measured.length > 0 && (
        <>
          <div
            class="stack-bar"
            role="img"
            aria-label={measured.map(({ label, nanos }) => `${label} ${duration(nanos)}`).join(", ")}
          >
            {measured.map(({ kind, nanos }) => (
              <span key={kind} class={`k-${kind}`} style={{ flexGrow: nanos / whole }} />
            ))}
          </div>
          <ul class="legend">
            {measured.map(({ kind, label, nanos, perSecond }) => (
              <li key={kind}>
                <span class={`kind k-${kind}`} /> {label} <b>{duration(nanos)}</b>
                {perSecond !== undefined && <span class="quiet"> {speed(perSecond)}</span>}
              </li>
            ))}
          </ul>
        </>
      )}
    </Section>
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Values
// ---------------------------------------------------------------------------------------------------------------------

const Table = ({ values }: { readonly values: Values }) => {
  const [all, setAll] = useState(false)
  const entries = Object.entries(values)
  return entries.length === 0 ? null : (
    <table class="values">
      <tbody>
        {(all ? entries : entries.slice(0, maximumEntries)).map(([key, value]) => (
          <tr key={key}>
            <th scope="row">{breakable(line(key))}</th>
            <td class={typeName(value)}>
              <Shown value={value} />
            </td>
          </tr>
        ))}
        {!all && entries.length > maximumEntries && (
          <tr>
            <td colSpan={2}>
              <button type="button" class="plain" onClick={() => setAll(true)}>
                {count(entries.length - maximumEntries, "more")}
              </button>
            </td>
          </tr>
        )}
      </tbody>
    </table>
  )
}

const maximumEntries = 100

/** The name of an attribute, which may go on in the next line after a dot or an underscore. */
const breakable = (key: string): ReadonlyArray<ComponentChildren> =>
  key.split(/(?<=[._])/).flatMap((part, index) => (index === 0 ? [part] : [<wbr key={index} />, part]))

const typeName = (value: Value): string =>
  value === null
    ? "null"
    : value instanceof Uint8Array
      ? "bytes"
      : Array.isArray(value)
        ? "list"
        : typeof value === "bigint"
          ? "number"
          : typeof value

const Shown = ({ value }: { readonly value: Value }) => {
  const type = typeName(value)
  if (typeof value === "string") {
    return <Long text={pretty(value)} />
  }
  if (Array.isArray(value) && value.length <= maximumEntries && value.every((item) => typeof item !== "object")) {
    return (
      <>
        <Type name="list" />
        {value.map((item, index) => (
          <span key={index} class="item">
            {line(plain(item), 1000)}
          </span>
        ))}
      </>
    )
  }
  return (
    <>
      {type !== "object" && type !== "null" && <Type name={type} />}
      {type === "object" && <Type name="map" />}
      <Long text={plain(value)} />
    </>
  )
}

const Type = ({ name }: { readonly name: string }) => <span class="type">{name}</span>

/** JSON within a text is easier to read over several lines: messages of conversations come so. */
const pretty = (text: string): string => {
  if (!/^[[{]/.test(text) || text.length < 80 || text.length > 200_000) {
    return text
  }
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2)
  } catch {
    return text
  }
}

// About a screen of text, and what a browser lays out without a pause.
const firstText = 1500
const moreText = 50_000

/** A text of any length: the start of it, and more whenever it is asked for. */
const Long = ({ class: name = "text", text }: { readonly text: string; readonly class?: string }) => {
  const [length, setLength] = useState(firstText)
  const left = text.length - length
  return (
    <>
      <span class={name} dir="auto">
        {visible(left > 0 ? cut(text, length) : text)}
        {left > 0 && "…"}
      </span>
      {left > 0 && (
        <button type="button" class="plain" onClick={() => setLength(length + moreText)}>
          {left > moreText ? `${integer(moreText)} of ${integer(left)}` : integer(left)} more characters
        </button>
      )}
    </>
  )
}
