// The messages of proto/cairn/v1/admin.proto: their shapes and their bytes, for both ends.

import { encodeFields, type Malformed, MessageReader } from "./fields.ts";

export interface AdminMember {
  readonly name: string;
  readonly address: string;
  readonly isLeader: boolean;
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
}

export function encodeStatusResponse(status: AdminStatus): Buffer {
  const members = status.members.map(({ name, address, isLeader }) => {
    const member = encodeFields([
      [1, name],
      [2, address],
      [3, isLeader ? 1 : 0],
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
  ]);
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
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    const number = tag >> 3;
    if (number === 12) members.push(readMember(reader));
    else if (number in TEXTS) texts[TEXTS[number as keyof typeof TEXTS]] = reader.string();
    else counts[COUNTS[number as keyof typeof COUNTS]] = reader.uint();
  }
  return reader.malformed ?? { ...texts, ...counts, members };
}

function readMember(reader: MessageReader): AdminMember {
  const fields = reader.message("Member", [0x0a, 0x12, 0x18]);
  let [name, address, isLeader] = ["", "", false];
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === 0x0a) name = fields.string();
    else if (tag === 0x12) address = fields.string();
    else isLeader = fields.bool();
  }
  reader.close(fields);
  return { name, address, isLeader };
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
