// The frame: one entry's header and body, the same bytes on disk, on the wire and in a reader's
// hands. Owns the byte layout below, sealing and checked decoding; does not own what a body means,
// nor where in a file a frame stands (segments pad each frame to FRAME_ALIGNMENT, recovery.ts reads
// them back).
//
//   at  size  field                       at  size  field
//    0     1  version = 1                 40     8  offset
//    1     1  kind (KIND_CODES)           48     8  timestamp, ms
//    2     1  flags: bits 0-2 codec,      56     4  count
//             6 compacted, 7 critical     60     4  rawLength
//    3     1  header length = 96          64     8  producerId
//    4     4  body length                 72     4  epoch
//    8     4  header CRC-32C              76     4  reserved, 0
//   12     4  body CRC-32C                80     8  sequence
//   16     8  index                       88     8  reserved, 0
//   24     8  term                        96        body
//   32     8  prevTerm
//
// All integers are big-endian. The header's checksum covers bytes 0-7 and 12-95, and with them the
// body's checksum: it binds index and term to the body.

import { assert } from "../base/assert.ts";
import { type FrozenBytes, freeze, getU64, viewOf, writeU32, writeU64 } from "../base/bytes.ts";
import { decodeControl } from "../base/control.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Entry, EntryHead, EntryKind } from "../base/entry.ts";
import type { LogIndex, Offset, Term, WallMs } from "../base/ids.ts";

export const FRAME_VERSION = 1;
export const FRAME_HEADER_BYTES = 96;
/** On disk a frame starts at a multiple of this, so that a scan finds the next after a bad one. */
export const FRAME_ALIGNMENT = 8;
/** The largest body any version of this format may carry. */
export const FRAME_BODY_BYTES_MAX = 256 * 1024 * 1024;

const CODEC_MASK = 0x07;
const CODEC_GZIP = 1;
const FLAG_COMPACTED = 0x40;
const FLAG_CRITICAL = 0x80;
const FLAGS_KNOWN = CODEC_MASK | FLAG_COMPACTED | FLAG_CRITICAL;
const UNSIGNED_32_MAX = 0xffff_ffff;

/** The code of each kind on disk; 0 is never one, so that zeros are no frame. */
export const KIND_CODES: Readonly<Record<Exclude<EntryKind, "unknown">, number>> = {
  noop: 1,
  records: 2,
  membership: 3,
  producer: 4,
  cursor: 5,
  fence: 6,
  trim: 7,
  compact: 8,
  "feature-level": 9,
  command: 10,
  digest: 11,
  recovered: 12,
  marker: 127,
};

const KIND_OF_CODE: ReadonlyMap<number, EntryKind> = new Map(
  (Object.keys(KIND_CODES) as Exclude<EntryKind, "unknown">[]).map((kind) => [
    KIND_CODES[kind],
    kind,
  ]),
);

export interface FrameLimits {
  /** A longer body is malformed, whatever its checksum says. */
  readonly bodyBytesMax: number;
  /** The body is believed whatever its checksum is: for measuring only. */
  readonly isBodyUnverified?: boolean;
}

export const FRAME_LIMITS: FrameLimits = { bodyBytesMax: FRAME_BODY_BYTES_MAX };

export type DecodedFrame =
  /** Both checksums hold. `length` is header and body, without padding. */
  | { readonly kind: "entry"; readonly entry: Entry; readonly length: number }
  /** The bytes end too early: at least `needs` bytes from `at` on are wanted. */
  | { readonly kind: "incomplete"; readonly needs: number }
  /** Not a frame, or not any more. */
  | { readonly kind: "malformed"; readonly what: string }
  /** A whole frame of a newer version, which must not be skipped. */
  | { readonly kind: "unsupported"; readonly what: string };

export type DecodedHead =
  | { readonly kind: "head"; readonly head: EntryHead; readonly length: number }
  | Exclude<DecodedFrame, { kind: "entry" }>;

/** `length` rounded up to the alignment of frames on disk. */
export function paddedLength(length: number): number {
  return Math.ceil(length / FRAME_ALIGNMENT) * FRAME_ALIGNMENT;
}

/**
 * Writes `head` into the first FRAME_HEADER_BYTES of `bytes`, in front of the body that is already
 * there, and freezes the whole. Fewer bytes than a header: a frame without body is allocated.
 */
