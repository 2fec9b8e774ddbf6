// The messages of proto/cairn/v1/admin.proto: their shapes and their bytes, for both ends.

import { MEMBERS_MAX } from "../base/membership.ts";
import { encodeFields, Malformed, MessageReader } from "./fields.ts";

export interface AdminMember {
  readonly name: string;
  readonly address: string;
  readonly isLeader: boolean;
  readonly instance: string;
  readonly standing: string;
  readonly lag: number | null;
  readonly replication: string | null;
  readonly answersAs: string | null;
}

export interface AdminGossipMember {
  readonly name: string;
  readonly address: string;
  /** alive, leaving, left or failed. */
  readonly status: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** A member's log on its disk; admin.proto tells what each means. */
export interface AdminDisk {
  readonly room: string;
  readonly segments: number;
  readonly storeBytes: number;
  readonly isReserved: boolean;
  readonly scrubPasses: number;
  readonly scrubBytes: number;
  readonly scrubIndex: number;
  readonly digestsChecked: number;
  readonly digestsUnchecked: number;
  /** Empty while nothing is known. */
  readonly damage: string;
}

/** What a member says of itself; admin.proto tells what each means. */
export interface AdminStatus {
  readonly name: string;
  readonly clusterId: string;
  readonly state: string;
  readonly role: string;
  readonly term: number;
  /** Empty while none is known. */
  readonly leader: string;
  readonly commitIndex: number;
  readonly lastIndex: number;
  readonly durableIndex: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly members: readonly AdminMember[];
  readonly gossip: readonly AdminGossipMember[];
  /** Null from a build that did not say it yet. */
  readonly disk: AdminDisk | null;
}

export function encodeStatusResponse(status: AdminStatus): Buffer {
  const members = status.members.map(({ name, address, isLeader, ...rest }) => {
    const member = encodeFields([
      [1, name],
      [2, address],
      [3, isLeader ? 1 : 0],
      [4, rest.instance],
      [5, rest.standing],
      [6, rest.lag, true],
      [7, rest.answersAs, true],
      [8, rest.replication, true],
    ]);
    return [12, member, true] as const;
  });
  return encodeFields([
    [1, status.name],
    [2, status.clusterId],
    [3, status.state],
    [4, status.role],
    [5, status.term],
    [6, status.leader],
    [7, status.commitIndex],
    [8, status.lastIndex],
    [9, status.durableIndex],
    [10, status.startOffset],
    [11, status.endOffset],
    ...members,
    ...status.gossip.map((member) => [13, encodeGossipMember(member), true] as const),
    [14, status.disk === null ? null : encodeDisk(status.disk), true],
  ]);
}

function encodeDisk(disk: AdminDisk): Buffer {
  return encodeFields([
    [1, disk.room],
    [2, disk.segments],
    [3, disk.storeBytes],
    [4, disk.isReserved ? 1 : 0],
    [5, disk.scrubPasses],
    [6, disk.scrubBytes],
    [7, disk.scrubIndex],
    [8, disk.digestsChecked],
    [9, disk.digestsUnchecked],
    [10, disk.damage],
  ]);
}

function encodeGossipMember({ name, address, status, tags }: AdminGossipMember): Buffer {
  const entries = Object.entries(tags).map(([key, value]) => {
    const entry = encodeFields([
      [1, key],
      [2, value],
    ]);
    return [4, entry, true] as const;
  });
  return encodeFields([[1, name], [2, address], [3, status], ...entries]);
}

const TEXTS = { 1: "name", 2: "clusterId", 3: "state", 4: "role", 6: "leader" } as const;
const COUNTS = {
  5: "term",
  7: "commitIndex",
  8: "lastIndex",
  9: "durableIndex",
  10: "startOffset",
  11: "endOffset",
} as const;
const STATUS_FIELDS = [
  ...Object.keys(TEXTS).map((number) => Number(number) * 8 + 2),
  ...Object.keys(COUNTS).map((number) => Number(number) * 8),
  12 * 8 + 2,
  13 * 8 + 2,
  14 * 8 + 2,
];

export function decodeStatusResponse(bytes: Uint8Array): AdminStatus | Malformed {
  const reader = MessageReader.over("StatusResponse", bytes, STATUS_FIELDS);
  const texts = { name: "", clusterId: "", state: "", role: "", leader: "" };
  const counts = {
    term: 0,
    commitIndex: 0,
    lastIndex: 0,
    durableIndex: 0,
    startOffset: 0,
    endOffset: 0,
  };
  const members: AdminMember[] = [];
  const gossip: AdminGossipMember[] = [];
  let disk: AdminDisk | null = null;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    const number = tag >> 3;
    if (number === 12) members.push(readMember(reader));
    else if (number === 13) gossip.push(readGossipMember(reader));
    else if (number === 14) disk = readDisk(reader);
    else if (number in TEXTS) texts[TEXTS[number as keyof typeof TEXTS]] = reader.string();
    else counts[COUNTS[number as keyof typeof COUNTS]] = reader.uint();
  }
  return reader.malformed ?? { ...texts, ...counts, members, gossip, disk };
}

