// Cursors and the fence, of proto/cairn/v1/log.proto: the shapes of their messages and their bytes,
// for both ends. They are few and small, so one description of each message's fields serves
// encoding and decoding.

import { type Consistency, consistencyNumber, readConsistency } from "./consistency.ts";
import { encodeFields, type Malformed, MessageReader } from "./fields.ts";

export interface CommitCursorRequest {
  readonly name: string;
  readonly offset: number;
  readonly ttlMs: number;
  /** Undefined: wherever it is; null: it must not be yet. */
  readonly expected: number | null | undefined;
}

export function encodeCommitCursorRequest(request: CommitCursorRequest): Buffer {
  const { name, offset, ttlMs, expected } = request;
  return encodeFields([
    [1, name],
    [2, offset],
    [3, ttlMs],
    [4, expected ?? null, true],
    [5, expected === null ? 1 : null],
  ]);
}

export function decodeCommitCursorRequest(bytes: Uint8Array): CommitCursorRequest | Malformed {
  const reader = MessageReader.over("CommitCursorRequest", bytes, [0x0a, 0x10, 0x18, 0x20, 0x28]);
  let [name, offset, ttlMs, isNew] = ["", 0, 0, false];
  let expected: number | undefined;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x10) offset = reader.uint();
    else if (tag === 0x18) ttlMs = reader.uint();
    else if (tag === 0x20) expected = reader.uint();
    else isNew = reader.bool();
  }
  if (isNew && expected !== undefined) reader.refuse("expected_offset and expect_none, not both");
  return reader.malformed ?? { name, offset, ttlMs, expected: isNew ? null : expected };
}

export interface DeleteCursorRequest {
  readonly name: string;
  readonly expected: number | undefined;
}

export function encodeDeleteCursorRequest({ name, expected }: DeleteCursorRequest): Buffer {
  return encodeFields([
    [1, name],
    [2, expected ?? null, true],
  ]);
}

export function decodeDeleteCursorRequest(bytes: Uint8Array): DeleteCursorRequest | Malformed {
  const reader = MessageReader.over("DeleteCursorRequest", bytes, [0x0a, 0x10]);
  let name = "";
  let expected: number | undefined;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.string();
    else expected = reader.uint();
  }
  return reader.malformed ?? { name, expected };
}

/** FetchCursorRequest (a name) and ListCursorsRequest (a prefix) have the same fields. */
export interface CursorsRequest {
  readonly name: string;
  readonly consistency: Consistency;
}

export function encodeCursorsRequest({ name, consistency }: CursorsRequest): Buffer {
  return encodeFields([
    [1, name],
    [2, consistencyNumber(consistency)],
  ]);
}

export function decodeCursorsRequest(
  message: "FetchCursorRequest" | "ListCursorsRequest",
  bytes: Uint8Array,
): CursorsRequest | Malformed {
  const reader = MessageReader.over(message, bytes, [0x0a, 0x10]);
  let name = "";
  let consistency: Consistency = "local";
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.string();
    else consistency = readConsistency(reader);
  }
  return reader.malformed ?? { name, consistency };
}

export interface Cursor {
  readonly name: string;
  readonly offset: number;
  readonly ttlMs: number;
  readonly timestampMs: number;
}

/** FetchCursorResponse has one cursor in field 1, ListCursorsResponse any number. */
export function encodeCursors(cursors: readonly Cursor[]): Buffer {
  return encodeFields(
    cursors.map(({ name, offset, ttlMs, timestampMs }) => {
      const cursor = encodeFields([
        [1, name],
        [2, offset],
        [3, ttlMs],
        [4, timestampMs],
      ]);
      return [1, cursor, true] as const;
    }),
  );
}

export function decodeCursors(bytes: Uint8Array): readonly Cursor[] | Malformed {
  const reader = MessageReader.over("ListCursorsResponse", bytes, [0x0a]);
  const cursors: Cursor[] = [];
  while (reader.next() !== 0) {
    const fields = reader.message("Cursor", [0x0a, 0x10, 0x18, 0x20]);
    let [name, offset, ttlMs, timestampMs] = ["", 0, 0, 0];
    for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
      if (tag === 0x0a) name = fields.string();
      else if (tag === 0x10) offset = fields.uint();
      else if (tag === 0x18) ttlMs = fields.uint();
      else timestampMs = fields.uint();
    }
    reader.close(fields);
    cursors.push({ name, offset, ttlMs, timestampMs });
  }
  return reader.malformed ?? cursors;
}

export interface FenceRequest {
  readonly token: string;
  /** Undefined: whatever it is. */
  readonly expected: string | undefined;
}

export function encodeFenceRequest({ token, expected }: FenceRequest): Buffer {
  return encodeFields([
    [1, token],
    [2, expected ?? null, true],
  ]);
}

export function decodeFenceRequest(bytes: Uint8Array): FenceRequest | Malformed {
  const reader = MessageReader.over("FenceRequest", bytes, [0x0a, 0x12]);
  let token = "";
  let expected: string | undefined;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) token = reader.string();
    else expected = reader.string();
  }
  return reader.malformed ?? { token, expected };
}