export function sealFrame(head: EntryHead, bytes: Uint8Array): FrozenBytes {
  const frame = bytes.length < FRAME_HEADER_BYTES ? new Uint8Array(FRAME_HEADER_BYTES) : bytes;
  checkSealable(head, frame.length - FRAME_HEADER_BYTES);
  frame[0] = FRAME_VERSION;
  frame[1] = kindCode(head.kind);
  frame[2] = head.codec | (head.critical ? FLAG_CRITICAL : 0);
  frame[3] = FRAME_HEADER_BYTES;
  writeU32(frame, 4, head.bodyLength);
  writeU32(frame, 12, head.bodyCrc);
  writeU64(frame, 16, head.index);
  writeU64(frame, 24, head.term);
  writeU64(frame, 32, head.prevTerm);
  writeU64(frame, 40, head.offset);
  writeU64(frame, 48, head.timestamp);
  writeU32(frame, 56, head.count);
  writeU32(frame, 60, head.rawLength);
  writeU64(frame, 64, head.producerId);
  writeU32(frame, 72, head.epoch);
  writeU32(frame, 76, 0);
  writeU64(frame, 80, head.sequence);
  writeU64(frame, 88, 0);
  writeU32(frame, 8, headerCrc(frame, 0));
  return freeze(frame);
}

function kindCode(kind: EntryKind): number {
  assert(kind !== "unknown", "a frame of an unknown kind is passed on, never sealed");
  return KIND_CODES[kind];
}

function checkSealable(head: EntryHead, bodyRoom: number): void {
  assert(head.bodyLength === bodyRoom, "body does not fill its frame", head.bodyLength, bodyRoom);
  assert(head.bodyLength <= FRAME_BODY_BYTES_MAX, "body is too long", head.bodyLength);
  assert(head.codec === 0 || head.codec === CODEC_GZIP, "codec is unknown", head.codec);
  assert(head.codec !== 0 || head.rawLength === head.bodyLength, "plain body, other raw length");
  assert(head.bodyLength > 0 || head.bodyCrc === 0, "an empty body has checksum 0");
  assert(isUnsigned32(head.bodyCrc), "bodyCrc is not 32 bits", head.bodyCrc);
  assert(isUnsigned32(head.count), "count is not 32 bits", head.count);
  assert(isUnsigned32(head.rawLength), "rawLength is not 32 bits", head.rawLength);
  assert(isUnsigned32(head.epoch), "epoch is not 32 bits", head.epoch);
  for (const value of [head.index, head.term, head.prevTerm, head.offset, head.timestamp]) {
    assert(isWhole(value), "a frame holds whole numbers only", value);
  }
  assert(isWhole(head.producerId), "producerId is not whole", head.producerId);
  assert(isWhole(head.sequence), "sequence is not whole", head.sequence);
}

function isUnsigned32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= UNSIGNED_32_MAX;
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** CRC-32C of the header at `at`, its own four bytes left out. */
function headerCrc(bytes: Uint8Array, at: number): number {
  return crc32c(bytes, crc32c(bytes, 0, at, at + 8), at + 12, at + FRAME_HEADER_BYTES);
}

/**
 * Reads the frame at `at` and verifies both checksums. The entry's frame is a view of `bytes`,
 * which must not be written to again. Never throws, whatever the bytes say.
 */
export function decodeFrame(
  bytes: Uint8Array,
  at: number,
  limits: FrameLimits,
  view: DataView = viewOf(bytes),
): DecodedFrame {
  const decoded = decodeHead(bytes, at, limits, view);
  if (decoded.kind !== "head") return decoded;
  const end = at + decoded.length;
  if (end > bytes.length) return { kind: "incomplete", needs: decoded.length };
  const isBelieved = limits.isBodyUnverified || isBodyWhole(bytes, at, decoded.head);
  if (!isBelieved) return malformed("body checksum does not match");
  const frame = freeze(bytes.subarray(at, end));
  const control = decodeControl(decoded.head.kind, frame.subarray(FRAME_HEADER_BYTES));
  if (control === "malformed") return malformed(`the body of a ${decoded.head.kind} entry`);
  const entry = withFrame(decoded.head, frame);
  return {
    kind: "entry",
    entry: control === null ? entry : { ...entry, control },
    length: decoded.length,
  };
}

/** Whether the body behind the header at `at`, all of which is there, has the head's checksum. */
export function isBodyWhole(bytes: Uint8Array, at: number, head: EntryHead): boolean {
  const start = at + FRAME_HEADER_BYTES;
  return crc32c(bytes, 0, start, start + head.bodyLength) === head.bodyCrc;
}