const DISK_COUNTS = {
  2: "segments",
  3: "storeBytes",
  5: "scrubPasses",
  6: "scrubBytes",
  7: "scrubIndex",
  8: "digestsChecked",
  9: "digestsUnchecked",
} as const;
const DISK_FIELDS = [0x0a, 0x20, 0x52, ...Object.keys(DISK_COUNTS).map((number) => +number * 8)];

function readDisk(reader: MessageReader): AdminDisk {
  const fields = reader.message("Disk", DISK_FIELDS);
  let [room, isReserved, damage] = ["", false, ""];
  const counts = {
    segments: 0,
    storeBytes: 0,
    scrubPasses: 0,
    scrubBytes: 0,
    scrubIndex: 0,
    digestsChecked: 0,
    digestsUnchecked: 0,
  };
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === 0x0a) room = fields.string();
    else if (tag === 0x20) isReserved = fields.bool();
    else if (tag === 0x52) damage = fields.string();
    else counts[DISK_COUNTS[(tag >> 3) as keyof typeof DISK_COUNTS]] = fields.uint();
  }
  reader.close(fields);
  return { room, isReserved, damage, ...counts };
}

function readMember(reader: MessageReader): AdminMember {
  const fields = reader.message("Member", [0x0a, 0x12, 0x18, 0x22, 0x2a, 0x30, 0x3a, 0x42]);
  let [name, address, isLeader, instance, standing] = ["", "", false, "", ""];
  let lag: number | null = null;
  let answersAs: string | null = null;
  let replication: string | null = null;
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === 0x0a) name = fields.string();
    else if (tag === 0x12) address = fields.string();
    else if (tag === 0x18) isLeader = fields.bool();
    else if (tag === 0x22) instance = fields.string();
    else if (tag === 0x2a) standing = fields.string();
    else if (tag === 0x30) lag = fields.uint();
    else if (tag === 0x3a) answersAs = fields.string();
    else replication = fields.string();
  }
  reader.close(fields);
  return { name, address, isLeader, instance, standing, lag, replication, answersAs };
}

function readGossipMember(reader: MessageReader): AdminGossipMember {
  const fields = reader.message("GossipMember", [0x0a, 0x12, 0x1a, 0x22]);
  let [name, address, status] = ["", "", ""];
  const tags: [string, string][] = [];
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === 0x0a) name = fields.string();
    else if (tag === 0x12) address = fields.string();
    else if (tag === 0x1a) status = fields.string();
    else tags.push(readTag(fields));
  }
  reader.close(fields);
  return { name, address, status, tags: Object.fromEntries(tags) };
}

function readTag(reader: MessageReader): [string, string] {
  const fields = reader.message("TagsEntry", [0x0a, 0x12]);
  let [key, value] = ["", ""];
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === 0x0a) key = fields.string();
    else value = fields.string();
  }
  reader.close(fields);
  return [key, value];
}

