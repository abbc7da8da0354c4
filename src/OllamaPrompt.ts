/**
 * Prompts and tools of `effect/ai` as Ollama takes them.
 *
 * What Ollama has no place for is said, not dropped: the failure is a sentence about it.
 *
 * @since 0.1.0
 */
import type * as Prompt from "effect/ai/Prompt"
import type * as AiTool from "effect/ai/Tool"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as SchemaAST from "effect/SchemaAST"
import type { Message, Tool, ToolCall } from "./OllamaApi.ts"
import * as OllamaSchema from "./OllamaSchema.ts"

/** The messages of a prompt; a failure says what of it Ollama cannot take. */
export const messages = (prompt: Prompt.Prompt): Result.Result<ReadonlyArray<Message>, string> =>
  Result.map(Result.all(prompt.content.map(messagesOf)), (all) => inOrder(all.flat()))

// Tools that ran side by side give their results as they finish, and most templates show a model neither name nor id: it
// takes them for the answers to its calls in their order.
const inOrder = (messages: ReadonlyArray<Message>): ReadonlyArray<Message> => {
  const ordered: Array<Message> = []
  let at = 0
  while (at < messages.length) {
    const message = messages[at++] as Message // within its length
    ordered.push(message)
    const calls = message.toolCalls?.map(({ id }) => id) ?? []
    const results: Array<Message> = []
    while (calls.length > 0 && messages[at]?.role === "tool") {
      results.push(messages[at++] as Message) // just looked at
    }
    const place = ({ toolCallId }: Message): number => {
      const index = calls.indexOf(toolCallId ?? "")
      return index === -1 ? calls.length : index
    }
    ordered.push(...results.toSorted((a, b) => place(a) - place(b)))
  }
  return ordered
}

const messagesOf = (message: Prompt.Message): Result.Result<ReadonlyArray<Message>, string> => {
  switch (message.role) {
    case "system":
      return Result.succeed([{ role: "system", content: message.content }])
    case "user":
      return Result.map(textAndImages(message.content), (content) => [{ role: "user", ...content }])
    case "assistant":
      return assistant(message.content)
    case "tool":
      return Result.all(message.content.filter((part) => part.type === "tool-result").map(toolResult))
  }
}

const assistant = (
  parts: ReadonlyArray<Prompt.AssistantMessagePart>
): Result.Result<ReadonlyArray<Message>, string> => {
  let content = ""
  let thinking = ""
  const toolCalls: Array<ToolCall> = []
  const results: Array<Result.Result<Message, string>> = []
  for (const part of parts) {
    switch (part.type) {
      case "text":
        content += part.text
        break
      case "reasoning":
        thinking += part.text
        break
      case "tool-call":
        toolCalls.push({ id: part.id, name: part.name, arguments: part.params })
        break
      case "tool-result":
        results.push(toolResult(part))
        break
      case "file":
        return Result.fail("Ollama takes no files in what an assistant said. Leave them out of the history.")
      case "tool-approval-request":
        // Between the program and a person.
        break
    }
  }
  const said: Message = {
    role: "assistant",
    content,
    ...(thinking === "" ? {} : { thinking }),
    ...(toolCalls.length === 0 ? {} : { toolCalls })
  }
  const isEmpty = content === "" && thinking === "" && toolCalls.length === 0
  return Result.map(Result.all(results), (all) => (isEmpty ? all : [said, ...all]))
}

const toolResult = (part: Prompt.ToolResultPart): Result.Result<Message, string> => {
  const content =
    part.modelOutput === undefined
      ? Result.succeed({ content: toolText(part.result, part.isFailure) })
      : textAndImages(part.modelOutput)
  return Result.map(content, (content) => ({ role: "tool", toolName: part.name, toolCallId: part.id, ...content }))
}

/** The texts of a message, one below the other, and its images. */
export const textAndImages = (
  parts: ReadonlyArray<Prompt.TextPart | Prompt.FilePart>
): Result.Result<Pick<Message, "content" | "images">, string> => {
  const texts: Array<string> = []
  const images: Array<Uint8Array | string> = []
  for (const part of parts) {
    if (part.type === "text") {
      texts.push(part.text)
      continue
    }
    if (!part.mediaType.startsWith("image/")) {
      return Result.fail(`Ollama takes images, and no files of type "${part.mediaType.slice(0, 100)}". Send its text.`)
    }
    const { data } = part
    const text = typeof data === "string" ? data : data instanceof URL ? data.href : undefined
    if (text !== undefined && /^(?!data:)[a-z][a-z0-9+.-]*:/i.test(text)) {
      return Result.fail("Ollama does not fetch images by URL. Send the bytes, base64, or a data URL.")
    }
    images.push(typeof data === "string" || data instanceof Uint8Array ? data : data.href)
  }
  return Result.succeed({ content: texts.join("\n"), ...(images.length === 0 ? {} : { images }) })
}

/** What a model is told that a tool gave: a text as it is, anything else as JSON, and of a failure what went wrong. */
export const toolText = (result: unknown, isFailure: boolean): string => {
  const value = isFailure ? problemOf(result) : result
  const text = typeof value === "string" ? value : JSON.stringify(value)
  // A tool that gives nothing has done its work, and models take an empty answer for a failure.
  return isFailure ? `Error: ${text ?? "no reason was given"}` : (text ?? "done")
}

// Errors of `effect/ai`, decoded or as they are encoded, wrap what matters: why.
const problemOf = (result: unknown): unknown => {
  if (!Predicate.isObject(result)) {
    return result
  }
  const reason = Predicate.hasProperty(result, "reason") ? result.reason : undefined
  if (typeof reason === "string" && Predicate.hasProperty(result, "type")) {
    return reason // a call that was denied or interrupted
  }
  if (Predicate.isTagged(result, "AiError") && Predicate.isObject(reason)) {
    const { description, _tag } = reason as { readonly description?: unknown; readonly _tag?: unknown }
    return typeof description === "string" ? description : _tag
  }
  return result
}

/** A tool as Ollama shows it to a model. A failure says why it cannot. */
export const tool = (given: AiTool.Any): Result.Result<Tool, string> => {
  if (Predicate.hasProperty(given, "~effect/ai/Tool/ProviderDefined")) {
    return Result.fail(`The tool "${given.name}" is one that another provider runs; Ollama runs none itself.`)
  }
  const parameters = Predicate.hasProperty(given, "jsonSchema") ? given.jsonSchema : undefined
  return Result.try({
    try: () => ({
      name: given.name,
      description: given.description ?? SchemaAST.resolveDescription(given.parametersSchema.ast),
      parameters: Predicate.isObject(parameters)
        ? (parameters as Readonly<Record<string, unknown>>)
        : OllamaSchema.parameters(given.parametersSchema)
    }),
    catch: (error) =>
      `The parameters of the tool "${given.name}" have no JSON Schema: ${error instanceof Error ? error.message : String(error)}`
  })
}
