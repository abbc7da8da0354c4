/**
 * The facts of which calls fail: what happened, and what to do next.
 *
 * Messages never quote a prompt or an answer. The fields do: `partial` and `partialThinking` hold what had been answered,
 * `text` and `excerpt` what the server wrote, which may be any of both. Where content must not go, log the message and not
 * the object. A message repeats `text` only when it is one of those that Ollama is known to write.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { isOutOfMemory, isRunnerFailure, quote } from "./OllamaErrorText.ts"

const Cause = Schema.optional(Schema.Defect())
const Status = Schema.Finite
const Received = {
  /** What had been answered until then: content, not for logs. */
  partial: Schema.String,
  /** What had been thought until then: content, not for logs. */
  partialThinking: Schema.optional(Schema.String),
  /** The tools that had been asked for until then: content, not for logs. */
  partialToolCalls: Schema.optional(
    Schema.Array(Schema.Struct({ id: Schema.String, name: Schema.String, arguments: Schema.Unknown }))
  )
}

/** No connection, or it broke before the answer began. */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {
  url: Schema.String,
  /** The system's name for it: `ECONNREFUSED`, `ENOTFOUND`, `ECONNRESET`. */
  code: Schema.optional(Schema.String),
  /** Whether it was the connection of an earlier request, which the server had closed meanwhile. */
  stale: Schema.optional(Schema.Boolean),
  cause: Cause
}) {
  override get message() {
    const why = this.code === undefined ? "" : ` (${codes[this.code] ?? this.code})`
    return `Ollama is not reachable at ${this.url}${why}. Start it with "ollama serve", or set OLLAMA_HOST to where it runs.`
  }
  get refused() {
    return this.code === "ECONNREFUSED"
  }
  get isRetryable() {
    return this.code !== undefined && resets.has(this.code)
  }
}

const codes: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  UND_ERR_SOCKET: "connection closed",
  ENOTFOUND: "unknown host",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "no route to network"
}

// A host that does not exist now will not exist in a second; a connection that broke may come back.
const resets = new Set(["ECONNRESET", "UND_ERR_SOCKET", "EPIPE", "EAI_AGAIN", "ETIMEDOUT"])

/** The model is not installed. */
export class ModelNotFound extends Schema.TaggedError<ModelNotFound>()("ModelNotFound", {
  model: Schema.String,
  url: Schema.String,
  status: Status,
  text: Schema.String
}) {
  override get message() {
    return `Model "${this.model}" is not installed at ${this.url}. Install it with "ollama pull ${this.model}".`
  }
  readonly isRetryable = false
}

/** The server has too many requests (its queue is full), or a rate limit was reached. */
export class Busy extends Schema.TaggedError<Busy>()("Busy", {
  status: Status,
  text: Schema.String,
  /** When the server wants to be asked again, where it says so (`Retry-After`), in milliseconds. */
  retryAfterMillis: Schema.optional(Schema.Finite)
}) {
  override get message() {
    const when = this.retryAfterMillis === undefined ? "later" : `in ${Math.ceil(this.retryAfterMillis / 1000)} s`
    return `Ollama is busy (HTTP ${this.status}). Try again ${when}, send fewer requests at a time, or raise OLLAMA_MAX_QUEUE on the server.`
  }
  readonly isRetryable = true
}

