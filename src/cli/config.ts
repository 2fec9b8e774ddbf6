// Where a node's settings come from and how they fit together: flag > environment > file > default.
// Every error is one line that names the key and where its value came from. Owns precedence and the
// rules between keys; does not own what one value may be (settings.ts), nor opens any file but the
// configuration file.

import { readFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import type { EncryptionStage } from "../service/gossip-sealing.ts";
import { AUTHORITY_BASE, certificateFiles } from "./certificate-files.ts";
import { CommandError, EXIT } from "./exit.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import {
  type BindAddress,
  clusterIdOf,
  environmentName,
  type PeerAddress,
  SETTINGS,
  splitAddress,
} from "./settings.ts";

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** All that one agent needs to know; every field has its final value. */
export interface AgentConfig {
  readonly dataDir: string;
  readonly nodeName: string;
  readonly clusterId: string;
  /** Where the others dial this node: its place in the list, else where it listens. */
  readonly address: string;
  /** This node among them, sorted by id. */
  readonly members: readonly PeerAddress[];
  /** Whether an empty data directory may become a cluster's first without gossip. */
  readonly mayCreate: boolean;
  /** Null: this node is found by its list alone. */
  readonly gossip: GossipConfig | null;
  readonly listenHost: string;
  readonly listenPort: number;
  readonly serverTls: TlsFiles | null;
  readonly peerTls: TlsFiles | null;
  readonly aclModelFile: string | null;
  readonly aclPolicyFile: string | null;
  /** Null: REST is not served. */
  readonly rest: { readonly host: string; readonly port: number } | null;
  /** Consumed records stand where Loghouse's clients look for them, too. */
  readonly forLoghouse: boolean;
  /** Null: figures are shown nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  readonly limits: Limits;
  readonly index: "auto" | "mmap" | "file";
  readonly recordDir: string | null;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly segmentBytes: number;
  readonly recordBytesMax: number;
  readonly autoReplaceWiped: boolean;
  /** Null: nothing is trimmed by itself. */
  readonly retentionBytes: number | null;
  readonly retentionMs: number | null;
  readonly stopTimeoutMs: number;
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

/** How this node finds the others by itself. */
export interface GossipConfig {
  /** host:port. */
  readonly bindAddr: string;
  /** Where others reach bindAddr; host:port. */
  readonly advertiseAddr: string;
  readonly startJoinAddrs: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  /** Null: gossip is plain. */
  readonly keyringFile: string | null;
  readonly encryption: EncryptionStage;
  readonly bootstrap: boolean;
  readonly expect: number | null;
  /** After so many seconds a failed member is removed; null for never. */
  readonly cleanupSeconds: number | null;
}

/** Names in the environment that begin with CAIRN_ and are not settings of an agent. */
const OTHER_CAIRN_NAMES = new Set([
  "CAIRN_PROFILE",
  "CAIRN_REQUIRE_ALL",
  "CAIRN_TESTS",
  "CAIRN_TOOLS",
]);

interface Given {
  readonly value: unknown;
  /** As the operator would point at it: "--rpc-port", "CAIRN_RPC_PORT", "node.yaml:3". */
  readonly origin: string;
}

/** Values by key, with the problems met while reading them. */
class Gathered {
  readonly values = new Map<string, Given>();
  readonly problems: string[] = [];

  /** The first to give a key wins. */
  give(key: string, value: unknown, origin: string): void {
    if (!this.values.has(key)) this.values.set(key, { value, origin });
  }

  /** The checked value of `key`, or undefined when it was not given or is wrong. */
  take<T>(key: string): T | undefined {
    const given = this.values.get(key);
    const setting = SETTINGS.get(key);
    if (given === undefined || setting === undefined) return undefined;
    const parsed = setting.schema.safeParse(given.value);
    if (parsed.success) return parsed.data as T;
    const what = parsed.error.issues[0]?.message ?? "not understood";
    this.problems.push(`${key}: ${what}, got ${describeValue(given.value)} (${given.origin})`);
    return undefined;
  }

  originOf(key: string): string {
    return this.values.get(key)?.origin ?? "default";
  }

