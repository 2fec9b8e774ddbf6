// Certificates for a cluster without a certificate authority of its own: one CA, one certificate a
// node (server and peer in one, or one for each), one a client. ECDSA P-256; PEM files, keys
// readable by the owner only. Owns what a certificate of Cairn's looks like; does not own where
// agents find them.

import "reflect-metadata";

import { webcrypto } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

import {
  AUTHORITY_BASE,
  type CertificateFiles,
  certificateFiles,
  clientBase,
  PEER_SUFFIX,
  peerBase,
  peerNameOf,
  serverBase,
} from "./certificate-files.ts";
import { CommandError, EXIT } from "./exit.ts";

type CryptoKey = webcrypto.CryptoKey;

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of a cluster's machines differ: a new certificate is already valid on a slow one. */
const BACKDATE_MS = 60 * 60 * 1000;
const CA_DAYS = 3650;
export const DEFAULT_DAYS = 365;

export interface Authority {
  readonly certificate: X509Certificate;
  readonly key: CryptoKey;
}

/**
 * Makes a certificate authority in `directory`; never replaces one, for all it signed would die.
 */
export async function createAuthority(directory: string, name: string): Promise<Authority> {
  const files = certificateFiles(directory, AUTHORITY_BASE);
  if (existsSync(files.key) || existsSync(files.cert)) {
    throw new CommandError(`${files.cert}: there is a certificate authority here already`);
  }
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: drawSerial(),
    name: [{ CN: [name] }],
    ...validity(CA_DAYS),
    signingAlgorithm: SIGNING_ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await writePair(files, certificate, keys.privateKey);
  return { certificate, key: keys.privateKey };
}

/** Reads the authority that `createAuthority` made. */
export async function openAuthority(directory: string): Promise<Authority> {
  const files = certificateFiles(directory, AUTHORITY_BASE);
  try {
    const key = PemConverter.decodeFirst(readFileSync(files.key, "utf8"));
    return {
      certificate: new X509Certificate(readFileSync(files.cert, "utf8")),
      key: await webcrypto.subtle.importKey("pkcs8", key, KEY_ALGORITHM, false, ["sign"]),
    };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const why = missing ? "no certificate authority here" : "cannot be read as PEM";
    const hint = missing ? `; make one with: cairn certs init --dir ${directory}` : "";
    throw new CommandError(`${files.key}: ${why}${hint}`);
  }
}

/** How long a certificate is valid, and whether it may take the place of an older one. */
export interface IssueOptions {
  readonly days?: number;
  readonly renew?: boolean;
}

/**
 * A node's certificate: a server to clients, both ends to peers. `hosts` are the names and
 * addresses that clients dial; the peer name binds its links to the one member.
 */
export async function createNodeCertificate(
  authority: Authority,
  directory: string,
  nodeName: string,
  hosts: readonly string[],
  options: IssueOptions = {},
): Promise<CertificateFiles> {
  const files = certificateFiles(directory, nodeName);
  // The peer name is its common name too: a client's subject never ends like that, so a node's
  // certificate grants no subject's rights, whatever the node is called.
  return issue(authority, files, peerNameOf(nodeName), options, [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    alternativeNames([...hosts, peerNameOf(nodeName)]),
  ]);
}

/** A server to clients and nothing else: neither a client nor a peer. */
export async function createServerCertificate(
  authority: Authority,
  directory: string,
  nodeName: string,
  hosts: readonly string[],
  options: IssueOptions = {},
): Promise<CertificateFiles> {
  const files = certificateFiles(directory, serverBase(nodeName));
  return issue(authority, files, nodeName, options, [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    alternativeNames(hosts),
  ]);
}

/** Both ends of the links of one member, and no server to clients that check whom they dialed. */
export async function createPeerCertificate(
  authority: Authority,
  directory: string,
  nodeName: string,
  options: IssueOptions = {},
): Promise<CertificateFiles> {
  const files = certificateFiles(directory, peerBase(nodeName));
  return issue(authority, files, peerNameOf(nodeName), options, [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    alternativeNames([peerNameOf(nodeName)]),
  ]);
}

/** A client's certificate: its common name is the subject that the access rules speak of. */
export async function createClientCertificate(
  authority: Authority,
  directory: string,
  subject: string,
  options: IssueOptions = {},
): Promise<CertificateFiles> {
  const files = certificateFiles(directory, clientBase(subject));
  return issue(authority, files, subject, options, [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
  ]);
}

function alternativeNames(names: readonly string[]): Extension {
  const each = [...new Set(names)].map((value) => ({
    type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const),
    value,
  }));
  return new SubjectAlternativeNameExtension(each);
}

async function issue(
  authority: Authority,
  files: CertificateFiles,
  commonName: string,
  { days = DEFAULT_DAYS, renew = false }: IssueOptions,
  extensions: readonly Extension[],
): Promise<CertificateFiles> {
  if (existsSync(files.key) && !renew) {
    throw new CommandError(`${files.key}: exists already; --renew makes a new one in its place`);
  }
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: drawSerial(),
    subject: [{ CN: [commonName] }],
    issuer: authority.certificate.subjectName,
    ...validity(days),
    signingAlgorithm: SIGNING_ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authority.key,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      await AuthorityKeyIdentifierExtension.create(authority.certificate.publicKey),
      ...extensions,
    ],
  });
  await writePair(files, certificate, keys.privateKey);
  return files;
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}

/** 127 random bits, positive: RFC 5280 4.1.2.2. */
function drawSerial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

/** Writes both beside their places, then puts them there: a reader finds no half of a file. */
async function writePair(
  files: CertificateFiles,
  certificate: X509Certificate,
  key: CryptoKey,
): Promise<void> {
  const secret = await webcrypto.subtle.exportKey("pkcs8", key);
  const fresh = { key: `${files.key}.new`, cert: `${files.cert}.new` };
  try {
    rmSync(fresh.key, { force: true });
    // "wx" with owner-only mode from its first byte on.
    const pem = PemConverter.encode(secret, "PRIVATE KEY");
    writeFileSync(fresh.key, `${pem}\n`, { mode: 0o600, flag: "wx" });
    writeFileSync(fresh.cert, `${certificate.toString("pem")}\n`, { mode: 0o644 });
    renameSync(fresh.key, files.key);
    renameSync(fresh.cert, files.cert);
  } catch (error) {
    throw new CommandError(`cannot write ${files.key}: ${(error as Error).message}`);
  }
}

const NAME_RULE = "1 to 63 letters, digits, dots, dashes or underscores";

/** Refuses what could not be a file name and a common name. */
export function checkCertificateName(what: string, name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) {
    throw new CommandError(`${what}: expected ${NAME_RULE}, got "${name}"`, EXIT.usage);
  }
}

/** Refuses subjects that would let a client's certificate speak for a member. */
export function checkSubject(subject: string): void {
  checkCertificateName("subject", subject);
  if (subject.toLowerCase().endsWith(PEER_SUFFIX)) {
    const what = `subject: names that end in ${PEER_SUFFIX} belong to members; use \`cairn certs node\``;
    throw new CommandError(what, EXIT.usage);
  }
}
