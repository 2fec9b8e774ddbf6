// Reading PEM files and finding what is wrong with them before a handshake does: missing, not PEM,
// the key of another certificate, expired, no member's certificate. Owns no socket; `check` never
// prints.

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

import { peerNameOf } from "./certificate-files.ts";
import type { TlsFiles } from "./config.ts";
import { CommandError, EXIT } from "./exit.ts";
import { certificatesOf } from "./expiry.ts";

/** The contents of three PEM files that belong together. */
export interface TlsPems {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/** Names the setting a file came from, in an error: ("key") => "server-tls-key-file". */
export type NameOfPart = (part: keyof TlsFiles) => string;

/** Reads and checks the three files; throws CommandError naming the setting and the file. */
export function readTlsFiles(files: TlsFiles, nameOf: NameOfPart, now = Date.now()): TlsPems {
  const read = (part: keyof TlsFiles): Buffer => {
    try {
      return readFileSync(files[part]);
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new CommandError(`${nameOf(part)}: cannot read ${files[part]}: ${why}`, EXIT.usage);
    }
  };
  const pems = { cert: read("cert"), key: read("key"), ca: read("ca") };
  const refuse = (part: keyof TlsFiles, what: string): never => {
    throw new CommandError(`${nameOf(part)}: ${files[part]}: ${what}`, EXIT.usage);
  };
  const certificate =
    certificatesOf(pems.cert.toString())?.[0] ?? refuse("cert", "not a PEM certificate");
  // Several, while one authority is being replaced by the next; one that is no certificate would be
  // an authority that is missing without a word.
  const authorities = certificatesOf(pems.ca.toString()) ?? refuse("ca", "not a PEM certificate");
  if (!authorities.some(({ ca }) => ca)) refuse("ca", "no certificate of an authority");
  const key = parseKey(pems.key) ?? refuse("key", "not a PEM private key");
  if (!certificate.checkPrivateKey(key)) refuse("key", `not the key of ${files.cert}`);
  if (Date.parse(certificate.validTo) <= now) refuse("cert", `expired on ${certificate.validTo}`);
  return pems;
}

/** True when both hold the same bytes. */
export function samePems(a: TlsPems, b: TlsPems): boolean {
  return a.cert.equals(b.cert) && a.key.equals(b.key) && a.ca.equals(b.ca);
}

/** Throws unless the certificate lets its holder speak for `nodeName` on peer links. */
export function checkPeerCertificate(pems: TlsPems, files: TlsFiles, nodeName: string): void {
  const names = new X509Certificate(pems.cert).subjectAltName ?? "no alternative names";
  const needed = peerNameOf(nodeName);
  if (!names.split(", ").includes(`DNS:${needed}`)) {
    const what = `${files.cert}: does not speak for the member ${nodeName}`;
    const has = `it needs the name ${needed} and has ${names}`;
    throw new CommandError(`peer-tls-cert-file: ${what}: ${has}`, EXIT.usage);
  }
}

function parseKey(pem: Buffer): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}