  refuse(key: string, what: string): void {
    const given = this.values.get(key);
    this.problems.push(
      given === undefined ? `${key}: ${what}` : `${key}: ${what} (${given.origin})`,
    );
  }
}

function describeValue(value: unknown): string {
  const shown = JSON.stringify(value) ?? String(value);
  return shown.length > 80 ? `${shown.slice(0, 77)}...` : shown;
}

/** The nearest known key, when a slip of the finger explains the unknown one. */
export function nearestKey(unknown: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = 3;
  for (const key of known) {
    const distance = editDistance(unknown, key);
    if (distance < bestDistance) [best, bestDistance] = [key, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(swap, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    before = row;
  }
  return before[b.length] ?? 0;
}

function gatherEnvironment(gathered: Gathered, environment: NodeJS.ProcessEnv): void {
  const keys = new Map([...SETTINGS.keys()].map((key) => [environmentName(key), key]));
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith("CAIRN_") || OTHER_CAIRN_NAMES.has(name)) continue;
    const key = keys.get(name);
    if (key === undefined) {
      const near = nearestKey(name, keys.keys());
      const hint = near === null ? "" : `; did you mean ${near}?`;
      gathered.problems.push(`${name}: no such setting${hint} (environment)`);
    } else if (value !== undefined && value !== "") {
      // An empty variable is an unset one: compose files and unit files write those.
      gathered.give(key, value, name);
    }
  }
}

function gatherFile(gathered: Gathered, file: string, origin: string): void {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    gathered.problems.push(`config-file: cannot read ${file}: ${why} (${origin})`);
    return;
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number | undefined) => lines.linePos(offset ?? 0).line;
  for (const error of document.errors) {
    const what = error.message.replace(/\s+/g, " ");
    gathered.problems.push(`config-file: not YAML: ${what} (${file}:${lineAt(error.pos[0])})`);
  }
  if (document.errors.length > 0 || document.contents === null) return;
  if (!isMap(document.contents)) {
    gathered.problems.push(`config-file: expected a map of settings (${file}:1)`);
    return;
  }
  for (const pair of document.contents.items) {
    const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
    const at = `${file}:${lineAt(isScalar(pair.key) ? pair.key.range?.[0] : 0)}`;
    if (!SETTINGS.has(key) || key === "config-file") {
      const near = nearestKey(key, SETTINGS.keys());
      const hint = near === null || near === key ? "" : `; did you mean ${near}?`;
      gathered.problems.push(`${key}: no such setting in a file${hint} (${at})`);
      continue;
    }
    const value: unknown = document.get(key);
    const plain = isMap(value) || (value !== null && typeof value === "object");
    gathered.give(key, plain ? document.toJS()[key] : value, at);
  }
}

/** How a program, as against a person, gives the first of the settings. */
export interface GivenBy {
  /** Where the value of a key stood, for an error. */
  readonly originOf: (key: string) => string;
  /** Members need no certificate files: whoever gives the settings answers for their links. */
  readonly answersForLinks: boolean;
}

const COMMAND_LINE: GivenBy = { originOf: (key) => `--${key}`, answersForLinks: false };

/**
 * Reads one agent's settings. `flags` holds what stood on the command line, by key. Throws
 * CommandError with one line a problem.
 */
export function loadAgentConfig(
  flags: Readonly<Record<string, unknown>>,
  environment: NodeJS.ProcessEnv,
  givenBy = COMMAND_LINE,
): AgentConfig {
  const gathered = new Gathered();
  for (const [key, value] of Object.entries(flags)) {
    gathered.give(key, value, givenBy.originOf(key));
  }
  gatherEnvironment(gathered, environment);
  const file = gathered.take<string>("config-file");
  if (file !== undefined) gatherFile(gathered, file, gathered.originOf("config-file"));
  const config = fitTogether(gathered, givenBy.answersForLinks);
  if (gathered.problems.length > 0 || config === null) {
    throw new CommandError(gathered.problems, EXIT.usage);
  }
  return config;
}