/** Nothing came for too long. */
export class Timeout extends Schema.TaggedError<Timeout>()("Timeout", {
  url: Schema.String,
  /**
   * Connecting, waiting for the answer to begin (queue and load included) or to go on, waiting for the next report of work
   * on a model, for a list or a description of models, or the whole call.
   */
  phase: Schema.Literals(["connect", "first record", "idle", "progress", "list", "total"]),
  millis: Schema.Finite,
  /** In the phase `idle`: whether it was the program that left the answer unread, and not the server that was silent. */
  unread: Schema.optional(Schema.Boolean),
  ...Received
}) {
  override get message() {
    const seconds = `${this.millis / 1000} s`
    switch (this.phase) {
      case "connect":
        return `No connection to Ollama at ${this.url} within ${seconds}. Check OLLAMA_HOST, the network and the firewall.`
      case "first record":
        return `Ollama at ${this.url} did not begin to answer within ${seconds}. Loading or a queue may take longer: raise "firstRecordTimeout", or look at "ollama ps".`
      case "idle":
        return this.unread === true
          ? `An answer of Ollama at ${this.url} was left unread for ${seconds}, so it was stopped. Read it faster, or raise "idleTimeout".`
          : `Ollama at ${this.url} fell silent for ${seconds} in the middle of an answer. Raise "idleTimeout", or look at the server's log.`
      case "progress":
        return `Ollama at ${this.url} said nothing of its work for ${seconds}. Raise "firstRecordTimeout", or look at the server's log; a pull goes on where it stopped.`
      case "list":
        return `Ollama at ${this.url} did not answer within ${seconds} what it has in memory or on disk. Look at the server's log, or start it again.`
      case "total":
        return `The call of Ollama at ${this.url} was not over within ${seconds}. Raise "totalTimeout", or ask for fewer tokens ("maxTokens").`
    }
  }
  readonly isRetryable = false
}

/** The request is wrong, by our own check or by the server's. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  /** Absent when the request was not even sent. */
  status: Schema.optional(Status),
  /** Which option is wrong, where our own check says so. */
  option: Schema.optional(Schema.String),
  text: Schema.String,
  cause: Cause
}) {
  override get message() {
    return this.status === undefined
      ? this.text
      : `Ollama refused the request (HTTP ${this.status})${quote(this.text)}. Check the options of the call.`
  }
  readonly isRetryable = false
}

/** The model cannot do what is asked of it. */
export class Unsupported extends Schema.TaggedError<Unsupported>()("Unsupported", {
  model: Schema.String,
  /** `thinking`, `tools`, `chat`, …, or `this` where the server names none that is known. */
  capability: Schema.String,
  status: Status,
  text: Schema.String,
  /** The node that needs it, where that was found out before a run began. */
  node: Schema.optional(Schema.String)
}) {
  override get message() {
    const needed = this.node === undefined ? "" : `, which the node "${this.node}" needs`
    return `Model "${this.model}" does not support ${this.capability}${needed}. Choose another model, or leave that out; "ollama show ${this.model}" lists what it can do.`
  }
  readonly isRetryable = false
}

/** The prompt does not fit into the context. */
export class ContextExceeded extends Schema.TaggedError<ContextExceeded>()("ContextExceeded", {
  promptTokens: Schema.optional(Schema.Finite),
  numCtx: Schema.optional(Schema.Finite),
  status: Status,
  text: Schema.String
}) {
  override get message() {
    const sizes =
      this.promptTokens === undefined || this.numCtx === undefined
        ? ""
        : `: ${this.promptTokens} tokens, room for ${this.numCtx}`
    return `The prompt is longer than the model's context${sizes}. Shorten it, or raise "numCtx".`
  }
  readonly isRetryable = false
}

/** The model does not fit into memory. */
export class OutOfMemory extends Schema.TaggedError<OutOfMemory>()("OutOfMemory", {
  model: Schema.String,
  status: Status,
  text: Schema.String
}) {
  override get message() {
    return `Not enough memory for model "${this.model}". Use a smaller model or "numCtx", or unload others with "ollama stop".`
  }
  readonly isRetryable = true
}

/** The process that runs the model failed to start, or died. */
export class RunnerFailed extends Schema.TaggedError<RunnerFailed>()("RunnerFailed", {
  model: Schema.String,
  status: Status,
  text: Schema.String
}) {
  override get message() {
    return `Ollama could not run model "${this.model}"${quote(this.text)}. Look at the server's log; "ollama pull ${this.model}" repairs a damaged model.`
  }
  readonly isRetryable = true
}

