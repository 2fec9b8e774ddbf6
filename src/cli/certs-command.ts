// `cairn certs init|node|client`: makes the PEM files and says which ones. Owns the words; what a
// certificate holds is certs.ts.

import { AUTHORITY_BASE, certificateFiles } from "./certificate-files.ts";
import {
  checkCertificateName,
  checkSubject,
  createAuthority,
  createClientCertificate,
  createNodeCertificate,
  DEFAULT_DAYS,
  openAuthority,
} from "./certs.ts";
import { CommandError, EXIT } from "./exit.ts";
import { Output } from "./terminal.ts";

export interface CertsFlags {
  readonly dir: string;
  readonly name?: string;
  readonly host?: readonly string[];
  readonly days?: string;
  readonly json?: boolean;
}

export async function runCertsInit(flags: CertsFlags): Promise<void> {
  await createAuthority(flags.dir, flags.name ?? "Cairn CA");
  await tell(flags, certificateFiles(flags.dir, AUTHORITY_BASE));
}

export async function runCertsNode(nodeName: string, flags: CertsFlags): Promise<void> {
  checkCertificateName("node name", nodeName);
  const hosts = (flags.host ?? []).flatMap((host) => host.split(",")).filter((host) => host !== "");
  if (hosts.length === 0) {
    const what = "--host: expected the names and addresses that clients and peers will dial";
    throw new CommandError(what, EXIT.usage);
  }
  const wrong = hosts.find((host) => !/^[A-Za-z0-9_.:*-]+$/.test(host));
  if (wrong !== undefined) {
    throw new CommandError(`--host: expected a name or an IP address, got "${wrong}"`, EXIT.usage);
  }
  const days = daysOf(flags);
  const authority = await openAuthority(flags.dir);
  await tell(flags, await createNodeCertificate(authority, flags.dir, nodeName, hosts, days));
}

export async function runCertsClient(subject: string, flags: CertsFlags): Promise<void> {
  checkSubject(subject);
  const days = daysOf(flags);
  const authority = await openAuthority(flags.dir);
  await tell(flags, await createClientCertificate(authority, flags.dir, subject, days));
}

function daysOf(flags: CertsFlags): number {
  if (flags.days === undefined) return DEFAULT_DAYS;
  const days = Number(flags.days);
  if (!Number.isInteger(days) || days < 1 || days > 3650) {
    throw new CommandError(`--days: expected 1 to 3650, got "${flags.days}"`, EXIT.usage);
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
