// What control entries say, decoded once at the edge (where a frame enters a node, from a peer, a
// disk or a proposer), so that machines see typed values and never bytes. Owns which kinds have a
// decoded body here, and their bytes but for the membership's.
//
//   trim body:    u8 version = 1, u64 startOffset
//   cursor body:  u8 version = 1, u8 1 when it is deleted, u64 offset, u64 ttlMs, name in UTF-8
//   fence body:   u8 version = 1, token in UTF-8
//   digest body:  u8 version = 1, u64 firstIndex, u64 lastIndex, u32 digest

import { assert } from "./assert.ts";
import { type FrozenBytes, freeze, getU64, putU64, viewOf } from "./bytes.ts";
import { crc32c } from "./crc32c.ts";
import { type Draft, type EntryKind, FRAME_HEADER_BYTES } from "./entry.ts";
import { isCount, type LogIndex, type Offset, type WallMs } from "./ids.ts";
import { decodeMembership, encodeMembership, type Membership } from "./membership.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

export type Control =
  | { readonly kind: "membership"; readonly membership: Membership }
  /** Records before `startOffset` are gone for every reader, on every node. */
  | { readonly kind: "trim"; readonly startOffset: Offset }
  /** How far a consumer has come: the offset it wants next; null deletes it. */
  | {
      readonly kind: "cursor";
      /** 1 to CURSOR_NAME_BYTES_MAX bytes. */
      readonly name: string;
      readonly offset: Offset | null;
      /** Forgotten so long after its last commit, in log time; 0 for never. */
      readonly ttlMs: number;
    }
  /** From here on an append that names another token is refused; empty takes the fence away. */
  | { readonly kind: "fence"; readonly token: string }
  | ({ readonly kind: "digest" } & SegmentDigest);

/** What replicas have to agree on about a stretch of entries; src/log/digest.ts makes it. */
export interface SegmentDigest {
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Of index, term and body checksum of each entry, one after another; 0 to 2^32-1. */
  readonly digest: number;
}

/** A cursor's name, and a fencing token, in UTF-8. */
export const CURSOR_NAME_BYTES_MAX = 255;
const CURSOR_HEAD_BYTES = 18;
const DIGEST_BYTES = 21;

/** What a body says: null for kinds without a decoded body, "malformed" when it is broken. */
export function decodeControl(kind: EntryKind, body: Uint8Array): Control | null | "malformed" {
  switch (kind) {
    case "membership": {
      const membership = decodeMembership(body);
      return membership === null ? "malformed" : { kind, membership };
    }
    case "trim": {
      if (body.length !== 9 || body[0] !== 1) return "malformed";
      const startOffset = getU64(viewOf(body), 1);
      return isCount(startOffset) ? { kind, startOffset: startOffset as Offset } : "malformed";
    }
    case "cursor":
      return decodeCursor(body) ?? "malformed";
    case "fence": {
      const token = body[0] === 1 ? textFrom(body, 1) : null;
      return token === null ? "malformed" : { kind, token };
    }
    case "digest":
      return decodeDigest(body) ?? "malformed";
    default:
      return null;
  }
}

function decodeDigest(body: Uint8Array): Control | null {
  if (body.length !== DIGEST_BYTES || body[0] !== 1) return null;
  const view = viewOf(body);
  const [firstIndex, lastIndex] = [getU64(view, 1) as LogIndex, getU64(view, 9) as LogIndex];
  if (!isCount(firstIndex) || !isCount(lastIndex)) return null;
  if (firstIndex < 1 || lastIndex < firstIndex) return null;
  return { kind: "digest", firstIndex, lastIndex, digest: view.getUint32(17) };
}

function decodeCursor(body: Uint8Array): Control | null {
  if (body.length <= CURSOR_HEAD_BYTES || body[0] !== 1) return null;
  const view = viewOf(body);
  const [offset, ttlMs] = [getU64(view, 2), getU64(view, 10)];
  const name = textFrom(body, CURSOR_HEAD_BYTES);
  if (name === null || !isCount(offset) || !isCount(ttlMs) || view.getUint8(1) > 1) return null;
  return { kind: "cursor", name, offset: body[1] === 1 ? null : (offset as Offset), ttlMs };
}

function textFrom(body: Uint8Array, at: number): string | null {
  return body.length - at > CURSOR_NAME_BYTES_MAX ? null : decodeUtf8(body.subarray(at));
}

export function encodeControl(control: Control): FrozenBytes {
  switch (control.kind) {
    case "membership":
      return encodeMembership(control.membership);
    case "trim": {
      const body = new Uint8Array(9);
      body[0] = 1;
      putU64(viewOf(body), 1, control.startOffset);
      return freeze(body);
    }
    case "cursor": {
      const name = encodeUtf8(control.name);
      assert(name.length >= 1 && name.length <= CURSOR_NAME_BYTES_MAX, "a cursor has a name");
      const body = new Uint8Array(CURSOR_HEAD_BYTES + name.length);
      const view = viewOf(body);
      view.setUint8(0, 1);
      view.setUint8(1, control.offset === null ? 1 : 0);
      putU64(view, 2, control.offset ?? 0);
      putU64(view, 10, control.ttlMs);
      body.set(name, CURSOR_HEAD_BYTES);
      return freeze(body);
    }
    case "fence": {
      const token = encodeUtf8(control.token);
      assert(token.length <= CURSOR_NAME_BYTES_MAX, "a fencing token is at most 255 bytes");
      const body = new Uint8Array(1 + token.length);
      body[0] = 1;
      body.set(token, 1);
      return freeze(body);
    }
    case "digest": {
      const body = new Uint8Array(DIGEST_BYTES);
      const view = viewOf(body);
      view.setUint8(0, 1);
      putU64(view, 1, control.firstIndex);
      putU64(view, 9, control.lastIndex);
      view.setUint32(17, control.digest);
      return freeze(body);
    }
  }
}

/** Controls that clients may propose; the others are Raft's own, or not made yet. */
export function isClientControl(kind: EntryKind): boolean {
  return kind === "cursor" || kind === "fence" || kind === "trim";
}

/** A control entry before it has a place. `wall` is the proposer's clock. */
export function controlDraft(control: Control, wall: WallMs): Draft {
  const body = encodeControl(control);
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  return {
    kind: control.kind,
    codec: 0,
    // Who does not know digests lacks a check, and nothing else.
    critical: control.kind !== "digest",
    count: 0,
    timestamp: wall,
    bodyCrc: crc32c(body),
    rawLength: body.length,
    producerId: 0,
    epoch: 0,
    sequence: 0,
    control,
    bytes,
  };
}