/** One change of who the members are; admin.proto tells what each means. */
export type AdminChange =
  | {
      readonly kind: "add";
      readonly name: string;
      readonly address: string;
      readonly asVoter: boolean;
    }
  | { readonly kind: "remove" | "promote" | "demote"; readonly name: string }
  | {
      readonly kind: "replace";
      readonly name: string;
      readonly withName: string;
      readonly withAddress: string;
    }
  | {
      readonly kind: "set";
      readonly voters: readonly string[];
      readonly learners: readonly string[];
    };

const BY_NAME = ["remove", "promote", "demote"] as const;

export function encodeChange(change: AdminChange): Buffer {
  switch (change.kind) {
    case "add": {
      const { name, address, asVoter } = change;
      const added = encodeFields([
        [1, name],
        [2, address],
        [3, asVoter ? 0 : 1],
      ]);
      return encodeFields([[1, added, true]]);
    }
    case "replace": {
      const { name, withName, withAddress } = change;
      const replaced = encodeFields([
        [1, name],
        [2, withName],
        [3, withAddress],
      ]);
      return encodeFields([[5, replaced, true]]);
    }
    case "set": {
      const { voters, learners } = change;
      const members = encodeFields([
        ...voters.map((name) => [1, name, true] as const),
        ...learners.map((name) => [2, name, true] as const),
      ]);
      return encodeFields([[6, members, true]]);
    }
    default:
      return encodeFields([[2 + BY_NAME.indexOf(change.kind), change.name, true]]);
  }
}

export function decodeChange(bytes: Uint8Array): AdminChange | Malformed {
  const known = [0x0a, 0x12, 0x1a, 0x22, 0x2a, 0x32];
  const reader = MessageReader.over("ChangeMembershipRequest", bytes, known);
  let change: AdminChange | null = null;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) change = readAddition(reader);
    else if (tag === 0x2a) change = readReplacement(reader);
    else if (tag === 0x32) change = readMembers(reader);
    else change = { kind: BY_NAME[(tag >> 3) - 2] ?? "remove", name: reader.string() };
  }
  if (change === null) reader.refuse("exactly one change is needed");
  return reader.malformed ?? change ?? new Malformed("no change");
}

function readAddition(reader: MessageReader): AdminChange {
  const fields = reader.message("AddMember", [0x0a, 0x12, 0x18]);
  let [name, address, asVoter] = ["", "", true];
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === 0x0a) name = fields.string();
    else if (tag === 0x12) address = fields.string();
    else asVoter = !fields.bool();
  }
  reader.close(fields);
  return { kind: "add", name, address, asVoter };
}

function readReplacement(reader: MessageReader): AdminChange {
  const fields = reader.message("ReplaceMember", [0x0a, 0x12, 0x1a]);
  let [name, withName, withAddress] = ["", "", ""];
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === 0x0a) name = fields.string();
    else if (tag === 0x12) withName = fields.string();
    else withAddress = fields.string();
  }
  reader.close(fields);
  return { kind: "replace", name, withName, withAddress };
}

function readMembers(reader: MessageReader): AdminChange {
  const fields = reader.message("SetMembers", [0x0a, 0x12]);
  const voters: string[] = [];
  const learners: string[] = [];
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    (tag === 0x0a ? voters : learners).push(fields.string());
    if (voters.length + learners.length > MEMBERS_MAX) fields.refuse("too many members");
  }
  reader.close(fields);
  return { kind: "set", voters, learners };
}

/** `to` empty: whoever is the most caught up. */
export function encodeTransferRequest(to: string): Buffer {
  return encodeFields([[1, to]]);
}

export function decodeTransferRequest(bytes: Uint8Array): string | Malformed {
  const reader = MessageReader.over("TransferLeadershipRequest", bytes, [0x0a]);
  let to = "";
  while (reader.next() !== 0) to = reader.string();
  return reader.malformed ?? to;
}

/** Of Leave and, with `prune`, of ForceLeave. */
export interface Departure {
  readonly name: string;
  readonly prune: boolean;
}

