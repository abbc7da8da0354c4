/**
 * Models made from files of this machine.
 *
 * A file is read twice, piece by piece: once for its digest, and once to be sent, unless the server has it already.
 * https://github.com/ollama/ollama/blob/main/docs/api.md#create-a-model-from-a-gguf-file
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { basename, dirname, relative, resolve, sep } from "node:path"
import * as Ollama from "./Ollama.ts"

/** A file of a model could not be read. */
export class FileUnreadable extends Schema.TaggedError<FileUnreadable>()("FileUnreadable", {
  path: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `The file ${this.path} cannot be read. Check its path and permissions.`
  }
}

/** A model to be created from files. */
export interface CreateFromFiles extends Omit<Ollama.CreateRequest, "files" | "adapters"> {
  /** Paths of the model's files: one GGUF file, or all Safetensors and JSON files of a folder. */
  readonly files: ReadonlyArray<string>
  /** Paths of the files of an adapter (LoRA), for a model that `from` names. */
  readonly adapters?: ReadonlyArray<string> | undefined
}

/**
 * Creates a model from files: what the server has not got is sent to it first. Says `hashing` with the
 * name of each file and `uploading` with its name and size, then what the server says, `success` at last.
 */
export const create = (
  request: CreateFromFiles
): Stream.Stream<Ollama.Progress, Ollama.OllamaError | FileUnreadable, Ollama.Ollama> => {
  const digests = new Map<string, string>()
  const named = (paths: ReadonlyArray<string>) => {
    const folder = commonFolder(paths)
    return paths.length === 0
      ? undefined
      : Object.fromEntries(paths.map((path) => [nameIn(folder, path), digests.get(path) ?? ""]))
  }
  const paths = [...new Set([...request.files, ...(request.adapters ?? [])])]
  return Stream.concat(
    Stream.flatMap(Stream.fromIterable(paths), (path) => given(path, digests)),
    Stream.unwrap(
      Effect.map(Ollama.Ollama, (ollama) =>
        ollama.create({ ...request, files: named(request.files), adapters: named(request.adapters ?? []) })
      )
    )
  )
}

// Files of one name stand in folders of a model: `config.json` and `1_Pooling/config.json`.
const commonFolder = (paths: ReadonlyArray<string>): string => {
  const [first = [], ...others] = paths.map((path) => dirname(resolve(path)).split(sep))
  const parts = first.findIndex((part, index) => others.some((other) => other[index] !== part))
  return resolve(sep, ...first.slice(0, parts === -1 ? first.length : parts))
}

const nameIn = (folder: string, path: string): string => relative(folder, resolve(path)).split(sep).join("/")

/** Sees to it that the server has a file. */
const given = (path: string, digests: Map<string, string>) => {
  const name = basename(path)
  const said = (status: string, totalBytes?: number): Ollama.Progress => ({
    status: `${status} ${name}`,
    totalBytes,
    raw: {}
  })
  return Stream.concat(
    Stream.succeed(said("hashing")),
    Stream.unwrap(
      Effect.gen(function* () {
        const ollama = yield* Ollama.Ollama
        const { bytes, digest } = yield* hashed(path)
        digests.set(path, digest)
        let unreadable: FileUnreadable | undefined
        const sent = Stream.tapError(content(path), (error) => Effect.sync(() => (unreadable = error)))
        return (yield* ollama.hasBlob(digest))
          ? Stream.empty
          : Stream.concat(
              Stream.succeed(said("uploading", bytes)),
              Stream.drain(
                Stream.fromEffect(
                  // What fails is the request, with what stands behind it.
                  Effect.mapError(ollama.pushBlob({ digest, bytes, content: sent }), (error) => unreadable ?? error)
                )
              )
            )
      })
    )
  )
}

const content = (path: string): Stream.Stream<Uint8Array, FileUnreadable> =>
  Stream.suspend(() =>
    Stream.fromAsyncIterable(
      createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Uint8Array>, // no encoding is set
      (cause) => new FileUnreadable({ path, cause })
    )
  )

const hashed = (path: string): Effect.Effect<{ readonly bytes: number; readonly digest: string }, FileUnreadable> =>
  Effect.suspend(() => {
    const hash = createHash("sha256")
    let bytes = 0
    return Effect.map(
      Stream.runForEach(content(path), (chunk) =>
        Effect.sync(() => {
          hash.update(chunk)
          bytes += chunk.length
        })
      ),
      () => ({ bytes, digest: `sha256:${hash.digest("hex")}` })
    )
  })