/** Spelled out: spreading a head costs V8 a microsecond, which is most of what decoding takes. */
export function withFrame(head: EntryHead, frame: FrozenBytes): Entry {
  return {
    kind: head.kind,
    codec: head.codec,
    critical: head.critical,
    index: head.index,
    term: head.term,
    prevTerm: head.prevTerm,
    offset: head.offset,
    count: head.count,
    timestamp: head.timestamp,
    bodyLength: head.bodyLength,
    bodyCrc: head.bodyCrc,
    rawLength: head.rawLength,
    producerId: head.producerId,
    epoch: head.epoch,
    sequence: head.sequence,
    frame,
  };
}

/** Reads the header at `at` and verifies its checksum only. The result keeps no hold of `bytes`. */
export function decodeHead(
  bytes: Uint8Array,
  at: number,
  limits: FrameLimits,
  view: DataView = viewOf(bytes),
): DecodedHead {
  if (at + FRAME_HEADER_BYTES > bytes.length) {
    return { kind: "incomplete", needs: FRAME_HEADER_BYTES };
  }
  // The cheap tests first: a search for frames asks this of every eighth byte.
  if (bytes[at] !== FRAME_VERSION) return malformed(`version ${bytes[at]} is not ${FRAME_VERSION}`);
  if (bytes[at + 3] !== FRAME_HEADER_BYTES) return malformed(`header length is ${bytes[at + 3]}`);
  if (view.getUint32(at + 8) !== headerCrc(bytes, at)) {
    return malformed("header checksum does not match");
  }
  return checkedHead(bytes, at, limits, view);
}

function checkedHead(
  bytes: Uint8Array,
  at: number,
  limits: FrameLimits,
  view: DataView,
): DecodedHead {
  const code = bytes[at + 1] as number;
  const flags = bytes[at + 2] as number;
  const kind = KIND_OF_CODE.get(code);
  const critical = (flags & FLAG_CRITICAL) !== 0;
  if (kind === undefined && critical) return unsupported(`critical kind ${code}`);
  if ((flags & FLAG_COMPACTED) !== 0) return unsupported("compacted batch");
  const codec = flags & CODEC_MASK;
  if (kind !== undefined && codec > CODEC_GZIP) return unsupported(`codec ${codec}`);
  if (code === 0) return malformed("kind is 0");
  if (
    (flags & ~FLAGS_KNOWN) !== 0 ||
    view.getUint32(at + 76) !== 0 ||
    getU64(view, at + 88) !== 0
  ) {
    return malformed("reserved bits are set");
  }
  const head = readHead(view, at, kind ?? "unknown", codec, critical);
  const what = brokenHead(head, limits);
  if (what !== null) return malformed(what);
  return { kind: "head", head, length: FRAME_HEADER_BYTES + head.bodyLength };
}

function readHead(
  view: DataView,
  at: number,
  kind: EntryKind,
  codec: number,
  critical: boolean,
): EntryHead {
  return {
    kind,
    codec,
    critical,
    index: getU64(view, at + 16) as LogIndex,
    term: getU64(view, at + 24) as Term,
    prevTerm: getU64(view, at + 32) as Term,
    offset: getU64(view, at + 40) as Offset,
    count: view.getUint32(at + 56),
    timestamp: getU64(view, at + 48) as WallMs,
    bodyLength: view.getUint32(at + 4),
    bodyCrc: view.getUint32(at + 12),
    rawLength: view.getUint32(at + 60),
    producerId: getU64(view, at + 64),
    epoch: view.getUint32(at + 72),
    sequence: getU64(view, at + 80),
  };
}

/** What no sealed header says, although its checksum holds; null when all is in range. */
function brokenHead(head: EntryHead, limits: FrameLimits): string | null {
  if (head.bodyLength > limits.bodyBytesMax) {
    return `body of ${head.bodyLength} bytes, ${limits.bodyBytesMax} at most`;
  }
  if (!isWhole(head.index) || !isWhole(head.term) || !isWhole(head.prevTerm)) {
    return "index or term is beyond 2^53-1";
  }
  if (!isWhole(head.offset) || !isWhole(head.offset + head.count)) return "offset is beyond 2^53-1";
  if (!isWhole(head.timestamp)) return "timestamp is beyond 2^53-1";
  if (!isWhole(head.producerId) || !isWhole(head.sequence)) return "producer is beyond 2^53-1";
  if (head.codec === 0 && head.rawLength !== head.bodyLength) return "plain body, other raw length";
  if (head.bodyLength === 0 && head.bodyCrc !== 0) return "empty body with a checksum";
  return null;
}

function malformed(what: string): { kind: "malformed"; what: string } {
  return { kind: "malformed", what };
}

function unsupported(what: string): { kind: "unsupported"; what: string } {
  return { kind: "unsupported", what };
}
