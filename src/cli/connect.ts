// How a client command reaches its cluster: flags, CAIRN_PROFILE, or the nearest
// .cairn/profile.yaml. Owns that choice and the words when nothing is found; the library does the
// rest.

import path from "node:path";

import { type CairnClient, CairnError, connect } from "../client/client.ts";
import { AUTHORITY_BASE, certificateFiles, clientBase } from "./certificate-files.ts";
import type { TlsFiles } from "./config.ts";
import { CommandError, EXIT } from "./exit.ts";
import { findProfile, PROFILE_PATH, type Profile, readProfile } from "./profile.ts";
import { splitAddress } from "./settings.ts";
import { readTlsFiles, type TlsPems } from "./tls-files.ts";

export interface ClusterFlags {
  readonly profile?: string;
  readonly addr?: string;
  readonly as?: string;
  readonly certsDir?: string;
  readonly tlsCaFile?: string;
  readonly tlsCertFile?: string;
  readonly tlsKeyFile?: string;
}

/** A cluster, and who we are to it. */
export interface Target {
  readonly addresses: readonly string[];
  /** A function where the files may be renewed meanwhile. */
  readonly credentials: TlsPems | (() => TlsPems);
  /** Where this was learnt, for the words when nobody answers. */
  readonly from: string;
}

const DEFAULT_SUBJECT = "root";

export function findTarget(flags: ClusterFlags): Target {
  const file = profileFileOf(flags);
  const profile = file === null ? null : readProfile(file);
  const addresses = addressesOf(flags, profile);
  const files = certificatesOf(flags, profile);
  const credentials = () => readTlsFiles(files.files, (part) => files.nameOf(part));
  // What is wrong with them now is said now.
  credentials();
  const from = flags.addr === undefined && file !== null ? `(${shorten(file)})` : "(--addr)";
  return { addresses, credentials, from };
}

/** A client of some of a cluster's members, of all by default. */
export function connectTo(
  { addresses, credentials }: Target,
  options: { readonly timeoutMs?: number; readonly attemptTimeoutMs?: number } = {},
): CairnClient {
  return connect({ addresses, credentials, ...options });
}

/** Runs with a client that is closed afterwards; what the cluster says becomes one line. */
export async function withClient<Result>(
  target: Target,
  options: { readonly timeoutMs?: number; readonly attemptTimeoutMs?: number },
  run: (client: CairnClient) => Promise<Result>,
): Promise<Result> {
  const client = connectTo(target, options);
  try {
    return await run(client);
  } catch (error) {
    throw error instanceof CairnError ? describeCairnError(error, target) : error;
  } finally {
    client.close();
  }
}

export function describeCairnError(error: CairnError, target: Target): CommandError {
  if (error.code !== "unreachable") return new CommandError(`${error.message} [${error.code}]`);
  const asked = `no member answers at ${target.addresses.join(", ")} ${target.from}`;
  return new CommandError(`${asked}: ${error.message}; is the cluster up?`);
}

/** The linearizable end of a profile's log. */
export function endOffsetOf(profile: Profile): Promise<number> {
  const { addresses, ca, subjects, as } = profile;
  const own = subjects[as];
  if (own === undefined) throw new CommandError(`profile: no subject ${as}`);
  const credentials = readTlsFiles({ ...own, ca }, (part) => `profile ${part}`);
  const target = { addresses: Object.values(addresses), credentials, from: "(profile)" };
  return withClient(target, {}, (client) => client.checkTail());
}

function profileFileOf(flags: ClusterFlags): string | null {
  const { CAIRN_PROFILE: named = "" } = process.env;
  if (flags.profile !== undefined) return flags.profile;
  return named === "" ? findProfile(process.cwd()) : named;
}

function addressesOf(flags: ClusterFlags, profile: Profile | null): string[] {
  if (flags.addr === undefined) {
    if (profile !== null) return Object.values(profile.addresses);
    const where = `no ${PROFILE_PATH} in ${process.cwd()} or above`;
    const how = "start a cluster with `npx cairn dev`, or name one with --addr and --certs-dir";
    throw new CommandError(`${where}: ${how}`, EXIT.usage);
  }
  const addresses = flags.addr.split(",").map((address) => address.trim());
  const wrong = addresses.find((address) => splitAddress(address) === null);
  if (wrong !== undefined) {
    throw new CommandError(`--addr: expected host:port,host:port,..., got "${wrong}"`, EXIT.usage);
  }
  return addresses;
}

interface FoundFiles {
  readonly files: TlsFiles;
  readonly nameOf: (part: keyof TlsFiles) => string;
}

function certificatesOf(flags: ClusterFlags, profile: Profile | null): FoundFiles {
  const { tlsCaFile, tlsCertFile, tlsKeyFile, certsDir } = flags;
  const subject = flags.as ?? profile?.as ?? DEFAULT_SUBJECT;
  if (tlsCaFile !== undefined && tlsCertFile !== undefined && tlsKeyFile !== undefined) {
    const files = { ca: tlsCaFile, cert: tlsCertFile, key: tlsKeyFile };
    return { files, nameOf: (part) => `--tls-${part}-file` };
  }
  if (tlsCaFile !== undefined || tlsCertFile !== undefined || tlsKeyFile !== undefined) {
    const all = "--tls-ca-file, --tls-cert-file and --tls-key-file";
    throw new CommandError(`${all} go together: give all three`, EXIT.usage);
  }
  if (certsDir !== undefined) {
    const own = certificateFiles(certsDir, clientBase(subject));
    const ca = certificateFiles(certsDir, AUTHORITY_BASE).cert;
    return { files: { ...own, ca }, nameOf: () => "--certs-dir" };
  }
  if (profile === null) {
    const how = "give --certs-dir, or --tls-ca-file, --tls-cert-file and --tls-key-file";
    throw new CommandError(`no certificates: ${how}`, EXIT.usage);
  }
  const own = profile.subjects[subject];
  if (own === undefined) {
    const known = Object.keys(profile.subjects).join(", ");
    throw new CommandError(`--as: no subject "${subject}", the profile has ${known}`, EXIT.usage);
  }
  return {
    files: { ...own, ca: profile.ca },
    nameOf: (part) => `profile subjects.${subject}.${part}`,
  };
}

function shorten(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith(path.join("..", "..", "..")) ? file : relative;
}
