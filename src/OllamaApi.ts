/**
 * The types of model calls, and names of models.
 *
 * https://github.com/ollama/ollama/blob/main/docs/api.md
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

/** One message of a conversation. */
export interface Message {
  readonly role: "system" | "user" | "assistant" | "tool"
  readonly content: string
  /** Pictures for models that see: bytes of a file (PNG, JPEG, …), or the same in base64. */
  readonly images?: ReadonlyArray<Uint8Array | string> | undefined
  /** What the assistant thought before it answered. Some models want it back together with their tool calls. */
  readonly thinking?: string | undefined
  /** What the assistant asked for, as `Completion.toolCalls` has it. */
  readonly toolCalls?: ReadonlyArray<ToolCall> | undefined
  /** In the answer of a tool: its name. `Ollama.toolResult` sets this and the next one. */
  readonly toolName?: string | undefined
  /** In the answer of a tool: the `id` of the call that it answers. */
  readonly toolCallId?: string | undefined
}

/** What a model may ask for. `Ollama.tool` makes one from a schema of Effect. */
export interface Tool {
  readonly name: string
  readonly description?: string | undefined
  /**
   * JSON Schema of its arguments, an object. Ollama shows the model `type`, `description`, `enum`, `items`, `anyOf`,
   * `properties` and `required` of it; the rest is dropped by the server without a word.
   */
  readonly parameters: Readonly<Record<string, unknown>>
}

/** A tool that a model asks for. */
export interface ToolCall {
  /** Made by us for each call, because a server may give none, an empty one, or the same one twice. */
  readonly id: string
  readonly name: string
  /**
   * An object as the model wrote it, `{}` where it wrote none; a text where that is no JSON object. Nothing is checked:
   * `Ollama.decodeToolCall` does that. Content: not for logs.
   */
  readonly arguments: unknown
}

/**
 * How long a model stays loaded after a call: a `Duration.Input` of Effect (a bare number is milliseconds), a duration of
 * Go (`"5m"`, `"1h30m"`), a number in a text, which is seconds (`"300"`), 0 to unload it at once, `"forever"` or anything
 * negative to keep it.
 */
export type KeepAlive = Duration.Input | "forever" | (string & {})

/** Which model, and how it is loaded. Other values than those it is loaded with make the server load it again. */
export interface LoadOptions {
  /** Name with its tag, `qwen2.5:0.5b`; without one the server takes `:latest`. */
  readonly model: string
  /** The server's own unless set: 5 minutes, or its OLLAMA_KEEP_ALIVE. */
  readonly keepAlive?: KeepAlive | undefined
  /** Size of the context in tokens, at least 4. The server's own unless set: 4096 or more, by the memory there is. */
  readonly numCtx?: number | undefined
  /** Tokens of the prompt that are read at a time, at least 1. */
  readonly numBatch?: number | undefined
  /** Layers on the GPU; 0 for none, -1 for as many as fit. */
  readonly numGpu?: number | undefined
  /** Index of the GPU for what is not split, from 0. */
  readonly mainGpu?: number | undefined
  /** Threads of the CPU; 0 for as many as the server thinks right. */
  readonly numThread?: number | undefined
  /** Whether the file of the model is mapped into memory. */
  readonly useMmap?: boolean | undefined
  /** Tokens that a draft model guesses ahead, at least 0. */
  readonly draftNumPredict?: number | undefined
}

/** A model to be loaded before it is needed. */
export interface LoadRequest extends LoadOptions {
  /** As in calls, which load the model again where they differ. */
  readonly shift?: boolean | undefined
}

/**
 * What a model call may set. What is absent is left to the model's own settings, except for `maxTokens` and `truncate`.
 * A value that is out of range fails with `InvalidRequest` before anything is sent.
 */
export interface Options extends LoadOptions {
  /** At least 0; 0 takes the likeliest token each time. */
  readonly temperature?: number | undefined
  /** From 0 to 1: the likeliest tokens that have this share together. */
  readonly topP?: number | undefined
  /** So many of the likeliest tokens; 0 for all. */
  readonly topK?: number | undefined
  /** From 0 to 1: tokens that have at least this share of the likeliest one's. */
  readonly minP?: number | undefined
  /** From 0 to 1; 1 is off. */
  readonly typicalP?: number | undefined
  /** Tokens looked back at for repetitions; 0 is off, -1 is the whole context. */
  readonly repeatLastN?: number | undefined
  /** Above 0; 1 is off, more makes repetitions rarer. */
  readonly repeatPenalty?: number | undefined
  /** Any number; 0 is off. */
  readonly presencePenalty?: number | undefined
  /** Any number; 0 is off. */
  readonly frequencyPenalty?: number | undefined
  /** Tokens generated at most, thinking included: 2048 by default, at least 1. Ollama's own default has no bound. */
  readonly maxTokens?: number | undefined
  /** From 0 to 4294967295; -1 is a random one. */
  readonly seed?: number | undefined
  /** Texts that end the answer. An empty list is not sent: it would wipe the model's own. */
  readonly stop?: ReadonlyArray<string> | undefined
  /** Tokens at the start of the prompt that are kept when it is cut; -1 for all. */
  readonly numKeep?: number | undefined
  /** Whether a thinking model thinks, and how much; models that cannot refuse anything but `false`. */
  readonly think?: boolean | "low" | "medium" | "high" | "max" | undefined
  /**
   * `"json"` for any JSON object, or a JSON Schema that the answer follows (unless it is cut by `maxTokens`);
   * `Ollama.format` makes one of a schema of Effect, and `object` decodes the answer too.
   */
  readonly format?: "json" | Readonly<Record<string, unknown>> | undefined
  /** Whether Ollama may cut a prompt that is too long, in silence; `false` by default: it is an error. */
  readonly truncate?: boolean | undefined
  /** Whether the context moves on when it is full in the middle of an answer. Another value loads the model again. */
  readonly shift?: boolean | undefined
  /** Whether `Completion.logprobs` is wanted. */
  readonly logprobs?: boolean | undefined
  /** So many alternatives for each token, from 0 to 20, with `logprobs`. */
  readonly topLogprobs?: number | undefined
}