export function encodeDeparture({ name, prune }: Departure): Buffer {
  return encodeFields([
    [1, name],
    [2, prune ? 1 : 0],
  ]);
}

export function decodeDeparture(message: string, bytes: Uint8Array): Departure | Malformed {
  const reader = MessageReader.over(message, bytes, [0x0a, 0x10]);
  let [name, prune] = ["", false];
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.string();
    else prune = reader.bool();
  }
  return reader.malformed ?? { name, prune };
}

const KEY_ACTS = ["list", "install", "use", "remove"] as const;

export interface KeysRequest {
  readonly act: (typeof KEY_ACTS)[number];
  /** Empty to list. */
  readonly key: string;
}

export function encodeKeysRequest({ act, key }: KeysRequest): Buffer {
  return encodeFields([
    [1, act],
    [2, key],
  ]);
}

export function decodeKeysRequest(bytes: Uint8Array): KeysRequest | Malformed {
  const reader = MessageReader.over("GossipKeysRequest", bytes, [0x0a, 0x12]);
  let [named, key] = ["", ""];
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) named = reader.string();
    else key = reader.string();
  }
  const act = KEY_ACTS.find((each) => each === named);
  if (act === undefined) reader.refuse(`the act is one of ${KEY_ACTS.join(", ")}`);
  return reader.malformed ?? { act: act ?? "list", key };
}

export function encodeKeysResponse(keys: readonly string[]): Buffer {
  return encodeFields(keys.map((key) => [1, key, true] as const));
}

export function decodeKeysResponse(bytes: Uint8Array): readonly string[] | Malformed {
  const reader = MessageReader.over("GossipKeysResponse", bytes, [0x0a]);
  const keys: string[] = [];
  while (reader.next() !== 0) keys.push(reader.string());
  return reader.malformed ?? keys;
}

export interface RoundTripRequest {
  /** Empty for the member that is asked. */
  readonly from: string;
  readonly to: string;
}

export interface RoundTrip extends RoundTripRequest {
  /** There and back again. */
  readonly micros: number;
}

export function encodeRoundTripRequest({ from, to }: RoundTripRequest): Buffer {
  return encodeFields([
    [1, from],
    [2, to],
  ]);
}

export function decodeRoundTripRequest(bytes: Uint8Array): RoundTripRequest | Malformed {
  const reader = MessageReader.over("RoundTripRequest", bytes, [0x0a, 0x12]);
  let [from, to] = ["", ""];
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) from = reader.string();
    else to = reader.string();
  }
  if (to === "") reader.refuse("a member is named in `to`");
  return reader.malformed ?? { from, to };
}

export function encodeRoundTrip({ from, to, micros }: RoundTrip): Buffer {
  return encodeFields([
    [1, from],
    [2, to],
    [3, micros],
  ]);
}

export function decodeRoundTrip(bytes: Uint8Array): RoundTrip | Malformed {
  const reader = MessageReader.over("RoundTripResponse", bytes, [0x0a, 0x12, 0x18]);
  let [from, to, micros] = ["", "", 0];
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) from = reader.string();
    else if (tag === 0x12) to = reader.string();
    else micros = reader.uint();
  }
  return reader.malformed ?? { from, to, micros };
}

export function encodeTrimRequest(before: number): Buffer {
  return encodeFields([[1, before]]);
}

export function decodeTrimRequest(bytes: Uint8Array): number | Malformed {
  return decodeOffset("TrimRequest", bytes);
}

export function encodeTrimResponse(startOffset: number): Buffer {
  return encodeFields([[1, startOffset]]);
}

export function decodeTrimResponse(bytes: Uint8Array): number | Malformed {
  return decodeOffset("TrimResponse", bytes);
}

function decodeOffset(message: string, bytes: Uint8Array): number | Malformed {
  const reader = MessageReader.over(message, bytes, [0x08]);
  let offset = 0;
  while (reader.next() !== 0) offset = reader.uint();
  return reader.malformed ?? offset;
}
