/**
 * The endpoints of an Ollama double: what each path and method answers.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Http from "node:http"
import { isForbidden, preflight } from "./OllamaDoubleAccess.ts"
import * as Calls from "./OllamaDoubleCalls.ts"
import { type Models, tag } from "./OllamaDoubleModels.ts"
import * as Pull from "./OllamaDoublePull.ts"
import type { Stage } from "./OllamaDoubleQueue.ts"
import * as Read from "./OllamaDoubleRequest.ts"
import * as Go from "./OllamaGo.ts"
import type { Player } from "./OllamaReply.ts"
import type { Script } from "./OllamaScript.ts"

/** What a double knows from one request to the next. */
export interface State extends Calls.State {
  readonly script: Script
  readonly models: Models
}

/** A request that was read to its end. */
export interface Request {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  /** SHA-256 of an uploaded file, in hexadecimal digits. */
  readonly digest: string | undefined
  /** Nanoseconds of the monotonic clock. */
  readonly received: number
  readonly stage: (stage: Stage) => void
}

const methods: Readonly<Record<string, string>> = {
  "/": "GET, HEAD",
  "/api/version": "GET, HEAD",
  "/api/tags": "GET, HEAD",
  "/api/ps": "GET",
  "/api/show": "POST",
  "/api/chat": "POST",
  "/api/generate": "POST",
  "/api/embed": "POST",
  "/api/embeddings": "POST",
  "/api/pull": "POST",
  "/api/push": "POST",
  "/api/create": "POST",
  "/api/copy": "POST",
  "/api/delete": "DELETE",
  "/api/blobs": "HEAD, POST"
}

/** Whether a request carries a file, which is not kept. */
export const isUpload = (method: string | undefined, path: string | undefined): boolean =>
  method === "POST" && path !== undefined && path.startsWith("/api/blobs/")

export const handle = (state: State, request: Request, player: Player): Effect.Effect<void> => {
  const { script } = state
  const { method } = request
  const path = request.path.split("?", 1)[0] ?? ""
  const replaced = script.paths?.[`${method} ${path}`]
  if (replaced !== undefined) {
    return player.raw(replaced)
  }
  const { origin } = request.headers
  if (isForbidden(request.headers)) {
    return player.empty(403)
  }
  if (method === "OPTIONS" && origin !== undefined) {
    return player.empty(204, preflight(origin))
  }
  const cleaned = path.replace(/\/{2,}/g, "/").replace(/(.)\/$/, "$1")
  const allowed = methods[cleaned.replace(/^(\/api\/blobs)\/[^/]+$/, "$1")]
  if (allowed === undefined || cleaned === "/api/blobs") {
    return player.text(404, "404 page not found")
  }
  if (cleaned !== path) {
    return redirect(script, method, path, cleaned, player)
  }
  if (!allowed.split(", ").includes(method)) {
    return player.text(405, "405 method not allowed", { allow: allowed })
  }
  switch (path) {
    case "/":
      return player.text(200, "Ollama is running")
    case "/api/version":
      return player.json(200, { version: script.version ?? (script.old === true ? "0.5.7" : "0.33.1") })
    case "/api/tags":
      return player.json(200, { models: state.models.all.map((model) => tag(model, { old: script.old === true })) })
    case "/api/ps":
      return player.json(200, { models: Calls.loaded(state) })
    default:
      return path.startsWith("/api/blobs/")
        ? blob(state.models, request, path.slice("/api/blobs/".length), player)
        : withBody(state, path, request, player)
  }
}

// By the router for a slash at the end, by Go's own since 1.26 for two in a row.
const redirect = (script: Script, method: string, path: string, location: string, player: Player) => {
  const status = path.includes("//") ? (script.old === true ? 301 : 307) : method === "GET" ? 301 : 307
  const text = status === 301 ? "Moved Permanently" : "Temporary Redirect"
  return method === "GET" || method === "HEAD"
    ? player.html(status, `<a href="${location}">${text}</a>.\n\n`, { location })
    : player.empty(status, { location })
}

const withBody = (state: State, path: string, request: Request, player: Player): Effect.Effect<void> => {
  const { models } = state
  const read = Read.read(path, request.body)
  if (Result.isFailure(read)) {
    return player.refuse(read.failure)
  }
  const body = read.success
  switch (path) {
    case "/api/pull":
    case "/api/push":
    case "/api/create": {
      const name = Read.nameOf(body)
      const refused = Read.nameRefusal(path, name)
      const move = path === "/api/pull" ? Pull.pull : path === "/api/push" ? Pull.push : Pull.create
      return refused === undefined ? move(player, models, name, body) : player.refuse(refused)
    }
    case "/api/copy":
      return copy(models, body, player)
  }
  const found = Read.modelOf(path, body, models)
  if (Result.isFailure(found)) {
    return player.refuse(found.failure)
  }
  const model = found.success
  switch (path) {
    case "/api/show":
      return player.json(200, model.show)
    case "/api/delete":
      models.delete(model)
      return player.empty(200)
    default:
      return Calls.handle(state, { path, body, model, received: request.received, stage: request.stage }, player)
  }
}

const copy = (models: Models, body: Read.Body, player: Player): Effect.Effect<void> => {
  const text = (field: string) => String(body[field] ?? "")
  for (const field of ["source", "destination"]) {
    if (!Go.name(text(field)).valid) {
      return player.refuse({ status: 400, error: `${field} ${JSON.stringify(text(field))} is invalid` })
    }
  }
  const found = Read.find("/api/copy", text("source"), models)
  if (Result.isFailure(found)) {
    return player.refuse(found.failure)
  }
  models.copy(found.success, text("destination"))
  return player.empty(200)
}

const blob = ({ blobs }: Models, request: Request, digest: string, player: Player): Effect.Effect<void> => {
  if (!/^sha256[:-][0-9a-f]{64}$/.test(digest)) {
    return player.refuse({ status: 400, error: "invalid digest format" })
  }
  const expected = digest.replace("-", ":")
  if (request.method === "HEAD") {
    return player.empty(blobs.has(expected) ? 200 : 404)
  }
  if (blobs.has(expected)) {
    return player.empty(200)
  }
  const got = `sha256:${request.digest}`
  if (got !== expected) {
    return player.refuse({ status: 400, error: `digest mismatch, expected "${expected}", got "${got}"` })
  }
  blobs.add(expected)
  return player.empty(201)
}
