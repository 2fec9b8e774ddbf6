// The settings of `cairn agent`: one table of keys, each with its flag, its words for --help and
// the schema that reads it. The names and defaults are the seeds' (log-service.md 1.6), then our
// own. Owns what a single value may be; does not own where values come from or how they fit
// together (config.ts).

import { createHash } from "node:crypto";
import { z } from "zod";

import { splitHostPort } from "../base/address.ts";
import { encodeTags } from "../gossip/tags.ts";
import { OWN_TAGS } from "../node/nomination.ts";
import { limits } from "./limits.ts";

export interface PeerAddress {
  readonly id: string;
  readonly address: string;
}

/**
 * One key: the same name as a flag (--name), in a file (name:) and in the environment (CAIRN_NAME).
 */
export interface Setting {
  readonly name: string;
  /** What stands behind the flag in --help; empty for a switch. */
  readonly argument: string;
  readonly help: string;
  readonly schema: z.ZodType;
}

const text = (message: string) => z.string({ error: message }).trim().min(1, { error: message });
const file = text("expected a file name");

function wholeNumber(low: number, high: number, what: string) {
  const message = `expected ${what} from ${low} to ${high}`;
  const digits = z
    .string({ error: message })
    .regex(/^\d{1,15}$/, { error: message })
    .transform(Number);
  return z
    .union([z.number({ error: message }), digits], { error: message })
    .refine((value) => Number.isSafeInteger(value) && value >= low && value <= high, {
      error: message,
    });
}

const onOff = z.union(
  [
    z.boolean(),
    z.enum(["true", "1", "yes"]).transform(() => true),
    z.enum(["false", "0", "no"]).transform(() => false),
  ],
  { error: "expected true or false" },
);

const NAME_RULE = "1 to 63 letters, digits, dots, dashes or underscores, a letter or digit first";
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const memberName = z
  .string({ error: `expected a name: ${NAME_RULE}` })
  .regex(namePattern, { error: `expected a name: ${NAME_RULE}` });

/** What is wrong with a member's name; null when nothing is. */
export function refusalOfName(name: string): string | null {
  return namePattern.test(name) ? null : `expected a name: ${NAME_RULE}`;
}

/** "host:port" or "[v6]:port" taken apart; null when it is neither. */
export function splitAddress(address: string): { host: string; port: number } | null {
  const match = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:[\]/,=]+)):(\d{1,5})$/.exec(address);
  if (match === null) return null;
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return null;
  return { host: match[1] ?? match[2] ?? "", port };
}

const PEERS_RULE = "expected id=host:port,id=host:port,...";

/** Takes the text of a flag, a list of such texts, or a map from id to host:port. */
const peers = z.unknown().transform((value, context): PeerAddress[] => {
  const say = (message: string) => {
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  };
  const pairs = pairsOf(value);
  if (pairs === null || pairs.length === 0) return say(PEERS_RULE);
  const seen = new Map<string, string>();
  for (const [id, address] of pairs) {
    if (!namePattern.test(id)) return say(`${PEERS_RULE}; "${id}" is not a name: ${NAME_RULE}`);
    if (splitAddress(address) === null) {
      return say(`${PEERS_RULE}; "${address}" of ${id} is not host:port with a port 1 to 65535`);
    }
    if (seen.has(id)) return say(`the member ${id} is listed twice`);
    for (const [other, taken] of seen) {
      if (taken === address) return say(`${other} and ${id} have the same address ${address}`);
    }
    seen.set(id, address);
  }
  return [...seen].map(([id, address]) => ({ id, address }));
});

function pairsOf(value: unknown): [string, string][] | null {
  if (typeof value === "string") return splitPairs(value.split(","));
  if (Array.isArray(value)) return splitPairs(value.map(String));
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).map(([id, address]) => [id, String(address)]);
  }
  return null;
}

function splitPairs(items: readonly string[]): [string, string][] | null {
  const pairs: [string, string][] = [];
  for (const item of items) {
    const at = item.indexOf("=");
    if (at < 0) return null;
    pairs.push([item.slice(0, at).trim(), item.slice(at + 1).trim()]);
  }
  return pairs;
}

/** Where to listen; gossip's port is null where only a host was given. */
export interface BindAddress {
  readonly host: string;
  readonly gossipPort: number | null;
}