/** The server, or a proxy in front of it, wants other credentials. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  url: Schema.String,
  signinUrl: Schema.optional(Schema.String),
  status: Status,
  text: Schema.String
}) {
  override get message() {
    return `Ollama at ${this.url} wants a sign-in (HTTP ${this.status}). Put user and password into OLLAMA_HOST, or run "ollama signin" for cloud models.`
  }
  readonly isRetryable = false
}

/** The server does not serve us. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {
  url: Schema.String,
  status: Status,
  text: Schema.String
}) {
  override get message() {
    return `Ollama at ${this.url} forbids the request (HTTP ${this.status})${quote(this.text)}. A server bound to loopback answers to local names only: let the proxy rewrite "Host", or set OLLAMA_HOST and OLLAMA_ORIGINS on the server.`
  }
  readonly isRetryable = false
}

/** A model in Ollama's cloud, or its server, was asked for, and nobody said that prompts may leave the machine. */
export class RemoteRefused extends Schema.TaggedError<RemoteRefused>()("RemoteRefused", { name: Schema.String }) {
  override get message() {
    return `"${this.name}" runs on ollama.com: what is sent would leave this machine. Choose a local model, or set "allowRemote" in Ollama.layer (--allow-remote on the command line).`
  }
  readonly isRetryable = false
}

/** Whatever answered is no Ollama API: a redirect, an unknown path, or a success of a kind that Ollama does not know. */
export class WrongUrl extends Schema.TaggedError<WrongUrl>()("WrongUrl", {
  url: Schema.String,
  status: Status,
  location: Schema.optional(Schema.String),
  text: Schema.String
}) {
  override get message() {
    return `${this.url} answers HTTP ${this.status}${this.location === undefined ? "" : ", a redirect"}: no Ollama there. Check the base URL (OLLAMA_HOST): scheme, port and path.`
  }
  readonly isRetryable = false
}

/** The server failed in a way that has no name here. */
export class ServerFailed extends Schema.TaggedError<ServerFailed>()("ServerFailed", {
  url: Schema.String,
  status: Status,
  text: Schema.String
}) {
  override get message() {
    return `Ollama at ${this.url} failed (HTTP ${this.status})${quote(this.text)}. Look at the server's log.`
  }
  get isRetryable() {
    return this.status === 502 || this.status === 504 || (this.status === 500 && this.text === "HTTP 500")
  }
}

/** The server reported an error after it had answered 200. */
export class StreamError extends Schema.TaggedError<StreamError>()("StreamError", {
  model: Schema.String,
  status: Status,
  text: Schema.String,
  /** Where to sign in, which servers of the cloud say. */
  signinUrl: Schema.optional(Schema.String),
  ...Received
}) {
  override get message() {
    return `Model "${this.model}" failed while it answered${quote(this.text)}. Look at the server's log.`
  }
  get isRetryable() {
    return isEmpty(this) && (isRunnerFailure(this.text) || isOutOfMemory(this.text))
  }
}

/** The answer ended without its last record: the connection broke, or the server closed it early. */
export class StreamInterrupted extends Schema.TaggedError<StreamInterrupted>()("StreamInterrupted", {
  model: Schema.String,
  status: Status,
  code: Schema.optional(Schema.String),
  ...Received,
  cause: Cause
}) {
  override get message() {
    return this.tell('What had come is in "partial".')
  }
  /** The message with another sentence about what had come. */
  tell(whatHadCome: string) {
    const why = this.code === undefined ? "" : ` (${this.code})`
    return `The answer of model "${this.model}" broke off${why}. ${whatHadCome} Look at the server's log.`
  }
  get isRetryable() {
    return isEmpty(this)
  }
}