function fitTogether(gathered: Gathered, answersForLinks: boolean): AgentConfig | null {
  const take = <T>(key: string) => gathered.take<T>(key);
  const place = fitMembers(gathered);
  const certsDir = take<string>("certs-dir");
  const everything = certsDir === undefined || place === null ? null : filesIn(certsDir, place);
  const serverTls = fitTls(gathered, "server", everything);
  const peerTls = fitTls(gathered, "peer", everything);
  const hasPeers = place !== null && (place.members.length > 1 || place.gossip !== null);
  if (hasPeers && peerTls === null && !answersForLinks) {
    gathered.refuse(
      "peer-tls-cert-file",
      "missing: members talk over mutual TLS only; make the files with `cairn certs`, name them with certs-dir",
    );
  }
  const electionTimeoutMs = take<number>("election-timeout-ms") ?? 1000;
  const heartbeatMs =
    take<number>("heartbeat-ms") ?? Math.max(5, Math.floor(electionTimeoutMs / 5));
  if (heartbeatMs * 2 > electionTimeoutMs) {
    const key = gathered.values.has("heartbeat-ms") ? "heartbeat-ms" : "election-timeout-ms";
    const what = `expected at most half of the election timeout (${electionTimeoutMs} ms), got ${heartbeatMs} ms`;
    gathered.refuse(key, what);
  }
  const rest = {
    dataDir: path.resolve(take<string>("data-dir") ?? path.join(tmpdir(), "cairn")),
    aclModelFile: take<string>("acl-model-file") ?? null,
    aclPolicyFile: take<string>("acl-policy-file") ?? null,
    rest: take<{ host: string; port: number }>("rest-addr") ?? null,
    forLoghouse: take<boolean>("loghouse") ?? false,
    metrics: take<{ host: string; port: number }>("metrics-addr") ?? null,
    limits: take<Limits>("limits") ?? DEFAULT_LIMITS,
    index: take<AgentConfig["index"]>("index") ?? "auto",
    recordDir: take<string>("record") ?? null,
    electionTimeoutMs,
    heartbeatMs,
    segmentBytes: take<number>("segment-bytes") ?? 64 * 1024 * 1024,
    retentionBytes: take<number>("retention-bytes") ?? null,
    retentionMs: take<number>("retention-ms") ?? null,
    autoReplaceWiped: take<boolean>("auto-replace-wiped") ?? true,
    recordBytesMax: take<number>("record-bytes-max") ?? 1024 * 1024,
    stopTimeoutMs: take<number>("stop-timeout-ms") ?? 10_000,
    logLevel: take<AgentConfig["logLevel"]>("log-level") ?? "info",
    serverTls,
    peerTls,
  } as const;
  return place === null ? null : { ...place, ...rest };
}

type Place = Pick<
  AgentConfig,
  | "nodeName"
  | "clusterId"
  | "address"
  | "members"
  | "mayCreate"
  | "gossip"
  | "listenHost"
  | "listenPort"
>;

