/**
 * A request to a collector as several, where it is too large for one.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { join, type Malformed, type Part, split } from "./OtlpTraces.ts"

// What gRPC servers take is 4 MiB unless they say otherwise; the rest is for what spans of one source share.
const usualBytes = 3 * 1024 * 1024

/** One of the requests, with the number of its spans. */
export interface Batch {
  readonly request: Uint8Array
  readonly spans: number
}

/**
 * Requests of so many bytes at most that hold the same spans, each byte for byte what it was. A span that is larger by
 * itself is in a request of its own, and a request that is small enough is left as it is.
 */
export const make = (
  request: Uint8Array,
  maximumBytes: number = usualBytes
): Result.Result<ReadonlyArray<Batch>, Malformed> =>
  Result.map(split(request), (parts) => {
    if (request.length <= maximumBytes) {
      return [{ request, spans: parts.reduce((sum, { spans }) => sum + spans.length, 0) }]
    }
    const batches: Array<Batch> = []
    let gathered: Array<{ readonly source: Part["source"]; readonly spans: Array<Uint8Array> }> = []
    let bytes = 0
    let spans = 0
    const end = () => {
      if (spans > 0) {
        batches.push({ request: join(gathered), spans })
      }
      gathered = []
      bytes = 0
      spans = 0
    }
    for (const { source, spans: all } of parts) {
      const shared = source.resource.length + source.scope.length
      for (const span of all) {
        const isNew = gathered.at(-1)?.source !== source
        if (bytes + span.length + (isNew ? shared : 0) > maximumBytes) {
          end()
        }
        if (gathered.at(-1)?.source !== source) {
          gathered.push({ source, spans: [] })
          bytes += shared
        }
        gathered.at(-1)!.spans.push(span)
        bytes += span.length
        spans++
      }
    }
    end()
    return batches
  })