/** A model could not be pulled, or not to its end. */
export class PullFailed extends Schema.TaggedError<PullFailed>()("PullFailed", {
  model: Schema.String,
  status: Status,
  /** What the server says, or `""` where the connection broke. */
  text: Schema.String,
  code: Schema.optional(Schema.String),
  cause: Cause
}) {
  override get message() {
    if (this.isUnknown) {
      return `There is no model "${this.model}" to pull. Look for its name and tag at https://ollama.com/library.`
    }
    const why =
      this.text === ""
        ? `broke off${this.code === undefined ? "" : ` (${this.code})`}`
        : `failed: ${cleaned(this.text)}`
    return `Pulling model "${this.model}" ${why}. Pull it again: what had come is kept, and it goes on from there.`
  }
  /** Whether the registry knows no model of this name. */
  get isUnknown() {
    return /file does not exist|manifest unknown|not found/i.test(this.text)
  }
  get isRetryable() {
    return this.text === "" || /EOF|connection re|timeout|timed out|no such host|max retries|dial tcp/i.test(this.text)
  }
}

/** A model could not be created. */
export class CreateFailed extends Schema.TaggedError<CreateFailed>()("CreateFailed", {
  model: Schema.String,
  status: Status,
  /** What the server says, or `""` where the connection broke. */
  text: Schema.String,
  code: Schema.optional(Schema.String),
  cause: Cause
}) {
  override get message() {
    const why = this.text === "" ? "The connection broke." : `The server says why in "text".`
    return `Model "${this.model}" could not be created${quote(this.text)}. ${why} Check the file (GGUF or Safetensors) and the request.`
  }
  readonly isRetryable = false
}

/** The vectors of an embedding are not what was asked for. */
export class EmbeddingInvalid extends Schema.TaggedError<EmbeddingInvalid>()("EmbeddingInvalid", {
  model: Schema.String,
  /** What is wrong with them; no content. */
  problem: Schema.String,
  status: Status,
  /** What the server says; `""` where it gave vectors. */
  text: Schema.String
}) {
  override get message() {
    return `Model "${this.model}" gave no usable vectors: ${this.problem}. Check that it is an embedding model ("ollama show ${this.model}"), and update Ollama.`
  }
  readonly isRetryable = false
}

/** An answer is not the JSON that was asked for. The answer itself is in no message. */
export class AnswerInvalid extends Schema.TaggedError<AnswerInvalid>()("AnswerInvalid", {
  model: Schema.String,
  /** Whether it was cut off at `maxTokens` or at the end of the context, before its JSON was whole. */
  truncated: Schema.Boolean,
  answerLength: Schema.Int,
  /** The answer: content, not for logs. */
  text: Schema.String,
  /** What is wrong with it. It may quote the answer. */
  issue: Schema.Defect()
}) {
  override get message() {
    return this.truncated
      ? `The answer of model "${this.model}" was cut off after ${this.answerLength} characters, before its JSON was whole. Raise "maxTokens" or "numCtx".`
      : `The answer of model "${this.model}" (${this.answerLength} characters) is not the JSON that its schema asks for. Ask again, say in the prompt what is wanted, or use a larger model.`
  }
  get isRetryable() {
    return !this.truncated
  }
}

// The addresses that a registry redirects to are signed in their query.
const cleaned = (text: string): string =>
  text
    .replace(/\?[^\s"]*/g, "")
    .replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ")
    .trim()
    .replace(/\.$/, "")
    .slice(0, 300)

/** What came is not what Ollama writes, or not even HTTP. */
export class Malformed extends Schema.TaggedError<Malformed>()("Malformed", {
  url: Schema.String,
  /** Absent when there was none to read. */
  status: Schema.optional(Status),
  /** What is wrong with it; no content. */
  problem: Schema.String,
  /** The first 200 characters of it, which may be content: not for logs. */
  excerpt: Schema.String,
  cause: Cause
}) {
  override get message() {
    return `What ${this.url} sent is not Ollama's: ${this.problem}. Check OLLAMA_HOST, and proxies on the way.`
  }
  readonly isRetryable = false
}

const isEmpty = (reason: {
  readonly partial: string
  readonly partialThinking?: string | undefined
  readonly partialToolCalls?: ReadonlyArray<unknown> | undefined
}) => reason.partial === "" && (reason.partialThinking ?? "") === "" && reason.partialToolCalls === undefined
