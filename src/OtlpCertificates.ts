/**
 * The certificates of a connection to a collector, from the files that the settings name.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import { createSecureContext } from "node:tls"
import type { Sourced } from "./EnvironmentValues.ts"
import type { OtlpSettings } from "./OtlpSettings.ts"

/** In PEM: whose certificates are trusted, by default those that Node knows, and who the program is. */
export interface Certificates {
  readonly authorities: Buffer | undefined
  readonly key: Buffer | undefined
  readonly certificate: Buffer | undefined
}

/** Reads the files. The failure says which variable is wrong and quotes nothing. */
export const read = ({
  certificate,
  clientCertificate,
  clientKey
}: OtlpSettings): Result.Result<Certificates, string> => {
  if ((clientKey === undefined) !== (clientCertificate === undefined)) {
    return Result.fail(`${(clientKey ?? clientCertificate)?.source} needs both, a client's key and its certificate`)
  }
  return Result.gen(function* () {
    const read = {
      authorities: yield* file(certificate),
      key: yield* file(clientKey),
      certificate: yield* file(clientCertificate)
    }
    yield* Result.try({
      try: () => createSecureContext({ ca: read.authorities, key: read.key, cert: read.certificate }),
      catch: () =>
        `${[certificate, clientKey, clientCertificate].flatMap((file) => file?.source ?? []).join(", ")}: TLS refuses what is in the file`
    })
    return read
  })
}

const file = (named: Sourced<string> | undefined): Result.Result<Buffer | undefined, string> =>
  named === undefined
    ? Result.succeed(undefined)
    : Result.flatMap(
        Result.try({
          try: () => readFileSync(named.value),
          catch: () => `${named.source} names a file that cannot be read`
        }),
        // TLS takes a file without certificates for an empty list, and then trusts nobody.
        (bytes) =>
          bytes.includes("-----BEGIN") ? Result.succeed(bytes) : Result.fail(`${named.source} names a file without PEM`)
      )
