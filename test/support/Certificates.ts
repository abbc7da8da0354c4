/**
 * Certificates for tests, made when they are needed: an authority, and what it signs.
 *
 * Node has keys and signatures, but makes no certificates, so that the few structures of X.509 they need are written
 * here. https://www.rfc-editor.org/rfc/rfc5280#section-4.1
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A certificate and its key, in PEM. */
export interface Identity {
  readonly certificate: string
  readonly key: string
}

export interface Authority extends Identity {
  /** For a server at 127.0.0.1, ::1 and localhost, or at the given name alone. */
  readonly server: (name?: string) => Identity
  readonly client: (name: string) => Identity
}

/** A new authority, that nobody knows. */
export const authority = (name = "TinyLLM tests"): Authority => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const issue = (subject: string, key: KeyObject, extensions: ReadonlyArray<Buffer>): string =>
    pem(certificate(name, privateKey, publicKey, subject, key, extensions))
  const identity = (subject: string, extensions: ReadonlyArray<Buffer>): Identity => {
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" })
    return { certificate: issue(subject, pair.publicKey, extensions), key: keyPem(pair.privateKey) }
  }
  return {
    certificate: issue(name, publicKey, [
      extension("2.5.29.19", sequence(boolean(true)), true),
      // keyCertSign and cRLSign.
      extension("2.5.29.15", tagged(0x03, Buffer.from([1, 0b0000_0110])), true)
    ]),
    key: keyPem(privateKey),
    server: (host) =>
      identity(host ?? "localhost", [
        extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.1"))),
        extension(
          "2.5.29.17",
          host === undefined
            ? sequence(
                tagged(0x82, Buffer.from("localhost")),
                tagged(0x87, Buffer.from([127, 0, 0, 1])),
                tagged(0x87, Buffer.from([...Array<number>(15).fill(0), 1]))
              )
            : sequence(tagged(0x82, Buffer.from(host)))
        )
      ]),
    client: (client) => identity(client, [extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.2")))])
  }
}

/** Texts as files in a folder of their own; `remove` takes it away. */
export const files = <Name extends string>(
  texts: Readonly<Record<Name, string>>
): { readonly paths: Readonly<Record<Name, string>>; readonly remove: () => void } => {
  const folder = mkdtempSync(join(tmpdir(), "tinyllm-certificates-"))
  const paths = Object.fromEntries(
    Object.entries<string>(texts).map(([name, text]) => {
      const path = join(folder, `${name}.pem`)
      writeFileSync(path, text)
      return [name, path]
    })
  ) as Record<Name, string>
  return { paths, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

const certificate = (
  issuer: string,
  issuerKey: KeyObject,
  issuerPublicKey: KeyObject,
  subject: string,
  key: KeyObject,
  extensions: ReadonlyArray<Buffer>
): Buffer => {
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"))
  const hour = 3_600_000
  const toBeSigned = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    tagged(0x02, Buffer.from([1, ...randomBytes(15)])),
    algorithm,
    commonName(issuer),
    sequence(time(new Date(Date.now() - hour)), time(new Date(Date.now() + 24 * hour))),
    commonName(subject),
    key.export({ type: "spki", format: "der" }),
    tagged(
      0xa3,
      sequence(
        ...extensions,
        extension("2.5.29.14", tagged(0x04, keyId(key))),
        extension("2.5.29.35", sequence(tagged(0x80, keyId(issuerPublicKey))))
      )
    )
  )
  const signature = sign("sha256", toBeSigned, issuerKey)
  return sequence(toBeSigned, algorithm, tagged(0x03, Buffer.concat([Buffer.from([0]), signature])))
}

const pem = (der: Buffer): string =>
  [
    "-----BEGIN CERTIFICATE-----",
    ...(der.toString("base64").match(/.{1,64}/g) ?? []),
    "-----END CERTIFICATE-----",
    ""
  ].join("\n")

const keyPem = (key: KeyObject): string => String(key.export({ type: "pkcs8", format: "pem" }))

const keyId = (key: KeyObject): Buffer =>
  createHash("sha1")
    .update(key.export({ type: "spki", format: "der" }))
    .digest()

// ---------------------------------------------------------------------------------------------------------------------
// DER. https://letsencrypt.org/docs/a-warm-welcome-to-asn1-and-der/
// ---------------------------------------------------------------------------------------------------------------------

const tagged = (tag: number, content: Buffer): Buffer => {
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (...parts: ReadonlyArray<Buffer>): Buffer => tagged(0x30, Buffer.concat(parts))

const boolean = (value: boolean): Buffer => tagged(0x01, Buffer.from([value ? 255 : 0]))

const oid = (text: string): Buffer => {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number)
  const base128 = (value: number): ReadonlyArray<number> =>
    value < 128 ? [value] : [...base128(value >> 7).map((byte) => byte | 128), value & 127]
  return tagged(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

const commonName = (name: string): Buffer =>
  sequence(tagged(0x31, sequence(oid("2.5.4.3"), tagged(0x0c, Buffer.from(name)))))

const time = (date: Date): Buffer =>
  tagged(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replace(/[-:T]/g, "")}Z`))

const extension = (id: string, value: Buffer, critical = false): Buffer =>
  sequence(oid(id), ...(critical ? [boolean(true)] : []), tagged(0x04, value))
