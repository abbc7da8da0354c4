// Streams chat answers as Ollama does, record by record, and does nothing else: the server of the benchmark of streams.
// Prints its port. The number of records is its argument.
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const records = Number(process.argv[2])

const model = "qwen2.5:0.5b"
const createdAt = "2026-08-21T10:00:00.123456789Z"
const words = ["The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", "."]
const lines = Array.from({ length: records - 1 }, (_, index) => {
  const message = { role: "assistant", content: words[index % words.length] }
  return `${JSON.stringify({ model, created_at: createdAt, message, done: false })}\n`
})
lines.push(
  `${JSON.stringify({
    model,
    created_at: createdAt,
    message: { role: "assistant", content: "" },
    done: true,
    done_reason: "stop",
    total_duration: 5_000_000_000,
    load_duration: 1_200_000_000,
    prompt_eval_count: 26,
    prompt_eval_duration: 400_000_000,
    eval_count: records - 1,
    eval_duration: 2_950_000_000
  })}\n`
)

const server = createServer((request, response) => {
  request.resume()
  request.once("end", () => {
    response.socket?.setNoDelay(true)
    response.writeHead(200, { "content-type": "application/x-ndjson" })
    let next = 0
    // Each record is flushed by itself, as Ollama does; other requests get their turn in between.
    const write = (): void => {
      const line = lines[next++]
      if (line === undefined) {
        response.end()
      } else {
        response.write(line)
        setImmediate(write)
      }
    }
    write()
  })
})

server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
// The benchmark's end is this one's.
process.stdin.on("close", () => process.exit()).resume()
