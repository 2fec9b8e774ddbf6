// What `import ... from "cairnlog/gossip"` gives: membership of a cluster, in the protocol of Serf
// agents, on sockets. The same in the simulator is src/service/membership.ts with other ports. This
// file is the package's door and binds the two together.

import { randomUUID } from "node:crypto";
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";

import { GossipFile } from "./adapters/gossip-file.ts";
import type { GossipKeyring } from "./adapters/gossip-keyring.ts";
import { GossipSockets } from "./adapters/gossip-sockets.ts";
import { OsClock } from "./adapters/os-clock.ts";
import { type Address, parseIp, splitHostPort } from "./base/address.ts";
import type { Notice } from "./base/notice.ts";
import { Prng } from "./base/prng.ts";
import type { EncryptionStage } from "./service/gossip-sealing.ts";
import { type Membership, type MembershipOptions, openMembership } from "./service/membership.ts";
import { MembershipError } from "./service/membership-error.ts";

export { GossipKeyring, generateGossipKey, KeyringError } from "./adapters/gossip-keyring.ts";
export type { Notice } from "./base/notice.ts";
export type { Coordinate } from "./gossip/coordinate.ts";
export type { EncryptionStage } from "./service/gossip-sealing.ts";
export type {
  Member,
  Membership,
  MembershipHandler,
  MembershipOptions,
  MembershipPorts,
} from "./service/membership.ts";
export { openMembership } from "./service/membership.ts";
export type { MembershipErrorCode } from "./service/membership-error.ts";
export { MembershipError } from "./service/membership-error.ts";
export type {
  IncomingQuery,
  QueryOptions,
  QueryReply,
  QuerySummary,
  RunningQuery,
  UserEvent,
} from "./service/membership-talk.ts";

/** Where Serf agents are, where nothing else is said. */
const PORT_USUAL = 7946;

export interface CreateMembershipOptions extends MembershipOptions {
  /** `host:port` to hear on, by UDP and TCP; port 0 takes a free one. */
  readonly bindAddr: string;
  /**
   * Where others reach this member, if that is not bindAddr. Absent: bindAddr, or for 0.0.0.0 and
   * :: this machine's first address that is not loopback.
   */
  readonly advertiseAddr?: string;
  /**
   * A file in which this member keeps its incarnation and whom it knows, for its next life; made
   * when missing. One member a file. Absent: nothing is kept.
   */
  readonly memoryFile?: string;
  /** Keys that all members share: what is said is sealed with its first, and opened with any. */
  readonly keyring?: GossipKeyring;
  /** With a keyring: how far its use has come; `require`, the default, refuses what is plain. */
  readonly encryption?: EncryptionStage;
  /** Hears what operators should know: refused input, joins that failed. */
  readonly onNotice?: (notice: Notice) => void;
}

/**
 * Becomes a member: hears on bindAddr and joins by startJoinAddrs, if any. Rejects with a
 * MembershipError that says what is wrong with the options or whom it could not reach, or with the
 * Error of the sockets when it cannot hear there.
 */
export async function createMembership(options: CreateMembershipOptions): Promise<Membership> {
  const { bindAddr, advertiseAddr, memoryFile, onNotice = () => undefined } = options;
  const { keyring, encryption: stage = "require" } = options;
  const bind = await resolveOwn("bindAddr", bindAddr);
  const said =
    advertiseAddr === undefined ? null : await resolveOwn("advertiseAddr", advertiseAddr);
  const telemetry = { notice: onNotice };
  const network = await GossipSockets.open({ bind, telemetry });
  const clock = new OsClock();
  const memory = memoryFile === undefined ? null : new GossipFile(memoryFile, telemetry);
  const shut = async () => {
    clock.close();
    await network.shut();
    await memory?.settled();
  };
  try {
    const advertise = said ?? reachable(network.address);
    const prng = new Prng(randomUUID());
    return await openMembership(options, {
      clock,
      network,
      telemetry,
      prng,
      advertise,
      resolve,
      shut,
      ...(memory === null ? {} : { memory }),
      ...(keyring === undefined ? {} : { encryption: { cipher: keyring, stage } }),
    });
  } catch (error) {
    await shut();
    throw error;
  }
}

async function resolveOwn(what: string, hostPort: string): Promise<Address> {
  const found = await resolve(hostPort).catch(() => []);
  const first = found[0];
  if (first !== undefined) return first;
  const expected = "expected host:port of this machine, such as 127.0.0.1:7946";
  throw new MembershipError("bad-options", `${what} ${JSON.stringify(hostPort)}: ${expected}`);
}

async function resolve(hostPort: string): Promise<readonly Address[]> {
  const parts = splitHostPort(hostPort, PORT_USUAL);
  if (parts === null) throw new Error("expected host:port");
  const { host, port } = parts;
  const written = parseIp(host);
  if (written !== null) return [{ ip: written, port }];
  const addresses: Address[] = [];
  for (const { address } of await lookup(host, { all: true })) {
    const ip = parseIp(address);
    if (ip !== null) addresses.push({ ip, port });
  }
  return addresses;
}

/** Nobody reaches 0.0.0.0: an address of this machine instead, the same one each time. */
function reachable(bound: Address): Address {
  if (bound.ip.some((byte) => byte !== 0)) return bound;
  const candidates = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
  const wanted = bound.ip.length === 4 ? "IPv4" : "IPv6";
  const outward = candidates.find((one) => !one.internal && one.family === wanted);
  const loopback = wanted === "IPv4" ? "127.0.0.1" : "::1";
  const ip = parseIp(outward?.address ?? loopback);
  return ip === null ? bound : { ip, port: bound.port };
}
