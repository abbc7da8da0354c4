/**
 * When a collector wants the next attempt: `google.rpc.RetryInfo` in the details of a gRPC status.
 *
 * https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
 *
 * @since 0.1.0
 */

/**
 * Reads the metadata `grpc-status-details-bin`, a `google.rpc.Status`, and gives the delay it asks for in milliseconds;
 * `undefined` when it asks for none, or cannot be read.
 */
export const millis = (details: unknown): number | undefined => {
  const status = details instanceof Uint8Array ? read(details) : undefined
  for (const detail of status?.bytes(3) ?? []) {
    const any = read(detail)
    const type = any?.bytes(1)[0]
    if (type !== undefined && new TextDecoder().decode(type).endsWith("/google.rpc.RetryInfo")) {
      const info = read(any?.bytes(2)[0] ?? new Uint8Array())
      const delay = read(info?.bytes(1)[0] ?? new Uint8Array())
      if (info !== undefined && delay !== undefined) {
        return Math.max(delay.number(1) * 1000 + delay.number(2) / 1e6, 0)
      }
    }
  }
  return undefined
}

interface Message {
  /** The values of a field that holds bytes. */
  readonly bytes: (field: number) => ReadonlyArray<Uint8Array>
  /** The value of a field that holds a number, 0 where it is left out. */
  readonly number: (field: number) => number
}

// Protobuf as far as it is needed. https://protobuf.dev/programming-guides/encoding/
const read = (message: Uint8Array): Message | undefined => {
  const bytes: Array<readonly [field: number, value: Uint8Array]> = []
  const numbers = new Map<number, number>()
  let at = 0
  const varint = (): number => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++]
      if (byte === undefined) {
        return Number.NaN
      }
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) {
        return Number(BigInt.asIntN(64, value))
      }
    }
    return Number.NaN
  }
  while (at < message.length) {
    const tag = varint()
    const field = Math.floor(tag / 8)
    const wire = tag % 8
    if (wire === 0) {
      const value = varint()
      if (Number.isNaN(value)) {
        return undefined
      }
      numbers.set(field, value)
    } else {
      const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : Number.NaN
      if (!(length >= 0 && at + length <= message.length)) {
        return undefined
      }
      bytes.push([field, message.subarray(at, at + length)])
      at += length
    }
  }
  return {
    bytes: (field) => bytes.filter(([of]) => of === field).map(([, value]) => value),
    number: (field) => numbers.get(field) ?? 0
  }
}
