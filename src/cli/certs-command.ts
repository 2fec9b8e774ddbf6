// `cairn certs`: makes the PEM files and says which ones, and shows how long those that exist are
// valid. Owns the words; what a certificate holds is certs.ts.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import { AUTHORITY_BASE, type CertificateFiles, certificateFiles } from "./certificate-files.ts";
import {
  type Authority,
  checkCertificateName,
  checkSubject,
  createAuthority,
  createClientCertificate,
  createNodeCertificate,
  createPeerCertificate,
  createServerCertificate,
  DEFAULT_DAYS,
  type IssueOptions,
  openAuthority,
} from "./certs.ts";
import { CommandError, EXIT } from "./exit.ts";
import { certificatesOf, type Expiry, expiryOf } from "./expiry.ts";
import { Output, paint } from "./terminal.ts";

export interface CertsFlags {
  readonly dir: string;
  readonly name?: string;
  readonly host?: readonly string[];
  readonly days?: string;
  readonly renew?: boolean;
  readonly within?: string;
  readonly json?: boolean;
}

export async function runCertsInit(flags: CertsFlags): Promise<void> {
  await createAuthority(flags.dir, flags.name ?? "Cairn CA");
  await tell(flags, certificateFiles(flags.dir, AUTHORITY_BASE));
}

export async function runCertsNode(nodeName: string, flags: CertsFlags): Promise<void> {
  const hosts = hostsOf(flags);
  await make("node name", nodeName, flags, (authority, options) =>
    createNodeCertificate(authority, flags.dir, nodeName, hosts, options),
  );
}

export async function runCertsServer(nodeName: string, flags: CertsFlags): Promise<void> {
  const hosts = hostsOf(flags);
  await make("node name", nodeName, flags, (authority, options) =>
    createServerCertificate(authority, flags.dir, nodeName, hosts, options),
  );
}

export async function runCertsPeer(nodeName: string, flags: CertsFlags): Promise<void> {
  await make("node name", nodeName, flags, (authority, options) =>
    createPeerCertificate(authority, flags.dir, nodeName, options),
  );
}

export async function runCertsClient(subject: string, flags: CertsFlags): Promise<void> {
  checkSubject(subject);
  await make("subject", subject, flags, (authority, options) =>
    createClientCertificate(authority, flags.dir, subject, options),
  );
}

async function make(
  what: string,
  name: string,
  flags: CertsFlags,
  create: (authority: Authority, options: IssueOptions) => Promise<CertificateFiles>,
): Promise<void> {
  checkCertificateName(what, name);
  const days = daysOf("--days", flags.days, DEFAULT_DAYS);
  const authority = await openAuthority(flags.dir);
  await tell(flags, await create(authority, { days, renew: flags.renew === true }));
}

function hostsOf(flags: CertsFlags): string[] {
  const hosts = (flags.host ?? []).flatMap((host) => host.split(",")).filter((host) => host !== "");
  if (hosts.length === 0) {
    const what = "--host: expected the names and addresses that clients and peers will dial";
    throw new CommandError(what, EXIT.usage);
  }
  const wrong = hosts.find((host) => !/^[A-Za-z0-9_.:*-]+$/.test(host));
  if (wrong !== undefined) {
    throw new CommandError(`--host: expected a name or an IP address, got "${wrong}"`, EXIT.usage);
  }
  return hosts;
}

function daysOf(flag: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > 3650) {
    throw new CommandError(`${flag}: expected 1 to 3650, got "${text}"`, EXIT.usage);
  }
  return days;
}

async function tell(flags: CertsFlags, files: { cert: string; key: string }): Promise<void> {
  const output = new Output();
  if (flags.json === true) await output.line(JSON.stringify(files));
  else {
    await output.line(files.cert);
    await output.line(`${files.key}  (keep it secret)`);
  }
  await output.flush();
}

interface Shown extends Expiry {
  readonly file: string;
  readonly issuer: string;
  /** What it is for, from what it says of itself. */
  readonly use: string;
}

/** Lists certificates; throws CommandError, for scripts, when one has ended or soon will. */
export async function runCertsShow(files: readonly string[], flags: CertsFlags): Promise<void> {
  const within = flags.within === undefined ? null : daysOf("--within", flags.within, 0);
  const named = files.length > 0 ? files : pemFilesIn(flags.dir);
  const shown = named.flatMap((file) => showFile(file, within));
  const output = new Output();
  for (const each of shown) {
    await output.line(flags.json === true ? JSON.stringify(each) : describe(each));
  }
  await output.flush();
  const bad = shown.filter(({ state }) => state !== "valid");
  if (bad.length > 0) {
    throw new CommandError(bad.map(({ file, name, state }) => `${file}: ${name}: ${state}`));
  }
}

/** Keys are PEM files too, and none of our business here. */
function pemFilesIn(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new CommandError(`--dir: cannot read ${directory}: ${why}`, EXIT.usage);
  }
  const found = names.filter((name) => name.endsWith(".pem") && !name.endsWith("-key.pem"));
  if (found.length === 0) {
    throw new CommandError(`--dir: no certificates (*.pem) in ${directory}`, EXIT.usage);
  }
  return found.toSorted().map((name) => path.join(directory, name));
}

function showFile(file: string, within: number | null): Shown[] {
  let pem: string;
  try {
    pem = readFileSync(file, "utf8");
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new CommandError(`cannot read ${file}: ${why}`, EXIT.usage);
  }
  const certificates = certificatesOf(pem);
  if (certificates === null) throw new CommandError(`${file}: not a PEM certificate`);
  return certificates.map((certificate) => {
    const issuer = /^CN=(.+)$/m.exec(certificate.issuer)?.[1] ?? certificate.issuer;
    const expiry = expiryOf(certificate, Date.now(), within);
    return { file, ...expiry, issuer, use: useOf(certificate) };
  });
}

const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

function useOf(certificate: NonNullable<ReturnType<typeof certificatesOf>>[number]): string {
  if (certificate.ca) return "authority";
  // Without the extension a certificate may be used for everything.
  const usages = certificate.keyUsage ?? [SERVER_AUTH, CLIENT_AUTH];
  const roles = [
    ...(usages.includes(SERVER_AUTH) ? ["server"] : []),
    ...(usages.includes(CLIENT_AUTH) ? ["client"] : []),
  ];
  const names = certificate.subjectAltName;
  return `${roles.join("+") || "neither end"}${names === undefined ? "" : ` for ${names}`}`;
}

function describe({ file, name, notAfter, daysLeft, state, use }: Shown): string {
  const day = notAfter.slice(0, 10);
  const left = daysLeft < 0 ? `ended ${-daysLeft} days ago` : `${daysLeft} days left`;
  const text = `${file}  ${name}  ${use}  until ${day}, ${left}`;
  if (state === "valid") return text;
  return paint(state === "expired" ? "red" : "yellow", `${text}: ${state}`, process.stdout);
}
