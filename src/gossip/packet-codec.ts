// Datagrams: one message or a compound of them, perhaps compressed, perhaps with a checksum. Owns
// the wrappers and their bounds; single messages are message-codec.ts. Reading takes anything and
// never throws; it makes at most PLAIN_BYTES_MAX bytes of memory from one datagram.

import { assert } from "../base/assert.ts";
import { concat, type FrozenBytes, freeze, viewOf } from "../base/bytes.ts";
import { crc32 } from "./crc32.ts";
import { readOnlyFields } from "./fields.ts";
import { lzwDecode, lzwEncode } from "./lzw.ts";
import { decodeMessage, TYPE } from "./message-codec.ts";
import { COMPOUND_PARTS_MAX, type PacketMessage } from "./messages.ts";
import { MsgpackWriter } from "./msgpack.ts";
import type { DropReason } from "./protocol.ts";

/** Bytes that all compressed parts of one datagram may become: what the largest datagram holds. */
export const PLAIN_BYTES_MAX = 65_536;
/** Wrappers inside each other: checksum, compression, compound, and one to spare. */
const WRAPPERS_MAX = 4;
const CRC_BYTES = 5;
const LZW = 0;

/** One message and its own bytes, type first: what a rumor is passed on as. */
export interface PacketPart {
  readonly message: PacketMessage;
  /** May share memory with the datagram. */
  readonly bytes: FrozenBytes;
}

/** What a datagram holds; parts that are sound count although others are not. */
export interface PacketReading {
  readonly parts: readonly PacketPart[];
  readonly drops: readonly DropReason[];
}

/** What a compound adds to its parts: bytes for itself, and for each part. */
export const COMPOUND_BYTES = 2;
export const COMPOUND_BYTES_PER_PART = 2;

export interface Wrappers {
  readonly crc: boolean;
  /** Only where it makes the packet shorter. */
  readonly compress: boolean;
}

/** One datagram of 1 to COMPOUND_PARTS_MAX encoded messages. */
export function sealPacket(parts: readonly Uint8Array[], { crc, compress }: Wrappers): FrozenBytes {
  const whole = parts.length === 1 ? concat(parts) : encodeCompound(parts);
  const packed = compress ? encodeCompressed(whole) : whole;
  const body = packed.length < whole.length ? packed : whole;
  if (!crc) return freeze(body);
  const sealed = new Uint8Array(CRC_BYTES + body.length);
  sealed[0] = TYPE.hasCrc;
  viewOf(sealed).setUint32(1, crc32(body));
  sealed.set(body, CRC_BYTES);
  return freeze(sealed);
}

function encodeCompound(parts: readonly Uint8Array[]): Uint8Array {
  const isPackable = parts.length >= 1 && parts.length <= COMPOUND_PARTS_MAX;
  assert(isPackable, "a compound has 1 to 127 parts", parts.length);
  const header = new Uint8Array(COMPOUND_BYTES + COMPOUND_BYTES_PER_PART * parts.length);
  const view = viewOf(header);
  header[0] = TYPE.compound;
  header[1] = parts.length;
  for (const [at, part] of parts.entries()) {
    view.setUint16(COMPOUND_BYTES + COMPOUND_BYTES_PER_PART * at, part.length);
  }
  return concat([header, ...parts]);
}

/** `plain` in a compress message; longer than it was where there was nothing to gain. */
export function encodeCompressed(plain: Uint8Array): FrozenBytes {
  const writer = new MsgpackWriter().byte(TYPE.compress).map(2).text("Algo").uint(LZW);
  return writer.text("Buf").raw(lzwEncode(plain)).take();
}

/** What the compress message `bytes` holds. */
export function decodeCompressed(bytes: FrozenBytes, bytesMax: number): FrozenBytes | DropReason {
  const fields = readOnlyFields(bytes, 1);
  if (fields === null || fields.count("Algo", LZW) !== LZW) return "malformed";
  const packed = fields.finish(fields.raw("Buf"));
  return typeof packed === "string" ? packed : lzwDecode(packed, bytesMax);
}

/** Reads a datagram; every part of it ends in `parts` or, with its reason, in `drops`. */
export function readPacket(bytes: FrozenBytes): PacketReading {
  const reader = new PacketReader();
  reader.read(bytes, 0);
  return reader;
}

class PacketReader implements PacketReading {
  readonly parts: PacketPart[] = [];
  readonly drops: DropReason[] = [];
  #plainBytesLeft = PLAIN_BYTES_MAX;

  read(bytes: FrozenBytes, wrappers: number): void {
    const type = bytes[0];
    const isWrapper = type === TYPE.compound || type === TYPE.compress || type === TYPE.hasCrc;
    if (!isWrapper) {
      this.#readMessage(bytes);
    } else if (wrappers === WRAPPERS_MAX) {
      this.drops.push("too-deep");
    } else if (type === TYPE.compound) {
      this.#readCompound(bytes, wrappers + 1);
    } else if (type === TYPE.compress) {
      this.#readCompressed(bytes, wrappers + 1);
    } else {
      this.#readChecked(bytes, wrappers + 1);
    }
  }

  #readMessage(bytes: FrozenBytes): void {
    const message = decodeMessage(bytes);
    if (typeof message === "string") this.drops.push(message);
    else if (message.kind === "error") this.drops.push("not-for-packets");
    else this.parts.push({ message, bytes });
  }

  #readChecked(bytes: FrozenBytes, wrappers: number): void {
    const body = freeze(bytes.subarray(CRC_BYTES));
    if (body.length === 0) this.drops.push("truncated");
    else if (viewOf(bytes).getUint32(1) !== crc32(body)) this.drops.push("crc-mismatch");
    else this.read(body, wrappers);
  }

  #readCompressed(bytes: FrozenBytes, wrappers: number): void {
    const plain = decodeCompressed(bytes, this.#plainBytesLeft);
    if (typeof plain === "string") {
      this.drops.push(plain);
      return;
    }
    this.#plainBytesLeft -= plain.length;
    this.read(plain, wrappers);
  }

  /** Parts that are whole count, although the packet ends before the others. */
  #readCompound(bytes: FrozenBytes, wrappers: number): void {
    const count = bytes[1] ?? 0;
    let at = COMPOUND_BYTES + COMPOUND_BYTES_PER_PART * count;
    if (count === 0 || at > bytes.length) {
      this.drops.push(count === 0 ? "empty" : "truncated");
      return;
    }
    const view = viewOf(bytes);
    for (let part = 0; part < count; part++) {
      const end = at + view.getUint16(COMPOUND_BYTES + COMPOUND_BYTES_PER_PART * part);
      if (end > bytes.length) {
        this.drops.push("truncated");
        return;
      }
      this.read(freeze(bytes.subarray(at, end)), wrappers);
      at = end;
    }
  }
}