const BIND_RULE = "expected a host name or an IP address, or host:port for gossip";

const bindAddress = text(BIND_RULE).transform((value, context): BindAddress => {
  const isBareV6 = /^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*$/.test(value);
  const parts = splitHostPort(isBareV6 ? `[${value}]` : value, 0);
  const hasPort = !isBareV6 && /:\d+$/.test(value);
  if (parts !== null && (!hasPort || parts.port > 0)) {
    return { host: parts.host, gossipPort: hasPort ? parts.port : null };
  }
  context.addIssue({ code: "custom", message: BIND_RULE });
  return z.NEVER;
});

const plainAddress = z.unknown().transform((value, context): { host: string; port: number } => {
  const address = typeof value === "string" ? splitAddress(value) : null;
  if (address !== null) return address;
  context.addIssue({ code: "custom", message: "expected host:port with a port 1 to 65535" });
  return z.NEVER;
});

/** A node's own tags take less than the rest of META_BYTES_MAX. */
const CHOSEN_TAGS_BYTES_MAX = 200;

const JOIN_RULE = "expected host:port,host:port,... of members' gossip";

/** Takes the text of a flag or a list of such texts. */
const startJoinAddrs = z.unknown().transform((value, context): string[] => {
  const items = typeof value === "string" ? value.split(",") : value;
  const addresses = Array.isArray(items) ? items.map((item) => String(item).trim()) : [];
  if (addresses.length > 0 && addresses.every((each) => splitHostPort(each, 7946) !== null)) {
    return addresses;
  }
  context.addIssue({ code: "custom", message: JOIN_RULE });
  return z.NEVER;
});

const TAGS_RULE = "expected name=value,name=value,...";

/** Takes the text of a flag, a list of such texts, or a map. */
const tags = z.unknown().transform((value, context): Record<string, string> => {
  const say = (message: string) => {
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  };
  const pairs = pairsOf(value);
  if (pairs === null || pairs.some(([name]) => name === "")) return say(TAGS_RULE);
  const taken = pairs.find(([name]) => OWN_TAGS.includes(name));
  if (taken !== undefined) return say(`the tag ${taken[0]} is the node's own: take another name`);
  const chosen = Object.fromEntries(pairs);
  const length = encodeTags(new Map(pairs)).length;
  if (length > CHOSEN_TAGS_BYTES_MAX) {
    return say(`these tags take ${length} bytes, ${CHOSEN_TAGS_BYTES_MAX} at most`);
  }
  return chosen;
});

/** 32 hex digits as they are; any other name by its hash. */
const clusterId = z
  .union([z.string(), z.number().transform(String)], { error: "expected a name or 32 hex digits" })
  .refine((value) => value.trim() !== "" && value.length <= 200, {
    error: "expected a name of 1 to 200 characters, or 32 hex digits",
  })
  .transform((value) =>
    /^[0-9a-fA-F]{32}$/.test(value) ? value.toLowerCase() : clusterIdOf(`name ${value}`),
  );

/** A cluster's 32 hex digits from words that all its members know. */
export function clusterIdOf(words: string): string {
  return createHash("sha256").update(`cairn cluster ${words}`).digest("hex").slice(0, 32);
}

const tlsFile = (name: string, help: string): [string, Setting] => [
  name,
  { name, argument: "FILE", help, schema: file },
];

function setting(
  name: string,
  argument: string,
  help: string,
  schema: z.ZodType,
): [string, Setting] {
  return [name, { name, argument, help, schema }];
}

/**
 * In the order of --help. `config-file` itself can stand on the command line or in the environment.
 */
