// The messages of a backup's stream in proto/cairn/v1/admin.proto: their shapes and their bytes,
// for both ends.

import { encodeFields, Malformed, MessageReader } from "./fields.ts";

/** What admin.proto tells of each. */
export interface BackupHeadMessage {
  readonly node: string;
  readonly address: string;
  readonly clusterId: string;
  readonly instanceId: string;
  readonly term: number;
  readonly baseIndex: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly bytes: number;
  readonly hasMachine: boolean;
}

export interface BackupFileMessage {
  readonly name: string;
  readonly length: number;
  readonly crc: number;
}

export type BackupResponse =
  | { readonly kind: "head"; readonly head: BackupHeadMessage }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly file: BackupFileMessage }
  | { readonly kind: "end"; readonly files: number };

const TEXTS = ["node", "address", "clusterId", "instanceId"] as const;
const COUNTS = [
  "term",
  "baseIndex",
  "lastIndex",
  "lastTerm",
  "startOffset",
  "endOffset",
  "bytes",
] as const;
/** Names first, then counts, numbered from 1. */
const HEAD_TAGS = [
  ...TEXTS.map((_, at) => (1 + at) * 8 + 2),
  ...COUNTS.map((_, at) => (1 + TEXTS.length + at) * 8),
  12 * 8,
];

export function encodeBackupResponse(message: BackupResponse): Buffer {
  switch (message.kind) {
    case "head":
      return encodeFields([[1, encodeHead(message.head), true]]);
    case "bytes":
      return encodeFields([[2, message.bytes, true]]);
    case "file": {
      const { name, length, crc } = message.file;
      const file = encodeFields([
        [1, name],
        [2, length],
        [3, crc],
      ]);
      return encodeFields([[3, file, true]]);
    }
    case "end":
      return encodeFields([[4, encodeFields([[1, message.files]]), true]]);
  }
}

function encodeHead(head: BackupHeadMessage): Buffer {
  return encodeFields([
    ...TEXTS.map((name, at) => [1 + at, head[name]] as const),
    ...COUNTS.map((name, at) => [1 + TEXTS.length + at, head[name]] as const),
    [12, head.hasMachine ? 1 : 0],
  ]);
}

export function decodeBackupResponse(bytes: Uint8Array): BackupResponse | Malformed {
  const reader = MessageReader.over("BackupResponse", bytes, [0x0a, 0x12, 0x1a, 0x22]);
  let message: BackupResponse | null = null;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) message = { kind: "head", head: readHead(reader) };
    else if (tag === 0x12) message = { kind: "bytes", bytes: reader.bytes() };
    else if (tag === 0x1a) message = { kind: "file", file: readFile(reader) };
    else message = { kind: "end", files: readEnd(reader) };
  }
  return reader.malformed ?? message ?? new Malformed("BackupResponse: it holds no part");
}

function readHead(reader: MessageReader): BackupHeadMessage {
  const fields = reader.message("BackupHead", HEAD_TAGS);
  const texts = { node: "", address: "", clusterId: "", instanceId: "" };
  const counts = {
    term: 0,
    baseIndex: 0,
    lastIndex: 0,
    lastTerm: 0,
    startOffset: 0,
    endOffset: 0,
    bytes: 0,
  };
  let hasMachine = false;
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    const at = (tag >> 3) - 1;
    const text = TEXTS[at];
    const count = COUNTS[at - TEXTS.length];
    if (text !== undefined) texts[text] = fields.string();
    else if (count !== undefined) counts[count] = fields.uint();
    else hasMachine = fields.bool();
  }
  reader.close(fields);
  return { ...texts, ...counts, hasMachine };
}

function readFile(reader: MessageReader): BackupFileMessage {
  const fields = reader.message("BackupFile", [0x0a, 0x10, 0x18]);
  let [name, length, crc] = ["", 0, 0];
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === 0x0a) name = fields.string();
    else if (tag === 0x10) length = fields.uint();
    else crc = fields.uint32();
  }
  reader.close(fields);
  return { name, length, crc };
}

function readEnd(reader: MessageReader): number {
  const fields = reader.message("BackupEnd", [0x08]);
  let files = 0;
  while (fields.next() !== 0) files = fields.uint();
  reader.close(fields);
  return files;
}
