/**
 * Models of an Ollama double that always fail, each in its way: `fault/busy`, `fault/out-of-memory`, …
 *
 * They are in no list, but `show` knows them, so that a client which looks first gets as far as the failure.
 *
 * @since 0.1.0
 */
import * as Go from "./OllamaGo.ts"

/** How a call fails. */
export interface Fault {
  readonly status: number
  /** `undefined` for an empty body. */
  readonly error: string | undefined
  readonly fields?: Readonly<Record<string, unknown>>
  /** The answer has begun before it fails: a line after a 200, unless the client did not want a stream. */
  readonly late?: boolean
}

interface Failing {
  readonly path: string
  /** As asked for. */
  readonly name: string
  /** With all its parts. */
  readonly full: string
}

const fault = (status: number, error: string | undefined, rest: Omit<Fault, "status" | "error"> = {}) => ({
  status,
  error,
  ...rest
})

const contextExceeded = {
  error: {
    code: 400,
    message: "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    type: "exceed_context_size_error",
    n_prompt_tokens: 5000,
    n_ctx: 4096
  }
}

// https://github.com/ollama/ollama/blob/main/server/routes.go and what is behind it.
const faults: Readonly<Record<string, (failing: Failing) => Fault>> = {
  "missing-body": () => fault(400, "missing request body"),
  "bad-json": () => fault(400, "invalid character 'x' looking for beginning of value"),
  "truncated-body": () => fault(400, "unexpected EOF"),
  "wrong-type": () =>
    fault(400, "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"),
  "model-required": () => fault(400, "model is required"),
  "model-empty": () => fault(404, "model '' not found"),
  "invalid-name": () => fault(400, "invalid model name"),
  "tools-unsupported": ({ full }) => fault(400, `${full} does not support tools`),
  "insert-unsupported": ({ full }) => fault(400, `${full} does not support insert`),
  "thinking-unsupported": ({ name }) => fault(400, `${JSON.stringify(name)} does not support thinking`),
  "talking-unsupported": ({ name, path }) =>
    fault(400, `${JSON.stringify(name)} does not support ${path === "/api/chat" ? "chat" : "generate"}`),
  "embedding-unsupported": () => fault(501, "This server does not support embeddings. Start it with `--embeddings`"),
  "bad-think": () => fault(400, 'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)'),
  "bad-keep-alive": () => fault(400, 'time: missing unit in duration "5"'),
  "bad-top-logprobs": () => fault(400, "top_logprobs must be between 0 and 20"),
  "bad-raw": () => fault(400, "raw mode does not support template, system, or context"),
  "bad-option": () => fault(500, 'option "stop" must be of type array'),
  "bad-format": () => fault(500, 'invalid format: "xml"; expected "json" or a valid JSON Schema object'),
  "context-unshifted": () =>
    fault(400, "the prompt is longer than the context length currently available to the model"),
  "context-exceeded": () => fault(400, JSON.stringify(contextExceeded)),
  "embed-too-long": () => fault(400, "the input length exceeds the context length"),
  "embed-crashed": () => fault(400, 'do embedding request: Post "http://127.0.0.1:39041/embedding": EOF'),
  "embed-nan": () => fault(400, "embedding contains NaN or Inf values"),
  busy: () => fault(503, "server busy, please try again.  maximum pending requests exceeded"),
  "out-of-memory": () => fault(500, "cudaMalloc failed: out of memory"),
  "out-of-memory-old": () => fault(500, "model requires more system memory (5.6 GiB) than is available (3.1 GiB)"),
  "load-failed": () => fault(500, "llama-server process has terminated: exit status 2"),
  "load-failed-old": () => fault(500, "llama runner process has terminated: exit status 2"),
  "load-timeout": () => fault(500, "timed out waiting for llama-server to start - progress 0.00 - "),
  "runner-gone": () =>
    fault(
      500,
      "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details"
    ),
  "runner-died": () => fault(500, "an error was encountered while running the model: unexpected EOF", { late: true }),
  "token-repeat": () => fault(500, "prediction aborted, token repeat limit reached", { late: true }),
  "bad-tool-call": () =>
    fault(500, `error parsing tool call: raw='{"name":', err=unexpected end of JSON input`, { late: true }),
  "not-signed-in": () =>
    fault(401, "unauthorized", { fields: { signin_url: "https://ollama.com/connect?name=double&key=none" } }),
  "rate-limited": () => fault(429, "too many requests"),
  "cloud-unreachable": () => fault(502, "remote model is unreachable"),
  "cloud-disabled": () => fault(403, "ollama cloud is disabled: remote model is unavailable"),
  forbidden: () => fault(403, undefined),
  canceled: () => fault(499, "request canceled"),
  panic: () => fault(500, undefined)
}

/** The models that fail. */
export const names: ReadonlyArray<string> = Object.keys(faults).map((name) => `fault/${name}`)

/** How a model fails; `undefined` for one that does not. */
export const find = (path: string, name: string): Fault | undefined => {
  const { full, key } = Go.name(name)
  const [, which = ""] = /^registry\.ollama\.ai\/fault\/([^:]*):latest$/.exec(key) ?? []
  return Object.hasOwn(faults, which) ? faults[which]?.({ path, name, full }) : undefined
}