export const SETTINGS: ReadonlyMap<string, Setting> = new Map([
  setting("config-file", "FILE", "YAML with these names, without dashes", file),
  setting("data-dir", "DIR", "what this node keeps [<tmp>/cairn]", text("expected a directory")),
  setting("node-name", "NAME", "unique in the cluster, for ever [hostname]", memberName),
  setting("peers", "LIST", "all members: id=host:port,id=host:port,...", peers),
  setting("auto-replace-wiped", "BOOL", "swap in who answers for a wiped member [true]", onOff),
  setting("bootstrap", "", "begin a cluster of one, instead of --peers", onOff),
  setting("cluster-id", "ID", "name or 32 hex digits [from members' names]", clusterId),
  setting(
    "bootstrap-expect",
    "N",
    "begin a cluster of N once N are seen",
    wholeNumber(1, 99, "a number of voters"),
  ),
  setting(
    "dead-server-cleanup",
    "SECONDS",
    "remove who failed for so long [never]",
    wholeNumber(1, 31_536_000, "seconds"),
  ),
  setting("bind-addr", "HOST[:PORT]", "listen here; PORT is gossip's [127.0.0.1]", bindAddress),
  setting("advertise-addr", "HOST[:PORT]", "where others reach bind-addr [bind-addr]", bindAddress),
  setting(
    "rpc-port",
    "PORT",
    "clients and Raft [as in peers, else 8400]",
    wholeNumber(1, 65_535, "a port"),
  ),
  setting("start-join-addrs", "LIST", "join by these: host:port,... of gossip", startJoinAddrs),
  setting("tags", "LIST", "shown by gossip: name=value,...", tags),
  setting("gossip-keyring-file", "FILE", "encrypt gossip with these keys", file),
  setting(
    "gossip-encryption",
    "STAGE",
    "accept, send or require [require]",
    z.enum(["accept", "send", "require"], { error: "expected accept, send or require" }),
  ),
  setting("certs-dir", "DIR", "has NAME.pem, NAME-key.pem, ca.pem for all", file),
  tlsFile("server-tls-cert-file", "shown to clients, PEM"),
  tlsFile("server-tls-key-file", "its key"),
  tlsFile("server-tls-ca-file", "who may sign clients' certificates"),
  tlsFile("peer-tls-cert-file", "shown to peers, for NAME.peer.cairn"),
  tlsFile("peer-tls-key-file", "its key"),
  tlsFile("peer-tls-ca-file", "who may sign peers' certificates"),
  setting("acl-model-file", "FILE", "Casbin model [subject, object, action]", file),
  setting("acl-policy-file", "FILE", "Casbin policy [root may produce and consume]", file),
  setting("rest-addr", "HOST:PORT", "serve REST here, too [nowhere]", plainAddress),
  setting("loghouse", "BOOL", "records in field 1, too: its clients [false]", onOff),
  setting("metrics-addr", "HOST:PORT", "serve /metrics and probes [nowhere]", plainAddress),
  setting("limits", "LIST", "connections=100,... [docs/security.md]", limits),
  setting(
    "index",
    "KIND",
    "auto, mmap or file [auto]",
    z.enum(["auto", "mmap", "file"], { error: "expected auto, mmap or file" }),
  ),
  setting("record", "DIR", "every turn, for cairn sim --replay DIR", file),
  setting(
    "election-timeout-ms",
    "MS",
    "drawn from MS to twice MS [1000]",
    wholeNumber(20, 600_000, "milliseconds"),
  ),
  setting(
    "heartbeat-ms",
    "MS",
    "of a leader [a fifth of the above]",
    wholeNumber(5, 60_000, "milliseconds"),
  ),
  setting(
    "segment-bytes",
    "BYTES",
    "of a segment of the log [67108864]",
    wholeNumber(65_536, 1_073_741_824, "bytes"),
  ),
  setting(
    "retention-bytes",
    "BYTES",
    "trim old segments beyond so much [never]",
    wholeNumber(65_536, Number.MAX_SAFE_INTEGER, "bytes"),
  ),
  setting(
    "retention-ms",
    "MS",
    "trim segments older than this [never]",
    wholeNumber(1000, Number.MAX_SAFE_INTEGER, "milliseconds"),
  ),
  setting(
    "record-bytes-max",
    "BYTES",
    "a larger record is refused [1048576]",
    wholeNumber(1, 16_777_216, "bytes"),
  ),
  setting(
    "stop-timeout-ms",
    "MS",
    "a clean stop may take this long [10000]",
    wholeNumber(100, 600_000, "milliseconds"),
  ),
  setting(
    "log-level",
    "LEVEL",
    "debug, info, warn or error [info]",
    z.enum(["debug", "info", "warn", "error"], { error: "expected debug, info, warn or error" }),
  ),
]);

/** The name of a key in the environment. */
export function environmentName(key: string): string {
  return `CAIRN_${key.toUpperCase().replaceAll("-", "_")}`;
}