/** A conversation to be continued by the model. */
export interface ChatRequest extends Options {
  readonly messages: ReadonlyArray<Message>
  /** What the model may ask for instead of answering. A model that knows no tools refuses any. */
  readonly tools?: ReadonlyArray<Tool> | undefined
}

/** A single prompt, put into the model's own template. */
export interface GenerateRequest extends Options {
  readonly prompt: string
  readonly system?: string | undefined
  /** What stands behind the gap that the model fills: needs the capability `insert`. */
  readonly suffix?: string | undefined
  /** Pictures for models that see, as `Message.images`. */
  readonly images?: ReadonlyArray<Uint8Array | string> | undefined
  /** A template of Go instead of the model's own. */
  readonly template?: string | undefined
  /** Whether the prompt goes to the model as it is, without template or system. */
  readonly raw?: boolean | undefined
}

/** How likely a token was. */
export interface Logprob {
  readonly token: string
  /** Natural logarithm of its probability. */
  readonly logprob: number
  /** What could have stood there, where `topLogprobs` asked for it. */
  readonly top?: ReadonlyArray<Logprob> | undefined
}

/** Where the server says its time went. What it left out is absent, never zero. */
export interface Timings {
  readonly total?: Duration.Duration | undefined
  /** Queueing, evicting and loading: never quite zero, also when the model is loaded. */
  readonly load?: Duration.Duration | undefined
  /** Reading the prompt. */
  readonly promptEval?: Duration.Duration | undefined
  /** Generating the answer. */
  readonly eval?: Duration.Duration | undefined
}

/** A finished answer. */
export interface Completion {
  readonly text: string
  readonly thinking?: string | undefined
  /**
   * The tools that the model asks for, in its order; empty when it asks for none. The server's `doneReason` is `stop` in
   * both cases.
   */
  readonly toolCalls: ReadonlyArray<ToolCall>
  /** As the server says. */
  readonly model: string
  /** `stop`, `length` when `maxTokens` or the context cut the answer, or whatever else the server says. */
  readonly doneReason?: string | undefined
  /** Tokens of the prompt; absent when the server gave no count. */
  readonly inputTokens?: number | undefined
  /** Tokens generated, thinking included; absent when the server gave no count. */
  readonly outputTokens?: number | undefined
  readonly timings: Timings
  /** From sending the request to the first text, thinking or tool call. */
  readonly timeToFirstToken?: Duration.Duration | undefined
  /** One for each token, where they were asked for. */
  readonly logprobs?: ReadonlyArray<Logprob> | undefined
  /** The server's last record as it came, with fields that have no name here. Content: not for logs. */
  readonly raw?: Readonly<Record<string, unknown>> | undefined
}

/** A piece of an answer as it comes; `Done` is the last one. */
export type Part =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Thinking"; readonly text: string }
  | ({ readonly _tag: "ToolCall" } & ToolCall)
  | { readonly _tag: "Done"; readonly completion: Completion }

/** Words with the space that follows them: the pieces in which our own servers answer. */
export const words = (text: string): ReadonlyArray<string> => text.match(/\S+\s*|\s+/g) ?? []

// ---------------------------------------------------------------------------------------------------------------------
// Names of models
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Whether two names mean the same model: the tag `latest`, the namespace `library` and the registry `registry.ollama.ai`
 * may be left out, and case does not matter.
 */
export const sameModel = (a: string, b: string): boolean => canonicalName(a) === canonicalName(b)

/** The full name of a model, in lower case: names that mean the same model have the same. */
export const canonicalName = (name: string): string => {
  const lower = name.trim().toLowerCase()
  const slash = lower.lastIndexOf("/")
  const colon = lower.indexOf(":", slash + 1)
  const path = (colon === -1 ? lower : lower.slice(0, colon)).split("/")
  const tag = colon === -1 ? "latest" : lower.slice(colon + 1) || "latest"
  return `${["registry.ollama.ai", "library"]
    .slice(0, Math.max(0, 3 - path.length))
    .concat(path)
    .join("/")}:${tag}`
}

/**
 * Whether Ollama would forward a request for this model, prompt and all, to ollama.com. It trims the tag before it looks,
 * of what Unicode calls white space.
 */
export const isRemoteModel = (name: string): boolean => /[:-][\s\u0085]*cloud[\s\u0085]*$/i.test(name)