/** Who this node is, who the others are, and where it listens. */
function fitMembers(gathered: Gathered): Place | null {
  if (!gathered.values.has("node-name")) {
    gathered.give("node-name", hostname(), "default: this machine's host name");
  }
  const nodeName = gathered.take<string>("node-name");
  const listed = gathered.take<PeerAddress[]>("peers");
  const bootstrap = gathered.take<boolean>("bootstrap") ?? false;
  const clusterId = gathered.take<string>("cluster-id");
  const bind = gathered.take<BindAddress>("bind-addr");
  const rpcPort = gathered.take<number>("rpc-port");
  if (nodeName === undefined) return null;
  const own = listed?.find(({ id }) => id === nodeName);
  if (listed !== undefined && own === undefined) {
    const names = listed.map(({ id }) => id).join(", ");
    const origin = gathered.originOf("node-name");
    gathered.refuse("peers", `node-name is "${nodeName}" (${origin}), the list has ${names}`);
    return null;
  }
  if (listed !== undefined && bootstrap) {
    const what =
      "begins a cluster of one; with peers the list is the cluster: leave one of them out";
    gathered.refuse("bootstrap", what);
  }
  const advertised = own === undefined ? null : splitAddress(own.address);
  const listenHost = bind?.host ?? advertised?.host ?? "127.0.0.1";
  const listenPort = rpcPort ?? advertised?.port ?? 8400;
  const reached = fitAdvertised(gathered, listenHost);
  const ownAddress = `${bracketed(reached.host)}:${listenPort}`;
  const members = (listed ?? [{ id: nodeName, address: ownAddress }]).toSorted((a, b) =>
    a.id < b.id ? -1 : 1,
  );
  const gossip = fitGossip(gathered, { listenHost, reached, bind, bootstrap });
  const isDiscovered = gossip !== null && listed === undefined;
  const words = isDiscovered ? "discovered" : `members ${members.map(({ id }) => id).join(" ")}`;
  if (isDiscovered && isEverywhere(reached.host)) {
    const remedy = "say with advertise-addr where others reach this node";
    gathered.refuse("bind-addr", `nobody can dial ${reached.host}: ${remedy}`);
  }
  return {
    nodeName,
    clusterId: clusterId ?? clusterIdOf(words),
    address: own?.address ?? ownAddress,
    members,
    mayCreate: listed !== undefined || (bootstrap && gossip === null),
    gossip,
    listenHost,
    listenPort,
  };
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Where others reach this node; its host is the one to listen on where nothing was said. */
function fitAdvertised(gathered: Gathered, listenHost: string): BindAddress {
  const given = gathered.take<BindAddress>("advertise-addr");
  if (given === undefined) return { host: listenHost, gossipPort: null };
  if (isEverywhere(given.host)) {
    gathered.refuse(
      "advertise-addr",
      `nobody can dial ${given.host}: give an address of this node`,
    );
  }
  return given;
}

function isEverywhere(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

interface GossipPlace {
  readonly listenHost: string;
  readonly reached: BindAddress;
  readonly bind: BindAddress | undefined;
  readonly bootstrap: boolean;
}

/** Gossip is spoken where it was given a port, or something to do. */
function fitGossip(
  gathered: Gathered,
  { listenHost, reached, bind, bootstrap }: GossipPlace,
): GossipConfig | null {
  const port = bind?.gossipPort ?? null;
  const startJoinAddrs = gathered.take<string[]>("start-join-addrs");
  const expect = gathered.take<number>("bootstrap-expect") ?? null;
  const cleanupSeconds = gathered.take<number>("dead-server-cleanup") ?? null;
  if (expect !== null && (bootstrap || gathered.values.has("peers"))) {
    const what = "says how many found the cluster; bootstrap and peers say who: leave one out";
    gathered.refuse("bootstrap-expect", what);
  }
  const tags = gathered.take<Record<string, string>>("tags");
  const keyringFile = gathered.take<string>("gossip-keyring-file");
  const encryption = gathered.take<EncryptionStage>("gossip-encryption");
  if (encryption !== undefined && keyringFile === undefined) {
    gathered.refuse("gossip-encryption", "needs keys: name their file with gossip-keyring-file");
  }
  if (port === null && startJoinAddrs === undefined && expect === null) {
    const needed = "needs gossip: give its port with bind-addr, host:port";
    if (cleanupSeconds !== null) gathered.refuse("dead-server-cleanup", needed);
    if (tags !== undefined) gathered.refuse("tags", needed);
    if (keyringFile !== undefined) gathered.refuse("gossip-keyring-file", needed);
    return null;
  }
  const bindPort = port ?? GOSSIP_PORT;
  return {
    bindAddr: `${bracketed(listenHost)}:${bindPort}`,
    advertiseAddr: `${bracketed(reached.host)}:${reached.gossipPort ?? bindPort}`,
    startJoinAddrs: startJoinAddrs ?? [],
    tags: tags ?? {},
    keyringFile: keyringFile === undefined ? null : path.resolve(keyringFile),
    encryption: encryption ?? "require",
    bootstrap,
    expect,
    cleanupSeconds,
  };
}

/** Where Serf's agents are. */
const GOSSIP_PORT = 7946;

/** The files that `cairn certs` makes for a node, by their names. */
function filesIn(directory: string, { nodeName }: Place): TlsFiles {
  const own = certificateFiles(directory, nodeName);
  return { ...own, ca: certificateFiles(directory, AUTHORITY_BASE).cert };
}

/** All three files of one kind, or `otherwise` when none of them is given. */
function fitTls(
  gathered: Gathered,
  kind: "server" | "peer",
  otherwise: TlsFiles | null,
): TlsFiles | null {
  const key = (part: string) => `${kind}-tls-${part}-file`;
  const parts = ["cert", "key", "ca"].map((part) => gathered.take<string>(key(part)));
  const [cert, keyFile, ca] = parts;
  if (cert !== undefined && keyFile !== undefined && ca !== undefined) {
    return { cert, key: keyFile, ca };
  }
  const given = ["cert", "key", "ca"].filter((part) => gathered.values.has(key(part)));
  if (given.length === 0) return otherwise;
  for (const part of ["cert", "key", "ca"].filter((each) => !given.includes(each))) {
    const other = key(given[0] ?? "cert");
    gathered.refuse(key(part), `missing: ${other} is set (${gathered.originOf(other)})`);
  }
  return null;
}
